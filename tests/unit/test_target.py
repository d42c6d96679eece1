"""The bus engine as a host meets it: rules I2C-01 to I2C-13, over the bus and at byte-event level."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from dr4 import Variant
from i2c_host import A, failure, read
from smbus2 import i2c_msg

from cmis_emu import Emulator
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.target import Target


def behaviour(**knobs: Any) -> Callable[[dict[str, Any]], None]:
    """An edit of a profile's behaviour section."""

    def edit(profile: dict[str, Any]) -> None:
        profile["behaviour"] = {**profile.get("behaviour", {}), **knobs}

    return edit


@pytest.fixture
def target(emu: Emulator) -> Target:
    return emu.ports["1"].target


# -- addressing and transactions -----------------------------------------------------------------------


@pytest.mark.rule("I2C-01")
def test_answers_at_50h_only(bus: VirtualSMBus) -> None:
    answering = [address for address in range(0x80) if failure(lambda a=address: bus.read_byte(a)) is None]  # type: ignore[misc]
    assert answering == [A]


@pytest.mark.rule("I2C-01", "I2C-10")
def test_modsel_high_deselects(emu: Emulator, bus: VirtualSMBus) -> None:
    pins = emu.ports["1"].pins
    pins.ModSelL = True
    assert failure(lambda: bus.write_quick(A)) == errno.ENXIO
    assert failure(lambda: bus.write_byte_data(A, 26, 0x50)) == errno.ENXIO
    pins.ModSelL = False
    bus.write_quick(A)
    assert bus.read_byte_data(A, 26) == 0x40


@pytest.mark.rule("I2C-02")
def test_three_kinds_of_transaction(bus: VirtualSMBus) -> None:
    bus.i2c_rdwr(i2c_msg.write(A, [31, 0x07, 0xFF]))
    bus.i2c_rdwr(i2c_msg.write(A, [31]))
    current = i2c_msg.read(A, 2)
    bus.i2c_rdwr(current)
    assert bytes(current) == b"\x07\xff"
    assert read(bus, 31, 2) == b"\x07\xff"


@pytest.mark.rule("I2C-03")
def test_counter_goes_on_after_every_access(bus: VirtualSMBus) -> None:
    whole = read(bus, 0, 128)
    bus.write_byte(A, 86)
    assert bytes(bus.read_byte(A) for _ in range(4)) == whole[86:90]
    bus.write_i2c_block_data(A, 31, [1, 2, 0])  # a write moves it past its last byte, stored or not
    assert bus.read_byte(A) == bus.read_byte_data(A, 34)
    read(bus, 100, 5)
    assert bus.read_byte(A) == whole[105]


@pytest.mark.rule("I2C-03", "PAGE-07", "RST-01")
@pytest.mark.parametrize("how", ["soft", "pin", "power", "hot plug"])
def test_counter_is_zero_after_a_reset(emu: Emulator, bus: VirtualSMBus, how: str) -> None:
    port = emu.ports["1"]
    bus.write_i2c_block_data(A, 126, [0, 2])
    bus.write_byte(A, 200)
    if how == "soft":
        bus.write_byte_data(A, 26, 0x48)
    elif how == "pin":
        port.pins.ResetL = False
        emu.clock.advance(0.001)
        port.pins.ResetL = True
    elif how == "power":
        port.pins.power = False
        port.pins.power = True
    else:
        port.insert("qsfpdd-400g-dr4")
    assert failure(lambda: bus.read_byte(A)) == errno.ENXIO
    emu.clock.advance(1.0)
    assert bus.read_byte(A) == 0x18
    assert bus.read_i2c_block_data(A, 126, 2) == [0, 0]


@pytest.mark.rule("I2C-04")
@pytest.mark.parametrize(("start", "base"), [(120, 0), (127, 0), (250, 128), (255, 128), (128, 128)])
def test_reads_roll_over_inside_their_half(bus: VirtualSMBus, start: int, base: int) -> None:
    half = read(bus, base, 128)
    read(bus, 8, 6)  # the flags are cleared now, so that reads repeat
    half = half[:8] + read(bus, base + 8, 6) + half[14:] if base == 0 else half
    at = start - base
    assert read(bus, start, 20) == (half[at:] + half)[:20]
    assert read(bus, base, 300)[128:256] == read(bus, base, 128)


@pytest.mark.rule("I2C-04")
def test_writes_roll_over_inside_their_half(bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    before = bus.read_byte_data(A, 26)
    bus.write_i2c_block_data(A, 254, [0xA1, 0xA2, 0x00, 0x00, 0x05])  # 254, 255 are custom, then 128 to 130
    assert bus.read_i2c_block_data(A, 254, 2) == [0xA1, 0xA2]
    assert bus.read_byte_data(A, 130) == 0x05
    assert bus.read_byte_data(A, 26) == before
    assert bus.read_byte(A) == bus.read_byte_data(A, 27)


# -- lengths ---------------------------------------------------------------------------------------------


@pytest.mark.rule("I2C-05")
def test_reads_of_1_to_128_bytes(bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0])
    whole = read(bus, 128, 128)
    for length in range(1, 129):
        assert read(bus, 128, length) == whole[:length]


@pytest.mark.rule("I2C-05")
def test_a_strict_module_stops_driving_after_eight_bytes(variant: Variant) -> None:
    emu = variant(behaviour(read_limit=8))
    bus = emu.smbus(1)
    assert read(bus, 0, 8)[:2] == b"\x18\x52"
    bus.write_i2c_block_data(A, 126, [0, 0])
    known = b"".join(read(bus, at, 8) for at in range(129, 145, 8))
    assert read(bus, 129, 16) == known[:8] + b"\xff" * 8
    assert bus.read_byte(A) == known[8]  # the counter stands where the module stopped
    assert read(bus, 129, 200)[8:] == b"\xff" * 192


@pytest.mark.rule("I2C-05", "FLG-04")
def test_a_strict_module_clears_only_what_it_drove(variant: Variant) -> None:
    emu = variant(behaviour(read_limit=8))
    bus = emu.smbus(1)
    read(bus, 0, 16)  # byte 8, ModuleStateChanged, is the ninth
    assert emu.ports["1"].module.peek(-1, 8, 1) == b"\x01"
    read(bus, 1, 8)
    assert emu.ports["1"].module.peek(-1, 8, 1) == b"\x00"


@pytest.mark.rule("I2C-06")
def test_a_ninth_byte_is_refused(bus: VirtualSMBus) -> None:
    masks = [0x01, 0x11, 0x20]
    assert failure(lambda: bus.write_i2c_block_data(A, 26, [0x40, 0, 0, 0, 0, *masks, 0x77])) == errno.EIO
    assert bus.read_i2c_block_data(A, 31, 4) == [*masks, 0x00]  # the excess is dropped
    bus.write_byte(A, 26)
    bus.i2c_rdwr(i2c_msg.write(A, [26, 0x40, 0, 0, 0, 0, 1, 2, 0x10]))
    assert bus.read_byte(A) == 0  # byte 34
    assert bus.read_i2c_block_data(A, 31, 3) == [1, 2, 0x10]


@pytest.mark.rule("I2C-06")
def test_the_write_limit_is_the_profiles(variant: Variant) -> None:
    bus = variant(behaviour(write_limit=32)).smbus(1)
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    bus.write_i2c_block_data(A, 240, list(range(16)))
    assert bus.read_i2c_block_data(A, 240, 16) == list(range(16))


# -- what a write stores ---------------------------------------------------------------------------------


@pytest.mark.rule("I2C-08")
@pytest.mark.parametrize(("page", "register"), [(0, 118), (0, 122), (0x10, 143), (0x10, 144), (0x10, 178)])
def test_write_only_registers_read_0(bus: VirtualSMBus, page: int, register: int) -> None:
    bus.write_i2c_block_data(A, 126, [0, page])
    bus.write_i2c_block_data(A, register, [0xFF] * (4 if page == 0 else 1))
    assert bus.read_i2c_block_data(A, register, 4 if page == 0 else 1) == [0] * (4 if page == 0 else 1)


@pytest.mark.rule("I2C-08", "RST-02")
def test_software_reset_reads_0(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte_data(A, 26, 0x48)
    emu.clock.advance(0.5)
    assert bus.read_byte_data(A, 26) == 0x40


@pytest.mark.rule("I2C-09")
def test_a_completed_write_reads_back_at_once(bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    data = [0x10, 0x12, 0x14, 0x16, 0x18, 0x1A, 0x1C, 0x1E]
    bus.write_i2c_block_data(A, 145, data)
    assert bus.read_i2c_block_data(A, 145, 8) == data
    for index in range(8):
        assert bus.read_i2c_block_data(A, 145 + index, 8 - index) == data[index:]
        assert bus.read_byte_data(A, 145 + index) == data[index]


# -- refusals and waiting ----------------------------------------------------------------------------------


@pytest.mark.rule("I2C-10")
def test_absent_or_in_reset_is_a_nack_of_the_address(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    port.pins.ResetL = False
    emu.clock.advance(0.001)
    for action in (
        lambda: bus.write_quick(A),
        lambda: bus.read_byte(A),
        lambda: bus.write_byte(A, 0),
        lambda: read(bus, 0, 1),
    ):
        assert failure(action) == errno.ENXIO
    port.pins.ResetL = True
    for _ in range(4):
        assert failure(lambda: bus.write_quick(A)) == errno.ENXIO  # MgmtInit takes 0.4 s
        emu.clock.advance(0.09)
    emu.clock.advance(0.05)
    bus.write_quick(A)
    port.remove()
    assert failure(lambda: bus.write_quick(A)) == errno.ENXIO


@pytest.mark.rule("I2C-10")
def test_addressing_alone_changes_nothing(bus: VirtualSMBus) -> None:
    bus.write_byte(A, 99)
    before = bus.read_byte(A), bus.read_byte(A)
    bus.write_byte(A, 99)
    bus.write_quick(A)
    bus.i2c_rdwr(i2c_msg.read(A, 0))
    assert (bus.read_byte(A), bus.read_byte(A)) == before


@pytest.mark.rule("I2C-11")
def test_hold_off_after_a_register_write(variant: Variant) -> None:
    emu = variant(behaviour(write_holdoff_ms=10.0))
    bus = emu.smbus(1)
    bus.write_byte_data(A, 31, 7)
    assert failure(lambda: bus.read_byte_data(A, 31)) == errno.ENXIO
    assert failure(lambda: bus.write_byte_data(A, 31, 1)) == errno.ENXIO
    emu.clock.advance(0.0099)
    assert failure(lambda: bus.write_quick(A)) == errno.ENXIO
    emu.clock.advance(0.0001)
    assert bus.read_byte_data(A, 31) == 7  # I2C-09: once it answers, it tells what was written
    bus.write_byte(A, 3)  # setting the address is no write
    assert bus.read_byte(A) >> 1 == 3


@pytest.mark.rule("I2C-11")
def test_hold_off_after_a_page_change(variant: Variant) -> None:
    emu = variant(behaviour(page_holdoff_ms=2.5))
    bus = emu.smbus(1)
    bus.write_byte_data(A, 31, 7)
    assert bus.read_byte_data(A, 31) == 7
    bus.write_i2c_block_data(A, 126, [0, 1])
    assert failure(lambda: bus.read_byte_data(A, 127)) == errno.ENXIO
    emu.clock.advance(0.0025)
    assert bus.read_byte_data(A, 127) == 1
    bus.write_byte_data(A, 127, 2)
    assert failure(lambda: bus.read_byte_data(A, 127)) == errno.ENXIO


@pytest.mark.rule("I2C-11")
def test_a_reset_ends_a_hold_off(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        behaviour(write_holdoff_ms=10.0)(profile)
        profile["durations_ms"]["MgmtInit"] = 1

    emu = variant(edit)
    bus = emu.smbus(1)
    bus.write_byte_data(A, 31, 7)
    emu.ports["1"].pins.power = False
    emu.ports["1"].pins.power = True
    emu.clock.advance(0.0011)
    assert bus.read_byte_data(A, 31) == 0


@pytest.mark.rule("I2C-12")
def test_a_content_delay_is_stale_data_and_no_error(emu: Emulator, bus: VirtualSMBus) -> None:
    read(bus, 0, 128)
    bus.write_i2c_block_data(A, 126, [0, 0x11])
    read(bus, 128, 128)
    emu.fibres["loop"].cut()
    assert bus.read_byte_data(A, 147) == 0  # ton_flag: too early is answered, with what was
    emu.clock.advance(0.2)
    assert bus.read_byte_data(A, 147) == 0x0F


@pytest.mark.rule("I2C-13")
def test_bus_speed_is_advertised(bus: VirtualSMBus) -> None:
    assert bus.read_byte_data(A, 2) >> 2 & 15 == 1


# -- byte events -----------------------------------------------------------------------------------------


@pytest.mark.rule("I2C-02", "FLG-04")
def test_peek_without_commit_moves_and_clears_nothing(emu: Emulator, target: Target) -> None:
    module = emu.ports["1"].module
    target.write(b"\x08")
    assert target.start(read=True)
    assert [target.peek() for _ in range(5)] == [1] * 5
    assert target.pointer == 8
    assert module.peek(-1, 8, 1) == b"\x01"
    target.end()
    assert module.peek(-1, 8, 1) == b"\x01"
    assert target.start(read=True)
    assert target.peek() == 1
    target.commit()
    assert module.peek(-1, 8, 1) == b"\x00"
    assert target.pointer == 9
    target.end()


@pytest.mark.rule("I2C-02")
def test_repeated_start_completes_a_write(emu: Emulator, target: Target) -> None:
    assert target.start(read=False)
    assert all(target.write_byte(value) for value in (31, 0x05))
    assert emu.ports["1"].module.peek(-1, 31, 1) == b"\x00"
    assert target.start(read=False)
    assert emu.ports["1"].module.peek(-1, 31, 1) == b"\x05"
    assert target.write_byte(31)
    assert target.start(read=True)
    assert target.peek() == 5
    target.end()


def test_events_out_of_turn_are_harmless(target: Target) -> None:
    assert target.peek() == 0xFF
    target.commit()
    assert not target.write_byte(0)
    target.end()
    assert target.start(read=True)
    assert not target.write_byte(0)
    target.end()
    assert target.start(read=False)
    assert target.peek() == 0xFF
    target.commit()
    target.end()
    assert target.pointer == 0


@pytest.mark.parametrize("reading", [True, False])
def test_unplugged_in_mid_transaction(emu: Emulator, target: Target, reading: bool) -> None:
    port = emu.ports["1"]
    target.write(b"\x02")
    assert target.start(read=reading)
    if reading:
        target.commit()
    else:
        assert target.write_byte(31)
        assert target.write_byte(7)
    port.remove()
    assert target.peek() == 0xFF
    target.commit()
    assert not target.write_byte(1)
    target.end()
    assert target.read(1) is None
    port.insert("qsfpdd-400g-dr4")
    emu.settle()
    assert port.module.peek(-1, 31, 1) == b"\x00"
    assert target.read(1) == b"\x18"


@pytest.mark.rule("I2C-03", "RST-01")
@pytest.mark.parametrize("reading", [True, False])
def test_reset_in_mid_transaction(emu: Emulator, target: Target, reading: bool) -> None:
    port = emu.ports["1"]
    target.write(b"\x02")
    assert target.start(read=reading)
    if not reading:
        assert target.write_byte(31)
        assert target.write_byte(7)
    port.pins.power = False
    assert target.peek() == 0xFF
    target.commit()
    assert not target.write_byte(1)
    target.end()
    port.pins.power = True
    emu.settle()
    assert port.module.peek(-1, 31, 1) == b"\x00"
    assert target.pointer == 0


def test_a_word_does_not_tear_on_a_slow_bus(emu: Emulator, target: Target) -> None:
    module = emu.ports["1"].module
    target.write(bytes([14]))
    assert target.start(read=True)
    whole = module.peek(-1, 14, 2)
    found = []
    for _ in range(2):
        found.append(target.peek())
        target.commit()
        module.set("TempMonHighAlarmThreshold", 90)
        emu.ports["1"].module.plant.set_environment(ambient_c=-20.0)
        emu.clock.advance(60)
        assert module.peek(-1, 14, 2) != whole  # a status view looks meanwhile
    target.end()
    assert bytes(found) == whole


@pytest.mark.rule("FLG-04")
def test_a_flag_that_sets_while_its_byte_is_read_is_kept(emu: Emulator, target: Target) -> None:
    module = emu.ports["1"].module
    target.write(b"\x08")
    target.read(1)
    target.write(b"\x08")
    assert target.start(read=True)
    assert target.peek() == 0
    module.set("ModuleFirmwareErrorFlag", 1)
    target.commit()
    target.end()
    assert module.peek(-1, 8, 1) == b"\x02"


@pytest.mark.rule("I2C-06")
def test_excess_bytes_are_refused_one_by_one(target: Target) -> None:
    assert target.start(read=False)
    assert [target.write_byte(value) for value in (26, 0x40, 0, 0, 0, 0, 1, 2, 3, 4, 5)] == [True] * 9 + [False] * 2
    target.end()
    assert target.pointer == 34


@pytest.mark.parametrize("watched", [False, True])
def test_an_aborted_transaction_leaves_nothing(target: Target, watched: bool) -> None:
    """With and without somebody who listens on the line; who listens is told that it failed."""
    told: list[Transaction] = []
    if watched:
        target.taps.append(told.append)
    before = target.device.read(26, 1) if target.device else b""
    assert target.start(read=False)
    assert all(target.write_byte(value) for value in (26, 0x50))
    target.abort()
    target.end()  # the STOP that may come after all
    assert not target.write_byte(0x51)
    assert target.device is not None
    assert target.device.read(26, 1) == before
    assert [str(each) for each in told] == (["write L:26 50 EIO"] if watched else [])
    assert target.write(b"\x00") == 1
    assert target.read(1) == b"\x18"
