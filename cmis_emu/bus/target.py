"""One I2C target at byte-event level: start, write byte, peek, commit, end.

Every way onto a bus (virtual, socket, USB/IP, wires, a microcontroller) drives this one engine by the calls of
`contract.ByteTarget`, so the rules I2C-01 to I2C-10 live here and nowhere else. A read byte is *peeked* when the
controller asks for it and *committed* when it was really clocked out: the address counter moves, and flags clear, on
commit only. Written bytes are collected and handed over once, at STOP or repeated START.

A read shows its half as it stood at START, and again as it stands each time it rolls over to the half's first
byte: a value of several bytes never tears, however slow the controller and whoever looks at the module
meanwhile. `read` and `write` do whole messages at once; they equal the sequence of byte events (a property
test compares them). While faults are armed on the way to the target or somebody listens (`line.py`), both go
through there, and whole messages are byte events.
"""

from __future__ import annotations

from typing import Protocol

from cmis_emu.bus.line import Line, LineFault
from cmis_emu.bus.tap import Taps
from cmis_emu.clock import Clock

HALF = 128
MODULE_ADDRESS = 0x50  # I2C-01

State = tuple[int, int, bytes, int | None, int, int, bytes]
"""A target at rest or in mid-transaction, as a snapshot keeps it."""


class Device(Protocol):
    """What a target needs from the thing behind it; `module` meets it without importing `bus`.

    `read_limit` is the greatest number of bytes that one read may carry; beyond it the bus reads FFh.
    """

    read_limit: int

    def answers(self) -> bool:
        """True when an access would be acknowledged now: present, selected, managed, not holding off."""
        ...

    def mapped(self) -> tuple[int, int]:
        """Page and bank that the upper half shows."""
        ...

    def latch(self, address: int) -> None:
        """A read starts at `address`: bring time and live bytes up to date, once for the transaction."""
        ...

    def read(self, address: int, length: int) -> bytes:
        """Bytes from `address`, rolling over inside the 128-byte half; no side effects."""
        ...

    def clocked_out(self, address: int, data: bytes) -> None:
        """These bytes left the module."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """One write transaction, complete."""
        ...

    def clock_out(self, address: int, length: int) -> bytes | None:
        """A whole read: `answers`, `latch`, `read` and `clocked_out` in one go; None for a NACK."""
        ...

    def write_limit(self, address: int) -> int:
        """Greatest number of data bytes that one write starting at `address` may carry."""
        ...


class Target:
    """The protocol engine in front of one device. `device` is None while nothing is plugged in.

    Races: a START while a write is open completes that write first, as a repeated START does. Events after
    a NACK and before the next START are ignored, and peek answers FFh, the level of an undriven bus.
    """

    __slots__ = ("_buffer", "_count", "_limit", "_line", "_mode", "_origin", "_view", "device", "line", "pointer")

    IDLE, WRITING, READING = range(3)

    def __init__(self, device: Device | None = None, clock: Clock | None = None) -> None:
        """`clock`: of the time that passes in transfers; without it none does."""
        self.device = device
        self.pointer = 0  # I2C-03
        self._mode = Target.IDLE
        self._buffer = bytearray()
        self._origin: int | None = None
        self._limit = 0
        self._count = 0
        self._view = b""  # the half that is being read
        self.line = Line(self, clock or Clock(), self._line_changed)
        self._line: Line | None = None  # while it is in use

    # -- faults and observers ------------------------------------------------------------------------

    @property
    def taps(self) -> Taps:
        """Who is told of every message once it is over."""
        return self.line.taps

    def arm(self, fault: LineFault) -> None:
        """Put a fault on the way to the device, behind those that are there."""
        self.line.add(fault)

    def disarm(self, fault: LineFault) -> None:
        """Clear a fault; harmless for one that is not armed."""
        self.line.remove(fault)

    def bear(self, limit_ns: int) -> None:
        """How long the adapter bears a stretched clock from now on."""
        self.line.limit_ns = limit_ns

    def write_past(self, data: bytes) -> int | None:
        """`write` of a healthy line."""
        self._line = None
        try:
            return self.write(data)
        finally:
            self._line_changed()

    def read_past(self, length: int) -> bytes | None:
        """`read` of a healthy line."""
        self._line = None
        try:
            return self.read(length)
        finally:
            self._line_changed()

    def _line_changed(self) -> None:
        self._line = self.line if self.line.in_use else None

    # -- byte events -----------------------------------------------------------------------------
    # Each may raise BusError where a fault makes the adapter give up; the transaction is over then.

    def start(self, *, read: bool) -> bool:
        """START or repeated START with the address byte. Returns the acknowledge bit."""
        return self.open(read=read) if self._line is None else self._line.start(read=read)

    def write_byte(self, value: int) -> bool:
        """One byte from the controller. The first sets the address. Returns the acknowledge bit."""
        return self.take(value) if self._line is None else self._line.write_byte(value)

    def peek(self) -> int:
        """The byte that a read would clock out next; asking twice changes nothing."""
        return self.show() if self._line is None else self._line.peek()

    def commit(self) -> None:
        """The peeked byte was clocked out: clear what it clears, move on."""
        if self._line is None:
            self.move()
        else:
            self._line.commit()

    def end(self) -> None:
        """STOP."""
        if self._line is None:
            self.close()
        else:
            self._line.end()

    def abort(self) -> None:
        """The transaction broke off: what was written is forgotten."""
        if self._line is None:
            self.drop()
        else:
            self._line.abort()

    # -- the same, behind the line -----------------------------------------------------------------

    def open(self, *, read: bool) -> bool:
        """`start` of a healthy line."""
        self.close()
        device = self.device
        if device is None or not device.answers():
            return False
        if read:
            self._mode = Target.READING
            self._count = 0
            device.latch(self.pointer)
            self._view = device.read(self.pointer & HALF, HALF)
        else:
            self._mode = Target.WRITING
            self._origin = None
        return True

    def take(self, value: int) -> bool:
        """`write_byte` of a healthy line."""
        if self._mode != Target.WRITING or self.device is None:
            return False
        if self._origin is None:
            self._origin = self.pointer = value
            self._limit = self.device.write_limit(value)
            return True
        if len(self._buffer) >= self._limit:
            return False  # I2C-06: the excess is refused and dropped
        self._buffer.append(value)
        self.pointer = _on(self.pointer, 1)
        return True

    def show(self) -> int:
        """`peek` of a healthy line."""
        if self._mode != Target.READING or self.device is None or self._count >= self.device.read_limit:
            return 0xFF
        return self._view[self.pointer & 127]

    def move(self) -> None:
        """`commit` of a healthy line."""
        if self._mode != Target.READING or self.device is None:
            return
        if self._count < self.device.read_limit:
            at = self.pointer & 127
            self.device.clocked_out(self.pointer, self._view[at : at + 1])
            self.pointer = _on(self.pointer, 1)
            if at == HALF - 1:
                self._view = self.device.read(self.pointer, HALF)
        self._count += 1

    def close(self) -> None:
        """`end` of a healthy line: what was written reaches the device."""
        if self._mode == Target.WRITING and self._buffer and self._origin is not None and self.device is not None:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._mode = Target.IDLE
            self.device.write(self._origin, data)
            return
        self.drop()

    def drop(self) -> None:
        """The transaction ends, and what was written is forgotten."""
        self._buffer.clear()
        self._mode = Target.IDLE

    # -- what happens to it ------------------------------------------------------------------------

    def reset(self) -> None:
        """The device was reset: an open transaction is dead, and the address counter is 0 again (I2C-03)."""
        self._mode = Target.IDLE
        self._buffer.clear()
        self._origin = None
        self.pointer = 0
        if self._line is not None:
            self._line.broken()

    def unplugged(self) -> None:
        """The device went away: nothing of an open transaction reaches it."""
        self.device = None
        self.reset()

    def state(self) -> State:
        """What a snapshot keeps: where a transaction stands."""
        return self.pointer, self._mode, bytes(self._buffer), self._origin, self._limit, self._count, self._view

    def restore(self, device: Device | None, state: State) -> None:
        """Go back to a kept state, in front of `device`."""
        self.device = device
        self.pointer, self._mode, buffer, self._origin, self._limit, self._count, self._view = state
        self._buffer = bytearray(buffer)

    # -- whole messages --------------------------------------------------------------------------

    def write(self, data: bytes) -> int | None:
        """START, address for writing, `data`, end of message.

        Returns how many bytes were acknowledged, or None when the address byte was not. Raises BusError.
        """
        if self._line is not None:
            return self._line.write(data)
        device = self.device
        if self._mode != Target.IDLE:
            self.close()
        if device is None or not device.answers():
            return None
        if len(data) <= 1:  # only asked whether it is there, or where a read begins
            if data:
                self.pointer = data[0]
            return len(data)
        origin = data[0]
        limit = device.write_limit(origin)
        body = data[1 : 1 + limit]
        self.pointer = _on(origin, len(body))
        if body:
            device.write(origin, body)
        return 1 + len(body) if len(data) - 1 > limit else len(data)

    def read(self, length: int) -> bytes | None:
        """START, address for reading, `length` bytes clocked out. None when the address was not acknowledged.

        Raises BusError.
        """
        if self._line is not None:
            return self._line.read(length)
        device = self.device
        if self._mode:
            self.close()
        if device is None:
            return None
        pointer = self.pointer
        if length > HALF - (pointer & 127) or length > device.read_limit:
            return self._read_in_pieces(device, length)
        data = device.clock_out(pointer, length)
        if data is not None:
            self.pointer = (pointer & HALF) | ((pointer + length) & 127)
        return data

    def _read_in_pieces(self, device: Device, length: int) -> bytes | None:
        # Past the end of the half, where the first bytes come round again, already cleared; or more than the
        # module drives.
        if not device.answers():
            return None
        device.latch(self.pointer)
        driven = min(length, device.read_limit)
        found = bytearray()
        while len(found) < driven:
            at = self.pointer
            data = device.read(at, min(driven - len(found), HALF - (at & 127)))
            device.clocked_out(at, data)
            self.pointer = _on(at, len(data))
            found += data
        return bytes(found).ljust(length, b"\xff")


def _on(address: int, count: int) -> int:
    """The address counter after `count` bytes: roll-over inside the half (I2C-04)."""
    return (address & HALF) | ((address + count) & 127)
