"""The bus contract for each way: in the process, through the preloaded library, USB/IP and vhost-user."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_contract import DR4, BusContract, Host, ServedContract
from preload_host import PreloadHost
from smbus_host import SmbusHost
from usbip_host import FIRST, MESSAGE, VENDOR_OUT, TinyUsbDriver
from vhost_user_host import VirtioDriver

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.usbip.server import UsbIpServer


class TestInProcess(BusContract):
    def open(self, emu: Emulator, bus: int) -> Host:
        return SmbusHost(emu.smbus(bus))


class BehindMuxes:
    """Modules a and b as buses 1 and 2, which are channels of two muxes of one adapter, one behind the other."""

    @pytest.fixture
    def emu(self) -> Iterator[Emulator]:
        muxes = {
            "m1": {"type": "pca9547", "bus": 0, "address": 0x70, "first_bus": 2},
            "m2": {"type": "pca9548", "mux": "m1", "channel": 5, "address": 0x71, "first_bus": 10},
        }
        ports = {
            "a": {"profile": DR4, "mux": "m2", "channel": 7},
            "b": {"profile": DR4, "mux": "m1", "channel": 0},
        }
        testbed = {"version": 1, "muxes": muxes, "ports": ports, "fibres": {"a-b": {"from": "a", "to": "b"}}}
        with Emulator.load(testbed, ManualClock(), seed=1) as emulator:
            emulator.settle()
            yield emulator
            assert [mux.control for mux in emulator.muxes.values()] == [0x08, 0]


BUSES = {1: 17, 2: 2}
"""Bus of the suite to channel's bus."""


class TestChannel(BehindMuxes, BusContract):
    def open(self, emu: Emulator, bus: int) -> Host:
        return SmbusHost(emu.smbus(BUSES[bus]))


class TestSwitchedByHand(BehindMuxes, BusContract):
    """The host moves the switches itself, before each transfer, as a kernel's mux driver does."""

    def open(self, emu: Emulator, bus: int) -> Host:
        return SwitchingHost(emu, {1: [(0x70, 13), (0x71, 0x80)], 2: [(0x70, 8)]}[bus])


class SwitchingHost(SmbusHost):
    def __init__(self, emu: Emulator, switches: list[tuple[int, int]]) -> None:
        super().__init__(emu.smbus(0))
        self._lock = emu.lock  # as the kernel locks an adapter and the muxes on it
        self._switches = switches

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        with self._lock:
            for address, control in self._switches:
                self.bus.write_byte(address, control)
            try:
                return super().transfer(*messages)
            finally:
                for address, _ in reversed(self._switches):
                    self.bus.write_byte(address, 8 if address == 0x70 else 0)


class TestPreload(ServedContract):
    @pytest.fixture(autouse=True)
    def _folder(self) -> Iterator[None]:
        if shutil.which("cc") is None:
            pytest.skip("no C compiler (cc) on this machine")
        with tempfile.TemporaryDirectory(prefix="cmis") as name:  # short: sockets have room for 107 bytes
            self.folder = Path(name)
            yield

    def open(self, emu: Emulator, bus: int) -> Host:
        path = self.folder / "bus"
        if not path.exists():
            emu.serve(path)
        return PreloadHost(path, bus)

    def reach(self, folder: Path, bus: int) -> Host:
        return PreloadHost(folder / "t.sock", bus)

    def kill(self, host: Host) -> None:
        host.close()  # SIGKILL


class TestUsbIp(ServedContract):
    @pytest.fixture(autouse=True)
    def _address(self) -> None:
        self.server: UsbIpServer | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.way = f"usbip:127.0.0.1:{self.port}"

    def open(self, emu: Emulator, bus: int) -> Host:
        if self.server is None:
            way = emu.open_way("usbip:127.0.0.1:0")
            assert isinstance(way, UsbIpServer)
            self.server = way
        return TinyUsbDriver(self.server.address, f"1-{bus}")

    def reach(self, folder: Path, bus: int) -> Host:
        return TinyUsbDriver(("127.0.0.1", self.port), f"1-{bus}")

    def kill(self, host: Host) -> None:
        """In the middle of a combined transfer, so that it holds the bus, and of the next request."""
        assert isinstance(host, TinyUsbDriver)
        cable = host.cable
        cable.wait(cable.submit(VENDOR_OUT, MESSAGE + FIRST, 0, 0x50, b"\x80"))
        cable.connection.sendall(bytes(20))
        cable.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cable.connection.shutdown(socket.SHUT_RD)
        os.close(cable.connection.detach())


class TestVhostUser(ServedContract):
    """As QEMU 7.2 does it: a ring of four, indirect descriptors, event indexes.

    The status of a virtio-i2c request says done or failed and nothing more, so any failure is EIO to a host.
    """

    absent = "EIO"

    @pytest.fixture(autouse=True)
    def _folder(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="cmis") as name:  # short: sockets have room for 107 bytes
            self.folder = Path(name)
            self.way = f"vhost-user:{self.folder}/v"
            yield

    def driver(self, path: Path) -> VirtioDriver:
        return VirtioDriver(path)

    def open(self, emu: Emulator, bus: int) -> Host:
        if not (self.folder / "v-1").exists():
            emu.open_way(self.way)
        return self.driver(self.folder / f"v-{bus}")

    def reach(self, folder: Path, bus: int) -> Host:
        return self.driver(self.folder / "v")

    def kill(self, host: Host) -> None:
        """In the middle of a combined transfer, so that it holds the bus, and of the next message to the device."""
        assert isinstance(host, VirtioDriver)
        host.end(host.begin((0x50, b"\x80"), open_end=True))
        host.front.raw(bytes(5))
        host.close()


class TestVhostUserDirect(TestVhostUser):
    """With neither; a ring that has room for combined transfers then."""

    def driver(self, path: Path) -> VirtioDriver:
        return VirtioDriver(path, indirect=False, events=False, size=64)
