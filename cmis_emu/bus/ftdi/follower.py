"""An I2C slave made of command streams: which stream comes next, and what the answer to the last one means.

The engine can wait for a level, set pins and read them, but cannot decide. So SCL is held low wherever a decision is
needed, the answer goes to the host over USB, and the next stream lets go of it:

- idle: wait until SCL falls, hold it. That was a START.
- first bit of a byte: let go, wait until SCL rises, read the pins again and again for one and a half half periods;
  SDA moving meanwhile is a STOP or a repeated START, else it is the bit. Then wait until SCL falls, and hold it.
- the other seven bits: for each, wait until SCL rises, read, wait until it falls; then hold it.
- acknowledge: drive SDA or not for one clock; then hold SCL.
- a byte that is read: eight bits out and the controller's acknowledge in, in one stream; then hold SCL.

So a byte that is written costs three round trips over USB, one that is read costs one. This file knows no USB and no
time: streams out, answers in. A START or STOP between the bits of a byte is not seen, except at the first.
"""

from __future__ import annotations

from enum import Enum

from cmis_emu.bus.bits.limits import Parameter, mode_of
from cmis_emu.bus.bits.machine import ByteMachine, Mode
from cmis_emu.bus.ftdi.commands import PACKET, SET_UP, Command, Pin, drive
from cmis_emu.clock import NS_PER_S
from cmis_emu.errors import NotAvailableError

COMMAND_NS = 100
"""What reading the pins is taken to cost until it was measured on a chip (an estimate)."""

_READ_BIT = bytes([Command.WAIT_HIGH, Command.READ_LOW, Command.WAIT_LOW])
_AROUND = 2  # commands that wait before and after the reads of a window, and take their time as well
_LEAST_READS = 3  # a window that has fewer cannot tell a STOP from a bit


class Stage(Enum):
    """What the stream under way is for."""

    IDLE = "idle"
    FIRST = "first bit"
    REST = "other bits"
    ACKNOWLEDGE = "acknowledge"
    SEND = "byte that is read"


class Follower:
    """Streams for `machine` on a bus of `hz`. Raises NotAvailableError when reading pins costs too much for that.

    command_ns: what reading the pins costs. `expected`: how many bytes answer the stream under way; the first
    `early` of them come at once after the first bit and are to be handed over at once.
    """

    def __init__(self, machine: ByteMachine, hz: int, command_ns: int = COMMAND_NS) -> None:
        self.machine = machine
        window_ns = NS_PER_S // (2 * hz) * 3 // 2
        self.reads = window_ns // command_ns - _AROUND
        if self.reads < _LEAST_READS:
            raise NotAvailableError(
                f"ft232h: found that reading the pins costs {command_ns} ns, "
                f"expected {window_ns // (_LEAST_READS + _AROUND)} ns at most for {hz / 1e3:g} kHz"
            )
        self._settle = -(-mode_of(hz).ns(Parameter.DATA_SET_UP) // command_ns)  # commands from SDA to SCL
        if len(self._first_bit()) > PACKET:
            raise NotAvailableError(
                f"ft232h: found that the pins are read {self.reads} times for one bit at {hz / 1e3:g} kHz and "
                f"{command_ns} ns each, expected no more than fits in {PACKET} bytes; a faster bus does"
            )
        self.stage = Stage.IDLE
        self.expected = 0
        self.early = 0
        self._started = False

    @property
    def waiting(self) -> bool:
        """Between transfers: nothing may come for as long as it likes."""
        return self.stage is Stage.IDLE

    def begin(self) -> bytes:
        """The stream to begin with, on an engine that was reset. A transfer that was under way is broken off."""
        self.machine.abort()
        return SET_UP + self._go(Stage.IDLE, bytes([Command.WAIT_LOW]) + drive(hold=True, low=False) + _ANSWER, 1)

    def answer(self, data: bytes) -> bytes:
        """Take an answer of `expected` bytes (or its `early` ones); the stream that follows, empty for none yet."""
        machine = self.machine
        stage = self.stage
        if self.early:
            self.expected -= self.early
            self.early = 0
            self._window(data)
            return b""
        if stage is Stage.IDLE:
            if not self._started:
                machine.start()
            self._started = False
            machine.fall()
        elif stage is Stage.FIRST:
            machine.fall()
            if not self._started:
                return self._go(Stage.REST, self._other_bits(), 7)
            self._started = False
        elif stage is Stage.REST:
            for levels in data:
                machine.rise(bool(levels & Pin.SDA_IN))
                machine.fall()
            return self._go(Stage.ACKNOWLEDGE, self._acknowledge(machine.low), 1)
        else:
            machine.rise(bool(data[-1] & Pin.SDA_IN))
            machine.fall()
        if machine.mode is Mode.READ:
            return self._go(Stage.SEND, self._byte_out(), 1)
        stream = self._go(Stage.FIRST, self._first_bit(), self.reads + 1)
        self.early = self.reads
        return stream

    def _window(self, data: bytes) -> None:
        """What happened from the rise of SCL on: a bit, a STOP, a START."""
        machine = self.machine
        before = bool(data[0] & Pin.SDA_IN)
        machine.rise(before)
        for levels in data[1:]:
            if not levels & Pin.SCL_IN:
                break
            sda = bool(levels & Pin.SDA_IN)
            if sda and not before:
                machine.stop()
                self.stage = Stage.IDLE  # the rest of the stream waits for the next START
                self._started = False
            elif before and not sda:
                machine.start()
                self._started = True
            before = sda

    # -- streams ---------------------------------------------------------------------------------------

    def _go(self, stage: Stage, stream: bytes, expected: int) -> bytes:
        self.stage = stage
        self.expected = expected
        self.early = 0
        return stream

    def _first_bit(self) -> bytes:
        return (
            self._let_go(False)
            + bytes([Command.WAIT_HIGH, *[Command.READ_LOW] * self.reads, Command.FLUSH, Command.WAIT_LOW])
            + drive(hold=True, low=False)
            + _ANSWER
        )

    def _other_bits(self) -> bytes:
        return self._let_go(False) + _READ_BIT * 7 + drive(hold=True, low=False) + _FLUSH

    def _acknowledge(self, low: bool) -> bytes:
        return self._let_go(low) + _READ_BIT + drive(hold=True, low=low) + _FLUSH

    def _let_go(self, low: bool) -> bytes:
        """SDA as it shall be, then, set-up time later, SCL released."""
        return drive(hold=True, low=low) * self._settle + drive(hold=False, low=low)

    def _byte_out(self) -> bytes:
        """The bits are taken out of the machine now; its byte counts only when the answer is there."""
        machine = self.machine
        stream = b""
        for _ in range(8):
            stream += self._let_go(machine.low) + bytes([Command.WAIT_HIGH, Command.WAIT_LOW])
            machine.rise(True)
            machine.fall()
        return stream + self._acknowledge(False)


_FLUSH = bytes([Command.FLUSH])
_ANSWER = bytes([Command.READ_LOW, Command.FLUSH])
