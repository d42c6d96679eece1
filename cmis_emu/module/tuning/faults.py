"""How tuning can misbehave: requests that are refused, tunings that take long or never end, a wrong flag at the end.

Owns the rules; controller.py carries them out. A laser that drifts is a disturbance of the plant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from cmis_emu.module.faults.seam import Rule, Seam, meets
from cmis_emu.occasions import Occasions


@dataclass(eq=False, slots=True)
class RefusedTuning(Rule):
    """A request that is in order is not followed. lanes: of the module from 1; None: all.

    flag: which flag of page 12h says so, by its name without Flag and lane; None: none. Occasion: such a request.
    """

    occasions: Occasions
    flag: str | None = "TuningNotAccepted"
    lanes: frozenset[int] | None = None


@dataclass(eq=False, slots=True)
class SlowTuning(Rule):
    """A tuning takes so long; None: it never ends. quiet: TuningInProgress does not tell. Occasion: a tuning."""

    occasions: Occasions
    time_ns: int | None
    lanes: frozenset[int] | None = None
    quiet: bool = False


@dataclass(eq=False, slots=True)
class WrongFlag(Rule):
    """A tuning that is done sets this flag in place of TuningComplete; None: none at all. Occasion: a tuning done.

    It sets whatever the state of the data path.
    """

    occasions: Occasions
    flag: str | None
    lanes: frozenset[int] | None = None


Struck = TypeVar("Struck", RefusedTuning, SlowTuning, WrongFlag)


class TuningFaults(Seam[RefusedTuning | SlowTuning | WrongFlag]):
    """The seam of one module's lasers. Lanes count through the module."""

    __slots__ = ()

    def strikes(self, kind: type[Struck], lane: int) -> Struck | None:
        """The rule of a kind that strikes its occasion at a lane."""
        for rule in self.rules:
            if isinstance(rule, kind) and meets(rule.lanes, lane) and rule.occasions.take():
                return rule
        return None
