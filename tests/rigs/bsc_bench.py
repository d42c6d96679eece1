"""A host, two wires and a module behind the simulated BSC slave and its helper."""

from __future__ import annotations

from rigs.bsc import BscModule

from cmis_emu import Emulator
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.rpi_bsc.shared import Shared
from cmis_emu.bus.virtual import I2C_M_RD, Message

A = 0x50


class Bench:
    """A host, two wires, the chip with its helper, and a DR4 that has come to rest."""

    def __init__(self, emu: Emulator, shared: Shared, hz: int = 100_000, **options: object) -> None:
        self.emu = emu
        self.module = emu.ports["1"].module
        self.shared = shared
        self.hz = hz
        self.wires = Wires()
        self.bsc = BscModule(
            self.wires,
            A,
            emu.cages()[1],
            shared,
            emu.lock,
            hz,
            **options,  # type: ignore[arg-type]
        )
        self.master = BitMaster(self.wires, Pace.at(hz))

    def transfer(self, *messages: bytes | int) -> list[bytes]:
        """One combined transfer of data to write and lengths to read. Raises BusError."""
        sent = [
            Message(A, I2C_M_RD, length=what) if isinstance(what, int) else Message(A, 0, what) for what in messages
        ]
        return run(self.wires.clock, self.master.transfer(sent))

    def read(self, address: int, length: int = 1) -> bytes:
        return self.transfer(bytes([address]), length)[0]

    def write(self, *data: int) -> None:
        self.transfer(bytes(data))

    def rest(self, bits: int = 40) -> None:
        """Let the helper see that a transfer is over."""
        self.wires.clock.advance_ns(bits * 1_000_000_000 // self.hz)
