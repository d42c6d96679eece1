"""The exact thermal solution against integration of its equations, step by step."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu.clock import NS_PER_S, ManualClock
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.thermal import ThermalInput, ThermalParameters, ThermalSegment

P = ThermalParameters()
inputs = st.builds(
    ThermalInput,
    junction_w=st.floats(0, 15),
    case_w=st.floats(0, 10),
    leaking=st.booleans(),
    ambient_c=st.floats(-40, 85),
    airflow=st.floats(0, 3),
)


def slopes(junction_c: float, case_c: float, given_input: ThermalInput) -> tuple[float, float]:
    """The equations of the sheet, section 2."""
    leak = P.leakage_w_per_k * (junction_c - P.leakage_reference_c) if given_input.leaking else 0.0
    flow = (junction_c - case_c) / P.resistance_k_per_w
    out = (0.10 + 0.40 * given_input.airflow**0.8) * (case_c - given_input.ambient_c)
    return (given_input.junction_w + leak - flow) / P.junction_j_per_k, (
        given_input.case_w + flow - out
    ) / P.case_j_per_k


def rk4(junction_c: float, case_c: float, given_input: ThermalInput, duration_s: float) -> tuple[float, float]:
    steps = max(20, math.ceil(duration_s / 0.2))  # its own error stays well below what is asked of the model
    h = duration_s / steps
    j, c = junction_c, case_c
    for _ in range(steps):
        a = slopes(j, c, given_input)
        b = slopes(j + h / 2 * a[0], c + h / 2 * a[1], given_input)
        d = slopes(j + h / 2 * b[0], c + h / 2 * b[1], given_input)
        e = slopes(j + h * d[0], c + h * d[1], given_input)
        j += h / 6 * (a[0] + 2 * b[0] + 2 * d[0] + e[0])
        c += h / 6 * (a[1] + 2 * b[1] + 2 * d[1] + e[1])
    return j, c


@given(given_input=inputs, start=st.tuples(st.floats(-40, 120), st.floats(-40, 120)), after_s=st.floats(0.01, 400))
@settings(max_examples=40, deadline=None)
def test_the_closed_solution_equals_rk4(given_input: ThermalInput, start: tuple[float, float], after_s: float) -> None:
    segment = ThermalSegment(P, given_input, 5 * NS_PER_S, *start)
    now = 5 * NS_PER_S + round(after_s * NS_PER_S)
    junction_c, case_c = rk4(*start, given_input, after_s)
    assert segment.junction_c(now) == pytest.approx(junction_c, abs=1e-5)
    assert segment.case_c(now) == pytest.approx(case_c, abs=1e-5)


@given(given_input=inputs, start=st.tuples(st.floats(-40, 120), st.floats(-40, 120)))
@settings(max_examples=100, deadline=None)
def test_a_segment_starts_where_it_is_told_and_comes_to_rest(
    given_input: ThermalInput, start: tuple[float, float]
) -> None:
    segment = ThermalSegment(P, given_input, 0, *start)
    assert (segment.junction_c(0), segment.case_c(0)) == pytest.approx(start, abs=1e-9)
    rest = slopes(segment.junction_steady_c, segment.case_steady_c, given_input)
    assert rest == pytest.approx((0, 0), abs=1e-9)
    end = 30_000 * NS_PER_S
    assert segment.case_c(end) == pytest.approx(segment.case_steady_c, abs=1e-6)
    assert segment.case_trend(end)[1] < 1e-6


@given(
    given_input=inputs,
    start=st.tuples(st.floats(-40, 120), st.floats(-40, 120)),
    cut_s=st.floats(0.001, 300),
    after_s=st.floats(0, 300),
)
@settings(max_examples=100, deadline=None)
def test_a_segment_cut_in_two_makes_no_difference(
    given_input: ThermalInput, start: tuple[float, float], cut_s: float, after_s: float
) -> None:
    whole = ThermalSegment(P, given_input, 0, *start)
    cut = round(cut_s * NS_PER_S)
    second = ThermalSegment(P, given_input, cut, whole.junction_c(cut), whole.case_c(cut))
    end = cut + round(after_s * NS_PER_S)
    assert second.case_c(end) == pytest.approx(whole.case_c(end), abs=1e-7)
    assert second.junction_c(end) == pytest.approx(whole.junction_c(end), abs=1e-7)


def time_constants(airflow: float) -> tuple[float, float]:
    """Measured on the curve: (slow, fast) from what is left of a step, long after and at once."""
    segment = ThermalSegment(P, ThermalInput(6.6, 4.1, True, 35.0, airflow), 0, 100.0, 60.0)

    def left(at_s: float) -> tuple[float, float]:
        now = round(at_s * NS_PER_S)
        return segment.junction_c(now) - segment.junction_steady_c, segment.case_c(now) - segment.case_steady_c

    slow = 50 / math.log(left(200)[1] / left(250)[1])
    # The slow mode taken away leaves the fast one.
    fast = [left(t)[0] - left(200)[0] * math.exp((200 - t) / slow) for t in (1.0, 4.0)]
    return slow, 3 / math.log(fast[0] / fast[1])


@pytest.mark.parametrize(("airflow", "slow_s"), [(1.0, 130), (0.5, 202), (0.25, 297), (0.1, 443)])
def test_time_constants(airflow: float, slow_s: float) -> None:
    slow, fast = time_constants(airflow)
    assert slow == pytest.approx(slow_s, abs=0.6)
    assert fast == pytest.approx(6.0, abs=0.1)


def test_power_off_cools_to_ambient_and_conserves_the_past() -> None:
    clock = ManualClock()
    plant = ModulePlant(PlantParameters(), clock, 1, Environment())
    plant.set_power(PowerMode.FULL)
    plant.set_active_lanes(8, 4)
    clock.advance(4000)
    plant.set_power(PowerMode.OFF)
    warm = plant.trend(Quantity.CASE_TEMPERATURE, 0, clock.now_ns).value
    assert warm == pytest.approx(56.5, abs=0.05)
    clock.advance(4000)
    for quantity in (Quantity.CASE_TEMPERATURE, Quantity.LASER_TEMPERATURE):
        assert plant.trend(quantity, 0, clock.now_ns).value == pytest.approx(35.0, abs=1e-3)
    for quantity in (Quantity.VCC, Quantity.CONSUMPTION, Quantity.TEC_CURRENT):
        assert plant.trend(quantity, 0, clock.now_ns).value == 0
