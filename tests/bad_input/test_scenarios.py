"""Every broken scenario of the corpus is refused with its own line, field, what was found and what was expected.

The first line of a scenario says so: `# expect: <line> | <field> | <part of found> | <part of expected>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from broken_file import assert_refused
from click.testing import CliRunner

from cmis_emu import InputError
from cmis_emu.cli.main import cli
from cmis_emu.scenarios import catalogue
from cmis_emu.scenarios.action import STEP_KEYS, Argument, Kind
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.units import Quantity

CORPUS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
DR4 = "qsfpdd-400g-dr4"


def test_corpus_is_there() -> None:
    assert len(CORPUS) >= 200


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_broken_scenario_is_refused(path: Path) -> None:
    assert_refused(path, read_scenario)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_command_tells_each_in_one_line(path: Path) -> None:
    result = CliRunner().invoke(cli, ["scenario", "check", str(path)])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"cmis-emu: {path}:")
    assert ": found " in line
    assert ", expected " in line


def test_the_command_checks_file_after_file(tmp_path: Path) -> None:
    right = tmp_path / "right.yaml"
    right.write_text(
        "version: 1\nscenario: t\ntestbed: qsfpdd-400g-dr4\nsteps:\n- {do: host.poll, port: 1}\n"
        "expect:\n- {that: {host: step 1, is: done}}\n"
    )
    result = CliRunner().invoke(cli, ["scenario", "check", str(CORPUS[0]), str(right), str(CORPUS[1])])
    assert result.exit_code == 2
    assert result.stdout == f"{right}: t, 1 steps, 1 expectations\n"
    assert len(result.stderr.splitlines()) == 2
    assert CliRunner().invoke(cli, ["scenario", "check", str(right)]).exit_code == 0


TOP = ("version", "scenario", "title", "source", "rows", "testbed", "seed", "begin", "duration", "steps", "expect")
EXPECTATION = ("id", "that", "never", "by", "until", "from", "after")
CONDITIONS = ("field", "pin", "read", "wrote", "accessed", "step", "host")
NOT_YET = {Kind.FIBRE}  # arguments of this kind come with the actions on links


def test_the_corpus_is_complete() -> None:
    """A mistake in or about each key, each kind of condition, and each kind of argument."""
    headers = [path.read_text().splitlines()[0] for path in CORPUS]
    fields = {header.split("|")[1].strip().rpartition(": ")[2] for header in headers}
    for key in (*TOP, *STEP_KEYS, *EXPECTATION):
        assert key in fields or any(f"'{key}'" in header for header in headers), key
    for kind in CONDITIONS:
        assert any(f"{kind}: " in path.read_text() for path in CORPUS), kind
    taken = [argument for name in catalogue.names() for argument in _arguments(name).items()]
    for kind in Kind:
        assert kind in NOT_YET or fields & {key for key, argument in taken if argument.kind is kind}, kind
    assert fields & {key for key, argument in taken if isinstance(argument.kind, Quantity)}


def _arguments(name: str) -> Mapping[str, Argument]:
    action, program = catalogue.action(name), catalogue.program(name)
    return action.arguments if action is not None else program.arguments if program is not None else {}


@pytest.mark.parametrize("name", ["no-such-scenario", "", "x" * 5000, "nul\0byte", "no/such/file.yaml", "..", "/"])
def test_names_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        read_scenario(name)


def test_a_near_miss_of_the_librarys_names() -> None:
    with pytest.raises(InputError, match="did you mean 'vendor-name-not-ascii'"):
        read_scenario("vendor-name-not-asci")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a scenario of the library or a file"):
        read_scenario(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"version: \xff\xfe")
    with pytest.raises(InputError, match="expected UTF-8 text"):
        read_scenario(binary)
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * 2_000_001)
    with pytest.raises(InputError, match="expected at most 2000000"):
        read_scenario(huge)


def test_a_mistake_in_a_testbed_beside_the_scenario_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("version: 1\nports:\n  a: {profile: qsfpdd-400g-dr4, bus: one}\n")
    scenario = tmp_path / "s.yaml"
    scenario.write_text("version: 1\nscenario: t\ntestbed: lab.yaml\nsteps: []\nexpect: []\n")
    with pytest.raises(InputError, match=r"lab\.yaml:3: bus: found one"):
        read_scenario(scenario)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [{"do": "host.poll", "port": None}]}, "step 1: port: found no such key"),
        ({"steps": [{"do": "bus.nack", "port": "1", "probability": float("nan")}]}, "probability: found nan"),
        ({"steps": [{"do": "bus.nack", "port": "1", "count": 2.0**70}]}, "count: found 1.1805"),
        ({"steps": [{True: "host.poll"}]}, "found True, expected a text key"),
        ({"seed": 2**63}, "seed: found 9223372036854775808"),
        ({"duration": b"5 s"}, "duration: found b'5 s'"),
        ({"steps": ({"do": "host.poll", "port": 2},)}, "port: found 2, expected one of the ports 1"),
    ],
)
def test_broken_dicts_are_refused(change: dict[Any, Any], message: str) -> None:
    right = {
        "version": 1,
        "scenario": "t",
        "testbed": DR4,
        "steps": [{"do": "host.poll", "port": "1"}],
        "expect": [{"that": {"host": "step 1", "is": "done"}}],
    }
    read_scenario(right)
    with pytest.raises(InputError) as caught:
        read_scenario({**right, **change})
    assert message in str(caught.value)
