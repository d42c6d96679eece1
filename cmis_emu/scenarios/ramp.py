"""A value that moves linearly from what it is to a target, in steps of the clock.

Owns how fine the steps are: never finer than 100 ms, and no more of them than STEPS however long it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from cmis_emu.clock import NS_PER_MS, Clock, Event, seconds

FINEST_NS = 100 * NS_PER_MS
STEPS = 256


class Ramp:
    """One movement; `move` is called with each value, the target at the end. Without a duration it jumps."""

    def __init__(self, clock: Clock, start: float, target: float, over_s: float, move: Callable[[float], None]) -> None:
        self.value = start
        self._clock = clock
        self._start, self._target = start, target
        self._began_ns = clock.now_ns
        self._over_ns = seconds(over_s)
        self._step_ns = max(FINEST_NS, -(-self._over_ns // STEPS))
        self._move = move
        self._event: Event | None = None
        self._stopped = False
        if self._over_ns <= 0:
            self.value = target
        else:
            self._next()

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back

    def stop(self) -> None:
        """It moves no further."""
        self._stopped = True
        if self._event is not None:
            self._event.cancel()

    def _next(self) -> None:
        end_ns = self._began_ns + self._over_ns
        self._event = self._clock.at(min(end_ns, self._clock.now_ns + self._step_ns), self._step)

    def _step(self) -> None:
        if self._stopped:
            return
        passed = min(1.0, (self._clock.now_ns - self._began_ns) / self._over_ns)
        self.value = self._target if passed >= 1.0 else self._start + (self._target - self._start) * passed
        if passed < 1.0:
            self._next()
        self._move(self.value)
