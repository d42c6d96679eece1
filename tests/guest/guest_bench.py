"""Both sides of a guest test: the guest, and the emulator on this side whose adapters it has plugged in."""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from guest.machine import HOST, Job, Machine

from cmis_emu import Emulator
from cmis_emu.bus.usbip.server import UsbIpServer

DR4 = "qsfpdd-400g-dr4"
PYTHON = sys.executable
SITE = sysconfig.get_path("purelib")
HEAD = f"import sys; sys.path.insert(0, {SITE!r})"
SOON_S = 30.0

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
        """Start a Python program of a host in the guest; it has smbus2, and no site, which takes seconds there."""
        words = " ".join(str(each) for each in arguments)
        return self.machine.start(f"{PYTHON} -S - {words} <<'END'\n{HEAD}\n{code}\nEND")


def pause(duration_s: float) -> None:
    """Let the guest, which lives in real time, go on."""
    threading.Event().wait(duration_s)


def until(condition: Callable[[], bool], limit_s: float = SOON_S) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        pause(0.05)
