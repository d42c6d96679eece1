"""The one source of time: integer nanoseconds, one scheduler, two clocks.

Everything that takes time in the emulator (state durations, hold-offs, flag latencies, physics) asks a
`Clock`. A `ManualClock` moves only when told (tests, batch runs). A `ScaledClock` follows the machine's
monotonic clock, multiplied by a speed, and owns a thread that sleeps until the next due event, so that an
interrupt comes with nobody polling. Neither knows what it times.

Invariants: time never runs backwards; events run one by one in order of due time (ties in order of
creation); while an event runs, `now_ns` is the time it was due, however late it is looked at, so chained
timers do not drift.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from cmis_emu.errors import InputError

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000

NEVER: int = 1 << 62
"""A due time that never comes (146 years)."""


def seconds(value: float) -> int:
    """Nanoseconds, rounded, of a duration in seconds."""
    return round(value * NS_PER_S)


class Event:
    """One scheduled call. Keep it to cancel it."""

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None] | None) -> None:
        self.due_ns = due_ns
        self.callback = callback

    @property
    def pending(self) -> bool:
        """True until the event has run or was cancelled."""
        return self.callback is not None

    def cancel(self) -> None:
        """Forget the call. The entry stays in the heap until its time or a tidying; that is cheap and safe."""
        self.callback = None


_LOG = logging.getLogger(__name__)

_CROWD = 64  # a heap smaller than this is never tidied


class Clock:
    """Time and the scheduler. Use a subclass; callers hold the emulator's lock, save for `advance`."""

    def __init__(self) -> None:
        self._now = 0
        self._heap: list[tuple[int, int, Event]] = []
        self._serial = 0
        self._running = False
        self._crowded = _CROWD
        self._lock: AbstractContextManager[object] = nullcontext()
        self.next_due_ns = NEVER

    def share(self, lock: threading.RLock) -> None:
        """Take `lock` while time is advanced: other threads use what the events touch under it."""
        self._lock = lock

    @property
    def now_ns(self) -> int:
        """Current time in ns: inside an event, the time at which that event was due."""
        return self._now

    @property
    def now(self) -> float:
        """Current time in seconds."""
        return self.now_ns / NS_PER_S

    def at(self, due_ns: int, callback: Callable[[], None]) -> Event:
        """Call `callback` at `due_ns`; a time in the past is due at once, at the next `sync`."""
        event = Event(max(due_ns, self._now), callback)
        self._serial += 1
        heapq.heappush(self._heap, (event.due_ns, self._serial, event))
        if len(self._heap) > self._crowded:
            self._tidy()
        if event.due_ns < self.next_due_ns:
            self.next_due_ns = event.due_ns
            self._earlier()
        return event

    def after(self, delay_ns: int, callback: Callable[[], None]) -> Event:
        """Call `callback` after `delay_ns`."""
        return self.at(self.now_ns + delay_ns, callback)

    def _tidy(self) -> None:
        """Drop cancelled events, which else stay until their time, and far ones may be many."""
        self._heap[:] = self.pending()
        heapq.heapify(self._heap)
        self._crowded = max(_CROWD, 2 * len(self._heap))

    def sync(self) -> int:
        """Bring time up to date, run what is due, and return the time in ns."""
        return self._now

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass at once, running what falls due on the way. Raises InputError when negative."""
        self.advance_ns(seconds(duration_s))

    def advance_ns(self, duration_ns: int) -> None:
        """As `advance`, in integer nanoseconds."""
        raise NotImplementedError(f"{type(self).__name__} cannot be advanced")

    def wait(self, duration_ns: int, until: Callable[[], bool] | None = None) -> None:
        """Stay here, inside whatever is under way, while `duration_ns` pass: a transfer that a module holds up.

        Ends early once `until` is true; what makes it true calls `wake`. Callers hold the lock once or several
        times over; where time passes by itself it is free meanwhile, so that others go on. From inside an event,
        for which time stands still, it returns at once.
        """

    def wake(self) -> None:
        """Let those who wait look at their `until` again."""

    def _earlier(self) -> None:
        """Hook: the next due time moved closer."""

    def _run_until(self, target_ns: int) -> None:
        """Run every event due up to `target_ns` and leave the time there. Not re-entrant by design."""
        if self._running:
            return
        self._running = True
        heap = self._heap
        try:
            while heap and heap[0][0] <= target_ns:
                due, _, event = heapq.heappop(heap)
                callback = event.callback
                if callback is None:
                    continue
                event.callback = None
                self._now = max(self._now, due)
                callback()
        finally:
            self._running = False
            while heap and heap[0][2].callback is None:
                heapq.heappop(heap)
            self.next_due_ns = heap[0][0] if heap else NEVER
        self._now = max(self._now, target_ns)

    def pending(self) -> list[tuple[int, int, Event]]:
        """Events that wait, as (due, serial, event): what a snapshot keeps."""
        return [entry for entry in self._heap if entry[2].pending]

    def restore(self, now_ns: int, pending: list[tuple[int, int, Event]]) -> None:
        """Go back to a time and its waiting events."""
        self._now = now_ns
        self._heap[:] = pending
        heapq.heapify(self._heap)
        self.next_due_ns = self._heap[0][0] if self._heap else NEVER

    def close(self) -> None:
        """Forget every event."""
        self._heap.clear()
        self.next_due_ns = NEVER


class ManualClock(Clock):
    """Time that moves only by `advance`. The clock of every test."""

    def advance_ns(self, duration_ns: int) -> None:
        if duration_ns < 0:
            raise InputError(f"{duration_ns} ns", "a duration of 0 or more")
        with self._lock:
            self._run_until(self._now + duration_ns)

    def wait(self, duration_ns: int, until: Callable[[], bool] | None = None) -> None:
        """As described in `Clock`: simulated time moves on by as much, event by event."""
        if self._running:
            return
        end = self._now + duration_ns
        while not (until is not None and until()):
            if self.next_due_ns > end:
                self._run_until(end)
                return
            self._run_until(self.next_due_ns)

    def sync(self) -> int:
        if self.next_due_ns <= self._now and not self._running:
            self._run_until(self._now)
        return self._now


class ScaledClock(Clock):
    """The machine's monotonic time multiplied by `speed`, from 0 at creation.

    `start` gives it a thread that runs due events under `lock`; without it, events run at the next `sync`.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not 0 < speed <= 1e6:
            raise InputError(str(speed), "more than 0 and at most 1e6", field="speed")
        super().__init__()
        self.speed = speed
        self._origin = time.monotonic_ns()
        self._offset = 0
        self._wake: threading.Condition | None = None
        self._shared: threading.RLock | None = None
        self._pause: threading.Condition | None = None  # of those who wait
        self._thread: threading.Thread | None = None
        self._stop = False

    @property
    def now_ns(self) -> int:
        return self._now if self._running else max(self._now, self._source_ns())

    def _source_ns(self) -> int:
        elapsed = time.monotonic_ns() - self._origin
        return self._offset + (elapsed if self.speed == 1.0 else int(elapsed * self.speed))

    def sync(self) -> int:
        if self._running:
            return self._now
        elapsed = time.monotonic_ns() - self._origin  # as `_source_ns`, without the call: every access comes here
        now = self._offset + (elapsed if self.speed == 1.0 else int(elapsed * self.speed))
        if now >= self.next_due_ns:
            self._run_until(now)
        elif now > self._now:
            self._now = now
        return self._now

    def share(self, lock: threading.RLock) -> None:
        super().share(lock)
        self._shared = lock

    def wait(self, duration_ns: int, until: Callable[[], bool] | None = None) -> None:
        """As described in `Clock`: the caller sleeps, and the lock is free meanwhile."""
        if self._running:
            return
        end = self._source_ns() + duration_ns
        if self._pause is None:
            self._pause = threading.Condition(self._shared)
        with self._pause:  # the shared lock, which the caller has
            while not self._stop and not (until is not None and until()):
                left_s = (end - self._source_ns()) / (self.speed * NS_PER_S)
                if left_s <= 0:
                    break
                self._pause.wait(min(left_s, threading.TIMEOUT_MAX))
            self._pause.notify_all()  # who waited for this one to be over looks again when the lock is free
        self.sync()

    def wake(self) -> None:
        if self._pause is not None:
            with self._pause:
                self._pause.notify_all()

    def advance_ns(self, duration_ns: int) -> None:
        if duration_ns < 0:
            raise InputError(f"{duration_ns} ns", "a duration of 0 or more")
        with self._lock:
            self._offset += duration_ns
            self.sync()
            if self._wake is not None:
                self._wake.notify()  # it waits for a moment of the old time
            self.wake()

    def start(self, lock: threading.RLock) -> None:
        """Run due events in a daemon thread, each under `lock`, until `close`."""
        self.share(lock)
        self._wake = threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="cmis-emu-clock", daemon=True)
        self._thread.start()

    def _earlier(self) -> None:
        if self._wake is not None and not self._running:
            self._wake.notify()

    def _run(self) -> None:
        wake = self._wake
        assert wake is not None
        with wake:
            while not self._stop:
                try:
                    self.sync()
                except Exception:
                    _LOG.exception("an event failed")  # and the others still come
                if self.next_due_ns == NEVER:
                    wake.wait()
                else:
                    wait_s = (self.next_due_ns - self._source_ns()) / (self.speed * NS_PER_S)
                    if wait_s > 0:
                        wake.wait(min(wait_s, threading.TIMEOUT_MAX))

    def close(self) -> None:
        wake, thread = self._wake, self._thread
        self._stop = True
        if wake is not None:
            with wake:
                wake.notify_all()
        self.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        super().close()
