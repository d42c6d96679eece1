"""What the module can do with CDB: bitmaps of commands, and limits (CMD-03 to CMD-05).

Bitmaps come from the commands that are really there. Where a group has more to say of itself, it brings the
command: the firmware group 0041h, the security group 0044h; here are the answers of a module without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cmis_emu.layouts.cdb import (
    EXTERNAL_FEATURES_REPLY,
    GROUP_FEATURES_REPLY,
    MODULE_FEATURES_REPLY,
    SECURITY_FEATURES_REPLY,
    bitmap,
    check_code,
)
from cmis_emu.layouts.firmware import MANAGEMENT_FEATURES
from cmis_emu.module.cdb.command import Command, Job, Reply, Request
from cmis_emu.module.cdb.surroundings import Surroundings

GROUP = "features"
PM_BASE, DIAGNOSTICS_BASE, SECURITY_BASE = 0x0200, 0x0300, 0x0400
SECURITY_SINCE, EXTERNAL_SINCE = (5, 2), (5, 3)


class Features:
    """Commands 0040h to 0045h of one module."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._execution_ns = around.plan.execution_ns(GROUP)

    def commands(self) -> Sequence[Command]:
        """See `CommandGroup`."""
        around = self._around
        found = [
            Command(0x0040, "Module Features", self._module),
            Command(0x0042, "Performance Monitoring Features", partial(self._group, PM_BASE)),
            Command(0x0043, "BERT and Diagnostics Features", partial(self._group, DIAGNOSTICS_BASE)),
        ]
        if "firmware" not in around.plan.groups:
            found.append(Command(0x0041, "Firmware Management Features", self._no_firmware))
        if around.profile.revision >= SECURITY_SINCE and "security" not in around.plan.groups:
            found.append(Command(0x0044, "Security Features", self._no_security))
        if around.profile.revision >= EXTERNAL_SINCE:
            found.append(Command(0x0045, "Externally Defined Features", self._external))
        return found

    def reset(self) -> None:
        """Nothing is kept here."""

    def _codes(self) -> frozenset[int]:
        return frozenset(self._around.commands)

    def _module(self, _: Request) -> Job:
        longest_ms = self._around.plan.completion_ms()
        commands = bitmap(self._codes(), 0)
        data = MODULE_FEATURES_REPLY.build({"commands": commands, "max_completion_ms": longest_ms})
        if check_code(data) == 0:  # CDB-05: hosts take 0 for no reply; one ms more is as true
            data = MODULE_FEATURES_REPLY.build({"commands": commands, "max_completion_ms": longest_ms + 1})
        return self._answer(data)

    def _group(self, base: int, _: Request) -> Job:
        return self._answer(GROUP_FEATURES_REPLY.build({"commands": bitmap(self._codes(), base)}))

    def _no_firmware(self, _: Request) -> Job:
        """No way to write an image, and no time that it would take."""
        return self._answer(bytes(MANAGEMENT_FEATURES.sizeof()))

    def _no_security(self, _: Request) -> Job:
        return self._answer(bytes(SECURITY_FEATURES_REPLY.sizeof()))

    def _external(self, _: Request) -> Job:
        """Versatile control sets, the only extension there is, are not offered (page 01h)."""
        return self._answer(EXTERNAL_FEATURES_REPLY.build({"features": 0}))

    def _answer(self, lpl: bytes) -> Job:
        return Job(self._execution_ns, partial(Reply, lpl=lpl))
