"""Every broken profile of the corpus is refused with its own line, field, what was found and what was expected.

The first line of a profile says so: `# expect: <line> | <field> | <part of found> | <part of expected>`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_file import assert_refused

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_path

CORPUS = sorted((Path(__file__).parent / "profiles").glob("*.yaml"))


def cases() -> list[object]:
    return [pytest.param(path, id=path.stem) for path in CORPUS]


def test_corpus_is_there() -> None:
    assert len(CORPUS) >= 25


@pytest.mark.parametrize("path", cases())
def test_broken_profile_is_refused(path: Path) -> None:
    assert_refused(path, lambda path: Emulator.load(path, clock=ManualClock()).close())


def test_a_profile_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"profile: caf\xe9\n")
    with pytest.raises(InputError, match=r"latin\.yaml: found byte 0xe9 at 12, expected UTF-8 text"):
        load_profile(str(path))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"found no profile 'qsfpdd-400-dr4', expected .*did you mean qsfpdd-400g-dr4"):
        load_profile("qsfpdd-400-dr4")


def test_a_profile_of_a_few_lines_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("profile: small\ntitle: T\nform_factor: QSFP-DD\nrevision: '5.2'\nregisters: {MediaType: 2}\n")
    with Emulator.load(path, clock=ManualClock()) as emu:
        emu.settle()
        assert emu.smbus(1).read_byte_data(0x50, 1) == 0x52
        assert emu.ports["1"].module.get("ModuleState") == 3


def test_an_edited_profile_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.profile"
    path.write_text(profile_path("qsfpdd-400g-dr4").read_text())
    assert load_profile(str(path)) is load_profile(str(path))
    path.write_text(path.read_text().replace("CE0000000001", "MINE"))
    with Emulator.load({"version": 1, "ports": {"1": {"profile": str(path), "bus": 1}}}, clock=ManualClock()) as emu:
        assert emu.ports["1"].module.get("VendorSN") == "MINE"


def test_a_profile_path_counts_from_the_testbed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(profile_path("qsfpdd-400g-dr4").read_text())
    testbed = tmp_path / "testbed.yaml"
    testbed.write_text("version: 1\nports:\n  x: {profile: mine.yaml, bus: 4}\n")
    with Emulator.load(testbed, clock=ManualClock()) as emu:
        assert emu.ports["x"].module.get("VendorPN") == "QDD-400G-DR4"
