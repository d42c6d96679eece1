"""Bus faults seen by an unmodified smbus2 program on `/dev/i2c-1`, and by several clients while a module stretches."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_bench import arm

from cmis_emu import Emulator, ManualClock, ScaledClock
from cmis_emu.bus import preload
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.occasions import Occasions

A = 0x50
DR4 = "qsfpdd-400g-dr4"
SOON_S = 30.0

PROGRAM = """
import errno, sys
from smbus2 import SMBus, i2c_msg

def told(call):
    try:
        return str(call())
    except OSError as error:
        return errno.errorcode[error.errno]

with SMBus(1) as bus:
    found = i2c_msg.read(0x50, 4)
    def block():
        bus.i2c_rdwr(i2c_msg.write(0x50, [0]), found)
        return bytes(found).hex()
    print(told(lambda: bus.read_byte_data(0x50, 0)))
    print(told(block))
    print(told(lambda: bus.write_byte_data(0x50, 31, 1)))
"""


@pytest.fixture
def served() -> Iterator[tuple[Emulator, Path]]:
    with tempfile.TemporaryDirectory(prefix="cmis") as folder, Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        path = Path(folder) / "socket"
        emu.serve(path)
        yield emu, path


def program(path: Path) -> list[str]:
    """What the smbus2 program prints."""
    environment = preload.environment(path, {**os.environ, "LC_ALL": "C"})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) on this machine")
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("bus.nack", {}, ["ENXIO", "ENXIO", "ENXIO"]),
        ("bus.nack", {"direction": "write", "place": "L:31"}, ["24", "18520406", "EIO"]),
        ("bus.nack", {"error": "EREMOTEIO", "direction": "read"}, ["EREMOTEIO", "EREMOTEIO", "None"]),
        ("bus.busy_errno", {"error": "EBUSY"}, ["EBUSY", "EBUSY", "EBUSY"]),
        ("bus.busy_errno", {"error": "EAGAIN", "direction": "read"}, ["EAGAIN", "EAGAIN", "None"]),
        ("bus.busy_errno", {"error": "ENODEV", "direction": "read"}, ["ENODEV", "ENODEV", "None"]),
        ("bus.stretch", {"time": "2 s", "direction": "read"}, ["ETIMEDOUT", "ETIMEDOUT", "None"]),
        ("bus.stretch", {"time": "20 ms", "direction": "read"}, ["24", "18520406", "None"]),
        ("bus.short_read", {"right": 1, "filler": "ones"}, ["24", "18ffffff", "None"]),
        ("bus.flip", {"place": "L:1.7"}, ["24", "18d20406", "None"]),
        ("mem.override", {"place": "L:0", "value": [0x80]}, ["128", "80520406", "None"]),
    ],
)
def test_a_real_program_meets_the_fault(
    served: tuple[Emulator, Path], name: str, arguments: dict[str, Any], expected: list[str]
) -> None:
    emu, path = served
    clear = arm(emu, name, **arguments)
    assert program(path) == expected
    clear()
    assert program(path) == ["24", "18520406", "None"]


# -- in real time ------------------------------------------------------------------------------------------


@pytest.fixture
def running() -> Iterator[Emulator]:
    """Two ports in real time, long plugged in."""
    ports = {name: {"profile": DR4, "bus": bus} for name, bus in (("1", 1), ("2", 2))}
    with Emulator.load({"version": 1, "ports": ports}, ScaledClock(), seed=1) as emu:
        emu.settle()
        yield emu


class Transfer(threading.Thread):
    """A read of byte 0 in a thread of its own."""

    def __init__(self, emu: Emulator, bus: int = 1) -> None:
        super().__init__(daemon=True)
        self._emu = emu
        self._bus = emu.buses[bus]
        self.found: bytes | int | None = None
        self.start()

    def run(self) -> None:
        try:
            with self._emu.lock:
                self.found = self._bus.transfer([Message(A, 0, b"\0"), Message(A, I2C_M_RD, length=1)])[0]
        except BusError as error:
            self.found = error.errno

    def outcome(self) -> bytes | int | None:
        self.join(SOON_S)
        assert not self.is_alive()
        return self.found


def until_held(emu: Emulator, port: str = "1") -> None:
    """Wait until the module of a port holds the clock."""
    pause = threading.Event()
    for _ in range(10_000):
        with emu.lock:
            if emu.ports[port].target.line.held:
                return
        pause.wait(0.001)
    raise AssertionError("nobody holds the clock")


def test_others_go_on_while_a_module_stretches(running: Emulator) -> None:
    arm(running, "bus.stretch", Occasions(count=1), time="1000 s", limit="2000 s", direction="read")
    waiting = Transfer(running)
    until_held(running)
    assert running.smbus(2).read_byte_data(A, 0) == 0x18
    assert running.ports["1"].module.get("ModuleState") == "ModuleReady"
    assert waiting.is_alive()
    running.clock.advance(1001)
    assert waiting.outcome() == b"\x18"


def test_the_second_on_the_same_bus_waits_for_the_first(running: Emulator) -> None:
    arm(running, "bus.stretch", Occasions(count=1), time="1000 s", limit="2000 s", direction="read")
    first = Transfer(running)
    until_held(running)
    second = Transfer(running)
    second.join(0.05)
    assert second.is_alive()
    running.clock.advance(1001)
    assert first.outcome() == second.outcome() == b"\x18"


def test_a_transfer_that_times_out_lets_the_next_one_in(running: Emulator) -> None:
    arm(running, "bus.stretch", Occasions(count=1), time="1000 s", limit="500 s", direction="read")
    first = Transfer(running)
    until_held(running)
    second = Transfer(running)
    running.clock.advance(501)
    assert first.outcome() == errno.ETIMEDOUT
    assert second.outcome() == b"\x18"


@pytest.mark.parametrize("how", ["removed", "cleared", "closed"])
def test_what_ends_a_stretch_early(running: Emulator, how: str) -> None:
    clear = arm(running, "bus.stretch", time="1000 s", limit="2000 s", direction="read")
    waiting = Transfer(running)
    until_held(running)
    if how == "removed":
        running.ports["1"].remove()
        assert waiting.outcome() == errno.ENXIO
    elif how == "cleared":
        clear()
        assert waiting.outcome() == b"\x18"
        assert not running.ports["1"].target.line.in_use
    else:
        running.close()
        waiting.outcome()


def test_a_wait_takes_real_time_at_the_clocks_speed() -> None:
    with Emulator.load(DR4, ScaledClock(speed=1e5), seed=1) as emu:
        emu.settle()
        arm(emu, "bus.stretch", time="900 ms", direction="read")
        began = emu.clock.now_ns
        assert emu.smbus(1).read_byte_data(A, 0) == 0x18
        assert emu.clock.now_ns - began >= 900_000_000


def test_a_transfer_inside_one_that_is_held_up_is_refused() -> None:
    with Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        bus, told = emu.smbus(1), []

        def meddle() -> None:
            with pytest.raises(OSError, match=r".*") as caught:
                bus.read_byte_data(A, 0)
            told.append(caught.value.errno)

        arm(emu, "bus.stretch", time="100 ms", direction="read")
        emu.clock.after(50_000_000, meddle)
        assert bus.read_byte_data(A, 0) == 0x18
        assert told == [errno.EBUSY]
