"""Drives a live module for the checks of level full: power, resets, data paths, and the clock on all of them.

Owns the sequences that a host follows (HOST-01) and the bounds that the module advertised; it judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from cmis_emu.judge.check import AbsentError
from cmis_emu.judge.checks.applications import Row
from cmis_emu.judge.checks.states import (
    ACTIVATED,
    DEACTIVATED,
    DEINIT,
    INIT,
    INITIALIZED,
    LOW_PWR,
    PWR_DN,
    PWR_UP,
    READY,
    TX_TURN_OFF,
    TX_TURN_ON,
)
from cmis_emu.judge.session import LANES, Session

BOUND_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0, 3000.0, 6000.0)
"""Upper end of each duration code (MSM-07, DP-12); code 13 has none, and is given up after 100 min."""
MGMT_INIT_S = 2.0  # tMgmtInit (RST-04)
CONFIG_S = 1.0  # hosts wait so long for a ConfigStatus
RESET_PULSE_S = 0.001  # ResetL low: far above the 10 us that are seen (RST-03)
LATENCY_S = 0.2  # ton_flag, ton_IntL (RST-09)
IN_PROGRESS = 12
ALL = 0xFF
STEADY = (ACTIVATED, INITIALIZED)
TRANSIENT = {
    INIT: "MaxDurationDPInit",
    DEINIT: "MaxDurationDPDeinit",
    TX_TURN_ON: "MaxDurationDPTxTurnOn",
    TX_TURN_OFF: "MaxDurationDPTxTurnOff",
}
"""Transient data path states and how long they may last (DP-12)."""
POLLS = 2000  # looks at something that takes its full time
DIRECT = ("DPDeinitLane", "OutputDisableTx", "OutputSquelchForceTx", "OutputDisableRx")


@dataclass(frozen=True, slots=True)
class Seen:
    """States seen while something was waited for, with the seconds each lasted; `done`: it came."""

    done: bool
    steps: tuple[tuple[int, float], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The states in the order seen."""
        return tuple(state for state, _ in self.steps)

    def lasted(self, state: int) -> float:
        """Seconds in a state."""
        return sum(seconds for each, seconds in self.steps if each == state)


def bound(s: Session, *names: str) -> float:
    """Seconds that the durations advertised in fields `names` allow together, and a little for polling."""
    total = sum(BOUND_S[min(s.code(name), len(BOUND_S) - 1)] for name in names)
    return total + max(0.002, 0.01 * total)


def need_drivable(s: Session) -> None:
    """Go on only with a module that has power states and data paths."""
    if s.flat:
        raise AbsentError("flat memory: no power states and no data paths")
    if s.revision < (4, 0):
        raise AbsentError("before revision 4.0 the controls mean something else")
    s.need_page(s.regmap.field("DPDeinitLane").page)


def watch(
    s: Session,
    state: Callable[[], int],
    wanted: Sequence[int],
    limit_s: float,
    step_s: float,
    steps_s: Mapping[int, float] = MappingProxyType({}),
) -> Seen:
    """Poll a state until it is among `wanted`, every `step_s`, or as `steps_s` says for the state it is in."""
    timer = s.host.timer
    start = since = timer.now()
    steps: list[tuple[int, float]] = []
    current = state()
    while True:
        if current in wanted:
            return Seen(True, (*steps, (current, 0.0)))
        if timer.now() - start > limit_s:
            return Seen(False, (*steps, (current, timer.now() - since)))
        timer.wait(steps_s.get(current, step_s))
        found = state()
        if found != current:
            steps.append((current, timer.now() - since))
            current, since = found, timer.now()


def module_state(s: Session) -> int:
    """ModuleState, read now."""
    return s.now("ModuleState")


def lane_state(s: Session, lanes: Sequence[int], bank: int) -> int:
    """State of a data path: that of its lanes; 0 while they differ."""
    states = s.now_all("DPStateHostLane", bank)
    found = {states[lane - 1] for lane in lanes}
    return found.pop() if len(found) == 1 else 0


def step_for(limit_s: float) -> float:
    """How often to look at something that may take `limit_s`."""
    return min(0.05, max(0.0005, limit_s / 200)) if limit_s <= 60 else limit_s / 1000


# -- power and reset ---------------------------------------------------------------------------------


def request_low_power(s: Session, low: bool) -> None:
    """Ask by software, and only by software (MSM-12)."""
    s.put("LowPwrAllowRequestHW", 0)
    s.put("LowPwrRequestSW", int(low))


def go_low(s: Session) -> Seen:
    """To ModuleLowPwr, by software."""
    request_low_power(s, True)
    limit = bound(
        s, "MaxDurationModulePwrDn", "MaxDurationDPTxTurnOff", "MaxDurationDPDeinit", "MaxDurationModulePwrUp"
    )
    return watch(s, lambda: module_state(s), (LOW_PWR,), limit, step_for(bound(s, "MaxDurationModulePwrDn")))


def go_ready(s: Session) -> Seen:
    """To ModuleReady, by software."""
    request_low_power(s, False)
    limit = bound(s, "MaxDurationModulePwrUp", "MaxDurationModulePwrDn")
    return watch(s, lambda: module_state(s), (READY,), limit, step_for(bound(s, "MaxDurationModulePwrUp")))


def software_reset(s: Session) -> float | None:
    """Reset by 26.3; seconds until the module answers again, None when it does not in time."""
    s.put("SoftwareReset", 1)
    s.forget_mapping()
    return _answers(s)


def pin_reset(s: Session) -> tuple[bool, float | None]:
    """A ResetL pulse: was the module silent while low, and seconds until it answered after it."""
    pins = s.host.pins
    assert pins is not None
    pins.set("ResetL", False)
    try:
        s.wait(RESET_PULSE_S)
        silent = not s.host.probe()
    finally:
        pins.set("ResetL", True)
    s.forget_mapping()
    return silent, _answers(s)


def _answers(s: Session) -> float | None:
    took = s.poll(s.host.probe, MGMT_INIT_S + 0.05, 400)
    return None if took is None or took > MGMT_INIT_S + 0.01 else took


def settle(s: Session) -> None:
    """Wait until the module is in a steady state."""
    limit = bound(s, "MaxDurationModulePwrUp", "MaxDurationModulePwrDn")
    s.poll(lambda: module_state(s) not in (PWR_UP, PWR_DN), limit)


# -- data paths --------------------------------------------------------------------------------------


@contextmanager
def ready(s: Session) -> Iterator[None]:
    """A module in ModuleReady, with the direct controls of every bank put back at the end."""
    need_drivable(s)
    with s.keeping("LowPwrRequestSW"):
        if not go_ready(s).done:
            raise AbsentError("the module does not reach ModuleReady (see the check of module states)")
        kept = [name for name in DIRECT if s.has(name)]
        with _all_banks(s, kept):
            yield


@contextmanager
def activated(s: Session) -> Iterator[None]:
    """A module in ModuleReady whose data paths are up; the direct controls are put back at the end."""
    with ready(s):
        for bank in range(s.banks):
            for name in DIRECT:
                if s.has(name):
                    s.put(name, 0, bank=bank)
        limit = bound(s, "MaxDurationDPInit", "MaxDurationDPTxTurnOn", "MaxDurationDPDeinit", "MaxDurationDPTxTurnOff")
        for bank in range(s.banks):
            used = [lane for lane, app_sel in enumerate(s.now_all("ACS.AppSelCodeLane", bank), 1) if app_sel]
            s.poll(lambda used=used, bank=bank: _all_in(s, used, bank), limit)  # type: ignore[misc]
        yield


def _all_in(s: Session, lanes: Sequence[int], bank: int) -> bool:
    """Are these lanes activated?"""
    states = s.now_all("DPStateHostLane", bank)
    return all(states[lane - 1] == ACTIVATED for lane in lanes)


@contextmanager
def _all_banks(s: Session, names: Sequence[str], bank: int = 0) -> Iterator[None]:
    if bank == s.banks:
        yield
        return
    with s.keeping(*names, bank=bank), _all_banks(s, names, bank + 1):
        yield


def deinit(s: Session, bank: int, mask: int = ALL) -> Seen:
    """Set DPDeinit and wait until its lanes are in DPDeactivated."""
    lanes = [lane for lane in range(1, LANES + 1) if mask >> (lane - 1) & 1]
    s.put_mask("DPDeinitLane", mask, bank)
    limit = bound(s, "MaxDurationDPTxTurnOff", "MaxDurationDPDeinit", "MaxDurationDPInit", "MaxDurationDPTxTurnOn")
    return watch(s, lambda: lane_state(s, lanes, bank), (DEACTIVATED,), limit, limit / POLLS, _steps(s))


def stage(s: Session, paths: Sequence[tuple[Row, int]], bank: int) -> tuple[list[int], list[int]]:
    """Staged set 0 for data paths (application, first lane); all other lanes unused. Returns AppSels and IDs."""
    app_sels, ids = [0] * LANES, [0] * LANES
    for row, start in paths:
        for lane in range(start, start + row.host_lanes):
            app_sels[lane - 1], ids[lane - 1] = row.app_sel, start - 1
    s.put("SCS0.AppSelCodeLane", app_sels, bank=bank)
    s.put("SCS0.DataPathIDLane", ids, bank=bank)
    s.put("SCS0.ExplicitControlLane", 0, bank=bank)
    return app_sels, ids


def trigger(s: Session, name: str, mask: int, bank: int) -> None:
    """One single-byte write of a trigger (CFG-02)."""
    field = s.regmap.field(name)
    s.store(field.page, field.at, bytes([mask]), bank)


def config_result(s: Session, bank: int) -> list[int]:
    """ConfigStatus of the lanes, once nothing is in progress."""
    s.poll(lambda: IN_PROGRESS not in s.now_all("ConfigStatusLane", bank), CONFIG_S)
    return s.now_all("ConfigStatusLane", bank)


def release(s: Session, lanes: Sequence[int], wanted: Sequence[int], bank: int) -> Seen:
    """Clear DPDeinit of the lanes and watch their data path come up to a wanted state."""
    mask = sum(1 << (lane - 1) for lane in lanes)
    s.put_mask("DPDeinitLane", ALL & ~mask, bank)
    limit = bound(s, "MaxDurationDPInit", "MaxDurationDPTxTurnOn") + 0.05
    return watch(s, lambda: lane_state(s, lanes, bank), wanted, limit, limit / POLLS, _steps(s))


def _steps(s: Session) -> dict[int, float]:
    """How often to look while a data path is in a transient state."""
    return {state: step_for(bound(s, name)) for state, name in TRANSIENT.items()}
