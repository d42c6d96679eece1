"""Measures what is at the other end of an I2C bus, with an FT232H as the host: reads of 128 bytes at several rates.

Owns the measuring. The chip does not tell how long a clock was held; what is known is how long a read took, and how
long its clocks take. The difference is an upper bound for every stretch in it: it has the chip's own commands in it,
and USB's unevenness. Nothing is written but a page select.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from cmis_emu.bus.bits.limits import STRETCH_MAX_NS
from cmis_emu.bus.ftdi.chip import FtdiChip, command_ns
from cmis_emu.bus.ftdi.host import FtdiBus
from cmis_emu.bus.target import HALF, MODULE_ADDRESS
from cmis_emu.clock import NS_PER_S
from cmis_emu.errors import NotAvailableError

RATES_HZ = (100_000, 400_000, 1_000_000)
SELECT = bytes([126, 0, 0])  # bank 0, page 00h, whose upper half nobody changes
_BYTE_BITS = 9
_SAMPLES = 20  # reads of one byte, of which the shortest tells what a transfer takes besides


@dataclass(slots=True)
class Measured:
    """At one rate. hz: what the chip made of it. wrong: reads that showed other bytes than the first. errors: by name.

    shortest_ns, longest_ns: of reads of 128 bytes. unexplained_ns: the most, of one read, that its clocks do not
    explain; no stretch was longer.
    """

    asked_hz: int
    hz: float = 0.0
    reads: int = 0
    wrong: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    shortest_ns: int | None = None
    longest_ns: int = 0
    unexplained_ns: int = 0

    @property
    def good(self) -> bool:
        """Every read was right?"""
        return self.reads > 0 and not self.wrong and not self.errors

    def __str__(self) -> str:
        if self.shortest_ns is None:
            return f"{self.asked_hz / 1e3:>6g} kHz  no read came through: {_told(self.errors)}"
        long = "" if self.unexplained_ns <= STRETCH_MAX_NS else f", more than {STRETCH_MAX_NS // 1000} us"
        return (
            f"{self.hz / 1e3:>6.0f} kHz  {self.reads} reads, {self.wrong} wrong, errors: {_told(self.errors)}; "
            f"{self.shortest_ns / 1e6:.2f} to {self.longest_ns / 1e6:.2f} ms; "
            f"no stretch above {self.unexplained_ns / 1e3:.0f} us{long}"
        )


def _told(errors: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(errors.items())) or "none"


def pin_read_ns(device: Any, now_ns: Callable[[], int], rounds: int = 20) -> int:
    """What reading its pins costs this chip: the number that its use as a slave depends on."""
    with closing(FtdiChip(device)) as chip:
        return command_ns(chip, now_ns, rounds)


def measure(
    device: Any,
    messages: Any,
    now_ns: Callable[[], int],
    *,
    reads: int = 100,
    address: int = MODULE_ADDRESS,
    rates: tuple[int, ...] = RATES_HZ,
) -> Iterator[Measured]:
    """One result for each rate, as soon as it is there.

    device: a URL or a pyusb device. messages: the class `smbus2.i2c_msg`. What the first read shows, at the first
    rate, is what the others are held to. Raises NotAvailableError when nothing answers at the first rate.
    """
    expected: bytes | None = None
    for hz in rates:
        found = Measured(hz)
        with closing(FtdiBus(device, hz)) as bus:
            found.hz = bus.hz

            def read(length: int, bus: FtdiBus = bus) -> bytes:
                answer = messages.read(address, length)
                bus.i2c_rdwr(messages.write(address, [HALF]), answer)
                return bytes(answer)

            try:
                bus.i2c_rdwr(messages.write(address, list(SELECT)))
                least_ns = min(_timed(read, 1, now_ns)[1] for _ in range(_SAMPLES))
                if expected is None:
                    expected = read(HALF)
            except OSError as error:
                if expected is None:
                    name = device if isinstance(device, str) else "ftdi"
                    raise NotAvailableError(
                        f"{name}: found no module at {address:#x} ({error.strerror}), expected one to measure"
                    ) from None
                found.errors[_name(error)] = 1
                yield found
                continue
            clocks_ns = round((HALF - 1) * _BYTE_BITS * NS_PER_S / bus.hz)
            for _ in range(reads):
                found.reads += 1
                try:
                    data, took_ns = _timed(read, HALF, now_ns)
                except OSError as error:
                    name = _name(error)
                    found.errors[name] = found.errors.get(name, 0) + 1
                    continue
                found.wrong += data != expected
                found.shortest_ns = took_ns if found.shortest_ns is None else min(found.shortest_ns, took_ns)
                found.longest_ns = max(found.longest_ns, took_ns)
                found.unexplained_ns = max(found.unexplained_ns, took_ns - least_ns - clocks_ns)
        yield found


def _timed(read: Callable[[int], bytes], length: int, now_ns: Callable[[], int]) -> tuple[bytes, int]:
    began = now_ns()
    data = read(length)
    return data, now_ns() - began


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))
