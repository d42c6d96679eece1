"""The bus contract with pyftdi as the host, as `cmis-emu check ftdi://...` has it, on a simulated chip and wires."""

from __future__ import annotations

import threading

import pytest
from bus_contract import BusContract, Host
from rigs.ft232h import FakeFt232h
from smbus2 import i2c_msg

from cmis_emu import Emulator
from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.ftdi.host import FtdiBus

pytestmark = pytest.mark.timeout(120)


class FtdiHost:
    """A chip of its own on the wires. lock: of their simulated time, which is one for all."""

    def __init__(self, wires: Wires, lock: threading.RLock) -> None:
        self.lock = lock
        self.chip = FakeFt232h(wires)
        self.bus = FtdiBus(self.chip, 400_000)

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        sent = [i2c_msg.read(a, what) if isinstance(what, int) else i2c_msg.write(a, what) for a, what in messages]
        with self.lock:
            self.bus.i2c_rdwr(*sent)
        return [bytes(message) for message in sent if message.flags & 1]

    def close(self) -> None:
        self.bus.close()
        assert self.chip.engine.fights == 0


class TestFtdiHost(BusContract):
    @pytest.fixture(autouse=True)
    def _wires(self) -> None:
        self.wires: dict[int, Wires] = {}

    def open(self, emu: Emulator, bus: int) -> Host:
        if bus not in self.wires:
            self.wires[bus] = Wires()
            for address, target in emu.buses[bus].targets.items():
                BitSlave(self.wires[bus], address, target)
        return FtdiHost(self.wires[bus], emu.lock)
