"""`cmis-emu check` as a user types it: profiles, ports of a running emulator, device files, reports, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import yaml
from dr4 import DR4, dr4_profile
from test_commands import Running, call


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    emulator = Running(tmp_path_factory.mktemp("run"), DR4, "--name", "t", "--speed", "8")
    with emulator.process:
        yield emulator
        emulator.process.kill()


def test_a_profile_passes_in_full() -> None:
    done = call("check", DR4, "--level", "full")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("PASS: ")
    assert " 0 failed, " in last
    assert "full in " in last
    assert "  pass applications: every application runs on every start" in done.stdout
    assert "n/a: command 0290h is not listed" in done.stdout


def test_read_only_is_the_default_and_says_what_it_did_not_run() -> None:
    out = call("check", DR4).stdout
    assert "level read-only; reading flags clears them (FLG-01)" in out
    assert "checks of higher levels not run)" in out
    assert "reset and module states" not in out


def test_a_broken_profile_by_path_fails(tmp_path: Path) -> None:
    profile = dr4_profile()
    profile["registers"]["MaxPower"] = 20.0
    profile["profile"] = "greedy"
    path = tmp_path / "greedy.yaml"
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    out = call("check", str(path), expect=1).stdout
    assert "ID-12 MaxPower: found class 6 with 20 W" in out
    assert "demanded at most 12 W" in out
    assert "bytes    00h:200 = a0, 00h:201 = 50" in out
    assert out.splitlines()[-1].startswith("FAIL: ")


def test_reports_for_machines(tmp_path: Path) -> None:
    found, suites = tmp_path / "report.json", tmp_path / "report.xml"
    call("check", DR4, "--level", "safe", "--json", str(found), "--junit", str(suites))
    report = json.loads(found.read_text())
    assert report["summary"]["failed"] == 0
    assert {each["verdict"] for each in report["checks"]} == {"pass", "not applicable"}
    assert all(o["why"] for c in report["checks"] for o in c["outcomes"] if o["verdict"] == "not applicable")
    root = Xml.parse(suites).getroot()
    assert sum(int(suite.attrib["tests"]) for suite in root) == sum(len(c["outcomes"]) for c in report["checks"])


def test_a_report_that_cannot_be_written_is_bad_input() -> None:
    assert "found No such file" in call("check", DR4, "--json", "/no/such/folder/x.json", expect=2).stderr


def test_a_port_of_a_running_emulator_is_judged_in_its_own_time(running: Running) -> None:
    out = running.call("check", "1", "--attach", "t", "--level", "full")
    assert out.splitlines()[-1].startswith("PASS: ")
    assert "pass low-power-pin" in out  # pins are there, through the emulator


def test_a_port_is_found_without_attach_when_one_emulator_runs(running: Running) -> None:
    assert "pass checksums" in running.call("check", "1")
    assert "found 'x', expected one of the ports 1" in running.refusal("check", "x", expect=2)
    assert "found no emulator there" in running.refusal("check", "1", "--attach", "other", expect=3)


def test_an_empty_cage_is_not_available(running: Running) -> None:
    running.call("remove", "1")
    try:
        assert "found an empty cage" in running.refusal("check", "1", expect=3)
    finally:
        running.call("insert", "1", DR4)


def test_the_module_behind_a_device_file_is_judged() -> None:
    command = [sys.executable, "-m", "cmis_emu", "check"]
    out = call("exec", DR4, "--", *command, "/dev/i2c-1").stdout
    assert out.splitlines()[-1].startswith("PASS: ")
    assert "this target gives no access to the pins" in out
    absent = call("exec", DR4, "--", *command, "/dev/i2c-1:0x51", expect=3).stderr
    assert "found no module that answers" in absent


def test_targets_that_are_not_there(tmp_path: Path) -> None:
    assert "/dev/i2c-99: No such file" in call("check", "/dev/i2c-99", expect=3).stderr
    assert "expected /dev/i2c-N" in call("check", "/dev/i2c-one", expect=2).stderr
    assert "found address 0xff" in call("check", "/dev/i2c-1:0xff", expect=2).stderr
    stderr = call("check", "nothing", expect=2, folder=tmp_path).stderr
    assert "TARGET: found 'nothing', expected a profile (" in stderr


def test_a_dump_is_judged_as_an_image(tmp_path: Path) -> None:
    path = tmp_path / "module.hex"
    rows = [f"{at:02x}: " + bytes(16).hex(" ") for at in range(0, 256, 16)]
    path.write_text("\n".join(rows))
    out = call("check", str(path), expect=1).stdout
    assert "FAIL module-state" in out
    assert "an image does not react" in out
    assert "expected read-only" in call("check", str(path), "--level", "safe", expect=2).stderr
