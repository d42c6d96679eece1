"""How the optical lanes of a module can misbehave when a link comes up: a bad lock, a laser that waits for a toggle.

Owns the rules, and what a penalty does to what a receiver makes of its light. Receivers (recovery.py) ask when an
adaptation begins; lanes (signals.py) ask when a laser is to be switched on.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmis_emu.module.faults.seam import Rule, Seam, meets
from cmis_emu.occasions import Occasions
from cmis_emu.physics.coherent import CoherentParameters
from cmis_emu.physics.receiver import WORST_BER, Decision, ReceiverParameters

LEAST_BER = 1e-30
"""Below, no change of the error ratio is told as a change of eSNR."""


@dataclass(eq=False, slots=True)
class Penalty(Rule):
    """A receiver is worse from an adaptation on until the next. lanes: of the module from 1; None: all.

    ber_factor: so many more errors, and as much less eSNR as belongs to it. loss_db: so much less eSNR, and the
    errors that belong to it. on_light: only where the light came while the receiver was at work. Occasion: each lane.
    """

    occasions: Occasions
    lanes: frozenset[int] | None = None
    ber_factor: float = 1.0
    loss_db: float = 0.0
    on_light: bool = False

    def worsen(self, settled: Decision, receiver: ReceiverParameters | CoherentParameters) -> Decision:
        """What a receiver makes of light under this penalty."""
        esnr_db, ber = settled
        if self.loss_db:
            there = receiver.ber_of_esnr(esnr_db)
            esnr_db = max(0.0, esnr_db - self.loss_db)
            here = receiver.ber_of_esnr(esnr_db)
            ber = min(WORST_BER, ber * here / there if there > 0.0 else here)
        if self.ber_factor != 1.0:
            more = min(WORST_BER, ber * self.ber_factor)
            if ber > LEAST_BER:
                esnr_db = max(0.0, esnr_db - (receiver.esnr_of_ber(ber) - receiver.esnr_of_ber(more)))
            ber = more
        return Decision(esnr_db, ber)


@dataclass(eq=False, slots=True)
class NeedsToggle(Rule):
    """A laser that should come on by itself stays dark until the host has disabled and enabled it. Occasion: a lane."""

    occasions: Occasions
    lanes: frozenset[int] | None = None


@dataclass(eq=False, slots=True)
class EarlySignal(Rule):
    """A host lane without a good signal when its circuits come to work finds no lock until they do so anew.

    Occasion: each such lane.
    """

    occasions: Occasions
    lanes: frozenset[int] | None = None


class LinkFaults(Seam[Penalty | NeedsToggle | EarlySignal]):
    """The seam of the optical lanes of one module."""

    __slots__ = ()

    def penalty(self, lane: int, on_light: bool) -> Penalty | None:
        """What a receiver gets whose adaptation begins. `lane`: of the module."""
        for rule in self.rules:
            meant = isinstance(rule, Penalty) and meets(rule.lanes, lane) and (on_light or not rule.on_light)
            if meant and isinstance(rule, Penalty) and rule.occasions.take():
                return rule
        return None

    def stays_dark(self, lane: int) -> bool:
        """Does a laser not come on?"""
        return self._struck(NeedsToggle, lane)

    def too_late(self, lane: int) -> bool:
        """Does a host lane whose signal was not there in time find no lock?"""
        return self._struck(EarlySignal, lane)

    def _struck(self, kind: type[NeedsToggle | EarlySignal], lane: int) -> bool:
        return any(isinstance(rule, kind) and meets(rule.lanes, lane) and rule.occasions.take() for rule in self.rules)
