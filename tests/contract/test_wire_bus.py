"""The bus contract over simulated wires: every access is edges, from a bit-banged master to a bit-level slave."""

from __future__ import annotations

from bus_contract import A
from smbus2 import i2c_msg
from smbus_host import SmbusHost
from wire_contract import WireContract

from cmis_emu import Emulator
from cmis_emu.bus.bits.bus import WireBus


class TestStandardMode(WireContract):
    hz = 100_000
    rise_ns = 300


class TestFastMode(WireContract):
    hz = 400_000

    def test_every_method_of_a_host_takes_the_wires(self, emu: Emulator) -> None:
        host = self.open(emu, 1)
        assert isinstance(host, SmbusHost)
        bus = emu.buses[1]
        assert isinstance(bus, WireBus)
        register = i2c_msg.write(A, [0])
        for access in (
            lambda: host.bus.read_byte_data(A, 0),
            lambda: host.bus.read_byte(A),
            lambda: host.bus.write_byte_data(A, 31, 0),
            lambda: host.bus.read_i2c_block_data(A, 0, 4),
            lambda: host.bus.write_quick(A),
            lambda: host.bus.i2c_rdwr(register),
        ):
            before = bus.wires.clock.now_ns
            access()
            assert bus.wires.clock.now_ns - before > 10 * 2500 - 1


class TestFastModePlus(WireContract):
    hz = 1_000_000
