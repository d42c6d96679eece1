"""The project's own format of firmware images: a header that tells what an image is, and a payload.

Owns the header's layout, how an image is built and how it is checked. The format is documented in
docs/firmware-image.md.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import lru_cache

from construct import Bytes, Checksum, Const, Int8ub, Int16ub, Int32ub, Padding, RawCopy, Struct
from construct import ChecksumError as _WrongChecksum
from construct import ConstructError as _NotInLayout

from cmis_emu.errors import InputError
from cmis_emu.layouts.firmware import TEXT_BYTES

MAGIC = b"CEFW"
FORMAT_VERSION = 1
HARDWARE_BYTES = 16
DIGEST_BYTES = 16

_FIELDS = Struct(
    "magic" / Const(MAGIC),
    "format_version" / Const(FORMAT_VERSION, Int8ub),
    "header_length" / Int8ub,
    "major" / Int8ub,
    "minor" / Int8ub,
    "build" / Int16ub,
    "text" / Bytes(TEXT_BYTES),
    "hardware" / Bytes(HARDWARE_BYTES),
    Padding(2),
    "payload_size" / Int32ub,
    "payload_digest" / Bytes(DIGEST_BYTES),
)
_HEADER = Struct(
    "fields" / RawCopy(_FIELDS),
    "checksum" / Checksum(Int32ub, zlib.crc32, lambda context: context.fields.data),
)
HEADER_BYTES: int = _FIELDS.sizeof() + Int32ub.sizeof()
"""Length of the header: the StartCmdPayloadSize of a module that takes these images."""

SMALLEST_BYTES = HEADER_BYTES + 1


class DamagedImageError(Exception):
    """An image that is ours and not whole; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Version of an image: numbers, and text beside them."""

    major: int
    minor: int
    build: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"

    @classmethod
    def parse(cls, number: str, text: str = "") -> Version:
        """A version written as 1.4 or 1.4.7. Raises InputError."""
        parts = number.split(".") if isinstance(number, str) else []
        limits = (0xFF, 0xFF, 0xFFFF)
        fits = len(parts) in (2, 3) and all(p.isascii() and p.isdigit() and len(p) <= 5 for p in parts)
        if not fits or any(int(p) > limit for p, limit in zip(parts, limits, strict=False)):
            raise InputError(repr(number), "a version such as '1.4.7' (at most 255.255.65535, in quotes)")
        if not isinstance(text, str) or len(text) > TEXT_BYTES or not (text.isascii() and (text + " ").isprintable()):
            raise InputError(repr(text), f"at most {TEXT_BYTES} printable ASCII characters")
        major, minor, build_number = (int(p) for p in (*parts, "0")[:3])
        return cls(major, minor, build_number, text)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an image says."""

    version: Version
    hardware: str
    payload_size: int
    payload_digest: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole image."""
        return HEADER_BYTES + self.payload_size

    def fits(self, hardware: str) -> bool:
        """May it run on that hardware? An image that names none runs on any."""
        return self.hardware in ("", hardware)


def digest_of(payload: bytes) -> bytes:
    """Checksum of a payload."""
    return hashlib.sha256(payload).digest()[:DIGEST_BYTES]


def build(version: Version, payload: bytes, hardware: str = "") -> bytes:
    """An image around `payload`."""
    values = {
        "header_length": HEADER_BYTES,
        "major": version.major,
        "minor": version.minor,
        "build": version.build,
        "text": version.text.encode("ascii").ljust(TEXT_BYTES),
        "hardware": hardware.encode("ascii").ljust(HARDWARE_BYTES),
        "payload_size": len(payload),
        "payload_digest": digest_of(payload),
    }
    return bytes(_HEADER.build({"fields": {"value": values}})) + payload


@lru_cache(maxsize=32)
def sample(version: Version, size: int, hardware: str = "") -> bytes:
    """An image of `size` bytes in all, whose payload looks like code: the same bytes for the same arguments."""
    if size < SMALLEST_BYTES:
        raise InputError(f"{size} bytes", f"at least {SMALLEST_BYTES}, a header and a payload", field="size")
    seed = f"{version} {version.text} {hardware}".encode()
    return build(version, hashlib.shake_256(seed).digest(size - HEADER_BYTES), hardware)


def parse_header(data: bytes) -> Header:
    """The header that `data` begins with. Raises DamagedImageError, or InputError for what is no image of ours."""
    if data[: len(MAGIC)] != MAGIC:
        raise InputError(f"bytes {data[: len(MAGIC)].hex(' ') or 'none'}", f"the mark {MAGIC.decode()} of an image")
    try:
        fields = _HEADER.parse(data[:HEADER_BYTES]).fields.value
    except _WrongChecksum:
        raise DamagedImageError("the header's checksum is wrong") from None
    except _NotInLayout:
        raise DamagedImageError(f"the header is cut short or of another format than {FORMAT_VERSION}") from None
    if fields.header_length != HEADER_BYTES:
        raise DamagedImageError(f"the header says {fields.header_length} bytes of itself, not {HEADER_BYTES}")
    text, hardware = (raw.decode("ascii", "replace").rstrip() for raw in (fields.text, fields.hardware))
    version = Version(fields.major, fields.minor, fields.build, text)
    return Header(version, hardware, fields.payload_size, bytes(fields.payload_digest))


def verify(data: bytes) -> Header:
    """The header of a whole image. Raises DamagedImageError or InputError when the image is not whole."""
    header = parse_header(data)
    if len(data) != header.size:
        raise DamagedImageError(f"{len(data)} bytes, and the header says {header.size}")
    if digest_of(data[HEADER_BYTES:]) != header.payload_digest:
        raise DamagedImageError("the payload's checksum is wrong")
    return header
