"""One module under judgement: its pages read once, its advertisement known, its registers by name.

Owns page selection, the cache of what is static, fresh reads of what is not, writes by name and their way
back. What the module has is compiled from the advertisement it gave; what an image lacks raises AbsentError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cmis_emu.judge.check import AbsentError, Level
from cmis_emu.judge.host import Host
from cmis_emu.registers.encoding import Value, decode, extract, insert
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Field, Kind
from cmis_emu.registers.regmap import CompiledMap, RegisterMap, compile_map, page_name

KNOWN_REVISIONS = ((3, 0), (4, 0), (4, 1), (5, 0), (5, 1), (5, 2), (5, 3), (5, 4))
LANES = 8  # of one bank
WRITE_BYTES = 8  # one write carries at most so many (I2C-06)
READ_BYTES = 8  # every module serves reads of so many (I2C-05)
BANKS = {0: 1, 1: 2, 2: 4}
"""Banks by the code of BanksSupported (PAGE-09)."""


class Session:
    """Registers of the module behind `host` by CMIS name. Lanes are 1-based; `bank` counts from 0."""

    def __init__(self, host: Host, regmap: RegisterMap, level: Level) -> None:
        self.host = host
        self.regmap = regmap
        self.level = level
        self._pages: dict[tuple[int, int], bytes] = {}
        self._mapped: tuple[int, int] | None = None
        self._select = regmap.field("BankSelect").at
        self._readback = regmap.field("PageSelect").at
        self._refused: set[tuple[int, int]] = set()
        self.flat = False  # until it is known
        self.read_limit = self._serves()
        self._found_mapping = self._mapping()
        self.flat = self.in_image(LOWER) and self.code("MemoryModel") == 1
        self.revision = self._revision()
        self.compiled: CompiledMap = compile_map(regmap, self.revision, self._advertised)
        self.banks = 1 if self.flat else BANKS.get(self._advertised("BanksSupported"), 1)

    # -- what there is -------------------------------------------------------------------------------

    @property
    def image(self) -> bool:
        """True for a picture of a module instead of a module."""
        return self.host.known_pages is not None

    def in_image(self, page: int, bank: int = 0) -> bool:
        """True unless an image is judged that lacks the page."""
        return self.host.known_pages is None or (page, bank) in self.host.known_pages

    def advertised(self, page: int) -> bool:
        """Does the module advertise the page, or must it have it?"""
        return page in self.compiled.pages

    def has(self, name: str) -> bool:
        """Does the module implement the field, by its advertisement? Raises AbsentError when that is unknown."""
        field = self.regmap.field(name)
        if field.since > self.revision:
            return False
        for condition in field.needs:
            page = self.regmap.field(condition.name).page
            if not self.flat and not self.in_image(page):
                raise AbsentError(f"page {page_name(page)}, which would advertise {name}, is not in the image")
        return self.compiled.implements(name)

    def need(self, name: str, why: str = "") -> None:
        """Go on only when the module implements the field."""
        if not self.has(name):
            raise AbsentError(why or f"{name} is not advertised")

    def need_page(self, page: int) -> None:
        """Go on only when the module has the page."""
        if self.flat and page not in (LOWER, 0):
            raise AbsentError("flat memory: lower memory and page 00h only")
        if not self.advertised(page) and self.in_image(LOWER):
            raise AbsentError(f"page {page_name(page)} is not advertised")
        if not self.in_image(page):
            raise AbsentError(f"page {page_name(page)} is not in the image")

    def _revision(self) -> tuple[int, int]:
        if not self.in_image(LOWER):
            return KNOWN_REVISIONS[-1]  # nothing is known: judge by the widest map
        code = self.code("CmisRevision")
        return code >> 4, code & 0xF

    def _advertised(self, name: str) -> int:
        try:
            return self.code(name)
        except AbsentError:
            return 0

    # -- pages ---------------------------------------------------------------------------------------

    def select(self, page: int, bank: int = 0, *, force: bool = False) -> int:
        """Map a page with one write of both select bytes (PAGE-02); returns what PageSelect reads then."""
        if self.flat and page == 0:
            return 0  # nothing to select
        if force or self._mapped != (page, bank):
            self._mapped = None
            self.host.write(self._select, bytes([bank, page]))
            found = self.host.read(self._readback, 1)[0]
            if found != page:
                return found
            self._mapped = (page, bank)
        return page

    def forget_mapping(self) -> None:
        """Somebody else selected a page, or the module was reset."""
        self._mapped = None

    def forget(self) -> None:
        """The module changed: read everything again."""
        self._pages.clear()
        self._mapped = None

    def page(self, number: int, bank: int = 0) -> bytes:
        """128 bytes of a page, read once. Raises AbsentError when the image or the module lacks it."""
        found = self._pages.get((number, bank))
        if found is None:
            first = 0 if number == LOWER else PAGE_BYTES
            found = self._pages[number, bank] = self.fetch(number, first, PAGE_BYTES, bank)
        return found

    def fetch(self, page: int, at: int, length: int, bank: int = 0) -> bytes:
        """Bytes of a page as they are now, in one read."""
        if not self.in_image(page, bank):
            where = f" bank {bank}" if bank else ""
            raise AbsentError(f"page {page_name(page)}{where} is not in the image")
        if page != LOWER:
            if (page, bank) in self._refused:
                raise AbsentError(f"page {page_name(page)} cannot be selected")
            if self.select(page, bank) != page:
                self._refused.add((page, bank))
                raise AbsentError(f"page {page_name(page)} cannot be selected")
        return self.read(at, length)

    def read(self, address: int, length: int) -> bytes:
        """Bytes of what is mapped, in reads as long as the module serves them (I2C-05)."""
        if length <= self.read_limit:
            return self.host.read(address, length)
        steps = range(0, length, self.read_limit)
        return b"".join(self.host.read(address + at, min(self.read_limit, length - at)) for at in steps)

    def _serves(self) -> int:
        """Longest read that gives true bytes: a module may stop after 8 (I2C-05)."""
        at = self.regmap.field("VendorName").at
        long = self.host.read(at, 2 * READ_BYTES)
        return PAGE_BYTES if long[READ_BYTES:] == self.host.read(at + READ_BYTES, READ_BYTES) else READ_BYTES

    # -- fields: cached, for what is static -------------------------------------------------------------

    def code(self, name: str, lane: int = 1, bank: int = 0) -> int:
        """Raw code of an element as first read."""
        return self._number(self.regmap.field(name), self._cached, lane, bank)

    def missing_media_lanes(self) -> list[int]:
        """Media lanes that the module says it lacks (APP-08). Raises AbsentError unless they are some of them."""
        missing = [lane for lane, gone in enumerate(self.codes("MediaLaneUnsupported"), 1) if gone]
        if not missing:
            raise AbsentError("the module has all media lanes")
        if len(missing) == LANES:
            raise AbsentError("every media lane is denied")
        return missing

    def codes(self, name: str, bank: int = 0) -> list[int]:
        """Raw codes of all lanes as first read."""
        field = self.regmap.field(name)
        return [self._number(field, self._cached, lane, bank) for lane in range(1, field.count + 1)]

    def element(self, field: Field, lane: int = 1, bank: int = 0) -> int:
        """Raw code of an element of a field as first read: for families that lie on several pages."""
        return self._number(field, self._cached, lane, bank)

    def value(self, name: str, lane: int = 1, bank: int = 0) -> Value:
        """Value of an element in the field's unit as first read."""
        field = self.regmap.field(name)
        return decode(field, extract(field, self._cached(field, bank), self._first(field), lane))

    def raw(self, name: str, lane: int = 1, bank: int = 0) -> bytes:
        """The bytes that hold an element, as first read."""
        field = self.regmap.field(name)
        at, size, *_ = field.element(lane)
        start = at - self._first(field)
        return self._cached(field, bank)[start : start + size]

    def show(self, *names: str, bank: int = 0) -> str:
        """The bytes of whole fields, with their places, as evidence."""
        return ", ".join(self._shown(self.regmap.field(name), bank) for name in names)

    def label(self, name: str, code: int) -> str:
        """The enum name of a code of field `name`, or '' where it has none."""
        enum = self.regmap.field(name).enum
        return "" if enum is None else self.regmap.enums[enum].get(code, "")

    def _shown(self, field: Field, bank: int) -> str:
        first, last = field.span
        start = first - self._first(field)
        data = self._cached(field, bank)[start : start + last - first + 1]
        return f"{page_name(field.page)}:{first} = {data.hex(' ')}"

    def _cached(self, field: Field, bank: int) -> bytes:
        return self.page(field.page, bank if self.regmap.pages[field.page].banked else 0)

    # -- fields: fresh, for what lives ------------------------------------------------------------------

    def now(self, name: str, lane: int = 1, bank: int = 0) -> int:
        """Raw code of an element, read now."""
        return self.now_all(name, bank)[lane - 1]

    def now_all(self, name: str, bank: int = 0) -> list[int]:
        """Raw codes of all lanes, read now in one transaction."""
        field = self.regmap.field(name)
        block = self._span(field, bank)
        codes = [extract(field, block, field.at, lane) for lane in range(1, field.count + 1)]
        return [each if isinstance(each, int) else int.from_bytes(each, "big") for each in codes]

    def now_mask(self, name: str, bank: int = 0) -> int:
        """The lanes of a field of single bits as a mask, read now; bit 0 is lane 1."""
        return sum(code << index for index, code in enumerate(self.now_all(name, bank)))

    def now_value(self, name: str, lane: int = 1, bank: int = 0) -> Value:
        """Value of an element in the field's unit, read now."""
        field = self.regmap.field(name)
        return decode(field, extract(field, self._span(field, bank), field.at, lane))

    def _span(self, field: Field, bank: int) -> bytes:
        first, last = field.span
        return self.fetch(field.page, first, last - first + 1, self._bank(field, bank))

    def _bank(self, field: Field, bank: int) -> int:
        return bank if self.regmap.pages[field.page].banked else 0

    # -- writing -------------------------------------------------------------------------------------

    def put(self, name: str, codes: int | Sequence[int], lane: int | None = None, bank: int = 0) -> None:
        """Write raw codes; other bits of the bytes stay. One code without `lane` goes to every lane.

        Bytes of write-only fields are written as they are, in one write of one byte for a trigger (CFG-02).
        """
        field = self.regmap.field(name)
        lanes = range(1, field.count + 1) if lane is None else (lane,)
        values = [codes] * len(lanes) if isinstance(codes, int) else list(codes)
        places = [field.element(each) for each in lanes]
        first, last = places[0][0], places[-1][0] + places[-1][1] - 1
        block = bytearray(self.fetch(field.page, first, last - first + 1, self._bank(field, bank)))
        for each, code in zip(lanes, values, strict=True):
            text = field.kind in (Kind.ASCII, Kind.BYTES)
            insert(field, block, first, code.to_bytes(field.width // 8, "big") if text else code, each)
        self.store(field.page, first, bytes(block), self._bank(field, bank))

    def put_mask(self, name: str, mask: int, bank: int = 0) -> None:
        """Write a field of single bits from a mask; bit 0 is lane 1."""
        self.put(name, [mask >> index & 1 for index in range(self.regmap.field(name).count)], bank=bank)

    def store(self, page: int, at: int, data: bytes, bank: int = 0) -> None:
        """Write bytes of a page, in writes of at most 8 bytes (I2C-06)."""
        if page != LOWER:
            self.select(page, bank)
        for start in range(0, len(data), WRITE_BYTES):
            self.host.write(at + start, data[start : start + WRITE_BYTES])

    @contextmanager
    def keeping(self, *names: str, bank: int = 0) -> Iterator[None]:
        """Put the bytes of the fields back at the end, whatever happens between."""
        with ExitStack() as stack:
            for name in names:
                field = self.regmap.field(name)
                kept = self._span(field, bank)
                stack.callback(self._put_back, field, kept, bank)
            yield

    def _put_back(self, field: Field, kept: bytes, bank: int) -> None:
        self._mapped = None
        self.store(field.page, field.at, kept, self._bank(field, bank))

    # -- time ----------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.host.timer.wait(seconds)

    def poll(self, done: Callable[[], bool], limit_s: float, steps: int = 200) -> float | None:
        """Seconds until `done`, asked about `steps` times before `limit_s`; None when it did not come."""
        timer = self.host.timer
        start = timer.now()
        step = max(0.0005, limit_s / steps)
        while True:
            if done():
                return timer.now() - start
            if timer.now() - start > limit_s:
                return None
            timer.wait(step)

    # -- end -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Map the page that was mapped at the beginning."""
        if not self.flat and self.in_image(LOWER):
            self.host.write(self._select, self._found_mapping)

    def _mapping(self) -> bytes:
        return self.host.read(self._select, 2) if self.in_image(LOWER) else bytes(2)

    def _first(self, field: Field) -> int:
        return self.regmap.pages[field.page].first

    def _number(self, field: Field, source: Callable[[Field, int], bytes], lane: int, bank: int) -> int:
        found = extract(field, source(field, bank), self._first(field), lane)
        return found if isinstance(found, int) else int.from_bytes(found, "big")
