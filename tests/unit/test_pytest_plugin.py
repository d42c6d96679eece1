"""The pytest plugin as a driver author uses it: fixtures and marks, in a test run of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

SCENARIO = {
    "version": 1,
    "scenario": "refuses",
    "testbed": "qsfpdd-400g-dr4",
    "steps": [{"at": "1 s", "do": "bus.nack", "port": "1", "for": "1 s"}],
    "expect": [{"that": {"port": "1", "accessed": "anything", "is": "refused"}, "by": "2 s"}],
}
POLL = {"at": "1.5 s", "do": "host.poll", "port": "1", "tolerant": True}


def test_a_module(cmis_module):
    assert cmis_module.get("VendorName") == "CMIS-EMU"
    assert cmis_module.get("ModuleState") == "ModuleReady"


@pytest.mark.cmis_testbed("osfp-800g-dr8")
def test_a_testbed_by_mark(cmis_testbed, cmis_module):
    assert cmis_testbed.smbus(1).read_byte_data(0x50, 0) == 0x19
    assert cmis_module is cmis_testbed.ports["1"].module


@pytest.mark.cmis_scenario(SCENARIO)
def test_a_driver_that_meets_the_fault(cmis_testbed):
    bus = cmis_testbed.smbus(1)
    cmis_testbed.clock.advance(1.5)
    with pytest.raises(OSError):
        bus.read_byte_data(0x50, 0)
    cmis_testbed.clock.advance(1.0)
    assert bus.read_byte_data(0x50, 0) == 0x18


@pytest.mark.cmis_scenario({**SCENARIO, "steps": [*SCENARIO["steps"], POLL]}, hosts=True)
def test_hosts_of_the_scenario(cmis_testbed):
    pass


@pytest.mark.cmis_scenario(SCENARIO)
def test_a_driver_that_sleeps(cmis_testbed):
    cmis_testbed.clock.advance(5)


@pytest.mark.cmis_scenario("no-such-scenario")
def test_a_broken_scenario(cmis_testbed):
    pass
"""


def test_fixtures_and_marks(pytester: pytest.Pytester) -> None:
    """Four pass; the one that sleeps misses the expectation when it is over, and the last has no scenario."""
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:timeout", "-p", "no:hypothesispytest")
    assert result.parseoutcomes() == {"passed": 5, "errors": 2}
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_a_driver_that_sleeps*"])
    result.stdout.fnmatch_lines(["*FAIL expectation 1: 1: host accessed, refused by 2 s*"])
    result.stdout.fnmatch_lines(["*found 'no-such-scenario', expected a scenario of the library or a file*"])
