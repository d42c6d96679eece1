"""How scenarios are carried out: triggers, occasions, hosts, conditions, expectations; with a test's own actions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.scenarios.action import ACTIONS, Action, Argument, Call, Kind
from cmis_emu.scenarios.report import as_data, as_junit, as_text
from cmis_emu.scenarios.result import ScenarioResult
from cmis_emu.scenarios.units import NUMBER

DR4 = "qsfpdd-400g-dr4"
Log = list[tuple[float, str]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Two actions: test.mark notes when it is armed and undone; test.strike takes an occasion each 100 ms."""
    found: Log = []

    def mark(call: Call) -> Any:
        found.append((call.world.clock.now, f"arm {call['value']:g}"))
        return lambda: found.append((call.world.clock.now, f"undo {call['value']:g}"))

    def strike(call: Call) -> Any:
        def again() -> None:
            if call.occasions.take():
                found.append((call.world.clock.now, "strike"))
            events.append(call.world.clock.after(100_000_000, again))

        events = [call.world.clock.after(100_000_000, again)]
        return lambda: events.pop().cancel()

    value = {"port": Argument(Kind.PORT, "a port"), "value": Argument(NUMBER, "to tell them apart", default=1.0)}
    monkeypatch.setitem(ACTIONS, "test.mark", Action("test.mark", "Note it.", value, mark))
    monkeypatch.setitem(ACTIONS, "test.strike", Action("test.strike", "Strike.", value, strike, counted=True))
    return found


def run(steps: list[Any], expect: list[Any], *, hosts: bool = True, seed: int = 1, **more: Any) -> ScenarioResult:
    """Play steps on a DR4 at rest; times count from its rest."""
    data = {"version": 1, "scenario": "t", "testbed": DR4, "steps": steps, "expect": expect, **more}
    with Emulator.load(DR4, clock=ManualClock(), seed=seed) as emu:
        emu.settle()
        emu.clock.advance(100 - emu.clock.now)
        return emu.run_scenario(data, hosts=hosts)


QUIET = [{"always": {"port": "1", "pin": "ModPrsL", "is": "low"}}]


def since(log: Log) -> list[tuple[float, str]]:
    return [(round(time - 100, 6), text) for time, text in log]


# -- when steps are done -----------------------------------------------------------------------------


def test_at_a_time_and_for_a_while(log: Log) -> None:
    run([{"at": "2 s", "do": "test.mark", "for": "500 ms"}], QUIET)
    assert since(log) == [(2.0, "arm 1"), (2.5, "undo 1")]


def test_what_is_armed_at_the_end_is_cleared(log: Log) -> None:
    result = run([{"at": "2 s", "do": "test.mark"}], QUIET, duration="3 s")
    assert since(log) == [(2.0, "arm 1"), (3.0, "undo 1")]
    assert result.duration_ns == 3_000_000_000


def test_periodically(log: Log) -> None:
    run([{"at": "1 s", "every": "200 ms", "repeat": 3, "do": "test.mark", "for": "50 ms"}], QUIET)
    assert [time for time, text in since(log) if text == "arm 1"] == [1.0, 1.2, 1.4]
    assert [time for time, text in since(log) if text == "undo 1"] == [1.05, 1.25, 1.45]


@pytest.mark.parametrize(("look", "seen"), [({}, 1.25), ({"look": "500 ms"}, 1.5)])
def test_cleared_by_an_event_as_often_as_is_looked(log: Log, look: dict[str, str], seen: float) -> None:
    bounce = {"at": "1.05 s", "do": "pin.bounce", "port": "1", "times": 1, "away": "200 ms"}
    mark = {"at": "1.1 s", "do": "test.mark", "clear_when": {"port": "1", "pin": "ModPrsL", "is": "low"}}
    result = run([bounce, mark], [{"that": {"step": "step 2", "is": "done"}}], duration="3 s", **look)
    assert result.passed
    assert since(log) == [(1.1, "arm 1"), (seen, "undo 1")]
    assert [event.text for event in result.events if event.kind == "end" and event.who == "step 2"] == ["test.mark"]


def test_cleared_at_once_by_what_holds_already_and_armed_again(log: Log) -> None:
    holds = {"port": "1", "pin": "ModPrsL", "is": "low"}
    run([{"at": "1 s", "do": "test.mark", "clear_when": holds, "every": "1 s", "repeat": 2}], QUIET, duration="4 s")
    assert since(log) == [(1.0, "arm 1"), (1.0, "undo 1"), (2.0, "arm 1"), (2.0, "undo 1")]


def test_an_access_before_a_fault_was_armed_does_not_clear_it(log: Log) -> None:
    steps = [
        {"at": "1 s", "do": "host.read", "port": "1", "place": "L:3"},
        {"at": "2 s", "do": "test.mark", "clear_when": {"port": "1", "read": "L:3"}},
        {"at": "3 s", "do": "host.read", "port": "1", "place": "L:3"},
    ]
    run(steps, QUIET, duration="4 s")
    assert since(log) == [(2.0, "arm 1"), (3.0, "undo 1")]


def test_a_fault_armed_anew_before_its_end_lasts_from_then(log: Log) -> None:
    run([{"at": "1 s", "every": "200 ms", "repeat": 2, "do": "test.mark", "for": "300 ms"}], QUIET)
    assert since(log) == [(1.0, "arm 1"), (1.2, "undo 1"), (1.2, "arm 1"), (1.5, "undo 1")]


def test_after_another_step_and_a_delay(log: Log) -> None:
    steps = [
        {"when": {"step": "first"}, "delay": "250 ms", "do": "test.mark", "value": 2},
        {"id": "first", "at": "1 s", "do": "test.mark", "value": 1, "for": "1 ms"},
    ]
    run(steps, QUIET)
    assert [entry for entry in since(log) if entry[1].startswith("arm")] == [(1.0, "arm 1"), (1.25, "arm 2")]


def test_when_a_field_has_a_value(log: Log) -> None:
    steps = [
        {"at": "1 s", "do": "host.low_power", "port": "1"},
        {"when": {"port": "1", "field": "ModuleState", "is": "ModuleLowPwr"}, "within": "3 s", "do": "test.mark"},
    ]
    result = run(steps, QUIET)
    assert result.passed
    ((time, _), *_) = since(log)
    assert 1.1 < time < 2.0


def test_when_a_host_writes_a_register(log: Log) -> None:
    steps = [
        {"at": "1 s", "do": "host.write", "port": "1", "place": "10h:130", "bytes": [1]},
        {"at": "2 s", "do": "host.write", "port": "1", "place": "10h:130", "bytes": [2]},
        {"when": {"port": "1", "wrote": "10h:130", "value": 2}, "do": "test.mark", "value": 2},
        {"when": {"port": "1", "wrote": "10h:130"}, "do": "test.mark", "value": 1},
        {"when": {"port": "1", "wrote": "10h:130", "nth": 2}, "do": "test.mark", "value": 3},
    ]
    run(steps, QUIET)
    arms = [entry for entry in since(log) if entry[1].startswith("arm")]
    assert arms == [(1.0, "arm 1"), (2.0, "arm 2"), (2.0, "arm 3")]


def test_when_the_nth_access_comes(log: Log) -> None:
    steps = [
        {"at": "1 s", "do": "host.poll", "port": "1", "period": "100 ms", "times": 5},
        {"when": {"port": "1", "read": "11h:154", "nth": 3}, "do": "test.mark"},
    ]
    run(steps, QUIET)
    assert since(log)[0] == (1.2, "arm 1")


def test_an_event_that_does_not_come_fails_the_scenario_only_with_a_bound(log: Log) -> None:
    step = {"when": {"port": "1", "pin": "IntL", "is": "low"}, "do": "test.mark"}
    faultless = {"port": "1", "field": "ModuleState", "is": "ModuleFault"}
    assert run([{**step, "when": faultless}], QUIET, duration="2 s").passed
    late = run([{**step, "id": "x", "when": faultless, "within": "1 s"}], QUIET, duration="2 s")
    assert not late.passed
    assert late.failures == ("x: 1: ModuleState is ModuleFault has not come in time",)
    assert log == []


# -- occasions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "times"),
    [
        ({}, [0.1 * n for n in range(1, 11)]),
        ({"count": 2}, [0.1, 0.2]),
        ({"skip": 3, "count": 2}, [0.4, 0.5]),
        ({"every_nth": 4}, [0.1, 0.5, 0.9]),
        ({"skip": 1, "every_nth": 3, "count": 2}, [0.2, 0.5]),
        ({"probability": 0}, []),
        ({"probability": 1}, [0.1 * n for n in range(1, 11)]),
    ],
)
def test_occasions(log: Log, said: dict[str, Any], times: list[float]) -> None:
    run([{"do": "test.strike", "for": "1.05 s", **said}], QUIET)
    assert [time for time, _ in since(log)] == pytest.approx(times)


def test_chance_belongs_to_the_seed(log: Log) -> None:
    steps = [{"do": "test.strike", "for": "10 s", "probability": "40 %"}]
    runs = []
    for seed in (1, 1, 2):
        log.clear()
        run(steps, QUIET, seed=seed)
        runs.append(since(log))
    assert runs[0] == runs[1] != runs[2]
    assert 15 < len(runs[0]) < 65


def test_a_spent_fault_is_an_event(log: Log) -> None:
    steps = [
        {"id": "s", "do": "test.strike", "count": 3},
        {"when": {"step": "s", "is": "spent"}, "do": "test.mark"},
    ]
    run(steps, QUIET)
    assert (0.3, "arm 1") in [(round(time, 2), text) for time, text in since(log)]


# -- expectations ------------------------------------------------------------------------------------

LOW = {"port": "1", "field": "ModuleState", "is": "ModuleLowPwr"}
GO_LOW = {"id": "low", "at": "1 s", "do": "host.low_power", "port": "1"}


@pytest.mark.parametrize(
    ("expectation", "passes"),
    [
        ({"that": LOW, "by": "3 s"}, True),
        ({"that": LOW, "by": "1 s"}, False),
        ({"that": LOW, "from": "2 s"}, True),
        ({"that": LOW, "at": "3 s"}, True),
        ({"that": LOW, "at": "900 ms"}, False),
        ({"never": LOW}, False),
        ({"never": LOW, "until": "1 s"}, True),
        ({"always": LOW, "from": "2.5 s"}, True),
        ({"always": LOW, "from": "1 s"}, False),
        ({"always": {**LOW, "is": "ModuleReady"}, "until": "1 s"}, True),
        ({"that": {"host": "low", "is": "done"}, "by": "3 s"}, True),
        ({"that": {"host": "low", "is": "failed"}, "by": "3 s"}, False),
        ({"that": {"port": "1", "wrote": "L:26"}, "by": "1 s"}, True),
        ({"that": {"port": "1", "wrote": "L:26"}, "by": "900 ms"}, False),
        ({"never": {"port": "1", "wrote": "L:26"}, "from": "2 s"}, True),
        ({"never": {"port": "1", "accessed": "anything", "is": "refused"}}, True),
        (
            {"that": {"port": "1", "field": "OpticalPowerTx", "lanes": [1, 2, 3, 4], "above": "-3 dBm"}, "at": "0 s"},
            True,
        ),
        (
            {
                "that": {"port": "1", "field": "OpticalPowerTx", "lane": 2, "above": "-1 dBm", "below": "1 W"},
                "at": "0 s",
            },
            True,
        ),
        ({"that": {"port": "1", "field": "OpticalPowerTx", "lane": 1, "above": "-3 dBm"}, "at": "3 s"}, False),
        ({"that": {"port": "1", "field": "DPStateHostLane", "is": "DPDeactivated"}, "by": "3 s"}, True),
        ({"that": {"port": "1", "field": "DPStateHostLane3", "not": "DPActivated"}, "by": "3 s"}, True),
        ({"that": {"port": "1", "field": "DPStateHostLane", "lanes": "any", "is": "DPActivated"}, "at": "3 s"}, False),
        ({"that": {"port": "1", "field": "VendorName", "is": "CMIS-EMU"}, "at": "3 s"}, True),
        ({"that": {"port": "1", "field": "TempMonValue", "above": "20 degC"}, "at": "3 s"}, True),
        ({"that": LOW, "by": "2 s", "after": "low"}, True),
        ({"that": LOW, "by": "10 ms", "after": "low"}, False),
    ],
)
def test_expectations(expectation: dict[str, Any], passes: bool) -> None:
    result = run([GO_LOW], [expectation], duration="4 s")
    assert result.passed is passes
    assert len(result.verdicts) == 1
    assert result.failures == ()


def test_an_expectation_after_a_step_that_is_never_done(log: Log) -> None:
    faultless = {"port": "1", "field": "ModuleState", "is": "ModuleFault"}
    steps = [{"id": "x", "when": faultless, "do": "test.mark"}]
    result = run(steps, [{"that": LOW, "by": "1 s", "after": "x"}], duration="2 s")
    assert [verdict.found for verdict in result.verdicts] == ["step x was never done"]


# -- hosts -------------------------------------------------------------------------------------------


def test_a_bring_up_reaches_activated_from_low_power() -> None:
    steps = [
        {"id": "low", "do": "host.low_power", "port": "1"},
        {"id": "up", "when": {"host": "low", "is": "done"}, "do": "host.bring_up", "port": "1"},
    ]
    activated = {"port": "1", "field": "DPStateHostLane", "is": "DPActivated"}
    result = run(steps, [{"that": {"host": "up", "is": "done"}}, {"that": activated, "at": "9 s"}], duration="9 s")
    assert result.passed, as_text(result)


def test_a_breakout_is_brought_up_on_all_its_paths() -> None:
    steps = [{"id": "up", "do": "host.bring_up", "port": "1", "app_sel": 2, "release": True}]
    active = {"port": "1", "field": "ACS.DPConfigLane", "not": 0}
    result = run(steps, [{"that": {"host": "up", "is": "done"}}], duration="9 s")
    assert result.passed, as_text(result)
    assert active


@pytest.mark.parametrize("hosts", [True, False])
def test_a_scenario_leaves_its_hosts_out_where_another_one_is(hosts: bool) -> None:
    result = run([GO_LOW], [{"that": {"host": "low", "is": "done"}}, {"never": LOW}], hosts=hosts, duration="3 s")
    assert len(result.verdicts) == (2 if hosts else 1)
    assert result.verdicts[-1].passed is not hosts
    assert (result.transactions > 0) is hosts


def test_a_host_that_is_refused_says_so() -> None:
    steps = [{"id": "r", "do": "host.read", "port": "1", "place": "L:3"}]
    assert run(steps, [{"that": {"host": "r", "is": "done"}}]).passed
    with Emulator.load(DR4, clock=ManualClock()) as emu:
        emu.ports["1"].remove()
        data = {"version": 1, "scenario": "t", "steps": steps, "expect": [{"that": {"host": "r", "is": "failed"}}]}
        result = emu.run_scenario(data)
    assert result.passed
    assert "read of L:3: ENXIO" in as_text(result)


# -- the result --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_trace() -> None:
    texts = [json.dumps(as_data(run([GO_LOW], [{"that": LOW}], seed=seed))) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    data = json.loads(texts[0])
    assert data["transactions"] > 10
    assert data["version"] == 1


def test_the_timeline_tells_steps_hosts_and_registers() -> None:
    text = as_text(run([GO_LOW], [{"that": LOW, "by": "3 s"}]), every_access=True)
    assert "step     low: host.low_power" in text
    assert "access   1: write L:26" in text
    assert "register 1: ModuleState ModuleReady -> ModulePwrDn" in text
    assert "host     low: done" in text
    assert text.splitlines()[-1].startswith("PASS: 1 of 1 expectations")


def test_junit() -> None:
    text = as_junit([run([GO_LOW], [{"that": LOW, "by": "3 s"}, {"never": LOW}])])
    assert 'tests="2" failures="1"' in text
    assert text.count("<testcase") == 2
    assert '<failure message="never 1: ModuleState is ModuleLowPwr until the end">' in text


def test_a_scenario_beside_a_test(log: Log) -> None:
    steps = [{"at": "1 s", "do": "test.mark", "for": "1 s"}, GO_LOW]
    data = {"version": 1, "scenario": "t", "steps": steps, "expect": [{"never": LOW}], "duration": "5 s"}
    with Emulator.load(DR4, clock=ManualClock()) as emu:
        emu.settle()
        start = emu.clock.now
        with emu.playing(data) as play:
            emu.clock.advance(0.9)
            assert log == []
            emu.clock.advance(0.2)
            assert [(round(time - start, 6), text) for time, text in log] == [(1.0, "arm 1")]
            result = play.to_the_end()
        assert result.passed
        assert emu.clock.now - start == pytest.approx(5)
        assert len(log) == 2
        with emu.playing(data):
            emu.clock.advance(1.5)
        assert len(log) == 4  # left early: cleared all the same


def test_an_emulator_without_the_named_ports_is_refused() -> None:
    data = {"version": 1, "scenario": "t", "steps": [{"do": "host.poll", "port": "x"}], "expect": QUIET}
    with (
        Emulator.load(DR4, clock=ManualClock()) as emu,
        pytest.raises(InputError, match="expected an emulator that has x"),
    ):
        emu.run_scenario(data)
