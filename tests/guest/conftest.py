"""One guest for all tests in it, and one emulator on this side."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from guest.image import UnavailableError
from guest.machine import Machine
from guest_bench import DR4, Bench

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus.usbip.server import UsbIpServer


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    try:
        started = Machine()
    except UnavailableError as error:
        pytest.skip(f"no guest: {error}")
    with started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """The guest sees this machine's files, so what it runs is installed here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for program, package in (("usbip", "usbip"), ("i2cdetect", "i2c-tools")):
        if shutil.which(program, path=path) is None:
            pytest.skip(f"found no {program} for the guest, expected the Debian package {package}")


@pytest.fixture(scope="session")
def bench(machine: Machine) -> Iterator[Bench]:
    """Module a in high power on bus 1, module b in low power on bus 2; both adapters are plugged in, in real time."""
    ports = {
        "a": {"profile": DR4, "bus": 1},
        "b": {"profile": DR4, "bus": 2, "state": {"LPMode": True}},
    }
    with Emulator.load({"version": 1, "ports": ports}, ScaledClock(), seed=1) as emu:
        emu.settle()
        server = emu.open_way("usbip:127.0.0.1:0")
        assert isinstance(server, UsbIpServer)
        machine.modprobe("vhci-hcd", "i2c-tiny-usb", "i2c-dev")
        bench = Bench(machine, emu, server)
        for bus in (1, 2):
            bench.attach(bus)
        yield bench


@pytest.fixture(autouse=True)
def _the_kernel_is_well(machine: Machine) -> Iterator[None]:
    """No test leaves the guest's kernel with a complaint about itself."""
    yield
    found = machine.run("dmesg | grep -E 'BUG|Oops|WARNING:|Call Trace|hung task'").output
    assert found == "", machine.run("dmesg | tail -60").output
