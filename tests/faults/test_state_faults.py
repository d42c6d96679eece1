"""Faults of the state machines, as a host sees them: fsm.delay, fsm.stall, fsm.skip, fsm.spontaneous.

Rows of the field catalogue (section 3) are named in the tests that reproduce them.
"""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    DEACTIVATED,
    DEINIT,
    DP_DEINIT,
    FAULT,
    INIT,
    INITIALIZED,
    LOW_PWR,
    OUTPUT_DISABLE_TX,
    PWR_DN,
    PWR_UP,
    READY,
    SUCCESS,
    TX_TURN_OFF,
    TX_TURN_ON,
    Host,
    dp_config,
)
from dr4 import Variant
from faulty import arm, arming

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.occasions import Occasions

DR4 = "qsfpdd-400g-dr4"
LOW, HIGH = 0x50, 0x40  # L:26, low power asked for by software or not
LEGS = ((1, 2), (3, 4), (5, 6), (7, 8))


def lasted(emu: Emulator, host: Host, state: int, limit_s: float = 20.0, lane: int = 1, step_s: float = 0.01) -> float:
    """Seconds from now until lane leaves the state, as a host that polls sees it."""
    start = emu.clock.now
    while host.states()[lane - 1] == state and emu.clock.now - start < limit_s:
        emu.clock.advance(step_s)
    return emu.clock.now - start


def module_lasted(emu: Emulator, host: Host, state: int, limit_s: float = 400.0, step_s: float = 0.05) -> float:
    start = emu.clock.now
    while host.module_state() == state and emu.clock.now - start < limit_s:
        emu.clock.advance(step_s)
    return emu.clock.now - start


def down(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()


def breakout(emu: Emulator) -> Host:
    """Four 100G data paths, all activated, flags read."""
    host = Host(emu.smbus(1))
    down(emu, host)
    for leg in range(4):
        host.stage(LEGS[leg], dp_config(2, 2 * leg))
    host.apply(0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    host.read(0x11, 134, 20)
    return host


# -- delay --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [True, False])
def test_S6_release_takes_200_ms(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "fsm.delay", state="DPDeinit", time="200 ms")
        arm(emu, "apply.result", in_progress="200 ms")
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0xFF)
    assert host.states() == [DEINIT] * 8
    emu.clock.advance(0.16)
    assert (host.states() == [DEINIT] * 8) == faulty
    emu.settle()
    host.stage(range(1, 9), 0)
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert (host.status() == [SUCCESS] * 8) == (not faulty)
    emu.clock.advance(0.11)
    assert host.status() == [SUCCESS] * 8


@pytest.mark.parametrize("faulty", [True, False])
def test_S7_power_up_of_300_s_beside_a_deinit_of_5_s(variant: Variant, faulty: bool) -> None:
    def coherent(profile: dict[str, Any]) -> None:
        profile["durations_ms"] |= {"ModulePwrUp": 250_000, "DPDeinit": 3000}

    emu = variant(coherent if faulty else None, settle=False)
    host = Host(emu.smbus(1))
    emu.clock.advance(0.5)
    assert host.module_state() == PWR_UP
    assert (host.byte(1, 167) & 15 == 10) == faulty, "code 10 is up to 300 s"
    if faulty:
        assert host.byte(1, 144) >> 4 == 7, "and the deinit says 1 to 5 s"
    assert (module_lasted(emu, host, PWR_UP) > 5) == faulty


@pytest.mark.parametrize("faulty", [True, False])
def test_S8_low_power_exit_takes_3_s(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "fsm.delay", state="ModulePwrUp", time="3 s", random="1 s")
        arm(emu, "fsm.delay", state="ModulePwrDn", time="2 s")
    code = host.byte(1, 167)
    host.write(0, 26, LOW)
    while host.module_state() != PWR_DN:
        emu.clock.advance(0.01)
    down_s = module_lasted(emu, host, PWR_DN, step_s=0.01)
    assert down_s == pytest.approx(2.0 if faulty else 0.15, abs=0.02)
    host.write(0, 26, HIGH)
    up_s = module_lasted(emu, host, PWR_UP, step_s=0.01)
    assert (3.0 <= up_s <= 4.02) if faulty else up_s == pytest.approx(1.5, abs=0.02)
    assert host.byte(1, 167) == code, "what is advertised stays"


@pytest.mark.parametrize("faulty", [True, False])
def test_S21_deinit_of_5_s_with_an_event_in_the_middle(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "fsm.delay", state="DPDeinit", time="5 s")
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(2)
    assert (host.states() == [DEINIT] * 8) == faulty
    host.control(DP_DEINIT, 0)  # the host starts afresh
    host.control(DP_DEINIT, 0xFF)
    assert host.states() == [DEINIT] * 8
    emu.settle()
    assert host.states() == [DEACTIVATED] * 8


def test_a_delay_of_lanes_leaves_the_others_alone(emu: Emulator) -> None:
    host = breakout(emu)
    clear = arm(emu, "fsm.delay", state="DPInit", time="4 s", lanes=[3])
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0)
    emu.clock.advance(3)
    assert host.states() == [ACTIVATED] * 2 + [INIT] * 2 + [ACTIVATED] * 4
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    clear()
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.control(DP_DEINIT, 0)
    emu.clock.advance(3)
    assert host.states() == [ACTIVATED] * 8


def test_a_delayed_way_out_of_a_steady_state(emu: Emulator, host: Host) -> None:
    arm(emu, "fsm.delay", state="DPActivated", to="DPTxTurnOff", time="700 ms")
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.clock.advance(0.65)
    assert host.states() == [ACTIVATED] * 8
    emu.clock.advance(0.1)
    assert host.states() == [TX_TURN_OFF] * 8
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.clock.advance(0.3)
    host.control(OUTPUT_DISABLE_TX, 0)  # taken back before it moved
    emu.clock.advance(2)
    assert host.states() == [ACTIVATED] * 8


def test_a_delay_armed_and_cleared_on_the_way(emu: Emulator, host: Host) -> None:
    down(emu, host)
    host.control(DP_DEINIT, 0)
    emu.clock.advance(1)
    clear = arm(emu, "fsm.delay", state="DPInit", time="10 s")
    emu.clock.advance(5)
    assert host.states() == [INIT] * 8
    clear()
    emu.clock.advance(0)
    assert host.states() == [TX_TURN_ON] * 8, "its own time was long over"


# -- stall --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["DPTxTurnOff", "DPInit"])
def test_S9_a_transient_state_for_ever(emu: Emulator, host: Host, state: str) -> None:
    stuck = {"DPTxTurnOff": TX_TURN_OFF, "DPInit": INIT}[state]
    clear = arm(emu, "fsm.stall", state=state)
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    if state == "DPInit":
        emu.settle()
        host.control(DP_DEINIT, 0xFF)
        emu.settle()
        host.control(DP_DEINIT, 0)
    emu.clock.advance(600)
    assert host.states() == [stuck] * 8
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(60)
    assert host.states() == [stuck] * 8, "only a reset helps"
    clear()
    emu.settle()
    assert host.states() == [DEACTIVATED] * 8


def test_S18_the_third_warm_init_never_ends(emu: Emulator, host: Host) -> None:
    occasions = Occasions(emu.seed, 1, skip=2, count=1)
    arming(emu, "fsm.stall", occasions, state="DPInit", until="re-init")
    for attempt in (1, 2, 3, 4):
        host.control(DP_DEINIT, 0xFF)
        emu.clock.advance(5)
        host.control(DP_DEINIT, 0)
        emu.clock.advance(30)
        assert host.states() == [INIT if attempt == 3 else ACTIVATED] * 8
    assert (occasions.seen, occasions.taken) == (4, 1)


@pytest.mark.parametrize("what", ["stall", "fault"])
@pytest.mark.parametrize("cause", [1, 4, 6])
def test_S20_never_operational(what: str, cause: int) -> None:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        if what == "stall":
            arm(emu, "fsm.stall", state="ModuleLowPwr")
        emu.clock.advance(1)
        if what == "fault":
            arm(emu, "fsm.spontaneous", what="fault", cause=cause)
        emu.clock.advance(600)
        host = Host(emu.smbus(1))
        assert host.module_state() == (LOW_PWR if what == "stall" else FAULT)
        assert host.byte(0, 41) == (0 if what == "stall" else cause)
        assert host.byte(0, 14) > 0, "it still answers and measures"


@pytest.mark.parametrize("until", ["reset", "re-init", "cleared"])
def test_S23_cured_by_a_reset_or_by_a_new_init(emu: Emulator, host: Host, until: str) -> None:
    clear = arm(emu, "fsm.stall", state="DPInit", until=until, count=1)
    down(emu, host)
    host.control(DP_DEINIT, 0)
    emu.clock.advance(30)
    assert host.states() == [INIT] * 8
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(3)
    assert host.states() == [DEACTIVATED if until == "re-init" else INIT] * 8
    host.control(DP_DEINIT, 0)
    emu.clock.advance(30)
    assert host.states() == [ACTIVATED if until == "re-init" else INIT] * 8
    host.write(0, 26, 0x48)  # software reset
    emu.clock.advance(30)
    assert host.states() == [INIT if until == "cleared" else ACTIVATED] * 8
    clear()
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


def test_M5_a_bring_up_of_minutes(emu: Emulator, host: Host) -> None:
    arm(emu, "fsm.stall", state="DPInit", until="re-init", count=3)
    down(emu, host)
    for attempt in range(4):
        host.control(DP_DEINIT, 0)
        emu.clock.advance(60)
        assert host.states() == [INIT if attempt < 3 else ACTIVATED] * 8
        assert 20 < host.byte(0, 14) < 80, "the temperature is there all the time"
        host.control(DP_DEINIT, 0xFF)
        emu.clock.advance(3)


def test_a_stall_struck_by_chance_is_the_same_for_the_same_seed() -> None:
    def life(seed: int) -> list[list[int]]:
        with Emulator.load(DR4, clock=ManualClock(), seed=seed) as emu:
            emu.settle()
            host = breakout(emu)
            arm(emu, "fsm.stall", state="DPInit", until="re-init", probability=0.3)
            found = []
            for _ in range(6):
                host.control(DP_DEINIT, 0xFF)
                emu.clock.advance(3)
                host.control(DP_DEINIT, 0)
                emu.clock.advance(5)
                found.append(host.states())
            return found

    first = life(1)
    assert first == life(1)
    assert first != life(2)
    assert {INIT, ACTIVATED} == {state for states in first for state in states}


def test_a_stuck_module_holds_nobody_who_pulls_it(emu: Emulator, host: Host) -> None:
    arm(emu, "fsm.stall", state="ModulePwrUp", until="cleared", count=1)
    port = emu.ports["1"]
    host.write(0, 26, LOW)
    emu.settle()
    host.write(0, 26, HIGH)
    emu.clock.advance(60)
    assert host.module_state() == PWR_UP
    port.pins.ResetL = False
    emu.clock.advance(0.001)
    port.pins.ResetL = True
    emu.clock.advance(60)
    assert host.module_state() == PWR_UP, "not even a reset"
    port.insert(DR4)
    emu.clock.advance(60)
    assert host.module_state() == READY, "the next module is another one"


# -- skip ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [True, False])
def test_S2_pending_is_gone_before_the_host_looks(emu: Emulator, host: Host, faulty: bool) -> None:
    down(emu, host)
    if faulty:
        clear = arm(emu, "fsm.skip", what="DPInitPending", unchanged=True)
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8
    assert (host.pending() == 0) == faulty
    for leg in range(4):
        host.stage(LEGS[leg], dp_config(2, 2 * leg))
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert host.pending() == 0xFF, "another application"
    host.apply(0xFF)
    emu.clock.advance(0.1)
    assert (host.pending() == 0) == faulty
    if faulty:
        clear()
        assert host.pending() == 0xFF
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.parametrize("faulty", [True, False])
def test_S2_transient_states_too_fast_to_see(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        for state in ("DPInit", "DPTxTurnOn", "DPTxTurnOff", "DPDeinit"):
            arm(emu, "fsm.skip", what=state)
    host.read(0x11, 134, 1)
    host.control(DP_DEINIT, 0xFF)
    assert (host.states() == [DEACTIVATED] * 8) == faulty
    emu.settle()
    assert (host.changed() == 0) == faulty
    host.control(DP_DEINIT, 0)
    assert (host.states() == [ACTIVATED] * 8) == faulty


@pytest.mark.parametrize("faulty", [True, False])
def test_state_changed_flags_that_never_set(emu: Emulator, host: Host, faulty: bool) -> None:
    host.read(0, 8, 1), host.changed()
    if faulty:
        arm(emu, "fsm.skip", what="DPStateChangedFlag")
        arm(emu, "fsm.skip", what="ModuleStateChangedFlag")
    host.write(0, 26, LOW)
    emu.settle()
    assert (host.changed() == 0) == faulty
    assert (host.byte(0, 8) & 1 == 0) == faulty


# -- spontaneous ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["pin", "register", "spontaneous"])
def test_S17_after_a_reset_nobody_initialises_it(emu: Emulator, how: str) -> None:
    host, port = Host(emu.smbus(1)), emu.ports["1"]
    host.control(OUTPUT_DISABLE_TX, 0x01)
    port.pins.LPMode = True  # the platform keeps it low; the host had raised it by software
    host.write(0, 26, 0x00)
    emu.settle()
    assert host.module_state() == READY
    if how == "pin":
        port.pins.ResetL = False
        emu.clock.advance(0.001)
        port.pins.ResetL = True
    elif how == "register":
        host.write(0, 26, 0x08)
    else:
        arm(emu, "fsm.spontaneous", what="reset")
    assert not host.answers()
    emu.clock.advance(60)
    assert host.module_state() == LOW_PWR
    assert host.byte(0x10, OUTPUT_DISABLE_TX) == 0, "defaults again"
    assert host.byte(0, 26) == 0x40


def test_a_module_that_drops_to_low_power(emu: Emulator, host: Host) -> None:
    clear = arm(emu, "fsm.spontaneous", what="low-power")
    emu.clock.advance(30)
    assert host.module_state() == LOW_PWR
    assert host.byte(0, 26) == HIGH, "nobody asked"
    clear()
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.parametrize("what", ["fault", "low-power", "reset"])
def test_M8_the_module_shuts_itself_off_when_it_is_warm(emu: Emulator, host: Host, what: str) -> None:
    emu.clock.advance(3600)
    arm(emu, "fsm.spontaneous", what=what, cause=6, above="60 degC", count=1)
    emu.clock.advance(600)
    assert host.states() == [ACTIVATED] * 8
    heat = arm(emu, "env.airflow", flow="15 %", port="1")
    for _ in range(3600):
        emu.clock.advance(1)
        if host.module_state() != READY:
            break
    if what == "reset":
        assert host.states() == [DEACTIVATED] * 8
        emu.clock.advance(5)
        assert host.states() == [ACTIVATED] * 8
        return
    emu.clock.advance(1)
    assert host.module_state() == (FAULT if what == "fault" else LOW_PWR)
    assert host.tx_power_uw(1) == 0, "the far end sees a dead link"
    heat()


def test_without_the_fault_a_warm_module_goes_on(emu: Emulator, host: Host) -> None:
    arm(emu, "env.airflow", flow="50 %", port="1")
    emu.clock.advance(3600)
    assert host.states() == [ACTIVATED] * 8


# -- composing, snapshots, bad arguments ---------------------------------------------------------------------


def test_two_faults_of_one_machine_strike_in_turn(emu: Emulator, host: Host) -> None:
    slow = arm(emu, "fsm.delay", state="DPInit", time="3 s", count=1)
    arm(emu, "fsm.stall", state="DPInit", until="re-init", skip=1, count=1)
    down(emu, host)
    host.control(DP_DEINIT, 0)
    assert lasted(emu, host, INIT) == pytest.approx(3.0, abs=0.02), "the first armed goes first"
    for expected in (ACTIVATED, INIT, ACTIVATED):
        down(emu, host)
        host.control(DP_DEINIT, 0)
        emu.clock.advance(20)
        assert host.states() == [expected] * 8
    slow()


def test_a_snapshot_keeps_who_is_stuck_and_a_fault_is_cleared_in_the_copy(emu: Emulator, host: Host) -> None:
    clear = arm(emu, "fsm.stall", state="DPInit")
    down(emu, host)
    host.control(DP_DEINIT, 0)
    emu.clock.advance(30)
    kept = emu.snapshot()
    emu.ports["1"].insert(DR4)
    emu.restore(kept)
    emu.clock.advance(30)
    assert host.states() == [INIT] * 8
    clear()
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


def test_armed_before_insertion_and_kept_over_a_replug() -> None:
    testbed = {"version": 1, "ports": {"1": {"bus": 1}}}
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        port, host = emu.ports["1"], Host(emu.smbus(1))
        clear = arm(emu, "fsm.delay", state="MgmtInit", time="2500 ms")
        for _ in range(2):
            port.insert(DR4)
            emu.clock.advance(2.4)
            assert not host.answers()
            emu.clock.advance(0.2)
            assert host.answers()
        clear()
        port.insert(DR4)
        emu.clock.advance(0.5)
        assert host.answers()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fsm.delay", {"state": "DPInit", "to": "DPInitialized", "time": "1 s"}),
        ("fsm.delay", {"state": "DPActivated", "to": "Nowhere", "time": "1 s"}),
        ("fsm.stall", {"state": "DPInit", "lanes": [0]}),
        ("fsm.stall", {"state": "DPInit", "lanes": "some"}),
        ("fsm.spontaneous", {"what": "fault", "cause": 0}),
    ],
)
def test_what_is_refused(emu: Emulator, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        arm(emu, name, **arguments)


def test_states_that_a_delay_of_initialised_paths_holds(emu: Emulator, host: Host) -> None:
    down(emu, host)
    arm(emu, "fsm.delay", state="DPInitialized", time="1 s")
    host.control(DP_DEINIT, 0)
    while host.states()[0] == INIT:
        emu.clock.advance(0.01)
    assert lasted(emu, host, INITIALIZED) == pytest.approx(1.0, abs=0.02)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
