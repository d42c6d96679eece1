"""One pattern checker: its lock on a pattern, and the bits and errors of one measurement.

Owns the lock (DIAG-08) and the counts (DIAG-09, DIAG-14). A checker locks some time after it hears its pattern in
the right polarity, and loses the lock with the pattern or when nearly all is errors. It counts while it is locked.
The number of errors follows from the integral of the bit error ratio, so nobody's polling changes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cmis_emu.clock import NS_PER_S, Clock, Event
from cmis_emu.module.diagnostics.bench import Bench
from cmis_emu.module.diagnostics.faults import Trouble
from cmis_emu.module.sides import Side
from cmis_emu.physics.counting import poisson_count
from cmis_emu.physics.light import Stream

LARGEST_BER = 0.1
"""Above this a checker cannot tell the pattern from any other bits."""


class Result(NamedTuple):
    """What a measurement found. `sync_lost`: not locked, or not all the time (bit 0 of the bit count, DIAG-13)."""

    errors: int = 0
    bits: int = 0
    sync_lost: bool = False

    @property
    def ratio(self) -> float:
        """Bit error ratio; 0 when nothing was counted."""
        return self.errors / self.bits if self.bits else 0.0


NOTHING = Result()


class _Start(NamedTuple):
    """Where counting began: the instant, the integral of the error ratio then, and the bit rate."""

    at_ns: int
    integral: float
    bit_rate: float


class PatternChecker:
    """The checker of one lane. `changed` is called when its lock changes by itself."""

    __slots__ = (
        "_bench",
        "_bits",
        "_changed",
        "_channel",
        "_clock",
        "_expected",
        "_in_trouble",
        "_lock_ns",
        "_lost",
        "_running",
        "_seed",
        "_since",
        "_wanted",
        "_window",
        "_window_from",
        "lane",
        "latched",
        "locked",
        "shown",
        "side",
    )

    def __init__(
        self,
        bench: Bench,
        clock: Clock,
        side: Side,
        lane: int,
        *,
        lock_ns: int,
        seed: int,
        changed: Callable[[], None],
        in_trouble: Callable[[Trouble], bool],
    ) -> None:
        self._in_trouble = in_trouble
        self.side = side
        self.lane = lane
        self.locked = False
        self.shown = NOTHING  # selectors 01h to 05h
        self.latched = NOTHING  # selectors 11h to 15h: the last gate that was completed
        self._bench = bench
        self._clock = clock
        self._lock_ns = lock_ns
        self._seed = seed
        self._changed = changed
        self._wanted: Stream | None = None
        self._window: Event | None = None  # bit errors are being judged
        self._window_from = (0, 0.0)  # instant and integral
        self._running = False
        self._channel = 0
        self._expected = 0.0
        self._bits = 0.0
        self._lost = False
        self._since: _Start | None = None  # counting from there

    # -- lock --------------------------------------------------------------------------------------

    @property
    def searching(self) -> bool:
        """Hears its pattern but has not locked on it yet."""
        return not self.locked and self._window is not None

    def look(self, wanted: Stream | None) -> None:
        """What it shall find, None when it is off; and what it hears may have changed."""
        if wanted != self._wanted:
            self._drop()
        self._wanted = wanted
        deaf = wanted is None or self._in_trouble(Trouble.NO_LOCK)
        if deaf or self._bench.heard(self.side, self.lane) != wanted:
            self._drop()
        elif self._window is None:
            self._window_from = self._clock.now_ns, self._integral()
            self._window = self._clock.after(self._lock_ns, self._judge)
        if self._since is not None and self._since.bit_rate != self._bench.bit_rate(self.side, self.lane):
            self._close()
            self._open()

    def _drop(self) -> None:
        self._close()
        self._lost |= self.locked
        self.locked = False
        if self._window is not None:
            self._window.cancel()
            self._window = None

    def _judge(self) -> None:
        """The end of a time in which errors were watched: lock, or lose it."""
        self._window = None
        began_ns, before = self._window_from
        ratio = (self._integral() - before) * NS_PER_S / max(1, self._clock.now_ns - began_ns)
        good = ratio <= LARGEST_BER
        if good and self.locked:
            return
        if good:
            self.locked = True
            self._open()
        else:
            self._drop()
        self._changed()

    def _integral(self) -> float:
        return self._bench.measured(self.side, self.lane, self._clock.now_ns)

    # -- counting ------------------------------------------------------------------------------------

    def start(self, channel: int, *, again: bool = False) -> None:
        """A new measurement, with a source of chance of its own. `again`: the next gate of a series."""
        self._channel = channel
        kept = self._in_trouble(Trouble.KEEPS)
        if not kept:
            self._expected = self._bits = 0.0
        self._lost = False
        self._since = None
        self._running = True
        if not again and not kept:
            self.shown = self.latched = NOTHING
        self._open()

    def refresh(self) -> None:
        """Show what was counted up to now (DIAG-11)."""
        expected, bits = self._so_far()
        whole = int(bits)
        errors = min(whole, poisson_count(self._seed, self._channel, expected))
        self.shown = Result(errors, whole, self._lost or not self.locked)

    def finish(self) -> None:
        """The gate is over: its result stays (DIAG-09)."""
        self.refresh()
        self.latched = self.shown
        self._running = False
        self._since = None

    def stop(self) -> None:
        """Switched off: nothing to show but the last gate (DIAG-14)."""
        if self._in_trouble(Trouble.KEEPS):
            self._close()
        self._running = False
        self._since = None
        self.shown = NOTHING

    def clear(self) -> None:
        """Forget all error information (DIAG-10)."""
        if self._in_trouble(Trouble.KEEPS):
            self._close()
            self._running = False
            return
        self.stop()
        self.latched = NOTHING

    def _open(self) -> None:
        """Count from now on, if it measures and has lock."""
        if self._running and self.locked:
            self._since = _Start(self._clock.now_ns, self._integral(), self._bench.bit_rate(self.side, self.lane))

    def _close(self) -> None:
        """What was counted is settled; only changes come here, so that looking at it alters nothing."""
        self._expected, self._bits = self._so_far()
        self._since = None

    def _so_far(self) -> tuple[float, float]:
        """Expected errors, and bits, up to now."""
        if self._since is None:
            return self._expected, self._bits
        began_ns, before, rate = self._since
        errors = rate * max(0.0, self._integral() - before)
        return self._expected + errors, self._bits + rate * (self._clock.now_ns - began_ns) / NS_PER_S
