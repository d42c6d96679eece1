"""One bank of eight lanes: its data paths, lane controls, and what its Tx and Rx outputs really do.

Owns pages 10h and 11h save flags and monitors: the direct controls (CFG-16), DPStateHostLane, the output
status (DP-08 to DP-11), and the signal conditions LOS and LOL of both directions (FLG-08, FLG-09, AUX-01).
It decides when a laser emits and tells the plant; what light that makes is the plant's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Protocol

from cmis_emu.clock import NS_PER_MS, NS_PER_US, Clock, Event
from cmis_emu.layouts.application import mask_of
from cmis_emu.module.control_sets import LANES, ControlSets
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.flags import Flags
from cmis_emu.module.profile import Profile
from cmis_emu.module.states import OPERATING, STEADY, DpState, MsmState
from cmis_emu.physics.plant import ModulePlant, Quantity
from cmis_emu.registers.memory import Cell, Memory, Write

LOS_ASSERT_NS = 100 * NS_PER_US
LOS_DEASSERT_NS = NS_PER_MS


class HostOutput(Enum):
    """What the module drives towards the host on one lane."""

    OFF = "off"
    NOISE = "noise"
    SIGNAL = "signal"


class BankFrame(Protocol):
    """What a bank asks of its module."""

    clock: Clock

    def msm_state(self) -> MsmState: ...
    def low_pwr_s(self) -> bool: ...
    def settle(self) -> None: ...


_TRANSIENT_NAMES = {
    DpState.INIT: "DPInit",
    DpState.DEINIT: "DPDeinit",
    DpState.TX_TURN_ON: "DPTxTurnOn",
    DpState.TX_TURN_OFF: "DPTxTurnOff",
}

_CONTROLS = (
    "DPDeinitLane",
    "OutputDisableTx",
    "AutoSquelchDisableTx",
    "OutputSquelchForceTx",
    "OutputDisableRx",
    "AutoSquelchDisableRx",
)


class _Lock:
    """A clock recovery circuit: unlocked without a signal, locked some time after one came."""

    __slots__ = ("locked", "timer")

    def __init__(self) -> None:
        self.locked = False
        self.timer: Event | None = None

    def drop(self) -> None:
        self.locked = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class LaneBank:
    """Eight host lanes and up to eight media lanes. Lanes are 1-based within the bank."""

    OWNS = (
        *_CONTROLS,
        "DPStateHostLane",
        "DPInitPendingLane",
        "OutputStatusRx",
        "OutputStatusTx",
        "LOSFlagTx",
        "CDRLOLFlagTx",
        "LOSFlagRx",
        "CDRLOLFlagRx",
        "FailureFlagTx",
        "DPStateChangedFlag",
        "OutputStatusChangedFlagRx",
    )

    def __init__(
        self, memory: Memory, profile: Profile, frame: BankFrame, flags: Flags, plant: ModulePlant, bank: int
    ) -> None:
        self.clock = frame.clock
        self.bank = bank
        self.paths: list[DataPath] = []
        self._profile = profile
        self._frame = frame
        self._flags = flags
        self._plant = plant
        self._first = 8 * bank
        unsupported = memory.cell("MediaLaneUnsupported").bits()
        self.media_lanes = tuple(n for n in LANES if not unsupported >> (n - 1) & 1)
        self.control: dict[str, Cell] = {name: memory.cell(name, bank) for name in _CONTROLS}
        self._cells: dict[str, Cell] = {name: memory.cell(name, bank) for name in self.OWNS if name not in _CONTROLS}
        for cell in self.control.values():
            if cell.implemented:
                cell.page.hooks[cell.address - cell.page.first] = self._control_written
        self.sets = ControlSets(memory, profile, self, bank)
        self._host_signal = 0xFF
        self._rx_status = 0
        self._emitting = 0
        self._settled_tx = 0
        self._settle_timers: dict[int, Event] = {}
        self._los = 0
        self._los_timers: dict[int, Event] = {}
        self._look: Event | None = None
        self._rx = {lane: _Lock() for lane in self.media_lanes}
        self._tx = {lane: _Lock() for lane in LANES}
        self._los_trip_w = (plant.parameters.los_assert_w, plant.parameters.los_deassert_w)

    # -- control sets ask ----------------------------------------------------------------------

    def settle(self) -> None:
        """Let the whole module come to rest."""
        self._frame.settle()

    def rebuild(self, *, initial: bool = False, pending: Sequence[int] = ()) -> None:
        """Make the data paths fit the active set: keep those that stay, start new ones (DP-17).

        Those on the lanes of `pending` wait for an initialisation from now on (CFG-07).
        """
        active = self.sets.active
        wanted: dict[tuple[int, int], list[int]] = {}
        for lane in LANES:
            app_sel, path_id = active.config(lane)
            if app_sel:
                wanted.setdefault((path_id, app_sel), []).append(lane)
        kept: list[DataPath] = []
        old = {p.host_lanes: p for p in self.paths}
        staying = {
            p.host_lanes: p.media_lanes
            for p in self.paths
            if p.state is not DpState.DEACTIVATED
            and wanted.get((p.data_path_id, p.application.app_sel)) == list(p.host_lanes)
        }
        taken = list(staying.values())  # a data path at work keeps its media lanes
        for (_, app_sel), lanes in sorted(wanted.items()):
            application = self._profile.application(app_sel)
            if application is None:
                continue
            media = staying.get(tuple(lanes))
            if media is None:
                media = self._profile.media_lanes(application, lanes[0], taken) or ()
                taken.append(media)
            path = old.pop(tuple(lanes), None)
            if path is None:
                path = DataPath(self, application, tuple(lanes), media)
            else:
                path.application, path.media_lanes = application, media
            kept.append(path)
        for gone in old.values():
            gone.close()
        self.paths = kept
        for path in kept:
            path.init_pending |= not set(pending).isdisjoint(path.host_lanes)
        if not initial:
            self._show_states()

    # -- data path frame (the conditions of DP-02 to DP-04) --------------------------------------

    def deinit_s(self, path: DataPath) -> bool:
        """DPDeinitS."""
        return (
            self._frame.msm_state() is not MsmState.READY
            or self._frame.low_pwr_s()
            or self._any("DPDeinitLane", path.host_lanes)
        )

    def redeinit_s(self, path: DataPath) -> bool:
        """DPReDeinitS."""
        return self.deinit_s(path) or (path.init_pending and self.sets.regular_reconfiguration)

    def deactivate_s(self, path: DataPath) -> bool:
        """DPDeactivateS."""
        return (
            self.redeinit_s(path)
            or self._any("OutputDisableTx", path.media_lanes)
            or self._any("OutputSquelchForceTx", path.media_lanes)
        )

    def configuring(self, path: DataPath) -> bool:
        """True while a lane of the path shows ConfigInProgress."""
        return self.sets.in_progress(path.host_lanes)

    def dpsm_duration_ns(self, state: DpState) -> int:
        """How long the transient state lasts here; below the advertised maximum (DP-12)."""
        return self._profile.durations_ns.get(_TRANSIENT_NAMES[state], 0)

    def dpsm_flagged(self, transient: DpState) -> bool:
        """DP-13: was the steady state reached through a transient with a non-zero advertised maximum?"""
        return bool(self._profile.duration_code(_TRANSIENT_NAMES[transient]))

    def dpsm_entered(self, path: DataPath) -> None:
        """Mirror the state to the host lanes."""
        self._show_states()

    def dpsm_changed_flag(self, path: DataPath) -> None:
        """DPStateChangedFlag of every host lane of the path."""
        self._flags.latch(self._cells["DPStateChangedFlag"], mask_of(path.host_lanes))

    def _any(self, control: str, lanes: Sequence[int]) -> bool:
        return bool(self.control[control].bits() & mask_of(lanes))

    def _show_states(self) -> None:
        """DPStateHostLane and DPInitPendingLane; unused lanes are DPDeactivated (DP-01, APP-07)."""
        states = dict.fromkeys(LANES, DpState.DEACTIVATED)
        pending = 0
        for path in self.paths:
            for lane in path.host_lanes:
                states[lane] = path.state
            if path.init_pending:
                pending |= mask_of(path.host_lanes)
        for lane, state in states.items():
            self._cells["DPStateHostLane"].set(state, lane)
        if self._cells["DPInitPendingLane"].implemented:
            self._cells["DPInitPendingLane"].set_bits(pending)

    # -- life --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Everything to its default; data paths cease and the default ones appear (RST-05, DP-18)."""
        for path in self.paths:
            path.close()
        self.paths = []
        for timer in (*self._settle_timers.values(), *self._los_timers.values()):
            timer.cancel()
        self._settle_timers.clear()
        self._los_timers.clear()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self._settled_tx = self._los = self._rx_status = 0
        for lock in (*self._rx.values(), *self._tx.values()):
            lock.drop()
        self.sets.reset()
        self.rebuild(initial=True)
        self._show_states()
        self.silence()

    def close(self) -> None:
        """The module is gone: leave no timer and no state machine behind."""
        self.reset()
        for path in self.paths:
            path.close()
        self.paths = []

    def silence(self) -> None:
        """All lasers off at once: reset, fault, loss of power."""
        for lane in self.media_lanes:
            self._plant.set_emitting(self._first + lane, False)
        self._emitting = 0

    def freeze(self) -> None:
        """Module fault: data paths stay as they are, their outputs go quiet (MSM-09, DP-18)."""
        for path in self.paths:
            path.freeze()
        self.sets.freeze()

    def busy(self) -> bool:
        """True while a data path is in a transient state or being configured, or an output is settling."""
        if self._frame.msm_state() is MsmState.FAULT:
            return False
        moving = any(p.state not in STEADY or self.configuring(p) for p in self.paths)
        return moving or self.sets.in_progress(LANES) or bool(self._settle_timers)

    def deactivated(self) -> bool:
        """True when every data path is in DPDeactivated (MSM-03)."""
        return all(p.state is DpState.DEACTIVATED for p in self.paths)

    def settle_paths(self) -> bool:
        """Move every data path as far as it goes now; True if one moved."""
        moved = [path.settle() for path in self.paths]
        return any(moved)

    def set_host_signal(self, lane: int, present: bool) -> None:
        """The host drives (or not) a good electrical signal into host lane `lane`."""
        bit = 1 << (lane - 1)
        self._host_signal = self._host_signal | bit if present else self._host_signal & ~bit
        self._frame.settle()

    @property
    def host_signal(self) -> int:
        """Bit mask of the host lanes that carry a good signal from the host."""
        return self._host_signal

    def _control_written(self, _: Write) -> None:
        self._frame.settle()

    # -- signals ---------------------------------------------------------------------------------

    def path_of_media(self, lane: int) -> DataPath | None:
        """The data path that uses a media lane."""
        return next((p for p in self.paths if lane in p.media_lanes), None)

    def path_of_host(self, lane: int) -> DataPath | None:
        """The data path that uses a host lane."""
        return next((p for p in self.paths if lane in p.host_lanes), None)

    def update_signals(self) -> bool:
        """Bring outputs, LOS, LOL and their flags in line with states, controls and light, now.

        True when an output was switched or became valid, which other readings depend on.
        """
        before = self._emitting, self._settled_tx
        ready = self._frame.msm_state() is MsmState.READY
        operating = [p for p in self.paths if ready and p.state in OPERATING]
        host_ok = mask_of([lane for p in operating for lane in p.host_lanes])
        media_ok = mask_of([lane for p in operating for lane in p.media_lanes])
        tx_los = host_ok & ~self._host_signal
        self._update_los(ready)
        self._update_locks(ready)
        self._update_emission(media_ok, tx_los)
        unlocked_tx = sum(1 << (n - 1) for n, lock in self._tx.items() if not lock.locked)
        unlocked_rx = sum(1 << (n - 1) for n, lock in self._rx.items() if not lock.locked)
        flags, cells = self._flags, self._cells
        flags.level(cells["LOSFlagTx"], tx_los)
        flags.level(cells["CDRLOLFlagTx"], host_ok & unlocked_tx)
        flags.level(cells["LOSFlagRx"], self._los if ready else 0)
        flags.level(cells["CDRLOLFlagRx"], media_ok & unlocked_rx)
        flags.level(cells["FailureFlagTx"], self._failed())
        self._update_rx_output(host_ok, unlocked_rx)
        return before != (self._emitting, self._settled_tx)

    def active_lanes(self) -> tuple[int, int]:
        """Host and media lanes whose circuits are powered by a data path; they make heat."""
        working = [p for p in self.paths if self._powered(p)]
        return sum(len(p.host_lanes) for p in working), sum(len(p.media_lanes) for p in working)

    def _update_emission(self, media_ok: int, tx_los: int) -> None:
        """DP-08: which media lanes emit. Disable, forced and auto squelch; quiet outside operation."""
        off = self.control["OutputDisableTx"].bits() | self.control["OutputSquelchForceTx"].bits()
        automatic = ~self.control["AutoSquelchDisableTx"].bits() if self._profile.squelches_tx else 0
        for path in self.paths:
            for lane in path.media_lanes:
                if tx_los & mask_of(path.host_lanes_of(lane)) and automatic >> (lane - 1) & 1:
                    off |= 1 << (lane - 1)
        wanted = media_ok & ~off
        for lane in self.media_lanes:
            bit = 1 << (lane - 1)
            if (wanted ^ self._emitting) & bit:
                on = bool(wanted & bit)
                self._emitting ^= bit
                self._settled_tx &= ~bit
                timer = self._settle_timers.pop(lane, None)
                if timer is not None:
                    timer.cancel()
                if on:
                    delay = round(self._profile.behaviour.tx_settle_ms * NS_PER_MS)
                    self._settle_timers[lane] = self.clock.after(delay, partial(self._tx_settled, lane))
                self._plant.set_emitting(self._first + lane, on)
        status = self._cells["OutputStatusTx"]
        if status.implemented:
            status.set_bits(self._emitting & self._settled_tx)

    def _tx_settled(self, lane: int) -> None:
        self._settle_timers.pop(lane, None)
        self._settled_tx |= 1 << (lane - 1)
        self._frame.settle()

    def tx_valid(self, lane: int) -> bool:
        """True when the media output carries a valid, settled signal (OutputStatusTx)."""
        return bool(self._emitting & self._settled_tx & (1 << (lane - 1)))

    def _failed(self) -> int:
        """Media lanes whose laser is driven but dead (FailureFlagTx)."""
        return sum(
            1 << (lane - 1)
            for lane in self.media_lanes
            if self._emitting >> (lane - 1) & 1 and self._plant.laser_failed(self._first + lane)
        )

    def _update_rx_output(self, host_ok: int, unlocked_rx: int) -> None:
        """DP-10, DP-11: OutputStatusRx and the flag of its changes."""
        valid = 0
        for path in self.paths:
            for lane in path.host_lanes:
                media = path.media_lane_of(lane) if path.media_lanes else 0
                if media and not unlocked_rx >> (media - 1) & 1:
                    valid |= 1 << (lane - 1)
        valid &= host_ok & ~self.control["OutputDisableRx"].bits()
        cell = self._cells["OutputStatusRx"]
        changed = (valid ^ self._rx_status) & host_ok
        self._rx_status = valid
        if cell.implemented:
            cell.set_bits(valid)
        if changed:
            self._flags.latch(self._cells["OutputStatusChangedFlagRx"], changed)

    def host_output(self, lane: int) -> HostOutput:
        """What host lane `lane` receives from the module (AUX-01)."""
        path = self.path_of_host(lane)
        bit = 1 << (lane - 1)
        if (
            path is None
            or path.state not in OPERATING
            or not path.media_lanes
            or self.control["OutputDisableRx"].bits() & bit
        ):
            return HostOutput.OFF
        if self._rx_status & bit:
            return HostOutput.SIGNAL
        dark = self._los >> (path.media_lane_of(lane) - 1) & 1
        squelched = dark and not self.control["AutoSquelchDisableRx"].bits() & bit
        return HostOutput.OFF if squelched else HostOutput.NOISE

    # -- loss of signal, loss of lock --------------------------------------------------------------

    def _update_los(self, powered: bool) -> None:
        """Rx LOS with hysteresis on average power; looks again when a drift may reach the other threshold."""
        now = self.clock.now_ns
        soonest: int | None = None
        for lane in self.media_lanes:
            bit = 1 << (lane - 1)
            lost = bool(self._los & bit)
            if not powered:
                self._cancel_los(lane)
                self._los &= ~bit
                continue
            light = self._plant.trend(Quantity.RX_POWER, self._first + lane, now)
            change = light.value < self._los_trip_w[0] if not lost else light.value > self._los_trip_w[1]
            if change and lane not in self._los_timers:
                delay = LOS_DEASSERT_NS if lost else LOS_ASSERT_NS
                self._los_timers[lane] = self.clock.after(delay, partial(self._los_flips, lane))
            elif not change:
                self._cancel_los(lane)
                margin = abs(light.value - self._los_trip_w[lost])
                if light.remaining > margin and light.rate > 0:
                    look = now + max(NS_PER_MS, round(margin / light.rate * 1e9))
                    soonest = look if soonest is None else min(soonest, look)
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if soonest is not None:
            self._look = self.clock.at(soonest, self._frame.settle)

    def _cancel_los(self, lane: int) -> None:
        timer = self._los_timers.pop(lane, None)
        if timer is not None:
            timer.cancel()

    def _los_flips(self, lane: int) -> None:
        self._los_timers.pop(lane, None)
        self._los ^= 1 << (lane - 1)
        self._frame.settle()

    def _update_locks(self, ready: bool) -> None:
        """Clock recovery runs where a data path is initialised and a signal is there."""
        behaviour = self._profile.behaviour
        for lane, lock in self._rx.items():
            path = self.path_of_media(lane)
            light = ready and not self._los >> (lane - 1) & 1
            self._drive(lock, light and self._powered(path), behaviour.rx_acquisition_ms)
        for lane, lock in self._tx.items():
            path = self.path_of_host(lane)
            self._drive(
                lock,
                bool(self._host_signal >> (lane - 1) & 1) and self._powered(path),
                behaviour.tx_acquisition_ms,
            )

    @staticmethod
    def _powered(path: DataPath | None) -> bool:
        return path is not None and path.state not in (DpState.DEACTIVATED, DpState.DEINIT)

    def _drive(self, lock: _Lock, signal: bool, acquisition_ms: float) -> None:
        if not signal:
            lock.drop()
        elif not lock.locked and lock.timer is None:
            lock.timer = self.clock.after(round(acquisition_ms * NS_PER_MS), partial(self._locked, lock))

    def _locked(self, lock: _Lock) -> None:
        lock.timer = None
        lock.locked = True
        self._frame.settle()
