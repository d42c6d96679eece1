"""No check passes vacuously: each passes on an intact module and catches every module broken for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from controls import CONTROLS, POSITIVE, dr4
from meddle import Bench, bench_in, verdict_on

from cmis_emu.judge.check import Check, Verdict
from cmis_emu.judge.checks import CHECKS, MODULES

BY_NAME = {each.name: each for each in CHECKS}
PAIRS = [(check, control) for check, controls in CONTROLS.items() for control in controls]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench_in(tmp_path_factory.mktemp("bench")) as found:
        yield found


def test_every_check_is_listed_once() -> None:
    made = [value for module in MODULES for value in vars(module).values() if isinstance(value, Check)]
    assert len(CHECKS) == len(BY_NAME) == len({each.name for each in made})


@pytest.mark.parametrize("name", BY_NAME)
def test_every_check_has_a_negative_control(name: str) -> None:
    assert CONTROLS.get(name), f"check {name} has no negative control"


def test_every_control_belongs_to_a_check() -> None:
    assert set(CONTROLS) | set(POSITIVE) == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_intact_module_passes(bench: Bench, name: str) -> None:
    report = verdict_on(BY_NAME[name], POSITIVE.get(name, dr4)(bench))
    (result,) = report.results
    failures = [f"{o.rule} {o.subject}: found {o.found}, demanded {o.demanded}" for _, o in report.failures()]
    assert not failures
    assert result.verdict is Verdict.PASS, [o.why for o in result.outcomes]


@pytest.mark.parametrize(("name", "control"), PAIRS)
def test_the_broken_module_is_caught(bench: Bench, name: str, control: str) -> None:
    report = verdict_on(BY_NAME[name], CONTROLS[name][control](bench))
    failures = [outcome for _, outcome in report.failures()]
    assert failures
    assert report.exit_code == 1
    for outcome in failures:
        assert outcome.found
        assert outcome.demanded
        assert outcome.rule in BY_NAME[name].rules


def test_every_rule_that_a_check_names_is_caught_by_a_control(bench: Bench) -> None:
    """Of the checks that name several: one that names one rule has been caught by it, or the test above fails."""
    missing = []
    for name, check in BY_NAME.items():
        left = set(check.rules)
        for make in CONTROLS[name].values() if len(left) > 1 else ():
            left -= {outcome.rule for _, outcome in verdict_on(check, make(bench)).failures()}
            if not left:
                break
        missing += [f"{name}: {rule}" for rule in left if len(check.rules) > 1]
    assert not missing, "; ".join(missing)
