"""A pytest plugin that comes with the package: modules and testbeds as fixtures, scenarios as a mark.

    @pytest.mark.cmis_scenario("dirty-mpo")
    def test_my_driver(cmis_testbed):
        my_driver.poll(cmis_testbed.smbus(2))

`cmis_testbed` is an emulator on simulated time: by default that of the scenario's testbed, else one of the mark
`cmis_testbed(SOURCE)`. `cmis_module` is the module in its first port. With the mark `cmis_scenario(NAME, ...)` the
scenario plays while the test lets time pass (`emu.clock.advance`), its own hosts left out since the test is the host;
after the test it plays to its end, and a missed expectation fails the test.

The package itself is imported when a fixture is used, so that other test runs start as fast as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cmis_emu.emulator import Emulator
    from cmis_emu.module.module import Module

DEFAULT = "qsfpdd-400g-dr4"
SEED = 1


def pytest_configure(config: pytest.Config) -> None:
    """The marks of this plugin."""
    config.addinivalue_line(
        "markers",
        "cmis_scenario(source, *, hosts=False): play a cmis-emu scenario beside the test, and judge it at the end",
    )
    config.addinivalue_line("markers", "cmis_testbed(source): what cmis_testbed emulates: profile, file or dict")


@pytest.fixture
def cmis_testbed(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator on a ManualClock, with modules at rest; a marked scenario plays on it."""
    from cmis_emu.clock import ManualClock  # noqa: PLC0415
    from cmis_emu.emulator import Emulator  # noqa: PLC0415
    from cmis_emu.scenarios.model import Begin  # noqa: PLC0415
    from cmis_emu.scenarios.reader import read_scenario  # noqa: PLC0415
    from cmis_emu.scenarios.report import as_text  # noqa: PLC0415

    given = request.node.get_closest_marker("cmis_testbed")
    mark = request.node.get_closest_marker("cmis_scenario")
    if mark is None:
        with Emulator.load(given.args[0] if given else DEFAULT, clock=ManualClock(), seed=SEED) as emulator:
            emulator.settle()
            yield emulator
        return
    scenario = read_scenario(mark.args[0])
    source = given.args[0] if given else scenario.testbed or DEFAULT
    with Emulator.load(source, clock=ManualClock(), seed=scenario.seed or SEED) as emulator:
        if scenario.begin is Begin.SETTLED:
            emulator.settle()
        with emulator.playing(scenario, hosts=bool(mark.kwargs.get("hosts", False))) as play:
            yield emulator
            result = play.to_the_end()
    if not result.passed:
        pytest.fail(as_text(result), pytrace=False)


@pytest.fixture
def cmis_module(cmis_testbed: Emulator) -> Module:
    """The module in the first port of `cmis_testbed`."""
    return next(iter(cmis_testbed.ports.values())).module
