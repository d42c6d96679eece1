"""How the state machines of a module can misbehave: stay in a state too long or for ever, or hide that they passed.

Owns which rule strikes when a machine enters a state, and what a machine does that was struck (`Staying`, which
msm.py and dpsm.py build on). Advertised durations are not touched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cmis_emu.clock import Clock, Event
from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.occasions import Occasions
from cmis_emu.physics.noise import uniform

PENDING, PATH_FLAG, MODULE_FLAG = "DPInitPending", "DPStateChangedFlag", "ModuleStateChangedFlag"
"""What can be hidden beside transient states."""

_RANDOM = 0x4C41 << 40  # noise channel of random durations, beside that of the occasions


class Until(Enum):
    """What frees a machine that is stuck. Clearing the fault always does."""

    CLEARED = "cleared"  # nothing else: a reset brings it back to the state, and there it stays
    RESET = "reset"
    REINIT = "re-init"  # also a request to de-initialise or for low power that comes while it is stuck


@dataclass(eq=False, slots=True)
class Linger(Rule):
    """A machine stays in a state for a time of its own; for ever without one.

    states: by the standard's names, such as ModulePwrUp or DPInit. lanes: of the module from 1; None: all.
    to: only on the way to that state. duration_ns: the shortest; up to random_ns more.
    """

    states: frozenset[str]
    occasions: Occasions
    lanes: frozenset[int] | None = None
    duration_ns: int | None = None
    random_ns: int = 0
    until: Until = Until.RESET
    to: str | None = None

    def draw_ns(self) -> int | None:
        """The time for the occasion taken last."""
        if self.duration_ns is None or not self.random_ns:
            return self.duration_ns
        part = uniform(self.occasions.seed, self.occasions.channel ^ _RANDOM, self.occasions.seen)
        return self.duration_ns + round(part * self.random_ns)


@dataclass(eq=False, slots=True)
class Skip(Rule):
    """Nobody sees it: a transient state lasts no time and sets no flag; a flag does not set; no DPInitPending.

    unchanged_only: DPInitPending is hidden only where the application of the lanes stays what it was.
    """

    what: frozenset[str]
    occasions: Occasions
    lanes: frozenset[int] | None = None
    unchanged_only: bool = False


MachineRule = Linger | Skip
_Stuck = tuple[Linger, str, frozenset[int]]


@dataclass(slots=True)
class Stay:
    """What holds for a machine since it entered its state. `rule` None: nothing but `hidden`."""

    rule: Linger | None = None
    duration_ns: int | None = None  # of the rule; None: for ever
    hidden: bool = False  # the transient state takes no time
    asked: bool = False  # to leave, as last seen
    waiting: bool = False  # on the way to `rule.to`; the time runs

    @property
    def for_ever(self) -> bool:
        """Stuck."""
        return self.rule is not None and self.duration_ns is None


class MachineFaults(Seam[MachineRule]):
    """The seam of all state machines of one module."""

    __slots__ = ("_stuck",)

    def __init__(self, changed: Callable[[Rule, bool], None] | None = None) -> None:
        super().__init__(changed)
        self._stuck: set[_Stuck] = set()

    def entered(self, state: str, lanes: frozenset[int]) -> Stay | None:
        """A machine enters a state: what holds there? `lanes`: empty for the module itself."""
        hidden = self.hides(state, lanes)
        for rule in self.rules:
            stay = self.struck(rule, state, lanes)
            if stay is not None:
                stay.hidden = hidden
                return stay
        return Stay(hidden=True) if hidden else None

    def struck(self, rule: MachineRule, state: str, lanes: frozenset[int]) -> Stay | None:
        """Does this rule strike a machine that is in the state?"""
        if not isinstance(rule, Linger) or state not in rule.states or not _meets(rule.lanes, lanes):
            return None
        key = (rule, state, lanes)
        if key not in self._stuck and not rule.occasions.take():
            return None
        duration_ns = rule.draw_ns()
        if duration_ns is None and rule.until is Until.CLEARED:
            self._stuck.add(key)
        return Stay(rule, duration_ns)

    def hides(self, what: str, lanes: frozenset[int], *, unchanged: bool = False) -> bool:
        """Is this one not to be seen?"""
        return any(
            isinstance(rule, Skip)
            and what in rule.what
            and _meets(rule.lanes, lanes)
            and (unchanged or not rule.unchanged_only)
            and rule.occasions.take()
            for rule in self.rules
        )

    def remove(self, rule: MachineRule) -> None:
        """Clear a rule; whoever is stuck by it goes on."""
        self._stuck = {key for key in self._stuck if key[0] is not rule}
        super().remove(rule)


def _meets(wanted: frozenset[int] | None, lanes: frozenset[int]) -> bool:
    """The module's own machine has no lanes: it is meant by its state's name alone."""
    return wanted is None or not lanes or not wanted.isdisjoint(lanes)


class Staying(ABC):
    """A state machine that a fault can keep in its state: the timer of a state, and what holds it up."""

    __slots__ = ("_since_ns", "_stay", "_timer")

    _stay: Stay | None
    _since_ns: int
    _timer: Event | None

    @abstractmethod
    def _clock(self) -> Clock: ...

    @abstractmethod
    def _machines(self) -> MachineFaults: ...

    @abstractmethod
    def _title(self) -> str:
        """Name of the state."""

    @abstractmethod
    def _lanes(self) -> frozenset[int]:
        """Host lanes of the module; none for its own machine."""

    @abstractmethod
    def _natural_ns(self) -> int | None:
        """How long the state lasts without faults; None for one that only conditions end."""

    @abstractmethod
    def _next(self) -> str | None:
        """Where the conditions lead now."""

    @abstractmethod
    def _asks(self) -> bool:
        """Is it asked to go back towards its start?"""

    @abstractmethod
    def _exempt(self) -> bool:
        """Something that no fault holds up."""

    @abstractmethod
    def _ends(self) -> None:
        """The time of the state is over."""

    @abstractmethod
    def _settles(self) -> None:
        """Let the module come to rest."""

    # -- from state to state ---------------------------------------------------------------------------

    def _begin(self) -> None:
        """A state is entered."""
        faults = self._machines()
        self._since_ns = self._clock().now_ns
        self._stay = faults.entered(self._title(), self._lanes()) if faults.rules else None
        if self._stay is not None:
            self._stay.asked = self._asks()
        self._start()

    def _start(self) -> None:
        """Set the timer to the end of the state, or to the end of what holds it up."""
        self._cancel()
        lasts_ns = self._natural_ns()
        stay = self._stay
        if stay is not None:
            if stay.hidden and lasts_ns is not None:
                lasts_ns = 0
            if stay.rule is not None and (stay.rule.to is None or stay.waiting or lasts_ns is not None):
                lasts_ns = stay.duration_ns
        if lasts_ns is not None:
            self._timer = self._clock().at(self._since_ns + lasts_ns, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self._natural_ns() is None:
            self._stay = None
            self._settles()
        else:
            self._ends()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _blocked(self) -> bool:
        """Does a fault keep the machine here, whatever its conditions say? Asked while there is a stay."""
        stay = self._stay
        if stay is None or stay.rule is None or self._exempt():
            return False
        asks = self._asks()
        freed, stay.asked = asks and not stay.asked, asks
        if freed and stay.rule.until is Until.REINIT:
            self._free()
            return False
        if self._natural_ns() is not None:
            return stay.for_ever  # a delay holds up the end of a transient state, not a change of mind
        if stay.rule.to is not None:
            if self._next() != stay.rule.to:
                if stay.waiting:
                    stay.waiting = False
                    self._cancel()
                return False
            if not stay.waiting:
                stay.waiting = True
                self._since_ns = self._clock().now_ns
                self._start()
        return True

    def _free(self) -> None:
        """Nothing holds it up any more; what is left of the state's own time passes."""
        stay, self._stay = self._stay, None
        if stay is not None and stay.hidden:
            self._stay = Stay(hidden=True)
        self._start()

    def refault(self, rule: MachineRule, armed: bool) -> None:
        """A rule was armed, which may strike where the machine is, or cleared."""
        if armed and (self._stay is None or self._stay.rule is None):
            stay = self._machines().struck(rule, self._title(), self._lanes())
            if stay is not None:
                stay.asked = self._asks()
                self._stay = stay
                self._start()
        elif not armed and self._stay is not None and self._stay.rule is rule:
            self._free()
