"""Data path state machines as a host sees them (rules DP-01 to DP-19)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_IMMEDIATE,
    AUTO_SQUELCH_DISABLE_RX,
    AUTO_SQUELCH_DISABLE_TX,
    DEACTIVATED,
    DEINIT,
    DP_DEINIT,
    DURATION_BOUND_S,
    INIT,
    INITIALIZED,
    LOW_PWR,
    OUTPUT_DISABLE_RX,
    OUTPUT_DISABLE_TX,
    READY,
    SQUELCH_FORCE_TX,
    SUCCESS,
    TX_TURN_OFF,
    TX_TURN_ON,
    Host,
    dp_config,
    lane_mask,
)
from dr4 import Variant, dr4_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock

NS_PER_MS = 1_000_000

# DP-05, typed from the sheet: (state, next).
TABLE = {
    (DEACTIVATED, INIT),
    (INIT, DEINIT),
    (INIT, INITIALIZED),
    (INITIALIZED, DEINIT),
    (INITIALIZED, TX_TURN_ON),
    (TX_TURN_ON, TX_TURN_OFF),
    (TX_TURN_ON, ACTIVATED),
    (ACTIVATED, TX_TURN_OFF),
    (TX_TURN_OFF, INITIALIZED),
    (DEINIT, DEACTIVATED),
}
STEADY = {DEACTIVATED, INITIALIZED, ACTIVATED}
FINISHED = {INIT: INITIALIZED, TX_TURN_ON: ACTIVATED, TX_TURN_OFF: INITIALIZED, DEINIT: DEACTIVATED}
OPERATING = {INITIALIZED, TX_TURN_ON, ACTIVATED, TX_TURN_OFF}

_DURATIONS: dict[str, int] = dr4_profile()["durations_ms"]
DURATION_NS = {
    INIT: _DURATIONS["DPInit"] * NS_PER_MS,
    DEINIT: _DURATIONS["DPDeinit"] * NS_PER_MS,
    TX_TURN_ON: _DURATIONS["DPTxTurnOn"] * NS_PER_MS,
    TX_TURN_OFF: _DURATIONS["DPTxTurnOff"] * NS_PER_MS,
}


def follow(emu: Emulator, seconds: float, *lanes: int) -> list[tuple[int, list[int]]]:
    """(time in ns, states of the lanes) at each change that a host that never stops polling would see."""
    host = Host(emu.smbus(1))
    chosen = lanes or tuple(range(1, 9))

    def now() -> list[int]:
        states = host.states()
        return [states[lane - 1] for lane in chosen]

    seen = [(emu.clock.now_ns, now())]
    end = emu.clock.now_ns + round(seconds * 1e9)
    while emu.clock.now_ns < end:
        emu.clock.advance_ns(min(end, emu.clock.next_due_ns) - emu.clock.now_ns)
        states = now()
        if states != seen[-1][1]:
            seen.append((emu.clock.now_ns, states))
    return seen


def trace(emu: Emulator, seconds: float, lane: int = 1) -> list[int]:
    """The states of one lane, in order."""
    return [states[0] for _, states in follow(emu, seconds, lane)]


def allowed(old: int, new: int) -> bool:
    """In the table, or through a steady state that was left at once."""
    return (old, new) in TABLE or any((old, s) in TABLE and (s, new) in TABLE for s in STEADY)


def breakout(emu: Emulator) -> Host:
    """Four 100G data paths, all activated, flags read."""
    host = Host(emu.smbus(1))
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    for leg in range(4):
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg))
    host.apply(0xFF)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    host.read(0x11, 134, 20)
    return host


def quiet(host: Host) -> None:
    """Clear every lane flag."""
    host.read(0x11, 134, 20)


@pytest.mark.rule("DP-01", "DP-05", "DP-12", "DP-14", "DP-19")
def test_deinit_and_init_of_an_active_data_path(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    seen = follow(emu, 2)
    assert [s for _, s in seen] == [[s] * 8 for s in (TX_TURN_OFF, DEINIT, DEACTIVATED)]
    start = seen[0][0]
    assert [t - start for t, _ in seen] == [0, DURATION_NS[TX_TURN_OFF], DURATION_NS[TX_TURN_OFF] + DURATION_NS[DEINIT]]
    host.control(DP_DEINIT, 0)
    seen = follow(emu, 4)
    assert [s for _, s in seen] == [[s] * 8 for s in (INIT, TX_TURN_ON, ACTIVATED)]
    start = seen[0][0]
    assert [t - start for t, _ in seen] == [0, DURATION_NS[INIT], DURATION_NS[INIT] + DURATION_NS[TX_TURN_ON]]


@pytest.mark.rule("DP-12")
def test_advertised_maxima_hold_for_every_transient(host: Host) -> None:
    codes = {
        INIT: host.byte(1, 144) & 15,
        DEINIT: host.byte(1, 144) >> 4,
        TX_TURN_ON: host.byte(1, 168) & 15,
        TX_TURN_OFF: host.byte(1, 168) >> 4,
    }
    for state, code in codes.items():
        assert DURATION_NS[state] / 1e9 < DURATION_BOUND_S[code]


@pytest.mark.rule("DP-12", "DP-13")
def test_duration_code_0_skips_the_transient_and_its_flag(variant: Variant) -> None:
    def fast(profile: dict[str, Any]) -> None:
        profile["durations_ms"]["DPTxTurnOn"] = profile["durations_ms"]["DPTxTurnOff"] = 0

    emu = variant(fast)
    host = Host(emu.smbus(1))
    assert host.byte(1, 168) == 0
    quiet(host)
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    assert host.states() == [INITIALIZED] * 8
    emu.settle()
    assert host.changed() == 0
    host.control(OUTPUT_DISABLE_TX, 0)
    assert host.states() == [ACTIVATED] * 8
    emu.settle()
    assert host.changed() == 0


@pytest.mark.rule("DP-02", "DP-16")
@pytest.mark.parametrize("lane", [1, 5, 8])
def test_deinit_of_one_lane_holds_the_whole_data_path(emu: Emulator, host: Host, lane: int) -> None:
    host.control(DP_DEINIT, 1 << (lane - 1))
    emu.settle()
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(1)
    host.control(DP_DEINIT, 1 << (lane - 1))
    emu.clock.advance(5)
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("DP-02", "DP-05")
def test_deinit_during_init(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0)
    emu.clock.advance(0.7)
    host.control(DP_DEINIT, 1)
    assert trace(emu, 5) == [DEINIT, DEACTIVATED]


@pytest.mark.rule("DP-02")
@pytest.mark.parametrize("how", ["pin", "software"])
def test_low_power_request_deinitialises(emu: Emulator, host: Host, how: str) -> None:
    if how == "pin":
        emu.ports["1"].pins.LPMode = True
    else:
        host.write(0, 26, 0x50)
    assert trace(emu, 5) == [TX_TURN_OFF, DEINIT, DEACTIVATED]
    assert host.module_state() == LOW_PWR


@pytest.mark.rule("DP-04", "DP-07", "DP-08", "DP-11")
@pytest.mark.parametrize("control", [OUTPUT_DISABLE_TX, SQUELCH_FORCE_TX])
@pytest.mark.parametrize("lane", [1, 4])
def test_one_dark_media_lane_takes_the_state_down_but_not_the_others(
    emu: Emulator, host: Host, control: int, lane: int
) -> None:
    host.control(control, 1 << (lane - 1))
    assert trace(emu, 3) == [TX_TURN_OFF, INITIALIZED]
    for each in range(1, 5):
        assert (host.tx_power_uw(each) > 100) == (each != lane)
    assert host.output_tx() == 0x0F & ~(1 << (lane - 1))
    host.control(control, 0)
    assert trace(emu, 3) == [TX_TURN_ON, ACTIVATED]
    assert host.output_tx() == 0x0F


@pytest.mark.rule("DP-04", "APP-08")
def test_media_lanes_that_do_not_exist_hold_nothing(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 0xF0)
    host.control(SQUELCH_FORCE_TX, 0xF0)
    emu.clock.advance(1)
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("DP-04", "DP-05")
def test_disable_while_turning_on_turns_off(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.clock.advance(0.1)
    assert host.states() == [TX_TURN_ON] * 8
    host.control(OUTPUT_DISABLE_TX, 2)
    assert trace(emu, 2) == [TX_TURN_OFF, INITIALIZED]


@pytest.mark.rule("DP-04", "HOST-02")
def test_init_with_tx_disabled_stops_at_initialized(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    host.control(DP_DEINIT, 0)
    assert trace(emu, 10) == [INIT, INITIALIZED]
    assert host.output_tx() == 0
    assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
    host.control(OUTPUT_DISABLE_TX, 0)
    assert trace(emu, 2) == [TX_TURN_ON, ACTIVATED]


@pytest.mark.rule("DP-08", "AUX-01", "DP-09")
@pytest.mark.parametrize(("host_lane", "media_lane"), [(1, 1), (2, 1), (3, 2), (6, 3), (8, 4)])
def test_tx_auto_squelch_darkens_one_media_lane_and_moves_no_state(
    emu: Emulator, host: Host, host_lane: int, media_lane: int
) -> None:
    quiet(host)
    emu.ports["1"].set_host_signal(host_lane, False)
    assert trace(emu, 3) == [ACTIVATED]
    assert host.output_tx() == 0x0F & ~(1 << (media_lane - 1))
    for lane in range(1, 5):
        assert (host.tx_power_uw(lane) > 10) == (lane != media_lane)  # below -20 dBm
    assert host.byte(0x11, 136) == 1 << (host_lane - 1)  # Tx LOS counts host lanes
    assert host.changed() == 0
    host.control(AUTO_SQUELCH_DISABLE_TX, 1 << (media_lane - 1))
    emu.settle()
    assert host.tx_power_uw(media_lane) > 100
    host.control(AUTO_SQUELCH_DISABLE_TX, 0)
    emu.settle()
    emu.ports["1"].set_host_signal(host_lane, True)
    emu.settle()
    assert host.output_tx() == 0x0F
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("AUX-01", "DP-09", "DP-10", "DP-11")
def test_rx_auto_squelch_on_darkness(emu: Emulator, host: Host) -> None:
    emu.clock.advance(1)
    quiet(host)
    assert host.output_rx() == 0xFF
    bank = emu.ports["1"].module.banks[0]
    emu.fibres["loop"].cut()
    assert trace(emu, 2) == [ACTIVATED]
    assert host.output_rx() == 0
    assert host.byte(0x11, 153) == 0xFF  # OutputStatusChangedFlagRx
    assert bank.signals.host_lane(1).output.value == "off"
    host.control(AUTO_SQUELCH_DISABLE_RX, 1)
    assert bank.signals.host_lane(1).output.value == "noise"
    assert bank.signals.host_lane(2).output.value == "off"
    emu.fibres["loop"].restore()
    emu.clock.advance(2)
    assert host.output_rx() == 0xFF
    assert host.byte(0x11, 153) == 0xFF
    assert bank.signals.host_lane(1).output.value == "signal"
    assert host.byte(0x11, 153) == 0


@pytest.mark.rule("DP-08", "DP-10", "DP-11")
def test_outputs_are_quiet_outside_operation_whatever_the_controls_say(emu: Emulator, host: Host) -> None:
    host.control(AUTO_SQUELCH_DISABLE_TX, 0xFF)
    host.control(AUTO_SQUELCH_DISABLE_RX, 0xFF)
    host.control(DP_DEINIT, 0xFF)
    seen: dict[int, tuple[int, int]] = {}
    for step in range(2):
        end = emu.clock.now_ns + 4_000_000_000
        while emu.clock.now_ns < end:
            state = host.states()[0]
            if state not in OPERATING:
                assert host.output_tx() == 0
                assert host.output_rx() == 0
                assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
            seen[state] = (host.output_tx(), host.output_rx())
            emu.clock.advance_ns(min(end, emu.clock.next_due_ns) - emu.clock.now_ns)
        host.control(DP_DEINIT, 0)
        assert step or DEACTIVATED in seen
    assert set(seen) == {DEINIT, DEACTIVATED, INIT, TX_TURN_ON, TX_TURN_OFF, ACTIVATED}
    assert seen[ACTIVATED] == (0x0F, 0xFF)


@pytest.mark.rule("DP-10", "DP-11")
def test_rx_output_disable_of_one_host_lane(emu: Emulator, host: Host) -> None:
    emu.clock.advance(1)
    quiet(host)
    host.control(OUTPUT_DISABLE_RX, 0x20)
    assert host.output_rx() == 0xDF
    assert host.byte(0x11, 153) == 0x20
    assert host.states() == [ACTIVATED] * 8
    host.control(OUTPUT_DISABLE_RX, 0)
    emu.settle()
    assert host.output_rx() == 0xFF
    assert host.byte(0x11, 153) == 0x20


@pytest.mark.rule("DP-11", "RST-09")
def test_output_status_tx_follows_the_true_output(emu: Emulator, host: Host) -> None:
    host.control(OUTPUT_DISABLE_TX, 0x0F)
    emu.clock.advance(0.1)  # Tx disable acts within 100 ms
    assert host.output_tx() == 0
    assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 0)
    assert host.output_tx() == 0
    emu.clock.advance(0.4)  # and enable within 400 ms
    assert host.output_tx() == 0x0F
    assert min(host.tx_power_uw(lane) for lane in range(1, 5)) > 500


@pytest.mark.rule("DP-13", "DP-14")
def test_state_changed_flag_sets_on_steady_states_only(emu: Emulator, host: Host) -> None:
    quiet(host)
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(0.2)
    assert host.states() == [DEINIT] * 8
    assert host.changed() == 0  # neither for a transient nor for the Initialized that was left at once
    emu.settle()
    assert host.changed() == 0xFF
    assert host.changed() == 0
    host.control(DP_DEINIT, 0)
    emu.clock.advance(1.7)
    assert host.states() == [TX_TURN_ON] * 8
    assert host.changed() == 0
    emu.settle()
    assert host.changed() == 0xFF
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.settle()
    assert host.states() == [INITIALIZED] * 8
    assert host.changed() == 0xFF


@pytest.mark.rule("DP-13")
def test_state_changed_flag_is_clear_after_the_module_created_the_data_paths() -> None:
    testbed = {"version": 1, "ports": {"1": {"profile": "qsfpdd-400g-dr4", "bus": 1, "state": {"LPMode": True}}}}
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        assert Host(emu.smbus(1)).changed() == 0


@pytest.mark.rule("DP-13")
def test_flag_counts_the_lanes_of_the_data_path(emu: Emulator) -> None:
    host = breakout(emu)
    host.control(DP_DEINIT, 0x04)
    emu.settle()
    assert host.changed() == 0x0C


@pytest.mark.rule("DP-03", "DP-05", "DP-06", "CFG-07", "DP-14")
def test_regular_reconfiguration_runs_by_itself(emu: Emulator, host: Host) -> None:
    quiet(host)
    host.apply(0xFF)
    seen = follow(emu, 5, 1)
    assert [s[0] for _, s in seen] == [ACTIVATED, TX_TURN_OFF, DEINIT, INIT, TX_TURN_ON, ACTIVATED]
    times = [t for t, _ in seen][1:]
    expected = [DURATION_NS[s] for s in (TX_TURN_OFF, DEINIT, INIT, TX_TURN_ON)]
    assert [b - a for a, b in itertools.pairwise(times)] == expected
    assert host.changed() == 0xFF
    assert host.status() == [SUCCESS] * 8


@pytest.mark.rule("DP-06", "CFG-12")
def test_pending_shows_until_init_begins(emu: Emulator, host: Host) -> None:
    host.apply(0xFF)
    assert host.pending() == 0
    end = emu.clock.now_ns + 4_000_000_000
    while emu.clock.now_ns < end:
        emu.clock.advance_ns(min(end, emu.clock.next_due_ns) - emu.clock.now_ns)
        expected = 0xFF if host.states()[0] in (TX_TURN_OFF, DEINIT) else 0
        assert host.pending() == expected


@pytest.mark.rule("DP-03", "CFG-07")
def test_stepped_module_waits_for_the_host(variant: Variant) -> None:
    def stepped(profile: dict[str, Any]) -> None:
        profile["registers"]["SteppedConfigOnly"] = 1

    emu = variant(stepped)
    host = Host(emu.smbus(1))
    host.apply(0xFF)
    assert trace(emu, 5) == [ACTIVATED]
    assert host.pending() == 0xFF
    assert host.status() == [SUCCESS] * 8
    host.control(DP_DEINIT, 0xFF)
    assert trace(emu, 5) == [TX_TURN_OFF, DEINIT, DEACTIVATED]
    assert host.pending() == 0xFF
    host.control(DP_DEINIT, 0)
    assert host.pending() == 0
    assert trace(emu, 5) == [INIT, TX_TURN_ON, ACTIVATED]


@pytest.mark.rule("DP-03", "CFG-07", "REV-03")
@pytest.mark.parametrize(("code", "regular", "hot"), [(0, False, False), (1, True, False), (2, False, True)])
def test_auto_commissioning_of_a_stepped_module(variant: Variant, code: int, regular: bool, hot: bool) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["revision"] = "5.3"
        profile["registers"] |= {"SteppedConfigOnly": 1, "AutoCommissioning": code}

    emu = variant(edit)
    host = Host(emu.smbus(1))
    host.stage(range(1, 9), dp_config(1, 0, 1))
    host.apply(0xFF, APPLY_IMMEDIATE)
    emu.clock.advance(1)
    assert (host.active() == [0x11] * 8) == hot
    assert host.states() == [ACTIVATED] * 8
    host.apply(0xFF)
    assert (trace(emu, 5) == [ACTIVATED, TX_TURN_OFF, DEINIT, INIT, TX_TURN_ON, ACTIVATED]) == regular
    assert (host.pending() == 0) == regular


@pytest.mark.rule("DP-17", "CFG-08", "DP-01")
def test_regrouping_starts_new_data_paths_in_deactivated(emu: Emulator) -> None:
    host = breakout(emu)
    assert host.active() == [dp_config(2, 2 * leg) for leg in range(4) for _ in (0, 1)]
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage(range(1, 9), dp_config(1, 0))
    host.apply(0xFF)
    emu.settle()
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0xFE)
    emu.clock.advance(3)
    assert host.states() == [DEACTIVATED] * 8  # one data path again: all its lanes hold it
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("DP-18", "RST-05")
@pytest.mark.parametrize("how", ["software", "pin", "power"])
def test_reset_ends_data_paths_and_brings_the_default_back(emu: Emulator, how: str) -> None:
    host = breakout(emu)
    pins = emu.ports["1"].pins
    pins.LPMode = True
    if how == "software":
        host.write(0, 26, 0x08)
    elif how == "pin":
        pins.ResetL = False
        emu.clock.advance(0.001)
        pins.ResetL = True
    else:
        pins.power = False
        pins.power = True
    emu.clock.advance(1)
    assert host.states() == [DEACTIVATED] * 8
    assert host.active() == [0x10] * 8
    assert host.changed() == 0


@pytest.mark.rule("DP-02", "DP-15")
def test_deinit_written_in_low_power_holds_after_power_up(emu: Emulator, host: Host) -> None:
    pins = emu.ports["1"].pins
    pins.LPMode = True
    emu.settle()
    host.control(DP_DEINIT, 0xFF)
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    pins.LPMode = False
    emu.clock.advance(5)
    assert host.module_state() == READY
    assert host.states() == [DEACTIVATED] * 8
    host.control(DP_DEINIT, 0)
    assert trace(emu, 5) == [INIT, INITIALIZED]


@pytest.mark.rule("DP-01", "DP-02", "DP-16")
def test_breakout_legs_are_independent(emu: Emulator) -> None:
    host = breakout(emu)
    for leg in range(4):
        others = [lane for lane in range(1, 9) if (lane - 1) // 2 != leg]
        power = {n: host.tx_power_uw(n) for n in range(1, 5) if n != leg + 1}
        host.control(DP_DEINIT, 1 << 2 * leg)
        end = emu.clock.now_ns + 1_000_000_000
        while emu.clock.now_ns < end:
            emu.clock.advance_ns(min(end, emu.clock.next_due_ns) - emu.clock.now_ns)
            states = host.states()
            assert [states[lane - 1] for lane in others] == [ACTIVATED] * 6
            assert host.output_tx() | 1 << leg == 0x0F
        assert states[2 * leg : 2 * leg + 2] == [DEACTIVATED] * 2
        assert host.tx_power_uw(leg + 1) == 0
        assert host.output_rx() == 0xFF & ~(3 << 2 * leg)
        for lane, before in power.items():
            assert host.tx_power_uw(lane) == pytest.approx(before, rel=0.1)
        host.control(DP_DEINIT, 0)
        emu.settle()
        emu.clock.advance(1)
        quiet(host)


@pytest.mark.rule("DP-04", "DP-07")
def test_tx_disable_of_one_leg(emu: Emulator) -> None:
    host = breakout(emu)
    host.control(OUTPUT_DISABLE_TX, 0b0100)
    emu.settle()
    assert host.states() == [ACTIVATED] * 4 + [INITIALIZED] * 2 + [ACTIVATED] * 2
    assert host.output_tx() == 0b1011
    assert host.changed() == 0x30


STEP = st.one_of(
    st.tuples(st.just(DP_DEINIT), st.sampled_from([0, 0, 0xFF, 0x01, 0x0C, 0xC0])),
    st.tuples(st.just(OUTPUT_DISABLE_TX), st.sampled_from([0, 0, 0x0F, 0x02, 0x08])),
    st.tuples(st.just(SQUELCH_FORCE_TX), st.sampled_from([0, 0, 0x01])),
    st.tuples(st.just(143), st.sampled_from([0xFF, 0x03, 0xF0, 0x01])),
    st.tuples(st.just(144), st.sampled_from([0xFF, 0x03, 0xF0, 0x01])),
    st.tuples(st.sampled_from([-1, -2, -3]), st.booleans()),
)
WALK = st.lists(st.tuples(STEP, st.integers(0, 2_500_000_000)), min_size=1, max_size=10)


@pytest.mark.rule("DP-01", "DP-05", "DP-12")
@pytest.mark.parametrize("four", [False, True])
@settings(max_examples=30, deadline=None)
@given(WALK)
def test_random_walk_stays_in_the_table(four: bool, walk: list[tuple[tuple[int, int], int]]) -> None:
    """Every transition is one of DP-05, and every transient that ends by itself lasts what the profile says."""
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = breakout(emu) if four else Host(emu.smbus(1))
        groups = [(1, 2), (3, 4), (5, 6), (7, 8)] if four else [tuple(range(1, 9))]
        port = emu.ports["1"]
        seen = follow(emu, 0)
        for (offset, value), wait_ns in walk:
            if offset == -1:
                port.pins.LPMode = bool(value)
            elif offset == -2:
                host.write(0, 26, 0x50 if value else 0x40)
            elif offset == -3:
                port.set_host_signal(3, bool(value))
            else:
                host.control(offset, value)
            seen += follow(emu, wait_ns / 1e9)
        for group in groups:
            lanes = [(t, [s[lane - 1] for lane in group]) for t, s in seen]
            assert all(len(set(states)) == 1 for _, states in lanes)  # one state on all lanes of a data path
            single = [(t, states[0]) for t, states in lanes]
            changes = [single[0], *(b for a, b in itertools.pairwise(single) if a[1] != b[1])]
            for index, ((start, old), (end, new)) in enumerate(itertools.pairwise(changes)):
                assert allowed(old, new), (old, new)
                if old in DURATION_NS and index:
                    assert end - start <= DURATION_NS[old]
                    if (old, new) not in TABLE or new == FINISHED[old]:
                        assert end - start == DURATION_NS[old], (old, new)
        assert lane_mask(lane for group in groups for lane in group) == 0xFF
