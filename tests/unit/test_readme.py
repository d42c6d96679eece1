"""What the README shows is what the tools and the library print today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from cmis_emu import Emulator, ManualClock
from cmis_emu.link_budget import link_budget
from cmis_emu.live.link import draw

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def printed(*command: str, cwd: Path = ROOT) -> list[str]:
    done = subprocess.run([sys.executable, *command], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_figures() -> None:
    printed("tools/readme.py", "--check")


def test_example_of_a_test(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "emu.settle()" in body)
    testbed = next(body for kind, body in BLOCKS if kind == "yaml" and body.startswith("version:"))
    (tmp_path / "testbed.yaml").write_text(testbed)
    assert printed("-c", code, cwd=tmp_path) == README.split(code)[1].split("```")[2].strip().splitlines()


def test_the_hosts_five_lines(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "i2c_msg.read" in body)
    (tmp_path / "host.py").write_text(code)
    program = [sys.executable, "host.py"]
    assert printed("-m", "cmis_emu", "exec", "qsfpdd-400g-dr4", "--", *program, cwd=tmp_path)[-1].endswith("] mW")


def test_the_update_of_firmware(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "0x0101, len(image)" in body)
    printed(
        "-m", "cmis_emu", *["firmware", "build", "-o", "new.bin", "--version", "9.1.0", "--size", "64KiB"], cwd=tmp_path
    )
    assert printed("-c", code, cwd=tmp_path) == README.split(code)[1].split("```")[2].strip().splitlines()


def test_the_faults_of_firmware(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "firmware_faults" in body)
    load = "from cmis_emu import Emulator, ManualClock\nemu = Emulator.load('qsfpdd-400g-dr4', clock=ManualClock())\n"
    printed("-c", load + code)


def test_judging_a_module() -> None:
    shown = next(body for kind, body in BLOCKS if body.startswith("qsfpdd-400g-dr4: ")).splitlines()
    report = printed("-m", "cmis_emu", "check", "qsfpdd-400g-dr4", "--level", "full")
    assert [line for line in shown if line != "..." and line not in report] == []


def test_the_drawing_of_a_link(tmp_path: Path) -> None:
    testbed = next(body for kind, body in BLOCKS if kind == "yaml" and "out: {from" in body)
    shown = next(body for _, body in BLOCKS if body.startswith("out: a")).splitlines()
    (tmp_path / "lab.yaml").write_text(testbed)
    with Emulator.load(tmp_path / "lab.yaml", clock=ManualClock()) as emu:
        emu.settle()
        emu.clock.advance(10)
        drawn = draw(link_budget(emu.fibres["out"], emu.clock.now_ns)).splitlines()
        assert [line for line in shown if line != "..." and line not in drawn] == []
        assert "type-A trunk" in draw(link_budget(emu.fibres["wrong"], emu.clock.now_ns))


def test_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "quiet.yaml"
    path.write_text(next(body for kind, body in BLOCKS if kind == "yaml" and "scenario: quiet-module" in body))
    report = printed("-m", "cmis_emu", "scenario", "run", str(path))
    assert report[-1].startswith("PASS: 3 of 3 expectations")
