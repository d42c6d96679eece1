"""Faults between a bus and a target that change what a message carries: short, corrupted and old bytes.

Owns what each makes of a byte; the module behind has clocked out, or takes, what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cmis_emu.bus.faults import HALF, Match, OncePerMessage
from cmis_emu.bus.line import Line, LineFault, Message
from cmis_emu.occasions import Occasions
from cmis_emu.registers.place import Place


class Filler(Enum):
    """What follows where a read breaks off."""

    ZEROS = "zeros"
    ONES = "ones"
    LAST = "last"


class ShortRead(OncePerMessage):
    """A read has only its first `right` bytes right; then comes filler. Its occasion is a read that begins there."""

    def __init__(self, match: Match, occasions: Occasions, right: int, filler: Filler) -> None:
        super().__init__(match, occasions)
        self._right = right
        self._filler = filler
        self._cut: Message | None = None

    def addressed(self, line: Line) -> bool:
        message = line.message
        assert message is not None
        if message.read and self.strikes_start(line):
            self._cut = message
        return True

    def shown(self, line: Line, address: int, value: int) -> int:
        message = line.message
        if message is None or message is not self._cut or len(message.data) < self._right:
            return value
        if self._filler is Filler.LAST:
            return message.data[-1] if message.data else 0xFF
        return 0xFF if self._filler is Filler.ONES else 0


class Corrupt(LineFault):
    """A byte arrives changed. Its occasion is each byte that it is about.

    change: from the byte, and a number between 0 and 1 that belongs to the occasion, to what arrives.
    """

    def __init__(self, match: Match, occasions: Occasions, change: Callable[[int, float], int]) -> None:
        self.match = match
        self.occasions = occasions
        self._change = change

    def shown(self, line: Line, address: int, value: int) -> int:
        if self.match.shows(line, address) and self.occasions.due():
            return self._change(value, self.occasions.chance())
        return value

    def clocked(self, line: Line, address: int) -> None:
        if self.match.shows(line, address):
            self.occasions.take()

    def written(self, line: Line, address: int, value: int) -> int | None:
        if not self.match.takes(line, address, value):
            return value
        chance = self.occasions.chance()
        return self._change(value, chance) if self.occasions.take() else value


def flipped(mask: int) -> Callable[[int, float], int]:
    """Bits `mask` inverted; of more than one of them, the one that chance chooses."""
    bits = [1 << bit for bit in range(8) if mask >> bit & 1]
    return lambda value, chance: value ^ bits[int(chance * len(bits))]


def replaced(byte: int | None, mask: int = 0xFF) -> Callable[[int, float], int]:
    """Bits `mask` as in `byte`; without one, as chance chooses among all other values."""

    def change(value: int, chance: float) -> int:
        other = (value + 1 + int(chance * 255)) & 0xFF if byte is None else byte
        return (value & ~mask & 0xFF) | (other & mask)

    return change


@dataclass(frozen=True, slots=True)
class _News:
    """Something that the module does not show yet: when it came, by which message, and what is shown meanwhile."""

    when_ns: int
    source: Message
    bank: int | None  # None: whichever
    shown: bytes


class StaleRead(LineFault):
    """For `delay_ns` after a write of a place, reads of it show what it held before.

    after: not after writes, but after reads of this other place. value: what is shown then, repeated; without it
    zeros after a read. Its occasion is such a write or read.
    """

    def __init__(
        self,
        place: Place,
        occasions: Occasions,
        delay_ns: int,
        after: Place | None = None,
        value: bytes | None = None,
    ) -> None:
        self._place = place
        self._occasions = occasions
        self._delay_ns = delay_ns
        self._after = after
        self._value = value
        self._asked: Message | None = None
        self._news: list[_News] = []  # oldest first

    def writing(self, line: Line, message: Message) -> None:
        if self._after is not None or not self._place.on(*message.place_of(message.address)):
            return
        base = message.address & HALF
        touched = (base | (message.address + step) & 127 for step in range(len(message.data)))
        if not any(self._place.first <= at <= self._place.last for at in touched):
            return
        if self._occasions.take():
            old = bytes(line.stored(at) for at in range(self._place.first, self._place.last + 1))
            bank = message.place_of(message.address)[1]
            self._news.append(_News(line.clock.now_ns, message, bank, self._value or old))

    def clocked(self, line: Line, address: int) -> None:
        message = line.message
        if self._after is None or message is None or self._asked is message:
            return
        if self._after.covers(*message.place_of(address), address):
            self._asked = message
            if self._occasions.take():
                self._news.append(_News(line.clock.now_ns, message, None, self._value or b"\0"))

    def shown(self, line: Line, address: int, value: int) -> int:
        message = line.message
        assert message is not None
        page, bank = message.place_of(address)
        if not self._news or not self._place.covers(page, bank, address):
            return value
        # Judged by when the message began, so that one read never shows two moments.
        self._news = [each for each in self._news if message.began_ns < each.when_ns + self._delay_ns]
        for each in self._news:
            if each.source is not message and each.bank in (None, bank):
                mask = self._place.mask
                old = each.shown[(address - self._place.first) % len(each.shown)]
                return (value & ~mask & 0xFF) | (old & mask)
        return value

    def reset(self) -> None:
        self._news.clear()
