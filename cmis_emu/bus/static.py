"""A module that is a picture: pages of bytes that answer page selects and nothing else.

Owns how a register image (a dump file) behaves behind a bus target: reads show the image, writes are
acknowledged and only the two select bytes keep anything. A page that the image lacks answers as an
unsupported page (PAGE-04).
"""

from __future__ import annotations

from collections.abc import Mapping

from cmis_emu.bus.target import HALF
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.regmap import RegisterMap

WRITE_MAX = 8  # bytes (I2C-06)


class StaticDevice:
    """The Device of a Target over `pages`, 128 bytes by (page, bank)."""

    def __init__(self, pages: Mapping[tuple[int, int], bytes], regmap: RegisterMap) -> None:
        self.read_limit = HALF
        self.pages = {key: bytes(block) for key, block in pages.items()}
        self.lower = bytearray(pages.get((LOWER, 0), bytes(HALF)))
        self._bank_at = regmap.field("BankSelect").at
        self._page_at = regmap.field("PageSelect").at
        memory_model = regmap.field("MemoryModel")
        self.flat = bool(self.lower[memory_model.at] >> memory_model.elements[0][3] & 1)
        self._blank = bytes(HALF)
        self._upper = self.pages.get((0, 0), self._blank)
        self._mapped = (0, 0)
        if not self.flat:
            self.lower[self._bank_at] = self.lower[self._page_at] = 0

    def answers(self) -> bool:
        """An image is always there."""
        return True

    def mapped(self) -> tuple[int, int]:
        """Page and bank that the upper half shows."""
        return self._mapped

    def latch(self, address: int) -> None:
        """Nothing moves."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes from `address`, rolling over inside the half (I2C-04)."""
        half = self._upper if address & HALF else bytes(self.lower)
        start = address & (HALF - 1)
        return (half + half)[start : start + length]

    def clocked_out(self, address: int, data: bytes) -> None:
        """Nothing clears."""

    def clock_out(self, address: int, length: int) -> bytes | None:
        """A whole read."""
        return self.read(address, length)

    def write_limit(self, address: int) -> int:
        """Bytes that one write may carry."""
        return WRITE_MAX

    def write(self, address: int, data: bytes) -> None:
        """Keep the select bytes; everything else is forgotten."""
        if self.flat or address & HALF:
            return
        mapped = False
        for at, value in enumerate(data, address):
            if at == self._bank_at:
                self.lower[at] = value
            elif at == self._page_at:
                self.lower[at] = value
                mapped = True
        if mapped:
            self._map(self.lower[self._page_at], self.lower[self._bank_at])

    def _map(self, page: int, bank: int) -> None:
        found = self.pages.get((page, bank))
        if found is None:
            self.lower[self._bank_at] = self.lower[self._page_at] = 0
            found = self.pages.get((0, 0), self._blank)
            page = bank = 0
        self._mapped = (page, bank)
        self._upper = found
