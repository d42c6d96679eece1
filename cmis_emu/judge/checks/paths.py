"""Data paths walked: every application on every start, together, held at DPInitialized, reconfigured, refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cmis_emu.judge import drive
from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, not_applicable
from cmis_emu.judge.checks.applications import Row, place, rows
from cmis_emu.judge.checks.states import (
    ACTIVATED,
    DEACTIVATED,
    DEINIT,
    INIT,
    INITIALIZED,
    TX_TURN_OFF,
    TX_TURN_ON,
)
from cmis_emu.judge.session import LANES, Session

FULL = Level.FULL
SUCCESS, INVALID_APP_SEL, INVALID_DATA_PATH, INVALID_SI, LANES_IN_USE, PARTIAL = 1, 3, 4, 5, 6, 7
UP = (0, DEACTIVATED, INIT, INITIALIZED, TX_TURN_ON, ACTIVATED)  # 0: lanes differ for a moment
DOWN = (0, ACTIVATED, TX_TURN_OFF, INITIALIZED, DEINIT, DEACTIVATED)
TIMED = ((INIT, "MaxDurationDPInit"), (TX_TURN_ON, "MaxDurationDPTxTurnOn"))
TIMED_DOWN = ((TX_TURN_OFF, "MaxDurationDPTxTurnOff"), (DEINIT, "MaxDurationDPDeinit"))
DARK_W = 20e-6  # an output that is off is below about -20 dBm (AUX-01); twice that for the sensor
TX_OFF_S, TX_ON_S = 0.1, 0.4  # effect of Tx disable and enable (RST-09)
REFUSED = range(2, 9)
MAX_APP_SEL = 15

Plan = Sequence[tuple[Row, int]]


def usable(s: Session) -> list[Row]:
    """Applications with lanes to run on."""
    return [row for row in rows(s)[0] if row.starts and row.host_lanes]


def first_usable(s: Session) -> Row:
    """The default application, as a rule (APP-06). Raises AbsentError when there is none."""
    found = usable(s)
    if not found:
        raise AbsentError("no application has lanes to run on (see application-list)")
    return found[0]


def on_network_path(s: Session, row: Row) -> bool:
    """True when the application's media side may belong to a network path: which bit an AppSel has is open."""
    name = "NetworkPathApplicationExtension"
    return s.has(name) and bool(s.code(name) >> (row.app_sel - 1) & 3)


def lanes_for(row: Row, start: int) -> tuple[int, ...]:
    """Host lanes of an instance."""
    return tuple(range(start, start + row.host_lanes))


@check(
    "applications",
    Area.DATA_PATHS,
    "DP-05 DP-06 DP-08 DP-12 DP-13 CFG-05 CFG-08 CFG-12 APP-07",
    "every application runs on every start",
    FULL,
)
def applications(s: Session) -> Iterator[Outcome]:
    with drive.ready(s):
        for bank in range(s.banks):
            with s.keeping("SCS0.AppSelCodeLane", bank=bank):
                for row in usable(s):
                    for start in row.starts:
                        yield from _walk(s, [(row, start)], bank)


@check(
    "breakouts",
    Area.DATA_PATHS,
    "APP-03 DP-05 DP-06 DP-08 DP-12 DP-13 CFG-05 CFG-12",
    "all instances of an application run at once",
    FULL,
)
def breakouts(s: Session) -> Iterator[Outcome]:
    with drive.ready(s):
        for bank in range(s.banks):
            with s.keeping("SCS0.AppSelCodeLane", bank=bank):
                for row in usable(s):
                    starts = [
                        start
                        for i, start in enumerate(row.starts)
                        if not i or start >= row.starts[i - 1] + row.host_lanes
                    ]
                    if len(starts) > 1:
                        yield from _walk(s, [(row, start) for start in starts], bank)
    if not any(len(row.starts) > 1 for row in usable(s)):
        yield not_applicable("APP-03", "", "no application has several starts")


def _walk(s: Session, plan: Plan, bank: int) -> Iterator[Outcome]:
    """Configure, bring up, look, take down."""
    where = f"AppSel {plan[0][0].app_sel} lanes " + ", ".join(str(list(lanes_for(*each))) for each in plan)
    where += f" bank {bank}" if s.banks > 1 else ""
    if not drive.deinit(s, bank).done:
        states = s.now_all("DPStateHostLane", bank)
        yield judged(False, "DP-05", f"{where}: DPDeinit", f"states {states}", "DPDeactivated in the advertised time")
        return
    app_sels, ids = drive.stage(s, plan, bank)
    drive.trigger(s, "SCS0.ApplyDPInitLane", drive.ALL, bank)
    status = drive.config_result(s, bank)
    lanes = [lane for each in plan for lane in lanes_for(*each)]
    good = all(code == SUCCESS for code in status)
    rule = "APP-03" if len(plan) > 1 else "CFG-08"  # all advertised starts can be used at once
    yield judged(good, rule, f"{where}: ConfigStatus", f"{status}", "1 on all lanes")
    if any(status[lane - 1] != SUCCESS for lane in lanes):
        return
    active = (s.now_all("ACS.AppSelCodeLane", bank), s.now_all("ACS.DataPathIDLane", bank))
    good = active[0] == app_sels and all(active[1][lane - 1] == ids[lane - 1] for lane in lanes)
    yield judged(
        good, "CFG-05", f"{where}: active set", f"AppSel {active[0]}, ID {active[1]}", f"AppSel {app_sels}, ID {ids}"
    )
    if s.has("DPInitPendingLane"):
        pending = s.now_all("DPInitPendingLane", bank)
        good = all(pending[lane - 1] for lane in lanes)
        yield judged(good, "CFG-12", f"{where}: DPInitPending", f"{pending}", "1 on its lanes until DPInit")
    s.now_all("DPStateChangedFlag", bank)
    seen = drive.release(s, lanes, (ACTIVATED,), bank)
    yield from _timed(s, seen, f"{where}: up", UP, TIMED)
    if seen.done:
        yield from _running(s, plan, where, bank)
    s.now_all("DPStateChangedFlag", bank)
    yield from _timed(s, drive.deinit(s, bank), f"{where}: down", DOWN, TIMED_DOWN)


def _timed(
    s: Session, seen: drive.Seen, where: str, legal: tuple[int, ...], timed: tuple[tuple[int, str], ...]
) -> Iterator[Outcome]:
    """The states came in order, each in its time (DP-05, DP-12)."""
    order = list(seen.order)
    places = [legal.index(state) if state in legal else -1 for state in order if state]
    good = seen.done and -1 not in places and places == sorted(places)
    demanded = f"{[state for state in legal if state]} in this order, in the advertised time"
    yield judged(good, "DP-05", where, f"states {order}", demanded)
    if seen.done:
        for state, name in timed:
            took, limit = seen.lasted(state), drive.bound(s, name)
            if state in seen.order or took:
                found = f"state {state} for {took:.3f} s"
                yield judged(took <= limit, "DP-12", f"{where} {name}", found, f"at most {limit:.3g} s", s.show(name))


def _running(s: Session, plan: Plan, where: str, bank: int) -> Iterator[Outcome]:
    """What holds in DPActivated."""
    lanes = {lane for each in plan for lane in lanes_for(*each)}
    states = s.now_all("DPStateHostLane", bank)
    idle = {
        lane: states[lane - 1] for lane in range(1, LANES + 1) if lane not in lanes and states[lane - 1] != DEACTIVATED
    }
    yield judged(not idle, "APP-07", f"{where}: unused lanes", f"states {idle}", "1, DPDeactivated")
    if s.has("DPInitPendingLane"):
        pending = s.now_mask("DPInitPendingLane", bank)
        yield judged(pending == 0, "DP-06", f"{where}: DPInitPending", f"{pending:02X}h", "00h after DPInit")
    if s.code("MaxDurationDPInit") and s.code("MaxDurationDPTxTurnOn"):
        flags = s.now_all("DPStateChangedFlag", bank)
        good = all(flags[lane - 1] for lane in lanes)
        yield judged(good, "DP-13", f"{where}: DPStateChangedFlag", f"{flags}", "1 on its lanes after DPActivated")
    media = place(s, plan) if bank == 0 else None
    if any(on_network_path(s, row) for row, _ in plan):
        yield not_applicable("DP-08", where, "its media lanes may be those of a network path (NP-01)")
    elif s.has("OutputStatusTx") and media:
        on = s.now_all("OutputStatusTx", bank)
        missing = sum(not on[lane - 1] for group in media for lane in group)
        count = sum(len(group) for group in media)
        yield judged(
            sum(on) >= count or not missing, "DP-08", f"{where}: OutputStatusTx", f"{on}", f"{count} media lanes on"
        )


@check(
    "held-at-initialized",
    Area.DATA_PATHS,
    "HOST-02 DP-04 DP-07 DP-11 AUX-01 CFG-08",
    "Tx disable holds a data path at DPInitialized",
    FULL,
)
def held(s: Session) -> Iterator[Outcome]:
    s.need("OutputDisableTx", "OutputDisableTx is not advertised")
    with drive.ready(s), s.keeping("SCS0.AppSelCodeLane"):
        row = first_usable(s)
        lanes = lanes_for(row, row.starts[0])
        media = (place(s, [(row, row.starts[0])]) or [(1,)])[0]
        yield from _brought(s, row, lanes)
        s.put_mask("OutputDisableTx", drive.ALL)
        seen = drive.release(s, lanes, (INITIALIZED, ACTIVATED), 0)
        s.wait(0.1)
        state = drive.lane_state(s, lanes, 0)
        yield judged(
            seen.done and state == INITIALIZED, "HOST-02", "Tx disabled: state", f"{state}", "7, DPInitialized"
        )
        yield from _output(s, media, False, "Tx disabled")
        s.put_mask("OutputDisableTx", 0)
        limit = drive.bound(s, "MaxDurationDPTxTurnOn") + 0.05
        seen = drive.watch(s, lambda: drive.lane_state(s, lanes, 0), (ACTIVATED,), limit, drive.step_for(limit))
        yield judged(seen.done, "DP-04", "Tx enabled: state", f"{list(seen.order)}", "4 in the advertised time")
        s.wait(TX_ON_S)
        yield from _output(s, media, True, "Tx enabled")
        s.put_mask("OutputDisableTx", 1 << (media[0] - 1))
        limit = drive.bound(s, "MaxDurationDPTxTurnOff") + 0.05
        seen = drive.watch(s, lambda: drive.lane_state(s, lanes, 0), (INITIALIZED,), limit, drive.step_for(limit))
        yield judged(
            seen.done, "DP-07", "one lane disabled: state", f"{list(seen.order)}", "7: a data path is not half on"
        )
        s.wait(TX_OFF_S)
        yield from _output(s, media[:1], False, "one lane disabled")


def _brought(s: Session, row: Row, lanes: tuple[int, ...]) -> Iterator[Outcome]:
    """Deactivated and configured. Yields a failure when that does not work."""
    down = drive.deinit(s, 0)
    drive.stage(s, [(row, lanes[0])], 0)
    drive.trigger(s, "SCS0.ApplyDPInitLane", drive.ALL, 0)
    status = drive.config_result(s, 0)
    good = down.done and all(status[lane - 1] == SUCCESS for lane in lanes)
    yield judged(good, "CFG-08", f"AppSel {row.app_sel} configured", f"ConfigStatus {status}", "1 on its lanes")


def _output(s: Session, media: Sequence[int], on: bool, when: str) -> Iterator[Outcome]:
    """Outputs of media lanes as status and as power."""
    if s.has("OutputStatusTx"):
        status = s.now_all("OutputStatusTx")
        good = all(bool(status[lane - 1]) == on for lane in media)
        yield judged(good, "DP-11", f"{when}: OutputStatusTx", f"{status}", f"{int(on)} on media lanes {list(media)}")
    if s.has("OpticalPowerTx"):
        s.wait(TX_ON_S if on else TX_OFF_S + 0.1)
        powers = [s.now_value("OpticalPowerTx", lane) for lane in media]
        good = all(isinstance(power, float) and (power > DARK_W) == on for power in powers)
        shown = ", ".join(f"{1000 * float(power):.4f}" for power in powers)
        demanded = f"{'more' if on else 'less'} than {1000 * DARK_W:g} mW"
        yield judged(good, "AUX-01", f"{when}: Tx power", f"{shown} mW", demanded)


@check(
    "reconfiguration",
    Area.DATA_PATHS,
    "CFG-07 DP-06 CFG-08",
    "an activated data path is reconfigured as advertised",
    FULL,
)
def reconfiguration(s: Session) -> Iterator[Outcome]:
    with drive.ready(s), s.keeping("SCS0.AppSelCodeLane"):
        row = first_usable(s)
        lanes = lanes_for(row, row.starts[0])
        mask = sum(1 << (lane - 1) for lane in lanes)
        yield from _brought(s, row, lanes)
        if not drive.release(s, lanes, (ACTIVATED,), 0).done:
            raise AbsentError("the data path does not reach DPActivated (see applications)")
        stepped = bool(s.code("SteppedConfigOnly"))
        if not stepped or (s.has("AutoCommissioning") and s.code("AutoCommissioning") == 2):
            drive.trigger(s, "SCS0.ApplyImmediateLane", mask, 0)
            status = drive.config_result(s, 0)
            good = all(status[lane - 1] == SUCCESS for lane in lanes)
            yield judged(good, "CFG-07", "ApplyImmediate: ConfigStatus", f"{status}", "1 on its lanes")
            state = drive.lane_state(s, lanes, 0)
            yield judged(state == ACTIVATED, "CFG-07", "ApplyImmediate: state", f"{state}", "4, unchanged")
        if stepped:
            yield not_applicable("CFG-07", "ApplyDPInit", "SteppedConfigOnly: the host cycles DPDeinit")
            return
        drive.trigger(s, "SCS0.ApplyDPInitLane", mask, 0)
        status = drive.config_result(s, 0)
        limit = drive.bound(s, "MaxDurationDPTxTurnOff")
        left = drive.watch(s, lambda: drive.lane_state(s, lanes, 0), (DEINIT, DEACTIVATED, INIT), limit + 1, 0.005)
        yield judged(
            left.done, "CFG-07", "ApplyDPInit: states", f"{list(left.order)}", "the data path is initialised again"
        )
        limit = drive.bound(s, "MaxDurationDPDeinit", "MaxDurationDPInit", "MaxDurationDPTxTurnOn") + 0.05
        back = drive.watch(s, lambda: drive.lane_state(s, lanes, 0), (ACTIVATED,), limit, drive.step_for(limit))
        yield judged(back.done, "CFG-07", "ApplyDPInit: end", f"{list(back.order)}", "4, DPActivated again")
        if s.has("DPInitPendingLane"):
            pending = s.now_mask("DPInitPendingLane")
            yield judged(pending == 0, "DP-06", "DPInitPending", f"{pending:02X}h", "00h after DPInit")


@check("refusals", Area.DATA_PATHS, "CFG-04 CFG-08", "configurations that cannot be are refused with their code", FULL)
def refusals(s: Session) -> Iterator[Outcome]:
    with drive.ready(s), s.keeping("SCS0.AppSelCodeLane"):
        known = rows(s)[0]
        row = first_usable(s)
        lanes = lanes_for(row, row.starts[0])
        yield from _brought(s, row, lanes)
        if len(known) < MAX_APP_SEL:
            drive.stage(s, [(row, lanes[0])], 0)
            for lane in lanes:
                s.put("SCS0.AppSelCodeLane", len(known) + 1, lane=lane)
            yield from _refused(s, drive.ALL, lanes, (INVALID_APP_SEL,), f"AppSel {len(known) + 1}")
        wrong = [lane for lane in range(1, LANES + 2 - row.host_lanes) if lane not in row.starts]
        drive.stage(s, [(row, wrong[0] if wrong else lanes[0])], 0)
        if wrong:
            yield from _refused(
                s, drive.ALL, lanes_for(row, wrong[0]), (INVALID_DATA_PATH,), f"start on lane {wrong[0]}"
            )
        else:
            for lane in lanes:
                s.put("SCS0.DataPathIDLane", LANES - 1, lane=lane)
            yield from _refused(s, drive.ALL, lanes, (INVALID_DATA_PATH,), f"DataPathID {LANES - 1}")
        if row.host_lanes > 1:
            drive.stage(s, [(row, lanes[0])], 0)
            part = 1 << (lanes[0] - 1)
            yield from _refused(s, part, lanes[:1], (PARTIAL, INVALID_DATA_PATH), "part of a data path")
        if s.has("SCS0.OutputAmplitudeTargetRx"):
            with s.keeping("SCS0.OutputAmplitudeTargetRx"):
                drive.stage(s, [(row, lanes[0])], 0)
                s.put("SCS0.ExplicitControlLane", 1)
                s.put("SCS0.OutputAmplitudeTargetRx", 15)
                yield from _refused(s, drive.ALL, lanes, (INVALID_SI,), "amplitude code 15")
        yield from _brought(s, row, lanes)
        if drive.release(s, lanes, (ACTIVATED,), 0).done:
            s.put("SCS0.AppSelCodeLane", 0)
            mask = sum(1 << (lane - 1) for lane in lanes)
            yield from _refused(s, mask, lanes, (LANES_IN_USE,), "taking activated lanes out of use")


@check("config-at-once", Area.DATA_PATHS, "CFG-03", "an accepted trigger replaces the old ConfigStatus at once", FULL)
def config_at_once(s: Session) -> Iterator[Outcome]:
    with drive.ready(s), s.keeping("SCS0.AppSelCodeLane"):
        row = first_usable(s)
        lanes = lanes_for(row, row.starts[0])
        if not drive.deinit(s, 0).done:
            raise AbsentError("the data paths do not reach DPDeactivated (see applications)")
        drive.stage(s, [(row, lanes[0])], 0)
        s.put("SCS0.AppSelCodeLane", MAX_APP_SEL)
        drive.trigger(s, "SCS0.ApplyDPInitLane", drive.ALL, 0)
        old = drive.config_result(s, 0)[lanes[0] - 1]
        if old not in REFUSED:
            raise AbsentError(f"AppSel {MAX_APP_SEL} is not refused")
        drive.stage(s, [(row, lanes[0])], 0)
        drive.trigger(s, "SCS0.ApplyDPInitLane", drive.ALL, 0)
        first = [s.now_all("ConfigStatusLane")[lane - 1] for lane in lanes]
        good = all(code in (SUCCESS, drive.IN_PROGRESS) for code in first)
        yield judged(good, "CFG-03", "first read after the trigger", f"ConfigStatus {first}", "12, or 1 at once")


def _refused(s: Session, mask: int, lanes: Sequence[int], codes: tuple[int, ...], what: str) -> Iterator[Outcome]:
    before = s.now_all("ACS.AppSelCodeLane") + s.now_all("ACS.DataPathIDLane")
    drive.trigger(s, "SCS0.ApplyDPInitLane", mask, 0)
    status = drive.config_result(s, 0)
    found = sorted({status[lane - 1] for lane in lanes})
    good = len(found) == 1 and found[0] in codes
    yield judged(good, "CFG-08", what, f"ConfigStatus {found}", f"{' or '.join(map(str, codes))}")
    after = s.now_all("ACS.AppSelCodeLane") + s.now_all("ACS.DataPathIDLane")
    if any(code in REFUSED for code in found):
        yield judged(after == before, "CFG-04", what, f"active set {after}", f"{before}, untouched")


CHECKS = (applications, breakouts, held, reconfiguration, refusals, config_at_once)
