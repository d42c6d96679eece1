"""`VirtualSMBus`: the methods, arguments and errors of `smbus2.SMBus` on an in-process bus.

A program written for smbus2 runs on it unchanged, `i2c_rdwr` with `smbus2.i2c_msg` included. Errors are
the `OSError`s that a kernel adapter gives; wrong arguments raise what smbus2 raises.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

from cmis_emu.bus import virtual
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.virtual import I2C_M_RD, Message, VirtualBus


class I2cMessage(Protocol):
    """The part of `smbus2.i2c_msg` that a transfer uses."""

    addr: int
    flags: int
    len: int
    buf: Any


class VirtualSMBus:
    """One open handle on a virtual bus, with the interface of `smbus2.SMBus`.

    Every call holds the emulator's lock, so threads may share a bus. `force` is accepted and ignored: no
    driver ever owns an address here.
    """

    def __init__(self, bus: VirtualBus, lock: threading.RLock) -> None:
        self._bus: VirtualBus | None = bus
        self._adapter = bus
        self._lock = lock
        self.bus_number = bus.number
        self.pec = 0
        self.force = False
        self.funcs = 0x0EFF0009

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, bus: int | str) -> None:
        """Open the handle again after `close`, with the number or the device file of its own bus."""
        if not isinstance(bus, (int, str)):
            raise TypeError(f"Unexpected type(bus)={type(bus)}")
        if bus not in (self.bus_number, f"/dev/i2c-{self.bus_number}"):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(bus))
        self._bus = self._adapter

    def close(self) -> None:
        """Give the handle back; later calls fail with EBADF."""
        self._bus = None
        self.pec = 0

    def enable_pec(self, enable: bool = True) -> None:
        """Append and check SMBus packet error codes (CMIS modules have none)."""
        self.pec = int(enable)

    def _smbus(self, address: int, read: int, command: int, size: int, data: bytes = b"") -> bytes:
        bus = self._bus
        if bus is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flags = virtual.CLIENT_PEC if self.pec else 0
        try:
            with self._lock:
                return bus.smbus(address, read, command, size, data, flags)
        except BusError as error:
            raise OSError(error.errno, os.strerror(error.errno)) from None

    def write_quick(self, i2c_addr: int, force: bool | None = None) -> None:
        """Address the target without data."""
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, 0, virtual.QUICK)

    def read_byte(self, i2c_addr: int, force: bool | None = None) -> int:
        """Current-address read of one byte."""
        return self._smbus(i2c_addr, virtual.SMBUS_READ, 0, virtual.BYTE)[0]

    def write_byte(self, i2c_addr: int, value: int, force: bool | None = None) -> None:
        """Write one byte: for a CMIS module, set the byte address."""
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, value & 0xFF, virtual.BYTE)

    def read_byte_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Random read of one byte."""
        bus = self._bus
        if bus is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.pec or bus.claims is not None or not 0 <= register <= 255:
            return self._smbus(i2c_addr, virtual.SMBUS_READ, register & 0xFF, virtual.BYTE_DATA)[0]
        try:
            with self._lock:  # the commonest call of all, without the detour through message objects
                target = bus.targets.get(i2c_addr)
                if target is not None and target.write(bytes((register,))) is not None:
                    data = target.read(1)
                    if data is not None:
                        return data[0]
        except BusError as error:
            raise OSError(error.errno, os.strerror(error.errno)) from None
        number = errno.ENXIO if 0 <= i2c_addr <= virtual.ADDRESS_MAX else errno.EINVAL
        raise OSError(number, os.strerror(number))

    def write_byte_data(self, i2c_addr: int, register: int, value: int, force: bool | None = None) -> None:
        """Write one register byte."""
        data = bytes([value & 0xFF])
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.BYTE_DATA, data)

    def read_word_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Two bytes, little-endian as SMBus words are."""
        data = self._smbus(i2c_addr, virtual.SMBUS_READ, register & 0xFF, virtual.WORD_DATA)
        return int.from_bytes(data[:2], "little")

    def write_word_data(self, i2c_addr: int, register: int, value: int, force: bool | None = None) -> None:
        """Write two bytes, little-endian."""
        data = (value & 0xFFFF).to_bytes(2, "little")
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.WORD_DATA, data)

    def process_call(self, i2c_addr: int, register: int, value: int, force: bool | None = None) -> int:
        """Write a word and read one back in the same transfer."""
        data = (value & 0xFFFF).to_bytes(2, "little")
        found = self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.PROC_CALL, data)
        return int.from_bytes(found[:2], "little")

    def read_block_data(self, i2c_addr: int, register: int, force: bool | None = None) -> list[int]:
        """SMBus block read. The adapter does not offer it (as i2c-tiny-usb): OSError(EOPNOTSUPP)."""
        found = self._smbus(i2c_addr, virtual.SMBUS_READ, register & 0xFF, virtual.BLOCK_DATA, b"\0")
        return list(found[1 : 1 + found[0]])

    def write_block_data(self, i2c_addr: int, register: int, data: Sequence[int], force: bool | None = None) -> None:
        """SMBus block write: a count byte, then the data."""
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.BLOCK_DATA, _block(data))

    def block_process_call(
        self, i2c_addr: int, register: int, data: Sequence[int], force: bool | None = None
    ) -> list[int]:
        """Not offered by this adapter: OSError(EOPNOTSUPP)."""
        found = self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.BLOCK_PROC_CALL, _block(data))
        return list(found[1 : 1 + found[0]])

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int, force: bool | None = None) -> list[int]:
        """`length` bytes from `register` on, at most 32."""
        if length > virtual.SMBUS_BLOCK_MAX:
            raise ValueError(f"Desired block length over {virtual.SMBUS_BLOCK_MAX} bytes")
        data = bytes([length & 0xFF])
        found = self._smbus(i2c_addr, virtual.SMBUS_READ, register & 0xFF, virtual.I2C_BLOCK_DATA, data)
        return list(found[1 : 1 + found[0]])

    def write_i2c_block_data(
        self, i2c_addr: int, register: int, data: Sequence[int], force: bool | None = None
    ) -> None:
        """Up to 32 bytes to `register` and on."""
        self._smbus(i2c_addr, virtual.SMBUS_WRITE, register & 0xFF, virtual.I2C_BLOCK_DATA, _block(data))

    def i2c_rdwr(self, *i2c_msgs: I2cMessage) -> None:
        """One combined transfer of `smbus2.i2c_msg` messages; read messages are filled in place."""
        bus = self._bus
        if bus is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        messages = [_message(m) for m in i2c_msgs]
        if not 1 <= len(messages) <= 42 or any(m.len > 8192 for m in i2c_msgs):  # i2c-dev's own limits
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        try:
            with self._lock:
                results = bus.transfer(messages)
        except BusError as error:
            raise OSError(error.errno, os.strerror(error.errno)) from None
        reads: Iterable[I2cMessage] = (m for m in i2c_msgs if m.flags & I2C_M_RD)
        for message, data in zip(reads, results, strict=True):
            ctypes.memmove(message.buf, data, len(data))


def _message(message: I2cMessage) -> Message:
    if message.flags & I2C_M_RD:
        return Message(message.addr, message.flags, length=message.len)
    return Message(message.addr, message.flags, ctypes.string_at(message.buf, message.len))


def _block(data: Sequence[int]) -> bytes:
    if len(data) > virtual.SMBUS_BLOCK_MAX:
        raise ValueError(f"Data length cannot exceed {virtual.SMBUS_BLOCK_MAX} bytes")
    return bytes([len(data), *(value & 0xFF for value in data)])
