"""The way `ft232h:`: an FT232H acts as the module for a real host, experimental and only when asked for as such.

Owns the address, the thread between the chip and the follower, and starting again when a transfer stops halfway.
`describe` prints the limits; they are those of `capabilities.FT232H_SLAVE`, and none was measured on a chip.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from cmis_emu.bus.bits.machine import ByteMachine
from cmis_emu.bus.capabilities import FT232H_SLAVE, Request, admit
from cmis_emu.bus.ftdi.chip import FtdiChip, command_ns
from cmis_emu.bus.ftdi.chip import address as read_address
from cmis_emu.bus.ftdi.follower import Follower
from cmis_emu.bus.held import HeldTarget
from cmis_emu.bus.ways import Served
from cmis_emu.clock import NS_PER_MS, ScaledClock

SILENCE_NS = 30 * NS_PER_MS
"""A transfer that stands still for so long, with SCL released, is over: its STOP was not seen."""

_LOG = logging.getLogger(__name__)
_FIELD = "--serve"
_OPTIONS = {"experimental": "yes", "bus": "1", "address": "0x50", "hz": "100000", "command": "100"}
_CLOSE_S = 5.0


class Chip(Protocol):
    """What `FtdiChip` has."""

    def write(self, data: bytes) -> None: ...
    def read(self, size: int) -> bytes: ...
    def restart(self) -> None: ...
    def close(self) -> None: ...


class StreamSlave:
    """Feeds a chip with the streams of a follower. now_ns: monotonic time."""

    def __init__(self, chip: Chip, follower: Follower, now_ns: Callable[[], int]) -> None:
        self.chip = chip
        self.follower = follower
        self.restarts = 0
        self._now_ns = now_ns
        self._pending = b""
        self._heard_ns = now_ns()
        chip.write(follower.begin())

    def step(self) -> None:
        """Take what the chip has to say, if anything, and answer it."""
        follower = self.follower
        size = follower.early or follower.expected
        found = self.chip.read(size - len(self._pending))
        if found:
            self._heard_ns = self._now_ns()
            self._pending += found
        if len(self._pending) >= size:
            data, self._pending = self._pending[:size], self._pending[size:]
            stream = follower.answer(data)
            if stream:
                self.chip.write(stream)
        elif not follower.waiting and self._now_ns() - self._heard_ns > SILENCE_NS:
            self.restart()

    def restart(self) -> None:
        """Break off what is under way, and wait for the next START."""
        self.restarts += 1
        self.chip.restart()
        self._pending = b""
        self._heard_ns = self._now_ns()
        self.chip.write(self.follower.begin())


class Ft232hWay:
    """A chip that serves one target until `close`."""

    def __init__(self, name: str, slave: StreamSlave, lines: list[str]) -> None:
        self._slave = slave
        self._lines = lines
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"cmis-emu {name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the lines and of the chip. Harmless when called again."""
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def describe(self) -> list[str]:
        """How it is wired, and its limits."""
        return self._lines

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._slave.step()
        except Exception:
            _LOG.exception("the FT232H has failed; its bus has no module any more")
        finally:
            try:
                self._slave.follower.machine.abort()
                self._slave.chip.close()
            except Exception:
                _LOG.exception("the FT232H could not be closed; it may hold SCL low: unplug it")


def serve(address: str, served: Served) -> Ft232hWay:
    """The way `ft232h:ftdi://ftdi:232h/1?experimental=yes&bus=1`. Raises InputError, NotAvailableError."""
    url, options = read_address(address, _OPTIONS, _FIELD)
    hz = options.number("hz", 100_000, 10_000, 1_000_000)
    warnings = admit(FT232H_SLAVE, Request(hz=hz, experimental=options.flag("experimental")))
    bus, at = options.place(served)
    told_ns = options.number("command", 0, 0, 100_000)
    target = HeldTarget(served, bus, at)
    clock = ScaledClock()
    chip = FtdiChip(url)
    try:
        cost_ns = told_ns or command_ns(chip, lambda: clock.now_ns)
        follower = Follower(ByteMachine(at, target), hz, cost_ns)
        slave = StreamSlave(chip, follower, lambda: clock.now_ns)
    except BaseException:
        chip.close()
        raise
    return Ft232hWay(
        f"ft232h {bus}",
        slave,
        [
            f"bus {bus} at {at:#x} by {url}: SCL on AD0 and AD5, SDA on AD1 and AD2, ground; 3.3 V, pull-ups",
            *(f"warning: {each}" for each in warnings),
            f"warning: ft232h: told {hz / 1e3:g} kHz; hosts from 0.7 to 1.2 times that were followed in simulation",
            "warning: ft232h: stretches every transfer on its bus, whoever is addressed: one module on a bus",
            "warning: ft232h: when this process is killed, SCL may stay low until the chip is unplugged",
            "warning: ft232h: checked in simulation only, on no chip",
        ],
    )
