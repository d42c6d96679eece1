"""What a module does of itself when its case gets too hot: overheat protection, and faults that wait for warmth.

The shutdown temperature is the optics model's (section 2); the state that follows is ModuleFault with the
temperature cause. The time of the crossing is predicted from the plant, so nothing polls.
"""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.clock import NS_PER_MS, NS_PER_S, Clock, Event
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant

OVERHEAT_CAUSE = 6  # ModuleFaultCause: temperature related fault


REARM_K = 1.0
"""A trip that a fault armed strikes anew when the case has been so much cooler in between."""


class OverheatProtection:
    """Calls `tripped` once the case temperature reaches the shutdown limit, or `limit_c`.

    once: not again before the case has cooled down.
    """

    def __init__(
        self,
        clock: Clock,
        plant: ModulePlant,
        tripped: Callable[[], None],
        *,
        limit_c: float | None = None,
        once: bool = False,
    ) -> None:
        self._clock = clock
        self._plant = plant
        self._tripped = tripped
        self._limit_c = plant.parameters.thermal.shutdown_c if limit_c is None else limit_c
        self._once = once
        self._hot = False
        self._event: Event | None = None

    def check(self) -> None:
        """Something changed: trip at once, or look again when the limit can be reached at the earliest."""
        self.close()
        now = self._clock.now_ns
        trend = self._plant.trend(Quantity.CASE_TEMPERATURE, 0, now)
        margin = self._limit_c - trend.value
        if self._hot:
            self._hot = margin < REARM_K
            if self._hot and trend.remaining >= REARM_K - margin and trend.rate > 0:
                look = max(NS_PER_MS, int((REARM_K - margin) / trend.rate * NS_PER_S))
                self._event = self._clock.after(look, self.check)
        elif margin <= 0:
            self._hot = self._once
            # An event of its own: whoever asks is in the middle of settling, and a fault moves the states.
            self._event = self._clock.after(0, self._tripped)
        elif trend.remaining >= margin and trend.rate > 0:
            look = max(NS_PER_MS, int(margin / trend.rate * NS_PER_S))
            self._event = self._clock.after(look, self.check)

    def close(self) -> None:
        """Forget the next look."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
