"""The adapter itself, an i2c-tiny-usb: vendor requests on endpoint 0 in, messages on a virtual bus out.

Owns what a message's outcome looks like to the driver. It reads the status after each message and makes ENXIO of a
NACK; a transfer shorter than asked makes EIO, which is how a byte that was not acknowledged, or any other failure,
is told. One host has one adapter; several hosts on one bus are several masters on it (`claims.py`).
"""

from __future__ import annotations

import errno
import struct
import threading
from enum import IntEnum
from typing import Final

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.line import ADAPTER_LIMIT_NS
from cmis_emu.bus.usbip.descriptors import IN
from cmis_emu.bus.virtual import I2C_M_RD, Message, VirtualBus
from cmis_emu.clock import NS_PER_S

DRIVER_LIMIT_NS: Final = 2 * NS_PER_S
"""How long the driver waits for a message."""

FUNCTIONALITY: Final = struct.pack("<I", 0x0EFF0009)  # as preload/wire.py has it: no SMBus block read
STALL: Final = -errno.EPIPE
_REQUEST_TYPES: Final = (0x41, 0xC1)  # vendor, to an interface: out, in

Outcome = tuple[int, bytes | int]
"""Status (0 or -errno), and the data of an IN request or how much of an OUT request was taken."""


class Request(IntEnum):
    """bRequest. MESSAGE + FIRST + LAST is one whole transfer."""

    FUNCTIONALITY = 1
    DELAY = 2
    STATUS = 3
    MESSAGE = 4


FIRST, LAST = 1, 2
_STATUS, _MESSAGE = int(Request.STATUS), int(Request.MESSAGE)
_MESSAGE_END: Final = _MESSAGE + FIRST + LAST


class Status(IntEnum):
    """Of the last message."""

    IDLE = 0
    ACKNOWLEDGED = 1
    NACK = 2


class TinyUsb:
    """One host's adapter on `bus`. Requests come one at a time; `unplug` and `abandon` at any time."""

    def __init__(self, bus: VirtualBus, lock: threading.RLock) -> None:
        self._lock = lock
        self._bus = bus
        with lock:
            self._claims = bus.claimed(lock)
        self._status = bytes([Status.IDLE])
        self._under_way = False
        self._gone = False
        self._abandoned = False

    def vendor(self, request_type: int, request: int, value: int, index: int, length: int, data: bytes) -> Outcome:
        """Serve one vendor request; a message may take as long as the module stretches the clock."""
        if request_type not in _REQUEST_TYPES:
            return STALL, 0
        if _MESSAGE <= request <= _MESSAGE_END:
            if request_type & IN:
                return self._message(request, Message(index, value | I2C_M_RD, b"", length))
            return self._message(request, Message(index, value & ~I2C_M_RD, data))
        if request == _STATUS:
            return 0, self._status
        if request == Request.FUNCTIONALITY:
            return 0, FUNCTIONALITY
        if request == Request.DELAY:  # of a bit-banged clock; this bus has no edges
            return 0, 0
        return STALL, 0

    def abandon(self) -> None:
        """The host wants no answer to the message under way: its driver has given up the transfer."""
        self._abandoned = True  # without the lock, which that very message may have

    def unplug(self) -> None:
        """The host is gone; a bus that it was holding is free."""
        with self._lock:
            self._gone = True
            if not self._under_way:
                self._claims.give_up(self)

    def _message(self, request: int, message: Message) -> Outcome:
        self._abandoned = False
        with self._lock:
            stop, target = True, None
            try:
                if not self._claims.begin(self, new=bool(request & FIRST)):
                    raise BusError(errno.EIO)  # it was silent for so long that it lost the bus
                self._under_way = True
                target = self._bus.targets.get(message.address)
                if target is not None:
                    target.bear(DRIVER_LIMIT_NS)  # nobody else is on the bus until the message is over
                found = self._bus.run((message,))
                stop = bool(request & LAST)
            except BusError as error:
                self._status = _NACK
                return _failed(error.errno, message)
            finally:
                if target is not None:
                    target.bear(ADAPTER_LIMIT_NS)
                self._under_way = False
                self._claims.end(self, stop=stop or self._gone or self._abandoned)
            self._status = _ACKNOWLEDGED
            return 0, found[0] if found else len(message.data)


_NACK = bytes([Status.NACK])
_ACKNOWLEDGED = bytes([Status.ACKNOWLEDGED])


def _failed(number: int, message: Message) -> Outcome:
    asked = message.length if message.flags & I2C_M_RD else len(message.data)
    if number == errno.ENXIO:  # full length, so that the driver goes on to read the status
        return 0, bytes(asked) if message.flags & I2C_M_RD else asked
    if asked == 0:
        return STALL, 0  # nothing is shorter than nothing
    return 0, b"" if message.flags & I2C_M_RD else 0
