"""Diagnostics as far as advertised: capabilities that hang together, controls within them."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, passed
from cmis_emu.judge.checks.identity import own_page
from cmis_emu.judge.session import Session

LOOPBACKS = ("MediaSideOutput", "MediaSideInput", "HostSideOutput", "HostSideInput")
ENGINES = ("HostSideGenerator", "MediaSideGenerator", "HostSideChecker", "MediaSideChecker")
SNR_SELECTOR = 6
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
    own_page(s, s.regmap.field("DiagnosticsSelector").page)
    known = s.regmap.enums["diag_selector"]
    unknown = next(code for code in range(0x20, 0xC0) if code not in known)
    with s.keeping("DiagnosticsSelector"):
        s.put("DiagnosticsSelector", unknown)
        s.wait(SELECT_S)
        code, data = s.now("DiagnosticsSelector"), s.now("DiagnosticsData")
        yield judged(code == 0, "DIAG-12", f"selector {unknown:02X}h", f"reads {code:02X}h", "00h")
        yield judged(data == 0, "DIAG-12", f"selector {unknown:02X}h", "data that is not 0", "zeros")


CHECKS = (capabilities, loopbacks, selector)
