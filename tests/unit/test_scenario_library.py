"""Every scenario of the library: it passes, twice alike, and without its faults it fails (negative control)."""

from __future__ import annotations

import json

import pytest

from cmis_emu import Emulator, ManualClock
from cmis_emu.scenarios import library
from cmis_emu.scenarios.model import Begin, Scenario
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.report import as_data, as_text
from cmis_emu.scenarios.result import ScenarioResult
from cmis_emu.scenarios.run import Run

NAMES = library.names()


def play(scenario: Scenario, *, faults: bool = True) -> ScenarioResult:
    assert scenario.testbed is not None
    with Emulator.load(scenario.testbed, clock=ManualClock(), seed=scenario.seed) as emu:
        if scenario.begin is Begin.SETTLED:
            emu.settle()
        return Run(scenario, emu, faults=faults).play()


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_of_the_library(name: str) -> None:
    scenario = read_scenario(name)
    assert scenario.name == name
    assert scenario.title != name
    assert scenario.sources, "a scenario says where it comes from"
    first, again = play(scenario), play(scenario)
    assert first.passed, as_text(first)
    assert json.dumps(as_data(first)) == json.dumps(as_data(again))
    control = play(scenario, faults=False)
    assert not control.passed, f"without its faults it passes too:\n{as_text(control)}"
    assert not control.failures, as_text(control)  # it is an expectation that fails


def test_the_hosts_of_the_library_see_their_faults() -> None:
    """Each scenario has a host of its own, so that its fault is seen over the bus."""
    without = [name for name in NAMES if not any(step.program for step in read_scenario(name).steps)]
    assert without == []
