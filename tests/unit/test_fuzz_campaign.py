"""Random compositions: they are scenarios, they hold, they repeat, and a failure becomes a small file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cmis_emu import campaign
from cmis_emu.campaign import Finding, examine, judge, shrink
from cmis_emu.registers.yamlfile import load_yaml
from cmis_emu.scenarios import catalogue
from cmis_emu.scenarios.compose import composition, scenario
from cmis_emu.scenarios.reader import read_scenario


def test_a_composition_belongs_to_its_seed_and_number() -> None:
    assert composition(7, 3) == composition(7, 3)
    assert len({str(composition(7, number)["steps"]) for number in range(50)}) == 50
    assert composition(7, 3)["steps"] != composition(8, 3)["steps"]


def test_compositions_are_scenarios_and_use_every_action() -> None:
    used = set()
    for number in range(400):
        data = composition(1, number)
        read_scenario(data)
        used |= {step["do"] for step in data["steps"]}
    missing = [name for name in catalogue.names() if catalogue.action(name) is not None and name not in used]
    assert missing == []


@pytest.mark.parametrize("number", range(8))
def test_a_few_hold(number: int) -> None:
    finding = examine(20_261_128, number)
    assert finding is None, finding.as_yaml()


def test_the_end_of_a_stretch_comes_in_time() -> None:
    """A bring-up through a held clock takes longer than the fault, which ends all the same."""
    up = {"at": "3.758 s", "do": "host.bring_up", "port": "b"}
    stretch = {"at": "1.982 s", "do": "bus.stretch", "for": "3.081 s", "port": "b", "time": "0.4272 s"}
    assert judge(scenario("held", 1, [up, stretch])) is None


def test_a_failure_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that breaks wherever a certain step is there: all other steps and words go."""

    def fragile(data: Mapping[str, Any]) -> tuple[str, str] | None:
        return ("broke", "of it") if any(step["do"] == "page.slow" for step in data["steps"]) else None

    monkeypatch.setattr(campaign, "judge", fragile)
    slow = {"at": "1 s", "do": "page.slow", "port": "a", "page": "11h", "time": "10 ms", "for": "2 s", "count": 3}
    steps = [dict(step) for step in composition(1, 0)["steps"] if "id" not in step]
    small = shrink(scenario("x", 1, [*steps, slow, *steps]), "broke")
    left = [step for step in small["steps"] if "id" not in step]
    assert left == [{"at": "1 s", "do": "page.slow", "port": "a", "for": "2 s"}]


def test_what_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Mapping[str, Any]) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(campaign, "_run", broken)
    assert judge(composition(1, 0)) == ("broke", "ZeroDivisionError: a slip")


def test_a_finding_is_a_scenario_file() -> None:
    data = composition(1, 5)
    text = Finding(5, "broke", "one line\nanother", data).as_yaml()
    assert text.startswith("# Found by: cmis-emu scenario fuzz --seed 1, composition 5\n# broke: one line\n# another\n")
    assert read_scenario(load_yaml("x.yaml", text, exponents=True)).name == "fuzz-1-5"
