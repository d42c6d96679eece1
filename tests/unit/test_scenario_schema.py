"""The published JSON Schema: it is one, it takes the whole library, and it refuses what the reader refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cmis_emu import InputError
from cmis_emu.registers.yamlfile import load_yaml
from cmis_emu.scenarios import catalogue, library
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.schema import schema

VALIDATOR = Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", library.names())
def test_the_library_is_valid(name: str) -> None:
    wrong = [
        f"{list(error.path)}: {error.message}"
        for error in VALIDATOR.iter_errors(load_yaml(library.find(name), exponents=True))
    ]
    assert wrong == []


def test_the_file_for_editors_is_of_today() -> None:
    """Made by `cmis-emu scenario schema > docs/scenario.schema.json`."""
    published = Path(__file__).resolve().parents[2] / "docs" / "scenario.schema.json"
    assert json.loads(published.read_text()) == json.loads(json.dumps(schema()))


def test_every_action_and_program_has_a_step_of_its_own() -> None:
    steps = schema()["properties"]["steps"]["items"]["oneOf"]
    assert [step["properties"]["do"]["const"] for step in steps] == catalogue.names()


STEP = {"do": "host.poll", "port": "1"}
HOPE = {"that": {"host": "step 1", "is": "done"}}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"scenario": ""},
        {"nonsense": 1},
        {"seed": -1},
        {"begin": "later"},
        {"duration": 3},
        {"duration": "3 fortnights"},
        {"steps": []},
        {"steps": [{"port": "1"}]},
        {"steps": [{"do": "host.pole", "port": "1"}]},
        {"steps": [{"do": "host.poll"}]},
        {"steps": [{**STEP, "times": "twice"}]},
        {"steps": [{**STEP, "at": 2}]},
        {"steps": [{**STEP, "for": "1 s"}]},
        {"steps": [{**STEP, "when": {"pin": "IntL", "port": "1", "is": "lower"}}]},
        {"expect": []},
        {"expect": [{**HOPE, "never": HOPE["that"]}]},
        {"expect": [{"that": {"host": "step 1"}}]},
        {"expect": [{"that": {"host": "step 1", "is": "doing"}}]},
        {"expect": [{**HOPE, "by": "soon"}]},
    ],
)
def test_what_the_reader_refuses_is_invalid(change: dict[str, Any]) -> None:
    right = {"version": 1, "scenario": "t", "testbed": "qsfpdd-400g-dr4", "steps": [STEP], "expect": [HOPE]}
    assert VALIDATOR.is_valid(right)
    read_scenario(right)
    assert not VALIDATOR.is_valid({**right, **change})
    with pytest.raises(InputError):
        read_scenario({**right, **change})
