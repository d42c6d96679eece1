"""Page selects that go wrong, as a host on the bus meets them."""

from __future__ import annotations

import errno

import pytest
from fault_bench import arm

from cmis_emu import Emulator, InputError
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.occasions import Occasions

A = 0x50


def select(bus: VirtualSMBus, page: int, bank: int = 0) -> list[int]:
    """Select as a host does; the two select bytes as read back."""
    bus.write_i2c_block_data(A, 126, [bank, page])
    return bus.read_i2c_block_data(A, 126, 2)


def upper(bus: VirtualSMBus, length: int = 6) -> bytes:
    """The first bytes of the upper half."""
    return bytes(bus.read_i2c_block_data(A, 128, length))


def pages(bus: VirtualSMBus, *numbers: int) -> dict[int, bytes]:
    """What the pages begin with."""
    found = {}
    for number in numbers:
        assert select(bus, number) == [0, number]
        found[number] = upper(bus)
    assert len(set(found.values())) == len(numbers)
    select(bus, 0)
    return found


def test_a_stuck_select_is_acknowledged_and_lost(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1, 2)
    select(bus, 1)
    clear = arm(emu, "page.stuck")
    assert select(bus, 2) == [0, 1]
    assert upper(bus) == right[1]
    bus.write_byte_data(A, 127, 0)
    assert upper(bus) == right[1]
    clear()
    assert upper(bus) == right[1]
    assert select(bus, 2) == [0, 2]
    assert upper(bus) == right[2]


def test_only_a_page_and_only_sometimes(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "page.stuck", Occasions(count=2, skip=1), page="2h")
    assert [select(bus, page) for page in (2, 1, 2, 1, 2, 2)] == [[0, 2], [0, 1], [0, 1], [0, 1], [0, 1], [0, 2]]


def test_a_stuck_bank_stays_too(emu: Emulator, bus: VirtualSMBus) -> None:
    emu.ports["1"].insert("osfpxd-1600g-2xdr8")
    emu.settle()
    arm(emu, "page.stuck", page="11h/1")
    assert select(bus, 0x11) == [0, 0x11]
    assert select(bus, 0x11, 1) == [0, 0x11]
    assert select(bus, 0x10, 1) == [1, 0x10]


def test_B10_copies_of_page_00h_for_every_page(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1, 2, 0x11)
    clear = arm(emu, "page.ignored")
    for number in (1, 2, 0x11):
        assert select(bus, number) == [0, number]  # nothing tells that it is the wrong one
        assert upper(bus) == right[0]
    clear()
    assert bus.read_byte_data(A, 127) == 0x11
    assert upper(bus) == right[0x11]  # and from now on the select bytes tell the truth again


def test_another_page_or_the_old_one_is_served(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1, 2)
    clear = arm(emu, "page.ignored", page="1h", serves="2h")
    select(bus, 1)
    assert upper(bus) == right[2]
    clear()
    clear = arm(emu, "page.ignored", page="1h", keeps=True)
    select(bus, 0)
    assert select(bus, 1) == [0, 1]
    assert upper(bus) == right[0]
    clear()
    assert upper(bus) == right[1]
    with pytest.raises(InputError, match="upper half"):
        arm(emu, "page.ignored", serves="L")


def test_a_slow_page_shows_the_old_one_for_a_while(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1, 2)
    clear = arm(emu, "page.slow", time="20 ms")
    assert select(bus, 1) == [0, 1]
    assert upper(bus) == right[0]
    emu.clock.advance(0.019)
    assert upper(bus) == right[0]
    emu.clock.advance(0.001)
    assert upper(bus) == right[1]
    select(bus, 2)
    emu.clock.advance(0.01)
    select(bus, 0)  # overtakes
    emu.clock.advance(0.015)
    assert upper(bus) == right[1]
    emu.clock.advance(0.005)
    assert upper(bus) == right[0]
    select(bus, 2)
    clear()
    assert upper(bus) == right[2]
    emu.clock.advance(0.1)
    assert upper(bus) == right[2]


def test_B10_a_page_that_the_module_lacks_takes_seconds(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "page.slow", time="3 s", unsupported=True, meanwhile="refused")
    assert select(bus, 0x11) == [0, 0x11]
    bus.write_i2c_block_data(A, 126, [0, 0x12])
    for _ in range(3):
        with pytest.raises(OSError, match=r".*") as caught:
            bus.read_byte_data(A, 0)
        assert caught.value.errno == errno.ENXIO
        emu.clock.advance(0.99)
    emu.clock.advance(0.1)
    assert bus.read_i2c_block_data(A, 126, 2) == [0, 0]


def test_a_reset_maps_page_00h_for_good(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1)
    arm(emu, "page.slow", time="2 s")
    select(bus, 1)
    bus.write_byte_data(A, 26, 0x48)
    emu.clock.advance(5.0)
    assert bus.read_byte_data(A, 127) == 0
    assert upper(bus) == right[0]


def test_a_flat_module_selects_nothing(emu: Emulator, bus: VirtualSMBus) -> None:
    emu.ports["1"].insert("qsfpdd-400g-dac")
    emu.settle()
    clear = arm(emu, "page.ignored", serves="1h")
    assert select(bus, 1) == [0, 0]
    assert upper(bus)[0] == 0x18
    clear()
    assert upper(bus)[0] == 0x18


def test_kept_over_a_replug_and_armed_before_one(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    port.remove()
    clear = arm(emu, "page.stuck")
    for _ in range(2):
        port.insert("qsfpdd-400g-dr4")
        emu.settle()
        assert select(bus, 1) == [0, 0]
    port.remove()
    clear()
    port.insert("qsfpdd-400g-dr4")
    emu.settle()
    assert select(bus, 1) == [0, 1]


def test_page_faults_compose(emu: Emulator, bus: VirtualSMBus) -> None:
    right = pages(bus, 0, 1, 2)
    clears = [
        arm(emu, "page.stuck", Occasions(every=3)),
        arm(emu, "page.ignored", page="2h", serves="1h"),
        arm(emu, "page.slow", page="1h", time="5 ms"),
    ]
    assert select(bus, 2) == [0, 0]
    assert select(bus, 2) == [0, 2]
    assert upper(bus) == right[1]
    assert select(bus, 0) == [0, 0]
    assert select(bus, 1) == [0, 0]
    assert select(bus, 1) == [0, 1]
    assert upper(bus) == right[0]
    emu.clock.advance(0.005)
    assert upper(bus) == right[1]
    for clear in clears:
        clear()
    assert pages(bus, 0, 1, 2) == right
