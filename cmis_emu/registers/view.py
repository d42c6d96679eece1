"""Reads and writes registers by CMIS name, in units, over any source of bytes.

Owns the vendor's back door (`View`, which ignores access rules) and the decoding of a page for display. The
bytes come from two callables, so the same view serves a running module, a dump file or a real bus.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.registers.encoding import Value, decode, encode, extract, insert, label
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Field, Kind
from cmis_emu.registers.regmap import PageMap, RegisterMap

Fetch = Callable[[int, int, int, int], bytes]  # page, bank, register address, length
Store = Callable[[int, int, int, bytes], None]  # page, bank, register address, data
Record = dict[str, Value]
Got = Value | list[Value] | Record | list[Record]

_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_PREFIXED = ("W", "A", "s")


class Code(int):
    """The code of an enum field. It is the number, knows its `name`, and equals that name as text."""

    name: str

    def __new__(cls, code: int, name: str) -> Code:
        self = super().__new__(cls, code)
        self.name = name
        return self

    def __eq__(self, other: object) -> bool:
        return self.name == other if isinstance(other, str) else int.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.name}: {int(self)}>"

    def __deepcopy__(self, memo: object) -> Code:
        return self


class View:
    """Fields by name over `fetch` and `store`. `pages`: those that exist (all when None).

    held: what the bytes are that `store` goes into, where `fetch` may show something else.
    """

    __slots__ = ("fetch", "held", "pages", "regmap", "store")

    def __init__(
        self,
        regmap: RegisterMap,
        fetch: Fetch,
        store: Store,
        pages: Container[int] | None = None,
        held: Fetch | None = None,
    ) -> None:
        self.regmap = regmap
        self.fetch = fetch
        self.store = store
        self.held = held or fetch
        self.pages = pages

    def get(self, name: str, lane: int | None = None, bank: int = 0) -> Got:
        """The value in the field's unit; enum fields give their code.

        A field with lanes and no `lane` gives a list. The name of a group ('ApplicationDescriptor') gives a
        list of records, or one record with `lane` (or when the group has no lanes). `OpticalPowerTx1` is
        lane 1 of OpticalPowerTx. Raises UnknownFieldError.
        """
        members = self.regmap.group(name)
        if members:
            return self._group(name, members, lane, bank)
        field, lane = self._find(name, lane)
        if field.lanes is None or lane is not None:
            return self._elements(field, bank)[(lane or 1) - 1]
        return [value for each in self._here(self.regmap.family(name)) for value in self._elements(each, bank)]

    def multiplier(self, field: Field) -> int:
        """What the module says its value in the field's unit is to be multiplied by (MON-01); mostly 1."""
        if field.scaled_by is None:
            return 1
        by = self.regmap.field(field.scaled_by)
        return 1 << int(self._elements(by, 0)[0])

    def set(self, name: str, value: Value | Sequence[Value], lane: int | None = None, bank: int = 0) -> None:
        """Write a value in the field's unit (or an enum name). Touches only the bits of the field.

        A field with lanes takes `lane`, or a list with a value for each. Raises InputError out of range.
        """
        field, lane = self._find(name, lane)
        if lane is None and field.lanes is not None:
            if isinstance(value, (str, bytes, int, float)) or len(value) != field.count:
                raise InputError(repr(value), f"a lane, or a list of {field.count} values", field=field.name)
            values = dict(enumerate(value, 1))
        elif isinstance(value, (str, bytes, int, float)):
            values = {lane or 1: value}
        else:
            raise InputError(repr(value), "one value", field=field.name)
        names = None if field.enum is None else self.regmap.enums[field.enum]
        times = self.multiplier(field)
        if times != 1:
            values = {n: each / times if isinstance(each, (int, float)) else each for n, each in values.items()}
        codes = {number: encode(field, each, names) for number, each in values.items()}
        first, last = field.span
        if len(codes) == 1:
            (number,) = codes
            first, size, *_ = field.element(number)
            last = first + size - 1
        bank = self._bank(field, bank)
        block = bytearray(self.held(field.page, bank, first, last - first + 1))
        for number, code in codes.items():
            insert(field, block, first, code, number)
        self.store(field.page, bank, first, bytes(block))

    def _find(self, name: str, lane: int | None) -> tuple[Field, int | None]:
        field, own = self.regmap.resolve(name)
        if own is not None or lane is None:
            return field, own
        if field.lanes is None:
            raise UnknownFieldError(f"{name}: found lane {lane}, expected no lane")
        return self.regmap.lane(name, lane)

    def _here(self, fields: Sequence[Field]) -> list[Field]:
        return [each for each in fields if self.pages is None or each.page in self.pages]

    def _bank(self, field: Field, bank: int) -> int:
        return bank if self.regmap.pages[field.page].banked else 0

    def _elements(self, field: Field, bank: int) -> list[Value]:
        first, last = field.span
        block = self.fetch(field.page, self._bank(field, bank), first, last - first + 1)
        values = [decode(field, extract(field, block, first, n)) for n in range(1, field.count + 1)]
        if field.scaled_by is not None:
            times = self.multiplier(field)
            return [v * times if isinstance(v, (int, float)) else v for v in values]
        if field.enum is None:
            return values
        return [Code(v, label(field, v, self.regmap.enums)) if isinstance(v, int) else v for v in values]

    def _group(self, name: str, members: Sequence[Field], lane: int | None, bank: int) -> Record | list[Record]:
        here = self._here(members)
        laned = [each for each in here if each.lanes is not None] or here
        columns: dict[str, list[Value]] = {}
        for each in laned:
            columns.setdefault(each.name.split(".", 1)[1], []).extend(self._elements(each, bank))
        count = max((len(column) for column in columns.values()), default=0)
        if lane is not None and not 1 <= lane <= count:
            raise UnknownFieldError(f"{name}: found lane {lane}, expected 1 to {count}")
        records = [{key: column[row] for key, column in columns.items() if row < len(column)} for row in range(count)]
        if lane is not None:
            return records[lane - 1]
        return records if any(each.lanes is not None for each in laned) else records[0] if records else []


class Decoded(NamedTuple):
    """One element of a page, for display. `lane` is None for a field without lanes."""

    name: str
    lane: int | None
    value: Value
    text: str


def decode_page(
    page: PageMap,
    data: bytes,
    enums: Mapping[str, Mapping[int, str]] | None = None,
    multiplier: Callable[[Field], int] | None = None,
) -> list[Decoded]:
    """Every element of the 128 bytes of a page, in the order of the map; then what its selector, which is the
    first field of a page with views, shows now.

    `multiplier` is that of a `View` of the same module; without it values come with the map's scale alone.
    """
    if len(data) != PAGE_BYTES:
        raise InputError(f"{len(data)} bytes", f"{PAGE_BYTES} bytes", field=f"page {page.name}")
    first = 0 if page.number == LOWER else PAGE_BYTES
    rows = []
    view = page.view(data[page.fields[0].at - first]) if page.views else None
    shown = [(field, view.first_lane - 1) for field in view.fields] if view is not None else []
    for field, lanes_before in [*((field, 0) for field in page.fields), *shown]:
        for lane in range(1, field.count + 1):
            raw = extract(field, data, first, lane)
            value = decode(field, raw)
            if field.scaled_by is not None and multiplier is not None and isinstance(value, (int, float)):
                value *= multiplier(field)
            text = label(field, raw, enums) if enums and isinstance(raw, int) else ""
            number = lanes_before + lane if field.lanes else None
            rows.append(Decoded(field.name, number, value, text or show(value, field)))
    return rows


def show(value: Value, field: Field) -> str:
    """The value as text with its unit: '1.05 mW', '3.3 V', 'true', hex for byte strings."""
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Code):
        return value.name
    unit = field.unit or ""
    if field.kind is Kind.F16:
        return f"{value:.3e} {unit}".rstrip()
    if unit in _PREFIXED and value:
        factor, prefix = next((p for p in _PREFIXES if abs(value) >= p[0]), _PREFIXES[-1])
        return f"{value / factor:.6g} {prefix}{unit}"
    return f"{value:.6g} {unit}".rstrip() if isinstance(value, float) else f"{value} {unit}".rstrip()
