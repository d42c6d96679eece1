"""How the adapter introduces itself to a USB host: descriptors, and the standard requests on endpoint 0.

An i2c-tiny-usb has one vendor-specific interface and no endpoint beside endpoint 0. Numbers are USB 2.0's
(chapter 9).
"""

from __future__ import annotations

import struct
from enum import IntEnum

VENDOR, PRODUCT, RELEASE = 0x0403, 0xC631, 0x0205
VENDOR_CLASS = 0xFF
CONFIGURATION = 1

_ENGLISH = 0x0409
_SELF_POWERED = 0x0001
_STRING_MAX = 126  # characters: bLength is one byte

IN = 0x80
"""Direction bit of bmRequestType."""


class _Type(IntEnum):
    DEVICE = 1
    CONFIGURATION = 2
    STRING = 3
    INTERFACE = 4


class _Request(IntEnum):
    GET_STATUS = 0
    CLEAR_FEATURE = 1
    SET_FEATURE = 3
    SET_ADDRESS = 5
    GET_DESCRIPTOR = 6
    GET_CONFIGURATION = 8
    SET_CONFIGURATION = 9
    GET_INTERFACE = 10
    SET_INTERFACE = 11


class Introduction:
    """Descriptors of the adapter of one bus, and its state as a USB device: configured or not."""

    def __init__(self, product: str, serial: str) -> None:
        self._texts = ("cmis-emu", product, serial)
        self._configured = 0

    def standard(self, request_type: int, request: int, value: int, index: int) -> bytes | None:
        """Answer a standard request: data (of an IN request), b"" for done, None for a stall."""
        recipient = request_type & 0x1F
        if request_type & IN:
            match request:
                case _Request.GET_DESCRIPTOR:
                    return self._descriptor(value >> 8, value & 0xFF)
                case _Request.GET_STATUS:
                    return struct.pack("<H", _SELF_POWERED if recipient == 0 else 0)
                case _Request.GET_CONFIGURATION:
                    return bytes([self._configured])
                case _Request.GET_INTERFACE if index == 0:
                    return b"\0"
            return None
        match request:
            case _Request.SET_CONFIGURATION if value in (0, CONFIGURATION):
                self._configured = value
                return b""
            case _Request.SET_INTERFACE if (value, index) == (0, 0):
                return b""
            case _Request.SET_ADDRESS | _Request.CLEAR_FEATURE | _Request.SET_FEATURE:
                return b""
        return None

    def _descriptor(self, kind: int, index: int) -> bytes | None:
        if kind == _Type.DEVICE:
            codes = (VENDOR_CLASS, 0, 0, 64, VENDOR, PRODUCT, RELEASE, 1, 2, 3, 1)
            return struct.pack("<BBH4B3H4B", 18, _Type.DEVICE, 0x0200, *codes)
        if kind == _Type.CONFIGURATION and index == 0:
            interface = struct.pack("<9B", 9, _Type.INTERFACE, 0, 0, 0, VENDOR_CLASS, 0, 0, 0)
            total = 9 + len(interface)
            own = struct.pack("<BBH5B", 9, _Type.CONFIGURATION, total, 1, CONFIGURATION, 0, 0xC0, 0)
            return own + interface
        if kind == _Type.STRING and index <= len(self._texts):
            text = self._texts[index - 1][:_STRING_MAX].encode("utf-16-le") if index else struct.pack("<H", _ENGLISH)
            return bytes([2 + len(text), _Type.STRING]) + text
        return None
