"""Faults between a bus and a target that end or delay a message: refusals, a held clock, silence, a pulled module.

Owns what each does to a message, and which messages a fault is about; `line.py` owns when it is asked, and
`byte_faults.py` has those that change bytes. A fault says by a `Match` which messages or bytes
it is about and by `Occasions` which of those it takes. A read is refused where it begins, since a controller
acknowledges what follows; a write is refused at the byte in question, and then nothing of it counts (I2C-10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.line import Line, LineFault, Message
from cmis_emu.clock import NEVER
from cmis_emu.occasions import Occasions
from cmis_emu.registers.place import Place

HALF = 128


class Direction(Enum):
    """Which messages."""

    READ = "read"
    WRITE = "write"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Match:
    """Which messages, or bytes of them, a fault is about.

    place: where a read begins, or the byte that is written. unchanged: only a write of the value that is there.
    value: only a write of this value. from_ns, until_ns: only then.
    """

    direction: Direction = Direction.ANY
    place: Place | None = None
    unchanged: bool = False
    value: int | None = None
    from_ns: int = 0
    until_ns: int = NEVER

    def begins(self, line: Line) -> bool:
        """Is it about the message that begins, as far as its START tells?"""
        message = line.message
        assert message is not None
        if not self._now(line) or not self._way(read=message.read):
            return False
        if message.read:
            return not self.unchanged and self.value is None and self._at(message, message.address)
        return not self.picks_bytes

    @property
    def picks_bytes(self) -> bool:
        """Does a write tell only by its bytes whether it is meant?"""
        return self.place is not None or self.unchanged or self.value is not None

    def shows(self, line: Line, address: int) -> bool:
        """Is it about this byte of the read under way?"""
        message = line.message
        assert message is not None
        return self._way(read=True) and self._now(line) and self._at(message, address)

    def takes(self, line: Line, address: int, value: int) -> bool:
        """Is it about this byte of the write under way?"""
        message = line.message
        assert message is not None
        return (
            self._way(read=False)
            and self._now(line)
            and self._at(message, address)
            and (self.value is None or value == self.value)
            and (not self.unchanged or value == line.stored(address))
        )

    def _way(self, *, read: bool) -> bool:
        return self.direction is Direction.ANY or (self.direction is Direction.READ) is read

    def _now(self, line: Line) -> bool:
        return self.from_ns <= line.clock.now_ns < self.until_ns

    def _at(self, message: Message, address: int) -> bool:
        return self.place is None or self.place.covers(*message.place_of(address), address)


class OncePerMessage(LineFault):
    """A fault whose occasion is a message: asked at its START, or at the first byte of a write that it is about."""

    def __init__(self, match: Match, occasions: Occasions) -> None:
        self.match = match
        self.occasions = occasions
        self._asked: Message | None = None

    def strikes_start(self, line: Line) -> bool:
        """Does it strike at the START of this message?"""
        return self.match.begins(line) and self.occasions.take()

    def strikes_written(self, line: Line, address: int, value: int) -> bool:
        """Does it strike at this byte of this write?"""
        if not self.match.picks_bytes or self._asked is line.message or not self.match.takes(line, address, value):
            return False
        self._asked = line.message
        return self.occasions.take()


class Nack(OncePerMessage):
    """The module does not acknowledge. error: what the adapter calls it, when not ENXIO or EIO."""

    def __init__(self, match: Match, occasions: Occasions, error: int | None = None) -> None:
        super().__init__(match, occasions)
        self._error = error

    def addressed(self, line: Line) -> bool:
        if not self.strikes_start(line):
            return True
        if self._error is not None:
            raise BusError(self._error)
        return False

    def written(self, line: Line, address: int, value: int) -> int | None:
        if not self.strikes_written(line, address, value):
            return value
        if self._error is not None:
            raise BusError(self._error)
        return None


class AdapterError(OncePerMessage):
    """The adapter fails, whether there is a module or not. after_ns: so long it tries."""

    def __init__(self, match: Match, occasions: Occasions, error: int, after_ns: int = 0) -> None:
        super().__init__(match, occasions)
        self._error = error
        self._after_ns = after_ns

    def adapter(self, line: Line) -> None:
        if self.strikes_start(line):
            self._fail(line)

    def written(self, line: Line, address: int, value: int) -> int | None:
        if self.strikes_written(line, address, value):
            self._fail(line)
        return value

    def _fail(self, line: Line) -> None:
        if self._after_ns:
            line.hold(self._after_ns, lambda: self not in line.faults)
        raise BusError(self._error)


class Stretch(OncePerMessage):
    """The module holds the clock for `duration_ns`; NEVER: until it is reset or pulled out.

    With a place, at the first byte of a message that is there; else after the address. limit_ns: how long the
    adapter bears it, where that is not the line's own limit.
    """

    def __init__(self, match: Match, occasions: Occasions, duration_ns: int, limit_ns: int | None = None) -> None:
        super().__init__(match, occasions)
        self._duration_ns = duration_ns
        self._limit_ns = limit_ns
        self._holding = False

    def adapter(self, line: Line) -> None:
        if self._holding:
            line.stretch(self, NEVER, self._limit_ns)

    def addressed(self, line: Line) -> bool:
        if self.match.place is None and self.strikes_start(line):
            self._hold(line)
        return True

    def written(self, line: Line, address: int, value: int) -> int | None:
        if self.strikes_written(line, address, value):
            self._hold(line)
        return value

    def clocked(self, line: Line, address: int) -> None:
        if self.match.place is None or self._asked is line.message or not self.match.shows(line, address):
            return
        self._asked = line.message
        if self.occasions.take():
            self._hold(line)

    def reset(self) -> None:
        self._holding = False

    def _hold(self, line: Line) -> None:
        self._holding = self._duration_ns >= NEVER
        line.stretch(self, self._duration_ns, self._limit_ns)


class DeadUntil(LineFault):
    """Every access is refused for `duration_ns` after a moment: what `since` tells, or the last triggering write.

    since: that moment in ns, None before it comes. trigger, value: a write there (of these bytes) is that moment.
    """

    def __init__(
        self,
        duration_ns: int,
        since: Callable[[], int | None] | None = None,
        trigger: Place | None = None,
        value: bytes | None = None,
    ) -> None:
        self._duration_ns = duration_ns
        self._since = since
        self._trigger = trigger
        self._value = value
        self._written_ns: int | None = None

    def addressed(self, line: Line) -> bool:
        began = self._written_ns if self._since is None else self._since()
        return began is None or line.clock.now_ns >= began + self._duration_ns

    def writing(self, line: Line, message: Message) -> None:
        if self._trigger is None:
            return
        page, bank = message.place_of(message.address)
        if not self._trigger.on(page, bank):
            return
        base = message.address & HALF
        written = {base | (message.address + step) & 127: value for step, value in enumerate(message.data)}
        wanted = range(self._trigger.first, self._trigger.last + 1)
        if self._value is None:
            hit = any(at in written for at in wanted)
        else:
            hit = all(written.get(at) == value for at, value in zip(wanted, self._value, strict=False))
        if hit:
            self._written_ns = line.clock.now_ns


class Unplug(OncePerMessage):
    """The module is pulled out in the middle of a message, after `after` bytes of it.

    bus_low: it takes the supply of the pull-ups with it, so that the clock stays low until something is plugged
    in, and the adapter gives up (ETIMEDOUT).
    """

    def __init__(
        self, match: Match, occasions: Occasions, after: int, pull: Callable[[], None], *, bus_low: bool = False
    ) -> None:
        super().__init__(match, occasions)
        self._after = after
        self._pull = pull
        self._bus_low = bus_low
        self._chosen: Message | None = None
        self._low = False

    def adapter(self, line: Line) -> None:
        if self._low:
            self._stay_low(line)

    def addressed(self, line: Line) -> bool:
        if self.strikes_start(line):
            self._chosen = line.message
            self._strike(line, 0)
        return True

    def written(self, line: Line, address: int, value: int) -> int | None:
        message = line.message
        assert message is not None
        if self.strikes_written(line, address, value):
            self._chosen = message
        self._strike(line, len(message.data))
        return value

    def clocked(self, line: Line, address: int) -> None:
        message = line.message
        assert message is not None
        self._strike(line, len(message.data) + 1)

    def _strike(self, line: Line, done: int) -> None:
        if self._chosen is None or line.message is not self._chosen or done < self._after:
            return
        self._chosen = None
        self._pull()
        if self._bus_low:
            self._low = True
            self._stay_low(line)

    def _stay_low(self, line: Line) -> None:
        if not line.stretch(self, NEVER, let_go=lambda: line.present):
            self._low = False
