"""What receivers say to VDM: the `Reception` of one side of a bank, and the host side's.

Owns which lanes and data paths of a bank are at work (`BankWatch`), and the laws of the electrical lanes. One
latent noise of a lane, chosen by the number of the sample, drives everything that a reception says about the
lane, so eSNR, level transitions and errors agree; nobody adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cmis_emu.module.control_sets import LANES
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.states import OPERATING
from cmis_emu.module.vdm_observables import Measure, Side
from cmis_emu.physics.noise import MAX_SIGMA, gauss
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.receiver import WORST_BER, ber_of_esnr, host_esnr_db, level_transition_db

HOST_NOISE_DB = 0.05  # of an eSNR reading, one sigma
_HOST_NOISE_CHANNEL = 20_000


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
    data path for FERC and SEW_MAX.
    """

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float: ...
    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float: ...
    def ber(self, lane: int, sample: int, at_ns: int) -> float: ...
    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float: ...
    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float: ...
    def frames_per_s(self, path: PathLanes) -> float: ...
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
        media = frozenset(n for p in bank.carriers() if p.state in OPERATING for n in p.media_lanes)
        paths = tuple(PathLanes(p.data_path_id, p.application.app_sel, p.host_lanes, p.media_lanes) for p in operating)
        return BankInputs(True, media, host, paths, loss_db)


@dataclass(slots=True)
class HostReception:
    """The host lanes' receivers: their eSNR follows from the loss of the host's channel (optics model, section 5).

    A lane without a usable signal has an eSNR of 0 and errors in half its bits. THE PLACE for the host's FEC:
    frame errors are 0 here until physics has a law for them.
    """

    watch: BankWatch
    seed: int
    first: int  # number of host lanes in the banks before

    def _esnr(self, lane: int, sigmas: float) -> float:
        loss_db = self.watch.inputs.host_loss_db[lane - 1]
        return 0.0 if loss_db is None else max(0.0, host_esnr_db(loss_db) + HOST_NOISE_DB * sigmas)

    def esnr_db(self, lane: int, sample: int, at_ns: int) -> float:
        """eSNR in dB."""
        return self._esnr(lane, gauss(self.seed, _HOST_NOISE_CHANNEL + self.first + lane, sample))

    def level_transition_db(self, lane: int, sample: int, at_ns: int) -> float:
        """PAM4 level transition parameter in dB."""
        return level_transition_db(self.esnr_db(lane, sample, at_ns))

    def ber(self, lane: int, sample: int, at_ns: int) -> float:
        """Error ratio before the FEC."""
        return _ber(self.esnr_db(lane, sample, at_ns))

    def ferc(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Errored frames ratio."""
        return 0.0

    def sew_max(self, path: PathLanes, sample: int, at_ns: int) -> float:
        """Most symbol errors of a frame in one fine interval."""
        return 0.0

    def frames_per_s(self, path: PathLanes) -> float:
        """Frames of the FEC each second."""
        return 0.0

    def reach(self, measure: Measure, resource: int | PathLanes, at_ns: int, horizon_ns: int) -> tuple[float, float]:
        """The channel stays as it is: only noise moves."""
        if not isinstance(resource, int):
            return 0.0, 0.0
        low, high = self._esnr(resource, -MAX_SIGMA), self._esnr(resource, MAX_SIGMA)
        if measure is Measure.ESNR:
            return low, high
        if measure is Measure.LTP:
            return level_transition_db(low), level_transition_db(high)
        return _ber(high), _ber(low)


def _ber(esnr_db: float) -> float:
    return ber_of_esnr(esnr_db) if esnr_db > 0 else WORST_BER


def media_reception(bank: LaneBank, plant: ModulePlant) -> Reception | None:
    """THE PLACE where the media side plugs in: its reception, or None while there is none.

    Without one the instances of the media side read 0 and set no flags, so profiles do not advertise them.
    """
    return None
