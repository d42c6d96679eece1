"""CDB of one module: its instances, its commands, and the faults that may strike them (CDB-01).

Owns the table of commands. Put together once, from the groups that the profile names; a code that two groups
claim is an error of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cmis_emu.module.cdb.command import Follower
from cmis_emu.module.cdb.engine import CdbInstance
from cmis_emu.module.cdb.faults import CdbFaults
from cmis_emu.module.cdb.groups import ALWAYS, GROUPS
from cmis_emu.module.cdb.message import MessagePages
from cmis_emu.module.cdb.plan import Advertised
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.registers.memory import Page


class Cdb:
    """All instances of one module. `faults`: what goes wrong, for scenarios."""

    OWNS = (
        *MessagePages.OWNS,
        *(f"Cdb{name}{n}" for n in (1, 2) for name in ("IsBusy", "HasFailed", "CommandResult", "CmdCompleteFlag")),
    )

    def __init__(self, around: Surroundings, hold_changed: Callable[[], None]) -> None:
        """`hold_changed`: `hold_until_ns` is not what it was."""
        self.faults = CdbFaults()
        self.advertised = Advertised.of(around.profile.registers)
        plan = around.plan
        self.groups = {name: GROUPS[name](around) for name in dict.fromkeys((*ALWAYS, *plan.groups))}
        self._followers = [group for group in self.groups.values() if isinstance(group, Follower)]
        self.commands = around.commands
        for name, group in self.groups.items():
            for command in group.commands():
                if command.code in self.commands:
                    raise AssertionError(f"command {command.code:04X}h: of {name} and another group, expected one")
                if command.code not in plan.omit:
                    privilege = max(command.privilege, plan.privilege(command.code, name))
                    self.commands[command.code] = replace(command, privilege=privilege)
        self.instances = [
            CdbInstance(number, around, self.advertised, self.faults, hold_changed)
            for number in range(1, self.advertised.instances + 1)
        ]
        fields = (around.memory.regmap.field("CMDID"), *around.memory.regmap.family("EPLData"))
        self._message_page, *self._payload_pages = (field.page for field in fields)

    @property
    def hold_until_ns(self) -> int:
        """Until when the module refuses every access (CDB-10)."""
        return max(each.hold_until_ns for each in self.instances)

    def write_limit(self, page: Page, limit: int) -> int:
        """Longest write on `page`, where others take `limit` bytes (I2C-06)."""
        if page.number == self._message_page:
            return max(limit, self.advertised.write_limit(epl=False))
        if page.number in self._payload_pages:
            return max(limit, self.advertised.write_limit(epl=True))
        return limit

    def settled(self, changed: bool) -> None:
        """The module came to rest; `changed`: plant, states or registers are not what they were."""
        for group in self._followers:
            group.settled(changed)

    def reset(self) -> None:
        """The module was reset: commands under way are gone (RST-05)."""
        for each in self.instances:
            each.reset()
        for group in self.groups.values():
            group.reset()

    def close(self) -> None:
        """Unplugged: nothing runs any more."""
        self.reset()
