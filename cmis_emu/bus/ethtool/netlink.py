"""Netlink messages: reading attributes with a policy, writing replies, errors and acknowledgements.

Formats are those of linux/netlink.h and linux/genetlink.h; numbers are in the machine's byte order. Checks and their
errors are those of the kernel for families that check strictly (lib/nlattr.c).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

HEADER: Final = Struct("=IHHII")  # length, type, flags, sequence, port
GENERIC: Final = Struct("=BBH")  # command, version, 0
ATTRIBUTE: Final = Struct("=HH")  # length, type
U8: Final = Struct("=B")
U16: Final = Struct("=H")
U32: Final = Struct("=I")
ERROR_CODE: Final = Struct("=i")

NLMSG_ERROR: Final = 2
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF
_ATTR_MSG, _ATTR_OFFS, _ATTR_MISS_TYPE, _ATTR_MISS_NEST = 1, 2, 5, 6  # NLMSGERR_ATTR_*


class NetlinkError(Exception):
    """A request is refused: errno, and what the extended acknowledgement says of it.

    offset: of the attribute at fault, from the start of the message. missing: the type of one that is not there;
    nest: the offset of the attribute that it is not in.
    """

    def __init__(
        self,
        number: int,
        message: str = "",
        offset: int | None = None,
        missing: int | None = None,
        nest: int | None = None,
    ) -> None:
        super().__init__(message or errno.errorcode.get(number, str(number)))
        self.errno = number
        self.message = message
        self.offset = offset
        self.missing = missing
        self.nest = nest


@dataclass(frozen=True, slots=True)
class Rule:
    """What an attribute must be: a number of `size` bytes in a range, text of at most `size` bytes, or a nest."""

    size: int = 0
    low: int = 0
    high: int | None = None
    mask: int | None = None
    text: bool = False
    nest: Mapping[int, Rule] | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: where it starts in the message, its payload, and what is nested in it."""

    offset: int
    data: bytes
    inner: dict[int, Attribute] = field(default_factory=dict)

    def number(self) -> int:
        """As an unsigned number."""
        return {1: U8, 2: U16, 4: U32}[len(self.data)].unpack(self.data)[0]  # type: ignore[no-any-return]

    def text(self) -> str:
        """As text up to its NUL."""
        return self.data.partition(b"\0")[0].decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Request:
    """A generic netlink request."""

    raw: bytes
    type: int
    flags: int
    sequence: int
    port: int
    command: int

    @classmethod
    def parse(cls, raw: bytes) -> Request:
        """Raises ValueError for what is too short to be one."""
        if len(raw) < HEADER.size + GENERIC.size:
            raise ValueError(f"found a message of {len(raw)} bytes")
        length, kind, flags, sequence, port = HEADER.unpack_from(raw)
        if not HEADER.size + GENERIC.size <= length <= len(raw):
            raise ValueError(f"found a length of {length} in a message of {len(raw)} bytes")
        command, _, _ = GENERIC.unpack_from(raw, HEADER.size)
        return cls(raw[:length], kind, flags, sequence, port, command)

    def attributes(self, rules: Mapping[int, Rule]) -> dict[int, Attribute]:
        """Its attributes by type, checked. Raises NetlinkError."""
        return _attributes(self.raw, HEADER.size + GENERIC.size, len(self.raw), rules)


def _attributes(raw: bytes, at: int, end: int, rules: Mapping[int, Rule]) -> dict[int, Attribute]:
    found: dict[int, Attribute] = {}
    while end - at >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(raw, at)
        if length < ATTRIBUTE.size or length > end - at:
            break
        rule = rules.get(kind & NLA_TYPE_MASK)
        if rule is None:
            raise NetlinkError(errno.EINVAL, "Unknown attribute type", at)
        found[kind & NLA_TYPE_MASK] = _attribute(raw, at, length, kind, rule)
        at += (length + 3) & ~3
    if at < end:
        raise NetlinkError(errno.EINVAL, "bytes leftover after parsing attributes")
    return found


def _attribute(raw: bytes, at: int, length: int, kind: int, rule: Rule) -> Attribute:
    data = raw[at + ATTRIBUTE.size : at + length]
    if rule.nest is not None:
        if not kind & NLA_F_NESTED:
            raise NetlinkError(errno.EINVAL, "NLA_F_NESTED is missing", at)
        return Attribute(at, data, _attributes(raw, at + ATTRIBUTE.size, at + length, rule.nest))
    if kind & NLA_F_NESTED:
        raise NetlinkError(errno.EINVAL, "NLA_F_NESTED not expected", at)
    found = Attribute(at, data)
    if rule.text:
        if b"\0" not in data[: rule.size + 1]:
            raise NetlinkError(errno.EINVAL, "Attribute failed policy validation", at)
        return found
    if len(data) != rule.size:
        raise NetlinkError(errno.EINVAL, "invalid attribute length", at)
    if rule.mask is not None and found.number() & ~rule.mask:
        raise NetlinkError(errno.EINVAL, "reserved bit set", at)
    if rule.high is not None and not rule.low <= found.number() <= rule.high:
        raise NetlinkError(errno.ERANGE, "integer out of range", at)
    return found


def walk(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each attribute, with no questions asked."""
    while len(data) - at >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if not ATTRIBUTE.size <= length <= len(data) - at:
            return
        yield kind & NLA_TYPE_MASK, data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


# -- writing ---------------------------------------------------------------------------------------


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded."""
    return (ATTRIBUTE.pack(ATTRIBUTE.size + len(data), kind) + data).ljust((ATTRIBUTE.size + len(data) + 3) & ~3, b"\0")


def nest(kind: int, *inner: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | NLA_F_NESTED, b"".join(inner))


def text(kind: int, value: str) -> bytes:
    """An attribute with text and its NUL."""
    return attribute(kind, value.encode(errors="surrogateescape") + b"\0")


def reply(request: Request, command: int, version: int, *attributes: bytes) -> bytes:
    """The answer to a request."""
    body = GENERIC.pack(command, version, 0) + b"".join(attributes)
    return HEADER.pack(HEADER.size + len(body), request.type, 0, request.sequence, request.port) + body


def acknowledgement(
    request: Request, problem: NetlinkError | None = None, *, extended: bool = False, capped: bool = False
) -> bytes:
    """What ends a request: an error of 0, or why it is refused."""
    flags = 0
    quoted = request.raw
    if problem is None or capped:
        quoted = quoted[: HEADER.size]
        flags |= NLM_F_CAPPED
    body = ERROR_CODE.pack(-problem.errno if problem else 0) + quoted.ljust((len(quoted) + 3) & ~3, b"\0")
    details = _details(problem) if problem is not None and extended else b""
    if details:
        flags |= NLM_F_ACK_TLVS
    body += details
    return HEADER.pack(HEADER.size + len(body), NLMSG_ERROR, flags, request.sequence, request.port) + body


def _details(problem: NetlinkError) -> bytes:
    found = text(_ATTR_MSG, problem.message) if problem.message else b""
    for kind, value in (
        (_ATTR_OFFS, problem.offset),
        (_ATTR_MISS_TYPE, problem.missing),
        (_ATTR_MISS_NEST, problem.nest),
    ):
        if value is not None:
            found += attribute(kind, U32.pack(value))
    return found
