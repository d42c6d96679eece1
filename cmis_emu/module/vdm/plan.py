"""What a product measures with VDM: its groups of instances, as the profile's section `vdm` says.

Owns the codes on the static pages that follow from it, so that what is advertised is what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cmis_emu.clock import NS_PER_MS
from cmis_emu.module.vdm.observables import MODULE_RESOURCE, Observable, Scope

GROUPS, INSTANCES, SETS = 4, 64, 16  # of a module, of a group, of a group (VDM-01, VDM-04)
LIMITS = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")
ALL_FOUR = 0b1111  # a nibble of masks (VDM-05)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: `number` counts over all groups from 1, `resource` is a lane or first host lane from 1."""

    number: int
    observable: Observable
    scope: Scope
    resource: int  # 0 for the module
    threshold_set: int  # of its group, from 0

    @property
    def code(self) -> int:
        """MonitoredResource (VDM-02)."""
        return MODULE_RESOURCE if self.scope is Scope.MODULE else self.resource - 1


@dataclass(frozen=True, slots=True)
class Group:
    """Up to 64 instances, and the codes of up to 16 threshold sets, each in the order of LIMITS."""

    instances: tuple[Instance, ...] = ()
    sets: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class VdmPlan:
    """The whole section. Times in ms."""

    groups: tuple[Group, ...] = (Group(),)
    fine_interval_ms: float = 100.0
    freeze_ms: float = 10.0  # VDM-06: from the request to the done bit; hosts wait 100 ms
    masks: int = 1  # VDM-09: default of every bit of page 2Dh
    unfreeze_done: int = 1  # VDM-06: UnfreezeDone before the first freeze; modules differ
    power_saving: bool = False

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def fine_interval_ns(self) -> int:
        """Samples are taken and held so long."""
        return round(self.fine_interval_ms * NS_PER_MS)

    @property
    def freeze_ns(self) -> int:
        """Length of a freeze or unfreeze."""
        return round(self.freeze_ms * NS_PER_MS)

    def codes(self) -> Mapping[str, int]:
        """Codes of the static pages by field name; element numbers count over all groups."""
        found = {
            "VDMPagesSupported": 1,
            "VDMSupport": len(self.groups) - 1,
            "FineIntervalLength": round(self.fine_interval_ms * 10),
            "UnfreezeDone": self.unfreeze_done,
            "VDMMasks": ALL_FOUR if self.masks else 0,
        }
        if self.power_saving:
            found["PowerSavingSupport"] = 1
        for index, group in enumerate(self.groups):
            for each in group.instances:
                found[f"VDMDescriptor.LocalThresholdSetID{each.number}"] = each.threshold_set
                found[f"VDMDescriptor.MonitoredResource{each.number}"] = each.code
                found[f"VDMDescriptor.ObservableTypeID{each.number}"] = each.observable.code
            for number, codes in enumerate(group.sets, index * SETS + 1):  # VDM-04a
                found |= {f"VDMThresholdSet.{limit}{number}": code for limit, code in zip(LIMITS, codes, strict=True)}
        return found
