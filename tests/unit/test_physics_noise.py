"""Noise is a pure function of (seed, channel, index); as statistics it is white, normal and unit variance."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.clock import ManualClock
from cmis_emu.physics.noise import MAX_SIGMA, gauss, mix, spread
from cmis_emu.physics.parameters import PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant

COUNT = 20_000
LIMIT = 5 / math.sqrt(COUNT)  # five standard errors: a sound generator fails once in a million


def correlation(a: list[float], b: list[float]) -> float:
    return fmean(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("seed", "channel"), [(0, 0), (1, 6001), (-7, 1000), (1 << 63, 8004)])
def test_mean_variance_and_tails(seed: int, channel: int) -> None:
    values = [gauss(seed, channel, index) for index in range(COUNT)]
    assert abs(fmean(values)) < LIMIT
    assert pvariance(values) == pytest.approx(1.0, abs=LIMIT * math.sqrt(2))
    assert max(map(abs, values)) <= MAX_SIGMA
    assert sum(abs(v) > 1 for v in values) / COUNT == pytest.approx(0.3173, abs=0.02)
    assert sum(abs(v) > 3 for v in values) / COUNT == pytest.approx(0.0027, abs=0.002)


def test_neighbours_are_strangers() -> None:
    here = [gauss(1, 6001, index) for index in range(COUNT)]
    assert abs(correlation(here[:-1], here[1:])) < LIMIT  # in time
    assert abs(correlation(here[:-2], here[2:])) < LIMIT
    for seed, channel in ((1, 6002), (1, 7001), (1, 6009), (2, 6001), (1_000_004, 6001)):  # lane, quantity, module
        assert abs(correlation(here, [gauss(seed, channel, index) for index in range(COUNT)])) < LIMIT
    across = [gauss(1, 6001 + index, 5) for index in range(COUNT)]
    assert abs(fmean(across)) < LIMIT
    assert abs(fmean(a * b for a, b in pairwise(across))) < LIMIT


@given(seed=st.integers(-(1 << 70), 1 << 70), channel=st.integers(0, 1 << 20), index=st.integers(-1, 1 << 62))
def test_any_arguments_give_the_same_number_again(seed: int, channel: int, index: int) -> None:
    value = gauss(seed, channel, index)
    assert value == gauss(seed, channel, index)
    assert -MAX_SIGMA <= value <= MAX_SIGMA
    assert spread(seed, channel) == gauss(seed, channel, -1)


def test_the_hash_spreads_single_bits() -> None:
    for bit in range(64):
        flipped = [(mix(n) ^ mix(n ^ (1 << bit))).bit_count() for n in range(50)]
        assert 26 < fmean(flipped) < 38


def running() -> tuple[ModulePlant, ManualClock]:
    clock = ManualClock()
    plant = ModulePlant(PlantParameters(), clock, 3)
    plant.set_power(PowerMode.FULL)
    plant.set_active_lanes(8, 4)
    for lane in range(1, 5):
        plant.set_emitting(lane, True)
    clock.advance(20_000)
    return plant, clock


@pytest.mark.parametrize(
    ("quantity", "lane", "sigma", "relative"),
    [
        (Quantity.CASE_TEMPERATURE, 0, 0.05, False),
        (Quantity.VCC, 0, 2e-3, False),
        (Quantity.TX_BIAS, 1, 0.05e-3, False),
        (Quantity.TX_POWER, 2, 0.02, True),
    ],
)
def test_monitors_scatter_as_the_sheet_says(quantity: Quantity, lane: int, sigma: float, relative: bool) -> None:
    plant, clock = running()
    now = clock.now_ns
    true = plant.trend(quantity, lane, now).value
    read = [plant.sample(quantity, lane, index, now) for index in range(4000)]
    off = [10 * math.log10(v / true) if relative else v - true for v in read]
    assert math.sqrt(pvariance(off)) == pytest.approx(sigma, rel=0.06)
    assert abs(fmean(off)) < 5 * sigma / math.sqrt(len(off))


def test_noise_of_lanes_and_quantities_is_independent() -> None:
    plant, clock = running()
    now = clock.now_ns

    def scatter(quantity: Quantity, lane: int) -> list[float]:
        read = [plant.sample(quantity, lane, index, now) for index in range(4000)]
        middle, width = fmean(read), math.sqrt(pvariance(read))
        return [(v - middle) / width for v in read]

    first = scatter(Quantity.TX_POWER, 1)
    for quantity, lane in ((Quantity.TX_POWER, 2), (Quantity.TX_BIAS, 1), (Quantity.VCC, 0)):
        assert abs(correlation(first, scatter(quantity, lane))) < 5 / math.sqrt(4000)


def test_units_differ_by_their_seed() -> None:
    clock = ManualClock()
    bias = []
    for seed in range(200):
        plant = ModulePlant(PlantParameters(), clock, seed)
        plant.set_power(PowerMode.FULL)
        plant.set_emitting(1, True)
        now = clock.now_ns + 10_000_000_000
        bias.append(plant.trend(Quantity.TX_BIAS, 1, now).value)
    assert fmean(bias) == pytest.approx(72e-3, rel=0.02)
    assert math.sqrt(pvariance(bias)) == pytest.approx(0.05 * 72e-3, rel=0.25)


def test_a_monitor_without_noise_keeps_its_fixed_error() -> None:
    parameters = PlantParameters(
        power_noise_db=0.0, power_error_db=0.3, temperature_noise_c=0.0, temperature_error_c=1.0
    )
    clock = ManualClock()
    plant = ModulePlant(parameters, clock, 3)
    plant.set_power(PowerMode.FULL)
    plant.set_emitting(1, True)
    clock.advance(1)
    for quantity, lane in ((Quantity.TX_POWER, 1), (Quantity.CASE_TEMPERATURE, 0)):
        true = plant.trend(quantity, lane, clock.now_ns).value
        read = {plant.sample(quantity, lane, index, clock.now_ns) for index in range(20)}
        assert len(read) == 1
        assert read != {true}
        assert abs(read.pop() - true) <= plant.noise_bound(quantity, lane, true)
