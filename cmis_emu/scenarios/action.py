"""What a scenario can do: actions by name, their arguments, and what arming one leaves behind.

An action is one primitive such as `bus.nack`. It belongs to the layer where the fault happens; here is only its
name, what it takes, and how it is armed. Actions register themselves with `@action` in `scenarios/actions/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from cmis_emu.clock import Clock
from cmis_emu.errors import InputError
from cmis_emu.links import Fibre
from cmis_emu.occasions import Occasions
from cmis_emu.port import Fault, Port
from cmis_emu.scenarios.units import Quantity


class World(Protocol):
    """What a scenario acts on; an emulator is one."""

    clock: Clock
    ports: dict[str, Port]
    fibres: dict[str, Fibre]
    seed: int


class Kind(Enum):
    """Arguments that are no quantities."""

    PORT = "a port"
    FIBRE = "a fibre"
    FIELD = "a CMIS field"  # by name; lanes by number behind it, such as LOSFlagRx1
    PLACE = "a place in the memory"  # such as 11h:154, L:14 or 11h:154-169; see Place
    BYTES = "bytes"  # a list of 0 to 255, or hex text
    LANES = "lanes"  # a list of 1-based lanes, or `all`
    TEXT = "a text"
    FLAG = "true or false"
    CHOICE = "one of several words"
    VALUE = "a value of a field"  # number, text of an enumeration, or true and false


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an action. kind: a Quantity is written with its unit and arrives in SI (see units.py)."""

    kind: Kind | Quantity
    doc: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an action: where, with what, and on which occasions. `arguments` are complete and checked."""

    world: World
    arguments: Mapping[str, Any]
    occasions: Occasions

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def port(self) -> Port:
        """The port of the argument `port`."""
        return self.world.ports[self.arguments["port"]]

    @property
    def fibre(self) -> Fibre:
        """The fibre of the argument `fibre`."""
        return self.world.fibres[self.arguments["fibre"]]


Undo = Callable[[], None]
Arm = Callable[[Call], Undo | None]


@dataclass(frozen=True, slots=True)
class Action:
    """One primitive. arm: does it, and gives back how to undo it; None for what has no end of its own.

    lasting: can be given an end (`for`), and be cleared. counted: has occasions, so that `count`, `every_nth`,
    `skip` and `probability` mean something.
    """

    name: str
    doc: str
    arguments: Mapping[str, Argument]
    arm: Arm
    lasting: bool = True
    counted: bool = False


ACTIONS: dict[str, Action] = {}


def action(
    name: str, arguments: Mapping[str, Argument], *, lasting: bool = True, counted: bool = False
) -> Callable[[Arm], Arm]:
    """Register a function as the action `name`; its docstring is the action's documentation."""

    def register(arm: Arm) -> Arm:
        if name in ACTIONS:
            raise AssertionError(f"{name}: registered twice")
        doc = " ".join((arm.__doc__ or "").split())
        if not doc:
            raise AssertionError(f"{name}: no docstring")
        ACTIONS[name] = Action(name, doc, dict(arguments), arm, lasting, counted)
        return arm

    return register


def armed_on_port(call: Call, fault: Fault) -> Undo:
    """Arm a fault on the call's port, now and for every module that comes; undone by the result."""
    port = call.port
    port.arm(fault)
    return lambda: port.disarm(fault)


def refuse(found: object, expected: str, argument: str) -> InputError:
    """An argument that the action finds wrong only when it is armed, such as a lane that the module lacks."""
    return InputError(str(found), expected, field=argument)
