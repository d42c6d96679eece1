"""The C firmware's bus as edges on wires: decoded by sigrok, and driven by pyftdi through its simulated chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.board import Bench, CBoard
from rigs.ft232h import FakeFt232h
from rigs.sigrok import decode, needs_sigrok, symbols

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import mode_of
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.vcd import Recorder
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.virtual import I2C_M_RD, Message

A = 0x50
BYTE_NS = 2_300
"""How long the handler keeps SCL low for a byte of a read, by the cycles of `test_pico_arm`."""
rates = pytest.mark.parametrize("hz", [100_000, 400_000, 1_000_000])


class Rig:
    """A module behind a board on wires."""

    def __init__(self, emu: Emulator) -> None:
        self.module = emu.ports["1"].module
        self.board = CBoard()
        self.bench = Bench(emu, self.board)
        self.bench.settle()
        self.wires = Wires()
        BitSlave(self.wires, A, self.board.bus, stretch=steady(data_ns=BYTE_NS))


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Emulator.load("qsfpdd-400g-dr4", ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield Rig(emulator)


@needs_sigrok
@rates
def test_sigrok_finds_what_was_meant(rig: Rig, tmp_path: Path, hz: int) -> None:
    limits = mode_of(hz)
    checker = TimingChecker(limits).watch(rig.wires)
    master = BitMaster(rig.wires, Pace.at(hz, limits))
    recorder = Recorder(rig.wires)
    page = rig.module.peek(0, 128, 128)
    clock = rig.wires.clock
    assert run(clock, master.transfer([Message(A, 0, b"\x80"), Message(A, I2C_M_RD, b"", 128)])) == [page]
    run(clock, master.transfer([Message(A, 0, bytes([126, 0, 0x10]))]))
    run(clock, master.transfer([Message(A, 0, b"\x91\x21\x22"), Message(A, 0, b"\x91"), Message(A, I2C_M_RD, b"", 2)]))
    data = " A ".join(f"D{value:02x}" for value in page)
    assert symbols(decode(recorder.stop(), tmp_path)) == (
        f"S W50 A D80 A Sr R50 A {data} N P S W50 A D7e A D00 A D10 A P "
        "S W50 A D91 A D21 A D22 A Sr W50 A D91 A Sr R50 A D21 A D22 N P"
    )
    assert checker.good, checker.report()
    rig.bench.settle()
    assert rig.module.peek(0x10, 145, 2) == b"\x21\x22"


@rates
def test_pyftdi_reads_and_writes(rig: Rig, hz: int) -> None:
    i2c = pytest.importorskip("pyftdi.i2c", reason="no pyftdi")
    controller = i2c.I2cController()
    controller.configure(FakeFt232h(rig.wires), frequency=hz, clockstretching=True, rdoptim=False)
    port = controller.get_port(A)
    assert bytes(port.exchange(b"\x80", 128)) == rig.module.peek(0, 128, 128)
    port.write(bytes([126, 0, 0x10]))
    port.write(bytes([145, 0x21, 0x22]))
    assert bytes(port.exchange(b"\x91", 2)) == b"\x21\x22"
    with pytest.raises(i2c.I2cNackError):
        controller.get_port(0x51).read(1)
    controller.close()
    rig.bench.settle()
    assert rig.module.peek(0x10, 145, 2) == b"\x21\x22"
