"""KP4 against every published figure of the optics model, section 6, and the loss table of section 5."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.physics.fec import (
    CORRECTABLE,
    HARMLESS_BER,
    Bursts,
    codeword_error_ratio,
    codewords_per_s,
    frame_loss_ratio,
    post_fec_ber,
    seconds_to_uncorrectable,
    sew_max,
    symbol_error_ratio,
    symbol_errors,
)
from cmis_emu.registers.encoding import encode_f16

DAY, YEAR = 86400.0, 365.25 * 86400.0


@pytest.mark.parametrize(
    ("ber", "ps", "cer", "post", "flr", "mean_s"),
    [
        (1e-5, 1.000e-4, 2.14e-34, 6.3e-37, 4.6e-34, None),
        (1e-4, 9.996e-4, 1.36e-18, 4.0e-21, 2.9e-18, 298 * YEAR),
        (2.0e-4, 1.998e-3, 5.39e-14, 1.6e-16, 1.2e-13, 2.7 * DAY),
        (2.4e-4, 2.397e-3, 8.15e-13, 2.41e-15, 1.74e-12, 4.4 * 3600),
        (3e-4, 2.996e-3, 2.14e-11, 6.4e-14, 4.6e-11, 600),
        (5e-4, 4.989e-3, 2.79e-8, 8.3e-11, 6.0e-8, 0.46),
        (1e-3, 9.955e-3, 1.53e-4, 4.6e-7, 3.3e-4, 84e-6),
    ],
)
def test_the_table(ber: float, ps: float, cer: float, post: float, flr: float, mean_s: float | None) -> None:
    found = codeword_error_ratio([ber])
    assert symbol_error_ratio(ber) == pytest.approx(ps, rel=5e-4)
    assert found == pytest.approx(cer, rel=0.005)
    assert post_fec_ber(ber) == pytest.approx(post, rel=0.02)
    assert frame_loss_ratio(found, 2) == pytest.approx(flr, rel=0.025)
    if mean_s is not None:
        assert seconds_to_uncorrectable(found, 400) == pytest.approx(mean_s, rel=0.03)


@pytest.mark.parametrize(
    ("ber", "cer", "post", "flr"),
    [
        (1.41e-10, 5.6e-112, 1.7e-114, 1.2e-111),
        (1.02e-08, 3.0e-82, 8.8e-85, 6.4e-82),
        (1.56e-06, 2.7e-47, 8.0e-50, 5.8e-47),
        (2.20e-05, 6.1e-29, 1.8e-31, 1.3e-28),
        (7.62e-05, 2.0e-20, 5.8e-23, 4.2e-20),
        (6.76e-04, 1.4e-06, 4.3e-09, 3.1e-06),
        (1.69e-03, 2.4e-02, 7.4e-05, 5.0e-02),
        (7.47e-03, 1.0, 7.5e-03, 1.0),
    ],
)
def test_the_losses(ber: float, cer: float, post: float, flr: float) -> None:
    found = codeword_error_ratio([ber])
    tolerance = 0.1  # the table's BER has three digits, and its 16th power is compared
    assert found == pytest.approx(cer, rel=tolerance)
    assert post_fec_ber(ber) == pytest.approx(post, rel=tolerance)
    assert frame_loss_ratio(found, 2) == pytest.approx(flr, rel=tolerance)


def test_limits_of_the_standard() -> None:
    """IEEE's frame loss ratios, 1.7e-12 and 9.2e-13, and the article's 1e-15 behind the decoder."""
    cer = codeword_error_ratio([2.4e-4])
    assert frame_loss_ratio(cer, 2) == pytest.approx(1.74e-12, rel=0.005)
    assert frame_loss_ratio(cer) == pytest.approx(9.22e-13, rel=0.005)
    assert post_fec_ber(2.26e-4) < 1e-15 < post_fec_ber(2.28e-4)
    assert post_fec_ber(3.10e-4) == pytest.approx(1e-13, rel=0.1)


def test_histogram_of_a_second() -> None:
    """400G at the limit: codewords by their number of wrong symbols."""
    expected = [2.12e7, 2.77e7, 1.81e7, 7.84e6, 2.55e6, 6.6e5, 1.4e5, 2.6e4, 4.2e3]
    found = codewords_per_s(400) * symbol_errors([2.4e-4])[:9]
    assert list(found) == pytest.approx(expected, rel=0.03)
    assert symbol_errors([2.4e-4]).sum() == pytest.approx(1)


def test_unequal_lanes_and_breakout() -> None:
    """One bad lane of four: 400G survives, the same lane as a 100G leg does not."""
    assert codeword_error_ratio([1e-8, 1e-8, 1e-8, 1e-3]) == pytest.approx(7.9e-13, rel=0.01)
    assert codeword_error_ratio([1e-3]) == pytest.approx(1.5e-4, rel=0.03)


@pytest.mark.parametrize(("a", "one", "two"), [(0.5, 6.3e-9, 2.3e-12), (0.75, 3.5e-6, 2.0e-9)])
def test_bursts(a: float, one: float, two: float) -> None:
    assert codeword_error_ratio([2.4e-4], Bursts(a)) == pytest.approx(one, rel=0.02)
    assert codeword_error_ratio([2.4e-4], Bursts(a, 2)) == pytest.approx(two, rel=0.03)
    assert symbol_errors([2.4e-4], bursts=Bursts(a)).sum() == pytest.approx(1)
    assert sew_max([2.4e-4], codewords_per_s(400), Bursts(a)) > 12


def test_bursts_of_one_are_single_errors() -> None:
    """The compound Poisson number is some 20 % above the binomial one, as the sheet says."""
    ratio = codeword_error_ratio([2.4e-4], Bursts(1e-9)) / codeword_error_ratio([2.4e-4])
    assert ratio == pytest.approx(1.2, abs=0.06)


def test_bursts_of_unequal_lanes() -> None:
    """Bursts are as many as the lanes have together; the order of the lanes does not matter."""
    lanes = [1e-8, 1e-8, 1e-8, 1e-3]
    found = codeword_error_ratio(lanes, Bursts(0.5))
    assert found == pytest.approx(codeword_error_ratio(lanes[::-1], Bursts(0.5)))
    assert found == pytest.approx(codeword_error_ratio([2.5e-4], Bursts(0.5)), rel=0.05)
    assert found > codeword_error_ratio(lanes)


def test_most_wrong_symbols_in_a_codeword() -> None:
    assert sew_max([1e-8], codewords_per_s(400)) == 1
    assert sew_max([2.4e-4], codewords_per_s(400)) == 12
    assert sew_max([0.0], codewords_per_s(400)) == 0
    assert sew_max([0.1], codewords_per_s(400)) == CORRECTABLE + 1


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=8), st.floats(0, 0.9), st.integers(1, 4))
def test_any_lanes_give_an_answer(bers: list[float], continuation: float, interleaved: int) -> None:
    bursts = Bursts(continuation, interleaved)
    assert 0.0 <= codeword_error_ratio(bers, bursts) <= 1.0
    assert 0 <= sew_max(bers, 1e6, bursts) <= CORRECTABLE + 1
    cer = codeword_error_ratio(bers)
    assert 0.0 <= cer <= 1.0
    assert codeword_error_ratio([max(bers)]) >= cer * (1 - 1e-9)
    assert 0.0 <= post_fec_ber(bers[0]) <= 0.5
    assert 0 <= sew_max(bers, 1e6) <= CORRECTABLE + 1


def test_the_tail_agrees_with_a_normal_number_where_that_is_good() -> None:
    """Another way to the same figure: 544 symbols at 3 % are nearly normal."""
    mean, sigma = 544 * 0.03, math.sqrt(544 * 0.03 * 0.97)
    ber = 1 - (1 - 0.03) ** 0.1
    expected = 1 - NormalDist(mean, sigma).cdf(CORRECTABLE + 0.5)
    assert codeword_error_ratio([ber]) == pytest.approx(expected, rel=0.04)


def test_harmless_errors() -> None:
    """Where nobody looks for uncorrectable codewords there are none: less than F16 holds, or a century brings."""
    cer = codeword_error_ratio([HARMLESS_BER])
    assert cer < 1e-33
    assert encode_f16(cer) == 0
    assert cer * codewords_per_s(800) * 100 * YEAR < 1e-14
