"""Identity and advertisement: text, codes, power class, checksums, reserved bits, advertised durations."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, failed, judged, not_applicable, passed
from cmis_emu.judge.session import KNOWN_REVISIONS, Session
from cmis_emu.registers.field import LOWER, PAGE_BYTES
from cmis_emu.registers.regmap import PageMap, page_name

TEXTS = ("VendorName", "VendorPN", "VendorRev", "VendorSN")
DATES = ("DateCodeYear", "DateCodeMonth", "DateCodeDayOfMonth")
PRINTABLE = range(0x20, 0x7F)
MAX_POWER_W = (1.5, 3.5, 7.0, 8.0, 10.0, 12.0, 14.0)
"""Most that each power class may draw, classes 1 to 7; class 8 is above 14 W (ID-12)."""
ALIKE, ALIKE_BYTES = 0.7, 4  # share of the bytes that are not 0, and how many there must be, to call pages copies
CUSTOM_CODES = 0x80  # codes from here are the vendors' in the SFF-8024 tables of connectors and technologies
DURATIONS = (
    "MaxDurationDPInit",
    "MaxDurationDPDeinit",
    "MaxDurationModulePwrUp",
    "MaxDurationModulePwrDn",
    "MaxDurationDPTxTurnOn",
    "MaxDurationDPTxTurnOff",
)


@check("revision", Area.IDENTITY, "REV-01", "CmisRevision names a published revision")
def revision(s: Session) -> Iterator[Outcome]:
    major, minor = s.code("CmisRevision") >> 4, s.code("CmisRevision") & 0xF
    known = ", ".join(f"{a}.{b}" for a, b in KNOWN_REVISIONS)
    note = "revision 3.0 is older than the rules" if major == 3 else ""
    yield judged(
        (major, minor) in KNOWN_REVISIONS,
        "REV-01",
        "CmisRevision",
        f"{major}.{minor}",
        f"one of {known}",
        s.show("CmisRevision"),
        note,
    )


@check("identifier", Area.IDENTITY, "HOST-01", "the identifier is known and the same in both places")
def identifier(s: Session) -> Iterator[Outcome]:
    code = s.code("SFF8024Identifier")
    name = s.label("SFF8024Identifier", code)
    yield judged(
        bool(name),
        "HOST-01",
        "SFF8024Identifier",
        f"{code:02X}h",
        "a code that SFF-8024 knows",
        s.show("SFF8024Identifier"),
    )
    copy = s.code("SFF8024IdentifierCopy")
    yield judged(
        copy == code,
        "HOST-01",
        "SFF8024IdentifierCopy",
        f"{copy:02X}h on page 00h, {code:02X}h in lower memory",
        "the same code twice",
        s.show("SFF8024Identifier", "SFF8024IdentifierCopy"),
    )


@check("text", Area.IDENTITY, "NUM-03", "text is printable ASCII, left-justified, padded with blanks")
def text(s: Session) -> Iterator[Outcome]:
    for name in TEXTS:
        raw = s.raw(name)
        wrong = [f"{c:02X}h" for c in raw if c not in PRINTABLE]
        if wrong:
            found = "all 00h" if not any(raw) else f"{len(wrong)} bytes that are no printable text ({wrong[0]})"
            yield failed("NUM-03", name, found, "printable ASCII padded with 20h", s.show(name))
        elif raw.startswith(b" ") and raw.strip():
            yield failed("NUM-03", name, "leading blanks", "left-justified text", s.show(name))
        else:
            yield passed("NUM-03", name, "" if raw.strip() else "blank")


@check("date-code", Area.IDENTITY, "NUM-03", "the date code is two digits each of year, month and day")
def date_code(s: Session) -> Iterator[Outcome]:
    raw = [s.raw(name) for name in DATES]
    shown = s.show(*DATES)
    if not all(each.isdigit() for each in raw):
        found = b"".join(raw).decode("ascii", "replace")
        yield failed("NUM-03", "date code", repr(found), "six decimal digits, YYMMDD", shown)
        return
    _, month, day = (int(each) for each in raw)
    good = 1 <= month <= 12 and 1 <= day <= 31
    yield judged(good, "NUM-03", "date code", f"month {month}, day {day}", "month 1 to 12, day 1 to 31", shown)


@check("power-class", Area.IDENTITY, "ID-12", "the maximum power fits the power class")
def power_class(s: Session) -> Iterator[Outcome]:
    code, power = s.code("ModulePowerClass"), s.value("MaxPower")
    assert isinstance(power, float)
    shown = s.show("ModulePowerClass", "MaxPower")
    if code == len(MAX_POWER_W):
        found, demanded = f"class 8 with {power:g} W", f"more than {MAX_POWER_W[-1]:g} W"
        yield judged(power > MAX_POWER_W[-1], "ID-12", "MaxPower", found, demanded, shown)
        return
    limit = MAX_POWER_W[code]
    found, demanded = f"class {code + 1} with {power:g} W", f"at most {limit:g} W"
    note = "0 W: not stated" if power == 0 else ""
    yield judged(power <= limit, "ID-12", "MaxPower", found, demanded, shown, note)


@check("codes", Area.IDENTITY, "ID-01", "connector, technology and media type are known codes")
def codes(s: Session) -> Iterator[Outcome]:
    for name in ("ConnectorType", "MediaInterfaceTechnology", "MediaType"):
        code = s.code(name)
        good = bool(s.label(name, code)) or code >= CUSTOM_CODES
        note = "undefined" if name == "MediaType" and code == 0 else ""
        yield judged(good, "ID-01", name, f"code {code:02X}h", "a code that SFF-8024 knows", s.show(name), note)


@check("checksums", Area.IDENTITY, "NUM-05", "page checksums fit their pages")
def checksums(s: Session) -> Iterator[Outcome]:
    for page in s.regmap.pages.values():
        span = page.checksum
        if span is None or (not s.advertised(page.number) and s.in_image(LOWER)):
            continue
        where = f"page {page.name}"
        if not s.in_image(page.number):
            yield not_applicable("NUM-05", where, f"page {page.name} is not in the image")
            continue
        data = s.page(page.number)
        stored, computed = data[span.at - page.first], span.of(data)
        yield judged(
            stored == computed,
            "NUM-05",
            where,
            f"{stored:02X}h",
            f"{computed:02X}h, the low byte of the sum of bytes {span.first} to {span.last}",
            f"{page.name}:{span.at} = {stored:02x}",
        )


@check("reserved", Area.IDENTITY, "HOST-06", "reserved bytes and bits read 0")
def reserved(s: Session) -> Iterator[Outcome]:
    for number, page in s.regmap.pages.items():
        if (not s.advertised(number) and s.in_image(LOWER)) or not s.in_image(number):
            continue
        where = f"page {page.name}"
        try:
            data = s.page(number)
        except AbsentError as absent:  # an advertised page that cannot be selected is another check's
            yield not_applicable("HOST-06", where, str(absent))
            continue
        if echo_of(s, number):
            yield not_applicable("HOST-06", where, f"shows a copy of {echo_of(s, number)}")
            continue
        owned = owned_bits(page)
        wrong = [i for i, value in enumerate(data) if value & ~owned[i]]
        if wrong:
            shown = ", ".join(f"{page.name}:{page.first + i} = {data[i]:02x}" for i in wrong[:12])
            found = f"{len(wrong)} bytes with reserved bits set"
            yield failed("HOST-06", where, found, "0 in every bit that no field has", shown)
        else:
            yield passed("HOST-06", where)


@check("durations", Area.IDENTITY, "DP-12 MSM-07", "advertised durations are codes that mean something")
def durations(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field(DURATIONS[0]).page)
    for name in DURATIONS:
        code = s.code(name)
        rule = "MSM-07" if "Module" in name else "DP-12"
        good = bool(s.label(name, code))
        yield judged(good, rule, name, f"code {code}", "a code from 0 to 13", s.show(name))


def owned_bits(page: PageMap) -> bytes:
    """Bits of the page that a field of any revision covers."""
    owned = bytearray(PAGE_BYTES)
    for field in page.fields:
        for at, mask in field.masks():
            owned[at - page.first] |= mask
    return bytes(owned)


def echo_of(s: Session, page: int, bank: int = 0) -> str:
    """What an upper page is a copy of ('page 00h', 'lower memory'), or ''."""
    if page in (LOWER, 0):
        return ""
    data = s.page(page, bank)
    if s.in_image(0) and alike(data, s.page(0)):
        return f"page {page_name(0)}"
    if s.in_image(LOWER):  # most of it lives: the list of applications does not
        group = s.regmap.group("ApplicationDescriptor")
        first, last = min(f.span[0] for f in group), max(f.span[1] for f in group)
        if alike(data[first : last + 1], s.page(LOWER)[first : last + 1]):
            return "lower memory"
    return ""


def own_page(s: Session, page: int) -> None:
    """Go on only when the module has the page, with contents of its own."""
    s.need_page(page)
    if echo := echo_of(s, page):
        raise AbsentError(f"page {page_name(page)} shows a copy of {echo}")


def alike(data: bytes, other: bytes) -> bool:
    """Is `data` a copy of `other`, save for what lives or was edited? Zeros do not count."""
    said = [i for i, value in enumerate(other) if value]
    same = sum(data[i] == other[i] for i in said)
    return len(said) >= ALIKE_BYTES and same >= ALIKE * len(said)


CHECKS = (revision, identifier, text, date_code, power_class, codes, checksums, reserved, durations)
