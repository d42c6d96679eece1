"""Pages and banks: what must exist, what is advertised, what an unsupported page does, how mapping behaves."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, failed, judged, not_applicable, passed
from cmis_emu.judge.checks.identity import alike, echo_of
from cmis_emu.judge.session import Session
from cmis_emu.registers.field import LOWER, PAGE_BYTES
from cmis_emu.registers.regmap import page_name

REQUIRED = (0x00, 0x01, 0x02, 0x10, 0x11)
"""Pages that every module with paged memory has (PAGE-08)."""
CUSTOM_FROM = 0xB0  # pages B0h to FFh belong to the vendor, as do 1Eh and 1Fh (PAGE-11)
CUSTOM = (0x1E, 0x1F)
STATIC = ("VendorName", "VendorPN", "VendorSN")


@check("required-pages", Area.PAGES, "PAGE-08", "the pages that every module has can be selected and are no copies")
def required_pages(s: Session) -> Iterator[Outcome]:
    for number in (0,) if s.flat else REQUIRED:
        yield _there(s, number, "required")


@check("advertised-pages", Area.PAGES, "PAGE-08", "advertised pages can be selected and are no copies of other memory")
def advertised_pages(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no optional pages")
    for number in s.compiled.pages:
        if number != LOWER and number not in REQUIRED:
            yield _there(s, number, "advertised")


def _there(s: Session, number: int, kind: str) -> Outcome:
    where = f"page {page_name(number)}"
    if not s.in_image(number):
        return not_applicable("PAGE-08", where, "not in the image")
    found = s.select(number, force=True)
    if found != number:
        return failed("PAGE-08", where, f"PageSelect reads {page_name(found)}", f"the {kind} page is mapped")
    echo = echo_of(s, number)
    data = s.page(number)[:16].hex(" ")
    demanded = f"{kind}, so contents of its own"
    return judged(not echo, "PAGE-08", where, f"a copy of {echo}", demanded, f"{page_name(number)}:128 = {data} ...")


@check("unsupported-pages", Area.PAGES, "PAGE-04", "a page that is not advertised maps page 00h")
def unsupported_pages(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: select bytes do nothing (PAGE-05)")
    s.code("MemoryModel")
    first = s.page(0)
    probed = 0
    for number in range(1, CUSTOM_FROM):
        if number in s.compiled.pages or number in CUSTOM or not s.in_image(number):
            continue
        where = f"page {page_name(number)}"
        if s.image and (unread := _unread(s, number)) and not echo_of(s, number):
            yield not_applicable("PAGE-04", where, f"{unread}, which would advertise it, is not in the image")
            continue
        probed += 1
        found = s.select(number, force=True)
        s.forget_mapping()
        if found == 0:
            continue
        if found != number:
            yield failed("PAGE-04", where, f"PageSelect reads {page_name(found)}", "PageSelect 00h")
            continue
        data = s.read(PAGE_BYTES, PAGE_BYTES)
        if alike(data, first):
            yield passed(
                "PAGE-04", where, "not advertised; shows a copy of page 00h, though PageSelect keeps the number"
            )
            continue
        if s.image and not any(data):
            yield passed("PAGE-04", where, "not advertised; the image has zeros there, a placeholder")
            continue
        what = "holds only zeros" if not any(data) else "contents of its own"
        row = f"{page_name(number)}:128 = {data[:16].hex(' ')} ..."
        yield failed("PAGE-04", where, f"not advertised, yet mapped: {what}", "page 00h is mapped instead", row)
    if s.select(0, force=True) != 0:
        yield failed("PAGE-04", "page 00h", "PageSelect does not go back to 00h", "PageSelect 00h")
    elif s.image and not probed:
        yield not_applicable("PAGE-04", "", "the image holds advertised pages only")
    else:
        yield passed("PAGE-04", f"{probed} pages that are not advertised")


def _unread(s: Session, number: int) -> str:
    """The page that an image lacks and that says whether page `number` exists, or ''."""
    page = s.regmap.pages.get(number)
    asked = [s.regmap.field(c.name).page for choice in page.present for c in choice] if page else []
    return next((f"page {page_name(each)}" for each in asked if not s.in_image(each)), "")


@check(
    "mapping", Area.PAGES, "PAGE-01 PAGE-07", "select bytes read back; the mapping lasts until it is changed", live=True
)
def mapping(s: Session) -> Iterator[Outcome]:
    s.need_page(1)
    for number in (n for n in s.compiled.pages if n != LOWER):
        s.select(number, force=True)
        found = s.host.read(s.regmap.field("BankSelect").at, 2)
        good = found == bytes([0, number])
        yield judged(good, "PAGE-01", f"page {page_name(number)}", found.hex(" "), f"00 {number:02x}", found)
    s.select(1, force=True)
    before = s.host.read(PAGE_BYTES, 8)
    s.host.read(0, 4)
    after = s.host.read(PAGE_BYTES, 8)
    yield judged(
        before == after, "PAGE-07", "page 01h", after.hex(" "), f"{before.hex(' ')}, as before a read of lower"
    )


@check("bank-alone", Area.PAGES, "PAGE-02", "BankSelect has no effect until PageSelect is written", live=True)
def bank_alone(s: Session) -> Iterator[Outcome]:
    s.need_page(1)
    s.select(1, force=True)
    before = s.read(PAGE_BYTES, PAGE_BYTES)
    try:
        s.host.write(s.regmap.field("BankSelect").at, bytes([1]))
        s.forget_mapping()
        after = s.read(PAGE_BYTES, PAGE_BYTES)
        yield judged(before == after, "PAGE-02", "page 01h", "other bytes after a write of BankSelect", "the same page")
    finally:
        s.select(0, force=True)


@check("bank-ignored", Area.PAGES, "PAGE-03", "a page without banks ignores BankSelect", live=True)
def bank_ignored(s: Session) -> Iterator[Outcome]:
    s.need_page(2)
    before = s.page(2)
    try:
        found = s.select(2, 1, force=True)
        s.forget_mapping()
        after = s.read(PAGE_BYTES, PAGE_BYTES)
        good = found == 2 and before == after
        yield judged(good, "PAGE-03", "page 02h bank 1", f"PageSelect {page_name(found)}, {after[:8].hex(' ')} ...",
                     "page 02h, whatever BankSelect holds", before[:8])  # fmt: skip
    finally:
        s.select(0, force=True)


@check("banks", Area.PAGES, "PAGE-09", "every advertised bank of 10h and 11h can be selected", live=True)
def banks(s: Session) -> Iterator[Outcome]:
    s.need_page(0x11)
    at = s.regmap.field("BankSelect").at
    for number in (0x10, 0x11):
        for bank in range(s.banks):
            s.select(number, bank, force=True)
            found = s.host.read(at, 2)
            where = f"page {page_name(number)} bank {bank}"
            yield judged(found == bytes([bank, number]), "PAGE-09", where, found.hex(" "), f"{bank:02x} {number:02x}")


@check("flat", Area.PAGES, "PAGE-05", "a flat module ignores the select bytes", live=True)
def flat(s: Session) -> Iterator[Outcome]:
    if not s.flat:
        raise AbsentError("paged memory")
    at = s.regmap.field("BankSelect").at
    before = s.page(0)
    s.host.write(at, bytes([0, 1]))
    found, after = s.host.read(at, 2), s.read(PAGE_BYTES, PAGE_BYTES)
    yield judged(found == b"\0\0", "PAGE-05", "select bytes", found.hex(" "), "00 00: writes are ignored", found)
    yield judged(after == before, "PAGE-05", "upper memory", "other bytes after a page select", "page 00h always")


CHECKS = (required_pages, advertised_pages, unsupported_pages, mapping, bank_alone, bank_ignored, banks, flat)
