"""What the board does with its copy of the pages, byte for byte: loads, the bus's writes and reads, page selects.

Owns the host's knowledge of the board. The board says with every report what it had taken by then, so that the host
can go through the same steps in the same order and knows each byte that stood there. The rule by which loads and
reports meet is the board's: a byte that the bus has changed keeps its value against a load whose sender did not know
of that change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cmis_emu.bus.pico.wire import NO_SLOT
from cmis_emu.bus.target import HALF

BANK_SELECT, PAGE_SELECT = 126, 127
LOWER_SLOT = 0

Place = tuple[int, int]
"""Slot, and index of a byte in it."""


@dataclass(slots=True)
class Page:
    """One page on the board. number: -1 for the lower memory. touch: by index, the last report that changed a byte."""

    number: int
    bank: int
    banked: bool
    next: int = NO_SLOT
    data: bytearray = field(default_factory=lambda: bytearray(HALF))
    write: bytes = bytes(HALF)
    clear: bytes = bytes(HALF)
    touch: dict[int, int] = field(default_factory=dict)


class Replica:
    """The board's pages by slot, and the slot that the upper half shows. Slot 0 is the lower memory."""

    def __init__(self, pages: Iterable[Page], *, flat: bool) -> None:
        self.pages = list(pages)
        self.flat = flat
        self.slots = {(page.number, page.bank): slot for slot, page in enumerate(self.pages)}
        self.banks = 1 + max((page.bank for page in self.pages), default=0)
        self.upper = self.slots.get((0, 0), LOWER_SLOT)
        self._map_touch = 0

    # -- what the host sends -----------------------------------------------------------------------

    def load(self, slot: int, offset: int, data: bytes, seen: int) -> None:
        """Bytes of the module as they were when report `seen` was the last one dealt with."""
        page = self.pages[slot]
        if not page.touch:
            page.data[offset : offset + len(data)] = data
            return
        for index, value in enumerate(data, offset):
            if page.touch.get(index, 0) <= seen:
                page.data[index] = value

    def map(self, slot: int, seen: int) -> None:
        """The module maps that page."""
        if self._map_touch <= seen:
            self.upper = slot

    def seen(self, report: int) -> None:
        """The host has dealt with that report."""
        for page in self.pages:
            if page.touch:
                page.touch = {index: number for index, number in page.touch.items() if number > report}

    # -- what the board reports --------------------------------------------------------------------

    def wrote(self, report: int, slot: int, address: int, data: bytes) -> set[Place]:
        """A write from the bus; `report` is the last of its pieces. Returns what it touched."""
        touched: set[Place] = set()
        start = index = address & (HALF - 1)
        at = slot
        moved: int | None = None
        for value in data:
            page = self.pages[at]
            mask = page.write[index]
            if at == LOWER_SLOT and index in (BANK_SELECT, PAGE_SELECT):
                mask = 0
            if mask:
                page.data[index] = page.data[index] & ~mask & 0xFF | value & mask
                touched.add((at, index))
            index += 1
            if index == HALF:
                index = 0
                if at != LOWER_SLOT and page.next != NO_SLOT:  # CDB-13
                    at = moved = page.next
        if moved is not None:
            self._select(self.pages[moved].number, self.pages[moved].bank, report, touched)
        if slot == LOWER_SLOT and not self.flat:
            self._select_by(start, data, report, touched)
        self._touch(report, touched)
        return touched

    def read(
        self, report: int, slot: int, address: int, count: int, clears: Iterable[tuple[int, int]]
    ) -> tuple[bytes, set[Place]]:
        """A read from the bus: the bytes that went out, and what it touched."""
        page = self.pages[slot]
        start = address & (HALF - 1)
        out = bytes((page.data[start:] + page.data * (1 + count // HALF))[:count])
        if count > HALF:  # it came round: what had been cleared before reads 0 then
            cleared = dict(clears)
            body = bytearray(out)
            for step in range(HALF, count):
                body[step] &= ~cleared.get((start + step) % HALF, 0) & 0xFF
            out = bytes(body)
        touched: set[Place] = set()
        for index, bits in clears:
            page.data[index] &= ~bits & 0xFF
            touched.add((slot, index))
        if slot != LOWER_SLOT and page.next != NO_SLOT and start + count == HALF:
            after = self.pages[page.next]
            self._select(after.number, after.bank, report, touched)
        self._touch(report, touched)
        return out, touched

    def _select_by(self, start: int, data: bytes, report: int, touched: set[Place]) -> None:
        """Rules PAGE-02 to PAGE-06."""
        end = start + len(data)
        lower = self.pages[LOWER_SLOT].data
        bank_written, page_written = (start <= at < end for at in (BANK_SELECT, PAGE_SELECT))
        bank = data[BANK_SELECT - start] if bank_written else lower[BANK_SELECT]
        if page_written:
            self._select(data[PAGE_SELECT - start], bank, report, touched)
        elif bank_written:
            lower[BANK_SELECT] = bank
            self._map_touch = report
            touched |= {(LOWER_SLOT, BANK_SELECT), (LOWER_SLOT, PAGE_SELECT)}

    def _select(self, number: int, bank: int, report: int, touched: set[Place]) -> None:
        first = self.slots.get((number, 0))
        banked = first is not None and self.pages[first].banked
        slot = self.slots.get((number, bank)) if banked else first
        if slot is None:
            number = bank = 0
            slot = self.slots.get((0, 0), self.upper)
        elif not banked and bank >= self.banks:
            bank = 0
        lower = self.pages[LOWER_SLOT].data
        lower[BANK_SELECT], lower[PAGE_SELECT] = bank, number
        self.upper = slot
        self._map_touch = report
        touched |= {(LOWER_SLOT, BANK_SELECT), (LOWER_SLOT, PAGE_SELECT)}

    def _touch(self, report: int, touched: Iterable[Place]) -> None:
        for slot, index in touched:
            self.pages[slot].touch[index] = report
