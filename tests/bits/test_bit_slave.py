"""The bit-level slave against masters good and bad: what reaches the target is what was clocked, and nothing else."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
from rigs.logged import LoggedTarget

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import WireBus
from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import MODES, Limits, mode_of
from cmis_emu.bus.bits.machine import Pause
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import Process, Steps, finish, run
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.faults import Direction, Match, Stretch
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.clock import NS_PER_MS, NS_PER_US
from cmis_emu.occasions import Occasions

A = 0x50
HZ = 400_000


class Bench:
    """A master and a slave with a logged target."""

    def __init__(self, hz: int = HZ, target: LoggedTarget | None = None, rise_ns: int = 0, **slave: object) -> None:
        self.wires = Wires(rise_ns)
        self.target = target or LoggedTarget()
        self.slave = BitSlave(self.wires, A, self.target, **slave)  # type: ignore[arg-type]
        self.master = BitMaster(self.wires, Pace.at(hz))
        self.checker = TimingChecker(mode_of(hz)).watch(self.wires)

    def run(self, steps: Steps[object]) -> object:
        return run(self.wires.clock, steps)

    def write(self, *data: int) -> None:
        self.run(self.master.transfer([Message(A, 0, bytes(data))]))

    def read(self, register: int, length: int) -> bytes:
        messages = [Message(A, 0, bytes([register])), Message(A, I2C_M_RD, length=length)]
        return run(self.wires.clock, self.master.transfer(messages))[0]

    def fails(self, steps: Steps[object]) -> str:
        with pytest.raises(BusError) as failure:
            self.run(steps)
        return errno.errorcode[failure.value.errno]

    @property
    def log(self) -> str:
        text = " ".join(self.target.log)
        self.target.log.clear()
        return text


@pytest.mark.parametrize("hz", [100_000, 400_000, 1_000_000])
@pytest.mark.parametrize("rise_ns", [0, 100])
def test_a_good_master_and_slave(hz: int, rise_ns: int) -> None:
    bench = Bench(hz, rise_ns=rise_ns)
    bench.write(0x10, 0xAA, 0x55)
    assert bench.log == "W 10 aa 55 P"
    assert bench.read(0x0F, 4) == bytes([0x0F, 0xAA, 0x55, 0x12])
    assert bench.log == "W 0f P R <0f <aa <55 <12 P"
    assert bench.checker.good, bench.checker.report()
    assert bench.wires.idle


def test_another_address_and_refusals() -> None:
    bench = Bench(target=LoggedTarget(refuse=frozenset({2})))
    assert bench.fails(bench.master.transfer([Message(0x51, 0, b"\x00")])) == "ENXIO"
    assert bench.log == ""
    assert bench.fails(bench.master.transfer([Message(A, 0, b"\x10\x20\x30\x40")])) == "EIO"
    assert bench.log == "W 10 20 !30 P"
    bench.target.refuse = frozenset({-1})
    assert bench.fails(bench.master.transfer([Message(A, I2C_M_RD, length=1)])) == "ENXIO"
    assert bench.log == "R"
    assert bench.slave.machine.torn == 0
    assert bench.checker.good, bench.checker.report()


def test_a_repeated_start_for_somebody_else_ends_the_message() -> None:
    bench = Bench()
    assert bench.fails(bench.master.transfer([Message(A, 0, b"\x10\x99"), Message(0x22, 0, b"")])) == "ENXIO"
    assert bench.log == "W 10 99 P"
    assert bench.target.memory[0x10] == 0x99


@pytest.mark.parametrize("bits", range(9))
def test_a_master_that_stops_in_the_middle_of_a_written_byte(bits: int) -> None:
    """Whole bytes count, the torn one does not; the next transfer is as good as any."""
    bench = Bench()

    def steps() -> Steps[None]:
        yield from bench.master.start()
        for value in (A << 1, 0x10, 0xAA):
            assert (yield from bench.master.write_byte(value))
        for at in range(bits):
            yield from bench.master.bit(bool(at & 1))
        yield from bench.master.stop()

    bench.run(steps())
    assert bench.log == "W 10 aa P" if bits < 8 else "W 10 aa 55 P"
    assert bench.target.memory[0x10] == 0xAA
    assert bool(bench.checker.torn) is (bits > 0)
    assert bench.slave.machine.torn == (bits > 0)
    assert bench.read(0x10, 1) == b"\xaa"


@pytest.mark.parametrize("bits", range(1, 8))
def test_a_start_in_the_middle_of_a_byte(bits: int) -> None:
    bench = Bench()
    master = bench.master

    def steps() -> Steps[bytes]:
        yield from master.start()
        for value in (A << 1, 0x20):
            assert (yield from master.write_byte(value))
        for _ in range(bits):
            yield from master.bit(True)
        yield from master.start()
        assert (yield from master.write_byte(A << 1 | 1))
        found = yield from master.read_byte(more=False)
        yield from master.stop()
        return bytes([found])

    assert bench.run(steps()) == b"\x20"
    assert bench.log == "W 20 P R <20 P"
    assert len(bench.checker.torn) == 1


def test_a_glitch_that_looks_like_a_start() -> None:
    bench = Bench()

    def steps() -> Steps[None]:
        bench.master.sda.pull(True)
        yield 50
        bench.master.sda.pull(False)
        yield 20_000

    bench.run(steps())
    assert bench.read(0x33, 2) == b"\x33\x34"
    assert bench.log == "W 33 P R <33 <34 P"


@pytest.mark.parametrize("clocks", range(1, 10))
def test_only_a_byte_that_was_clocked_out_whole_is_committed(clocks: int) -> None:
    """The master goes away after so many clocks of a byte of zeros; another one clocks the slave free."""
    bench = Bench(target=LoggedTarget(bytes(256)))
    master = bench.master

    def steps() -> Steps[None]:
        yield from master.start()
        assert (yield from master.write_byte(A << 1 | 1))
        for _ in range(clocks - 1):
            yield from master.bit(True)
        yield 10_000
        master.let_go()  # the last clock
        yield 10_000

    bench.run(steps())
    assert bench.log == ("R <00" if clocks == 9 else "R")
    assert bench.wires.sda.level is (clocks == 9)
    other = BitMaster(bench.wires, Pace.at(100_000), "other")
    run(bench.wires.clock, other.transfer([Message(A, 0, b"\x01")]))
    assert bench.wires.idle
    # the clocks that free it are clocks of that byte, and its ninth has it committed, as any master's would
    assert bench.log == ("P W 01 P" if clocks == 9 else "<00 P W 01 P")


def test_a_read_of_no_bytes_does_not_wedge_the_bus() -> None:
    bench = Bench(target=LoggedTarget(bytes(256)))
    run(bench.wires.clock, bench.master.transfer([Message(A, I2C_M_RD)]))
    assert bench.wires.idle
    bench.write(0x01, 0x02)
    assert bench.target.memory[1] == 2


@pytest.mark.parametrize("after", [False, True])
def test_a_clock_that_stays_low_aborts(after: bool) -> None:
    bench = Bench(timeout_ns=25 * NS_PER_MS)
    master = bench.master

    def steps() -> Steps[None]:
        yield from master.start()
        for value in (A << 1, 0x10, 0xAA):
            yield from master.write_byte(value)
        yield (26 if after else 24) * NS_PER_MS
        yield from master.stop()

    bench.run(steps())
    assert bench.log == ("W 10 aa X" if after else "W 10 aa P")
    assert (bench.target.memory[0x10] == 0xAA) is not after
    assert bench.read(0x10, 1) == (b"\x10" if after else b"\xaa")


def test_without_a_timeout_it_waits_for_ever() -> None:
    bench = Bench()

    def steps() -> Steps[None]:
        yield from bench.master.start()
        yield from bench.master.write_byte(A << 1)
        yield from bench.master.write_byte(0x10)
        yield 3600 * 10**9
        yield from bench.master.write_byte(0xBB)
        yield from bench.master.stop()

    bench.run(steps())
    assert bench.log == "W 10 bb P"


@pytest.mark.parametrize("hz", [100_000, 400_000, 1_000_000])
def test_stretching_is_waited_for_and_measured(hz: int) -> None:
    bench = Bench(hz, stretch=steady(ack_ns=30_000, data_ns=60_000))
    assert bench.read(0x40, 16) == bytes(range(0x40, 0x50))
    assert bench.checker.good, bench.checker.report()
    low = bench.master.pace.low_ns
    assert bench.checker.stretches.longest_ns == 60_000 - low
    assert sum(bench.checker.stretches.bins) == 3 + 16
    bench.slave.stretch = steady(data_ns=501_000 + low)
    bench.read(0, 1)
    assert [each.parameter.value for each in bench.checker.violations] == ["stretch"]
    assert bench.checker.violations[0].found_ns == 501_000


def test_stretching_can_be_for_one_byte() -> None:
    bench = Bench(stretch=lambda pause, number: 100_000 if (pause, number) == (Pause.DATA, 3) else 0)
    bench.read(0, 8)
    assert sum(bench.checker.stretches.bins) == 1


def test_a_master_that_does_not_wait_misreads() -> None:
    bench = Bench(stretch=steady(data_ns=20_000))
    bench.master.waits = False
    found = bench.read(0x40, 4)
    assert found != bytes(range(0x40, 0x44))
    bench.master.waits = True
    bench.run(_pause())
    assert bench.read(0x40, 4) == bytes(range(0x40, 0x44))


def _pause() -> Steps[None]:
    yield NS_PER_MS


def test_a_clock_held_for_too_long() -> None:
    bench = Bench(stretch=steady(ack_ns=40 * NS_PER_MS))
    bench.master.timeout_ns = 35 * NS_PER_MS
    assert bench.fails(bench.master.transfer([Message(A, 0, b"\x00")])) == "ETIMEDOUT"
    assert bench.fails(bench.master.transfer([Message(A, 0, b"\x00")])) in ("EBUSY", "ETIMEDOUT")
    bench.slave.stretch = None
    bench.run(_pause_long())
    assert bench.read(0x40, 2) == b"\x40\x41"


def _pause_long() -> Steps[None]:
    yield 50 * NS_PER_MS


@pytest.mark.parametrize("skew", [0.8, 1.0, 1.3])
def test_two_masters_at_once(skew: float) -> None:
    """Arbitration: the one whose bits are lower goes on undisturbed, the other knows that it has lost."""
    bench = Bench()
    wires = bench.wires
    first = BitMaster(wires, Pace.at(HZ), "first", shares=True)
    pace = Pace.at(HZ)
    slower = replace(pace, low_ns=round(pace.low_ns * skew), high_ns=round(pace.high_ns * skew))
    second = BitMaster(wires, slower, "second", shares=True)
    one = Process(wires.clock, first.transfer([Message(A, 0, b"\x10\x3c")]))
    two = Process(wires.clock, second.transfer([Message(A, 0, b"\x10\x7c")]))
    finish(wires.clock, one, two)
    assert one.result == []
    assert isinstance(two.error, BusError)
    assert two.error.errno == errno.EAGAIN
    assert bench.log == "W 10 3c P"
    assert wires.idle


@pytest.mark.parametrize("hz", [100_000, 1_000_000])
def test_a_module_that_stretches_holds_the_wire(hz: int) -> None:
    """A fault on the way to a module, which lets time pass inside a byte event, is a low SCL of that length."""
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        clock = emu.clock
        assert isinstance(clock, ManualClock)
        bus = WireBus(emu.buses[1], emu.lock, hz, clock=clock)
        emu.buses[1] = bus
        checker = TimingChecker(bus.limits).watch(bus.wires)
        host = emu.smbus(1)
        assert host.read_byte_data(A, 0) == 0x18
        assert checker.good
        emu.ports["1"].target.arm(Stretch(Match(Direction.READ), Occasions(count=1), 300 * NS_PER_US))
        assert host.read_byte_data(A, 0) == 0x18
        assert checker.good, checker.report()
        assert checker.stretches.longest_ns == 300 * NS_PER_US - bus.master.pace.low_ns
        assert bus.wires.clock.now_ns == clock.now_ns  # time passed alike on both


@pytest.mark.parametrize("clocks", [7, 8, 9])
def test_a_flag_clears_with_the_ninth_clock_of_its_byte(clocks: int) -> None:
    """The last of which is that of the STOP."""
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        port = emu.ports["1"]
        wires = Wires()
        BitSlave(wires, A, port.target)
        master = BitMaster(wires, Pace.at(HZ))
        run(wires.clock, master.transfer([Message(A, 0, b"\x7e\x00\x11"), Message(A, 0, bytes([147]))]))
        port.module.flags.latch(port.module.memory.cell("LOSFlagRx"), 0xFF)

        def steps() -> Steps[None]:
            yield from master.start()
            assert (yield from master.write_byte(A << 1 | 1))
            for _ in range(clocks - 1):
                yield from master.bit(True)
            yield from master.stop()

        run(wires.clock, steps())
        assert port.module.peek(0x11, 147, 1) == (b"\x00" if clocks == 9 else b"\xff")


def test_limits_are_there_for_every_mode() -> None:
    def names(limits: Limits) -> set[str]:
        return {parameter.value for parameter in limits.table}

    assert all(names(limits) == names(MODES[0]) for limits in MODES)
