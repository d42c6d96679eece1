"""What lies between a bus and a target when there is something: faults, and observers of what went over.

Owns the order in which faults of the line are asked, the record of the message under way, and clock stretching
against the adapter's limit. A target passes its byte events through here while anything is armed or listens, and
whole messages become byte events then, so that both ways meet the same faults. What a fault is, it says itself
(`LineFault`); the ones that there are live in `faults.py`.

The module behind knows nothing of it: bytes that a fault changes, cuts off or replaces were clocked out of the
module as they are, and clear what they clear.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from cmis_emu.bus.contract import UNDRIVEN, read_bytes, write_bytes
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.tap import HALF, Taps, Transaction
from cmis_emu.clock import NEVER, NS_PER_S, Clock
from cmis_emu.registers.field import LOWER

if TYPE_CHECKING:
    from cmis_emu.bus.target import Target

ADAPTER_LIMIT_NS = NS_PER_S
"""How long a Linux adapter waits for a transfer unless its driver says otherwise."""


class Message:
    """The message under way. `dead`: the device went away or was reset in the middle of it."""

    __slots__ = ("address", "bank", "began_ns", "data", "dead", "error", "page", "pointed", "read", "stretched_ns")

    def __init__(self, began_ns: int, read: bool, address: int, page: int, bank: int) -> None:
        self.began_ns = began_ns
        self.read = read
        self.address = address  # of its first byte, so far as it is known
        self.page = page  # that is mapped
        self.bank = bank
        self.pointed = False  # a write whose address byte was taken
        self.data = bytearray()  # that was acknowledged, or clocked out
        self.stretched_ns = 0
        self.dead = False
        self.error: int | None = None

    def place_of(self, address: int) -> tuple[int, int]:
        """Page and bank of a register address."""
        return (self.page, self.bank) if address & HALF else (LOWER, 0)


class LineFault:
    """One fault of the line; every question has the answer of a healthy one.

    They are asked in the order of a transfer. Each may raise BusError where the adapter gives up, and may let
    time pass by `Line.stretch`.
    """

    def adapter(self, line: Line) -> None:
        """A message is to begin; whether there is a module nobody knows yet."""

    def addressed(self, line: Line) -> bool:
        """A module that answers is addressed. False makes it a NACK."""
        return True

    def written(self, line: Line, address: int, value: int) -> int | None:
        """A data byte of a write: what the module takes for it, None for a NACK, which voids the write."""
        return value

    def writing(self, line: Line, message: Message) -> None:
        """A write is complete; the module gets it right after."""

    def shown(self, line: Line, address: int, value: int) -> int:
        """A byte of a read: what the controller sees for it. May be asked again: counts nothing."""
        return value

    def clocked(self, line: Line, address: int) -> None:
        """That byte is clocked out now: count what is to be counted."""

    def reset(self) -> None:
        """The device was reset or pulled out."""


class Line:
    """The faults and taps of one target. `limit_ns`: how long its adapter bears a stretched clock."""

    __slots__ = ("_byte", "_changed", "_holder", "_target", "clock", "faults", "limit_ns", "message", "taps")

    def __init__(self, target: Target, clock: Clock, changed: Callable[[], None]) -> None:
        """`changed`: called when it begins or ends to be in use."""
        self._target = target
        self._changed = changed
        self._holder: int | None = None  # the thread whose transfer the module holds up
        self._byte: int | None = None  # what the next byte of a read shows, once that was asked
        self.clock = clock
        self.faults: tuple[LineFault, ...] = ()
        self.taps = Taps(changed)
        self.limit_ns = ADAPTER_LIMIT_NS
        self.message: Message | None = None

    @property
    def in_use(self) -> bool:
        """Is there anything to do?"""
        return bool(self.faults) or len(self.taps) > 0 or self._holder is not None

    def add(self, fault: LineFault) -> None:
        """Arm a fault, behind those that are; harmless for one that is armed."""
        if fault not in self.faults:
            self.faults = (*self.faults, fault)
            self._changed()

    def remove(self, fault: LineFault) -> None:
        """Clear a fault; harmless for one that is not armed."""
        self.faults = tuple(each for each in self.faults if each is not fault)
        self._changed()
        self.clock.wake()  # it may hold up a transfer

    # -- what faults use -------------------------------------------------------------------------------

    def stored(self, address: int) -> int:
        """The byte that a read would show at a register address, without freshness or side effects."""
        device = self._target.device
        return UNDRIVEN if device is None else device.read(address, 1)[0]

    @property
    def present(self) -> bool:
        """Is a device plugged in?"""
        return self._target.device is not None

    @property
    def held(self) -> bool:
        """Does something hold the bus in the middle of a transfer right now?"""
        return self._holder is not None

    def hold(self, duration_ns: int, over: Callable[[], bool]) -> None:
        """The bus is held for so long, or until `over`; other transfers on it wait."""
        self._holder = threading.get_ident()
        try:
            self.clock.wait(duration_ns, over)
        finally:
            self._holder = None
            self._changed()

    def stretch(
        self,
        fault: LineFault,
        duration_ns: int,
        limit_ns: int | None = None,
        let_go: Callable[[], bool] | None = None,
    ) -> bool:
        """The clock is held low. False when that ended early: the fault was cleared, or `let_go`.

        let_go: without it, the module was reset or pulled out. Raises BusError(ETIMEDOUT) when it lasts longer
        than the adapter waits within one message.
        """
        message = self.message
        assert message is not None

        def over() -> bool:
            return fault not in self.faults or (message.dead if let_go is None else let_go())

        left = (self.limit_ns if limit_ns is None else limit_ns) - message.stretched_ns
        began = self.clock.now_ns
        self.hold(max(0, min(duration_ns, left)), over)
        message.stretched_ns += self.clock.now_ns - began
        if over():
            return False
        if duration_ns > left:
            raise BusError(errno.ETIMEDOUT)
        return True

    # -- byte events -----------------------------------------------------------------------------------

    def start(self, *, read: bool) -> bool:
        """START with the address byte."""
        self._begin(read=read)
        try:
            for fault in self.faults:
                fault.adapter(self)
            device = self._target.device
            acknowledged = device is not None and device.answers()
            if acknowledged:
                acknowledged = all(fault.addressed(self) for fault in self.faults)
        except BusError as error:
            self._fail(error.errno)
            raise
        if not acknowledged or self._dead() or not self._target.open(read=read):
            self._fail(errno.ENXIO)
            return False
        return True

    def write_byte(self, value: int) -> bool:
        """One byte from the controller."""
        target = self._target
        message = self.message
        if message is None:
            return target.take(value)  # a message that began before there was a line
        if message.read or message.error is not None:
            return False
        if not message.pointed:
            if not self._dead():
                message.pointed = True
                message.address = value
                return target.take(value)
            message.error = errno.EIO
            return False
        taken: int | None = value
        try:
            for fault in self.faults:
                taken = fault.written(self, target.pointer, value if taken is None else taken)
                if taken is None:
                    break
        except BusError as error:
            self._fail(error.errno)
            raise
        if taken is None:
            self._fail(errno.EIO)
            return False
        if self._dead() or not target.take(taken):
            message.error = errno.EIO  # I2C-06: what was taken before stays
            return False
        message.data.append(taken)
        return True

    def peek(self) -> int:
        """The byte that a read would show next."""
        target = self._target
        if self.message is None or self._dead():
            return target.show()
        if self._byte is None:
            value = target.show()
            for fault in self.faults:
                value = fault.shown(self, target.pointer, value)
            self._byte = value
        return self._byte

    def commit(self) -> None:
        """The peeked byte was clocked out."""
        target = self._target
        message = self.message
        if message is None or not message.read:
            target.move()
            return
        value = self.peek()
        if not self._dead():
            try:
                for fault in self.faults:
                    fault.clocked(self, target.pointer)
            except BusError as error:
                self._fail(error.errno)
                raise
        message.data.append(value)
        self._byte = None
        target.move()

    def end(self) -> None:
        """STOP, or what a repeated START ends."""
        target = self._target
        message, self.message = self.message, None
        if message is None:
            target.close()
            return
        self._byte = None
        if message.data and not message.read and not message.dead:
            for fault in self.faults:
                fault.writing(self, message)
        target.close()
        self._tell(message)

    def abort(self) -> None:
        """The transaction broke off: a message under way fails."""
        self._fail(errno.EIO)

    def broken(self) -> None:
        """The device was reset or pulled out: whatever is under way comes to nothing."""
        if self.message is not None:
            self.message.dead = True
            self._byte = None
        for fault in self.faults:
            fault.reset()
        self.clock.wake()

    # -- whole messages --------------------------------------------------------------------------------

    def write(self, data: bytes) -> int | None:
        """A whole write; as `Target.write`."""
        if not self.faults:
            return self._write_plain(data)
        return write_bytes(self, data)

    def read(self, length: int) -> bytes | None:
        """A whole read; as `Target.read`."""
        if not self.faults:
            return self._read_plain(length)
        return read_bytes(self, length)

    def _write_plain(self, data: bytes) -> int | None:
        message = self._begin(read=False)
        self.message = None
        taken = self._target.write_past(data)
        if taken is not None and data:
            message.address = data[0]
            message.data += data[1:taken]
        message.error = errno.ENXIO if taken is None else errno.EIO if taken < len(data) else None
        self._tell(message)
        return taken

    def _read_plain(self, length: int) -> bytes | None:
        message = self._begin(read=True)
        self.message = None
        data = self._target.read_past(length)
        if data is None:
            message.error = errno.ENXIO
        else:
            message.data += data
        self._tell(message)
        return data

    # -- the message under way -------------------------------------------------------------------------

    def _begin(self, *, read: bool) -> Message:
        holder = self._holder
        if holder == threading.get_ident():  # an event, while its own transfer is held up
            raise BusError(errno.EBUSY)
        if holder is not None:
            self.clock.wait(NEVER, lambda: self._holder is None)
        self.end()
        now = self.clock.sync()
        device = self._target.device
        page, bank = (0, 0) if device is None else device.mapped()
        self.message = Message(now, read, self._target.pointer, page, bank)
        return self.message

    def _dead(self) -> bool:
        return self.message is not None and self.message.dead

    def _fail(self, number: int) -> None:
        """The message ends here, and a write comes to nothing."""
        message, self.message = self.message, None
        self._byte = None
        self._target.drop()
        if message is not None:
            message.error = number
            self._tell(message)

    def _tell(self, message: Message) -> None:
        if self.taps:
            page, bank = message.place_of(message.address)
            data = bytes(message.data)
            self.taps.tell(
                Transaction(
                    message.began_ns, self.clock.now_ns, message.read, page, bank, message.address, data, message.error
                )
            )
