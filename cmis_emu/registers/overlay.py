"""What a host reads instead of what a page holds: overrides that lie over its bytes.

Owns how they combine, the page's checksum over them, and which bytes truly left the module, since those are what
clear-on-read goes by. The registers below stay as they are, so that nothing is left behind when one is taken away.
"""

from __future__ import annotations

from typing import Protocol

from cmis_emu.registers.field import PAGE_BYTES
from cmis_emu.registers.regmap import Checksum


class Override(Protocol):
    """Something that lies over a page. checksummed: the page's checksum fits it, as if the vendor had written it."""

    checksummed: bool

    def cover(self, page: int, block: bytearray) -> None:
        """Change the 128 bytes of page number `page` to what a host is to read now."""
        ...


class Overlay:
    """The overrides of one page, the later above the earlier."""

    __slots__ = ("_checksum", "_clocked", "_number", "overrides")

    def __init__(self, number: int, checksum: Checksum | None) -> None:
        self.overrides: tuple[Override, ...] = ()
        self._number = number
        self._checksum = checksum
        self._clocked = bytes(PAGE_BYTES)

    def shown(self, data: bytes | bytearray) -> bytes:
        """The page as a host reads it, where it holds `data`."""
        block = bytearray(data)
        if self._checksum is not None:
            fitting = [each for each in self.overrides if each.checksummed]
            if fitting:
                right = bytearray(data)
                for each in fitting:
                    each.cover(self._number, right)
                block[self._checksum.at - PAGE_BYTES] = self._checksum.of(bytes(right))
        for each in self.overrides:
            each.cover(self._number, block)
        return bytes(block)

    def read(self, data: bytes | bytearray) -> bytes:
        """As `shown`, for bytes that are about to leave the module."""
        self._clocked = bytes(data)
        return self.shown(data)

    def under(self, start: int, length: int) -> bytes:
        """What lay under the bytes from `start` on when they were read; coming round at the end of the page."""
        return bytes(self._clocked[(start + step) % PAGE_BYTES] for step in range(length))
