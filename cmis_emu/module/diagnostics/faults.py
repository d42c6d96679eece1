"""How diagnostics can misbehave: results of the wrong selector, no lock, counts that stay, requests that are refused.

Owns the rules; controller.py and its parts carry them out. What results read is misread by faults/monitors.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cmis_emu.module.faults.seam import Rule, Seam, lanes_in
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.occasions import Occasions


class Trouble(Enum):
    """What is wrong with a pattern checker."""

    NO_LOCK = "no lock"  # it never finds its pattern
    KEEPS = "keeps"  # its counts are not cleared


@dataclass(eq=False, slots=True)
class SelectorLag(Rule):
    """After a write of the selector the old results show for so long. An occasion is a write."""

    delay_ns: int
    occasions: Occasions


@dataclass(eq=False, slots=True)
class BadChecker(Rule):
    """Checkers of a side are in trouble. lanes: of the module from 1; None: all."""

    trouble: Trouble
    side: Side
    lanes: frozenset[int] | None = None


@dataclass(eq=False, slots=True)
class Refusal(Rule):
    """An engine does not do a pattern that is advertised. engine: Generator or Checker. codes None: any pattern."""

    side: Side
    engine: str
    codes: frozenset[int] | None = None


@dataclass(eq=False, slots=True)
class LoopbackRefusal(Rule):
    """A request for a loopback does not stick. single: only one that is not for all lanes. Occasion: a request."""

    kinds: frozenset[Loopback]
    occasions: Occasions
    single: bool = True


class DiagnosticFaults(Seam[SelectorLag | BadChecker | Refusal | LoopbackRefusal]):
    """The seam of one module's diagnostics."""

    __slots__ = ()

    def lag_ns(self) -> int:
        """How long the old results show after this write of the selector."""
        return max((r.delay_ns for r in self.rules if isinstance(r, SelectorLag) and r.occasions.take()), default=0)

    def troubled(self, trouble: Trouble, side: Side, bank: int, lane: int) -> bool:
        """Is a checker in that trouble?"""
        return any(
            isinstance(r, BadChecker)
            and r.trouble is trouble
            and r.side is side
            and bool(lanes_in(r.lanes, bank) >> (lane - 1) & 1)
            for r in self.rules
        )

    def refuses(self, side: Side, engine: str, code: int) -> bool:
        """Does an engine not do a pattern?"""
        return any(
            isinstance(r, Refusal) and r.side is side and r.engine == engine and (r.codes is None or code in r.codes)
            for r in self.rules
        )

    def loopback_refused(self, kind: Loopback, wanted: int, every: int) -> bool:
        """Does a request for these lanes not stick?"""
        return any(
            isinstance(r, LoopbackRefusal)
            and kind in r.kinds
            and (not r.single or wanted != every)
            and r.occasions.take()
            for r in self.rules
        )
