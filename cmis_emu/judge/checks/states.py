"""States and control sets as they stand: module state, data path states, active set, configuration status."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, failed, judged, not_applicable, passed
from cmis_emu.judge.checks.applications import rows
from cmis_emu.judge.session import LANES, Session
from cmis_emu.registers.field import LOWER

LOW_PWR, PWR_UP, READY, PWR_DN, FAULT = 1, 2, 3, 4, 5
"""ModuleState (MSM-01)."""
DEACTIVATED, INIT, DEINIT, ACTIVATED, TX_TURN_ON, TX_TURN_OFF, INITIALIZED = 1, 2, 3, 4, 5, 6, 7
"""DPStateHostLane (DP-01)."""
SILENT = (DEACTIVATED, INIT, DEINIT)  # states with no Tx output (DP-08)
RESERVED_STATUS = range(9, 12)  # of ConfigStatusLane (CFG-08)
ACS = ("ACS.AppSelCodeLane", "ACS.DataPathIDLane", "ACS.ExplicitControlLane")

Path = tuple[int, tuple[int, ...]]  # AppSel, host lanes


def data_paths(app_sels: list[int], ids: list[int]) -> list[Path]:
    """Lanes that carry the same DataPathID and application, one entry each."""
    groups: dict[tuple[int, int], list[int]] = {}
    for lane, (app_sel, number) in enumerate(zip(app_sels, ids, strict=True), 1):
        if app_sel:
            groups.setdefault((number, app_sel), []).append(lane)
    return [(app_sel, tuple(lanes)) for (_, app_sel), lanes in groups.items()]


@check("module-state", Area.STATES, "MSM-01 MSM-10", "ModuleState is a readable state; a flat module is always ready")
def module_state(s: Session) -> Iterator[Outcome]:
    code = s.code("ModuleState")
    known = LOW_PWR <= code <= FAULT
    shown = s.show("ModuleState")
    name = s.label("ModuleState", code) or "reserved"
    yield judged(known, "MSM-01", "ModuleState", f"{code}, {name}", "1 to 5", shown)
    if s.flat:
        yield judged(code == READY, "MSM-10", "ModuleState", f"{code}, {name}", "3, ModuleReady, always", shown)
    if code == FAULT:
        cause = s.code("ModuleFaultCause")
        yield passed("MSM-09", "ModuleFaultCause", f"in ModuleFault, cause {cause}")


@check("data-path-states", Area.STATES, "DP-01 APP-07 MSM-08", "data path states are codes that fit lanes and module")
def data_path_states(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("DPStateHostLane").page)
    low_power = s.in_image(LOWER) and s.code("ModuleState") == LOW_PWR
    for bank in range(s.banks):
        states = s.codes("DPStateHostLane", bank)
        shown = s.show("DPStateHostLane", bank=bank)
        lanes_in = dict(enumerate(states, 1))
        reserved = [lane for lane, state in lanes_in.items() if not DEACTIVATED <= state <= INITIALIZED]
        yield judged(not reserved, "DP-01", f"bank {bank}", f"reserved codes on lanes {reserved}", "1 to 7", shown)
        used = s.codes(ACS[0], bank)
        busy = [n for n, state in lanes_in.items() if not used[n - 1] and state != DEACTIVATED and n not in reserved]
        yield judged(not busy, "APP-07", f"bank {bank}", f"unused lanes {busy} in a state of a data path",
                     "1, DPDeactivated, on unused lanes", shown)  # fmt: skip
        if low_power:
            awake = [lane for lane, state in enumerate(states, 1) if state not in (DEACTIVATED, 0)]
            yield judged(not awake, "MSM-08", f"bank {bank}", f"lanes {awake} not deactivated in ModuleLowPwr",
                         "DPDeactivated on all lanes", shown)  # fmt: skip
        for app_sel, lanes in data_paths(s.codes(ACS[0], bank), s.codes(ACS[1], bank)):
            several = {states[lane - 1] for lane in lanes}
            found = f"states {sorted(several)} on lanes {list(lanes)}"
            yield judged(len(several) == 1, "DP-01", f"bank {bank} AppSel {app_sel} lanes {list(lanes)}", found,
                         "one state on all lanes of a data path", shown)  # fmt: skip


@check("active-set", Area.STATES, "APP-05 APP-03", "the active set holds data paths that the applications allow")
def active_set(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field(ACS[0]).page)
    known = {row.app_sel: row for row in rows(s)[0]}
    for bank in range(s.banks):
        shown = s.show(ACS[0], bank=bank)
        paths = data_paths(s.codes(ACS[0], bank), s.codes(ACS[1], bank))
        if not paths:
            yield not_applicable("APP-05", f"bank {bank}", "no lane is in use")
        for app_sel, lanes in paths:
            where = f"bank {bank} lanes {list(lanes)}"
            row = known.get(app_sel)
            if row is None:
                yield failed("APP-05", where, f"AppSel {app_sel}", f"one of {sorted(known)}", shown)
                continue
            number = s.code(ACS[1], lanes[0], bank)
            yield judged(number == lanes[0] - 1, "APP-05", where, f"DataPathID {number}",
                         f"{lanes[0] - 1}, the lowest lane less 1", shown)  # fmt: skip
            expected = tuple(range(lanes[0], lanes[0] + (row.host_lanes or len(lanes))))
            yield judged(lanes == expected, "APP-05", where, f"lanes {list(lanes)} of AppSel {app_sel}",
                         f"lanes {list(expected)}", f"{shown}; {row.shown}")  # fmt: skip
            if row.starts:
                yield judged(lanes[0] in row.starts, "APP-03", where, f"begins on lane {lanes[0]}",
                             f"one of {list(row.starts)}", f"{shown}; {row.shown}")  # fmt: skip


@check("config-status", Area.STATES, "CFG-08", "ConfigStatus holds codes that mean something")
def config_status(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("ConfigStatusLane").page)
    for bank in range(s.banks):
        codes = s.codes("ConfigStatusLane", bank)
        wrong = [code for code in codes if code in RESERVED_STATUS]
        yield judged(not wrong, "CFG-08", f"bank {bank}", f"codes {wrong}", "0 to 8, 12, or custom 13 to 15",
                     s.show("ConfigStatusLane", bank=bank))  # fmt: skip


@check("outputs", Area.STATES, "DP-08 APP-08", "the Tx output status fits data path states and lanes")
def outputs(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("OutputStatusTx").page)
    s.need("OutputStatusTx", "OutputStatusTx came with revision 5.0")
    for bank in range(s.banks):
        states = s.codes("DPStateHostLane", bank)
        on = [lane for lane, status in enumerate(s.codes("OutputStatusTx", bank), 1) if status]
        shown = s.show("DPStateHostLane", "OutputStatusTx", bank=bank)
        where = f"bank {bank}"
        if all(state in SILENT for state in states):
            yield judged(not on, "DP-08", where, f"output on media lanes {on}", "no output: nothing initialised", shown)
            continue
        active = [lane for lane, state in enumerate(states, 1) if state == ACTIVATED]
        note = f"host lanes {active} activated, output on media lanes {on}" if active and active != on else ""
        yield passed("DP-08", where, note)
        if bank == 0:
            missing = [lane for lane, gone in enumerate(s.codes("MediaLaneUnsupported"), 1) if gone]
            ghosts = [lane for lane in on if lane in missing and len(missing) < LANES]
            yield judged(not ghosts, "APP-08", where, f"output on media lanes {ghosts}, which do not exist",
                         "0 for lanes that are not there", shown)  # fmt: skip


@check("init-pending", Area.STATES, "DP-03", "DPInitPending is not left behind on an activated data path")
def init_pending(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("DPInitPendingLane").page)
    s.need("DPInitPendingLane", "DPInitPending came with revision 5.0")
    if s.code("SteppedConfigOnly"):
        raise AbsentError("SteppedConfigOnly: the host cycles DPDeinit when it likes (CFG-07)")
    for bank in range(s.banks):
        states, pending = s.codes("DPStateHostLane", bank), s.codes("DPInitPendingLane", bank)
        wrong = [lane for lane in range(1, LANES + 1) if pending[lane - 1] and states[lane - 1] == ACTIVATED]
        yield judged(not wrong, "DP-03", f"bank {bank}", f"pending on activated lanes {wrong}",
                     "none: a pending initialisation deactivates the data path",
                     s.show("DPStateHostLane", "DPInitPendingLane", bank=bank))  # fmt: skip


CHECKS = (module_state, data_path_states, active_set, config_status, outputs, init_pending)
