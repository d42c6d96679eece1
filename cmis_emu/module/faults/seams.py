"""All seams of one module in one place, so that whoever arms a fault finds the seam by name."""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.clock import Clock
from cmis_emu.module.diagnostics.faults import DiagnosticFaults
from cmis_emu.module.faults.applying import ApplyFaults
from cmis_emu.module.faults.controls import ControlFaults
from cmis_emu.module.faults.flags import FlagFaults
from cmis_emu.module.faults.link import LinkFaults
from cmis_emu.module.faults.machines import MachineFaults
from cmis_emu.module.faults.monitors import MonitorFaults
from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.module.faults.static_bytes import StaticFaults
from cmis_emu.module.tuning.faults import TuningFaults
from cmis_emu.module.vdm.faults import VdmFaults
from cmis_emu.registers.memory import Memory


class ModuleFaults:
    """Each seam is looked at by the component that owns the behaviour; see the files of the rules.

    low_power: while anything is armed there, the module takes it that low power is asked for.
    """

    __slots__ = (
        "applying",
        "controls",
        "diagnostics",
        "flags",
        "links",
        "low_power",
        "machines",
        "monitors",
        "statics",
        "tuning",
        "vdm",
    )

    def __init__(self, memory: Memory, clock: Clock, changed: Callable[[Rule, bool], None]) -> None:
        self.machines = MachineFaults(changed)
        self.controls = ControlFaults(memory, clock, changed)
        self.applying = ApplyFaults(changed)
        self.monitors = MonitorFaults(changed)
        self.statics = StaticFaults(memory, changed)
        self.flags = FlagFaults(changed)
        self.vdm = VdmFaults(changed)
        self.diagnostics = DiagnosticFaults(changed)
        self.links = LinkFaults(changed)
        self.tuning = TuningFaults(changed)
        self.low_power: Seam[Rule] = Seam(changed)
