"""A virtio-i2c request (VIRTIO 1.2, 5.19): one I2C message in a descriptor chain, and its answer.

Owns the layout: a header of 8 bytes and what is to be written, then room for what is read and one status byte. How a
driver cuts them into buffers is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.ring import Chain
from cmis_emu.bus.virtual import I2C_M_RD, Message

_HEADER: Final = Struct("<HHI")  # address << 1, padding, flags
_HEADER_SIZE: Final = _HEADER.size
LENGTH_MAX: Final = 0xFFFF  # struct i2c_msg has 16 bits for it
NO_ADDRESS: Final = -1


class Flag(IntFlag):
    FAIL_NEXT = 1  # a transfer goes on with the next request, which fails when this one does
    READ = 2


class Status(IntEnum):
    OK = 0
    ERROR = 1


_FAIL_NEXT, _READ = int(Flag.FAIL_NEXT), int(Flag.READ)
_OK, _ERROR = bytes([Status.OK]), bytes([Status.ERROR])


@dataclass(slots=True)
class Request:
    """One request; its message has NO_ADDRESS where the address is none of 7 bits."""

    chain: Chain
    message: Message
    goes_on: bool


def parse(chain: Chain) -> Request:
    """The request of a chain. Raises ProtocolError."""
    readable, writable = chain.readable, chain.writable
    out = sum(map(len, readable))
    room = sum(map(len, writable)) - 1
    if not (_HEADER_SIZE <= out <= _HEADER_SIZE + LENGTH_MAX and 0 <= room <= LENGTH_MAX):
        raise ProtocolError(
            f"request: found {out} bytes to read and {room + 1} to write, expected {_HEADER_SIZE} and 1 and, "
            f"besides, at most {LENGTH_MAX}"
        )
    data = b"".join(readable)
    address, _, flags = _HEADER.unpack_from(data)
    if flags & _READ:
        if out != _HEADER_SIZE:
            raise ProtocolError(f"request: found a read with {out - _HEADER_SIZE} bytes to send, expected none")
        message = Message(address >> 1, I2C_M_RD, b"", room)
    else:
        if room:
            raise ProtocolError(f"request: found a write with room for {room} bytes of data, expected none")
        message = Message(address >> 1, 0, data[_HEADER_SIZE:])
    if address & 0xFF01:
        message.address = NO_ADDRESS
    return Request(chain, message, bool(flags & _FAIL_NEXT))


def answer(request: Request, found: bytes | None) -> int:
    """Write an answer to the guest: what was read (b"" for a write), or None for a failure. Returns the bytes written.

    They are all the room there is: the status is the last of it, and no driver may look beyond what is reported.
    """
    length = request.message.length
    body = bytes(length) + _ERROR if found is None else found + _OK
    at = 0
    for view in request.chain.writable:
        view[:] = body[at : at + len(view)]
        at += len(view)
    return length + 1
