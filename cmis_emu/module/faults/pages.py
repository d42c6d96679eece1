"""Page selects that go wrong: lost, serving another page, or slow.

Owns what each does instead of a select. Its occasion is a host's write of PageSelect that it is about, see
`Selects`; whatever else such a write carries is done. A reset maps page 00h as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cmis_emu.clock import Clock, Event
from cmis_emu.occasions import Occasions
from cmis_emu.registers.memory import Memory, Page
from cmis_emu.registers.place import Place


@dataclass(frozen=True, slots=True)
class Selects:
    """Which page selects a fault is about. page: of this page; unsupported: of a page that the module lacks."""

    page: Place | None = None
    unsupported: bool = False

    def hit(self, memory: Memory, number: int, bank: int) -> bool:
        """Is this one meant?"""
        if self.unsupported and memory.supports(number, bank):
            return False
        return self.page is None or self.page.on(number, bank)


class _PageFault:
    def __init__(self, selects: Selects, occasions: Occasions) -> None:
        self._selects = selects
        self._occasions = occasions

    def __deepcopy__(self, memo: object) -> _PageFault:
        return self  # armed by a scenario; no snapshot of a module copies it

    def selecting(self, memory: Memory, number: int, bank: int) -> bool:
        """As `SelectFault` says."""
        if not self._selects.hit(memory, number, bank) or not self._occasions.take():
            return False
        return self._strike(memory, number, bank)

    def reset(self, memory: Memory) -> None:
        """As `SelectFault` says."""

    def _strike(self, memory: Memory, number: int, bank: int) -> bool:
        raise NotImplementedError


class StuckSelect(_PageFault):
    """The select is lost: both select bytes and the mapped page stay as they are."""

    def _strike(self, memory: Memory, number: int, bank: int) -> bool:
        return True


class WrongPage(_PageFault):
    """The select bytes read as written, but another page is mapped: `serves`, or the one that was when it is None."""

    def __init__(self, selects: Selects, occasions: Occasions, serves: tuple[int, int] | None) -> None:
        super().__init__(selects, occasions)
        self._serves = serves

    def _strike(self, memory: Memory, number: int, bank: int) -> bool:
        memory.mark(number, bank)
        if self._serves is not None:
            memory.upper = memory.pages.get(self._serves, memory.pages[0, 0])
        return True


class SlowPage(_PageFault):
    """The select bytes read as written at once; the page follows `delay_ns` later, until then the old one shows.

    hold_off: meanwhile the module refuses every access, so that the old page is never seen.
    """

    def __init__(
        self,
        selects: Selects,
        occasions: Occasions,
        delay_ns: int,
        clock: Clock,
        hold_off: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(selects, occasions)
        self._delay_ns = delay_ns
        self._clock = clock
        self._hold_off = hold_off
        self._coming: Event | None = None

    def selecting(self, memory: Memory, number: int, bank: int) -> bool:
        self.reset(memory)  # a newer select; the older one never arrives
        return super().selecting(memory, number, bank)

    def _strike(self, memory: Memory, number: int, bank: int) -> bool:
        if self._hold_off is not None:
            self._hold_off(self._delay_ns)
            return False
        old, new = memory.upper, memory.mark(number, bank)
        self._coming = self._clock.after(self._delay_ns, partial(_arrive, memory, old, new))
        return True

    def reset(self, memory: Memory) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None


def _arrive(memory: Memory, old: Page, new: Page) -> None:
    if memory.upper is old:  # else something else was mapped meanwhile
        memory.upper = new
