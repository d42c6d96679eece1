"""One field entry of a page file: its keys, their types and ranges.

Owns what a single YAML line may say. Errors name the file, the line, the field, what was found and what was
expected.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeVar

from cmis_emu.registers.field import LOWER, PAGE_BYTES, Access, Condition, Field, Kind, OnRead, OnWrite
from cmis_emu.registers.yamlfile import Located

KEYS = (
    "name", "at", "bits", "type", "size", "lanes", "stride", "side", "access", "on_read", "on_write",
    "masked_by", "endian", "scale", "scaled_by", "unit", "enum", "default", "volatile", "needs", "since",
    "qualified", "conf", "ref", "note",
)  # fmt: skip
SIDES = ("host", "media", "app", "instance", "set", "laser")
SIZED = ("ascii", "bytes", "custom")
TYPES: dict[str, tuple[Kind, int]] = {
    "bool": (Kind.BOOL, 1),
    **{f"u{n}": (Kind.UINT, n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)},
    **{f"s{n}": (Kind.SINT, n) for n in (8, 16, 32)},
    "f16": (Kind.F16, 16),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*)?\Z")
_SINCE = re.compile(r"([1-9])\.([0-9])\Z")
_RULE = re.compile(r"[A-Z]+[0-9]?[A-Z]*-[0-9]{2}\Z")
_Choice = TypeVar("_Choice", bound=Enum)


def read_field(entry: Located, page: int) -> Field:
    """The field of one entry on `page`. Raises InputError."""
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        raise entry.error("name", name, "a CMIS name: letters and digits, at most one dot", field="name")
    entry.check_keys(KEYS, ("name", "at", "type"), field=name)
    at = _integer(entry, "at", name, 0, 0xFF)
    kind, width = _type(entry, name)
    lanes = _integer(entry, "lanes", name, 1, 1024) if "lanes" in entry else None
    bits = _bits(entry, name, width, lanes)
    field = Field(
        name=name,
        page=page,
        at=at,
        type=entry["type"],
        kind=kind,
        width=width,
        bits=bits,
        lanes=lanes,
        stride=_stride(entry, name, width, lanes, bits),
        side=_one_of(entry, "side", name, SIDES),
        access=_choice(entry, "access", name, Access.RO),
        on_read=_choice(entry, "on_read", name, OnRead.NONE),
        on_write=_choice(entry, "on_write", name, OnWrite.NONE),
        masked_by=_text(entry, "masked_by", name),
        little=_one_of(entry, "endian", name, ("big", "little")) == "little",
        scale=_scale(entry, name, kind),
        scaled_by=_text(entry, "scaled_by", name),
        unit=_text(entry, "unit", name),
        enum=_text(entry, "enum", name),
        default=_default(entry, name, kind, width),
        volatile=_flag(entry, "volatile", name),
        needs=conditions(entry, "needs", entry["needs"], name) if "needs" in entry else (),
        since=since(entry, name),
        qualified=_flag(entry, "qualified", name),
        unsure=_one_of(entry, "conf", name, ("unsure",)) is not None,
        ref=refs(entry, name),
        note=_text(entry, "note", name) or "",
        line=entry.line,
    )
    _check(entry, field)
    return field


def conditions(entry: Located, key: str, found: object, name: str | None) -> tuple[Condition, ...]:
    """`{Field: 1}`, `{Field: [1, 2]}` or `{Field: {min: 1}}`, all of which must hold."""
    if not isinstance(found, Located):
        raise entry.error(key, found, "fields with codes, such as {LOSFlagTxSupported: 1}", field=name)
    result = []
    for each, value in found.items():
        if type(value) is int:
            result.append(Condition(each, (value,)))
        elif isinstance(value, list) and value and all(type(code) is int for code in value):
            result.append(Condition(each, tuple(value)))
        elif isinstance(value, Located) and set(value) == {"min"} and type(value["min"]) is int:
            result.append(Condition(each, minimum=value["min"]))
        else:
            raise found.error(each, value, "a code, a list of codes, or {min: code}", field=name)
    return tuple(result)


def since(entry: Located, name: str | None) -> tuple[int, int]:
    """`since: '5.2'` as (5, 2); (0, 0) without the key."""
    found = entry.get("since", "0")
    if found == "0" and "since" not in entry:
        return 0, 0
    match = _SINCE.match(found) if isinstance(found, str) else None
    if match is None:
        raise entry.error("since", found, "a revision in quotes, such as '5.2'", field=name)
    return int(match[1]), int(match[2])


def refs(entry: Located, name: str | None) -> tuple[str, ...]:
    """Rule numbers: one, or a list."""
    found = entry.get("ref", [])
    items = found if isinstance(found, list) else [found]
    for item in items:
        if not isinstance(item, str) or not _RULE.match(item):
            raise entry.error("ref", item, "a rule number such as DP-01", field=name)
    return tuple(items)


def _check(entry: Located, field: Field) -> None:
    """What several keys must be together."""
    name = field.name
    low, high = (0, PAGE_BYTES - 1) if field.page == LOWER else (PAGE_BYTES, 2 * PAGE_BYTES - 1)
    if not low <= field.at <= high:
        raise entry.error("at", f"byte {field.at}", f"a byte from {low} to {high}", field=name)
    if field.span[1] > high:
        key = "lanes" if field.lanes else "size" if "size" in entry else "type"
        raise entry.error(key, f"bytes {field.at} to {field.span[1]}", f"bytes up to {high}", field=name)
    if field.packed and 8 % field.width:
        found = f"{field.lanes} packed elements of {field.width} bits"
        raise entry.error("lanes", found, "elements of 1, 2, 4 or 8 bits, or a stride", field=name)
    if field.lanes is None and field.width < 8 and field.bits is None:
        raise entry.error(None, "no such key", "the key 'bits' for a field narrower than a byte", field=name)
    if field.on_read is OnRead.CLEAR and field.access is not Access.RO:
        raise entry.error("on_read", f"clear on a field with access {field.access.value}", "RO", field=name)
    if field.on_write is OnWrite.TRIGGER and field.access is Access.RO:
        raise entry.error("on_write", "trigger on a field that the host cannot write", "RW or WO", field=name)
    if field.masked_by is not None and field.on_read is not OnRead.CLEAR:
        raise entry.error("masked_by", "a mask on a field that no read clears", "on_read: clear", field=name)
    if field.scaled_by is not None and field.scale is None:
        raise entry.error("scaled_by", "a multiplier on a field without scale", "the key 'scale'", field=name)
    if field.access is Access.WO and field.default:
        raise entry.error("default", str(field.default), "0, since nothing is stored", field=name)
    if field.little and field.width in range(1, 9):
        raise entry.error("endian", "little", "no endian for a field of one byte", field=name)
    if field.enum is not None and field.kind not in (Kind.UINT, Kind.BOOL):
        raise entry.error("enum", f"an enum on type {field.type}", "an unsigned type", field=name)


def _type(entry: Located, name: str) -> tuple[Kind, int]:
    found = entry["type"]
    if isinstance(found, str) and found in SIZED:
        if "size" not in entry:
            raise entry.error("type", f"{found} without size", "the key 'size', in bytes", field=name)
        size = _integer(entry, "size", name, 1, PAGE_BYTES)
        return (Kind.ASCII if found == "ascii" else Kind.BYTES), 8 * size
    if not isinstance(found, str) or found not in TYPES:
        raise entry.error("type", found, f"one of {', '.join((*TYPES, *SIZED))}", field=name)
    if "size" in entry:
        expected = f"a size only for {', '.join(SIZED)}"
        raise entry.error("size", f"a size for type {found}", expected, field=name)
    return TYPES[found]


def _bits(entry: Located, name: str, width: int, lanes: int | None) -> tuple[int, int] | None:
    if "bits" not in entry:
        return None
    found = entry["bits"]
    if not isinstance(found, list) or [type(b) is int and b in range(8) for b in found] != [True] * 2:
        raise entry.error("bits", found, "[msb, lsb], each from 0 to 7", field=name)
    msb, lsb = found
    if msb < lsb:
        raise entry.error("bits", found, "the higher bit first", field=name)
    if msb - lsb + 1 != width:
        raise entry.error("bits", f"{msb - lsb + 1} bits", f"{width} bits as the type says", field=name)
    if lanes is not None and "stride" not in entry:
        raise entry.error("bits", "bits of packed elements", "a stride, or no bits", field=name)
    return msb, lsb


def _stride(entry: Located, name: str, width: int, lanes: int | None, bits: tuple[int, int] | None) -> int | None:
    if "stride" not in entry:
        return None
    size = max(1, width // 8)
    stride = _integer(entry, "stride", name, 1, PAGE_BYTES)
    if lanes is None:
        raise entry.error("stride", "a stride without lanes", "the key 'lanes'", field=name)
    if stride < size:
        raise entry.error("stride", str(stride), f"at least the {size} bytes of an element", field=name)
    if width < 8 and bits is None:
        raise entry.error("stride", "a stride without bits", "the key 'bits'", field=name)
    return stride


def _scale(entry: Located, name: str, kind: Kind) -> float | None:
    if "scale" not in entry:
        return None
    found = entry["scale"]
    if kind not in (Kind.UINT, Kind.SINT, Kind.F16):
        raise entry.error("scale", f"a scale on type {entry['type']}", "a number type", field=name)
    if type(found) not in (int, float) or found <= 0:
        raise entry.error("scale", found, "a number above 0, such as 1.0e-7", field=name)
    return float(found)


def _default(entry: Located, name: str, kind: Kind, width: int) -> int:
    if "default" not in entry:
        return 0
    found = entry["default"]
    most = 0xFF if kind in (Kind.ASCII, Kind.BYTES) else (1 << width) - 1
    if type(found) is not int or not 0 <= found <= most:
        raise entry.error("default", found, f"a raw code from 0 to {most}", field=name)
    return found


def _integer(entry: Located, key: str, name: str, low: int, high: int) -> int:
    found = entry[key]
    if type(found) is not int or not low <= found <= high:
        raise entry.error(key, found, f"a whole number from {low} to {high}", field=name)
    return found


def _text(entry: Located, key: str, name: str) -> str | None:
    found = entry.get(key)
    if key in entry and (not isinstance(found, str) or not found):
        raise entry.error(key, found, "text", field=name)
    return found


def _flag(entry: Located, key: str, name: str) -> bool:
    found = entry.get(key, False)
    if not isinstance(found, bool):
        raise entry.error(key, found, "true or false", field=name)
    return found


def _one_of(entry: Located, key: str, name: str, known: tuple[str, ...]) -> str | None:
    if key not in entry:
        return None
    found = entry[key]
    if not isinstance(found, str) or found not in known:
        raise entry.error(key, found, f"one of {', '.join(known)}", field=name)
    return found


def _choice(entry: Located, key: str, name: str, default: _Choice) -> _Choice:
    if key not in entry:
        return default
    kind = type(default)
    known = [str(each.value) for each in kind]
    if entry[key] not in known:
        raise entry.error(key, entry[key], f"one of {', '.join(known)}", field=name)
    return kind(entry[key])
