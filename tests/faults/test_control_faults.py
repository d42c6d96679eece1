"""Faults of controls and of applying staged sets, as a host sees them.

Rows of the field catalogue (sections 1 and 3) are named in the tests that reproduce them.
"""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_IMMEDIATE,
    DEACTIVATED,
    DP_DEINIT,
    IN_PROGRESS,
    INIT,
    LOW_PWR,
    OUTPUT_DISABLE_TX,
    PARTIAL,
    READY,
    REJECTED,
    SUCCESS,
    UNDEFINED,
    Host,
    dp_config,
)
from faulty import arm, arming

from cmis_emu import Emulator, InputError
from cmis_emu.occasions import Occasions

LANES = range(1, 9)
LEGS = ((1, 2), (3, 4), (5, 6), (7, 8))


def down(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()


def stage_legs(host: Host, *legs: int) -> None:
    for leg in legs:
        host.stage(LEGS[leg], dp_config(2, 2 * leg))


def four(emu: Emulator, host: Host) -> None:
    """Four data paths, provisioned and deactivated."""
    down(emu, host)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8


# -- controls -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", ["written", "old"])
def test_S25_tx_disable_is_acted_on_late(emu: Emulator, host: Host, reads: str) -> None:
    """B13 too: the old value reads back for a while."""
    arm(emu, "ctrl.delay", field="OutputDisableTx", time="500 ms", reads=reads)
    emu.clock.advance(1)
    host.control(OUTPUT_DISABLE_TX, 0x0F)
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == (0x0F if reads == "written" else 0)
    emu.clock.advance(0.4)
    assert host.states() == [ACTIVATED] * 8
    assert host.tx_power_uw(1) > 100
    emu.clock.advance(0.2)
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0x0F
    assert host.tx_power_uw(1) == 0


def test_without_the_fault_tx_disable_acts_at_once(emu: Emulator, host: Host) -> None:
    emu.clock.advance(1)
    host.control(OUTPUT_DISABLE_TX, 0x0F)
    emu.clock.advance(0.1)
    assert host.tx_power_uw(1) == 0


def test_S19_low_power_is_asked_for_and_nothing_happens(emu: Emulator, host: Host) -> None:
    clear = arm(emu, "ctrl.ignore", field="LowPwrRequestSW")
    host.write(0, 26, 0x50)
    assert host.byte(0, 26) == 0x50
    emu.clock.advance(30)
    assert host.module_state() == READY
    host.write(0, 26, 0x58)  # its neighbour in the byte works: a reset
    assert not host.answers()
    emu.clock.advance(30)
    assert (host.module_state(), host.byte(0, 26)) == (READY, 0x40)
    host.write(0, 26, 0x50)
    clear()
    emu.settle()
    assert host.module_state() == LOW_PWR, "what reads as written holds when the fault is gone"


def test_a_write_that_is_lost_stays_lost(emu: Emulator, host: Host) -> None:
    clear = arm(emu, "ctrl.ignore", field="OutputDisableTx", reads="old")
    host.control(OUTPUT_DISABLE_TX, 0x0F)
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0
    clear()
    emu.clock.advance(5)
    assert host.states() == [ACTIVATED] * 8


def test_lanes_and_occasions_of_a_control(emu: Emulator, host: Host) -> None:
    four(emu, host)
    host.control(DP_DEINIT, 0)
    emu.settle()
    occasions = Occasions(emu.seed, 1, count=1)
    arming(emu, "ctrl.ignore", occasions, field="OutputDisableTx", lanes=[2])
    host.control(OUTPUT_DISABLE_TX, 0b0011)
    emu.settle()
    assert [host.tx_power_uw(n) > 0 for n in (1, 2, 3)] == [False, True, True]
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0b0011
    host.control(OUTPUT_DISABLE_TX, 0b0010)
    emu.settle()
    assert [host.tx_power_uw(n) > 0 for n in (1, 2, 3)] == [True, False, True], "it struck once"
    assert occasions.taken == 1


def test_a_trigger_that_is_not_acted_on(emu: Emulator, host: Host) -> None:
    down(emu, host)
    clear = arm(emu, "ctrl.ignore", field="SCS0.ApplyDPInitLane")
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [UNDEFINED] * 8
    host.apply(0xFF, APPLY_IMMEDIATE)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8
    clear()
    emu.clock.advance(1)
    assert host.pending() == 0, "a trigger reads 0, so nothing is made up for"


def test_a_later_write_that_acts_at_once_outdates_one_that_waits(emu: Emulator, host: Host) -> None:
    arm(emu, "ctrl.delay", field="OutputDisableTx", time="2 s", count=1)
    host.control(OUTPUT_DISABLE_TX, 0x0F)
    emu.clock.advance(1)
    host.control(OUTPUT_DISABLE_TX, 0x00)
    emu.clock.advance(10)
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0
    assert host.states() == [ACTIVATED] * 8


def test_block_writes_and_resets_of_what_waits(emu: Emulator, host: Host) -> None:
    arm(emu, "ctrl.delay", field="OutputDisableTx", time="2 s")
    host.write(0x10, 129, 0x00, 0x0F, 0x03)  # polarity, Tx disable, squelch
    assert host.read(0x10, 129, 3) == b"\x00\x0f\x03"
    assert host.read(0x10, 128, 128)[2] == 0x0F
    emu.clock.advance(1)
    assert host.states() == [ACTIVATED] * 8
    host.write(0, 26, 0x48)
    emu.clock.advance(10)
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.parametrize("field", ["PageSelect", "ModuleState", "NoSuchField", "OutputDisableTx9"])
def test_controls_that_are_refused(emu: Emulator, field: str) -> None:
    with pytest.raises((InputError, KeyError)):
        arm(emu, "ctrl.ignore", field=field)


# -- results of apply -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [True, False])
def test_S1_one_lane_stays_in_progress(emu: Emulator, host: Host, faulty: bool) -> None:
    four(emu, host)
    if faulty:
        clear = arm(emu, "apply.result", status="ConfigInProgress", lanes=[3], probability=0.5)
    stuck = False
    for _ in range(8):  # one in some cycles
        host.apply(0xFF)
        emu.clock.advance(60)
        stuck = host.status() == [SUCCESS] * 2 + [IN_PROGRESS] + [SUCCESS] * 5
        if stuck:
            break
        assert host.status() == [SUCCESS] * 8
    assert stuck == faulty
    if faulty:
        host.apply(0xFF)
        emu.clock.advance(60)
        assert host.status()[2] == IN_PROGRESS, "past every retry"
        clear()
        assert host.status() == [SUCCESS] * 8


def test_S1_another_reset_ends_it(emu: Emulator, host: Host) -> None:
    down(emu, host)
    arm(emu, "apply.result", status="ConfigInProgress", lanes=[3], count=1)
    host.apply(0xFF)
    emu.clock.advance(60)
    assert host.status()[2] == IN_PROGRESS
    host.write(0, 26, 0x48)
    emu.settle()
    emu.clock.advance(10)
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.parametrize("faulty", [True, False])
def test_S4_app_sel_0_is_refused(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "apply.result", status="ConfigRejected", app_sel=0)
    down(emu, host)
    for _ in range(3):
        host.stage(LANES, 0)
        host.apply(0xFF)
        emu.clock.advance(1)
        assert host.status() == [REJECTED if faulty else SUCCESS] * 8
        assert host.active() == [0x10 if faulty else 0] * 8
    host.stage(LANES, dp_config(1, 0))
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8


def test_S5_a_regrouping_needs_all_lanes_released(emu: Emulator, host: Host) -> None:
    """The legal rules already refuse a part; the fault refuses a regrouping without a release, too."""
    down(emu, host)
    stage_legs(host, 0)
    host.apply(0x03)
    emu.clock.advance(1)
    assert host.status()[:2] == [PARTIAL] * 2
    arm(emu, "apply.result", status="ConfigRejectedPartialDataPath", app_sel=2, count=1)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [PARTIAL] * 8
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8


@pytest.mark.parametrize("faulty", [True, False])
def test_S15_nothing_known_right_after_an_apply(emu: Emulator, host: Host, faulty: bool) -> None:
    down(emu, host)
    host.apply(0xFF)
    emu.clock.advance(1)
    if faulty:
        arm(emu, "apply.result", status="ConfigUndefined", in_progress="0 ms", lasts="300 ms")
    host.apply(0xFF)
    emu.clock.advance(0.001)
    assert host.status() == [UNDEFINED if faulty else IN_PROGRESS] * 8
    emu.clock.advance(0.25)
    assert host.status() == [UNDEFINED if faulty else SUCCESS] * 8
    emu.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8
    assert host.active() == [0x10] * 8


def test_S16_the_application_is_taken_in_low_power_only(emu: Emulator, host: Host) -> None:
    arm(emu, "apply.result", status="ConfigRejected", module_state="ModuleReady")
    down(emu, host)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [REJECTED] * 8
    emu.ports["1"].pins.LPMode = True
    emu.settle()
    assert host.module_state() == LOW_PWR
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8
    emu.ports["1"].pins.LPMode = False
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.parametrize("faulty", [True, False])
@pytest.mark.parametrize("wait", [True, False])
def test_S28_an_apply_while_another_is_in_progress_stays_in_progress(
    emu: Emulator, host: Host, faulty: bool, wait: bool
) -> None:
    four(emu, host)
    if faulty:
        arm(emu, "apply.result", status="ConfigInProgress", while_another=True, probability=0.2)
    stuck = 0
    for _ in range(30):
        for leg in range(4):
            host.apply(3 << 2 * leg)
            emu.clock.advance(0.1 if wait else 0.02)
        emu.clock.advance(1)
        stuck = sum(status == IN_PROGRESS for status in host.status())
        if stuck:
            break
    assert stuck == (2 if faulty and not wait else 0), "gone when the host waits for the others"


def test_a_status_that_lies_about_what_was_applied(emu: Emulator, host: Host) -> None:
    down(emu, host)
    arm(emu, "apply.result", status="ConfigRejected", applied=True, count=1)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [REJECTED] * 8
    assert host.active()[0] == 0x20
    arm(emu, "apply.result", status="ConfigSuccess", applied=False, count=1)
    host.stage(LANES, dp_config(1, 0))
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8
    assert host.active()[0] == 0x20


@pytest.mark.parametrize(
    "condition",
    [{"staged_set": 1}, {"trigger": "immediate"}, {"path_state": "DPActivated"}, {"module_state": "ModuleLowPwr"}],
)
def test_conditions_that_do_not_hold(emu: Emulator, host: Host, condition: dict[str, Any]) -> None:
    down(emu, host)
    occasions = Occasions(emu.seed, 1)
    arming(emu, "apply.result", occasions, status="ConfigRejected", **condition)
    host.apply(0xFF)
    emu.clock.advance(1)
    assert host.status() == [SUCCESS] * 8
    assert occasions.seen == 0


def test_lanes_report_at_their_own_times(emu: Emulator, host: Host) -> None:
    four(emu, host)
    arm(emu, "apply.result", in_progress="700 ms", lanes=[5, 6])
    arm(emu, "apply.result", status="ConfigRejected", lanes=[1, 2])
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert host.status() == [REJECTED] * 2 + [SUCCESS] * 2 + [IN_PROGRESS] * 2 + [SUCCESS] * 2
    emu.clock.advance(1)
    assert host.status() == [REJECTED] * 2 + [SUCCESS] * 6


# -- side effects of apply ------------------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [True, False])
def test_S3_applying_one_data_path_clears_pending_of_another(emu: Emulator, host: Host, faulty: bool) -> None:
    four(emu, host)
    assert host.pending() == 0xFF
    if faulty:
        arm(emu, "apply.sideeffect", what="clear-pending", lanes=[3, 4])
    host.apply(0x03)
    emu.clock.advance(0.1)
    assert host.pending() == (0b11110011 if faulty else 0xFF)


@pytest.mark.parametrize("faulty", [True, False])
def test_S14_the_next_apply_on_other_lanes_is_refused(emu: Emulator, host: Host, faulty: bool) -> None:
    four(emu, host)
    if faulty:
        arm(emu, "apply.sideeffect", what="busy", time="500 ms")
    host.apply(0x03)
    emu.clock.advance(0.1)
    assert host.status()[0] == SUCCESS
    host.apply(0x0C)
    emu.clock.advance(0.1)
    assert host.status()[2] == (REJECTED if faulty else SUCCESS)
    emu.clock.advance(0.5)
    host.apply(0x0C)
    emu.clock.advance(0.1)
    assert host.status()[2] == SUCCESS


@pytest.mark.parametrize("faulty", [True, False])
def test_S22_a_speed_change_of_one_takes_its_siblings_down(emu: Emulator, host: Host, faulty: bool) -> None:
    four(emu, host)
    host.control(DP_DEINIT, 0)
    emu.settle()
    emu.clock.advance(5)
    host.changed()
    if faulty:
        arm(emu, "apply.sideeffect", what="disturb")
    host.control(DP_DEINIT, 0x03)
    emu.settle()
    host.apply(0x03)
    emu.clock.advance(0.05)
    emu.clock.advance(1)
    states = host.states()
    assert states[:2] == [DEACTIVATED] * 2
    assert (states[2:] == [INIT] * 6) == faulty
    assert (states[2:] == [ACTIVATED] * 6) == (not faulty)
    emu.settle()
    assert host.states()[2:] == [ACTIVATED] * 6
    assert (host.changed() & 0xFC == 0xFC) == faulty
