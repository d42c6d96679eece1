"""A virtual I2C bus: targets by address, messages in, bytes or an errno out.

Owns what an adapter does with messages: repeated START between the messages of one transfer, and the
errno values that Linux adapters give (ENXIO for an address nobody acknowledges, EIO for a data byte that
is not). SMBus commands become messages here, once, for the in-process bus and for every server, as the
kernel does it for an adapter without SMBus hardware.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cmis_emu.bus.claims import Claims
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.segment import Endpoint

I2C_M_RD = 0x0001
I2C_M_TEN = 0x0010
I2C_M_RECV_LEN = 0x0400
I2C_M_NOSTART = 0x4000
I2C_M_STOP = 0x8000
_REFUSED = I2C_M_TEN | I2C_M_RECV_LEN | I2C_M_NOSTART

CLIENT_PEC = 0x04
CLIENT_TEN = 0x10

SMBUS_READ, SMBUS_WRITE = 1, 0
(
    QUICK,
    BYTE,
    BYTE_DATA,
    WORD_DATA,
    PROC_CALL,
    BLOCK_DATA,
    I2C_BLOCK_BROKEN,
    BLOCK_PROC_CALL,
    I2C_BLOCK_DATA,
) = range(9)
SMBUS_BLOCK_MAX = 32
ADDRESS_MAX = 0x7F

SMBUS_DATA_SIZE = 34  # union i2c_smbus_data: count, 32 bytes, PEC


@dataclass(slots=True)
class Message:
    """One I2C message: to write `data`, or to read `length` bytes."""

    address: int
    flags: int = 0
    data: bytes = b""
    length: int = 0


def register_read(address: int, register: int, length: int) -> list[Message]:
    """The messages that set a target's register address and read from there."""
    return [Message(address, 0, bytes([register])), Message(address, I2C_M_RD, length=length)]


@dataclass(slots=True)
class VirtualBus:
    """One I2C adapter. `targets` is who answers a 7-bit address; `claims` are those of hosts that need them.

    own: what sits on the bus itself; None where that is who answers.
    """

    number: int
    targets: dict[int, Endpoint] = field(default_factory=dict)
    claims: Claims | None = None
    own: Mapping[int, Endpoint] | None = None

    def claimed(self, lock: threading.RLock) -> Claims:
        """Its claims, from now on; `lock` is the emulator's, and held."""
        if self.claims is None:
            self.claims = Claims(lock)
        return self.claims

    def sitting(self) -> Mapping[int, Endpoint]:
        """What sits on the bus itself, by address; behind switches, be they on or off, sits something else."""
        return self.targets if self.own is None else self.own

    def transfer(self, messages: Sequence[Message]) -> list[bytes]:
        """Run one combined transfer; returns the data of the read messages in order. Raises BusError."""
        claims = self.claims
        if claims is None:
            return self.run(messages)
        host = object()
        claims.begin(host, new=True)
        try:
            return self.run(messages)
        finally:
            claims.end(host, stop=True)

    def run(self, messages: Sequence[Message]) -> list[bytes]:
        """The messages, without asking whose bus it is."""
        results: list[bytes] = []
        find = self.targets.get
        for message in messages:
            flags = message.flags
            if flags & _REFUSED:
                raise BusError(errno.EOPNOTSUPP)
            target = find(message.address)
            if target is None:
                raise BusError(errno.ENXIO)
            if flags & I2C_M_RD:
                data = target.read(message.length)
                if data is None:
                    raise BusError(errno.ENXIO)
                results.append(data)
            else:
                acknowledged = target.write(message.data)
                if acknowledged is None:
                    raise BusError(errno.ENXIO)
                if acknowledged < len(message.data):
                    raise BusError(errno.EIO)
        return results

    def smbus(self, address: int, read_write: int, command: int, size: int, data: bytes, flags: int = 0) -> bytes:
        """One SMBus command, as `i2c_smbus_xfer` does it over plain I2C.

        `data` and the result are the 34-byte union of the kernel: byte or little-endian word first, or a
        count and up to 32 bytes. Raises BusError.
        """
        if flags & CLIENT_TEN:
            raise BusError(errno.EOPNOTSUPP)
        if not 0 <= address <= ADDRESS_MAX:
            raise BusError(errno.EINVAL)
        read = read_write == SMBUS_READ
        messages, expected = _messages(address, read, command, size, data)
        pec = bool(flags & CLIENT_PEC) and size not in (QUICK, I2C_BLOCK_DATA, I2C_BLOCK_BROKEN)
        sent = b"".join(bytes([address << 1]) + m.data for m in messages if not m.flags & I2C_M_RD)
        if pec and expected:
            messages[-1].length += 1
        elif pec:
            messages[-1].data += bytes([_pec(sent)])
        found = self.transfer(messages)
        if not expected:
            return data.ljust(SMBUS_DATA_SIZE, b"\0")[:SMBUS_DATA_SIZE]
        body = found[0]
        if pec:
            if _pec(sent + bytes([address << 1 | 1]) + body[:-1]) != body[-1]:
                raise BusError(errno.EBADMSG)
            body = body[:-1]
        if size in (I2C_BLOCK_DATA, I2C_BLOCK_BROKEN):
            body = bytes([len(body)]) + body
        return body.ljust(SMBUS_DATA_SIZE, b"\0")


def _messages(address: int, read: bool, command: int, size: int, data: bytes) -> tuple[list[Message], bool]:
    """The I2C messages of one SMBus command, and whether it brings data back."""
    register = bytes([command])
    if size == QUICK:
        return [Message(address, I2C_M_RD if read else 0)], False
    if size == BYTE:
        return ([Message(address, I2C_M_RD, length=1)], True) if read else ([Message(address, 0, register)], False)
    if size in (BYTE_DATA, WORD_DATA):
        width = 1 if size == BYTE_DATA else 2
        if read:
            return [Message(address, 0, register), Message(address, I2C_M_RD, length=width)], True
        return [Message(address, 0, register + data[:width])], False
    if size == PROC_CALL:
        return [Message(address, 0, register + data[:2]), Message(address, I2C_M_RD, length=2)], True
    if size in (I2C_BLOCK_DATA, I2C_BLOCK_BROKEN):
        count = data[0]
        if count > SMBUS_BLOCK_MAX:
            raise BusError(errno.EINVAL)
        if read:
            return [Message(address, 0, register), Message(address, I2C_M_RD, length=count)], True
        return [Message(address, 0, register + data[1 : 1 + count])], False
    if size == BLOCK_DATA and not read:
        count = data[0]
        if count > SMBUS_BLOCK_MAX:
            raise BusError(errno.EINVAL)
        return [Message(address, 0, register + data[: 1 + count])], False
    # A block read lets the target fix the length (I2C_M_RECV_LEN); this adapter does not offer it.
    raise BusError(errno.EOPNOTSUPP)


def _pec(data: bytes) -> int:
    """SMBus packet error code: CRC-8, polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for value in data:
        crc ^= value
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc & 0xFF
