"""An FT232H as a slave, simulated: what it follows, where it fails, and that pyftdi carries its streams as they are."""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from pyftdi.ftdi import Ftdi
from pyftdi.usbtools import UsbTools
from rigs.ft232h import FakeFt232h
from rigs.logged import LoggedTarget
from rigs.mpsse_slave import MpsseSlave, jitter
from rigs.sigrok import decode, needs_sigrok, symbols

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import Parameter, mode_of
from cmis_emu.bus.bits.machine import ByteMachine
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import Process, Steps, run
from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.vcd import Recorder
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.ftdi.chip import FtdiChip, command_ns
from cmis_emu.bus.ftdi.commands import PACKET
from cmis_emu.bus.ftdi.follower import Follower
from cmis_emu.bus.ftdi.slave import SILENCE_NS, Ft232hWay, StreamSlave
from cmis_emu.bus.held import HeldTarget
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.bus.ways import Served
from cmis_emu.clock import NS_PER_MS
from cmis_emu.errors import InputError, NotAvailableError

pytestmark = pytest.mark.timeout(60)

A, OTHER = 0x50, 0x51
HZ = 100_000
QUICK = 250_000  # ns, of a turnaround
SLOW = 3_000_000


class Bench:
    """A bit-banged master at some pace, and the slave."""

    def __init__(self, pace: Pace | None = None, hz: int = HZ, command: int = 200, slowest: int = SLOW) -> None:
        self.wires = Wires()
        self.target = LoggedTarget()
        self.slave = MpsseSlave(
            self.wires, A, self.target, hz=hz, command_ns=command, turnaround_ns=jitter(QUICK, slowest)
        )
        self.master = BitMaster(self.wires, pace or Pace.at(hz))
        self.checker = TimingChecker(mode_of(hz)).watch(self.wires)

    def run(self, *messages: Message) -> list[bytes]:
        found = run(self.wires.clock, self.master.transfer(messages))
        self.settle()
        return found

    def settle(self) -> None:
        self.wires.clock.advance_ns(SLOW + SILENCE_NS)  # also longer than a transfer may stand still

    @property
    def log(self) -> str:
        text = " ".join(self.target.log)
        self.target.log.clear()
        return text

    def works(self) -> bool:
        """A write, and a random read of 128 bytes: was everything right, and seen right?"""
        expected = bytes([0x0F, 0xAA, 0x55, *range(0x12, 0x8F)])
        try:
            self.run(Message(A, 0, b"\x10\xaa\x55"))
            written = self.log
            found = self.run(Message(A, 0, b"\x0f"), Message(A, I2C_M_RD, length=128))[0]
        except BusError:
            return False
        read = "W 0f P R " + " ".join(f"<{value:02x}" for value in expected) + " P"
        return (written, found, self.log, self.slave.restarts) == ("W 10 aa 55 P", expected, read, 0)


def at(speed: float, hz: int = HZ) -> Pace:
    """A master whose every time is that of the rate, divided by `speed`."""
    pace = Pace.at(hz)
    return Pace(**{each.name: round(getattr(pace, each.name) / speed) for each in fields(pace)})


@pytest.mark.parametrize("turnaround", [250_000, 500_000, 1_000_000, 3_000_000])
def test_right_at_100_khz_for_every_turnaround(turnaround: int) -> None:
    bench = Bench(slowest=turnaround)
    assert bench.works()
    broken = {each.parameter for each in bench.checker.violations}
    assert broken <= {Parameter.STRETCH}
    assert bench.slave.engine.fights == 0
    longest = bench.checker.stretches.longest_ns
    assert 0.9 * turnaround < longest < turnaround + 20_000  # the turnaround, and little more
    assert (Parameter.STRETCH in broken) is (longest > 500_000)


@pytest.mark.parametrize("command", [80, 200, 400, 500])
@pytest.mark.parametrize("speed", [0.7, 0.85, 1.0, 1.2])
def test_hosts_from_07_to_12_times_the_rate(command: int, speed: float) -> None:
    assert Bench(at(speed), command=command).works()


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_hosts_beyond_that_are_not_followed(speed: float) -> None:
    assert not Bench(at(speed)).works()


def test_400_khz_needs_commands_of_02_us() -> None:
    """The cost of a command is not known: the reason why 100 kHz is all that the back end claims."""
    assert Bench(hz=400_000, command=200).works()
    assert not Bench(hz=400_000, command=300).works()
    assert Bench(command=600).works()
    with pytest.raises(NotAvailableError, match="reading the pins costs 600 ns, expected 375 ns at most for 400 kHz"):
        Bench(hz=400_000, command=600)
    believed = replace(Pace.at(400_000), high_ns=600, low_ns=1900)
    wires = Wires()
    slave = MpsseSlave(wires, A, LoggedTarget(), hz=400_000, command_ns=600, believed_ns=300)  # and if one lies to it
    with pytest.raises(BusError):
        run(wires.clock, BitMaster(wires, believed).transfer([Message(A, 0, b"\x10\xaa")]))
    assert slave.machine.torn == 0


def test_a_slow_bus_takes_more_reads_than_a_packet_holds() -> None:
    with pytest.raises(NotAvailableError, match=f"no more than fits in {PACKET} bytes"):
        Bench(hz=10_000, command=100)


def test_other_traffic_is_stretched_and_left_alone() -> None:
    bench = Bench()
    neighbour = LoggedTarget()
    BitSlave(bench.wires, OTHER, neighbour, "neighbour")
    assert bench.run(Message(OTHER, 0, b"\x20"), Message(OTHER, I2C_M_RD, length=4)) == [b"\x20\x21\x22\x23"]
    assert bench.log == ""
    assert bench.checker.stretches.longest_ns > QUICK
    assert bench.run(Message(A, 0, b"\x20"), Message(OTHER, I2C_M_RD, length=2), Message(A, I2C_M_RD, length=1)) == [
        b"\x24\x25",
        b"\x20",
    ]
    assert bench.log == "W 20 P R <20 P"
    with pytest.raises(BusError):
        bench.run(Message(0x52, 0, b"\x00"))
    assert bench.works()


def test_refusals() -> None:
    bench = Bench()
    bench.target.refuse = frozenset({2})
    with pytest.raises(BusError) as failure:
        bench.run(Message(A, 0, b"\x10\x20\x30\x40"))
    assert failure.value.errno == errno.EIO
    bench.settle()
    assert bench.log == "W 10 20 !30 P"
    bench.target.refuse = frozenset({-1})
    with pytest.raises(BusError) as failure:
        bench.run(Message(A, I2C_M_RD, length=1))
    assert failure.value.errno == errno.ENXIO


def test_a_transfer_that_stops_inside_a_byte_is_broken_off() -> None:
    bench = Bench()

    def torn() -> Steps[None]:
        yield from bench.master.start()
        yield from bench.master.write_byte(A << 1)
        yield from bench.master.write_byte(0x10)
        for _ in range(4):
            yield from bench.master.bit(False)
        yield from bench.master.stop()

    run(bench.wires.clock, torn())
    bench.settle()
    assert bench.log == "W 10 X"
    assert bench.slave.restarts == 1
    bench.slave.restarts = 0
    assert bench.works()


def test_clocks_that_free_a_stuck_bus_are_no_transfer() -> None:
    bench = Bench()
    run(bench.wires.clock, bench.master.recover())
    bench.settle()
    assert bench.log == ""
    assert bench.works() or bench.slave.restarts == 1


@needs_sigrok
def test_sigrok_reads_what_was_meant(tmp_path: Path) -> None:
    bench = Bench(slowest=500_000)
    recorder = Recorder(bench.wires)
    bench.run(Message(A, 0, b"\x10\xaa"))
    bench.run(Message(A, 0, b"\x0f"), Message(A, I2C_M_RD, length=3))
    with pytest.raises(BusError):
        bench.run(Message(OTHER, I2C_M_RD, length=1))
    seen = symbols(decode(recorder.stop(), tmp_path, timescale_ns=100))
    assert seen == "S W50 A D10 A Daa A P S W50 A D0f A Sr R50 A D0f A Daa A D11 N P S R51 N P"


# -- over pyftdi -------------------------------------------------------------------------------------------


class OverUsb:
    """The slave as it runs for real, but for the chip. Time passes where pyftdi waits for it."""

    def __init__(self, command: int = 300) -> None:
        self.wires = Wires()
        self.target = LoggedTarget()
        self.device = FakeFt232h(self.wires, "module", command_ns=command, as_slave=True)
        self.chip = FtdiChip(self.device)
        self.cost = command_ns(self.chip, self.now, rounds=1)
        self.machine = ByteMachine(A, self.target)
        self.slave = StreamSlave(self.chip, Follower(self.machine, HZ, self.cost), self.now)
        self.master = BitMaster(self.wires, Pace.at(HZ))

    def now(self) -> int:
        return self.wires.clock.now_ns

    def run(self, *messages: Message) -> list[bytes]:
        process = Process(self.wires.clock, self.master.transfer(messages))
        while not process.done:
            self.slave.step()
        self.rest()
        return process.result

    def rest(self) -> None:
        end = self.now() + 2 * SILENCE_NS
        while self.now() < end:
            self.slave.step()


def test_pyftdi_carries_the_streams() -> None:
    bench = OverUsb()
    assert abs(bench.cost - 300) <= 3  # measured, as on a bench
    bench.run(Message(A, 0, b"\x10\xaa\x55"))
    assert bench.target.log == ["W", "10", "aa", "55", "P"]
    bench.target.log.clear()
    found = bench.run(Message(A, 0, b"\x0f"), Message(A, I2C_M_RD, length=128))
    assert found == [bytes([0x0F, 0xAA, 0x55, *range(0x12, 0x8F)])]
    assert bench.target.log[-1] == "P"
    assert bench.slave.restarts == 0
    assert bench.device.engine.fights == 0
    bench.chip.close()
    assert bench.wires.idle


def test_a_broken_transfer_restarts_the_chip() -> None:
    bench = OverUsb()

    def torn() -> Steps[None]:
        yield from bench.master.start()
        yield from bench.master.write_byte(A << 1)
        yield from bench.master.bit(True)
        yield from bench.master.bit(False)
        bench.master.let_go()

    process = Process(bench.wires.clock, torn())
    while not process.done:
        bench.slave.step()
    bench.rest()
    assert bench.slave.restarts == 1
    assert bench.target.log == ["W", "X"]
    assert bench.wires.idle
    assert bench.run(Message(A, 0, b"\x0f"), Message(A, I2C_M_RD, length=1)) == [b"\x0f"]


def test_closing_the_way_lets_go_of_the_lines() -> None:
    """In mid-transfer, with SCL held."""
    bench = OverUsb()
    process = Process(bench.wires.clock, bench.master.transfer([Message(A, 0, bytes(100))]))
    for _ in range(20):
        bench.slave.step()
    assert not process.done
    way = Ft232hWay("test", bench.slave, ["line"])
    way.close()
    assert bench.target.log[-1] == "X"
    assert not bench.slave.chip._ftdi.is_connected  # type: ignore[attr-defined]
    assert bench.device.engine.directions == [0, 0]
    assert way.describe() == ["line"]


# -- the way -----------------------------------------------------------------------------------------------


@pytest.fixture
def emu() -> Emulator:
    return Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1)


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("", InputError, "expected ftdi://ftdi:232h/1"),
        ("ftdi://ftdi:232h", InputError, "expected ftdi://ftdi:232h/1"),
        ("ftdi://ftdi:232h/1", NotAvailableError, "experimental and off unless asked for"),
        ("ftdi://ftdi:232h/1?experimental=maybe", InputError, "expected experimental=no or experimental=yes"),
        ("ftdi://ftdi:232h/1?experimental=yes&hz=400000", NotAvailableError, "400 kHz is more than its 100 kHz"),
        ("ftdi://ftdi:232h/1?experimental=yes&hz=fast", InputError, "expected hz from 10000 to 1000000"),
        ("ftdi://ftdi:232h/1?experimental=yes&speed=1", InputError, "expected one of experimental, bus"),
        ("ftdi://ftdi:232h/1?experimental=yes&experimental=yes", InputError, "expected each option once"),
        ("ftdi://ftdi:232h/1?experimental", InputError, "expected options such as experimental=yes"),
        ("ftdi://ftdi:232h/1?experimental=yes&bus=7", InputError, "expected one of the buses 1"),
        ("ftdi://ftdi:232h/1?experimental=yes&address=0x51", InputError, "expected one of 0x50"),
        ("ftdi://ftdi:232h:NONE/1?experimental=yes", NotAvailableError, "NONE"),
    ],
)
def test_addresses(emu: Emulator, address: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as failure:
        emu.open_way(f"ft232h:{address}")
    assert words in str(failure.value)


def test_the_whole_way(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on simulated wires, whose time passes as the way's own thread waits for the chip."""
    emu.settle()
    wires = Wires()
    device = FakeFt232h(wires, "module", command_ns=300, as_slave=True)
    monkeypatch.setattr(Ftdi, "get_identifiers", lambda self, url: (None, 1))
    monkeypatch.setattr(UsbTools, "get_device", lambda descriptor: device)
    messages = [Message(A, 0, b"\x81"), Message(A, I2C_M_RD, length=4)]

    def later() -> Steps[list[bytes]]:
        yield 500 * NS_PER_MS  # the chip is being opened
        return (yield from BitMaster(wires, Pace.at(HZ)).transfer(messages))

    process = Process(wires.clock, later())
    way = emu.open_way("ft232h:ftdi://ftdi:232h/1?experimental=yes&command=300")
    deadline = time.monotonic() + 30
    while not process.done and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert process.result == [b"CMIS"]
    told = "\n".join(way.describe())
    for words in (
        "bus 1 at 0x50 by ftdi://ftdi:232h/1: SCL on AD0 and AD5, SDA on AD1 and AD2",
        "holds the clock up to 1 ms, and a module 500 us at most",
        "hosts from 0.7 to 1.2 times that",
        "one module on a bus",
        "SCL may stay low",
        "on no chip",
    ):
        assert words in told
    way.close()
    assert wires.idle
    assert device.engine.directions == [0, 0]


def test_a_refused_start_keeps_the_bus_from_nobody(emu: Emulator) -> None:
    emu.settle()
    held = HeldTarget(Served(emu.buses, emu.lock), 1)
    emu.ports["1"].pins.ResetL = False
    emu.clock.advance(0.001)
    assert not held.start(read=True)
    emu.ports["1"].pins.ResetL = True
    emu.settle()
    began = time.monotonic()
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18
    assert time.monotonic() - began < 1


def test_a_module_over_the_wires_and_a_host_beside_it(emu: Emulator) -> None:
    """A transfer over the wires keeps the bus from START to STOP, and one in the process waits for it."""
    emu.settle()
    held = HeldTarget(Served(emu.buses, emu.lock), 1)
    assert held.start(read=False)
    assert held.write_byte(126)
    seen: list[int] = []
    other = threading.Thread(target=lambda: seen.append(emu.smbus(1).read_byte_data(A, 0)))
    other.start()
    other.join(0.2)
    assert not seen
    for value in (0, 0x10):
        assert held.write_byte(value)
    held.end()
    other.join(10)
    assert seen == [0x18]
    assert emu.smbus(1).read_byte_data(A, 127) == 0x10
    assert held.start(read=True)
    first = held.peek()
    held.commit()
    held.abort()
    assert first == 0x18  # the counter has come round from 127
