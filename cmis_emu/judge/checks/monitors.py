"""Monitors and thresholds: order, plausibility, what is not advertised, readings against their own flags."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, judged, passed
from cmis_emu.judge.checks.flags import LATENCY_S
from cmis_emu.judge.checks.states import ACTIVATED, LOW_PWR
from cmis_emu.judge.session import LANES, Session

MODULE = ("TempMon", "VccMon", "Aux1Mon", "Aux2Mon", "Aux3Mon", "CustomMon")
LANE = {
    "OpticalPowerTx": ("OpticalPower", "Tx"),
    "LaserBiasTx": ("LaserBias", "Tx"),
    "OpticalPowerRx": ("OpticalPower", "Rx"),
}
"""Lane monitors, and the two parts of the names of their flags."""
LIMITS = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")
RANGES = {"TempMonValue": (-50.0, 100.0, "degC"), "VccMonVoltage": (3.0, 3.6, "V")}
"""What the sensors of a managed module can show."""


def readings() -> dict[str, str]:
    """The field that reads each monitor."""
    fields = {name: f"{name}Value" for name in MODULE} | {"VccMon": "VccMonVoltage"}
    return fields | {name: name for name in LANE}


def supported(s: Session, monitor: str) -> bool:
    """Does page 01h advertise the monitor?"""
    name = {
        "OpticalPowerTx": "OpticalPowerTxMon",
        "LaserBiasTx": "LaserBiasTxMon",
        "OpticalPowerRx": "OpticalPowerRxMon",
    }
    return bool(s.code(f"{name.get(monitor, monitor)}Supported"))


@check("threshold-order", Area.MONITORS, "FLG-12", "high alarm, high warning, low warning, low alarm fall in order")
def threshold_order(s: Session) -> Iterator[Outcome]:
    s.need_page(2)
    for monitor in (*MODULE, *LANE):
        if not supported(s, monitor):
            continue
        names = [f"{monitor}{limit}Threshold" for limit in LIMITS]
        high_alarm, low_alarm, high_warning, low_warning = (_number(s, name) for name in names)
        good = high_alarm >= high_warning >= low_warning >= low_alarm
        found = f"{high_alarm:g} / {high_warning:g} / {low_warning:g} / {low_alarm:g}"
        blank = not any((high_alarm, high_warning, low_warning, low_alarm))
        yield judged(good, "FLG-12", monitor, found, "high alarm >= high warning >= low warning >= low alarm",
                     s.show(*names), "no thresholds" if blank else "")  # fmt: skip


@check("plausible", Area.MONITORS, "MON-01", "temperature and supply voltage are those of a module that runs")
def plausible(s: Session) -> Iterator[Outcome]:
    seen = False
    for name, (low, high, unit) in RANGES.items():
        if not s.flat and not s.has(name):
            continue
        if s.flat and not s.code(name):
            continue
        seen = True
        value = _number(s, name)
        yield judged(
            low <= value <= high, "MON-01", name, f"{value:.4g} {unit}", f"{low:g} to {high:g} {unit}", s.show(name)
        )
    if not seen:
        raise AbsentError("neither temperature nor supply voltage is monitored")


@check("unadvertised-monitors", Area.MONITORS, "MON-02", "monitors that are not advertised read 0")
def unadvertised_monitors(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no page 01h that advertises monitors")
    s.need_page(1)
    for monitor, name in readings().items():
        if supported(s, monitor) or not s.in_image(s.regmap.field(name).page):
            continue
        codes = s.codes(name)
        yield judged(not any(codes), "MON-02", name, f"{codes if len(codes) > 1 else codes[0]}", "0: not advertised",
                     s.show(name))  # fmt: skip


@check("missing-lane-monitors", Area.MONITORS, "APP-08", "monitors of media lanes that do not exist read 0")
def missing_lane_monitors(s: Session) -> Iterator[Outcome]:
    s.need_page(0x11)
    missing = s.missing_media_lanes()
    for name in LANE:
        wrong = {lane: s.code(name, lane) for lane in missing if s.code(name, lane)}
        yield judged(not wrong, "APP-08", name, f"{wrong} by media lane", "0 on lanes that are not there", s.show(name))


@check("readings-flagged", Area.MONITORS, "FLG-12", "a reading beyond a threshold has its flag set")
def readings_flagged(s: Session) -> Iterator[Outcome]:
    s.need_page(2)
    if not s.image:
        s.wait(LATENCY_S + 0.05)  # earlier reads cleared the flags; what still holds sets them again (FLG-02)
    for monitor, name in readings().items():
        if not supported(s, monitor) or not s.in_image(s.regmap.field(name).page):
            continue
        limits = [_number(s, f"{monitor}{limit}Threshold") for limit in LIMITS]
        if not any(limits) or (monitor.startswith("Aux") and s.now("ModuleState") == LOW_PWR):  # FLG-10
            continue
        for bank in range(s.banks if monitor in LANE else 1):
            yield from _flagged(s, monitor, name, dict(zip(LIMITS, limits, strict=True)), bank)


def _flagged(s: Session, monitor: str, name: str, limits: dict[str, float], bank: int) -> Iterator[Outcome]:
    before = _values(s, name, bank)
    flags = {limit: _flags(s, monitor, limit, bank) for limit in LIMITS}
    after = _values(s, name, bank)
    active = _active_lanes(s, bank) if monitor in LANE else {1}
    for lane in sorted(active):
        low, high = sorted((before[lane - 1], after[lane - 1]))
        where = f"{monitor} lane {lane + LANES * bank}" if monitor in LANE else monitor
        beyond = [limit for limit in LIMITS if (low > limits[limit] if "High" in limit else high < limits[limit])]
        for limit in beyond:
            found = f"{high:.5g} beyond {limit} {limits[limit]:.5g}, flag 0"
            yield judged(bool(flags[limit][lane - 1]), "FLG-12", f"{where} {limit}", found, "the flag set",
                         note=f"{high:.5g} is beyond {limit} {limits[limit]:.5g}")  # fmt: skip
        if not beyond:
            yield passed("FLG-12", where)


def _active_lanes(s: Session, bank: int) -> set[int]:
    """Media lanes that carry an activated data path: lane flags are demanded there only (FLG-09)."""
    here = {lane for lane, gone in enumerate(s.codes("MediaLaneUnsupported"), 1) if not gone} or set(
        range(1, LANES + 1)
    )
    states = set(s.now_all("DPStateHostLane", bank))
    return here if states == {ACTIVATED} else set()


def _flags(s: Session, monitor: str, limit: str, bank: int) -> list[int]:
    if monitor in LANE:
        kind, side = LANE[monitor]
        return s.codes(f"{kind}{limit}Flag{side}", bank) if s.image else s.now_all(f"{kind}{limit}Flag{side}", bank)
    name = f"{monitor}{limit}Flag"
    return s.codes(name) if s.image else s.now_all(name)


def _values(s: Session, name: str, bank: int) -> list[float]:
    count = s.regmap.field(name).count
    return [float(s.now_value(name, lane, bank)) for lane in range(1, count + 1)]


def _number(s: Session, name: str) -> float:
    value = s.value(name)
    assert not isinstance(value, (str, bytes))
    return float(value)


CHECKS = (threshold_order, plausible, unadvertised_monitors, missing_lane_monitors, readings_flagged)
