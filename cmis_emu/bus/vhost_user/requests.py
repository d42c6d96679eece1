"""A virtio-i2c request (VIRTIO 1.2, 5.19): one I2C message in a descriptor chain, and its answer.

Owns the layout: a header of 8 bytes and what is to be written, then room for what is read and one status byte. How a
driver cuts them into buffers is its own affair.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, NamedTuple

from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.ring import Chain
from cmis_emu.bus.virtual import I2C_M_RD, Message

_HEADER: Final = Struct("<HHI")  # address << 1, padding, flags
_HEADER_SIZE: Final = _HEADER.size
_unpack: Final = _HEADER.unpack_from
_NOT_ADDRESS: Final = 0xFF01
LENGTH_MAX: Final = 0xFFFF  # struct i2c_msg has 16 bits for it
BYTES_MAX: Final = _HEADER_SIZE + 2 * LENGTH_MAX + 1
"""Of a chain, whatever it says."""
_KNOWN_MAX: Final = 256  # requests
_KNOWN_BYTES: Final = 64  # of a request
BUFFERS_MAX: Final = 3  # of a request, as drivers make it: header, data, status
NO_ADDRESS: Final = -1


class Flag(IntFlag):
    FAIL_NEXT = 1  # a transfer goes on with the next request, which fails when this one does
    READ = 2


class Status(IntEnum):
    OK = 0
    ERROR = 1


_FAIL_NEXT, _READ = int(Flag.FAIL_NEXT), int(Flag.READ)
_OK, _ERROR = bytes([Status.OK]), bytes([Status.ERROR])


class Request(NamedTuple):
    """One request; its message has NO_ADDRESS where the address is none of 7 bits."""

    chain: Chain
    message: Message
    goes_on: int  # not 0: the next request belongs to the same transfer
    room: tuple[tuple[memoryview, int, int], ...]  # for the answer: each piece, and where it starts and ends in it


class Requests:
    """The requests of one ring. Hosts that poll ask for the same again and again, and nobody changes a request."""

    def __init__(self) -> None:
        self._known: dict[tuple[Chain, bytes], Request] = {}

    def forget(self) -> None:
        """The memory that chains are in goes away."""
        self._known.clear()

    def of(self, chain: Chain) -> Request:
        """The request of a chain. Raises ProtocolError."""
        data = b"".join(chain.readable)
        key = chain, data
        request = self._known.get(key)
        if request is None:
            request = _parse(chain, data)
            if len(data) <= _KNOWN_BYTES:
                if len(self._known) == _KNOWN_MAX:
                    self._known.clear()
                self._known[key] = request
        return request


def _parse(chain: Chain, data: bytes) -> Request:
    out = len(data)
    room = chain.length - out - 1
    if not (_HEADER_SIZE <= out <= _HEADER_SIZE + LENGTH_MAX and 0 <= room <= LENGTH_MAX):
        raise ProtocolError(
            f"request: found {out} bytes to read and {room + 1} to write, expected {_HEADER_SIZE} and 1 and, "
            f"besides, at most {LENGTH_MAX}"
        )
    address, _, flags = _unpack(data)
    where = NO_ADDRESS if address & _NOT_ADDRESS else address >> 1
    if flags & _READ:
        if out != _HEADER_SIZE:
            raise ProtocolError(f"request: found a read with {out - _HEADER_SIZE} bytes to send, expected none")
        message = Message(where, I2C_M_RD, b"", room)
    else:
        if room:
            raise ProtocolError(f"request: found a write with room for {room} bytes of data, expected none")
        message = Message(where, 0, data[_HEADER_SIZE:])
    pieces: list[tuple[memoryview, int, int]] = []
    at = 0
    for view in chain.writable:
        pieces.append((view, at, at + len(view)))
        at += len(view)
    return Request(chain, message, flags & _FAIL_NEXT, tuple(pieces))


def answer(request: Request, found: bytes | None) -> int:
    """Write an answer to the guest: what was read (b"" for a write), or None for a failure. Returns the bytes written.

    They are all the room there is: the status is the last of it, and no driver may look beyond what is reported.
    """
    length = request.message.length
    body = bytes(length) + _ERROR if found is None else found + _OK
    for view, at, end in request.room:
        view[:] = body[at:end]
    return length + 1
