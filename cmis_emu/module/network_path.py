"""Network paths: several host paths that share one path on the media side (pages 16h and 17h, rule NP-01).

Owns both pages. A network path moves through the same states as a data path, with controls of its own; what it
carries are data paths of applications that the module offers for it. Those keep their own state machines and
have no media lanes themselves: the network path has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cmis_emu.clock import Clock
from cmis_emu.layouts.application import lanes_of, mask_of
from cmis_emu.module.control_sets import LANES
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.faults.machines import MachineFaults
from cmis_emu.module.flags import Flags
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.states import STEADY, ConfigStatus, DpState, transient_name
from cmis_emu.registers.memory import Cell, Memory, Write

_SETS = ("SCS0", "SCS1")


class NetworkFrame(Protocol):
    """The lane bank, as network paths see it."""

    clock: Clock
    paths: list[DataPath]

    @property
    def machines(self) -> MachineFaults: ...

    def held_low(self) -> bool: ...
    def output_held(self, media_lanes: Sequence[int]) -> bool: ...
    def reconfigures(self) -> bool: ...
    def settle(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """One judged trigger: lanes, the code they will get, and what the staged set said of them."""

    lanes: tuple[int, ...]
    code: ConfigStatus
    staged: dict[int, tuple[int, int]]  # lane -> (NPID, NPInUse)


class NetworkPaths:
    """The network paths of one bank; lanes are 1-based host lanes."""

    OWNS = (
        *(f"{s}.{f}" for s in (*_SETS, "ACS") for f in ("NPIDLane", "NPInUseLane")),
        *(f"{s}.ApplyNPInitLane" for s in _SETS),
        "NPDeinitLane",
        "HPSourceRx",
        "NPSourceTx",
        "NPConfigStatusLane",
        "NPStateHostLane",
        "NPInitPendingLane",
        "NPStateChangedFlag",
    )

    def __init__(self, memory: Memory, profile: Profile, frame: NetworkFrame, flags: Flags, bank: int) -> None:
        self.clock = frame.clock
        self.bank = bank
        self.path_kind = "NP"
        self.paths: list[DataPath] = []
        self._profile = profile
        self._frame = frame
        self._flags = flags
        self._cells: dict[str, Cell] = {name: memory.cell(name, bank) for name in self.OWNS}
        self._in_progress = 0
        self._serial = 0
        self._frozen = False
        for name in ("NPDeinitLane", "HPSourceRx", "NPSourceTx"):
            cell = self._cells[name]
            cell.page.hooks[cell.slots[0][0]] = self._written
        for prefix in _SETS:
            cell = self._cells[f"{prefix}.ApplyNPInitLane"]
            if cell.implemented:
                cell.page.hooks[cell.slots[0][0]] = partial(self._triggered, prefix, cell.address)
        registers = profile.registers.get
        self._replaces_rx = bool(registers("ReplaceHPSignalRxSupported", 0))
        self._replaces_tx = bool(registers("ReplaceHPSignalTxSupported", 0))

    # -- life --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """No network path is in use; the registers are at their defaults already."""
        self.close()
        self._in_progress = 0
        self._serial += 1
        self._frozen = False
        for lane in LANES:
            self._cells["NPConfigStatusLane"].set(self._profile.behaviour.initial_config_status, lane)
        self._show()

    def close(self) -> None:
        """Leave no timer behind."""
        for path in self.paths:
            path.close()
        self.paths = []

    def freeze(self) -> None:
        """Module fault: nothing moves any more (DP-18)."""
        self._serial += 1
        self._frozen = True
        for path in self.paths:
            path.freeze()

    def settle_paths(self) -> bool:
        """Move every network path as far as it goes now; True if one moved."""
        moved = [path.settle() for path in self.paths]
        return any(moved)

    def busy(self) -> bool:
        """True while one is in a transient state or being configured."""
        return bool(self._in_progress) or any(p.state not in STEADY for p in self.paths)

    def deactivated(self) -> bool:
        """True when every one is in NPDeactivated."""
        return all(p.state is DpState.DEACTIVATED for p in self.paths)

    def of_host(self, lane: int) -> DataPath | None:
        """The network path that a host lane belongs to."""
        return next((p for p in self.paths if lane in p.host_lanes), None)

    def replaced_rx(self, lane: int) -> bool:
        """The host lane gets a signal made here instead of what came from the media."""
        return self._replaces_rx and bool(self._cells["HPSourceRx"].get(lane))

    def replaced_tx(self, lane: int) -> bool:
        """The media gets a signal made here instead of what this host lane brings."""
        return self._replaces_tx and bool(self._cells["NPSourceTx"].get(lane))

    def _written(self, _: Write) -> None:
        self._frame.settle()

    # -- apply ---------------------------------------------------------------------------------------

    def _triggered(self, prefix: str, address: int, write: Write) -> None:
        mask = write.byte_at(address)
        if not mask or self._frozen:
            return
        lanes = lanes_of(mask)
        touched = [p for p in self.paths if set(p.host_lanes) & set(lanes)]
        if self._in_progress & mask or any(p.state not in STEADY for p in touched):
            return  # as CFG-03: silently ignored
        staged = {
            lane: (
                self._cells[f"{prefix}.NPIDLane"].get(lane),
                self._cells[f"{prefix}.NPInUseLane"].get(lane),
            )
            for lane in lanes
        }
        for lane in lanes:
            self._cells["NPConfigStatusLane"].set(ConfigStatus.IN_PROGRESS, lane)
        self._in_progress |= mask
        change = NetworkChange(lanes, self._judge(staged, touched), staged)
        self.clock.after(self._profile.behaviour.config_ns, partial(self._finish, change, self._serial))

    def _judge(self, staged: dict[int, tuple[int, int]], touched: list[DataPath]) -> ConfigStatus:
        """As CFG-08: one code for all lanes of the trigger, since they share media lanes."""
        for path in touched:
            if any(lane not in staged for lane in path.host_lanes):
                return ConfigStatus.PARTIAL_DATA_PATH
            same = {staged[lane] for lane in path.host_lanes} == {(path.data_path_id, 1)}
            if not same and path.state is not DpState.DEACTIVATED:
                return ConfigStatus.LANES_IN_USE
        taken = [p.media_lanes for p in (*self._frame.paths, *self.paths) if p not in touched and p.media_lanes]
        for number in sorted({npid for npid, used in staged.values() if used}):
            lanes = tuple(lane for lane, (npid, used) in staged.items() if used and npid == number)
            carried = [p for p in self._frame.paths if set(p.host_lanes) & set(lanes)]
            if {lane for p in carried for lane in p.host_lanes} != set(lanes):
                return ConfigStatus.PARTIAL_DATA_PATH
            applications = {p.application for p in carried}
            if number != lanes[0] - 1 or len(applications) != 1:
                return ConfigStatus.INVALID_DATA_PATH
            media = applications.pop().shared_media_lanes
            if not media or any(set(media) & set(other) for other in taken):
                return ConfigStatus.INVALID_DATA_PATH
            taken.append(media)
        return ConfigStatus.SUCCESS

    def _finish(self, change: NetworkChange, serial: int) -> None:
        if serial != self._serial:
            return  # a reset or a fault came in between
        self._in_progress &= ~mask_of(change.lanes)
        if change.code is ConfigStatus.SUCCESS:
            for lane, (npid, used) in change.staged.items():
                self._cells["ACS.NPIDLane"].set(npid if used else 0, lane)
                self._cells["ACS.NPInUseLane"].set(used, lane)
            self._rebuild(change.lanes)
        for lane in change.lanes:
            self._cells["NPConfigStatusLane"].set(change.code, lane)
        self._frame.settle()

    def _rebuild(self, pending: Sequence[int]) -> None:
        """Make the network paths fit the active set; those on `pending` lanes wait for an initialisation."""
        old = {p.host_lanes: p for p in self.paths}
        self.paths = []
        numbers = {n: self._cells["ACS.NPIDLane"].get(n) for n in LANES if self._cells["ACS.NPInUseLane"].get(n)}
        for number in sorted(set(numbers.values())):
            lanes = tuple(lane for lane, npid in numbers.items() if npid == number)
            carried = next(p for p in self._frame.paths if p.host_lanes[0] == lanes[0])
            path = old.pop(lanes, None)
            if path is None:
                path = DataPath(self, carried.application, lanes, carried.application.shared_media_lanes)
            path.init_pending |= not set(pending).isdisjoint(lanes)
            self.paths.append(path)
        for gone in old.values():
            gone.close()
        self._show()

    def drop_unfit(self) -> None:
        """The data paths changed: a network path whose host paths are gone ceases (DP-17)."""
        for path in list(self.paths):
            carried = {lane for p in self._frame.paths if p.application == path.application for lane in p.host_lanes}
            if not set(path.host_lanes) <= carried:
                for lane in path.host_lanes:
                    self._cells["ACS.NPIDLane"].set(0, lane)
                    self._cells["ACS.NPInUseLane"].set(0, lane)
                path.close()
                self.paths.remove(path)
        self._show()

    # -- the frame of its state machines -------------------------------------------------------------

    @property
    def machines(self) -> MachineFaults:
        """The seam of the module's state machines."""
        return self._frame.machines

    def deinit_s(self, path: DataPath) -> bool:
        """NPDeinitS: as DPDeinitS, with NPDeinitLane."""
        return self._frame.held_low() or bool(self._cells["NPDeinitLane"].bits() & mask_of(path.host_lanes))

    def redeinit_s(self, path: DataPath) -> bool:
        """NPReDeinitS."""
        return self.deinit_s(path) or (path.init_pending and self._frame.reconfigures())

    def deactivate_s(self, path: DataPath) -> bool:
        """NPDeactivateS: the media lanes' output controls belong to the network path."""
        return self.redeinit_s(path) or self._frame.output_held(path.media_lanes)

    def configuring(self, path: DataPath) -> bool:
        """True while a lane shows ConfigInProgress."""
        return bool(self._in_progress & mask_of(path.host_lanes))

    def dpsm_duration_ns(self, state: DpState) -> int:
        """How long the transient state lasts here."""
        return self._profile.durations_ns.get(transient_name(state, "NP"), 0)

    def dpsm_flagged(self, transient: DpState) -> bool:
        """As DP-13."""
        return bool(self._profile.duration_code(transient_name(transient, "NP")))

    def dpsm_entered(self, path: DataPath) -> None:
        """Mirror the state to the host lanes."""
        self._show()

    def dpsm_changed_flag(self, path: DataPath) -> None:
        """NPStateChangedFlag of every host lane of the path."""
        self._flags.latch(self._cells["NPStateChangedFlag"], mask_of(path.host_lanes))

    def settle(self) -> None:
        """Let the whole module come to rest."""
        self._frame.settle()

    def _show(self) -> None:
        states = dict.fromkeys(LANES, DpState.DEACTIVATED)
        pending = 0
        for path in self.paths:
            states |= dict.fromkeys(path.host_lanes, path.state)
            if path.init_pending:
                pending |= mask_of(path.host_lanes)
        for lane, state in states.items():
            self._cells["NPStateHostLane"].set(state, lane)
        self._cells["NPInitPendingLane"].set_bits(pending)
