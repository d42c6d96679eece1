"""The timing checker: a good master passes in every mode, and each number that a bad one breaks is told by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rigs.logged import LoggedTarget

from cmis_emu.bus.bits.checker import TimingChecker
from cmis_emu.bus.bits.limits import MODES, Limit, Limits, Parameter, mode_of, plain_i2c
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.slave import BitSlave, Stretch, steady
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.virtual import I2C_M_RD, Message

A = 0x50
by_mode = pytest.mark.parametrize("limits", MODES, ids=lambda limits: limits.name)


def judge(limits: Limits, pace: Pace, stretch: Stretch | None = None) -> TimingChecker:
    """What a master at `pace` makes of two writes and a random read."""
    wires = Wires()
    BitSlave(wires, A, LoggedTarget(), stretch=stretch)
    checker = TimingChecker(limits).watch(wires)
    master = BitMaster(wires, pace)
    for _ in range(2):
        run(wires.clock, master.transfer([Message(A, 0, b"\x10\xa5")]))
    found = run(wires.clock, master.transfer([Message(A, 0, b"\x10"), Message(A, I2C_M_RD, length=3)]))
    assert found == [b"\xa5\x11\x12"]
    return checker


def broken(checker: TimingChecker) -> set[Parameter]:
    return {each.parameter for each in checker.violations}


@by_mode
def test_a_good_master_passes(limits: Limits) -> None:
    checker = judge(limits, Pace.at(limits.hz))
    assert checker.good, checker.report()
    seen = {parameter for parameter, each in checker.measured.items() if each.count}
    assert seen == set(Parameter) - {Parameter.STRETCH}
    assert judge(limits, Pace.at(limits.hz), steady(20_000, 20_000)).measured[Parameter.STRETCH].count


Change = Callable[[Pace], Pace]

CHANGES: dict[Parameter, Change] = {
    Parameter.LOW: lambda pace: replace(pace, low_ns=450, high_ns=20_000, data_ns=100),
    Parameter.HIGH: lambda pace: replace(pace, high_ns=200, low_ns=20_000),
    Parameter.START_SET_UP: lambda pace: replace(pace, start_set_up_ns=200),
    Parameter.START_HOLD: lambda pace: replace(pace, start_hold_ns=200),
    Parameter.DATA_SET_UP: lambda pace: replace(pace, data_ns=pace.low_ns - 40),
    Parameter.STOP_SET_UP: lambda pace: replace(pace, stop_set_up_ns=200),
    Parameter.FREE: lambda pace: replace(pace, free_ns=400),
}


@by_mode
@pytest.mark.parametrize("parameter", CHANGES, ids=lambda parameter: parameter.value)
def test_each_time_that_is_too_short_is_told(limits: Limits, parameter: Parameter) -> None:
    checker = judge(limits, CHANGES[parameter](Pace.at(limits.hz)))
    assert broken(checker) == {parameter}, checker.report()
    first = checker.violations[0]
    assert first.found_ns < first.limit_ns
    assert parameter.value in str(first)
    assert not checker.torn


@by_mode
def test_a_rate_that_is_too_high_is_told(limits: Limits) -> None:
    pace = Pace.at(limits.hz)
    floor = limits.ns(Parameter.LOW), limits.ns(Parameter.HIGH)
    quick = replace(pace, low_ns=floor[0], high_ns=floor[1])
    assert broken(judge(limits, quick)) == {Parameter.RATE}


@by_mode
def test_a_hold_time_where_a_table_demands_one(limits: Limits) -> None:
    """I2C itself demands none (0 ns); older SMBus demands 300 ns."""
    strict = limits.but(Parameter.DATA_HOLD, Limit(300, "SMBus 2.0, recalled", False))
    wires = Wires()
    BitSlave(wires, A, LoggedTarget(), hold_ns=400)
    checker = TimingChecker(strict).watch(wires)
    slow = Pace.at(100_000)
    run(wires.clock, BitMaster(wires, slow).transfer([Message(A, 0, b"\x10\xa5")]))
    assert Parameter.DATA_HOLD not in broken(checker)
    run(wires.clock, BitMaster(wires, replace(slow, data_ns=250), "host").transfer([Message(A, 0, b"\x10\xa5")]))
    assert Parameter.DATA_HOLD in broken(checker)
    assert min(each.found_ns for each in checker.violations if each.parameter is Parameter.DATA_HOLD) == 250


@by_mode
def test_a_stretch_beyond_what_a_module_may(limits: Limits) -> None:
    low = Pace.at(limits.hz).low_ns
    assert judge(limits, Pace.at(limits.hz), steady(data_ns=500_000 + low)).good
    checker = judge(limits, Pace.at(limits.hz), steady(data_ns=500_001 + low))
    assert broken(checker) == {Parameter.STRETCH}
    assert checker.stretches.longest_ns == 500_001
    assert "<= 1000 us: 3" in str(checker.stretches)


def test_the_histogram_of_stretches() -> None:
    low = Pace.at(400_000).low_ns
    times = iter([1_000, 1_001, 10_000, 499_999, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    checker = judge(mode_of(400_000), Pace.at(400_000), lambda pause, number: low + next(times))
    assert str(checker.stretches).startswith("<= 1 us: 1, <= 2 us: 1, <= 10 us: 1, <= 500 us: 1")


def test_what_a_host_keeps_that_only_knows_i2c() -> None:
    """It starts again sooner than modules want, and I2C itself has nothing against it."""
    limits = mode_of(400_000)
    pace = replace(Pace.at(400_000), free_ns=1300)
    assert judge(plain_i2c(limits), pace).good
    assert broken(judge(limits, pace)) == {Parameter.FREE}


def test_edges_may_come_from_anywhere() -> None:
    """From a table of samples, without wires."""
    checker = TimingChecker(mode_of(400_000))
    for now, scl, sda in ((1000, True, False), (1500, False, False), (1600, False, True), (1650, True, True)):
        checker.edge(now, scl, sda)
    assert broken(checker) == {Parameter.START_HOLD, Parameter.LOW, Parameter.DATA_SET_UP}
    report = checker.report()
    assert "400k: not good" in report
    assert "tHD;STA  least 500 ns in 1 (limit 600 ns)" in report
    assert "20000 ns, recalled" in report


def test_rates_beyond_what_is_known_are_refused() -> None:
    with pytest.raises(KeyError):
        Pace.at(3_400_000)
