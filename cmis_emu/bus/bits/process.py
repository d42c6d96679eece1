"""Parties that act on the wires at the same time, each written as what it does one after the other.

A party is a generator: it yields how many ns to wait, or an `Until` for a level of a line, and goes on from there.
Nothing waits for real.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from cmis_emu.bus.bits.wires import Wire
from cmis_emu.bus.errors import BusError
from cmis_emu.clock import NEVER, Event, ManualClock


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until a line has a level, at most so long; what comes back tells whether it has it."""

    wire: Wire
    level: bool
    timeout_ns: int = NEVER


T = TypeVar("T")
Steps = Generator[int | Until, bool, T]
"""What a party does; T is what it comes to."""


class Process(Generic[T]):
    """One party at work. It begins at the clock's present time, once that runs."""

    def __init__(self, clock: ManualClock, steps: Steps[T]) -> None:
        self._clock = clock
        self._steps = steps
        self._timer: Event | None = None
        self._until: Until | None = None
        self._call = self._met  # one object, to be found again
        self.done = False
        self.error: BaseException | None = None
        self._result: T | None = None
        clock.after(0, lambda: self._go_on(None))

    @property
    def result(self) -> T:
        """What it came to. Raises what it raised."""
        if self.error is not None:
            raise self.error
        assert self.done
        return self._result  # type: ignore[return-value]

    def _resume(self) -> None:
        self._go_on(True)

    def _met(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        until, self._until = self._until, None
        if until is None:
            return  # it timed out in the same moment
        if until.wire.level is until.level:
            self._go_on(True)
        else:
            self._wait(until)  # a spike: it is gone again

    def _timed_out(self) -> None:
        until, self._until = self._until, None
        assert until is not None
        self._timer = None
        until.wire.forget(self._call)
        self._go_on(until.wire.level is until.level)

    def _go_on(self, answer: bool | None) -> None:
        clock = self._clock
        try:
            while True:
                step = next(self._steps) if answer is None else self._steps.send(answer)
                if isinstance(step, int):
                    clock.after(step, self._resume)
                    return
                if step.wire.level is not step.level:
                    self._wait(step)
                    return
                answer = True
        except StopIteration as end:
            self.done = True
            self._result = end.value
        except BaseException as error:
            self.done = True
            self.error = error

    def _wait(self, until: Until) -> None:
        self._until = until
        until.wire.when(until.level, self._call)
        if until.timeout_ns < NEVER:
            self._timer = self._clock.after(until.timeout_ns, self._timed_out)


def run(clock: ManualClock, steps: Steps[T]) -> T:
    """Let time pass until a party has done what it does. Raises what it raises, BusError when it waits for ever."""
    process = Process(clock, steps)
    finish(clock, process)
    return process.result


def finish(clock: ManualClock, *processes: Process[T]) -> None:
    """Let time pass until all of them are done. Raises BusError when one waits for what never comes."""
    for process in processes:
        while not process.done:
            if clock.next_due_ns == NEVER:
                raise BusError(errno.ETIMEDOUT)
            clock.advance_ns(clock.next_due_ns - clock.now_ns)
