"""What a group of CDB commands may use of the module that it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cmis_emu.clock import Clock
from cmis_emu.module.cdb.command import Command
from cmis_emu.module.cdb.plan import CdbPlan
from cmis_emu.module.firmware.controller import Firmware
from cmis_emu.module.flags import Flags
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.nonvolatile import NonVolatile
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.states import MsmState
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.memory import Memory


@dataclass(slots=True, eq=False)
class Surroundings:
    """commands: all of the module by code, complete when the first of them runs. restart: a software reset."""

    profile: Profile
    plan: CdbPlan
    memory: Memory
    clock: Clock
    flags: Flags
    plant: ModulePlant
    banks: Sequence[LaneBank]
    nonvolatile: NonVolatile
    state: Callable[[], MsmState]
    restart: Callable[[], None]
    firmware: Firmware | None = None
    commands: dict[int, Command] = field(default_factory=dict)
