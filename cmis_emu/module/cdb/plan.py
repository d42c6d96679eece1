"""What a product offers with CDB: the advertisement, and what it does not advertise (CDB-01, CDB-10, CDB-11, CDB-13).

Owns the codes of the advertisement in both directions. What a host reads there is what the engine keeps to, also
where a profile gives the registers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from cmis_emu.clock import NS_PER_MS
from cmis_emu.module.cdb.command import Privilege

EPL_PAGES = (0, 1, 2, 3, 4, 8, 12, 16)
"""Pages by code of CdbMaxPagesEPL."""
ACCESS_UNIT = 8  # bytes of CdbReadWriteLengthExtension
BUSY_UNIT_MS = 160  # of CdbExtMaxBusyTime
BUSY_BASE_MS = 80  # minus CdbMaxBusyTime
MESSAGE_PAGE_BYTES = 128
EXECUTION_MS = 5.0  # of a command whose group has no time of its own
COMPLETION_MS = 100  # MaxCompletionTime is at least that, where the profile says nothing


class BusyTrigger(Enum):
    """What a trigger does that comes while a command is under way (CDB-12)."""

    IGNORE = "ignore"
    REFUSE = "refuse"  # 43h after the command under way


class CompletionFlag(Enum):
    """Which commands end with the completion flag (CDB-09)."""

    ALL = "all"
    SOME = "some"  # revision 4.0
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where modules differ.

    strict_trigger: with trigger method 0, only a write of CMDID alone or of its second byte is a trigger.
    nack_until_captured: in background mode accesses are refused until the message was captured (CDB-10).
    completion_flag: None is what the revision says.
    """

    strict_trigger: bool = False
    nack_until_captured: bool = False
    busy_trigger: BusyTrigger = BusyTrigger.IGNORE
    completion_flag: CompletionFlag | None = None


@dataclass(frozen=True, slots=True)
class CdbPlan:
    """The section `cdb` apart from what is advertised. Times in ms.

    execution_ms: by group. omit: commands that the product lacks. privileges: whose password commands or groups
    need beyond what the command says itself.
    """

    groups: tuple[str, ...] = ()
    capture_ms: float = 1.0
    checking_ms: float = 1.0
    checking_limit_ms: float = 1000.0  # a check that takes longer ends with 44h
    execution_ms: Mapping[str, float] = field(default_factory=dict)
    max_completion_ms: int | None = None  # of 0040h; None: what the times come to
    omit: frozenset[int] = frozenset()
    privileges: Mapping[int, Privilege] = field(default_factory=dict)
    group_privileges: Mapping[str, Privilege] = field(default_factory=dict)
    quirks: Quirks = Quirks()

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def execution_ns(self, group: str) -> int:
        """How long a command of the group executes, where nothing else says so."""
        return round(self.execution_ms.get(group, EXECUTION_MS) * NS_PER_MS)

    @property
    def capture_ns(self) -> int:
        """From the trigger until the message was captured."""
        return round(self.capture_ms * NS_PER_MS)

    @property
    def checking_ns(self) -> int:
        """From there until it was checked."""
        return round(self.checking_ms * NS_PER_MS)

    @property
    def checking_limit_ns(self) -> int:
        """Longest check."""
        return round(self.checking_limit_ms * NS_PER_MS)

    def privilege(self, code: int, group: str) -> Privilege:
        """What the product asks for beyond what the command says itself."""
        none = Privilege.NONE
        return max(self.privileges.get(code, none), self.group_privileges.get(group, none))

    def command_ms(self, group: str) -> int:
        """How long a command of the group takes from its trigger to its end, in whole ms, rounded up."""
        return -(-(self.capture_ns + self.checking_ns + self.execution_ns(group)) // NS_PER_MS)

    def needed_ms(self) -> int:
        """How long commands take at most, those apart that say themselves how long they take."""
        return max(self.command_ms(group) for group in ("", *self.execution_ms))

    def completion_ms(self) -> int:
        """MaxCompletionTime of 0040h (CMD-03)."""
        return max(COMPLETION_MS, self.needed_ms()) if self.max_completion_ms is None else self.max_completion_ms


@dataclass(frozen=True, slots=True)
class Advertised:
    """01h:163 to 166 as numbers."""

    instances: int = 1
    background: bool = True
    auto_paging: bool = False
    epl_pages: int = 0
    access_bytes: int = ACCESS_UNIT
    any_write: bool = False  # the trigger is any write with CMDID in it
    max_busy_ms: int = BUSY_UNIT_MS

    @classmethod
    def of(cls, codes: Mapping[str, int]) -> Self:
        """From the registers by name."""

        def code(name: str) -> int:
            return int(codes.get(name, 0))

        if code("CdbMaxBusySpecMethod"):
            busy = BUSY_UNIT_MS * max(1, code("CdbExtMaxBusyTime"))
        else:
            busy = BUSY_BASE_MS - min(BUSY_BASE_MS, code("CdbMaxBusyTime"))
        pages = code("CdbMaxPagesEPL")
        return cls(
            instances=min(2, code("CdbInstancesSupported")),
            background=bool(code("CdbBackgroundModeSupported")),
            auto_paging=bool(code("CdbAutoPagingSupported")),
            epl_pages=EPL_PAGES[pages] if pages < len(EPL_PAGES) else 0,
            access_bytes=ACCESS_UNIT * (1 + code("CdbReadWriteLengthExtension")),
            any_write=bool(code("CdbCommandTriggerMethod")),
            max_busy_ms=busy,
        )

    def codes(self) -> dict[str, int]:
        """The registers by name."""
        found = {
            "CdbInstancesSupported": self.instances,
            "CdbBackgroundModeSupported": int(self.background),
            "CdbAutoPagingSupported": int(self.auto_paging),
            "CdbMaxPagesEPL": EPL_PAGES.index(self.epl_pages),
            "CdbReadWriteLengthExtension": self.access_bytes // ACCESS_UNIT - 1,
            "CdbCommandTriggerMethod": int(self.any_write),
        }
        if self.max_busy_ms <= BUSY_BASE_MS:
            return found | {"CdbMaxBusyTime": BUSY_BASE_MS - self.max_busy_ms}
        return found | {"CdbMaxBusySpecMethod": 1, "CdbExtMaxBusyTime": self.max_busy_ms // BUSY_UNIT_MS}

    def write_limit(self, epl: bool) -> int:
        """Longest write on the message page, or on a page of the extended payload (I2C-06)."""
        return self.access_bytes if epl else min(self.access_bytes, MESSAGE_PAGE_BYTES)

    @property
    def max_busy_ns(self) -> int:
        """Longest refusal of accesses (CDB-10, CDB-11)."""
        return self.max_busy_ms * NS_PER_MS

    @property
    def epl_bytes(self) -> int:
        """Greatest EPLLength."""
        return self.epl_pages * MESSAGE_PAGE_BYTES
