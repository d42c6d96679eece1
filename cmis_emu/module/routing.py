"""Where signals go inside a module: through the gearbox, into pattern generators' place, and round loop-backs.

`Routes` answers what a lane carries at each point of one bank; it keeps nothing. The points (DIAG-03, DIAG-08):

    host in -> (host output loop) -> gearbox -> media generator -> (media input loop) -> media out
    host out <- (host input loop) <- host generator <- gearbox <- (media output loop) <- media in

A signal that comes back to a loop-back it has taken has no source, and is noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.equaliser import InputEqualiser
from cmis_emu.module.network_path import NetworkPaths
from cmis_emu.module.recovery import Recovery
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.module.states import OPERATING
from cmis_emu.physics.light import NOISE, TRAFFIC, Mixed, Origin, Passed, Payload, Stream
from cmis_emu.physics.noise import gauss
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.receiver import WORST_BER, ber_of_esnr, host_esnr_db
from cmis_emu.registers.memory import Cell

HOST_NOISE_DB = 0.05  # of an eSNR reading of a host lane, one sigma
_HOST_NOISE_CHANNEL = 20_000


def host_noise_db(seed: int, lane: int, sample: int) -> float:
    """How far a reading of a host lane's eSNR is off."""
    return HOST_NOISE_DB * gauss(seed, _HOST_NOISE_CHANNEL + lane, sample)


class TestPoints(Protocol):
    """What diagnostics put into the way of a signal; lanes are 1-based within the bank."""

    def generated(self, side: Side, lane: int) -> Stream | None: ...
    def loopback(self, kind: Loopback, lane: int) -> bool: ...
    def listening(self) -> int: ...


class NoTestPoints:
    """A module without diagnostics."""

    def generated(self, side: Side, lane: int) -> Stream | None:
        """Nothing is generated."""
        return None

    def loopback(self, kind: Loopback, lane: int) -> bool:
        """Nothing is looped."""
        return False

    def listening(self) -> int:
        """No host lane is used for a test."""
        return 0


class RouteFrame(Protocol):
    """The bank: which path uses which lane, and the direct controls."""

    bank: int
    control: dict[str, Cell]
    network: NetworkPaths | None

    def path_of_media(self, lane: int) -> DataPath | None: ...
    def carrier_of_host(self, lane: int) -> DataPath | None: ...


class Carried(NamedTuple):
    """A signal at a point, and the loop-backs that it took."""

    stream: Stream
    through: tuple[int, ...] = ()


_DARK = Payload(False)
_MADE_HERE = Carried(Stream(TRAFFIC))
_Via = tuple[int, ...]


class Routes:
    """The ways of one bank. Lanes are 1-based within the bank."""

    def __init__(
        self,
        frame: RouteFrame,
        equaliser: InputEqualiser,
        recovery: Recovery,
        plant: ModulePlant,
        host_locked: Callable[[int], bool],
    ) -> None:
        self.test: TestPoints = NoTestPoints()
        self._frame = frame
        self._equaliser = equaliser
        self._recovery = recovery
        self._plant = plant
        self._first = 8 * frame.bank
        self._host_locked = host_locked

    def _token(self, kind: Loopback, lane: int) -> int:
        """A loop-back of this module, told from every other."""
        place = list(Loopback).index(kind) * 64 + self._first + lane
        return self._plant.seed << 8 | place

    # -- Tx: from the host to the media --------------------------------------------------------------

    def host_in(self, lane: int) -> Carried | None:
        """What the host sends, once the lane's clock is recovered."""
        signal = self._equaliser.signals[lane - 1]
        if not signal.present or not self._host_locked(lane):
            return None
        flipped = bool(self._frame.control["InputPolarityFlipTx"].bits() >> (lane - 1) & 1)
        return Carried(Stream(signal.content, signal.inverted ^ flipped))

    def tx_in(self, lane: int, via: _Via = ()) -> Carried | None:
        """What goes into the gearbox: the host's signal, or the one on its way to the host."""
        if not self.test.loopback(Loopback.HOST_OUTPUT, lane):
            return self.host_in(lane)
        token = self._token(Loopback.HOST_OUTPUT, lane)
        if token in via:
            return None
        turned = self.rx_out(lane, (*via, token))
        if turned is None or token in turned.through:
            return None
        return Carried(turned.stream, (*turned.through, token))

    def tx_out(self, lane: int, via: _Via = ()) -> Payload:
        """What leaves on a media lane: `modulated` is False when there is nothing to send."""
        path = self._frame.path_of_media(lane)
        if path is None or path.state not in OPERATING:
            return _DARK
        made = self.test.generated(Side.MEDIA, lane)
        if made is not None:
            return Payload(True, (made,))
        if self.test.loopback(Loopback.MEDIA_INPUT, lane):
            return self._turned_at_media(lane)
        streams: list[Stream] = []
        through: dict[int, None] = {}
        found = False
        for host in path.host_lanes_of(lane):
            carried = _MADE_HERE if self._replaced_tx(host) else self.tx_in(host, via)
            streams.append(Stream(NOISE) if carried is None else carried.stream)
            through.update(dict.fromkeys(() if carried is None else carried.through))
            found |= carried is not None
        return Payload(found, tuple(streams), tuple(through))

    def _turned_at_media(self, lane: int) -> Payload:
        token = self._token(Loopback.MEDIA_INPUT, lane)
        payload = self._plant.rx_payload(self._first + lane)
        if not self._recovery.has_lock(lane) or token in payload.through:
            return _DARK
        return payload._replace(through=(*payload.through, token))

    def _replaced_tx(self, host: int) -> bool:
        return self._frame.network is not None and self._frame.network.replaced_tx(host)

    # -- Rx: from the media to the host --------------------------------------------------------------

    def rx_in(self, lane: int, via: _Via = ()) -> Payload | None:
        """What the Rx side of a media lane works on: the light's signal, or the one about to leave."""
        if self.test.loopback(Loopback.MEDIA_OUTPUT, lane):
            token = self._token(Loopback.MEDIA_OUTPUT, lane)
            if token in via:
                return None
            leaving = self.tx_out(lane, (*via, token))
            return leaving if leaving.modulated else None
        return self._plant.rx_payload(self._first + lane) if self._recovery.has_lock(lane) else None

    def rx_out(self, lane: int, via: _Via = ()) -> Carried | None:
        """What is on its way to a host lane."""
        made = self.test.generated(Side.HOST, lane)
        if made is not None:
            return Carried(made)
        if self._frame.network is not None and self._frame.network.replaced_rx(lane):
            return _MADE_HERE
        carrier = self._frame.carrier_of_host(lane)
        media = carrier.media_lane_of(lane) if carrier is not None else 0
        payload = self.rx_in(media, via) if media else None
        if carrier is None or payload is None:
            return None
        if not payload.streams:
            return Carried(Stream(TRAFFIC), payload.through)
        place = carrier.host_lanes_of(media).index(lane)
        stream = payload.streams[place % len(payload.streams)]
        return None if stream.content == NOISE else Carried(stream, payload.through)

    def host_out(self, lane: int) -> Carried | None:
        """What leaves on a host lane, before its output's polarity."""
        if self.test.loopback(Loopback.HOST_INPUT, lane):
            return self.host_in(lane)
        return self.rx_out(lane)

    # -- what a checker hears (DIAG-08) --------------------------------------------------------------

    def heard(self, side: Side, lane: int) -> Stream | None:
        """The stream at a checker's place: behind the host's input, or behind the receiver of a media lane."""
        if side is Side.HOST:
            carried = self.tx_in(lane)
            return None if carried is None else carried.stream
        payload = self.rx_in(lane)
        if payload is None:
            return None
        if len(payload.streams) == 1:
            return payload.streams[0]
        # Lanes that the gearbox has put together are no pattern of their own.
        plain = all(stream.content == TRAFFIC for stream in payload.streams)
        return Stream(TRAFFIC if plain else NOISE)

    # -- errors --------------------------------------------------------------------------------------

    def host_errors(self, lane: int) -> float:
        """Error ratio of the electrical link from the host."""
        return ber_of_esnr(self.host_esnr_db(lane)) if self.host_in(lane) is not None else WORST_BER

    def host_esnr_db(self, lane: int, sample: int | None = None) -> float:
        """eSNR at a host input in dB, 0 without a signal; with the noise of a reading when `sample` names one."""
        signal = self._equaliser.signals[lane - 1]
        if not signal.present or not self._host_locked(lane):
            return 0.0
        noise = 0.0 if sample is None else host_noise_db(self._plant.seed, self._first + lane, sample)
        return max(0.0, host_esnr_db(signal.loss_db) + noise)

    def tx_origin(self, lane: int, leaving: Payload) -> Origin:
        """Where the errors of what leaves on a media lane come from: all that its signal met before."""
        if self.test.generated(Side.MEDIA, lane) is not None:
            return 0.0
        if not leaving.modulated:
            return WORST_BER
        if self.test.loopback(Loopback.MEDIA_INPUT, lane):
            return Passed(self._first + lane)
        path = self._frame.path_of_media(lane)
        hosts = () if path is None else path.host_lanes_of(lane)
        origins = tuple(self._tx_in_origin(host) for host in hosts)
        fixed = [origin for origin in origins if isinstance(origin, float)]
        return Mixed(origins) if len(fixed) < len(origins) else sum(fixed) / max(1, len(fixed))

    def _tx_in_origin(self, lane: int) -> Origin:
        if self._replaced_tx(lane):
            return 0.0
        if self.tx_in(lane) is None:
            return WORST_BER
        if self.test.loopback(Loopback.HOST_OUTPUT, lane):
            return self._rx_out_origin(lane)
        return self.host_errors(lane)

    def _rx_out_origin(self, lane: int) -> Origin:
        carrier = self._frame.carrier_of_host(lane)
        if self.test.generated(Side.HOST, lane) is not None or carrier is None:
            return 0.0
        media = carrier.media_lane_of(lane)
        return self._rx_origin(media) if media else WORST_BER

    def _rx_origin(self, lane: int) -> Origin:
        if not self.test.loopback(Loopback.MEDIA_OUTPUT, lane):
            return Passed(self._first + lane)
        return self.tx_origin(lane, self.tx_out(lane)) if self.rx_in(lane) is not None else WORST_BER

    def tx_in_errors(self, lane: int, now_ns: int) -> float:
        """Error ratio at a host side checker."""
        return self._plant.error_ratio(self._tx_in_origin(lane), now_ns)

    def rx_errors(self, lane: int, now_ns: int) -> float:
        """Error ratio at a media side checker: the optical link, and what the signal brought along."""
        return self._plant.error_ratio(self._rx_origin(lane), now_ns)

    def light_errors(self, lane: int, now_ns: int, jitter_db: float = 0.0) -> float:
        """Error ratio of the light of a media lane, with what it brought along."""
        own = self._recovery.ber(lane, now_ns, jitter_db)
        if own >= WORST_BER:
            return own
        return min(WORST_BER, own + self._plant.rx_errors(self._first + lane, now_ns))
