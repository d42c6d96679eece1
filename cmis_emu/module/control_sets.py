"""Staged and active control sets of one bank: apply, validation, commissioning (rules CFG-01 to CFG-16).

Owns SCS0, SCS1, ACS and the triggers. A trigger is judged per data path: what the host
staged for the lanes of its mask is grouped into requested data paths; requests that share an existing
data path stand or fall together, so that the active set never holds half a data path. The data paths
themselves belong to the lane bank, which is told to rebuild after a change (`rebuild`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Protocol

from cmis_emu.clock import Clock
from cmis_emu.layouts.application import Application, lanes_of, mask_of
from cmis_emu.module.config_status import StatusBoard
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.faults.applying import Apply, ApplyFaults, Harm, Report, SideEffect
from cmis_emu.module.faults.seam import Rule, lanes_in
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.states import STEADY, ConfigStatus, DpState
from cmis_emu.registers.memory import Cell, Memory, Write

LANES = range(1, 9)

TX_SETTINGS = (
    "AdaptiveInputEqEnableTx",
    "AdaptiveInputEqRecallTx",
    "HostControlledInputEqTargetTx",
    "CDREnableTx",
)
RX_SETTINGS = (
    "CDREnableRx",
    "OutputEqPreCursorTargetRx",
    "OutputEqPostCursorTargetRx",
    "OutputAmplitudeTargetRx",
)
RECALL = "AdaptiveInputEqRecallTx"
ACTIVE_NAME = {RECALL: "AdaptiveInputEqRecalledTx"}  # the active set tells what was recalled


class Trigger(Enum):
    """The four ways to apply a staged set: field name and what it may change."""

    DP_INIT = "ApplyDPInitLane"
    IMMEDIATE = "ApplyImmediateLane"
    IMMEDIATE_TX = "ApplyImmediateTx"
    IMMEDIATE_RX = "ApplyImmediateRx"


DIRECTIONS = ("ACS.DPConfigTxLane", "ACS.DPConfigRxLane")
"""The active configuration of each direction, where one can be applied alone (page 19h, CFG-11)."""

_SETTINGS = {
    Trigger.DP_INIT: (*TX_SETTINGS, *RX_SETTINGS),
    Trigger.IMMEDIATE: (*TX_SETTINGS, *RX_SETTINGS),
    Trigger.IMMEDIATE_TX: TX_SETTINGS,
    Trigger.IMMEDIATE_RX: RX_SETTINGS,
}
"""Which settings each trigger takes (CFG-11)."""


class LaneOwner(Protocol):
    """The lane bank: who holds the data paths."""

    clock: Clock
    paths: list[DataPath]

    @property
    def applying(self) -> ApplyFaults: ...

    def module_state(self) -> str: ...
    def show_states(self) -> None: ...
    def rebuild(self, *, initial: bool = False, pending: Sequence[int] = ()) -> None: ...
    def shared_media(self) -> list[tuple[int, ...]]: ...
    def committed(self, lanes: Sequence[int]) -> None: ...
    def settle(self) -> None: ...


class ControlSet:
    """The cells of one set, staged or active: DPConfig and signal integrity settings per lane."""

    __slots__ = ("app_sel", "data_path_id", "explicit", "implemented", "offered", "settings")

    def __init__(self, memory: Memory, prefix: str, bank: int) -> None:
        self.app_sel = memory.cell(f"{prefix}.AppSelCodeLane", bank)
        self.data_path_id = memory.cell(f"{prefix}.DataPathIDLane", bank)
        self.explicit = memory.cell(f"{prefix}.ExplicitControlLane", bank)
        active = prefix == "ACS"
        self.settings: dict[str, Cell] = {
            name: memory.cell(f"{prefix}.{ACTIVE_NAME.get(name, name) if active else name}", bank)
            for name in (*TX_SETTINGS, *RX_SETTINGS)
        }
        self.implemented = self.app_sel.implemented
        self.offered = tuple(name for name, cell in self.settings.items() if cell.implemented)

    def config(self, lane: int) -> tuple[int, int]:
        """(AppSel, DataPathID) of a lane."""
        return self.app_sel.get(lane), self.data_path_id.get(lane)

    def copy_config(self, lane: int, app_sel: int, data_path_id: int, explicit: int) -> None:
        """Store the DPConfig byte of a lane."""
        self.app_sel.set(app_sel, lane)
        self.data_path_id.set(data_path_id, lane)
        self.explicit.set(explicit, lane)


@dataclass(frozen=True, slots=True)
class LaneRequest:
    """What the host staged for one lane, frozen when the trigger came."""

    app_sel: int
    data_path_id: int
    explicit: int
    settings: dict[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted or rejected request, carried out when its configuration time is over."""

    lanes: tuple[int, ...]
    codes: dict[int, ConfigStatus]
    requests: dict[int, LaneRequest]
    trigger: Trigger
    pending: bool
    media: tuple[tuple[int, ...], ...]  # media lanes that its data paths will use
    reports: tuple[tuple[int, Report], ...] = ()  # of faults: lanes (mask), and what they report
    apply: Apply | None = None  # where faults are armed

    @property
    def accepted(self) -> bool:
        return all(code is ConfigStatus.SUCCESS for code in self.codes.values())


class ControlSets:
    """Apply and commissioning of one bank."""

    OWNS = (
        *(f"{s}.{t.value}" for s in ("SCS0", "SCS1") for t in Trigger),
        *(f"{s}.{f}" for s in ("SCS0", "SCS1", "ACS") for f in ("AppSelCodeLane", "DataPathIDLane")),
        *(f"{s}.ExplicitControlLane" for s in ("SCS0", "SCS1", "ACS")),
        *(f"{s}.{f}" for s in ("SCS0", "SCS1") for f in (*TX_SETTINGS, *RX_SETTINGS)),
        *(f"ACS.{ACTIVE_NAME.get(f, f)}" for f in (*TX_SETTINGS, *RX_SETTINGS)),
        *DIRECTIONS,
        "ConfigStatusLane",  # by its StatusBoard
    )

    def __init__(self, memory: Memory, profile: Profile, owner: LaneOwner, bank: int) -> None:
        self._profile = profile
        self._owner = owner
        self._host_lanes = profile.host_lanes(bank)
        self.staged = [ControlSet(memory, f"SCS{index}", bank) for index in (0, 1)]
        self.active = ControlSet(memory, "ACS", bank)
        self._status = StatusBoard(memory.cell("ConfigStatusLane", bank), owner.clock, owner.settle)
        self._directions = [memory.cell(name, bank) for name in DIRECTIONS] if memory.has(DIRECTIONS[0]) else []
        self._under_way: list[Change] = []
        self._serial = 0
        self._frozen = False
        self._bank = bank
        self._busy_until_ns = 0  # by a fault: whatever is applied is refused
        self._busy_code = ConfigStatus.REJECTED
        for index in (0, 1):
            for trigger in Trigger:
                cell = memory.cell(f"SCS{index}.{trigger.value}", bank)
                if cell.implemented:
                    hook = partial(self._triggered, index, trigger, cell.address)
                    cell.page.hooks[cell.address - cell.page.first] = hook

    def _triggered(self, index: int, trigger: Trigger, address: int, write: Write) -> None:
        mask = write.byte_at(address)
        if mask and not self._frozen:
            self.apply(index, trigger, mask)

    # -- reset ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Default application in the active and all staged sets (APP-06, RST-05, CFG-06)."""
        self._status.reset(self._profile.behaviour.initial_config_status)
        self._under_way.clear()
        self._serial += 1
        self._frozen = False
        self._busy_until_ns = 0
        default = self._profile.default_application
        starts = default.host_starts if default else ()
        for lane in LANES:
            start = next((s for s in starts if default and s <= lane < s + default.host_lanes), None)
            app_sel, path_id = (default.app_sel, start - 1) if default and start else (0, 0)
            explicit = self._profile.behaviour.default_explicit_control if app_sel else 0
            for each in (self.active, *self.staged):
                if each.implemented:
                    each.copy_config(lane, app_sel, path_id, explicit)
                for name in each.offered:
                    each.settings[name].set(self._default_setting(name, lane), lane)
            self._show_directions(lane, Trigger.DP_INIT)

    def _show_directions(self, lane: int, trigger: Trigger) -> None:
        """Page 19h: a direction that was not applied keeps what it had (CFG-11)."""
        kept = {Trigger.IMMEDIATE_TX: 1, Trigger.IMMEDIATE_RX: 0}.get(trigger)
        config = self.active.config(lane)
        byte = config[0] << 4 | config[1] << 1 | self.active.explicit.get(lane)
        for index, cell in enumerate(self._directions):
            if index != kept:
                cell.set(byte, lane)

    def _default_setting(self, name: str, lane: int) -> int:
        """The application's default; 0 for a host lane that the product lacks."""
        return self._profile.signal_integrity.get(name, 0) if lane <= self._host_lanes else 0

    def freeze(self) -> None:
        """Module fault: what is under way ends nowhere, and triggers have no effect until a reset (MSM-09)."""
        self._serial += 1
        self._status.freeze()
        self._frozen = True

    # -- apply ---------------------------------------------------------------------------------

    def in_progress(self, lanes: Sequence[int]) -> bool:
        """True while any of the lanes is being configured."""
        return bool(self._status.in_progress & mask_of(lanes))

    def apply(self, index: int, trigger: Trigger, mask: int) -> None:
        """The host wrote a trigger: judge and start what is accepted (CFG-02 to CFG-04)."""
        staged = self.staged[index]
        for lanes in self._connected(staged, mask):
            touched = [p for p in self._owner.paths if set(p.host_lanes) & set(lanes)]
            everything = tuple(sorted({*lanes, *(x for p in touched for x in p.host_lanes)}))
            if self.in_progress(everything) or any(p.state not in STEADY for p in touched):
                continue  # CFG-03: silently ignored
            change = self._judge(staged, trigger, lanes, touched)
            if change is None:
                continue
            if self._owner.applying.rules:
                change = self._faulted(change, index, touched)
            self._status.begin(lanes)
            self._under_way.append(change)
            ends = self._status.ends(lanes, change.reports, self._profile.behaviour.config_ns)
            first_ns = next(iter(ends))
            self._owner.clock.after(first_ns, partial(self._finish, change, ends.pop(first_ns), self._serial))
            for late_ns, late in ends.items():
                self._status.show_after(late_ns, late, change.codes, change.reports)

    def _connected(self, staged: ControlSet, mask: int) -> list[tuple[int, ...]]:
        """The masked lanes, split into sets that no requested and no existing data path crosses."""
        lanes = lanes_of(mask)
        groups: list[set[int]] = []
        for lane in lanes:
            related = {lane}
            for other in lanes:
                same_request = staged.app_sel.get(lane) and staged.config(lane) == staged.config(other)
                if same_request or any({lane, other} <= set(p.host_lanes) for p in self._owner.paths):
                    related.add(other)
            merged = [g for g in groups if g & related]
            groups = [g for g in groups if not g & related]
            groups.append(related.union(*merged))
        return [tuple(sorted(group)) for group in groups]

    def _judge(
        self, staged: ControlSet, trigger: Trigger, lanes: tuple[int, ...], touched: list[DataPath]
    ) -> Change | None:
        """The change that follows from a trigger on connected lanes, or None when it is to be ignored."""
        requests = {lane: self._request(staged, trigger, lane) for lane in lanes}
        operating = [p for p in touched if p.state is not DpState.DEACTIVATED]
        immediate = trigger is not Trigger.DP_INIT
        if operating and not self._intervention_free(trigger) and immediate:
            return None  # CFG-07: ignored
        taken = [p.media_lanes for p in self._owner.paths if p not in touched]
        taken += self._owner.shared_media()
        taken += [media for other in self._under_way for media in other.media]
        before = len(taken)
        if immediate and operating and self._settings_only(requests, touched):
            codes = dict.fromkeys(lanes, self._judge_settings(requests.values()))
        elif trigger in (Trigger.IMMEDIATE_TX, Trigger.IMMEDIATE_RX):
            codes = dict.fromkeys(lanes, ConfigStatus.REJECTED)  # CFG-11: settings of one direction only
        else:
            codes = self._judge_shape(staged, requests, touched, taken)
        accepted = all(code is ConfigStatus.SUCCESS for code in codes.values())
        if not accepted:
            # Requests that share a data path stand or fall together; the innocent ones would leave a part.
            for lane, code in codes.items():
                if code is ConfigStatus.SUCCESS:
                    codes[lane] = ConfigStatus.PARTIAL_DATA_PATH
        media = tuple(taken[before:]) if accepted else ()
        return Change(lanes, codes, requests, trigger, trigger is Trigger.DP_INIT, media)

    def _request(self, staged: ControlSet, trigger: Trigger, lane: int) -> LaneRequest:
        app_sel, path_id = staged.config(lane)
        settings = {name: cell.get(lane) for name, cell in self.active.settings.items()}
        settings |= {name: staged.settings[name].get(lane) for name in _SETTINGS[trigger]}
        return LaneRequest(app_sel, path_id, staged.explicit.get(lane), settings)

    def _intervention_free(self, trigger: Trigger) -> bool:
        """CFG-07: does the module reconfigure without the host's steps?"""
        if not self._profile.stepped_config_only:
            return True
        return self._profile.auto_commissioning == (1 if trigger is Trigger.DP_INIT else 2)

    @property
    def regular_reconfiguration(self) -> bool:
        """DP-03: does a pending initialisation drive an operating data path by itself?"""
        return self._intervention_free(Trigger.DP_INIT)

    def _settings_only(self, requests: dict[int, LaneRequest], touched: list[DataPath]) -> bool:
        """CFG-02: single lanes are allowed when nothing but signal integrity changes."""
        used = {lane for p in touched for lane in p.host_lanes}
        return all(
            lane in used and (r.app_sel, r.data_path_id) == self.active.config(lane) for lane, r in requests.items()
        )

    def _judge_shape(
        self,
        staged: ControlSet,
        requests: dict[int, LaneRequest],
        touched: list[DataPath],
        taken: list[tuple[int, ...]],
    ) -> dict[int, ConfigStatus]:
        """Result codes per lane in the order of CFG-08; a data path's lanes get one code."""
        codes: dict[int, ConfigStatus] = {}
        for key in dict.fromkeys((r.app_sel, r.data_path_id) if r.app_sel else (0, 0) for r in requests.values()):
            group = [x for x, r in requests.items() if (r.app_sel, r.data_path_id if r.app_sel else 0) == key]
            code = self._judge_group(staged, key, group, requests, touched, taken)
            codes.update(dict.fromkeys(group, code))
        return codes

    def _judge_group(
        self,
        staged: ControlSet,
        key: tuple[int, int],
        group: list[int],
        requests: dict[int, LaneRequest],
        touched: list[DataPath],
        taken: list[tuple[int, ...]],
    ) -> ConfigStatus:
        """The code of one group of lanes that were staged alike; what it takes is added to `taken`."""
        app_sel = key[0]
        own = [p for p in touched if set(p.host_lanes) & set(group)]
        if app_sel:
            application = self._profile.application(app_sel)
            if application is None:
                return ConfigStatus.INVALID_APP_SEL
            code = self._judge_lanes(staged, application, key, tuple(group), taken)
            if code is not ConfigStatus.SUCCESS:
                return code
        if any(lane not in requests for p in own for lane in p.host_lanes):
            return ConfigStatus.PARTIAL_DATA_PATH
        same_shape = bool(app_sel) and len(own) == 1 and own[0].host_lanes == tuple(group)
        if not same_shape and any(p.state is not DpState.DEACTIVATED for p in own):
            return ConfigStatus.LANES_IN_USE
        return self._judge_settings(requests[lane] for lane in group if app_sel)

    def _judge_lanes(
        self,
        staged: ControlSet,
        application: Application,
        key: tuple[int, int],
        lanes: tuple[int, ...],
        taken: list[tuple[int, ...]],
    ) -> ConfigStatus:
        """CFG-08.2 and 3: start, number, contiguity, DataPathID, free media lanes (which it then takes).

        What is left over in the staged set for lanes outside the mask does not matter, unless it completes
        the data path: then the mask covers only a part.
        """
        first = key[1] + 1
        expected = tuple(range(first, first + application.host_lanes))
        if first not in application.host_starts or expected[-1] > LANES[-1]:
            return ConfigStatus.INVALID_DATA_PATH
        if lanes != expected:
            whole = set(lanes) < set(expected) and all(staged.config(lane) == key for lane in expected)
            return ConfigStatus.PARTIAL_DATA_PATH if whole else ConfigStatus.INVALID_DATA_PATH
        media = self._profile.media_lanes(application, first, taken)
        if media is None:
            return ConfigStatus.INVALID_DATA_PATH
        taken.append(media)
        return ConfigStatus.SUCCESS

    def _judge_settings(self, requests: Iterable[LaneRequest]) -> ConfigStatus:
        """CFG-08.5: are the staged signal integrity values ones that the module offers?"""
        limits = self._profile.setting_limits
        for request in requests:
            if request.settings[RECALL] > limits.recall_buffers:
                return ConfigStatus.INVALID_SI
            if request.explicit and not limits.allow(request.settings):
                return ConfigStatus.INVALID_SI
        return ConfigStatus.SUCCESS

    # -- commissioning -------------------------------------------------------------------------

    def _finish(self, change: Change, through: tuple[int, ...], serial: int) -> None:
        if serial != self._serial:
            return  # a reset or a fault came in between
        self._under_way.remove(change)
        if change.accepted and all(report.carries_out for _, report in change.reports):
            self._provision(change)
            if change.apply is not None:
                self._harm(change, change.apply)
        self._status.show(through, change.codes, change.reports)
        self._owner.settle()

    # -- faults --------------------------------------------------------------------------------

    def _faulted(self, change: Change, index: int, touched: list[DataPath]) -> Change:
        """What armed faults make of a change that was judged."""
        apply = Apply(
            self._bank,
            mask_of(change.lanes),
            frozenset(request.app_sel for request in change.requests.values()),
            index,
            change.trigger.value,
            self._owner.module_state(),
            frozenset(path.state.title for path in touched),
            bool(self._status.in_progress),
        )
        reports = tuple(self._owner.applying.reports(apply))
        codes, media = change.codes, change.media
        if self._owner.clock.now_ns < self._busy_until_ns:
            codes, media = dict.fromkeys(change.lanes, self._busy_code), ()
        return replace(change, codes=codes, media=media, reports=reports, apply=apply)

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if not armed:
            self._status.cleared(rule)
            if isinstance(rule, SideEffect) and rule.harm is Harm.BUSY:
                self._busy_until_ns = 0

    def _harm(self, change: Change, apply: Apply) -> None:
        """What the apply breaks beside what it configures."""
        for effect in self._owner.applying.harms(apply):
            lanes = lanes_in(effect.lanes, self._bank) & ~mask_of(change.lanes)
            victims = [path for path in self._owner.paths if path.host_mask & lanes]
            if effect.harm is Harm.BUSY:
                self._busy_until_ns = self._owner.clock.now_ns + effect.busy_ns
                self._busy_code = ConfigStatus(effect.code)
            for path in victims:
                if effect.harm is Harm.CLEAR_PENDING:
                    path.init_pending = False
                elif effect.harm is Harm.DISTURB and path.state is not DpState.DEACTIVATED:
                    path.disturbed = True
            self._owner.show_states()

    def _provision(self, change: Change) -> None:
        """Copy to the active set and say what is to be initialised (CFG-05, CFG-07)."""
        for lane in change.lanes:
            request = change.requests[lane]
            self.active.copy_config(
                lane,
                request.app_sel,
                request.data_path_id if request.app_sel else 0,
                request.explicit if request.app_sel else 0,
            )
            for name in _SETTINGS[change.trigger]:
                # ExplicitControl 0: the application's defaults; a recall is taken in any case (CFG-05).
                staged = request.explicit or name == RECALL
                self.active.settings[name].set(
                    request.settings[name] if staged else self._default_setting(name, lane), lane
                )
            self._show_directions(lane, change.trigger)
        self._owner.rebuild(pending=change.lanes if change.pending else ())
        if not change.pending:
            self._owner.committed(change.lanes)  # in place; otherwise at the next DPInit
