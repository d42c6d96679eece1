"""`cmis-emu scenario` as a user types it, by itself and on a running emulator."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_commands import DR4, Running, call

GOOD = f"""version: 1
scenario: quiet-module
title: The module does not answer for a while
testbed: {DR4}
duration: 6 s
steps:
  - {{at: 1 s, do: bus.nack, port: 1, for: 1 s}}
  - {{id: poll, at: 500 ms, do: host.poll, port: 1, period: 250 ms, times: 10, tolerant: true}}
expect:
  - {{that: {{port: 1, accessed: anything, is: ENXIO}}, by: 2 s}}
  - {{never: {{port: 1, accessed: anything, is: refused}}, from: 2.1 s}}
  - {{that: {{host: poll, is: done}}}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "quiet.yaml"
    path.write_text(GOOD)
    return path


def test_check(good: Path, tmp_path: Path) -> None:
    assert call("scenario", "check", str(good)).stdout.strip().endswith("quiet-module, 2 steps, 3 expectations")
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("for: 1 s", "for: 1"))
    done = call("scenario", "check", str(good), str(bad), expect=2)
    expected = (
        f"cmis-emu: {bad}:7: for: found 1, expected a duration such as '200 ms' (units: ns, us, ms, s, min, h, d)"
    )
    assert done.stderr.splitlines() == [expected]


def test_run_and_reports(good: Path, tmp_path: Path) -> None:
    done = call("scenario", "run", str(good))
    assert done.stdout.splitlines()[-1].startswith("PASS: 3 of 3 expectations")
    for name in ("r.json", "r.xml", "r.txt"):
        call("scenario", "run", str(good), "--report", str(tmp_path / name), "--quiet")
    (data,) = json.loads((tmp_path / "r.json").read_text())
    assert data["passed"]
    assert data["scenario"] == "quiet-module"
    assert any(event["kind"] == "access" and "ENXIO" in event["text"] for event in data["events"])
    assert ElementTree.parse(tmp_path / "r.xml").getroot()[0].get("failures") == "0"
    assert "PASS: 3 of 3" in (tmp_path / "r.txt").read_text()


def test_a_failed_expectation_is_exit_code_1(good: Path) -> None:
    good.write_text(GOOD.replace("is: ENXIO", "is: EBUSY"))
    done = call("scenario", "run", str(good), expect=1)
    assert "FAIL expectation 1: 1: host accessed, EBUSY by 2 s" in done.stdout


def test_real_time_at_a_speed(good: Path) -> None:
    assert "PASS: 3 of 3" in call("scenario", "run", str(good), "--speed", "8").stdout


def test_on_a_running_emulator(good: Path, tmp_path: Path) -> None:
    emulator = Running(tmp_path, DR4, "--name", "t", "--speed", "8", "--forget")
    with emulator.process:
        emulator.wait_for("get", "1", "DPStateHostLane1", until="DPActivated")
        assert "PASS: 3 of 3" in emulator.call("scenario", "run", str(good), "--attach", "t")
        other = tmp_path / "other.yaml"
        other.write_text(GOOD.replace("port: 1", "port: x").replace(f"testbed: {DR4}\n", ""))
        assert "expected an emulator that has x" in emulator.refusal(
            "scenario", "run", str(other), "--attach", "t", expect=2
        )
        emulator.process.kill()


def test_actions_and_schema() -> None:
    text = call("scenario", "actions").stdout
    assert "bus.nack" in text
    assert "host.bring_up" in text
    assert "clock low" in call("scenario", "actions", "bus.stretch").stdout
    assert "did you mean" not in call("scenario", "actions", "bus.strech", expect=2).stdout
    schema = json.loads(call("scenario", "schema").stdout)
    assert schema["properties"]["version"] == {"const": 1}


def test_list() -> None:
    rows = json.loads(call("scenario", "list", "--json").stdout)
    assert len(call("scenario", "list").stdout.splitlines()) == len(rows)
