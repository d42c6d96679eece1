"""What VDM shows depends on what happened, never on who read how often or how time was cut up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reception_double import double

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.module.reception import MediaReception

STATISTICS = ("minimum", "maximum", "average", "current")
BER = [f"pre_fec_ber_{each}_media" for each in STATISTICS]
FERC = [f"ferc_{each}_media" for each in STATISTICS]
GROUPS = [
    [
        {"observable": "esnr_media", "lanes": 4, "thresholds": [None, 17.7, None, 18.5]},
        {"observable": BER, "lanes": 4, "thresholds": [2.4e-4, None, 1e-4, None]},
        {"observable": FERC, "data_paths": [1], "thresholds": [1e-6, None, 1e-8, None]},
        {"observable": "ferc_total_accumulated_media", "module": True, "thresholds": [1e6, None, 1e3, None]},
        {"observable": "tec_current", "module": True, "thresholds": [95, -40, 80, -20]},
        {"observable": "laser_temperature", "module": True, "thresholds": [55, 49.97, 52, 49.99]},
        {"observable": "laser_frequency_error", "lanes": 2},
        {"observable": [f"pre_fec_ber_{s}_host" for s in STATISTICS], "module": True},
    ]
]  # fmt: skip
PAGES = (0x24, 0x2C, 0x2F)

EVENTS = ["loss 1", "loss 6", "loss 7.2", "cut", "restore", "hot", "cold", "freeze", "unfreeze", "host"]
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([1, 40, 130, 900, 6_000, 70_000]),  # ms before it
        st.sampled_from(
            ["loss 1", "loss 6", "loss 7.2", "cut", "restore", "hot", "cold", "freeze", "unfreeze", "host"]
        ),
    ),
    max_size=6,
)


@pytest.fixture(scope="module", params=[MediaReception, double], ids=["module", "double"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Emulator, Snapshot]]:
    patch = pytest.MonkeyPatch()
    patch.setattr("cmis_emu.module.vdm.controller.MediaReception", request.param)
    path = tmp_path_factory.mktemp("vdm") / "vdm.yaml"
    profile = {"profile": "vdm", "base": "qsfpdd-400g-dr4", "vdm": {"groups": GROUPS}}
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": str(path), "bus": 1}},
        "fibres": {"loop": {"from": "1", "to": "1"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator, emulator.snapshot()
    patch.undo()


def act(emu: Emulator, what: str) -> None:
    fibre, module = emu.fibres["loop"], emu.ports["1"].module
    kind, _, value = what.partition(" ")
    if kind == "loss":
        fibre.loss_db = float(value)
    elif kind in ("cut", "restore"):
        getattr(fibre, kind)()
    elif kind in ("hot", "cold"):
        module.plant.set_environment(ambient_c=55.0 if kind == "hot" else 20.0)
    elif kind == "host":
        emu.ports["1"].set_host_signal(3, loss_db=4.0 + emu.clock.now_ns % 7)
    else:
        module.memory.select(0x2F, 0)
        module.write(144, b"\x80" if kind == "freeze" else b"\0")


def life(emu: Emulator, moments: list[tuple[int, str]], step_ms: int | None, poll: bool) -> bytes:
    """All VDM bytes at the end; `step_ms` cuts time up, `poll` reads the values at every cut."""
    clock = emu.clock
    assert isinstance(clock, ManualClock)
    for wait_ms, what in [*moments, (5_003, "")]:
        left = wait_ms
        while left:
            now = min(left, step_ms or left)
            clock.advance_ns(now * 1_000_000)
            left -= now
            if poll:
                emu.ports["1"].module.peek(0x24, 128, 128)
        if what:
            act(emu, what)
            if poll:
                emu.ports["1"].module.peek(0x24, 128, 128)
    return b"".join(emu.ports["1"].module.peek(page, 128, 128) for page in PAGES)


@pytest.mark.rule("VDM-07", "MON-06")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=MOMENTS, step_ms=st.sampled_from([33, 250, 4_111]))
def test_polling_and_cutting_time_up_change_nothing(
    world: tuple[Emulator, Snapshot], moments: list[tuple[int, str]], step_ms: int
) -> None:
    emulator, start = world
    found = []
    for step, poll in ((None, False), (step_ms, False), (step_ms, True)):
        emulator.restore(start)
        found.append(life(emulator, moments, step, poll))
    assert found[0] == found[1] == found[2]
