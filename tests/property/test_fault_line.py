"""Faults in front of a module: both ways through a target meet the same ones, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dr4 import DR4
from fault_bench import Clear, arm
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twins import Twins, read_bytes, write_bytes

from cmis_emu import Emulator
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.tap import Transaction
from cmis_emu.occasions import Occasions

ADDRESSES = st.one_of(st.sampled_from([0, 8, 14, 26, 31, 120, 126, 127, 128, 130, 143, 147, 255]), st.integers(0, 255))
VALUES = st.one_of(st.sampled_from([0, 1, 2, 0x10, 0x11, 0xFF]), st.integers(0, 255))
STEPS = st.one_of(
    st.tuples(st.just("write"), st.builds(lambda a, d: bytes([a, *d]), ADDRESSES, st.lists(VALUES, max_size=10))),
    st.tuples(st.just("write"), st.just(b"")),
    st.tuples(st.just("write"), st.sampled_from([bytes([126, 0, page]) for page in (0, 1, 2, 0x10, 0x11)])),
    st.tuples(st.just("read"), st.one_of(st.integers(0, 20), st.sampled_from([127, 128, 129, 200]))),
    st.tuples(st.just("time"), st.sampled_from([1_000_000, 50_000_000, 700_000_000])),
    st.tuples(st.just("cut"), st.booleans()),
)
PLACES = st.sampled_from([None, "L", "L:14-15", "L:127", "L:31-34", "00h:128-150", "10h", "11h:134-169", "L:3.3-1"])
WAYS = st.sampled_from(["read", "write", "any"])
TIMES = st.sampled_from(["1 ms", "60 ms", "1.2 s"])

Plan = tuple[str, dict[str, Any]]


def plans(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Plan]:
    """Uses of one action."""
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


READ_ONLY: list[st.SearchStrategy[Plan]] = [
    plans("bus.short_read", place=PLACES, right=st.integers(0, 9), filler=st.sampled_from(["zeros", "ones", "last"])),
    plans("bus.flip", place=PLACES),
    plans("bus.corrupt", place=PLACES, byte=st.one_of(st.none(), VALUES)),
    plans("bus.stale_read", place=PLACES.filter(bool), time=TIMES, after=PLACES),
    plans("mem.override", place=PLACES.filter(bool), value=VALUES.map(lambda v: [v]), checksum=st.just("recomputed")),
    plans(
        "mem.partial", place=PLACES, until=st.sampled_from(["1 s", "20 s"]), blank=st.sampled_from(["ones", "garbage"])
    ),
]
ANY: list[st.SearchStrategy[Plan]] = [
    *READ_ONLY,
    plans("bus.nack", direction=WAYS, place=PLACES, unchanged=st.booleans()),
    plans("bus.nack", direction=WAYS, place=PLACES, error=st.sampled_from(["EREMOTEIO", "EIO"])),
    plans("bus.stretch", time=TIMES, direction=WAYS, place=PLACES),
    plans("bus.stretch", forever=st.just(True), limit=st.just("20 ms"), direction=WAYS, place=PLACES),
    plans("bus.flip", place=PLACES, direction=WAYS),
    plans("bus.busy_errno", error=st.sampled_from(["EBUSY", "EAGAIN"]), direction=WAYS, place=PLACES),
    plans("bus.dead_until", time=TIMES, since=st.just("write"), place=PLACES.filter(bool)),
    plans("page.stuck", page=st.sampled_from([None, "11h"])),
    plans("page.ignored", page=st.sampled_from([None, "10h"]), keeps=st.booleans()),
    plans("page.slow", time=TIMES, meanwhile=st.sampled_from(["old", "refused"])),
]
OCCASIONS = st.builds(
    dict,
    seed=st.integers(0, 99),
    skip=st.integers(0, 3),
    every=st.integers(1, 3),
    count=st.one_of(st.none(), st.integers(1, 4)),
    probability=st.sampled_from([1.0, 0.6]),
)
ARMED = st.lists(st.tuples(st.one_of(ANY), OCCASIONS), min_size=1, max_size=4)

# A failure is small enough as found, and examples are dear to shrink.
PROPERTY = settings(
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def attempt(action: Callable[[], Any]) -> Any:
    """What it gives, or the errno with which the adapter gave up."""
    try:
        return action()
    except BusError as error:
        return ("errno", error.errno)


def do(emu: Emulator, kind: str, value: Any, peeks: int | None = None) -> Any:
    """One step, as whole messages or as byte events; what came of it."""
    target = emu.ports["1"].target
    if kind == "write":
        return attempt(lambda: target.write(value) if peeks is None else write_bytes(target, value))
    if kind == "read":
        return attempt(lambda: target.read(value) if peeks is None else read_bytes(target, value, peeks))
    if kind == "cut":
        if value:
            emu.fibres["loop"].cut()
        else:
            emu.fibres["loop"].restore()
    else:
        emu.clock.advance_ns(value)
    return None


def armed(emu: Emulator, plan: list[tuple[Plan, dict[str, Any]]]) -> list[Clear]:
    return [arm(emu, name, Occasions(**occasions), **arguments) for (name, arguments), occasions in plan]


@PROPERTY
@given(plan=ARMED, steps=st.lists(STEPS, max_size=20), peeks=st.integers(0, 2))
def test_byte_events_equal_whole_messages_under_faults(
    twins: Twins, plan: list[tuple[Plan, dict[str, Any]]], steps: list[tuple[str, Any]], peeks: int
) -> None:
    twins.rewind()
    seen: tuple[list[Transaction], list[Transaction]] = ([], [])
    clears = []
    for emu, told in zip(twins, seen, strict=True):
        emu.ports["1"].target.taps.append(told.append)
        clears += armed(emu, plan)
    try:
        for kind, value in steps:
            assert do(twins.one, kind, value) == do(twins.two, kind, value, peeks)
            twins.assert_same()
            assert seen[0] == seen[1]
    finally:
        for clear in clears:
            clear()


@PROPERTY
@given(steps=st.lists(STEPS, max_size=20), peeks=st.integers(0, 2))
def test_observers_are_told_the_same_either_way(twins: Twins, steps: list[tuple[str, Any]], peeks: int) -> None:
    twins.rewind()
    seen: tuple[list[Transaction], list[Transaction]] = ([], [])
    for emu, told in zip(twins, seen, strict=True):
        emu.ports["1"].target.taps.append(told.append)
    for kind, value in steps:
        do(twins.one, kind, value)
        do(twins.two, kind, value, peeks)
    assert seen[0] == seen[1]
    assert len(seen[0]) == sum(kind in ("read", "write") for kind, _ in steps)


@PROPERTY
@given(
    plan=st.lists(st.tuples(st.one_of(READ_ONLY), OCCASIONS), min_size=1, max_size=4),
    steps=st.lists(STEPS, max_size=15),
    order=st.permutations(range(4)),
)
def test_a_module_works_on_untouched_under_faults_of_what_is_read(
    twins: Twins, plan: list[tuple[Plan, dict[str, Any]]], steps: list[tuple[str, Any]], order: list[int]
) -> None:
    twins.rewind()
    clears = armed(twins.one, plan)
    try:
        for kind, value in steps:
            do(twins.one, kind, value)
            do(twins.two, kind, value)
    finally:
        for index in order:
            if index < len(clears):
                clears[index]()
    twins.assert_same()
    answers_alike(twins)


@PROPERTY
@given(plan=ARMED, order=st.permutations(range(4)), early=st.sets(st.integers(0, 3)), replug=st.booleans())
def test_armed_and_cleared_in_any_order_nothing_is_left(
    twins: Twins, plan: list[tuple[Plan, dict[str, Any]]], order: list[int], early: set[int], replug: bool
) -> None:
    twins.rewind()
    clears: list[Clear] = []
    for index, each in enumerate(plan):
        clears += armed(twins.one, [each])
        if index in early:
            clears[order[index] % len(clears)]()  # and once more below, which is harmless
    if replug:
        for emu in twins:
            emu.ports["1"].insert(DR4)
    for emu in twins:
        emu.clock.advance(2.0)
    for index in order:
        if index < len(clears):
            clears[index]()
    twins.assert_same()
    answers_alike(twins)


def answers_alike(twins: Twins) -> None:
    """Every page, read whole over the bus, is the same; and neither has anything in its way."""
    for emu in twins:
        assert not emu.ports["1"].target.line.in_use
        assert not emu.ports["1"].module.memory.select_faults
        assert all(page.overlay is None for page in emu.ports["1"].module.memory.pages.values())
    for page in (0, 1, 2, 0x10, 0x11, 0x13):
        for start in (128, 0):
            steps = (("write", bytes([126, 0, page])), ("write", bytes([start])), ("read", 128))
            for kind, value in steps:
                assert do(twins.one, kind, value) == do(twins.two, kind, value)


@PROPERTY
@given(plan=ARMED, steps=st.lists(STEPS, max_size=15))
def test_the_same_seed_gives_the_same_outcome(
    twins: Twins, plan: list[tuple[Plan, dict[str, Any]]], steps: list[tuple[str, Any]]
) -> None:
    outcomes: list[Any] = []
    for _ in range(2):
        twins.rewind()
        told: list[Transaction] = []
        twins.one.ports["1"].target.taps.append(told.append)
        clears = armed(twins.one, plan)
        try:
            outcomes.append(([do(twins.one, kind, value) for kind, value in steps], told))
        finally:
            for clear in clears:
                clear()
    assert outcomes[0] == outcomes[1]


def test_the_faults_of_these_properties_do_something(twins: Twins) -> None:
    """Negative control: with a fault the twins differ, and the comparison sees it."""
    twins.rewind()
    clear = arm(twins.one, "bus.corrupt", place="L:0", byte=1)
    with pytest.raises(AssertionError):
        answers_alike(twins)
    clear()
    answers_alike(twins)
