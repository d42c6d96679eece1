"""What reaches the pattern checkers of one bank: the `Bench` of its diagnostics, made of its routes and receivers.

Owns the integrals of the error ratios of the lanes whose checkers are on, and the one event that carries them
on. A bank whose checkers are off schedules nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Protocol

from cmis_emu.clock import NS_PER_MS, Clock, Event
from cmis_emu.module.diagnostics.error_integral import ErrorIntegral
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.recovery import Recovery
from cmis_emu.module.routing import Routes
from cmis_emu.module.sides import Side
from cmis_emu.module.states import OPERATING
from cmis_emu.physics.light import Stream
from cmis_emu.physics.plant import ModulePlant


class BenchFrame(Protocol):
    """The bank."""

    clock: Clock
    bank: int

    def ready(self) -> bool: ...
    def carrier_of_host(self, lane: int) -> DataPath | None: ...
    def path_of_media(self, lane: int) -> DataPath | None: ...
    def settle(self) -> None: ...


class LaneBench:
    """See `Bench`. Lanes are 1-based within the bank."""

    def __init__(
        self, profile: Profile, frame: BenchFrame, routes: Routes, recovery: Recovery, plant: ModulePlant
    ) -> None:
        self._profile = profile
        self._frame = frame
        self._routes = routes
        self._recovery = recovery
        self._plant = plant
        self._first = 8 * frame.bank
        self._period_ns = round(profile.behaviour.monitor_period_ms * NS_PER_MS)
        self._integrals: dict[tuple[Side, int], ErrorIntegral] = {}
        self._version = -1
        self._event: Event | None = None

    # -- the present -----------------------------------------------------------------------------------

    def ready(self) -> bool:
        """True in ModuleReady (DIAG-17)."""
        return self._frame.ready()

    def heard(self, side: Side, lane: int) -> Stream | None:
        """What a checker hears."""
        return self._routes.heard(side, lane)

    def can_generate(self, side: Side, lane: int) -> bool:
        """DIAG-17: the host side needs ModuleReady alone, the media side a data path that is up."""
        if side is Side.HOST:
            return self._frame.ready()
        path = self._frame.path_of_media(lane)
        return self._frame.ready() and path is not None and path.state in OPERATING

    def bit_rate(self, side: Side, lane: int) -> float:
        """Bit/s: that of the product's media lanes, and what the gearbox makes of it for a host lane."""
        media = self._plant.parameters.media_receiver.lane_bps
        if side is Side.MEDIA:
            return media
        carrier = self._frame.carrier_of_host(lane)
        if carrier is not None and carrier.media_lanes:
            return media * len(carrier.media_lanes) / len(carrier.host_lanes)
        application = self._profile.default_application
        if application is None or not application.media_lanes:
            return media
        return media * application.media_lanes / max(1, application.host_lanes)

    def snr_db(self, side: Side, lane: int, now_ns: int) -> float:
        """eSNR at the input of the lane, with the latent noise of its readings; 0 while not locked (DIAG-14)."""
        sample = now_ns // self._period_ns
        if side is Side.HOST:
            return self._routes.host_esnr_db(lane, sample)
        if not self._recovery.has_lock(lane):
            return 0.0
        return self._recovery.esnr_db(lane, now_ns, self._plant.jitter_db(self._first + lane, sample))

    def changing(self) -> None:
        """A signal is about to be switched: whoever measures at the other end shall close what was until now."""
        self._plant.errors_change()

    def settle(self) -> None:
        """Something was switched."""
        self._frame.settle()

    # -- errors over time --------------------------------------------------------------------------------

    def watch(self, spots: Collection[tuple[Side, int]]) -> None:
        """Measure at these places from now on, and at no other."""
        for gone in self._integrals.keys() - set(spots):
            del self._integrals[gone]
        now = self._frame.clock.now_ns
        for spot in spots:
            if spot not in self._integrals:
                self._integrals[spot] = ErrorIntegral(partial(self._ratio, *spot), now)
        self._schedule()

    def measured(self, side: Side, lane: int, now_ns: int) -> float:
        """Integral of the bit error ratio at a checker, in s, since it was watched; 0 for one that is not."""
        integral = self._integrals.get((side, lane))
        return 0.0 if integral is None else integral.at(now_ns)

    def settled(self) -> None:
        """The module came to rest after something that may have changed what is measured."""
        if not self._integrals:
            return
        switched = self._version != self._plant.version
        self._version = self._plant.version
        now = self._frame.clock.now_ns
        changed = [each.change(now, switched) for each in self._integrals.values()]
        if any(changed):
            self._schedule()

    def _ratio(self, side: Side, lane: int, at_ns: int) -> float:
        if side is Side.HOST:
            return self._routes.tx_in_errors(lane, at_ns)
        return self._routes.rx_errors(lane, at_ns)

    def _schedule(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._integrals:
            due = min(each.due_ns for each in self._integrals.values())
            self._event = self._frame.clock.at(due, self._extend)

    def _extend(self) -> None:
        self._event = None
        now = self._frame.clock.now_ns
        for integral in self._integrals.values():
            integral.extend(now)
        self._schedule()
