"""Reads the section `diagnostics` of a profile and refuses what is wrong with file:line (DIAG-01 to DIAG-15).

    diagnostics:
      loopbacks: [media_output, media_input, host_output, host_input]
      loopbacks_per_lane: [host, media]        # on other sides any bit stands for all lanes
      simultaneous_loopbacks: true             # of host and media side
      results: [ber, counts, host_snr, media_snr]
      gating: {accuracy_ms: 2, results: true, lane_timers: true, auto_restart: true}
      periodic_updates: true
      patterns:                                # engines that are not named are not there
        host_generator: [prbs31q, prbs13q]
        media_checker: [prbs31q, prbs13q]
      user_pattern_bytes: 32
      invert: [host_generator, media_checker]  # engines; `all` for every one that is there
      swap: all
      enable_per_lane: all                     # else a bit stands for all lanes
      pattern_per_lane: all                    # else lane 1 speaks for all
      masks: 1                                 # of the flags, after a reset (RST-06)

The registers of pages 01h and 13h follow, so that what is advertised is what the engines do.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from cmis_emu.module.diagnostics.bench import USER_PATTERN
from cmis_emu.module.diagnostics.pattern_controls import ON_THE_LINE, Engine
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.registers.regmap import RegisterMap
from cmis_emu.registers.yamlfile import Located

SECTION = "diagnostics"
USER_NAME = "user"
LONGEST_USER_PATTERN = 32  # bytes
MASKS = (
    "LossOfReferenceClockMask",
    *(f"{what}Mask{side.value}Lane" for what in
      ("PatternCheckGatingComplete", "PatternGeneratorLOL", "PatternCheckerLOL") for side in Side),
)  # fmt: skip
_ENGINES = {f"{s.value}_{e.value}".lower(): f"{s.value}Side{e.value}" for s in Side for e in Engine}
_PLACES = {
    f"{s.value}Side{e.value}": f"PRBS{e.value}{s.value}Side{ON_THE_LINE[e]}Supported" for s in Side for e in Engine
}
_LOOPBACKS = {each.name.lower(): f"{each.value}LoopbackSupported" for each in Loopback}
_PER_LANE = {each.name.lower(): f"PerLane{each.value}SideLoopbacksSupported" for each in Side}
_RESULTS = {
    "ber": "BitErrorRatioResultsSupported",
    "counts": "BitsAndErrorsCountingSupported",
    "host_snr": "HostSideInputSNRMeasurementSupported",
    "media_snr": "MediaSideInputSNRMeasurementSupported",
}
_OF_ENGINES = {
    "invert": "DataInvertSupported",
    "swap": "DataSwapSupported",
    "enable_per_lane": "PerLaneEnableSupported",
    "pattern_per_lane": "PerLanePatternSupported",
}
_GATING = {
    "results": "GatingResultsSupported",
    "lane_timers": "PerLaneGatingTimersSupported",
    "auto_restart": "AutoRestartGatingSupported",
}
_ALL = "all"
_SLOWEST_MS = 1000
_KEYS = (
    "loopbacks",
    "loopbacks_per_lane",
    "simultaneous_loopbacks",
    "results",
    "gating",
    "periodic_updates",
    "patterns",
    "user_pattern_bytes",
    *_OF_ENGINES,
    "masks",
)


def read_diagnostics(source: Located, regmap: RegisterMap, *, flat: bool) -> dict[str, int]:
    """Codes of the registers that the section stands for; none without it."""
    if source.get(SECTION) is None:
        return {}
    section = source.section(SECTION)
    if flat:
        raise source.error(SECTION, "diagnostics of a flat module", "a module with pages (MemoryModel 0)")
    section.check_keys(_KEYS)
    codes = {"DiagnosticPagesSupported": 1}
    for key, known in (("loopbacks", _LOOPBACKS), ("loopbacks_per_lane", _PER_LANE), ("results", _RESULTS)):
        codes |= dict.fromkeys(_chosen(section, key, known), 1)
    if _yes(section, "simultaneous_loopbacks"):
        codes["SimultaneousHostAndMediaSideLoopbacksSupported"] = 1
    codes |= _gating(section)
    engines = _patterns(section, regmap)
    for engine, patterns in engines.items():
        codes |= {f"{engine}SupportedPatterns": patterns, _PLACES[engine]: 1}
    here = {name: engine for name, engine in _ENGINES.items() if engine in engines}
    for key, suffix in _OF_ENGINES.items():
        codes |= {engine + suffix: 1 for engine in _chosen(section, key, here, star=True)}
    codes |= _user_pattern(section, engines)
    if "masks" in section:
        codes |= dict.fromkeys(MASKS, int(section.number("masks", 0, 1, whole=True)))
    return codes


def _gating(section: Located) -> dict[str, int]:
    codes: dict[str, int] = {}
    if _yes(section, "periodic_updates"):
        codes["PeriodicUpdatesSupported"] = 1
    inner = section.section("gating")
    if inner:
        inner.check_keys(("accuracy_ms", *_GATING), ("accuracy_ms",))
        accuracy_ms = inner.number("accuracy_ms", 0, _SLOWEST_MS)
        codes["GatingSupport"] = 1 if accuracy_ms <= 2 else 2 if accuracy_ms <= 20 else 3
        codes |= {name: 1 for key, name in _GATING.items() if _yes(inner, key)}
    if "PerLaneGatingTimersSupported" not in codes:
        codes["StartStopIsGlobal"] = 1  # there is one timer, and the control comes up telling so, as in real ones
    return codes


def _patterns(section: Located, regmap: RegisterMap) -> dict[str, int]:
    """Patterns (mask) of each engine that is there."""
    inner = section.section("patterns")
    inner.check_keys(_ENGINES)
    codes = {name.lower(): code for code, name in regmap.enums["prbs_pattern"].items() if code < USER_PATTERN}
    codes = {name: code for name, code in codes.items() if name != "custom"} | {USER_NAME: USER_PATTERN}
    found: dict[str, int] = {}
    for key in inner:
        chosen = _chosen(inner, key, {name: str(code) for name, code in codes.items()})
        found[_ENGINES[key]] = sum(1 << int(code) for code in chosen)
    return {engine: mask for engine, mask in found.items() if mask}


def _user_pattern(section: Located, engines: Mapping[str, int]) -> dict[str, int]:
    if not any(mask >> USER_PATTERN & 1 for mask in engines.values()):
        if "user_pattern_bytes" in section:
            expected = f"an engine with the pattern {USER_NAME!r}"
            raise section.error("user_pattern_bytes", section["user_pattern_bytes"], expected)
        return {}
    if "user_pattern_bytes" not in section:
        raise section.error(None, "no such key", "the key 'user_pattern_bytes'", field="user_pattern_bytes")
    length = int(section.number("user_pattern_bytes", 2, LONGEST_USER_PATTERN, whole=True))
    if length % 2:
        raise section.error("user_pattern_bytes", length, f"an even number from 2 to {LONGEST_USER_PATTERN}")
    return {"UserPatternLengthMax": length // 2 - 1}


def _chosen(section: Located, key: str, known: Mapping[str, str], *, star: bool = False) -> list[str]:
    """What the list under `key` names. `star`: the word `all` will do."""
    given: Any = section.get(key)
    if given is None:
        return []
    if star and given == _ALL:
        return list(known.values())
    words = f"{_ALL}, or " if star else ""
    expected = f"{words}a list of {', '.join(known)}"
    if not isinstance(given, list):
        raise section.error(key, given, expected)
    for name in given:
        if not isinstance(name, str) or name not in known:
            near = get_close_matches(str(name), known, 1)
            raise section.error(key, name, expected + (f" (did you mean {near[0]}?)" if near else ""))
    return [known[name] for name in dict.fromkeys(given)]


def _yes(section: Located, key: str) -> bool:
    value = section.get(key, False)
    if not isinstance(value, bool):
        raise section.error(key, value, "true or false")
    return value
