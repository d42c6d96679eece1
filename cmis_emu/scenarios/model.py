"""A scenario as plain data, checked: what it needs, its steps, and what it expects. Times in ns from its start.

`reader.py` makes it from YAML, `run.py` carries it out. Nothing here knows files or emulators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cmis_emu.clock import NS_PER_MS
from cmis_emu.scenarios.action import Action
from cmis_emu.scenarios.host import Program
from cmis_emu.testbed import Testbed

LOOK_NS = 10 * NS_PER_MS
"""How often conditions are looked at when nothing else happens; values that drift are seen so late at most."""


class Begin(Enum):
    """In what state the modules are when time starts."""

    SETTLED = "settled"  # plugged in long ago, at rest
    INSERTED = "inserted"  # plugged in at this moment


class Which(Enum):
    """Of which lanes a condition must hold."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a value is judged. `low` and `high` are exclusive bounds; else it must (not) equal `value`."""

    text: str
    value: Any = None
    low: float | None = None
    high: float | None = None
    negated: bool = False

    def holds(self, found: Any) -> bool:
        """Does a value pass?"""
        if self.low is None and self.high is None:
            return bool(found == self.value) is not self.negated
        if not isinstance(found, (int, float)):
            return False
        return (self.low is None or found > self.low) and (self.high is None or found < self.high)


@dataclass(frozen=True, slots=True)
class FieldCondition:
    """A field of a module has a value, as a host would read it. lanes: numbers, or how many of all lanes."""

    port: str
    field: str
    comparison: Comparison
    lanes: tuple[int, ...] | Which | None = None
    bank: int = 0

    def __str__(self) -> str:
        lanes = "" if self.lanes is None else f" lanes {_lanes(self.lanes)}"
        return f"{self.port}: {self.field}{lanes} {self.comparison.text}"


def _lanes(lanes: tuple[int, ...] | Which) -> str:
    return lanes.value if isinstance(lanes, Which) else ", ".join(str(lane) for lane in lanes)


@dataclass(frozen=True, slots=True)
class PinCondition:
    """A pin of a port has a level."""

    port: str
    pin: str
    level: bool

    def __str__(self) -> str:
        return f"{self.port}: pin {self.pin} is {'high' if self.level else 'low'}"


class Direction(Enum):
    """Which accesses are meant."""

    READ = "read"
    WRITE = "wrote"
    BOTH = "accessed"


@dataclass(frozen=True, slots=True)
class AccessCondition:
    """A host accessed a module. page None: any place; first and last: byte addresses (0 to 255); bank None: any.

    outcome: None any, 'done', 'refused', or the name of an errno. value: the byte written to `first`.
    nth: the how manieth such access it is.
    """

    port: str
    direction: Direction
    page: int | None = None
    first: int = 0
    last: int = 255
    bank: int | None = None
    value: int | None = None
    outcome: str | None = None
    nth: int = 1

    def __str__(self) -> str:
        bank = "" if self.bank is None else f"/{self.bank}"
        place = "" if self.page is None else f" {'L' if self.page < 0 else f'{self.page:02X}h'}{bank}:{self.first}"
        place += f"-{self.last}" if place and self.last != self.first else ""
        value = "" if self.value is None else f" = {self.value:02X}h"
        outcome = "" if self.outcome is None else f", {self.outcome}"
        nth = "" if self.nth == 1 else f" ({self.nth} times)"
        return f"{self.port}: host {self.direction.value}{place}{value}{outcome}{nth}"


@dataclass(frozen=True, slots=True)
class CommandCondition:
    """A host triggered a CDB command; None: any. nth: the how manieth it is."""

    port: str
    command: int | None = None
    nth: int = 1

    def __str__(self) -> str:
        command = "any CDB command" if self.command is None else f"CDB command {self.command:04X}h"
        return f"{self.port}: {command}{'' if self.nth == 1 else f' ({self.nth} times)'}"


@dataclass(frozen=True, slots=True)
class StepCondition:
    """Another step was done, or its fault struck as often as it may (`spent`)."""

    step: str
    spent: bool = False

    def __str__(self) -> str:
        return f"step {self.step} {'spent' if self.spent else 'done'}"


class Outcome(Enum):
    """How a host's program ended."""

    DONE = "done"
    FAILED = "failed"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class HostCondition:
    """The host program that a step started has ended so. says: part of what it tells then."""

    step: str
    outcome: Outcome
    says: str = ""

    def __str__(self) -> str:
        return f"host {self.step} {self.outcome.value}{self.says and f' and says {self.says!r}'}"


Condition = FieldCondition | PinCondition | AccessCondition | CommandCondition | StepCondition | HostCondition
LEVELS = (FieldCondition, PinCondition)
"""Conditions that hold for a while; the others happen."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a step is done: at a time, or when something happens; then `delay_ns` later, and again.

    within_ns: how long to wait for `when` before the scenario fails; None: to the end, and it need not happen.
    """

    at_ns: int = 0
    when: Condition | None = None
    within_ns: int | None = None
    delay_ns: int = 0
    period_ns: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One step: an action with its arguments, or a host's program. clear_when: what ends the fault."""

    name: str
    line: int
    trigger: Trigger
    action: Action | None = None
    program: Program | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    duration_ns: int | None = None
    clear_when: Condition | None = None
    count: int | None = None
    skip: int = 0
    every: int = 1
    probability: float = 1.0

    @property
    def title(self) -> str:
        """Its action's or program's name."""
        return self.action.name if self.action is not None else self.program.name if self.program else ""


class Mode(Enum):
    """What an expectation asks of its condition."""

    ONCE = "by"  # it holds or happens at least once in the window
    AT = "at"  # it holds at the window's end
    ALWAYS = "always"  # it holds all through the window
    NEVER = "never"  # it neither holds nor happens in the window


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be seen. Times count from `after`'s step, or from the start."""

    name: str
    line: int
    condition: Condition
    mode: Mode
    from_ns: int = 0
    until_ns: int | None = None  # None: the end of the scenario
    after: str | None = None
    host_needed: bool = False  # it speaks of what a host of the scenario does

    def __str__(self) -> str:
        since = f" after {self.after}" if self.after else ""
        until = "the end" if self.until_ns is None else f"{self.until_ns / 1e9:g} s"
        start = f" from {self.from_ns / 1e9:g} s" if self.from_ns else ""
        words = {
            Mode.ONCE: f"{self.condition} by {until}",
            Mode.AT: f"{self.condition} at {until}",
            Mode.ALWAYS: f"{self.condition} until {until}",
            Mode.NEVER: f"never {self.condition} until {until}",
        }
        return f"{words[self.mode]}{start}{since}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """All of one file. testbed None: it runs on an emulator that has the ports and fibres it names."""

    name: str
    title: str
    file: str
    sources: tuple[str, ...]
    rows: tuple[str, ...]
    testbed: Testbed | None
    seed: int | None
    begin: Begin
    duration_ns: int
    look_ns: int
    steps: tuple[Step, ...]
    expectations: tuple[Expectation, ...]
    ports: tuple[str, ...]
    fibres: tuple[str, ...]
