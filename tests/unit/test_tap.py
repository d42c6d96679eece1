"""Observers of a target: what they are told of each message, whichever way it came."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from smbus2 import i2c_msg

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.tap import Transaction
from cmis_emu.registers.field import LOWER

A = 0x50


@pytest.fixture
def seen(emu: Emulator) -> Iterator[list[Transaction]]:
    found: list[Transaction] = []
    taps = emu.ports["1"].target.taps
    taps.append(found.append)
    yield found
    taps.clear()


def test_a_random_read_is_two_messages(emu: Emulator, bus: VirtualSMBus, seen: list[Transaction]) -> None:
    now = emu.clock.now_ns
    assert bus.read_byte_data(A, 0) == 0x18
    assert seen == [
        Transaction(now, now, False, LOWER, 0, 0, b""),
        Transaction(now, now, True, LOWER, 0, 0, b"\x18"),
    ]
    assert [str(each) for each in seen] == ["write L:0", "read L:0 18"]


def test_the_page_is_the_one_that_was_mapped_then(bus: VirtualSMBus, seen: list[Transaction]) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    bus.write_byte_data(A, 143, 0)
    bus.write_i2c_block_data(A, 126, [0, 0x11])
    assert [(each.page, each.address, each.data) for each in seen] == [
        (LOWER, 126, b"\x00\x10"),
        (0x10, 143, b"\x00"),
        (LOWER, 126, b"\x00\x11"),
    ]
    assert seen[1].touches(0x10, 143, 143)
    assert not seen[1].touches(0x10, 144, 255)
    assert not seen[1].touches(0x11, 143, 143)
    assert (seen[0].byte_at(127), seen[0].byte_at(125), seen[1].byte_at(15)) == (0x10, None, None)


def test_banks_are_told(tmp_path: object) -> None:
    with Emulator.load("osfpxd-1600g-2xdr8", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        seen: list[Transaction] = []
        emu.ports["1"].target.taps.append(seen.append)
        bus = emu.smbus(1)
        bus.write_i2c_block_data(A, 126, [1, 0x11])
        bus.read_byte_data(A, 128)
    assert (seen[-1].page, seen[-1].bank, seen[-1].address) == (0x11, 1, 128)
    assert str(seen[-1]).startswith("read 11h/1:128 ")


def test_failures_are_told_with_their_errno(emu: Emulator, bus: VirtualSMBus, seen: list[Transaction]) -> None:
    with pytest.raises(OSError, match=r".*"):
        bus.write_i2c_block_data(A, 31, [1, 2, 0x10, 0, 0, 0, 0, 0, 9])  # I2C-06: a ninth byte
    assert (seen[-1].error, seen[-1].data) == (errno.EIO, bytes([1, 2, 0x10, 0, 0, 0, 0, 0]))
    emu.ports["1"].remove()
    with pytest.raises(OSError, match=r".*"):
        bus.write_byte_data(A, 31, 0)
    assert (seen[-1].error, seen[-1].data, seen[-1].read) == (errno.ENXIO, b"", False)
    assert str(seen[-1]).endswith(" ENXIO")


def test_a_long_read_that_comes_round(bus: VirtualSMBus, seen: list[Transaction]) -> None:
    found = i2c_msg.read(A, 300)
    bus.i2c_rdwr(i2c_msg.write(A, [120]), found)
    assert seen[-1].data == bytes(found)
    assert seen[-1].byte_at(0) == bytes(found)[264]
    assert seen[-1].byte_at(127) == bytes(found)[263]


def test_observers_come_and_go(emu: Emulator, bus: VirtualSMBus) -> None:
    target = emu.ports["1"].target
    one: list[Transaction] = []
    two: list[Transaction] = []

    def once(transaction: Transaction) -> None:
        two.append(transaction)
        target.taps.remove(once)

    target.taps.append(one.append)
    target.taps.insert(0, once)
    bus.read_byte(A)
    bus.read_byte(A)
    assert (len(one), len(two)) == (2, 1)
    del target.taps[0]
    bus.read_byte(A)
    assert len(one) == 2
    assert not target.line.in_use


def test_a_tap_stays_while_modules_come_and_go(emu: Emulator, bus: VirtualSMBus, seen: list[Transaction]) -> None:
    emu.ports["1"].insert("osfp-800g-dr8")
    emu.settle()
    bus.read_byte(A)
    assert [(each.read, each.data) for each in seen] == [(True, b"\x19")]
