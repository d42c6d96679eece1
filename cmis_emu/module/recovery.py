"""The Rx side of the media lanes of one bank: loss of signal, adaptation, loss of lock (FLG-08, FLG-09).

LOS follows the light with hysteresis and a short delay. Where there is light and the circuits are powered the
DSP adapts (optics model, section 5); it has lock while the eSNR that it has reached is good enough. Everything
is looked at when something changes, and at the instants at which a drift can reach a threshold, never else.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from functools import partial

from cmis_emu.clock import NEVER, NS_PER_MS, NS_PER_S, NS_PER_US, Clock, Event
from cmis_emu.module.faults.link import LinkFaults, Penalty
from cmis_emu.module.faults.seam import Rule
from cmis_emu.physics.acquisition import AcquisitionParameters, esnr_at, time_to_reach
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.receiver import DARK, WORST_BER, Decision

LOS_ASSERT_NS = 100 * NS_PER_US
LOS_DEASSERT_NS = NS_PER_MS
LEAST_WAIT_NS = NS_PER_MS
KEPT = 1024  # decisions
SETTLED_DB = 1e-3  # an adaptation that is so near its end has reached it
ENDLESS = 40.0  # time constants after which nothing is left
FOUND_DB = 0.5  # a first adaptation that is so near its end has found the signal


@dataclass(slots=True)
class _Lane:
    """One receiver. `since_ns`: when its adaptation began; None without a signal."""

    since_ns: int | None = None
    tau_s: float = 0.0
    trained: bool = False  # it has had lock since power-up
    locked: bool = False
    found_ns: int = NEVER  # when its first adaptation since its circuits are at work is as good as over
    worked: bool = False  # its circuits were at work when last looked at
    penalty: Penalty | None = None  # of a fault, on the adaptation under way or over


class Recovery:
    """The receivers of a bank's media lanes, 1-based. `changed` is called when one has found or lost its signal."""

    def __init__(
        self,
        plant: ModulePlant,
        clock: Clock,
        first: int,
        media_lanes: tuple[int, ...],
        on_average: bool,
        changed: Callable[[], None],
        faults: LinkFaults | None = None,
    ) -> None:
        """first: lanes of the plant before this bank's. on_average: LOS looks at the power, not the modulation."""
        self.los = 0
        self._faults = faults or LinkFaults()
        self._plant = plant
        self._clock = clock
        self._first = first
        self._media_lanes = media_lanes
        self._on_average = on_average
        self._changed = changed
        self._receiver = plant.parameters.media_receiver
        self._trip_w = (plant.parameters.los_assert_w, plant.parameters.los_deassert_w)
        self._lanes = {lane: _Lane() for lane in media_lanes}
        self._timers: dict[int, Event] = {}
        self._look: Event | None = None
        self._kept: dict[tuple[int, int, float], Decision] = {}  # of the plant's version
        self._kept_bounds: dict[tuple[int, int, int, float], tuple[Decision, Decision]] = {}
        self._kept_version = -1
        self._seen: tuple[bool, int, int, int] | None = None
        self._announced = False  # that something of what is being brought in line changes

    @property
    def locked(self) -> int:
        """Media lanes (mask) that have their signal."""
        return sum(1 << (n - 1) for n, lane in self._lanes.items() if lane.locked)

    def began(self, number: int) -> int | None:
        """When the adaptation of a media lane under way, or come to its end, began; None without a signal."""
        return self._lanes[number].since_ns if number in self._lanes else None

    def found_ns(self, number: int) -> int:
        """When the first adaptation of a media lane since its circuits are at work is as good as over, or NEVER."""
        return self._lanes[number].found_ns if number in self._lanes else NEVER

    def has_lock(self, number: int) -> bool:
        """Has the receiver of a media lane its signal?"""
        return number in self._lanes and self._lanes[number].locked

    def reset(self) -> None:
        """Nothing locked, nothing lost."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self.los = 0
        self._seen = None
        self._announced = False
        for number in self._media_lanes:
            self._adapts(self._lanes[number], None)
            self._lanes[number] = _Lane()

    def update(self, ready: bool, powered: int) -> None:
        """Bring LOS and lock in line with the light, now. `powered`: media lanes whose circuits are at work."""
        seen = (ready, powered, self.los, self._plant.version)
        if seen == self._seen:
            return  # nothing changed, and no look is due: that would have cleared it
        self._announced = False
        now = self._clock.now_ns
        soonest = NEVER
        for number, lane in self._lanes.items():
            soonest = min(soonest, self._update_los(number, ready, now))
            modulated = self._plant.rx_payload(self._first + number).modulated
            signal = ready and modulated and not self.los >> (number - 1) & 1
            at_work = bool(powered >> (number - 1) & 1)
            soonest = min(soonest, self._update_lock(number, lane, signal and at_work, now))
            lane.worked = at_work
            if not ready:
                lane.trained = False
            if not at_work:
                lane.found_ns = NEVER
            elif lane.locked and lane.found_ns == NEVER:
                lane.found_ns = max(now, self._nearly_adapted_ns(number, lane, now))
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if soonest < NEVER:
            self._look = self._clock.at(soonest, self._look_again)
        self._seen = (ready, powered, self.los, self._plant.version)

    def _look_again(self) -> None:
        self._look = None
        self._seen = None
        self._changed()

    # -- loss of signal ------------------------------------------------------------------------------

    def _update_los(self, number: int, ready: bool, now: int) -> int:
        """Start or stop the delay of LOS; returns when to look again."""
        bit = 1 << (number - 1)
        lost = bool(self.los & bit)
        if not ready:
            self._cancel(number)
            self.los &= ~bit
            return NEVER
        light = self._plant.trend(Quantity.RX_POWER, self._first + number, now)
        seen = light.value if self._on_average or self._plant.rx_payload(self._first + number).modulated else 0.0
        change = seen < self._trip_w[0] if not lost else seen > self._trip_w[1]
        if change:
            if number not in self._timers:
                delay = LOS_DEASSERT_NS if lost else LOS_ASSERT_NS
                self._timers[number] = self._clock.after(delay, partial(self._flips, number))
            return NEVER
        self._cancel(number)
        margin = abs(light.value - self._trip_w[lost])
        if light.remaining > margin and light.rate > 0:
            return now + max(LEAST_WAIT_NS, round(margin / light.rate * NS_PER_S))
        return NEVER

    def _cancel(self, number: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _flips(self, number: int) -> None:
        self._timers.pop(number, None)
        self.los ^= 1 << (number - 1)
        self._changed()

    # -- adaptation and lock -------------------------------------------------------------------------

    @property
    def _law(self) -> AcquisitionParameters:
        return self._plant.parameters.acquisition

    def _update_lock(self, number: int, lane: _Lane, signal: bool, now: int) -> int:
        """Follow the adaptation; returns when to look again."""
        if not signal:
            self._adapts(lane, None)
            lane.locked = False
            return NEVER
        law = self._law
        since_ns = lane.since_ns
        if since_ns is None:
            since_ns = now
            self._adapts(lane, now)
            lane.tau_s = law.tau_s * (1.0 if lane.trained else law.first_factor)
            if self._faults.rules or lane.penalty is not None:
                lane.penalty = self._faults.penalty(self._first + number, lane.worked)
        final = self._plant.esnr(self._first + number, now)
        if lane.penalty is not None:
            settled = Decision(final.value, self._receiver.ber_of_esnr(final.value))
            final = final._replace(value=self._worsened(lane, settled).esnr_db)
        reached = esnr_at((now - since_ns) / NS_PER_S, final.value, law.start_db, lane.tau_s)
        if lane.locked and reached < law.unlock_db:
            lane.locked = False
            since_ns = now
            self._adapts(lane, now)  # anew
        elif not lane.locked and reached >= law.lock_db:
            lane.locked = lane.trained = True
        if lane.locked:
            margin = final.value - law.unlock_db
            return self._when(now, margin, final.rate) if final.remaining > margin else NEVER
        left_s = time_to_reach(law.lock_db, final.value, law.start_db, lane.tau_s)
        at = NEVER if left_s == float("inf") else since_ns + round(left_s * NS_PER_S) + 1
        margin = law.lock_db - final.value
        if final.remaining > abs(margin):
            at = min(at, self._when(now, abs(margin), final.rate))
        return at if at == NEVER else max(at, now + LEAST_WAIT_NS)

    def _adapts(self, lane: _Lane, since_ns: int | None) -> None:
        """An adaptation begins, or what was reached is lost; whoever measures counts first what was until now."""
        if since_ns == lane.since_ns:
            return
        if not self._announced:
            self._announced = True
            self._plant.reception_changes()
        lane.since_ns = since_ns

    def _nearly_adapted_ns(self, number: int, lane: _Lane, now: int) -> int:
        """When the adaptation under way is within FOUND_DB of its end."""
        if lane.since_ns is None:
            return now
        final_db = self._plant.esnr(self._first + number, now).value
        seconds = time_to_reach(final_db - FOUND_DB, final_db, self._law.start_db, lane.tau_s)
        return lane.since_ns + round(seconds * NS_PER_S)

    def _when(self, now: int, margin: float, rate: float) -> int:
        """The earliest time at which a drift makes up for `margin`."""
        if rate <= 0:
            return NEVER
        return now + max(LEAST_WAIT_NS, min(NS_PER_S, round(margin / rate * NS_PER_S)) if rate < 1e9 else LEAST_WAIT_NS)

    # -- readings ------------------------------------------------------------------------------------

    def _forget_stale(self, kept: Sized) -> None:
        """Forget decisions when an input has changed, or `kept` has become too many."""
        if self._kept_version != self._plant.version or len(kept) > KEPT:
            self._kept.clear()
            self._kept_bounds.clear()
            self._kept_version = self._plant.version

    def _settled(self, number: int, at_ns: int, jitter_db: float) -> Decision:
        """What the DSP makes of its light once it has adapted; kept, as several readings ask for the same."""
        self._forget_stale(self._kept)
        key = number, at_ns, jitter_db
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._plant.receive(self._first + number, at_ns, jitter_db)
        return kept

    def _worsened(self, lane: _Lane, settled: Decision) -> Decision:
        """With the penalty of this adaptation, if there is one."""
        return settled if lane.penalty is None else lane.penalty.worsen(settled, self._receiver)

    def _adapted(self, lane: _Lane, settled: Decision, at_ns: int) -> Decision:
        """What an adaptation on its way to `settled` has reached."""
        if lane.since_ns is None:
            return DARK
        settled = self._worsened(lane, settled)
        elapsed_s = (at_ns - lane.since_ns) / NS_PER_S
        if elapsed_s > ENDLESS * lane.tau_s:
            return settled
        reached_db = esnr_at(elapsed_s, settled.esnr_db, self._law.start_db, lane.tau_s)
        if settled.esnr_db - reached_db < SETTLED_DB:
            return settled
        return Decision(reached_db, max(settled.ber, self._receiver.ber_of_esnr(reached_db)))

    def esnr_db(self, number: int, at_ns: int, jitter_db: float = 0.0) -> float:
        """eSNR that the DSP of a media lane has reached; 0 without a signal."""
        lane = self._lanes.get(number)
        if lane is None or lane.since_ns is None:
            return 0.0
        return self._adapted(lane, self._settled(number, at_ns, jitter_db), at_ns).esnr_db

    def ber(self, number: int, at_ns: int, jitter_db: float = 0.0) -> float:
        """Error ratio of the optical link of a media lane alone; one half without a signal."""
        lane = self._lanes.get(number)
        if lane is None or lane.since_ns is None:
            return WORST_BER
        return self._adapted(lane, self._settled(number, at_ns, jitter_db), at_ns).ber

    def bounds(self, number: int, at_ns: int, horizon_ns: int, jitter_db: float) -> tuple[Decision, Decision]:
        """The worst and the best that can be read within `horizon_ns` from `at_ns` on."""
        lane = self._lanes.get(number)
        if lane is None or lane.since_ns is None:
            return DARK, DARK
        self._forget_stale(self._kept_bounds)
        key = number, at_ns, horizon_ns, jitter_db
        kept = self._kept_bounds.get(key)
        if kept is None:
            kept = self._plant.receive_bounds(self._first + number, at_ns, horizon_ns / NS_PER_S, jitter_db)
            self._kept_bounds[key] = kept
        worst, best = kept
        return self._adapted(lane, worst, at_ns), self._worsened(lane, best)

    # -- faults ------------------------------------------------------------------------------------

    def penalised(self, rule: Rule) -> bool:
        """Does a receiver suffer from this fault?"""
        return any(lane.penalty is rule for lane in self._lanes.values())

    def relieve(self, rule: Rule) -> None:
        """The fault was cleared."""
        for lane in self._lanes.values():
            if lane.penalty is rule:
                lane.penalty = None
