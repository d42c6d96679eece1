"""The bus contract with a simulated FT232H as the module's side, whole: it sees and refuses all that it has to.

What it cannot do is keep the limit on stretching (I2C-10), nor follow hosts of any rate: those are in tests/ftdi.
"""

from __future__ import annotations

import threading
from typing import ClassVar

from bus_contract import Host
from rigs.mpsse_slave import MpsseSlave, jitter
from smbus_host import SmbusHost
from wire_contract import WireContract

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import Attach, WireBus
from cmis_emu.bus.bits.limits import Parameter
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.contract import ByteTarget

TURNAROUND_MAX_NS = 1_000_000


class LateHost(SmbusHost):
    """Looks a round trip over USB after STOP, which is when the slave has heard of it: no host can tell."""

    wires: Wires
    lock: threading.RLock

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        try:
            return super().transfer(*messages)
        finally:
            with self.lock:
                self.wires.clock.advance_ns(TURNAROUND_MAX_NS)


class TestFt232hSlave(WireContract):
    hz = 100_000
    breaks: ClassVar[frozenset[Parameter]] = frozenset({Parameter.STRETCH})

    def open(self, emu: Emulator, bus: int) -> Host:
        super().open(emu, bus)
        host = LateHost(emu.smbus(bus))
        wire_bus = emu.buses[bus]
        assert isinstance(wire_bus, WireBus)
        host.wires, host.lock = wire_bus.wires, emu.lock
        return host

    def attach(self, clock: ManualClock) -> Attach:
        def attach(wires: Wires, address: int, target: ByteTarget) -> MpsseSlave:
            return MpsseSlave(wires, address, target, turnaround_ns=jitter(250_000, TURNAROUND_MAX_NS), clock=clock)

        return attach
