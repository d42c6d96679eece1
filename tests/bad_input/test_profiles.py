"""Every broken profile of the corpus is refused with its own line, field, what was found and what was expected.

The first line of a profile says so: `# expect: <line> | <field> | <part of found> | <part of expected>`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.module.profile import load_profile

CORPUS = sorted((Path(__file__).parent / "profiles").glob("*.yaml"))

LEFT = {
    "applications_number": "profile.py: TypeError, the list is not checked",
    "behaviour_float_limit": "profile.py: the behaviour section is not checked",
    "behaviour_holdoff": "profile.py: the behaviour section is not checked (I2C-11: at most 10 ms)",
    "behaviour_media_lanes": "profile.py: the behaviour section is not checked",
    "behaviour_negative": "profile.py: the behaviour section is not checked",
    "behaviour_null": "profile.py: the behaviour section is not checked",
    "behaviour_period_zero": "profile.py: ZeroDivisionError, the behaviour section is not checked",
    "behaviour_text": "profile.py: the behaviour section is not checked",
    "plant_airless": "profile.py: ZeroDivisionError in the thermal model",
    "plant_float_lanes": "profile.py: TypeError in the plant",
    "plant_laser_number": "profile.py: a number where a record belongs is accepted",
    "plant_laser_partial": "profile.py: TypeError for a record without its required values",
    "plant_null": "profile.py: TypeError in the plant, null is accepted for any number",
    "plant_zero_lanes": "profile.py: a negative number of lanes is accepted",
    "profile_null": "profile.py: the name is not checked",
    "signal_too_large": "profile.py: ValueError, the section is not checked",
    "signal_unknown": "profile.py: unknown settings are accepted",
    "signal_word": "profile.py: TypeError, the section is not checked",
    "thresholds_beyond_field": "profile.py: names the line of 'registers', not of the threshold",
    "thresholds_bool": "profile.py: names the line of 'registers'; true counts as a number",
    "title_list": "profile.py: the title is not checked",
    "value_list": "encoding.py: TypeError for a list",
    "value_null": "encoding.py: TypeError for null",
}
"""Broken profiles that are accepted, or that crash, by code that others own."""


def cases() -> list[object]:
    found: list[object] = []
    for path in CORPUS:
        reason = LEFT.get(path.stem)
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        found.append(pytest.param(path, id=path.stem, marks=marks))
    return found


def test_corpus_is_there() -> None:
    assert len(CORPUS) >= 25
    assert set(LEFT) <= {path.stem for path in CORPUS}


@pytest.mark.parametrize("path", cases())
def test_broken_profile_is_refused(path: Path) -> None:
    header = path.read_text().splitlines()[0]
    assert header.startswith("# expect: ")
    line, field, found, expected = (part.strip() for part in header.removeprefix("# expect:").split("|", 3))
    with pytest.raises(InputError) as caught:
        Emulator.load(path, clock=ManualClock()).close()
    error = caught.value
    assert error.file == str(path)
    assert error.line == int(line)
    assert (error.field or "") == field
    assert found in error.found
    assert expected in error.expected
    assert str(error).startswith(f"{path}:{line}: ")


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
