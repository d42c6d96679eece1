"""Programs of a scenario's host that use CDB: single commands, and a firmware update (rules CDB-*, FW-*).

They follow careful hosts: the body first, the command last; the status is polled with patience, since a module may
refuse accesses while it works; durations come from what the module advertises.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.layouts.cdb import check_code
from cmis_emu.layouts.firmware_image import HEADER_BYTES, Version, sample
from cmis_emu.registers.field import LOWER
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, program
from cmis_emu.scenarios.programs import PORT
from cmis_emu.scenarios.units import BYTE, COMMAND_CODE, COUNT, DURATION

MESSAGE, EPL, STATUS = 0x9F, 0xA0, 37
BODY, TRIGGER, REPLY, REPLY_LENGTH = 130, 128, 136, 134
BUSY, SUCCESS = 0x80, 0x01
POLL_S = 0.02
INFO, FEATURES = 0x0100, 0x0041
START, ABORT, WRITE_LPL, WRITE_EPL, COMPLETE, RUN, COMMIT = 0x0101, 0x0102, 0x0103, 0x0104, 0x0107, 0x0109, 0x010A
LPL_BLOCK, EPL_BLOCK, EPL_PAGE = 116, 2048, 128
LIMIT = Argument(DURATION, "how long a command may take", default=5.0)
BACK_S = 15.0  # a module that changed its image has so long to come back


def command(
    host: Host, code: int, lpl: bytes = b"", epl: bytes = b"", limit_s: float = 5.0
) -> Generator[float, None, tuple[int, bytes]]:
    """Send a command and wait for its end: (status, reply). HostFailure when it does not end in time."""
    for at in range(0, len(epl), EPL_PAGE):
        yield from host.write(EPL + at // EPL_PAGE, 128, epl[at : at + EPL_PAGE])
    head = bytes([code >> 8, code & 0xFF, len(epl) >> 8, len(epl) & 0xFF, len(lpl)])
    body = head[2:] + bytes([check_code(head + lpl), 0, 0]) + lpl
    yield from host.write(MESSAGE, BODY, body)
    yield from host.write(MESSAGE, TRIGGER, head[:2])
    start = host.now()
    while True:
        yield POLL_S
        try:
            status = (yield from host.read(LOWER, STATUS, 1))[0]
        except HostFailure:
            status = BUSY  # it works, and answers nobody meanwhile
        if not status & BUSY:
            break
        if host.now() - start > limit_s:
            raise HostFailure(f"command {code:04X}h has not ended within {limit_s:g} s")
    header = yield from host.read(MESSAGE, REPLY_LENGTH, 2)
    length = min(header[0], 120)
    reply = (yield from host.read(MESSAGE, REPLY, length)) if length else b""
    if length and status == SUCCESS and header[1] != check_code(reply):
        raise HostFailure(
            f"command {code:04X}h: the reply's check code is {header[1]:02X}h, not {check_code(reply):02X}h"
        )
    return status, reply


def demand(
    host: Host, code: int, lpl: bytes = b"", epl: bytes = b"", limit_s: float = 5.0, reply_bytes: int = 0
) -> Generator[float, None, bytes]:
    """A command that must succeed, with a reply of at least so many bytes; gives the reply."""
    status, reply = yield from command(host, code, lpl, epl, limit_s)
    if status != SUCCESS:
        raise HostFailure(f"command {code:04X}h: status {status:02X}h")
    if len(reply) < reply_bytes:
        raise HostFailure(f"command {code:04X}h: a reply of {len(reply)} bytes, not {reply_bytes}")
    return reply


@program("host.cdb", {
    "port": PORT,
    "command": Argument(COMMAND_CODE, "its number", required=True),
    "payload": Argument(Kind.BYTES, "local payload"),
    "status": Argument(BYTE, "the status that it is to end with", default=SUCCESS),
    "limit": LIMIT,
    "times": Argument(COUNT, "how often", default=1),
    "period": Argument(DURATION, "from one to the next", default=0.5),
})  # fmt: skip
def cdb(host: Host, given: Mapping[str, Any]) -> Telling:
    """Send a CDB command, wait for its end, and check its status and its reply's check code."""
    reply = b""
    for number in range(given["times"]):
        if number:
            yield given["period"]
        status, reply = yield from command(host, given["command"], given["payload"] or b"", limit_s=given["limit"])
        if status != given["status"]:
            raise HostFailure(f"command {given['command']:04X}h: status {status:02X}h, not {given['status']:02X}h")
    return f"reply {reply.hex(' ') or 'empty'}"


@program("host.firmware_info", {"port": PORT, "limit": LIMIT})
def firmware_info(host: Host, given: Mapping[str, Any]) -> Telling:
    """Ask for the images' versions and states (0100h); a status that cannot be is an error."""
    status, text = yield from _info(host, given["limit"])
    for bit, what in ((0x11, "run"), (0x22, "are committed")):
        if status & bit == bit:
            raise HostFailure(f"both images {what} ({text})")
        if not status & bit:
            raise HostFailure(f"no images {what} ({text})")
    return text


def _info(host: Host, limit_s: float) -> Generator[float, None, tuple[int, str]]:
    reply = yield from demand(host, INFO, limit_s=limit_s, reply_bytes=110)
    names = []
    for name, bit, at in (("A", 1, 2), ("B", 2, 38)):
        version = f"{reply[at]}.{reply[at + 1]}.{int.from_bytes(reply[at + 2 : at + 4], 'big')}"
        names.append(f"{name} {version if reply[1] & bit else 'none'}")
    return reply[0], f"status {reply[0]:02X}h, {', '.join(names)}"


@program("host.firmware_update", {
    "port": PORT,
    "size": Argument(COUNT, "bytes of the image", default=16384),
    "version": Argument(Kind.TEXT, "of the image", default="9.1.7"),
    "hardware": Argument(Kind.TEXT, "for which product it is made; without it for the module's part number"),
    "way": Argument(Kind.CHOICE, "in the message, or in the extended payload", default="lpl", choices=("lpl", "epl")),
    "mode": Argument(BYTE, "run mode of 0109h", default=0),
    "commit": Argument(Kind.FLAG, "commit the image once it runs", default=True),
    "abort_first": Argument(Kind.FLAG, "abort what an earlier host left behind", default=True),
    "stop_after": Argument(COUNT, "stop in the middle, after so many blocks"),
})  # fmt: skip
def firmware_update(host: Host, given: Mapping[str, Any]) -> Telling:
    """Download an image, run it, commit it; a download that fails is aborted."""
    features = yield from demand(host, FEATURES, reply_bytes=18)
    unit = 0.01 if features[1] & 0x08 else 0.001
    start_s, abort_s, write_s, complete_s = (
        1.0 + unit * int.from_bytes(features[at : at + 2], "big") for at in (8, 10, 12, 14)
    )
    header_bytes = features[2]
    name = given["hardware"]
    if name is None:
        name = yield from host.get("VendorPN")
    image = sample(Version.parse(given["version"]), max(given["size"], HEADER_BYTES), name)
    if given["abort_first"] and features[1] & 1:
        yield from command(host, ABORT, limit_s=abort_s)
    head = len(image).to_bytes(4, "big") + bytes(4) + image[:header_bytes]
    yield from demand(host, START, head, limit_s=start_s)
    size = LPL_BLOCK if given["way"] == "lpl" else EPL_BLOCK
    for number, at in enumerate(range(header_bytes, len(image), size), 1):
        address, block = (at - header_bytes).to_bytes(4, "big"), image[at : at + size]
        try:
            if given["way"] == "lpl":
                yield from demand(host, WRITE_LPL, address + block, limit_s=write_s)
            else:
                yield from demand(host, WRITE_EPL, address, block, limit_s=write_s)
        except HostFailure as failure:
            if features[1] & 1:
                yield from command(host, ABORT, limit_s=abort_s)
            raise HostFailure(f"block {number}: {failure}") from None
        if number == given["stop_after"]:
            return f"stopped after block {number}"
    yield from demand(host, COMPLETE, limit_s=complete_s)
    yield from _run(host, given["mode"])
    status, text = yield from _info(host, 5.0)
    if given["version"] not in text or status & 0x11 == 0:
        raise HostFailure(f"the image is not there ({text})")
    running = text.partition("A ")[2] if status & 1 else text.partition("B ")[2]
    if not running.startswith(given["version"]):
        raise HostFailure(f"the image does not run ({text})")
    if given["commit"]:
        yield from demand(host, COMMIT)
    return (yield from _info(host, 5.0))[1]


def _run(host: Host, mode: int) -> Generator[float, None, None]:
    """Change images: what the module answers now is not waited for, only that it comes back."""
    lpl = bytes([0, mode, 0, 0])
    head = bytes([RUN >> 8, RUN & 0xFF, 0, 0, len(lpl)])
    yield from host.write(MESSAGE, BODY, head[2:] + bytes([check_code(head + lpl), 0, 0]) + lpl)
    yield from host.write(MESSAGE, TRIGGER, head[:2])
    start = host.now()
    while True:
        yield 0.2
        try:
            state = (yield from host.read(LOWER, 3, 1))[0] >> 1 & 7
            status = (yield from host.read(LOWER, STATUS, 1))[0]
        except HostFailure:
            state, status = 0, BUSY
        if state in (1, 3) and not status & BUSY:
            return
        if host.now() - start > BACK_S:
            raise HostFailure(f"the module has not come back within {BACK_S:g} s")
