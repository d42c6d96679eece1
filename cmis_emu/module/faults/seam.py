"""Where a module can be made to misbehave: a seam, and the rules that are armed there.

A seam belongs to the component that owns the behaviour, which looks at `rules` where a fault would strike; while
nothing is armed that is one look at an empty tuple. Snapshots copy seams and share rules, so that a fault which is
armed can be cleared in a module that was put back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

LANES_OF_A_BANK = 8


class Rule:
    """One armed misbehaviour. What it counts belongs to the scenario, so no snapshot takes it back."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self


R = TypeVar("R", bound=Rule)


class Seam(Generic[R]):
    """The rules of one place, in the order in which they were armed. `changed(rule, armed)` is told of each."""

    __slots__ = ("_changed", "rules")

    def __init__(self, changed: Callable[[Rule, bool], None] | None = None) -> None:
        self.rules: tuple[R, ...] = ()
        self._changed = changed

    def add(self, rule: R) -> None:
        """Arm a rule; harmless for one that is armed."""
        if rule not in self.rules:
            self.rules = (*self.rules, rule)
            if self._changed is not None:
                self._changed(rule, True)

    def remove(self, rule: R) -> None:
        """Clear a rule; harmless for one that is not armed."""
        if rule in self.rules:
            self.rules = tuple(each for each in self.rules if each is not rule)
            if self._changed is not None:
                self._changed(rule, False)


def meets(lanes: frozenset[int] | None, lane: int) -> bool:
    """Is a lane, counted through the module from 1, among them? None means all."""
    return lanes is None or lane in lanes


def lanes_in(lanes: frozenset[int] | None, bank: int) -> int:
    """Bit mask, within a bank, of lanes that count through the module from 1; None means all."""
    if lanes is None:
        return (1 << LANES_OF_A_BANK) - 1
    first = LANES_OF_A_BANK * bank
    return sum(1 << (lane - first - 1) for lane in lanes if first < lane <= first + LANES_OF_A_BANK)
