"""How flags can misbehave: stay set, never set, set for no reason, set late.

Owns the rules; what they do to the latches is in flags.py, which owns those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.occasions import Occasions

Place = tuple[int, int, int]
"""Page, bank and byte within the page from 0."""


class Fails(Enum):
    """What is wrong with a flag, and what an occasion is."""

    STUCK = "stuck"  # a read does not clear it; each such read
    DROPPED = "dropped"  # it does not set; each time that it should
    SPURIOUS = "spurious"  # it sets for no reason; when armed, and when a module comes
    LATE = "late"  # it sets late; each time that it should


@dataclass(eq=False, slots=True)
class BadFlag(Rule):
    """Flags fail. time_ns: how late, or how long a spurious one lasts from when a module comes; None: for ever.

    at_once: a stuck one is set at once, not only when something sets it. holds: a spurious one is a condition that
    goes on, so that it sets again after a read.
    """

    bits: Mapping[Place, int]
    fails: Fails
    occasions: Occasions
    at_once: bool = True
    holds: bool = False
    time_ns: int | None = None
    media: bool = False  # flags of media lanes, which set by themselves only where the lane is


class FlagFaults(Seam[BadFlag]):
    """The seam of all flags of one module."""

    __slots__ = ()
