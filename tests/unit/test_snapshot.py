"""Snapshot and restore: the same future, from any instant, as often as wanted, with every handle still good."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from smbus2 import i2c_msg

from cmis_emu import CmisEmuError, Emulator, ManualClock, ScaledClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.target import Target
from cmis_emu.module import dpsm, msm

A = 0x50
DR4 = "qsfpdd-400g-dr4"
PAIR = {
    "version": 1,
    "ports": {"a": {"profile": DR4, "bus": 1}, "b": {"profile": DR4, "bus": 2}, "c": {"bus": 3}},
    "fibres": {"a-b": {"from": "a", "to": "b", "length_m": 100}},
}


@pytest.fixture
def pair() -> Iterator[Emulator]:
    with Emulator.load(PAIR, clock=ManualClock(), seed=5) as emulator:
        emulator.settle()
        yield emulator


def read(bus: VirtualSMBus, register: int, length: int) -> bytes:
    """Random read; empty for a NACK."""
    found = i2c_msg.read(A, length)
    try:
        bus.i2c_rdwr(i2c_msg.write(A, [register]), found)
    except OSError:
        return b""
    return bytes(found)


def future(emu: Emulator, steps: int = 40, step_s: float = 0.0731) -> list[Any]:
    """What hosts see in the next seconds, with some of their own doing in between."""
    found: list[Any] = []
    for step in range(steps):
        for number in emu.buses:
            bus = emu.smbus(number)
            found.append(read(bus, 0, 32))
            try:
                bus.write_i2c_block_data(A, 126, [0, 0x11 if step % 2 else 0x10])
                if step == 7:
                    bus.write_byte_data(A, 127, 0x10)
                    bus.write_byte_data(A, 130, 0x02)
                if step == 15:
                    bus.write_byte_data(A, 127, 0x10)
                    bus.write_i2c_block_data(A, 145, [0x21, 0x21, 0x25, 0x25])
                    bus.write_byte_data(A, 143, 0xFF)
            except OSError as error:
                found.append(error.errno)
            found.append(read(bus, 128, 128))
        found.append([port.pins.levels() for port in emu.ports.values()])
        emu.clock.advance(step_s)
    found.append(emu.clock.now_ns)
    return found


def test_restore_goes_back_to_the_same_bytes(emu: Emulator, bus: VirtualSMBus) -> None:
    now = emu.clock.now_ns
    kept = emu.snapshot()
    contents = emu.ports["1"].module.memory.contents()
    bus.write_byte_data(A, 31, 7)
    bus.read_i2c_block_data(A, 0, 32)
    emu.clock.advance(100)
    emu.restore(kept)
    assert emu.clock.now_ns == now
    assert emu.ports["1"].module.memory.contents() == contents


@pytest.mark.parametrize("start_s", [0.0, 0.2, 0.4, 1.0, 1.95, 2.6, 3.55, 3.7, 3.9, 5.0])
def test_same_future_from_any_instant_of_the_bring_up(start_s: float) -> None:
    with Emulator.load(PAIR, clock=ManualClock(), seed=5) as emu:
        emu.clock.advance(start_s)
        kept = emu.snapshot()
        first = future(emu)
        emu.restore(kept)
        assert future(emu) == first
        emu.restore(kept)  # two restores of one snapshot agree, and nothing done since leaks into it
        assert future(emu) == first


def test_taking_a_snapshot_changes_nothing() -> None:
    found = []
    for takes in (False, True):
        with Emulator.load(PAIR, clock=ManualClock(), seed=5) as emu:
            emu.clock.advance(1.0)
            if takes:
                emu.snapshot()
            found.append(future(emu))
    assert found[0] == found[1]


def test_a_configuration_under_way(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    bus.write_byte_data(A, 128, 0xFF)
    emu.settle()
    bus.write_i2c_block_data(A, 145, [0x20, 0x20, 0x24, 0x24, 0x28, 0x28, 0x2C, 0x2C])
    bus.write_byte_data(A, 143, 0xFF)
    emu.clock.advance(0.02)
    bus.write_byte_data(A, 127, 0x11)
    assert read(bus, 202, 4) == b"\xcc" * 4
    kept = emu.snapshot()
    for _ in range(2):
        emu.clock.advance(0.019)
        assert read(bus, 202, 4) == b"\xcc" * 4
        emu.clock.advance(0.002)
        assert read(bus, 202, 4) == b"\x11" * 4
        assert read(bus, 206, 8) == bytes([0x20, 0x20, 0x24, 0x24, 0x28, 0x28, 0x2C, 0x2C])
        bus.write_byte_data(A, 127, 0x10)
        bus.write_byte_data(A, 128, 0)
        emu.settle()
        bus.write_byte_data(A, 127, 0x11)
        assert read(bus, 128, 4) == b"\x44" * 4
        emu.restore(kept)


def test_hold_off_and_pointer_and_open_transaction(emu: Emulator, bus: VirtualSMBus) -> None:
    target = emu.ports["1"].target
    bus.write_byte(A, 5)
    assert target.start(read=False)
    assert target.write_byte(31)
    assert target.write_byte(7)
    kept = emu.snapshot()
    target.end()
    assert bus.read_byte_data(A, 31) == 7
    for _ in range(2):
        emu.restore(kept)
        assert emu.ports["1"].module.peek(-1, 31, 1) == b"\x00"
        assert target.write_byte(0x10)
        target.end()
        assert bus.read_i2c_block_data(A, 31, 2) == [7, 0x10]
    emu.restore(kept)
    target.end()
    assert target.start(read=True)
    middle = emu.snapshot()
    first = clock_out(target, 4)
    emu.restore(middle)
    assert clock_out(target, 4) == first


def clock_out(target: Target, length: int) -> list[int]:
    """Peek and commit `length` bytes of an open read."""
    found = []
    for _ in range(length):
        found.append(target.peek())
        target.commit()
    return found


def test_handles_stay_valid(pair: Emulator) -> None:
    port, pins, fibre, bus = pair.ports["a"], pair.ports["a"].pins, pair.fibres["a-b"], pair.smbus(1)
    kept = pair.snapshot()
    port.remove()
    fibre.loss_db = 20.0
    pins.LPMode = True
    pair.clock.advance(1.0)
    pair.restore(kept)
    assert pair.ports["a"] is port
    assert pair.fibres["a-b"] is fibre
    assert bus.read_byte_data(A, 0) == 0x18
    assert fibre.loss_db == pytest.approx(0.735, abs=1e-3)  # 100 m between two MPO
    assert not pins.LPMode
    assert not pins.ModPrsL
    # and they act on what is there now
    assert port.module.get("OpticalPowerRx", lane=1) > 1e-4
    fibre.cut()
    pair.clock.advance(0.3)
    assert port.module.get("OpticalPowerRx", lane=1) == 0.0
    assert pair.ports["b"].module.get("LOSFlagRx", lane=1) == 1
    assert not pins.IntL
    fibre.restore()
    pins.LPMode = True
    pair.clock.advance(1.0)
    assert bus.read_byte_data(A, 3) >> 1 == 1
    pins.ResetL = False
    pair.clock.advance(0.001)
    with pytest.raises(OSError, match=r"\[Errno 6\]"):
        bus.read_byte(A)


def test_a_cut_fibre_stays_cut(pair: Emulator) -> None:
    fibre = pair.fibres["a-b"]
    fibre.cut()
    pair.clock.advance(1.0)
    kept = pair.snapshot()
    fibre.restore()
    pair.clock.advance(1.0)
    assert pair.ports["a"].module.get("OpticalPowerRx", lane=1) > 0
    pair.restore(kept)
    assert fibre.is_cut
    assert pair.ports["a"].module.get("OpticalPowerRx", lane=1) == 0.0
    fibre.restore()
    pair.clock.advance(1.0)
    assert pair.ports["a"].module.get("OpticalPowerRx", lane=1) > 0


def test_hot_plug_on_both_sides_of_a_snapshot(pair: Emulator) -> None:
    pair.ports["b"].remove()
    pair.clock.advance(1.0)
    kept = pair.snapshot()
    first = future(pair)
    pair.restore(kept)
    pair.ports["b"].insert(DR4)
    pair.ports["c"].insert(DR4)
    pair.settle()
    pair.restore(kept)
    assert pair.ports["b"].occupant is None
    assert pair.ports["c"].occupant is None
    assert pair.ports["b"].pins.ModPrsL
    assert future(pair) == first
    pair.ports["b"].insert(DR4)  # the fibre joins it with the restored one
    pair.settle()
    pair.clock.advance(1.0)
    assert pair.ports["b"].module.get("OpticalPowerRx", lane=1) > 1e-4


def test_the_replaced_module_is_dead(pair: Emulator) -> None:
    kept = pair.snapshot()
    old = pair.ports["a"].module
    pair.restore(kept)
    before = old.memory.contents()
    pair.ports["a"].pins.LPMode = True
    pair.fibres["a-b"].cut()
    pair.clock.advance(10.0)
    assert old.memory.contents() == before
    assert pair.ports["a"].module is not old


def test_interrupt_listeners_hear_of_a_change(emu: Emulator, bus: VirtualSMBus) -> None:
    heard: list[bool] = []
    emu.ports["1"].interrupt_listeners.append(heard.append)
    assert not emu.ports["1"].pins.IntL
    kept = emu.snapshot()
    bus.read_i2c_block_data(A, 8, 6)
    bus.write_i2c_block_data(A, 126, [0, 0x11])
    bus.read_i2c_block_data(A, 134, 20)
    assert heard == [False]
    emu.restore(kept)
    assert heard == [False, True]
    assert not emu.ports["1"].pins.IntL
    emu.restore(kept)
    assert heard == [False, True]
    bus.read_i2c_block_data(A, 8, 6)
    bus.write_i2c_block_data(A, 126, [0, 0x11])
    bus.read_i2c_block_data(A, 134, 20)
    assert heard == [False, True, False]


def test_pins_and_host_signal(emu: Emulator) -> None:
    port = emu.ports["1"]
    port.pins.ModSelL = True
    port.set_host_signal(3, False)
    emu.clock.advance(1.0)
    kept = emu.snapshot()
    port.pins.ModSelL = False
    port.set_host_signal(3, True)
    emu.restore(kept)
    assert port.pins.ModSelL
    with pytest.raises(OSError, match=r"\[Errno 6\]"):
        emu.smbus(1).read_byte(A)
    assert port.module.banks[0].signals.host_signal == 0xFB


def test_immutable_data_is_shared_and_the_rest_is_not(emu: Emulator) -> None:
    old = emu.ports["1"].module
    emu.restore(emu.snapshot())
    new = emu.ports["1"].module
    assert new is not old
    assert new.profile is old.profile
    assert new.memory.regmap is old.memory.regmap
    assert new.memory.compiled is old.memory.compiled
    assert new.memory.image is old.memory.image
    assert new.plant.parameters is old.plant.parameters
    assert new.clock is old.clock is emu.clock
    for key, page in new.memory.pages.items():
        assert page.compiled is old.memory.pages[key].compiled
        assert page.data is not old.memory.pages[key].data
    state = new.memory.cell("ModuleState")
    assert state.data is new._state.data
    assert new._state.page is new.memory.lower
    assert new._state.field is old._state.field


def test_snapshots_of_others_are_refused(emu: Emulator) -> None:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as other:
        kept = other.snapshot()
        with pytest.raises(CmisEmuError, match="found a snapshot of another emulator, expected one of this emulator"):
            emu.restore(kept)
    with pytest.raises(CmisEmuError, match="found a closed emulator"):
        other.restore(kept)


def test_real_time_has_no_snapshots() -> None:
    with Emulator.load(DR4, clock=ScaledClock()) as emu, pytest.raises(CmisEmuError, match="expected a ManualClock"):
        emu.snapshot()


def test_a_module_fault_survives(emu: Emulator) -> None:
    emu.ports["1"].module.fault(6)
    kept = emu.snapshot()
    emu.ports["1"].pins.power = False
    emu.ports["1"].pins.power = True
    emu.settle()
    emu.restore(kept)
    bus = emu.smbus(1)
    assert bus.read_byte_data(A, 3) >> 1 == 5
    emu.clock.advance(10)
    assert bus.read_byte_data(A, 3) >> 1 == 5
    assert bus.read_byte_data(A, 41) == 6


def test_dropped_snapshots_leave_nothing_behind(emu: Emulator) -> None:
    before = len(msm._MACHINE.models), len(dpsm._MACHINE.models)
    for _ in range(5):
        emu.restore(emu.snapshot())
    gc.collect()
    assert (len(msm._MACHINE.models), len(dpsm._MACHINE.models)) == before
