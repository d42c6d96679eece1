"""The CDB engine: captures messages, checks and runs commands, shows status and replies (rules CDB-01 to CDB-17).

Owns the status bytes, the completion flags and the time that commands take. What a command does is its group's
affair; what its bytes are, `message.py`'s. An instance at rest has no event on the clock.

A command goes through three phases, each with an end on the clock: captured (81h), checking (82h), executing (83h).
The message is what it was at the STOP of its trigger. Refusals come in the order of CDB-16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cmis_emu.clock import Event
from cmis_emu.module.cdb.command import Job, Privilege, Refusal, Reply, Status
from cmis_emu.module.cdb.faults import CdbFaults, Effect, Phase
from cmis_emu.module.cdb.message import Message, MessagePages
from cmis_emu.module.cdb.plan import Advertised, BusyTrigger, CompletionFlag
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.nonvolatile import Level
from cmis_emu.registers.memory import Write

BUSY = 0x80
_SHOWN = {Phase.CAPTURED: BUSY | 1, Phase.CHECKING: BUSY | 2, Phase.EXECUTING: BUSY | 3}  # CDB-07
ABORT = 0x0004
ABORT_ODD_CODE = 0xFC  # CDB-04: some hosts send the two's complement for this one command
_HELD = {Level.LOCKED: Privilege.NONE, Level.HOST: Privilege.HOST, Level.MODULE: Privilege.MODULE}
_FIRMWARE_COMMANDS = range(0x0100, 0x0200)
_QUERY_STATUS = 0x0000
FLAG_ALWAYS_SINCE = (5, 0)  # CDB-09
_REFUSALS = frozenset(range(Status.UNKNOWN_COMMAND, Status.WRONG_STATE + 1))
"""Failures that come before anything was done."""


@dataclass(slots=True, eq=False)
class _Run:
    """A command under way. `refused`: it came while another was, and all it gets is 43h."""

    message: Message
    refused: bool = False
    phase: Phase = Phase.CAPTURED
    began_ns: int = 0
    job: Job | None = None
    fails_with: int | None = None
    late: bool = False  # its check takes too long

    @property
    def code(self) -> int:
        return self.message.request.code


class CdbInstance:
    """One instance: its pages, its status byte, at most one command under way."""

    def __init__(
        self,
        number: int,
        around: Surroundings,
        advertised: Advertised,
        faults: CdbFaults,
        hold_changed: Callable[[], None],
    ) -> None:
        memory, plan = around.memory, around.plan
        self.number = number
        self._clock = around.clock
        self._flags = around.flags
        self._nonvolatile = around.nonvolatile
        self._plan = plan
        self._advertised = advertised
        self._commands = around.commands
        self._faults = faults
        self._hold_changed = hold_changed
        self._busy = memory.cell(f"CdbIsBusy{number}")
        self._failed = memory.cell(f"CdbHasFailed{number}")
        self._result = memory.cell(f"CdbCommandResult{number}")
        self._flag = memory.cell(f"CdbCmdCompleteFlag{number}")
        told = plan.quirks.completion_flag
        self._flagged = told or (
            CompletionFlag.ALL if around.profile.revision >= FLAG_ALWAYS_SINCE else CompletionFlag.SOME
        )
        self._pages = MessagePages(memory, number, advertised.epl_pages, auto_paging=advertised.auto_paging)
        self._pages.listen(self._triggered)
        self._run: _Run | None = None
        self._waiting: Message | None = None
        self._event: Event | None = None
        self._lives = 0  # resets so far
        self.hold_until_ns = 0
        """Until when the module refuses every access because of this instance (CDB-10)."""

    @property
    def busy(self) -> bool:
        """Is a command under way?"""
        return self._run is not None

    def reset(self) -> None:
        """The module was reset: whatever ran is gone, and status is that of no command."""
        self._cancel()
        self._lives += 1
        self._run = self._waiting = None
        self._pages.open()
        self.hold_until_ns = 0

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None

    # -- triggers ----------------------------------------------------------------------------------------

    def _triggered(self, write: Write) -> None:
        strict = self._plan.quirks.strict_trigger and not self._advertised.any_write
        if strict and not self._pages.is_command_id(write):
            return
        message = self._pages.message()
        if self._struck(Effect.IGNORE, message.request.code) is None:
            self._begin(_Run(message))

    def _triggered_while_busy(self) -> None:
        """A trigger that is not stored: the abort, or one that comes too early (CDB-12, CDB-15)."""
        message = self._pages.shadow()
        if message.request.code == ABORT and ABORT in self._commands:
            if self._code_fits(message):
                self._abort()
        elif self._plan.quirks.busy_trigger is BusyTrigger.REFUSE:
            self._waiting = message

    def _struck(self, effect: Effect, code: int, phase: Phase | None = None) -> int | None:
        fault = self._faults.struck(effect, code, self.number, phase)
        return None if fault is None else fault.value

    def _begin(self, run: _Run) -> None:
        run.began_ns = self._clock.now_ns
        self._run = run
        self._pages.forget_reply()
        self._pages.close(self._triggered_while_busy)
        if not self._advertised.background:
            self._hold(run.began_ns + self._advertised.max_busy_ns)
        elif self._plan.quirks.nack_until_captured:
            self._hold(run.began_ns + min(self._plan.capture_ns, self._advertised.max_busy_ns))
        if self._enter(run, Phase.CAPTURED):
            self._after(self._plan.capture_ns, run, self._check)

    def _hold(self, until_ns: int) -> None:
        self.hold_until_ns = until_ns
        self._hold_changed()

    def _enter(self, run: _Run, phase: Phase) -> bool:
        """Show a phase and tell who waits for it; False when the command is not under way any more."""
        run.phase = phase
        if phase in _SHOWN:
            self._show(_SHOWN[phase])
        fault = self._faults.struck(Effect.PHASE, run.code, self.number, phase)
        if fault is not None and fault.callback is not None:
            fault.callback(run.code, self.number)
        return self._run is run

    def _after(self, duration_ns: int, run: _Run, callback: Callable[[], None], limit_ns: int | None = None) -> None:
        """End the phase then; `limit_ns`: no later, and what comes later comes too late."""
        duration_ns += self._struck(Effect.DELAY, run.code, run.phase) or 0
        run.late = limit_ns is not None and duration_ns > limit_ns
        self._event = self._clock.after(duration_ns if limit_ns is None else min(duration_ns, limit_ns), callback)

    # -- checking ----------------------------------------------------------------------------------------

    def _check(self) -> None:
        run = self._current()
        if self._enter(run, Phase.CHECKING):
            self._after(self._plan.checking_ns, run, self._checked, self._plan.checking_limit_ns)

    def _checked(self) -> None:
        run = self._current()
        run.fails_with = self._struck(Effect.FAIL, run.code)
        try:
            run.job = self._start(run)
        except Refusal as refusal:
            self._complete(Reply(refusal.status))
            return
        if not self._enter(run, Phase.EXECUTING):
            return
        if self._struck(Effect.BUSY, run.code) is not None:
            self._event = None
            return
        self._after(run.job.duration_ns, run, self._finish)

    def _start(self, run: _Run) -> Job:
        """The job of a message that is accepted; Refusal in the order of CDB-16."""
        message = run.message
        if run.fails_with in _REFUSALS:
            raise Refusal(run.fails_with)
        if run.late:
            raise Refusal(Status.CHECKING_TIMEOUT)
        if run.refused:
            raise Refusal(Status.PREVIOUS_NOT_ABORTED)
        if not self._code_fits(message):
            raise Refusal(Status.CHECK_CODE_ERROR)
        command = self._commands.get(run.code)
        if command is None:
            raise Refusal(Status.UNKNOWN_COMMAND)
        if _HELD[self._nonvolatile.level] < command.privilege:
            raise Refusal(Status.PASSWORD_ERROR)
        if command.check_state is not None:
            command.check_state()
        least, most = command.lpl_lengths
        if not least <= message.lpl_length <= most or message.epl_length > self._advertised.epl_bytes:
            raise Refusal(Status.PARAMETER_ERROR)
        return command.start(message.request)

    @staticmethod
    def _code_fits(message: Message) -> bool:
        if message.check_code == message.expected_code:
            return True
        return message.request.code == ABORT and message.check_code == ABORT_ODD_CODE and not message.lpl_length

    # -- completion --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        run = self._current()
        job = run.job
        assert job is not None
        try:
            if run.fails_with is None:
                reply = job.finish()
            else:
                reply = Reply(run.fails_with)
                if job.abort is not None:
                    job.abort()
        except Refusal as refusal:
            reply = Reply(refusal.status)
        if self._run is run:  # unless what it did has reset the module
            self._complete(reply)

    def _abort(self) -> None:
        """CDB-15: ends the command under way, if that lets itself be ended."""
        run = self._current()
        if run.job is not None:
            if run.job.abort is None:
                return
            run.job.abort()
        if self._run is not run:
            return
        self._pages.adopt()
        self._complete(Reply(Status.ABORTED))

    def _complete(self, reply: Reply) -> None:
        """Reply, then status, then flag (CDB-08)."""
        run = self._current()
        self._cancel()
        patched = self._faults.struck(Effect.REPLY_BYTES, run.code, self.number)
        if patched is not None:
            reply = _patched(reply, patched.patch)
        off = self._struck(Effect.REPLY_CODE, run.code)
        length = self._struck(Effect.REPLY_LENGTH, run.code)
        self._pages.reply(reply, length=length, code_off=0 if off is None else 0xFF)
        self._show(reply.status)
        unflagged = self._struck(Effect.NO_FLAG, run.code) is not None
        self._run = None
        self._pages.open()
        self._hold(0)
        life = self._lives  # an interrupt's listener or a scenario may reset the module
        if self._says_so(run.code) and not unflagged:
            self._flags.latch(self._flag)
        self._enter(run, Phase.COMPLETED)
        if life == self._lives and reply.then is not None:
            reply.then()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and life == self._lives:
            self._begin(_Run(waiting, refused=True))

    def _says_so(self, code: int) -> bool:
        """CDB-09: does this command end with its flag? Before 5.0, those for which hosts of that time wait."""
        if self._flagged is CompletionFlag.SOME:
            return code == _QUERY_STATUS or code in _FIRMWARE_COMMANDS
        return self._flagged is CompletionFlag.ALL

    def _current(self) -> _Run:
        run = self._run
        assert run is not None
        return run

    def _show(self, status: int) -> None:
        """The status byte (CDB-07); all of it at one instant."""
        self._busy.set(status >> 7 & 1)
        self._failed.set(status >> 6 & 1)
        self._result.set(status & 0x3F)


def _patched(reply: Reply, patch: Mapping[int, tuple[int, int]]) -> Reply:
    """The reply with bits of some bytes of its local payload as told."""
    lpl = bytearray(reply.lpl)
    for index, (mask, value) in patch.items():
        if index < len(lpl):
            lpl[index] = lpl[index] & ~mask | value & mask
    return replace(reply, lpl=bytes(lpl))
