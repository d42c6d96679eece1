"""A media side for VDM tests: eSNR from the light that arrives, one latent noise a lane, errors that follow.

Stands where the module's own reception is (`MediaReception` in module/reception.py), with simpler laws.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.vdm.observables import Measure
from cmis_emu.module.vdm.reception import PathLanes
from cmis_emu.physics.noise import MAX_SIGMA, gauss
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.receiver import WORST_BER, ber_of_esnr, level_transition_db
from cmis_emu.physics.units import w_to_dbm

NOISE_DB = 0.2
FRAMES_PER_S = 78.125e6


@dataclass(slots=True)
class DoubleReception:
    """eSNR in dB = 22 + received power in dBm; errored frames are a hundredth of the error ratio."""

    plant: ModulePlant
    first: int

    def _esnr(self, lane: int, at_ns: int, sigmas: float) -> float:
        watts = self.plant.trend(Quantity.RX_POWER, self.first + lane, at_ns).value
        return max(0.0, 22 + w_to_dbm(watts) + NOISE_DB * sigmas) if watts > 0 else 0.0

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float:
        return self._esnr(lane, at_ns, gauss(self.plant.seed, 31_000 + self.first + lane, sample))

    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float:
        return level_transition_db(self.esnr_db(lane, sample, at_ns))

    def ber(self, lane: int, sample: int, at_ns: int) -> float:
        return _ber(self.esnr_db(lane, sample, at_ns))

    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float:
        return sum(self.ber(lane, sample, at_ns) for lane in path.media_lanes) / len(path.media_lanes) / 100

    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float:
        return float(min(544, round(max(self.ber(lane, sample, at_ns) for lane in path.media_lanes) * 1e5)))

    def frames_per_s(self, path: PathLanes) -> float:
        return FRAMES_PER_S

    def found_ns(self, lane: int) -> int:
        return 0

    def reach(self, measure: Measure, resource: int | PathLanes, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        lanes = resource.media_lanes if isinstance(resource, PathLanes) else (resource,)
        best = max(self._esnr(lane, at_ns, MAX_SIGMA) for lane in lanes)
        worst = min(self._esnr(lane, at_ns, -MAX_SIGMA) for lane in lanes)
        if measure is Measure.ESNR:
            return worst, best
        if measure is Measure.LTP:
            return level_transition_db(worst), level_transition_db(best)
        low, high = _ber(best), _ber(worst)
        if measure is Measure.FERC:
            return low / 100, high / 100
        return (low, high) if measure is Measure.BER else (round(low * 1e5), round(high * 1e5))


def _ber(esnr_db: float) -> float:
    return ber_of_esnr(esnr_db) if esnr_db > 0 else WORST_BER


def double(bank: LaneBank, plant: ModulePlant, _: int, __: float) -> DoubleReception:
    """In place of `MediaReception`."""
    return DoubleReception(plant, 8 * bank.bank)
