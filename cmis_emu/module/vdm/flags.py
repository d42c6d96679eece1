"""Threshold flags of VDM: set with nobody polling (VDM-05, FLG-09, FLG-12).

Values are lazy, flags are eager: for each channel the gauge bounds what its samples can show, and the next look
is scheduled for the earliest sample at which an instance can cross a threshold. At rest there is no event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cmis_emu.clock import NEVER, NS_PER_S, Clock, Event
from cmis_emu.module.flags import Flags
from cmis_emu.module.vdm.channels import Channel, Reports, Shown
from cmis_emu.module.vdm.observables import Statistic
from cmis_emu.module.vdm.statistics import Grid, Reading
from cmis_emu.registers.memory import Cell

_RISING = frozenset({Statistic.CURRENT, Statistic.MAXIMUM, Statistic.AVERAGE, Statistic.TOTAL})
_FALLING = frozenset({Statistic.CURRENT, Statistic.MINIMUM, Statistic.AVERAGE})
_SLOW = frozenset({Statistic.AVERAGE, Statistic.TOTAL})  # what no single sample takes across a threshold


class VdmFlags:
    """The flags of all banks. `held_at(now)` gives number and instant of the sample that is held."""

    def __init__(
        self,
        clock: Clock,
        flags: Flags,
        grid: Grid,
        banks: Sequence[tuple[Cell, Sequence[Channel]]],
        held_at: Callable[[int], tuple[int, int]],
        reports: Sequence[Reports],
    ) -> None:
        self._reports = reports  # of each bank
        self._clock = clock
        self._flags = flags
        self._grid = grid
        self._banks = banks
        self._held_at = held_at
        self._event: Event | None = None
        self._stale = False  # everything has to be looked at

    def reload(self) -> None:
        """The thresholds may have changed: reset, or the back door."""
        for _, channels in self._banks:
            for channel in channels:
                for shown in channel.shown:
                    shown.load_limits()

    def cancel(self) -> None:
        """Forget the next look."""
        self._stale = False
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def stale(self) -> None:
        """What is measured has changed: look at everything once this instant's changes are through."""
        if not self._stale:
            self.cancel()
            self._stale = True
            self._event = self._clock.at(self._clock.now_ns, self._look)

    def judge(self, *, due_only: bool = False) -> None:
        """Compare what is shown with the thresholds and schedule the next look."""
        self.cancel()
        now = self._clock.now_ns
        sample, at = self._held_at(now)
        soonest = NEVER
        for (cell, channels), reports in zip(self._banks, self._reports, strict=True):
            for channel in channels:
                if not due_only or channel.look_ns <= now:
                    self._judge(cell, channel, sample, at, reports)
                soonest = min(soonest, channel.look_ns)
        if soonest < NEVER:
            self._event = self._clock.at(soonest, self._look)

    def _look(self) -> None:
        self._event = None
        self.judge(due_only=not self._stale)

    def _judge(self, cell: Cell, channel: Channel, sample: int, at: int, reports: Reports) -> None:
        channel.look_ns = NEVER
        active = channel.active()
        reading = channel.reading(sample, at)
        for shown in channel.shown:
            misread = bool(shown.misreads) and not shown.gone
            bits = _beyond(shown, reports.value(shown, reading, at, judged=True)) if active and not shown.gone else 0
            if misread:  # each sample is asked for, so that faults do not depend on who polls
                channel.look_ns = (at // self._grid.fine_ns + 1) * self._grid.fine_ns
            self._flags.level(cell, bits, shown.instance.number)
        if active:
            look = self._next(channel, reading, at)
            if channel.accumulator is not None:
                starts = channel.accumulator.starts_ns()
                if starts <= at:
                    channel.accumulator.include(reading.current)  # what was looked at is in the statistics
                else:
                    look = min(look, starts)
            if look < NEVER:
                fine = self._grid.fine_ns
                channel.look_ns = min(channel.look_ns, max(-(-look // fine), at // fine + 1) * fine)

    def _next(self, channel: Channel, reading: Reading, at: int) -> int:
        """Earliest time at which an instance can cross a threshold; NEVER when nothing can."""
        gauge = channel.gauge
        assert gauge is not None
        reach = gauge.reach(at, NEVER)
        look = NEVER
        crossing = []
        for shown in channel.shown:
            value = shown.observable.decode(shown.observable.encode(shown.value(reading)))
            limits = [limit for limit in shown.passable if _can_cross(shown, value, limit, reach)]
            if shown.observable.statistic in _SLOW:
                rate = gauge.events_per_s()
                look = min([look, *(at + _creep_ns(shown, value, limit, reach, reading, rate) for limit in limits)])
            elif limits:
                crossing.append((shown, value, limits))
        if not crossing:
            return look
        horizon = self._grid.fine_ns
        while horizon < NEVER:
            near = gauge.reach(at, horizon)
            if any(_can_cross(shown, value, limit, near) for shown, value, limits in crossing for limit in limits):
                return min(look, at + horizon // 2)
            horizon *= 2
        return look


def _beyond(shown: Shown, value: float) -> int:
    """The nibble of conditions of a value as its register shows it: bit 0 high alarm, then low, high, low."""
    value = shown.observable.decode(shown.observable.encode(value))
    high_alarm, low_alarm, high, low = shown.limits
    return (value > high_alarm) | (value < low_alarm) << 1 | (value > high) << 2 | (value < low) << 3


def _can_cross(shown: Shown, value: float, limit: float, reach: tuple[float, float]) -> bool:
    """Can the instance get to the other side of the limit while samples stay within reach?"""
    statistic, step = shown.observable.statistic, shown.observable.step(limit)
    if statistic is Statistic.TOTAL:
        return value <= limit and reach[1] > 0
    if statistic in _RISING and value <= limit < reach[1] + step:
        return True
    return statistic in _FALLING and value >= limit > reach[0] - step


def _creep_ns(
    shown: Shown, value: float, limit: float, reach: tuple[float, float], reading: Reading, events_per_s: float
) -> int:
    """How long an average or a total needs at least to the limit, when every sample is as far off as can be."""
    if shown.observable.statistic is Statistic.TOTAL:
        rate = reach[1] * events_per_s
        seconds = (limit - value) / rate if rate > 0 else float("inf")
        return min(NEVER, int(min(seconds, NEVER / NS_PER_S) * NS_PER_S))
    pull = reach[1] - limit if value <= limit else limit - reach[0]
    wait = abs(limit - value) * reading.span_ns / pull if pull > 0 else 0.0
    return int(min(wait, float(NEVER)))
