"""The vhost-user protocol, as far as a virtio-i2c device needs it: messages, features, and how they are received.

Owns formats and codes (the vhost-user specification; VIRTIO 1.2 for the features of a device), all in the byte order
of this machine, and the limits on what is believed. A message is HEADER, then `size` bytes; file descriptors come
along with the header.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, NamedTuple

from cmis_emu.bus.vhost_user.errors import ProtocolError

HEADER: Final = Struct("=III")  # request, flags, size
PAYLOAD_MAX: Final = 4096
REGIONS_MAX: Final = 8  # of a memory table, and so the descriptors of one message
NOTHING: Final = Struct("=0s")
U64: Final = Struct("=Q")
STATE: Final = Struct("=II")  # index of the ring, number
ADDRESSES: Final = Struct("=IIQQQQ")  # index, flags, descriptors, used, available, log: addresses of the front end
TABLE: Final = Struct("=II")  # regions, padding
REGION: Final = Struct("=QQQQ")  # guest address, size, address of the front end, offset in the file

RING_MASK: Final = 0xFF  # of the u64 of KICK, CALL and ERR
NO_DESCRIPTOR: Final = 0x100
_DESCRIPTOR_SIZE: Final = array.array("i").itemsize


class MessageFlag(IntFlag):
    """Of a header; the version is in the low two bits."""

    VERSION = 1
    VERSION_MASK = 3
    REPLY = 4
    NEED_REPLY = 8


class Request(IntEnum):
    """What a front end asks for."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    SET_VRING_ENABLE = 18


PAYLOADS: Final[dict[int, Struct]] = {
    Request.GET_FEATURES: NOTHING,
    Request.SET_FEATURES: U64,
    Request.SET_OWNER: NOTHING,
    Request.RESET_OWNER: NOTHING,
    Request.SET_VRING_NUM: STATE,
    Request.SET_VRING_ADDR: ADDRESSES,
    Request.SET_VRING_BASE: STATE,
    Request.GET_VRING_BASE: STATE,
    Request.SET_VRING_KICK: U64,
    Request.SET_VRING_CALL: U64,
    Request.SET_VRING_ERR: U64,
    Request.GET_PROTOCOL_FEATURES: NOTHING,
    Request.SET_PROTOCOL_FEATURES: U64,
    Request.SET_VRING_ENABLE: STATE,
}
"""What each request carries; a memory table is as long as its count says."""


class Feature(IntFlag):
    """Of the device."""

    ZERO_LENGTH_REQUEST = 1 << 0  # the driver refuses a device without it
    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    PROTOCOL_FEATURES = 1 << 30
    VERSION_1 = 1 << 32


OFFERED: Final = int(
    Feature.ZERO_LENGTH_REQUEST
    | Feature.INDIRECT_DESC
    | Feature.EVENT_IDX
    | Feature.PROTOCOL_FEATURES
    | Feature.VERSION_1
)  # a number: the complement of a flag has known bits only
PROTOCOL_REPLY_ACK: Final = 1 << 3
PROTOCOL_OFFERED: Final = PROTOCOL_REPLY_ACK


class Message(NamedTuple):
    """One message of a front end. Whoever takes it owns the descriptors."""

    request: int
    flags: int
    payload: bytes
    descriptors: list[int]


def receive(client: socket.socket) -> Message | None:
    """The next message; None when the front end hung up between two. Raises ProtocolError, OSError."""
    descriptors: list[int] = []
    try:
        head = _exactly(client, HEADER.size, descriptors)
        if not head:
            return None
        request, flags, size = HEADER.unpack(head)
        if flags & MessageFlag.VERSION_MASK != MessageFlag.VERSION or flags & MessageFlag.REPLY:
            raise ProtocolError(f"a message: found flags {flags:#x}, expected a request of version 1")
        if size > PAYLOAD_MAX:
            raise ProtocolError(f"request {request}: found {size} bytes, expected at most {PAYLOAD_MAX}")
        payload = _exactly(client, size, descriptors)
        if len(payload) < size:
            raise ProtocolError(f"request {request}: the front end hung up in the middle of it")
    except BaseException:
        release(descriptors)
        raise
    return Message(request, flags, payload, descriptors)


def release(descriptors: list[int]) -> None:
    """Close descriptors that nobody wants."""
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())


def _exactly(client: socket.socket, size: int, descriptors: list[int]) -> bytes:
    """`size` bytes, or none at the end; with the descriptors that come along."""
    found = bytearray()
    room = socket.CMSG_SPACE(REGIONS_MAX * _DESCRIPTOR_SIZE)
    while len(found) < size:
        block, ancillary, flags, _ = client.recvmsg(size - len(found), room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_SIZE])
                descriptors += received
        if flags & socket.MSG_CTRUNC or len(descriptors) > REGIONS_MAX:
            raise ProtocolError(f"a message: found more file descriptors than {REGIONS_MAX}")
        if not block:
            if found:
                raise ProtocolError("a message: the front end hung up in the middle of it")
            break
        found += block
    return bytes(found)
