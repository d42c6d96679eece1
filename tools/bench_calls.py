"""How long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable

REPEATS = 7


def per_call_us(call: Callable[[], object], count: int) -> float:
    """Best of several runs, in microseconds a call, the loop included."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter_ns()
        for _ in range(count):
            call()
        best = min(best, time.perf_counter_ns() - start)
    return best / count / 1000
