"""The one source of time: order, due times, drift, cancelling, and a real-time clock that needs no polling."""

from __future__ import annotations

import threading

import pytest

from cmis_emu import Emulator, ManualClock, ScaledClock
from cmis_emu.clock import NEVER, NS_PER_MS, seconds

SOON_S = 30.0  # how long a test waits for another thread before it fails


def test_events_run_in_order_of_due_time_then_of_creation() -> None:
    clock, ran = ManualClock(), []
    for name, due in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20), ("b3", 20)):
        clock.at(due, lambda name=name: ran.append((name, clock.now_ns)))  # type: ignore[misc]
    clock.advance_ns(25)
    assert ran == [("a", 10), ("b1", 20), ("b2", 20), ("b3", 20)]
    assert clock.now_ns == 25
    clock.advance_ns(5)
    assert ran[4:] == [("c", 30)]


def test_a_chain_of_timers_does_not_drift() -> None:
    clock, ticks = ManualClock(), []

    def tick() -> None:
        ticks.append(clock.now_ns)
        clock.after(7 * NS_PER_MS, tick)

    clock.after(7 * NS_PER_MS, tick)
    clock.advance(1.0)
    assert ticks == [7 * NS_PER_MS * n for n in range(1, 143)]
    assert clock.now_ns == 1_000_000_000


def test_an_event_may_add_one_for_the_same_instant_or_the_past() -> None:
    clock, ran = ManualClock(), []

    def first() -> None:
        clock.after(0, lambda: ran.append(("same", clock.now_ns)))
        clock.at(3, lambda: ran.append(("past", clock.now_ns)))

    clock.at(10, first)
    clock.at(10, lambda: ran.append(("second", clock.now_ns)))
    clock.advance_ns(10)
    assert ran == [("second", 10), ("same", 10), ("past", 10)]


def test_past_events_are_due_at_the_next_sync() -> None:
    clock, ran = ManualClock(), []
    clock.advance_ns(100)
    clock.at(5, lambda: ran.append(clock.now_ns))
    assert ran == []
    assert clock.sync() == 100
    assert ran == [100]


def test_cancelled_events_do_not_run() -> None:
    clock, ran = ManualClock(), []
    kept = clock.after(10, lambda: ran.append("kept"))
    gone = clock.after(10, lambda: ran.append("gone"))
    late = clock.after(20, lambda: ran.append("late"))
    clock.after(15, late.cancel)
    assert gone.pending
    gone.cancel()
    gone.cancel()
    assert not gone.pending
    clock.advance_ns(100)
    assert ran == ["kept"]
    assert not kept.pending
    kept.cancel()
    assert clock.next_due_ns == NEVER


def test_cancelled_events_do_not_pile_up() -> None:
    clock = ManualClock()
    for _ in range(10_000):
        clock.after(seconds(3600), lambda: None).cancel()
    kept = [clock.after(n + 1, lambda: None) for n in range(10)]
    assert len(clock._heap) < 200
    assert len(clock.pending()) == 10
    clock.advance_ns(10)
    assert not any(event.pending for event in kept)


def test_a_failing_event_leaves_the_clock_usable() -> None:
    clock, ran = ManualClock(), []

    def fails() -> None:
        raise ZeroDivisionError

    clock.after(10, fails)
    clock.after(20, lambda: ran.append(clock.now_ns))
    with pytest.raises(ZeroDivisionError):
        clock.advance_ns(15)
    clock.advance_ns(15)
    assert ran == [20]


def test_advance_inside_an_event_does_not_nest() -> None:
    clock, ran = ManualClock(), []
    clock.after(10, lambda: clock.advance_ns(1000))
    clock.after(20, lambda: ran.append(clock.now_ns))
    clock.advance_ns(15)
    assert (clock.now_ns, ran) == (15, [])


@pytest.mark.parametrize("clock", [ManualClock(), ScaledClock()], ids=["manual", "scaled"])
def test_time_does_not_run_backwards(clock: ManualClock | ScaledClock) -> None:
    with pytest.raises(ValueError, match="expected a duration of 0 or more"):
        clock.advance(-1e-3)
    before = clock.now_ns
    clock.advance(0)
    assert clock.now_ns >= before


def test_seconds_and_nanoseconds() -> None:
    clock = ManualClock()
    clock.advance(0.1)
    clock.advance(0.2)
    assert clock.now_ns == 300_000_000
    assert clock.now == 0.3


@pytest.mark.parametrize("speed", [0, -1, 2e6, float("nan"), float("inf")])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        ScaledClock(speed)


# -- real time -------------------------------------------------------------------------------------------------


def test_a_scaled_clock_runs_events_with_nobody_polling() -> None:
    clock, lock, done, seen = ScaledClock(speed=100.0), threading.RLock(), threading.Event(), []

    def second() -> None:
        seen.append(clock.now_ns)
        done.set()

    def first() -> None:
        seen.append(clock.now_ns)
        clock.after(seconds(0.25), second)

    clock.start(lock)
    try:
        with lock:
            start = clock.sync()
            clock.at(start + seconds(0.5), first)
        assert done.wait(SOON_S)
        assert seen == [start + seconds(0.5), start + seconds(0.75)]
    finally:
        clock.close()


def test_an_earlier_event_wakes_the_thread() -> None:
    clock, lock, done = ScaledClock(), threading.RLock(), threading.Event()
    clock.start(lock)
    try:
        with lock:
            clock.after(seconds(3600), lambda: None)
        with lock:
            clock.after(NS_PER_MS, done.set)
        assert done.wait(SOON_S)
    finally:
        clock.close()


def test_a_failing_event_does_not_stop_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    clock, lock, done = ScaledClock(), threading.RLock(), threading.Event()

    def fails() -> None:
        raise RuntimeError("a mistake of ours")

    clock.start(lock)
    try:
        with lock:
            clock.after(1, fails)
            clock.after(NS_PER_MS, done.set)
        assert done.wait(SOON_S)
        assert "a mistake of ours" in caplog.text
    finally:
        clock.close()


def when_asleep(clock: ScaledClock) -> tuple[threading.Event, list[float | None]]:
    """An event that is set when the clock's thread goes to sleep from now on, and how long it means to."""
    wake, asleep, waits = clock._wake, threading.Event(), []
    assert wake is not None
    wait = wake.wait

    def recorded(timeout: float | None = None) -> bool:
        waits.append(timeout)
        asleep.set()
        return wait(timeout)

    wake.wait = recorded  # type: ignore[method-assign]
    return asleep, waits


def test_advance_of_a_running_clock_wakes_the_thread() -> None:
    clock, lock, done = ScaledClock(), threading.RLock(), threading.Event()
    clock.start(lock)
    try:
        with lock:
            asleep, waits = when_asleep(clock)
            clock.after(seconds(3600), lambda: clock.after(NS_PER_MS, done.set))
        while not waits or waits[-1] is None:
            assert asleep.wait(SOON_S)
        with lock:  # so it has let go of the lock and sleeps
            pass
        clock.advance(3600.0)  # the thread waits for a moment an hour away; what comes now is due in 1 ms
        assert done.wait(SOON_S)
    finally:
        clock.close()


class Held:
    """A lock that knows whether it is held."""

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


@pytest.mark.parametrize("clock", [ManualClock(), ScaledClock()], ids=["manual", "scaled"])
def test_advance_takes_the_emulators_lock(clock: ManualClock | ScaledClock) -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=clock) as emu:
        assert clock._lock is emu.lock  # servers use the modules under it, from threads of their own
    lock, seen = Held(), []
    bare = type(clock)()
    bare.share(lock)  # type: ignore[arg-type]
    bare.after(10, lambda: seen.append(lock.depth))
    bare.advance(1.0)
    assert seen == [1]


def test_a_clock_without_due_events_sleeps() -> None:
    clock, lock = ScaledClock(), threading.RLock()
    clock.start(lock)
    try:
        with lock:
            asleep, waits = when_asleep(clock)
            clock.after(seconds(3600), lambda: None)
        assert asleep.wait(SOON_S)
        with lock:
            assert waits in ([pytest.approx(3600, abs=SOON_S)], [None, pytest.approx(3600, abs=SOON_S)])
    finally:
        clock.close()


def test_time_goes_on_without_a_thread() -> None:
    clock, ran = ScaledClock(speed=1e6), []
    event = clock.after(seconds(1), lambda: ran.append(clock.now_ns))
    while not ran:
        clock.sync()
    assert ran == [event.due_ns]
    assert clock.now_ns >= ran[0]


def test_close_from_an_event_and_twice() -> None:
    clock, lock, done = ScaledClock(), threading.RLock(), threading.Event()
    clock.start(lock)

    def end() -> None:
        clock.close()
        done.set()

    with lock:
        clock.after(1, end)
    assert done.wait(SOON_S)
    clock.close()
    assert clock.pending() == []


def test_a_module_at_rest_has_no_events() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(3600)
        before = emu.clock._serial
        emu.clock.advance(36000)
        assert emu.clock._serial - before < 10


def test_a_manual_clock_waits_event_by_event() -> None:
    clock = ManualClock()
    told: list[int] = []
    for due in (10, 20, 30):
        clock.at(due, lambda: told.append(clock.now_ns))
    clock.wait(25)
    assert (clock.now_ns, told) == (25, [10, 20])
    clock.at(40, lambda: told.append(40))
    clock.wait(100, lambda: 30 in told)
    assert (clock.now_ns, told) == (30, [10, 20, 30])
    clock.wait(100, lambda: True)
    assert clock.now_ns == 30


def test_a_wait_inside_an_event_is_over_at_once() -> None:
    clock = ManualClock()
    told: list[int] = []

    def event() -> None:
        clock.wait(50)
        told.append(clock.now_ns)

    clock.at(10, event)
    clock.advance_ns(20)
    assert (told, clock.now_ns) == ([10], 20)


def test_a_scaled_clock_lets_the_lock_go_while_it_waits() -> None:
    clock, lock, entered = ScaledClock(), threading.RLock(), threading.Event()
    clock.share(lock)
    done: list[bool] = []

    def waits() -> None:
        with lock, lock:  # however often it is held
            entered.set()
            clock.wait(10**15, lambda: bool(done))
            done.append(True)

    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    assert entered.wait(30)
    with lock:  # not before the other has let it go
        assert done == []
        done.append(False)
        clock.wake()
    thread.join(30)
    assert done == [False, True]


def test_a_scaled_clock_without_a_lock_waits_too() -> None:
    clock = ScaledClock(speed=1e6)
    told: list[int] = []
    clock.after(1_000_000, lambda: told.append(1))
    clock.wait(2_000_000)
    assert told == [1]
    assert clock.now_ns >= 2_000_000
