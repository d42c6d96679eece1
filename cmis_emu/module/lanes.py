"""One bank of eight lanes: its data paths and the direct lane controls (DP-01 to DP-19, CFG-16).

Owns the direct controls of page 10h and DPStateHostLane; the control sets, the input equalisers, the
signals of the lanes and their diagnostics are parts of it with files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cmis_emu.clock import Clock
from cmis_emu.layouts.application import mask_of
from cmis_emu.module.control_sets import LANES, ControlSets
from cmis_emu.module.diagnostics.controller import Diagnostics
from cmis_emu.module.diagnostics.lane_bench import LaneBench
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.equaliser import InputEqualiser
from cmis_emu.module.faults.applying import ApplyFaults
from cmis_emu.module.faults.link import LinkFaults
from cmis_emu.module.faults.machines import PATH_FLAG, PENDING, Linger, MachineFaults, Skip
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.flags import Flags
from cmis_emu.module.network_path import NetworkPaths
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.signals import LaneSignals, is_powered
from cmis_emu.module.states import OPERATING, STEADY, DpState, MsmState, transient_name
from cmis_emu.module.timing import DataPathLatency
from cmis_emu.module.tuning.controller import LaserTuning
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.memory import Cell, Memory, Write


class BankFrame(Protocol):
    """What a bank asks of its module."""

    clock: Clock
    faults: ModuleFaults

    def msm_state(self) -> MsmState: ...
    def low_pwr_s(self) -> bool: ...
    def settle(self) -> None: ...


_CONTROLS = (
    "DPDeinitLane",
    "OutputDisableTx",
    "AutoSquelchDisableTx",
    "OutputSquelchForceTx",
    "OutputDisableRx",
    "AutoSquelchDisableRx",
    "InputPolarityFlipTx",
    "OutputPolarityFlipRx",
)


class LaneBank:
    """Eight host lanes and up to eight media lanes. Lanes are 1-based within the bank."""

    OWNS = (
        *_CONTROLS,
        "DPStateHostLane",
        "DPInitPendingLane",
        "DPStateChangedFlag",
    )

    def __init__(
        self, memory: Memory, profile: Profile, frame: BankFrame, flags: Flags, plant: ModulePlant, bank: int
    ) -> None:
        self.clock = frame.clock
        self.bank = bank
        self.path_kind = "DP"
        self.paths: list[DataPath] = []
        self._profile = profile
        self._frame = frame
        self._flags = flags
        unsupported = memory.cell("MediaLaneUnsupported").bits()
        self.media_lanes = tuple(n for n in LANES if not unsupported >> (n - 1) & 1)
        self.control: dict[str, Cell] = {name: memory.cell(name, bank) for name in _CONTROLS}
        self._cells: dict[str, Cell] = {name: memory.cell(name, bank) for name in self.OWNS if name not in _CONTROLS}
        for cell in self.control.values():
            if cell.implemented:
                cell.page.hooks[cell.address - cell.page.first] = self._control_written
        self.sets = ControlSets(memory, profile, self, bank)
        self._one_disables_all = bool(profile.registers.get("TxDisableIsModuleWide", 0))
        equaliser = InputEqualiser(memory, profile, self.sets.active, frame.clock, frame.settle, bank)
        self.equaliser = equaliser
        here = memory.has("NPStateHostLane")
        self.network = NetworkPaths(memory, profile, self, flags, bank) if here else None
        self.latency = DataPathLatency(memory, profile.latency, plant.seed, bank)
        self.tuning: LaserTuning | None = None
        if profile.tuning is not None and self.media_lanes:
            self.tuning = LaserTuning(memory, profile.tuning, self, flags, plant, frame.faults.tuning)
        self.signals = LaneSignals(memory, profile, self, equaliser, flags, plant)
        self._bench: LaneBench | None = None
        self.diagnostics: Diagnostics | None = None
        if memory.has("DiagnosticsSelector"):
            self._add_diagnostics(memory, plant)

    def _add_diagnostics(self, memory: Memory, plant: ModulePlant) -> None:
        routes, recovery = self.signals.routes, self.signals.recovery
        self._bench = LaneBench(self._profile, self, routes, recovery, plant)
        self.diagnostics = Diagnostics(
            memory,
            self._profile,
            self.clock,
            self._flags,
            self._bench,
            seed=plant.seed,
            bank=self.bank,
            media_lanes=self.media_lanes,
            faults=self._frame.faults.diagnostics,
            misreads=self._frame.faults.monitors,
        )
        routes.test = self.diagnostics

    @property
    def faults(self) -> ModuleFaults:
        """The seams of the module."""
        return self._frame.faults

    @property
    def machines(self) -> MachineFaults:
        """The seam of the module's state machines."""
        return self._frame.faults.machines

    @property
    def applying(self) -> ApplyFaults:
        """The seam of the module's control sets."""
        return self._frame.faults.applying

    @property
    def linking(self) -> LinkFaults:
        """The seam of the module's optical lanes."""
        return self._frame.faults.links

    def module_state(self) -> str:
        """The module's state by the standard's name."""
        return self._frame.msm_state().value

    def lanes_of(self, path: DataPath) -> frozenset[int]:
        """Host lanes of a path as the module counts them."""
        return frozenset(8 * self.bank + lane for lane in path.host_lanes)

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
        taken = [*staying.values(), *self.shared_media()]  # a path at work keeps its media lanes
        for (_, app_sel), lanes in sorted(wanted.items()):
            application = self._profile.application(app_sel)
            if application is None:
                continue
            media = staying.get(tuple(lanes))
            if media is None:
                media = self._profile.media_lanes(application, lanes[0], taken) or ()
                taken.append(media)
            path = old.pop(tuple(lanes), None)
            unchanged = path is not None and path.application is application
            if path is None:
                path = DataPath(self, application, tuple(lanes), media)
            else:
                path.assign(application, media)
            kept.append(path)
            if self.machines.rules and not set(pending).isdisjoint(lanes):
                path.pending_hidden = self.machines.hides(PENDING, self.lanes_of(path), unchanged=unchanged)
        for gone in old.values():
            gone.close()
        self.paths = kept
        for path in kept:
            path.init_pending |= not set(pending).isdisjoint(path.host_lanes)
        if self.network is not None and not initial:
            self.network.drop_unfit()
        if not initial:
            self.show_states()

    def committed(self, lanes: Sequence[int]) -> None:
        """Settings of these lanes reached the hardware without an initialisation (CFG-07)."""
        self.equaliser.commit(lane for lane in lanes if is_powered(self.path_of_host(lane)))

    # -- data path frame (the conditions of DP-02 to DP-04) --------------------------------------

    def deinit_s(self, path: DataPath) -> bool:
        """DPDeinitS."""
        return self.held_low() or self._any("DPDeinitLane", path.host_lanes)

    def redeinit_s(self, path: DataPath) -> bool:
        """DPReDeinitS."""
        return self.deinit_s(path) or (path.init_pending and self.sets.regular_reconfiguration)

    def deactivate_s(self, path: DataPath) -> bool:
        """DPDeactivateS."""
        return self.redeinit_s(path) or self.output_held(path.media_lanes)

    def configuring(self, path: DataPath) -> bool:
        """True while a lane of the path shows ConfigInProgress."""
        return self.sets.in_progress(path.host_lanes)

    def dpsm_duration_ns(self, state: DpState) -> int:
        """How long the transient state lasts here; below the advertised maximum (DP-12)."""
        return self._profile.durations_ns.get(transient_name(state), 0)

    def dpsm_flagged(self, transient: DpState) -> bool:
        """DP-13: was the steady state reached through a transient with a non-zero advertised maximum?"""
        return bool(self._profile.duration_code(transient_name(transient)))

    def dpsm_entered(self, path: DataPath) -> None:
        """Mirror the state to the host lanes; entering DPInit commits what was provisioned."""
        if path.state is DpState.INIT:
            self.equaliser.commit(path.host_lanes)
        if path.state is DpState.INITIALIZED:
            self.latency.measured(path.host_lanes)
        elif path.state not in OPERATING:
            self.latency.lost(path.host_lanes)
        self.show_states()

    def dpsm_changed_flag(self, path: DataPath) -> None:
        """DPStateChangedFlag of every host lane of the path."""
        if self.machines.rules and self.machines.hides(PATH_FLAG, self.lanes_of(path)):
            return
        self._flags.latch(self._cells["DPStateChangedFlag"], mask_of(path.host_lanes))

    # -- network path frame ------------------------------------------------------------------------

    def held_low(self) -> bool:
        """Not ready, or asked for low power: no path may be initialised (DP-02)."""
        return not self.ready() or self._frame.low_pwr_s()

    def output_held(self, media_lanes: Sequence[int]) -> bool:
        """DPTxDisableT or DPTxForceSquelchT (DP-04)."""
        return bool(self.disabled_tx() & mask_of(media_lanes)) or self._any("OutputSquelchForceTx", media_lanes)

    def reconfigures(self) -> bool:
        """Does a pending initialisation drive a path at work by itself (DP-03)?"""
        return self.sets.regular_reconfiguration

    def _any(self, control: str, lanes: Sequence[int]) -> bool:
        return bool(self.control[control].bits() & mask_of(lanes))

    def show_states(self) -> None:
        """DPStateHostLane and DPInitPendingLane; unused lanes are DPDeactivated (DP-01, APP-07)."""
        states = dict.fromkeys(LANES, DpState.DEACTIVATED)
        pending = 0
        for path in self.paths:
            for lane in path.host_lanes:
                states[lane] = path.state
            if path.init_pending and not path.pending_hidden:
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
        if self.network is not None:
            self.network.reset()
        self.sets.reset()
        self.rebuild(initial=True)
        self.show_states()
        if self.tuning is not None:
            self.tuning.reset()
        self.signals.reset()
        if self.diagnostics is not None:
            self.diagnostics.reset()

    def close(self) -> None:
        """The module is gone: leave no timer and no state machine behind."""
        self.reset()
        for path in self.paths:
            path.close()
        self.paths = []
        if self.network is not None:
            self.network.close()

    def freeze(self) -> None:
        """Module fault: data paths stay as they are, their outputs go quiet (MSM-09, DP-18)."""
        for path in self.paths:
            path.freeze()
        if self.network is not None:
            self.network.freeze()
        self.sets.freeze()
        if self.tuning is not None:
            self.tuning.freeze()
        self.signals.silence()

    def busy(self) -> bool:
        """True while a data path is in a transient state or being configured, or an output is settling."""
        if self._frame.msm_state() is MsmState.FAULT:
            return False
        moving = any(p.state not in STEADY or self.configuring(p) for p in self.paths)
        moving |= self.network is not None and self.network.busy()
        moving |= self.tuning is not None and self.tuning.busy()
        return moving or self.sets.in_progress(LANES) or self.signals.settling()

    def deactivated(self) -> bool:
        """True when every path is in Deactivated (MSM-03)."""
        quiet = self.network is None or self.network.deactivated()
        return quiet and all(p.state is DpState.DEACTIVATED for p in self.paths)

    def settle_paths(self) -> bool:
        """Move every data path as far as it goes now; True if one moved."""
        moved = [path.settle() for path in self.paths]
        if self.network is not None:
            moved.append(self.network.settle_paths())
        return any(moved)

    def update(self) -> bool:
        """Signals and tests follow states, controls and light, now; see `LaneSignals.update`."""
        if self.tuning is not None:
            self.tuning.update()
        switched = self.signals.update()
        if self.diagnostics is not None:
            self.diagnostics.update()
        return switched

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if isinstance(rule, (Linger, Skip)):
            for path in self.carriers():
                path.refault(rule, armed)
                path.pending_hidden &= armed
            self.show_states()
        self.sets.refault(rule, armed)
        self.signals.refault(rule, armed)
        if self.tuning is not None:
            self.tuning.refault(rule, armed)
        if self.diagnostics is not None:
            self.diagnostics.refault(rule, armed)

    def settled(self) -> None:
        """The module came to rest."""
        if self._bench is not None:
            self._bench.settled()

    def _control_written(self, _: Write) -> None:
        self._frame.settle()

    # -- what its signals ask --------------------------------------------------------------------

    def ready(self) -> bool:
        """True in ModuleReady."""
        return self._frame.msm_state() is MsmState.READY

    def tuning_lanes(self) -> int:
        """Media lanes (mask) whose laser is between two frequencies, and gives no light."""
        return 0 if self.tuning is None else self.tuning.moving()

    def disabled_tx(self) -> int:
        """Media lanes (mask) that OutputDisableTx switches off; all where one disables all."""
        disabled = self.control["OutputDisableTx"].bits()
        here = disabled & mask_of(self.media_lanes)  # bits of lanes that are not there mean nothing
        return 0xFF if here and self._one_disables_all else disabled

    def carriers(self) -> list[DataPath]:
        """The paths that have media lanes: data paths of their own, and network paths."""
        return [*self.paths, *(self.network.paths if self.network is not None else ())]

    def shared_media(self) -> list[tuple[int, ...]]:
        """Media lanes that network paths have."""
        return [p.media_lanes for p in self.network.paths] if self.network is not None else []

    def path_of_media(self, lane: int) -> DataPath | None:
        """The path that uses a media lane."""
        return next((p for p in self.carriers() if lane in p.media_lanes), None)

    def carrier_of_host(self, lane: int) -> DataPath | None:
        """The path that takes a host lane's signal to the media: its data path, or its network path."""
        path = self.path_of_host(lane)
        shared = path is not None and path.application.network_path
        return self.network.of_host(lane) if shared and self.network is not None else path

    def path_of_host(self, lane: int) -> DataPath | None:
        """The data path that uses a host lane."""
        return next((p for p in self.paths if lane in p.host_lanes), None)

    def active_lanes(self) -> tuple[int, int]:
        """Host and media lanes whose circuits are powered by a data path; they make heat."""
        host = sum(len(p.host_lanes) for p in self.paths if is_powered(p))
        return host, sum(len(p.media_lanes) for p in self.carriers() if is_powered(p))
