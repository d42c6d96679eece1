"""The physical inside of one module: laser, temperatures, supply and light, in SI units (degC for people).

Controllers set inputs (power, lanes, emission); the world sets disturbances (ambient, supply, ageing,
light); both through the same door. Between two inputs everything is a closed formula of time, so there is
no tick, and results do not depend on who asks or how often.

`trend` gives a noise-free value together with bounds on how fast and how far it can still move, which lets
a caller find threshold crossings without polling. `sample` adds the monitor's fixed error and its noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from cmis_emu.clock import NS_PER_S, Clock
from cmis_emu.physics.acquisition import AcquisitionParameters
from cmis_emu.physics.laser import EML_1310, LaserParameters
from cmis_emu.physics.light import NOTHING, Beam, LightObserver, LightSource, Payload, Trend
from cmis_emu.physics.noise import MAX_SIGMA, gauss, spread
from cmis_emu.physics.receiver import (
    DARK,
    DR_TYPICAL,
    WORST_BER,
    Decision,
    ReceiverParameters,
    decide,
    dispersion_penalty_db,
    oma_of_average,
)
from cmis_emu.physics.supply import SupplyParameters
from cmis_emu.physics.tec import TecParameters
from cmis_emu.physics.thermal import ThermalInput, ThermalParameters, ThermalSegment
from cmis_emu.physics.units import db_to_ratio, dbm_to_w

WARM_C, WARM_DB_PER_K = 60.0, 0.01  # above, TDECQ rises and sensitivity falls (section 2, feedback)
ESNR_DB_PER_DB = 2.0  # eSNR follows the light at most twice as fast, in dB
TEC_LOST_DB = 1.5  # less light and more TDECQ from a laser that lost its cooler (fault table)
UNCOOLED_BY_FAULT_C = 10.0  # it is then so much warmer than the case
UNCOOLED_RISE_C = 8.0  # an uncooled laser is this much warmer than the case
LASER_TEMPERATURE_NOISE_C = 0.01


class PowerMode(IntEnum):
    """How much of the module is switched on."""

    OFF = 0
    LOW = 1
    FULL = 2


class Quantity(IntEnum):
    """What can be asked of a plant; lane quantities take a 1-based media lane, others lane 0."""

    CASE_TEMPERATURE = 1  # degC
    VCC = 2  # V
    LASER_TEMPERATURE = 3  # degC
    TEC_CURRENT = 4  # fraction of the maximum, positive heats (MON-01)
    CONSUMPTION = 5  # W
    TX_BIAS = 6  # A
    TX_POWER = 7  # W
    RX_POWER = 8  # W


_RELATIVE = (Quantity.TX_POWER, Quantity.RX_POWER)  # their errors are ratios, in dB


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds a module: ambient degC, airflow as a fraction of nominal."""

    ambient_c: float = 35.0
    airflow: float = 1.0


@dataclass(frozen=True, slots=True)
class PowerParameters:
    """Consumption in W: junction and case shares, per lane at work (optics model, section 2)."""

    scale: float = 1.08
    junction_base_w: float = 1.5
    junction_host_lane_w: float = 0.35
    junction_media_lane_w: float = 0.45
    case_base_w: float = 0.5
    case_media_lane_w: float = 0.75
    low_junction_w: float = 0.3
    low_case_w: float = 0.9


@dataclass(frozen=True, slots=True)
class PlantParameters:
    """One product's physics. Every figure can be given in the profile's `plant` section."""

    host_lanes: int = 8
    media_lanes: int = 4
    lanes_per_laser: int = 1  # silicon photonics: one laser feeds two lanes
    laser: LaserParameters = EML_1310
    tec: TecParameters | None = field(default_factory=TecParameters)
    thermal: ThermalParameters = field(default_factory=ThermalParameters)
    supply: SupplyParameters = field(default_factory=SupplyParameters)
    power: PowerParameters = field(default_factory=PowerParameters)
    tx_power_dbm: float = 1.53  # average power of a lane; an OMA of 1.7 dBm
    tx_spread_db: float = 0.15  # lane to lane, one sigma
    extinction_db: float = 5.0
    tdecq_db: float = 2.0
    tdecq_spread_db: float = 0.05  # lane to lane, one sigma
    bias_spread: float = 0.05  # lane to lane, one sigma, as a fraction
    apc_tau_s: float = 0.05
    receiver: ReceiverParameters = DR_TYPICAL
    acquisition: AcquisitionParameters = field(default_factory=AcquisitionParameters)
    los_assert_dbm: float = -13.0
    los_deassert_dbm: float = -11.5
    power_noise_db: float = 0.02
    temperature_noise_c: float = 0.05
    bias_noise_a: float = 0.05e-3
    supply_noise_v: float = 2e-3
    power_error_db: float = 0.0  # fixed error of a monitor, one sigma
    temperature_error_c: float = 0.0

    @property
    def los_assert_w(self) -> float:
        """Average power below which a lane has lost its signal."""
        return dbm_to_w(self.los_assert_dbm)

    @property
    def los_deassert_w(self) -> float:
        """Average power above which it is back."""
        return dbm_to_w(self.los_deassert_dbm)


class TxLight:
    """What leaves one Tx lane of a plant."""

    __slots__ = ("_lane", "_plant")

    def __init__(self, plant: ModulePlant, lane: int) -> None:
        self._plant = plant
        self._lane = lane

    def trend(self, now_ns: int) -> Trend:
        """Average power in W."""
        return self._plant.trend(Quantity.TX_POWER, self._lane, now_ns)

    def beam(self, now_ns: int) -> Beam:
        """Its quality as it leaves."""
        return self._plant.tx_beam(self._lane, now_ns)

    def payload(self) -> Payload:
        """What it carries."""
        return self._plant.tx_payload(self._lane)

    def errors(self, now_ns: int) -> float:
        """Bit error ratio that it carries already."""
        return self._plant.tx_errors(self._lane, now_ns)

    def subscribe(self, observer: LightObserver) -> None:
        """Tell `observer` of changes of the lane's output."""
        self._plant.tx_observers.append((self._lane, observer))

    def unsubscribe(self, observer: LightObserver) -> None:
        """No more calls."""
        if (self._lane, observer) in self._plant.tx_observers:
            self._plant.tx_observers.remove((self._lane, observer))


@dataclass(slots=True)
class _Lane:
    """State of one media lane's laser and the light that reaches its receiver."""

    power_w: float  # nominal output of this unit
    bias_factor: float
    tdecq_db: float  # of this unit
    on_ns: int | None = None
    ageing: float = 0.0
    distortion_db: float = 0.0  # what a fault adds to TDECQ
    weakness_db: float = 0.0  # what a fault takes from the light
    failed: bool = False
    light: LightSource | None = None
    payload: Payload = NOTHING

    @property
    def output_w(self) -> float:
        """Its output with what faults take from it."""
        return self.power_w * db_to_ratio(-self.weakness_db) if self.weakness_db else self.power_w


class ModulePlant:
    """The plant of one module. Inputs open a new segment at the clock's now and call `on_change` once."""

    __slots__ = (
        "_active",
        "_asked",
        "_clock",
        "_environment",
        "_lanes",
        "_laser_start",
        "_mode",
        "_passing",
        "_supply_v",
        "_tec_failed",
        "_thermal",
        "before_change",
        "on_change",
        "parameters",
        "passes_on",
        "seed",
        "tx_observers",
        "upstream",
        "version",
    )

    def __init__(
        self, parameters: PlantParameters, clock: Clock, seed: int, environment: Environment | None = None
    ) -> None:
        self.parameters = parameters
        self.on_change: list[Callable[[], None]] = []
        self.before_change: list[Callable[[], None]] = []
        self.upstream: Callable[[int, int], float] | None = None
        self.passes_on: Callable[[], bool] | None = None  # does light of its own depend on light that arrives?
        self._asked: set[int] = set()  # lanes whose errors are being asked for
        self._passing = False
        self.version = 0  # of everything that a trend depends on
        self.tx_observers: list[tuple[int, LightObserver]] = []
        self._clock = clock
        self.seed = seed
        self._environment = environment or Environment()
        self._mode = PowerMode.OFF
        self._active = (0, 0)
        self._supply_v = parameters.supply.set_v
        self._tec_failed = False
        nominal_w = dbm_to_w(parameters.tx_power_dbm)
        self._lanes = [
            _Lane(
                nominal_w * db_to_ratio(parameters.tx_spread_db * spread(seed, 100 + lane)),
                1 + parameters.bias_spread * spread(seed, 200 + self._laser_of(lane)),
                parameters.tdecq_db + parameters.tdecq_spread_db * spread(seed, 300 + lane),
            )
            for lane in range(1, parameters.media_lanes + 1)
        ]
        ambient = self._environment.ambient_c
        self._laser_start = (clock.now_ns, ambient, ambient)  # when, laser and case temperature then
        self._thermal = self._segment(clock.now_ns, ambient, ambient)

    def _laser_of(self, lane: int) -> int:
        """The first lane that the laser of `lane` feeds."""
        return lane - (lane - 1) % self.parameters.lanes_per_laser

    def _sharing(self, lane: int) -> tuple[int, ...]:
        """The lanes that the laser of `lane` feeds."""
        first = self._laser_of(lane)
        return tuple(range(first, min(first + self.parameters.lanes_per_laser, len(self._lanes) + 1)))

    # -- inputs of the module ------------------------------------------------------------------------

    def set_power(self, mode: PowerMode) -> None:
        """Supply off, low power or full power."""
        if mode is not self._mode:
            self._announce(None)
            now = self._clock.now_ns
            self._laser_start = (now, self._laser(now).value, self._thermal.case_c(now))
            self._mode = mode
            if mode is not PowerMode.FULL:
                for lane in self._lanes:
                    lane.on_ns = None
            self._reheat()
            self._tell(None)

    def set_active_lanes(self, host: int, media: int) -> None:
        """How many lanes' circuits are at work."""
        if (host, media) != self._active:
            self._announce(None)
            self._active = (host, media)
            self._reheat()
            self._tell(None)

    def set_emitting(self, lane: int, on: bool) -> None:
        """Switch the laser of a media lane (1-based); lanes beyond the plant do not exist."""
        if lane <= len(self._lanes) and on != (self._lanes[lane - 1].on_ns is not None):
            self._announce((lane,))
            self._lanes[lane - 1].on_ns = self._clock.now_ns if on else None
            self._tell((lane,))

    def set_payload(self, lane: int, payload: Payload) -> None:
        """What the light of a media lane carries from now on, whether or not it is on."""
        if lane <= len(self._lanes) and payload != self._lanes[lane - 1].payload:
            self._announce((lane,))
            self._lanes[lane - 1].payload = payload
            self._tell((lane,))

    # -- disturbances of the world ---------------------------------------------------------------------

    def set_environment(self, ambient_c: float | None = None, airflow: float | None = None) -> None:
        """Ambient temperature in degC, airflow as a fraction of nominal."""
        self._announce(None)
        known = self._environment
        self._environment = Environment(
            known.ambient_c if ambient_c is None else ambient_c, known.airflow if airflow is None else airflow
        )
        self._reheat()
        self._tell(None)

    def set_supply(self, volts: float) -> None:
        """The host's supply voltage in V."""
        self._announce(())
        self._supply_v = volts
        self._tell(())

    def set_ageing(self, lane: int, fraction: float) -> None:
        """The laser of a lane needs this much more bias for the same light."""
        shared = self._sharing(lane)
        self._announce(shared)
        for each in shared:
            self._lanes[each - 1].ageing = fraction
        self._tell(shared)

    def set_transmitter(self, lane: int, weakness_db: float = 0.0, distortion_db: float = 0.0) -> None:
        """A worn lane: this much less light, and this much more TDECQ."""
        self._announce((lane,))
        self._lanes[lane - 1].weakness_db = weakness_db
        self._lanes[lane - 1].distortion_db = distortion_db
        self._tell((lane,))

    def set_tec_failed(self, failed: bool) -> None:
        """The cooler stands still: the lasers follow the case, and what they send is worse (fault table)."""
        if self.parameters.tec is None or failed == self._tec_failed:
            return
        self._announce(None)
        now = self._clock.now_ns
        self._laser_start = (now, self._laser(now).value, self._thermal.case_c(now))
        self._tec_failed = failed
        step_db = TEC_LOST_DB if failed else -TEC_LOST_DB
        for lane in self._lanes:
            lane.weakness_db += step_db
            lane.distortion_db += step_db
        self._reheat()
        self._tell(None)

    def set_laser_failed(self, lane: int, failed: bool) -> None:
        """A dead laser: driven, and dark, with all lanes that it feeds."""
        shared = self._sharing(lane)
        self._announce(shared)
        for each in shared:
            self._lanes[each - 1].failed = failed
        self._tell(shared)

    def set_light_source(self, lane: int, source: LightSource | None) -> None:
        """What shines into the receiver of a lane; None is darkness."""
        self._announce(())
        known = self._lanes[lane - 1]
        if known.light is not None:
            known.light.unsubscribe(self)
        known.light = source
        if source is not None:
            source.subscribe(self)
        self._tell(())

    def tx_source(self, lane: int) -> TxLight:
        """This plant's lane as a source for others."""
        return TxLight(self, lane)

    def tx_payload(self, lane: int) -> Payload:
        """What leaves a lane: nothing from a laser that is off."""
        known = self._lanes[lane - 1] if lane <= len(self._lanes) else None
        return known.payload if known is not None and known.on_ns is not None and not known.failed else NOTHING

    def tx_beam(self, lane: int, now_ns: int) -> Beam:
        """Quality of a lane's light as it leaves: TDECQ follows the case temperature (section 2)."""
        p = self.parameters
        warm = self._warm(now_ns)
        known = self._lanes[lane - 1]
        tdecq_db = known.tdecq_db + known.distortion_db + warm.value
        return Beam(db_to_ratio(p.extinction_db), Trend(tdecq_db, warm.rate, warm.remaining))

    def _warm(self, now_ns: int) -> Trend:
        """What warmth costs, in dB: the transmitter's TDECQ, and the receiver's sensitivity."""
        case = self._thermal.case_c(now_ns)
        rate, reach = self._thermal.case_bounds(now_ns)
        if case + reach <= WARM_C:
            return Trend(0.0)
        return Trend(WARM_DB_PER_K * max(0.0, case - WARM_C), WARM_DB_PER_K * rate, WARM_DB_PER_K * reach)

    def tx_errors(self, lane: int, now_ns: int) -> float:
        """Bit error ratio that a lane's signal has already when it leaves, as the module says."""
        if self.upstream is None:
            return 0.0
        if lane in self._asked:
            return WORST_BER  # a signal that comes from itself: loopbacks at both ends
        self._asked.add(lane)
        try:
            return self.upstream(lane, now_ns)
        finally:
            self._asked.discard(lane)

    def rx_errors(self, lane: int, now_ns: int) -> float:
        """Bit error ratio that the signal at a receiver had before it became light."""
        light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
        return 0.0 if light is None else light.errors(now_ns)

    def rx_payload(self, lane: int) -> Payload:
        """What the light at the receiver of a lane carries."""
        light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
        return NOTHING if light is None else light.payload()

    def ageing(self, lane: int) -> float:
        """By what fraction the laser of a lane needs more bias than when it was new."""
        return self._lanes[lane - 1].ageing if lane <= len(self._lanes) else 0.0

    def laser_failed(self, lane: int) -> bool:
        """True when the laser is dead."""
        return lane <= len(self._lanes) and self._lanes[lane - 1].failed

    def close(self) -> None:
        """Unplugged: let go of the light of others."""
        self.on_change.clear()
        for lane in range(1, len(self._lanes) + 1):
            self.set_light_source(lane, None)

    def light_changes(self) -> None:
        """The light at a receiver is about to change."""
        self._announce(())
        if self._begins_to_pass():
            for observer in self._seeing(None):
                observer.light_changes()
            self._passing = False

    def light_changed(self) -> None:
        """The light at a receiver has changed."""
        self._tell(())
        if self._begins_to_pass():
            for observer in self._seeing(None):
                observer.light_changed()
            self._passing = False

    def _begins_to_pass(self) -> bool:
        """Does what arrives leave again? Loopbacks at both ends of a fibre do not pass it on for ever."""
        if self._passing or self.passes_on is None or not self.passes_on():
            return False
        self._passing = True
        return True

    def _announce(self, lanes: tuple[int, ...] | None) -> None:
        """Tell those who measure over time that what holds now ends: our module, and who sees `lanes`."""
        for listener in tuple(self.before_change):
            listener()
        for observer in self._seeing(lanes):
            observer.light_changes()

    def _tell(self, lanes: tuple[int, ...] | None) -> None:
        """Tell our module, and those who see the light of `lanes` (None: of all)."""
        self.version += 1
        for listener in tuple(self.on_change):
            listener()
        for observer in self._seeing(lanes):
            observer.light_changed()

    def _seeing(self, lanes: tuple[int, ...] | None) -> list[LightObserver]:
        """Each observer of the light of `lanes`, once."""
        found = [observer for lane, observer in self.tx_observers if lanes is None or lane in lanes]
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    # -- temperatures ----------------------------------------------------------------------------------

    def _reheat(self) -> None:
        now = self._clock.now_ns
        self._thermal = self._segment(now, self._thermal.junction_c(now), self._thermal.case_c(now))

    def _segment(self, now_ns: int, junction_c: float, case_c: float) -> ThermalSegment:
        junction_w, case_w = self._heat()
        inputs = ThermalInput(
            junction_w,
            case_w,
            self._mode is PowerMode.FULL,
            self._environment.ambient_c,
            self._environment.airflow,
        )
        return ThermalSegment(self.parameters.thermal, inputs, now_ns, junction_c, case_c)

    def _heat(self) -> tuple[float, float]:
        """Junction and case power in W, without leakage."""
        power = self.parameters.power
        if self._mode is PowerMode.OFF:
            return 0.0, 0.0
        if self._mode is PowerMode.LOW:
            return power.low_junction_w, power.low_case_w
        host, media = self._active
        junction = power.junction_base_w + power.junction_host_lane_w * host + power.junction_media_lane_w * media
        case = power.case_base_w + power.case_media_lane_w * media
        tec = self.parameters.tec.power_w if self.parameters.tec is not None and not self._tec_failed else 0.0
        return power.scale * junction, power.scale * case + tec

    def _laser(self, now_ns: int) -> Trend:
        """Laser temperature: the set point of its cooler, or the case's when that is off or missing."""
        tec = self.parameters.tec
        case = self._thermal.case_c(now_ns)
        case_rate, case_reach = self._thermal.case_bounds(now_ns)
        if tec is None:
            rise = UNCOOLED_RISE_C if self._mode is PowerMode.FULL else 0.0
            return Trend(case + rise, case_rate, case_reach)
        start_ns, start_c, start_case_c = self._laser_start
        left = math.exp(-max(0, now_ns - start_ns) / (tec.tau_s * NS_PER_S))
        if self._mode is PowerMode.FULL and not self._tec_failed:
            gap = (start_c - tec.set_point_c) * left
            return Trend(tec.set_point_c + gap, abs(gap) / tec.tau_s, abs(gap))
        rise = UNCOOLED_BY_FAULT_C if self._mode is PowerMode.FULL else 0.0
        gap = (start_c - start_case_c - rise) * left
        return Trend(case + rise + gap, case_rate + abs(gap) / tec.tau_s, case_reach + abs(gap))

    # -- the receiver ----------------------------------------------------------------------------------

    def receive(self, lane: int, now_ns: int, jitter_db: float = 0.0) -> Decision:
        """eSNR and error ratio of a settled receiver, with its light off its trend by `jitter_db`."""
        light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
        if light is None or self._mode is not PowerMode.FULL:
            return DARK
        return self._decide(light, light.trend(now_ns).value, 0.0, now_ns, jitter_db)

    def _decide(self, light: LightSource, power_w: float, worse_db: float, now_ns: int, jitter_db: float) -> Decision:
        """`worse_db`: what is added to TDECQ."""
        if power_w <= 0.0:
            return DARK
        receiver = self.parameters.receiver
        beam = light.beam(now_ns)
        power_w *= db_to_ratio(jitter_db) if jitter_db else 1.0
        tdecq_db = beam.tdecq_db.value + worse_db
        if beam.dispersion_ps_nm:
            tdecq_db += dispersion_penalty_db(beam.dispersion_ps_nm, receiver.symbol_rate_bd)
        oma_w = oma_of_average(power_w, beam.extinction) * beam.modulation
        return decide(receiver, oma_w, beam.extinction, tdecq_db, beam.interference, self._warm(now_ns).value)

    def receive_bounds(
        self, lane: int, now_ns: int, horizon_s: float, jitter_db: float = 0.0
    ) -> tuple[Decision, Decision]:
        """The worst and the best that `receive` can give in the next `horizon_s`, while no input changes."""
        light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
        if light is None or self._mode is not PowerMode.FULL:
            return DARK, DARK
        power, tdecq, warm = light.trend(now_ns), light.beam(now_ns).tdecq_db, self._warm(now_ns)
        moves_w = min(power.remaining, power.rate * horizon_s)
        moves_db = min(tdecq.remaining, tdecq.rate * horizon_s) + min(warm.remaining, warm.rate * horizon_s)
        low_w, high_w = max(0.0, power.value - moves_w), power.value + moves_w
        # More light is better until the receiver is overloaded; the bounds are wide there, and right below.
        ends = [
            self._decide(light, low_w, moves_db, now_ns, -jitter_db),
            self._decide(light, high_w, moves_db, now_ns, jitter_db),
            self._decide(light, low_w, -moves_db, now_ns, -jitter_db),
            self._decide(light, high_w, -moves_db, now_ns, jitter_db),
        ]
        worst = Decision(min(d.esnr_db for d in ends), max(d.ber for d in ends))
        return worst, Decision(max(d.esnr_db for d in ends), min(d.ber for d in ends))

    def esnr(self, lane: int, now_ns: int) -> Trend:
        """eSNR of a settled receiver in dB, and where it can still go."""
        light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
        if light is None or self._mode is not PowerMode.FULL:
            return Trend(0.0)
        here = self.receive(lane, now_ns).esnr_db
        power, tdecq, warm = light.trend(now_ns), light.beam(now_ns).tdecq_db, self._warm(now_ns)
        if power.remaining < 1e-4 * power.value and tdecq.remaining + warm.remaining < 1e-3:
            return Trend(here)
        worst, best = self.receive_bounds(lane, now_ns, math.inf)
        light_db_s = 10 / math.log(10) * power.rate / power.value if power.value > 0 else math.inf
        rate = ESNR_DB_PER_DB * (light_db_s + tdecq.rate + warm.rate)
        return Trend(here, rate, max(here - worst.esnr_db, best.esnr_db - here))

    def jitter_db(self, lane: int, index: int) -> float:
        """How far sample number `index` of the light at a receiver is off its trend."""
        return self.parameters.power_noise_db * gauss(self.seed, Quantity.RX_POWER * 1000 + lane, index)

    def errors_change(self) -> None:
        """The error ratio of what is sent is about to change, though its light is not."""
        self._announce(None)

    def errors_changed(self) -> None:
        """It has changed."""
        self._tell(None)

    # -- answers ---------------------------------------------------------------------------------------

    def trend(self, quantity: Quantity, lane: int, now_ns: int) -> Trend:
        """Noise-free value and bounds at `now_ns`, which must not lie before the last input."""
        if quantity is Quantity.RX_POWER:
            light = self._lanes[lane - 1].light if lane <= len(self._lanes) else None
            return Trend(0.0) if light is None or self._mode is not PowerMode.FULL else light.trend(now_ns)
        if quantity in (Quantity.TX_POWER, Quantity.TX_BIAS):
            return self._emission(quantity, lane, now_ns)
        if quantity is Quantity.CASE_TEMPERATURE:
            return Trend(self._thermal.case_c(now_ns), *self._thermal.case_bounds(now_ns))
        if quantity is Quantity.LASER_TEMPERATURE:
            return self._laser(now_ns)
        if quantity is Quantity.TEC_CURRENT:
            return self._tec_current(now_ns)
        return self._electrical(quantity, now_ns)

    def _electrical(self, quantity: Quantity, now_ns: int) -> Trend:
        """Consumption and supply; only leakage moves between inputs."""
        leak = self.parameters.thermal.leakage_w_per_k if self._mode is PowerMode.FULL else 0.0
        reference = self.parameters.thermal.leakage_reference_c
        power = sum(self._heat()) + leak * (self._thermal.junction_c(now_ns) - reference)
        rate, reach = self._thermal.junction_bounds(now_ns)
        consumption = Trend(power, leak * rate, leak * reach)
        if quantity is Quantity.CONSUMPTION:
            return consumption
        if self._mode is PowerMode.OFF:
            return Trend(0.0)
        per_watt = self.parameters.supply.resistance_ohm / self.parameters.supply.nominal_v
        volts = self.parameters.supply.at_module(self._supply_v, power)
        return Trend(volts, consumption.rate * per_watt, consumption.remaining * per_watt)

    def _tec_current(self, now_ns: int) -> Trend:
        tec = self.parameters.tec
        if tec is None or self._mode is not PowerMode.FULL or self._tec_failed:
            return Trend(0.0)
        case = self._thermal.case_c(now_ns)
        rate, reach = self._thermal.case_bounds(now_ns)
        here = -tec.current(case) / tec.imax_a
        ends = [-tec.current(case + step) / tec.imax_a for step in (-reach, reach)]
        slope = max(abs(end - here) for end in ends) / reach if reach else 0.0
        return Trend(here, 2 * slope * rate, max(abs(end - here) for end in ends))

    def _emission(self, quantity: Quantity, lane: int, now_ns: int) -> Trend:
        """Bias and light of one lane: the control loop approaches its target with its time constant."""
        known = self._lanes[lane - 1] if lane <= len(self._lanes) else None
        if known is None or known.on_ns is None:
            return Trend(0.0)
        laser, parameters = self._laser(now_ns), self.parameters
        need = (1 + known.ageing) * known.bias_factor - 1  # this unit's bias against the nominal laser's
        bias, chip_w = parameters.laser.apc(laser.value, need)
        left = math.exp(-max(0, now_ns - known.on_ns) / (parameters.apc_tau_s * NS_PER_S))
        reached = 1 - left
        per_k = parameters.laser.bias_slope(laser.value + laser.remaining)
        if quantity is Quantity.TX_BIAS:
            target = bias
            drift = per_k * (1 + need)
        elif known.failed:
            return Trend(0.0)
        else:
            target = known.output_w * chip_w / parameters.laser.chip_power_w
            limited = laser.remaining * per_k * (1 + need) + bias >= parameters.laser.imax_a
            steepest = parameters.laser.slope(laser.value - laser.remaining)  # W/A; it falls as the laser warms
            drift = known.output_w / parameters.laser.chip_power_w * steepest * per_k if limited else 0.0
        reach = drift * laser.remaining  # the target may still move this far, while the loop is on its way
        return Trend(
            target * reached,
            (target + reach) * left / parameters.apc_tau_s + drift * laser.rate,
            target * left + reach,
        )

    def sample(self, quantity: Quantity, lane: int, index: int, now_ns: int) -> float:
        """What the monitor reads in sample number `index`, held from `now_ns` on. Darkness reads exactly 0."""
        value = self.trend(quantity, lane, now_ns).value
        sigma, fixed = self._scatter(quantity)
        if sigma == fixed == 0.0 or (value == 0.0 and quantity >= Quantity.TX_BIAS):
            return value
        channel = quantity * 1000 + lane
        off = sigma * gauss(self.seed, channel, index) + fixed * spread(self.seed, channel + 500)
        return value * db_to_ratio(off) if quantity in _RELATIVE else value + off

    def noise_bound(self, quantity: Quantity, lane: int, value: float) -> float:
        """Greatest distance of a sample from a trend value of `value` or less."""
        sigma, fixed = self._scatter(quantity)
        if value == 0.0 and quantity >= Quantity.TX_BIAS:
            return 0.0
        most = MAX_SIGMA * (sigma + fixed)
        return value * (db_to_ratio(most) - 1) if quantity in _RELATIVE else most

    def _scatter(self, quantity: Quantity) -> tuple[float, float]:
        """(sigma of the noise, sigma of the fixed error) of a monitor; in dB for light."""
        p = self.parameters
        if quantity in _RELATIVE:
            return p.power_noise_db, p.power_error_db
        if quantity is Quantity.CASE_TEMPERATURE:
            return p.temperature_noise_c, p.temperature_error_c
        if quantity is Quantity.LASER_TEMPERATURE:
            return LASER_TEMPERATURE_NOISE_C, 0.0
        if quantity is Quantity.TX_BIAS:
            return p.bias_noise_a, 0.0
        return (p.supply_noise_v if quantity is Quantity.VCC and self._mode is not PowerMode.OFF else 0.0), 0.0
