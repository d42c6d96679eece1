"""The time of a measurement: when results are shown, when a gate ends, when the next begins (DIAG-09, DIAG-11).

Owns one event for checkers that measure together. Nothing is scheduled while no checker measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmis_emu.clock import NEVER, NS_PER_S, Clock, Event
from cmis_emu.module.diagnostics.pattern_checker import PatternChecker

GATE_S = {1: 5.0, 2: 10.0, 3: 30.0, 4: 60.0, 5: 120.0, 6: 300.0}
"""MeasurementTime (gate_time); 0 is not gated, 7 is the vendor's."""
CUSTOM_GATE = 7
UPDATE_S = (1, 5)
"""UpdatePeriodSelect (DIAG-11)."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The controls of a measurement as they were at its start; times in ns, 0 for none."""

    gate_ns: int = 0
    update_ns: int = UPDATE_S[0] * NS_PER_S
    restarts: bool = False


class Gate:
    """Checkers that began to measure together, or joined later.

    `channel_of` gives each measurement a source of chance; `shown` is called when results were refreshed, with
    True when a gate is complete.
    """

    def __init__(
        self,
        clock: Clock,
        settings: GateSettings,
        channel_of: Callable[[PatternChecker], int],
        shown: Callable[[Gate, bool], None],
    ) -> None:
        self.checkers: list[PatternChecker] = []
        self.settings = settings
        self._clock = clock
        self._channel_of = channel_of
        self._shown = shown
        self._began_ns = clock.now_ns
        self._event: Event | None = None
        self._schedule()

    @property
    def running(self) -> bool:
        """False once its only gate is complete or its last checker left."""
        return self._event is not None

    def join(self, checker: PatternChecker) -> None:
        """Measure with this checker too, from now to the end of the gate."""
        self.checkers.append(checker)
        checker.start(self._channel_of(checker))

    def leave(self, checker: PatternChecker) -> None:
        """This checker was switched off."""
        if checker in self.checkers:
            self.checkers.remove(checker)
        if not self.checkers:
            self.close()

    def close(self) -> None:
        """No more calls."""
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def _schedule(self) -> None:
        """The next instant of the grid, which begins with the gate; or the end of the gate."""
        elapsed = self._clock.now_ns - self._began_ns
        update, gate = self.settings.update_ns, self.settings.gate_ns
        due = (elapsed // update + 1) * update if update else NEVER
        self._event = self._clock.at(self._began_ns + min(due, gate or NEVER), self._look)

    def _look(self) -> None:
        self._event = None
        elapsed = self._clock.now_ns - self._began_ns
        complete = 0 < self.settings.gate_ns <= elapsed
        for checker in self.checkers:
            if complete:
                checker.finish()
            else:
                checker.refresh()
        if complete and self.settings.restarts:
            self._began_ns = self._clock.now_ns
            for checker in self.checkers:
                checker.start(self._channel_of(checker), again=True)
        if not complete or self.settings.restarts:
            self._schedule()
        self._shown(self, complete)
