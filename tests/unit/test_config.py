"""Staged and active control sets, triggers and their results (rules CFG-01 to CFG-16)."""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_DP_INIT,
    APPLY_IMMEDIATE,
    APPLY_IMMEDIATE_RX,
    APPLY_IMMEDIATE_TX,
    DEACTIVATED,
    DP_CONFIG,
    DP_DEINIT,
    IN_PROGRESS,
    INIT,
    INITIALIZED,
    INVALID_APP_SEL,
    INVALID_DATA_PATH,
    INVALID_SI,
    LANES_IN_USE,
    OUTPUT_DISABLE_TX,
    PARTIAL,
    REJECTED,
    SCS1,
    SUCCESS,
    UNDEFINED,
    Host,
    dp_config,
)
from dr4 import Variant

from cmis_emu import Emulator, ManualClock

LANES = range(1, 9)
ONE_400G = [0x10] * 8
FOUR_100G = [0x20, 0x20, 0x24, 0x24, 0x28, 0x28, 0x2C, 0x2C]

# Staged signal integrity of set 0, and what the active set shows (first byte, bytes).
EQ_ENABLE, EQ_RECALL, EQ_TARGET, CDR_TX, CDR_RX = 153, 154, 156, 160, 161
PRE, POST, AMPLITUDE = 162, 166, 170
ACTIVE_EQ_ENABLE, ACTIVE_EQ_RECALLED, ACTIVE_EQ_TARGET, ACTIVE_CDR_TX, ACTIVE_CDR_RX = 214, 215, 217, 221, 222
ACTIVE_PRE, ACTIVE_POST, ACTIVE_AMPLITUDE = 223, 227, 231
DEFAULT_SI = {ACTIVE_EQ_ENABLE: "ff", ACTIVE_CDR_TX: "ff", ACTIVE_CDR_RX: "ff"}
DEFAULT_SI |= {ACTIVE_PRE: "33333333", ACTIVE_POST: "00000000", ACTIVE_AMPLITUDE: "22222222"}


def si(host: Host) -> dict[int, str]:
    return {at: host.read(0x11, at, len(text) // 2).hex() for at, text in DEFAULT_SI.items()}


def down(emu: Emulator) -> Host:
    """The host has taken every data path down."""
    host = Host(emu.smbus(1))
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    return host


def stage_legs(host: Host, *legs: int, staged_set: int = 0) -> None:
    for leg in legs:
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg), staged_set)


def released(emu: Emulator) -> Host:
    """Down, and every lane out of use (AppSel 0)."""
    host = down(emu)
    host.stage(LANES, 0)
    host.apply(0xFF)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    return host


def broken_out(emu: Emulator) -> Host:
    """Four 100G data paths, activated."""
    host = released(emu)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    return host


def apply_and_wait(emu: Emulator, host: Host, mask: int, trigger: int = APPLY_DP_INIT) -> list[int]:
    host.apply(mask, trigger)
    emu.clock.advance(0.1)
    return host.status()


# -- sets and triggers ------------------------------------------------------------------------------


@pytest.mark.rule("CFG-01", "APP-06")
def test_staging_alone_changes_nothing(emu: Emulator, host: Host) -> None:
    before = host.active(), host.status(), si(host)
    host.stage(LANES, dp_config(2, 4, 1))
    host.stage(LANES, dp_config(2, 4, 1), staged_set=1)
    host.write(0x10, PRE, 0x11)
    emu.clock.advance(2)
    assert host.read(0x10, DP_CONFIG, 8) == bytes([0x29] * 8)
    assert host.read(0x10, DP_CONFIG + SCS1, 8) == bytes([0x29] * 8)
    assert (host.active(), host.status(), si(host)) == before
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-01", "I2C-07")
def test_active_set_is_read_only(host: Host) -> None:
    before = host.read(0x11, 202, 34)
    for offset in range(202, 236):
        host.write(0x11, offset, 0xFF)
    assert host.read(0x11, 202, 34) == before


@pytest.mark.rule("CFG-01")
def test_staged_set_1_applies_like_set_0(emu: Emulator) -> None:
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3, staged_set=1)
    host.apply(0xFF, staged_set=1)
    assert host.status() == [IN_PROGRESS] * 8
    emu.settle()
    assert host.active() == FOUR_100G
    assert host.read(0x10, DP_CONFIG, 8) == bytes(ONE_400G)  # set 0 is what the host last staged there


@pytest.mark.rule("CFG-01")
def test_module_without_staged_set_1(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        del profile["registers"]["StagedSet1Supported"]

    emu = variant(edit)
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3, staged_set=1)
    host.apply(0xFF, staged_set=1)
    host.apply(0xFF, APPLY_IMMEDIATE, staged_set=1)
    emu.settle()
    assert host.read(0x10, 178, 35) == bytes(35)
    assert host.status() == [UNDEFINED] * 8
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-02")
def test_triggers_read_0(emu: Emulator, host: Host) -> None:
    for trigger in (APPLY_DP_INIT, APPLY_IMMEDIATE, APPLY_DP_INIT + SCS1, APPLY_IMMEDIATE + SCS1):
        host.write(0x10, trigger, 0xFF)
        assert host.byte(0x10, trigger) == 0
        emu.settle()


@pytest.mark.rule("CFG-02", "CFG-03")
def test_an_empty_mask_does_nothing(emu: Emulator, host: Host) -> None:
    assert apply_and_wait(emu, host, 0) == [UNDEFINED] * 8
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-02", "CFG-04", "CFG-10")
def test_one_write_for_several_data_paths_judges_each_alone(emu: Emulator) -> None:
    host = broken_out(emu)
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage((3, 4), dp_config(9, 2))  # no such application
    host.stage((5, 6), dp_config(2, 4, 1))
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 2 + [INVALID_APP_SEL] * 2 + [SUCCESS] * 4
    assert host.active() == [0x20, 0x20, 0x24, 0x24, 0x29, 0x29, 0x2C, 0x2C]
    assert host.pending() == 0b11110011


# -- acceptance ----------------------------------------------------------------------------------


@pytest.mark.rule("CFG-03", "CFG-06")
@pytest.mark.parametrize("trigger", [APPLY_DP_INIT, APPLY_IMMEDIATE])
def test_in_progress_shows_before_the_next_read(emu: Emulator, trigger: int) -> None:
    host = down(emu)
    host.apply(0xFF, trigger)
    assert host.status() == [IN_PROGRESS] * 8
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    emu.clock.advance(100)
    assert host.status() == [SUCCESS] * 8


@pytest.mark.rule("CFG-03")
def test_a_trigger_while_in_progress_is_ignored(emu: Emulator) -> None:
    host = down(emu)
    host.apply(0xFF)
    emu.clock.advance(0.02)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    host.apply(0xFF, APPLY_IMMEDIATE)
    emu.settle()
    assert host.active() == ONE_400G  # the first one, as it was when it was triggered
    assert host.status() == [SUCCESS] * 8
    emu.clock.advance(1)
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-03")
def test_settings_staged_after_the_trigger_come_too_late(emu: Emulator) -> None:
    host = down(emu)
    host.stage(LANES, dp_config(1, 0, 1))
    host.apply(0xFF)
    host.write(0x10, PRE, 0x77)
    emu.settle()
    assert host.read(0x11, ACTIVE_PRE, 4) == bytes([0x33] * 4)


@pytest.mark.rule("CFG-03")
def test_a_trigger_in_a_transient_state_is_ignored(emu: Emulator) -> None:
    host = down(emu)
    host.control(DP_DEINIT, 0)
    emu.clock.advance(0.5)
    assert host.states() == [INIT] * 8
    host.stage(LANES, dp_config(1, 0, 1))
    for trigger in (APPLY_DP_INIT, APPLY_IMMEDIATE):
        host.apply(0xFF, trigger)
        assert host.status() == [UNDEFINED] * 8
    emu.settle()
    assert host.status() == [UNDEFINED] * 8
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-03")
def test_the_others_of_a_write_are_not_ignored(emu: Emulator) -> None:
    host = broken_out(emu)
    host.control(DP_DEINIT, 0x03)  # lanes 1 and 2 on their way down
    host.apply(0xFF, APPLY_IMMEDIATE)
    assert host.status() == [SUCCESS] * 2 + [IN_PROGRESS] * 6


@pytest.mark.rule("CFG-03", "CFG-13")
def test_init_waits_for_the_configuration_to_end(emu: Emulator) -> None:
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3)
    host.apply(0xFF)
    host.control(DP_DEINIT, 0)
    assert host.states() == [DEACTIVATED] * 8
    emu.clock.advance(0.1)
    assert host.states() == [INIT] * 8
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    assert host.active() == FOUR_100G


@pytest.mark.rule("CFG-03", "CFG-12", "HOST-01")
def test_four_applies_20_ms_apart_are_independent(emu: Emulator) -> None:
    """A module that serialises them, or clears what others wait for, fails real hosts."""
    host = released(emu)
    for leg in range(4):
        stage_legs(host, leg)
        host.apply(3 << 2 * leg)
        assert host.status()[2 * leg : 2 * leg + 2] == [IN_PROGRESS] * 2
        emu.clock.advance(0.02)
        done = lanes_done(host)
        assert host.pending() == done  # what is done keeps its pending bit while the others work
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    assert host.pending() == 0xFF
    assert host.active() == FOUR_100G
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0xFC)
    emu.clock.advance(0.02)
    assert host.pending() == 0xFC
    assert host.states() == [INIT] * 2 + [DEACTIVATED] * 6
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    assert host.pending() == 0


def lanes_done(host: Host) -> int:
    active = host.active()
    return sum(1 << n for n, code in enumerate(host.status()) if code == SUCCESS and active[n])


@pytest.mark.rule("CFG-03", "CFG-07", "DP-03")
def test_applies_on_operating_legs_20_ms_apart(emu: Emulator) -> None:
    host = broken_out(emu)
    for leg in range(4):
        host.apply(3 << 2 * leg)
        emu.clock.advance(0.02)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    assert host.states() == [ACTIVATED] * 8
    assert host.pending() == 0


# -- execution ---------------------------------------------------------------------------------


@pytest.mark.rule("CFG-05", "APP-06")
def test_explicit_control_0_gives_the_defaults(emu: Emulator, host: Host) -> None:
    host.write(0x10, PRE, 0x55, 0x55, 0x55, 0x55)
    host.write(0x10, AMPLITUDE, 0x11, 0x11, 0x11, 0x11)
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE) == [SUCCESS] * 8
    assert si(host) == DEFAULT_SI
    host.stage(LANES, dp_config(1, 0, 1))
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE) == [SUCCESS] * 8
    assert si(host) == DEFAULT_SI | {ACTIVE_PRE: "55555555", ACTIVE_AMPLITUDE: "11111111"}
    assert host.active() == [0x11] * 8
    host.stage(LANES, dp_config(1, 0, 0))
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE) == [SUCCESS] * 8
    assert si(host) == DEFAULT_SI


@pytest.mark.rule("CFG-02", "CFG-05", "CFG-07", "CFG-10", "DP-05")
def test_apply_immediate_changes_settings_in_place(emu: Emulator, host: Host) -> None:
    power = host.tx_power_uw(1)
    host.read(0x11, 134, 20)
    host.stage((3,), dp_config(1, 0, 1))
    host.write(0x10, PRE + 1, 0x36)  # lane 3
    assert apply_and_wait(emu, host, 0x04, APPLY_IMMEDIATE) == [0, 0, SUCCESS, 0, 0, 0, 0, 0]
    assert host.read(0x11, ACTIVE_PRE, 4) == bytes([0x33, 0x36, 0x33, 0x33])
    assert host.active() == [0x10, 0x10, 0x11, 0x10, 0x10, 0x10, 0x10, 0x10]
    assert host.states() == [ACTIVATED] * 8
    assert host.pending() == 0
    assert host.changed() == 0
    assert host.tx_power_uw(1) == pytest.approx(power, rel=0.1)


@pytest.mark.rule("CFG-02", "CFG-07")
def test_settings_of_one_lane_in_initialized(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.settle()
    host.stage((8,), dp_config(1, 0, 1))
    host.write(0x10, AMPLITUDE + 3, 0x02)  # lane 8: code 0
    assert apply_and_wait(emu, host, 0x80, APPLY_IMMEDIATE) == [0] * 7 + [SUCCESS]
    assert host.read(0x11, ACTIVE_AMPLITUDE, 4) == bytes([0x22, 0x22, 0x22, 0x02])
    assert host.states() == [INITIALIZED] * 8


@pytest.mark.rule("CFG-02", "CFG-08")
def test_one_lane_by_apply_dp_init_is_a_part_of_a_data_path(emu: Emulator, host: Host) -> None:
    assert apply_and_wait(emu, host, 0x04) == [0, 0, PARTIAL, 0, 0, 0, 0, 0]
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-07", "DP-06")
def test_apply_in_deactivated(emu: Emulator) -> None:
    host = down(emu)
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE) == [SUCCESS] * 8
    assert host.pending() == 0  # provisioned; no request for an initialisation
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.pending() == 0xFF
    assert host.states() == [DEACTIVATED] * 8


@pytest.mark.rule("CFG-07")
def test_apply_immediate_in_deactivated_regroups_lanes(emu: Emulator) -> None:
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3)
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE) == [SUCCESS] * 8
    assert host.active() == FOUR_100G
    assert host.pending() == 0
    host.control(DP_DEINIT, 0x3F)
    emu.settle()
    assert host.states() == [DEACTIVATED] * 6 + [ACTIVATED] * 2


@pytest.mark.rule("CFG-12", "DP-06")
def test_pending_is_there_with_the_success_and_until_deinit_is_cleared(emu: Emulator) -> None:
    """SONiC reads ConfigSuccess and, next, the pending bits of its port."""
    host = released(emu)
    stage_legs(host, 3)
    host.apply(0xC0)
    while host.status()[7] == IN_PROGRESS:
        emu.clock.advance(0.001)
    assert host.pending() == 0xC0
    emu.clock.advance(60)
    assert host.pending() == 0xC0
    host.control(DP_DEINIT, 0)
    assert host.pending() == 0


@pytest.mark.rule("CFG-12", "REV-02")
def test_revision_4_0_has_no_pending_bits_and_no_output_status(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["revision"] = "4.0"
        del profile["vdm"]  # has observables that came later

    emu = variant(edit)
    host = Host(emu.smbus(1))
    assert host.byte(0, 1) == 0x40
    assert host.states() == [ACTIVATED] * 8
    assert host.read(0x11, 132, 2) == bytes(2)  # as FBOSS's image of such a module shows it
    down(emu)
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.pending() == 0
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-13")
def test_deactivated_lasts_only_while_something_asks_for_it(emu: Emulator) -> None:
    host = down(emu)
    emu.clock.advance(3600)
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0)
    assert host.states() == [INIT] * 8


# -- validation ----------------------------------------------------------------------------------


@pytest.mark.rule("CFG-04", "CFG-08")
@pytest.mark.parametrize("app_sel", [3, 8, 15])
def test_invalid_app_sel(emu: Emulator, app_sel: int) -> None:
    host = down(emu)
    host.stage(LANES, dp_config(app_sel, 0))
    assert apply_and_wait(emu, host, 0xFF) == [INVALID_APP_SEL] * 8
    assert host.active() == ONE_400G
    assert host.pending() == 0


@pytest.mark.rule("CFG-04", "CFG-08", "APP-03", "APP-05")
@pytest.mark.parametrize(
    ("lanes", "config"),
    [
        ((2, 3), dp_config(2, 1)),  # start lane not offered
        ((1, 2), dp_config(2, 2)),  # DataPathID is not the first lane minus 1
        ((1, 2, 3), dp_config(2, 0)),  # one lane too many
        ((1, 3), dp_config(2, 0)),  # not contiguous
        ((1,), dp_config(2, 0)),  # one lane too few
        ((1, 2, 3, 4), dp_config(1, 0)),  # half of the eight
    ],
)
def test_invalid_data_path(emu: Emulator, lanes: tuple[int, ...], config: int) -> None:
    host = released(emu)
    host.stage(lanes, config)
    mask = sum(1 << (lane - 1) for lane in lanes)
    found = apply_and_wait(emu, host, mask)
    assert [found[lane - 1] for lane in lanes] == [INVALID_DATA_PATH] * len(lanes)
    assert host.active() == [0] * 8


@pytest.mark.rule("CFG-08", "CFG-10")
@pytest.mark.parametrize(("mask", "trigger"), [(0x0F, APPLY_DP_INIT), (0xFE, APPLY_IMMEDIATE), (0x01, APPLY_DP_INIT)])
def test_partial_mask_of_a_requested_data_path(emu: Emulator, mask: int, trigger: int) -> None:
    host = released(emu)
    host.stage(LANES, dp_config(1, 0))
    found = apply_and_wait(emu, host, mask, trigger)
    assert found == [PARTIAL if mask >> n & 1 else SUCCESS for n in range(8)]
    assert host.active() == [0] * 8


@pytest.mark.rule("CFG-08", "DP-17")
@pytest.mark.parametrize("config", [0, dp_config(2, 0)])
def test_partial_mask_of_an_existing_data_path(emu: Emulator, config: int) -> None:
    """Taking two lanes out of a data path of eight needs all eight in the mask."""
    host = down(emu)
    host.stage((1, 2), config)
    assert apply_and_wait(emu, host, 0x03) == [PARTIAL] * 2 + [UNDEFINED] * 6
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-08", "CFG-09", "DP-17")
@pytest.mark.parametrize("trigger", [APPLY_DP_INIT, APPLY_IMMEDIATE])
@pytest.mark.parametrize("initialized", [False, True])
def test_lanes_in_use(emu: Emulator, host: Host, trigger: int, initialized: bool) -> None:
    if initialized:
        host.control(OUTPUT_DISABLE_TX, 1)
        emu.settle()
    state = host.states()
    stage_legs(host, 0, 1, 2, 3)
    assert apply_and_wait(emu, host, 0xFF, trigger) == [LANES_IN_USE] * 8
    host.stage(LANES, 0)
    assert apply_and_wait(emu, host, 0xFF, trigger) == [LANES_IN_USE] * 8
    assert host.active() == ONE_400G
    assert host.states() == state


def manual_eq(profile: dict[str, Any]) -> None:
    profile["registers"] |= {"TxInputEqFixedManualControlSupported": 1, "TxInputEqMax": 9}
    profile["registers"] |= {"TxInputEqRecallBuffersSupported": 1, "RxOutputLevel3Supported": 0}
    profile["registers"] |= {"RxOutputEqPreCursorMax": 4, "RxOutputEqPostCursorMax": 5}


@pytest.mark.rule("CFG-05", "CFG-08", "CFG-14", "CFG-15")
@pytest.mark.parametrize(
    ("offset", "raw", "adaptive", "good"),
    [
        (EQ_TARGET, 0x99, False, True),
        (EQ_TARGET, 0xA9, False, False),  # above TxInputEqMax
        (EQ_TARGET, 0xA9, True, True),  # irrelevant while the adaptive equaliser runs
        (PRE, 0x44, True, True),
        (PRE, 0x54, True, False),
        (POST, 0x55, True, True),
        (POST, 0x56, True, False),
        (AMPLITUDE, 0x21, True, True),
        (AMPLITUDE, 0x23, True, False),  # code 3 is not advertised
        (AMPLITUDE, 0x24, True, False),
        (EQ_RECALL, 0x01, True, True),
        (EQ_RECALL, 0x02, True, False),  # there is one buffer
        (CDR_TX, 0xFE, True, False),  # no bypass
        (CDR_RX, 0x7F, True, False),
    ],
)
def test_settings_that_are_not_offered(variant: Variant, offset: int, raw: int, adaptive: bool, good: bool) -> None:
    emu = variant(manual_eq)
    host = down(emu)
    host.stage(LANES, dp_config(1, 0, 1))
    host.write(0x10, EQ_ENABLE, 0xFF if adaptive else 0)
    host.write(0x10, offset, raw)
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS if good else INVALID_SI] * 8
    active = {EQ_TARGET: 217, PRE: 223, POST: 227, AMPLITUDE: 231, EQ_RECALL: 215, CDR_TX: 221, CDR_RX: 222}[offset]
    assert (host.byte(0x11, active) == raw) == good
    assert host.active() == ([0x11] if good else [0x10]) * 8


@pytest.mark.rule("CFG-05", "CFG-08")
def test_recall_counts_even_without_explicit_control(variant: Variant) -> None:
    emu = variant(manual_eq)
    host = down(emu)
    host.write(0x10, EQ_RECALL, 0x01)
    host.write(0x10, PRE, 0x77)  # ignored without explicit control
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.byte(0x11, ACTIVE_EQ_RECALLED) == 0x01
    assert host.byte(0x11, ACTIVE_PRE) == 0x33
    host.write(0x10, EQ_RECALL, 0x03)
    assert apply_and_wait(emu, host, 0xFF) == [INVALID_SI] * 8


@pytest.mark.rule("CFG-04", "CFG-08")
def test_a_bad_setting_rejects_every_lane_of_the_request(emu: Emulator, host: Host) -> None:
    """The same code on all lanes of a rejected data path; nothing of it is taken."""
    host.stage(LANES, dp_config(1, 0, 1))
    host.write(0x10, AMPLITUDE, 0x17)  # lane 1: no such code; lane 2: fine
    assert apply_and_wait(emu, host, 0x03, APPLY_IMMEDIATE) == [INVALID_SI] * 2 + [UNDEFINED] * 6
    assert host.read(0x11, ACTIVE_AMPLITUDE, 4) == bytes([0x22] * 4)
    assert apply_and_wait(emu, host, 0xFF) == [INVALID_SI] * 8
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-09", "APP-07")
def test_release_of_all_lanes_then_four_legs(emu: Emulator) -> None:
    host = released(emu)
    assert host.active() == [0] * 8
    assert host.states() == [DEACTIVATED] * 8
    assert host.pending() == 0
    host.control(DP_DEINIT, 0)
    emu.clock.advance(5)
    assert host.states() == [DEACTIVATED] * 8  # unused lanes have nothing to initialise
    assert host.output_tx() == 0
    host.control(DP_DEINIT, 0xFF)
    stage_legs(host, 0, 1, 2, 3)
    for leg in range(4):
        assert apply_and_wait(emu, host, 3 << 2 * leg)[2 * leg] == SUCCESS
    assert host.active() == FOUR_100G


@pytest.mark.rule("CFG-09")
def test_release_ignores_data_path_id_and_explicit_control(emu: Emulator) -> None:
    host = down(emu)
    for lane in LANES:
        host.stage((lane,), dp_config(0, lane - 1, lane & 1))
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.active() == [0] * 8


@pytest.mark.rule("CFG-08", "DP-17", "CFG-02")
def test_regroup_with_one_trigger(emu: Emulator) -> None:
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3)
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.active() == FOUR_100G
    assert host.pending() == 0xFF
    host.stage(LANES, dp_config(1, 0))
    assert apply_and_wait(emu, host, 0xFF) == [SUCCESS] * 8
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-04", "CFG-08", "DP-17")
def test_regroup_stands_or_falls_as_a_whole(emu: Emulator) -> None:
    """Half of a data path must not stay: where one of the new legs is bad, all eight lanes are rejected."""
    host = down(emu)
    stage_legs(host, 0, 1, 2, 3)
    host.stage((7, 8), dp_config(5, 6))
    found = apply_and_wait(emu, host, 0xFF)
    assert found[6:] == [INVALID_APP_SEL] * 2
    assert SUCCESS not in found
    assert IN_PROGRESS not in found
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-08", "CFG-09", "DP-17")
def test_one_leg_is_released_and_used_again(emu: Emulator) -> None:
    host = broken_out(emu)
    host.control(DP_DEINIT, 0x30)
    emu.settle()
    host.stage((5, 6), 0)
    assert apply_and_wait(emu, host, 0x30)[4:6] == [SUCCESS] * 2
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 4 + [DEACTIVATED] * 2 + [ACTIVATED] * 2
    assert host.output_tx() == 0b1011
    stage_legs(host, 2)
    assert apply_and_wait(emu, host, 0x30)[4:6] == [SUCCESS] * 2
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    assert host.output_tx() == 0b1111


@pytest.mark.rule("CFG-06", "CFG-10")
def test_status_stays_until_the_next_accepted_trigger(emu: Emulator) -> None:
    host = broken_out(emu)
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage((1, 2), dp_config(7, 0))
    assert apply_and_wait(emu, host, 0x03) == [INVALID_APP_SEL] * 2 + [SUCCESS] * 6
    stage_legs(host, 0)
    emu.clock.advance(10)
    assert host.status()[:2] == [INVALID_APP_SEL] * 2
    assert apply_and_wait(emu, host, 0x03) == [SUCCESS] * 8


@pytest.mark.rule("CFG-06", "RST-05")
@pytest.mark.parametrize("initial", [0, 1])
def test_status_after_reset_is_a_choice_of_the_profile(variant: Variant, initial: int) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["behaviour"] = {"initial_config_status": initial}

    host = Host(variant(edit).smbus(1))
    assert host.status() == [initial] * 8


# -- unidirectional, banks, direct controls --------------------------------------------------------


def unidirectional(profile: dict[str, Any]) -> None:
    profile["registers"]["UnidirReconfigSupported"] = 1


@pytest.mark.rule("CFG-11")
@pytest.mark.parametrize("tx", [False, True])
def test_unidirectional_apply_changes_one_direction(variant: Variant, tx: bool) -> None:
    emu = variant(unidirectional)
    host = Host(emu.smbus(1))
    host.stage(LANES, dp_config(1, 0, 1))
    host.write(0x10, EQ_ENABLE, 0x0F)
    host.write(0x10, PRE, 0x11)
    trigger = APPLY_IMMEDIATE_TX if tx else APPLY_IMMEDIATE_RX
    assert apply_and_wait(emu, host, 0xFF, trigger) == [SUCCESS] * 8
    assert host.byte(0x11, ACTIVE_EQ_ENABLE) == (0x0F if tx else 0xFF)
    assert host.byte(0x11, ACTIVE_PRE) == (0x33 if tx else 0x11)
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-11", "CFG-08")
def test_unidirectional_apply_is_judged_on_its_direction(variant: Variant) -> None:
    emu = variant(unidirectional)
    host = Host(emu.smbus(1))
    host.stage(LANES, dp_config(1, 0, 1))
    host.write(0x10, AMPLITUDE, 0x99)  # not offered, and an Rx setting
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE_TX) == [SUCCESS] * 8
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE_RX) == [INVALID_SI] * 8
    assert host.byte(0x11, ACTIVE_AMPLITUDE) == 0x22


@pytest.mark.rule("CFG-08", "CFG-11")
def test_unidirectional_apply_of_more_than_settings_is_rejected(variant: Variant) -> None:
    emu = variant(unidirectional)
    host = Host(emu.smbus(1))
    stage_legs(host, 0, 1, 2, 3)
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE_TX) == [REJECTED] * 8
    assert host.active() == ONE_400G
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-11")
def test_unidirectional_triggers_that_are_not_advertised(emu: Emulator, host: Host) -> None:
    host.stage(LANES, dp_config(1, 0, 1))
    assert apply_and_wait(emu, host, 0xFF, APPLY_IMMEDIATE_TX) == [UNDEFINED] * 8
    assert host.active() == ONE_400G


@pytest.mark.rule("CFG-16", "CFG-03", "DP-08")
def test_direct_controls_act_without_a_trigger(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 0x08)
    assert host.tx_power_uw(4) == 0
    assert host.status() == [UNDEFINED] * 8
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("CFG-15", "CFG-16", "I2C-07")
def test_controls_that_are_not_advertised_are_reserved(host: Host) -> None:
    for offset in (129, 133, 134, 135, 136, 137, 140, 141, 142, 154, 155, 156, 159, 174, 175, 176, 177):
        host.write(0x10, offset, 0xFF)
        assert host.byte(0x10, offset) == 0, offset


@pytest.mark.rule("CFG-15")
def test_equaliser_freeze_and_store_where_they_are_offered(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        manual_eq(profile)
        profile["registers"]["TxInputEqFreezeSupported"] = 1

    host = Host(variant(edit).smbus(1))
    host.write(0x10, 134, 0xA5)
    assert host.byte(0x10, 134) == 0xA5
    host.write(0x10, 135, 0x55)
    assert host.byte(0x10, 135) == 0  # a trigger
    assert host.states() == [ACTIVATED] * 8


def sixteen_lanes(profile: dict[str, Any]) -> None:
    profile["registers"]["BanksSupported"] = 1
    profile["plant"] = {"host_lanes": 16, "media_lanes": 12}


@pytest.mark.rule("PAGE-09", "DP-01", "CFG-10", "APP-05")
def test_banks_of_eight_lanes_are_independent(variant: Variant) -> None:
    emu = variant(sixteen_lanes)
    host = Host(emu.smbus(1))
    assert host.states(0) == host.states(1) == [ACTIVATED] * 8
    host.write(0x10, DP_DEINIT, 0xFF, bank=1)
    emu.settle()
    assert host.states(0) == [ACTIVATED] * 8
    assert host.states(1) == [DEACTIVATED] * 8
    for leg in range(4):
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg), bank=1)
    host.apply(0xFF, bank=1)
    emu.settle()
    assert host.status(0) == [UNDEFINED] * 8
    assert host.status(1) == [SUCCESS] * 8
    assert host.active(0) == ONE_400G
    assert host.active(1) == FOUR_100G
    assert host.pending(0) == 0
    assert host.pending(1) == 0xFF
    host.write(0x10, DP_DEINIT, 0, bank=1)
    emu.settle()
    assert host.states(1) == [ACTIVATED] * 8
    assert min(host.tx_power_uw(lane, 1) for lane in range(1, 5)) > 500
    emu.ports["1"].set_host_signal(9, False)
    assert host.byte(0x11, 136, 0) == 0
    assert host.byte(0x11, 136, 1) == 1


@pytest.mark.rule("CFG-02", "CFG-08")
def test_left_overs_in_the_staged_set_outside_the_mask_do_not_matter(emu: Emulator) -> None:
    host = down(emu)
    host.stage(LANES, 0)
    host.apply(0xFF)
    emu.clock.advance(0.1)
    host.stage(range(1, 5), dp_config(2, 0))  # four lanes carry the DataPathID of the first two
    host.apply(0x03)
    emu.clock.advance(0.1)
    assert host.status()[:2] == [SUCCESS, SUCCESS]
    assert host.active() == [dp_config(2, 0)] * 2 + [0] * 6


@pytest.mark.rule("CFG-11", "CFG-05")
def test_one_direction_applied_alone_shows_on_page_19h() -> None:
    with Emulator.load("osfpxd-1600g-2xdr8", clock=ManualClock()) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        assert host.read(0x19, 128, 16) == bytes([0x10] * 16)
        for lane in range(8):
            host.write(0x10, 145 + lane, 0x11, bank=1)  # explicit control
        host.write(0x10, 170, 0x11, 0x11, 0x11, 0x11, bank=1)  # Rx amplitude
        host.write(0x10, 177, 0xFF, bank=1)  # ApplyImmediateRx
        emu.clock.advance(0.1)
        assert host.status(1) == [SUCCESS] * 8
        assert host.read(0x19, 128, 16, bank=1) == bytes([0x10] * 8 + [0x11] * 8)
        assert host.read(0x11, 231, 4, bank=1) == bytes([0x11] * 4)
        assert host.read(0x19, 128, 16) == bytes([0x10] * 16)
