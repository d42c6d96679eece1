"""The bus contract over simulated wires: every access is edges, from a bit-banged master to a bit-level slave."""

from __future__ import annotations

from contract import A, BusContract, Host
from smbus2 import i2c_msg
from smbus_host import SmbusHost

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import WireBus
from cmis_emu.bus.bits.checker import TimingChecker


class WireContract(BusContract):
    """At one clock rate; the timing of every edge is judged, too."""

    hz: int
    rise_ns = 0

    def open(self, emu: Emulator, bus: int) -> Host:
        clock = emu.clock
        assert isinstance(clock, ManualClock)
        if not isinstance(emu.buses[bus], WireBus):
            wires = WireBus(emu.buses[bus], emu.lock, self.hz, clock=clock, rise_ns=self.rise_ns)
            emu.buses[bus] = wires
            self.checkers = [*getattr(self, "checkers", []), TimingChecker(wires.limits).watch(wires.wires)]
        return SmbusHost(emu.smbus(bus))

    def teardown_method(self) -> None:
        for checker in self.checkers:
            assert checker.good, checker.report()


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
