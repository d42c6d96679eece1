"""A host's side of CDB, for tests: messages, polling, replies, with offsets typed from the standard.

It shares no code with the emulator, so a test that uses it judges what hosts see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import smbus2
from cmis_host import ADDRESS

from cmis_emu import Emulator, ManualClock

MESSAGE, EPL = 0x9F, 0xA0  # pages
SUCCESS, ABORTED, FAILED, UNKNOWN, PARAMETER, NOT_ABORTED, TIMEOUT, BAD_CODE, PASSWORD, STATE = (
    0x01, 0x03, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47,
)  # fmt: skip
CAPTURED, CHECKING, EXECUTING = 0x81, 0x82, 0x83
BUSY = 0x80


QUERY, ENTER, ABORT, FEATURES = 0x0000, 0x0001, 0x0004, 0x0040
BASE: dict[str, Any] = {
    "mode": "background",
    "epl_pages": 16,
    "auto_paging": True,
    "access_bytes": 128,
    "max_busy_ms": 4960,
    "timing_ms": {"capture": 4, "checking": 6},
    "execution_ms": {"general": 10, "features": 20},
}
FOREGROUND = {"mode": "foreground", "max_busy_ms": 1920}


def cdb(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Edit of a profile: CDB with these changes; `revision` is the profile's."""

    def edit(profile: dict[str, Any]) -> None:
        profile.pop("vdm")  # has limits of its own on revisions
        profile["revision"] = changes.get("revision", profile["revision"])
        profile["cdb"] = {k: v for k, v in {**BASE, **changes}.items() if k != "revision"}
        if not profile["cdb"].get("epl_pages"):
            profile["firmware"] |= {"write": ["lpl"]}

    return edit


def delay(ms: int) -> bytes:
    return ms.to_bytes(2, "big")


def complement(data: Iterable[int]) -> int:
    return 0xFF - sum(data) % 256


def message(command: int, lpl: bytes = b"", epl_length: int = 0, *, code: int | None = None) -> bytes:
    """The 8 bytes before the payload, and the payload."""
    head = bytes([command >> 8, command & 0xFF, epl_length >> 8, epl_length & 0xFF, len(lpl)])
    return head + bytes([complement(head + lpl) if code is None else code, 0, 0]) + lpl


def f16(code: bytes) -> float:
    """m x 10^(s-24): five bits of s, eleven of m (NUM-02)."""
    number = int.from_bytes(code, "big")
    return float(number & 0x7FF) * 10.0 ** ((number >> 11) - 24)


class CdbHost:
    """One instance of the module on bus 1. `piece`: bytes of one write."""

    def __init__(self, emu: Emulator, instance: int = 1, piece: int = 8, bus: Any = None) -> None:
        self.emu, self.instance, self.piece = emu, instance, piece
        self.bus = bus or emu.smbus(1)
        clock = emu.clock
        assert isinstance(clock, ManualClock)
        self.clock = clock

    # -- bytes ------------------------------------------------------------------------------------------

    def select(self, page: int) -> None:
        self.put(126, bytes([self.instance - 1, page]))

    def put(self, at: int, data: bytes) -> None:
        """One write transaction."""
        self.bus.i2c_rdwr(smbus2.i2c_msg.write(ADDRESS, [at, *data]))

    def get(self, at: int, length: int = 1) -> bytes:
        """One random read."""
        answer = smbus2.i2c_msg.read(ADDRESS, length)
        self.bus.i2c_rdwr(smbus2.i2c_msg.write(ADDRESS, [at]), answer)
        return bytes(answer)

    def read(self, page: int, at: int, length: int = 1) -> bytes:
        self.select(page)
        return self.get(at, length)

    def status(self) -> int:
        return self.get(36 + self.instance)[0]

    def flag(self) -> bool:
        """The completion flag; reading clears it."""
        return bool(self.get(8)[0] >> (5 + self.instance) & 1)

    # -- messages ---------------------------------------------------------------------------------------

    def write_body(self, data: bytes) -> None:
        """Bytes from 130 on."""
        self.select(MESSAGE)
        for start in range(2, len(data), self.piece):
            self.put(128 + start, data[start : start + self.piece])

    def send(self, command: int, lpl: bytes = b"", *, epl: bytes = b"", code: int | None = None) -> None:
        """Payload first, the command last, as hosts do; returns after the trigger."""
        for number in range(0, len(epl), 128):
            self.select(EPL + number // 128)
            for start in range(number, min(number + 128, len(epl)), self.piece):
                self.put(128 + start - number, epl[start : min(start + self.piece, number + 128)])
        data = message(command, lpl, len(epl), code=code)
        self.write_body(data)
        self.put(128, data[:2])

    def wait(self, limit_s: float = 10.0, step_s: float = 0.001) -> int:
        """Poll until it is not busy; the final status."""
        waited = 0.0
        while True:
            try:
                status = self.status()
            except OSError:
                status = BUSY
            if not status & BUSY:
                return status
            assert waited <= limit_s, f"still {status:02X}h after {limit_s} s"
            self.clock.advance(step_s)
            waited += step_s

    def run(self, command: int, lpl: bytes = b"", *, epl: bytes = b"", code: int | None = None) -> int:
        self.send(command, lpl, epl=epl, code=code)
        return self.wait()

    def reply(self) -> bytes:
        """The local reply, its check code checked."""
        length, code = self.read(MESSAGE, 134, 2)
        assert length <= 120, f"RPLLength {length}"
        data = self.get(136, length) if length else b""
        assert code == complement(data)
        return data

    def ask(self, command: int, lpl: bytes = b"", *, epl: bytes = b"") -> bytes:
        """A command that must succeed; its local reply."""
        status = self.run(command, lpl, epl=epl)
        assert status == SUCCESS, f"{status:02X}h"
        return self.reply()


def quiet(host: CdbHost) -> None:
    """Read every flag that the bring-up has left."""
    host.get(8, 6)
    host.read(0x11, 134, 20)
