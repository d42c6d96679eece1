"""Noise as a pure function: hash of (seed, channel, sample index), so that nobody's polling changes it."""

from __future__ import annotations

from statistics import NormalDist

MAX_SIGMA = 4.0
"""Samples are clamped to this many standard deviations, so that a reading's reach is bounded."""

_MASK = (1 << 64) - 1
_NORMAL = NormalDist()
_HALF_STEP = 0.5 / (1 << 52)


def mix(value: int) -> int:
    """A 64-bit hash of a 64-bit number (the finaliser of splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, channel: int, index: int) -> float:
    """A number between 0 and 1, never either of them, that belongs to this seed, channel and index."""
    hashed = mix(mix(mix(seed & _MASK) ^ (channel & _MASK)) ^ (index & _MASK))
    return (hashed >> 12) / (1 << 52) + _HALF_STEP


def gauss(seed: int, channel: int, index: int) -> float:
    """A standard normal number, clamped to MAX_SIGMA, that belongs to this seed, channel and index."""
    value = _NORMAL.inv_cdf(uniform(seed, channel, index))
    return max(-MAX_SIGMA, min(MAX_SIGMA, value))


def spread(seed: int, channel: int) -> float:
    """A standard normal number that belongs to a unit: how it differs from its siblings."""
    return gauss(seed, channel, -1)
