"""All that two linked modules show depends on seed and events: never on who reads what, in which order, how often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cmis_host import Host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optical_link import DR4, host_of, joined

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot

EVENTS = ["loss 1", "loss 6.8", "loss 9.8", "loss 14", "cut", "whole", "echo", "hot", "cold", "still air"]
EVENTS += ["weak supply", "old laser", "dead laser", "good laser", "no cooler", "cooler", "bad host", "no host"]
EVENTS += ["good host", "disable", "enable", "down", "up", "freeze", "unfreeze"]
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([1, 40, 130, 900, 6_000, 30_000]),  # ms before it
        st.sampled_from("ab"),
        st.sampled_from(EVENTS),
    ),
    max_size=6,
)
SHOWN = [(0, 14, 12), (0x11, 154, 48), (0x24, 128, 128), (0x25, 128, 128), (0x26, 128, 128)]
"""Monitors and VDM: page, offset, length. Reading them clears nothing."""
POLLS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(SHOWN)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Emulator, Snapshot]]:
    with joined(DR4, seed=7) as emu:
        emu.settle()
        emu.clock.advance(20)
        yield emu, emu.snapshot()


def act(emu: Emulator, port: str, what: str) -> None:
    fibre, here, host = emu.fibres["a-b"], emu.ports[port], host_of(emu, port)
    plant = here.module.plant
    kind, _, value = what.partition(" ")
    if kind == "loss":
        fibre.loss_db = float(value)
    elif kind in ("cut", "whole"):
        (fibre.cut if kind == "cut" else fibre.restore)()
    elif kind == "echo":
        fibre.disturb(1.0, (-20.0, -20.0))
    elif kind in ("hot", "cold"):
        plant.set_environment(ambient_c=52.7 if kind == "hot" else 20.0)
    elif kind == "still":
        plant.set_environment(airflow=0.3)
    elif kind == "weak":
        plant.set_supply(3.16)
    elif value == "laser":
        plant.set_ageing(2, 0.55 if kind == "old" else 0.0)
        plant.set_laser_failed(3, kind == "dead")
    elif "cooler" in what:
        plant.set_tec_failed(kind == "no")
    elif value == "host":
        here.set_host_signal(5, kind != "no", loss_db=13.0 if kind == "bad" else 4.0)
    elif kind in ("disable", "enable"):
        host.write(0x10, 130, 0x01 if kind == "disable" else 0)
    elif kind in ("down", "up"):
        host.write(0x10, 128, 0xFF if kind == "down" else 0)
    else:
        host.write(0x2F, 144, 0x80 if kind == "freeze" else 0)


def everything(host: Host) -> bytes:
    """All monitors, VDM and their flags; the flags last, as reading them clears them."""
    shown = [host.read(*each) for each in SHOWN]
    return b"".join([*shown, host.read(0x11, 128, 26), host.read(0x2C, 128, 128), host.read(0, 3, 11)])


def life(
    emu: Emulator,
    moments: list[tuple[int, str, str]],
    step_ms: int | None,
    polls: list[tuple[str, tuple[int, int, int]]],
) -> list[bytes]:
    """What both hosts read in the end; `step_ms` cuts time up, at each cut the next of `polls` is read."""
    clock = emu.clock
    assert isinstance(clock, ManualClock)
    hosts = {port: host_of(emu, port) for port in "ab"}
    turn = 0
    for wait_ms, port, what in [*moments, (5_003, "", "")]:
        left = wait_ms
        while left:
            now = min(left, step_ms or left)
            clock.advance_ns(now * 1_000_000)
            left -= now
            if polls:
                who, where = polls[turn % len(polls)]
                hosts[who].read(*where)
                turn += 1
        if what:
            act(emu, port, what)
    return [everything(host) for host in hosts.values()]


@pytest.mark.rule("MON-06", "VDM-07", "FLG-12")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=MOMENTS, step_ms=st.sampled_from([70, 250, 4_111]), polls=POLLS)
def test_polling_changes_nothing_at_either_end(
    world: tuple[Emulator, Snapshot],
    moments: list[tuple[int, str, str]],
    step_ms: int,
    polls: list[tuple[str, tuple[int, int, int]]],
) -> None:
    emu, start = world
    found = []
    for step, reads in ((None, []), (step_ms, []), (step_ms, polls), (step_ms, polls[::-1])):
        emu.restore(start)
        found.append(life(emu, moments, step, reads))
    assert found[0] == found[1] == found[2] == found[3]


def test_a_seed_is_a_set_of_readings() -> None:
    """The same seed gives the same bytes in another emulator; another seed gives others."""
    moments = [(900, "a", "loss 6.8"), (6_000, "b", "hot"), (900, "a", "bad host")]
    found = []
    for seed in (7, 7, 8):
        with joined(DR4, seed=seed) as emu:
            emu.settle()
            found.append(life(emu, moments, None, []))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1] != found[2][1]
