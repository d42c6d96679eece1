"""Which groups of CDB commands there are: one line each, the name in a profile and what makes the group.

`general` and `features` are in every module with CDB; `firmware` where the profile has the section of that name,
the others where its section `cdb` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cmis_emu.module.cdb.applications import Applications
from cmis_emu.module.cdb.command import CommandGroup
from cmis_emu.module.cdb.features import Features
from cmis_emu.module.cdb.firmware import FirmwareCommands
from cmis_emu.module.cdb.general import General
from cmis_emu.module.cdb.performance import Performance
from cmis_emu.module.cdb.security import Security
from cmis_emu.module.cdb.surroundings import Surroundings

GROUPS: Mapping[str, Callable[[Surroundings], CommandGroup]] = {
    "general": General,
    "features": Features,
    "firmware": FirmwareCommands.of,
    "applications": Applications,
    "performance": Performance,
    "security": Security,
}

ALWAYS = ("general", "features")

SINCE: Mapping[str, tuple[int, int]] = {"applications": (5, 3), "security": (5, 2)}
"""Revisions with which groups came; others were there with CDB."""
