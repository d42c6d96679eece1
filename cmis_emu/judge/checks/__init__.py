"""All checks, in the order of their files. A check that is not listed here is not run; a test compares."""

from __future__ import annotations

from cmis_emu.judge.check import Check
from cmis_emu.judge.checks import (
    access,
    applications,
    cdb,
    cdb_commands,
    diagnostics,
    flags,
    identity,
    monitors,
    pages,
    paths,
    patterns,
    power,
    safe,
    states,
    tuning,
    vdm,
)

MODULES = (
    access,
    pages,
    identity,
    applications,
    states,
    flags,
    monitors,
    vdm,
    cdb,
    cdb_commands,
    diagnostics,
    patterns,
    tuning,
    safe,
    power,
    paths,
)
CHECKS: tuple[Check, ...] = tuple(each for module in MODULES for each in module.CHECKS)
