"""Flags, masks and interrupt as they stand: unadvertised flags, summaries, the interrupt and its pin."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, judged, not_applicable
from cmis_emu.judge.session import Session
from cmis_emu.registers.field import LOWER, Field, OnRead
from cmis_emu.registers.regmap import page_name

SUMMARIES = {"2Ch": 0x2C, "14h": 0x14, "12h": 0x12, "11h": 0x11}
"""Pages with a bit in FlagsSummary, by the end of its name (FLG-07)."""
LATENCY_S = 0.2  # a condition that holds sets its flag again within this time (FLG-02)
TRIES = 4  # what may change between two reads is looked at again


def flag_fields(s: Session, page: int) -> list[Field]:
    """Fields of a page that a read clears."""
    return [field for field in s.regmap.pages[page].fields if field.on_read is OnRead.CLEAR]


@check("unadvertised-flags", Area.FLAGS, "FLG-11", "flags that are not advertised read 0")
def unadvertised_flags(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no page 01h that advertises flags")
    s.need_page(1)
    for page in (LOWER, 0x11):
        for field in flag_fields(s, page):
            if s.has(field.name) or not field.needs or not s.in_image(page):
                continue
            for bank in range(s.banks if page != LOWER else 1):
                lanes = [lane for lane, code in enumerate(s.codes(field.name, bank), 1) if code]
                found = f"set{f' on lanes {lanes}' if field.lanes else ''}"
                yield judged(not lanes, "FLG-11", field.name, found, "0: not advertised", s.show(field.name, bank=bank))


@check("missing-lane-flags", Area.FLAGS, "APP-08", "flags of media lanes that do not exist read 0")
def missing_lane_flags(s: Session) -> Iterator[Outcome]:
    s.need_page(0x11)
    missing = s.missing_media_lanes()
    for field in flag_fields(s, 0x11):
        if field.side == "media":
            wrong = [lane for lane in missing if s.code(field.name, lane)]
            found = f"set on media lanes {wrong}"
            yield judged(not wrong, "APP-08", field.name, found, "0 on lanes that are not there", s.show(field.name))


@check("flags-summary", Area.FLAGS, "FLG-07", "FlagsSummary is the OR of the flags of its page", live=True)
def flags_summary(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no lane flags")
    for bank in range(4):
        for end, page in SUMMARIES.items():
            name = f"FlagsSummaryBank{bank}Page{end}"
            if bank >= s.banks or not s.advertised(page):
                yield judged(not s.now(name), "FLG-07", name, "1", f"0: no page {end} in bank {bank}")
                continue
            for when in ("as found", "after the flags were read"):
                found = expected = 0
                for _ in range(TRIES):  # an event may come between the two reads
                    found = s.now(name)
                    expected = int(any(any(s.now_all(f.name, bank)) for f in flag_fields(s, page)))
                    if found == expected:
                        break
                    s.wait(LATENCY_S)
                good = found == expected
                yield judged(
                    good, "FLG-07", f"{name} {when}", f"{found}", f"{expected}, the OR of the flags it sums up"
                )


def unmasked(s: Session) -> list[str]:
    """Names of flags that are set and not masked, read now; reading clears them."""
    found = []
    for page in s.compiled.pages:
        for field in flag_fields(s, page):
            if field.masked_by is None or not s.has(field.name):
                continue
            for bank in range(s.banks if s.regmap.pages[page].banked else 1):
                mask_bank = bank if s.regmap.pages[s.regmap.field(field.masked_by).page].banked else 0
                flags = s.now_all(field.name, bank)
                if any(flags):
                    masks = s.now_all(field.masked_by, mask_bank)
                    found += [
                        f"{field.name}[{i}]" for i, (f, m) in enumerate(zip(flags, masks, strict=True), 1) if f & ~m
                    ]
    return found


@check(
    "interrupt", Area.FLAGS, "FLG-06 MSM-11", "the interrupt is asserted for unmasked flags, and only then", live=True
)
def interrupt(s: Session) -> Iterator[Outcome]:
    if s.flat:
        asserted = s.now("InterruptDeasserted") == 0
        yield judged(not asserted, "MSM-11", "InterruptDeasserted", "asserted", "deasserted: no flags on flat memory")
        return
    for when in ("as found", "after the flags were read"):
        asserted, causes = False, [""]
        for _ in range(TRIES):
            asserted = s.now("InterruptDeasserted") == 0
            causes = unmasked(s)
            if asserted == bool(causes):
                break
            s.wait(LATENCY_S)
        found = "asserted" if asserted else "not asserted"
        demanded = f"asserted for {', '.join(causes[:4])}" if causes else "not asserted: no unmasked flag is set"
        yield judged(asserted == bool(causes), "FLG-06", f"InterruptDeasserted {when}", found, demanded)


@check("interrupt-pin", Area.FLAGS, "MSM-11", "InterruptDeasserted says what the pin says", live=True)
def interrupt_pin(s: Session) -> Iterator[Outcome]:
    if s.host.pins is None:
        raise AbsentError("this target gives no access to the pins")
    # A module that lives may raise an interrupt between two looks: the pin counts between two like readings of the bit.
    for _ in range(TRIES):
        bit, level = s.now("InterruptDeasserted"), s.host.pins.get("IntL")
        if s.now("InterruptDeasserted") == bit:
            break
    yield judged(bool(bit) == level, "MSM-11", "IntL", f"pin {int(level)}, bit {bit}", "the same")


@check("clear-on-read", Area.FLAGS, "FLG-01", "a read clears flags whose condition has gone", live=True)
def clear_on_read(s: Session) -> Iterator[Outcome]:
    """Edge flags latch once per event (FLG-02): read twice at once, they are 0 the second time."""
    names = ["ModuleStateChangedFlag"] + ([] if s.flat or not s.advertised(0x11) else ["DPStateChangedFlag"])
    for name in names:
        for bank in range(s.banks if s.regmap.field(name).page != LOWER else 1):
            if s.flat:
                yield not_applicable("FLG-01", name, "flat memory")
                continue
            s.now_all(name, bank)
            again = s.now_all(name, bank)
            page = page_name(s.regmap.field(name).page)
            yield judged(not any(again), "FLG-01", f"{name} bank {bank}", f"{again} in a second read", "0",
                         f"page {page}")  # fmt: skip


CHECKS = (
    unadvertised_flags,
    missing_lane_flags,
    flags_summary,
    interrupt,
    interrupt_pin,
    clear_on_read,
)
