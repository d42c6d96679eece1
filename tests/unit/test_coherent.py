"""The coherent receiver against every figure of the optics model, section 7."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.physics.coherent import (
    BER_ALARM,
    BER_WARNING,
    ZR,
    Line,
    amplifier_noise_w,
    ber,
    codeword_error_ratio,
    dgd_ps,
    evm_peak,
    evm_rms,
    fibre_dgd_ps2,
    line,
    mer_db,
    osnr_of_spans,
    penalty_db,
    q_factor_db,
    reported_esnr_db,
    snr_db,
    snr_of_ber,
)
from cmis_emu.physics.units import db_to_ratio

RX_DBM = -9.0  # at which the table of OSNR holds, to its last digit


@pytest.mark.parametrize(
    ("osnr_db", "expected", "esnr_db"),
    [
        (22.74, 1.25e-2, 14.6),
        (24.0, 8.0e-3, 15.3),
        (26.0, 4.0e-3, 16.2),
        (30.0, 1.3e-3, 17.4),
        (34.0, 6.9e-4, 17.9),
        (36.4, 5.6e-4, 18.1),
    ],
)
def test_the_table_of_osnr(osnr_db: float, expected: float, esnr_db: float) -> None:
    snr = snr_db(osnr_db, RX_DBM)
    digits = 3 if osnr_db == 22.74 else 2
    assert ber(snr) == pytest.approx(expected, abs=0.51 * 10.0 ** (math.floor(math.log10(expected)) + 1 - digits))
    assert reported_esnr_db(snr) == pytest.approx(esnr_db, abs=0.052)


def test_a_real_module() -> None:
    """A published dump: OSNR 36.4 dB; eSNR 17.9 to 18.2 dB, BER 5.3e-4 to 5.8e-4, with light of -8.15 dBm."""
    snr = snr_db(36.4, -8.15)
    assert 17.9 <= reported_esnr_db(snr) <= 18.2
    assert 5.3e-4 <= ber(snr) <= 5.8e-4
    here = line(0.0)
    assert here.dgd_ps == pytest.approx(2.0)
    assert 26 <= here.sopmd_ps2 <= 42


@pytest.mark.parametrize(("rx_dbm", "expected"), [(-20.0, 4.4e-3), (-23.0, 1.2e-2), (-24.0, 1.64e-2)])
def test_little_light(rx_dbm: float, expected: float) -> None:
    """OSNR 34 dB: passes at -20 dBm, hardly at -23, and no longer at -24."""
    found = ber(snr_db(34.0, rx_dbm))
    assert found == pytest.approx(expected, rel=0.03)
    assert (found < BER_WARNING, found < BER_ALARM) == {-20: (True, True), -23: (False, True), -24: (False, False)}[
        round(rx_dbm)
    ]


@pytest.mark.parametrize(("rx_dbm", "osnr_db"), [(0.0, 26.0), (-12.0, 26.0), (-20.0, 34.0)])
def test_the_windows_of_the_interface_pass(rx_dbm: float, osnr_db: float) -> None:
    """With the penalties of a line at its limits, errors are still corrected."""
    worst = Line(dispersion_ps_nm=2400.0, dgd_ps=10.0, sopmd_ps2=800.0, pdl_db=2.5)
    assert ber(snr_db(osnr_db, rx_dbm, worst)) < BER_ALARM


def test_noise_of_the_amplifiers_is_seen_in_the_symbol_rate() -> None:
    assert ZR.noise_to_symbol_db == pytest.approx(10 * math.log10(59.84 / 12.5), abs=0.005)
    few_photons = snr_db(24.0, 20.0) - snr_db(24.0, 40.0)
    assert abs(few_photons) < 1e-3
    alone = -10 * math.log10(db_to_ratio(-snr_db(24.0, 60.0)) - db_to_ratio(-17.5))
    assert alone == pytest.approx(24.0 - 6.80, abs=1e-3)
    assert snr_db(math.inf, math.inf) == pytest.approx(17.5)


def test_penalties() -> None:
    """A mean delay of 10 ps costs 0.5 dB, loss of 2.5 dB by polarisation at most 0.8 dB."""
    assert penalty_db(Line(dgd_ps=10.0, sopmd_ps2=800.0)) == pytest.approx(0.5)
    assert penalty_db(Line(pdl_db=2.5)) == pytest.approx(0.8)
    assert penalty_db(Line(dispersion_ps_nm=-2400.0)) == penalty_db(Line(dispersion_ps_nm=2400.0)) > 0
    assert penalty_db(Line(sopmd_ps2=1600.0)) > penalty_db(Line(sopmd_ps2=800.0)) > 0
    assert penalty_db(Line()) == 0.0


def test_a_penalty_is_osnr_that_is_needed_more() -> None:
    way = line(80.0, pdl_db=1.0)
    assert snr_db(26.0 + penalty_db(way), -10.0, way) == pytest.approx(snr_db(26.0, -10.0))


def test_a_line_of_plain_fibre() -> None:
    way = line(80.0)
    assert way.dispersion_ps_nm == pytest.approx(17 * 80)
    assert way.dgd_ps == pytest.approx(math.sqrt(4 + 0.01 * 80))
    assert way.sopmd_ps2 == pytest.approx(8 * 4.8)


def test_spans() -> None:
    """58 + Pch - loss - NF - 10 log N."""
    assert osnr_of_spans(1, -10.0, 20.0, 5.0) == pytest.approx(23.0)
    assert osnr_of_spans(10, 0.0, 20.0, 5.0) == pytest.approx(23.0)


def test_names_of_the_same_noise() -> None:
    """EVM is SNR^(-1/2), over the root of 1.8 for the peak; MER is the SNR."""
    assert evm_rms(20.0) == pytest.approx(0.1)
    assert evm_rms(17.0) == pytest.approx(db_to_ratio(17.0) ** -0.5)
    assert evm_peak(20.0) == pytest.approx(0.1 / math.sqrt(1.8))
    assert mer_db(16.5) == 16.5


def test_outermost_points_of_16qam() -> None:
    """Where the 1.8 comes from: levels 1 and 3 in both quadratures."""
    powers = [a * a + b * b for a in (1, 3) for b in (1, 3)]
    assert max(powers) / (sum(powers) / 4) == pytest.approx(1.8)


@pytest.mark.parametrize(("before", "exponent"), [(1.25e-2, -15.0), (1.25e-2 * 10 ** (1 / 14), -5.0), (1.25e-1, 0.0)])
def test_cfec(before: float, exponent: float) -> None:
    assert math.log10(codeword_error_ratio(before)) == pytest.approx(exponent, abs=1e-6)


def test_cfec_corrects_what_a_good_link_has() -> None:
    assert codeword_error_ratio(5.6e-4) == pytest.approx(0.0, abs=1e-100)
    assert codeword_error_ratio(0.0) == 0.0
    assert codeword_error_ratio(1e-12) == 0.0
    assert codeword_error_ratio(1.65e-2) > 0.9


@given(st.floats(0, 60), st.floats(-60, 20), st.floats(0, 200), st.floats(0, 6))
def test_any_line_gives_an_answer(osnr_db: float, rx_dbm: float, length_km: float, pdl_db: float) -> None:
    """Less light, more noise or more line are never read as better."""
    here = snr_db(osnr_db, rx_dbm, line(length_km, pdl_db))
    assert here < 17.5
    assert 0 < ber(here) <= 0.375
    assert 0.0 <= codeword_error_ratio(ber(here)) <= 1.0
    for worse in (
        snr_db(osnr_db - 1, rx_dbm, line(length_km, pdl_db)),
        snr_db(osnr_db, rx_dbm - 1, line(length_km, pdl_db)),
        snr_db(osnr_db, rx_dbm, line(length_km + 10, pdl_db + 0.5)),
    ):
        assert worse <= here + 1e-12
        assert ber(worse) >= ber(here) * (1 - 1e-9)


@pytest.mark.parametrize("snr", [5.0, 10.0, 13.54, 16.0, 17.5])
def test_snr_of_errors_is_the_inverse(snr: float) -> None:
    assert snr_of_ber(ber(snr)) == pytest.approx(snr, abs=1e-6)


def test_q_factor() -> None:
    """A published dump: pre-FEC BER 3.4e-4, Q 10.6 dB, 4.1 dB above the limit; Q of 1e-9 is 15.56 dB."""
    assert q_factor_db(3.4e-4) == pytest.approx(10.6, abs=0.05)
    assert q_factor_db(1e-9) == pytest.approx(15.56, abs=0.01)
    assert q_factor_db(3.4e-4) - q_factor_db(BER_ALARM) == pytest.approx(4.1, abs=0.6)


def test_noise_of_an_amplifier() -> None:
    """58 + Pin - NF: -58 dBm within 0.1 nm for an ideal one."""
    assert amplifier_noise_w(5.0) == pytest.approx(10 ** (-53 / 10) * 1e-3)
    assert osnr_of_spans(1, 0.0, 20.0, 5.0) == pytest.approx(-10 * math.log10(amplifier_noise_w(5.0) / 1e-5))


def test_delay_adds_in_squares() -> None:
    assert dgd_ps(fibre_dgd_ps2(0.0)) == 2.0
    assert dgd_ps(fibre_dgd_ps2(120.0)) == pytest.approx(line(120.0).dgd_ps)
