"""The command line as a user types it, with real programs behind `exec`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beside import FBOSS_DR4, needs_images

BIN = Path(sys.executable).parent
COMMAND = str(BIN / "cmis-emu")
DR4 = "qsfpdd-400g-dr4"

needs_i2c_tools = pytest.mark.skipif(shutil.which("i2cdetect") is None, reason="i2c-tools is not installed")

MANY = "1" * 5000  # more digits than Python takes for a number


def call(*arguments: str, expect: int = 0, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ)
    if folder is not None:
        env |= {"CMIS_EMU_RUNTIME_DIR": str(folder), "CMIS_EMU_STATE_DIR": str(folder)}
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


class Running:
    """`cmis-emu run` in a process, found by name in a runtime folder of its own."""

    def __init__(self, folder: Path, source: str, *arguments: str) -> None:
        self.folder = folder
        env = {
            **os.environ,
            "CMIS_EMU_RUNTIME_DIR": str(folder),
            "CMIS_EMU_STATE_DIR": str(folder),
            "PYTHONUNBUFFERED": "1",
        }
        command = [COMMAND, "run", source, *arguments]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.banner = [self.process.stdout.readline() for _ in range(3)]

    def call(self, *arguments: str, expect: int = 0) -> str:
        return call(*arguments, expect=expect, folder=self.folder).stdout

    def refusal(self, *arguments: str, expect: int) -> str:
        return call(*arguments, expect=expect, folder=self.folder).stderr

    def wait_for(self, *arguments: str, until: str) -> None:
        deadline = time.monotonic() + 30
        while self.call(*arguments).strip() != until:
            assert time.monotonic() < deadline, f"{arguments} did not become {until}"

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=20)
        return rest


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    emulator = Running(tmp_path, DR4, "--name", "t", "--speed", "20")
    with emulator.process:
        yield emulator
        emulator.process.kill()


def test_profiles_lists_the_library() -> None:
    assert re.search(r"^qsfpdd-400g-dr4 +QSFP-DD +CMIS 5\.2 +12\.00 W", call("profiles").stdout, re.MULTILINE)
    row = next(r for r in json.loads(call("profiles", "--json").stdout) if r["name"] == DR4)
    assert row["applications"][0]["host_interface"] == "400GAUI-8 C2M"
    assert [a["host_lanes"] for a in row["applications"]] == [8, 2]


@needs_i2c_tools
def test_exec_gives_i2c_tools_a_device_file() -> None:
    dump = call("exec", DR4, "--", "i2cdump", "-y", "1", "0x50", "b").stdout
    assert dump.splitlines()[1].startswith("00: 18 52 04 06")
    assert "CMIS-EMU" in dump
    grid = call("exec", DR4, "--", "i2cdetect", "-y", "1").stdout
    assert [c for line in grid.splitlines()[1:] for c in line.split()[1:] if c != "--"] == ["50"]
    shell = "i2cset -y 1 0x50 127 0x11 && i2ctransfer -y 1 w1@0x50 0x80 r4 && i2cget -y 1 0x50 127"
    done = call("exec", DR4, "--", "sh", "-c", shell)
    assert done.stdout.split() == ["0x44"] * 4 + ["0x11"]
    absent = call("exec", DR4, "--", "i2cget", "-y", "1", "0x51", "0", expect=2)
    assert "Read failed" in absent.stderr


def test_exec_passes_the_exit_code_and_the_arguments() -> None:
    call("exec", DR4, "--", "sh", "-c", "exit 7", expect=7)
    assert call("exec", DR4, "--", "echo", "--speed", "-x", "--").stdout == "--speed -x --\n"


def test_exec_at_the_moment_of_insertion_finds_the_module_silent() -> None:
    host = "from smbus2 import SMBus\ntry: SMBus(1).read_byte_data(0x50, 0)\nexcept OSError as e: print(e.errno)"
    assert call("exec", DR4, "--plugged-now", "--", sys.executable, "-c", host).stdout.strip() == "6"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["exec", "no-such", "--", "true"], 2, "expected a profile"),
        (["exec", DR4, "--", "no-such-program"], 3, "no-such-program"),
        (["exec", DR4], 2, "PROGRAM"),
        (["exec", DR4, "--attach", "x", "--", "true"], 2, "--attach"),
        (["run", DR4, "--speed", "0"], 2, "speed"),
        (["run", DR4, "--serve", "carrier-pigeon:1"], 2, "expected KIND:ADDRESS, KIND one of"),
        (["run", DR4, "--serve", "vhost-user:x@9"], 2, "found bus 9, expected one of 1"),
        (["run", DR4, "--serve", "vhost-user:/dev/null"], 3, "/dev/null"),
        (["run", DR4, "--serve", "usbip:nowhere"], 2, "usbip:[HOST:]PORT"),
        (["run", DR4, "--serve", "usbip:203.0.113.1:0"], 3, "203.0.113.1"),
        (["run", DR4, "--serve", "usbip:" + MANY], 2, "usbip:[HOST:]PORT"),
        (["run", DR4, "--serve", "grpc:0?first=" + MANY], 2, "first from 0 to"),
        (["run", DR4, "--serve", "vhost-user:x@" + MANY], 2, "vhost-user:PATH@BUS"),
        (["run", DR4, "--serve", "pico:x@" + MANY], 2, "pico:DEVICE[@BUS]"),
        (["run", DR4, "--serve", "rpi-bsc:experimental=yes&bus=" + MANY], 2, "bus from 0 to"),
        (["run", DR4, "--name", "../x"], 2, "--name"),
        (["show", "1"], 3, "no running emulator"),
        (["show", "missing.hex"], 2, "'missing.hex', expected the file of a dump"),
        (["show", "missing.hex", "--page", "11h"], 2, "'missing.hex', expected the file of a dump"),
        (["show", "captures/1"], 2, "'captures/1', expected the file of a dump"),
        (["get", "1", "ModuleState", "--attach", "nobody"], 3, "nobody"),
        (["no-such-command"], 2, "No such command"),
    ],
)
def test_one_clear_line_and_the_promised_exit_code(arguments: list[str], code: int, word: str, tmp_path: Path) -> None:
    done = call(*arguments, expect=code, folder=tmp_path)
    assert word in done.stderr


def test_a_running_emulator_is_shown_changed_and_replugged(running: Running) -> None:
    assert "emulator 't' runs qsfpdd-400g-dr4" in running.banner[0]
    running.wait_for("get", "1", "DPStateHostLane1", until="DPActivated")
    assert running.call("get", "1", "ModuleState") == "ModuleReady\n"
    assert json.loads(running.call("get", "1", "OpticalPowerTx", "--json"))[0] > 1e-3
    assert "DPStateHostLane[1]" in running.call("show", "1", "--page", "11h")
    assert running.call("show", "1", "--page", "00h", "--raw").startswith("80: 18 43 4d 49 53")
    page = json.loads(running.call("show", "1", "--page", "01h", "--json"))
    assert page["page"] == "01h"
    assert len(page["data"]) == 256
    running.call("set", "1", "VendorSN", "X123")
    assert running.call("get", "1", "VendorSN") == "X123\n"
    assert "LPMode=1" in running.call("pin", "1", "LPMode=1")
    running.wait_for("get", "1", "ModuleState", until="ModuleLowPwr")
    running.call("remove", "1")
    assert "ModPrsL=1" in running.call("pin", "1")
    assert "empty cage" in running.refusal("get", "1", "ModuleState", expect=1)
    running.call("insert", "1", DR4)
    running.wait_for("get", "1", "ModuleState", until="ModuleLowPwr")
    assert running.call("get", "1", "VendorSN") == "CE0000000001\n"


def test_a_running_emulator_refuses_clearly(running: Running) -> None:
    assert "did you mean VendorSN" in running.refusal("get", "1", "VendorSNN", expect=2)
    assert "expected one of 1" in running.refusal("get", "7", "ModuleState", expect=2)
    assert "lower" in running.refusal("show", "1", "--page", "C0h", expect=2)
    assert "the host drives" in running.refusal("pin", "1", "IntL=0", expect=2)
    assert "0, 1, low or high" in running.refusal("pin", "1", "LPMode=2", expect=2)
    assert "expected" in running.refusal("set", "1", "CmisRevision", "puce", expect=2)
    assert "no profile" in running.refusal("insert", "1", "osfp-9t", expect=2)
    assert running.call("get", "1", "SFF8024Identifier").startswith("QSFP-DD")


def test_programs_attach_to_a_running_emulator_and_survive_its_end(running: Running) -> None:
    host = (
        "import sys\nfrom smbus2 import SMBus\nbus = SMBus(1)\nprint(bus.read_byte_data(0x50, 0), flush=True)\n"
        "sys.stdin.readline()\ntry: bus.read_byte_data(0x50, 0)\nexcept OSError as e: print(e.errno)"
    )
    env = {**os.environ, "CMIS_EMU_RUNTIME_DIR": str(running.folder)}
    running.wait_for("get", "1", "ModuleState", until="ModuleReady")
    command = [COMMAND, "exec", "--attach", "t", "--", sys.executable, "-c", host]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, **pipes) as program:  # type: ignore[call-overload]
        assert program.stdout.readline() == "24\n"
        running.process.kill()
        running.process.wait()
        out, _ = program.communicate("go\n", timeout=20)
    assert out.split() == ["19"]  # ENODEV: the adapter is gone


def test_a_second_emulator_of_the_same_name_is_refused(running: Running) -> None:
    assert "another emulator" in running.refusal("run", DR4, "--name", "t", expect=3)


def test_run_prints_states_and_stops_cleanly(running: Running) -> None:
    running.wait_for("get", "1", "DPStateHostLane1", until="DPActivated")
    rest = running.stop()
    assert "emulator 't' stopped" in rest
    assert running.process.returncode == 0
    assert not list(running.folder.iterdir())


def test_run_says_how_to_get_in_by_other_ways(tmp_path: Path) -> None:
    ways = ["--serve", f"unix:{tmp_path}/other.sock", "--serve", "usbip:0.0.0.0:0"]
    emulator = Running(tmp_path, DR4, "--name", "t", *ways)
    with emulator.process:
        assert emulator.process.stdout is not None
        lines = [*emulator.banner, *(emulator.process.stdout.readline() for _ in range(3))]
        emulator.process.kill()
    text = "".join(lines)
    assert f"socket: {tmp_path}/other.sock\n" in text
    assert re.search(r"bus 1 by USB/IP: usbip --tcp-port \d+ attach -r THIS-HOST -b 1-1\n", text)
    assert "warning: USB/IP has no passwords" in text


@needs_images
def test_show_decodes_a_dump_of_a_real_module() -> None:
    text = call("show", str(FBOSS_DR4), "--page", "11h").stdout
    assert re.search(r"DPStateHostLane\[8\] +DPActivated", text)
    assert re.search(r"OpticalPowerTx\[1\] +1\.5394 mW", text)


def test_the_demo_is_true(tmp_path: Path) -> None:
    done = call("demo")
    assert "ModuleReady after" in done.stdout
    assert "DPActivated after" in done.stdout
    assert "Rx LOS (lanes 1111)" in done.stdout
    assert done.stdout.rstrip().endswith("knows only /dev/i2c-N.")


def test_user_memory_outlives_a_killed_emulator(tmp_path: Path) -> None:
    host = "from smbus2 import SMBus\nimport time\nb = SMBus(1)\nb.write_i2c_block_data(0x50, 126, [0, 3])\n"
    for command, expected in (("b.write_i2c_block_data(0x50, 128, [1, 2, 3])", ""), ("pass", "[1, 2, 3]")):
        emulator = Running(tmp_path, DR4, "--name", "t", "--speed", "20")
        with emulator.process:
            emulator.wait_for("get", "1", "ModuleState", until="ModuleReady")
            show = "print(b.read_i2c_block_data(0x50, 128, 3))" if expected else ""
            found = emulator.call("exec", "--attach", "t", "--", sys.executable, "-c", f"{host}{command}\n{show}")
            assert found.strip() == expected
            emulator.process.kill()
    emulator = Running(tmp_path, DR4, "--name", "t", "--speed", "20", "--forget")
    with emulator.process:
        emulator.wait_for("get", "1", "ModuleState", until="ModuleReady")
        found = emulator.call(
            "exec", "--attach", "t", "--", sys.executable, "-c", f"{host}print(b.read_i2c_block_data(0x50, 128, 3))"
        )
        assert found.strip() == "[0, 0, 0]"
        emulator.process.kill()


def test_a_link_is_drawn(tmp_path: Path) -> None:
    testbed = tmp_path / "lab.yaml"
    testbed.write_text(
        f"version: 1\nports:\n  a: {{profile: {DR4}, bus: 1}}\n  b: {{profile: {DR4}, bus: 2}}\n  c: {{bus: 3}}\n"
        "fibres:\n  a-b: {from: a, to: b, length_m: 500}\n"
    )
    emulator = Running(tmp_path, str(testbed), "--name", "t", "--speed", "20", "--forget")
    with emulator.process:
        emulator.wait_for("get", "b", "DPStateHostLane1", until="DPActivated")
        drawn = emulator.call("show", "a-b")
        assert "a to b: budget 3.0 dB for 500 m" in drawn
        assert "--[mpo -0.35]->" in drawn
        assert emulator.call("show", "b", "--link").splitlines()[0] == drawn.splitlines()[0]
        strand = json.loads(emulator.call("show", "a-b", "--json"))["legs"][0]["strands"][0]
        assert strand["points"][0]["dbm"] - strand["rx_dbm"] == pytest.approx(0.875, abs=0.01)
        assert emulator.call("show", "a").startswith("page lower")
        assert "a port that one is plugged into" in emulator.refusal("show", "c", "--link", expect=2)
        assert "expected one of a, b, c" in emulator.refusal("show", "nothing", expect=2)
        assert "expected one of them" in emulator.refusal("show", "a", "--link", "--raw", expect=2)
        emulator.process.kill()
