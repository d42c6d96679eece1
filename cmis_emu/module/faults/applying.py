"""How a module can misbehave when a staged set is applied: what it reports, how long it takes, what else it breaks.

Owns which rules strike an apply. The control sets (control_sets.py) ask once for each group of lanes that a trigger
configures, which is one occasion.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cmis_emu.module.faults.seam import Rule, Seam, lanes_in
from cmis_emu.module.states import ConfigStatus
from cmis_emu.occasions import Occasions


@dataclass(frozen=True, slots=True)
class Apply:
    """One group of lanes that is being configured. Lanes are those of the bank; app_sels as staged."""

    bank: int
    lanes: int
    app_sels: frozenset[int]
    staged_set: int
    trigger: str
    module_state: str
    path_states: frozenset[str]
    another: bool  # another one is under way in the bank


@dataclass(frozen=True, slots=True)
class Condition:
    """Which applies are meant; None and False: all."""

    app_sel: int | None = None
    staged_set: int | None = None
    trigger: str | None = None
    module_state: str | None = None
    path_state: str | None = None
    another: bool = False

    def holds(self, apply: Apply) -> bool:
        """Is this one meant?"""
        return (
            (self.app_sel is None or self.app_sel in apply.app_sels)
            and self.staged_set in (None, apply.staged_set)
            and self.trigger in (None, apply.trigger)
            and self.module_state in (None, apply.module_state)
            and (self.path_state is None or self.path_state in apply.path_states)
            and (apply.another or not self.another)
        )


@dataclass(eq=False, slots=True)
class Report(Rule):
    """Lanes report a status of the rule's choice, or take another time to report.

    code: None: as judged. in_progress_ns: ConfigInProgress lasts so long; None: as ever. lasts_ns: the status is put
    right so much later; None: never. applied: is the configuration carried out? None: as the status says.
    """

    occasions: Occasions
    condition: Condition
    lanes: frozenset[int] | None = None
    code: int | None = None
    in_progress_ns: int | None = None
    lasts_ns: int | None = None
    applied: bool | None = None

    @property
    def carries_out(self) -> bool:
        """Is a configuration that was judged good carried out all the same?"""
        if self.applied is not None:
            return self.applied
        told = (None, ConfigStatus.UNDEFINED, ConfigStatus.SUCCESS, ConfigStatus.IN_PROGRESS)
        return self.code in told or self.lasts_ns is not None


class Harm(Enum):
    """What an apply breaks elsewhere."""

    CLEAR_PENDING = "clear-pending"  # DPInitPending of other data paths
    DISTURB = "disturb"  # other data paths fall back and initialise anew
    BUSY = "busy"  # the next apply is refused


@dataclass(eq=False, slots=True)
class SideEffect(Rule):
    """An apply that was carried out breaks something. lanes: who suffers; None: everybody else."""

    occasions: Occasions
    condition: Condition
    harm: Harm
    lanes: frozenset[int] | None = None
    busy_ns: int = 0
    code: int = ConfigStatus.REJECTED


class ApplyFaults(Seam[Report | SideEffect]):
    """The seam of all control sets of one module."""

    __slots__ = ()

    def reports(self, apply: Apply) -> list[tuple[int, Report]]:
        """Rules that strike this apply, with the lanes (mask of the bank) that each is about."""
        found = []
        for rule in self.rules:
            if isinstance(rule, Report) and rule.condition.holds(apply):
                lanes = apply.lanes & lanes_in(rule.lanes, apply.bank)
                if lanes and rule.occasions.take():
                    found.append((lanes, rule))
        return found

    def harms(self, apply: Apply) -> list[SideEffect]:
        """Side effects of an apply that was carried out."""
        return [
            rule
            for rule in self.rules
            if isinstance(rule, SideEffect) and rule.condition.holds(apply) and rule.occasions.take()
        ]
