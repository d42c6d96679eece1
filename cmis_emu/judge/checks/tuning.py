"""Tunable lasers: what page 04h offers, requests good and bad, what a reset leaves on page 12h."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cmis_emu.judge import drive
from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, not_applicable
from cmis_emu.judge.checks.applications import media_lanes_here
from cmis_emu.judge.session import LANES, Session
from cmis_emu.layouts.grid import GRIDS

TUNING_S = 600.0  # no bound is advertised; a laser that takes longer is given up
LATENCY_S = 0.2  # from the write to the flag (RST-09)
FLAGS = (
    "TargetOutputPowerOOR",
    "FineTuningOutOfRange",
    "TuningNotAccepted",
    "InvalidChannelNumber",
    "WavelengthUnlocked",
    "TuningComplete",
)
_REQUEST = ("GridSpacingTx", "FineTuningEnableTx", "ChannelOffsetNumberTx", "FineTuningOffsetTx")
MHZ_PER_GHZ = 1000


def need_tunable(s: Session) -> None:
    """Go on only with a module that has pages 04h and 12h."""
    s.need_page(s.regmap.field("GridSpacingTx").page)


def offered(s: Session) -> dict[int, tuple[int, int]]:
    """Lowest and highest channel by grid code."""
    found = {}
    for code, grid in GRIDS.items():
        if s.has(f"GridSupported{grid.name}") and s.code(f"GridSupported{grid.name}"):
            found[code] = _signed(s.code(f"GridLowChannel{grid.name}")), _signed(s.code(f"GridHighChannel{grid.name}"))
    return found


def _signed(code: int) -> int:
    return code - 0x10000 if code & 0x8000 else code


@check(
    "tuning-offer", Area.TUNING, "TUN-01 TUN-02 TUN-04 TUN-07", "page 04h offers grids, channels and powers in order"
)
def offer(s: Session) -> Iterator[Outcome]:
    need_tunable(s)
    s.need_page(s.regmap.field("FineTuningSupported").page)
    yield judged(
        bool(s.code("WavelengthIsControllable")), "TUN-01", "WavelengthIsControllable", "0", "1: it is tunable"
    )
    grids = offered(s)
    yield judged(bool(grids), "TUN-04", "grids", "none", "at least one")
    for code, (low, high) in grids.items():
        grid = GRIDS[code]
        good = low <= high and not low % grid.multiple and not high % grid.multiple
        demanded = f"lowest before highest, multiples of {grid.multiple}"
        names = (f"GridLowChannel{grid.name}", f"GridHighChannel{grid.name}")
        yield judged(good, "TUN-02", f"channels of {grid.name}", f"{low} to {high}", demanded, s.show(*names))
    if s.code("FineTuningSupported"):
        low, high = _signed(s.code("FineTuningLowOffset")), _signed(s.code("FineTuningHighOffset"))
        step = s.code("FineTuningResolution")
        yield judged(low <= high and step > 0, "TUN-04", "fine tuning", f"{low} to {high} by {step} MHz",
                     "lowest before highest, a resolution above 0",
                     s.show("FineTuningLowOffset", "FineTuningHighOffset"))  # fmt: skip
    if s.code("ProgOutputPowerPerLaneSupported"):
        low, high = _signed(s.code("ProgOutputPowerMin")), _signed(s.code("ProgOutputPowerMax"))
        yield judged(low <= high, "TUN-07", "output power", f"{low / 100:g} to {high / 100:g} dBm",
                     "lowest before highest", s.show("ProgOutputPowerMin", "ProgOutputPowerMax"))  # fmt: skip


def frequency_mhz(s: Session, lane: int, bank: int) -> int | None:
    """What the lane's registers ask for; None for a grid that is not known."""
    grid = GRIDS.get(s.now_all("GridSpacingTx", bank)[lane - 1])
    if grid is None:
        return None
    channel = _signed(s.now_all("ChannelOffsetNumberTx", bank)[lane - 1])
    fine = s.has("FineTuningEnableTx") and s.now_all("FineTuningEnableTx", bank)[lane - 1]
    offset = _signed(s.now_all("FineTuningOffsetTx", bank)[lane - 1]) if fine else 0
    return grid.frequency_mhz(channel) + offset


@check("tuning-requests", Area.TUNING, "TUN-04 TUN-06 TUN-08", "requests are followed, or refused with their flag",
       Level.FULL)  # fmt: skip
def requests(s: Session) -> Iterator[Outcome]:
    need_tunable(s)
    grids = offered(s)
    if not grids:
        raise AbsentError("no grid is offered (see tuning-offer)")
    kept = [name for name in (*_REQUEST, "TargetOutputPowerTx") if s.has(name)]
    with drive.ready(s):
        for bank in range(s.banks):
            drive.deinit(s, bank)
            for lane in media_lanes_here(s):
                with s.keeping(*kept, bank=bank):
                    yield from _of_lane(s, lane, bank, grids)
                s.poll(partial(_at_rest, s, lane, bank), TUNING_S)


def _of_lane(s: Session, lane: int, bank: int, grids: dict[int, tuple[int, int]]) -> Iterator[Outcome]:
    where = f"lane {lane + LANES * bank}"
    if s.has("FineTuningEnableTx"):
        s.put("FineTuningEnableTx", 0, lane, bank)
    for code, (low, high) in grids.items():
        for channel in (low, high):
            _ask(s, lane, bank, code, channel)
            took = s.poll(partial(_at_rest, s, lane, bank), TUNING_S)
            subject = f"{where}, channel {channel} of {GRIDS[code].name}"
            yield judged(
                took is not None, "TUN-04", subject, f"not tuned within {TUNING_S:g} s", "the end of the tuning"
            )
            wanted = GRIDS[code].frequency_mhz(channel)
            found = s.now_all("CurrentLaserFrequencyTx", bank)[lane - 1]
            yield judged(found == wanted, "TUN-06", subject, f"{found} MHz", f"{wanted} MHz (TUN-02)",
                         s.show("CurrentLaserFrequencyTx"))  # fmt: skip
    here = s.now_all("CurrentLaserFrequencyTx", bank)[lane - 1]
    code, (low, high) = next(iter(grids.items()))
    _ask(s, lane, bank, code, high + GRIDS[code].multiple)
    yield from _refused(s, lane, bank, "InvalidChannelNumber", f"{where}, a channel beyond the highest", here)
    _ask(s, lane, bank, code, high)
    s.poll(partial(_at_rest, s, lane, bank), TUNING_S)
    here = s.now_all("CurrentLaserFrequencyTx", bank)[lane - 1]
    if s.code("FineTuningSupported"):
        _drain(s, lane, bank)
        s.put("FineTuningOffsetTx", (_signed(s.code("FineTuningHighOffset")) + 1) & 0xFFFF, lane, bank)
        s.put("FineTuningEnableTx", 1, lane, bank)
        yield from _refused(s, lane, bank, "FineTuningOutOfRange", f"{where}, an offset beyond the highest", here)
        s.put("FineTuningEnableTx", 0, lane, bank)
    else:
        yield not_applicable("TUN-04", f"{where}, fine tuning", "it is not offered")
    if s.code("ProgOutputPowerPerLaneSupported"):
        _drain(s, lane, bank)
        s.put("TargetOutputPowerTx", (_signed(s.code("ProgOutputPowerMax")) + 1) & 0xFFFF, lane, bank)
        yield from _refused(s, lane, bank, "TargetOutputPowerOOR", f"{where}, a power beyond the highest", here)


def _ask(s: Session, lane: int, bank: int, grid: int, channel: int) -> None:
    """Grid first, then channel; what the two are in between may be refused."""
    s.put("GridSpacingTx", grid, lane, bank)
    _drain(s, lane, bank)
    s.put("ChannelOffsetNumberTx", channel & 0xFFFF, lane, bank)


def _drain(s: Session, lane: int, bank: int) -> None:
    """Read the lane's flags away."""
    field = s.regmap.field("TuningCompleteFlagTx")
    s.fetch(field.page, field.element(lane)[0], 1, bank)


def _at_rest(s: Session, lane: int, bank: int) -> bool:
    moving = s.now_all("TuningInProgressTx", bank)[lane - 1]
    return not moving and not s.now_all("WavelengthUnlockStatusTx", bank)[lane - 1]


def _refused(s: Session, lane: int, bank: int, flag: str, subject: str, here: int) -> Iterator[Outcome]:
    """The flag of a request that can't be followed, its summary, and a laser that stays where it is."""
    summary = "LaserTuningFlagSummaryTx"
    told = s.poll(lambda: bool(s.now_all(summary, bank)[lane - 1]), LATENCY_S)
    yield judged(told is not None, "TUN-08", f"{subject}: {summary}", "0", "1 while a flag of the lane is set")
    found = s.now_all(f"{flag}FlagTx", bank)[lane - 1]
    yield judged(bool(found), "TUN-04", subject, f"{flag}FlagTx 0", f"{flag}FlagTx 1")
    now = s.now_all("CurrentLaserFrequencyTx", bank)[lane - 1]
    yield judged(now == here, "TUN-04", f"{subject}: the laser", f"{now} MHz", f"{here} MHz, as before")


@check("tuning-defaults", Area.TUNING, "TUN-06 TUN-08", "a reset masks flags and leaves the laser where it is told",
       Level.FULL)  # fmt: skip
def defaults(s: Session) -> Iterator[Outcome]:
    need_tunable(s)
    drive.need_drivable(s)
    masks = [f"{flag}MaskTx" for flag in FLAGS]
    for bank in range(s.banks):
        for name in masks:
            s.put(name, 0, bank=bank)
    if drive.software_reset(s) is None:
        raise AbsentError("the module does not come back from a reset")
    drive.settle(s)
    for bank in range(s.banks):
        for name in masks:
            codes = s.now_all(name, bank)
            mine = [codes[lane - 1] for lane in media_lanes_here(s)]
            yield judged(all(mine), "TUN-08", f"{name} bank {bank}", f"{mine}", "1, masked")
        for lane in media_lanes_here(s):
            s.poll(partial(_at_rest, s, lane, bank), TUNING_S)
            wanted, found = frequency_mhz(s, lane, bank), s.now_all("CurrentLaserFrequencyTx", bank)[lane - 1]
            yield judged(wanted is None or found == wanted, "TUN-06", f"lane {lane + LANES * bank}", f"{found} MHz",
                         f"{wanted} MHz", s.show("CurrentLaserFrequencyTx"))  # fmt: skip


CHECKS = (offer, requests, defaults)
