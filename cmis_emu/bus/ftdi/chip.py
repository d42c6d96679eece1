"""An FT232H through pyftdi: addresses with options, opening, and the engine as something to write to and read from.

pyftdi is in the extra `hardware` and is imported here alone, on use. It has no types, hence the Any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cmis_emu.bus.ftdi.commands import Command
from cmis_emu.bus.options import Options
from cmis_emu.clock import NS_PER_S
from cmis_emu.errors import InputError, NotAvailableError

SCHEME = "ftdi://"
_FORM = "ftdi://ftdi:232h/1, or with a serial number ftdi://ftdi:232h:SERIAL/1"
_URL = re.compile(r"ftdi://[^/?]*/\d+\Z")
_READS = 500  # answers fit in one packet
_PAUSE = bytes([Command.CLOCKS, *(749).to_bytes(2, "little")])  # 6000 clocks at pyftdi's 6 MHz: 1 ms


def address(text: str, known: Mapping[str, str], field: str) -> tuple[str, Options]:
    """pyftdi's URL, and the options behind the question mark. Raises InputError."""
    url, _, query = text.partition("?")
    if not _URL.match(url):
        raise InputError(repr(url), _FORM, field=field)
    return url, Options.read(query, known, field)


def library(name: str) -> Any:
    """A module of pyftdi. Raises NotAvailableError."""
    try:
        from importlib import import_module  # noqa: PLC0415 - with what it is for

        return import_module(f"pyftdi.{name}")
    except ImportError as error:
        raise NotAvailableError(
            f"ftdi: found no pyftdi ({error}), expected it installed: pip install 'cmis-emu[hardware]'"
        ) from None


def opened(url: str, opening: Callable[[], object]) -> None:
    """Do what opens a chip. Raises NotAvailableError with the reason, whatever pyftdi and pyusb raise."""
    try:
        opening()
    except Exception as error:
        hint = "; is libusb installed, and may this user open USB devices?" if "backend" in str(error).lower() else ""
        raise NotAvailableError(f"{url}: {str(error) or type(error).__name__}{hint}") from None


class FtdiChip:
    """The engine of a chip. device: a URL, or a pyusb device. Raises NotAvailableError."""

    def __init__(self, device: Any) -> None:
        self._ftdi = library("ftdi").Ftdi()
        # All pins are inputs until the outputs are open drain: a host may pull the lines.
        if isinstance(device, str):
            opened(device, lambda: self._ftdi.open_mpsse_from_url(device, direction=0, initial=0))
        else:
            self._ftdi.open_mpsse_from_device(device, interface=1, direction=0, initial=0)

    def write(self, data: bytes) -> None:
        """Commands for the engine."""
        self._ftdi.write_data(data)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of answers; fewer, or none, once the chip's latency timer has run out (16 ms)."""
        return bytes(self._ftdi.read_data_bytes(size, 1))

    def restart(self) -> None:
        """Leave whatever the engine waits for, and let go of the lines."""
        mode = type(self._ftdi).BitMode
        self._ftdi.set_bitmode(0, mode.RESET)
        self._ftdi.purge_buffers()
        self._ftdi.set_bitmode(0, mode.MPSSE)

    def close(self) -> None:
        """Let go of the lines and of the chip."""
        self._ftdi.close()


def command_ns(chip: FtdiChip, now_ns: Callable[[], int], rounds: int = 20) -> int:
    """How long the engine takes to read its pins once, in ns: from the shortest of `rounds` measurements, at least 1.

    The chip is as it was opened: its pins are inputs, so that the clocks which keep the engine busy until the host
    waits for the answer are on no wire. Raises NotAvailableError when it does not answer.
    """

    def duration(reads: int) -> int:
        began = now_ns()
        chip.write(_PAUSE + bytes([Command.READ_LOW] * reads + [Command.FLUSH]))
        found = b""
        while len(found) < reads:
            block = chip.read(reads - len(found))
            found += block
            if not block and now_ns() - began > NS_PER_S:
                raise NotAvailableError(f"ft232h: found {len(found)} answers after 1 s, expected {reads}")
        return now_ns() - began

    short = min(duration(1) for _ in range(rounds))
    long = min(duration(_READS) for _ in range(rounds))
    return max(1, (long - short) // (_READS - 1))
