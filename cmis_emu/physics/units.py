"""Conversions between what people write (dBm, dB, degC) and SI."""

from __future__ import annotations

import math

KELVIN = 273.15
BOLTZMANN_EV = 8.617333262e-5  # eV/K


def dbm_to_w(power_dbm: float) -> float:
    """Power in W."""
    return float(1e-3 * 10.0 ** (power_dbm / 10.0))


def w_to_dbm(power_w: float) -> float:
    """Power in dBm; minus infinity for darkness."""
    return 10.0 * math.log10(power_w * 1e3) if power_w > 0 else -math.inf


def db_to_ratio(gain_db: float) -> float:
    """Power ratio of a gain in dB."""
    return float(10.0 ** (gain_db / 10.0))


def ratio_to_db(ratio: float) -> float:
    """Gain in dB of a power ratio above 0."""
    return 10.0 * math.log10(ratio)
