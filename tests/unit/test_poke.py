"""Raw bytes by the back door: what each kind of byte makes of them, and ports that are added while it runs."""

from __future__ import annotations

import pytest
from i2c_host import A, read

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.module.module import Module
from cmis_emu.registers.field import LOWER


@pytest.fixture
def module(emu: Emulator) -> Module:
    return emu.ports["1"].module


def test_a_static_byte_is_the_products_from_now_on(emu: Emulator, bus: VirtualSMBus, module: Module) -> None:
    module.poke(0, 148, b"PN-1".ljust(16))
    assert module.get("VendorPN") == "PN-1"
    page = read(bus, 128, 128)
    assert page[94] == sum(page[:94]) & 0xFF
    bus.write_byte_data(A, 26, 0x08)
    emu.settle()
    assert module.get("VendorPN") == "PN-1"


def test_a_checksum_that_is_given_is_meant(bus: VirtualSMBus, module: Module) -> None:
    module.poke(0, 200, b"\x20" * 22 + b"\xee")
    assert read(bus, 222, 1) == b"\xee"


def test_a_reading_holds_until_it_is_given_anew(emu: Emulator, bus: VirtualSMBus, module: Module) -> None:
    before = read(bus, 16, 2)
    for value in (b"\x50\x00", b"\x4f\x80"):
        module.poke(LOWER, 14, value)
        emu.clock.advance(5)
        assert read(bus, 14, 2) == value
    assert read(bus, 16, 2) != b"\0\0"
    assert abs(int.from_bytes(read(bus, 16, 2), "big") - int.from_bytes(before, "big")) < 100  # its neighbour lives
    assert len(module.memory.lower.overlay.overrides) == 1  # type: ignore[union-attr]
    module.memory.forget_faults()
    assert read(bus, 14, 2) != b"\x4f\x80"


def test_a_flag_interrupts_and_clears(emu: Emulator, bus: VirtualSMBus, module: Module) -> None:
    read(bus, 0, 16)
    bus.write_i2c_block_data(A, 126, [0, 0x11])
    read(bus, 128, 128)
    assert emu.ports["1"].pins.IntL
    module.poke(0x11, 147, b"\x01")  # LOSFlagRx1
    assert not emu.ports["1"].pins.IntL
    assert read(bus, 147, 1) == b"\x01"
    assert read(bus, 147, 1) == b"\0"
    assert emu.ports["1"].pins.IntL


def test_what_a_host_writes_is_the_hosts(bus: VirtualSMBus, module: Module) -> None:
    bus.write_byte_data(A, 26, 0x40)
    module.poke(LOWER, 26, b"\x10")
    assert not module.get("LowPwrRequestSW")
    assert module.get("LowPwrAllowRequestHW")


def test_a_state_holds_until_the_module_moves(emu: Emulator, bus: VirtualSMBus, module: Module) -> None:
    state = read(bus, 3, 1)
    module.poke(LOWER, 3, b"\x0b")
    assert read(bus, 3, 1)[0] & 0x0E == 0x0A
    emu.ports["1"].pins.LPMode = True
    emu.settle()
    emu.ports["1"].pins.LPMode = False
    emu.settle()
    assert read(bus, 3, 1)[0] & 0x0E == state[0] & 0x0E


@pytest.mark.parametrize(("page", "offset"), [(0x70, 128), (0, 127), (LOWER, 128), (0x11, 250)])
def test_bytes_that_are_not_there(module: Module, page: int, offset: int) -> None:
    with pytest.raises(InputError):
        module.poke(page, offset, bytes(10))
    assert module.get("VendorName") == "CMIS-EMU"


def test_a_port_is_added(emu: Emulator) -> None:
    first = emu.add_port("5")
    second = emu.add_port("spare")
    assert sorted(emu.buses) == [1, 5, 6]
    assert (emu.bus_of("5").number, emu.bus_of("spare").number) == (5, 6)
    first.insert("qsfpdd-400g-dr4")
    second.insert("qsfpdd-400g-dr4")
    emu.settle()
    assert emu.smbus(6).read_byte_data(A, 0) == 0x18
    assert first.module.get("OpticalPowerRx", lane=1) != second.module.get("OpticalPowerRx", lane=1)
    with pytest.raises(InputError, match="a name that no port has"):
        emu.add_port("spare")


def test_an_added_port_is_as_one_of_the_testbed() -> None:
    testbed = {"version": 1, "ports": {n: {"profile": "qsfpdd-400g-dr4", "bus": int(n)} for n in ("1", "2")}}
    with (
        Emulator.load(testbed, clock=ManualClock(), seed=7) as whole,
        Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=7) as grown,
    ):
        grown.add_port("2").insert("qsfpdd-400g-dr4")
        for emulator in (whole, grown):
            emulator.settle()
        assert whole.ports["2"].module.get("LaserBiasTx") == grown.ports["2"].module.get("LaserBiasTx")
