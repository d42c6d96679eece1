"""`ModulePlant.trend` promises bounds, and scheduled looks at thresholds rely on them: whatever is put in,

until the next input a quantity changes no faster than `rate` and goes no further than `remaining`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cmis_emu.clock import NS_PER_S, ManualClock
from cmis_emu.physics.fibre import Strand
from cmis_emu.physics.laser import CW_DFB_SIPH, EML_1310, VCSEL_850
from cmis_emu.physics.light import LinkedLight, Trend
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant

SLOW = (Quantity.CASE_TEMPERATURE, Quantity.LASER_TEMPERATURE)

PRODUCTS = {
    "eml-cooled": PlantParameters(),
    "eml-uncooled": PlantParameters(tec=None),
    "eml-low-limit": PlantParameters(tec=None, laser=replace(EML_1310, imax_a=0.075)),
    "vcsel": PlantParameters(tec=None, laser=VCSEL_850, tx_power_dbm=-1.0),
    "siph": PlantParameters(tec=None, laser=CW_DFB_SIPH),
}
LANE_QUANTITIES = (Quantity.TX_BIAS, Quantity.TX_POWER, Quantity.RX_POWER)
STEPS_S = (0, 1e-4, 0.003, 0.01, 0.05, 0.1, 0.3, 1, 3, 10, 40, 150, 600, 3600)

Action = Callable[[ModulePlant, Strand], None]


def _power(mode: PowerMode, plant: ModulePlant, _: Strand) -> None:
    plant.set_power(mode)


def _lanes(host: int, media: int, plant: ModulePlant, _: Strand) -> None:
    plant.set_active_lanes(host, media)


def _emit(lane: int, on: bool, plant: ModulePlant, _: Strand) -> None:
    plant.set_emitting(lane, on)


def _surround(ambient_c: float, airflow: float, plant: ModulePlant, _: Strand) -> None:
    plant.set_environment(ambient_c, airflow)


def _supply(volts: float, plant: ModulePlant, _: Strand) -> None:
    plant.set_supply(volts)


def _age(fraction: float, plant: ModulePlant, _: Strand) -> None:
    plant.set_ageing(1, fraction)


def _fail(failed: bool, plant: ModulePlant, _: Strand) -> None:
    plant.set_laser_failed(2, failed)


def _loss(loss_db: float, _: ModulePlant, path: Strand) -> None:
    path.fixed_db = loss_db


def _cut(cut: bool, _: ModulePlant, path: Strand) -> None:
    path.cut = cut


actions: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from(list(PowerMode)).map(lambda mode: partial(_power, mode)),
    st.just(partial(_power, PowerMode.FULL)),
    st.tuples(st.integers(0, 8), st.integers(0, 4)).map(lambda n: partial(_lanes, *n)),
    st.tuples(st.integers(1, 4), st.booleans()).map(lambda n: partial(_emit, *n)),
    st.just(partial(_emit, 1, True)),
    st.tuples(st.floats(-40, 100), st.floats(0, 3)).map(lambda n: partial(_surround, *n)),
    st.floats(0, 5).map(lambda v: partial(_supply, v)),
    st.floats(0, 3).map(lambda v: partial(_age, v)),
    st.booleans().map(lambda v: partial(_fail, v)),
    st.floats(0, 40).map(lambda v: partial(_loss, v)),
    st.booleans().map(lambda v: partial(_cut, v)),
)
waits = st.sampled_from(STEPS_S)


def looped(parameters: PlantParameters) -> tuple[ModulePlant, Strand, ManualClock]:
    """A plant whose lane 1 shines into its own receiver."""
    clock = ManualClock()
    plant = ModulePlant(parameters, clock, 1, Environment())
    path = Strand(3.0)
    plant.set_light_source(1, LinkedLight(plant.tx_source(1), path))
    return plant, path, clock


def questions() -> list[tuple[Quantity, int]]:
    return [(quantity, 1 if quantity in LANE_QUANTITIES else 0) for quantity in Quantity]


def judge(times: list[int], trends: list[Trend], label: str) -> None:
    """Each trend bounds all that comes after it."""
    scale = max(abs(t.value) for t in trends) or 1.0
    slack = 1e-9 * scale
    for first, (start, trend) in enumerate(zip(times, trends, strict=True)):
        for at, later in zip(times[first + 1 :], trends[first + 1 :], strict=True):
            moved = abs(later.value - trend.value)
            assert moved <= trend.remaining + slack, f"{label}: moved {moved}, promised {trend.remaining}"
            allowed = trend.rate * (at - start) / NS_PER_S
            assert moved <= allowed + slack, f"{label}: moved {moved} in {at - start} ns, promised {allowed}"


def until_next_input(plant: ModulePlant, now_ns: int, wait_s: float) -> None:
    """Sample densely from now on and judge."""
    offsets = sorted({round(wait_s * f * NS_PER_S) for f in (0, 0.02, 0.1, 0.25, 0.5, 0.75, 1)} | {0, 20_000_000})
    times = [now_ns + offset for offset in offsets if offset <= wait_s * NS_PER_S or offset == 0]
    for quantity, lane in questions():
        judge(times, [plant.trend(quantity, lane, at) for at in times], quantity.name)


WARM_UP = [(partial(_power, PowerMode.FULL), 0), (partial(_lanes, 8, 4), 0), (partial(_emit, 1, True), 0.003)]


@pytest.mark.parametrize("product", PRODUCTS)
@given(steps=st.lists(st.tuples(actions, waits), min_size=1, max_size=8))
@example(steps=[*WARM_UP, (partial(_surround, 80.0, 0.1), 3600)])
@example(steps=[*WARM_UP, (partial(_age, 0.6), 0.1), (partial(_surround, -40.0, 1.0), 600)])
@settings(max_examples=500, deadline=None)
def test_bounds_hold_until_the_next_input(product: str, steps: list[tuple[Action, float]]) -> None:
    plant, path, clock = looped(PRODUCTS[product])
    for action, wait_s in steps:
        action(plant, path)
        until_next_input(plant, clock.now_ns, wait_s)
        clock.advance(wait_s)


@given(steps=st.lists(st.tuples(actions, waits), min_size=1, max_size=8))
@settings(max_examples=500, deadline=None)
def test_temperatures_and_the_supply_never_jump_while_powered(steps: list[tuple[Action, float]]) -> None:
    plant, path, clock = looped(PRODUCTS["eml-cooled"])
    for action, wait_s in steps:
        before = [plant.trend(q, 0, clock.now_ns).value for q in SLOW]
        action(plant, path)
        after = [plant.trend(q, 0, clock.now_ns).value for q in SLOW]
        assert after == pytest.approx(before, abs=1e-9)
        clock.advance(wait_s)


@given(
    steps=st.lists(st.tuples(actions, waits), min_size=1, max_size=8),
    index=st.integers(0, 1 << 40),
)
@settings(max_examples=500, deadline=None)
def test_a_sample_lies_within_its_noise_bound(steps: list[tuple[Action, float]], index: int) -> None:
    noisy = replace(PRODUCTS["eml-uncooled"], power_error_db=0.3, temperature_error_c=1.0)
    plant, path, clock = looped(noisy)
    for action, wait_s in steps:
        action(plant, path)
        clock.advance(wait_s)
        for quantity, lane in questions():
            value = plant.trend(quantity, lane, clock.now_ns).value
            read = plant.sample(quantity, lane, index, clock.now_ns)
            assert abs(read - value) <= plant.noise_bound(quantity, lane, value) * (1 + 1e-9) + 1e-15


class Watcher:
    """Notes what it is told, and that it is told before and after."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def light_changes(self) -> None:
        self.heard.append("before")

    def light_changed(self) -> None:
        self.heard.append("after")


@pytest.mark.parametrize("product", PRODUCTS)
def test_listeners_hear_of_every_change_of_light(product: str) -> None:
    """What a far receiver sees changes either by the course it was told, or after a call."""
    plant, _, clock = looped(PRODUCTS[product])
    source = plant.tx_source(1)
    watcher = Watcher()
    source.subscribe(watcher)
    inputs: list[Action] = [
        partial(_power, PowerMode.FULL),
        partial(_emit, 1, True),
        partial(_lanes, 8, 4),
        partial(_surround, 75.0, 0.2),
        partial(_age, 0.9),
        partial(_lanes, 0, 0),
        partial(_age, 0.0),
        partial(_emit, 1, False),
        partial(_power, PowerMode.LOW),
    ]
    spare = Strand(0.0)
    for action in inputs:
        clock.advance(20)
        now = clock.now_ns
        later = now + 60 * NS_PER_S
        old = source.trend(now), source.trend(later).value
        watcher.heard.clear()
        action(plant, spare)
        new = source.trend(now), source.trend(later).value
        if new[0].value != pytest.approx(old[0].value, abs=1e-12) or new[1] != pytest.approx(old[1], abs=1e-12):
            assert watcher.heard == ["before", "after"], f"{action} changed {old} to {new}: told nobody"
    source.unsubscribe(Watcher())  # a stranger: nothing happens
