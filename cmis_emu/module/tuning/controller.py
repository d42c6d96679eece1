"""The tunable lasers of one bank: requests, their time, status and flags (rules TUN-01 to TUN-08, page 12h).

A request is a write to a lane's grid, channel or fine offset, judged at the end of the transaction as the registers
then stand. One that is in order and asks for another frequency starts a tuning: until it ends the lane gives no
light, and its receiver, which uses the same laser, has no signal. Flags come when things happen; the frequency of
page 12h is what the laser's locker sees, so a drift shows there.

Where the rules are silent: a request during a tuning takes its place, and the time starts anew, because hosts
write grid and channel one after the other; a request for the frequency that the laser has or is on its way to
is in order in every state, and nothing happens; in low power a request is stored and holds at once, since a laser
without power has nothing to tune, and a tuning that loses its power ends there; a refused request stays refused
until it is written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cmis_emu.clock import Clock, Event
from cmis_emu.layouts.grid import GRIDS
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.flags import Flags
from cmis_emu.module.states import OPERATING, DpState
from cmis_emu.module.tuning.faults import RefusedTuning, SlowTuning, TuningFaults, WrongFlag
from cmis_emu.module.tuning.plan import TuningPlan
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.field import Kind
from cmis_emu.registers.memory import Cell, Memory, Write, WriteHook

UNLOCK_FLAGGED = OPERATING | {DpState.INIT}  # FLG-09: where WavelengthUnlocked may set
MHZ_PER_GHZ = 1000
FLAGS = (
    "TargetOutputPowerOOR",
    "FineTuningOutOfRange",
    "TuningNotAccepted",
    "InvalidChannelNumber",
    "WavelengthUnlocked",
    "TuningComplete",
)
_REQUEST = ("GridSpacingTx", "FineTuningEnableTx", "ChannelOffsetNumberTx", "FineTuningOffsetTx")


class TuningFrame(Protocol):
    """The bank, as its lasers see it."""

    clock: Clock
    bank: int
    media_lanes: tuple[int, ...]

    def ready(self) -> bool: ...
    def path_of_media(self, lane: int) -> DataPath | None: ...
    def settle(self) -> None: ...


@dataclass(slots=True)
class _Laser:
    """One lane: where it is, where it is to be, and the tuning under way."""

    channel_mhz: int  # of the channel asked for, without fine offset
    target_mhz: int
    here_mhz: int
    moving: bool = False
    timer: Event | None = None
    slow: SlowTuning | None = None  # what makes this tuning last


class LaserTuning:
    """Page 12h of one bank. Lanes are 1-based media lanes of the bank."""

    OWNS = (
        *_REQUEST,
        "CurrentLaserFrequencyTx",
        "TargetOutputPowerTx",
        "TuningInProgressTx",
        "WavelengthUnlockStatusTx",
        *(f"{flag}FlagTx" for flag in FLAGS),
    )

    def __init__(
        self,
        memory: Memory,
        plan: TuningPlan,
        frame: TuningFrame,
        flags: Flags,
        plant: ModulePlant,
        faults: TuningFaults,
    ) -> None:
        self._plan = plan
        self._frame = frame
        self._flags = flags
        self._plant = plant
        self._faults = faults
        self._first = 8 * frame.bank
        self._cells: dict[str, Cell] = {name: memory.cell(name, frame.bank) for name in self.OWNS}
        self._frozen = False
        start_mhz = plan.start_mhz
        self._lasers = {lane: _Laser(start_mhz, start_mhz, start_mhz) for lane in frame.media_lanes}
        for lane, laser in self._lasers.items():
            self._tell(lane, laser)
            self._hook(_REQUEST, lane, partial(self._requested, lane))
            self._hook(("TargetOutputPowerTx",), lane, partial(self._output_written, lane))

    def _hook(self, names: Sequence[str], lane: int, hook: WriteHook) -> None:
        """Call a hook for writes to a lane's bytes of these fields: once for all that one write touches."""
        for cell in (self._cells[name] for name in names):
            index, size, _, _ = cell.slots[lane - 1]
            if cell.implemented:
                cell.page.hooks.update(dict.fromkeys(range(index, index + size), hook))

    # -- life --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Registers are at their defaults: the laser goes there too, and nothing is under way (RST-05)."""
        self._frozen = False
        for lane, laser in self._lasers.items():
            laser.channel_mhz = laser.target_mhz = self._plan.start_mhz
            self._arrive(lane, laser)
            if self._plan.output_range is not None:
                self._plant.set_output(self._first + lane, self._plan.output / 100)

    def freeze(self) -> None:
        """Module fault: nothing moves any more, and requests have no effect (MSM-09)."""
        self._frozen = True
        for laser in self._lasers.values():
            self._cancel(laser)

    @staticmethod
    def _cancel(laser: _Laser) -> None:
        if laser.timer is not None:
            laser.timer.cancel()
            laser.timer = None

    def _arrive(self, lane: int, laser: _Laser) -> None:
        """What was under way, if anything, is over: the laser is where it was told to be."""
        self._cancel(laser)
        laser.slow, laser.moving = None, False
        laser.here_mhz = laser.target_mhz
        self._tell(lane, laser)

    def busy(self) -> bool:
        """Is a tuning under way that will end?"""
        return any(laser.timer is not None for laser in self._lasers.values())

    def moving(self) -> int:
        """Media lanes (mask) whose laser is between two frequencies."""
        return sum(1 << (lane - 1) for lane, laser in self._lasers.items() if laser.moving)

    def _tell(self, lane: int, laser: _Laser) -> None:
        self._plant.set_tuning(self._first + lane, laser.here_mhz / MHZ_PER_GHZ, laser.moving)

    # -- requests (TUN-04, TUN-05) -------------------------------------------------------------------

    def _requested(self, lane: int, _: Write) -> None:
        if not self._frozen:
            self._judge(lane)
            self._frame.settle()

    def _value(self, name: str, lane: int) -> int:
        cell = self._cells[name]
        code = cell.get(lane)
        return code - 0x10000 if cell.field.kind is Kind.SINT and code & 0x8000 else code

    def _latch(self, flag: str, lane: int) -> None:
        self._flags.latch(self._cells[f"{flag}FlagTx"], 1, lane)

    def _judge(self, lane: int) -> None:
        """Is the request of a lane in order? Then begin."""
        plan, laser = self._plan, self._lasers[lane]
        grid, channel = self._value("GridSpacingTx", lane), self._value("ChannelOffsetNumberTx", lane)
        offset_mhz = self._value("FineTuningOffsetTx", lane) if self._value("FineTuningEnableTx", lane) else 0
        good = True
        if not plan.offers(grid, channel):
            self._latch("InvalidChannelNumber", lane)
            good = False
        if offset_mhz and (plan.fine is None or not plan.fine.offers(offset_mhz)):
            self._latch("FineTuningOutOfRange", lane)
            good = False
        if not good:
            return
        channel_mhz = GRIDS[grid].frequency_mhz(channel)
        if channel_mhz + offset_mhz == laser.target_mhz:
            return
        refusal = self._faults.strikes(RefusedTuning, self._first + lane)
        if refusal is not None:
            if refusal.flag is not None:
                self._latch(refusal.flag, lane)
            return
        if self._state(lane) not in plan.accepts:
            self._latch("TuningNotAccepted", lane)
            return
        fine = channel_mhz == laser.channel_mhz and not laser.moving
        laser.channel_mhz, laser.target_mhz = channel_mhz, channel_mhz + offset_mhz
        self._begin(lane, laser, fine=fine)

    def _state(self, lane: int) -> DpState:
        path = self._frame.path_of_media(lane)
        return DpState.DEACTIVATED if path is None else path.state

    # -- tuning --------------------------------------------------------------------------------------

    def _begin(self, lane: int, laser: _Laser, *, fine: bool) -> None:
        if not self._frame.ready():
            self._arrive(lane, laser)
            return
        self._cancel(laser)
        time_ns: int | None = self._plan.duration_ns(fine=fine)
        laser.slow = self._faults.strikes(SlowTuning, self._first + lane)
        if laser.slow is not None:
            time_ns = laser.slow.time_ns
        laser.moving = True
        if time_ns is not None:
            laser.timer = self._frame.clock.after(time_ns, partial(self._done, lane))
        self._tell(lane, laser)

    def _done(self, lane: int) -> None:
        self._arrive(lane, self._lasers[lane])
        wrong = self._faults.strikes(WrongFlag, self._first + lane)
        if wrong is not None:
            if wrong.flag is not None:
                self._latch(wrong.flag, lane)
        elif self._state(lane) in OPERATING:  # FLG-09
            self._latch("TuningComplete", lane)
        self._frame.settle()

    def update(self) -> None:
        """Bring status, frequency and the flag of an unlocked wavelength in line, now."""
        ready = self._frame.ready()
        for lane, laser in self._lasers.items():
            if laser.moving and not ready:
                self._arrive(lane, laser)
            off_mhz = self._plant.drift_ghz(self._first + lane) * MHZ_PER_GHZ if ready else 0.0
            unlocked = laser.moving or abs(off_mhz) > self._plan.lock_mhz
            progress = laser.moving and not (laser.slow is not None and laser.slow.quiet)
            self._cells["TuningInProgressTx"].set(int(progress), lane)
            self._cells["WavelengthUnlockStatusTx"].set(int(unlocked), lane)
            seen_mhz = laser.here_mhz + round(off_mhz)
            self._cells["CurrentLaserFrequencyTx"].set(max(0, seen_mhz), lane)
            flagged = unlocked and self._state(lane) in UNLOCK_FLAGGED
            self._flags.level(self._cells["WavelengthUnlockedFlagTx"], int(flagged), lane)

    # -- output power (TUN-07) -------------------------------------------------------------------------

    def _output_written(self, lane: int, _: Write) -> None:
        limits = self._plan.output_range
        if limits is None or self._frozen:
            return
        wanted = self._value("TargetOutputPowerTx", lane)
        if limits[0] <= wanted <= limits[1]:
            self._plant.set_output(self._first + lane, wanted / 100)
        else:
            self._latch("TargetOutputPowerOOR", lane)
        self._frame.settle()

    # -- faults ------------------------------------------------------------------------------------

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared: a tuning that never ended ends after its usual time."""
        for lane, laser in self._lasers.items():
            if not armed and laser.slow is rule and laser.moving:
                laser.slow = None
                if laser.timer is None:
                    usual_ns = self._plan.duration_ns(fine=False)
                    laser.timer = self._frame.clock.after(usual_ns, partial(self._done, lane))
