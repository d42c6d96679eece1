"""The instances of one bank, bound to gauges and registers (VDM-01 to VDM-05).

Owns which quantity each instance shows, and its code. Instances of one quantity and resource share a channel,
so minimum, maximum, average and current value come from the same samples.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from cmis_emu.module.faults.monitors import Misread, Misreadings
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.observables import Measure, Observable, Scope, Statistic
from cmis_emu.module.vdm.plan import INSTANCES, LIMITS, Instance, VdmPlan
from cmis_emu.module.vdm.statistics import NOTHING, Accumulator, Gauge, Grid, Reading
from cmis_emu.registers.memory import Cell, Memory

Key = tuple[Measure, Side, Scope, int]


@dataclass(slots=True)
class Shown:
    """One instance: where it shows, and the thresholds that it is compared with."""

    instance: Instance
    thresholds: tuple[tuple[Cell, int], ...]  # in the order of LIMITS, with the number of the set
    limits: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    passable: tuple[float, ...] = ()  # the limits that a value can be beyond at all
    misreads: tuple[Misread, ...] = ()  # armed faults
    gone: bool = False  # a fault took the instance away

    @property
    def observable(self) -> Observable:
        """What it shows."""
        return self.instance.observable

    def load_limits(self) -> None:
        """Read its threshold set, in the unit of the observable (VDM-04)."""
        high_alarm, low_alarm, high, low = (self.observable.decode(cell.get(n)) for cell, n in self.thresholds)
        self.limits = high_alarm, low_alarm, high, low
        least = self.observable.decode(self.observable.lowest)
        most = self.observable.decode(self.observable.highest)
        reachable = [limit for limit in (high_alarm, high) if limit < most]
        reachable += [limit for limit in (low_alarm, low) if limit > least]
        self.passable = tuple(dict.fromkeys(reachable))

    def value(self, reading: Reading) -> float:
        """What it shows of a reading."""
        match self.observable.statistic:
            case Statistic.CURRENT:
                return reading.current
            case Statistic.MINIMUM:
                return reading.minimum
            case Statistic.MAXIMUM:
                return reading.maximum
            case Statistic.AVERAGE:
                return reading.average
            case Statistic.TOTAL:
                return reading.total


@dataclass(slots=True)
class Channel:
    """One quantity of one resource, and all instances that show it. Without a gauge it reads 0."""

    gauge: Gauge | None
    accumulator: Accumulator | None  # where one of the instances is a statistic
    shown: list[Shown] = field(default_factory=list)
    look_ns: int = 0
    _known: tuple[int, int] | None = None
    _reading: Reading = NOTHING

    def active(self) -> bool:
        """Is what it measures at work? If not, it reads 0 and sets no flags (MON-03, FLG-09)."""
        return self.gauge is not None and self.gauge.active()

    def reading(self, sample: int, at_ns: int) -> Reading:
        """As of one sample; the same until inputs change."""
        if self._known != (sample, at_ns):
            self._known = sample, at_ns
            if self.accumulator is not None:
                self._reading = self.accumulator.reading(sample, at_ns)
            elif self.gauge is not None and self.gauge.active():
                self._reading = Reading(self.gauge.value(sample, at_ns))
            else:
                self._reading = NOTHING
        return self._reading

    def start(self, now_ns: int) -> None:
        """A new interval."""
        self._known = None
        if self.accumulator is not None:
            self.accumulator.start(now_ns)

    def forget(self) -> None:
        """What was read at this very instant may be another value from now on."""
        self._known = None

    def close(self, now_ns: int) -> None:
        """What holds now ends: count it."""
        if self.accumulator is not None:
            self.accumulator.close(now_ns)

    def open(self, now_ns: int) -> None:
        """From now on something else may hold."""
        self._known = None
        if self.accumulator is not None:
            self.accumulator.open(now_ns)


class Reports:
    """What instances report of their readings, with the faults that are armed."""

    __slots__ = ("_fine_ns", "_first", "misreadings")

    def __init__(self, misreadings: Misreadings, first: int, fine_ns: int) -> None:
        self.misreadings = misreadings
        self._first = first  # lanes in the banks before
        self._fine_ns = fine_ns

    def lane(self, shown: Shown) -> int:
        """The lane of the module that an instance is of; 0 for the module itself."""
        return self._first + shown.instance.resource if shown.instance.resource else 0

    def value(self, shown: Shown, reading: Reading, at_ns: int, *, judged: bool = False) -> float:
        """What it reports; `judged`: for the flags."""
        value = shown.value(reading)
        if not shown.misreads:
            return value
        key = shown.observable.name, self.lane(shown)
        decode = shown.observable.decode
        read = self.misreadings.read
        return read(shown.misreads, key, at_ns // self._fine_ns, at_ns, value, decode, judged=judged)


class GroupPage:
    """The values of one group in one bank (VDM-03)."""

    __slots__ = ("_cell", "_places", "_reports")

    def __init__(self, cell: Cell, places: list[tuple[int, Channel, Shown]], reports: Reports) -> None:
        self._cell = cell
        self._reports = reports
        self._places = places  # (element from 0, its channel, its instance)

    def write(self, sample: int, at_ns: int) -> None:
        """All 64 values as of one sample; unused instances read 0."""
        codes = [0] * INSTANCES
        for place, channel, shown in self._places:
            if not shown.gone:
                value = self._reports.value(shown, channel.reading(sample, at_ns), at_ns)
                codes[place] = shown.observable.encode(value)
        struct.pack_into(f">{INSTANCES}H", self._cell.data, self._cell.slots[0][0], *codes)


def bind(
    memory: Memory, bank: int, plan: VdmPlan, gauges: Mapping[Key, Gauge | None], grid: Grid, reports: Reports
) -> tuple[list[Channel], list[GroupPage]]:
    """Channels of a bank, and its pages 24h to 27h as far as there are groups."""
    channels: dict[Key, Channel] = {}
    pages = []
    samples = memory.regmap.family("VDMSample")
    sets = [[Cell(f, memory.page(f.page, bank)) for f in memory.regmap.family(f"VDMThresholdSet.{limit}")
             [: len(plan.groups)]] for limit in LIMITS]  # fmt: skip
    for index, group in enumerate(plan.groups):
        places = []
        for instance in group.instances:
            key = key_of(instance)
            channel = channels.get(key)
            if channel is None:
                channel = channels[key] = Channel(gauges[key], None)
            gauge = channel.gauge
            counted = instance.observable.statistic is not Statistic.CURRENT
            if counted and channel.accumulator is None and gauge is not None:
                channel.accumulator = Accumulator(gauge, grid)
            cells = tuple((cells[index], instance.threshold_set + 1) for cells in sets)
            channel.shown.append(Shown(instance, cells))
            places.append((instance.number - 1 - index * INSTANCES, channel, channel.shown[-1]))
        pages.append(GroupPage(Cell(samples[index], memory.page(samples[index].page, bank)), places, reports))
    return list(channels.values()), pages


def key_of(instance: Instance) -> Key:
    """What the instance measures; a laser's quantities have no side."""
    observable = instance.observable
    return observable.measure, observable.side, instance.scope, instance.resource
