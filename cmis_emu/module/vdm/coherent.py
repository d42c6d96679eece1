"""What coherent receivers and tunable lasers say to VDM: gauges of the observables 134 to 152, and of laser drift.

Owns the laws from a receiver's reading to these quantities, and their noise. What follows from the SNR takes it from
the reception, adaptation and latent noise included, so that it agrees with eSNR and errors. Without a signal all
read 0, powers what they are; darkness is -40 dBm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cmis_emu.clock import NS_PER_S
from cmis_emu.module.vdm.observables import Measure
from cmis_emu.module.vdm.reception import BankWatch, Reception
from cmis_emu.physics import coherent
from cmis_emu.physics.coherent import CoherentParameters
from cmis_emu.physics.coherent_receiver import CoherentReading, overlap
from cmis_emu.physics.noise import MAX_SIGMA, gauss
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.units import w_to_dbm

DARK_DBM = -40.0
MHZ_PER_GHZ = 1e3
DRIFT_NOISE_MHZ = 20.0
_CHANNEL = 30_000  # noise channels; each measure and lane has its own
_NUMBER = {measure: number for number, measure in enumerate(Measure)}


@dataclass(frozen=True, slots=True)
class _Line:
    """A quantity of the line: its law, and the noise of its reading, absolute and in proportion, one sigma."""

    law: Callable[[CoherentReading], float]
    noise: float = 0.0
    scatter: float = 0.0


_LINE: Mapping[Measure, _Line] = {
    Measure.CD_HIGH: _Line(lambda r: r.way.dispersion_ps_nm, 1.0),
    Measure.CD_LOW: _Line(lambda r: r.way.dispersion_ps_nm, 1.0),
    Measure.DGD: _Line(lambda r: r.way.dgd_ps, scatter=0.04),
    Measure.SOPMD_HIGH: _Line(lambda r: r.way.sopmd_ps2, scatter=0.08),
    Measure.SOPMD_LOW: _Line(lambda r: r.way.sopmd_ps2, scatter=0.08),
    Measure.PDL: _Line(lambda r: r.way.pdl_db, 0.03),
    Measure.OSNR: _Line(lambda r: r.osnr_db, 0.05),
    Measure.CFO: _Line(lambda r: r.offset_ghz * MHZ_PER_GHZ, 40.0),
}


_OF_SNR: Mapping[Measure, Callable[[float, CoherentParameters], float]] = {
    Measure.COHERENT_ESNR: coherent.reported_esnr_db,
    Measure.EVM: lambda snr, _: 100 * coherent.evm_rms(snr),
    Measure.MER: lambda snr, _: coherent.mer_db(snr),
    Measure.SNR_MARGIN: lambda snr, p: snr - coherent.snr_of_ber(p.cfec_ber),
    Measure.Q_FACTOR: lambda snr, _: coherent.q_factor_db(coherent.ber(snr)),
    Measure.Q_MARGIN: lambda snr, p: coherent.q_factor_db(coherent.ber(snr)) - coherent.q_factor_db(p.cfec_ber),
}
_POWERS = {
    Measure.TX_POWER: Quantity.TX_POWER,
    Measure.RX_TOTAL_POWER: Quantity.RX_POWER,
    Measure.RX_SIGNAL_POWER: Quantity.RX_POWER,
}


@dataclass(slots=True)
class CoherentGauge:
    """One quantity of one media lane, in the unit of its observable."""

    watch: BankWatch
    reception: Reception
    plant: ModulePlant
    parameters: CoherentParameters
    measure: Measure
    lane: int  # of the bank
    first: int  # lanes of the plant before this bank's

    def active(self) -> bool:
        """The lane is at work."""
        return self.lane in self.watch.inputs.media

    @property
    def _plant_lane(self) -> int:
        return self.first + self.lane

    def _found(self) -> bool:
        """Has the receiver a signal to work on?"""
        return self.watch.inputs.adaptations[self.lane - 1][0] is not None

    def _off(self, sample: int) -> float:
        return gauss(self.plant.seed, _CHANNEL + 100 * _NUMBER[self.measure] + self._plant_lane, sample)

    def value(self, sample: int, at_ns: int) -> float:
        """What the DSP reports."""
        if self.measure in _POWERS:
            return self._dbm(self.plant.sample(_POWERS[self.measure], self._plant_lane, sample, at_ns), at_ns)
        if not self._found():
            return 0.0
        if self.measure in _OF_SNR:
            return self._of_esnr(self.reception.esnr_db(self.lane, sample, at_ns))
        if self.measure is Measure.SOP_RATE:
            return self.parameters.polarisation_krad_s * abs(self._off(sample))
        reading = self.plant.coherent_reading(self._plant_lane, at_ns, self.plant.jitter_db(self._plant_lane, sample))
        if reading is None:
            return 0.0
        line = _LINE[self.measure]
        exact = line.law(reading)
        return exact + self._off(sample) * (line.noise + line.scatter * abs(exact))

    def _of_esnr(self, esnr_db: float) -> float:
        p = self.parameters
        return _OF_SNR[self.measure](esnr_db - p.reported_offset_db, p) if esnr_db > 0.0 else 0.0

    def _dbm(self, watts: float, at_ns: int) -> float:
        if self.measure is Measure.RX_SIGNAL_POWER:
            reading = self.plant.coherent_reading(self._plant_lane, at_ns)
            watts *= 0.0 if reading is None else overlap(reading.offset_ghz, self.parameters)
        return max(DARK_DBM, w_to_dbm(watts))

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Bounds from those of the light, with the noise at its greatest."""
        if self.measure in _POWERS:
            return self._power_reach(at_ns, horizon_ns)
        if not self._found():
            return 0.0, 0.0
        if self.measure in _OF_SNR:
            ends = [self._of_esnr(e) for e in self.reception.reach(Measure.ESNR, self.lane, at_ns, horizon_ns)]
            return min(ends), max(ends)
        if self.measure is Measure.SOP_RATE:
            return 0.0, MAX_SIGMA * self.parameters.polarisation_krad_s
        return self._line_reach(at_ns, horizon_ns)

    def _power_reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        quantity = _POWERS[self.measure]
        trend = self.plant.trend(quantity, self._plant_lane, at_ns)
        moves = trend.moves(horizon_ns / NS_PER_S)
        off = moves + self.plant.noise_bound(quantity, self._plant_lane, trend.value + trend.remaining)
        low, high = max(0.0, trend.value - off), trend.value + off
        return self._dbm(low, at_ns), self._dbm(high, at_ns)

    def _line_reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        line = _LINE[self.measure]
        trend = self.plant.trend(Quantity.RX_POWER, self._plant_lane, at_ns)
        moves = trend.moves(horizon_ns / NS_PER_S)
        most_db = MAX_SIGMA * self.plant.parameters.power_noise_db
        lasts = []
        for moved, off_db in ((-moves, -most_db), (moves, most_db)):
            share = max(1e-12, (trend.value + moved) / trend.value) if trend.value > 0.0 else 1.0
            reading = self.plant.coherent_reading(self._plant_lane, at_ns, off_db + w_to_dbm(share * 1e-3))
            lasts.append(0.0 if reading is None else line.law(reading))
        most = MAX_SIGMA * (line.noise + line.scatter * max(abs(each) for each in lasts))
        return min(lasts) - most, max(lasts) + most

    def events_per_s(self) -> float:
        """Not a ratio of events."""
        return 0.0

    def found_ns(self) -> int:
        """When the receiver found its signal."""
        return self.reception.found_ns(self.lane)


@dataclass(slots=True)
class DriftGauge:
    """Laser frequency error of a tunable laser in MHz, as its locker sees it."""

    watch: BankWatch
    plant: ModulePlant
    lane: int  # of the bank
    first: int

    def active(self) -> bool:
        """Its lane is at work."""
        return self.lane in self.watch.inputs.media

    def _exact(self) -> float:
        return self.plant.drift_ghz(self.first + self.lane) * MHZ_PER_GHZ

    def value(self, sample: int, at_ns: int) -> float:
        """How far the laser is from where it was told to be."""
        return self._exact() + DRIFT_NOISE_MHZ * gauss(self.plant.seed, _CHANNEL + self.first + self.lane, sample)

    def reach(self, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Nothing moves by itself."""
        most = MAX_SIGMA * DRIFT_NOISE_MHZ
        return self._exact() - most, self._exact() + most

    def events_per_s(self) -> float:
        """Not a ratio of events."""
        return 0.0

    def found_ns(self) -> int:
        """Lasers need not look for what they measure."""
        return 0
