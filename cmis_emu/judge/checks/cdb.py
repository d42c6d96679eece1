"""CDB as far as advertised: its advertisement, status bytes, and commands that every module answers."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, failed, judged, not_applicable
from cmis_emu.judge.session import Session

SUCCESS, UNKNOWN_CMDID, BAD_CHECK_CODE = 0x01, 0x41, 0x45
BUSY = 0x80
MODULE_FEATURES, QUERY_STATUS, FIRMWARE_FEATURES = 0x0040, 0x0000, 0x0041
RESERVED_COMMAND = 0x7FFE
REPLY_BYTES = {MODULE_FEATURES: 36, FIRMWARE_FEATURES: 18}  # exactly (CDB-17)
CUSTOM_STATUS = (range(0x30, 0x40), range(0x60, 0x80), range(0xB0, 0xC0))
LIMIT_S = 5.0
PAYLOAD_MAX = 120


def need_cdb(s: Session) -> int:
    """Number of instances. Raises AbsentError without CDB."""
    s.need("CdbInstancesSupported")
    count = s.code("CdbInstancesSupported")
    if not count:
        raise AbsentError("CDB is not advertised (01h: CdbInstancesSupported)")
    return count


def status(s: Session) -> int:
    """The status byte of instance 1, read now."""
    return s.now("CdbIsBusy1") << 7 | s.now("CdbHasFailed1") << 6 | s.now("CdbCommandResult1")


def check_code(data: bytes) -> int:
    """One's complement of the sum (CDB-04)."""
    return ~sum(data) & 0xFF


@check("cdb-advertisement", Area.CDB, "CDB-01 CDB-13", "the CDB advertisement has values that mean something")
def advertisement(s: Session) -> Iterator[Outcome]:
    count = need_cdb(s)
    shown = s.show("CdbInstancesSupported")
    yield judged(count in (1, 2), "CDB-01", "CdbInstancesSupported", f"{count}", "1 or 2", shown)
    pages = s.code("CdbMaxPagesEPL")
    known = bool(s.label("CdbMaxPagesEPL", pages))
    yield judged(known, "CDB-13", "CdbMaxPagesEPL", f"code {pages}", "0 to 7", shown)


@check("cdb-status", Area.CDB, "CDB-07", "CdbStatus is a status that the standard or the vendor has")
def cdb_status(s: Session) -> Iterator[Outcome]:
    known = s.regmap.enums["cdb_status"]
    for number in range(1, min(2, need_cdb(s)) + 1):
        code = s.code(f"CdbIsBusy{number}") << 7 | s.code(f"CdbHasFailed{number}") << 6
        code |= s.code(f"CdbCommandResult{number}")
        good = code in known or any(code in custom for custom in CUSTOM_STATUS)
        shown = s.show(f"CdbIsBusy{number}")
        yield judged(good, "CDB-07", f"instance {number}", f"{code:02X}h", "a status of the table", shown)


def command(s: Session, number: int, payload: bytes = b"", *, wrong_code: bool = False) -> int | None:
    """Send a command the way Linux does; the final status, or None when it stays busy."""
    head = number.to_bytes(2, "big") + bytes([0, 0, len(payload)])
    code = check_code(head + payload) ^ (1 if wrong_code else 0)
    cmdid = s.regmap.field("CMDID")
    body = s.regmap.field("EPLLength").at
    s.store(cmdid.page, body, head[2:] + bytes([code, 0, 0]) + payload)
    s.select(cmdid.page)
    s.host.write(cmdid.at, head[:2])
    took = s.poll(lambda: not status(s) & BUSY, LIMIT_S)
    return None if took is None else status(s)


def reply(s: Session) -> tuple[int, int, bytes]:
    """RPLLength, RPLChkCode and the payload."""
    field = s.regmap.field("LPL")
    length = s.now("RPLLength")
    data = s.fetch(field.page, field.at, min(length, PAYLOAD_MAX)) if length else b""
    return length, s.now("RPLChkCode"), data


@check(
    "cdb-commands",
    Area.CDB,
    "CDB-05 CDB-07 CDB-17 CMD-03",
    "0040h and 0041h are answered, with lengths and check codes",
    Level.SAFE,
)
def commands(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    features = b""
    for number, size in REPLY_BYTES.items():
        where = f"command {number:04X}h"
        if number != MODULE_FEATURES and not _lists(features, number):
            yield not_applicable("CDB-17", where, "not in the bitmap of 0040h")
            continue
        code = command(s, number)
        if code != SUCCESS:
            found = "busy for too long" if code is None else f"status {code:02X}h"
            yield failed("CDB-07", where, found, "01h, success")
            continue
        length, check_sum, data = reply(s)
        yield judged(length == size, "CDB-17", where, f"RPLLength {length}", f"{size}", data)
        yield judged(check_sum == check_code(data), "CDB-05", where, f"RPLChkCode {check_sum:02X}h",
                     f"{check_code(data):02X}h", data)  # fmt: skip
        if number == MODULE_FEATURES:
            features = data
            yield judged(
                _lists(data, MODULE_FEATURES), "CMD-03", where, "does not list itself", "its own bit set", data
            )


def _lists(features: bytes, number: int) -> bool:
    at = 2 + number // 8
    return at < len(features) and bool(features[at] >> number % 8 & 1)


@check("cdb-refusals", Area.CDB, "CDB-07 CDB-08", "an unknown command and a wrong check code are refused", Level.SAFE)
def refusals(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    for where, number, wrong, expected in (
        (f"command {RESERVED_COMMAND:04X}h", RESERVED_COMMAND, False, UNKNOWN_CMDID),
        ("wrong CdbChkCode", QUERY_STATUS, True, BAD_CHECK_CODE),
    ):
        code = command(s, number, bytes(2) if number == QUERY_STATUS else b"", wrong_code=wrong)
        found = "busy for too long" if code is None else f"status {code:02X}h"
        yield judged(code == expected, "CDB-07", where, found, f"{expected:02X}h")
    code = command(s, MODULE_FEATURES)  # a status left over from before would be taken for this one's
    found = "busy for too long" if code is None else f"status {code:02X}h"
    yield judged(code == SUCCESS, "CDB-08", "command 0040h after a failure", found, "busy at once, then 01h")


@check("cdb-complete", Area.CDB, "CDB-09", "a command ends with its completion flag", Level.SAFE)
def complete(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    if s.revision < (5, 0):
        raise AbsentError("revision 4.0 sets the completion flag for some commands only (CDB-09)")
    s.now("CdbCmdCompleteFlag1")
    code = command(s, MODULE_FEATURES)
    flag = s.poll(lambda: s.now("CdbCmdCompleteFlag1") == 1, 0.2)
    yield judged(code is not None, "CDB-09", "command 0040h", "busy for too long", "busy cleared")
    yield judged(flag is not None, "CDB-09", "CdbCmdCompleteFlag1", "0 after completion", "1")


CHECKS = (advertisement, cdb_status, commands, refusals, complete)
