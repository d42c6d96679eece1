"""The Tx input equalisers of one bank: adaptation to the host's channel, freeze, store and recall (CFG-15).

Owns AdaptiveInputEqFreezeTx, AdaptiveInputEqStoreTx and AdaptiveInputEqFailFlagTx, and what each lane's
equaliser is set to. The channel between host and module is one number here, its loss at Nyquist in dB; the
best setting is the one that equals it. A lane's clock locks only while the setting is near enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from cmis_emu.clock import NS_PER_MS, Clock, Event
from cmis_emu.module.control_sets import LANES, RECALL, ControlSet
from cmis_emu.module.profile.profile import Profile
from cmis_emu.physics.light import TRAFFIC
from cmis_emu.registers.memory import Cell, Memory, Write

NOMINAL_LOSS_DB = 4.0  # a short host trace: the equaliser's preset fits it
LOCK_MARGIN_DB = 6.0  # further off, the eye is closed
FAIL_MARGIN_DB = 3.0  # an adaptation that ends further off has failed
_ENABLE, _TARGET = "AdaptiveInputEqEnableTx", "HostControlledInputEqTargetTx"


@dataclass(frozen=True, slots=True)
class HostSignal:
    """What the host drives into one host lane: a signal or none, through `loss_db`, perhaps inverted.

    content: TRAFFIC, or the code of the test pattern that the host sends.
    """

    present: bool = True
    loss_db: float = NOMINAL_LOSS_DB
    inverted: bool = False
    content: int = TRAFFIC


class InputEqualiser:
    """Eight host lanes, 1-based. `changed` is called when an adaptation ends."""

    OWNS = ("AdaptiveInputEqFreezeTx", "AdaptiveInputEqStoreTx", "AdaptiveInputEqFailFlagTx")

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        active: ControlSet,
        clock: Clock,
        changed: Callable[[], None],
        bank: int,
    ) -> None:
        self.signals = [HostSignal() for _ in LANES]
        self._clock = clock
        self._changed = changed
        self._active = active
        self._adapts = profile.setting_limits.adaptive_eq
        self._manual = active.settings[_TARGET].implemented
        self._largest_db = profile.behaviour.adaptive_eq_max_db
        self._delay_ns = round(profile.behaviour.tx_acquisition_ms * NS_PER_MS)
        self._applied_db = [NOMINAL_LOSS_DB for _ in LANES]
        self._stored_db: dict[tuple[int, int], float] = {}  # (lane, buffer)
        self._buffers = profile.setting_limits.recall_buffers
        self._running: dict[int, Event] = {}
        self._working = 0
        self._freeze: Cell = memory.cell("AdaptiveInputEqFreezeTx", bank)
        self._store: Cell = memory.cell("AdaptiveInputEqStoreTx", bank)
        if self._freeze.implemented:
            self._freeze.page.hooks[self._freeze.slots[0][0]] = self._written
        if self._store.implemented:
            for index in {slot[0] for slot in self._store.slots}:
                self._store.page.hooks[index] = self._store_written

    def reset(self) -> None:
        """Presets again; nothing stored, nothing under way."""
        for event in self._running.values():
            event.cancel()
        self._running.clear()
        self._working = 0
        self._stored_db.clear()
        self._applied_db = [NOMINAL_LOSS_DB for _ in LANES]

    def commit(self, lanes: Iterable[int]) -> None:
        """The active set reached the hardware: recalled settings are loaded now (CFG-05, CFG-15)."""
        for lane in lanes:
            buffer = self._active.settings[RECALL].get(lane) if self._buffers else 0
            stored = self._stored_db.get((lane, buffer))
            if stored is not None:
                self._applied_db[lane - 1] = stored

    def applied_db(self, lane: int) -> float:
        """What the equaliser of a lane is set to, in dB at Nyquist."""
        if self._adaptive(lane) or not self._manual:
            return self._applied_db[lane - 1]
        return float(self._active.settings[_TARGET].get(lane))

    def error_db(self, lane: int) -> float:
        """How far the setting is from the best one; 0 for a module whose equaliser cannot be off."""
        if not self._adapts and not self._manual:
            return 0.0
        return abs(self.applied_db(lane) - self.signals[lane - 1].loss_db)

    def usable(self, lane: int) -> bool:
        """True when the host's signal is there and its eye is open behind the equaliser."""
        return self.signals[lane - 1].present and self.error_db(lane) <= LOCK_MARGIN_DB

    def work(self, lanes: int) -> None:
        """Which lanes (mask) have powered circuits now; adapt those that should."""
        self._working = lanes
        for lane in LANES:
            target = min(self.signals[lane - 1].loss_db, self._largest_db)
            wanted = self._tracking(lane) and self._applied_db[lane - 1] != target
            if wanted and lane not in self._running:
                self._running[lane] = self._clock.after(self._delay_ns, partial(self._adapted, lane))
            elif not wanted and lane in self._running:
                self._running.pop(lane).cancel()

    def failing(self) -> int:
        """Lanes (mask) whose adaptation ended without a good setting (AdaptiveInputEqFailFlagTx)."""
        mask = 0
        for lane in LANES:
            if lane not in self._running and self._tracking(lane) and self.error_db(lane) > FAIL_MARGIN_DB:
                mask |= 1 << (lane - 1)
        return mask

    def _adaptive(self, lane: int) -> bool:
        return self._adapts and bool(self._active.settings[_ENABLE].get(lane))

    def _tracking(self, lane: int) -> bool:
        """Adapting to a signal: powered, enabled, not frozen."""
        frozen = self._freeze.implemented and self._freeze.get(lane)
        here = self._working >> (lane - 1) & 1 and self.signals[lane - 1].present
        return bool(here and self._adaptive(lane) and not frozen)

    def _adapted(self, lane: int) -> None:
        self._running.pop(lane, None)
        self._applied_db[lane - 1] = min(self.signals[lane - 1].loss_db, self._largest_db)
        self._changed()

    def _written(self, _: Write) -> None:
        self._changed()

    def _store_written(self, write: Write) -> None:
        """Keep the present setting in the named buffer; 0 keeps nothing."""
        first = self._store.page.first
        for lane, (index, _, lsb, mask) in zip(LANES, self._store.slots, strict=True):
            value = write.byte_at(index + first)
            buffer = 0 if value is None else value >> lsb & mask
            if 0 < buffer <= self._buffers:
                self._stored_db[lane, buffer] = self.applied_db(lane)
