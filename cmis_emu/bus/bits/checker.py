"""Judges edges by the limits of a mode: every time that a standard names, and how long clocks were stretched.

Owns the measuring. Levels alone tell set-up, hold and periods; who holds a low clock only the drivers tell, so that
stretches are measured on simulated wires and not on a recorded waveform. A START or STOP in the middle of a byte is
told as such: it is a change of SDA that came while SCL was high.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field

from cmis_emu.bus.bits.limits import Limits, Parameter
from cmis_emu.bus.bits.wires import Driver, Wire, Wires
from cmis_emu.clock import NS_PER_US

EDGES_US = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)
"""Upper ends of the bins of the histogram of stretches, each included; one more bin is open."""


@dataclass(slots=True)
class Measured:
    """What was seen of one parameter. worst_ns: the least; of stretches the greatest; None for nothing seen."""

    worst_ns: int | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """One time that was too short, or a stretch that was too long. when_ns: at its end."""

    when_ns: int
    parameter: Parameter
    found_ns: int
    limit_ns: int

    def __str__(self) -> str:
        bound = "at most" if self.parameter is Parameter.STRETCH else "at least"
        return f"{self.when_ns} ns: {self.parameter.value} {self.found_ns} ns, {bound} {self.limit_ns} ns"


@dataclass(slots=True)
class Stretches:
    """Clocks that a slave held low after the master had let go. `bins` are those of EDGES_US."""

    bins: list[int] = field(default_factory=lambda: [0] * (len(EDGES_US) + 1))
    longest_ns: int = 0
    total_ns: int = 0

    def add(self, duration_ns: int) -> None:
        """One more."""
        self.bins[bisect_left(EDGES_US, duration_ns / NS_PER_US)] += 1
        self.longest_ns = max(self.longest_ns, duration_ns)
        self.total_ns += duration_ns

    def __str__(self) -> str:
        names = [f"<= {edge} us" for edge in EDGES_US] + [f"> {EDGES_US[-1]} us"]
        return ", ".join(f"{name}: {count}" for name, count in zip(names, self.bins, strict=True) if count)


class TimingChecker:
    """Feed it edges in order (`edge`), or let it watch wires (`watch`)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.measured = {parameter: Measured() for parameter in Parameter}
        self.violations: list[Violation] = []
        self.torn: list[int] = []
        """When a START or STOP came in the middle of a byte, in ns."""
        self.stretches = Stretches()
        self._scl = self._sda = True
        self._scl_at: int | None = None  # of the last edge
        self._sda_at: int | None = None
        self._fell_at: int | None = None  # SCL, after START: where a period begins
        self._started_at: int | None = None  # START whose SCL has not fallen yet
        self._stopped_at: int | None = None
        self._busy = False
        self._bits = 0  # rising edges of SCL in the byte
        self._masters: Collection[str] = ()
        self._let_go_at: int | None = None  # every master, of a clock that is low

    @property
    def good(self) -> bool:
        """Nothing to complain of?"""
        return not self.violations and not self.torn

    def watch(self, wires: Wires, masters: Collection[str] = ("host",)) -> TimingChecker:
        """Judge these wires from now on; `masters` are the names of the drivers that are no slaves."""
        self._masters = masters
        scl = wires.scl

        def edge(now_ns: int, wire: Wire, level: bool) -> None:
            if wire is scl:
                if level:
                    self._stretched(now_ns)
                self.edge(now_ns, level, self._sda)
            else:
                self.edge(now_ns, self._scl, level)

        wires.listen(edge)
        wires.listen_drivers(self._driver)
        return self

    def edge(self, now_ns: int, scl: bool, sda: bool) -> None:
        """Both levels from `now_ns` on. Where both change at once, SCL is taken to be first when it falls."""
        if scl is not self._scl and not scl:
            self._clock(now_ns, scl)
        if sda is not self._sda:
            self._data(now_ns, sda)
        if scl is not self._scl:
            self._clock(now_ns, scl)

    def report(self) -> str:
        """A table of what was seen, one line for each parameter, and the stretches."""
        lines = [f"{self.limits.name}: {'good' if self.good else 'not good'}"]
        for parameter, seen in self.measured.items():
            limit = self.limits.table[parameter]
            worst = "not seen" if seen.worst_ns is None else f"{seen.worst_ns} ns in {seen.count}"
            mark = "" if limit.verified else ", recalled"
            bound = "most" if parameter is Parameter.STRETCH else "least"
            name = "1/fSCL" if parameter is Parameter.RATE else parameter.value
            lines.append(f"  {name:8} {bound} {worst} (limit {limit.ns} ns{mark})")
        if self.stretches.longest_ns:
            lines.append(f"  stretches: {self.stretches}")
        lines += [f"  {violation}" for violation in self.violations]
        lines += [f"  {at} ns: START or STOP in the middle of a byte" for at in self.torn]
        return "\n".join(lines)

    # -- edges -----------------------------------------------------------------------------------------

    def _clock(self, now: int, level: bool) -> None:
        since = None if self._scl_at is None else now - self._scl_at
        self._scl = level
        self._scl_at = now
        if level:
            if self._busy:
                self._bits += 1
                if since is not None:
                    self._note(now, Parameter.LOW, since)
                if self._sda_at is not None:
                    self._note(now, Parameter.DATA_SET_UP, now - self._sda_at)
            return
        if self._started_at is not None:
            self._note(now, Parameter.START_HOLD, now - self._started_at)
            self._started_at = None
            self._bits = 0
        elif self._busy:
            if since is not None:
                self._note(now, Parameter.HIGH, since)
            if self._bits == 9:
                self._bits = 0
        if self._fell_at is not None:
            self._note(now, Parameter.RATE, now - self._fell_at)
        self._fell_at = now if self._busy else None

    def _data(self, now: int, level: bool) -> None:
        self._sda = level
        self._sda_at = now
        if not self._scl:
            if self._scl_at is not None and self._busy:
                self._note(now, Parameter.DATA_HOLD, now - self._scl_at)
            return
        if self._busy and self._bits > 1:
            self.torn.append(now)
        since = None if self._scl_at is None else now - self._scl_at
        if level:
            if since is not None and self._busy:
                self._note(now, Parameter.STOP_SET_UP, since)
            self._busy = False
            self._stopped_at = now
        else:
            if self._busy and since is not None:
                self._note(now, Parameter.START_SET_UP, since)
            elif self._stopped_at is not None:
                self._note(now, Parameter.FREE, now - self._stopped_at)
            self._busy = True
            self._started_at = now
        self._fell_at = None
        self._bits = 0

    def _note(self, now: int, parameter: Parameter, found: int) -> None:
        seen = self.measured[parameter]
        seen.count += 1
        limit = self.limits.ns(parameter)
        if parameter is Parameter.STRETCH:
            seen.worst_ns = max(found, seen.worst_ns or 0)
            bad = found > limit
        else:
            seen.worst_ns = found if seen.worst_ns is None else min(found, seen.worst_ns)
            bad = found < limit
        if bad:
            self.violations.append(Violation(now, parameter, found, limit))

    # -- who holds the clock ---------------------------------------------------------------------------

    def _driver(self, now: int, wire: Wire, driver: Driver) -> None:
        if wire.name != "SCL" or driver.name not in self._masters:
            return
        if driver.low or wire.level or any(each.low for each in wire.drivers if each.name in self._masters):
            self._let_go_at = None
        elif any(each.low for each in wire.drivers):
            self._let_go_at = now

    def _stretched(self, now: int) -> None:
        if self._let_go_at is not None:
            self._note(now, Parameter.STRETCH, now - self._let_go_at)
            self.stretches.add(now - self._let_go_at)
            self._let_go_at = None
