"""Raw I2C as a host does it: a random read of any length, and how an access ended."""

from __future__ import annotations

from collections.abc import Callable

from smbus2 import i2c_msg

from cmis_emu.bus.smbus import VirtualSMBus

A = 0x50


def failure(action: Callable[[], object]) -> int | None:
    """errno of a failed access, or None."""
    try:
        action()
    except OSError as error:
        return error.errno
    return None


def read(bus: VirtualSMBus, register: int, length: int) -> bytes:
    """Random read of any length."""
    found = i2c_msg.read(A, length)
    bus.i2c_rdwr(i2c_msg.write(A, [register]), found)
    return bytes(found)
