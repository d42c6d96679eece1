"""Minimum, maximum, average and total of one quantity over an interval (VDM-07).

An interval is a row of segments: from one change of inputs to the next, every sample is a pure function of
time. Of each segment a fixed choice of samples is counted: the first, the next eight one by one, then two
for each doubling of the time, so that an interval of days costs little and who reads how often changes
nothing. Each counts for the time until the next. Totals are carried on lazily, up to but never including the
instant that asks, because inputs may still change at that instant.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from cmis_emu.clock import NEVER, NS_PER_S

ONE_BY_ONE = 8
PER_DOUBLING = 2


class Gauge(Protocol):
    """One measured quantity of one lane, data path or module, in the unit of its observable.

    Asked for times from the last change of inputs on; `sample` is the number of the monitors' sample held then.
    `found_ns`: since when there is something to measure at all, NEVER for not yet: how a receiver looks for its
    first signal does not belong in statistics.
    """

    def active(self) -> bool: ...
    def value(self, sample: int, at_ns: int) -> float: ...
    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]: ...
    def events_per_s(self) -> float: ...
    def found_ns(self) -> int: ...


class Reading(NamedTuple):
    """What VDM can show of a quantity at one instant."""

    current: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    average: float = 0.0
    total: float = 0.0
    span_ns: int = 0  # of the average


NOTHING = Reading()


def offset(number: int) -> int:
    """How many fine intervals after the start of its segment sample `number` of the choice is taken."""
    if number <= ONE_BY_ONE:
        return number
    doubling, step = divmod(number - ONE_BY_ONE - 1, PER_DOUBLING)
    first = ONE_BY_ONE << doubling
    return first + (step + 1) * first // PER_DOUBLING


class Grid(NamedTuple):
    """When samples are taken: every `fine_ns`, numbered as the monitors number theirs (every `sample_ns`)."""

    fine_ns: int
    sample_ns: int

    def held(self, now_ns: int, since_ns: int) -> tuple[int, int]:
        """Number and instant of the sample that is held; after a change at `since_ns` it was taken anew."""
        first = now_ns // self.fine_ns * self.fine_ns
        return first // self.sample_ns, max(first, since_ns)

    def chosen(self, start_ns: int, number: int) -> tuple[int, int]:
        """Number and instant of sample `number` of the choice, in the segment that starts at `start_ns`."""
        first = (start_ns // self.fine_ns + offset(number)) * self.fine_ns
        return first // self.sample_ns, first if number else start_ns


class Accumulator:
    """The statistics of one gauge. `start` opens an interval, `change` a segment, `stop` ends both."""

    __slots__ = (
        "_area",
        "_chosen",
        "_events",
        "_gauge",
        "_grid",
        "_high",
        "_last",
        "_last_ns",
        "_low",
        "_seen",
        "_span_ns",
        "_start_ns",
    )

    def __init__(self, gauge: Gauge, grid: Grid) -> None:
        self._gauge = gauge
        self._grid = grid
        self._start_ns: int | None = None  # of the segment; None while nothing is measured
        self._clear()

    def _clear(self) -> None:
        self._low = self._high = self._last = 0.0
        self._seen = False  # a sample of the interval is in `_low` and `_high`
        self._area = self._events = 0.0
        self._span_ns = 0
        self._chosen = 0  # samples of the segment that are counted; the last of them is `_last`
        self._last_ns = 0  # until when it is counted

    def start(self, now_ns: int) -> None:
        """A new interval begins."""
        self._clear()
        self.open(now_ns)

    def open(self, now_ns: int) -> None:
        """A new segment begins, if there is something to measure."""
        self._chosen = 0
        self._start_ns = None
        if self._gauge.active():
            found_ns = self._gauge.found_ns()
            # The first fine interval to count is the first that passes as a whole with the signal there.
            if found_ns < NEVER:
                self._start_ns = max(now_ns, found_ns + self._grid.fine_ns if found_ns else 0)

    def close(self, now_ns: int) -> None:
        """Inputs change at this instant: count what was until now."""
        if self._start_ns is not None:
            self._count(now_ns)
            if self._chosen:
                self._spend(now_ns, self._gauge.events_per_s())
            self._start_ns = None

    def _count(self, now_ns: int) -> None:
        """Count the chosen samples before `now_ns`."""
        start = self._start_ns
        assert start is not None
        chosen, value = self._grid.chosen, self._gauge.value
        sample, at = chosen(start, self._chosen)
        if at >= now_ns:
            return
        per_s = self._gauge.events_per_s()
        while at < now_ns:
            if self._chosen:
                self._spend(at, per_s)
            self._last, self._last_ns = value(sample, at), at
            self.include(self._last)
            self._chosen += 1
            sample, at = chosen(start, self._chosen)

    def _spend(self, until_ns: int, events_per_s: float) -> None:
        """The last counted sample held until then."""
        held_ns = until_ns - self._last_ns
        self._area += self._last * held_ns
        self._events += self._last * held_ns / NS_PER_S * events_per_s
        self._span_ns += held_ns
        self._last_ns = until_ns

    def starts_ns(self) -> int:
        """Since when, or from when on, samples count; NEVER when that is not known."""
        return NEVER if self._start_ns is None else self._start_ns

    def include(self, value: float) -> None:
        """A sample that minimum and maximum must not miss, chosen or not."""
        if not self._seen:
            self._low = self._high = value
            self._seen = True
        elif value < self._low:
            self._low = value
        elif value > self._high:
            self._high = value

    def reading(self, sample: int, at_ns: int) -> Reading:
        """Everything as of the sample held at `at_ns`; all 0 while nothing is at work."""
        if not self._gauge.active():
            return NOTHING
        current = self._gauge.value(sample, at_ns)
        counting = self._start_ns is not None and at_ns >= self._start_ns
        if counting:
            self._count(at_ns)
        low, high = (self._low, self._high) if self._seen else (current, current)
        if counting:
            low, high = min(low, current), max(high, current)
        area, events, span = self._area, self._events, self._span_ns
        if self._chosen:
            held_ns = at_ns - self._last_ns
            area += self._last * held_ns
            events += self._last * held_ns / NS_PER_S * self._gauge.events_per_s()
            span += held_ns
        average = area / span if span else current
        return Reading(current, low, high, max(low, min(high, average)), float(int(events)), span)
