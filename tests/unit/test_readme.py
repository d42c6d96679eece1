"""What the README shows is what the tools and the library print today."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import yaml
from beside import needs_sonic
from rigs.board import CBoard
from rigs.pty_board import PtyBoard

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


def test_the_board_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(next(body for kind, body in BLOCKS if kind == "yaml" and "expanders:" in body))
    with Emulator.load(path, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        assert emu.smbus_of("a").read_byte_data(0x50, 0) == 0x18
        assert emu.expanders["h"].INT is False  # IntL of a has fallen since power-up


def test_the_hosts_five_lines(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "i2c_msg.read" in body)
    (tmp_path / "host.py").write_text(code)
    program = [sys.executable, "host.py"]
    assert printed("-m", "cmis_emu", "exec", "qsfpdd-400g-dr4", "--", *program, cwd=tmp_path)[-1].endswith("] mW")


def test_listings_and_ethtool(tmp_path: Path) -> None:
    testbed = next(body for kind, body in BLOCKS if kind == "yaml" and "interface: Ethernet0" in body)
    (tmp_path / "testbed.yaml").write_text(testbed)
    shown = next(body for _, body in BLOCKS if body.startswith("$ cmis-emu exec testbed.yaml -- i2cdetect -l"))
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for part in shown.split("$ cmis-emu exec testbed.yaml -- ")[1:]:
        command, *lines = part.splitlines()
        program, *arguments = shlex.split(command)
        found = shutil.which(program, path=path)
        if found is None:
            continue  # tests/clients says so
        done = printed("-m", "cmis_emu", "exec", "testbed.yaml", "--", found, *arguments, cwd=tmp_path)
        assert [line for line in lines if line != "..." and line not in done] == []


def test_the_update_of_firmware(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "0x0101, len(image)" in body)
    printed(
        "-m", "cmis_emu", *["firmware", "build", "-o", "new.bin", "--version", "9.1.0", "--size", "64KiB"], cwd=tmp_path
    )
    assert printed("-c", code, cwd=tmp_path) == README.split(code)[1].split("```")[2].strip().splitlines()


def test_the_faults_of_firmware(tmp_path: Path) -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "firmware.faults import" in body)
    load = "from cmis_emu import Emulator, ManualClock\nemu = Emulator.load('qsfpdd-400g-dr4', clock=ManualClock())\n"
    printed("-c", load + code)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


WAYS = re.findall(r"^\| [^|]+ \| [^|]+ \| `([^`]+)`", README, re.MULTILINE)


def _run(words: list[str], folder: Path, env: dict[str, str]) -> str:
    """What a command prints; of one that runs on, until it runs. Nothing for what does not run here."""
    if words[1] == "attach" or ("i2cdump" in words and shutil.which("i2cdump", path=env["PATH"]) is None):
        return ""
    for port in (3240, 50051):
        if not _free(port):  # another's, who is welcome
            words = [word.replace(f":{port}", ":0") for word in words]
    with subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if words[:2] != ["cmis-emu", "run"]:
            return process.communicate(timeout=60)[0]
        banner = ""
        while "non-volatile" not in banner:
            line = process.stdout.readline()
            assert line, f"{words} ended: {banner}"
            banner += line
        process.kill()
        return banner


def test_the_ways_onto_a_bus(tmp_path: Path) -> None:
    """The line of each way as it is printed; `cmis-emu attach` runs in the guest (`tests/guest`)."""
    folder = Path(sys.executable).parent
    env = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "CMIS_EMU_RUNTIME_DIR": str(tmp_path),
        "CMIS_EMU_STATE_DIR": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
    }
    with PtyBoard(CBoard()) as board:  # where a Pico would be
        lines = [line.replace("/dev/ttyACM0", board.path) for line in WAYS]
        found = [_run(shlex.split(line), tmp_path, env) for line in lines]
    in_process, preloaded, unix, usbip, grpc, vhost_user, pico, _ = found
    assert in_process == "24\n"
    assert not preloaded or "CMIS-EMU" in preloaded
    assert "socket: lab.sock" in unix
    assert re.search(r"bus 1 by USB/IP: usbip (--tcp-port \d+ )?attach -r 127.0.0.1 -b 1-1", usbip)
    assert re.search(r"SfpEmulatorService by gRPC: 127.0.0.1:\d+, cages by index: 1 1", grpc)
    device = f"-chardev socket,id=i2c1,path={tmp_path}/lab-qemu.sock -device vhost-user-i2c-pci,chardev=i2c1"
    assert f"bus 1 by vhost-user: qemu-system-x86_64 ... {device}\n" in vhost_user
    assert f"bus 1 on wires: {board.path}, firmware in C, pins: none" in pico


@needs_sonic
def test_the_module_that_sonic_sees() -> None:
    code = next(body for kind, body in BLOCKS if kind == "python" and "import Chassis" in body)
    setting = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import sonic_bench; sonic_bench.platform()\n"
    assert re.fullmatch(r"QDD-400G-DR4 -?\d\.\d+ dBm", printed("-c", setting + code)[0])


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


def test_the_drawing_of_a_coherent_line() -> None:
    shown = next(body for _, body in BLOCKS if body.startswith("a to b: light from")).splitlines()
    line = yaml.safe_load(next(row for row in README.splitlines() if "length_m: 120000" in row).split("`")[1])
    ports = {name: {"profile": "qsfpdd-400g-zr", "bus": bus} for bus, name in enumerate("ab", 1)}
    with Emulator.load({"version": 1, "ports": ports, "fibres": {"line": line}}, clock=ManualClock()) as emu:
        emu.settle()
        emu.clock.advance(60)
        drawn = draw(link_budget(emu.fibres["line"], emu.clock.now_ns)).splitlines()
        assert [row for row in shown if row not in drawn] == []


def test_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "quiet.yaml"
    path.write_text(next(body for kind, body in BLOCKS if kind == "yaml" and "scenario: quiet-module" in body))
    report = printed("-m", "cmis_emu", "scenario", "run", str(path))
    assert report[-1].startswith("PASS: 3 of 3 expectations")
