"""The register map in memory: pages and fields by name, and what one profile compiles them to.

Owns lookup by CMIS name and the evaluation of advertisements (`needs`, `present`, `since`) to plain bytes
per page: reset image, write mask, clear mask, trigger mask. A CompiledMap is immutable, so that a thousand
modules of one profile share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Self

from cmis_emu.errors import UnknownFieldError
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Access, Condition, Field, OnRead, OnWrite

__all__ = [
    "LOWER",
    "Checksum",
    "CompiledMap",
    "CompiledPage",
    "FlagBlock",
    "PageMap",
    "PageView",
    "RegisterMap",
    "compile_map",
    "page_name",
    "page_number",
]

Row = Mapping[str, str | int | float]
_LANE_NAME = re.compile(r"(.*?\D)([1-9][0-9]*)\Z")


def page_number(page: str | int) -> int:
    """17 for 17, '17', '11h', '0x11'; LOWER for 'lower'. Raises ValueError otherwise."""
    number: int
    if isinstance(page, int):
        number = page
    elif page.lower() == "lower":
        return LOWER
    elif re.fullmatch(r"[0-9a-fA-F]{2}[hH]", page):
        number = int(page[:-1], 16)
    else:
        number = int(page, 0)
    if not LOWER <= number <= 0xFF:
        raise ValueError(f"found page {page}, expected 'lower' or 00h to FFh")
    return number


def page_name(number: int) -> str:
    """'11h' for 17, 'lower' for LOWER."""
    return "lower" if number == LOWER else f"{number:02X}h"


@dataclass(frozen=True, slots=True)
class Checksum:
    """Byte `at` holds the low 8 bits of the sum of bytes `first` to `last` (NUM-05)."""

    at: int
    first: int
    last: int

    def of(self, page: bytes) -> int:
        """The sum over the 128 bytes of an upper page."""
        return sum(page[self.first - PAGE_BYTES : self.last + 1 - PAGE_BYTES]) & 0xFF


@dataclass(frozen=True, slots=True)
class PageView:
    """What a window inside a page holds for some selector codes; `first_lane` is the lane of element 1."""

    selectors: tuple[int, ...]
    first_lane: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PageMap:
    """One page as the standard defines it. `present`: it exists when all conditions of any tuple hold."""

    number: int
    title: str
    banked: bool
    fields: tuple[Field, ...]
    present: tuple[tuple[Condition, ...], ...] = ()
    since: tuple[int, int] = (0, 0)
    checksum: Checksum | None = None
    bank_index: str = "lanes"
    views: tuple[PageView, ...] = ()
    ref: tuple[str, ...] = ()
    file: str = ""

    @property
    def name(self) -> str:
        """'11h' or 'lower'."""
        return page_name(self.number)

    @property
    def first(self) -> int:
        """Register address of the first byte."""
        return 0 if self.number == LOWER else PAGE_BYTES

    def view(self, selector: int) -> PageView | None:
        """The view that the selector code chooses."""
        return next((view for view in self.views if selector in view.selectors), None)


class RegisterMap:
    """All pages, fields by name, enums and tables. Build it with `loader.load_maps`."""

    __slots__ = ("_families", "_groups", "_names", "enums", "pages", "tables")

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def __init__(
        self,
        pages: Iterable[PageMap],
        enums: Mapping[str, Mapping[int, str]],
        tables: Mapping[str, Mapping[int, Row]],
    ) -> None:
        self.pages: Mapping[int, PageMap] = MappingProxyType({p.number: p for p in pages})
        self.enums = enums
        self.tables = tables
        self._names: dict[str, Field] = {}
        self._families: dict[str, list[Field]] = {}
        self._groups: dict[str, list[Field]] = {}
        for page in self.pages.values():
            for each in page.fields:
                self._names[f"{page.name}:{each.name}"] = each
                if each.qualified:
                    continue
                self._names.setdefault(each.name, each)
                self._families.setdefault(each.name, []).append(each)
                if "." in each.name:
                    self._groups.setdefault(each.name.split(".")[0], []).append(each)

    def __iter__(self) -> Iterator[Field]:
        """Every field of every page."""
        return (each for page in self.pages.values() for each in page.fields)

    def field(self, name: str) -> Field:
        """The field of that exact name; '41h:RxLOSType' names one of a certain page.

        A name that several pages share (the VDM groups) gives the field of the first page.
        Raises UnknownFieldError with the nearest names.
        """
        found = self._names.get(name)
        if found is None:
            raise self._unknown(name)
        return found

    def family(self, name: str) -> tuple[Field, ...]:
        """The field of that name on every page that has it, such as VDMSample on 24h to 27h."""
        if ":" in name:
            return (self.field(name),)
        found = self._families.get(name)
        if found is None:
            raise self._unknown(name)
        return tuple(found)

    def group(self, prefix: str) -> tuple[Field, ...]:
        """Fields whose names begin with `prefix` and a dot, of all pages; empty when there are none."""
        return tuple(self._groups.get(prefix, ()))

    def lane(self, name: str, lane: int) -> tuple[Field, int]:
        """Field and element of lane `lane` counted over all pages of the family (VDMSample 65 is on 25h)."""
        family = self.family(name)
        rest = lane
        for each in family:
            if 1 <= rest <= each.count:
                return each, rest
            rest -= each.count
        total = sum(each.count for each in family)
        raise UnknownFieldError(f"{name}: found lane {lane}, expected 1 to {total}")

    def resolve(self, name: str) -> tuple[Field, int | None]:
        """Field and lane of a name: exact, or with lane digits ('OpticalPowerTx1').

        Raises UnknownFieldError with the nearest names.
        """
        if name in self._names:
            return self._names[name], None
        match = _LANE_NAME.match(name)
        if match is not None and match[1] in self._names and self._names[match[1]].lanes is not None:
            return self.lane(match[1], int(match[2]))
        raise self._unknown(name)

    def _unknown(self, name: str) -> UnknownFieldError:
        base = name.rstrip("0123456789")
        known = [*self._families, *self._groups]
        folded = {k.lower(): k for k in known}
        near = [folded[k] for k in get_close_matches(base.lower(), folded, 3, 0.6)]
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return UnknownFieldError(f"found {name!r}, expected the name of a CMIS field{hint}")


@dataclass(frozen=True, slots=True)
class FlagBlock:
    """Flag bytes `first` to `last` of `page`; byte b is masked by b - first + mask_first of `mask_page`."""

    page: int
    first: int
    last: int
    mask_page: int
    mask_first: int


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPage:
    """A page of one profile as bytes. Index 0 is the first byte of the page's half.

    write_mask: bits a host write stores. clear_mask: bits that a host read clears. trigger_mask: bits whose
    write acts and is not stored. implemented: bits of implemented fields; the others read 0.
    """

    number: int
    banked: bool
    reset: bytes
    write_mask: bytes
    clear_mask: bytes
    trigger_mask: bytes
    implemented: bytes
    fields: tuple[Field, ...]
    bank_index: str = "lanes"

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it


@dataclass(frozen=True, slots=True, eq=False)
class CompiledMap:
    """What one profile has of the map. `revision` is (major, minor)."""

    regmap: RegisterMap
    revision: tuple[int, int]
    pages: Mapping[int, CompiledPage]
    flag_blocks: tuple[FlagBlock, ...]
    names: frozenset[str] = field(default_factory=frozenset)

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def implements(self, name: str) -> bool:
        """True when the profile has the field (any page of a family)."""
        return name in self.names


class _Advertised:
    """Codes that conditions ask for: 0 for a field that the revision or the profile does not have."""

    __slots__ = ("ask", "known", "regmap", "revision")

    def __init__(self, regmap: RegisterMap, revision: tuple[int, int], ask: Callable[[str], int]) -> None:
        self.regmap = regmap
        self.revision = revision
        self.ask = ask
        self.known: dict[str, int] = {}

    def code(self, name: str) -> int:
        found = self.known.get(name)
        if found is None:
            self.known[name] = 0  # a condition that leads back to itself reads as not advertised
            each = self.regmap.field(name)
            exists = self.present(self.regmap.pages[each.page]) and self.implemented(each)
            found = self.known[name] = int(self.ask(name)) if exists else 0
        return found

    def all_hold(self, conditions: tuple[Condition, ...]) -> bool:
        return all(condition.holds(self.code(condition.name)) for condition in conditions)

    def present(self, page: PageMap) -> bool:
        return page.since <= self.revision and (
            not page.present or any(self.all_hold(choice) for choice in page.present)
        )

    def implemented(self, each: Field) -> bool:
        return each.since <= self.revision and self.all_hold(each.needs)


def compile_map(regmap: RegisterMap, revision: tuple[int, int], advertised: Callable[[str], int]) -> CompiledMap:
    """The map of one profile: CMIS `revision` (major, minor) and the code of each advertisement field.

    A page whose condition fails is absent. A field whose revision or condition fails behaves as reserved:
    reads 0 and ignores writes (I2C-07).
    """
    known = _Advertised(regmap, revision, advertised)
    pages = {number: _compile_page(page, known) for number, page in regmap.pages.items() if known.present(page)}
    names = frozenset(each.name for page in pages.values() for each in page.fields)
    blocks = tuple(_flag_blocks(regmap, pages))
    return CompiledMap(regmap, revision, MappingProxyType(pages), blocks, names)


def _compile_page(page: PageMap, known: _Advertised) -> CompiledPage:
    reset, write, clear, trigger, here = (bytearray(PAGE_BYTES) for _ in range(5))
    first = page.first
    fields = tuple(each for each in page.fields if known.implemented(each))
    for each in fields:
        targets = [here]
        if each.on_read is OnRead.CLEAR:
            targets.append(clear)
        if each.on_write is OnWrite.TRIGGER:
            targets.append(trigger)
        if each.access is Access.RW and each.on_write is OnWrite.NONE:
            targets.append(write)
        for address, mask in each.masks():
            for target in targets:
                target[address - first] |= mask
        for address, bits in each.reset_bytes():
            reset[address - first] |= bits
    return CompiledPage(
        number=page.number,
        banked=page.banked,
        reset=bytes(reset),
        write_mask=bytes(write),
        clear_mask=bytes(clear),
        trigger_mask=bytes(trigger),
        implemented=bytes(here),
        fields=fields,
        bank_index=page.bank_index,
    )


def _flag_blocks(regmap: RegisterMap, pages: Mapping[int, CompiledPage]) -> Iterator[FlagBlock]:
    """Runs of flag bytes whose masks run in step.

    Advertisement is ignored here, since a flag that is not implemented reads 0 anyway; a reserved byte joins
    its neighbours. So one profile has few, long blocks, and looking for an interrupt is a few slices.
    """
    for number in pages:
        partner: dict[int, tuple[int, int]] = {}
        used: set[int] = set()
        for each in regmap.pages[number].fields:
            mask = None if each.masked_by is None else regmap.field(each.masked_by)
            used.update(address for address, _ in each.masks())
            if mask is not None and mask.page in pages:
                for (at, size, *_), (mask_at, *_) in zip(each.elements, mask.elements, strict=True):
                    partner.update({at + i: (mask.page, mask_at + i) for i in range(size)})
        block: FlagBlock | None = None
        for address in sorted(partner):
            mask_page, mask_at = partner[address]
            if (
                block is not None
                and mask_page == block.mask_page
                and mask_at - address == block.mask_first - block.first
                and not used.intersection(range(block.last + 1, address))
            ):
                block = FlagBlock(number, block.first, address, mask_page, block.mask_first)
                continue
            if block is not None:
                yield block
            block = FlagBlock(number, address, address, mask_page, mask_at)
        if block is not None:
            yield block
