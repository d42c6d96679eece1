"""Raw codes and values: scaling, F16, text, byte order, packing (rules NUM-01 to NUM-04)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.errors import InputError
from cmis_emu.registers.encoding import (
    decode,
    decode_f16,
    encode,
    encode_f16,
    extract,
    insert,
    label,
)
from cmis_emu.registers.entry import read_field
from cmis_emu.registers.field import Field
from cmis_emu.registers.yamlfile import load_yaml

FIRST = 128


def field(text: str) -> Field:
    """A field from the keys of a map entry."""
    return read_field(load_yaml("test.yaml", "{name: F, at: 128, " + text + "}"), 0x11)


NUMBERS = [
    field("type: u8"),
    field("type: s8"),
    field("type: u16"),
    field("type: u16, endian: little"),
    field("type: s16"),
    field("type: u32"),
    field("type: s32, endian: little"),
    field("type: u64, endian: little"),
    field("type: u5, bits: [6, 2]"),
    field("type: bool, bits: [3, 3]"),
]


@pytest.mark.rule("NUM-01")
def test_numbers_are_big_endian_unless_the_map_says_little() -> None:
    block = bytearray(2)
    insert(field("type: u16"), block, FIRST, 0x1234)
    assert block == b"\x12\x34"
    insert(field("type: u16, endian: little"), block, FIRST, 0x1234)
    assert block == b"\x34\x12"
    assert extract(field("type: u16, endian: little"), b"\x34\x12", FIRST) == 0x1234


@given(st.data())
def test_numbers_survive_the_round_trip(data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(NUMBERS))
    raw = data.draw(st.integers(0, each.maximum))
    block = bytearray(b"\xa5" * 8)
    before = bytes(block)
    insert(each, block, FIRST, raw)
    assert extract(each, block, FIRST) == raw
    assert encode(each, decode(each, raw)) == raw
    covered = dict(each.masks())
    for index in range(8):  # bits of other fields stay
        keep = 0xFF & ~covered.get(FIRST + index, 0)
        assert block[index] & keep == before[index] & keep


@given(st.sampled_from([1e-7, 2e-6, 1 / 256, 0.0001, 0.05, 100 / 32767]), st.integers(-32768, 32767))
def test_scaled_values_survive_the_round_trip(scale: float, code: int) -> None:
    each = field(f"type: s16, scale: {scale:.20f}")
    value = decode(each, code & 0xFFFF)
    assert isinstance(value, float)
    assert math.isclose(value, code * scale)
    assert encode(each, value) == code & 0xFFFF


@pytest.mark.rule("NUM-02")
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.0, 0x0000),
        (1.0e-5, 0x83E8),  # the example of the rule: s = 16, m = 1000
        (2.4e-4, 0x90F0),  # s = 18, m = 240: at s = 17 the mantissa would be 2400
        (1.0, 0xABE8),
        (2047.0, 0xC7FF),
        (1.0e-24, 0x0001),
        (2047e7, 0xFFFF),
        (2.0475e-5, 0x88CD),  # 2047.5 rounds up to 2048, which carries into the exponent
    ],
)
def test_f16_codes(value: float, code: int) -> None:
    assert encode_f16(value) == code


@pytest.mark.rule("NUM-02")
@given(st.floats(1e-22, 2e10))
def test_f16_is_the_finest_code_that_fits(value: float) -> None:
    code = encode_f16(value)
    exponent, mantissa = code >> 11, code & 0x7FF
    assert math.isclose(decode_f16(code), value, rel_tol=0.5 / 204)
    assert exponent == 0 or mantissa >= 205  # one exponent less would need 2048 or more
    assert encode_f16(decode_f16(code)) == code


@pytest.mark.rule("NUM-02")
@pytest.mark.parametrize("value", [-1e-9, 2.1e10, math.inf, math.nan])
def test_f16_refuses_what_does_not_fit(value: float) -> None:
    with pytest.raises(InputError, match=r"F: found .*, expected a"):
        encode(field("type: f16"), value)


@pytest.mark.rule("NUM-03")
def test_text_is_padded_with_spaces() -> None:
    each = field("type: ascii, size: 8")
    assert encode(each, "ACME") == b"ACME    "
    assert decode(each, b"ACME    ") == "ACME"


@pytest.mark.rule("NUM-03")
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=16))
def test_text_survives_the_round_trip(text: str) -> None:
    each = field("type: ascii, size: 16")
    raw = encode(each, text)
    assert isinstance(raw, bytes)
    assert len(raw) == 16
    assert decode(each, raw) == text.rstrip()


@pytest.mark.rule("NUM-03")
@pytest.mark.parametrize("text", ["123456789", "tab\there", "µ"])
def test_text_refuses_what_is_long_or_not_printable(text: str) -> None:
    with pytest.raises(InputError, match=r"F: found .*, expected at most 8 printable"):
        encode(field("type: ascii, size: 8"), text)


@pytest.mark.rule("NUM-04")
def test_nibbles_put_odd_lanes_low() -> None:
    each = field("type: u4, lanes: 8")
    block = bytearray(4)
    for lane in range(1, 9):
        insert(each, block, FIRST, lane, lane)
    assert block == b"\x21\x43\x65\x87"


@pytest.mark.rule("NUM-04")
def test_two_bit_lanes_start_at_the_low_bits() -> None:
    each = field("type: u2, lanes: 8")
    block = bytearray(2)
    insert(each, block, FIRST, 1, 1)
    insert(each, block, FIRST, 2, 4)
    insert(each, block, FIRST, 3, 5)
    assert block == b"\x81\x03"


@pytest.mark.rule("NUM-04")
@given(st.sampled_from([1, 2, 4]), st.data())
def test_packed_lanes_are_independent(width: int, data: st.DataObject) -> None:
    each = field(f"type: {'bool' if width == 1 else f'u{width}'}, lanes: 8")
    codes = data.draw(st.lists(st.integers(0, each.maximum), min_size=8, max_size=8))
    block = bytearray(width)
    for lane in data.draw(st.permutations(range(1, 9))):
        insert(each, block, FIRST, codes[lane - 1], lane)
    assert [extract(each, block, FIRST, lane) for lane in range(1, 9)] == codes
    assert sum(code << width * index for index, code in enumerate(codes)) == int.from_bytes(block, "little")


def test_strided_lanes() -> None:
    each = field("type: u3, bits: [3, 1], lanes: 4, stride: 2")
    assert [each.element(lane) for lane in (1, 4)] == [(128, 1, 3, 1), (134, 1, 3, 1)]
    assert each.span == (128, 134)
    with pytest.raises(IndexError, match="found lane 5, expected 1 to 4"):
        each.element(5)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("type: u8", 256, "found 256, expected a whole number from 0 to 255"),
        ("type: u8", -1, "found -1"),
        ("type: u8", 1.5, "found 1.5"),
        ("type: s8", 128, "from -128 to 127"),
        ("type: bool, bits: [0, 0]", 2, "expected true or false"),
        ("type: u16, scale: 1.0e-4, unit: V", 7.0, "expected a number from 0 to 6.5535 V"),
        ("type: u16", b"\x00\x01", "found 00 01"),
        ("type: u16", "abc", "found 'abc'"),
        ("type: bytes, size: 2", b"\x01", "found 1 bytes, expected 2 bytes"),
        ("type: bytes, size: 2", "0g", "as hex digits"),
        ("type: bytes, size: 2", 5, "found 5, expected 2 bytes"),
        ("type: ascii, size: 2", b"\x01", "found 1 bytes"),
    ],
)
def test_refused_values_name_the_field(keys: str, value: int | float | str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[")) as caught:
        encode(field(keys), value)
    assert caught.value.field == "F"


def test_text_forms_of_values() -> None:
    assert encode(field("type: u8"), "0x1E") == 0x1E
    assert encode(field("type: u16, scale: 1.0e-4"), "3.3") == 33000
    assert encode(field("type: bool, bits: [0, 0]"), "true") == 1
    assert encode(field("type: bytes, size: 2"), "AB CD") == b"\xab\xcd"
    assert encode(field("type: custom, size: 1"), 7) == b"\x07"


def test_enum_names() -> None:
    each = field("type: u4, bits: [3, 0], enum: colours")
    names = {1: "red", 2: "green", 3: "green"}
    assert encode(each, "red", names) == 1
    assert label(each, 1, {"colours": names}) == "red"
    assert label(each, 9, {"colours": names}) == "reserved"
    with pytest.raises(InputError, match="expected the code"):
        encode(each, "green", names)
    with pytest.raises(InputError, match="or a name of the enum colours"):
        encode(each, "blue", names)
