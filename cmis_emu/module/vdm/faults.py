"""How VDM can misbehave: freezes that are not confirmed, or wrongly; instances that are not there.

Owns the rules; controller.py and flags.py carry them out. What the descriptors say is changed by
faults/static_bytes.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.module.vdm.plan import Instance
from cmis_emu.occasions import Occasions


class Freezes(Enum):
    """What is wrong with freezing. An occasion is a request that would be carried out, or for STOPS a write."""

    NEVER = "never"  # the request has no effect
    LATE = "late"
    STICKS = "sticks"  # the done bit of the request before goes away late, or never
    STOPS = "stops"  # after a write to the controls nothing is reported any more, until a reset


@dataclass(eq=False, slots=True)
class BadFreeze(Rule):
    """Freezing goes wrong. frozen: only requests to freeze, or only to unfreeze; None: both. time_ns None: never."""

    how: Freezes
    occasions: Occasions
    frozen: bool | None = None
    time_ns: int | None = None


@dataclass(eq=False, slots=True)
class Hole(Rule):
    """Instances are not there: they read 0 and set no flags. None: any observable, any resource."""

    observables: frozenset[str] | None = None
    resources: frozenset[int] | None = None
    numbers: frozenset[int] | None = None

    def swallows(self, instance: Instance) -> bool:
        """Is this one gone?"""
        return (
            (self.observables is None or instance.observable.name in self.observables)
            and (self.resources is None or instance.resource in self.resources)
            and (self.numbers is None or instance.number in self.numbers)
        )


class VdmFaults(Seam[BadFreeze | Hole]):
    """The seam of one module's VDM."""

    __slots__ = ()

    def freezing(self, how: Freezes, frozen: bool | None) -> BadFreeze | None:
        """The rule of that kind which strikes now."""
        for rule in self.rules:
            meant = isinstance(rule, BadFreeze) and rule.how is how and rule.frozen in (None, frozen)
            if meant and isinstance(rule, BadFreeze) and rule.occasions.take():
                return rule
        return None

    def gone(self, instance: Instance) -> bool:
        """Is an instance not there?"""
        return any(isinstance(rule, Hole) and rule.swallows(instance) for rule in self.rules)
