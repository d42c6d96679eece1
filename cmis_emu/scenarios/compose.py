"""Random compositions of faults, as scenarios: made from a seed alone, within the bounds that arguments declare.

A composition has two modules and a fibre, hosts at work, and some faults that all end by a time; then both modules are
reset and one is brought up, which must succeed. Where a fault would outlast that, since a hot module cools slowly, or
a value has to be one that the module knows, what is drawn is narrowed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmis_emu.physics.noise import mix
from cmis_emu.scenarios import catalogue
from cmis_emu.scenarios.action import Action, Argument
from cmis_emu.scenarios.units import Quantity


@dataclass(frozen=True, slots=True)
class Bed:
    """Two modules of a kind and a fibre, and when a composition with them ends: they come up more or less slowly."""

    profile: str
    length_m: float
    end_s: float

    @property
    def testbed(self) -> dict[str, Any]:
        """As data."""
        return {
            "version": 1,
            "ports": {port: {"profile": self.profile, "bus": bus} for bus, port in enumerate(PORTS, 1)},
            "fibres": {FIBRES[0]: {"from": "a", "to": "b", "length_m": self.length_m, "loss_db": 3.0}},
        }


PORTS, FIBRES = ("a", "b"), ("a-b",)
FIRST_S, LAST_S = 0.2, 7.0  # faults begin in between
OVER_S = 9.0  # and none is there any more
RESET_S, UP_S = 10.0, 13.0
MOST = 6  # faults of one composition

PAM4 = Bed("qsfpdd-400g-dr4", 500, 30.0)
COHERENT = Bed("qsfpdd-400g-zr", 10_000, 45.0)
COHERENT_SHARE = 0.25

_MONITORS = ("TempMonValue", "VccMonVoltage", "OpticalPowerRx", "OpticalPowerTx", "LaserBiasTx", "Aux2MonValue")
_FLAGS = ("LOSFlagRx", "CDRLOLFlagRx", "FailureFlagTx", "TempMonHighAlarmFlag", "OpticalPowerLowAlarmFlagRx")
_CONTROLS = ("OutputDisableTx", "OutputDisableRx", "DPDeinitLane", "LowPwrRequestSW", "AutoSquelchDisableRx")
_PLACES = ("L:3", "L:8-13", "L:14-15", "00h:129-144", "10h:128-152", "11h:128-131", "11h:154-169", "11h:202-205", "9Fh")
_FREQUENCIES = ("191.3 THz", "193100 GHz", "193400 GHz", "193410 GHz", "197 THz")
_PAGES = ("00h", "01h", "10h", "11h", "24h")
_COMMANDS = (0x0000, 0x0040, 0x0041, 0x0100)
_STATES = ("ModulePwrUp", "ModulePwrDn", "DPInit", "DPDeinit", "DPTxTurnOn", "DPTxTurnOff", "MgmtInit")

CHOICES: Mapping[tuple[str, str], Sequence[Any]] = {
    ("env.ambient", "temperature"): ("10 degC", "25 degC", "40 degC"),
    ("env.airflow", "flow"): (0.7, 1.0, 2.0),
    ("env.supply", "voltage"): ("2.0 V", "3.0 V", "3.2 V", "3.4 V"),
    ("port.insert", "profile"): ("qsfpdd-400g-dr4",),
    ("port.swap", "profile"): ("qsfpdd-400g-dr4",),
    ("fsm.spontaneous", "above"): ("120 degC",),
    ("fsm.spontaneous", "cause"): (1, 2, 6),
    ("fsm.delay", "to"): _STATES,
    ("fsm.stall", "to"): _STATES,
    ("diag.refuse", "pattern"): ("prbs31q",),
    ("link.host_signal", "pattern"): ("prbs31q", "prbs13q"),
    ("vdm.layout", "observable"): ("esnr_media",),
    ("bus.stretch", "forever"): (False,),
}
"""What is drawn for an argument instead of what it could take."""


class Draw:
    """Numbers that belong to a seed, one after the other."""

    def __init__(self, seed: int, number: int) -> None:
        self._state = mix(mix(seed) ^ number)

    def below(self, limit: int) -> int:
        """From 0 to `limit` - 1."""
        self._state = mix(self._state)
        return self._state % limit

    def one(self, choices: Sequence[Any]) -> Any:
        """One of them."""
        return choices[self.below(len(choices))]

    def happens(self, chance: float) -> bool:
        """True with that chance."""
        return self.below(1 << 20) < chance * (1 << 20)

    def between(self, low: float, high: float) -> float:
        """A number in between, with a few digits."""
        return round(low + (high - low) * self.below(1001) / 1000, 3)


def composition(seed: int, number: int) -> dict[str, Any]:
    """Composition `number` of a seed, as the data of a scenario file."""
    draw = Draw(seed, number)
    names = [name for name in catalogue.names() if catalogue.action(name) is not None]
    bed = COHERENT if draw.happens(COHERENT_SHARE) else PAM4
    faults = [_fault(draw, str(draw.one(names))) for _ in range(1 + draw.below(MOST))]
    steps = [*_hosts(draw, bed), *(fault for fault in faults if fault)]
    return scenario(f"fuzz-{seed}-{number}", seed, steps, bed)


def scenario(name: str, seed: int, steps: Sequence[Mapping[str, Any]], bed: Bed = PAM4) -> dict[str, Any]:
    """The scenario around some steps: its end is a reset of both modules and a bring-up."""
    ending = [
        {"id": f"{what} {port}", "at": f"{at_s} s", "do": f"host.{do}", "port": port}
        for what, at_s, do in (("reset", RESET_S, "reset"), ("up", UP_S, "bring_up"), ("polled", bed.end_s - 4, "poll"))
        for port in PORTS
    ]
    return {
        "version": 1,
        "scenario": name,
        "title": "a random composition of faults, and what must hold after it",
        "source": "cmis-emu scenario fuzz",
        "testbed": bed.testbed,
        "seed": seed,
        "duration": f"{bed.end_s:g} s",
        "look": "100 ms",
        "steps": [*(dict(step) for step in steps), *ending],
        "expect": [
            *({"that": {"host": f"{what} {port}", "is": "done"}} for what in ("up", "polled") for port in PORTS),
            *(
                {"that": {"port": port, "field": "DPStateHostLane", "is": "DPActivated"}, "at": f"{bed.end_s - 1} s"}
                for port in PORTS
            ),
        ],
    }


def _hosts(draw: Draw, bed: Bed) -> list[dict[str, Any]]:
    """Hosts at work while faults come: they bear whatever they meet."""
    poll = {"do": "host.poll", "period": "130 ms", "times": 60, "tolerant": True, "flags": True}
    found: list[dict[str, Any]] = [{"at": "100 ms", "port": port, **poll} for port in PORTS]
    for port in PORTS:
        if draw.happens(0.5):
            found.append({"at": f"{draw.between(0.5, 5)} s", "do": "host.bring_up", "port": port, "release": True})
        if draw.happens(0.5):
            command = {"do": "host.cdb", "command": draw.one(_COMMANDS), "limit": "2 s"}
            found.append({"at": f"{draw.between(0.5, 6)} s", "port": port, **command})
        if bed is COHERENT and draw.happens(0.7):
            request = {"do": "host.tune", "frequency": draw.one(_FREQUENCIES), "careless": True, "limit": "3 s"}
            found.append({"at": f"{draw.between(0.3, 6)} s", "port": port, **request})
    return found


def _fault(draw: Draw, name: str) -> dict[str, Any] | None:
    action = catalogue.action(name)
    assert action is not None
    at_s = draw.between(FIRST_S, LAST_S)
    step: dict[str, Any] = {"at": f"{at_s} s", "do": name}
    if action.lasting:
        step["for"] = f"{draw.between(0.05, OVER_S - at_s)} s"
    if action.counted:
        _occasions(draw, step)
    for key, argument in action.arguments.items():
        if argument.required or draw.happens(0.35):
            value = _value(draw, action, key, argument)
            if value is not None:
                step[key] = value
    return step


def _occasions(draw: Draw, step: dict[str, Any]) -> None:
    if draw.happens(0.3):
        step["count"] = 1 + draw.below(5)
    if draw.happens(0.2):
        step["every_nth"] = 1 + draw.below(4)
    if draw.happens(0.2):
        step["probability"] = draw.between(0.05, 1)


def _value(draw: Draw, action: Action, key: str, argument: Argument) -> Any:
    known = CHOICES.get((action.name, key))
    if known is not None:
        return draw.one(known)
    kind = argument.kind
    if isinstance(kind, Quantity):
        return _quantity(draw, kind)
    makers: Mapping[str, Callable[[], Any]] = {
        "PORT": lambda: draw.one(PORTS),
        "FIBRE": lambda: draw.one(FIBRES),
        "FIELD": lambda: draw.one(_CONTROLS if action.name.startswith("ctrl.") else _FLAGS),
        "MONITOR": lambda: draw.one(_MONITORS),
        "PLACE": lambda: draw.one(_PAGES if action.name.startswith("page.") else _PLACES),
        "BYTES": lambda: [draw.below(256)],
        "LANES": lambda: sorted({1 + draw.below(4) for _ in range(1 + draw.below(3))}),
        "FLAG": lambda: draw.happens(0.5),
        "CHOICE": lambda: draw.one(argument.choices),
        "VALUE": lambda: draw.below(2),
        "READING": lambda: draw.between(0, 3),
    }
    make = makers.get(kind.name)
    return None if make is None else make()


def _quantity(draw: Draw, kind: Quantity) -> Any:
    """Around what the kind gives as its example, a factor of three either way, within its bounds."""
    middle = kind.read(kind.example)
    value = min(max(middle * draw.between(0.3, 3.0), kind.low), kind.high)
    if kind.whole:
        return max(0 if kind.low == 0 else 1, round(value))
    unit = next((unit for unit, factor in kind.units.items() if factor == 1.0), "")
    return f"{value:.4g} {unit}" if unit else float(f"{value:.4g}")
