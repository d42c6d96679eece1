"""One transmit lane: its laser under power control, and the light that leaves it (optics model, section 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmis_emu.clock import NS_PER_S
from cmis_emu.physics.laser import LIGHT_NM_GHZ, LaserParameters, wavelength_of
from cmis_emu.physics.light import NOTHING, Beam, Origin, Payload, Trend
from cmis_emu.physics.parameters import PlantParameters
from cmis_emu.physics.units import db_to_ratio


@dataclass(slots=True)
class Emitter:
    """This unit's lane, what ages and breaks it, and since when it is on. Laws take the laser's temperature."""

    power_w: float  # nominal output of this unit
    bias_factor: float
    tdecq_db: float  # of this unit
    on_ns: int | None = None
    ageing: float = 0.0
    distortion_db: float = 0.0  # what a fault adds to TDECQ
    weakness_db: float = 0.0  # what a fault of the lane takes from the light
    dim_db: float = 0.0  # what a weak laser takes from it
    uncooled_db: float = 0.0  # what a lost cooler takes from it, and adds to TDECQ
    failed: bool = False
    nominal_nm: float = 0.0  # of its kind, or where it was told to be
    frequency_ghz: float | None = None  # where a tunable laser was told to be; None: its kind's wavelength
    error_ghz: float = 0.0  # by which this unit's laser is off, and does not know
    drift_ghz: float = 0.0  # by which a fault moves it
    moving: bool = False  # on its way to another frequency: no light to work with
    payload: Payload = NOTHING
    errors: Origin = 0.0  # of what it carries
    _settled: tuple[tuple[float, ...], tuple[float, float]] | None = None  # what was asked, and the answer

    @property
    def _output_w(self) -> float:
        """Its output with what faults take from it."""
        less_db = self.weakness_db + self.dim_db + self.uncooled_db
        return self.power_w * db_to_ratio(-less_db) if less_db else self.power_w

    @property
    def _need(self) -> float:
        """By what fraction its bias is above that of the nominal laser."""
        return (1 + self.ageing) * self.bias_factor - 1

    def bias(self, parameters: PlantParameters, laser: Trend, now_ns: int) -> Trend:
        """Bias in A: the control loop approaches its target with its time constant."""
        target, _ = parameters.laser.apc(laser.value, self._need)
        drift = parameters.laser.bias_slope(laser.value + laser.remaining) * (1 + self._need)
        return self._on_its_way(target, drift, parameters.apc_tau_s, laser, now_ns)

    def light(self, parameters: PlantParameters, laser: Trend, now_ns: int) -> Trend:
        """Average power in W. It drifts only where the driver's limit keeps the loop from its target."""
        if self.failed:
            return Trend(0.0)
        asked = laser.value, laser.remaining, self._need, self._output_w
        if self._settled is None or self._settled[0] != asked:  # a cooled laser asks for the same again and again
            self._settled = asked, self._settles_at(parameters.laser, *asked)
        target, drift = self._settled[1]
        return self._on_its_way(target, drift, parameters.apc_tau_s, laser, now_ns)

    @staticmethod
    def _settles_at(
        kind: LaserParameters, laser_c: float, may_move_k: float, need: float, output_w: float
    ) -> tuple[float, float]:
        """Light in W, and by how much it moves with each K, at most."""
        bias, chip_w = kind.apc(laser_c, need)
        per_k = kind.bias_slope(laser_c + may_move_k) * (1 + need)
        drift = 0.0
        if may_move_k * per_k + bias >= kind.imax_a:
            steepest = kind.slope(laser_c - may_move_k)  # W/A; it falls as the laser warms
            drift = output_w / kind.chip_power_w * steepest * per_k / (1 + need)
        return output_w * chip_w / kind.chip_power_w, drift

    def _on_its_way(self, target: float, drift: float, tau_s: float, laser: Trend, now_ns: int) -> Trend:
        """`drift`: by how much the target moves with each K of the laser, at most."""
        if self.on_ns is None:
            return Trend(0.0)
        left = math.exp(-max(0, now_ns - self.on_ns) / (tau_s * NS_PER_S))
        reach = drift * laser.remaining  # the target may still move this far, while the loop is on its way
        return Trend(target * (1 - left), (target + reach) * left / tau_s + drift * laser.rate, target * left + reach)

    def beam(self, parameters: PlantParameters, warm: Trend) -> Beam:
        """Quality of the light as it leaves: TDECQ follows the case temperature (section 2)."""
        tdecq_db = self.tdecq_db + self.distortion_db + self.uncooled_db + warm.value
        extinction, tdecq = db_to_ratio(parameters.extinction_db), Trend(tdecq_db, *warm[1:])
        if parameters.coherent is None:
            return Beam(extinction, tdecq, 1.0, self.nominal_nm)
        noise = db_to_ratio(-parameters.coherent.transmitter_osnr_db)
        return Beam(extinction, tdecq, 1.0, self.nominal_nm, carrier_ghz=self.carrier_ghz, noise_ratio=noise)

    def tune(self, frequency_ghz: float, moving: bool) -> None:
        """Told where to be; `moving`: it is not there yet."""
        self.frequency_ghz, self.moving = frequency_ghz, moving
        self.nominal_nm = wavelength_of(frequency_ghz)

    @property
    def carrier_ghz(self) -> float:
        """Where its laser really is."""
        told = LIGHT_NM_GHZ / self.nominal_nm if self.frequency_ghz is None else self.frequency_ghz
        return told + self.error_ghz + self.drift_ghz
