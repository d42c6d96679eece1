"""What the receivers of a bank say: eSNR, level transitions, errors before the FEC, and what the FEC makes of them.

One latent noise a lane, that of its Rx power reading, moves everything at once, so that readings never
contradict each other. Errors before the FEC are those of the optical link and those that the signal brought
along; a data path's lanes share its codewords (optics model, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.vdm.observables import Measure
from cmis_emu.module.vdm.reception import PathLanes, bursts_of, frame_errors, frames_per_s
from cmis_emu.physics import coherent
from cmis_emu.physics.fec import Bursts, sew_max
from cmis_emu.physics.noise import MAX_SIGMA
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.receiver import level_transition_db

KEPT = 256  # error ratios


@dataclass(slots=True)
class MediaReception:
    """The media lanes of one bank; see `Reception`."""

    bank: LaneBank
    plant: ModulePlant
    first: int
    interval_s: float  # of which SEWmax is the most
    _kept: dict[tuple[int, int, int, int | None], float] = field(default_factory=dict)  # error ratios
    _kept_version: int = -1  # of the plant for which they hold

    def _jitter_db(self, lane: int, sample: int) -> float:
        return self.plant.jitter_db(self.first + lane, sample)

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float:
        """eSNR that the DSP has reached, in dB."""
        return self.bank.signals.recovery.esnr_db(lane, at_ns, self._jitter_db(lane, sample))

    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float:
        """PAM4 level transition parameter in dB."""
        return level_transition_db(self.esnr_db(lane, sample, at_ns))

    def ber(self, lane: int, sample: int, at_ns: int) -> float:
        """Error ratio before the FEC; kept, as lanes and data paths ask for the same."""
        if self._kept_version != self.plant.version or len(self._kept) > KEPT:
            self._kept.clear()
            self._kept_version = self.plant.version
        signals = self.bank.signals
        key = lane, sample, at_ns, signals.recovery.began(lane)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = signals.routes.light_errors(lane, at_ns, self._jitter_db(lane, sample))
        return found

    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Errored frames ratio: that of uncorrectable codewords."""
        return self._spoiled([self.ber(lane, sample, at_ns) for lane in path.media_lanes], path)

    def _spoiled(self, bers: list[float], path: PathLanes) -> float:
        """Uncorrectable codewords among those of a path whose lanes have such errors."""
        p = self.plant.parameters.coherent
        return frame_errors(bers, self._bursts(path)) if p is None else coherent.codeword_error_ratio(max(bers), p)

    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Most wrong symbols of a codeword in one interval."""
        bers = [self.ber(lane, sample, at_ns) for lane in path.media_lanes]
        return float(sew_max(bers, self.frames_per_s(path) * self.interval_s, self._bursts(path)))

    def _bursts(self, path: PathLanes) -> Bursts:
        return bursts_of(path, self.plant.parameters.media_receiver.lane_bps, self.plant.burst_continuation)

    def frames_per_s(self, path: PathLanes) -> float:
        """Codewords each second."""
        p = self.plant.parameters
        return frames_per_s(path, p.media_receiver.lane_bps) if p.coherent is None else p.coherent.frames_per_s

    def found_ns(self, lane: int) -> int:
        """When the first adaptation in this activation of its data path is as good as over."""
        return self.bank.signals.recovery.found_ns(lane)

    def reach(self, measure: Measure, resource: int | PathLanes, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """Bounds from those of the light, with the noise at its greatest."""
        lanes = resource.media_lanes if isinstance(resource, PathLanes) else (resource,)
        jitter_db = MAX_SIGMA * self.plant.parameters.power_noise_db
        worst, best = zip(*(self._bounds(lane, at_ns, horizon_ns, jitter_db) for lane in lanes), strict=True)
        if measure is Measure.ESNR:
            return worst[0][0], best[0][0]
        if measure is Measure.LTP:
            return level_transition_db(worst[0][0]), level_transition_db(best[0][0])
        low, high = [ber for _, ber in best], [ber for _, ber in worst]
        if measure is Measure.BER or not isinstance(resource, PathLanes):
            return low[0], high[0]
        if measure is Measure.FERC:
            return self._spoiled(low, resource), self._spoiled(high, resource)
        frames, bursts = self.frames_per_s(resource) * self.interval_s, self._bursts(resource)
        return float(sew_max(low, frames, bursts)), float(sew_max(high, frames, bursts))

    def _bounds(
        self, lane: int, at_ns: int, horizon_ns: int, jitter_db: float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """(eSNR, error ratio) at worst and at best."""
        worst, best = self.bank.signals.recovery.bounds(lane, at_ns, horizon_ns, jitter_db)
        brought = self.plant.rx_errors(self.first + lane, at_ns)
        return (worst.esnr_db, min(0.5, worst.ber + brought)), (best.esnr_db, min(0.5, best.ber + brought))
