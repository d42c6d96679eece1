"""CDB commands that any host may send: features, applications, monitoring, identity, each as far as listed."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, failed, judged, not_applicable
from cmis_emu.judge.checks.applications import rows
from cmis_emu.judge.messages import (
    MODULE_FEATURES,
    PARAMETER,
    SUCCESS,
    UNKNOWN,
    ask,
    bit,
    general_bitmap,
    lists,
    need_cdb,
    need_command,
    reply,
    run,
)
from cmis_emu.judge.session import Session
from cmis_emu.layouts.cdb import (
    SECURITY_FEATURES_REPLY,
    SEGMENT_BYTES,
    TEMPERATURE_BINS,
    TEMPERATURE_REPLY,
    check_code,
)
from cmis_emu.layouts.firmware import MANAGEMENT_FEATURES

FIRMWARE_FEATURES, SECURITY_FEATURES = 0x0041, 0x0044
REPLY_BYTES = {0x0040: 36, 0x0041: 18, 0x0042: 32, 0x0043: 32, 0x0044: 52, 0x0045: 1}
"""Exact lengths (CDB-17, CDB-18)."""
PM_FEATURES = 0x0201
MECHANISMS = (0x00, 0x01, 0x10, 0x11)
START_BYTES = 112
APPLICATION, INTERFACE = 0x0050, 0x0051
MEDIA, HOST = 0, 1
TEMPERATURES = 0x0290
CERTIFICATE, LARGEST = 0x0400, 4096
X509_DER, DER_SEQUENCE = 2, 0x30


@check("cdb-commands", Area.CDB, "CDB-05 CDB-07 CDB-17 CMD-03",
       "feature commands are answered, with lengths and check codes", Level.SAFE)  # fmt: skip
def commands(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    for number, size in REPLY_BYTES.items():
        where = f"command {number:04X}h"
        if number != MODULE_FEATURES and not lists(s, number):
            yield not_applicable("CDB-17", where, "not in the bitmap of 0040h")
            continue
        ended = run(s, number)
        if ended.status != SUCCESS:
            yield failed("CDB-07", where, ended.found, "01h, success")
            continue
        length, code, data = reply(s)
        yield judged(length == size, "CDB-17", where, f"RPLLength {length}", f"{size}", data)
        yield judged(code == check_code(data), "CDB-05", where, f"RPLChkCode {code:02X}h",
                     f"{check_code(data):02X}h", data)  # fmt: skip
        if number == MODULE_FEATURES:
            own = bit(general_bitmap(data), number)
            yield judged(own, "CMD-03", where, "does not list itself", "its own bit set", data)


@check("cdb-bitmaps", Area.CDB, "CMD-03 CMD-05", "what is listed is answered, what is not is unknown", Level.SAFE)
def bitmaps(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    for number in (*REPLY_BYTES, PM_FEATURES):
        rule = "CMD-03" if number < 0x0100 else "CMD-05"
        listed = lists(s, number)
        ended = run(s, number)
        good = (ended.status == UNKNOWN) is not listed
        demanded = "an answer, as listed" if listed else "41h, as it is not listed"
        yield judged(good, rule, f"command {number:04X}h", ended.found, demanded)


@check("cdb-firmware", Area.CDB, "CMD-04", "the firmware features have values that mean something", Level.SAFE)
def firmware(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    need_command(s, FIRMWARE_FEATURES)
    data = ask(s, FIRMWARE_FEATURES)
    if len(data) < MANAGEMENT_FEATURES.sizeof():
        yield failed("CMD-04", "reply", f"{len(data)} bytes", f"{MANAGEMENT_FEATURES.sizeof()}", data)
        return
    said = MANAGEMENT_FEATURES.parse(data)
    start = int(said.start_cmd_payload_size)
    yield judged(start <= START_BYTES, "CMD-04", "StartCmdPayloadSize", f"{start}", f"at most {START_BYTES}", data)
    for where, value in (("write mechanism", said.write_mechanism), ("read mechanism", said.read_mechanism)):
        yield judged(value in MECHANISMS, "CMD-04", where, f"{value:02X}h", "00h, 01h, 10h or 11h", data)


@check("cdb-applications", Area.CDB, "CMD-06", "applications and interface codes are told as advertised", Level.SAFE)
def applications(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    listed, _ = rows(s)
    told = [number for number in (APPLICATION, INTERFACE) if lists(s, number)]
    if not told or not listed:
        raise AbsentError("neither command 0050h nor 0051h is listed")
    if APPLICATION in told:
        for row in listed:
            number = row.app_sel.to_bytes(2, "big")
            data = ask(s, APPLICATION, number)
            good = data[:2] == number and len(data) == 20
            yield judged(
                good, "CMD-06", f"0050h of {row.subject}", data.hex(" "), f"20 bytes from {number.hex(' ')} on"
            )
        ended = run(s, APPLICATION, (len(listed) + 1).to_bytes(2, "big"))
        beyond = f"0050h of AppSel {len(listed) + 1}"
        if len(listed) < 15:
            yield judged(ended.status == PARAMETER, "CMD-06", beyond, ended.found, "42h")
    if INTERFACE in told:
        codes = sorted({(row.host, HOST) for row in listed} | {(row.media, MEDIA) for row in listed})
        for code, location in codes:
            head = bytes([0, code, location])
            data = ask(s, INTERFACE, head)
            text = data[3:67]
            good = data[:3] == head and len(data) in (92, 96) and all(32 <= c < 127 for c in text)
            where = f"0051h of {'host' if location else 'media'} {code:02X}h"
            yield judged(good, "CMD-06", where, data.hex(" "), "92 bytes, its own code first, text printable")


@check("cdb-temperatures", Area.CDB, "CMD-07", "the temperature histogram adds up", Level.SAFE)
def temperatures(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    need_command(s, TEMPERATURES)
    data = ask(s, TEMPERATURES, b"\0")
    if len(data) != TEMPERATURE_REPLY.sizeof():
        yield failed("CMD-07", "reply", f"{len(data)} bytes", f"{TEMPERATURE_REPLY.sizeof()}", data)
        return
    head = TEMPERATURE_REPLY.sizeof() - 4 * (1 + TEMPERATURE_BINS)
    off: list[int] = []
    for order in (">", "<"):  # which byte order is right is not settled
        total, *bins = struct.unpack(f"{order}{1 + TEMPERATURE_BINS}I", data[head:])
        off.append(abs(total - sum(bins)))
    good = min(off) <= TEMPERATURE_BINS
    yield judged(good, "CMD-07", "TotalSeconds", f"{min(off)} s off", "the sum of the bins, rounded", data)


@check("cdb-identity", Area.CDB, "CMD-09", "the device's certificate can be read in pieces", Level.SAFE)
def identity(s: Session) -> Iterator[Outcome]:
    need_cdb(s)
    need_command(s, CERTIFICATE)
    features = ask(s, SECURITY_FEATURES)
    if len(features) < SECURITY_FEATURES_REPLY.sizeof():
        yield failed("CMD-09", "0044h", f"{len(features)} bytes", f"{SECURITY_FEATURES_REPLY.sizeof()}", features)
        return
    said = SECURITY_FEATURES_REPLY.parse(features)
    size = int(said.certificate_lengths[0])
    if not 0 < size <= LARGEST:
        yield failed("CMD-09", "CertificateLengths", f"{size}", f"1 to {LARGEST}", features)
        return
    found = bytearray()
    for segment in range(size):  # at least a byte each
        data = ask(s, CERTIFICATE, bytes([0, segment]))
        good = 3 < len(data) <= 3 + SEGMENT_BYTES and data[:3] == bytes([0, 0, segment])
        yield judged(
            good, "CMD-09", f"segment {segment}", data[:3].hex(" "), f"00 00 {segment:02x} and up to 117 bytes", data
        )
        found += data[3:]
        if not good or len(found) >= size:
            break
    yield judged(len(found) == size, "CMD-09", "certificate", f"{len(found)} bytes", f"{size}, as 0044h says")
    if said.certificate_format == X509_DER:
        inside = int.from_bytes(found[2:4], "big") + 4 if found[1:2] == b"\x82" else 0
        good = found[:1] == bytes([DER_SEQUENCE]) and inside == len(found)
        yield judged(good, "CMD-09", "form", bytes(found[:4]).hex(" "), "one DER sequence of that length")


CHECKS = (commands, bitmaps, firmware, applications, temperatures, identity)
