"""What performance monitoring measures: gauges of a module with their statistics since the last clearing (CMD-07).

Owns which quantities there are, of what, and how a value becomes an X16 code. Samples lie on the grid of the
monitors; between two changes of what is measured everything is a formula of time, so a module that nobody asks does
nothing (see vdm/statistics.py). What is not at work reads 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from cmis_emu.clock import NS_PER_MS, NS_PER_S
from cmis_emu.module.cdb.histogram import Counter, TemperatureCounter
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.reception import MediaReception
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.gauges import FrameGauge, LaneGauge
from cmis_emu.module.vdm.observables import Measure
from cmis_emu.module.vdm.reception import BankInputs, BankWatch, HostReception, PathLanes, Reception
from cmis_emu.module.vdm.statistics import Accumulator, Gauge, Grid, Reading
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.encoding import encode_f16
from cmis_emu.registers.memory import Memory

LANES = 8  # of a bank
DB_STEP = 1 / 256


class Scope(Enum):
    """What a record belongs to."""

    MODULE = "module"
    HOST = "host lane"
    MEDIA = "media lane"
    PATH = "data path"


class Observable(Enum):
    """What can be asked for: its scope, and its bit in the request, counted over the bytes of observables."""

    TEMPERATURE = (Scope.MODULE, 0)
    VCC = (Scope.MODULE, 1)
    HOST_SNR = (Scope.HOST, 0)
    HOST_LTP = (Scope.HOST, 1)
    MEDIA_SNR = (Scope.MEDIA, 0)
    MEDIA_LTP = (Scope.MEDIA, 1)
    MEDIA_BER = (Scope.MEDIA, 2)
    BIAS = (Scope.MEDIA, 8)
    TX_POWER = (Scope.MEDIA, 9)
    RX_POWER = (Scope.MEDIA, 10)
    FERC = (Scope.PATH, 0)
    PATH_BER = (Scope.PATH, 1)

    @property
    def scope(self) -> Scope:
        """What it belongs to."""
        return self.value[0]

    @property
    def bit(self) -> int:
        """Its number in the request."""
        return self.value[1]


_QUANTITIES = {
    Observable.TEMPERATURE: Quantity.CASE_TEMPERATURE,
    Observable.VCC: Quantity.VCC,
    Observable.BIAS: Quantity.TX_BIAS,
    Observable.TX_POWER: Quantity.TX_POWER,
    Observable.RX_POWER: Quantity.RX_POWER,
}
_MEASURES = {
    Observable.HOST_SNR: Measure.ESNR,
    Observable.MEDIA_SNR: Measure.ESNR,
    Observable.HOST_LTP: Measure.LTP,
    Observable.MEDIA_LTP: Measure.LTP,
    Observable.MEDIA_BER: Measure.BER,
    Observable.PATH_BER: Measure.BER,
    Observable.FERC: Measure.FERC,
}
_MONITORS = {
    Observable.TEMPERATURE: "TempMonValue",
    Observable.VCC: "VccMonVoltage",
    Observable.BIAS: "LaserBiasTx",
    Observable.TX_POWER: "OpticalPowerTx",
    Observable.RX_POWER: "OpticalPowerRx",
}
"""Fields whose monitor must be there, and whose scale a record has."""


@dataclass(slots=True)
class PlantGauge:
    """A quantity of the plant as its monitor reads it, of the module (lane 0) or of a media lane at work."""

    plant: ModulePlant
    quantity: Quantity
    watch: BankWatch | None = None
    lane: int = 0  # within the bank
    plant_lane: int = 0

    def active(self) -> bool:
        """The module's own always; a lane's while its data path is up."""
        return self.watch is None or self.lane in self.watch.inputs.media

    def value(self, sample: int, at_ns: int) -> float:
        """In SI units, degC for temperatures."""
        return self.plant.sample(self.quantity, self.plant_lane, sample, at_ns)

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Bounds from the plant's."""
        trend = self.plant.trend(self.quantity, self.plant_lane, at_ns)
        moves = trend.moves(horizon_ns / NS_PER_S)
        moves += self.plant.noise_bound(self.quantity, self.plant_lane, trend.value + trend.remaining)
        return trend.value - moves, trend.value + moves

    def events_per_s(self) -> float:
        """Not a ratio of events."""
        return 0.0

    def found_ns(self) -> int:
        """There from the beginning."""
        return 0


@dataclass(slots=True)
class Channel:
    """One observable of one resource."""

    observable: Observable
    accumulator: Accumulator
    code: Callable[[float], int]


@dataclass(frozen=True, slots=True)
class Coding:
    """A number of 16 bits: value / step, signed or not; a step of 0 is the floating-point form F16."""

    step: float
    signed: bool = False

    def __call__(self, value: float) -> int:
        """The nearest code."""
        if self.step == 0.0:
            return encode_f16(max(0.0, value))
        low, high = (-0x8000, 0x7FFF) if self.signed else (0, 0xFFFF)
        return max(low, min(high, round(value / self.step))) & 0xFFFF


class Meter:
    """All channels and histograms of one module. Resources count over all banks from 1: lanes, first host lanes."""

    def __init__(self, around: Surroundings) -> None:
        period_ns = round(around.profile.behaviour.monitor_period_ms * NS_PER_MS)
        self._clock = around.clock
        self._plant = around.plant
        self._grid = Grid(period_ns, period_ns)
        self._since_ns = 0
        self._watches = [BankWatch(bank) for bank in around.banks]
        self._receptions = [
            self._reception(bank, watch) for bank, watch in zip(around.banks, self._watches, strict=True)
        ]
        self.channels: dict[tuple[Observable, int], Channel] = {}
        codings = self._codings(around)
        for observable, coding in codings.items():
            for resource, gauge in self._gauges(observable, around):
                self.channels[observable, resource] = Channel(observable, Accumulator(gauge, self._grid), coding)
        self.temperatures = TemperatureCounter(around.plant, self._grid)
        self.running: list[Counter] = [self.temperatures]
        """Histograms that count."""
        around.plant.before_change.append(self.inputs_change)

    def _reception(self, bank: LaneBank, watch: BankWatch) -> Mapping[Side, Reception]:
        first, interval_s = LANES * bank.bank, self._grid.fine_ns / NS_PER_S
        plant = self._plant
        return {
            Side.HOST: HostReception(watch, plant.seed, first, plant.parameters.media_receiver.lane_bps, interval_s),
            Side.MEDIA: MediaReception(bank, plant, first, interval_s),
        }

    @staticmethod
    def _codings(around: Surroundings) -> dict[Observable, Coding]:
        """The observables of the product: those of monitors that it lacks are not there."""
        memory: Memory = around.memory
        found: dict[Observable, Coding] = {}
        optical = around.plant.parameters.media_lanes > 0
        for observable in Observable:
            name = _MONITORS.get(observable)
            if name is not None:
                if memory.has(name):
                    field = memory.regmap.field(name)
                    step = (field.scale or 1.0) * around.profile.multiplier(field)
                    found[observable] = Coding(step, signed=observable is Observable.TEMPERATURE)
            elif optical or observable.scope is Scope.HOST:
                is_db = _MEASURES[observable] in (Measure.ESNR, Measure.LTP)
                found[observable] = Coding(DB_STEP if is_db else 0.0)
        return found

    def _gauges(self, observable: Observable, around: Surroundings) -> Iterable[tuple[int, Gauge]]:
        quantity = _QUANTITIES.get(observable)
        if observable.scope is Scope.MODULE:
            assert quantity is not None
            yield 0, PlantGauge(self._plant, quantity)
            return
        media = self._plant.parameters.media_lanes
        for bank, watch, receptions in zip(around.banks, self._watches, self._receptions, strict=True):
            first = LANES * bank.bank
            host_lanes = range(1, around.profile.host_lanes(bank.bank) + 1)
            for number in bank.media_lanes if observable.scope is Scope.MEDIA else host_lanes:
                if quantity is not None:
                    yield first + number, PlantGauge(self._plant, quantity, watch, number, first + number)
                    continue
                measure = _MEASURES[observable]
                side = Side.HOST if observable.scope is Scope.HOST else Side.MEDIA
                if observable is Observable.FERC:
                    yield first + number, FrameGauge(watch, receptions[side], measure, side, number - 1)
                elif observable is Observable.PATH_BER:
                    yield first + number, LaneGauge(watch, receptions[side], measure, side, 0, number - 1)
                elif side is Side.HOST or first + number <= media:
                    yield first + number, LaneGauge(watch, receptions[side], measure, side, number)

    # -- time ----------------------------------------------------------------------------------------------

    def inputs_change(self) -> None:
        """Something that is measured is about to change: count what was until now."""
        now = self._clock.now_ns
        for channel in self.channels.values():
            channel.accumulator.close(now)
        for counter in self.running:
            counter.close(now)
        self._open(now)

    def _open(self, now: int) -> None:
        self._since_ns = now
        for channel in self.channels.values():
            channel.accumulator.open(now)
        for counter in self.running:
            counter.open(now)

    def settled(self, changed: bool) -> None:
        """See `Follower`."""
        fresh = [watch.fresh() for watch in self._watches]
        if fresh != [watch.inputs for watch in self._watches]:
            self.inputs_change()
            for watch, inputs in zip(self._watches, fresh, strict=True):
                watch.inputs = inputs
            self._open(self._clock.now_ns)

    def clear(self, keys: Iterable[tuple[Observable, int]] | None = None) -> None:
        """A new interval, for some channels or for all."""
        now = self._clock.now_ns
        for key in self.channels if keys is None else keys:
            self.channels[key].accumulator.start(now)

    def reset(self) -> None:
        """The module was reset: nothing was measured yet."""
        for watch in self._watches:
            watch.inputs = BankInputs()
        self._since_ns = self._clock.now_ns
        self.clear()
        self.running = [self.temperatures]
        self.temperatures.start(self._since_ns)

    # -- answers -------------------------------------------------------------------------------------------

    def reading(self, key: tuple[Observable, int]) -> Reading:
        """Statistics of a channel as of the sample that is held now."""
        return self.channels[key].accumulator.reading(*self._grid.held(self._clock.now_ns, self._since_ns))

    def path(self, number: int) -> tuple[PathLanes, int] | None:
        """The data path at work whose first host lane has that number over all banks, and its bank."""
        bank, index = divmod(number - 1, LANES)
        if not 0 <= bank < len(self._watches):
            return None
        found = (path for path in self._watches[bank].inputs.paths if path.path_id == index)
        path = next(found, None)
        return None if path is None else (path, bank)

    def bers(self, number: int, side: Side, sample: int, at_ns: int) -> list[float]:
        """Error ratios of the lanes that share the codewords of a data path; none while it is not at work."""
        found = self.path(number)
        if found is None:
            return []
        path, bank = found
        lanes = path.media_lanes if side is Side.MEDIA else path.host_lanes
        if not self._watches[bank].inputs.lanes(side).issuperset(lanes) or not lanes:
            return []
        return [self._receptions[bank][side].ber(lane, sample, at_ns) for lane in lanes]

    def frames_per_s(self, number: int) -> float:
        """Codewords each second of a data path at work."""
        found = self.path(number)
        return 0.0 if found is None else self._receptions[found[1]][Side.MEDIA].frames_per_s(found[0])

    def found_ns(self, number: int, side: Side) -> int:
        """When the last of the lanes found its signal."""
        found = self.path(number)
        if found is None:
            return 0
        path, bank = found
        lanes = path.media_lanes if side is Side.MEDIA else path.host_lanes
        return max((self._receptions[bank][side].found_ns(lane) for lane in lanes), default=0)

    @property
    def grid(self) -> Grid:
        """When samples are taken."""
        return self._grid

    @property
    def now_ns(self) -> int:
        """The present."""
        return self._clock.now_ns

    def watch(self, counter: Counter) -> None:
        """Let a histogram run from now on."""
        if counter not in self.running:
            self.running.append(counter)
        counter.open(self._clock.now_ns)

    def forget(self, counter: Counter) -> None:
        """Let it stand still."""
        if counter in self.running:
            counter.close(self._clock.now_ns)
            self.running.remove(counter)
