"""One register field: where its bits are and what host accesses do to them.

Owns the shape of a field (page, byte, bits, lanes) and its orthogonal properties: access, side effect of a
read, side effect of a write, advertisement, first revision. It holds no value and knows no YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Self

LOWER = -1  # page number of the lower memory, which no PageSelect value names
PAGE_BYTES = 128


class Access(Enum):
    """What the host may do. The module itself may always change a field."""

    RO = "RO"
    RW = "RW"
    WO = "WO"  # nothing is stored: the write acts, the read gives 0 (I2C-08)


class OnRead(Enum):
    """Side effect of a host read of the byte."""

    NONE = "none"
    CLEAR = "clear"  # a latched flag (FLG-01)


class OnWrite(Enum):
    """Side effect of a host write."""

    NONE = "none"
    TRIGGER = "trigger"


class Kind(Enum):
    """How the bits of one element read as a value."""

    BOOL = "bool"
    UINT = "unsigned"
    SINT = "signed"
    F16 = "f16"
    ASCII = "ascii"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Condition:
    """One advertisement: the field `name` has one of `codes`, or at least `minimum`."""

    name: str
    codes: tuple[int, ...] = ()
    minimum: int | None = None

    def holds(self, code: int) -> bool:
        """True when the advertised `code` satisfies the condition."""
        return code >= self.minimum if self.minimum is not None else code in self.codes


@lru_cache(maxsize=4096)
def _layout(
    first: int, count: int, width: int, bits: tuple[int, int], stride: int
) -> tuple[tuple[int, int, int, int], ...]:
    """Place of every element as (first byte, bytes, msb, lsb); stride 0 packs them."""
    places = []
    for index in range(count):
        if stride == 0:  # NUM-04: element 1 in the least significant bits of the first byte
            byte, step = divmod(index * width, 8)
            places.append((first + byte, 1, step + width - 1, step))
        else:
            places.append((first + index * stride, max(1, width // 8), *bits))
    return tuple(places)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a page, or a family of equal elements (`lanes`), stored once.

    `width` is the number of bits of one element (8 times its bytes for text and byte strings).
    `scale` times the raw code gives the value in `unit`; the code c of the field `scaled_by` multiplies that by
    2 to the power of c (MON-01). `default` is the raw code of each element after
    reset; for byte strings the value of each byte. Identity is equality: a map holds each field once.
    """

    name: str
    page: int
    at: int
    type: str
    kind: Kind
    width: int
    bits: tuple[int, int] | None = None
    lanes: int | None = None
    stride: int | None = None
    side: str | None = None
    access: Access = Access.RO
    on_read: OnRead = OnRead.NONE
    on_write: OnWrite = OnWrite.NONE
    masked_by: str | None = None
    little: bool = False
    scale: float | None = None
    scaled_by: str | None = None
    unit: str | None = None
    enum: str | None = None
    default: int = 0
    volatile: bool = False
    needs: tuple[Condition, ...] = ()
    since: tuple[int, int] = (0, 0)
    qualified: bool = False
    unsure: bool = False
    ref: tuple[str, ...] = ()
    note: str = ""
    line: int = 0
    elements: tuple[tuple[int, int, int, int], ...] = field(init=False, repr=False)

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def __post_init__(self) -> None:
        bits = self.bits or (min(self.width, 8) - 1, 0)
        stride = 0 if self.packed else self.stride or max(1, self.width // 8)
        places = _layout(self.at, self.count, self.width, bits, stride)
        object.__setattr__(self, "elements", places)

    @property
    def count(self) -> int:
        """Number of elements; 1 for a field without lanes."""
        return self.lanes or 1

    @property
    def static(self) -> bool:
        """True for what only the vendor writes: it reads the same until then, and no read changes it."""
        return self.access is Access.RO and not self.volatile and self.on_read is OnRead.NONE

    @property
    def packed(self) -> bool:
        """True for elements narrower than a byte that share bytes (NUM-04)."""
        return self.lanes is not None and self.stride is None and self.width < 8

    def element(self, lane: int) -> tuple[int, int, int, int]:
        """(first byte, bytes, msb, lsb) of element `lane`, 1-based. Wide elements have bits 7 to 0.

        Raises IndexError outside 1..count.
        """
        if not 1 <= lane <= self.count:
            raise IndexError(f"{self.name}: found lane {lane}, expected 1 to {self.count}")
        return self.elements[lane - 1]

    def masks(self) -> Iterator[tuple[int, int]]:
        """(register address, bits) of everything the field covers; an address may come more than once."""
        for first, size, msb, lsb in self.elements:
            mask = (1 << (msb + 1)) - (1 << lsb)
            for byte in range(first, first + size):
                yield byte, mask

    def reset_bytes(self) -> Iterator[tuple[int, int]]:
        """(register address, bits to set) of a default that is not zero."""
        if not self.default:
            return
        for first, size, _, lsb in self.elements:
            if self.kind in (Kind.ASCII, Kind.BYTES):
                for byte in range(first, first + size):
                    yield byte, self.default
            elif size == 1:
                yield first, self.default << lsb
            else:
                yield from enumerate(self.default.to_bytes(size, "little" if self.little else "big"), first)

    @property
    def span(self) -> tuple[int, int]:
        """First and last register address covered."""
        last = self.elements[-1]
        return self.at, last[0] + last[1] - 1

    @property
    def maximum(self) -> int:
        """Largest raw code of one element."""
        return (1 << self.width) - 1
