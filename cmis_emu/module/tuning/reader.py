"""Reads the section `tuning` of a profile and refuses what is wrong with file:line (TUN-01 to TUN-08).

    tuning:
      range_ghz: [191300, 196100]
      grids: [3p125GHz, 6p25GHz, 12p5GHz, 25GHz, 50GHz, 100GHz, 33GHz, 75GHz]
      grid: 75GHz                              # after a reset
      channel: 0
      fine: {low_ghz: -6, high_ghz: 6, resolution_ghz: 0.01}
      output_dbm: [-14, -8.5]                  # what can be asked for; after a reset it is the plant's tx_power_dbm
      time_ms: 4000
      fine_time_ms: 500
      accepts: [DPDeactivated, DPInitialized]  # states in which a request is followed; elsewhere TuningNotAccepted
      lock_ghz: 1.8

The channels of each grid follow from the range.
"""

from __future__ import annotations

from typing import Any

from cmis_emu.layouts.grid import BY_NAME, GRIDS, Grid
from cmis_emu.module.states import DpState
from cmis_emu.module.tuning.plan import FineTuning, TuningPlan
from cmis_emu.physics.parameters import PlantParameters
from cmis_emu.registers.yamlfile import Located

SECTION = "tuning"
_KEYS = (
    "range_ghz", "grids", "grid", "channel", "fine", "output_dbm", "time_ms", "fine_time_ms", "accepts", "lock_ghz",
)  # fmt: skip
_FINE = ("low_ghz", "high_ghz", "resolution_ghz")
_SINCE = {8: (5, 3), 9: (5, 4)}  # grid code -> revision
_STATES = {state.title: state for state in DpState}
LOWEST_GHZ, HIGHEST_GHZ = 185_000, 200_000
LONGEST_MS = 600_000
S16 = 32767


def read_tuning(
    source: Located, plant: PlantParameters, revision: tuple[int, int], *, flat: bool, tunable: bool
) -> TuningPlan | None:
    """The plan of a profile; None for a laser that cannot be tuned. `tunable`: what the registers say of it."""
    if source.get(SECTION) is None:
        if tunable:
            raise source.section("registers").error(
                "TransmitterIsTunable", 1, "a section 'tuning', from which it follows", field="TransmitterIsTunable"
            )
        return None
    section = source.section(SECTION)
    if flat:
        raise source.error(SECTION, "a tunable laser in a flat module", "a module with pages (MemoryModel 0)")
    section.check_keys(_KEYS, ("range_ghz", "grids", "grid"))
    channels = _channels(section, revision)
    grid = _grid(section, "grid", section["grid"]).code
    if grid not in channels:
        raise section.error("grid", section["grid"], f"one of the grids: {', '.join(section['grids'])}")
    low, high = channels[grid]
    channel = section.number("channel", low, high, whole=True) if "channel" in section else max(low, min(0, high))
    if channel % GRIDS[grid].multiple:
        raise section.error("channel", channel, f"a multiple of {GRIDS[grid].multiple} (TUN-02)")
    output = round(plant.tx_power_dbm * 100)
    output_range = _output(section, output)
    return TuningPlan(
        channels,
        grid,
        int(channel),
        output,
        plant.media_lanes,
        _fine(section),
        output_range,
        **_behaviour(section),
    )


def _behaviour(section: Located) -> dict[str, Any]:
    """What a section says of how its laser behaves, as arguments of the plan."""
    values: dict[str, Any] = {}
    for key in ("time_ms", "fine_time_ms"):
        if key in section:
            values[key] = section.number(key, 0, LONGEST_MS)
    if "lock_ghz" in section:
        values["lock_mhz"] = round(section.number("lock_ghz", 0.001, 100) * 1000)
    if "accepts" in section:
        given = section["accepts"]
        if not isinstance(given, list) or not given or not all(isinstance(s, str) and s in _STATES for s in given):
            raise section.error("accepts", given, f"a list of {', '.join(_STATES)}")
        values["accepts"] = frozenset(_STATES[state] for state in given)
    return values


def _pair(section: Located, key: str, low: float, high: float, what: str) -> tuple[float, float]:
    """Two numbers, the lower first."""
    given = section[key]
    good = (
        isinstance(given, list)
        and len(given) == 2
        and all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in given)
        and low <= given[0] <= given[1] <= high
    )
    if not good:
        raise section.error(key, given, f"[lowest, highest], {what} from {low:g} to {high:g}")
    return float(given[0]), float(given[1])


def _grid(section: Located, key: str, name: Any) -> Grid:
    if not isinstance(name, str) or name not in BY_NAME:
        raise section.error(key, name, f"one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _channels(section: Located, revision: tuple[int, int]) -> dict[int, tuple[int, int]]:
    low, high = _pair(section, "range_ghz", LOWEST_GHZ, HIGHEST_GHZ, "GHz")
    given = section["grids"]
    if not isinstance(given, list) or not given:
        raise section.error("grids", given, f"a list of {', '.join(BY_NAME)}")
    found = {}
    for name in given:
        grid = _grid(section, "grids", name)
        since = _SINCE.get(grid.code, (0, 0))
        if revision < since:
            expected = f"revision {since[0]}.{since[1]} or later, or another grid"
            raise section.error("grids", f"{name} at revision {revision[0]}.{revision[1]}", expected)
        channels = grid.channels(low * 1000, high * 1000)
        if channels is None:
            raise section.error("grids", name, "a grid with a channel within range_ghz")
        found[grid.code] = channels
    return found


def _fine(section: Located) -> FineTuning | None:
    if section.get("fine") is None:
        return None
    fine = section.section("fine")
    fine.check_keys(_FINE, _FINE)
    low = round(fine.number("low_ghz", -S16 / 1000, 0) * 1000)
    high = round(fine.number("high_ghz", 0, S16 / 1000) * 1000)
    resolution = round(fine.number("resolution_ghz", 0.001, 65.535) * 1000)
    return FineTuning(low, high, resolution)


def _output(section: Located, output: int) -> tuple[int, int] | None:
    if section.get("output_dbm") is None:
        return None
    low, high = (round(each * 100) for each in _pair(section, "output_dbm", -40, 20, "dBm"))
    if not low <= output <= high:
        expected = f"a range with the plant's tx_power_dbm, {output / 100:g}, in it"
        raise section.error("output_dbm", section["output_dbm"], expected)
    return low, high
