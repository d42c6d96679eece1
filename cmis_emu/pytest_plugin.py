"""A pytest plugin that comes with the package: modules and testbeds as fixtures, scenarios as a mark.

    @pytest.mark.cmis_scenario("dirty-mpo")
    def test_my_driver(cmis_testbed):
        my_driver.poll(cmis_testbed.smbus(2))

`cmis_testbed` is an emulator on simulated time: by default that of the scenario's testbed, else one of the mark
`cmis_testbed(SOURCE)`. `cmis_module` is the module in its first port. With the mark `cmis_scenario(NAME, ...)` the
scenario plays while the test lets time pass (`emu.clock.advance`), its own hosts left out since the test is the host;
after the test it plays to its end, and a missed expectation fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cmis_emu.clock import ManualClock
from cmis_emu.emulator import Emulator
from cmis_emu.module.module import Module
from cmis_emu.scenarios.model import Begin, Scenario
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.report import as_text

DEFAULT = "qsfpdd-400g-dr4"
SEED = 1


def pytest_configure(config: pytest.Config) -> None:
    """The marks of this plugin."""
    config.addinivalue_line(
        "markers",
        "cmis_scenario(source, *, hosts=False): play a cmis-emu scenario beside the test, and judge it at the end",
    )
    config.addinivalue_line("markers", "cmis_testbed(source): what cmis_testbed emulates: profile, file or dict")


def _scenario(request: pytest.FixtureRequest) -> tuple[Scenario, bool] | None:
    mark = request.node.get_closest_marker("cmis_scenario")
    if mark is None:
        return None
    return read_scenario(mark.args[0]), bool(mark.kwargs.get("hosts", False))


@pytest.fixture
def cmis_testbed(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator on a ManualClock, with modules at rest; a marked scenario plays on it."""
    mark = request.node.get_closest_marker("cmis_testbed")
    found = _scenario(request)
    if found is None:
        with Emulator.load(mark.args[0] if mark else DEFAULT, clock=ManualClock(), seed=SEED) as emulator:
            emulator.settle()
            yield emulator
        return
    scenario, hosts = found
    source = mark.args[0] if mark else scenario.testbed or DEFAULT
    with Emulator.load(source, clock=ManualClock(), seed=scenario.seed or SEED) as emulator:
        if scenario.begin is Begin.SETTLED:
            emulator.settle()
        with emulator.playing(scenario, hosts=hosts) as play:
            yield emulator
            result = play.to_the_end()
    if not result.passed:
        pytest.fail(as_text(result), pytrace=False)


@pytest.fixture
def cmis_module(cmis_testbed: Emulator) -> Module:
    """The module in the first port of `cmis_testbed`."""
    return next(iter(cmis_testbed.ports.values())).module
