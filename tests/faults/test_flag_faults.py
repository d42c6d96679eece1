"""Faults of flags, as a host sees them: flag.stick, flag.drop, flag.spurious, flag.latency.

Rows of the field catalogue (sections 3 and 5) are named in the tests that reproduce them.
"""

from __future__ import annotations

import pytest
from cmis_host import OUTPUT_DISABLE_TX, READY, Host
from dr4 import dr4_profile
from faulty import arm, arming

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.occasions import Occasions

DR4 = "qsfpdd-400g-dr4"
CHANGED, FAILURE_TX, LOS_TX, LOL_TX, LOS_RX, LOL_RX = 134, 135, 136, 137, 147, 148
LOW_ALARM = 0b0010


def drain(host: Host) -> None:
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    host.read(0x2C, 128, 128)


def test_F1_a_wide_read_meant_for_something_else_eats_flags(emu: Emulator, host: Host) -> None:
    """The module is within its rights: every byte that leaves it is cleared, and no other."""
    assert host.byte(0, 3) & 1 == 0, "interrupt"
    assert host.read(0, 3, 6)[5] & 1, "39 bytes or 6: 8 is among them"
    assert host.byte(0, 8) == 0
    emu.ports["1"].module.flags.latch(emu.ports["1"].module.memory.cell("ModuleStateChangedFlag"))
    host.read(0, 3, 5)
    assert host.byte(0, 8) == 1, "7 was the last to go"


@pytest.mark.parametrize("faulty", [True, False])
def test_F2_tx_fault_for_40_s_after_insertion(faulty: bool) -> None:
    testbed = {"version": 1, "ports": {"1": {"bus": 1}}, "fibres": {"loop": {"from": "1", "to": "1"}}}
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        port, host = emu.ports["1"], Host(emu.smbus(1))
        if faulty:
            arm(emu, "flag.spurious", field="FailureFlagTx", lasts="40 s")
        for _ in range(2):  # kept over a re-plug
            port.insert(DR4)
            emu.clock.advance(10)
            for _ in range(5):
                assert host.byte(0x11, FAILURE_TX) == (0x0F if faulty else 0)
                emu.clock.advance(0.2)
            emu.clock.advance(30)
            host.byte(0x11, FAILURE_TX)
            emu.clock.advance(1)
            assert host.byte(0x11, FAILURE_TX) == 0


def test_F3_tx_fault_until_the_link_is_there(emu: Emulator, host: Host) -> None:
    clear = arm(emu, "flag.stick", field="FailureFlagTx", lanes=[1])
    for _ in range(5):
        assert host.byte(0x11, FAILURE_TX) == 1
    clear()  # as a scenario does when the state is entered
    assert host.byte(0x11, FAILURE_TX) == 1, "latched still"
    assert host.byte(0x11, FAILURE_TX) == 0


@pytest.mark.parametrize("faulty", [True, False])
def test_F4_cdr_loss_of_lock_stays_set_on_all_host_lanes(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "flag.stick", field="CDRLOLFlagTx")
    drain(host)
    emu.clock.advance(60)
    assert host.byte(0x11, LOL_TX) == (0xFF if faulty else 0)
    assert not faulty or not emu.ports["1"].pins.IntL
    host.write(0, 26, 0x48)
    emu.clock.advance(10)
    drain(host)
    assert host.byte(0x11, LOL_TX) == (0xFF if faulty else 0), "after a reset too"


def test_S13_cdr_loss_of_lock_without_a_host_signal(emu: Emulator, host: Host) -> None:
    drain(host)
    assert host.byte(0x11, LOL_TX) == 0
    away = arm(emu, "link.host_signal", present=False, lanes=[1, 2])
    emu.clock.advance(0.5)
    assert host.byte(0x11, LOS_TX) == 0b11
    assert host.byte(0x11, LOL_TX) == 0b11, "true, and on the lanes that have none"
    away()
    emu.clock.advance(0.5)
    drain(host)
    emu.clock.advance(0.5)
    assert host.byte(0x11, LOL_TX) == 0
    arm(emu, "flag.spurious", field="CDRLOLFlagTx", lanes=[3], holds=True)
    for _ in range(3):
        assert host.byte(0x11, LOL_TX) == 0b100
        emu.clock.advance(0.2)


@pytest.mark.parametrize("faulty", [True, False])
def test_F8_the_low_alarm_of_the_error_ratio_on_a_healthy_link(emu: Emulator, host: Host, faulty: bool) -> None:
    emu.clock.advance(60)
    drain(host)
    if faulty:
        arm(emu, "flag.stick", field="VDMFlags", lanes=[28, 29, 30, 31], alarm="low-alarm")
    for _ in range(3):
        flags = host.read(0x2C, 128, 32)
        assert flags[13] == (LOW_ALARM << 4 if faulty else 0)
        assert flags[14] == (LOW_ALARM | LOW_ALARM << 4 if faulty else 0)
        emu.clock.advance(1)


@pytest.mark.parametrize("faulty", [True, False])
def test_F9_flags_right_after_a_link_change_are_not_yet_updated(emu: Emulator, host: Host, faulty: bool) -> None:
    drain(host)
    if faulty:
        arm(emu, "flag.latency", field="LOSFlagRx", time="800 ms")
    emu.fibres["loop"].cut()
    emu.clock.advance(0.3)
    assert (host.byte(0x11, LOS_RX) == 0) == faulty
    assert host.byte(0x11, LOL_RX) == 0x0F
    emu.clock.advance(0.7)
    assert host.byte(0x11, LOS_RX) == 0x0F
    assert not emu.ports["1"].pins.IntL


@pytest.mark.parametrize("faulty", [True, False])
def test_a_flag_that_never_sets(emu: Emulator, host: Host, faulty: bool) -> None:
    drain(host)
    if faulty:
        clear = arm(emu, "flag.drop", field="LOSFlagRx", lanes=[1, 2])
    emu.fibres["loop"].cut()
    emu.clock.advance(1)
    assert host.byte(0x11, LOS_RX) == (0b1100 if faulty else 0x0F)
    emu.clock.advance(1)
    assert host.byte(0x11, LOS_RX) == (0b1100 if faulty else 0x0F)
    if faulty:
        clear()
        assert host.byte(0x11, LOS_RX) & 0b11 == 0b11, "it still holds"


def test_a_flag_that_is_dropped_now_and_then(emu: Emulator, host: Host) -> None:
    drain(host)
    occasions = Occasions(emu.seed, 3, every=2)
    arming(emu, "flag.drop", occasions, field="DPStateChangedFlag")
    seen = []
    for value in (1, 0, 1, 0):
        host.control(OUTPUT_DISABLE_TX, value)
        emu.settle()
        seen.append(host.changed())
    assert seen == [0, 0xFF, 0, 0xFF]


def test_stuck_from_when_it_is_set_and_for_some_reads(emu: Emulator, host: Host) -> None:
    drain(host)
    arm(emu, "flag.stick", field="LOSFlagRx", lanes=[1], once_set=True, count=2)
    emu.clock.advance(1)
    assert host.byte(0x11, LOS_RX) == 0
    emu.fibres["loop"].cut()
    emu.clock.advance(0.3)
    emu.fibres["loop"].restore()
    emu.clock.advance(1)
    assert [host.byte(0x11, LOS_RX) for _ in range(4)] == [0x0F, 1, 1, 0]


def test_an_event_for_no_reason(emu: Emulator, host: Host) -> None:
    drain(host)
    assert emu.ports["1"].pins.IntL
    arm(emu, "flag.spurious", field="ModuleStateChangedFlag")
    assert not emu.ports["1"].pins.IntL
    assert host.byte(0, 8) == 1
    emu.clock.advance(5)
    assert host.byte(0, 8) == 0
    assert host.module_state() == READY


def test_two_faults_of_one_flag(emu: Emulator, host: Host) -> None:
    drain(host)
    arm(emu, "flag.drop", field="LOSFlagRx", lanes=[1])
    late = arm(emu, "flag.latency", field="LOSFlagRx", time="1 s")
    emu.fibres["loop"].cut()
    emu.clock.advance(0.5)
    assert host.byte(0x11, LOS_RX) == 0
    emu.clock.advance(1)
    assert host.byte(0x11, LOS_RX) == 0b1110
    late()
    emu.clock.advance(0.5)
    assert host.byte(0x11, LOS_RX) == 0b1110


@pytest.mark.parametrize("field", ["ModuleState", "OutputDisableTx"])
def test_what_is_no_flag(emu: Emulator, field: str) -> None:
    with pytest.raises(InputError, match="a flag"):
        arm(emu, "flag.stick", field=field)


def test_the_profile_has_the_latency_that_the_tests_count_with() -> None:
    assert dr4_profile().get("behaviour", {}).get("flag_latency_ms", 100) == 100
