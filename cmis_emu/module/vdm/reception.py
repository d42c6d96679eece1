"""What receivers say to VDM: the `Reception` of one side of a bank, and the host side's.

Owns which lanes and data paths of a bank are at work (`BankWatch`), and the laws of the electrical lanes. One
latent noise of a lane, chosen by the number of the sample, drives everything that a reception says about the
lane, so eSNR, level transitions and errors agree; nobody adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cmis_emu.module.control_sets import LANES
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.routing import HOST_NOISE_DB, host_noise_db
from cmis_emu.module.sides import Side
from cmis_emu.module.states import OPERATING
from cmis_emu.module.vdm.observables import Measure
from cmis_emu.physics.fec import (
    HARMLESS_BER,
    SINGLE,
    SYMBOL_BITS,
    SYMBOLS,
    Bursts,
    codeword_error_ratio,
    sew_max,
)
from cmis_emu.physics.noise import MAX_SIGMA
from cmis_emu.physics.receiver import (
    WORST_BER,
    ber_of_esnr,
    host_esnr_db,
    level_transition_db,
)

NOT_INTERLEAVED_BPS = 150e9
"""Up to here a data path has one FEC codeword at a time; faster ones put each lane's symbols into two in turn."""


class PathLanes(NamedTuple):
    """A data path at work, as it was when the inputs last changed. Lanes count within the bank from 1."""

    path_id: int
    app_sel: int
    host_lanes: tuple[int, ...]
    media_lanes: tuple[int, ...]


class Reception(Protocol):
    """What the receivers of one side of one bank make of their signals. Lanes count within the bank from 1.

    Asked only for lanes and data paths at work, and for instants from the last change of inputs on.
    `sample` chooses the lane's latent noise. `reach` bounds what any sample from `at_ns` on, within
    `horizon_ns`, can show while no input changes; `resource` is a lane for ESNR, LTP and BER, and a
    data path for FERC and SEW_MAX. `found_ns`: when the lane first had
    its signal, adaptation included, or NEVER.
    """

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float: ...
    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float: ...
    def ber(self, lane: int, sample: int, at_ns: int) -> float: ...
    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float: ...
    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float: ...
    def frames_per_s(self, path: PathLanes) -> float: ...
    def found_ns(self, lane: int) -> int: ...
    def reach(
        self, measure: Measure, resource: int | PathLanes, at_ns: int, horizon_ns: int
    ) -> tuple[float, float]: ...


class BankInputs(NamedTuple):
    """What is at work in a bank: it decides which instances read 0, and moves only when something is done."""

    ready: bool = False
    media: frozenset[int] = frozenset()
    host: frozenset[int] = frozenset()
    paths: tuple[PathLanes, ...] = ()
    host_loss_db: tuple[float | None, ...] = ()  # of all host lanes; None for a signal that cannot be used
    networks: tuple[PathLanes, ...] = ()  # network paths, which have the media lanes of their data paths
    adaptations: tuple[tuple[int | None, int], ...] = ()  # of all media lanes: began, first one over

    def lanes(self, side: Side) -> frozenset[int]:
        """The lanes of a side that are at work."""
        return self.media if side is Side.MEDIA else self.host


class BankWatch:
    """The inputs of one bank as last taken. What is asked between two changes is answered from them."""

    def __init__(self, bank: LaneBank) -> None:
        self._bank = bank
        self.inputs = BankInputs()

    def fresh(self) -> BankInputs:
        """The inputs as they are now."""
        bank = self._bank
        if not bank.ready():
            return BankInputs()
        operating = [path for path in bank.paths if path.state in OPERATING]
        equaliser = bank.equaliser
        loss_db = tuple(equaliser.signals[n - 1].loss_db if equaliser.usable(n) else None for n in LANES)
        host = frozenset(n for p in operating for n in p.host_lanes)
        carriers = [path for path in bank.carriers() if path.state in OPERATING]
        media = frozenset(n for p in carriers for n in p.media_lanes)
        paths = tuple(_lanes_of(p) for p in operating)
        recovery = bank.signals.recovery
        adaptations = tuple((recovery.began(n), recovery.found_ns(n)) for n in LANES)
        networks = tuple(_lanes_of(p) for p in carriers if p not in operating)
        return BankInputs(True, media, host, paths, loss_db, networks, adaptations)


def _lanes_of(path: DataPath) -> PathLanes:
    return PathLanes(path.data_path_id, path.application.app_sel, path.host_lanes, path.media_lanes)


@dataclass(slots=True)
class HostReception:
    """The host lanes' receivers: their eSNR follows from the loss of the host's channel (optics model, section 5).

    A lane without a usable signal has an eSNR of 0 and errors in half its bits.
    """

    watch: BankWatch
    seed: int
    first: int  # number of host lanes in the banks before
    media_lane_bps: float  # what a media lane carries of these bits
    interval_s: float  # of which SEWmax is the most
    _judged: dict[PathLanes, tuple[tuple[float | None, ...], bool]] = field(default_factory=dict)

    def _esnr(self, lane: int, off_db: float) -> float:
        loss_db = self.watch.inputs.host_loss_db[lane - 1]
        return 0.0 if loss_db is None else max(0.0, host_esnr_db(loss_db) + off_db)

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float:
        """eSNR in dB."""
        return self._esnr(lane, host_noise_db(self.seed, self.first + lane, sample))

    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float:
        """PAM4 level transition parameter in dB."""
        return level_transition_db(self.esnr_db(lane, sample, at_ns))

    def ber(self, lane: int, sample: int, at_ns: int) -> float:
        """Error ratio before the FEC."""
        return _ber(self.esnr_db(lane, sample, at_ns))

    def _bers(self, path: PathLanes, sample: int, at_ns: int) -> list[float]:
        return [self.ber(lane, sample, at_ns) for lane in path.host_lanes]

    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Errored frames ratio: that of uncorrectable codewords."""
        return 0.0 if self._harmless(path) else frame_errors(self._bers(path, sample, at_ns))

    def _harmless(self, path: PathLanes) -> bool:
        """Are the errors of a path's lanes too few for a frame, whatever the noise?"""
        loss_db = self.watch.inputs.host_loss_db
        known = self._judged.get(path)
        if known is None or known[0] is not loss_db:
            most_db = MAX_SIGMA * HOST_NOISE_DB
            few = all(_ber(self._esnr(lane, -most_db)) < HARMLESS_BER for lane in path.host_lanes)
            known = self._judged[path] = loss_db, few
        return known[1]

    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Most wrong symbols of a codeword in one interval."""
        return float(sew_max(self._bers(path, sample, at_ns), self.frames_per_s(path) * self.interval_s))

    def frames_per_s(self, path: PathLanes) -> float:
        """Codewords each second."""
        return frames_per_s(path, self.media_lane_bps)

    def found_ns(self, lane: int) -> int:
        """Always there: what a host drives before it is usable counts as errors."""
        return 0

    def reach(self, measure: Measure, resource: int | PathLanes, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """The channel stays as it is: only noise moves."""
        most = MAX_SIGMA * HOST_NOISE_DB
        if isinstance(resource, PathLanes):
            ends = [[_ber(self._esnr(n, off)) for n in resource.host_lanes] for off in (most, -most)]
            frames = self.frames_per_s(resource) * self.interval_s
            return _frame_measure(measure, ends[0], frames), _frame_measure(measure, ends[1], frames)
        low, high = self._esnr(resource, -most), self._esnr(resource, most)
        if measure is Measure.ESNR:
            return low, high
        if measure is Measure.LTP:
            return level_transition_db(low), level_transition_db(high)
        return _ber(high), _ber(low)


def frames_per_s(path: PathLanes, media_lane_bps: float) -> float:
    """Codewords each second of a data path whose media lanes carry so many bits."""
    return _bit_rate(path, media_lane_bps) / (SYMBOLS * SYMBOL_BITS)


def bursts_of(path: PathLanes, media_lane_bps: float, continuation: float) -> Bursts:
    """How errors of a data path's media lanes follow each other in its codewords."""
    if not continuation:
        return SINGLE
    return Bursts(continuation, 2 if _bit_rate(path, media_lane_bps) > NOT_INTERLEAVED_BPS else 1)


def _bit_rate(path: PathLanes, media_lane_bps: float) -> float:
    return len(path.media_lanes) * media_lane_bps


def frame_errors(bers: Sequence[float], bursts: Bursts = SINGLE) -> float:
    """FERC of lanes that share codewords; 0 where it is less than any register holds or any time brings."""
    if bursts is SINGLE and max(bers) < HARMLESS_BER:
        return 0.0
    return codeword_error_ratio(bers, bursts)


def _frame_measure(measure: Measure, bers: Sequence[float], frames: float) -> float:
    """FERC, or SEWmax of that many frames, of host lanes that share codewords."""
    return frame_errors(bers) if measure is Measure.FERC else float(sew_max(bers, frames))


def _ber(esnr_db: float) -> float:
    return ber_of_esnr(esnr_db) if esnr_db > 0 else WORST_BER
