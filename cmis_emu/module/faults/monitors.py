"""How monitors can misbehave: what a register reports in place of what was measured.

Owns the ways to misread, and when each strikes. An occasion is one sample; whoever measures asks once for each, in
order, whether or not a host reads it (`Misreadings`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from cmis_emu.clock import NS_PER_S
from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.occasions import Occasions
from cmis_emu.physics.noise import gauss

_NOISE = 0x4D4E << 40  # noise channels of misreadings, beside that of the occasions


class How(Enum):
    """Ways to misread."""

    VALUE = "value"  # reads so, whatever is measured
    CODE = "code"  # reads this raw code
    OFFSET = "offset"
    SCALE = "scale"
    NOISE = "noise"  # so many units of noise, one sigma, on top
    DRIFT = "drift"  # so many units a second, since the fault was armed or the module came
    STALE = "stale"  # what was measured then


@dataclass(eq=False, slots=True)
class Misread(Rule):
    """A monitor misreads. name: its CMIS field, or its observable in VDM. lanes: None: all.

    number: in the field's unit, or the raw code. judged: flags follow what is reported, not what is true.
    """

    name: str
    how: How
    occasions: Occasions
    number: float = 0.0
    lanes: frozenset[int] | None = None
    judged: bool = True

    def about(self, name: str, lane: int) -> bool:
        """Is it about this monitor? lane: of the module from 1; 0 for the module itself."""
        return name == self.name and (self.lanes is None or not lane or lane in self.lanes)


Key = tuple[str, int]


@dataclass(slots=True)
class _Armed:
    """What a rule has come to in one module."""

    since_ns: int
    index: int = -1  # of the sample that was asked for last
    taken: bool = False
    kept: dict[Key, float] = field(default_factory=dict)  # of the first sample


class Misreadings:
    """The rules that are armed for one group of monitors that sample together."""

    __slots__ = ("_armed", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._armed: dict[Misread, _Armed] = {}

    def arm(self, rule: Misread, now_ns: int) -> None:
        """From now on."""
        self._armed[rule] = _Armed(now_ns)

    def clear(self, rule: Misread) -> None:
        """No longer."""
        self._armed.pop(rule, None)

    def read(
        self,
        rules: Sequence[Misread],
        key: Key,
        index: int,
        at_ns: int,
        value: float,
        of_code: Callable[[int], float],
        *,
        judged: bool,
    ) -> float:
        """What a monitor reports of sample number `index`; `judged`: for its flags."""
        for rule in rules:
            armed = self._armed.get(rule)
            if armed is None:
                continue
            if index != armed.index:
                armed.index, armed.taken = index, rule.occasions.take()
            if rule.how is How.STALE:
                armed.kept.setdefault(key, value)
            if armed.taken and (rule.judged or not judged):
                value = self._misread(rule, armed, key, index, at_ns, value, of_code)
        return value

    def _misread(
        self,
        rule: Misread,
        armed: _Armed,
        key: Key,
        index: int,
        at_ns: int,
        value: float,
        of_code: Callable[[int], float],
    ) -> float:
        match rule.how:
            case How.VALUE:
                return rule.number
            case How.CODE:
                return of_code(int(rule.number))
            case How.OFFSET:
                return value + rule.number
            case How.SCALE:
                return value * rule.number
            case How.NOISE:
                channel = rule.occasions.channel ^ _NOISE ^ key[1]
                return value + rule.number * gauss(self._seed, channel, index)
            case How.DRIFT:
                return value + rule.number * max(0, at_ns - armed.since_ns) / NS_PER_S
            case How.STALE:
                return armed.kept[key]


class MonitorFaults(Seam[Misread]):
    """The seam of all monitors of one module."""

    __slots__ = ()

    def about(self, name: str, lane: int) -> tuple[Misread, ...]:
        """The rules about a monitor."""
        return tuple(rule for rule in self.rules if rule.about(name, lane))
