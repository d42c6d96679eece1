"""Every broken testbed of the corpus is refused with its own line, field, what was found and what was expected.

The first line of a testbed says so: `# expect: <line> | <field> | <part of found> | <part of expected>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broken_file import assert_refused

from cmis_emu import Emulator, InputError, ManualClock

CORPUS = sorted((Path(__file__).parent / "testbeds").glob("*.yaml"))
DR4 = "qsfpdd-400g-dr4"
PORTS = {"a": {"profile": DR4, "bus": 1}}


def test_corpus_is_there() -> None:
    assert len(CORPUS) >= 25


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_broken_testbed_is_refused(path: Path) -> None:
    assert_refused(path, lambda path: Emulator.load(path, clock=ManualClock()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "<dict>:1: version: found no such key, expected the key 'version'"),
        ({"version": 1, "ports": {}}, "<dict>:1: ports: found no port, expected at least one"),
        ({"version": 1, "ports": {"a": {"bus": 1, "cage": 2}}}, "port a: found unknown key 'cage'"),
        ({"version": 1, "ports": {"a": {"bus": 1, "profile": "nope"}}}, "port a: profile: found no profile 'nope'"),
        (
            {"version": 1, "ports": PORTS, "environment": {"airflow": float("nan")}},
            "airflow: found nan, expected a number",
        ),
        ({"version": 1, "ports": PORTS, "environment": {"ambient_c": float("inf")}}, "ambient_c: found inf, expected"),
        ({"version": 1, "ports": {3.5: {"bus": 1}}}, "found 3.5, expected a text key"),
        ({"version": 1, "ports": {True: {"bus": 1}}}, "found True, expected a text key"),
        ({"version": 1, "ports": [PORTS]}, "ports: found"),
        ({"version": 1, "ports": PORTS, "seed": None}, "seed: found None, expected a whole number"),
    ],
)
def test_broken_dicts_are_refused(data: dict[Any, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Emulator.load(data, clock=ManualClock())
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-profile", "", "x" * 5000, "nul\0byte", "no/such/file.yaml", "..", "/"])
def test_names_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        Emulator.load(name, clock=ManualClock())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a readable file"):
        Emulator.load(tmp_path, clock=ManualClock())
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"version: \xff\xfe")
    with pytest.raises(InputError, match="expected UTF-8 text"):
        Emulator.load(binary, clock=ManualClock())
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * 2_000_001)
    with pytest.raises(InputError, match="expected at most 2000000"):
        Emulator.load(huge, clock=ManualClock())


def test_a_mistake_inside_a_profile_keeps_its_place(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text("profile: p\ntitle: T\nform_factor: X\nrevision: latest\nregisters: {}\n")
    with pytest.raises(InputError, match=r"p\.yaml:4: revision: found latest"):
        Emulator.load({"version": 1, "ports": {"a": {"profile": str(profile), "bus": 1}}}, clock=ManualClock())


def test_what_is_right_is_accepted(tmp_path: Path) -> None:
    testbed = tmp_path / "lab.yaml"
    testbed.write_text(
        "version: 1\nseed: 9007199254740993\nenvironment: {ambient_c: 20, airflow: 0.5}\n"
        f"ports:\n  1: {{profile: {DR4}, bus: 0, state: {{LPMode: true}}}}\n  2: {{bus: 4095}}\n"
        "fibres:\n  x: {from: 1, to: 2, length_m: 10, loss_db: 3}\n"
    )
    with Emulator.load(testbed, clock=ManualClock()) as emu:
        emu.settle()
        assert emu.seed == 9007199254740993
        assert emu.smbus(0).read_byte_data(0x50, 3) >> 1 == 1
        assert emu.ports["2"].pins.ModPrsL
        assert emu.fibres["x"].loss_db == 3
        assert emu.environment.ambient_c == 20
    with Emulator.load({"version": 1, "ports": PORTS}, clock=ManualClock(), seed=7) as emu:
        assert emu.seed == 7
