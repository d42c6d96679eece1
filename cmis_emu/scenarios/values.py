"""Values as scenario files write them: bytes, lanes, and values of CMIS fields with their units."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.registers.field import Field, Kind
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.yamlfile import Located
from cmis_emu.scenarios.units import Quantity

_UNITS: Mapping[str, Mapping[str, float]] = {
    "W": {"W": 1.0, "mW": 1e-3, "uW": 1e-6},
    "A": {"A": 1.0, "mA": 1e-3, "uA": 1e-6},
    "V": {"V": 1.0, "mV": 1e-3},
    "degC": {"degC": 1.0},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "dB": {"dB": 1.0},
    "dBm": {"dBm": 1.0},
    "%": {"%": 1.0},
}


def near(value: object, known: Any) -> str:
    close = get_close_matches(str(value), [str(each) for each in known], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def as_input_error(error: InputError | UnknownFieldError, value: object) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(repr(value), str(error).partition("expected ")[2] or "a CMIS field")


def read_bytes(value: Any) -> bytes:
    """A list of bytes, one byte as a number, or hexadecimal text of several.

    Not text of one: beside `7D`, someone would write `75` and mean 75h, which YAML takes for a decimal number.
    """
    expected = "a byte such as 0x1C, a list of bytes from 0 to 255, or hexadecimal text of several such as '1C 1D'"
    if isinstance(value, str):
        try:
            data = bytes.fromhex(value)
        except ValueError:
            raise InputError(repr(value), expected) from None
        if len(data) < 2:
            raise InputError(repr(value), expected)
        return data
    many = value if isinstance(value, list) else [value]
    if not many or not all(type(each) is int and 0 <= each <= 255 for each in many):
        raise InputError(repr(value), expected)
    return bytes(many)


def read_lanes(value: Any, field: str | None = None, highest: int = 32) -> tuple[int, ...]:
    """One lane, a list of lanes, or `all` for 1 to 8."""
    if value == "all":
        return tuple(range(1, 9))
    many = value if isinstance(value, list) else [value]
    if not many or not all(type(each) is int and 1 <= each <= highest for each in many) or len(set(many)) < len(many):
        raise InputError(repr(value), f"a lane from 1 to {highest}, a list of them, or all", field=field)
    return tuple(many)


def read_value(row: Located, key: str, field: Field, where: str) -> Any:
    """A value of a field as a scenario writes it: with a unit, an enumeration's name, true and false, text."""
    value = row[key]
    if field.enum is not None:
        names = load_maps().enums[field.enum]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if value not in names.values():
            shown = ", ".join(names.values())
            raise row.error(key, value, f"one of {shown}{near(value, names.values())}", field=where)
        return next(code for code, text in names.items() if text == value)
    if field.kind is Kind.BOOL:
        if not isinstance(value, bool):
            raise row.error(key, value, "true or false", field=where)
        return value
    if field.kind is Kind.ASCII:
        return str(value)
    if field.kind is Kind.BYTES:
        try:
            return read_bytes(value)
        except InputError as error:
            raise row.error(key, error.found, error.expected, field=where) from None
    if field.unit == "W" and isinstance(value, str) and value.endswith("dBm"):
        return 10 ** (_number(row, key, {"dBm": 1.0}, where) / 10) * 1e-3
    return _number(row, key, _UNITS.get(field.unit or "", {"": 1.0}), where)


def _number(row: Located, key: str, units: Mapping[str, float], where: str) -> float:
    kind = Quantity("a value", dict(units), f"1.5 {next(iter(units))}".rstrip())
    try:
        return kind.read(row[key])
    except InputError as error:
        raise row.error(key, error.found, error.expected, field=where) from None
