"""What VDM measures: gauges of lasers and receivers in the units of the table (VDM-10).

Owns the laws from the plant to the quantities of lasers, and how lanes and data paths combine where one
instance stands for several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cmis_emu.clock import NS_PER_S
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.coherent import CoherentGauge, DriftGauge
from cmis_emu.module.vdm.observables import COHERENT, LASER, Measure, Scope
from cmis_emu.module.vdm.reception import BankWatch, PathLanes, Reception
from cmis_emu.module.vdm.statistics import Gauge
from cmis_emu.physics.laser import AGEING_END_OF_LIFE, frequency_per_wavelength
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant

MHZ_PER_GHZ = 1e3


@dataclass(slots=True)
class LaserGauge:
    """A quantity of the plant in the unit of its observable: factor * (value - zero)."""

    watch: BankWatch
    plant: ModulePlant
    quantity: Quantity
    factor: float
    zero: float = 0.0
    needs_light_on: int = 0  # a lane that must be at work; 0 for none

    def active(self) -> bool:
        """ModuleReady, and for what only a running laser has, its lane at work."""
        inputs = self.watch.inputs
        return inputs.ready and (not self.needs_light_on or self.needs_light_on in inputs.media)

    def value(self, sample: int, at_ns: int) -> float:
        """As the module's own monitor of the quantity reads it."""
        return self.factor * (self.plant.sample(self.quantity, 0, sample, at_ns) - self.zero)

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Bounds from the plant's."""
        trend = self.plant.trend(self.quantity, 0, at_ns)
        moves = trend.moves(horizon_ns / NS_PER_S)
        off = abs(self.factor) * (moves + self.plant.noise_bound(self.quantity, 0, trend.value + trend.remaining))
        middle = self.factor * (trend.value - self.zero)
        return middle - off, middle + off

    def events_per_s(self) -> float:
        """Not a ratio of events."""
        return 0.0

    def found_ns(self) -> int:
        """Lasers need not look for what they measure."""
        return 0


@dataclass(slots=True)
class AgeGauge:
    """Laser age in %: how much of the rise of bias that ends a laser's life has come, at most 100."""

    watch: BankWatch
    plant: ModulePlant
    lanes: tuple[int, ...]  # of the plant; the oldest counts

    def active(self) -> bool:
        """Known in ModuleReady, whether or not the laser is on."""
        return self.watch.inputs.ready

    def value(self, sample: int, at_ns: int) -> float:
        """The same between two inputs."""
        return min(100.0, max(100 * self.plant.ageing(lane) / AGEING_END_OF_LIFE for lane in self.lanes))

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Nothing moves by itself."""
        age = self.value(0, at_ns)
        return age, age

    def events_per_s(self) -> float:
        """Not a ratio of events."""
        return 0.0

    def found_ns(self) -> int:
        """Lasers need not look for what they measure."""
        return 0


@dataclass(slots=True)
class LaneGauge:
    """eSNR, level transitions or error ratio of lanes: of one, or the mean of those of a path or the module.

    `lane` 0 means a data path (`path_id` >= 0) or all lanes at work.
    """

    watch: BankWatch
    reception: Reception
    measure: Measure
    side: Side
    lane: int = 0
    path_id: int = -1

    def _lanes(self) -> list[int]:
        inputs = self.watch.inputs
        here = inputs.lanes(self.side)
        if self.lane:
            return [self.lane] if self.lane in here else []
        if self.path_id < 0:
            return sorted(here)
        path = next((p for p in inputs.paths if p.path_id == self.path_id), None)
        own = () if path is None else path.media_lanes if self.side is Side.MEDIA else path.host_lanes
        return [lane for lane in own if lane in here]

    def active(self) -> bool:
        """One of its lanes is at work."""
        return bool(self._lanes())

    def value(self, sample: int, at_ns: int) -> float:
        """The mean: lanes of one signal carry equally many bits."""
        reception = self.reception
        law: Callable[[int, int, int], float] = reception.ber
        if self.measure is Measure.ESNR:
            law = reception.esnr_db
        elif self.measure is Measure.LTP:
            law = reception.level_transition_db
        if self.lane:
            return law(self.lane, sample, at_ns)
        lanes = self._lanes()
        return sum([law(lane, sample, at_ns) for lane in lanes]) / len(lanes)

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """The mean of the lanes' bounds."""
        bounds = [self.reception.reach(self.measure, lane, at_ns, horizon_ns) for lane in self._lanes()]
        return sum(low for low, _ in bounds) / len(bounds), sum(high for _, high in bounds) / len(bounds)

    def events_per_s(self) -> float:
        """Totals are of frames only."""
        return 0.0

    def found_ns(self) -> int:
        """When the last of the lanes found its signal."""
        return max(self.reception.found_ns(lane) for lane in self._lanes())


@dataclass(slots=True)
class FrameGauge:
    """Errored frames or SEWmax of one data path, or of all (`path_id` -1): the mean ratio, the largest weight."""

    watch: BankWatch
    reception: Reception
    measure: Measure
    side: Side
    path_id: int = -1

    def _paths(self) -> list[PathLanes]:
        inputs = self.watch.inputs
        known = inputs.paths if self.side is Side.HOST else (*inputs.paths, *inputs.networks)
        mine = (p for p in known if self.path_id in (-1, p.path_id))
        here = inputs.lanes(self.side)
        return [p for p in mine if self._lanes(p) and here.issuperset(self._lanes(p))]

    def _lanes(self, path: PathLanes) -> tuple[int, ...]:
        return path.media_lanes if self.side is Side.MEDIA else path.host_lanes

    def active(self) -> bool:
        """All lanes of a path are at work."""
        return bool(self._paths())

    def value(self, sample: int, at_ns: int) -> float:
        """Of the codewords that arrive."""
        paths = self._paths()
        if self.measure is Measure.SEW_MAX:
            return max(self.reception.sew_max(path, sample, at_ns) for path in paths)
        return sum(self.reception.ferc(path, sample, at_ns) for path in paths) / len(paths)

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """The widest of the paths' bounds."""
        bounds = [self.reception.reach(self.measure, path, at_ns, horizon_ns) for path in self._paths()]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def events_per_s(self) -> float:
        """Frames each second, errored or not."""
        return sum(self.reception.frames_per_s(path) for path in self._paths())

    def found_ns(self) -> int:
        """When the last of the lanes found its signal."""
        return max(self.reception.found_ns(lane) for path in self._paths() for lane in self._lanes(path))


def gauge_of(
    measure: Measure,
    side: Side,
    scope: Scope,
    resource: int,
    watch: BankWatch,
    plant: ModulePlant,
    first: int,
    receptions: Mapping[Side, Reception],
) -> Gauge | None:
    """The gauge of one resource; None where the module has no reception of that side. `first`: lanes before."""
    if measure in LASER:
        return _laser_gauge(measure, scope, resource, watch, plant, first)
    reception = receptions.get(side)
    if reception is None:
        return None
    coherent = plant.parameters.coherent
    if measure in COHERENT:
        if coherent is None:
            return None
        return CoherentGauge(watch, reception, plant, coherent, measure, resource, first)
    path_id = resource - 1 if scope is Scope.DATA_PATHS else -1
    if measure in (Measure.FERC, Measure.SEW_MAX):
        return FrameGauge(watch, reception, measure, side, path_id)
    return LaneGauge(watch, reception, measure, side, resource if scope is Scope.LANES else 0, path_id)


def _laser_gauge(
    measure: Measure, scope: Scope, resource: int, watch: BankWatch, plant: ModulePlant, first: int
) -> Gauge:
    parameters = plant.parameters
    if measure is Measure.LASER_AGE:
        mine = (first + resource,) if scope is Scope.LANES else tuple(range(1, parameters.media_lanes + 1))
        return AgeGauge(watch, plant, mine)
    if measure is Measure.TEC_CURRENT:
        return LaserGauge(watch, plant, Quantity.TEC_CURRENT, 100.0)
    if measure is Measure.LASER_TEMPERATURE:
        return LaserGauge(watch, plant, Quantity.LASER_TEMPERATURE, 1.0)
    if parameters.coherent is not None:
        return DriftGauge(watch, plant, resource or 1, first)
    target = parameters.tec.set_point_c if parameters.tec is not None else parameters.laser.reference_c
    first_lane = first + resource if scope is Scope.LANES else 1
    ghz_per_nm = frequency_per_wavelength(parameters.wavelength_nm(first_lane))
    slope = parameters.laser.wavelength_nm_per_k * ghz_per_nm * MHZ_PER_GHZ
    return LaserGauge(watch, plant, Quantity.LASER_TEMPERATURE, slope, target, resource)
