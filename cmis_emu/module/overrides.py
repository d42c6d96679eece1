"""What can lie over a module's registers: bytes that a host reads wrong, and maps that are not filled in yet.

Owns the two kinds of override; `registers/overlay.py` owns how they lie over a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cmis_emu.physics.noise import uniform
from cmis_emu.registers.field import PAGE_BYTES
from cmis_emu.registers.place import Place


@dataclass(eq=False, slots=True)
class FixedBytes:
    """A place reads as `data`, which is repeated to its end; of each byte only the bits of the place.

    checksummed: the checksum of the page fits that; else it is left as it is.
    """

    place: Place
    data: bytes
    checksummed: bool = False

    def cover(self, page: int, block: bytearray) -> None:
        """As `Override` says."""
        mask, start = self.place.mask, self.place.start
        for step in range(len(self.place)):
            value = self.data[step % len(self.data)]
            block[start + step] = (block[start + step] & ~mask & 0xFF) | (value & mask)

    def __deepcopy__(self, memo: object) -> FixedBytes:
        return self  # armed by a scenario; no snapshot of a module copies it


class Blank(Enum):
    """What a byte reads as before it is filled in."""

    ZEROS = "zeros"
    ONES = "ones"
    GARBAGE = "garbage"


@dataclass(eq=False, slots=True)
class Unfilled:
    """A place that fills in, byte by byte from its first to its last, between two moments.

    since: the moment in ns from which both count. now: the time in ns. With equal moments it is all there at once.
    """

    place: Place
    since: Callable[[], int]
    now: Callable[[], int]
    begin_ns: int
    end_ns: int
    blank: Blank
    seed: int = 0
    checksummed: bool = False

    def cover(self, page: int, block: bytearray) -> None:
        """As `Override` says."""
        start, mask = self.place.start, self.place.mask
        for step in range(self._filled(), len(self.place)):
            blank = self._blank(page, start + step)
            block[start + step] = (block[start + step] & ~mask & 0xFF) | (blank & mask)

    def _filled(self) -> int:
        """How many bytes are there."""
        age = self.now() - self.since()
        if age >= self.end_ns:
            return len(self.place)
        if age < self.begin_ns:
            return 0
        return len(self.place) * (age - self.begin_ns) // (self.end_ns - self.begin_ns)

    def _blank(self, page: int, index: int) -> int:
        if self.blank is Blank.GARBAGE:
            return int(256 * uniform(self.seed, page, index))
        return 0xFF if self.blank is Blank.ONES else 0

    def __deepcopy__(self, memo: object) -> Unfilled:
        return self  # as above


def whole_pages(numbers: set[int]) -> list[Place]:
    """A place for all of each page; a negative number is the lower memory."""
    return [
        Place(number, 0, PAGE_BYTES - 1) if number < 0 else Place(number, PAGE_BYTES, 2 * PAGE_BYTES - 1)
        for number in sorted(numbers)
    ]
