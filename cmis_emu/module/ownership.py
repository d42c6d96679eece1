"""Who acts on which field: `OWNERS` maps field names to the class that owns them.

Each controller lists its fields in `OWNS`; a field has at most one owner, and the coverage report
(`tools/map_report.py`) calls every volatile or writable field without one "stored only".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from cmis_emu.module.cdb.controller import Cdb
from cmis_emu.module.control_sets import ControlSets
from cmis_emu.module.diagnostics.controller import Diagnostics
from cmis_emu.module.diagnostics.loopbacks import LoopbackControls
from cmis_emu.module.diagnostics.results import DiagnosticResults
from cmis_emu.module.equaliser import InputEqualiser
from cmis_emu.module.firmware.controller import Firmware
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.module import Module
from cmis_emu.module.monitors import Monitors
from cmis_emu.module.network_path import NetworkPaths
from cmis_emu.module.nonvolatile import NonVolatile
from cmis_emu.module.signals import LaneSignals
from cmis_emu.module.timing import DataPathLatency
from cmis_emu.module.tuning.controller import LaserTuning
from cmis_emu.module.vdm.controller import Vdm
from cmis_emu.registers.loader import load_maps


class _Controller(Protocol):
    __name__: str
    OWNS: tuple[str, ...]


CONTROLLERS: tuple[type, ...] = (
    Module,
    LaneBank,
    ControlSets,
    InputEqualiser,
    LaneSignals,
    Monitors,
    NonVolatile,
    DataPathLatency,
    NetworkPaths,
    Diagnostics,
    DiagnosticResults,
    LoopbackControls,
    LaserTuning,
    Vdm,
    Cdb,
    Firmware,
)


def _masks_of(names: Iterable[str]) -> list[str]:
    """Mask fields of owned flags: `Flags` makes them work for whatever flag is latched."""
    regmap = load_maps()
    return [mask for name in names if (mask := regmap.field(name).masked_by) is not None]


def _collect() -> Mapping[str, str]:
    owners: dict[str, str] = {}
    for controller in CONTROLLERS:
        for name in controller.OWNS:  # type: ignore[attr-defined]
            if name in owners:
                raise AssertionError(f"{name}: owned by {owners[name]} and {controller.__name__}, expected one owner")
            owners[name] = controller.__name__
    for name in _masks_of(list(owners)):
        owners[name] = "Flags"
    summaries = [f.name for f in load_maps() if f.name.startswith(("FlagsSummary", "LaserTuningFlagSummary"))]
    owners.update(dict.fromkeys(summaries, "Flags"))
    return owners


OWNERS = _collect()
