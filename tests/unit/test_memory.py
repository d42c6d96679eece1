"""Pages, banks and what reads and writes do to bytes: rules PAGE-01 to PAGE-11, I2C-07, HOST-05, HOST-06, REV-03."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from dr4 import Variant
from i2c_host import A, read

from cmis_emu import Emulator
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.resources import maps_root

VDM_PAGES = {0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x28, 0x29, 0x2A, 0x2C, 0x2D, 0x2F}  # of three groups
CDB_PAGES = {0x9F, *range(0xA0, 0xB0)}
DR4_PAGES = {0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x13, 0x14, *VDM_PAGES, *CDB_PAGES}
BLANK_PAGES = {0x03, 0x14, *CDB_PAGES}


def select(bus: VirtualSMBus, page: int, bank: int = 0) -> list[int]:
    """Both select bytes in one write; what they read back."""
    bus.write_i2c_block_data(A, 126, [bank, page])
    return bus.read_i2c_block_data(A, 126, 2)


def registers(**values: Any) -> Callable[[dict[str, Any]], None]:
    """An edit of a profile's registers."""

    def edit(profile: dict[str, Any]) -> None:
        profile["registers"].update(values)
        if values.get("CdbMaxPagesEPL") == 0:
            profile["firmware"]["write"] = ["lpl"]

    return edit


two_banks = registers(BanksSupported=1)
broadcasting = registers(BanksSupported=1, BankBroadcastSupported=1)


def fields_of(page: str) -> list[dict[str, Any]]:
    """The facts of a page's map, without the loader."""
    found = yaml.safe_load((maps_root() / "cmis" / f"page_{page}.yaml").read_text())
    rows: list[dict[str, Any]] = found["fields"]
    return rows


def flat(profile: dict[str, Any]) -> None:
    """A flat module keeps the registers of the lower memory and page 00h."""
    here = {row["name"] for page in ("lower", "00h") for row in fields_of(page)}
    kept = {name: value for name, value in profile["registers"].items() if name.rstrip("12345678") in here}
    profile["registers"] = {**kept, "MemoryModel": 1}
    profile["durations_ms"] = {"MgmtInit": 400}
    del profile["thresholds"], profile["vdm"], profile["diagnostics"], profile["cdb"], profile["firmware"]


# -- selection ------------------------------------------------------------------------------------------


@pytest.mark.rule("PAGE-01")
def test_page_select_chooses_the_upper_half(bus: VirtualSMBus) -> None:
    halves = {}
    for page in sorted(DR4_PAGES):
        assert select(bus, page) == [0, page]
        halves[page] = read(bus, 128, 128)
    assert {page for page, half in halves.items() if not any(half)} == BLANK_PAGES
    assert len(set(halves.values())) == len(DR4_PAGES) - len(BLANK_PAGES) + 1
    assert halves[0][1:17] == b"CMIS-EMU        "
    lower = read(bus, 0, 3)
    select(bus, 1)
    assert read(bus, 0, 3) == lower


@pytest.mark.rule("PAGE-02")
def test_bank_takes_effect_with_the_page_byte_only(variant: Variant) -> None:
    bus = variant(two_banks).smbus(1)
    for bank in (0, 1):
        assert select(bus, 0x10, bank) == [bank, 0x10]
        bus.write_byte_data(A, 240, 0xB0 + bank)
    select(bus, 0x10, 0)
    bus.write_byte_data(A, 126, 1)  # stored, no effect
    assert bus.read_byte_data(A, 126) == 1
    assert bus.read_byte_data(A, 240) == 0xB0
    bus.write_byte_data(A, 127, 0x10)  # uses the stored bank
    assert bus.read_byte_data(A, 240) == 0xB1
    bus.write_byte_data(A, 127, 0x11)  # a page change alone stays in the bank
    assert bus.read_i2c_block_data(A, 126, 2) == [1, 0x11]
    select(bus, 0x10, 0)
    assert bus.read_byte_data(A, 240) == 0xB0


@pytest.mark.rule("PAGE-03")
def test_bank_is_ignored_for_a_page_without_banks(variant: Variant) -> None:
    bus = variant(two_banks).smbus(1)
    select(bus, 1, 0)
    content = read(bus, 128, 128)
    assert select(bus, 1, 1) == [1, 1]  # that bank exists
    assert read(bus, 128, 128) == content
    assert select(bus, 1, 2) == [0, 1]  # that one does not
    assert read(bus, 128, 128) == content
    bus.write_byte_data(A, 127, 0x11)
    assert bus.read_i2c_block_data(A, 126, 2) == [0, 0x11]


@pytest.mark.rule("PAGE-04", "PAGE-08", "PAGE-11")
def test_every_page_number(bus: VirtualSMBus) -> None:
    select(bus, 0)
    first = read(bus, 128, 128)
    for page in range(256):
        select(bus, 0x10)
        bus.write_byte_data(A, 127, page)
        assert bus.read_byte_data(A, 127) == (page if page in DR4_PAGES else 0)
        if page not in DR4_PAGES:
            assert read(bus, 128, 128) == first


@pytest.mark.rule("PAGE-04")
def test_an_unsupported_bank_maps_page_00h(variant: Variant) -> None:
    bus = variant(two_banks).smbus(1)
    select(bus, 0)
    first = read(bus, 128, 128)
    for bank in (2, 3, 255):
        select(bus, 0x11, 1)
        assert select(bus, 0x11, bank) == [0, 0]
        assert read(bus, 128, 128) == first


@pytest.mark.rule("PAGE-05", "PAGE-08", "MSM-10")
def test_a_flat_module_has_page_00h_only(variant: Variant) -> None:
    bus = variant(flat).smbus(1)
    assert bus.read_byte_data(A, 2) & 0x80
    assert bus.read_byte_data(A, 3) == 0x07
    first = read(bus, 128, 128)
    assert first[1:17] == b"CMIS-EMU        "
    for page in (0, 1, 2, 0x10, 0x11, 0xFF):
        assert select(bus, page, 1) == [0, 0]
        bus.write_byte_data(A, 127, page)
        assert bus.read_byte_data(A, 127) == 0
        assert read(bus, 128, 128) == first


@pytest.mark.rule("PAGE-06")
def test_one_write_may_store_and_select(bus: VirtualSMBus) -> None:
    select(bus, 0x11)
    bus.write_i2c_block_data(A, 120, [1, 2, 3, 4, 5, 6, 0, 0x10])
    assert bus.read_i2c_block_data(A, 120, 8) == [0, 0, 0, 0, 0, 0, 0, 0x10]
    bus.write_byte_data(A, 240, 0x5A)
    assert bus.read_byte_data(A, 240) == 0x5A
    bus.write_i2c_block_data(A, 127, [0x11, 0xFF])  # rolls over to the read-only byte 0
    assert bus.read_byte_data(A, 127) == 0x11
    assert bus.read_byte_data(A, 0) == 0x18
    assert bus.read_byte_data(A, 240) != 0x5A


@pytest.mark.rule("PAGE-07")
def test_mapping_belongs_to_the_module(emu: Emulator, bus: VirtualSMBus) -> None:
    select(bus, 0x02)
    other = emu.smbus(1)
    assert other.read_byte_data(A, 127) == 2
    assert read(other, 128, 8) == read(bus, 128, 8)
    emu.clock.advance(3.0)
    assert bus.read_byte_data(A, 127) == 2
    emu.ports["1"].pins.LPMode = True  # not a reset
    emu.settle()
    assert bus.read_byte_data(A, 127) == 2


@pytest.mark.rule("PAGE-08")
@pytest.mark.parametrize(
    ("values", "present", "absent"),
    [
        ({}, DR4_PAGES, {0x04, 0x05, 0x12, 0x15, 0x16, 0x17, 0x1C, 0x23, 0x2E, 0x9E, 0xB0}),
        ({"VDMPagesSupported": 0}, set(), VDM_PAGES),
        ({"Page03hSupported": 0}, set(), {0x03, 0x04}),
        ({"DiagnosticPagesSupported": 0}, set(), {0x13, 0x14, 0x15}),
        ({"TimingPage15hSupported": 1}, {0x15}, {0x12, 0x16}),
        ({"NetworkPathPagesSupported": 1}, {0x16, 0x17}, {0x18}),
        ({"VDMPagesSupported": 1}, {0x20, 0x2C, 0x2D, 0x2F}, {0x23, 0x2E, 0x30}),
        ({"CdbInstancesSupported": 0}, set(), CDB_PAGES),
        ({"CdbMaxPagesEPL": 0}, {0x9F}, CDB_PAGES - {0x9F}),
        ({"CdbMaxPagesEPL": 2}, {0x9F, 0xA0, 0xA1}, {*range(0xA2, 0xB0)}),
    ],
)
def test_optional_pages_exist_where_advertised(
    variant: Variant, values: dict[str, int], present: set[int], absent: set[int]
) -> None:
    bus = variant(registers(**values)).smbus(1)
    for page in (present | DR4_PAGES) - absent:
        assert select(bus, page) == [0, page], f"{page:02X}h"
    for page in absent:
        assert select(bus, page) == [0, 0], f"{page:02X}h"


@pytest.mark.rule("PAGE-09", "PAGE-01")
@pytest.mark.parametrize(("code", "banks"), [(0, 1), (1, 2), (2, 4)])
def test_banks_as_advertised(variant: Variant, code: int, banks: int) -> None:
    bus = variant(registers(BanksSupported=code, VDMPagesSupported=1)).smbus(1)
    for page in (0x10, 0x11, 0x2D):
        for bank in range(6):
            assert select(bus, page, bank) == ([bank, page] if bank < banks else [0, 0])
    for bank in range(banks):
        select(bus, 0x10, bank)
        bus.write_byte_data(A, 241, 0x40 + bank)
    for bank in range(banks):
        select(bus, 0x10, bank)
        assert bus.read_byte_data(A, 241) == 0x40 + bank
    select(bus, 2, 0)
    thresholds = read(bus, 128, 128)
    for bank in range(banks):
        select(bus, 2, bank)
        assert read(bus, 128, 128) == thresholds


@pytest.mark.rule("PAGE-10")
def test_broadcast_repeats_a_write_in_every_bank(variant: Variant) -> None:
    emu = variant(broadcasting)
    bus = emu.smbus(1)
    select(bus, 0x10, 0)
    bus.write_byte_data(A, 240, 0x11)  # the enable bit is 0: this bank only
    select(bus, 0x10, 1)
    assert bus.read_byte_data(A, 240) == 0
    bus.write_byte_data(A, 26, 0xC0)
    bus.write_byte_data(A, 240, 0x22)
    bus.write_i2c_block_data(A, 241, [1, 2, 3])
    bus.write_byte_data(A, 128, 0xFF)  # a control with a hook: both banks shut down
    for bank in (0, 1):
        select(bus, 0x10, bank)
        assert bus.read_i2c_block_data(A, 240, 4) == [0x22, 1, 2, 3]
        assert bus.read_byte_data(A, 128) == 0xFF
    emu.settle()
    for bank in (0, 1):
        select(bus, 0x11, bank)
        assert bus.read_i2c_block_data(A, 128, 4) == [0x11] * 4
    select(bus, 2, 0)
    before = read(bus, 128, 128)
    bus.write_byte_data(A, 128, 0xFF)
    assert read(bus, 128, 128) == before


@pytest.mark.rule("PAGE-10", "I2C-07")
def test_broadcast_bit_is_reserved_unless_advertised(variant: Variant) -> None:
    bus = variant(two_banks).smbus(1)
    bus.write_byte_data(A, 26, 0xC0)
    assert bus.read_byte_data(A, 26) == 0x40
    select(bus, 0x10, 1)
    bus.write_byte_data(A, 240, 0x22)
    select(bus, 0x10, 0)
    assert bus.read_byte_data(A, 240) == 0


# -- read-only, reserved, later revisions ------------------------------------------------------------------


def host_writable(page: str) -> bytearray:
    """Bits of a page that some RW field covers, whatever the profile, from the map's rows."""
    mask = bytearray(128)
    for row in fields_of(page):
        if row.get("access") != "RW" or row.get("on_write") == "trigger":
            continue
        count, at = row.get("lanes", 1), row["at"] & 127
        kind, size = row["type"], row.get("size", 1)
        width = {"bool": 1, "u2": 2, "u3": 3, "u4": 4, "u8": 8}.get(kind, 8)
        for lane in range(count):
            if width < 8 and "lanes" in row and "stride" not in row:
                byte, bit = divmod(lane * width, 8)
                mask[at + byte] |= ((1 << width) - 1) << bit
                continue
            high, low = row.get("bits", (width - 1, 0))
            wide = size if kind in ("custom", "bytes", "ascii") else {"u16": 2, "s16": 2, "u32": 4}.get(kind, 1)
            for step in range(wide):
                mask[at + lane * row.get("stride", wide) + step] |= (1 << (high + 1)) - (1 << low) if wide == 1 else 255
    return mask


@pytest.mark.rule("I2C-07")
@pytest.mark.parametrize("page", ["lower", "00h", "01h", "02h", "10h", "11h"])
def test_writes_to_read_only_and_reserved_bits_change_nothing(emu: Emulator, bus: VirtualSMBus, page: str) -> None:
    base = 0 if page == "lower" else 128
    if base:
        select(bus, int(page[:-1], 16))
    emu.ports["1"].pins.LPMode = True  # so that what is written starts nothing
    emu.settle()
    if page == "lower":
        bus.write_byte_data(A, 26, 0x40)
    allowed = host_writable(page)
    allowed[126 if base == 0 else 0] |= 0xFF if base == 0 else 0  # the select bytes have rules of their own
    allowed[127] |= 0xFF if base == 0 else 0
    read(bus, base, 128)
    before = read(bus, base, 128)
    for register in range(base, base + 128):
        if register in (26, 127) or (page == "11h" and 154 <= register < 202):
            continue
        for value in (0xFF, 0x00, 0xA5):
            bus.write_byte_data(A, register, value)
            now = bus.read_byte_data(A, register)
            assert (now ^ before[register - base]) & ~allowed[register - base] & 0xFF == 0 or 14 <= register < 26


@pytest.mark.rule("HOST-06", "I2C-07")
def test_reserved_bits_read_0_on_every_page(emu: Emulator, bus: VirtualSMBus) -> None:
    module = emu.ports["1"].module
    for (number, bank), page in module.memory.pages.items():
        if number >= 0:
            select(bus, number, bank)
        base = page.first
        raw = read(bus, base, 128)
        for index, value in enumerate(raw):
            here = page.compiled.implemented[index]
            if (number, base + index) in ((-1, 126), (-1, 127)):
                continue
            assert value & ~here & 0xFF == 0, f"page {number:#x} byte {base + index}"


@pytest.mark.rule("HOST-06", "HOST-05")
def test_bytes_that_no_map_row_covers_read_0(bus: VirtualSMBus) -> None:
    for page in ("lower", "00h", "01h", "02h", "10h", "11h"):
        base = 0 if page == "lower" else 128
        if base:
            select(bus, int(page[:-1], 16))
        raw = read(bus, base, 128)
        covered: set[int] = set()
        for row in fields_of(page):
            width = {"bool": 1, "u2": 2, "u3": 3, "u4": 4}.get(row["type"], 8)
            size = row.get("size") or {"u16": 2, "s16": 2, "f16": 2, "u32": 4, "u64": 8}.get(row["type"], 1)
            lanes = row.get("lanes", 1)
            if width < 8 and "stride" not in row:
                length = (lanes * width + 7) // 8
            else:
                length = (lanes - 1) * row.get("stride", size) + size
            covered.update(range(row["at"], row["at"] + length))
        document = yaml.safe_load((maps_root() / "cmis" / f"page_{page}.yaml").read_text())
        if "checksum" in document:
            covered.add(document["checksum"]["at"])
        for register in sorted(set(range(base, base + 128)) - covered):
            assert raw[register - base] == 0, f"page {page} byte {register}"


@pytest.mark.rule("HOST-05", "NUM-03")
def test_text_is_padded_with_spaces_and_the_oui_may_be_zero(bus: VirtualSMBus) -> None:
    select(bus, 0)
    assert read(bus, 129, 16).decode() == "CMIS-EMU".ljust(16)
    assert read(bus, 148, 16).decode() == "QDD-400G-DR4".ljust(16)
    assert read(bus, 166, 16).decode().rstrip() == "CE0000000001"
    assert read(bus, 145, 3) == b"\0\0\0"
    for at, length in ((129, 16), (148, 16), (164, 2), (166, 16), (182, 8), (190, 10)):
        assert all(32 <= byte < 127 for byte in read(bus, at, length))


@pytest.mark.rule("REV-03")
def test_what_came_with_5_4_is_reserved(emu: Emulator, bus: VirtualSMBus) -> None:
    assert bus.read_byte_data(A, 1) == 0x52
    bus.write_byte_data(A, 31, 0xFF)
    assert bus.read_byte_data(A, 31) == 0x47  # AbnormalFirmwareIndicationMask, bit 3, is not there
    emu.ports["1"].module.set("ModuleFirmwareErrorFlag", 1)
    assert bus.read_byte_data(A, 8) & 0x08 == 0
    assert select(bus, 1) == [0, 1]
    assert read(bus, 171, 4) == bytes(4)
    assert select(bus, 0x0D) == [0, 0]


@pytest.mark.rule("REV-03")
def test_5_4_bits_exist_in_a_5_4_module(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["revision"] = "5.4"

    bus = variant(edit).smbus(1)
    bus.write_byte_data(A, 31, 0xFF)
    assert bus.read_byte_data(A, 31) == 0x4F


# -- checksums, and numbers on the wire ----------------------------------------------------------------------


@pytest.mark.rule("NUM-05")
@pytest.mark.parametrize(("page", "at", "first", "last"), [(0, 222, 128, 221), (1, 255, 130, 254), (2, 255, 128, 254)])
def test_checksums(emu: Emulator, bus: VirtualSMBus, page: int, at: int, first: int, last: int) -> None:
    select(bus, page)
    for _ in range(2):
        half = bytes(128) + read(bus, 128, 128)
        assert half[at] == sum(half[first : last + 1]) & 0xFF
        emu.ports["1"].module.set(
            {0: "VendorSN", 1: "ModuleTempMax", 2: "TempMonHighAlarmThreshold"}[page], 71 if page else "X"
        )


@pytest.mark.rule("NUM-01", "NUM-04")
def test_words_are_big_endian_and_nibbles_start_low(emu: Emulator, bus: VirtualSMBus) -> None:
    module = emu.ports["1"].module
    select(bus, 2)
    assert int.from_bytes(read(bus, 128, 2), "big") == 80 * 256
    module.set("DPStateHostLane", 3, lane=1)
    module.set("DPStateHostLane", 7, lane=2)
    assert module.peek(0x11, 128, 1) == b"\x73"


# -- hooks ----------------------------------------------------------------------------------------------------


def test_a_hook_is_called_once_per_transaction(emu: Emulator, bus: VirtualSMBus) -> None:
    page = emu.ports["1"].module.memory.page(0x10)
    seen: list[tuple[int, bytes]] = []
    for register in range(240, 244):
        page.hooks[register - 128] = seen_by(seen)
    hook = page.hooks[240 - 128]
    for register in range(240, 244):
        page.hooks[register - 128] = hook
    select(bus, 0x10)
    bus.write_i2c_block_data(A, 238, [1, 2, 3, 4, 5, 6, 7])
    assert seen == [(238, bytes([1, 2, 3, 4, 5, 6, 7]))]
    bus.write_byte_data(A, 242, 9)
    assert seen[1:] == [(242, b"\x09")]


def seen_by(seen: list[tuple[int, bytes]]) -> Callable[[Any], None]:
    return lambda write: seen.append((write.offset, write.data))
