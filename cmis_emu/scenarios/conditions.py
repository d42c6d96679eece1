"""Judges the conditions of a scenario: what holds now, what has happened, and how to say it.

Counts the accesses that conditions speak of; all else is looked up when asked, without side effects.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cmis_emu.bus.tap import Transaction
from cmis_emu.errors import CmisEmuError
from cmis_emu.occasions import Occasions
from cmis_emu.scenarios.action import Undo, World
from cmis_emu.scenarios.model import (
    AccessCondition,
    CommandCondition,
    Condition,
    Direction,
    FieldCondition,
    HostCondition,
    Outcome,
    PinCondition,
    Step,
    StepCondition,
    Which,
)

MESSAGE_PAGE, TRIGGER = 0x9F, 129
"""Where a host writes the CMDID of a CDB command, and its last byte."""

_Counted = AccessCondition | CommandCondition


@dataclass(slots=True)
class Progress:
    """What became of a step. `undo` while its fault is armed."""

    step: Step
    occasions: list[Occasions] = field(default_factory=list)
    done_ns: int | None = None
    times: int = 0
    undo: Undo | None = None
    armed_ns: int = 0
    outcome: Outcome | None = None
    said: str = ""  # how its program ended
    asked_ns: int | None = None  # when its event happened


class Conditions:
    """The conditions of one run."""

    def __init__(self, world: World, steps: Mapping[str, Progress], conditions: Iterable[Condition]) -> None:
        self._world = world
        self._steps = steps
        self._hits: dict[_Counted, list[int]] = {
            condition: [] for condition in conditions if isinstance(condition, _Counted)
        }

    def happened(self, port: str, done: Transaction, now_ns: int) -> None:
        """A host accessed the module of a port."""
        for condition in self._hits:
            if condition.port != port:
                continue
            if isinstance(condition, AccessCondition):
                matches = _matches(condition, done)
            else:
                matches = self._triggers(condition, done)
            if matches:
                self._hits[condition].append(now_ns)

    def _triggers(self, condition: CommandCondition, done: Transaction) -> bool:
        """Did this write trigger the command? The last byte of CMDID does (CDB-03)."""
        low = done.byte_at(TRIGGER)
        if done.read or done.error is not None or done.page != MESSAGE_PAGE or low is None:
            return False
        high = done.byte_at(TRIGGER - 1)
        if high is None:
            module = self._world.ports[condition.port].occupant
            high = 0 if module is None else module.peek(MESSAGE_PAGE, TRIGGER - 1, 1, bank=done.bank)[0]
        return condition.command in (None, high << 8 | low)

    def holds(self, condition: Condition, since_ns: int = 0) -> bool:
        """Does a condition hold now, or has it happened? Accesses before `since_ns` do not count."""
        if isinstance(condition, FieldCondition):
            return self._field_holds(condition)
        if isinstance(condition, PinCondition):
            return self._world.ports[condition.port].pins.get(condition.pin) is condition.level
        if isinstance(condition, _Counted):
            return self._count(condition, since_ns) >= condition.nth
        progress = self._steps[condition.step]
        if isinstance(condition, StepCondition):
            if condition.spent:
                return bool(progress.occasions) and progress.occasions[-1].spent
            return progress.done_ns is not None
        if progress.outcome is None or condition.says not in progress.said:
            return False
        return condition.outcome in (Outcome.FINISHED, progress.outcome)

    def _field_holds(self, condition: FieldCondition) -> bool:
        """A module that lacks the field, or its page, holds nothing."""
        module = self._world.ports[condition.port].occupant
        if module is None:
            return False
        lanes = condition.lanes
        try:
            if isinstance(lanes, tuple):
                each = [module.get(condition.field, lane=lane, bank=condition.bank) for lane in lanes]
                return all(condition.comparison.holds(value) for value in each)
            value = module.get(condition.field, bank=condition.bank)
        except CmisEmuError:
            return False
        if lanes is None or not isinstance(value, list):
            return condition.comparison.holds(value)
        found = [condition.comparison.holds(one) for one in value]
        return any(found) if lanes is Which.ANY else all(found)

    def _count(self, condition: _Counted, since_ns: int) -> int:
        return sum(time_ns >= since_ns for time_ns in self._hits[condition])

    def found(self, condition: Condition, since_ns: int = 0) -> str:
        """What a condition's subject is now, for people."""
        if isinstance(condition, FieldCondition):
            module = self._world.ports[condition.port].occupant
            if module is None:
                return "no module"
            lanes = condition.lanes if isinstance(condition.lanes, tuple) else (None,)
            try:
                values = [module.get(condition.field, lane=lane, bank=condition.bank) for lane in lanes]
                return ", ".join(module.describe(condition.field, value) for value in values)
            except CmisEmuError:
                return "no such field"
        if isinstance(condition, PinCondition):
            return "high" if self._world.ports[condition.port].pins.get(condition.pin) else "low"
        if isinstance(condition, _Counted):
            return f"{self._count(condition, since_ns)} times"
        if isinstance(condition, HostCondition):
            outcome, said = self._steps[condition.step].outcome, self._steps[condition.step].said
            return "still at work" if outcome is None else f"{outcome.value}{said and ', ' + said}"
        return "not done"


def _matches(condition: AccessCondition, done: Transaction) -> bool:
    if condition.direction is not Direction.BOTH and done.read is not (condition.direction is Direction.READ):
        return False
    if condition.page is not None and not done.touches(condition.page, condition.first, condition.last):
        return False
    if condition.bank is not None and done.bank != condition.bank:
        return False
    if condition.value is not None and done.byte_at(condition.first) != condition.value:
        return False
    if condition.outcome is None:
        return True
    refused = done.error is not None
    if condition.outcome in ("done", "refused"):
        return refused is (condition.outcome == "refused")
    return refused and errno.errorcode.get(done.error or 0) == condition.outcome
