"""What a way that keeps a copy of a module needs of it, and of its cage: small Protocols, which the emulator meets.

`bus` knows neither modules nor ports; this is all that a mirror asks of them. Callers hold the emulator's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.target import Target

Latched = Callable[[int, int, int, int], None]
"""(page, bank, index, bits): flag bits were set just now, whether or not they were set before."""


@dataclass(frozen=True, slots=True)
class PagePlan:
    """One page as it is for the module's whole life. next: the page and bank on which a run past its end goes on."""

    number: int
    bank: int
    banked: bool
    limit: int
    next: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class PageRules:
    """What bus accesses do to a page now. write: bits stored. clear: bits that a read clears. hold: per byte, whether
    what follows a write has to wait until the module has dealt with it."""

    write: bytes
    clear: bytes
    hold: bytes


class Source(Protocol):
    """A module, as a copy of it needs it."""

    flat: bool
    read_limit: int

    def pages(self) -> Sequence[PagePlan]:
        """The lower memory first."""
        ...

    def rules(self, page: int, bank: int) -> PageRules:
        """Of one page."""
        ...

    def shown(self, page: int, bank: int, *, live: bool) -> bytes:
        """128 bytes as a host reads them, without side effects. live: those computed when read are computed now."""
        ...

    def mapped(self) -> tuple[int, int]:
        """Page and bank that the upper half shows."""
        ...

    def ready(self) -> bool:
        """Would it acknowledge an access if it is selected?"""
        ...

    def resets(self) -> int:
        """Changes with each reset."""
        ...

    def write(self, page: int, bank: int, address: int, data: bytes) -> None:
        """A whole write that a bus has acknowledged, to that page whatever is mapped; lost while it is in reset."""
        ...

    def clocked_out(self, page: int, bank: int, address: int, count: int, cleared: dict[int, int]) -> None:
        """So many bytes left from `address` on, and with them these bits by index, which clear."""
        ...

    def watch(self, latched: Latched | None) -> None:
        """Tell of flag bits that are set; None: no more."""
        ...


class Cage(Protocol):
    """A place for a module, and its pins; names and levels are those of QSFP-DD."""

    target: Target

    def source(self) -> Source | None:
        """The module in it: the same object for as long as it is the same module."""
        ...

    def drive(self, pin: str, level: bool) -> None:
        """The host drives ResetL, LPMode or ModSelL."""
        ...

    def level(self, pin: str) -> bool:
        """Of IntL, or ModPrsL."""
        ...

    def now_ns(self) -> int:
        """Time is brought up to date; what is due has happened."""
        ...


def tell(cage: Cage, read: bool, page: int, bank: int, address: int, data: bytes) -> None:
    """Tell those who listen to the cage's target of a message that went by another bus, as of now."""
    taps = cage.target.taps
    if taps:
        now = cage.now_ns()
        taps.tell(Transaction(now, now, read, page, bank, address, data))
