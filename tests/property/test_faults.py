"""Faults that were cleared leave nothing behind; the same seed gives the same outcome, whoever reads how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cmis_host import DP_DEINIT, OUTPUT_DISABLE_TX, Host
from faulty import ACTIONS, arm
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot

DR4 = "qsfpdd-400g-dr4"

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("fsm.delay", {"state": "DPInit", "time": "700 ms", "random": "2 s", "probability": 0.5}),
    ("fsm.delay", {"state": "DPActivated", "to": "DPTxTurnOff", "time": "300 ms"}),
    ("fsm.stall", {"state": "DPTxTurnOn", "until": "re-init", "probability": 0.5}),
    ("fsm.stall", {"state": "DPDeinit", "until": "cleared"}),
    ("fsm.stall", {"state": "ModulePwrUp"}),
    ("fsm.skip", {"what": "DPTxTurnOff"}),
    ("fsm.skip", {"what": "DPInitPending"}),
    ("fsm.skip", {"what": "DPStateChangedFlag"}),
    ("fsm.spontaneous", {"what": "low-power"}),
    ("fsm.spontaneous", {"what": "low-power", "above": "45 degC"}),
    ("ctrl.ignore", {"field": "OutputDisableTx"}),
    ("ctrl.ignore", {"field": "DPDeinitLane", "reads": "old"}),
    ("ctrl.delay", {"field": "OutputDisableTx", "time": "900 ms"}),
    ("ctrl.delay", {"field": "LowPwrRequestSW", "time": "300 ms", "reads": "old"}),
    ("apply.result", {"status": "ConfigInProgress", "lanes": [3]}),
    ("apply.result", {"status": "ConfigRejected", "probability": 0.5}),
    ("apply.sideeffect", {"what": "busy"}),
    ("mon.override", {"field": "TempMonValue", "value": "99 degC", "probability": 0.1}),
    ("mon.override", {"field": "OpticalPowerRx", "how": "stale", "lanes": [1]}),
    ("mon.override", {"field": "esnr_media", "how": "noise", "value": 2}),
    ("mon.override", {"field": "VccMonVoltage", "how": "drift", "value": 0.01}),
    ("mon.thresholds", {"monitor": "TempMon", "how": "swap"}),
    ("mon.thresholds", {"monitor": "OpticalPowerRx", "how": "ones"}),
    ("flag.stick", {"field": "LOSFlagRx", "once_set": True}),
    ("flag.drop", {"field": "CDRLOLFlagRx"}),
    ("flag.latency", {"field": "LOSFlagRx", "time": "400 ms"}),
    ("vdm.freeze", {"how": "never"}),
    ("vdm.freeze", {"how": "stops", "probability": 0.5}),
    ("vdm.freeze", {"how": "sticks"}),
    ("vdm.layout", {"what": "holes", "observable": "pre_fec_ber_*_media", "lanes": [2]}),
    ("vdm.layout", {"what": "groups", "groups": 4}),
    ("diag.selector", {"latency": "50 ms"}),
    ("diag.lock", {"lanes": [1]}),
    ("diag.ber", {"lanes": [2]}),
    ("diag.counters", {}),
    ("diag.refuse", {"pattern": "prbs13q"}),
    ("diag.loopback", {}),
    ("link.loss", {"loss": "6 dB", "over": "3 s"}),
    ("link.loss", {"extra": "2 dB"}),
    ("link.cut", {"lanes": [1]}),
    ("link.disturb", {}),
    ("link.bend", {"radius": "6 mm"}),
    ("link.swap", {"cable": "type-a"}),
    ("link.los_flap", {"period": "2 s", "dark": "300 ms"}),
    ("link.ber_step", {}),
    ("link.poor_lock", {}),
    ("link.needs_toggle", {"probability": 0.5}),
    ("link.cdr_lock", {}),
    ("link.fec_tail", {}),
    ("link.host_signal", {"present": False, "lanes": [1]}),
    ("laser.ageing", {"rise": "10 %", "over": "2 s"}),
    ("laser.failed", {"lanes": [4]}),
    ("laser.weak", {"loss": "2 dB", "distortion": "1 dB"}),
    ("laser.tec", {}),
    ("env.ambient", {"temperature": "45 degC", "over": "4 s"}),
    ("env.airflow", {"flow": "60 %"}),
    ("env.supply", {"voltage": "3.1 V"}),
]
"""Each primitive, in ways that strike during `life`."""
LATCHES = [("flag.stick", {"field": "CDRLOLFlagTx"}), ("flag.spurious", {"field": "FailureFlagTx", "holds": True})]
"""These set flags at once, which stay set until they are read."""

READ_CLEARS = (0x2C,)
"""VDM's flags, which those who read clear."""
LIVES = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a life costs a second: to shrink takes too long
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CHOICE = st.lists(st.integers(0, len(FAULTS) - 1), min_size=1, max_size=5, unique=True)
ORDERED = CHOICE.flatmap(lambda chosen: st.tuples(st.just(chosen), st.permutations(chosen)))
"""Faults as they are armed, and as they are cleared. All is drawn before anything is armed: a draw may end a life."""


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Emulator, Snapshot]]:
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": DR4, "bus": 1}},
        "fibres": {"loop": {"from": "1", "to": "1", "loss_db": 3.0}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        emulator.clock.advance(600)
        Host(emulator.smbus(1)).read(0x11, 134, 20)
        yield emulator, emulator.snapshot()


def contents(emu: Emulator) -> dict[tuple[int, int], bytes]:
    """All that a host could read."""
    module = emu.ports["1"].module
    return {key: module.peek(key[0], 128 if key[0] >= 0 else 0, 128, key[1]) for key in module.memory.pages}


def life(emu: Emulator, step_s: float | None = None) -> None:
    """A host at work, and things that happen; `step_s`: somebody else reads all the time."""
    host = Host(emu.smbus(1))

    def wait(seconds: float) -> None:
        if step_s is None:
            emu.clock.advance(seconds)
            return
        end = emu.clock.now_ns + round(seconds * 1e9)
        while emu.clock.now_ns < end:
            emu.clock.advance_ns(min(round(step_s * 1e9), end - emu.clock.now_ns))
            contents(emu)

    def answered(do: Callable[[], object]) -> None:
        try:
            do()
        except OSError:
            return

    answered(lambda: host.write(0x13, 168, 0x0F))
    answered(lambda: host.write(0x2F, 144, 0x80))
    wait(0.5)
    answered(lambda: host.control(OUTPUT_DISABLE_TX, 0x0F))
    wait(1.5)
    answered(lambda: host.control(OUTPUT_DISABLE_TX, 0x00))
    answered(lambda: host.write(0x2F, 144, 0x00))
    wait(2)
    answered(lambda: host.control(DP_DEINIT, 0xFF))
    wait(0.6)
    answered(lambda: host.apply(0xFF))
    wait(0.3)
    answered(lambda: host.control(DP_DEINIT, 0x00))
    wait(4)
    answered(lambda: host.write(0, 26, 0x50))
    wait(1)
    answered(lambda: host.write(0, 26, 0x40))
    answered(lambda: host.write(0x13, 168, 0x00))
    wait(5)
    for page, first, length in ((0, 8, 6), (0x11, 134, 20), (0x2C, 128, 128), (0x14, 132, 8)):
        answered(lambda page=page, first=first, length=length: host.read(page, first, length))
    wait(1.05)


def test_each_primitive_is_here() -> None:
    mine = {"fsm", "ctrl", "apply", "mon", "flag", "vdm", "diag", "link", "laser", "env"}
    named = {name for name, _ in FAULTS + LATCHES}
    assert {name for name in ACTIONS if name.split(".")[0] in mine} == named


@pytest.mark.parametrize(("name", "arguments"), FAULTS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(FAULTS)])
def test_armed_and_cleared_at_once_it_leaves_nothing(
    world: tuple[Emulator, Snapshot], name: str, arguments: dict[str, Any]
) -> None:
    emu, start = world
    emu.restore(start)
    life(emu)
    expected = contents(emu)
    emu.restore(start)
    arm(emu, name, **arguments)()
    emu.clock.advance(0)
    life(emu)
    found = contents(emu)
    assert {key: data for key, data in found.items() if data != expected[key]} == {}


@LIVES
@given(orders=ORDERED)
def test_any_faults_cleared_in_any_order_leave_nothing(
    world: tuple[Emulator, Snapshot], orders: tuple[list[int], list[int]]
) -> None:
    emu, start = world
    chosen, cleared = orders
    emu.restore(start)
    life(emu)
    expected = contents(emu)
    emu.restore(start)
    undos = {n: arm(emu, FAULTS[n][0], channel=n, **FAULTS[n][1]) for n in chosen}
    for n in cleared:
        undos[n]()
    life(emu)
    assert contents(emu) == expected


def start_anew(emu: Emulator) -> None:
    """A reset, and time enough for all that is warm to cool down."""
    pins = emu.ports["1"].pins
    pins.ResetL = False
    emu.clock.advance(0.001)
    pins.ResetL = True
    emu.clock.advance(6 * 3600)
    host = Host(emu.smbus(1))
    host.read(0, 8, 6)
    for page, first, length in ((0x11, 134, 20), (0x2C, 128, 128), (0x14, 132, 8)):
        host.read(page, first, length)
    host.write(0x2F, 144, 0x80)
    emu.clock.advance(0.1)
    host.write(0x2F, 144, 0x00)
    emu.clock.advance(10.03)


@LIVES
@given(orders=ORDERED)
def test_after_a_life_with_faults_and_a_reset_the_module_is_as_new(
    world: tuple[Emulator, Snapshot], orders: tuple[list[int], list[int]]
) -> None:
    emu, start = world
    chosen, cleared = orders
    emu.restore(start)
    life(emu)
    start_anew(emu)
    expected = contents(emu)
    emu.restore(start)
    undos = {n: arm(emu, FAULTS[n][0], channel=n, **FAULTS[n][1]) for n in chosen}
    life(emu)
    for n in cleared:
        undos[n]()
    start_anew(emu)
    assert contents(emu) == expected


def lowers(outcomes: list[dict[tuple[int, int], bytes]]) -> tuple[bytes, bytes]:
    """The lower memories of the first and the last."""
    return outcomes[0][-1, 0], outcomes[-1][-1, 0]


@LIVES
@given(chosen=CHOICE, step_s=st.sampled_from([0.11, 0.25, 0.7]))
def test_with_the_same_seed_the_outcome_is_the_same_whoever_reads(
    world: tuple[Emulator, Snapshot], chosen: list[int], step_s: float
) -> None:
    emu, start = world
    outcomes = []
    for poll in (None, None, step_s):
        emu.restore(start)
        undos = [arm(emu, FAULTS[n][0], channel=n, **FAULTS[n][1]) for n in chosen]
        life(emu, poll)
        outcomes.append(contents(emu))
        for undo in undos:
            undo()
    assert outcomes[0] == outcomes[1], "the same seed"
    apart = {key for key in outcomes[0] if outcomes[0][key] != outcomes[2][key]}
    known = {key for key in outcomes[0] if key[0] in READ_CLEARS}
    assert apart <= known | {(-1, 0)}, "whoever reads"
    summary = range(3, 8)  # interrupt and summary follow the flags of VDM
    assert all(a == b for at, (a, b) in enumerate(zip(*lowers(outcomes), strict=True)) if at not in summary)


@LIVES
@given(chosen=CHOICE)
def test_a_snapshot_in_the_middle_changes_nothing(world: tuple[Emulator, Snapshot], chosen: list[int]) -> None:
    """What rules count is the scenario's and no snapshot takes it back, so only those that count nothing are here."""
    emu, start = world
    steady = [n for n in chosen if not {"probability", "count"} & FAULTS[n][1].keys()]
    emu.restore(start)
    undos = [arm(emu, FAULTS[n][0], channel=n, **FAULTS[n][1]) for n in steady]
    emu.clock.advance(0.7)
    kept = emu.snapshot()
    emu.restore(kept)
    for undo in undos:
        undo()
    first = contents(emu)
    emu.restore(start)
    undos = [arm(emu, FAULTS[n][0], channel=n, **FAULTS[n][1]) for n in steady]
    emu.clock.advance(0.7)
    for undo in undos:
        undo()
    assert contents(emu) == first


@pytest.mark.parametrize(("name", "arguments"), LATCHES, ids=["stick", "spurious"])
def test_flags_that_were_set_for_no_reason_go_with_the_read(
    world: tuple[Emulator, Snapshot], name: str, arguments: dict[str, Any]
) -> None:
    emu, start = world
    emu.restore(start)
    host = Host(emu.smbus(1))
    emu.clock.advance(1)
    expected = contents(emu)
    emu.restore(start)
    arm(emu, name, **arguments)()
    assert contents(emu)[0x11, 0] != expected[0x11, 0]
    emu.clock.advance(1)
    host.read(0x11, 134, 20)
    found = contents(emu)
    assert {key for key in found if found[key] != expected[key]} <= {(-1, 0)}, "the page register at most"


def test_an_empty_list_of_rules_costs_no_event(world: tuple[Emulator, Snapshot]) -> None:
    emu, start = world
    emu.restore(start)
    before = [entry[0] for entry in emu.clock.pending()]
    for name, arguments in FAULTS:
        arm(emu, name, **arguments)()
    emu.restore(start)
    assert [entry[0] for entry in emu.clock.pending()] == before
