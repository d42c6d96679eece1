"""VDM as far as advertised: descriptors, threshold sets, flags and masks, freeze, and what is shown while frozen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cmis_emu.judge import drive
from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, not_applicable, passed
from cmis_emu.judge.checks.identity import own_page
from cmis_emu.judge.session import LANES, Session
from cmis_emu.registers.encoding import decode_f16, extract

GROUP = 64  # instances of one group (VDM-01)
SETS = 16  # threshold sets of one group (VDM-04)
MODULE_LEVEL = 15  # MonitoredResource of the whole module (VDM-02)
CUSTOM_TYPES = range(100, 128)
FREEZE_S = 1.0  # hosts poll the done bits so long (VDM-06)
LIMITS = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")
STATISTIC = re.compile(r"\b(minimum|maximum|average|current) (?=media|host)")
HOLD_S = 1.5  # longer than most modules' FineIntervalLength
LATENCY_S = 0.25  # a condition that holds sets its flag again within 0.2 s (FLG-02)
MASKED = 0b1111  # a nibble of masks


def groups(s: Session) -> int:
    """How many groups the module has. Raises AbsentError without VDM."""
    s.need("VDMPagesSupported")
    if not s.code("VDMPagesSupported"):
        raise AbsentError("VDM is not advertised (01h: VDMPagesSupported)")
    own_page(s, s.regmap.field("VDMSupport").page)
    return s.code("VDMSupport") + 1


def instances(s: Session) -> Iterator[tuple[int, int, int, int]]:
    """(instance, type, resource, threshold set) of all groups in use; instance and set counted over groups."""
    for group in range(groups(s)):
        types, resources, sets = (
            s.regmap.family(f"VDMDescriptor.{part}")[group]
            for part in ("ObservableTypeID", "MonitoredResource", "LocalThresholdSetID")
        )
        own_page(s, types.page)
        for lane in range(1, GROUP + 1):
            kind = s.element(types, lane)
            if kind:
                yield group * GROUP + lane, kind, s.element(resources, lane), group * SETS + s.element(sets, lane) + 1


def typed(s: Session, kind: int, code: int) -> float | None:
    """Value of a sample or threshold of observable `kind`; None for a type without a table row."""
    row = s.regmap.tables["vdm_observable"].get(kind)
    if row is None:
        return None
    if row["type"] == "f16":
        return decode_f16(code)
    return float(code - 0x10000 if row["type"] == "s16" and code & 0x8000 else code)


@check("vdm-descriptors", Area.VDM, "VDM-02 VDM-10", "VDM descriptors name known observables of lanes that can be")
def descriptors(s: Session) -> Iterator[Outcome]:
    known = s.regmap.enums["vdm_observable"]
    seen = False
    for instance, kind, resource, _ in instances(s):
        seen = True
        where = f"instance {instance}"
        good = kind in known or kind in CUSTOM_TYPES
        yield judged(good, "VDM-10", where, f"type {kind}", "a type of the table, or custom 100 to 127")
        good = resource < LANES or resource == MODULE_LEVEL
        yield judged(good, "VDM-02", where, f"resource {resource}", "0 to 7, or 15 for the module")
    if not seen:
        yield not_applicable("VDM-02", "", "no instance is in use")


@check("vdm-thresholds", Area.VDM, "VDM-04", "VDM thresholds of instances in use are in order")
def thresholds(s: Session) -> Iterator[Outcome]:
    judged_sets: set[tuple[int, int]] = set()
    for _, kind, _, number in instances(s):
        page = s.regmap.lane("VDMThresholdSet.HighAlarm", number)[0].page
        own_page(s, page)
        if (kind, number) in judged_sets:
            continue
        judged_sets.add((kind, number))
        codes = [s.element(*s.regmap.lane(f"VDMThresholdSet.{limit}", number)) for limit in LIMITS]
        values = [typed(s, kind, code) for code in codes]
        if not any(codes) or None in values:
            continue
        high_alarm, low_alarm, high_warning, low_warning = (v for v in values if v is not None)
        good = high_alarm >= high_warning >= low_warning >= low_alarm
        found = f"{high_alarm:g} / {high_warning:g} / {low_warning:g} / {low_alarm:g}"
        demanded = "high alarm >= high warning >= low warning >= low alarm"
        data = " ".join(f"{code:04x}" for code in codes)
        yield judged(good, "VDM-04", f"type {kind} threshold set {number}", found, demanded, data)
    if not judged_sets:
        yield not_applicable("VDM-04", "", "no instance is in use")


@check("vdm-unused", Area.VDM, "VDM-05", "unused VDM instances have no flags")
def unused(s: Session) -> Iterator[Outcome]:
    total = groups(s) * GROUP
    own_page(s, s.regmap.field("VDMFlags").page)
    used = {instance for instance, *_ in instances(s)}
    flags = s.codes("VDMFlags")
    wrong = [i for i, code in enumerate(flags, 1) if code and i not in used]
    yield judged(not wrong, "VDM-05", f"{total} instances", f"flags on unused instances {wrong[:8]}", "0",
                 s.show("VDMFlags") if wrong else "")  # fmt: skip


@check("vdm-done", Area.VDM, "VDM-06", "FreezeDone and UnfreezeDone are not both set")
def done_bits(s: Session) -> Iterator[Outcome]:
    groups(s)
    freeze, unfreeze = s.code("FreezeDone"), s.code("UnfreezeDone")
    yield judged(not (freeze and unfreeze), "VDM-06", "FreezeDone, UnfreezeDone", "both 1", "one of them at most",
                 s.show("FreezeDone"))  # fmt: skip


@check("vdm-freeze", Area.VDM, "VDM-06", "a freeze is done in time, and undone", Level.SAFE)
def freeze(s: Session) -> Iterator[Outcome]:
    groups(s)
    with s.keeping("FreezeRequest"):
        for request, done in ((1, "FreezeDone"), (0, "UnfreezeDone")):
            s.put("FreezeRequest", request)
            took = s.poll(lambda done=done: s.now(done) == 1, FREEZE_S)  # type: ignore[misc]
            found = f"{done} did not come in {FREEZE_S:g} s"
            yield judged(took is not None, "VDM-06", done, found, f"1 after FreezeRequest {request}")
            other = "UnfreezeDone" if request else "FreezeDone"
            yield judged(s.now(other) == 0, "VDM-06", other, "1", f"0 after FreezeRequest {request}")
    yield passed("VDM-06", "FreezeRequest put back")


def samples(s: Session, bank: int) -> dict[int, int]:
    """Codes of all instances in use, read now, each group in one read."""
    used = list(instances(s))
    found: dict[int, int] = {}
    for group in range(groups(s)):
        field = s.regmap.family("VDMSample")[group]
        block = s.fetch(field.page, field.at, 2 * GROUP, bank)
        for instance, *_ in used:
            if group * GROUP < instance <= (group + 1) * GROUP:
                code = extract(field, block, field.at, instance - group * GROUP)
                found[instance] = code if isinstance(code, int) else 0
    return found


@contextmanager
def frozen(s: Session) -> Iterator[None]:
    """A freeze, undone at the end."""
    groups(s)
    with s.keeping("FreezeRequest"):
        s.put("FreezeRequest", 1)
        if s.poll(lambda: s.now("FreezeDone") == 1, FREEZE_S) is None:
            raise AbsentError("the module does not freeze")
        yield
        s.put("FreezeRequest", 0)
        s.poll(lambda: s.now("UnfreezeDone") == 1, FREEZE_S)


@check("vdm-statistics", Area.VDM, "VDM-07", "minimum <= average <= maximum, and the current value between", Level.SAFE)
def statistics(s: Session) -> Iterator[Outcome]:
    rows: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
    for instance, kind, resource, _ in instances(s):
        name = s.regmap.enums["vdm_observable"].get(kind, "")
        match = STATISTIC.search(name)
        if match is not None:
            rows.setdefault((STATISTIC.sub("", name), resource), {})[match[1]] = instance, kind
    if not any(len(row) > 1 for row in rows.values()):
        yield not_applicable("VDM-07", "", "no instance is a statistic")
        return
    with frozen(s):
        for bank in range(s.banks):
            codes = samples(s, bank)
            for (name, resource), row in rows.items():
                values = {word: typed(s, kind, codes[instance]) or 0.0 for word, (instance, kind) in row.items()}
                low, high = values.get("minimum", 0.0), values.get("maximum", float("inf"))
                found = ", ".join(f"{word} {value:.4g}" for word, value in values.items())
                good = all(low <= value <= high for value in values.values())
                where = f"{' '.join(name.split())} resource {resource} bank {bank}"
                yield judged(good, "VDM-07", where, found, "minimum <= average, current <= maximum")


@check("vdm-hold", Area.VDM, "VDM-07", "frozen values stay as they are", Level.SAFE)
def hold(s: Session) -> Iterator[Outcome]:
    if not list(instances(s)):
        yield not_applicable("VDM-07", "", "no instance is in use")
        return
    with frozen(s):
        before = [samples(s, bank) for bank in range(s.banks)]
        s.wait(HOLD_S)
        for bank, old in enumerate(before):
            moved = [instance for instance, code in samples(s, bank).items() if code != old[instance]]
            found = f"instances {moved[:8]} moved"
            yield judged(not moved, "VDM-07", f"bank {bank}", found, f"the same values {HOLD_S:g} s later")


@check("vdm-flags", Area.VDM, "VDM-05", "a value beyond a VDM threshold has its flag set", live=True)
def flagged(s: Session) -> Iterator[Outcome]:
    """Only what lies beyond before and after the flags were read; 0 may mean that nothing is measured (FLG-09)."""
    used = list(instances(s))
    if not used:
        yield not_applicable("VDM-05", "", "no instance is in use")
        return
    s.wait(LATENCY_S)  # earlier reads cleared the flags
    for bank in range(s.banks):
        before, flags, after = samples(s, bank), s.now_all("VDMFlags", bank), samples(s, bank)
        for instance, kind, _, number in used:
            values = [typed(s, kind, each[instance]) for each in (before, after)]
            seen = [value for value in values if value]
            if len(seen) < len(values):
                continue
            for bit, limit in enumerate(LIMITS):
                code = s.element(*s.regmap.lane(f"VDMThresholdSet.{limit}", number))
                edge = typed(s, kind, code) or 0.0
                beyond = min(seen) > edge if limit.startswith("High") else max(seen) < edge
                found = f"{seen[0]:.5g} and {seen[1]:.5g} beyond {edge:.5g}, flag 0"
                good = not beyond or bool(flags[instance - 1] >> bit & 1)
                if not good or beyond:
                    where = f"instance {instance} bank {bank} {limit}"
                    yield judged(good, "VDM-05", where, found, "the flag set", note=f"beyond {limit}")
        yield passed("VDM-05", f"bank {bank}")


@check("vdm-masks", Area.VDM, "VDM-09", "a reset brings back VDM masks, all alike", Level.FULL)
def masks(s: Session) -> Iterator[Outcome]:
    groups(s)
    drive.need_drivable(s)
    for bank in range(s.banks):
        if drive.software_reset(s) is None:
            raise AbsentError("the module does not come back from a reset")
        before = s.now_all("VDMMasks", bank)
        kinds = sorted(set(before))
        yield judged(kinds in ([0], [MASKED]), "VDM-09", f"bank {bank}", f"masks {kinds}", "all 0 or all 1")
        s.put("VDMMasks", [code ^ MASKED for code in before], bank=bank)
        if drive.software_reset(s) is None:
            raise AbsentError("the module does not come back from a reset")
        good = s.now_all("VDMMasks", bank) == before
        yield judged(good, "VDM-09", f"bank {bank} after a reset", "other masks", "those of the reset before")
    drive.settle(s)


CHECKS = (descriptors, thresholds, unused, done_bits, freeze, statistics, hold, flagged, masks)
