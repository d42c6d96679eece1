"""pyftdi, unmodified, as an independent master: its I2cController on a simulated FT232H drives the simulated wires."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyftdi.i2c import I2cController, I2cNackError
from rigs.ft232h import FakeFt232h
from rigs.logged import LoggedTarget
from rigs.mpsse import Mpsse
from rigs.sigrok import decode, needs_sigrok, symbols

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import Parameter, mode_of
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.vcd import Recorder
from cmis_emu.bus.bits.wires import Wires

pytestmark = pytest.mark.timeout(60)  # pyftdi asks for ever for what a chip does not send

A = 0x50
rates = pytest.mark.parametrize("hz", [100_000, 400_000, 1_000_000])


class Loop:
    """A module on wires whose host is pyftdi on a simulated chip."""

    def __init__(self, emu: Emulator) -> None:
        self.module = emu.ports["1"].module
        self.wires = Wires()
        self.slave = BitSlave(self.wires, A, emu.ports["1"].target)
        self.chip = FakeFt232h(self.wires)
        self.controller = I2cController()

    def open(self, hz: int, **options: bool) -> None:
        self.controller.configure(self.chip, frequency=hz, **options)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        made = Loop(emu)
        yield made
        made.controller.close()
        assert made.chip.engine.fights == 0


@rates
def test_a_page_is_read(loop: Loop, hz: int) -> None:
    loop.open(hz)
    checker = TimingChecker(mode_of(hz)).watch(loop.wires)
    port = loop.controller.get_port(A)
    assert bytes(port.exchange(b"\x80", 128)) == loop.module.peek(0, 128, 128)
    assert bytes(port.exchange(b"\x00", 3)) == loop.module.peek(-1, 0, 3)
    # The chip's three-phase clock is high for a third of a period, which at 100 kHz is less than I2C asks for.
    short = {each.parameter for each in checker.violations}
    assert short == ({Parameter.HIGH} if hz == 100_000 else set()), checker.report()
    assert not checker.torn


@rates
def test_a_page_is_selected_and_written(loop: Loop, hz: int) -> None:
    loop.open(hz)
    port = loop.controller.get_port(A)
    port.write(bytes([126, 0, 0x10]))
    port.write(bytes([145, *range(0x10, 0x18)]))
    assert loop.module.peek(0x10, 145, 8) == bytes(range(0x10, 0x18))
    assert bytes(port.exchange(bytes([145]), 8)) == bytes(range(0x10, 0x18))
    with pytest.raises(I2cNackError):
        port.write(bytes([145, *range(9)]))  # a byte more than the module takes


@rates
def test_an_absent_address(loop: Loop, hz: int) -> None:
    loop.open(hz)
    assert loop.controller.poll(A)
    assert not loop.controller.poll(0x51)
    with pytest.raises(I2cNackError):
        loop.controller.get_port(0x51).read(1)
    assert loop.controller.get_port(A).exchange(b"\x00", 1) == b"\x18"


@rates
def test_a_stretched_clock_is_waited_for(loop: Loop, hz: int) -> None:
    """As far as pyftdi does it: its chunked reads, which `rdoptim` turns off, leave it out."""
    loop.slave.stretch = steady(ack_ns=40_000, data_ns=30_000)
    loop.open(hz, clockstretching=True, rdoptim=False)
    checker = TimingChecker(mode_of(hz)).watch(loop.wires)
    port = loop.controller.get_port(A)
    for _ in range(2):
        assert bytes(port.exchange(b"\x80", 128)) == loop.module.peek(0, 128, 128)
    assert checker.measured[Parameter.STRETCH].count > 128
    assert Parameter.STRETCH not in {each.parameter for each in checker.violations}


@rates
def test_a_stretched_clock_that_is_not_waited_for_is_misread(loop: Loop, hz: int) -> None:
    loop.slave.stretch = steady(data_ns=30_000)
    loop.open(hz)
    found = bytes(loop.controller.get_port(A).exchange(b"\x80", 128))
    assert found != loop.module.peek(0, 128, 128)


def test_chunked_reads_do_not_wait_either(loop: Loop) -> None:
    """clockstretching=True alone is not enough for a page: what the FT232H host of a bench has to know."""
    loop.slave.stretch = steady(data_ns=30_000)
    loop.open(400_000, clockstretching=True)
    port = loop.controller.get_port(A)
    assert bytes(port.exchange(b"\x80", 8)) == loop.module.peek(0, 128, 8)
    assert bytes(port.exchange(b"\x80", 128)) != loop.module.peek(0, 128, 128)


@needs_sigrok
@rates
def test_sigrok_agrees(tmp_path: Path, hz: int) -> None:
    wires = Wires()
    BitSlave(wires, A, LoggedTarget())
    controller = I2cController()
    controller.configure(FakeFt232h(wires), frequency=hz)
    recorder = Recorder(wires)
    port = controller.get_port(A)
    port.write(b"\x10\xaa")
    assert port.exchange(b"\x0f", 3) == b"\x0f\xaa\x11"
    controller.close()
    seen = symbols(decode(recorder.stop(), tmp_path, timescale_ns=100))
    assert seen == "S W50 A D10 A Daa A P S W50 A D0f A Sr R50 A D0f A Daa A D11 N P"


# -- the simulated chip itself -----------------------------------------------------------------------------


@pytest.fixture
def engine() -> Mpsse:
    wires = Wires()
    return Mpsse(wires, {0: wires.scl, 1: wires.sda, 2: wires.sda, 5: wires.scl, 7: wires.scl})


def after(engine: Mpsse, commands: bytes, ns: int = 1_000_000) -> bytes:
    engine.feed(commands)
    engine.wires.clock.advance_ns(ns)
    return engine.take(1000)


OPEN_DRAIN = bytes([0x9E, 0x07, 0x00, 0x80, 0x03, 0x03])


def test_pins(engine: Mpsse) -> None:
    assert after(engine, OPEN_DRAIN + b"\x81") == b"\xff"
    assert after(engine, b"\x80\x01\x03\x81") == b"\xf9"  # SDA low shows on both of its pins
    assert after(engine, b"\x80\x00\x01\x81") == b"\x5e"  # SCL low, and SDA an input
    assert after(engine, b"\x82\xff\x00\x83") == b"\xff"


def test_a_wrong_command_is_told(engine: Mpsse) -> None:
    assert after(engine, b"\xaa") == b"\xfa\xaa"
    assert engine.flushed is False


def test_waiting_for_a_pin(engine: Mpsse) -> None:
    other = engine.wires.scl.driver("other")
    other.pull(True)
    assert after(engine, OPEN_DRAIN + b"\x88\x81\x87") == b""
    assert engine.busy
    assert engine.running == 0x88
    other.pull(False)
    assert after(engine, b"") == b"\xff"
    assert not engine.busy


@pytest.mark.parametrize(("commands", "half_periods"), [(b"\x8d", 16), (b"\x8c", 24)])
def test_clocks_with_two_phases_and_three(engine: Mpsse, commands: bytes, half_periods: int) -> None:
    after(engine, OPEN_DRAIN + b"\x80\x02\x03" + b"\x8a\x86\x3b\x00" + commands)  # 60 MHz / 60: half a period is 1 us
    began = engine.wires.clock.now_ns
    engine.feed(b"\x20\x00\x00")
    while engine.busy:
        engine.wires.clock.advance_ns(100)
    assert engine.wires.clock.now_ns - began == half_periods * 1000
    assert engine.take(9) == b"\xff"


def test_half_a_command_waits_for_the_rest(engine: Mpsse) -> None:
    assert after(engine, OPEN_DRAIN + b"\x80\x01") == b""
    assert engine.busy
    assert after(engine, b"\x03\x81") == b"\xf9"
