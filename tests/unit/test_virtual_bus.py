"""The in-process bus is an `smbus2.SMBus`: the same methods, arguments and errors, on emulated modules."""

from __future__ import annotations

import errno
import inspect
import threading
from collections.abc import Callable

import pytest
import smbus2
from smbus2 import i2c_msg

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus

A = 0x50
ABSENT = 0x51


def error_of(action: Callable[[], object]) -> int | None:
    """errno of a failure, or None."""
    try:
        action()
    except OSError as error:
        return error.errno
    return None


PUBLIC = [name for name, _ in inspect.getmembers(smbus2.SMBus, inspect.isfunction) if not name.startswith("_")]


def test_there_are_methods_to_compare() -> None:
    assert {"read_byte", "write_i2c_block_data", "i2c_rdwr", "open", "close", "enable_pec"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_are_those_of_smbus2(name: str) -> None:
    theirs = inspect.signature(getattr(smbus2.SMBus, name))
    ours = inspect.signature(getattr(VirtualSMBus, name))
    assert [(p.name, p.kind, p.default) for p in ours.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


def test_attributes_of_smbus2(bus: VirtualSMBus) -> None:
    assert bus.funcs & smbus2.I2cFunc.I2C
    assert bus.funcs & smbus2.I2cFunc.SMBUS_READ_I2C_BLOCK
    assert not bus.funcs & smbus2.I2cFunc.SMBUS_READ_BLOCK_DATA
    assert bus.pec == 0
    with bus as handle:
        assert handle.read_byte_data(A, 0) == 0x18


def test_every_transaction_kind(bus: VirtualSMBus) -> None:
    bus.write_quick(A)
    bus.write_byte(A, 85)
    assert bus.read_byte(A) == 2
    bus.write_byte_data(A, 31, 0x07)
    assert bus.read_byte_data(A, 31) == 0x07
    bus.write_word_data(A, 31, 0x1102)
    assert bus.read_word_data(A, 31) == 0x1102
    assert bus.read_i2c_block_data(A, 31, 2) == [0x02, 0x11]
    bus.write_i2c_block_data(A, 126, [0, 0])
    assert bytes(bus.read_i2c_block_data(A, 129, 16)) == b"CMIS-EMU        "
    assert bus.process_call(A, 31, 0x1102) == bus.read_word_data(A, 33)  # write, then read on
    bus.write_block_data(A, 29, [0xAA])  # a count byte, then the data
    assert bus.read_i2c_block_data(A, 29, 2) == [0x01, 0xAA]


def test_values_are_cut_as_ctypes_cuts_them(bus: VirtualSMBus) -> None:
    bus.write_byte_data(A, 0x100 + 31, 0x107)
    assert bus.read_byte_data(A, 0x200 + 31) == 0x07
    bus.write_i2c_block_data(A, 31, [0x101, -1])
    assert bus.read_i2c_block_data(A, 31, 2) == [0x01, 0xFF]
    bus.write_word_data(A, 31, 0x11102)
    assert bus.read_word_data(A, 31) == 0x1102


@pytest.mark.rule("I2C-01", "I2C-10")
@pytest.mark.parametrize(
    "action",
    [
        lambda b, a: b.write_quick(a),
        lambda b, a: b.read_byte(a),
        lambda b, a: b.write_byte(a, 0),
        lambda b, a: b.read_byte_data(a, 0),
        lambda b, a: b.write_byte_data(a, 0, 0),
        lambda b, a: b.read_word_data(a, 0),
        lambda b, a: b.write_word_data(a, 0, 0),
        lambda b, a: b.process_call(a, 0, 0),
        lambda b, a: b.write_block_data(a, 0, [1]),
        lambda b, a: b.read_i2c_block_data(a, 0, 4),
        lambda b, a: b.write_i2c_block_data(a, 0, [1]),
        lambda b, a: b.i2c_rdwr(i2c_msg.read(a, 1)),
        lambda b, a: b.i2c_rdwr(i2c_msg.write(a, [0])),
    ],
)
def test_nobody_there_is_enxio(bus: VirtualSMBus, action: Callable[[VirtualSMBus, int], object]) -> None:
    assert error_of(lambda: action(bus, ABSENT)) == errno.ENXIO
    bus.close()
    assert error_of(lambda: action(bus, A)) == errno.EBADF


@pytest.mark.parametrize("address", [0x80, 0x150, -1])
def test_impossible_addresses_are_einval(bus: VirtualSMBus, address: int) -> None:
    for action in (
        lambda: bus.write_quick(address),
        lambda: bus.read_byte_data(address, 0),
        lambda: bus.write_byte(address, 0),
        lambda: bus.write_i2c_block_data(address, 0, [1]),
    ):
        assert error_of(action) == errno.EINVAL


@pytest.mark.rule("I2C-06")
def test_a_refused_data_byte_is_eio(bus: VirtualSMBus) -> None:
    assert error_of(lambda: bus.write_i2c_block_data(A, 29, [1, 2] + [0] * 7)) == errno.EIO
    assert error_of(lambda: bus.i2c_rdwr(i2c_msg.write(A, [29, 1, 2] + [0] * 7))) == errno.EIO
    assert bus.read_i2c_block_data(A, 29, 2) == [1, 2]


def test_blocks_of_more_than_32_bytes_are_refused(bus: VirtualSMBus) -> None:
    for action in (
        lambda: bus.read_i2c_block_data(A, 0, 33),
        lambda: bus.write_i2c_block_data(A, 0, [0] * 33),
        lambda: bus.write_block_data(A, 0, [0] * 33),
        lambda: bus.block_process_call(A, 0, [0] * 33),
    ):
        with pytest.raises(ValueError, match="32 bytes"):
            action()
    assert len(bus.read_i2c_block_data(A, 0, 32)) == 32


def test_blocks_without_data(bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 86, [])  # the address byte alone
    assert bus.read_byte(A) == 0x11
    assert bus.read_i2c_block_data(A, 86, 0) == []
    assert bus.read_byte(A) == 0x11


def test_what_the_adapter_does_not_offer(bus: VirtualSMBus) -> None:
    assert error_of(lambda: bus.read_block_data(A, 0)) == errno.EOPNOTSUPP
    assert error_of(lambda: bus.block_process_call(A, 0, [1])) == errno.EOPNOTSUPP
    ten_bit = i2c_msg.read(A, 1)
    ten_bit.flags |= 0x10
    assert error_of(lambda: bus.i2c_rdwr(ten_bit)) == errno.EOPNOTSUPP


@pytest.mark.rule("I2C-05")
def test_rdwr(bus: VirtualSMBus) -> None:
    bus.write_i2c_block_data(A, 126, [0, 0])
    whole, tail = i2c_msg.read(A, 128), i2c_msg.read(A, 2)
    bus.i2c_rdwr(i2c_msg.write(A, [128]), whole, i2c_msg.write(A, [126, 0, 2]), i2c_msg.write(A, b"\x80"), tail)
    assert bytes(whole)[1:9] == b"CMIS-EMU"
    assert list(tail) == [0x50, 0x00]
    assert len(whole) == 128


def test_limits_of_rdwr(bus: VirtualSMBus) -> None:
    assert error_of(bus.i2c_rdwr) == errno.EINVAL
    assert error_of(lambda: bus.i2c_rdwr(*[i2c_msg.read(A, 1)] * 43)) == errno.EINVAL
    assert error_of(lambda: bus.i2c_rdwr(i2c_msg.read(A, 8193))) == errno.EINVAL
    bus.i2c_rdwr(*[i2c_msg.read(A, 1)] * 42)


def test_a_transfer_stops_at_the_message_that_fails(bus: VirtualSMBus) -> None:
    first, never = i2c_msg.read(A, 1), i2c_msg.write(A, [31, 7])
    assert (
        error_of(lambda: bus.i2c_rdwr(i2c_msg.write(A, [30, 9]), first, i2c_msg.read(ABSENT, 1), never)) == errno.ENXIO
    )
    assert bus.read_byte_data(A, 30) == 9
    assert bus.read_byte_data(A, 31) == 0


def test_pec_is_appended_and_checked(bus: VirtualSMBus) -> None:
    bus.enable_pec()
    assert bus.pec == 1
    assert error_of(lambda: bus.read_byte_data(A, 0)) == errno.EBADMSG  # a CMIS module has no PEC: the next byte comes
    assert bus.read_i2c_block_data(A, 0, 2) == [0x18, 0x52]  # plain I2C blocks have none
    bus.write_byte_data(A, 29, 0x11)  # the code arrives as one more data byte
    bus.enable_pec(False)
    assert bus.read_byte_data(A, 29) == 0x11
    assert bus.read_byte_data(A, 30) == crc8(bytes([A << 1, 29, 0x11]))


def test_a_right_pec_is_accepted(bus: VirtualSMBus) -> None:
    expected = crc8(bytes([A << 1, 29, A << 1 | 1, 0x42]))
    bus.write_i2c_block_data(A, 29, [0x42, expected])
    bus.enable_pec()
    assert bus.read_byte_data(A, 29) == 0x42


def crc8(data: bytes) -> int:
    """The SMBus code by long division, bit by bit."""
    value = int.from_bytes(data, "big") << 8
    for bit in range(8 * len(data) - 1, -1, -1):
        if value >> bit + 8 & 1:
            value ^= 0x107 << bit
    return value


def test_close_and_open_again(bus: VirtualSMBus) -> None:
    bus.enable_pec()
    bus.close()
    bus.close()
    assert error_of(lambda: bus.read_byte(A)) == errno.EBADF
    bus.open("/dev/i2c-1")
    assert bus.read_i2c_block_data(A, 0, 1) == [0x18]
    assert bus.pec == 0
    with pytest.raises(OSError, match=r"\[Errno 2\]"):
        bus.open(2)
    with pytest.raises(TypeError):
        bus.open(1.5)  # type: ignore[arg-type]


def test_a_bus_that_is_not_there(emu: Emulator) -> None:
    with pytest.raises(InputError, match="bus: found bus 7, expected one of the buses 1"):
        emu.smbus(7)


def test_handles_share_a_module_and_outlive_it(emu: Emulator, bus: VirtualSMBus) -> None:
    other = emu.smbus(1)
    bus.write_byte_data(A, 31, 7)
    assert other.read_byte_data(A, 31) == 7
    bus.close()
    assert other.read_byte_data(A, 31) == 7
    emu.ports["1"].remove()
    assert error_of(lambda: other.read_byte_data(A, 0)) == errno.ENXIO
    emu.ports["1"].insert("qsfpdd-400g-dr4")
    emu.settle()
    assert other.read_byte_data(A, 31) == 0
    emu.close()
    assert error_of(lambda: other.read_byte_data(A, 0)) == errno.ENXIO


def test_buses_are_independent() -> None:
    testbed = {
        "version": 1,
        "ports": {
            "a": {"profile": "qsfpdd-400g-dr4", "bus": 3},
            "b": {"profile": "qsfpdd-400g-dr4", "bus": 4},
            "c": {"bus": 9},
        },
    }
    with Emulator.load(testbed, clock=ManualClock()) as emu:
        emu.settle()
        emu.smbus(3).write_byte_data(A, 31, 7)
        assert emu.smbus(4).read_byte_data(A, 31) == 0
        assert error_of(lambda: emu.smbus(9).read_byte_data(A, 0)) == errno.ENXIO


def test_threads_share_a_bus(emu: Emulator, bus: VirtualSMBus) -> None:
    failures: list[BaseException] = []

    def work(register: int) -> None:
        try:
            handle = emu.smbus(1)
            for value in range(200):
                handle.write_byte_data(A, register, value & 0xFF)
                assert handle.read_byte_data(A, register) == value & 0xFF
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(register,)) for register in (29, 30)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        emu.clock.advance(0.05)
        bus.read_i2c_block_data(A, 0, 32)
    for thread in threads:
        thread.join()
    assert failures == []
