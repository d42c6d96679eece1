"""A place in the memory of a module: bytes of one page, or bits of one of them.

Owns what a place covers, so that faults of every layer mean the same by it. How people write one is
`scenarios/places.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmis_emu.registers.field import LOWER, PAGE_BYTES

ALL_BITS = 0xFF


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes `first` to `last` (register addresses) of a page.

    page: LOWER for the lower memory. bank: None means every bank. mask: which bits of each byte are meant.
    """

    page: int
    first: int
    last: int
    bank: int | None = None
    mask: int = ALL_BITS

    def __len__(self) -> int:
        return self.last - self.first + 1

    def on(self, page: int, bank: int) -> bool:
        """Is it on this page?"""
        return self.page == page and (self.bank is None or self.bank == bank)

    def covers(self, page: int, bank: int, address: int) -> bool:
        """Is this byte in it?"""
        return self.first <= address <= self.last and self.on(page, bank)

    @property
    def start(self) -> int:
        """Index of its first byte within the 128 bytes of its page."""
        return self.first & (PAGE_BYTES - 1)

    def __str__(self) -> str:
        page = "L" if self.page == LOWER else f"{self.page:02X}h"
        bank = "" if self.bank is None else f"/{self.bank}"
        whole = (0, PAGE_BYTES - 1) if self.page == LOWER else (PAGE_BYTES, 2 * PAGE_BYTES - 1)
        if (self.first, self.last) == whole and self.mask == ALL_BITS:
            return page + bank
        last = "" if self.last == self.first else f"-{self.last}"
        return f"{page}{bank}:{self.first}{last}{self._bits()}"

    def _bits(self) -> str:
        if self.mask == ALL_BITS:
            return ""
        high, low = self.mask.bit_length() - 1, (self.mask & -self.mask).bit_length() - 1
        return f".{high}" if high == low else f".{high}-{low}"
