"""All checks, in the order of their files. A check that is not listed here is not run; a test compares."""

from __future__ import annotations

from cmis_emu.judge.check import Check
from cmis_emu.judge.checks import access, applications, identity, pages

MODULES = (access, pages, identity, applications)
CHECKS: tuple[Check, ...] = tuple(each for module in MODULES for each in module.CHECKS)
