"""The module state machine as a host sees it (rules MSM-01 to MSM-12)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    DEACTIVATED,
    DP_DEINIT,
    DURATION_BOUND_S,
    FAULT,
    LOW_PWR,
    OUTPUT_DISABLE_TX,
    PWR_DN,
    PWR_UP,
    READY,
    SUCCESS,
    Host,
    dp_config,
)
from dr4 import Variant, dr4_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus

DURATIONS_MS: dict[str, int] = dr4_profile()["durations_ms"]
NS_PER_MS = 1_000_000

# MSM-04 in readable codes. LowPwr and Ready may be left at once, so their neighbours may meet.
TABLE = {
    (LOW_PWR, PWR_UP),
    (PWR_UP, READY),
    (PWR_UP, PWR_DN),
    (READY, PWR_DN),
    (PWR_DN, LOW_PWR),
}
STEADY = {LOW_PWR, READY}
NOT_READABLE = 0


def follow(emu: Emulator, seconds: float) -> list[tuple[int, int]]:
    """(time in ns, module state) of each change that a host that never stops polling would see."""
    host = Host(emu.smbus(1))
    seen = [(emu.clock.now_ns, host.module_state())]
    end = emu.clock.now_ns + round(seconds * 1e9)
    while emu.clock.now_ns < end:
        emu.clock.advance_ns(min(end, emu.clock.next_due_ns) - emu.clock.now_ns)
        state = host.module_state()
        if state != seen[-1][1]:
            seen.append((emu.clock.now_ns, state))
    return seen


def spans(seen: list[tuple[int, int]]) -> list[tuple[int, float]]:
    """(state, ms) for each state that was entered and left."""
    return [(s, (end - start) / NS_PER_MS) for (start, s), (end, _) in itertools.pairwise(seen[1:])]


def allowed(old: int, new: int) -> bool:
    if (old, new) in TABLE or new in (FAULT, NOT_READABLE):
        return True
    if old == NOT_READABLE:
        return new in (LOW_PWR, PWR_UP)  # LowPwr may be left at once
    return any((old, s) in TABLE and (s, new) in TABLE for s in STEADY)


def booting(**pins: bool) -> Emulator:
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": "qsfpdd-400g-dr4", "bus": 1, "state": pins}},
        "fibres": {"loop": {"from": "1", "to": "1"}},
    }
    return Emulator.load(testbed, clock=ManualClock(), seed=1)


@pytest.mark.rule("MSM-01", "MSM-04", "MSM-05", "MSM-07", "RST-04")
def test_power_on_runs_to_ready_and_activates_by_itself() -> None:
    with booting() as emu:
        seen = follow(emu, 6)
        assert [s for _, s in seen] == [NOT_READABLE, PWR_UP, READY]  # LowPwr is left at once
        assert seen[1][0] == DURATIONS_MS["MgmtInit"] * NS_PER_MS <= 2_000 * NS_PER_MS
        assert spans(seen) == [(PWR_UP, DURATIONS_MS["ModulePwrUp"])]
        assert Host(emu.smbus(1)).states() == [ACTIVATED] * 8


@pytest.mark.rule("MSM-04", "MSM-05", "MSM-08", "RST-08")
def test_lpmode_holds_in_low_power() -> None:
    with booting(LPMode=True) as emu:
        seen = follow(emu, 20)
        assert [s for _, s in seen] == [NOT_READABLE, LOW_PWR]
        host = Host(emu.smbus(1))
        assert host.states() == [DEACTIVATED] * 8
        assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
        emu.ports["1"].pins.LPMode = False
        assert [s for _, s in follow(emu, 6)] == [PWR_UP, READY]


@pytest.mark.rule("MSM-02")
@pytest.mark.parametrize("pin", [False, True])
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("request_sw", [False, True])
def test_low_pwr_s(emu: Emulator, host: Host, pin: bool, allow: bool, request_sw: bool) -> None:
    host.write(0, 26, (0x40 if allow else 0) | (0x10 if request_sw else 0))
    emu.ports["1"].pins.LPMode = pin
    emu.settle()
    low = request_sw or (allow and pin)
    assert host.module_state() == (LOW_PWR if low else READY)


@pytest.mark.rule("MSM-03", "MSM-04", "MSM-12")
@pytest.mark.parametrize("how", ["pin", "software"])
def test_ready_is_left_only_when_all_data_paths_are_down(emu: Emulator, host: Host, how: str) -> None:
    if how == "pin":
        emu.ports["1"].pins.LPMode = True
    else:
        host.write(0, 26, host.byte(0, 26) | 0x10)
    start = emu.clock.now_ns
    while host.module_state() == READY:
        before = host.states()
        emu.clock.advance_ns(emu.clock.next_due_ns - emu.clock.now_ns)
    assert before != [DEACTIVATED] * 8
    assert host.states() == [DEACTIVATED] * 8
    down_ms = DURATIONS_MS["DPTxTurnOff"] + DURATIONS_MS["DPDeinit"]
    assert emu.clock.now_ns - start == down_ms * NS_PER_MS
    emu.settle()
    assert host.module_state() == LOW_PWR


@pytest.mark.rule("MSM-12", "HOST-01")
@pytest.mark.parametrize("busy", ["activated", "initialising", "turning on", "configuring"])
def test_low_power_by_software_keeps_the_advertised_bound(emu: Emulator, host: Host, busy: str) -> None:
    """SONiC waits for state 1 no longer than MaxDurationModulePwrDn, whatever the data paths are doing."""
    if busy == "initialising":
        host.control(DP_DEINIT, 0xFF)
        emu.settle()
        host.control(DP_DEINIT, 0)
        emu.clock.advance(0.5)
    elif busy == "turning on":
        host.control(OUTPUT_DISABLE_TX, 0xFF)
        emu.settle()
        host.control(OUTPUT_DISABLE_TX, 0)
        emu.clock.advance(0.01)
    elif busy == "configuring":
        host.apply(0xFF, 144)
    bound = DURATION_BOUND_S[host.byte(1, 167) >> 4]
    host.write(0, 26, host.byte(0, 26) | 0x10)
    emu.clock.advance(bound - 1e-9)
    assert host.module_state() == LOW_PWR
    host.write(0, 26, host.byte(0, 26) & ~0x50)
    emu.clock.advance(DURATION_BOUND_S[host.byte(1, 167) & 15] - 1e-9)
    assert host.module_state() == READY


@pytest.mark.rule("MSM-04")
def test_low_power_request_during_power_up_turns_round_at_once() -> None:
    with booting() as emu:
        host = Host(emu.smbus(1))
        emu.clock.advance(0.9)
        assert host.module_state() == PWR_UP
        emu.ports["1"].pins.LPMode = True
        assert host.module_state() == PWR_DN
        seen = follow(emu, 5)
        assert seen[1:] == [(seen[0][0] + DURATIONS_MS["ModulePwrDn"] * NS_PER_MS, LOW_PWR)]


@pytest.mark.rule("MSM-04")
def test_power_down_ignores_the_request_and_low_power_samples_it_again() -> None:
    with booting() as emu:
        host = Host(emu.smbus(1))
        emu.clock.advance(0.9)
        emu.ports["1"].pins.LPMode = True
        emu.clock.advance(0.05)
        emu.ports["1"].pins.LPMode = False
        assert host.module_state() == PWR_DN
        assert [s for _, s in follow(emu, 5)] == [PWR_DN, PWR_UP, READY]


@pytest.mark.rule("MSM-06", "MSM-11", "RST-04", "RST-08")
def test_state_changed_flag_and_interrupt_after_power_on() -> None:
    with booting(LPMode=True) as emu:
        pins, host = emu.ports["1"].pins, Host(emu.smbus(1))
        assert pins.IntL
        emu.clock.advance(1)
        assert not pins.IntL
        assert host.byte(0, 3) == LOW_PWR << 1  # interrupt deasserted bit is 0
        assert host.byte(0, 8) & 1 == 1
        emu.clock.advance(0.0005)
        assert pins.IntL
        assert host.byte(0, 3) == LOW_PWR << 1 | 1
        assert host.byte(0, 8) & 1 == 0
        pins.LPMode = False
        emu.clock.advance(1)
        assert host.byte(0, 8) & 1 == 0  # not set for ModulePwrUp
        emu.settle()
        assert host.byte(0, 8) & 1 == 1  # ModuleReady
        pins.LPMode = True
        emu.clock.advance(0.3)
        assert host.module_state() == PWR_DN
        assert host.byte(0, 8) & 1 == 0  # not set for ModulePwrDn
        emu.settle()
        assert host.byte(0, 8) & 1 == 1


@pytest.mark.rule("MSM-07", "DP-12")
def test_every_duration_is_below_its_advertised_bound(host: Host) -> None:
    raw = {
        "ModulePwrUp": host.byte(1, 167) & 15,
        "ModulePwrDn": host.byte(1, 167) >> 4,
        "DPInit": host.byte(1, 144) & 15,
        "DPDeinit": host.byte(1, 144) >> 4,
        "DPTxTurnOn": host.byte(1, 168) & 15,
        "DPTxTurnOff": host.byte(1, 168) >> 4,
    }
    for phase, code in raw.items():
        assert DURATIONS_MS[phase] / 1000 < DURATION_BOUND_S[code], phase
        assert code == 0 or DURATIONS_MS[phase] / 1000 >= DURATION_BOUND_S[code - 1], phase  # the smallest that fits


@pytest.mark.rule("MSM-08", "CFG-07", "DP-15")
def test_low_power_stages_and_provisions_but_does_not_start() -> None:
    with booting(LPMode=True) as emu:
        host = Host(emu.smbus(1))
        emu.settle()
        host.control(DP_DEINIT, 0xFF)  # written in advance, as SONiC does
        host.control(OUTPUT_DISABLE_TX, 0xFF)
        for leg in range(4):
            host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg))
        host.apply(0xFF)
        emu.clock.advance(1)
        assert host.module_state() == LOW_PWR
        assert host.status() == [SUCCESS] * 8
        assert host.pending() == 0xFF
        assert host.states() == [DEACTIVATED] * 8
        host.control(DP_DEINIT, 0)
        host.control(OUTPUT_DISABLE_TX, 0)
        emu.clock.advance(5)
        assert host.states() == [DEACTIVATED] * 8
        assert host.output_tx() == 0
        emu.ports["1"].pins.LPMode = False
        emu.settle()
        assert host.states() == [ACTIVATED] * 8
        assert host.pending() == 0


@pytest.mark.rule("MSM-04", "MSM-06", "MSM-09", "DP-18")
def test_fault_is_dark_names_its_cause_and_is_left_only_by_reset(emu: Emulator, host: Host) -> None:
    host.byte(0, 8)
    emu.ports["1"].module.fault(1)
    assert host.module_state() == FAULT
    assert host.byte(0, 41) == 1
    assert host.byte(0, 8) & 1
    assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
    assert host.output_tx() == 0
    states, active, status = host.states(), host.active(), host.status()
    for control in (DP_DEINIT, OUTPUT_DISABLE_TX, 132, 138, 143, 144):
        host.control(control, 0xFF)
        host.control(control, 0)
    host.write(0, 26, 0x50)
    emu.ports["1"].pins.LPMode = True
    emu.clock.advance(30)
    assert host.module_state() == FAULT
    assert (host.states(), host.active(), host.status()) == (states, active, status)
    emu.ports["1"].pins.LPMode = False
    host.write(0, 26, 0x08)
    emu.settle()
    assert host.module_state() == READY
    assert host.byte(0, 41) == 0
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("MSM-09", "CFG-06")
def test_fault_ends_a_configuration_under_way(emu: Emulator, host: Host) -> None:
    host.stage(range(1, 9), dp_config(1, 0, 1))
    host.apply(0xFF)
    emu.ports["1"].module.fault(2)
    active = host.active()
    emu.clock.advance(5)
    assert host.active() == active


@pytest.mark.rule("MSM-04", "MSM-09")
@pytest.mark.parametrize("when_s", [0.9, 2.5])
def test_fault_from_transient_states(when_s: float) -> None:
    with booting() as emu:
        host = Host(emu.smbus(1))
        emu.clock.advance(when_s)
        emu.ports["1"].module.fault(3)
        states = host.states()
        assert follow(emu, 10) == [(round(when_s * 1e9), FAULT)]
        assert host.states() == states
        emu.ports["1"].pins.power = False
        emu.ports["1"].pins.power = True
        emu.settle()
        assert host.module_state() == READY


def flat(profile: dict[str, Any]) -> None:
    """A passive module: lower memory and page 00h only."""
    keep = ("SFF8024", "Vendor", "DateCode", "CLEI", "ModulePowerClass", "MediaInterfaceTechnology")
    registers = {name: value for name, value in profile["registers"].items() if name.startswith(keep)}
    registers |= {"MemoryModel": 1, "MediaType": 0x03, "MaxPower": 1.5, "ModulePowerClass": 0, "ConnectorType": 0x23}
    profile["registers"] = registers
    profile["applications"] = [{"host": 0x1D, "media": 0x01, "host_lanes": 8, "media_lanes": 8, "host_start": 1}]
    for section in ("durations_ms", "thresholds", "signal_integrity", "vdm", "diagnostics", "cdb", "firmware"):
        profile.pop(section)
    profile["durations_ms"] = {"MgmtInit": 100}


@pytest.mark.rule("MSM-10")
def test_flat_module_is_always_ready(variant: Variant) -> None:
    emu = variant(flat, pins={"LPMode": True})
    emu.clock.advance(1)
    host, port = Host(emu.smbus(1)), emu.ports["1"]
    assert host.byte(0, 2) == 0x80
    for level in (True, False):
        port.pins.LPMode = level
        emu.clock.advance(3)
        assert host.byte(0, 3) == 0x07  # Ready, interrupt deasserted, as a real copper cable
        assert port.pins.IntL
    assert host.read(0, 4, 9) == bytes(9)
    port.set_host_signal(1, False)  # a cable has no lane circuits to notice
    port.set_host_signal(1, True)
    host.write(0, 26, 0x10)
    emu.clock.advance(3)
    assert host.byte(0, 3) == 0x07
    host.write(0, 26, 0x08)
    assert not host.answers()
    emu.clock.advance(1)
    assert host.byte(0, 3) == 0x07


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["pin", "software", "reset", "pulse", "power", "fault", "deinit", "wait"]),
        st.booleans(),
        st.integers(0, 3_000_000_000),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.rule("MSM-01", "MSM-04", "MSM-07")
@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_random_walk_stays_in_the_table(actions: list[tuple[str, bool, int]]) -> None:
    """Every transition is one of MSM-04; transients that end by themselves last what the profile says."""
    with booting() as emu:
        bus: VirtualSMBus = emu.smbus(1)
        host, port = Host(bus), emu.ports["1"]
        seen = [(0, host.module_state())]
        for what, flag, wait_ns in actions:
            managed = host.module_state() != NOT_READABLE
            if what == "pin":
                port.pins.LPMode = flag
            elif what == "power":
                port.pins.power = flag
            elif what == "pulse":
                port.pins.ResetL = False
                emu.clock.advance_ns(20_000)
                port.pins.ResetL = True
            elif what == "fault" and flag and managed:
                port.module.fault(4)
            elif managed and what == "software":
                host.write(0, 26, 0x10 if flag else 0)
            elif managed and what == "reset":
                host.write(0, 26, 0x48)
            elif managed and what == "deinit":
                host.control(DP_DEINIT, 0xFF if flag else 0)
            seen.append((emu.clock.now_ns, host.module_state()))
            seen += follow(emu, wait_ns / 1e9)
        changes = [seen[0], *(b for a, b in itertools.pairwise(seen) if a[1] != b[1])]
        for (start, old), (end, new) in itertools.pairwise(changes):
            assert allowed(old, new), (old, new)
            lasted = end - start
            if old == PWR_UP and new == READY:
                assert lasted == DURATIONS_MS["ModulePwrUp"] * NS_PER_MS
            if old == PWR_UP:
                assert lasted <= DURATIONS_MS["ModulePwrUp"] * NS_PER_MS
            if old == PWR_DN and new in (LOW_PWR, PWR_UP):
                assert lasted == DURATIONS_MS["ModulePwrDn"] * NS_PER_MS
