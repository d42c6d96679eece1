"""Between raw codes and values: scaling, F16, text, enum names, and where an element's bits sit in bytes.

Rules NUM-01 (byte order), NUM-02 (F16), NUM-03 (text), NUM-04 (packing). Values are in the unit the map
names (W, A, V, degC, s ...). Reading never fails; writing checks the range and raises InputError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cmis_emu.errors import InputError
from cmis_emu.registers.field import Field, Kind

Value = int | float | bool | str | bytes

F16_MANTISSA = 2048  # first mantissa that does not fit bits 10-0
F16_BIAS = 24
F16_EXPONENTS = 32


def decode_f16(code: int) -> float:
    """Value of a CMIS F16 code: m * 10**(s - 24), s in bits 15-11, m in bits 10-0 (NUM-02)."""
    power, mantissa = (code >> 11) - F16_BIAS, code & (F16_MANTISSA - 1)
    # Division by a power of ten rounds once; multiplying by 1e-8 would round twice.
    return float(mantissa * 10**power) if power >= 0 else mantissa / 10**-power


def encode_f16(value: float) -> int:
    """The F16 code nearest to `value`: the smallest exponent whose mantissa fits (NUM-02).

    Raises ValueError for a negative, infinite or too large value.
    """
    if not 0 <= value < math.inf:
        raise ValueError(value)
    if value == 0:
        return 0
    # The mantissa is below 2048, so no exponent fits that lies more than 3.4 decades under the value.
    smallest = max(0, math.floor(math.log10(value)) + F16_BIAS - 4)
    for exponent in range(smallest, F16_EXPONENTS):
        power = exponent - F16_BIAS
        mantissa = round(value / 10**power if power >= 0 else value * 10**-power)
        if mantissa < F16_MANTISSA:  # also catches the carry of 2047.5 up to 2048
            return exponent << 11 | mantissa if mantissa else 0
    raise ValueError(value)


def extract(field: Field, block: bytes, first: int, lane: int = 1) -> int | bytes:
    """Raw element `lane` from `block`, whose byte 0 has the register address `first`.

    Unsigned integer for numbers (byte order of the field applied), bytes for text and byte strings.
    """
    at, size, msb, lsb = field.element(lane)
    start = at - first
    if field.kind in (Kind.ASCII, Kind.BYTES):
        return bytes(block[start : start + size])
    if size == 1:
        return (block[start] >> lsb) & ((1 << (msb - lsb + 1)) - 1)
    return int.from_bytes(block[start : start + size], "little" if field.little else "big")


def insert(field: Field, block: bytearray, first: int, raw: int | bytes, lane: int = 1) -> None:
    """Put raw element `lane` into `block`; bits of other fields stay."""
    at, size, msb, lsb = field.element(lane)
    start = at - first
    if isinstance(raw, bytes):
        block[start : start + size] = raw
    elif size == 1:
        mask = ((1 << (msb - lsb + 1)) - 1) << lsb
        block[start] = (block[start] & ~mask & 0xFF) | (raw << lsb & mask)
    else:
        block[start : start + size] = raw.to_bytes(size, "little" if field.little else "big")


def decode(field: Field, raw: int | bytes) -> Value:
    """The value of a raw element, in the field's unit. Enum fields give their code."""
    if isinstance(raw, bytes):
        if field.kind is Kind.ASCII:
            return "".join(chr(c) if 0x20 <= c < 0x7F else "." if c else " " for c in raw).rstrip()
        return raw
    if field.kind is Kind.BOOL:
        return bool(raw)
    if field.kind is Kind.F16:
        number: int | float = decode_f16(raw)
    elif field.kind is Kind.SINT and raw >> (field.width - 1):
        number = raw - (1 << field.width)
    else:
        number = raw
    if field.scale is None:
        return number
    steps = round(1 / field.scale) if field.scale < 1 else 0
    # 14220 / 1e7 is the nearest double to 0.001422; 14220 * 1e-7 is not.
    return number / steps if steps and math.isclose(steps * field.scale, 1, rel_tol=1e-12) else number * field.scale


def encode(field: Field, value: Value, names: Mapping[int, str] | None = None) -> int | bytes:
    """The raw element for `value` (field's unit, or text that says it). `names`: the field's enum, if any.

    Raises InputError naming the field, what was found and what was expected.
    """
    if field.kind is Kind.ASCII:
        return _encode_ascii(field, value)
    if field.kind is Kind.BYTES:
        return _encode_bytes(field, value)
    if isinstance(value, bytes):
        raise InputError(value.hex(" "), _expected(field), field=field.name)
    number = _number(field, value, names) if isinstance(value, str) else value
    if not math.isfinite(number):
        raise InputError(repr(value), _expected(field), field=field.name)
    if field.scale is not None:
        number = number / field.scale
    if field.kind is Kind.F16:
        try:
            return encode_f16(number)
        except ValueError:
            raise InputError(repr(value), _expected(field), field=field.name) from None
    code = round(number)
    if field.scale is None and code != number:
        raise InputError(repr(value), _expected(field), field=field.name)
    low, high = _limits(field)
    if not low <= code <= high:
        raise InputError(repr(value), _expected(field), field=field.name)
    return code & field.maximum


def label(field: Field, code: int, enums: Mapping[str, Mapping[int, str]]) -> str:
    """The name of an enum code, 'reserved' for one without a name, '' for a field without an enum."""
    if field.enum is None:
        return ""
    return enums[field.enum].get(code, "reserved")


def _limits(field: Field) -> tuple[int, int]:
    if field.kind is Kind.SINT:
        return -(1 << (field.width - 1)), (1 << (field.width - 1)) - 1
    return 0, field.maximum


def _expected(field: Field) -> str:
    unit = f" {field.unit}" if field.unit else ""
    if field.kind is Kind.BOOL:
        return "true or false"
    if field.kind is Kind.F16:
        return f"a number from 0 to 2.047e10{unit}"
    low, high = _limits(field)
    if field.scale is None:
        return f"a whole number from {low} to {high}{unit}"
    return f"a number from {low * field.scale:g} to {high * field.scale:g}{unit}"


def _number(field: Field, text: str, names: Mapping[int, str] | None) -> int | float:
    if names is not None:
        codes = [code for code, name in names.items() if name == text]
        if len(codes) == 1:
            return codes[0]
        if codes:
            raise InputError(f"the name {text!r} of codes {codes}", "the code", field=field.name)
    if field.kind is Kind.BOOL and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            expected = _expected(field) + (", or a name of the enum " + str(field.enum) if names else "")
            raise InputError(repr(text), expected, field=field.name) from None


def _encode_ascii(field: Field, value: Value) -> bytes:
    size = field.width // 8
    if isinstance(value, bytes):
        if len(value) != size:
            raise InputError(f"{len(value)} bytes", f"{size} bytes, or text", field=field.name)
        return value
    text = str(value)
    if len(text) > size or not all(" " <= c <= "~" for c in text):
        raise InputError(repr(text), f"at most {size} printable ASCII characters", field=field.name)
    return text.ljust(size).encode("ascii")


def _encode_bytes(field: Field, value: Value) -> bytes:
    size = field.width // 8
    if isinstance(value, str):
        try:
            value = bytes.fromhex(value)
        except ValueError:
            raise InputError(repr(value), f"{size} bytes as hex digits", field=field.name) from None
    elif isinstance(value, int) and size == 1 and 0 <= value <= 0xFF:
        value = bytes([value])
    if not isinstance(value, bytes) or len(value) != size:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
        raise InputError(found, f"{size} bytes", field=field.name)
    return value
