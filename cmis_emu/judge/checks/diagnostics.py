"""Diagnostics as far as advertised: capabilities that hang together, controls within them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from cmis_emu.judge import drive
from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, passed
from cmis_emu.judge.checks.applications import media_lanes_here
from cmis_emu.judge.checks.identity import own_page
from cmis_emu.judge.session import Session

LOOPBACKS = ("MediaSideOutput", "MediaSideInput", "HostSideOutput", "HostSideInput")
GATED = 0x10  # set in selectors of the last completed gate
SELECT_S = 0.010  # tDDCS (DIAG-12)


def need_diagnostics(s: Session) -> None:
    """Go on only with page 13h."""
    s.need("DiagnosticPagesSupported")
    if not s.code("DiagnosticPagesSupported"):
        raise AbsentError("diagnostics are not advertised (01h: DiagnosticPagesSupported)")
    own_page(s, s.regmap.field("GatingSupport").page)


@check("diagnostics-capabilities", Area.DIAGNOSTICS, "DIAG-06", "an advertised pattern engine has patterns")
def capabilities(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    for side in ("Host", "Media"):
        for engine in ("Generator", "Checker"):
            places = [f"PRBS{engine}{side}Side{fec}FECSupported" for fec in ("Pre", "Post")]
            patterns = f"{side}Side{engine}SupportedPatterns"
            if any(s.code(name) for name in places):
                yield judged(s.code(patterns) != 0, "DIAG-06", patterns, "0, though the engine is advertised",
                             "at least one pattern", s.show(*places[:1], patterns))  # fmt: skip
    beyond = s.raw("UserPattern")[2 * (s.code("UserPatternLengthMax") + 1) :]
    if any(beyond):
        yield passed("DIAG-06", "UserPattern", f"holds bytes beyond its length: {beyond.hex(' ')}")


@check("loopback-controls", Area.DIAGNOSTICS, "DIAG-02", "loopbacks that are not advertised are not on")
def loopbacks(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    for name in LOOPBACKS:
        on = [lane for lane, code in enumerate(s.codes(f"{name}LoopbackEnable"), 1) if code]
        if not s.code(f"{name}LoopbackSupported"):
            yield judged(not on, "DIAG-02", name, f"on for lanes {on}", "0: not advertised",
                         s.show(f"{name}LoopbackSupported", f"{name}LoopbackEnable"))  # fmt: skip


@check(
    "diagnostics-selector",
    Area.DIAGNOSTICS,
    "DIAG-12",
    "an unsupported selector reads back 0 and shows zeros",
    Level.SAFE,
)
def selector(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    page = s.regmap.field("DiagnosticsSelector").page
    own_page(s, page)
    known = s.regmap.enums["diag_selector"]
    unknown = next(code for code in range(0x20, 0xC0) if code not in known)
    offered = [each for view in s.regmap.pages[page].views for each in view.selectors if supported(s, each)]
    with s.keeping("DiagnosticsSelector"):
        for code in offered:
            s.put("DiagnosticsSelector", code)
            s.wait(SELECT_S)
            found = s.now("DiagnosticsSelector")
            yield judged(found == code, "DIAG-12", f"selector {code:02X}h", f"reads {found:02X}h", f"{code:02X}h")
        s.put("DiagnosticsSelector", unknown)
        s.wait(SELECT_S)
        found, data = s.now("DiagnosticsSelector"), s.now("DiagnosticsData")
        yield judged(found == 0, "DIAG-12", f"selector {unknown:02X}h", f"reads {found:02X}h", "00h")
        yield judged(data == 0, "DIAG-12", f"selector {unknown:02X}h", "data that is not 0", "zeros")


def supported(s: Session, selector: int) -> bool:
    """Does the module advertise what a selector shows? GATED: its results of the last gate."""
    view = s.regmap.pages[s.regmap.field("DiagnosticsSelector").page].view(selector)
    if view is None or (selector & GATED and not s.code("GatingResultsSupported")):
        return False
    return any(all(each.holds(s.code(each.name)) for each in field.needs) for field in view.fields)


def lanes_of_side(s: Session, side: str, bank: int) -> int:
    """Lanes (mask) that certainly are there: media lanes that are not denied, host lanes of the active set."""
    if side == "Media":
        return sum(1 << (lane - 1) for lane in media_lanes_here(s))
    return sum(1 << index for index, app_sel in enumerate(s.now_all("ACS.AppSelCodeLane", bank)) if app_sel)


@check(
    "loopback-switching",
    Area.DIAGNOSTICS,
    "DIAG-02 DIAG-04 DIAG-05",
    "loopbacks read back what is on, and exclude each other",
    Level.FULL,
)
def switching(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    names = [f"{name}LoopbackEnable" for name in LOOPBACKS]
    with drive.ready(s):
        for bank in range(s.banks):
            with s.keeping(*names, bank=bank):
                for name in names:
                    s.put_mask(name, 0, bank)
                for name, control in zip(LOOPBACKS, names, strict=True):
                    yield from _one_loopback(s, bank, name, control)
                yield from _exclusions(s, bank, names)


def _one_loopback(s: Session, bank: int, name: str, control: str) -> Iterator[Outcome]:
    """All lanes, one lane, none."""
    side = "Host" if name.startswith("Host") else "Media"
    where = f"{control} bank {bank}"
    s.put_mask(control, drive.ALL, bank)
    found = s.now_mask(control, bank)
    if not s.code(f"{name}LoopbackSupported"):
        yield judged(found == 0, "DIAG-02", where, f"{found:02X}h", "00h: not advertised")
        return
    here = lanes_of_side(s, side, bank)
    yield judged(found & here == here, "DIAG-05", where, f"{found:02X}h after FFh", f"the lanes {here:02X}h on")
    s.put_mask(control, 0, bank)
    found = s.now_mask(control, bank)
    yield judged(found == 0, "DIAG-05", where, f"{found:02X}h after 00h", "00h")
    one = here & -here
    s.put_mask(control, one, bank)
    found = s.now_mask(control, bank)
    if s.code(f"PerLane{side}SideLoopbacksSupported"):
        yield judged(found == one, "DIAG-05", where, f"{found:02X}h after {one:02X}h", f"{one:02X}h: control per lane")
    else:
        yield judged(found & here == here, "DIAG-04", where, f"{found:02X}h after {one:02X}h",
                     f"the lanes {here:02X}h on: no control per lane")  # fmt: skip
    s.put_mask(control, 0, bank)


def _exclusions(s: Session, bank: int, names: Sequence[str]) -> Iterator[Outcome]:
    """Not both of a side on a lane; not both sides unless advertised."""
    together = s.code("SimultaneousHostAndMediaSideLoopbacksSupported")
    for first, second in permutations(names, 2):
        if not all(s.code(each.replace("Enable", "Supported")) for each in (first, second)):
            continue
        same_side = first[:4] == second[:4]
        if not same_side and together:
            continue
        s.put_mask(first, drive.ALL, bank)
        s.put_mask(second, drive.ALL, bank)
        found = s.now_mask(first, bank), s.now_mask(second, bank)
        good = not found[0] & found[1] if same_side else not (found[0] and found[1])
        why = "one loopback of a side on a lane" if same_side else "one side alone: both at once are not advertised"
        yield judged(good, "DIAG-04", f"{first}, then {second}, bank {bank}",
                     f"{found[0]:02X}h and {found[1]:02X}h", why)  # fmt: skip
        s.put_mask(second, 0, bank)
        s.put_mask(first, 0, bank)


@check(
    "diagnostics-masks", Area.DIAGNOSTICS, "DIAG-15", "a reset brings back the masks, alike for all lanes", Level.FULL
)
def masks(s: Session) -> Iterator[Outcome]:
    need_diagnostics(s)
    drive.need_drivable(s)
    page = s.regmap.pages[s.regmap.field("LossOfReferenceClockFlag").page]
    names = [field.masked_by for field in page.fields if field.masked_by is not None and s.has(field.name)]
    for bank in range(s.banks):
        if drive.software_reset(s) is None:
            raise AbsentError("the module does not come back from a reset")
        before = {name: s.now_all(name, bank) for name in names}
        for name, codes in before.items():
            here = lanes_of_side(s, "Media", bank) if "Media" in name else drive.ALL
            kinds = sorted({code for index, code in enumerate(codes) if here >> index & 1})
            yield judged(len(kinds) == 1, "DIAG-15", f"{name} bank {bank}", f"{kinds}", "all 1, or all 0")
            s.put(name, [code ^ 1 for code in codes], bank=bank)
        if drive.software_reset(s) is None:
            raise AbsentError("the module does not come back from a reset")
        for name, codes in before.items():
            after = s.now_all(name, bank)
            yield judged(after == codes, "DIAG-15", f"{name} bank {bank} after a reset", f"{after}", f"{codes}")
    drive.settle(s)


CHECKS = (capabilities, loopbacks, selector, switching, masks)
