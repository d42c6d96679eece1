"""What came of a scenario: a timeline of what happened, and a verdict for each expectation. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """One line of the timeline. kind: step, end, strike, host, register, pin, expect, fail."""

    time_ns: int
    kind: str
    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.time_ns / 1e9:12.6f} s  {self.kind:<8} {self.who}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one expectation came out. time_ns: when that was clear."""

    name: str
    line: int
    expected: str
    passed: bool
    time_ns: int
    found: str


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The whole run. transactions: how many the hosts made; digest: a hash over all of them and the timeline."""

    scenario: str
    title: str
    file: str
    seed: int
    duration_ns: int
    events: tuple[ScenarioEvent, ...]
    verdicts: tuple[Verdict, ...]
    failures: tuple[str, ...]
    transactions: int
    digest: str

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, for a result that came over a socket."""
        events = tuple(ScenarioEvent(**event) for event in data["events"])
        verdicts = tuple(Verdict(**verdict) for verdict in data["verdicts"])
        return cls(**{**data, "events": events, "verdicts": verdicts, "failures": tuple(data["failures"])})

    @property
    def passed(self) -> bool:
        """Every expectation was met, and every step that had to happen did."""
        return not self.failures and all(verdict.passed for verdict in self.verdicts)
