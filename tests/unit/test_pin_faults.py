"""Pins that bounce, stick or come late, and modules that come and go, as a host sees them on pins and bus."""

from __future__ import annotations

import errno

import pytest
from fault_bench import arm
from smbus2 import i2c_msg

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus

A = 0x50
DR4 = "qsfpdd-400g-dr4"
FR4 = "qsfpdd-400g-fr4"


def answers(bus: VirtualSMBus) -> bool:
    """Does the module acknowledge? Else it is the NACK of an absent one."""
    try:
        bus.read_byte_data(A, 0)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


def part_number(bus: VirtualSMBus) -> bytes:
    """Vendor part number."""
    bus.write_i2c_block_data(A, 126, [0, 0])
    found = i2c_msg.read(A, 16)
    bus.i2c_rdwr(i2c_msg.write(A, [148]), found)
    return bytes(found)


# -- levels ------------------------------------------------------------------------------------------------


def test_a_pin_is_set_and_put_back(emu: Emulator, bus: VirtualSMBus) -> None:
    pins = emu.ports["1"].pins
    clear = arm(emu, "pin.set", pin="ModSelL", high=True)
    assert not answers(bus)
    clear()
    assert answers(bus)
    clear = arm(emu, "pin.set", pin="LPWn", high=False)
    assert pins.LPMode
    pins.LPMode = False  # the host drives it meanwhile
    clear()
    assert not pins.LPMode


@pytest.mark.parametrize("high", [True, False])
def test_IntL_is_stuck_and_listeners_see_what_a_host_sees(emu: Emulator, bus: VirtualSMBus, high: bool) -> None:
    port = emu.ports["1"]
    for page, register, length in ((0, 8, 6), (0x11, 134, 19)):
        bus.write_i2c_block_data(A, 126, [0, page])
        bus.read_i2c_block_data(A, register, length)
    assert port.pins.IntL
    seen: list[bool] = []
    port.interrupt_listeners.append(seen.append)
    clear = arm(emu, "pin.stuck", pin="IntL", high=high)
    assert (port.pins.IntL, port.pins.INT) == (high, not high)
    assert seen == ([] if high else [True])
    emu.fibres["loop"].cut()
    emu.clock.advance(1.0)
    assert port.pins.IntL is high
    assert seen == ([] if high else [True])
    assert bus.read_byte_data(A, 3) & 1 == 0  # the register tells the module's own mind
    clear()
    assert not port.pins.IntL
    assert seen == [True]


def test_F7_a_glitch_of_the_interrupt_line(emu: Emulator) -> None:
    port = emu.ports["1"]
    seen: list[tuple[bool, int]] = []
    start = emu.clock.now_ns
    level = port.pins.IntL
    port.interrupt_listeners.append(lambda low: seen.append((low, emu.clock.now_ns - start)))
    arm(emu, "pin.bounce", pin="IntL", times=1, away="1 ms")
    emu.clock.advance(1.0)
    assert seen == [(level, 0), (not level, 1_000_000)]


def test_a_stuck_LPMode_holds_the_module_in_low_power(emu: Emulator, bus: VirtualSMBus) -> None:
    pins = emu.ports["1"].pins
    clear = arm(emu, "pin.stuck", pin="LPMode", high=True)
    emu.settle()
    assert bus.read_byte_data(A, 3) >> 1 & 7 == 1
    pins.LPMode = False  # the host may drive as it likes
    emu.settle()
    assert bus.read_byte_data(A, 3) >> 1 & 7 == 1
    assert pins.LPMode
    emu.ports["1"].insert(DR4)
    emu.settle()
    assert bus.read_byte_data(A, 3) >> 1 & 7 == 1
    clear()
    emu.settle()
    assert bus.read_byte_data(A, 3) >> 1 & 7 == 3


@pytest.mark.parametrize(("duration_s", "seen"), [(5e-6, False), (50e-6, True)])
def test_a_glitch_of_ResetL(emu: Emulator, bus: VirtualSMBus, duration_s: float, seen: bool) -> None:
    clear = arm(emu, "pin.stuck", pin="ResetL", high=False)
    emu.clock.advance(duration_s)
    clear()
    assert answers(bus) is not seen


def test_holders_of_a_pin_stack(emu: Emulator) -> None:
    pins = emu.ports["1"].pins
    one = arm(emu, "pin.stuck", pin="ModSelL", high=True)
    two = arm(emu, "pin.stuck", pin="ModSelL", high=False)
    assert not pins.ModSelL
    two()
    assert pins.ModSelL
    two()
    one()
    assert not pins.ModSelL
    assert not pins.forced("ModSelL")


# -- presence and power ------------------------------------------------------------------------------------


def test_F5_presence_bounces_while_the_module_stays(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    seen: list[bool] = []
    port.presence_listeners.append(seen.append)
    clear = arm(emu, "pin.bounce", times=3, away="4 ms", back="6 ms")
    levels = []
    for _ in range(40):
        levels.append(port.pins.ModPrsL)
        assert answers(bus)
        emu.clock.advance(0.001)
    assert levels == ([True] * 4 + [False] * 6) * 3 + [False] * 10
    assert seen == [False, True] * 3
    clear()


def test_F5_at_each_insertion(emu: Emulator) -> None:
    port = emu.ports["1"]
    clear = arm(emu, "pin.bounce", on="insertion", times=2)
    emu.clock.advance(0.1)
    seen: list[bool] = []
    port.presence_listeners.append(seen.append)
    for _ in range(2):
        seen.clear()
        port.remove()
        assert seen == [False]
        port.insert(DR4)
        emu.clock.advance(0.1)
        assert not port.pins.ModPrsL
        assert seen == [False, *[True, False] * 2, True]
    clear()
    seen.clear()
    port.insert(DR4)
    emu.clock.advance(0.1)
    assert seen == [False, True]


def test_a_bounce_that_is_cleared_in_the_middle(emu: Emulator) -> None:
    port = emu.ports["1"]
    clear = arm(emu, "pin.bounce", times=5)
    assert port.pins.ModPrsL
    clear()
    seen: list[bool] = []
    port.presence_listeners.append(seen.append)
    assert not port.pins.ModPrsL
    emu.clock.advance(1.0)
    assert seen == []


def test_F7_power_good_is_lost_for_a_millisecond(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    arm(emu, "pin.power_good", lost="1 ms")
    assert not port.pins.power
    assert not answers(bus)
    emu.clock.advance(0.001)
    assert port.pins.power
    assert not answers(bus)  # the module starts anew
    emu.settle()
    assert answers(bus)
    assert port.module.get("ModuleState") == "ModuleReady"


def test_T6_power_good_comes_late_after_each_insertion(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    clear = arm(emu, "pin.power_good", late="3 s")
    assert answers(bus)  # it has been in for long
    for profile in (FR4, DR4):
        port.insert(profile)
        emu.clock.advance(2.9)
        assert not port.pins.power
        assert not answers(bus)
        emu.clock.advance(1.0)
        assert port.pins.power
        assert answers(bus)
    port.insert(DR4)
    clear()
    assert port.pins.power
    with pytest.raises(InputError, match="one of the two"):
        arm(emu, "pin.power_good")


# -- hot plug ----------------------------------------------------------------------------------------------


def test_F6_T4_a_swap_faster_than_a_poll_of_a_second(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    before = part_number(bus)
    polled, seen = [], []
    port.presence_listeners.append(seen.append)
    for second in range(3):
        polled.append(port.pins.ModPrsL)
        if second == 1:
            emu.clock.advance(0.3)
            arm(emu, "port.swap", profile=FR4, gap="200 ms")
            assert not answers(bus)
            assert port.pins.ModPrsL
            emu.clock.advance(0.7)
        else:
            emu.clock.advance(1.0)
    emu.settle()
    assert polled == [False, False, False]  # a poller sees nothing
    assert seen == [False, True]
    assert part_number(bus) != before
    assert part_number(bus).startswith(b"QDD-400G-FR4")


def test_F6_a_swap_to_another_unit_of_the_same(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte_data(A, 31, 1)
    arm(emu, "port.swap")
    emu.settle()
    emu.clock.advance(1.0)
    assert bus.read_byte_data(A, 31) == 0  # the registers of one that was just plugged in


def test_removed_for_a_while_and_back(emu: Emulator, bus: VirtualSMBus) -> None:
    before = part_number(bus)
    clear = arm(emu, "port.remove")
    assert not answers(bus)
    assert emu.ports["1"].pins.ModPrsL
    clear()
    emu.settle()
    assert part_number(bus) == before
    clear = arm(emu, "port.remove")
    arm(emu, "port.insert", profile=FR4)
    emu.settle()
    clear()  # something else is there
    assert part_number(bus).startswith(b"QDD-400G-FR4")


def test_a_swap_of_nothing_wants_a_profile(emu: Emulator) -> None:
    emu.ports["1"].remove()
    with pytest.raises(InputError, match="empty cage"):
        arm(emu, "port.swap")
    arm(emu, "port.swap", profile=DR4)
    emu.clock.advance(0.2)
    assert emu.ports["1"].occupant is not None


def test_a_profile_that_is_not_there_is_refused_at_once(emu: Emulator) -> None:
    with pytest.raises(InputError):
        arm(emu, "port.swap", profile="qsfpdd-400g-dr5")
    assert emu.ports["1"].occupant is not None


# -- with snapshots ----------------------------------------------------------------------------------------


def test_what_is_armed_is_not_taken_back_by_a_snapshot() -> None:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        bus = emu.smbus(1)
        kept = emu.snapshot()
        clear = arm(emu, "mem.override", place="L:0", value="80")
        stuck = arm(emu, "page.stuck")
        emu.restore(kept)
        assert bus.read_byte_data(A, 0) == 0x80
        bus.write_byte_data(A, 127, 1)
        assert bus.read_byte_data(A, 127) == 0
        armed = emu.snapshot()
        clear()
        stuck()
        emu.restore(armed)
        assert bus.read_byte_data(A, 0) == 0x18
        bus.write_byte_data(A, 127, 1)
        assert bus.read_byte_data(A, 127) == 1
