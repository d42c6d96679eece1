"""A host's side of CDB: messages, triggers, polls, replies. It sends as Linux does, and judges nothing.

Owns what is patient: a foreground module refuses every access while a command runs, which is not the refusal that
`Host` counts. So after a trigger the address alone is tried until the module answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmis_emu.judge.check import AbsentError
from cmis_emu.judge.session import Session
from cmis_emu.layouts.cdb import BITMAP_BYTES, FIRST_EPL_REPLY, LPL_BYTES, MODULE_FEATURES_REPLY, check_code
from cmis_emu.registers.field import Field

BUSY = 0x80
SUCCESS, ABORTED, UNKNOWN, PARAMETER, NOT_ABORTED, BAD_CODE = 0x01, 0x03, 0x41, 0x42, 0x43, 0x45
QUERY_STATUS, ABORT, MODULE_FEATURES = 0x0000, 0x0004, 0x0040
FEATURES_OF = {0x02: 0x0042, 0x03: 0x0043, 0x04: 0x0044}
"""Command with the bitmap of a group, by the group's first byte (CMD-05)."""
LIMIT_S = 5.0  # hosts wait so long for a command that says nothing of its time
STEP_S = 0.001
BUSY_UNIT_S, BUSY_BASE_S = 0.160, 0.080  # CDB-11


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command went. status: None when it never ended. refused_s, busy_s: from the trigger on."""

    status: int | None
    refused_s: float
    busy_s: float

    @property
    def found(self) -> str:
        """For reports."""
        return "busy for too long" if self.status is None else f"status {self.status:02X}h"


def need_cdb(s: Session) -> int:
    """Number of instances. Raises AbsentError without CDB."""
    s.need("CdbInstancesSupported")
    count = s.code("CdbInstancesSupported")
    if not count:
        raise AbsentError("CDB is not advertised (01h: CdbInstancesSupported)")
    return count


def need_background(s: Session) -> None:
    """Go on only with a module that answers while a command runs."""
    need_cdb(s)
    if not s.code("CdbBackgroundModeSupported"):
        raise AbsentError("foreground only: nothing can be sent while a command runs (CDB-10)")


def need_command(s: Session, number: int) -> None:
    """Go on only when 0040h, or the bitmap of its group, lists the command."""
    if not lists(s, number):
        raise AbsentError(f"command {number:04X}h is not listed")


def lists(s: Session, number: int) -> bool:
    """Is the command in its bitmap? (CMD-03, CMD-05)"""
    group = FEATURES_OF.get(number >> 8)
    if group is None:
        return bit(general_bitmap(ask(s, MODULE_FEATURES)), number)
    return lists(s, group) and bit(ask(s, group)[:BITMAP_BYTES], number & 0xFF)


def general_bitmap(features: bytes) -> bytes:
    """The bitmap in the reply of 0040h; empty when that is too short."""
    short = len(features) < MODULE_FEATURES_REPLY.sizeof()
    return b"" if short else bytes(MODULE_FEATURES_REPLY.parse(features).commands)


def bit(bitmap: bytes, number: int) -> bool:
    """Bit `number` of a bitmap, counted from its first byte's lowest."""
    return number // 8 < len(bitmap) and bool(bitmap[number // 8] >> number % 8 & 1)


def max_busy_s(s: Session) -> float:
    """The advertised bound of refusals (CDB-11)."""
    if s.code("CdbMaxBusySpecMethod"):
        return BUSY_UNIT_S * max(1, s.code("CdbExtMaxBusyTime"))
    return BUSY_BASE_S - min(BUSY_BASE_S, s.code("CdbMaxBusyTime") / 1000)


def status(s: Session, instance: int = 1) -> int:
    """The status byte of an instance, read now in one access."""
    field = s.regmap.field(f"CdbIsBusy{instance}")
    return s.fetch(field.page, field.at, 1)[0]


def write_body(s: Session, number: int, payload: bytes = b"", *, instance: int = 1, wrong_code: bool = False) -> None:
    """Everything but the command: lengths, check code, zeros over the reply's bytes, payload."""
    head = number.to_bytes(2, "big") + bytes([0, 0, len(payload)])
    code = check_code(head + payload) ^ (1 if wrong_code else 0)
    body = s.regmap.field("EPLLength")
    s.store(body.page, body.at, head[2:] + bytes([code, 0, 0]) + payload, instance - 1)


def write_command(s: Session, number: int, *, instance: int = 1) -> None:
    """The trigger, in one write of two bytes (CDB-03)."""
    cmdid = s.regmap.field("CMDID")
    s.select(cmdid.page, instance - 1)
    s.host.write(cmdid.at, number.to_bytes(2, "big"))


def await_end(s: Session, *, instance: int = 1, limit_s: float = LIMIT_S, refused_from: float | None = None) -> Ended:
    """Poll until the command has ended."""
    start = s.host.timer.now() if refused_from is None else refused_from
    steps = round(limit_s / STEP_S)
    if s.poll(s.host.probe, limit_s, steps) is None:
        return Ended(None, limit_s, limit_s)
    refused_s = s.host.timer.now() - start
    ended = s.poll(lambda: not status(s, instance) & BUSY, limit_s, steps)
    busy_s = s.host.timer.now() - start
    return Ended(None if ended is None else status(s, instance), refused_s, busy_s)


def run(
    s: Session,
    number: int,
    payload: bytes = b"",
    *,
    instance: int = 1,
    wrong_code: bool = False,
    limit_s: float = LIMIT_S,
) -> Ended:
    """Send a command and wait for its end."""
    write_body(s, number, payload, instance=instance, wrong_code=wrong_code)
    write_command(s, number, instance=instance)
    return await_end(s, instance=instance, limit_s=limit_s)


def reply(s: Session, instance: int = 1) -> tuple[int, int, bytes]:
    """RPLLength, RPLChkCode and the local payload."""
    bank = instance - 1
    length = s.now("RPLLength", bank=bank)
    field = s.regmap.field("LPL")
    data = s.fetch(field.page, field.at, length, bank) if 0 < length <= LPL_BYTES else b""
    return length, s.now("RPLChkCode", bank=bank), data


def reply_length_fits(length: int) -> bool:
    """Is that a length of local bytes, or a number of pages? (CDB-06)"""
    return length <= LPL_BYTES or length >= FIRST_EPL_REPLY


def payload_pages(s: Session) -> list[Field]:
    """The extended payload's field on each page that is advertised (CDB-13)."""
    return [field for field in s.regmap.family("EPLData") if s.advertised(field.page)]


def ask(s: Session, number: int, payload: bytes = b"") -> bytes:
    """The reply of a command that should succeed; nothing when it does not."""
    return reply(s)[2] if run(s, number, payload).status == SUCCESS else b""
