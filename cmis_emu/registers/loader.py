"""YAML maps to a RegisterMap. Refuses a bad map with file:line, field, found, expected.

Owns the file format: the keys of a page (`page`, `also`, `title`, ...) and how pages come together; one
field entry is read by `entry.py`. Checks that need several pages (names, enums, advertisements, masks) are
made last, when all pages are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from cmis_emu.errors import InputError
from cmis_emu.registers.entry import conditions, read_field, refs, since
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Condition, Field
from cmis_emu.registers.regmap import Checksum, PageMap, PageView, RegisterMap, Row, page_name
from cmis_emu.registers.yamlfile import Located, load_yaml
from cmis_emu.resources import maps_root

PAGE_KEYS = (
    "page", "also", "title", "banked", "present", "since", "checksum", "bank_index", "ref", "fields", "views",
)  # fmt: skip
BANK_INDEXES = ("lanes", "cdb_instance")
ENUM_FILE = "enums.yaml"

_PAGE = re.compile(r"[0-9A-F]{2}h\Z")
Enums = Mapping[str, Mapping[int, str]]
Entries = list[tuple[Located, Field]]


def load_maps(root: Path | None = None) -> RegisterMap:
    """The register map of the folder `root`/cmis; without `root` the one that ships, read once a process.

    Raises InputError for a map that breaks the format, NotAvailableError when there is no folder.
    """
    return _shipped(maps_root()) if root is None else _load(root)


@lru_cache(maxsize=4)
def _shipped(root: Path) -> RegisterMap:
    return _load(root)


def _load(root: Path) -> RegisterMap:
    folder = root / "cmis"
    enum_file = folder / ENUM_FILE
    enums, tables = load_enums(enum_file) if enum_file.exists() else ({}, {})
    files = [path for path in sorted(folder.glob("*.yaml")) if path.name != ENUM_FILE]
    if not files:
        raise InputError("no page files", "page_lower.yaml and others", file=str(folder))
    return link([load_page(path) for path in files], enums, tables)


class PageFile:
    """One file: its page, those of `also`, and the YAML entry of each field, for later errors."""

    __slots__ = ("also", "entries", "page", "source")

    def __init__(self, source: Located, page: PageMap, entries: Entries, also: Mapping[int, PageMap]) -> None:
        self.source = source
        self.page = page
        self.entries = entries
        self.also = also


def load_page(path: Path | str, text: str | None = None) -> PageFile:
    """Read and check one page file by itself."""
    source = load_yaml(path, text)
    source.check_keys(PAGE_KEYS, ("page", "title", "fields"))
    number = _page_number(source, "page", source["page"])
    title = source["title"]
    if not isinstance(title, str):
        raise source.error("title", title, "text")
    banked = source.get("banked", False)
    if not isinstance(banked, bool):
        raise source.error("banked", banked, "true or false")
    bank_index = source.get("bank_index", "lanes")
    if bank_index not in BANK_INDEXES:
        raise source.error("bank_index", bank_index, f"one of {', '.join(BANK_INDEXES)}")
    entries = _fields(source, "fields", number)
    check_overlap(entries)
    page = PageMap(
        number=number,
        title=title,
        banked=banked,
        fields=tuple(each for _, each in entries),
        present=_present(source),
        since=since(source, None),
        checksum=_checksum(source),
        bank_index=bank_index,
        views=_views(source, number),
        ref=refs(source, None),
        file=source.file,
    )
    return PageFile(source, page, entries, _also(source, page))


def load_enums(path: Path | str, text: str | None = None) -> tuple[Enums, Mapping[str, Mapping[int, Row]]]:
    """Enums (code to name) and tables (code to a row of values) of enums.yaml."""
    source = load_yaml(path, text)
    source.check_keys(("enums", "tables"), ("enums",))
    enums: dict[str, Mapping[int, str]] = {}
    for name, codes in source.section("enums", "a mapping").items():
        named: dict[int, str] = {}
        for code, text_ in _codes(source["enums"], name, codes):
            if not isinstance(text_, str):
                raise codes.error(str(code), text_, "a name", field=name)
            named[code] = text_
        enums[name] = MappingProxyType(named)
    tables: dict[str, Mapping[int, Row]] = {}
    for name, codes in source.section("tables", "a mapping").items():
        rows: dict[int, Row] = {}
        for code, row in _codes(source["tables"], name, codes):
            if not isinstance(row, dict):
                raise codes.error(str(code), row, "a mapping", field=name)
            rows[code] = MappingProxyType(dict(row))
        tables[name] = MappingProxyType(rows)
    return MappingProxyType(enums), MappingProxyType(tables)


def link(files: list[PageFile], enums: Enums, tables: Mapping[str, Mapping[int, Row]]) -> RegisterMap:
    """Join pages to a map, after the checks across pages."""
    taken: dict[int, PageFile] = {}
    for each in files:
        for number in (each.page.number, *each.also):
            if number in taken:
                found = f"page {page_name(number)}, which is in {taken[number].page.file} too"
                raise each.source.error("page", found, "each page once")
            taken[number] = each
    by_number = {n: f.page if n == f.page.number else f.also[n] for n, f in taken.items()}
    regmap = RegisterMap((by_number[n] for n in sorted(by_number)), enums, tables)
    _check_names(files)
    for each in files:
        for entry, item in each.entries:
            if item.enum is not None and item.enum not in enums:
                near = get_close_matches(item.enum, enums, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                found = f"the enum {item.enum!r}"
                raise entry.error("enum", found, f"one of enums.yaml{hint}", field=item.name)
            for condition in item.needs:
                _check_known(regmap, entry, "needs", condition.name, item.name)
            if item.masked_by is not None:
                _check_mask(regmap, entry, item)
            if item.scaled_by is not None:
                _check_known(regmap, entry, "scaled_by", item.scaled_by, item.name)
        for page in (each.page, *each.also.values()):
            for condition in (c for choice in page.present for c in choice):
                _check_known(regmap, each.source, "present", condition.name, None)
            for item in (item for view in page.views for item in view.fields):
                for condition in item.needs:
                    _check_known(regmap, each.source, "views", condition.name, item.name)
    return regmap


def check_overlap(entries: Entries) -> None:
    """Refuse two fields of one page on one bit."""
    owner: dict[tuple[int, int], str] = {}
    used: dict[int, int] = {}
    for entry, item in entries:
        for address, mask in item.masks():
            clash = used.get(address, 0) & mask
            if clash:
                bit = clash.bit_length() - 1
                other = owner[address, bit]
                what = "itself" if other == item.name else other
                found = f"bit {address}.{bit} shared with {what}"
                raise entry.error("at", found, "bits that no other field has", field=item.name)
            used[address] = used.get(address, 0) | mask
            owner.update({(address, bit): item.name for bit in range(8) if mask >> bit & 1})


def _page_number(source: Located, key: str, found: object) -> int:
    if found == "lower":
        return LOWER
    if not isinstance(found, str) or not _PAGE.match(found):
        raise source.error(key, found, "lower, or two upper-case hex digits and h, such as 11h", field="page")
    return int(found[:-1], 16)


def _fields(source: Located, key: str, number: int) -> Entries:
    items = source[key]
    if not isinstance(items, list):
        raise source.error(key, items, "a list of fields")
    entries: Entries = []
    names: dict[str, int] = {}
    for item in items:
        if not isinstance(item, Located):
            raise source.error(key, item, "a mapping for each field")
        each = read_field(item, number)
        if each.name in names:
            found = f"the name twice (line {names[each.name]})"
            raise item.error("name", found, "each name once", field=each.name)
        names[each.name] = item.line
        entries.append((item, each))
    return entries


def _views(source: Located, number: int) -> tuple[PageView, ...]:
    views = source.get("views", [])
    if not isinstance(views, list):
        raise source.error("views", views, "a list of views")
    found = []
    for view in views:
        if not isinstance(view, Located):
            raise source.error("views", view, "a mapping for each view")
        view.check_keys(("selector", "first_lane", "fields"), ("selector", "fields"), field="views")
        codes = view["selector"]
        if not isinstance(codes, list) or not codes:
            raise view.error("selector", codes, "a list of codes such as [01h, 11h]")
        lane = view.get("first_lane", 1)
        if type(lane) is not int or lane < 1:
            raise view.error("first_lane", lane, "a lane number from 1")
        selectors = tuple(_page_number(view, "selector", code) for code in codes)
        fields = tuple(each for _, each in _fields(view, "fields", number))
        found.append(PageView(selectors, lane, fields))
    return tuple(found)


def _present(source: Located) -> tuple[tuple[Condition, ...], ...]:
    found = source.get("present")
    if found is None:
        return ()
    if isinstance(found, list) and found and all(isinstance(each, Located) for each in found):
        return tuple(conditions(source, "present", each, None) for each in found)
    return (conditions(source, "present", found, None),)


def _checksum(source: Located) -> Checksum | None:
    found = source.get("checksum")
    if found is None:
        return None
    if not isinstance(found, Located):
        raise source.error("checksum", found, "{at: 222, first: 128, last: 221}")
    found.check_keys(("at", "first", "last"), ("at", "first", "last"), field="checksum")
    for key, value in found.items():
        if type(value) is not int or not PAGE_BYTES <= value <= 0xFF:
            raise found.error(key, value, "a byte from 128 to 255", field="checksum")
    at, first, last = found["at"], found["first"], found["last"]
    if first > last or first <= at <= last:
        place = f"byte {at} over {first} to {last}"
        raise found.error("at", place, "a byte outside the span", field="checksum")
    return Checksum(at, first, last)


def _also(source: Located, page: PageMap) -> dict[int, PageMap]:
    """Further pages with the same fields: `also: {21h: {more conditions}}`, or a list without conditions."""
    if "also" not in source:
        return {}
    found = source["also"]
    if isinstance(found, list):
        more: list[tuple[int, tuple[Condition, ...]]] = [(_page_number(source, "also", x), ()) for x in found]
    elif isinstance(found, Located):
        more = [(_page_number(found, k, k), conditions(found, k, v, None)) for k, v in found.items()]
    else:
        raise source.error("also", found, "pages, such as {21h: {VDMSupport: {min: 1}}}")
    pages: dict[int, PageMap] = {}
    for number, extra in more:
        if (number == LOWER) != (page.number == LOWER):
            raise source.error("also", page_name(number), "pages of the upper memory")
        fields = tuple(replace(each, page=number) for each in page.fields)
        present = tuple((*choice, *extra) for choice in page.present or ((),))
        pages[number] = replace(page, number=number, fields=fields, present=present)
    return pages


def _codes(section: Located, name: str, codes: object) -> list[tuple[int, object]]:
    if not isinstance(codes, Located):
        raise section.error(name, codes, "a mapping of codes")
    found = []
    for key, value in codes.items():
        if not re.fullmatch(r"0|[1-9][0-9]*", key):
            raise codes.error(key, f"the code {key!r}", "a decimal number", field=name)
        found.append((int(key), value))
    return found


def _check_names(files: list[PageFile]) -> None:
    """A bare name is unique; `qualified: true` marks one that is reached with its page in front."""
    known: dict[str, PageFile] = {}
    for each in files:
        for entry, item in each.entries:
            if item.qualified:
                continue
            if item.name in known:
                found = f"the name of a field of page {known[item.name].page.name}"
                raise entry.error("name", found, "a name of its own, or qualified: true", field=item.name)
            known[item.name] = each


def _check_known(regmap: RegisterMap, source: Located, key: str, name: str, item: str | None) -> None:
    try:
        found = regmap.field(name)
    except KeyError as error:
        raise source.error(key, f"the unknown field {name!r}", str(error), field=item) from None
    if found.lanes is not None:
        raise source.error(key, f"{name} with {found.lanes} lanes", "a field with one value", field=item)


def _check_mask(regmap: RegisterMap, entry: Located, item: Field) -> None:
    assert item.masked_by is not None
    try:
        mask = regmap.field(item.masked_by)
    except KeyError as error:
        found = f"the unknown field {item.masked_by!r}"
        raise entry.error("masked_by", found, str(error), field=item.name) from None
    if (mask.width, mask.count) != (item.width, item.count):
        found = f"{mask.name} with {mask.count} x {mask.width} bits"
        raise entry.error("masked_by", found, f"{item.count} x {item.width} bits", field=item.name)
    if [e[1:] for e in mask.elements] != [e[1:] for e in item.elements]:
        found = f"{mask.name} at other bits of its byte"
        raise entry.error("masked_by", found, "the same bits as the flag", field=item.name)
