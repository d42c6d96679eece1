"""The shipped maps: they agree with the facts sheet, compile to the right bytes, and read by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from beside import FACTS

from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.registers.field import LOWER, Access, Field, OnRead, OnWrite
from cmis_emu.registers.loader import _load, load_maps
from cmis_emu.registers.regmap import FlagBlock, compile_map, page_name, page_number
from cmis_emu.registers.view import View, decode_page
from cmis_emu.resources import maps_root

ROOT = Path(__file__).resolve().parents[2]
UNITS = {"uW": 1e-6, "mW": 1e-3, "uA": 1e-6, "ms": 1e-3, "ns": 1e-9, "us": 1e-6, "mV": 1e-3}


def name_is_active(name: str) -> bool:
    """The active set of page 11h changes at run time, which the sheet does not mark."""
    return name.startswith("ACS.") and not name.startswith(("ACS.NP", "ACS.DPConfig", "ACS.NAD", "ACS.Vers"))


SINCE = dict.fromkeys(("OutputStatusRx", "OutputStatusTx", "DPInitPendingLane"), "5.0")  # told by the rules sheet alone
ACCESS = {"RO": "RO", "RW": "RW", "RO/COR": "RO", "WO/SC": "WO"}

MAP = load_maps()


# -- agreement with the facts sheet ---------------------------------------------------------------


def facts() -> dict[str, dict[str, Any]]:
    if not FACTS.exists():
        pytest.skip("no facts sheet here")
    loaded: dict[str, Any] = yaml.load(FACTS.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {page["page"]: page for page in loaded["pages"]}


def ours(page: str, name: str) -> list[tuple[Field, int | None]]:
    """Map fields (and element) that hold what the sheet calls `name`: itself, a lane, a record."""
    fields = MAP.pages[page_number(page)].fields
    exact = [(each, None) for each in fields if each.name == name]
    if exact:
        return list(exact)
    match = re.fullmatch(r"(.*\D)(\d+)", name)
    if match:
        lane = int(match[2])
        found = [each for each in fields if each.name == match[1] or each.name.startswith(match[1] + ".")]
        if found:
            return [(each, lane) for each in found]
    return [(each, None) for each in fields if each.name.startswith(name + ".")]


def bits_of(items: Iterator[tuple[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for address, mask in items:
        found[address] = found.get(address, 0) | mask
    return found


def bits_here(found: list[tuple[Field, int | None]]) -> dict[int, int]:
    def walk() -> Iterator[tuple[int, int]]:
        for each, lane in found:
            if lane is None:
                yield from each.masks()
                continue
            first, size, msb, lsb = each.element(lane)
            for byte in range(first, first + size):
                yield byte, (1 << (msb + 1)) - (1 << lsb)

    return bits_of(walk())


def bits_there(fact: dict[str, Any]) -> dict[int, int]:
    msb, lsb = fact["bits"]
    mask = (1 << (msb + 1)) - (1 << lsb)
    return dict.fromkeys(range(fact["offset"], fact["offset"] + fact["length"]), mask)


@pytest.mark.rule("NUM-01", "NUM-04")
def test_every_field_of_the_sheet_is_here() -> None:
    for page, sheet in facts().items():
        for fact in sheet["fields"]:
            where = f"{page}:{fact['name']}"
            found = ours(page, fact["name"])
            assert found, where
            here, there = bits_here(found), bits_there(fact)
            if fact["name"].startswith("NAD"):  # bytes 5 to 7 of a record are partly reserved
                assert all(mask & there[byte] == mask for byte, mask in here.items()), where
            else:
                assert here == there, where
            for each, lane in found:
                assert each.access.value == ACCESS[fact["access"]], where
                assert (each.on_read is OnRead.CLEAR) == (fact["access"] == "RO/COR"), where
                assert (each.on_write is OnWrite.TRIGGER) == (fact["access"] == "WO/SC"), where
                assert each.volatile == (fact.get("volatile", False) or name_is_active(each.name)), where
                assert each.unsure == (fact.get("conf") == "?") or fact["name"].startswith("NAD"), where
                if "." not in each.name or "." in fact["name"]:
                    check_value(each, lane, fact, where)


def check_value(each: Field, lane: int | None, fact: dict[str, Any], where: str) -> None:
    if lane is None:
        lanes = fact.get("lanes", {}).get("n")
        assert each.lanes == lanes or "lanes" not in fact, where
    scale = fact.get("scale", 1) * UNITS.get(fact.get("unit"), 1)
    assert (each.scale or 1) == pytest.approx(scale, rel=1e-12), where
    since = str(fact.get("since", "0.0"))
    since = SINCE.get(each.name) or {"5.2/5.3": "5.3"}.get(since, since)
    assert each.since == tuple(int(part) for part in since.split(".")), where
    if "default" in fact:
        assert each.default in {fact["default"], {255: 15 if each.width == 4 else 1}.get(fact["default"])}, where
    if fact.get("enum") in MAP.enums and fact["enum"] != "cdb_status":  # cdb_status is for the whole byte
        assert each.enum == fact["enum"], where
    if fact.get("adv") and "(5.3)" not in fact["adv"]:
        assert each.needs, where


def test_nothing_is_here_that_the_sheet_lacks() -> None:
    sheet = facts()
    assert {page_name(number) for number in MAP.pages} == set(sheet)
    for page in MAP.pages.values():
        there: dict[int, int] = {}
        for fact in sheet[page.name]["fields"]:
            for byte, mask in bits_there(fact).items():
                there[byte] = there.get(byte, 0) | mask
        for each in page.fields:
            for byte, mask in each.masks():
                assert there.get(byte, 0) & mask == mask, f"{page.name}:{each.name} at {byte}"
        assert page.banked == sheet[page.name]["banked"], page.name
        checksum = sheet[page.name].get("checksum")
        if checksum is None:
            assert page.checksum is None, page.name
        else:
            assert page.checksum is not None, page.name
            assert [page.checksum.at, page.checksum.first, page.checksum.last] == [
                checksum["byte"],
                *checksum["covers"],
            ]


def test_enums_of_the_sheet_are_here() -> None:
    facts()
    sheet = yaml.load(FACTS.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["enums"]
    for name, fact in sheet.items():
        codes = MAP.enums.get(name) or MAP.tables[name]
        there = {code for code, text in fact["values"].items() if not str(text).startswith("reserved")}
        assert set(codes) == there, name
    assert MAP.enums["module_state"][1] == "ModuleLowPwr"
    assert MAP.enums["data_path_state"][1] == "DPDeactivated"
    assert MAP.enums["config_status"][1] == "ConfigSuccess"


# -- loading and names ----------------------------------------------------------------------------


def test_loading_is_quick_and_cached() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        _load(maps_root())
        times.append(time.perf_counter() - start)
    assert min(times) < 0.35
    assert load_maps() is MAP


def test_page_names() -> None:
    assert [page_number(page) for page in ("11h", "0x11", "17", 17, "lower", "AFh")] == [
        17,
        17,
        17,
        17,
        LOWER,
        0xAF,
    ]
    assert [page_name(number) for number in (LOWER, 0, 0x9F)] == ["lower", "00h", "9Fh"]
    for bad in ("100h", "1h", "256", "page"):
        with pytest.raises(ValueError, match=r"found|invalid"):
            page_number(bad)


def test_names_resolve_with_lane_digits() -> None:
    field, lane = MAP.resolve("SCS0.AppSelCodeLane3")
    assert (field.name, lane, field.element(3)) == ("SCS0.AppSelCodeLane", 3, (147, 1, 7, 4))
    assert MAP.resolve("OpticalPowerTx1") == (MAP.field("OpticalPowerTx"), 1)
    assert MAP.resolve("CdbIsBusy1") == (MAP.field("CdbIsBusy1"), None)
    field, lane = MAP.resolve("VDMSample65")
    assert (field.page, lane) == (0x25, 1)
    assert MAP.field("41h:RxLOSType").page == 0x41
    assert MAP.field("RxLOSType").page == 0x01
    with pytest.raises(UnknownFieldError, match="did you mean OpticalPowerTx"):
        MAP.resolve("OpticalPowrTx1")
    with pytest.raises(UnknownFieldError, match="found lane 9, expected 1 to 8"):
        MAP.resolve("OpticalPowerTx9")
    with pytest.raises(UnknownFieldError):
        MAP.resolve("OpticalPowerTx0")


# -- compiling ------------------------------------------------------------------------------------

FULL = {
    "MemoryModel": 0,
    "CdbInstancesSupported": 2,
    "CdbMaxPagesEPL": 7,
    "VDMSupport": 3,
    "RxOutputEqControlSupported": 3,
    "HostScratchpadSupported": 2,
    "PasswordResultSupported": 2,
    "SquelchMethodTx": 3,
}


def full(name: str) -> int:
    return FULL.get(name, 1)


def nothing(name: str) -> int:
    return 0


def test_compiling_is_quick() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        compile_map(MAP, (5, 3), full)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.03


@pytest.mark.rule("I2C-07", "I2C-08")
def test_masks_say_what_a_write_does() -> None:
    page = compile_map(MAP, (5, 3), full).pages[0x10]
    at = 128
    assert page.write_mask[130 - at] == 0xFF
    assert page.write_mask[143 - at] == 0  # WO: nothing is stored
    assert page.trigger_mask[143 - at] == 0xFF
    assert page.write_mask[140 - at] == page.implemented[140 - at] == 0
    lower = compile_map(MAP, (5, 3), full).pages[LOWER]
    assert lower.reset[26] == 0x40
    assert lower.write_mask[26] == 0xF7
    assert lower.trigger_mask[26] == 0x08
    assert lower.clear_mask[8] == 0xC7
    assert lower.write_mask[3] == 0
    assert lower.implemented[12] == 0


@pytest.mark.rule("I2C-07", "FLG-11")
def test_what_is_not_advertised_behaves_as_reserved() -> None:
    compiled = compile_map(MAP, (5, 3), lambda name: 0 if name == "LOSFlagTxSupported" else full(name))
    assert compiled.pages[0x11].implemented[136 - 128] == 0
    assert compiled.pages[0x11].clear_mask[136 - 128] == 0
    assert compiled.pages[0x10].write_mask[215 - 128] == 0
    assert compiled.pages[0x11].implemented[137 - 128] == 0xFF
    assert not compiled.implements("LOSFlagTx")
    assert compiled.implements("CDRLOLFlagTx")


def test_revisions_add_fields_and_pages() -> None:
    old, new = compile_map(MAP, (5, 0), full), compile_map(MAP, (5, 3), full)
    assert 0x1C not in old.pages
    assert 0x1C in new.pages
    assert 0x0D not in new.pages  # 5.4
    assert old.pages[LOWER].implemented[42] == 0
    assert new.pages[LOWER].implemented[42] == 0x0F
    assert new.pages[LOWER].clear_mask[8] & 0x08 == 0  # 5.4


@pytest.mark.rule("PAGE-08")
def test_pages_follow_their_advertisement() -> None:
    assert set(compile_map(MAP, (5, 3), nothing).pages) == {LOWER, 0, 1, 2, 0x10, 0x11}
    flat = compile_map(MAP, (5, 3), lambda name: 1)  # a flat module: nothing on 01h counts
    assert set(flat.pages) == {LOWER, 0, 0x1A, 0x1B}
    one = compile_map(MAP, (5, 3), lambda name: {"VDMSupport": 1, "CdbMaxPagesEPL": 2}.get(name, full(name)))
    assert [n for n in range(0x20, 0x30) if n in one.pages] == [
        0x20,
        0x21,
        0x24,
        0x25,
        0x28,
        0x29,
        0x2C,
        0x2D,
        0x2F,
    ]
    assert [n for n in range(0xA0, 0xB0) if n in one.pages] == [0xA0, 0xA1]


@pytest.mark.rule("VDM-09", "TUN-08", "DIAG-15")
def test_masks_that_come_up_set() -> None:
    pages = compile_map(MAP, (5, 3), full).pages
    assert pages[0x2D].reset == b"\xff" * 128
    assert pages[0x12].reset[239 - 128 : 247 - 128] == b"\x3f" * 8
    assert pages[0x13].reset[206 - 128 : 214 - 128] == b"\x80\x00" + b"\xff" * 6
    assert not any(pages[0x10].reset)


@pytest.mark.rule("FLG-05")
def test_flag_blocks() -> None:
    blocks = compile_map(MAP, (5, 3), full).flag_blocks
    for expected in (
        FlagBlock(LOWER, 8, 13, LOWER, 31),
        FlagBlock(0x11, 134, 153, 0x10, 213),
        FlagBlock(0x12, 231, 238, 0x12, 239),
        FlagBlock(0x14, 132, 139, 0x13, 206),
        FlagBlock(0x17, 128, 128, 0x17, 192),
        FlagBlock(0x2C, 128, 255, 0x2D, 128),
    ):
        assert expected in blocks


def test_every_mask_belongs_to_a_flag() -> None:
    """Each clear-on-read field with a mask names it, and no mask is left over."""
    named = {each.masked_by for each in MAP if each.masked_by}
    masks = {
        each.name
        for each in MAP
        if each.access is Access.RW and re.search(r"Masks?(Lane|Tx|Rx|\d|HostLane|MediaLane)?\Z", each.name)
    }
    assert masks - named == {"GlobalMasks"}  # ELSFP: what it masks is not known


# -- by name --------------------------------------------------------------------------------------


class Bytes:
    """128 bytes for each page and bank."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int], bytearray] = {}

    def block(self, page: int, bank: int) -> bytearray:
        return self.blocks.setdefault((page, bank), bytearray(128))

    def fetch(self, page: int, bank: int, offset: int, n: int) -> bytes:
        start = offset & 127
        return bytes(self.block(page, bank)[start : start + n])

    def store(self, page: int, bank: int, offset: int, data: bytes) -> None:
        start = offset & 127
        self.block(page, bank)[start : start + len(data)] = data


@pytest.fixture
def memory() -> Bytes:
    return Bytes()


@pytest.fixture
def view(memory: Bytes) -> View:
    return View(MAP, memory.fetch, memory.store)


def test_view_speaks_units(view: View, memory: Bytes) -> None:
    view.set("OpticalPowerTx", 1.0e-3, lane=2, bank=1)
    assert memory.block(0x11, 1)[156 - 128 : 158 - 128] == b"\x27\x10"
    assert view.get("OpticalPowerTx2", bank=1) == pytest.approx(1.0e-3)
    assert view.get("OpticalPowerTx", bank=1) == pytest.approx([0, 1.0e-3, 0, 0, 0, 0, 0, 0])
    view.set("TempMonValue", -5.5)
    assert view.get("TempMonValue") == -5.5
    view.set("VendorSN", "X123", bank=3)  # page 00h has one bank
    assert view.get("VendorSN") == "X123"
    view.set("ModuleState", "ModuleReady")
    assert memory.block(LOWER, 0)[3] == 0x06


def test_view_touches_only_the_bits_of_the_field(view: View, memory: Bytes) -> None:
    memory.block(0x10, 0)[145 - 128] = 0xFF
    view.set("SCS0.DataPathIDLane1", 0)
    assert memory.block(0x10, 0)[145 - 128] == 0xF1


def test_view_lists_and_records(view: View) -> None:
    view.set("DPStateHostLane", [4, 4, 4, 4, 1, 1, 1, "DPInit"])
    assert view.get("DPStateHostLane") == [4, 4, 4, 4, 1, 1, 1, 2]
    view.set("ApplicationDescriptor.HostInterfaceID", 0x11, lane=1)
    view.set("ApplicationDescriptor.HostLaneCount1", 8)
    records = view.get("ApplicationDescriptor")
    assert isinstance(records, list)
    assert len(records) == 8
    first = view.get("ApplicationDescriptor", lane=1)
    assert records[0] == first
    assert isinstance(first, dict)
    assert (first["HostInterfaceID"], first["HostLaneCount"]) == (0x11, 8)
    version = view.get("VersionLoadA")
    assert isinstance(version, dict)
    assert version["MajorVersion"] == 0
    view.set("VDMSample", 7, lane=65)
    assert view.get("VDMSample65") == 7


def test_view_refuses(view: View) -> None:
    with pytest.raises(InputError, match=r"OpticalPowerTx: found .* expected a lane, or a list of 8 values"):
        view.set("OpticalPowerTx", 1.0e-3)
    with pytest.raises(UnknownFieldError, match="expected no lane"):
        view.get("TempMonValue", lane=1)
    with pytest.raises(UnknownFieldError, match="expected 1 to 8"):
        view.get("ApplicationDescriptor", lane=9)
    with pytest.raises(InputError, match="VccMonVoltage: found 7"):
        view.set("VccMonVoltage", 7)
    with pytest.raises(InputError, match="one value"):
        view.set("VccMonVoltage", [3.3])


def test_pages_decode_for_display() -> None:
    data = bytearray(128)
    data[14:16] = b"\x1e\x80"
    data[3] = 0x06
    rows = {(row.name, row.lane): row for row in decode_page(MAP.pages[LOWER], bytes(data), MAP.enums)}
    assert rows["TempMonValue", None].text == "30.5 degC"
    assert rows["ModuleState", None].text == "ModuleReady"
    assert rows["ApplicationDescriptor.HostLaneCount", 8].value == 0
    block = bytearray(128)
    block[26:28] = b"\x27\x10"
    power = next(r for r in decode_page(MAP.pages[0x11], bytes(block)) if r.name == "OpticalPowerTx")
    assert power.text == "1 mW"
    with pytest.raises(InputError, match="expected 128 bytes"):
        decode_page(MAP.pages[LOWER], b"")


def test_a_page_shows_what_its_selector_shows() -> None:
    block = bytearray(128)
    block[0] = 0x15  # counters of media lanes 5 to 8, of the last gate
    block[64 + 8 : 64 + 16] = (12345).to_bytes(8, "little")
    rows = {(row.name, row.lane): row.value for row in decode_page(MAP.pages[0x14], bytes(block))}
    assert rows["BitCountMedia", 5] == 12345
    assert rows["ErrorCountMedia", 8] == 0
    assert ("ErrorCountHost", 1) not in rows
    block[0] = 0x77
    assert {row.name for row in decode_page(MAP.pages[0x14], bytes(block))} == {f.name for f in MAP.pages[0x14].fields}


@pytest.mark.rule("DIAG-12", "DIAG-13")
def test_views_of_the_diagnostics_page() -> None:
    page = MAP.pages[0x14]
    ber = page.view(0x11)
    assert ber is not None
    assert [(each.name, each.at, each.type) for each in ber.fields] == [
        ("BERHostLane", 192, "f16"),
        ("BERMediaLane", 208, "f16"),
    ]
    counters = page.view(0x03)
    assert counters is not None
    assert counters.first_lane == 5
    assert counters.fields[1].element(4) == (248, 8, 7, 0)
    assert page.view(0x7F) is None


def test_report_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "map_report.py"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert rows[-1]["page"] == "all"
    for row in rows:
        assert row["owned"] + row["profile"] + row["stored"] == row["fields"]


@pytest.mark.rule("HOST-08")
@pytest.mark.parametrize(
    ("name", "page", "at"),
    [
        ("FailureFlagTx", 0x11, 135),  # one decoder takes it for the output status, and shifts all that follows
        ("LOSFlagTx", 0x11, 136),
        ("LOSFlagRx", 0x11, 147),
        ("ACS.OutputEqPreCursorTargetRx", 0x11, 223),
        ("AdaptiveInputEqFreezeTx", 0x10, 134),
        ("MaxDurationDPTxTurnOff", 0x01, 168),
        ("MaxDurationDPTxTurnOn", 0x01, 168),
    ],
)
def test_places_that_public_decoders_get_wrong(name: str, page: int, at: int) -> None:
    assert (MAP.field(name).page, MAP.field(name).at) == (page, at)


@pytest.mark.rule("HOST-08")
def test_bits_and_codes_that_public_decoders_get_wrong() -> None:
    assert MAP.field("ACS.DataPathIDLane").bits == (3, 1)
    assert MAP.field("MaxDurationDPTxTurnOff").bits == (7, 4)
    assert MAP.field("MaxDurationDPTxTurnOn").bits == (3, 0)
    status = MAP.enums["config_status"]
    assert [status[code].removeprefix("ConfigRejected") for code in (4, 5, 6)] == [
        "InvalidDataPath",
        "InvalidSI",
        "LanesInUse",
    ]
    grids = ("75", "33", "100", "50", "25", "12p5", "6p25", "3p125")  # from bit 7 down
    assert [MAP.field(f"GridSupported{grid}GHz").bits for grid in grids] == [(n, n) for n in range(7, -1, -1)]
