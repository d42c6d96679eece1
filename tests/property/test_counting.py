"""Counts of errors: monotone, the same in any order of asking, with the mean and the spread of a Poisson process."""

from __future__ import annotations

from statistics import mean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.physics import counting
from cmis_emu.physics.counting import LARGEST, poisson_count

AMOUNTS = st.one_of(
    st.floats(0, 50), st.floats(0, 1e5), st.floats(1e5, 4e6), st.integers(0, 22).map(lambda power: float(1 << power))
)
SEEDS = st.tuples(st.integers(0, 2**64), st.integers(0, 2**70))


@given(seed=SEEDS, amounts=st.lists(AMOUNTS, min_size=2, max_size=12))
def test_a_count_never_falls(seed: tuple[int, int], amounts: list[float]) -> None:
    counts = [poisson_count(*seed, amount) for amount in sorted(amounts)]
    assert counts == sorted(counts)
    assert counts[0] >= 0


@given(seed=SEEDS, amounts=st.lists(AMOUNTS, min_size=2, max_size=8), order=st.randoms())
def test_the_order_of_asking_does_not_matter(seed: tuple[int, int], amounts: list[float], order: object) -> None:
    asked = {amount: poisson_count(*seed, amount) for amount in amounts}
    counting._points.cache_clear()
    counting._ones.cache_clear()
    order.shuffle(amounts)  # type: ignore[attr-defined]
    assert asked == {amount: poisson_count(*seed, amount) for amount in amounts}


@pytest.mark.parametrize("expected", [0.02, 0.5, 1.0, 1.7, 9.3, 64.0, 700.0, 20_000.0])
def test_mean_and_variance_are_those_of_poisson(expected: float) -> None:
    runs = 4000 if expected < 1000 else 1000
    counts = [poisson_count(5, channel, expected) for channel in range(runs)]
    sigma = (expected / runs) ** 0.5
    assert mean(counts) == pytest.approx(expected, abs=4 * sigma)
    assert variance(counts) == pytest.approx(expected, rel=0.15 if expected >= 1 else 0.4)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.4), (0.3, 0.9), (3.0, 3.5), (5.0, 7.5), (100.0, 130.0)])
def test_counts_of_times_that_do_not_overlap_are_independent(low: float, high: float) -> None:
    before = [poisson_count(6, channel, low) for channel in range(4000)]
    after = [poisson_count(6, channel, high) - n for channel, n in enumerate(before)]
    assert mean(after) == pytest.approx(high - low, abs=4 * ((high - low) / 4000) ** 0.5)
    assert variance(after) == pytest.approx(high - low, rel=0.2)
    centre = mean(before), mean(after)
    together = mean((a - centre[0]) * (b - centre[1]) for a, b in zip(before, after, strict=True))
    assert abs(together) <= 4 * ((low * (high - low)) / 4000) ** 0.5


@given(seed=SEEDS, more=st.floats(0, 1e12))
def test_many_come_at_a_steady_pace(seed: tuple[int, int], more: float) -> None:
    start = float(1 << LARGEST)
    assert poisson_count(*seed, start + more) == poisson_count(*seed, start) + int(start + more - start)
    assert poisson_count(*seed, start) == pytest.approx(start, rel=0.01)


@pytest.mark.parametrize("expected", [0.0, -1.0, float("nan"), 5e-324])
def test_nothing_comes_of_nothing(expected: float) -> None:
    assert poisson_count(1, 1, expected) == 0
