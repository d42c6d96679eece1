"""CDB messaging: advertisement, pages, status, triggers, check codes, busy, flag, abort, extended payload."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, failed, judged
from cmis_emu.judge.messages import (
    ABORT,
    ABORTED,
    BAD_CODE,
    BUSY,
    MODULE_FEATURES,
    NOT_ABORTED,
    QUERY_STATUS,
    SUCCESS,
    UNKNOWN,
    await_end,
    max_busy_s,
    need_background,
    need_cdb,
    need_command,
    payload_pages,
    reply,
    reply_length_fits,
    run,
    status,
    write_body,
    write_command,
)
from cmis_emu.judge.session import Session

RESERVED_COMMAND = 0x7FFE
CUSTOM_STATUS = (range(0x30, 0x40), range(0x60, 0x80), range(0xB0, 0xC0))
DELAY_MS = 200  # of a Query Status that is watched
ABORT_S = 1.0
SLACK_S = 0.005  # of polling
FLAG_S = 0.2
UNNOTICED_S = 0.1  # a command that should not have begun has ended by then
MARK = b"\xa5\x5a\xc3\x3c"


def delay(milliseconds: int) -> bytes:
    """Payload of Query Status (CMD-01)."""
    return milliseconds.to_bytes(2, "big")


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


@check("cdb-pages", Area.CDB, "CDB-01 CDB-02 CDB-13", "the pages of messages are there and hold them", Level.SAFE)
def message_pages(s: Session) -> Iterator[Outcome]:
    page = s.regmap.field("CMDID").page
    for instance in range(1, min(2, need_cdb(s)) + 1):
        where = f"instance {instance}"
        found = s.select(page, instance - 1, force=True)
        yield judged(found == page, "CDB-01", where, f"page {found:02X}h is mapped", f"page {page:02X}h")
        if found != page:
            continue
        lengths = s.regmap.field("EPLLength")
        s.store(page, lengths.at, b"\x00\x00\x04\xff", instance - 1)
        back = s.fetch(page, lengths.at, 4, instance - 1)
        yield judged(back == b"\x00\x00\x04\xff", "CDB-02", where, "other lengths", "those that were written", back)
        for epl in payload_pages(s):
            subject = f"{where}, page {epl.page:02X}h"
            mapped = s.select(epl.page, instance - 1, force=True)
            if mapped != epl.page:
                yield failed("CDB-13", subject, f"page {mapped:02X}h is mapped", "the page")
                continue
            s.host.write(epl.at, MARK)
            back = s.fetch(epl.page, epl.at, len(MARK), instance - 1)
            yield judged(back == MARK, "CDB-13", subject, "other bytes", "those that were written", back)


@check("cdb-trigger", Area.CDB, "CDB-03", "the body is no trigger, the command is", Level.SAFE)
def trigger(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    run(s, MODULE_FEATURES)
    length = reply(s)[0]
    write_body(s, QUERY_STATUS, delay(0))
    s.wait(UNNOTICED_S)
    shown, after = status(s), reply(s)[0]
    good = not shown & BUSY and after == length
    found = f"status {shown:02X}h, RPLLength {after}"
    yield judged(good, "CDB-03", "the body of a message", found, f"not busy, RPLLength {length} as before")
    write_command(s, QUERY_STATUS)
    ended = await_end(s)
    good = ended.status == SUCCESS and reply(s)[0] != length
    yield judged(good, "CDB-03", "CMDID", f"{ended.found}, RPLLength {reply(s)[0]}", "01h and the reply")
    write_body(s, QUERY_STATUS, delay(0))
    cmdid = s.regmap.field("CMDID")
    s.host.write(cmdid.at + 1, b"\0")
    ended = await_end(s)
    good = ended.status == SUCCESS and reply(s)[0] == 2
    yield judged(
        good, "CDB-03", "its second byte alone", f"{ended.found}, RPLLength {reply(s)[0]}", "01h and the reply"
    )


@check("cdb-refusals", Area.CDB, "CDB-04 CDB-07 CDB-08",
       "an unknown command and a wrong check code are refused", Level.SAFE)  # fmt: skip
def refusals(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    for rule, where, number, payload, wrong, expected in (
        ("CDB-07", f"command {RESERVED_COMMAND:04X}h", RESERVED_COMMAND, b"", False, UNKNOWN),
        ("CDB-04", "wrong CdbChkCode", MODULE_FEATURES, b"", True, BAD_CODE),
        ("CDB-04", "wrong CdbChkCode of a payload", QUERY_STATUS, delay(3), True, BAD_CODE),
        ("CDB-04", "right CdbChkCode of a payload", QUERY_STATUS, delay(3), False, SUCCESS),
    ):
        ended = run(s, number, payload, wrong_code=wrong)
        yield judged(ended.status == expected, rule, where, ended.found, f"{expected:02X}h")
    run(s, RESERVED_COMMAND)
    ended = run(s, MODULE_FEATURES)  # a status left over from before would be taken for this one's
    good = ended.status == SUCCESS
    yield judged(good, "CDB-08", "command 0040h after a failure", ended.found, "busy at once, then 01h")


@check("cdb-complete", Area.CDB, "CDB-09", "a command ends with its completion flag", Level.SAFE)
def complete(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    if s.revision < (5, 0):
        raise AbsentError("revision 4.0 sets the completion flag for some commands only (CDB-09)")
    for where, number in (("command 0040h", MODULE_FEATURES), ("an unknown command", RESERVED_COMMAND)):
        s.now("CdbCmdCompleteFlag1")
        ended = run(s, number)
        flag = s.poll(lambda: s.now("CdbCmdCompleteFlag1") == 1, FLAG_S)
        yield judged(ended.status is not None, "CDB-09", where, ended.found, "busy cleared")
        yield judged(flag is not None, "CDB-09", f"CdbCmdCompleteFlag1 after {where}", "0", "1")


@check("cdb-busy", Area.CDB, "CDB-08 CDB-10 CDB-11 CMD-01",
       "a command that takes its time is seen to be busy, within the advertised bound", Level.SAFE)  # fmt: skip
def busy(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    background, bound_s = bool(s.code("CdbBackgroundModeSupported")), max_busy_s(s)
    run(s, MODULE_FEATURES)
    write_body(s, QUERY_STATUS, delay(DELAY_MS))
    write_command(s, QUERY_STATUS)
    start = s.host.timer.now()
    answered = s.poll(s.host.probe, 5.0, 5000)
    refused_s = s.host.timer.now() - start
    good = answered is not None and refused_s <= bound_s + SLACK_S
    found = f"refused for {refused_s * 1000:.0f} ms"
    yield judged(good, "CDB-11", "refusals", found, f"at most {bound_s * 1000:.0f} ms")
    first = status(s)
    if background:
        yield judged(bool(first & BUSY), "CDB-08", "first look", f"status {first:02X}h", "busy")
        s.forget()
        name = s.raw("VendorName")
        still = status(s)
        good = bool(name) and bool(still & BUSY)
        yield judged(good, "CDB-10", "reads while busy", f"status {still:02X}h", "reads served, still busy")
    ended = await_end(s, refused_from=start)
    good = ended.status == SUCCESS and ended.busy_s >= DELAY_MS / 1000 - SLACK_S
    found = f"{ended.found} after {ended.busy_s * 1000:.0f} ms"
    yield judged(good, "CMD-01", "ResponseDelay", found, f"01h after {DELAY_MS} ms or more")
    length, _, data = reply(s)
    good = length == 2 and data[:1] == b"\2"
    yield judged(good, "CMD-01", "reply", f"RPLLength {length}, {data.hex(' ')}", "2 bytes, 02h first", data)


@check("cdb-meanwhile", Area.CDB, "CDB-12", "a message sent while busy does no harm", Level.SAFE)
def meanwhile(s: Session) -> Iterator[Outcome]:
    need_background(s)
    write_body(s, QUERY_STATUS, delay(DELAY_MS))
    write_command(s, QUERY_STATUS)
    s.poll(s.host.probe, 5.0, 5000)
    write_body(s, MODULE_FEATURES)
    write_command(s, MODULE_FEATURES)
    ended = await_end(s)
    length, _, data = reply(s)
    good = ended.status == NOT_ABORTED or (ended.status == SUCCESS and length == 2)
    found = f"{ended.found}, RPLLength {length}"
    yield judged(good, "CDB-12", "0040h during 0000h", found, "the reply of 0000h, or 43h", data)


@check("cdb-abort", Area.CDB, "CDB-15", "a command under way can be aborted", Level.SAFE)
def abort(s: Session) -> Iterator[Outcome]:
    need_background(s)
    need_command(s, ABORT)
    write_body(s, QUERY_STATUS, delay(10_000))
    write_command(s, QUERY_STATUS)
    s.poll(s.host.probe, 5.0, 5000)
    ended = run(s, ABORT, limit_s=ABORT_S)
    yield judged(ended.status == ABORTED, "CDB-15", "0004h during 0000h", ended.found, "03h, aborted")
    if ended.status is None:
        await_end(s, limit_s=15.0)
    ended = run(s, MODULE_FEATURES)
    yield judged(ended.status == SUCCESS, "CDB-15", "the next command", ended.found, "01h")


@check("cdb-kept", Area.CDB, "CDB-06 CDB-14", "after a command its header reads as written", Level.SAFE)
def kept(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    run(s, QUERY_STATUS, delay(1))
    cmdid, length = s.regmap.field("CMDID"), s.regmap.field("LPLLength")
    header = s.fetch(cmdid.page, cmdid.at, length.at - cmdid.at + 1)
    yield judged(
        header == b"\0\0\0\0\2", "CDB-14", "CMDID, EPLLength, LPLLength", header.hex(" "), "00 00 00 00 02", header
    )
    told = s.now("RPLLength")
    yield judged(reply_length_fits(told), "CDB-06", "RPLLength", f"{told}", "0 to 120, or 240 and more")


@check("cdb-auto-paging", Area.CDB, "CDB-13", "accesses past an extended page go on as advertised", Level.SAFE)
def auto_paging(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    pages = payload_pages(s)
    if len(pages) < 2:
        raise AbsentError("fewer than two pages of extended payload")
    first, second = pages[:2]
    last = first.at + first.span[1] - first.span[0]
    for field in (second, first):
        s.select(field.page, force=True)
        s.host.write(field.at, bytes(4))
    s.host.write(last - 1, MARK)
    s.forget_mapping()
    mapped = s.now("PageSelect")
    follows = bool(s.code("CdbAutoPagingSupported"))
    expected = second.page if follows else first.page
    yield judged(mapped == expected, "CDB-13", "PageSelect", f"{mapped:02X}h", f"{expected:02X}h")
    s.select(expected, force=True)
    rest = s.read(first.at, 2)
    yield judged(rest == MARK[2:], "CDB-13", f"page {expected:02X}h", rest.hex(" "), MARK[2:].hex(" "), rest)
    s.select(first.page, force=True)
    across = s.read(last - 1, 4)
    s.forget_mapping()
    good = across == MARK
    yield judged(good, "CDB-13", "a read across the end", across.hex(" "), MARK.hex(" "), across)


CHECKS = (
    advertisement,
    cdb_status,
    message_pages,
    trigger,
    refusals,
    complete,
    busy,
    meanwhile,
    abort,
    kept,
    auto_paging,
)
