"""Both sides of a guest test: the guest, and the emulator on this side whose adapters it has plugged in.

The fixtures are known to all tests by `conftest.py`, so that one boot serves all of them.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from dr4 import DR4
from guest.image import UnavailableError, need
from guest.machine import HOST, Job, Machine

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus.usbip.server import UsbIpServer
from cmis_emu.module.module import Module
from cmis_emu.port import Port

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
SITE = sysconfig.get_path("purelib")
HEAD = f"import sys; sys.path.insert(0, {SITE!r})"
SOON_S = 30.0

READS = """
import errno, sys
from smbus2 import SMBus, i2c_msg
with SMBus(int(sys.argv[1])) as bus:
    bus.write_i2c_block_data(0x50, 126, [0, 0])
    whole = i2c_msg.read(0x50, 128)
    bus.i2c_rdwr(i2c_msg.write(0x50, [128]), whole)
    for length in range(1, 129):
        part = i2c_msg.read(0x50, length)
        bus.i2c_rdwr(i2c_msg.write(0x50, [128]), part)
        assert bytes(part) == bytes(whole)[:length]
    long = i2c_msg.read(0x50, 8192)
    bus.i2c_rdwr(i2c_msg.write(0x50, [128]), long)
    assert bytes(long) == bytes(whole) * 64
    assert bytes(bus.read_i2c_block_data(0x50, 129, 16)) == b"CMIS-EMU        "
"""
LOOP = """
import errno, os, sys, time
from smbus2 import SMBus, i2c_msg
buses = [SMBus(int(each)) for each in sys.argv[1].split(",")]
tolerated, end = sys.argv[2].split(","), time.monotonic() + float(sys.argv[3])
seen, going = [[] for _ in buses], True
open("/run/looping", "w").close()
while going and time.monotonic() < end and not os.path.exists("/run/enough"):
    for bus, words in zip(buses, seen):
        try:
            got = i2c_msg.read(0x50, 128)
            bus.i2c_rdwr(i2c_msg.write(0x50, [128]), got)
            word = "ok" if bytes(got)[1:5] == b"CMIS" else "wrong"
        except OSError as error:
            word = errno.errorcode[error.errno]
        if words[-1:] != [word]:
            words.append(word)
        going = going and word in tolerated
for words in seen:
    print(*words)
"""
ADAPTER = """
for device in /sys/bus/usb/devices/*; do
  [ "$(cat $device/serial 2>/dev/null)" = bus-{bus} ] && ls -d $device/*:1.0/i2c-* 2>/dev/null
done"""


@dataclass
class Bench:
    """Both sides: the guest, and the emulator with its USB/IP server."""

    machine: Machine
    emu: Emulator
    server: UsbIpServer

    @classmethod
    def served(cls, machine: Machine, emu: Emulator) -> Self:
        """With what the guest needs for adapters, and none plugged in yet."""
        server = emu.open_way("usbip:127.0.0.1:0")
        assert isinstance(server, UsbIpServer)
        machine.modprobe("vhci-hcd", "i2c-tiny-usb", "i2c-dev")
        return cls(machine, emu, server)

    def attach(self, bus: int) -> int:
        """`usbip attach` in the guest; the number of the adapter that came of it."""
        port = self.server.address[1]
        done = self.machine.run(f"usbip --tcp-port {port} attach -r {HOST} -b 1-{bus}")
        assert done.code == 0, done.output
        return self.adapter(bus)

    def adapter(self, bus: int) -> int:
        """The I2C adapter of a bus, once it is there."""
        wait = f'for n in $(seq 100); do found=$({ADAPTER.format(bus=bus)}); [ -n "$found" ] && break; sleep 0.1; done'
        done = self.machine.run(f"{wait}; echo $found")
        assert "i2c-" in done.output, f"no adapter: {self.machine.run('dmesg | tail -20').output}"
        return int(done.output.strip().rsplit("-", 1)[1])

    def python(self, code: str, *arguments: object) -> Job:
        """Start a host's program in the guest."""
        return program(self.machine, code, *arguments)


def program(machine: Machine, code: str, *arguments: object) -> Job:
    """Start a Python program of a host in the guest; it has smbus2, and no site, which takes seconds there."""
    words = " ".join(str(each) for each in arguments)
    return machine.start(f"{PYTHON} -S - {words} <<'END'\n{HEAD}\n{code}\nEND")


def looping(machine: Machine, adapters: Sequence[int], tolerated: str) -> Job:
    """Start a program that reads page 00h over and over, on each adapter in turn, and wait until it does.

    It ends with a word that is not `tolerated`, and with `enough`; a fixed time would be over early on a machine that
    has none. It prints a line for each adapter: what it saw when it changed.
    """
    for each in adapters:
        machine.run(f"i2ctransfer -y {each} w3@0x50 126 0 0")
    machine.run("rm -f /run/looping /run/enough")
    job = program(machine, LOOP, ",".join(map(str, adapters)), tolerated, SOON_S)
    until(lambda: machine.run("ls /run/looping").code == 0)
    return job


def enough(machine: Machine, job: Job) -> list[list[str]]:
    """Tell a program that is `looping` to stop after a while; what it saw on each adapter."""
    pause(0.5)
    machine.run("touch /run/enough")
    return [line.split() for line in job.wait().output.splitlines()]


def replug(port: Port, pause_s: float) -> None:
    """Pull the module out and plug another one in, three times."""
    for _ in range(3):
        pause(pause_s)
        port.remove()
        pause(pause_s)
        port.insert(DR4)


def answering(machine: Machine, adapter: int, mode: str = "") -> list[str]:
    """The addresses that i2cdetect finds, in hex; UU for one that has a driver."""
    grid = machine.run(f"i2cdetect -y {mode} {adapter}").output
    return [cell for line in grid.splitlines()[1:] for cell in line[4:].split() if cell != "--"]


def assert_eeprom(machine: Machine, adapter: int, module: Module) -> None:
    """The kernel's EEPROM driver reads page 00h of a module."""
    machine.modprobe("at24")
    machine.run(f"i2ctransfer -y {adapter} w3@0x50 126 0 0")
    done = machine.run(
        f"""echo 24c02 0x50 >/sys/bus/i2c/devices/i2c-{adapter}/new_device
        od -An -v -tx1 /sys/bus/i2c/devices/{adapter}-0050/eeprom
        echo 0x50 >/sys/bus/i2c/devices/i2c-{adapter}/delete_device"""
    )
    found = bytes.fromhex(done.output)
    assert len(found) == 256
    assert found[128:] == module.peek(0, 128, 128)
    assert found[:3] == module.peek(-1, 0, 3)  # lower memory


def assert_brought_up(machine: Machine, adapter: int, emu: Emulator, port: str) -> None:
    """A host that knows nothing of the emulator brings the module of a port up."""
    done = machine.run(f"{PYTHON} {ROOT}/cmis_emu/cli/demo_host.py bring-up {adapter}")
    assert done.code == 0, done.output
    assert "DPActivated after" in done.output
    with emu.lock:
        assert {emu.ports[port].module.get("DPStateHostLane", lane=lane) for lane in range(1, 9)} == {4}


def complaints(machine: Machine) -> str:
    """What the guest's kernel has to say about itself; nothing, when it is well."""
    found = machine.run("dmesg | grep -E 'BUG|Oops|WARNING:|Call Trace|hung task'").output
    return found and machine.run("dmesg | tail -60").output


def pause(duration_s: float) -> None:
    """Let the guest, which lives in real time, go on."""
    threading.Event().wait(duration_s)


def until(condition: Callable[[], bool], limit_s: float = SOON_S) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        pause(0.05)


@contextmanager
def two_modules() -> Iterator[Emulator]:
    """Module a in high power on bus 1, module b in low power on bus 2, at rest, in real time."""
    ports = {"a": {"profile": DR4, "bus": 1}, "b": {"profile": DR4, "bus": 2, "state": {"LPMode": True}}}
    with Emulator.load({"version": 1, "ports": ports}, ScaledClock(), seed=1) as emu:
        emu.settle()
        yield emu


@pytest.fixture(scope="session")
def guest_machine() -> Iterator[Machine]:
    """A guest, booted once. It sees this machine's files, so what it runs is installed here."""
    try:
        need("usbip", "usbip")
        need("i2cdetect", "i2c-tools")
        started = Machine()
    except UnavailableError as error:
        pytest.skip(f"no guest: {error}")
    with started:
        yield started


@pytest.fixture(scope="session")
def guest(guest_machine: Machine) -> Iterator[Bench]:
    """`two_modules`, and both adapters are plugged in."""
    with two_modules() as emu:
        bench = Bench.served(guest_machine, emu)
        for bus in (1, 2):
            bench.attach(bus)
        yield bench
