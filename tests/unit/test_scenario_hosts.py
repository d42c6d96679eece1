"""The programs of a scenario's hosts: what they read is judged, what they say is a condition, none divides another."""

from __future__ import annotations

from typing import Any

import pytest
from smbus2 import i2c_msg

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.report import as_text
from cmis_emu.scenarios.result import ScenarioResult

DR4 = "qsfpdd-400g-dr4"


def run(steps: list[dict[str, Any]], profile: str = DR4, duration: str = "9 s") -> ScenarioResult:
    """Play steps on a module at rest. The first with an id `h` is expected to be done."""
    expect = [{"that": {"host": "h", "is": "done"}}]
    data = {
        "version": 1,
        "scenario": "t",
        "testbed": profile,
        "steps": [{"port": "1", **step} for step in steps],
        "expect": expect,
        "duration": duration,
    }
    with Emulator.load(profile, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        return emu.run_scenario(data)


def run_as_they_are(steps: list[dict[str, Any]]) -> ScenarioResult:
    """Play steps that name their ports and fibres."""
    data = {"version": 1, "scenario": "t", "testbed": DR4, "steps": steps, "duration": "9 s",
            "expect": [{"that": {"host": "h", "is": "done"}}]}  # fmt: skip
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        return emu.run_scenario(data)


def outcome(result: ScenarioResult, name: str = "h") -> str:
    """How a host ended, and what it said."""
    return next(event.text for event in result.events if event.kind == "host" and event.who == name)


def host(do: str, *faults: dict[str, Any], profile: str = DR4, duration: str = "9 s", **given: Any) -> str:
    """How one host ends, beside faults that are armed before."""
    return outcome(run([*faults, {"id": "h", "do": do, **given}], profile, duration))


# -- host.expect -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"field": "ModuleState", "is": "ModuleReady"}, "done, found ModuleReady"),
        ({"field": "ModuleState", "is": "ModuleLowPwr"}, "failed, found ModuleReady"),
        ({"field": "ModuleState", "not": "ModuleLowPwr"}, "done, found ModuleReady"),
        ({"field": "VendorName", "is": "CMIS-EMU"}, "done, found CMIS-EMU"),
        ({"field": "TempMonValue", "above": "20 degC", "below": "75 degC"}, "done, found "),
        ({"field": "TempMonValue", "above": "75 degC"}, "failed, found "),
        ({"field": "OpticalPowerTx", "above": "-5 dBm", "lanes": [1, 2, 3, 4]}, "done, found "),
        ({"field": "OpticalPowerTx", "above": "-5 dBm"}, "failed, found "),
        ({"field": "OpticalPowerTx2", "above": "-5 dBm"}, "done, found "),
        ({"field": "OutputDisableTx", "is": False}, "done, found False, False"),
        ({"field": "OpticalPowerTx", "above": "-5 dBm", "lanes": [9]}, "failed, OpticalPowerTx has 8 lanes"),
    ],
)
def test_a_field_as_the_host_reads_it(given: dict[str, Any], expected: str) -> None:
    assert host("host.expect", **given).startswith(expected)


def test_it_is_what_was_read_that_counts() -> None:
    flip = {"do": "bus.flip", "place": "L:3.1"}
    assert host("host.expect", flip, field="ModuleState", **{"is": "ModuleReady"}) == "failed, found ModulePwrUp"


HOT = {"do": "bus.corrupt", "place": "L:14", "byte": 123}


@pytest.mark.parametrize(
    ("fault", "given", "expected"),
    [
        ({**HOT, "skip": 4, "count": 1}, {"times": 10}, "failed, found 123."),
        ({**HOT, "skip": 4, "count": 1}, {"times": 4}, "done"),
        ({**HOT, "skip": 4, "count": 1}, {"times": 10, "confirm": 2}, "done"),
        ({**HOT, "skip": 4, "count": 2}, {"times": 10, "confirm": 2}, "failed"),
        ({**HOT, "for": "1.5 s"}, {}, "failed"),
        ({**HOT, "for": "1.5 s"}, {"limit": "1 s"}, "failed"),
        ({**HOT, "for": "1.5 s"}, {"limit": "2 s"}, "done"),
        ({**HOT, "for": "1.5 s"}, {"confirm": 2, "apart": "2 s"}, "done"),
        ({"do": "bus.nack", "for": "1.5 s"}, {}, "failed, read of L:14: ENXIO"),
        ({"do": "bus.nack", "for": "1.5 s"}, {"limit": "2 s"}, "done"),
        ({"do": "bus.nack", "for": "1.5 s"}, {"tolerant": True, "times": 30}, "done"),
        ({"do": "bus.nack"}, {"tolerant": True, "times": 5}, "failed, never read: read of L:14: ENXIO"),
        ({"do": "bus.nack", "at": "200 ms", "for": "1 s"}, {"times": 9}, "failed, read of L:14: ENXIO"),
    ],
)
def test_how_often_it_looks(fault: dict[str, Any], given: dict[str, Any], expected: str) -> None:
    assert host("host.expect", fault, field="TempMonValue", below="75 degC", **given).startswith(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"place": "L:0-1", "bytes": "18 52"}, "done, found 18 52 at L:0"),
        ({"place": "L:0", "bytes": "18 52"}, "done, found 18 52 at L:0"),
        ({"place": "L:0", "bytes": 0x19}, "failed, found 18 at L:0"),
        ({"place": "L:0", "bytes": 0x19, "differ": True}, "done"),
        ({"place": "00h:129", "bytes": "43 4D 49", "piece": 1}, "done"),
        ({"place": "L:9-11", "bytes": 0}, "done, found 00 00 00"),
        ({"place": "L:3.3-1", "bytes": 0x06}, "done, found 06"),
        ({"place": "L:3.3-1", "bytes": 0x07}, "done, found 06"),
    ],
)
def test_bytes(given: dict[str, Any], expected: str) -> None:
    assert host("host.expect_bytes", **given).startswith(expected)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"do": "host.expect", "field": "ModuleState"}, "step 1: found no comparison, expected one of is, not"),
        (
            {"do": "host.expect", "field": "TempMonValue", "not": "3 degC", "above": "2 degC"},
            "above: found not and above, expected one of is, not, above, below",
        ),
        ({"do": "host.expect", "field": "VendorName", "above": "A"}, "above: found 'A', expected a number"),
        ({"do": "host.expect", "field": "ModuleState", "is": "ModuleRedy"}, "did you mean 'ModuleReady'?"),
        ({"do": "host.expect_bytes", "place": "L:0-2", "bytes": [1, 2]}, "bytes: found 2 bytes, expected 1 or 3"),
        ({"do": "host.expect_bytes", "place": "00h:255", "bytes": [1, 2]}, "expected bytes within one page"),
        ({"do": "host.expect_bytes", "place": "L:0", "bytes": 1, "piece": 0}, "piece: found 0, expected 1 or more"),
    ],
)
def test_what_does_not_go_together_is_refused_when_read(step: dict[str, Any], message: str) -> None:
    data = {
        "version": 1,
        "scenario": "t",
        "testbed": DR4,
        "steps": [{"port": "1", "at": "0 s", **step}],
        "expect": [{"that": {"host": "step 1", "is": "done"}}],
    }
    with pytest.raises(InputError) as caught:
        read_scenario(data)
    assert message in str(caught.value)


# -- how hosts use the bus ---------------------------------------------------------------------------


def test_patience_and_page_selects_are_the_hosts_choice() -> None:
    once = {"do": "bus.nack", "count": 3}
    assert host("host.read", once, place="L:3").startswith("done")
    assert host("host.read", once, place="L:3", patience="0 s") == "failed, read of L:3: ENXIO"
    same = {"do": "bus.nack", "direction": "write", "place": "L:127", "unchanged": True}
    page = {"do": "host.read", "place": "11h:128"}
    assert host("host.read", same, page, place="11h:128", at="1 s") == "failed, read of 11h:128: EIO"
    assert host("host.read", same, page, place="11h:128", at="1 s", select="needed").startswith("done")
    other = host("host.read", page, place="00h:128-129", at="1 s", select="never")
    assert other == "done, 44 44 in attempt 1"  # page 11h is still there: DPActivated


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("order", [1, -1])
def test_no_host_divides_another_ones_access(order: int, nth: int) -> None:
    """A step that waits for a transaction begins after the access that it belongs to."""
    when = {"port": "1", "accessed": "anything", "nth": nth}
    steps = [
        {"id": "h", "at": "1 s", "do": "host.expect_bytes", "place": "11h:128-131", "bytes": 0x44},
        {"id": "other", "when": when, "do": "host.read", "place": "00h:128"},
    ]
    result = run(steps[::order])
    assert outcome(result) == "done, found 44 44 44 44 at 11h:128"
    assert outcome(result, "other") == "done, 18 in attempt 1"


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_nor_an_access_of_a_test_beside_it(nth: int) -> None:
    when = {"port": "1", "accessed": "anything", "nth": nth}
    steps = [{"id": "h", "when": when, "do": "host.read", "port": "1", "place": "00h:128"}]
    hopes = [{"that": {"host": "h", "is": "done", "says": "18 in"}}]
    data = {"version": 1, "scenario": "t", "steps": steps, "expect": hopes, "duration": "1 s"}
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        with emu.playing(data, hosts=True) as play:
            found = i2c_msg.read(0x50, 4)
            emu.smbus(1).i2c_rdwr(i2c_msg.write(0x50, [126, 0, 0x11]), i2c_msg.write(0x50, [128]), found)
            assert bytes(found) == b"\x44" * 4
            assert play.to_the_end().passed


def test_a_read_until_it_is_answered() -> None:
    dead = {"do": "bus.nack", "for": "1 s"}
    assert host("host.read", dead, place="L:0") == "failed, read of L:0: ENXIO"
    assert host("host.read", dead, place="L:0", limit="3 s", period="300 ms") == "done, 18 in attempt 4"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"times": 5}, "failed, read of L:0: ENXIO"),
        ({"times": 20, "strikes": 3}, "failed, 3 in a row, read of L:0: ENXIO"),
        ({"times": 20, "strikes": 30}, "done, 20 polls in "),
        ({"times": 20, "tolerant": True}, "done, 20 polls in "),
    ],
)
def test_how_much_a_poll_bears(given: dict[str, Any], expected: str) -> None:
    dead = {"at": "250 ms", "do": "bus.nack", "for": "1 s"}
    assert host("host.poll", dead, period="100 ms", **given).startswith(expected)


def test_polls_on_time_do_not_drift() -> None:
    slow = {"do": "bus.stretch", "direction": "read", "time": "20 ms"}
    given = {"period": "200 ms", "times": 11}
    assert host("host.poll", slow, **given) == "done, 11 polls in 2.9 s, 0 failed"
    assert host("host.poll", slow, **given, on_time=True) == "done, 11 polls in 2.1 s, 0 failed"


# -- what hosts say ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ({"is": "done"}, True),
        ({"is": "done", "says": "DR4"}, True),
        ({"is": "finished", "says": "DR4"}, True),
        ({"is": "done", "says": "FR4"}, False),
        ({"is": "failed", "says": "DR4"}, False),
    ],
)
def test_what_a_host_says_is_a_condition(condition: dict[str, str], passes: bool) -> None:
    steps = [
        {"id": "who", "do": "host.identify", "port": "1"},
        {"id": "then", "when": {"host": "who", **condition}, "do": "host.read", "port": "1", "place": "L:3"},
    ]
    hopes = [{"that": {"host": "who", **condition}}, {"that": {"host": "then", "is": "done"}}]
    data = {"version": 1, "scenario": "t", "testbed": DR4, "steps": steps, "expect": hopes}
    with Emulator.load(DR4, clock=ManualClock()) as emu:
        emu.settle()
        result = emu.run_scenario(data)
    assert [verdict.passed for verdict in result.verdicts] == [passes, passes], as_text(result)
    assert result.verdicts[0].found.startswith("done, CMIS-EMU QDD-400G-DR4")


def test_identity() -> None:
    assert host("host.identify").startswith("done, CMIS-EMU QDD-400G-DR4 CE0000000001 261123, CMIS 5.2, QSFP-DD")
    assert host("host.identify", profile="qsfpdd-400g-dac").endswith(", flat memory")
    bad = {"do": "mem.override", "place": "00h:133", "value": 0xBE}
    fits = {**bad, "checksum": "recomputed"}
    assert host("host.identify", bad).startswith("failed, checksum of page 00h is ")
    assert host("host.identify", fits) == "failed, VendorName has the byte BEh"
    assert host("host.identify", fits, lenient=True).startswith("done, CMIS?EMU")
    other = {"do": "mem.override", "place": "L:0", "value": 0x19}
    assert host("host.identify", other) == "failed, identifier 19h and 18h"
    assert "OSFP" in host("host.identify", other, known=False)


def test_an_identity_read_twice() -> None:
    for_a_while = {"do": "mem.override", "place": "00h:129", "value": 0x44, "checksum": "recomputed", "for": "1.5 s"}
    given = {"attempts": 4, "pause": "1 s"}
    assert host("host.identify", for_a_while, **given).startswith("done, DMIS-EMU")
    assert host("host.identify", for_a_while, **given, twice=True).startswith("done, DMIS-EMU")
    shorter = {**for_a_while, "for": "500 ms"}
    assert host("host.identify", shorter, **given, twice=True).startswith("done, CMIS-EMU")
    assert host("host.identify", attempts=1, twice=True).endswith(", read once only")


def test_applications() -> None:
    assert host("host.applications") == "done, AppSel 1 400GAUI-8 C2M 8 lanes, AppSel 2 100GAUI-2 C2M 2 lanes"
    assert host("host.applications", host_interface=0x0D, lanes=2).startswith("done, AppSel 2 ")
    assert host("host.applications", host_interface=0x0D, lanes=4) == "failed, no such application"
    undefined = {"do": "mem.override", "place": "L:91", "value": 0}
    assert "AppSel 2 100GAUI-2 C2M media undefined" in host("host.applications", undefined)
    assert "AppSel 1 400G CR8 8 lanes" in host("host.applications", profile="qsfpdd-400g-dac")


def test_monitors_and_thresholds() -> None:
    assert host("host.monitors").startswith("done, TempMon ")
    assert "OpticalPower" not in host("host.monitors", profile="osfp-800g-aec")
    assert host("host.monitors", profile="qsfpdd-400g-dac") == "done, no monitors"
    assert host("host.thresholds") == (
        "done, thresholds of TempMon, VccMon, OpticalPowerTx, LaserBiasTx, OpticalPowerRx"
    )
    none = {"do": "mem.override", "place": "02h:136-143", "value": 0}
    assert host("host.thresholds", none).endswith(", not applicable VccMon")
    wrong = {"do": "mem.override", "place": "02h:138-139", "value": 0xFF}
    assert host("host.thresholds", wrong).startswith("failed, thresholds of VccMon from high alarm")
    assert host("host.thresholds", profile="qsfpdd-400g-dac") == "failed, no monitors"
    assert host("host.laser_temperature") == "done, Aux2 50 degC, VDM 7 50 degC"
    assert host("host.laser_temperature", profile="osfp-800g-aec") == "failed, no laser temperature"


def test_a_tx_turn_on_time_that_is_not_to_be_believed() -> None:
    zero = {"do": "mem.override", "place": "01h:168.3-0", "value": 0}
    assert "DPActivated has not come" in host("host.bring_up", zero)
    assert host("host.bring_up", zero, tx_as_init=True) == "done"


# -- pins --------------------------------------------------------------------------------------------


def test_a_host_drives_and_watches_pins() -> None:
    assert host("host.pin", pin="LPMode", high=True) == "done"
    reset = {"at": "1 s", "do": "host.pin", "pin": "ResetL", "high": False, "hold": "10 ms"}
    wait = {"pin": "ResetL", "high": False, "period": "1 ms"}
    assert host("host.wait_pin", reset, **wait).startswith("done, after 1.00")
    assert host("host.wait_pin", reset, **wait, steady="8 ms") == "done, after 1.009 s"
    assert host("host.wait_pin", reset, **wait, steady="12 ms", limit="2 s") == (
        "failed, ResetL was not low within 2 s"
    )
    result = run([{"id": "h", **reset}], duration="2 s")
    assert "ModuleState ModuleReady -> " in as_text(result)


def test_a_host_watches_modules_come_and_go() -> None:
    swap = {"at": "2.2 s", "do": "port.swap", "profile": "qsfpdd-400g-fr4", "gap": "200 ms"}
    given = {"times": 6, "period": "1 s"}
    assert host("host.watch_presence", swap, **given) == "done, 0 insertions, 0 removals, 0 other modules"
    assert host("host.watch_presence", swap, **given, compare=True).endswith(", 1 other modules")
    given = {"times": 60, "period": "100 ms"}
    assert host("host.watch_presence", swap, **given).startswith("done, 1 insertions, 1 removals")
    assert host("host.watch_presence", swap, **given, steady=4).startswith("done, 0 insertions, 0 removals")


# -- data paths --------------------------------------------------------------------------------------


def paths(*steps: dict[str, Any], last: str = "h", profile: str = DR4) -> str:
    """How the last of some hosts ends, each of which begins when the one before has ended well."""
    chain: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        name = last if number == len(steps) - 1 else f"s{number}"
        when = {"when": {"host": chain[-1]["id"], "is": "done"}} if chain else {"at": "100 ms"}
        chain.append({"id": name, **when, **step})
    return outcome(run(chain, profile), last)


FREE = {"do": "host.release"}
LEG = {"do": "host.configure", "app_sel": 2, "lanes": [3, 4]}


def test_a_data_path_step_by_step() -> None:
    legs = {"field": "DPStateHostLane", "lanes": [3, 4]}
    assert paths(FREE, LEG, {"do": "host.activate", "lanes": [3, 4]}) == "done"
    assert paths(FREE, LEG, {"do": "host.activate", "lanes": [3, 4], "limit": "1 s"}).startswith("failed, DPActivated")
    up = {"do": "host.activate", "lanes": [3, 4]}
    down = {"do": "host.deactivate", "lanes": [3, 4]}
    look = {"do": "host.expect", **legs, "is": "DPDeactivated"}
    assert paths(FREE, LEG, up, down, look).startswith("done")
    assert paths(FREE, LEG, up, {**down, "limit": "50 ms"}) == "failed, DPDeactivated has not come within 0.05 s"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"app_sel": 0}, "done"),
        ({"app_sel": 1}, "done"),
        ({"app_sel": 2, "lanes": [1, 2], "first": 1}, "failed, the configuration was refused (lane 1: 7, lane 2: 7)"),
        ({"app_sel": 2, "lanes": [2, 3], "first": 2}, "failed, the configuration was refused"),
        ({"app_sel": 3}, "failed, application 3 is not advertised"),
    ],
)
def test_configurations(given: dict[str, Any], expected: str) -> None:
    assert paths({"do": "host.deactivate"}, {"do": "host.configure", **given}).startswith(expected)


@pytest.mark.parametrize(
    ("fault", "given", "expected"),
    [
        ({"do": "apply.result", "in_progress": "2 s"}, {}, "failed, the result of the configuration has not come"),
        ({"do": "apply.result", "in_progress": "2 s"}, {"config_limit": "3 s"}, "done"),
        ({"do": "fsm.delay", "state": "DPDeinit", "time": "3 s"}, {}, "failed, DPDeactivated has not come"),
        ({"do": "fsm.delay", "state": "DPDeinit", "time": "3 s"}, {"deinit_limit": "4 s"}, "done"),
        ({"do": "fsm.skip", "what": "DPInitPending"}, {"pending": "100 ms"}, "failed, DPInitPending has not come"),
        ({"do": "fsm.skip", "what": "DPInitPending"}, {}, "done"),
    ],
)
def test_how_patient_a_bring_up_is(fault: dict[str, Any], given: dict[str, Any], expected: str) -> None:
    assert host("host.bring_up", fault, duration="12 s", **given).startswith(expected)


# -- VDM ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "given", "expected"),
    [
        ({}, {"observable": "esnr_media", "above": 15}, "done, found 1: "),
        ({}, {"observable": "esnr_media", "above": 15, "below": 16}, "failed, found 1: "),
        ({}, {"observable": "laser_temperature", "above": 49, "below": 51}, "done, found 50"),
        ({}, {"observable": "ferc_current_media", "lanes": [1], "below": 1e-9}, "done, found 1: "),
        (
            {},
            {"observable": "ferc_current_media", "lanes": [2], "below": 1},
            "failed, there is no ferc_current_media of ",
        ),
        ({}, {"observable": "sewmax_current_media", "below": 1}, "failed, there is no sewmax_current_media"),
        ({"do": "vdm.layout", "what": "support"}, {"observable": "esnr_media", "above": 1}, "failed, VDM is not supp"),
        (
            {"do": "mon.override", "field": "esnr_media", "how": "unavailable", "lanes": [2]},
            {"observable": "esnr_media", "above": 1},
            "failed, 2: no value (FFFFh)",
        ),
        (
            {"do": "mon.override", "field": "esnr_media", "value": 9, "for": "3 s"},
            {"observable": "esnr_media", "above": 15, "limit": "5 s"},
            "done",
        ),
    ],
)
def test_observables(fault: dict[str, Any], given: dict[str, Any], expected: str) -> None:
    faults = [fault] if fault else []
    assert host("host.expect_vdm", *faults, at="1 s", **given).startswith(expected)


@pytest.mark.parametrize(
    ("faults", "given", "expected"),
    [
        ([], {"hold": "500 ms"}, "done, found 1: "),
        ([], {"hold": "500 ms", "freeze": False}, "failed, moved from 1: "),
        ([], {"below": 15}, "failed, found 1: "),
        ([{"do": "vdm.freeze", "how": "never"}], {}, "failed, FreezeDone has not come within 0.1 s"),
        ([{"do": "vdm.freeze", "how": "never"}], {"insist": False}, "done, found 1: "),
        ([{"do": "vdm.freeze", "how": "late", "time": "1 s"}], {"limit": "2 s"}, "done"),
        ([{"do": "vdm.freeze", "how": "sticks"}], {}, "done"),
        ([{"do": "vdm.freeze", "how": "sticks"}], {"changes": True}, "failed, an end of UnfreezeDone has not come"),
    ],
)
def test_statistics(faults: list[dict[str, Any]], given: dict[str, Any], expected: str) -> None:
    moves = {"at": "500 ms", "do": "link.loss", "fibre": "loop", "extra": "3 dB", "over": "3 s"}
    steps = [{"port": "1", **each} for each in faults]
    steps += [
        moves,
        {"id": "h", "at": "1 s", "port": "1", "do": "host.statistics", "observable": "esnr_media", **given},
    ]
    assert outcome(run_as_they_are(steps)).startswith(expected)


def test_frozen_only_when_ready() -> None:
    low = {"do": "host.low_power"}
    poll = {"do": "host.statistics", "observable": "esnr_media", "ready": True}
    assert paths(low, poll) == "failed, the module is not ready, so nothing is frozen"


# -- diagnostics -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "given", "expected"),
    [
        ([], {}, "done, found 1: "),
        ([], {"below": 1e-15}, "failed, found 1: "),
        ([{"do": "diag.lock", "lanes": [2]}], {}, "failed, no lock on lanes 2"),
        ([{"do": "diag.refuse", "engine": "generator"}], {}, "failed, no lock on lanes 1, 2, 3, 4"),
        ([{"do": "diag.refuse", "engine": "generator", "pattern": "prbs31q"}], {"pattern": "prbs13q"}, "done"),
        ([{"do": "diag.ber", "lanes": [3]}], {"lock": False}, "failed, found 1: "),
        ([{"do": "mem.override", "place": "01h:142.5", "value": 0}], {}, "failed, there are no diagnostics"),
    ],
)
def test_patterns(faults: list[dict[str, Any]], given: dict[str, Any], expected: str) -> None:
    assert host("host.test_pattern", *faults, at="3 s", **given).startswith(expected)


@pytest.mark.parametrize(
    ("faults", "given", "expected"),
    [
        ([], {"kind": "host-input"}, "done, FFh is in force"),
        ([], {"kind": "media-output"}, "failed, asked for FFh, found 0Fh"),
        ([], {"kind": "media-output", "lanes": [2]}, "done, 02h is in force"),
        ([{"do": "mem.override", "place": "13h:128.5", "value": 0}], {"kind": "media-output", "lanes": [2]},
         "failed, not offered for single lanes"),
        ([{"do": "mem.override", "place": "13h:128", "value": 0}], {"kind": "host-input"}, "failed, not offered"),
        ([{"do": "mem.override", "place": "13h:128", "value": 0}], {"kind": "host-input", "asks": False}, "done"),
    ],
)  # fmt: skip
def test_loopbacks(faults: list[dict[str, Any]], given: dict[str, Any], expected: str) -> None:
    assert host("host.loopback", *faults, **given).startswith(expected)
