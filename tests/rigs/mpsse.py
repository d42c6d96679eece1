"""The command engine of an FT232H (MPSSE) on simulated wires: what each command does to the pins, and when.

Owns the commands that I2C over such a chip uses, from FTDI's AN_108 as far as it is recalled and from what host
libraries send. Where a command takes time of its own, that time is an assumption (`command_ns`). Pins are numbered
as on the chip, AD0 to AD7; AD0 clocks, AD1 sends, AD2 receives, AD5 is waited for, AD7 is the returned clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping

from cmis_emu.bus.bits.process import Process, Steps, Until
from cmis_emu.bus.bits.wires import Wire, Wires
from cmis_emu.clock import NS_PER_S

CLOCK, SEND, RECEIVE, WAIT_PIN, RETURNED = 0, 1, 2, 5, 7
BAD_COMMAND = 0xFA
_BASE_HZ = 60_000_000


class Mpsse:
    """The engine. `pins` says which wire each pin is tied to; several may be on one.

    command_ns: how long setting or reading pins takes. wait_ns: how long a command that waits for a level takes once
    the level is there. on_flush: called where the chip sends what it has to the host.
    """

    def __init__(
        self,
        wires: Wires,
        pins: Mapping[int, Wire],
        name: str = "host",
        *,
        command_ns: int | Callable[[], int] = 500,
        wait_ns: int | Callable[[], int] = 0,
    ) -> None:
        self.wires = wires
        self.pins = dict(pins)
        self.drivers = {pin: wire.driver(name) for pin, wire in self.pins.items()}
        self.command_ns = command_ns if callable(command_ns) else lambda: command_ns
        self.wait_ns = wait_ns if callable(wait_ns) else lambda: wait_ns
        self.input: deque[int] = deque()
        self.output = bytearray()
        """Ready for the host."""
        self.flushed = False
        self.on_flush: Callable[[], None] | None = None
        self.on_high: Callable[[], None] = lambda: None
        """Called when AC0 to AC7 were set: `levels[1]`, `directions[1]`."""
        self.high_pins: Callable[[], int] = lambda: 0xFF
        """The levels of AC0 to AC7."""
        self.running: int | None = None
        """The command under way, if any: an engine that hangs says here in what."""
        self.levels = [0xFF, 0xFF]  # low and high byte of pins
        self.directions = [0, 0]
        self.zero_only = [0, 0]  # pins that drive low and never high
        self.adaptive = False
        self.three_phase = False
        self.loopback = False
        self.fights = 0
        """How often a pin drove high, with force, what somebody else pulled low."""
        self._divisor = 0
        self._by_five = True
        self._fed = False
        self._process: Process[None] | None = None
        self._resets = 0

    # -- the host's side -------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Commands from the host; the engine goes on with them as simulated time passes."""
        self.input.extend(data)
        if self._process is None or self._process.done:
            if self._process is not None:
                _ = self._process.result  # it ends by itself when there is nothing to do, or with an error
            self._process = Process(self.wires.clock, self._work())

    @property
    def busy(self) -> bool:
        """Has it commands left, or one under way? Raises what went wrong in it."""
        if self._process is None:
            return False
        if self._process.done:
            _ = self._process.result
            return bool(self.input)
        return True

    def take(self, most: int) -> bytes:
        """What it has for the host."""
        found = bytes(self.output[:most])
        del self.output[:most]
        if not self.output:
            self.flushed = False
        return found

    def reset(self) -> None:
        """Out of the mode: every pin is an input."""
        self.input.clear()
        self.output.clear()
        self.flushed = False
        self._resets += 1  # a command that waits is over, too
        self._process = None
        self.directions = [0, 0]
        self._apply()

    # -- commands --------------------------------------------------------------------------------------

    @property
    def half_ns(self) -> int:
        """Half a period of its clock."""
        base = _BASE_HZ // 5 if self._by_five else _BASE_HZ
        return -(-NS_PER_S * (1 + self._divisor) // base)  # rounded up, so as not to be faster than the chip

    def _work(self) -> Steps[None]:
        mine = self._resets
        while self.input:
            opcode = self.input.popleft()
            self.running = opcode
            yield from self._command(opcode)
            if mine != self._resets:
                return
            self.running = None

    def _argument(self) -> Generator[int, bool, int]:
        while not self.input:
            yield 1000  # the host has sent half a command; the rest is on its way
        return self.input.popleft()

    def _word(self) -> Generator[int, bool, int]:
        low = yield from self._argument()
        return low | (yield from self._argument()) << 8

    def _command(self, opcode: int) -> Steps[None]:
        if opcode in (0x80, 0x82):
            half = opcode >> 1 & 1
            self.levels[half] = yield from self._argument()
            self.directions[half] = yield from self._argument()
            self._apply()
            if half:
                self.on_high()
            yield self.command_ns()
        elif opcode in (0x81, 0x83):
            self.output.append(self._read_pins() if opcode == 0x81 else self.high_pins())
            yield self.command_ns()
        elif opcode in (0x10, 0x11, 0x20, 0x24, 0x31, 0x34):
            count = 1 + (yield from self._word())
            for _ in range(count):
                sent = (yield from self._argument()) if opcode & 0x10 else None
                found = yield from self._shift(8, sent, falling=bool(opcode & 0x04))
                if opcode & 0x20:
                    self.output.append(found)
        elif opcode in (0x12, 0x13, 0x22, 0x26, 0x33, 0x36):
            count = 1 + (yield from self._argument())
            sent = (yield from self._argument()) if opcode & 0x10 else None
            found = yield from self._shift(count, sent, falling=bool(opcode & 0x04))
            if opcode & 0x20:
                self.output.append(found)
        elif opcode in (0x84, 0x85):
            self.loopback = opcode == 0x84
        elif opcode == 0x86:
            self._divisor = yield from self._word()
        elif opcode == 0x87:
            self.flushed = bool(self.output)
            if self.flushed and self.on_flush is not None:
                self.on_flush()
        elif opcode in (0x88, 0x89):
            yield Until(self.pins[WAIT_PIN], opcode == 0x88)
            yield self.wait_ns()
        elif opcode in (0x8A, 0x8B):
            self._by_five = opcode == 0x8B
        elif opcode in (0x8C, 0x8D):
            self.three_phase = opcode == 0x8C
        elif opcode == 0x8E:
            yield from self._shift(1 + (yield from self._argument()), None, falling=False)
        elif opcode == 0x8F:
            yield from self._shift(8 * (1 + (yield from self._word())), None, falling=False)
        elif opcode in (0x94, 0x95):
            while self.pins[WAIT_PIN].level is not (opcode == 0x94):
                yield from self._shift(1, None, falling=False)
        elif opcode in (0x96, 0x97):
            self.adaptive = opcode == 0x96
        elif opcode in (0x9C, 0x9D):
            for _ in range(8 * (1 + (yield from self._word()))):
                if self.pins[WAIT_PIN].level is (opcode == 0x9C):
                    break
                yield from self._shift(1, None, falling=False)
        elif opcode == 0x9E:
            self.zero_only = [(yield from self._argument()), (yield from self._argument())]
            self._apply()
        else:
            self.output += bytes([BAD_COMMAND, opcode])
            self.flushed = True

    def _shift(self, count: int, sent: int | None, *, falling: bool) -> Steps[int]:
        """`count` clocks, most significant bit first; the bits that came in, sampled as SCL rises or `falling`."""
        found = 0
        half = self.half_ns
        for at in range(count):
            if sent is not None:
                self._set(SEND, bool(sent >> (7 - at) & 1))
            yield half
            yield from self._clock(True)
            bit = self._received()
            yield half
            if falling:
                bit = self._received()
            yield from self._clock(False)
            if self.three_phase:
                yield half
            found = (found << 1 | bit) & 0xFF
        return found

    def _clock(self, level: bool) -> Steps[None]:
        self._set(CLOCK, level)
        if self.adaptive and RETURNED in self.pins:
            yield Until(self.pins[RETURNED], level)

    def _received(self) -> bool:
        return self.pins[SEND if self.loopback else RECEIVE].level

    # -- pins ------------------------------------------------------------------------------------------

    def _set(self, pin: int, level: bool) -> None:
        mask = 1 << pin
        self.levels[0] = self.levels[0] | mask if level else self.levels[0] & ~mask
        self._apply()

    def _apply(self) -> None:
        for pin, driver in self.drivers.items():
            half, mask = pin >> 3, 1 << (pin & 7)
            output = self.directions[half] & mask
            low = bool(output) and not self.levels[half] & mask
            driver.pull(low)
            if output and not low and not self.zero_only[half] & mask and not self.pins[pin].level:
                self.fights += 1

    def _read_pins(self) -> int:
        return sum((self.pins[pin].level if pin in self.pins else True) << pin for pin in range(8))
