"""What a CDB command is to the engine that runs it: a request, a job that takes its time, a reply (rules CDB-*).

Command groups (one file each) make `Command`s; the engine owns messages, status, flags and time. Neither knows the
other beyond this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

LPL_BYTES = 120
"""Local payload of a message (CDB-02)."""


class Status(IntEnum):
    """CdbStatus without its busy bit, where a command ends (CDB-07)."""

    SUCCESS = 0x01
    ABORTED = 0x03
    FAILED = 0x40
    UNKNOWN_COMMAND = 0x41
    PARAMETER_ERROR = 0x42
    PREVIOUS_NOT_ABORTED = 0x43
    CHECKING_TIMEOUT = 0x44
    CHECK_CODE_ERROR = 0x45
    PASSWORD_ERROR = 0x46
    WRONG_STATE = 0x47


class Privilege(IntEnum):
    """Whose password a command needs (CDB-16, PW-01)."""

    NONE = 0
    HOST = 1
    MODULE = 2


class Refusal(Exception):
    """A command that ends in checking, with a status of 40h to 7Fh."""

    def __init__(self, status: int) -> None:
        super().__init__(f"CdbStatus {status:02X}h")
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A message as the host sent it. lpl: LPLLength bytes; epl: EPLLength bytes, from the EPL pages."""

    code: int
    lpl: bytes = b""
    epl: bytes = b""
    instance: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """How a command ends. epl: reply bytes for the EPL pages, None when there are none (CDB-06).

    With local bytes as well, RPLLength tells those. then: done after status and completion flag are set, such as
    a reset that was asked for.
    """

    status: int = Status.SUCCESS
    lpl: bytes = b""
    epl: bytes | None = None
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A command under way. `finish` is called once, `duration_ns` after its start; nothing is done before.

    abort: called instead when command 0004h stops it; None: 0004h can't stop it.
    """

    duration_ns: int
    finish: Callable[[], Reply]
    abort: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `start` raises Refusal for a state (47h) or a parameter (42h) that does not fit.

    lpl_lengths: LPLLength that is accepted, from and to; another gives 42h.
    check_state: raises Refusal(47h) before the length is looked at (CDB-16), where that order matters.

    Snapshots copy a module with a command under way: `start`, and what a Job holds, are bound methods or partials
    of such, never functions that close over a module's state.
    """

    code: int
    title: str
    start: Callable[[Request], Job]
    lpl_lengths: tuple[int, int] = (0, 0)
    privilege: Privilege = Privilege.NONE
    check_state: Callable[[], object] | None = None


class CommandGroup(Protocol):
    """A file's worth of commands of one module. `reset`: the module was reset, whatever ran is gone."""

    def commands(self) -> Sequence[Command]: ...
    def reset(self) -> None: ...


@runtime_checkable
class Follower(Protocol):
    """A group that measures. `settled`: the module came to rest; see `Vdm.settled`."""

    def settled(self, changed: bool) -> None: ...
