"""Pattern engines at work: a generator, a loopback and a checker of one side, with nothing else in the way.

Service is interrupted. A side whose output cannot be looped to its own checker is left alone: what lies on the
fibre, or on the host's board, is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cmis_emu.judge import drive
from cmis_emu.judge.check import Area, Level, Outcome, check, judged, not_applicable
from cmis_emu.judge.checks.diagnostics import GATED, SELECT_S, lanes_of_side, need_diagnostics, supported
from cmis_emu.judge.session import LANES, Session
from cmis_emu.registers.encoding import extract

NAMED = 0x1FFF  # patterns that are the same in every module: neither custom nor user
LOCK_S = 2.0
UPDATE_S = 2.2  # two refreshes of 1 s each (DIAG-11)
LATENCY_S = 0.25  # a condition that holds sets its flag again within 0.2 s (FLG-02)
GATE_5_S, GATE_S, MARGIN_S = 1, 5.0, 0.5
LARGEST_RATIO = 1e-3  # inside the module
COUNTERS = {"Host": (0x02, 0x03), "Media": (0x04, 0x05)}
"""Selectors of the counters: lanes 1 to 4, and 5 to 8 (DIAG-13)."""
RATIOS = 0x01
PLAIN = ("DataInvertLane", "ByteSwapLane", "PreFECEnableLane", "PostFECEnableLane")


@dataclass(frozen=True, slots=True)
class Loop:
    """A generator whose output can be looped to a checker. `lanes`: those judged (mask)."""

    side: str
    bank: int
    lanes: int
    pattern: int
    other: int | None  # one that the checker knows as well

    def name(self, engine: str, what: str) -> str:
        """Field of an engine."""
        return f"{self.side}Side{engine}{what}"

    @property
    def loopback(self) -> str:
        """Its control."""
        return f"{self.side}SideOutputLoopbackEnable"

    @property
    def where(self) -> str:
        """What a report calls it."""
        return f"{self.side.lower()} side bank {self.bank}"

    def wrong(self, mask: int) -> list[int]:
        """Lanes of a mask, among those judged."""
        return [lane for lane in range(1, LANES + 1) if (mask & self.lanes) >> (lane - 1) & 1]


def loops(s: Session) -> Iterator[Loop]:
    """Every loop that the module advertises."""
    for bank in range(s.banks):
        for side in COUNTERS:
            names = [f"{side}Side{engine}SupportedPatterns" for engine in ("Generator", "Checker")]
            sent, found = (s.code(name) & NAMED for name in names)
            lanes = lanes_of_side(s, side, bank)
            if sent & found and lanes and s.code(f"{side}SideOutputLoopbackSupported"):
                common = sent & found
                pattern = (common & -common).bit_length() - 1
                rest = found & ~(1 << pattern)
                yield Loop(side, bank, lanes, pattern, (rest & -rest).bit_length() - 1 if rest else None)


@contextmanager
def running(s: Session, loop: Loop, gate: int = 0) -> Iterator[None]:
    """Generator, loopback and checker of a loop on; everything as it was at the end."""
    plain = [loop.name(engine, what) for engine in ("Generator", "Checker") for what in PLAIN]
    plain = [name for name in plain if s.compiled.implements(name)]
    selects = [loop.name(engine, "PatternSelectLane") for engine in ("Generator", "Checker")]
    enables = [loop.name(engine, "EnableLane") for engine in ("Generator", "Checker")]
    others = [f"{side}Side{port}LoopbackEnable" for side in COUNTERS for port in ("Input", "Output")]
    controls = [*plain, *selects, *others, "ResetErrorInformation", "DiagnosticsSelector", *enables]
    with s.keeping(*controls, bank=loop.bank):
        for name in [*enables, *plain, *others, "ResetErrorInformation"]:
            s.put(name, 0, bank=loop.bank)
        for name in ("AutoRestartGating", "UpdatePeriodSelect"):
            if s.has(name):
                s.put(name, 0, bank=loop.bank)
        if s.has("MeasurementTime"):
            s.put("MeasurementTime", gate, bank=loop.bank)
        for name in selects:
            s.put(name, loop.pattern, bank=loop.bank)
        s.put_mask(loop.loopback, drive.ALL, loop.bank)
        for name in enables:
            s.put_mask(name, drive.ALL, loop.bank)
        yield


def unlocked(s: Session, loop: Loop, engine: str) -> list[int]:
    """Lanes whose engine has no lock now: the flag is read twice, since the first read shows the past."""
    name = f"Pattern{engine}LOLFlag{loop.side}Lane"
    s.now_mask(name, loop.bank)
    s.wait(LATENCY_S)
    return loop.wrong(s.now_mask(name, loop.bank))


def shown(s: Session, bank: int, selector: int) -> dict[str, list[int]]:
    """Codes of the fields that a selector shows, lane by lane."""
    data = s.regmap.field("DiagnosticsData")
    s.put("DiagnosticsSelector", selector, bank=bank)
    s.wait(SELECT_S)
    block = s.fetch(data.page, data.at, data.span[1] - data.at + 1, bank)
    view = s.regmap.pages[data.page].view(selector)
    fields = view.fields if view is not None else ()
    return {
        field.name: [int(extract(field, block, data.at, lane)) for lane in range(1, field.count + 1)]
        for field in fields
    }


def counters(s: Session, loop: Loop, gated: int = 0) -> dict[int, tuple[int, int]]:
    """(errors, bits) of the judged lanes; bit 0 of the bits is a lost sync."""
    found: dict[int, tuple[int, int]] = {}
    for half, selector in enumerate(COUNTERS[loop.side]):
        if not supported(s, selector | gated):
            return {}
        block = shown(s, loop.bank, selector | gated)
        pairs = zip(block[f"ErrorCount{loop.side}"], block[f"BitCount{loop.side}"], strict=True)
        found |= {4 * half + number: pair for number, pair in enumerate(pairs, 1)}
    return {lane: pair for lane, pair in found.items() if loop.lanes >> (lane - 1) & 1}


def _on(s: Session, loop: Loop) -> Iterator[Outcome]:
    """Lock, and counting."""
    s.wait(LOCK_S)
    for engine in ("Generator", "Checker"):
        lanes = unlocked(s, loop, engine)
        yield judged(not lanes, "DIAG-08", f"{engine.lower()}, {loop.where}", f"no lock on lanes {lanes}",
                     "lock on a pattern that is looped")  # fmt: skip
    s.wait(UPDATE_S)
    first = counters(s, loop)
    s.wait(UPDATE_S)
    second = counters(s, loop)
    for lane, (errors, bits) in second.items():
        where, found = f"lane {lane}, {loop.where}", f"{errors} errors in {bits} bits, after {first[lane][1]} bits"
        good = bits > first[lane][1] > 1 and not bits & 1 and errors <= bits * LARGEST_RATIO
        yield judged(good, "DIAG-09", where, found, "more and more bits, in sync, with few errors")


def _cleared(s: Session, loop: Loop) -> Iterator[Outcome]:
    """ResetErrorInformation."""
    s.put("ResetErrorInformation", 1, bank=loop.bank)
    s.wait(SELECT_S)
    held = counters(s, loop)
    lanes = [lane for lane, (errors, bits) in held.items() if errors or bits & ~1]
    yield judged(not lanes, "DIAG-10", loop.where, f"lanes {lanes} keep their counts", "0 while it is 1")
    before = s.host.timer.now()
    s.put("ResetErrorInformation", 0, bank=loop.bank)
    s.wait(UPDATE_S)
    lanes = [lane for lane, (_, bits) in counters(s, loop).items() if bits <= 1]
    yield judged(not lanes, "DIAG-10", loop.where, f"lanes {lanes} count nothing for {s.host.timer.now() - before:g} s",
                 "new counts when it is 0 again")  # fmt: skip


def _astray(s: Session, loop: Loop) -> Iterator[Outcome]:
    """Another pattern, then no checker."""
    if loop.other is not None:
        s.put(loop.name("Checker", "PatternSelectLane"), loop.other, bank=loop.bank)
        s.wait(LOCK_S)
        lost = unlocked(s, loop, "Checker")
        locked = [lane for lane in loop.wrong(drive.ALL) if lane not in lost]
        yield judged(not locked, "DIAG-08", f"another pattern, {loop.where}", f"lock on lanes {locked}", "no lock")
        s.put(loop.name("Checker", "PatternSelectLane"), loop.pattern, bank=loop.bank)
        s.wait(LOCK_S)
    s.put(loop.name("Checker", "EnableLane"), 0, bank=loop.bank)
    s.wait(SELECT_S)
    lanes = [lane for lane, pair in counters(s, loop).items() if any(pair)]
    yield judged(not lanes, "DIAG-14", f"counters, {loop.where}", f"lanes {lanes} count", "0: the checker is off")
    if supported(s, RATIOS):
        ratios = shown(s, loop.bank, RATIOS)[f"BER{loop.side}Lane"]
        lanes = loop.wrong(sum(bool(code) << index for index, code in enumerate(ratios)))
        yield judged(not lanes, "DIAG-14", f"BER, {loop.where}", f"not 0 on lanes {lanes}", "0: the checker is off")


@check(
    "pattern-loop",
    Area.DIAGNOSTICS,
    "DIAG-08 DIAG-09 DIAG-10 DIAG-14",
    "a generator that is looped to a checker is found, and counted",
    Level.FULL,
)
def pattern_loop(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    with drive.activated(s):
        found = False
        for loop in loops(s):
            found = True
            with running(s, loop):
                yield from _on(s, loop)
                if supported(s, COUNTERS[loop.side][0]):
                    yield from _cleared(s, loop)
                yield from _astray(s, loop)
    if not found:
        yield not_applicable("DIAG-08", "", "no output can be looped to a checker that knows its pattern")


@check("pattern-gate", Area.DIAGNOSTICS, "DIAG-09", "a gate ends in time, is flagged, and its result stays", Level.FULL)
def pattern_gate(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    s.need("MeasurementTime", "gating is not advertised (GatingSupport)")
    with drive.activated(s):
        loop = next(loops(s), None)
        if loop is None:
            yield not_applicable("DIAG-09", "", "no output can be looped to a checker that knows its pattern")
            return
        with running(s, loop, GATE_5_S):
            yield from _gate(s, loop)


def _gate(s: Session, loop: Loop) -> Iterator[Outcome]:
    name = f"PatternCheckGatingCompleteFlag{loop.side}Lane"
    s.wait(GATE_S - MARGIN_S)
    early = loop.wrong(s.now_mask(name, loop.bank))
    yield judged(not early, "DIAG-09", name, f"set on lanes {early} before {GATE_S:g} s", "0 while the gate is open")
    s.wait(2 * MARGIN_S)
    missing = loop.wrong(~s.now_mask(name, loop.bank) & drive.ALL)
    yield judged(not missing, "DIAG-09", name, f"0 on lanes {missing}", f"1 after {GATE_S:g} s")
    result = counters(s, loop)
    s.wait(UPDATE_S)
    moved = [lane for lane, pair in counters(s, loop).items() if pair != result[lane]]
    yield judged(not moved, "DIAG-09", f"result, {loop.where}", f"lanes {moved} go on counting", "the gate's counts")
    for lane, pair in counters(s, loop, GATED).items():
        kept, found = result[lane], f"{pair[0]} errors in {pair[1]} bits"
        demanded = f"{kept[0]} errors in {kept[1]} bits"
        yield judged(pair == kept, "DIAG-09", f"last gate, lane {lane}, {loop.where}", found, demanded)


CHECKS = (pattern_loop, pattern_gate)
