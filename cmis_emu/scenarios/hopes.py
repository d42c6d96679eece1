"""Judges what a scenario expects, while it runs and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cmis_emu.scenarios.conditions import Conditions, Progress
from cmis_emu.scenarios.model import Expectation, Mode
from cmis_emu.scenarios.result import Verdict

At = Callable[[int, Callable[[], None]], None]


@dataclass(slots=True)
class _Hope:
    """An expectation under way. alarmed: a look at the end of its window is planned."""

    expectation: Expectation
    verdict: Verdict | None = None
    alarmed: bool = False


class Hopes:
    """The expectations of one run, in order. Times count in ns from its start.

    at: calls a function at a time. look: has all conditions looked at. told: hears of each verdict.
    """

    def __init__(
        self,
        expectations: tuple[Expectation, ...],
        end_ns: int,
        conditions: Conditions,
        steps: Mapping[str, Progress],
        *,
        at: At,
        look: Callable[[], None],
        told: Callable[[Verdict, str], None],
    ) -> None:
        self._hopes = [_Hope(expectation) for expectation in expectations]
        self._end_ns = end_ns
        self._conditions = conditions
        self._steps = steps
        self._at = at
        self._look = look
        self._told = told

    def judge(self, now_ns: int) -> None:
        """Look at all that is open."""
        for hope in self._hopes:
            if hope.verdict is None:
                self._judge(hope, now_ns)

    def close(self, now_ns: int) -> None:
        """The scenario is over."""
        for hope in self._hopes:
            self._close(hope, now_ns)

    def verdicts(self) -> tuple[Verdict, ...]:
        """Those that are known."""
        return tuple(hope.verdict for hope in self._hopes if hope.verdict is not None)

    def _base(self, hope: _Hope) -> int | None:
        """From when an expectation counts; None while its step has not been done."""
        after = hope.expectation.after
        return 0 if after is None else self._steps[after].done_ns

    def _judge(self, hope: _Hope, now: int) -> None:
        base = self._base(hope)
        if base is None:
            return
        want, condition = hope.expectation, hope.expectation.condition
        start = base + want.from_ns
        end = self._end_ns if want.until_ns is None else base + want.until_ns
        for moment in (start, end):
            if not hope.alarmed and moment > now:
                self._at(moment, self._look)
        hope.alarmed = True
        if want.mode is Mode.AT:
            if now >= end:
                self._decide(hope, self._conditions.holds(condition), now, start)
        elif now > end:
            self._close(hope, now)
        elif now >= start:
            holds = self._conditions.holds(condition, start)
            if want.mode is Mode.ALWAYS:
                if not holds:
                    self._decide(hope, False, now, start)
            elif holds:
                self._decide(hope, want.mode is Mode.ONCE, now, start)

    def _close(self, hope: _Hope, now: int) -> None:
        """Its time is over: what did not happen has not."""
        if hope.verdict is not None:
            return
        want, base = hope.expectation, self._base(hope)
        if base is None:
            self._decide(hope, False, now, 0, f"step {want.after} was never done")
        elif want.mode is Mode.AT:
            self._decide(hope, self._conditions.holds(want.condition), now, base)
        else:
            self._decide(hope, want.mode is not Mode.ONCE, now, base + want.from_ns)

    def _decide(self, hope: _Hope, passed: bool, now: int, since: int, found: str | None = None) -> None:
        want = hope.expectation
        found = self._conditions.found(want.condition, since) if found is None else found
        hope.verdict = Verdict(want.name, want.line, str(want), passed, now, found)
        self._told(hope.verdict, f"{'met' if passed else 'FAILED'}: {want} (found {found})")
