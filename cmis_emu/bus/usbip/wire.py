"""The USB/IP protocol: what a host asks to find and import a device, and how USB requests travel after that.

Owns formats and codes, all big-endian, and the limits on what is believed. First one question and its answer;
after an import that succeeded, the connection carries requests (URBs), each with a header of 48 bytes:

    SUBMIT  SUBMIT_HEADER, data of an OUT    -> RETURN_HEADER, data of an IN; any order, matched by sequence
    UNLINK  UNLINK_HEADER                    -> UNLINKED_HEADER; with status -ECONNRESET that request has no other reply
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

PORT: Final = 3240
VERSION: Final = 0x0111

OPERATION: Final = Struct(">HHI")  # version, Operation, status
BUS_ID_SIZE: Final = 32
DEVICE: Final = Struct(">256s32s3I3H6B")
"""path, bus id, bus number, device number, speed, vendor, product, bcdDevice, class, subclass, protocol,
configuration, configurations, interfaces"""
INTERFACE: Final = Struct(">4B")  # class, subclass, protocol, 0; in a list only
COUNT: Final = Struct(">I")

SPEED_HIGH: Final = 3

STATUS_OK: Final = 0
STATUS_NO_DEVICE: Final = 4


class Operation(IntEnum):
    """Questions, and their answers without the top bit."""

    IMPORT = 0x8003
    IMPORTED = 0x0003
    LIST = 0x8005
    LISTED = 0x0005


HEADER_SIZE: Final = 48
SUBMIT_HEADER: Final = Struct(">5I5i8s")
"""command, sequence, device id, direction, endpoint; flags, length, start frame, packets, interval, setup"""
UNLINK_HEADER: Final = Struct(">6I24x")  # command, sequence, device id, direction, endpoint; sequence to unlink
RETURN_HEADER: Final = Struct(">5I5i8x")
"""command, sequence, 0, 0, 0; status (-errno), actual length, start frame, packets, errors"""
UNLINKED_HEADER: Final = Struct(">5Ii24x")  # command, sequence, 0, 0, 0; status
NO_PACKETS: Final = -1  # it is not isochronous

SETUP: Final = Struct("<BBHHH")  # bmRequestType, bRequest, wValue, wIndex, wLength: USB itself is little-endian

LENGTH_MAX: Final = 0xFFFF  # of a control transfer's data: wLength has 16 bits


class Command(IntEnum):
    SUBMIT = 1
    UNLINK = 2
    RETURN = 3
    UNLINKED = 4
