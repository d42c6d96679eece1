"""What a checker counts depends on what happened, never on who read how often or how time was cut up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot

ENGINES = {"host gen": 144, "media gen": 152, "host check": 160, "media check": 168}
LOOPBACKS = (180, 181, 182, 183)
EVENTS = ["loss 1", "loss 6.5", "loss 9", "cut", "restore", "hot", "cold", "bad host", "good host", "no host", "send"]
EVENTS += ["gate", "clear", "loop 0", "loop 1", "loop 2", "loop 3", "loop off", "gen off", "gen on", "down", "up"]
MOMENTS = st.lists(
    st.tuples(st.sampled_from([0, 1, 40, 130, 900, 6_000]), st.sampled_from("ab"), st.sampled_from(EVENTS)),
    max_size=8,
)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Emulator, Snapshot]]:
    ports = {name: {"profile": "qsfpdd-400g-dr4", "bus": n} for n, name in enumerate("ab", 1)}
    fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": 6.0}}
    with Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        emulator.clock.advance(5)
        for port in "ab":
            for engine in ENGINES.values():
                write(emulator, port, 0x13, engine, 0xFF)
        emulator.clock.advance(2)
        yield emulator, emulator.snapshot()


def write(emu: Emulator, port: str, page: int, at: int, value: int) -> None:
    module = emu.ports[port].module
    module.memory.select(page, 0)
    module.write(at, bytes([value]))


def act(emu: Emulator, port: str, what: str) -> None:
    fibre, module = emu.fibres["a-b"], emu.ports[port].module
    kind, _, value = what.partition(" ")
    if kind == "loss":
        fibre.loss_db = float(value)
    elif kind in ("cut", "restore"):
        getattr(fibre, kind)()
    elif kind in ("hot", "cold"):
        module.plant.set_environment(ambient_c=55.0 if kind == "hot" else 20.0)
    elif value == "host":
        emu.ports[port].set_host_signal(2, kind != "no", loss_db=13.0 if kind == "bad" else 4.0)
    elif kind == "send":
        for lane in range(1, 9):
            emu.ports[port].set_host_signal(lane, pattern="prbs31q")
    elif kind == "gate":
        write(emu, port, 0x13, 177, 0x12)
    elif kind == "clear":
        for each in (0x20, 0x00):
            write(emu, port, 0x13, 177, each)
    elif kind == "loop":
        for number, at in enumerate(LOOPBACKS):
            write(emu, port, 0x13, at, 0xFF if value == str(number) else 0)
    elif kind == "gen":
        for name in ("host gen", "media gen"):
            write(emu, port, 0x13, ENGINES[name], 0xFF if value == "on" else 0)
    else:
        write(emu, port, 0x10, 128, 0xFF if kind == "down" else 0)


def results(emu: Emulator) -> list[bytes]:
    found = []
    for port in "ab":
        module = emu.ports[port].module
        for selector in (1, 2, 3, 4, 6, 0x11, 0x12, 0x14):
            write(emu, port, 0x14, 128, selector)
            found.append(module.peek(0x14, 192, 64))
        found.append(module.peek(0x14, 132, 8))
    return found


def life(emu: Emulator, moments: list[tuple[int, str, str]], step_ms: int | None, poll: bool) -> list[bytes]:
    """All results at the end; `step_ms` cuts time up, `poll` looks at them, and writes, at every cut."""
    clock = emu.clock
    assert isinstance(clock, ManualClock)
    for wait_ms, port, what in [*moments, (7_003, "a", "")]:
        left = wait_ms
        while left:
            now = min(left, step_ms or left)
            clock.advance_ns(now * 1_000_000)
            left -= now
            if poll:
                results(emu)
                for each in "ab":
                    write(emu, each, 0x13, 186, left & 0xFF)  # nothing is there
                    write(emu, each, 0x10, 213, 0)
                    emu.ports[each].module.settle()
        if what:
            act(emu, port, what)
    return results(emu)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=MOMENTS, step_ms=st.sampled_from([33, 250, 4_111]))
def test_polling_and_cutting_time_up_change_nothing(
    world: tuple[Emulator, Snapshot], moments: list[tuple[int, str, str]], step_ms: int
) -> None:
    emulator, start = world
    found = []
    for step, poll in ((None, False), (step_ms, False), (step_ms, True)):
        emulator.restore(start)
        found.append(life(emulator, moments, step, poll))
    assert found[0] == found[1] == found[2]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=MOMENTS)
def test_counts_never_fall_within_a_measurement_and_errors_never_exceed_bits(
    world: tuple[Emulator, Snapshot], moments: list[tuple[int, str, str]]
) -> None:
    emulator, start = world
    emulator.restore(start)
    seen: dict[tuple[str, str, int], tuple[int, int]] = {}
    for wait_ms, port, what in [*moments, (3_000, "a", ""), (3_000, "b", "")]:
        emulator.clock.advance(wait_ms / 1000)
        for each in "ab":
            checkers = emulator.ports[each].module.banks[0].diagnostics
            assert checkers is not None
            for (side, lane), checker in checkers._checkers.items():
                errors, bits, _ = checker.shown
                assert 0 <= errors <= bits
                before = seen.get((each, side.value, lane), (0, 0))
                if bits >= before[1]:
                    assert errors >= before[0]
                seen[each, side.value, lane] = errors, bits
        if what:
            act(emulator, port, what)
            if what in ("gate", "clear", "down", "up"):
                seen.clear()
