"""Commands of the engine of an FT232H (MPSSE), as far as they are made here, and how its pins are wired for one.

The numbers are those of FTDI's AN_108, which agree with pyftdi's constants.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

PACKET = 512
"""Bytes of one USB packet, high speed: what fits in one the engine has at once."""


class Command(IntEnum):
    """One byte each, with arguments where told."""

    WRITE_BITS = 0x13  # number less one, bits from the top; changes as SCL falls
    READ_BYTES = 0x20  # number less one: two bytes; samples as SCL rises
    SET_LOW = 0x80  # levels and directions of AD0 to AD7: two bytes
    READ_LOW = 0x81  # answers with the levels of AD0 to AD7
    LOOPBACK_OFF = 0x85
    FLUSH = 0x87  # send to the host what there is
    WAIT_HIGH = 0x88  # until AD5 is high
    WAIT_LOW = 0x89
    TWO_PHASES = 0x8D
    CLOCKS = 0x8F  # eight times the number plus one, and no data: two bytes
    ADAPTIVE_ON = 0x96  # each clock waits until AD7 follows
    ADAPTIVE_OFF = 0x97
    DRIVE_ZERO_ONLY = 0x9E  # masks of AD0 to AD7 and AC0 to AC7: two bytes


class Pin(IntFlag):
    """Masks of the pins of a slave. AD0 and AD5 are on SCL, AD1 and AD2 on SDA."""

    SCL_OUT = 0x01
    SDA_OUT = 0x02
    SDA_IN = 0x04
    SCL_IN = 0x20


OUTPUTS = Pin.SCL_OUT | Pin.SDA_OUT

SET_UP = bytes(
    [
        Command.LOOPBACK_OFF,
        Command.ADAPTIVE_OFF,
        Command.TWO_PHASES,
        Command.DRIVE_ZERO_ONLY,
        OUTPUTS,
        0,
        Command.SET_LOW,
        OUTPUTS,
        OUTPUTS,
    ]
)
"""Both lines released and open drain, before they become outputs."""


def drive(*, hold: bool, low: bool) -> bytes:
    """Set both lines. hold: SCL low. low: SDA low."""
    return bytes([Command.SET_LOW, (0 if hold else Pin.SCL_OUT) | (0 if low else Pin.SDA_OUT), OUTPUTS])
