"""What may go wrong with CDB, for scenarios and tests: armed for a number of commands, or until cleared.

Owns which command a fault strikes. The engine asks at the points where it can go wrong; a module without faults
answers as its commands say. Faults belong to the world, so a reset of the module leaves them armed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from cmis_emu.clock import NS_PER_S
from cmis_emu.errors import InputError
from cmis_emu.module.cdb.command import Status
from cmis_emu.occasions import Occasions


class Phase(Enum):
    """How far a command has come (CDB-07)."""

    CAPTURED = "captured"
    CHECKING = "checking"
    EXECUTING = "executing"
    COMPLETED = "completed"


class Effect(Enum):
    """What goes wrong."""

    FAIL = "fail"
    REPLY_CODE = "wrong reply check code"
    REPLY_LENGTH = "wrong reply length"
    REPLY_BYTES = "other reply bytes"
    BUSY = "busy for ever"
    NO_FLAG = "no completion flag"
    DELAY = "delay"
    IGNORE = "ignored trigger"
    PHASE = "phase"


PhaseCallback = Callable[[int, int], None]
"""Called with the command and the number of its instance."""


@dataclass(slots=True, eq=False)
class Fault:
    """One armed fault. `hits`: commands that it has struck; `left`: how many it still strikes, None for all."""

    effect: Effect
    command: int | None
    instance: int | None
    skip: int
    left: int | None
    value: int = 0
    phase: Phase | None = None
    callback: PhaseCallback | None = None
    hits: int = 0
    occasions: Occasions | None = None  # decides instead of `skip` and `left`
    patch: Mapping[int, tuple[int, int]] = field(default_factory=dict)  # by reply byte from 0: (mask, value)

    def fits(self, effect: Effect, command: int, instance: int, phase: Phase | None) -> bool:
        """Is it about such a command?"""
        return (
            self.effect is effect
            and self.left != 0
            and self.phase is phase
            and self.command in (None, command)
            and self.instance in (None, instance)
        )


class SharedFault(Fault):
    """One whose occasions a scenario counts: no snapshot of the module takes it back."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self


class CdbFaults:
    """The faults of one module. Every method that arms one returns it, for `clear` and for its `hits`.

    command: None for any. nth: the first command that is struck, counted from now. count: how many, None for
    all until cleared. instance: None for any.
    """

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    # -- arming ----------------------------------------------------------------------------------------

    def fail(
        self,
        command: int | None = None,
        status: int = Status.FAILED,
        *,
        nth: int = 1,
        count: int | None = 1,
        instance: int | None = None,
    ) -> Fault:
        """End with `status` instead of doing anything. For the n-th block of a download, nth=n."""
        if not 0x40 <= status <= 0x7F:
            raise InputError(f"{status:02X}h", "a status of a failure, 40h to 7Fh", field="status")
        return self._arm(Effect.FAIL, command, nth, count, instance, status)

    def wrong_reply_check_code(
        self, command: int | None = None, *, nth: int = 1, count: int | None = 1, instance: int | None = None
    ) -> Fault:
        """The reply comes with a check code that does not fit it."""
        return self._arm(Effect.REPLY_CODE, command, nth, count, instance)

    def wrong_reply_length(
        self,
        command: int | None,
        length: int,
        *,
        nth: int = 1,
        count: int | None = 1,
        instance: int | None = None,
    ) -> Fault:
        """RPLLength tells `length`."""
        if not 0 <= length <= 0xFF:
            raise InputError(str(length), "a byte", field="length")
        return self._arm(Effect.REPLY_LENGTH, command, nth, count, instance, length)

    def busy_forever(
        self, command: int | None = None, *, nth: int = 1, count: int | None = 1, instance: int | None = None
    ) -> Fault:
        """The command never ends; an abort or a reset ends it. Access is refused no longer than advertised."""
        return self._arm(Effect.BUSY, command, nth, count, instance)

    def no_completion_flag(
        self, command: int | None = None, *, nth: int = 1, count: int | None = 1, instance: int | None = None
    ) -> Fault:
        """The command ends without its flag."""
        return self._arm(Effect.NO_FLAG, command, nth, count, instance)

    def delay(
        self,
        seconds: float,
        command: int | None = None,
        *,
        phase: Phase = Phase.EXECUTING,
        nth: int = 1,
        count: int | None = 1,
        instance: int | None = None,
    ) -> Fault:
        """A phase lasts so much longer. Checking that lasts too long ends with 44h."""
        if not seconds >= 0 or phase is Phase.COMPLETED:
            raise InputError(f"{seconds} s after {phase.value}", "0 s or more, in a phase before completion")
        return self._arm(Effect.DELAY, command, nth, count, instance, round(seconds * NS_PER_S), phase)

    def ignore_trigger(
        self, command: int | None = None, *, nth: int = 1, count: int | None = 1, instance: int | None = None
    ) -> Fault:
        """The command is not noticed at all."""
        return self._arm(Effect.IGNORE, command, nth, count, instance)

    def on_phase(
        self,
        phase: Phase,
        callback: PhaseCallback,
        command: int | None = None,
        *,
        nth: int = 1,
        count: int | None = 1,
        instance: int | None = None,
    ) -> Fault:
        """Call `callback` when a command comes to `phase`: reset the module there, or take its power."""
        return self._arm(Effect.PHASE, command, nth, count, instance, 0, phase, callback)

    def arm(self, fault: Fault) -> None:
        """Arm a fault that was made elsewhere; harmless for one that is armed."""
        if fault not in self._armed:
            self._armed.append(fault)

    def clear(self, fault: Fault | None = None) -> None:
        """Disarm one fault, or all."""
        self._armed = [] if fault is None else [each for each in self._armed if each is not fault]

    def _arm(
        self,
        effect: Effect,
        command: int | None,
        nth: int,
        count: int | None,
        instance: int | None,
        value: int = 0,
        phase: Phase | None = None,
        callback: PhaseCallback | None = None,
    ) -> Fault:
        if nth < 1 or (count is not None and count < 1):
            raise InputError(f"nth {nth}, count {count}", "1 or more")
        fault = Fault(effect, command, instance, nth - 1, count, value, phase, callback)
        self._armed.append(fault)
        return fault

    # -- what the engine asks --------------------------------------------------------------------------

    def struck(self, effect: Effect, command: int, instance: int, phase: Phase | None = None) -> Fault | None:
        """The fault that strikes here, if one does. Every one that fits counts the command."""
        found: Fault | None = None
        for fault in self._armed:
            if not fault.fits(effect, command, instance, phase):
                continue
            if fault.skip:
                fault.skip -= 1
            elif fault.occasions is not None and not fault.occasions.take():
                continue
            elif found is None:
                found = fault
                fault.hits += 1
                fault.left = None if fault.left is None else fault.left - 1
        if found is not None and found.left == 0:
            self.clear(found)
        return found
