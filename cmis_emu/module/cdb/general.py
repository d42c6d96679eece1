"""General commands: status, passwords, abort (CMD-01, CMD-02, CDB-15).

0005h and 0006h, the module's time, came with revision 5.4, which no profile has. 0003h is reserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cmis_emu.clock import NS_PER_MS
from cmis_emu.layouts.cdb import PASSWORD, QUERY_STATUS, QUERY_STATUS_REPLY
from cmis_emu.module.cdb.command import Command, Job, Privilege, Refusal, Reply, Request, Status
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.nonvolatile import HOST_LAST, Level

GROUP = "general"
_STATUS = {Level.LOCKED: 0x00, Level.HOST: 0x01, Level.MODULE: 0x80}  # CMD-01


class General:
    """Commands 0000h to 0004h of one module."""

    def __init__(self, around: Surroundings) -> None:
        self._nonvolatile = around.nonvolatile
        self._execution_ns = around.plan.execution_ns(GROUP)
        self._nvm_ns = round(around.profile.behaviour.nvm_holdoff_ms * NS_PER_MS)

    def commands(self) -> Sequence[Command]:
        """See `CommandGroup`."""
        return (
            Command(0x0000, "Query Status", self._query, (2, 2)),
            Command(0x0001, "Enter Password", self._enter, (4, 4)),
            Command(0x0002, "Change Password", self._change, (4, 4), Privilege.HOST),
            Command(0x0004, "Abort Processing", self._nothing_to_abort),
        )

    def reset(self) -> None:
        """Nothing is kept here."""

    def _query(self, request: Request) -> Job:
        delay_ms = int(QUERY_STATUS.parse(request.lpl).delay_ms)
        return Job(self._execution_ns + delay_ms * NS_PER_MS, self._status, _stopped)

    def _status(self) -> Reply:
        return Reply(lpl=QUERY_STATUS_REPLY.build({"status": _STATUS[self._nonvolatile.level]}))

    def _enter(self, request: Request) -> Job:
        return Job(self._execution_ns, partial(self._entered, int(PASSWORD.parse(request.lpl).password)))

    def _entered(self, password: int) -> Reply:
        return Reply(Status.SUCCESS if self._nonvolatile.enter(password) else Status.PASSWORD_ERROR)

    def _change(self, request: Request) -> Job:
        password = int(PASSWORD.parse(request.lpl).password)
        if password > HOST_LAST:
            raise Refusal(Status.PARAMETER_ERROR)
        return Job(self._execution_ns + self._nvm_ns, partial(self._changed, password))

    def _changed(self, password: int) -> Reply:
        # Busy has covered the time of the memory, so accesses are not refused for it as well.
        return Reply(Status.SUCCESS if self._nonvolatile.change(password, holds_off=False) else Status.PASSWORD_ERROR)

    def _nothing_to_abort(self, _: Request) -> Job:
        """The engine itself stops a command under way; at rest there is none."""
        return Job(0, Reply)


def _stopped() -> None:
    """A command without effects leaves nothing behind."""
