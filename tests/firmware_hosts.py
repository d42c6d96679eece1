"""Three kinds of hosts that update firmware, written from descriptions of what Linux, SONiC and FBOSS put on the bus.

Each knows registers by number, a bus like smbus2's, and how to wait. None knows the emulator or another host: a test
that updates a module through one of them judges what such a host would really see. Orders and splits follow the
access profile; waiting is simulated time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from smbus2 import i2c_msg

ADDRESS = 0x50
MESSAGE_PAGE, FIRST_EPL_PAGE = 0x9F, 0xA0
STATUS, STATE, FLAGS, REVISION = 37, 3, 8, 1
FEATURES, FIRMWARE_FEATURES, INFO = 0x0040, 0x0041, 0x0100
START, ABORT, WRITE_LPL, WRITE_EPL, READ_LPL, READ_EPL = 0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106
COMPLETE, COPY, RUN, COMMIT = 0x0107, 0x0108, 0x0109, 0x010A

Wait = Callable[[float], None]


class HostError(Exception):
    """The host gives up. `status` is the module's, None when it never answered."""

    def __init__(self, command: int, status: int | None) -> None:
        super().__init__(f"command {command:04X}h: " + ("no answer" if status is None else f"status {status:02X}h"))
        self.command = command
        self.status = status


class Info(NamedTuple):
    """What 0100h says."""

    status: int
    present: int
    a: str
    b: str
    factory: str


@dataclass(frozen=True)
class Features:
    """What 0041h says; durations in s."""

    abort: bool
    readback: bool
    start_payload: int
    erased: int
    length: int
    lpl: bool
    epl: bool
    start: float
    abort_time: float
    write: float
    complete: float
    copy: float

    @classmethod
    def of(cls, data: bytes) -> Features:
        unit = 0.01 if data[1] & 8 else 0.001
        times = [unit * int.from_bytes(data[at : at + 2], "big") for at in range(8, 18, 2)]
        start, abort, write, complete, copy = times
        return cls(
            bool(data[1] & 1), bool(data[1] & 0x80), data[2], data[3], 8 * (1 + data[4]), bool(data[5] & 0x0F),
            bool(data[5] & 0xF0), start, abort, write, complete, copy,
        )  # fmt: skip


class Wire:
    """Transactions on the bus, and their number."""

    def __init__(self, bus: Any, wait: Wait) -> None:
        self.bus = bus
        self.wait = wait
        self.transactions = 0

    def write(self, offset: int, data: bytes) -> None:
        self.transactions += 1
        self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, bytes([offset]) + data))

    def read(self, offset: int, length: int) -> bytes:
        self.transactions += 1
        found = i2c_msg.read(ADDRESS, length)
        self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [offset]), found)
        return bytes(found)

    def select(self, page: int) -> None:
        self.write(126, bytes([0, page]))


def check_code(data: bytes) -> int:
    return ~sum(data) & 0xFF


def blocks(payload: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(payload), size):
        yield at, payload[at : at + size]


def version(data: bytes) -> str:
    return f"{data[0]}.{data[1]}.{int.from_bytes(data[2:4], 'big')}"


def parse_info(data: bytes) -> Info:
    return Info(data[0], data[1], version(data[2:]), version(data[38:]), version(data[74:]))


class Linux:
    """The kernel's flasher: the whole body of every message, 8-byte polls, the completion flag first (CDB-09)."""

    def __init__(self, bus: Any, wait: Wait) -> None:
        self.wire = Wire(bus, wait)
        self.limit = 5.0
        self.longest_message = 8
        self.major = 0

    def poll(self, offset: int, done: Callable[[int], bool | None], limit_s: float) -> bool:
        """Read 8 bytes each 20 ms; True when `done`, False when it says None or time is over."""
        waited = 0.0
        while True:
            try:
                judged = done(self.wire.read(offset, 8)[0])
            except OSError:
                judged = False  # a module that holds off
            if judged is None or judged:
                return bool(judged)
            if waited >= limit_s:
                return False
            self.wire.wait(0.02)
            waited += 0.02

    def put(self, offset: int, data: bytes) -> None:
        """In the longest writes that 01h:164 allows."""
        for at in range(0, len(data), self.longest_message):
            self.wire.write(offset + at, data[at : at + self.longest_message])

    def command(
        self, code: int, lpl: bytes = b"", epl: bytes = b"", *, limit_s: float, expect: int = 0, pause_s: float = 1.0
    ) -> bytes:
        wire = self.wire
        lengths = len(epl).to_bytes(2, "big") + bytes([len(lpl)])
        head = code.to_bytes(2, "big") + lengths
        body = lengths + bytes([check_code(head + lpl), 0, 0]) + lpl.ljust(120, b"\0")
        wire.select(MESSAGE_PAGE)
        self.put(130, body)
        for page, at in enumerate(range(0, len(epl), 128)):
            part = epl[at : at + 128]
            wire.select(FIRST_EPL_PAGE + page)
            self.put(128, part)
        wire.select(MESSAGE_PAGE)
        wire.write(128, head[:2])
        wire.wait(pause_s)
        flagged = self.major >= 5 or code not in (FEATURES, FIRMWARE_FEATURES)
        if flagged and not self.poll(FLAGS, lambda value: bool(value & 0x40), limit_s):
            raise HostError(code, None)
        failed: list[int] = []

        def ended(value: int) -> bool | None:
            if value & 0x40:
                failed.append(value)
                return None
            return value == 0x01

        if not self.poll(STATUS, ended, limit_s):
            raise HostError(code, failed[0] if failed else None)
        if not expect:
            return b""
        wire.select(MESSAGE_PAGE)
        length, code_seen = wire.read(134, 2)
        if length < expect or not code_seen:
            raise HostError(code, None)
        return wire.read(136, length)

    def open(self) -> Features:
        self.major = self.wire.read(REVISION, 1)[0] >> 4
        assert self.major >= 4
        self.wire.select(0x01)
        advertised = self.wire.read(163, 2)
        assert advertised[0] >> 6 in (1, 2)
        self.longest_message = min(128, 8 * (1 + advertised[1]))
        told = self.command(FEATURES, limit_s=10, expect=36)
        longest = int.from_bytes(told[34:36], "big") / 1000
        self.limit = longest or 65.5
        return Features.of(self.command(FIRMWARE_FEATURES, limit_s=self.limit, expect=18))

    def download(self, image: bytes, features: Features) -> None:
        size = features.start_payload
        self.command(START, len(image).to_bytes(4, "big") + bytes(4) + image[:size], limit_s=features.start)
        payload = image[size:]
        try:
            if features.epl:
                for at, block in blocks(payload, 2048):
                    self.command(
                        WRITE_EPL, at.to_bytes(4, "big"), block, limit_s=features.write, pause_s=0.001
                    )  # fmt: skip
            else:
                for at, block in blocks(payload, min(features.length, 120) - 4):
                    self.command(WRITE_LPL, at.to_bytes(4, "big") + block, limit_s=features.write, pause_s=0.001)
        except HostError:
            if features.abort:
                self.command(ABORT, limit_s=features.abort_time)
            raise
        self.command(COMPLETE, limit_s=features.complete)

    def run(self) -> None:
        """Mode 0, no delay; how it ends does not matter. Then ModuleLowPwr or ModuleReady within a second."""
        with contextlib.suppress(HostError, OSError):
            self.command(RUN, bytes(4), limit_s=self.limit, pause_s=0.0)
        if not self.poll(STATE, lambda value: value >> 1 & 7 in (1, 3), 1.0):
            raise HostError(RUN, None)

    def update(self, image: bytes) -> None:
        self.download(image, self.open())
        self.run()
        self.open()
        self.command(COMMIT, limit_s=self.limit)

    def info(self) -> Info:
        return parse_info(self.command(INFO, limit_s=10, expect=110))


class Sonic:
    """The library of a network operating system, over a driver that goes back to page 00h after every access.

    The driver tries again each ms, for 25 ms, before the library hears of an error.
    """

    RETRIES = 25

    def __init__(self, bus: Any, wait: Wait, *, piece: int = 32) -> None:
        self.wire = Wire(bus, wait)
        self.piece = piece

    def again(self, act: Callable[[], Any]) -> Any:
        for _ in range(self.RETRIES):
            try:
                return act()
            except OSError:
                self.wire.wait(0.001)
        return act()

    def select(self, page: int) -> None:
        self.again(lambda: self.wire.select(page))

    def page_write(self, page: int, offset: int, data: bytes) -> None:
        wire = self.wire
        for at in range(0, len(data), self.piece):
            if page:
                self.select(page)
            self.again(partial(wire.write, offset + at, data[at : at + self.piece]))
            if page:
                self.select(0)

    def page_read(self, page: int, offset: int, length: int) -> bytes:
        self.select(page)
        found: bytes = self.again(lambda: self.wire.read(offset, length))
        self.select(0)
        return found

    def command(self, code: int, lpl: bytes = b"", epl_length: int = 0, *, limit_s: float = 10.0) -> None:
        head = code.to_bytes(2, "big") + epl_length.to_bytes(2, "big") + bytes([len(lpl)])
        message = head + bytes([check_code(head + lpl), 0, 0]) + lpl
        self.page_write(MESSAGE_PAGE, 130, message[2:])
        self.page_write(MESSAGE_PAGE, 128, message[:2])
        waited = 0.0
        while waited < limit_s:
            self.wire.wait(0.1)
            waited += 0.1
            try:
                status = self.wire.read(STATUS, 1)[0]
            except OSError:
                continue
            if not status & 0x80:
                if status != 0x01:
                    raise HostError(code, status)
                return
        raise HostError(code, None)

    def features(self) -> Features:
        self.command(FIRMWARE_FEATURES)
        return Features.of(self.page_read(MESSAGE_PAGE, 136, 18))

    def info(self) -> Info:
        self.command(INFO)
        return parse_info(self.page_read(MESSAGE_PAGE, 136, 110))

    def download(self, image: bytes, features: Features, *, extended: bool) -> None:
        size = features.start_payload
        header = len(image).to_bytes(4, "big") + bytes(4) + image[:size]
        self.command(START, header, limit_s=features.start + 5)
        payload = image[size:]
        try:
            if extended:
                for at, block in blocks(payload, 2048):
                    for page, start in enumerate(range(0, len(block), 128)):
                        self.page_write(FIRST_EPL_PAGE + page, 128, block[start : start + 128])
                    self.command(WRITE_EPL, at.to_bytes(4, "big"), len(block), limit_s=features.write + 5)
            else:
                for at, block in blocks(payload, 116):
                    self.command(WRITE_LPL, at.to_bytes(4, "big") + block, limit_s=features.write + 5)
        except HostError:
            if features.abort:
                self.command(ABORT, limit_s=features.abort_time + 5)
            raise
        self.command(COMPLETE, limit_s=features.complete + 5)

    def run(self, mode: int = 1, delay_ms: int = 512) -> None:
        """The mode is 1 unless told otherwise, and the switch has 15 s."""
        before = self.info()
        self.command(RUN, bytes([0, mode]) + delay_ms.to_bytes(2, "big"))
        waited = 0.0
        while waited < 15:
            self.wire.wait(1.0)
            waited += 1.0
            try:
                if self.info().status != before.status:
                    return
            except (OSError, HostError):
                continue
        raise HostError(RUN, None)

    def commit(self) -> None:
        self.command(COMMIT)

    def update(self, image: bytes, *, extended: bool, mode: int = 1) -> None:
        features = self.features()
        self.info()
        self.download(image, features, extended=extended)
        self.run(mode)
        self.commit()


class Fboss:
    """A driver in user space: 32-byte writes, the page stays selected, the trigger is the write of 9Fh:129 alone."""

    PIECE = 32

    def __init__(self, bus: Any, wait: Wait) -> None:
        self.wire = Wire(bus, wait)

    def put(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), self.PIECE):
            self.wire.write(offset + at, data[at : at + self.PIECE])

    def command(self, code: int, lpl: bytes = b"", epl: bytes = b"") -> bytes:
        wire = self.wire
        for page, at in enumerate(range(0, len(epl), 128)):
            wire.select(FIRST_EPL_PAGE + page)
            self.put(128, epl[at : at + 128])
        wire.select(MESSAGE_PAGE)
        head = code.to_bytes(2, "big") + len(epl).to_bytes(2, "big") + bytes([len(lpl)])
        message = head + bytes([check_code(head + lpl), 0, 0]) + lpl
        self.put(130, message[2:])
        wire.write(128, message[:1])
        wire.write(129, message[1:2])
        for _ in range(100):
            wire.wait(0.1)
            try:
                status = wire.read(STATUS, 1)[0]
                if status & 0x80:
                    continue
                if status != 0x01:
                    raise HostError(code, status)
                wire.select(MESSAGE_PAGE)
                length, code_seen = wire.read(134, 2)
            except OSError:
                continue
            reply = wire.read(136, length) if length and length <= 120 else b""
            assert not reply or check_code(reply) == code_seen
            return reply
        raise HostError(code, None)

    def info(self) -> Info:
        return parse_info(self.command(INFO))

    def update(self, image: bytes, *, extended: bool) -> None:
        features = Features.of(self.command(FIRMWARE_FEATURES))
        size = features.start_payload
        self.command(START, len(image).to_bytes(4, "big") + bytes(4) + image[:size])
        payload = image[size:]
        for at, block in blocks(payload, 2048 if extended else 116):
            address = at.to_bytes(4, "big")
            if extended:
                self.command(WRITE_EPL, address, block)
            else:
                self.command(WRITE_LPL, address + block)
        self.command(COMPLETE)
        try:
            self.command(RUN, bytes(4))
        except HostError as error:
            if error.status not in (None, 0x00):  # in reset already, or fresh out of it
                raise
        for _ in range(100):
            self.wire.wait(0.1)
            try:
                if self.wire.read(STATE, 1)[0] >> 1 & 7 in (1, 3):
                    break
            except OSError:
                continue
        self.command(COMMIT)
