"""Counts of rare events as pure functions: how many came by the time that so many were expected.

Owns one law: a Poisson process of unit rate, frozen by (seed, channel). `poisson_count` tells how many of its
points lie below `expected`, so a count never falls as time goes on, and does not depend on when, how often or
in which order anybody asks (optics model, section 9). Intervals [1, 2), [2, 4), [4, 8) ... are drawn each by
itself; inside one, its points are halved again and again, and a half gets as many of n points as there are
ones among n hashed bits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import shake_128

LARGEST = 20
"""Beyond 2 to that many expected events (a relative spread of 0.1 %) they come at a steady pace."""
_DEPTH = 80  # halvings after which an interval is as small as a float can tell
_UNIT = 1 << 53
_NEVER = 1e-18  # a chance that no number of 53 bits can hit


def poisson_count(seed: int, channel: int, expected: float) -> int:
    """Points of the process below `expected`: Poisson distributed with that mean, and never falling with it."""
    if not expected > 0.0:
        return 0
    last = math.frexp(expected)[1]  # expected is in [2^(last-1), 2^last)
    count = 0
    for number in range(min(last, LARGEST + 1) if last > 0 else 0):
        count += _points(seed, channel, number)
    if last > LARGEST:
        return count + int(expected - (1 << LARGEST))
    number = max(last, 0)
    return count + _inside(seed, channel, number, expected)


def _bounds(number: int) -> tuple[float, float]:
    """Interval `number`: [0, 1), [1, 2), [2, 4), [4, 8) ..."""
    return (0.0, 1.0) if number == 0 else (float(1 << (number - 1)), float(1 << number))


def _inside(seed: int, channel: int, number: int, expected: float) -> int:
    """Points of an interval that lie below `expected`."""
    low, high = _bounds(number)
    left, points = 0, _points(seed, channel, number)
    place = 1  # of the interval in the tree of halves
    for _ in range(_DEPTH):
        if points == 0 or expected <= low:
            return left
        middle = (low + high) / 2
        if not low < middle < high:
            break
        lower = _ones(seed, channel, number, place, points)
        place *= 2
        if expected < middle:
            high, points = middle, lower
        else:
            left += lower
            low, points, place = middle, points - lower, place + 1
    return left


@lru_cache(maxsize=4096)
def _points(seed: int, channel: int, number: int) -> int:
    """How many points an interval has: Poisson, by walking out from the most likely number."""
    low, high = _bounds(number)
    mean = high - low
    digest = shake_128(f"{seed}/{channel}/{number}".encode()).digest(8)
    left = ((int.from_bytes(digest, "little") >> 11) + 0.5) / _UNIT
    below = above = int(mean)
    chance_below = chance_above = math.exp(above * math.log(mean) - mean - math.lgamma(above + 1))
    left -= chance_above
    while left > 0 and chance_above + chance_below > _NEVER:
        above += 1
        chance_above *= mean / above
        left -= chance_above
        if left <= 0:
            return above
        chance_below *= below / mean
        below -= 1
        left -= chance_below
        if left <= 0:
            return below
    return int(mean)


@lru_cache(maxsize=4096)
def _ones(seed: int, channel: int, number: int, place: int, points: int) -> int:
    """Ones among so many hashed bits: how many of the points lie in the lower half."""
    digest = shake_128(f"{seed}/{channel}/{number}/{place}".encode()).digest((points + 7) // 8)
    return (int.from_bytes(digest, "little") & ((1 << points) - 1)).bit_count()
