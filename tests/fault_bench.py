"""Arms actions in tests as a scenario would: arguments as text, checked and completed, with occasions."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from cmis_emu import Emulator
from cmis_emu.occasions import Occasions
from cmis_emu.scenarios import actions
from cmis_emu.scenarios.action import ACTIONS, Argument, Call, Kind
from cmis_emu.scenarios.places import parse_place
from cmis_emu.scenarios.units import Quantity

for _module in pkgutil.iter_modules(actions.__path__):
    importlib.import_module(f"{actions.__name__}.{_module.name}")

Clear = Callable[[], None]


def arm(emu: Emulator, name: str, occasions: Occasions | None = None, **arguments: Any) -> Clear:
    """Arm an action on port 1 unless told otherwise; calling the result clears it."""
    taken = ACTIONS[name].arguments
    arguments = {"port": "1", **arguments}
    assert set(arguments) <= set(taken), f"{name} takes {sorted(taken)}"
    found = {}
    for key, argument in taken.items():
        if key in arguments and arguments[key] is not None:
            found[key] = _read(argument, arguments[key])
        else:
            assert not argument.required, f"{name} needs {key}"
            found[key] = argument.default
    undo = ACTIONS[name].arm(Call(emu, found, occasions or Occasions(seed=emu.seed)))
    return undo or (lambda: None)


def _read(argument: Argument, value: Any) -> Any:
    if isinstance(argument.kind, Quantity):
        return argument.kind.read(value)
    if argument.kind is Kind.PLACE:
        return parse_place(value)
    if argument.kind is Kind.BYTES:
        return bytes.fromhex(value) if isinstance(value, str) else bytes(value)
    if argument.kind is Kind.CHOICE:
        assert value in argument.choices, f"{value} is none of {argument.choices}"
    return value
