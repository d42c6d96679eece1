"""The bytes a host sees: pages, banks, the window, and what a read or a write does to them.

Owns page mapping (rules PAGE-01 to PAGE-11), masking of writes (I2C-07, I2C-08), clear-on-read
(FLG-04) and write hooks. Bytes are the truth; controllers bind to them by field name (`cell`) and write
through cells, which never fire hooks, so there are no loops. It knows no bus and no state machine.

The upper half of the window is a direct reference to one `Page`, so a read is a slice of a bytearray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

from cmis_emu.clock import NEVER
from cmis_emu.errors import InputError
from cmis_emu.registers.field import LOWER, Field
from cmis_emu.registers.overlay import Overlay, Override
from cmis_emu.registers.place import Place
from cmis_emu.registers.regmap import CompiledMap, CompiledPage, RegisterMap, page_name

HALF = 128
BANK_SELECT = "BankSelect"
PAGE_SELECT = "PageSelect"


@dataclass(frozen=True, slots=True)
class Write:
    """One host write to one page, as its hooks see it: raw bytes, before masking."""

    page: int
    bank: int
    offset: int  # register address: 0-127 for the lower memory, 128-255 for a page
    data: bytes

    def byte_at(self, address: int) -> int | None:
        """The byte written to `address`, or None when this write did not touch it."""
        index = address - self.offset
        return self.data[index] if 0 <= index < len(self.data) else None


WriteHook = Callable[[Write], None]
ClearHook = Callable[["Page", int, int], None]


class LiveRegion(Protocol):
    """Bytes computed when read: `refresh` rewrites them when `due_ns` has passed (rule MON-06)."""

    due_ns: int

    def refresh(self, now_ns: int) -> None: ...


class SelectFault(Protocol):
    """A page select that goes wrong."""

    def selecting(self, memory: Memory, number: int, bank: int) -> bool:
        """The host selects this page. True when the fault has dealt with it, and nothing else is to happen."""
        ...

    def reset(self, memory: Memory) -> None:
        """Every register goes to its default, and page 00h is mapped."""
        ...


class Page:
    """One 128-byte block. `first` is the register address of its byte 0 (0 or 128)."""

    __slots__ = (
        "bank",
        "clear_first",
        "clear_last",
        "clear_size",
        "compiled",
        "data",
        "first",
        "hooks",
        "live",
        "locked",
        "number",
        "overlay",
    )

    def __init__(self, compiled: CompiledPage, bank: int) -> None:
        self.compiled = compiled
        self.number = compiled.number
        self.bank = bank
        self.first = 0 if compiled.number == LOWER else HALF
        self.data = bytearray(compiled.reset)
        self.live: LiveRegion | None = None
        self.locked = False  # protected by a password: host writes do nothing
        self.hooks: dict[int, WriteHook] = {}
        self.overlay: Overlay | None = None  # what hosts read instead of `data`
        flagged = [i for i, mask in enumerate(compiled.clear_mask) if mask]
        # Beyond the page when nothing on it clears: then a read has nothing more to do.
        self.clear_first, self.clear_last = (flagged[0], flagged[-1]) if flagged else (HALF, -1)
        self.clear_size = self.clear_last + 1 - self.clear_first


class Cell:
    """A field bound to its bytes on one bank: raw codes, no access rules, no hooks."""

    __slots__ = ("data", "field", "implemented", "page", "slots")

    def __init__(self, field: Field, page: Page) -> None:
        self.field = field
        self.page = page
        self.data = page.data
        self.slots: list[tuple[int, int, int, int]] = []  # (index of first byte, bytes, lsb, mask)
        for lane in range(1, field.count + 1):
            first, size, msb, lsb = field.element(lane)
            width = (msb - lsb + 1) if size == 1 else 8 * size
            self.slots.append((first - page.first, size, lsb, (1 << width) - 1))
        known = page.compiled.implemented
        self.implemented = any(known[index] >> lsb & mask for index, _, lsb, mask in self.slots)
        """False when the profile does not advertise the field, so that it behaves as reserved."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Cell:
        # A snapshot has hundreds: only the page differs.
        twin = Cell.__new__(Cell)
        memo[id(self)] = twin
        twin.field, twin.slots, twin.implemented = self.field, self.slots, self.implemented
        twin.page = deepcopy(self.page, memo)
        twin.data = deepcopy(self.data, memo)  # the page may be half copied yet
        return twin

    @property
    def address(self) -> int:
        """Register address of the first byte."""
        return self.slots[0][0] + self.page.first

    def get(self, lane: int = 1) -> int:
        """Raw code of element `lane` (1-based), unsigned, big-endian when wider than a byte."""
        index, size, lsb, mask = self.slots[lane - 1]
        if size == 1:
            return (self.data[index] >> lsb) & mask
        return int.from_bytes(self.data[index : index + size], "big")

    def set(self, value: int, lane: int = 1) -> None:
        """Store the raw code; bits that do not fit are an error of the caller."""
        index, size, lsb, mask = self.slots[lane - 1]
        if value & ~mask:
            raise ValueError(f"{self.field.name}: found {value}, expected at most {mask}")
        if size == 1:
            self.data[index] = (self.data[index] & ~(mask << lsb) & 0xFF) | (value << lsb)
        else:
            self.data[index : index + size] = value.to_bytes(size, "big")

    def bits(self) -> int:
        """The one byte of an eight-lane bit field: lane i in bit i-1."""
        return self.data[self.slots[0][0]]

    def set_bits(self, value: int) -> None:
        """Store the one byte of an eight-lane bit field."""
        self.data[self.slots[0][0]] = value

    def all(self) -> list[int]:
        """Raw codes of all elements."""
        return [self.get(lane) for lane in range(1, len(self.slots) + 1)]


class Memory:
    """All pages of one module and the window onto them."""

    __slots__ = (
        "_bank_counts",
        "_bank_index",
        "_page_index",
        "broadcast",
        "compiled",
        "flat",
        "image",
        "lower",
        "on_cleared",
        "on_reset",
        "pages",
        "regmap",
        "select_faults",
        "upper",
    )

    def __init__(
        self,
        regmap: RegisterMap,
        compiled: CompiledMap,
        image: Mapping[int, bytes],
        *,
        flat: bool = False,
        bank_counts: Callable[[CompiledPage], int],
    ) -> None:
        """`image` gives the 128 reset bytes of each page (the profile's values on the map's defaults)."""
        self.regmap = regmap
        self.compiled = compiled
        self.image = image
        self.flat = flat
        self._bank_counts: dict[int, int] = {}
        self.pages: dict[tuple[int, int], Page] = {}
        for number, page in compiled.pages.items():
            banks = bank_counts(page) if page.banked else 1
            self._bank_counts[number] = banks
            for bank in range(banks):
                self.pages[number, bank] = Page(page, bank)
        self.lower = self.pages[LOWER, 0]
        self.upper = self.pages[0, 0]
        self._bank_index = regmap.field(BANK_SELECT).element(1)[0]
        self._page_index = regmap.field(PAGE_SELECT).element(1)[0]
        self.on_cleared: ClearHook | None = None
        self.broadcast: Callable[[], bool] = _never
        self.on_reset: Callable[[], None] = _nothing
        self.select_faults: tuple[SelectFault, ...] = ()
        self.reset()

    # -- reset and inspection ------------------------------------------------------------------

    def reset(self) -> None:
        """Every register to its default, the window to bank 0, page 00h (RST-05, PAGE-07)."""
        for (number, _), page in self.pages.items():
            page.data[:] = self.image.get(number, page.compiled.reset)
            if page.live is not None:
                page.live.due_ns = 0
        self.upper = self.pages[0, 0]
        self.lower.data[self._bank_index] = 0
        self.lower.data[self._page_index] = 0
        for fault in self.select_faults:
            fault.reset(self)
        self.on_reset()

    def page(self, number: int, bank: int = 0) -> Page:
        """One page. Raises InputError when the profile does not have it."""
        found = self.pages.get((number, bank))
        if found is None:
            known = ", ".join(page_name(n) for n, b in sorted(self.pages) if b == bank)
            raise InputError(f"page {page_name(number)} bank {bank}", f"one of {known or 'the banks it has'}")
        return found

    def cell(self, name: str, bank: int = 0) -> Cell:
        """Bind a field by its CMIS name. Raises UnknownFieldError at start-up for a typo."""
        field = self.regmap.field(name)
        key = (field.page, bank if self.compiled.pages[field.page].banked else 0)
        return Cell(field, self.pages[key])

    def has(self, name: str) -> bool:
        """True when the profile implements the field."""
        field = self.regmap.field(name)
        return field.page in self.compiled.pages and self.cell(name).implemented

    def fetch(
        self, number: int, bank: int, offset: int, length: int, now_ns: int = NEVER, *, held: bool = False
    ) -> bytes:
        """Bytes as a host reads them, without side effects, live ones brought up to date when `now_ns` is given.

        held: as the module holds them instead, whatever lies over them.
        """
        page = self.page(number, bank)
        if page.live is not None and page.live.due_ns <= now_ns < NEVER:
            page.live.refresh(now_ns)
        start = offset - page.first
        if start < 0 or length < 0 or start + length > HALF:
            raise InputError(f"bytes {offset} to {offset + length - 1}", f"bytes of page {page_name(number)}")
        data = page.data if page.overlay is None or held else page.overlay.shown(page.data)
        return bytes(data[start : start + length])

    def store(self, number: int, bank: int, offset: int, data: bytes) -> None:
        """Bytes by the back door: no masks, no hooks."""
        page = self.page(number, bank)
        start = offset - page.first
        if start < 0 or start + len(data) > HALF:
            raise InputError(f"bytes {offset} to {offset + len(data) - 1}", f"bytes of page {page_name(number)}")
        page.data[start : start + len(data)] = data

    def update_checksum(self, changed: Field) -> None:
        """Make the checksum of the page of `changed` right again, unless it was the checksum (NUM-05)."""
        checksum = self.regmap.pages[changed.page].checksum
        if checksum is not None and changed.at != checksum.at:
            data = self.pages[changed.page, 0].data
            data[checksum.at - HALF] = checksum.of(bytes(data))

    def keep(self, field: Field) -> None:
        """Make what a static field holds now its value after reset too: the vendor wrote it (RST-07)."""
        page = self.pages[field.page, 0]
        image = bytearray(self.image.get(field.page, page.compiled.reset))
        for address, mask in field.masks():
            index = address - page.first
            image[index] = (image[index] & ~mask & 0xFF) | (page.data[index] & mask)
        checksum = self.regmap.pages[field.page].checksum
        if checksum is not None:
            image[checksum.at - HALF] = page.data[checksum.at - HALF]
        self.image = {**self.image, field.page: bytes(image)}

    def protect(self, numbers: Iterable[int], locked: bool) -> None:
        """Make host writes to these pages do nothing, or work again (PW-02)."""
        for number in numbers:
            for bank in range(self._bank_counts.get(number, 0)):
                self.pages[number, bank].locked = locked

    # -- what lies over the registers ------------------------------------------------------------

    def override(self, place: Place, override: Override) -> None:
        """Lay something over the page of a place, in every bank that it names; harmless where it lies already."""
        for page in self._pages_of(place):
            if page.overlay is None:
                page.overlay = Overlay(page.number, self.regmap.pages[page.number].checksum)
            if override not in page.overlay.overrides:
                page.overlay.overrides = (*page.overlay.overrides, override)

    def uncover(self, place: Place, override: Override) -> None:
        """Take it away again; harmless where it does not lie."""
        for page in self._pages_of(place):
            if page.overlay is not None:
                left = tuple(each for each in page.overlay.overrides if each is not override)
                page.overlay.overrides = left
                if not left:
                    page.overlay = None

    def _pages_of(self, place: Place) -> list[Page]:
        return [page for (number, bank), page in self.pages.items() if place.on(number, bank)]

    def forget_faults(self) -> None:
        """Nothing lies over the registers, and page selects work."""
        self.select_faults = ()
        for page in self.pages.values():
            page.overlay = None

    def contents(self) -> dict[tuple[int, int], bytes]:
        """All bytes of all pages."""
        return {key: bytes(page.data) for key, page in self.pages.items()}

    # -- host reads ------------------------------------------------------------------------------

    def read(self, address: int, length: int, now_ns: int) -> bytes:
        """Bytes from `address` on, rolling over inside the half (I2C-04). No side effect but freshness."""
        page = self.lower if address < HALF else self.upper
        live = page.live
        if live is not None and live.due_ns <= now_ns:
            live.refresh(now_ns)
        start = address & 127
        end = start + length
        data = page.data if page.overlay is None else page.overlay.read(page.data)
        if end <= HALF:
            return bytes(data[start:end])
        block = bytes(data[start:]) + bytes(data) * (length // HALF)
        return (block + bytes(data[:start]))[:length]

    def clocked_out(self, address: int, data: bytes) -> None:
        """These bytes really left the module: clear the flag bits that they carried as 1 (FLG-04)."""
        page = self.lower if address < HALF else self.upper
        start = address & 127
        if page.overlay is not None:
            data = page.overlay.under(start, len(data))
        if start + len(data) <= HALF:
            # Nothing set among the bytes that clear: by far the commonest case.
            flagged = data[max(0, page.clear_first - start) : max(0, page.clear_last + 1 - start)]
            if flagged.count(0) == len(flagged):
                return
        mask, stored, hook = page.compiled.clear_mask, page.data, self.on_cleared
        for step, value in enumerate(data):
            index = (start + step) & 127
            gone = value & mask[index] & stored[index]
            if gone:
                stored[index] &= ~gone & 0xFF
                if hook is not None:
                    hook(page, index, gone)

    # -- host writes -----------------------------------------------------------------------------

    def write(self, address: int, data: bytes) -> None:
        """One host write transaction at its STOP: masked stores, page select, each hook once."""
        page = self.lower if address < HALF else self.upper
        start = address & 127
        if page.locked:
            return  # PW-02: acknowledged and ignored, as any write that has no effect
        if len(data) == 1:
            self._store_byte(page, start, data[0])
            targets = (page,) if page is self.lower or not self.broadcast() else tuple(self._broadcast(page))
            if len(targets) > 1:
                for twin in targets[1:]:
                    self._store_byte(twin, start, data[0])
            for each in targets:
                hook = each.hooks.get(start)
                if hook is not None:
                    hook(Write(each.number, each.bank, address, data))
        else:
            self._write_run(page, start, data)
        if page is self.lower and (
            start <= self._page_index < start + len(data) or start <= self._bank_index < start + len(data)
        ):
            self._select(self._bank_index >= start, self._page_index < start + len(data), start, data)

    def _write_run(self, page: Page, start: int, data: bytes) -> None:
        pieces: list[tuple[int, bytes]] = []
        rest, at = data, start
        while rest:  # a write that runs past its half goes on at the half's first byte (I2C-04)
            pieces.append((at, rest[: HALF - at]))
            rest, at = rest[HALF - at :], 0
        targets = [page] if page is self.lower or not self.broadcast() else list(self._broadcast(page))
        for each in targets:
            for at, piece in pieces:
                for step, value in enumerate(piece):
                    self._store_byte(each, at + step, value)
        for each in targets:
            called: list[WriteHook] = []
            for at, piece in pieces:
                for step in range(len(piece)):
                    hook = each.hooks.get(at + step)
                    if hook is not None and hook not in called:
                        called.append(hook)
                        hook(Write(each.number, each.bank, at + each.first, piece))

    def _store_byte(self, page: Page, index: int, value: int) -> None:
        mask = page.compiled.write_mask[index]
        if mask and not (page is self.lower and index in (self._bank_index, self._page_index)):
            page.data[index] = (page.data[index] & ~mask & 0xFF) | (value & mask)

    def _broadcast(self, page: Page) -> Iterator[Page]:
        """The page and, for a banked control page, its twins in the other banks (PAGE-10)."""
        yield page
        if page.compiled.banked and page.compiled.bank_index == "lanes" and any(page.compiled.write_mask):
            for bank in range(self._bank_counts[page.number]):
                if bank != page.bank:
                    yield self.pages[page.number, bank]

    def _select(self, bank_in_reach: bool, page_written: bool, start: int, data: bytes) -> None:
        """Rules PAGE-02 to PAGE-06: a bank change waits for the page byte of the same or a later write."""
        if self.flat:
            return  # PAGE-05: both bytes read 0
        lower = self.lower.data
        bank = lower[self._bank_index]
        if bank_in_reach and self._bank_index < start + len(data):
            bank = data[self._bank_index - start]
        if page_written and start <= self._page_index:
            number = data[self._page_index - start]
            for fault in self.select_faults:
                if fault.selecting(self, number, bank):
                    return
            self.select(number, bank)
        else:
            lower[self._bank_index] = bank

    def select(self, number: int, bank: int) -> None:
        """Map page `number` of `bank`, or page 00h where that does not exist (PAGE-03, PAGE-04)."""
        self.upper = self.mark(number, bank)

    def mark(self, number: int, bank: int) -> Page:
        """Let the select bytes read as after this select, which maps nothing yet; the page that it would map."""
        lower = self.lower.data
        banks = self._bank_counts.get(number, 0)
        banked = banks > 0 and self.compiled.pages[number].banked
        if banks == 0 or (banked and bank >= banks):
            number, bank = 0, 0
        elif not banked and bank >= max(self._bank_counts.values()):
            bank = 0  # PAGE-03: reads back as written only where that bank exists at all
        lower[self._bank_index] = bank
        lower[self._page_index] = number
        return self.pages[number, bank if banked and number else 0]

    def remap(self) -> None:
        """Map what the select bytes say, after a fault that left the two apart."""
        if not self.flat:
            self.select(self.lower.data[self._page_index], self.lower.data[self._bank_index])

    def supports(self, number: int, bank: int) -> bool:
        """Would a select of this page map it (PAGE-04)?"""
        return bank < self._bank_counts.get(number, 0) if self._is_banked(number) else (number, 0) in self.pages

    def _is_banked(self, number: int) -> bool:
        return number in self.compiled.pages and self.compiled.pages[number].banked


def _never() -> bool:
    return False


def _nothing() -> None:
    pass
