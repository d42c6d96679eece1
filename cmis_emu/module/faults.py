"""All seams of one module in one place, so that whoever arms a fault finds the seam by name."""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.clock import Clock
from cmis_emu.module.apply_faults import ApplyFaults
from cmis_emu.module.control_faults import ControlFaults
from cmis_emu.module.diagnostic_faults import DiagnosticFaults
from cmis_emu.module.flag_faults import FlagFaults
from cmis_emu.module.link_faults import LinkFaults
from cmis_emu.module.machine_faults import MachineFaults
from cmis_emu.module.monitor_faults import MonitorFaults
from cmis_emu.module.seam import Rule, Seam
from cmis_emu.module.static_faults import StaticFaults
from cmis_emu.module.vdm_faults import VdmFaults
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
        self.low_power: Seam[Rule] = Seam(changed)
