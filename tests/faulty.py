"""Arms actions of scenarios by name, for tests: arguments as a scenario writes them, checked as it checks them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from cmis_emu import Emulator
from cmis_emu.occasions import Occasions
from cmis_emu.scenarios import actions
from cmis_emu.scenarios.action import ACTIONS, Call
from cmis_emu.scenarios.units import Quantity

for each in pkgutil.iter_modules(actions.__path__):
    importlib.import_module(f"{actions.__name__}.{each.name}")

Undo = Callable[[], None]
CHANNEL = 0x5CE7


def arm(
    emu: Emulator,
    name: str,
    *,
    count: int | None = None,
    skip: int = 0,
    every_nth: int = 1,
    probability: float = 1.0,
    channel: int = CHANNEL,
    **arguments: Any,
) -> Undo:
    """Arm an action now; the result clears it. `port` is "1" where it is not given and the emulator has one port."""
    return arming(
        emu,
        name,
        Occasions(emu.seed, channel, skip, every_nth, count, probability),
        **arguments,
    )


def arming(emu: Emulator, name: str, occasions: Occasions, **arguments: Any) -> Undo:
    """As `arm`, with occasions whose counts the test looks at."""
    action = ACTIONS[name]
    unknown = arguments.keys() - action.arguments.keys()
    assert not unknown, unknown
    if "port" in action.arguments and action.arguments["port"].required:
        arguments.setdefault("port", next(iter(emu.ports)))
    if "fibre" in action.arguments:
        arguments.setdefault("fibre", next(iter(emu.fibres)))
    given: dict[str, Any] = {}
    for key, argument in action.arguments.items():
        assert key in arguments or not argument.required, f"{name}: {key} is missing"
        value = arguments.get(key, argument.default)
        if key in arguments and isinstance(argument.kind, Quantity):
            value = argument.kind.read(value)
        if argument.choices and key in arguments:
            assert value in argument.choices, f"{name}: {key}: {value}"
        given[key] = value
    with emu.lock:
        emu.clock.sync()
        undo = action.arm(Call(emu, given, occasions))
    return _once(undo) if undo is not None else _nothing


_armed: list[Undo] = []


def _once(undo: Undo) -> Undo:
    """Clears when it is called first, by the test or after it."""

    def clear() -> None:
        if clear in _armed:
            _armed.remove(clear)
            undo()

    _armed.append(clear)
    return clear


def clear_all() -> None:
    """Clear what tests have left armed. For those that share an emulator: a restore leaves faults armed."""
    while _armed:
        _armed[-1]()


def _nothing() -> None:
    pass
