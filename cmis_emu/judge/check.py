"""What a check is and what it may say: levels, verdicts, outcomes.

A check is a generator over a session that yields outcomes, each naming the rule it judges. It knows no bus,
no report and no module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmis_emu.judge.session import Session


class Level(IntEnum):
    """How far a check may go. Each level includes those below it."""

    READ_ONLY = 0  # writes nothing but page selects; reads clear flags, as any read of them does (FLG-01)
    SAFE = 1  # restores what it changes; no service is disturbed
    FULL = 2  # resets, cycles power states, applies applications

    @property
    def label(self) -> str:
        """The word of the command line."""
        return self.name.lower().replace("_", "-")


class Area(Enum):
    """Groups of checks, in the order of the report."""

    ACCESS = "bus and register access"
    PAGES = "pages and banks"
    IDENTITY = "identity and advertisement"
    APPLICATIONS = "applications and lanes"
    STATES = "states and control sets"
    FLAGS = "flags, masks and interrupt"
    MONITORS = "monitors and thresholds"
    VDM = "versatile diagnostics monitoring"
    CDB = "command data block"
    DIAGNOSTICS = "diagnostics"
    TUNING = "tunable lasers"
    RESET = "reset and module states"
    DATA_PATHS = "data paths walked"


class Verdict(Enum):
    """What became of one demand of one rule."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One demand judged.

    subject: what it was judged on ('page 01h', 'lane 3'). found, demanded, data: of a failure, what was read,
    what the rule demands, the bytes. why: of one that does not apply. note: something odd that no rule forbids.
    """

    verdict: Verdict
    rule: str
    subject: str
    found: str = ""
    demanded: str = ""
    data: str = ""
    why: str = ""
    note: str = ""


def passed(rule: str, subject: str, note: str = "") -> Outcome:
    """The rule holds on `subject`."""
    return Outcome(Verdict.PASS, rule, subject, note=note)


def failed(rule: str, subject: str, found: str, demanded: str, data: bytes | str = "") -> Outcome:
    """The rule is broken. `data`: the bytes that show it, or text such as '11h:128 = 44 44'."""
    text = data if isinstance(data, str) else data.hex(" ")
    return Outcome(Verdict.FAIL, rule, subject, found, demanded, text)


def not_applicable(rule: str, subject: str, why: str) -> Outcome:
    """The rule demands nothing here."""
    return Outcome(Verdict.NOT_APPLICABLE, rule, subject, why=why)


def judged(
    good: bool, rule: str, subject: str, found: str, demanded: str, data: bytes | str = "", note: str = ""
) -> Outcome:
    """A pass or a failure, as `good` says."""
    return passed(rule, subject, note) if good else failed(rule, subject, found, demanded, data)


class AbsentError(Exception):
    """What a check wants to read is not there; the text says why. It makes the check not applicable."""


Run = Callable[["Session"], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `live`: it needs a module that answers, not an image of one."""

    name: str
    area: Area
    level: Level
    rules: tuple[str, ...]
    title: str
    run: Run
    live: bool = False


def check(
    name: str, area: Area, rules: str | Sequence[str], title: str, level: Level = Level.READ_ONLY, *, live: bool = False
) -> Callable[[Run], Check]:
    """Decorator: makes a Check of a generator function."""

    def make(run: Run) -> Check:
        numbers = tuple(rules.split()) if isinstance(rules, str) else tuple(rules)
        return Check(name, area, level, numbers, title, run, live or level > Level.READ_ONLY)

    return make
