"""The bus contract with a simulated BSC slave as the module's side, and the helper's C code as it is.

What it cannot tell: it refuses nothing, so a byte too much is acknowledged and dropped; and what a host does reaches
the module, and what the module does the host, some ms later. The rest of the contract holds, with a core of its own.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_contract import DP_DEINIT_PAGE, WRITE_MAX, A, Host, read
from rigs.bsc import BscModule
from smbus_host import SmbusHost
from wire_contract import WireContract

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import Attach, WireBus
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.contract import ByteTarget
from cmis_emu.bus.rpi_bsc import build
from cmis_emu.bus.rpi_bsc.shared import Shared


class PatientHost(SmbusHost):
    """Comes when the emulator has brought everything up to date, and looks when it has again."""

    module: BscModule
    lock: threading.RLock

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        with self.lock:
            self.module.settle()
        try:
            return super().transfer(*messages)
        finally:
            with self.lock:
                self.module.settle()


class RpiBscContract(WireContract):
    hz = 100_000
    busy_flags: bool
    """The chip's busy flags last from address to STOP, and the helper trusts them."""

    @pytest.fixture(autouse=True)
    def _library(self, tmp_path: Path) -> Iterator[None]:
        if shutil.which("cc") is None:
            pytest.skip("no C compiler (cc) on this machine")
        self.library = build.library(tmp_path)
        self.opened: list[Shared] = []
        yield
        for each in self.opened:
            each.close()

    def attach(self, clock: ManualClock) -> Attach:
        def attach(wires: Wires, address: int, target: ByteTarget) -> BscModule:
            shared = Shared(self.library)
            self.opened.append(shared)
            flags = self.busy_flags
            cage = next(each for each in self.cages if each.target is target)
            return BscModule(
                wires, address, cage, shared, self.lock, self.hz, clock=clock, trust_busy=flags, busy_flags=flags
            )

        return attach

    def open(self, emu: Emulator, bus: int) -> Host:
        self.lock, self.cages = emu.lock, [*emu.cages().values()]
        super().open(emu, bus)
        host = PatientHost(emu.smbus(bus))
        wire_bus = emu.buses[bus]
        assert isinstance(wire_bus, WireBus)
        module = wire_bus.slaves[0]
        assert isinstance(module, BscModule)
        host.module, host.lock = module, emu.lock
        return host

    def test_a_data_byte_that_is_not_acknowledged(self, emu: Emulator, host: Host) -> None:
        """Here it is: `can_nack` is NEVER. The module drops it all the same."""
        host.transfer((A, bytes([126, 0, DP_DEINIT_PAGE])))
        values = bytes(range(0x10, 0x19))
        host.transfer((A, bytes([145]) + values))
        module = emu.ports["a"].module
        assert module.peek(DP_DEINIT_PAGE, 145, 9)[:WRITE_MAX] == values[:WRITE_MAX]
        assert module.peek(DP_DEINIT_PAGE, 153, 1) != values[WRITE_MAX:]
        host.transfer((A, bytes([145]) + values[:WRITE_MAX]))
        assert read(host, 145, 8) == values[:WRITE_MAX]


class TestRpiBsc(RpiBscContract):
    busy_flags = False


class TestRpiBscWithFlags(RpiBscContract):
    busy_flags = True
