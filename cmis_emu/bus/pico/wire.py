"""Frames between host and board: CRC-16, COBS, a zero between them, and what is in them.

Owns numbers and layouts of the protocol (hardware/pico/README.md, "Protocol"); all integers are little-endian.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

VERSION = 1
MAGIC = b"CMIS"
NO_SLOT = 0xFF
NUMBERS = 1 << 16
_HEAD = struct.Struct("<BHHH")
CODED_MAX = 7 + 144 + 2 + 3


class Kind(IntEnum):
    """Of a frame. Those from SETUP on to the board, and from WRITE on from it, are numbered."""

    QUERY = 0x01
    OPEN = 0x02
    ACK = 0x03
    ASK = 0x04
    SETUP = 0x10
    PAGE = 0x11
    ATTR = 0x12
    LOAD = 0x13
    MAP = 0x14
    PINS = 0x15
    ENABLE = 0x16
    SYNC = 0x17
    RESTART = 0x18
    INFO = 0x81
    BEAT = 0x82
    STATS = 0x84
    WRITE = 0x90
    READ = 0x91
    SIDE = 0x92


class BeatFlag(IntFlag):
    """What a beat says of the board."""

    ANSWERING = 1
    LEASED = 2
    HOLDING = 4
    GAP = 8
    FULL = 16


class End(IntEnum):
    """How a message on the bus ended, as far as it was seen; MORE: this is not all of it."""

    STOP = 0
    RESTART = 1
    MORE = 2


class Table(IntEnum):
    """Of an ATTR: what a bus write stores, what a bus read clears, whose write waits for the host."""

    WRITE = 0
    CLEAR = 1
    HOLD = 2


class Side(IntFlag):
    """Levels of the pins that the bus host drives."""

    RESET_L = 1
    LP_MODE = 2
    MOD_SEL_L = 4


class Lamp(IntFlag):
    """What the module asserts towards the bus host."""

    INTERRUPT = 1
    PRESENT = 2


OPEN = struct.Struct("<I")
SETUP = struct.Struct("<BBBHHH")  # flags (1: flat), banks, pin set, lease ms, hold ms, read limit
PAGE = struct.Struct("<BBBBBH")  # slot, number, bank, flags (1: banked), next slot, write limit
LOAD = struct.Struct("<BBH")  # slot, offset, seen; then the bytes
MAP = struct.Struct("<BH")
SYNC = struct.Struct("<HI")
INFO = struct.Struct("<4sBBIBH")  # magic, version, kind of firmware, nonce, slots, longest write
BEAT = struct.Struct("<IHB")  # ms, last report, flags; the frame acknowledges what was applied
WRITE = struct.Struct("<HBBB")  # applied, slot, offset, end; then the bytes
READ = struct.Struct("<HBBBH")  # applied, slot, offset, end, count; then pairs of index and bits
SIDE = struct.Struct("<HB")
STAT_NAMES = ("reads", "writes", "bad_frames", "gaps", "late_holds", "leases_lost", "overruns", "aborts")
STATS = struct.Struct(f"<{len(STAT_NAMES)}I")
FIRMWARE_KINDS = {1: "C", 2: "MicroPython"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. number: its place in its stream, 0 outside. acknowledged: last number taken of the other stream."""

    kind: int
    session: int
    number: int
    acknowledged: int
    body: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the line, with its zero."""
        raw = _HEAD.pack(self.kind, self.session, self.number % NUMBERS, self.acknowledged % NUMBERS) + self.body
        return stuff(raw + binascii.crc_hqx(raw, 0xFFFF).to_bytes(2, "little")) + b"\0"


def decode(coded: bytes) -> Frame | None:
    """A frame without its zero; None for a broken one."""
    raw = unstuff(coded)
    if raw is None or len(raw) < _HEAD.size + 2:
        return None
    if binascii.crc_hqx(raw[:-2], 0xFFFF) != int.from_bytes(raw[-2:], "little"):
        return None
    kind, session, number, acknowledged = _HEAD.unpack_from(raw)
    return Frame(kind, session, number, acknowledged, raw[_HEAD.size : -2])


def stuff(raw: bytes) -> bytes:
    """COBS without the zero."""
    found = bytearray()
    for index, piece in enumerate(pieces := raw.split(b"\0")):
        while len(piece) >= 254:
            found.append(0xFF)
            found += piece[:254]
            piece = piece[254:]  # noqa: PLW2901 - it is eaten from the front
            if not piece and index == len(pieces) - 1:
                return bytes(found) + b"\x01"
        found.append(len(piece) + 1)
        found += piece
    return bytes(found)


def unstuff(coded: bytes) -> bytes | None:
    """What was stuffed, or None for what never was."""
    found = bytearray()
    at = 0
    while at < len(coded):
        run = coded[at]
        end = at + run
        if run == 0 or end > len(coded):
            return None
        found += coded[at + 1 : end]
        at = end
        if run != 0xFF and at < len(coded):
            found.append(0)
    return bytes(found)


def unwrap(number: int, near: int) -> int:
    """The number whose low 16 bits are given that is nearest to `near`."""
    return near + ((number - near + NUMBERS // 2) % NUMBERS) - NUMBERS // 2
