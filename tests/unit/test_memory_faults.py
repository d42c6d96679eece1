"""What a host reads instead of what a module holds: overrides, and maps that are not filled in yet."""

from __future__ import annotations

import errno

import pytest
from cmis_host import Host
from fault_bench import arm
from smbus2 import i2c_msg

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus

A = 0x50
DR4 = "qsfpdd-400g-dr4"


def read(bus: VirtualSMBus, page: int, register: int, length: int) -> bytes:
    """Bytes of a page, or of the lower memory for page -1."""
    if page >= 0:
        bus.write_i2c_block_data(A, 126, [0, page])
    found = i2c_msg.read(A, length)
    bus.i2c_rdwr(i2c_msg.write(A, [register]), found)
    return bytes(found)


def checksum_fits(bus: VirtualSMBus) -> bool:
    """NUM-05 of page 00h."""
    page = read(bus, 0, 128, 128)
    return sum(page[:94]) & 0xFF == page[94]


STATIC_ROWS = [
    ("I1", "00h:133", "BE", 0, 133, b"\xbe"),
    ("I2", "00h:129-163", "FF", 0, 129, b"\xff" * 35),
    ("I3", "00h:182-189", "FF", 0, 182, b"\xff" * 8),
    ("I4", "L:86-89", "7F 7F 88 01", -1, 86, b"\x7f\x7f\x88\x01"),
    ("I4", "00h:203", "3F", 0, 203, b"\x3f"),
    ("I5", "L:90", "7E", -1, 90, b"\x7e"),
    ("I8", "L:0-1", "11 52", -1, 0, b"\x11\x52"),
    ("I9", "L:1", "30", -1, 1, b"\x30"),
    ("I12", "01h:168", "00", 1, 168, b"\0"),
    ("I13", "L:87", "00", -1, 87, b"\0"),
    ("I16", "L:0", "80", -1, 0, b"\x80"),
    ("I17", "L:9-11", "55", -1, 9, b"\x55\x55\x55"),
    ("M3", "11h:154-201", "00", 0x11, 154, b"\0" * 48),
    ("M6", "02h:128-199", "FF", 2, 128, b"\xff" * 72),
    ("D2", "01h:142.5", "00", 1, 142, b""),
]


@pytest.mark.parametrize(
    ("place", "value", "page", "register", "expected"),
    [row[1:] for row in STATIC_ROWS],
    ids=[f"{row[0]}-{row[1]}" for row in STATIC_ROWS],
)
def test_I1_to_I17_static_bytes(
    emu: Emulator, bus: VirtualSMBus, place: str, value: str, page: int, register: int, expected: bytes
) -> None:
    length = max(1, len(expected))
    before = read(bus, page, register, length)
    expected = expected or bytes([before[0] & ~0x20])
    assert before != expected
    clear = arm(emu, "mem.override", place=place, value=value)
    assert read(bus, page, register, length) == expected
    assert bus.read_byte_data(A, register) == expected[0]
    assert emu.ports["1"].module.peek(page, register, length) == expected
    clear()
    assert read(bus, page, register, length) == before


def test_the_back_door_decodes_what_a_host_would_read(emu: Emulator) -> None:
    module = emu.ports["1"].module
    before = module.get("VendorName")
    clear = arm(emu, "mem.override", place="00h:129", value=list(b"ACME            "))
    assert (before, module.get("VendorName")) == ("CMIS-EMU", "ACME")
    module.set("VendorName", "BETA")  # the vendor's side still works, below
    assert module.get("VendorName") == "ACME"
    clear()
    assert module.get("VendorName") == "BETA"


def test_setting_a_neighbour_bakes_nothing_in(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "mem.override", place="L:31", value="FF")
    emu.ports["1"].module.set("ModuleFirmwareErrorMask", 0)
    bus.write_byte_data(A, 31, 0x01)
    assert bus.read_byte_data(A, 31) == 0xFF
    clear()
    assert bus.read_byte_data(A, 31) == 0x01


def test_the_checksum_is_left_wrong_or_made_to_fit(emu: Emulator, bus: VirtualSMBus) -> None:
    assert checksum_fits(bus)
    left = arm(emu, "mem.override", place="00h:130", value="41")
    assert not checksum_fits(bus)
    left()
    fits = arm(emu, "mem.override", place="00h:129-144", value="42", checksum="recomputed")
    assert checksum_fits(bus)
    emu.ports["1"].module.set("VendorSN", "X123")  # whatever is below
    assert checksum_fits(bus)
    left = arm(emu, "mem.override", place="00h:148", value="43")
    assert not checksum_fits(bus)
    left()
    assert checksum_fits(bus)
    arm(emu, "mem.override", place="00h:222", value="00")
    assert read(bus, 0, 222, 1) == b"\0"
    fits()


def test_an_override_lies_over_live_bytes(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "mem.override", place="L:14-15", value="7B 00")
    for _ in range(3):
        emu.clock.advance(1.0)
        assert read(bus, -1, 14, 2) == b"\x7b\0"
    assert emu.ports["1"].module.get("TempMonValue") == 123.0
    clear()
    assert emu.ports["1"].module.get("TempMonValue") < 80


@pytest.mark.parametrize("shown", ["00", "FF"])
def test_flags_below_clear_as_if_nothing_lay_over_them(shown: str) -> None:
    twins = [Emulator.load(DR4, clock=ManualClock(), seed=1) for _ in range(2)]
    clear = None
    for emu in twins:
        emu.settle()
        emu.fibres["loop"].cut()
        emu.clock.advance(1.0)
    for emu in twins:
        if emu is twins[0]:
            clear = arm(emu, "mem.override", place="11h:134-152", value=shown)
        read(emu.smbus(1), 0x11, 147, 1)
        emu.fibres["loop"].restore()
        emu.clock.advance(2.0)
        read(emu.smbus(1), 0x11, 150, 4)
    assert clear is not None
    clear()
    one, two = (emu.ports["1"].module.memory.contents() for emu in twins)
    assert one == two
    assert read(twins[0].smbus(1), 0x11, 128, 128) == read(twins[1].smbus(1), 0x11, 128, 128)
    for emu in twins:
        emu.close()


def test_a_reset_and_a_replug_do_not_lose_it(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    port.remove()
    clear = arm(emu, "mem.override", place="00h:129-131", value="41 42 43")
    port.insert(DR4)
    emu.settle()
    assert read(bus, 0, 129, 3) == b"ABC"
    bus.write_byte_data(A, 26, 0x48)
    emu.clock.advance(2.0)
    assert read(bus, 0, 129, 3) == b"ABC"
    port.insert("qsfpdd-400g-fr4")
    emu.settle()
    assert read(bus, 0, 129, 3) == b"ABC"
    clear()
    assert read(bus, 0, 129, 3) == b"CMI"


def test_overrides_lie_on_each_other_in_order(emu: Emulator, bus: VirtualSMBus) -> None:
    first = arm(emu, "mem.override", place="00h:129-131", value="41 42 43")
    second = arm(emu, "mem.override", place="00h:130-132", value="5A")
    bits = arm(emu, "mem.override", place="00h:131.0", value="01")
    assert read(bus, 0, 129, 5) == b"AZ[ZS"[:3] + b"Z-"
    first()
    assert read(bus, 0, 129, 5) == b"CZ[Z-"
    second()
    bits()
    assert read(bus, 0, 129, 5) == b"CMIS-"


def test_in_every_bank_or_in_one(emu: Emulator) -> None:
    emu.ports["1"].insert("osfpxd-1600g-2xdr8")
    emu.settle()
    module = emu.ports["1"].module
    before = [module.peek(0x11, 128, 1, bank=bank) for bank in (0, 1)]
    both = arm(emu, "mem.override", place="11h:128", value="99")
    assert [module.peek(0x11, 128, 1, bank=bank) for bank in (0, 1)] == [b"\x99", b"\x99"]
    both()
    arm(emu, "mem.override", place="11h/1:128", value="99")
    assert [module.peek(0x11, 128, 1, bank=bank) for bank in (0, 1)] == [before[0], b"\x99"]


def test_I6_a_module_without_pages_that_does_not_say_so(emu: Emulator, bus: VirtualSMBus) -> None:
    emu.ports["1"].insert("qsfpdd-400g-dac")
    emu.settle()
    assert bus.read_byte_data(A, 2) & 0x80
    clear = arm(emu, "mem.override", place="L:2.7", value="00")
    assert not bus.read_byte_data(A, 2) & 0x80
    assert read(bus, 1, 128, 4) == read(bus, 0, 128, 4)  # page 01h is a copy of page 00h
    clear()
    assert bus.read_byte_data(A, 2) & 0x80


def test_I7_upper_pages_of_a_flat_module_refuse(emu: Emulator, bus: VirtualSMBus) -> None:
    emu.ports["1"].insert("qsfpdd-400g-dac")
    emu.settle()
    assert read(bus, 1, 128, 1) == b"\x18"
    arm(emu, "bus.nack", direction="write", place="L:127", value=1)
    with pytest.raises(OSError, match=r".*") as caught:
        bus.write_byte_data(A, 127, 1)
    assert caught.value.errno == errno.EIO
    assert read(bus, 0, 128, 1) == b"\x18"


def test_bytes_must_fit_the_place(emu: Emulator) -> None:
    for place, value in (("00h:129-131", "41 42"), ("00h:254", "01 02 03"), ("L:126", "01 02 03")):
        with pytest.raises(InputError, match="value: found"):
            arm(emu, "mem.override", place=place, value=value)


# -- mem.partial -------------------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> Emulator:
    """A module that was plugged in this very moment."""
    return Emulator.load(DR4, clock=ManualClock(), seed=1)


@pytest.mark.parametrize(("blank", "byte"), [("zeros", 0), ("ones", 0xFF)])
def test_I10_fields_are_wrong_right_after_insertion(fresh: Emulator, blank: str, byte: int) -> None:
    bus = fresh.smbus(1)
    arm(fresh, "mem.partial", place="00h", until="2 s", blank=blank)
    fresh.clock.advance(1.0)
    assert read(bus, 0, 128, 128) == bytes([byte]) * 128
    fresh.clock.advance(1.0)
    assert checksum_fits(bus)
    right = read(bus, 0, 128, 128)
    fresh.ports["1"].insert(DR4)
    fresh.clock.advance(1.0)
    assert read(bus, 0, 128, 128) == bytes([byte]) * 128
    fresh.clock.advance(1.0)
    assert read(bus, 0, 128, 128) == right
    fresh.close()


def test_I11_some_fields_are_there_others_not_yet(fresh: Emulator) -> None:
    bus = fresh.smbus(1)
    arm(fresh, "mem.partial", place="00h:129-160", begin="1 s", until="3 s")
    arm(fresh, "bus.nack", direction="read", place="01h")
    fresh.clock.advance(1.5)
    page = read(bus, 0, 129, 32)
    assert page[:8] == b"CMIS-EMU"
    assert page[8:] == bytes(24)
    with pytest.raises(OSError, match=r".*"):
        read(bus, 1, 128, 1)
    fresh.clock.advance(1.5)
    assert read(bus, 0, 129, 32)[16:] != bytes(16)
    fresh.close()


def test_M9_the_temperature_is_0_until_the_module_is_ready(fresh: Emulator) -> None:
    bus = fresh.smbus(1)
    arm(fresh, "mem.partial", place="L:14-15", until="4 s")
    fresh.clock.advance(3.0)
    assert read(bus, -1, 14, 2) == b"\0\0"
    fresh.clock.advance(1.1)
    assert read(bus, -1, 14, 2) != b"\0\0"
    fresh.close()


def test_T2_all_of_the_map_comes_late_and_with_garbage(fresh: Emulator) -> None:
    bus = fresh.smbus(1)
    clear = arm(fresh, "mem.partial", until="5 s", blank="garbage")
    fresh.clock.advance(1.0)
    first = read(bus, -1, 0, 126), read(bus, 0, 128, 128)
    assert len(set(first[1])) > 40
    assert (read(bus, -1, 0, 126), read(bus, 0, 128, 128)) == first  # the same garbage each time
    clear()
    assert bus.read_byte_data(A, 0) == 0x18
    fresh.close()


def test_filled_in_anew_after_each_reset(emu: Emulator, bus: VirtualSMBus, host: Host) -> None:
    arm(emu, "mem.partial", place="00h", until="2 s", since="reset")
    emu.clock.advance(3.0)
    assert read(bus, 0, 128, 1) == b"\x18"
    bus.write_byte_data(A, 26, 0x48)
    emu.clock.advance(1.0)
    assert read(bus, 0, 128, 1) == b"\0"
    emu.clock.advance(1.1)
    assert read(bus, 0, 128, 1) == b"\x18"


def test_it_begins_before_it_ends(emu: Emulator) -> None:
    with pytest.raises(InputError, match="begin"):
        arm(emu, "mem.partial", begin="3 s", until="2 s")
