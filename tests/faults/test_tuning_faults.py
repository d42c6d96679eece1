"""Faults of tuning, as hosts see them: tune.refuse, tune.flag, tune.never_lock, tune.slow, tune.drift.

Rows K1 and K7 of the field catalogue are reproduced here and by scenarios of the library.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from cmis_host import ACTIVATED, DP_DEINIT, INITIALIZED, OUTPUT_DISABLE_TX, Host
from faulty import arm, arming, clear_all

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.occasions import Occasions

ZR = "qsfpdd-400g-zr"
CHANNEL, FREQUENCY, STATUS, FLAGS = 136, 168, 222, 231
FINE_OOR, NOT_ACCEPTED, INVALID, UNLOCKED, COMPLETE = 0x10, 0x08, 0x04, 0x02, 0x01
MOVING = 0x03


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, Snapshot]]:
    with Emulator.load(ZR, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(60)
        Host(emu.smbus(1)).control(OUTPUT_DISABLE_TX, 1)
        emu.clock.advance(1)
        yield emu, emu.snapshot()


@pytest.fixture
def emu(kept: tuple[Emulator, Snapshot]) -> Iterator[Emulator]:
    """In DPInitialized, its output disabled; flags read."""
    kept[0].restore(kept[1])
    host = Host(kept[0].smbus(1))
    host.read(0x12, FLAGS, 8)
    assert host.states() == [INITIALIZED] * 8
    yield kept[0]
    clear_all()


@pytest.fixture
def host(emu: Emulator) -> Host:
    return Host(emu.smbus(1))


def ask(host: Host, channel: int) -> None:
    host.write(0x12, CHANNEL, *struct.pack(">h", channel))


def ghz(host: Host) -> float:
    return int.from_bytes(host.read(0x12, FREQUENCY, 4), "big") / 1000


@pytest.mark.parametrize(
    ("flag", "bit"), [("not-accepted", NOT_ACCEPTED), ("invalid-channel", INVALID), ("fine-out-of-range", FINE_OOR),
                      ("none", 0)]
)  # fmt: skip
def test_a_request_is_refused(emu: Emulator, host: Host, flag: str, bit: int) -> None:
    """K1: a frequency that page 04h offers is refused; a request that is no good anyway is no occasion."""
    occasions = Occasions(count=2)
    arming(emu, "tune.refuse", occasions, **{"with": flag})
    ask(host, 1)
    assert (host.byte(0x12, FLAGS), occasions.seen) == (INVALID, 0)
    for taken in (1, 2):
        ask(host, 12)
        assert (host.byte(0x12, FLAGS), host.byte(0x12, STATUS), occasions.taken) == (bit, 0, taken)
        emu.clock.advance(6)
        assert ghz(host) == 193100
    ask(host, 12)
    emu.clock.advance(6)
    assert ghz(host) == 193400


def test_other_lanes_than_those_are_followed(emu: Emulator, host: Host) -> None:
    arm(emu, "tune.refuse", lanes=[2])
    ask(host, 12)
    emu.clock.advance(6)
    assert ghz(host) == 193400


def test_a_slow_tuning(emu: Emulator, host: Host) -> None:
    """K7: TuningInProgress holds until the next request comes."""
    clear = arm(emu, "tune.slow", time="30 s")
    ask(host, 12)
    emu.clock.advance(29.9)
    assert (host.byte(0x12, STATUS), ghz(host)) == (MOVING, 193100)
    ask(host, 24)
    emu.clock.advance(29.9)
    assert host.byte(0x12, STATUS) == MOVING
    emu.clock.advance(0.2)
    assert (host.byte(0x12, STATUS), ghz(host)) == (0, 193700)
    clear()
    ask(host, 12)
    emu.clock.advance(4.1)
    assert ghz(host) == 193400


@pytest.mark.parametrize("quiet", [False, True])
def test_a_tuning_that_never_ends(emu: Emulator, host: Host, quiet: bool) -> None:
    clear = arm(emu, "tune.never_lock", quiet=quiet, count=1)
    ask(host, 12)
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.clock.advance(3600)
    assert host.byte(0x12, STATUS) == (0x01 if quiet else MOVING)
    assert host.byte(0x12, FLAGS) == UNLOCKED
    assert (host.states(), host.output_tx()) == ([ACTIVATED] * 8, 0)
    clear()
    emu.clock.advance(5)
    assert (host.byte(0x12, STATUS), ghz(host), host.output_tx()) == (0, 193400, 1)


def test_a_new_request_may_find_a_lock(emu: Emulator, host: Host) -> None:
    arm(emu, "tune.never_lock", count=1)
    ask(host, 12)
    emu.clock.advance(60)
    ask(host, 15)
    emu.clock.advance(5)
    assert (host.byte(0x12, STATUS), ghz(host)) == (0, 193475)


def test_a_reset_ends_a_tuning_that_never_ends(emu: Emulator, host: Host) -> None:
    arm(emu, "tune.never_lock", count=1)
    ask(host, 12)
    emu.clock.advance(60)
    host.write(0, 26, 0x48)
    emu.clock.advance(60)
    assert (host.byte(0x12, STATUS), ghz(host), host.output_tx()) == (0, 193100, 1)


@pytest.mark.parametrize(("flag", "bits"), [("none", 0), ("not-accepted", NOT_ACCEPTED), ("invalid-channel", INVALID)])
def test_the_wrong_flag_at_the_end(emu: Emulator, host: Host, flag: str, bits: int) -> None:
    arm(emu, "tune.flag", flag=flag, count=1)
    ask(host, 12)
    emu.clock.advance(3.9)
    host.byte(0x12, FLAGS)
    emu.clock.advance(0.2)
    assert host.byte(0x12, FLAGS) & ~UNLOCKED == bits
    ask(host, 15)
    emu.clock.advance(6)
    assert host.byte(0x12, FLAGS) & COMPLETE


def test_a_drift_comes_and_goes(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.clock.advance(10)
    clear = arm(emu, "tune.drift", by="3 GHz", over="30 s")
    emu.clock.advance(10)
    assert ghz(host) == pytest.approx(193101, abs=0.1)
    assert (host.byte(0x12, STATUS), host.byte(0x12, FLAGS) & UNLOCKED) == (0, 0)
    emu.clock.advance(25)
    assert ghz(host) == 193103
    assert (host.byte(0x12, STATUS), host.byte(0x12, FLAGS)) == (1, UNLOCKED)
    second = arm(emu, "tune.drift", by="-3 GHz")
    emu.clock.advance(1)
    assert (host.byte(0x12, STATUS), ghz(host)) == (0, 193100)
    second()
    clear()
    emu.clock.advance(1)
    assert (host.byte(0x12, STATUS), ghz(host)) == (0, 193100)


def test_faults_stay_over_a_new_module(emu: Emulator, host: Host) -> None:
    arm(emu, "tune.never_lock")
    emu.ports["1"].remove()
    emu.clock.advance(1)
    emu.ports["1"].insert(ZR)
    emu.clock.advance(60)
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(2)
    ask(host, 12)
    emu.clock.advance(60)
    assert host.byte(0x12, STATUS) == MOVING


def test_a_module_with_fixed_lasers_notices_nothing() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        for name, arguments in (("tune.refuse", {}), ("tune.drift", {"by": "5 GHz"}), ("tune.slow", {"time": "1 s"})):
            arm(emu, name, **arguments)
        emu.clock.advance(5)
        host = Host(emu.smbus(1))
        assert host.states() == [ACTIVATED] * 8
        host.read(0x11, 134, 20)
        emu.clock.advance(1)
        assert host.read(0x11, 134, 20) == bytes(20)
    clear_all()


def test_a_lane_that_is_no_lane(emu: Emulator) -> None:
    with pytest.raises(InputError, match="a list of lanes from 1, or all"):
        arm(emu, "tune.slow", time="1 s", lanes=[0])
