"""From clock edges to byte events: the part of an I2C slave that knows no time and no wires.

Owns the bit counter and what the slave drives on SDA. Whoever sees the edges (the bit-level slave, a host that reads
pins over USB) calls `start`, `stop`, `rise` and `fall`, and drives `low`. START and STOP are obeyed wherever they
come, as I2C demands: bytes that were whole count, a torn one does not.
"""

from __future__ import annotations

from enum import Enum

from cmis_emu.bus.contract import ByteTarget
from cmis_emu.bus.errors import BusError


class Mode(Enum):
    """What the bits of the byte under way are."""

    IDLE = "idle"
    """Nobody's: nothing before the next START concerns this slave."""
    ADDRESS = "address"
    WRITE = "write"
    READ = "read"


class Pause(Enum):
    """Where a slave may hold the clock: the byte is in and no answer yet, or the next byte is wanted."""

    ACK = "ack"
    DATA = "data"


class ByteMachine:
    """The state machine in front of `target` at a 7-bit `address`. `low`: it pulls SDA."""

    __slots__ = ("_count", "_open", "_shift", "_shown", "address", "low", "mode", "number", "pause", "target", "torn")

    def __init__(self, address: int, target: ByteTarget) -> None:
        self.address = address
        self.target = target
        self.mode = Mode.IDLE
        self.low = False
        self.pause: Pause | None = None
        """Where the last falling edge has brought it: a place to hold the clock."""
        self.number = 0
        """Of the byte under way in its message, from 0, which is the address."""
        self.torn = 0
        """How many bytes a START, a STOP or an abort has cut so far, of messages for this slave."""
        self._count = 0  # rising edges since the byte began
        self._shift = 0  # what came in
        self._shown = 0xFF  # what goes out
        self._open = False  # the target has acknowledged its address and heard no end

    # Bits are counted when SCL rises. The first one of a byte may yet turn out to be a START or a STOP, which begins
    # like it, so that a count of 1 is still between bytes.

    def start(self) -> None:
        """SDA fell while SCL was high."""
        self._over()
        self.mode = Mode.ADDRESS

    def stop(self) -> None:
        """SDA rose while SCL was high."""
        self._over()

    def abort(self) -> None:
        """The transaction broke off: let go of SDA, and forget what was written."""
        if self._open:
            self._open = False
            self.torn += self._count > 1
            self.target.abort()
        self._idle()

    def rise(self, sda: bool) -> None:
        """SCL rose; `sda` is the level of SDA."""
        mode = self.mode
        if mode is Mode.IDLE:
            return
        self._count += 1
        if self._count <= 8:
            self._shift = self._shift << 1 | sda
        elif mode is Mode.READ and self.number:
            self._clocked_out(more=not sda)

    def fall(self) -> None:
        """SCL fell. Afterwards `low` and `pause` are up to date."""
        self.pause = None
        mode = self.mode
        if mode is Mode.IDLE:
            self.low = False
            return
        count = self._count
        if count == 8:
            if mode is Mode.READ:
                self.low = False  # the controller's turn
            else:
                self._answer()
        elif count == 9:
            self._count = 0
            self.number += 1
            if mode is Mode.READ:
                self._shown = self.target.peek()
                self.low = not self._shown & 0x80
                self.pause = Pause.DATA
            else:
                self._shift = 0
                self.low = False
        elif count and mode is Mode.READ:
            self.low = not self._shown << count & 0x80

    def _answer(self) -> None:
        """A byte is in: take it or not."""
        value = self._shift
        if self.mode is Mode.ADDRESS:
            if value >> 1 != self.address:
                self._idle()
                return
            read = bool(value & 1)
            try:
                self._open = self.target.start(read=read)
            except BusError:
                self._open = False
            taken = self._open
            if taken:
                self.mode = Mode.READ if read else Mode.WRITE
        else:
            try:
                taken = self.target.write_byte(value)
            except BusError:
                self._open = taken = False
        self.pause = Pause.ACK
        self.low = taken
        if not taken:
            self.mode = Mode.IDLE
            self._count = 0

    def _clocked_out(self, *, more: bool) -> None:
        try:
            self.target.commit()
        except BusError:
            self._open = more = False
        if not more:
            self.mode = Mode.IDLE
            self._count = 0

    def _over(self) -> None:
        if self._open:
            self._open = False
            self.torn += self._count > 1
            self.target.end()
        self._idle()

    def _idle(self) -> None:
        self.mode = Mode.IDLE
        self.low = False
        self._count = 0
        self._shift = 0
        self.number = 0
