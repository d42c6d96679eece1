"""Both sides of a guest test: the guest, and the emulator on this side whose adapters it has plugged in.

The fixtures are known to all tests by `conftest.py`, so that one boot serves all of them.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from guest.image import UnavailableError
from guest.machine import HOST, Job, Machine

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus.usbip.server import UsbIpServer

DR4 = "qsfpdd-400g-dr4"
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
import errno, sys, time
from smbus2 import SMBus, i2c_msg
seen, end = [], time.monotonic() + float(sys.argv[2])
with SMBus(int(sys.argv[1])) as bus:
    open("/run/looping", "w").close()
    while time.monotonic() < end:
        try:
            got = i2c_msg.read(0x50, 128)
            bus.i2c_rdwr(i2c_msg.write(0x50, [128]), got)
            word = "ok" if bytes(got)[1:5] == b"CMIS" else "wrong"
        except OSError as error:
            word = errno.errorcode[error.errno]
        if seen[-1:] != [word]:
            seen.append(word)
        if word not in sys.argv[3].split(","):
            break
print(" ".join(seen))
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


def looping(machine: Machine, adapter: int, tolerated: str, limit_s: float = 20.0) -> Job:
    """Start a program that reads over and over, and wait until it does; it prints what it saw when it changed."""
    machine.run("rm -f /run/looping")
    job = program(machine, LOOP, adapter, limit_s, tolerated)
    until(lambda: machine.run("ls /run/looping").code == 0)
    return job


def eeprom(machine: Machine, adapter: int) -> bytes:
    """Page 00h as the kernel's EEPROM driver reads it."""
    machine.modprobe("at24")
    machine.run(f"i2ctransfer -y {adapter} w3@0x50 126 0 0")
    done = machine.run(
        f"""echo 24c02 0x50 >/sys/bus/i2c/devices/i2c-{adapter}/new_device
        od -An -v -tx1 /sys/bus/i2c/devices/{adapter}-0050/eeprom
        echo 0x50 >/sys/bus/i2c/devices/i2c-{adapter}/delete_device"""
    )
    return bytes.fromhex(done.output)


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


@pytest.fixture(scope="session")
def guest_machine() -> Iterator[Machine]:
    """A guest, booted once. It sees this machine's files, so what it runs is installed here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for program, package in (("usbip", "usbip"), ("i2cdetect", "i2c-tools")):
        if shutil.which(program, path=path) is None:
            pytest.skip(f"found no {program} for the guest, expected the Debian package {package}")
    try:
        started = Machine()
    except UnavailableError as error:
        pytest.skip(f"no guest: {error}")
    with started:
        yield started


@pytest.fixture(scope="session")
def guest(guest_machine: Machine) -> Iterator[Bench]:
    """Module a in high power on bus 1, module b in low power on bus 2; both adapters are plugged in, in real time."""
    ports = {
        "a": {"profile": DR4, "bus": 1},
        "b": {"profile": DR4, "bus": 2, "state": {"LPMode": True}},
    }
    with Emulator.load({"version": 1, "ports": ports}, ScaledClock(), seed=1) as emu:
        emu.settle()
        server = emu.open_way("usbip:127.0.0.1:0")
        assert isinstance(server, UsbIpServer)
        guest_machine.modprobe("vhci-hcd", "i2c-tiny-usb", "i2c-dev")
        bench = Bench(guest_machine, emu, server)
        for bus in (1, 2):
            bench.attach(bus)
        yield bench
