"""All actions and host programs by name: importing this registers every one.

Actions are the modules of `actions/`; host programs are those of `programs` and of the modules named `host_...`.
"""

from __future__ import annotations

import importlib
import pkgutil

from cmis_emu import scenarios
from cmis_emu.scenarios import actions, programs
from cmis_emu.scenarios.action import ACTIONS, Action
from cmis_emu.scenarios.host import PROGRAMS, Program

__all__ = ["action", "names", "program", "programs"]

for _module in pkgutil.iter_modules(actions.__path__):
    importlib.import_module(f"{actions.__name__}.{_module.name}")
for _module in pkgutil.iter_modules(scenarios.__path__):
    if _module.name.startswith("host_"):
        importlib.import_module(f"{scenarios.__name__}.{_module.name}")


def action(name: str) -> Action | None:
    """The action of that name."""
    return ACTIONS.get(name)


def program(name: str) -> Program | None:
    """The host program of that name."""
    return PROGRAMS.get(name)


def names() -> list[str]:
    """Everything that a step can do."""
    return sorted((*ACTIONS, *PROGRAMS))
