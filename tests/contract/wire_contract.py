"""The bus contract over simulated wires, with whatever is attached to them as the module's side."""

from __future__ import annotations

from typing import ClassVar

from bus_contract import BusContract, Host
from smbus_host import SmbusHost

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import Attach, WireBus
from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import Parameter


class WireContract(BusContract):
    """At one clock rate; the timing of every edge is judged, too."""

    hz: int
    rise_ns = 0
    breaks: ClassVar[frozenset[Parameter]] = frozenset()
    """Limits that what is attached cannot keep."""

    def attach(self, clock: ManualClock) -> Attach | None:
        """What puts a target on the wires; None for a `BitSlave`. clock: the modules'."""
        return None

    def open(self, emu: Emulator, bus: int) -> Host:
        clock = emu.clock
        assert isinstance(clock, ManualClock)
        if not isinstance(emu.buses[bus], WireBus):
            wires = WireBus(
                emu.buses[bus], emu.lock, self.hz, clock=clock, rise_ns=self.rise_ns, attach=self.attach(clock)
            )
            emu.buses[bus] = wires
            self.checkers = [*getattr(self, "checkers", []), TimingChecker(wires.limits).watch(wires.wires)]
        return SmbusHost(emu.smbus(bus))

    def teardown_method(self) -> None:
        for checker in self.checkers:
            broken = {each.parameter for each in checker.violations}
            assert broken <= self.breaks, checker.report()
            assert not checker.torn, checker.report()
