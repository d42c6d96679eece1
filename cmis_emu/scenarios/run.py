"""Carries a scenario out: does its steps when their time or their event has come, runs its hosts, and judges.

A run goes from one moment of an agenda to the next: steps, ends of faults, turns of host programs, and looks at
conditions, each `look_ns` apart and after every transaction. `play` does that in a loop of its own, which lets time
pass; `ride` leaves time to others, a test or a clock that runs, and is woken by it. All of it holds the emulator's
lock.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Any

from cmis_emu.bus.tap import Transaction
from cmis_emu.clock import NEVER, NS_PER_MS, NS_PER_S, Clock, Event, ManualClock, seconds
from cmis_emu.errors import CmisEmuError, InputError
from cmis_emu.occasions import Occasions
from cmis_emu.scenarios.action import Call, World
from cmis_emu.scenarios.conditions import Conditions, Progress
from cmis_emu.scenarios.hopes import Hopes
from cmis_emu.scenarios.host import Host, HostFailure, Select
from cmis_emu.scenarios.model import Outcome, Scenario, Step
from cmis_emu.scenarios.result import ScenarioEvent, ScenarioResult
from cmis_emu.scenarios.watch import RegisterWatch

ASIDE_NS = NS_PER_MS
"""A host that an access of somebody else sets off begins so much later: that transfer is over then."""

MOST_LATE_NS = 50 * NS_PER_MS
"""A slow machine's lateness is made up for; the time that a transfer took is not."""


class Run:
    """One run of one scenario on one emulator, which is called world here. Use it once.

    faults: False leaves every fault out and runs only the hosts; an honest scenario then fails.
    hosts: False leaves the scenario's hosts out, since a real one does their work.
    """

    def __init__(
        self, scenario: Scenario, world: World, *, seed: int | None = None, faults: bool = True, hosts: bool = True
    ) -> None:
        missing = [port for port in scenario.ports if port not in world.ports]
        missing += [fibre for fibre in scenario.fibres if fibre not in world.fibres]
        if missing:
            here = ", ".join((*world.ports, *world.fibres))
            raise InputError(f"the names {here}", f"an emulator that has {', '.join(missing)}", file=scenario.file)
        self._scenario = scenario
        self._world = world
        self.seed = next(each for each in (seed, scenario.seed, world.seed) if each is not None)
        self._with_faults = faults
        self._with_hosts = hosts
        self._clock: Clock = world.clock
        self._start_ns = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._started = {step.name: Progress(step) for step in scenario.steps}
        self._events: list[ScenarioEvent] = []
        self._failures: list[str] = []
        wanted = tuple(each for each in scenario.expectations if hosts or not each.host_needed)
        waited = [each for step in scenario.steps for each in (step.trigger.when, step.clear_when) if each is not None]
        self._conditions = Conditions(world, self._started, [*waited, *(each.condition for each in wanted)])
        self._hopes = Hopes(
            wanted,
            scenario.duration_ns,
            self._conditions,
            self._started,
            at=self._at,
            look=self._look,
            told=lambda verdict, text: self._log("expect", verdict.name, text),
        )
        self._transactions = 0
        self._hash = hashlib.sha256()
        self._watches = {name: RegisterWatch(port) for name, port in world.ports.items()}
        self._taps: dict[str, Callable[[Transaction], None]] = {}
        self._looking = False
        self._riding = False
        self._moved_by_us = isinstance(world.clock, ManualClock)
        self._late_ns = 0  # of what is done now, on a clock that runs: it does not add up from moment to moment
        self._wake: Event | None = None
        self.finished = False

    # -- the loop --------------------------------------------------------------------------------------

    def play(self) -> ScenarioResult:
        """From the beginning to the end. Everything that is still armed is cleared then."""
        self.begin()
        return self.to_the_end()

    def ride(self) -> None:
        """Begin, and go on as others let time pass."""
        self._riding = True
        self.begin()
        self._set_alarm()

    def to_the_end(self) -> ScenarioResult:
        """Let the rest of the time pass, after `ride`."""
        self._riding = False
        if self._wake is not None:
            self._wake.cancel()
        try:
            while (wait := self.turn()) is not None:
                self._world.pass_time(wait)
        finally:
            self.end()
        return self.result()

    def _set_alarm(self) -> None:
        """Be woken by the clock for the next moment of the agenda."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._riding and self._agenda and not self.finished:
            self._wake = self._clock.at(self._start_ns + self._agenda[0][0], self._woken)

    def _woken(self) -> None:
        self._wake = None
        self.turn()
        self._set_alarm()

    def begin(self) -> None:
        """Time starts."""
        with self._world.lock:
            self._start_ns = self._clock.sync()
            for name, port in self._world.ports.items():
                self._taps[name] = tap = self._tap_of(name)
                port.target.taps.append(tap)
                self._watches[name].start()
            for started in self._started.values():
                self._plan(started)
            self._at(self._scenario.duration_ns, self._last)
            self._at(0, self._look_again)

    def turn(self) -> int | None:
        """Do what is due; how many ns to let pass until the next moment, or None at the end."""
        with self._world.lock:
            now = self._clock.sync() - self._start_ns
            while not self.finished and self._agenda and self._agenda[0][0] <= now:
                planned, _, call = heapq.heappop(self._agenda)
                self._late_ns = 0 if self._moved_by_us else min(now - planned, MOST_LATE_NS)
                call()
                self._late_ns = 0
                now = self._clock.sync() - self._start_ns
            if self.finished:
                return None
            return self._agenda[0][0] - now if self._agenda else NEVER

    def end(self) -> None:
        """Clear what is armed, and let go of the emulator."""
        with self._world.lock:
            self.finished = True
            for started in self._started.values():
                if started.undo is not None:
                    started.undo()
                    started.undo = None
            for name, tap in self._taps.items():
                self._world.ports[name].target.taps.remove(tap)
            self._taps.clear()

    def result(self) -> ScenarioResult:
        """What came of it."""
        for event in self._events:
            self._hash.update(str(event).encode())
        return ScenarioResult(
            self._scenario.name,
            self._scenario.title,
            self._scenario.file,
            self.seed,
            self._scenario.duration_ns,
            tuple(self._events),
            self._hopes.verdicts(),
            tuple(self._failures),
            self._transactions,
            self._hash.hexdigest(),
        )

    @property
    def _now(self) -> int:
        return self._clock.now_ns - self._start_ns

    def _at(self, time_ns: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time_ns, next(self._serial), call))
        if self._riding and self._wake is not None and time_ns < self._wake.due_ns - self._start_ns:
            self._set_alarm()

    def _last(self) -> None:
        self._look()
        for started in self._started.values():
            trigger = started.step.trigger
            if started.asked_ns is None and trigger.when is not None and trigger.within_ns is not None:
                self._fail(started.step.name, f"{trigger.when} has not come to the end")
        self._hopes.close(self._now)
        self.finished = True

    def _log(self, kind: str, who: str, text: str) -> None:
        self._events.append(ScenarioEvent(self._now, kind, who, text))

    def _fail(self, who: str, text: str) -> None:
        self._failures.append(f"{who}: {text}")
        self._log("fail", who, text)

    # -- steps -----------------------------------------------------------------------------------------

    def _left_out(self, step: Step) -> bool:
        return not (self._with_faults if step.action is not None else self._with_hosts)

    def _plan(self, started: Progress) -> None:
        trigger = started.step.trigger
        if trigger.when is None:
            started.asked_ns = trigger.at_ns
            self._at(trigger.at_ns + trigger.delay_ns, lambda: self._do(started))
        elif trigger.within_ns is not None:
            self._at(trigger.within_ns, lambda: self._late(started))

    def _late(self, started: Progress) -> None:
        if started.asked_ns is None and not self._left_out(started.step):
            self._fail(started.step.name, f"{started.step.trigger.when} has not come in time")
            started.asked_ns = self._now  # it is not waited for any longer

    def _do(self, started: Progress) -> None:
        """It is time for a step; and for its next time, if there is one."""
        step = started.step
        started.times += 1
        trigger = step.trigger
        if trigger.period_ns is not None and started.times < trigger.times:
            self._at(self._now - self._late_ns + trigger.period_ns, lambda: self._do(started))
        if self._left_out(step):
            return
        self._log("step", step.name, f"{step.title}{_shown(step.arguments)}")
        if step.program is not None:
            self._start_host(started)
        else:
            self._arm(started)
        if started.done_ns is None:
            started.done_ns = self._now
        self._look()

    def _arm(self, started: Progress) -> None:
        step = started.step
        assert step.action is not None
        if started.undo is not None:
            started.undo()
            started.undo = None
        channel = 1_000_000 + 1000 * list(self._started).index(step.name) + started.times
        occasions = Occasions(self.seed, channel, step.skip, step.every, step.count, step.probability)
        occasions.on_taken = lambda: self._log("strike", step.name, step.title)
        started.occasions.append(occasions)
        try:
            undo = step.action.arm(Call(self._world, step.arguments, occasions))
        except CmisEmuError as error:
            self._fail(step.name, str(error))
            return
        if step.action.lasting:
            started.undo = undo
            started.armed_ns = self._now
            if step.duration_ns is not None:
                number = started.times
                self._at(self._now - self._late_ns + step.duration_ns, lambda: self._undo(started, number))

    def _undo(self, started: Progress, number: int) -> None:
        if started.undo is None or started.times != number:
            return  # armed anew meanwhile, or cleared
        self._clear(started)
        self._look()

    def _clear(self, started: Progress) -> None:
        assert started.undo is not None
        started.undo()
        started.undo = None
        self._log("end", started.step.name, started.step.title)

    # -- hosts -----------------------------------------------------------------------------------------

    def _start_host(self, started: Progress) -> None:
        step = started.step
        assert step.program is not None
        given = step.arguments
        host = Host(
            self._world.smbus_of(given["port"]),
            lambda: self._clock.now_ns / NS_PER_S,
            self._world.ports[given["port"]].pins,
            patience_s=given.get("patience", 0.0),
            select=Select(given.get("select", Select.ALWAYS.value)),
        )
        started.outcome, started.said = None, ""
        work = step.program.start(host, given)
        # Not here and now: it may be another host's access that set this off, which must not be divided.
        self._at(self._now + (ASIDE_NS if self._riding else 0), lambda: self._go_on(started, work))

    def _go_on(self, started: Progress, work: Generator[float, None, str | None]) -> None:
        try:
            wait_s = next(work)
        except StopIteration as end:
            self._host_ended(started, Outcome.DONE, end.value or "")
        except HostFailure as error:
            self._host_ended(started, Outcome.FAILED, str(error))
        else:
            self._at(self._now - self._late_ns + max(1, seconds(wait_s)), lambda: self._go_on(started, work))

    def _host_ended(self, started: Progress, outcome: Outcome, text: str) -> None:
        started.outcome, started.said = outcome, text
        self._log("host", started.step.name, f"{outcome.value}, {text}" if text else outcome.value)
        self._look()

    # -- what hosts do ---------------------------------------------------------------------------------

    def _tap_of(self, name: str) -> Callable[[Transaction], None]:
        def tap(done: Transaction) -> None:
            self._transaction(name, done)

        return tap

    def _transaction(self, name: str, done: Transaction) -> None:
        self._transactions += 1
        self._hash.update(repr((name, done)).encode())
        self._conditions.happened(name, done, self._now)
        if not done.read or done.error is not None:
            self._log("access", name, str(done))
        self._look()

    # -- looking ------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        self._look()
        self._at(self._now + self._scenario.look_ns, self._look_again)

    def _look(self) -> None:
        """Judge every condition that something waits for. What that sets off is looked at again, here."""
        if self._looking or self.finished:
            return
        self._looking = True
        try:
            for name, watch in self._watches.items():
                for change in watch.changes():
                    self._log("register", name, change)
            for started in self._started.values():
                ends = started.step.clear_when
                if ends is not None and started.undo is not None and self._conditions.holds(ends, started.armed_ns):
                    self._clear(started)
                when = started.step.trigger.when
                if started.asked_ns is None and when is not None and self._conditions.holds(when):
                    started.asked_ns = self._now
                    delay_ns = started.step.trigger.delay_ns
                    if delay_ns:
                        self._at(self._now + delay_ns, lambda started=started: self._do(started))  # type: ignore[misc]
                    else:
                        self._looking = False
                        self._do(started)
                        self._looking = True
            self._hopes.judge(self._now)
        finally:
            self._looking = False


def _shown(arguments: Any) -> str:
    said = ", ".join(f"{key}={value}" for key, value in arguments.items() if value is not None)
    return f" ({said})" if said else ""
