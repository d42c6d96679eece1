"""The integral of an error ratio: true to the drift, settled at changes, the same whoever asks."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.clock import NS_PER_MS, NS_PER_S
from cmis_emu.module.diagnostics.error_integral import PER_DOUBLING, STEP_NS, ErrorIntegral, node_ns


class Ratio:
    """A ratio that dies away from `start_ns` on with a time constant, to `rest`."""

    def __init__(self, first: float, rest: float, tau_s: float, start_ns: int = 0) -> None:
        self.first, self.rest, self.tau_s, self.start_ns = first, rest, tau_s, start_ns
        self.asked = 0

    def __call__(self, at_ns: int) -> float:
        self.asked += 1
        return self.rest + (self.first - self.rest) * math.exp(-(at_ns - self.start_ns) / NS_PER_S / self.tau_s)

    def integral(self, seconds: float) -> float:
        return self.rest * seconds + (self.first - self.rest) * self.tau_s * (1 - math.exp(-seconds / self.tau_s))


def advance(integral: ErrorIntegral, until_ns: int) -> float:
    """As the bench does: every node at its time."""
    while integral.due_ns <= until_ns:
        integral.extend(integral.due_ns)
    return integral.at(until_ns)


def test_nodes_are_ever_further_apart() -> None:
    nodes = [node_ns(number) for number in range(200)]
    assert nodes[: PER_DOUBLING + 1] == [number * STEP_NS for number in range(PER_DOUBLING + 1)]
    steps = [b - a for a, b in pairwise(nodes)]
    assert steps == sorted(steps)
    assert all(step <= max(STEP_NS, at / PER_DOUBLING) for at, step in zip(nodes, steps, strict=False))
    day = 86_400 * NS_PER_S
    assert sum(at < day for at in nodes) < 200


@pytest.mark.parametrize("tau_s", [0.05, 0.12, 6.0, 130.0])
@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 7.0, 600.0, 86_400.0])
def test_a_drift_that_dies_away_is_followed(tau_s: float, seconds: float) -> None:
    ratio = Ratio(1e-3, 1e-6, tau_s)
    found = advance(ErrorIntegral(ratio, 0), round(seconds * NS_PER_S))
    assert found == pytest.approx(ratio.integral(seconds), rel=0.01)


@given(
    looks=st.lists(st.integers(1, 40_000_000_000), max_size=20),
    end_ns=st.integers(40_000_000_000, 80_000_000_000),
    tau_s=st.floats(0.01, 100),
)
def test_looking_changes_nothing_and_it_never_falls(looks: list[int], end_ns: int, tau_s: float) -> None:
    alone, watched = (ErrorIntegral(Ratio(0.1, 1e-9, tau_s), 0) for _ in range(2))
    seen = 0.0
    for at_ns in sorted(looks):
        now = advance(watched, at_ns)
        assert now >= seen
        seen = now
        watched.change(at_ns, False)  # nothing did
    assert advance(watched, end_ns) == advance(alone, end_ns)


def test_a_change_alters_nothing_of_the_past() -> None:
    ratio = Ratio(1e-6, 1e-6, 1.0)
    integral = ErrorIntegral(ratio, 0)
    before = advance(integral, 1234 * NS_PER_MS)
    assert before == pytest.approx(1.234e-6)
    ratio.first = ratio.rest = 1e-3
    assert integral.at(1234 * NS_PER_MS) == before
    assert integral.change(1234 * NS_PER_MS, False)
    assert integral.at(1234 * NS_PER_MS) == before
    assert advance(integral, 2234 * NS_PER_MS) == pytest.approx(before + 1e-3)


def test_two_changes_at_one_instant() -> None:
    ratio = Ratio(0.5, 0.5, 1.0)
    integral = ErrorIntegral(ratio, 0)
    ratio.first = ratio.rest = 0.1
    assert integral.change(0, True)
    ratio.first = ratio.rest = 1e-3
    assert integral.change(0, False)
    assert integral.at(0) == 0.0
    assert advance(integral, NS_PER_S) == pytest.approx(1e-3)


def test_a_long_time_takes_few_looks() -> None:
    ratio = Ratio(1e-3, 1e-6, 100.0)
    advance(ErrorIntegral(ratio, 0), 30 * 86_400 * NS_PER_S)
    assert ratio.asked < 250
