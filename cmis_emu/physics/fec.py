"""KP4, RS(544,514) over 10-bit symbols: what errors before the decoder become behind it (optics model, section 6).

A codeword with more than 15 wrong symbols is uncorrectable. Ratios down to 1e-300 are right; below they are 0.
Pure functions of bit error ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SYMBOLS, DATA_SYMBOLS, SYMBOL_BITS = 544, 514, 10
CORRECTABLE = 15
FRAMES_PER_CODEWORD = 7.62  # frames of 64 octets
CODEWORDS_PER_S_100G = 19.53125e6
SMALLEST = 1e-200  # of a symbol error ratio
DEEPEST = 60  # no sum needs terms beyond
HARMLESS_BER = 1e-5  # below, an uncorrectable codeword is not to be expected in the age of the universe
_SEW_LIMIT = 0.7  # a codeword with more errors than SEWmax is not to be expected once in the interval

_COUNTS = np.arange(SYMBOLS + 1)
_FACTORIALS = np.array([math.lgamma(n + 1) for n in range(SYMBOLS + 1)])
_Array = NDArray[np.float64]


def symbol_error_ratio(ber: float) -> float:
    """Ratio of wrong symbols when bits fail one by one: 1 - (1-p)^10."""
    return -math.expm1(SYMBOL_BITS * math.log1p(-min(ber, 1 - 1e-12)))


def _binomial(symbols: int, ratio: float, deepest: int) -> _Array:
    """P(k wrong symbols of `symbols`) for k from 0 to `deepest`, or to `symbols` if that is less."""
    counts = _COUNTS[: min(symbols, deepest) + 1]
    if ratio < SMALLEST:  # the second wrong symbol is beyond what can be told
        found = np.zeros(len(counts))
        found[0], found[1] = 1.0, symbols * ratio
        return found
    right = math.log1p(-min(ratio, 1 - 1e-12))  # of a symbol that is not wrong
    logs: _Array = _choices(symbols, len(counts)) + counts * (math.log(ratio) - right)
    logs += symbols * right
    return np.exp(logs, out=logs)


@lru_cache(maxsize=64)
def _choices(symbols: int, terms: int) -> _Array:
    """Logarithms of the ways to choose 0, 1, ... of `symbols`."""
    counts = _COUNTS[:terms]
    found: _Array = _FACTORIALS[symbols] - _FACTORIALS[counts] - _FACTORIALS[symbols - counts]
    return found


class Bursts(NamedTuple):
    """How errors follow each other: a wrong PAM4 symbol makes the next one wrong with chance `continuation`.

    interleaved: codewords that take the symbols of a lane in turn (400G: 2).
    """

    continuation: float = 0.0
    interleaved: int = 1


SINGLE = Bursts()
"""Bits fail one by one."""


def symbol_errors(bers: Sequence[float], deepest: int = SYMBOLS, bursts: Bursts = SINGLE) -> _Array:
    """P(k) that a codeword has k wrong symbols, k from 0 to `deepest`, which is at least 1.

    bers: bit error ratios of the lanes that share each codeword's symbols evenly.
    """
    ratios = [symbol_error_ratio(ber) for ber in bers]
    if bursts.continuation > 0:
        return _in_bursts(sum(ratios) / len(ratios), deepest, bursts)
    if max(ratios) - min(ratios) <= 1e-9 * max(ratios):
        return _binomial(SYMBOLS, ratios[0], deepest)
    total: _Array | None = None
    for index, ratio in enumerate(ratios):
        share = (SYMBOLS * (index + 1)) // len(ratios) - (SYMBOLS * index) // len(ratios)
        lane = _binomial(share, ratio, min(deepest, share))
        total = lane if total is None else np.convolve(total, lane)[: deepest + 1]
    assert total is not None
    return total


@lru_cache(maxsize=64)
def _burst_sizes(bursts: Bursts) -> _Array:
    """P(n) that a burst has n wrong symbols of one codeword: a geometric run behind the first."""
    a, interleaved = bursts
    second = a ** (5 * (interleaved - 1)) * sum(a**k for k in range(1, 6)) / 5
    further = a ** (5 * interleaved)
    sizes = np.zeros(SYMBOLS + 1)
    sizes[1] = 1 - second
    sizes[2:] = second * further ** np.arange(SYMBOLS - 1) * (1 - further)
    return sizes


def _in_bursts(ratio: float, deepest: int, bursts: Bursts) -> _Array:
    """`symbol_errors` where they come in bursts, at random: a compound Poisson number, by Panjer's recursion."""
    sizes = _burst_sizes(bursts)
    weighted = sizes * _COUNTS
    rate = SYMBOLS * ratio / float(weighted.sum())
    found = np.zeros(deepest + 1)
    found[0] = math.exp(-rate)
    for k in range(1, deepest + 1):
        found[k] = rate / k * float(weighted[1 : k + 1] @ found[k - 1 :: -1][:k])
    return found


def codeword_error_ratio(bers: Sequence[float], bursts: Bursts = SINGLE) -> float:
    """Ratio of uncorrectable codewords (CER, what CMIS calls FERC) of lanes that share codewords."""
    worst = max(bers)
    if worst <= 0.0:
        return 0.0
    chances = symbol_errors(bers, _deep_enough(worst), bursts)
    if bursts.continuation > 0 and len(chances) > DEEPEST + 1:  # many errors: some of the tail is beyond the symbols
        return 1.0 - float(chances[: CORRECTABLE + 1].sum())
    return min(1.0, float(chances[CORRECTABLE + 1 :].sum()))


def _deep_enough(worst: float) -> int:
    """How many wrong symbols a sum must reach to."""
    return DEEPEST if SYMBOLS * symbol_error_ratio(worst) < CORRECTABLE else SYMBOLS


def post_fec_ber(ber: float) -> float:
    """Bit error ratio behind the decoder, which leaves uncorrectable codewords as they are."""
    if ber <= 0.0:
        return 0.0
    ratio = symbol_error_ratio(ber)
    tail = symbol_errors([ber])[CORRECTABLE + 1 :]
    wrong = float((tail * _COUNTS[CORRECTABLE + 1 :]).sum())
    return min(ber, ber * wrong / (SYMBOLS * ratio))


def frame_loss_ratio(cer: float, interleaved: int = 1) -> float:
    """Ratio of lost 64-octet frames. interleaved: codewords that a frame's octets alternate between (400G: 2)."""
    return min(1.0, interleaved * cer * (1 + 1 / (interleaved * FRAMES_PER_CODEWORD)))


def codewords_per_s(data_rate_gbps: float) -> float:
    """Codewords per second of a link of 50, 100, 200, 400 or 800 Gb/s."""
    return CODEWORDS_PER_S_100G * data_rate_gbps / 100


def seconds_to_uncorrectable(cer: float, data_rate_gbps: float) -> float:
    """Mean time between uncorrectable codewords; infinite when there are none."""
    return math.inf if cer <= 0 else 1 / (cer * codewords_per_s(data_rate_gbps))


def sew_max(bers: Sequence[float], codewords: float, bursts: Bursts = SINGLE) -> int:
    """The most wrong symbols to expect in one of `codewords` codewords (SEWmax)."""
    chances = symbol_errors(bers, _deep_enough(max(bers)), bursts)
    tails = np.cumsum(chances[::-1])[::-1]  # P(X >= n)
    for wrong in range(CORRECTABLE + 1):
        if codewords * float(tails[wrong + 1]) < _SEW_LIMIT:
            return wrong
    return CORRECTABLE + 1
