"""All actions and host programs by name: importing this registers every one."""

from __future__ import annotations

import importlib
import pkgutil

<<<<<<< HEAD
from cmis_emu.scenarios import actions, host_cdb, host_expects, host_pins, host_reads, programs
from cmis_emu.scenarios.action import ACTIONS, Action
from cmis_emu.scenarios.host import PROGRAMS, Program

__all__ = ["action", "host_cdb", "host_expects", "host_pins", "host_reads", "names", "program", "programs"]
=======
from cmis_emu.scenarios import actions, host_diagnostics, host_expects, host_pins, host_reads, host_vdm, programs
from cmis_emu.scenarios.action import ACTIONS, Action
from cmis_emu.scenarios.host import PROGRAMS, Program

__all__ = ["action", "host_diagnostics", "host_expects", "host_pins", "host_reads", "host_vdm", "names", "program",
           "programs"]  # fmt: skip
>>>>>>> wt-lib2

for _module in pkgutil.iter_modules(actions.__path__):
    importlib.import_module(f"{actions.__name__}.{_module.name}")


def action(name: str) -> Action | None:
    """The action of that name."""
    return ACTIONS.get(name)


def program(name: str) -> Program | None:
    """The host program of that name."""
    return PROGRAMS.get(name)


def names() -> list[str]:
    """Everything that a step can do."""
    return sorted((*ACTIONS, *PROGRAMS))
