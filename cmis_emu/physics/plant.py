"""The physical inside of one module: laser, temperatures, supply and light, in SI units (degC for people).

Controllers set inputs (power, lanes, emission); the world sets disturbances (ambient, supply, ageing,
light); both through the same door. Between two inputs everything is a closed formula of time, so there is
no tick, and results do not depend on who asks or how often.

`trend` gives a noise-free value together with bounds on how fast and how far it can still move, which lets
a caller find threshold crossings without polling. `sample` adds the monitor's fixed error and its noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cmis_emu.clock import Clock
from cmis_emu.physics import coherent_receiver
from cmis_emu.physics.climate import Climate
from cmis_emu.physics.coherent_receiver import CoherentReading, CoherentReceiver
from cmis_emu.physics.detection import AnyReceiver, detect, detect_bounds, detect_trend
from cmis_emu.physics.disturbances import Disturbances
from cmis_emu.physics.emitter import Emitter
from cmis_emu.physics.light import NOTHING, Beam, LightObserver, LightSource, Origin, Passed, Payload, Trend
from cmis_emu.physics.noise import MAX_SIGMA, gauss, spread
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.receiver import DARK, WORST_BER, Decision
from cmis_emu.physics.units import db_to_ratio, dbm_to_w

TEC_LOST_DB = 1.5  # less light and more TDECQ from a laser that lost its cooler (fault table)
LASER_TEMPERATURE_NOISE_C = 0.01
_RELATIVE = (Quantity.TX_POWER, Quantity.RX_POWER)  # their errors are ratios, in dB


class TxLight:
    """What leaves one Tx lane of a plant."""

    __slots__ = ("_lane", "_plant")

    def __init__(self, plant: ModulePlant, lane: int) -> None:
        self._plant = plant
        self._lane = lane

    @property
    def wavelength_nm(self) -> float:
        """Nominal, or where the lane is tuned to."""
        return self._plant.wavelength_nm(self._lane)

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


class ModulePlant:
    """The plant of one module. Inputs open a new segment at the clock's now and call `on_change` once."""

    __slots__ = (
        "_asked",
        "_blocked",
        "_climate",
        "_clock",
        "_emitters",
        "_lights",
        "_passing",
        "before_change",
        "burst_continuation",
        "disturbances",
        "on_change",
        "parameters",
        "received",
        "seed",
        "tx_observers",
        "version",
    )

    def __init__(
        self, parameters: PlantParameters, clock: Clock, seed: int, environment: Environment | None = None
    ) -> None:
        self.parameters = parameters
        self.on_change: list[Callable[[], None]] = []
        self.before_change: list[Callable[[], None]] = []
        self.received: Callable[[int, int], float] | None = None  # error ratio of a lane's light, in its receiver
        self._asked: set[int] = set()  # lanes whose errors are being asked for
        self._passing = False
        self.version = 0  # of everything that a trend depends on
        self.tx_observers: list[tuple[int, LightObserver]] = []
        self._clock = clock
        self.seed = seed
        self._climate = Climate(parameters, clock.now_ns, environment or Environment())
        coherent = parameters.coherent
        self._emitters = [
            Emitter(
                self._output_w(lane, parameters.tx_power_dbm),
                1 + parameters.bias_spread * spread(seed, 200 + self.laser_of(lane)),
                parameters.tdecq_db + parameters.tdecq_spread_db * spread(seed, 300 + lane),
                nominal_nm=parameters.wavelength_nm(lane),
                error_ghz=0.0 if coherent is None else coherent.laser_spread_ghz * spread(seed, 400 + lane),
            )
            for lane in range(1, parameters.media_lanes + 1)
        ]
        self._lights: list[LightSource | None] = [None] * parameters.media_lanes
        self._blocked: set[int] = set()  # lanes whose light does not reach the receiver
        self.burst_continuation = parameters.receiver.burst_continuation
        self.disturbances = Disturbances(self)

    def laser_of(self, lane: int) -> int:
        """The first lane that the laser of `lane` feeds."""
        return lane - (lane - 1) % self.parameters.lanes_per_laser

    def _sharing(self, lane: int) -> tuple[int, ...]:
        """The lanes that the laser of `lane` feeds."""
        first = self.laser_of(lane)
        return tuple(range(first, min(first + self.parameters.lanes_per_laser, len(self._emitters) + 1)))

    # -- inputs of the module ------------------------------------------------------------------------

    def set_power(self, mode: PowerMode) -> None:
        """Supply off, low power or full power."""
        if mode is not self._climate.mode:
            self._announce(None)
            self._climate.set_mode(mode, self._clock.now_ns)
            if mode is not PowerMode.FULL:
                for emitter in self._emitters:
                    emitter.on_ns = None
            self._tell(None)

    def set_active_lanes(self, host: int, media: int) -> None:
        """How many lanes' circuits are at work."""
        if (host, media) != self._climate.active:
            self._announce(None)
            self._climate.set_active((host, media), self._clock.now_ns)
            self._tell(None)

    def set_emitting(self, lane: int, on: bool) -> None:
        """Switch the laser of a media lane (1-based); lanes beyond the plant do not exist."""
        if lane <= len(self._emitters) and on != (self._emitters[lane - 1].on_ns is not None):
            self._announce((lane,))
            self._emitters[lane - 1].on_ns = self._clock.now_ns if on else None
            self._tell((lane,))

    def set_tuning(self, lane: int, frequency_ghz: float, moving: bool) -> None:
        """Tell the laser of a lane, which its receiver uses too, where to be; `moving`: it is not there yet."""
        emitter = self._emitters[lane - 1]
        if (frequency_ghz, moving) != (emitter.frequency_ghz, emitter.moving):
            self._announce((lane,))
            emitter.tune(frequency_ghz, moving)
            self._tell((lane,))

    def set_output(self, lane: int, power_dbm: float) -> None:
        """Nominal output of a lane; this unit gives a little more or less."""
        power_w = self._output_w(lane, power_dbm)
        if power_w != self._emitters[lane - 1].power_w:
            self._announce((lane,))
            self._emitters[lane - 1].power_w = power_w
            self._tell((lane,))

    def _output_w(self, lane: int, power_dbm: float) -> float:
        """What this unit's lane gives where `power_dbm` is nominal."""
        return dbm_to_w(power_dbm) * db_to_ratio(self.parameters.tx_spread_db * spread(self.seed, 100 + lane))

    def wavelength_nm(self, lane: int) -> float:
        """Nominal wavelength of a lane, or the one that it is tuned to."""
        if lane > len(self._emitters):
            return self.parameters.wavelength_nm(lane)
        return self._emitters[lane - 1].nominal_nm

    def set_payload(self, lane: int, payload: Payload, errors: Origin) -> None:
        """What the light of a media lane carries from now on, and with which errors, whether or not it is on."""
        if lane > len(self._emitters):
            return
        emitter = self._emitters[lane - 1]
        if payload != emitter.payload or errors != emitter.errors:
            self._announce((lane,))
            emitter.payload, emitter.errors = payload, errors
            self._tell((lane,))

    # -- disturbances of the world ---------------------------------------------------------------------

    def set_environment(self, ambient_c: float | None = None, airflow: float | None = None) -> None:
        """Ambient temperature in degC, airflow as a fraction of nominal."""
        self._announce(None)
        known = self._climate.environment
        self._climate.set_environment(
            replace(
                known,
                ambient_c=known.ambient_c if ambient_c is None else ambient_c,
                airflow=known.airflow if airflow is None else airflow,
            ),
            self._clock.now_ns,
        )
        self._tell(None)

    def set_supply(self, volts: float) -> None:
        """The host's supply voltage in V."""
        self._announce(())
        self._climate.supply_v = volts
        self._tell(())

    def set_ageing(self, lane: int, fraction: float) -> None:
        """The laser of a lane needs this much more bias for the same light."""
        shared = self._sharing(lane)
        self._announce(shared)
        for each in shared:
            self._emitters[each - 1].ageing = fraction
        self._tell(shared)

    def set_transmitter(self, lane: int, weakness_db: float = 0.0, distortion_db: float = 0.0) -> None:
        """A worn lane: this much less light, and this much more TDECQ."""
        self._announce((lane,))
        self._emitters[lane - 1].weakness_db = weakness_db
        self._emitters[lane - 1].distortion_db = distortion_db
        self._tell((lane,))

    def set_drift(self, lane: int, drift_ghz: float) -> None:
        """The laser of a lane is so far from where it was told to be, and its locker sees it."""
        self._announce((lane,))
        self._emitters[lane - 1].drift_ghz = drift_ghz
        self._tell((lane,))

    def drift_ghz(self, lane: int) -> float:
        """How far a laser is from where it was told to be, as its locker sees it."""
        return self._emitters[lane - 1].drift_ghz if lane <= len(self._emitters) else 0.0

    def set_tec_failed(self, failed: bool) -> None:
        """The cooler stands still: the lasers follow the case, and what they send is worse (fault table)."""
        if self.parameters.tec is None or failed == self._climate.tec_failed:
            return
        self._announce(None)
        self._climate.set_tec_failed(failed, self._clock.now_ns)
        if self.parameters.coherent is None:  # the laser of a coherent one goes out (`laser_failed`)
            for emitter in self._emitters:
                emitter.uncooled_db = TEC_LOST_DB if failed else 0.0
        self._tell(None)

    def set_laser_weak(self, lane: int, weakness_db: float) -> None:
        """The laser of a lane gives this much less light, to all lanes that it feeds."""
        shared = self._sharing(lane)
        self._announce(shared)
        for each in shared:
            self._emitters[each - 1].dim_db = weakness_db
        self._tell(shared)

    def set_laser_failed(self, lane: int, failed: bool) -> None:
        """A dead laser: driven, and dark, with all lanes that it feeds."""
        shared = self._sharing(lane)
        self._announce(shared)
        for each in shared:
            self._emitters[each - 1].failed = failed
        self._tell(shared)

    def set_rx_blocked(self, lane: int, blocked: bool) -> None:
        """The light of a lane does not reach its receiver: something inside the module is in the way."""
        if lane <= len(self._lights) and blocked != (lane in self._blocked):
            self._announce(())
            (self._blocked.add if blocked else self._blocked.discard)(lane)
            self._tell(())

    def set_burst_continuation(self, chance: float) -> None:
        """Chance that an error of the receivers spoils the next symbol too."""
        if chance != self.burst_continuation:
            self._announce(())
            self.burst_continuation = chance
            self._tell(())

    def set_light_source(self, lane: int, source: LightSource | None) -> None:
        """What shines into the receiver of a lane; None is darkness."""
        self._announce(())
        known = self._lights[lane - 1]
        if known is not None:
            known.unsubscribe(self)
        self._lights[lane - 1] = source
        if source is not None:
            source.subscribe(self)
        self._tell(())

    def _light(self, lane: int) -> LightSource | None:
        """What shines into the receiver of a lane; None too for a lane that is not there."""
        return self._lights[lane - 1] if lane <= len(self._lights) and lane not in self._blocked else None

    def tx_source(self, lane: int) -> TxLight:
        """This plant's lane as a source for others."""
        return TxLight(self, lane)

    def tx_payload(self, lane: int) -> Payload:
        """What leaves a lane: nothing from a laser that is off."""
        known = self._emitters[lane - 1] if lane <= len(self._emitters) else None
        shines = known is not None and known.on_ns is not None and not self.laser_failed(lane)
        return known.payload if known is not None and shines else NOTHING

    def tx_beam(self, lane: int, now_ns: int) -> Beam:
        """Quality of a lane's light as it leaves."""
        return self._emitters[lane - 1].beam(self.parameters, self._climate.warm(now_ns))

    def tx_errors(self, lane: int, now_ns: int) -> float:
        """Bit error ratio that a lane's signal has already when it leaves.

        It is kept as the module last told, so that an answer about the past does not move with a module that is
        about to change what it sends.
        """
        if lane > len(self._emitters) or lane in self._asked:
            return WORST_BER  # a signal that comes from itself: loopbacks at both ends
        self._asked.add(lane)
        try:
            return self.error_ratio(self._emitters[lane - 1].errors, now_ns)
        finally:
            self._asked.discard(lane)

    def error_ratio(self, origin: Origin, now_ns: int) -> float:
        """The bit error ratio of a signal of this module."""
        if isinstance(origin, float):
            return origin
        if isinstance(origin, Passed):
            return 0.0 if self.received is None else self.received(origin.lane, now_ns)
        return sum(self.error_ratio(each, now_ns) for each in origin.signals) / len(origin.signals)

    def rx_errors(self, lane: int, now_ns: int) -> float:
        """Bit error ratio that the signal at a receiver had before it became light."""
        light = self._light(lane)
        return 0.0 if light is None else light.errors(now_ns)

    def rx_payload(self, lane: int) -> Payload:
        """What the light at the receiver of a lane carries."""
        light = self._light(lane)
        return NOTHING if light is None else light.payload()

    def ageing(self, lane: int) -> float:
        """By what fraction the laser of a lane needs more bias than when it was new."""
        return self._emitters[lane - 1].ageing if lane <= len(self._emitters) else 0.0

    def transmitter(self, lane: int) -> tuple[float, float]:
        """Weakness and distortion of a worn lane, in dB; see `set_transmitter`."""
        known = self._emitters[lane - 1]
        return known.weakness_db, known.distortion_db

    @property
    def environment(self) -> Environment:
        """What surrounds the module."""
        return self._climate.environment

    @property
    def supply_v(self) -> float:
        """The host's supply voltage."""
        return self._climate.supply_v

    @property
    def tec_failed(self) -> bool:
        """True while the cooler stands still."""
        return self._climate.tec_failed

    def rx_blocked(self, lane: int) -> bool:
        """Does the light of a lane not reach its receiver?"""
        return lane in self._blocked

    def laser_failed(self, lane: int) -> bool:
        """True when the laser is dead, or a tunable one has no cooler to hold its wavelength by."""
        if lane > len(self._emitters):
            return False
        return self._emitters[lane - 1].failed or (self.parameters.coherent is not None and self._climate.tec_failed)

    def close(self) -> None:
        """Unplugged: let go of the light of others."""
        self.on_change.clear()
        for lane in range(1, len(self._emitters) + 1):
            self.set_light_source(lane, None)

    def light_changes(self) -> None:
        """The light at a receiver is about to change."""
        self._announce(())
        if lanes := self._begins_to_pass():
            for observer in self._seeing(lanes):
                observer.light_changes()
            self._passing = False

    def light_changed(self) -> None:
        """The light at a receiver has changed."""
        self._tell(())
        if lanes := self._begins_to_pass():
            for observer in self._seeing(lanes):
                observer.light_changed()
            self._passing = False

    def _begins_to_pass(self) -> tuple[int, ...]:
        """Where what arrives leaves again. Loopbacks at both ends of a fibre do not pass it on for ever."""
        lanes = () if self._passing else self._passing_on()
        self._passing |= bool(lanes)
        return lanes

    def _passing_on(self) -> tuple[int, ...]:
        """Lanes whose light depends on light that arrives, as those who see it know it."""
        return tuple(n for n, emitter in enumerate(self._emitters, 1) if not isinstance(emitter.errors, float))

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

    # -- the receiver ----------------------------------------------------------------------------------

    def _receiver(self, lane: int) -> AnyReceiver:
        """The receiver of a lane: with its local oscillator, where it has one."""
        return self._coherent(lane) or self.parameters.receiver

    def _coherent(self, lane: int) -> CoherentReceiver | None:
        p = self.parameters.coherent
        if p is None or lane > len(self._emitters):
            return None
        return CoherentReceiver(p, self._oscillator_ghz(lane))

    def _oscillator_ghz(self, lane: int) -> float | None:
        emitter = self._emitters[lane - 1]
        lit = self._climate.mode is PowerMode.FULL and not emitter.moving and not self.laser_failed(lane)
        return emitter.carrier_ghz if lit else None

    def carrier_offset_ghz(self, lane: int, now_ns: int) -> float | None:
        """How far the light at a coherent receiver is from its own laser; None without light or laser."""
        light, receiver = self._light(lane), self._coherent(lane)
        if light is None or receiver is None or light.trend(now_ns).value <= 0.0:
            return None
        return coherent_receiver.offset_ghz(receiver, light.beam(now_ns))

    def coherent_reading(self, lane: int, now_ns: int, jitter_db: float = 0.0) -> CoherentReading | None:
        """All that the coherent receiver of a lane can say; None where there is no signal for it, or no such thing."""
        light, receiver = self._light(lane), self._coherent(lane)
        if light is None or receiver is None or self._climate.mode is not PowerMode.FULL:
            return None
        beam = light.beam(now_ns)
        worse_db = beam.tdecq_db.value + self._climate.warm(now_ns).value
        power_w = light.trend(now_ns).value * db_to_ratio(jitter_db)
        return coherent_receiver.read(receiver, beam, power_w, worse_db)

    def receive(self, lane: int, now_ns: int, jitter_db: float = 0.0) -> Decision:
        """eSNR and error ratio of a settled receiver, with its light off its trend by `jitter_db`."""
        light = self._light(lane)
        if light is None or self._climate.mode is not PowerMode.FULL:
            return DARK
        return detect(self._receiver(lane), light, self._climate.warm(now_ns), now_ns, jitter_db)

    def receive_bounds(
        self, lane: int, now_ns: int, horizon_s: float, jitter_db: float = 0.0
    ) -> tuple[Decision, Decision]:
        """The worst and the best that `receive` can give in the next `horizon_s`, while no input changes."""
        light = self._light(lane)
        if light is None or self._climate.mode is not PowerMode.FULL:
            return DARK, DARK
        return detect_bounds(self._receiver(lane), light, self._climate.warm(now_ns), now_ns, horizon_s, jitter_db)

    def esnr(self, lane: int, now_ns: int) -> Trend:
        """eSNR of a settled receiver in dB, and where it can still go."""
        light = self._light(lane)
        if light is None or self._climate.mode is not PowerMode.FULL:
            return Trend(0.0)
        return detect_trend(self._receiver(lane), light, self._climate.warm(now_ns), now_ns)

    def jitter_db(self, lane: int, index: int) -> float:
        """How far sample number `index` of the light at a receiver is off its trend."""
        return self.parameters.power_noise_db * gauss(self.seed, Quantity.RX_POWER * 1000 + lane, index)

    def errors_change(self, lanes: tuple[int, ...] | None = None) -> None:
        """The error ratio of what lanes (None: all) send is about to change, though their light is not."""
        self._announce(lanes)

    def reception_changes(self) -> None:
        """What receivers make of light that stays as it is, is about to change; others see it where it is passed on."""
        self._announce(self._passing_on())

    # -- answers ---------------------------------------------------------------------------------------

    def trend(self, quantity: Quantity, lane: int, now_ns: int) -> Trend:
        """Noise-free value and bounds at `now_ns`, which must not lie before the last input."""
        climate = self._climate
        if quantity is Quantity.RX_POWER:
            light = self._light(lane)
            return Trend(0.0) if light is None or climate.mode is not PowerMode.FULL else light.trend(now_ns)
        if quantity in (Quantity.TX_POWER, Quantity.TX_BIAS):
            if lane > len(self._emitters):
                return Trend(0.0)
            emitter, laser = self._emitters[lane - 1], climate.laser(now_ns)
            if quantity is Quantity.TX_POWER and self.laser_failed(lane):
                return Trend(0.0)
            law = emitter.bias if quantity is Quantity.TX_BIAS else emitter.light
            return law(self.parameters, laser, now_ns)
        if quantity is Quantity.CASE_TEMPERATURE:
            return climate.case(now_ns)
        if quantity is Quantity.LASER_TEMPERATURE:
            return climate.laser(now_ns)
        if quantity is Quantity.TEC_CURRENT:
            return climate.tec_current(now_ns)
        return climate.consumption(now_ns) if quantity is Quantity.CONSUMPTION else climate.vcc(now_ns)

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
        return (p.supply_noise_v if quantity is Quantity.VCC and self._climate.mode is not PowerMode.OFF else 0.0), 0.0
