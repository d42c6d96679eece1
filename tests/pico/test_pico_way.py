"""`--serve pico:DEVICE`: real processes and a simulated board behind a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rigs.board import CBoard
from rigs.pty_board import PtyBoard

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.pico import link, way, wire
from cmis_emu.bus.pico.link import Info
from cmis_emu.bus.pico.way import Address, PicoWay
from cmis_emu.errors import InputError, NotAvailableError

A = 0x50
DR4 = "qsfpdd-400g-dr4"
SOON_S = 30.0


def wait(until: Callable[[], bool], what: str, limit_s: float = SOON_S) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < limit_s, what
    return time.monotonic() - began


@pytest.fixture
def device() -> Iterator[PtyBoard]:
    with PtyBoard(CBoard()) as found:
        yield found


def answers(device: PtyBoard) -> bool:
    try:
        return device.transfer((A, b"\x00"), (A, 1)) == [b"\x18"]
    except BusError:
        return False


@contextmanager
def running(folder: Path, served: str) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "CMIS_EMU_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "cmis_emu", "run", DR4, "--name", "t", "--forget", "--serve", served]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            head = [process.stdout.readline() for _ in range(6)]
            assert any(f"bus 1 on wires: {served[5:].partition('@')[0]}, firmware in C" in line for line in head), head
            yield process
        finally:
            process.kill()


def test_a_process_serves_a_board_dies_and_comes_back(device: PtyBoard, tmp_path: Path) -> None:
    with running(tmp_path, f"pico:{device.path}@1") as process:
        wait(lambda: answers(device), "it answers nobody")
        name = device.transfer((A, b"\x81"), (A, 16))
        assert name == [b"CMIS-EMU        "]
        device.transfer((A, bytes([126, 0, 0x10])))
        device.transfer((A, b"\x91\x12\x34"))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(SOON_S)
        took = wait(lambda: not answers(device), "it answers although its emulator is dead", 2.0)
        assert took < 0.8
    with running(tmp_path, f"pico:{device.path}"):
        wait(lambda: answers(device), "it answers nobody")
        assert device.transfer((A, b"\x81"), (A, 4)) == [b"CMIS"]


def test_an_emulator_that_ends_well_says_goodbye(device: PtyBoard) -> None:
    with Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        served = emu.open_way(f"pico:{device.path}")
        assert isinstance(served, PicoWay)
        assert any("acknowledges every byte" in line for line in served.describe())
        wait(lambda: answers(device), "it answers nobody")
        device.transfer((A, bytes([126, 0, 0x10])))
        device.transfer((A, b"\x91\x12\x34"))
        module = emu.ports["1"].module

        def arrived() -> bool:
            with emu.lock:
                return module.peek(0x10, 145, 2) == b"\x12\x34"

        wait(arrived, "what the bus wrote does not reach the module")
        emu.close()
        assert wait(lambda: not answers(device), "it still answers", 1.0) < 0.3


def test_a_bus_of_its_own(device: PtyBoard) -> None:
    ports = {"a": {"profile": DR4, "bus": 1}, "b": {"profile": "qsfpdd-400g-fr4", "bus": 7}}
    with Emulator.load({"version": 1, "ports": ports}, ManualClock(), seed=1) as emu:
        emu.settle()
        emu.open_way(f"pico:{device.path}@7")
        wait(lambda: answers(device), "it answers nobody")
        assert device.transfer((A, b"\x94"), (A, 16))[0] == emu.ports["b"].module.peek(0, 148, 16)
        with pytest.raises(InputError, match="bus 3"):
            emu.open_way(f"pico:{device.path}@3")


# -- what cannot be had ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@1",
        "/dev/ttyACM0@",
        "/dev/ttyACM0@x",
        "/dev/ttyACM0?pins=sfp",
        "/dev/x?y",
        "/dev/x?hold=1e9",
        "/dev/x?hold=",
    ],
)
def test_addresses_that_nobody_can_read(text: str) -> None:
    with pytest.raises(InputError):
        Address.read(text)


def test_addresses() -> None:
    assert Address.read("/dev/ttyACM0") == Address("/dev/ttyACM0")
    assert Address.read("/dev/serial/by-id/a-b@12?pins=osfp&hold=0") == Address("/dev/serial/by-id/a-b", 12, "osfp", 0)


def test_no_device(tmp_path: Path) -> None:
    env = {**os.environ, "CMIS_EMU_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "cmis_emu", "run", DR4, "--forget", "--serve", f"pico:{tmp_path}/ttyACM0"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SOON_S, check=False)
    assert done.returncode == 3
    assert "no such device: is the board plugged in" in done.stderr


def test_no_permission() -> None:
    error = PermissionError(13, "Permission denied")
    assert "dialout" in way._reason(error, "/dev/null")


def test_a_device_that_somebody_has(device: PtyBoard) -> None:
    line = way.SerialLine(device.path)
    try:
        with pytest.raises(NotAvailableError, match="another program has it"):
            way.SerialLine(device.path)
    finally:
        line.close()


def test_a_device_that_is_none_of_ours() -> None:
    master, slave = pty.openpty()
    try:
        refused = pytest.raises(NotAvailableError, match="nobody who speaks the protocol")
        with Emulator.load(DR4, ManualClock(), seed=1) as emu, refused:
            emu.open_way(f"pico:{os.ttyname(slave)}")
    finally:
        os.close(master)
        os.close(slave)


def test_firmware_of_another_release(device: PtyBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "VERSION", 2)
    with (
        Emulator.load(DR4, ManualClock(), seed=1) as emu,
        pytest.raises(NotAvailableError, match="protocol 1, expected 2"),
    ):
        emu.open_way(f"pico:{device.path}")


def test_a_module_that_is_too_large(device: PtyBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "Info", lambda version, firmware, slots: Info(version, firmware, 8))
    with (
        Emulator.load(DR4, ManualClock(), seed=1) as emu,
        pytest.raises(NotAvailableError, match="pages in all banks, expected 8 at most, for which the board has room"),
    ):
        emu.open_way(f"pico:{device.path}")


def test_no_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(NotAvailableError, match=r"cmis-emu\[hardware\]"):
        way.SerialLine("/dev/ttyACM0")


def test_a_board_that_is_unplugged_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "_RETRY_S", 0.05)
    with Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        with PtyBoard(CBoard()) as first:
            served = emu.open_way(f"pico:{first.path}")
            assert isinstance(served, PicoWay)
            wait(lambda: answers(first), "it answers nobody")
            device = first.path
        with PtyBoard(CBoard(nonce=987_654)) as second:
            real = way.SerialLine
            monkeypatch.setattr(way, "SerialLine", lambda path: real(second.path if path == device else path))
            wait(lambda: answers(second), "the new one answers nobody")
            emu.close()
