"""VDM over changes of state: what statistics show when data paths come and go does not depend on who reads.

Samples are counted when somebody asks, so all that a sample is made of must be as it was until the change that
ends it has been announced: at this module, and at the one that sees its light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cmis_host import DP_DEINIT, OUTPUT_DISABLE_TX
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from optical_link import DR4, host_of, joined

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot

EVENTS = ["apply", "deinit", "init", "low power", "full power", "disable", "enable", "squelch", "pass", "reset"]
EVENTS += ["no host", "bad host", "host", "loop media", "loop host", "no loop", "pattern", "no pattern"]
EVENTS += ["loss 7", "cut", "whole", "freeze", "unfreeze"]
MOMENTS = st.lists(
    st.tuples(st.integers(0, 2_600), st.sampled_from("ab"), st.sampled_from(EVENTS)),  # ms before it, where, what
    min_size=1,
    max_size=7,
)
LIVES: list[list[tuple[int, str, str]]] = [
    [(1_013, "a", "apply")],
    [(517, "a", "deinit"), (707, "a", "init")],
    [(1_013, "a", "low power"), (2_303, "a", "full power")],
    [(31, "b", "disable"), (411, "b", "enable"), (90, "a", "disable")],
    [(31, "b", "loop media"), (2_511, "a", "no host"), (433, "a", "host"), (777, "b", "deinit"), (801, "b", "init")],
    [
        (510, "a", "disable"),
        (1_500, "a", "enable"),
        (2_000, "a", "deinit"),
        (600, "a", "apply"),
        (300, "a", "init"),
        (2_300, "a", "low power"),
        (1_000, "a", "full power"),
        (1_933, "b", "disable"),
    ],
    [(1_960, "a", "enable"), (0, "b", "freeze"), (0, "b", "apply"), (0, "b", "loop host")],
    [(31, "a", "pattern"), (1_211, "a", "no pattern"), (433, "b", "loop host"), (777, "a", "apply")],
]
STATISTICS = range(0x24, 0x27)  # the product has three groups
SHOWN = [(0x11, 154, 48), *((page, 128, 128) for page in STATISTICS), (0x2D, 128, 128)]
"""Monitors and VDM, and masks of its flags: reading them clears nothing."""


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Emulator, Snapshot]]:
    with joined(DR4, seed=3, loss_db=6.0, length_m=500) as emu:
        emu.settle()
        emu.clock.advance(20)
        yield emu, emu.snapshot()


def act(emu: Emulator, port: str, what: str) -> None:
    fibre, here, host = emu.fibres["a-b"], emu.ports[port], host_of(emu, port)
    writes = {
        "deinit": (0x10, DP_DEINIT, 0xFF),
        "init": (0x10, DP_DEINIT, 0x00),
        "low power": (0, 26, 0x50),
        "full power": (0, 26, 0x40),
        "disable": (0x10, OUTPUT_DISABLE_TX, 0x05),
        "enable": (0x10, OUTPUT_DISABLE_TX, 0x00),
        "squelch": (0x10, 132, 0x02),
        "pass": (0x10, 132, 0x00),
        "loop media": (0x13, 181, 0xFF),
        "loop host": (0x13, 182, 0xFF),
        "pattern": (0x13, 152, 0x0F),
        "no pattern": (0x13, 152, 0x00),
        "freeze": (0x2F, 144, 0x80),
        "unfreeze": (0x2F, 144, 0x00),
        "reset": (0, 26, 0x48),
    }
    if what == "apply":
        answered(lambda: host.apply(0xFF))
    elif what in writes:
        answered(lambda: host.write(*writes[what]))
    elif what == "no loop":
        for at in range(180, 184):
            answered(lambda at=at: host.write(0x13, at, 0))
    elif what.endswith("host"):
        here.set_host_signal(5, what != "no host", loss_db=12.0 if what == "bad host" else 4.0)
    elif what in ("cut", "whole"):
        (fibre.cut if what == "cut" else fibre.restore)()
    else:
        fibre.loss_db = 7.0


def answered(do: Callable[[], object]) -> None:
    """A module that boots answers nothing."""
    try:
        do()
    except OSError:
        return


def look(emu: Emulator) -> None:
    """Read all that shows, in one go a page, as a management daemon does."""
    for port in "ab":
        for page, offset, length in SHOWN:
            emu.ports[port].module.peek(page, offset, length)


def life(
    emu: Emulator, moments: list[tuple[int, str, str]], step_us: int | None, last_ms: int
) -> list[dict[int, bytes]]:
    """The statistics of both modules in the end, then frozen; `step_us`: somebody reads all the time."""
    clock = emu.clock
    assert isinstance(clock, ManualClock)

    def wait(duration_ms: int) -> None:
        left = duration_ms * 1000
        while left:
            now = min(left, step_us or left)
            clock.advance_ns(now * 1000)
            left -= now
            if step_us:
                look(emu)

    for wait_ms, port, what in moments:
        wait(wait_ms)
        act(emu, port, what)
    wait(last_ms)
    found = [{page: emu.ports[port].module.peek(page, 128, 128) for page in STATISTICS} for port in "ab"]
    for port in "ab":
        act(emu, port, "freeze")
    wait(300)
    found += [{page: emu.ports[port].module.peek(page, 128, 128) for page in STATISTICS} for port in "ab"]
    flags = [{page: emu.ports[port].module.peek(page, 128, 128) for page in (0x11, 0x2C)} for port in "ab"]
    return found + flags


def compare(world: tuple[Emulator, Snapshot], moments: list[tuple[int, str, str]], step_us: int, last_ms: int) -> None:
    emu, start = world
    emu.restore(start)
    expected = life(emu, moments, None, last_ms)
    emu.restore(start)
    assert life(emu, moments, step_us, last_ms) == expected


@pytest.mark.rule("VDM-07")
@pytest.mark.parametrize("step_us", [11_003, 110_000, 487_001])
@pytest.mark.parametrize(
    "moments", LIVES, ids=["-".join(sorted({each[2].replace(" ", "-") for each in life})) for life in LIVES]
)
def test_known_lives(world: tuple[Emulator, Snapshot], moments: list[tuple[int, str, str]], step_us: int) -> None:
    compare(world, moments, step_us, 3_217)


@pytest.mark.rule("VDM-07")
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a life costs half a second: to shrink takes too long
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moments=MOMENTS, step_us=st.sampled_from([11_003, 110_000, 487_001]), last_ms=st.integers(1, 4_000))
def test_any_life(
    world: tuple[Emulator, Snapshot], moments: list[tuple[int, str, str]], step_us: int, last_ms: int
) -> None:
    compare(world, moments, step_us, last_ms)
