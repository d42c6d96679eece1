"""Register access: the address counter, roll-over, long reads, hold-off; write-only bytes read 0."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import Area, Outcome, check, judged, passed
from cmis_emu.judge.session import Session
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Access

HOLD_OFF_S = 0.010  # tNACK, tWRITE, tBPC (I2C-11)
POLL_S = 0.002  # how much later than its end a refusal is noticed
FULL_PAGE = 2  # FullPageReadSupported
SHORT = 8  # bytes of a read that every module serves (I2C-05)


@check(
    "address-counter", Area.ACCESS, "I2C-03", "a current-address read goes on where the last access ended", live=True
)
def address_counter(s: Session) -> Iterator[Outcome]:
    text = s.page(0)
    s.select(0, force=True)
    at = s.regmap.field("VendorName").at
    for length in (1, 3):
        s.host.read(at, length)
        found = s.host.read_current(SHORT)
        start = at + length - PAGE_BYTES
        expected = text[start : start + SHORT]
        yield judged(found == expected, "I2C-03", f"after a read of {length} at 00h:{at}", found.hex(" "),
                     expected.hex(" "), found)  # fmt: skip
    again = s.host.read_current(2)
    start += SHORT
    expected = text[start : start + 2]
    yield judged(again == expected, "I2C-03", "after a current-address read", again.hex(" "), expected.hex(" "), again)


@check("roll-over", Area.ACCESS, "I2C-04", "reads roll over inside their half", live=True)
def roll_over(s: Session) -> Iterator[Outcome]:
    page = s.page(0)
    s.select(0, force=True)
    found = s.host.read(2 * PAGE_BYTES - SHORT // 2, SHORT)
    expected = page[-SHORT // 2 :] + page[: SHORT // 2]
    yield judged(found == expected, "I2C-04", "page 00h", found.hex(" "), expected.hex(" "), found)
    start = s.regmap.field("PasswordEntryArea").span[1] + 1  # the two select bytes, then byte 0
    last = PAGE_BYTES - start
    found = s.host.read(start, last + 3)
    expected = bytes(last) + s.page(LOWER)[:3]
    yield judged(found[last:] == expected[last:], "I2C-04", "lower memory", found.hex(" "),
                 f"the last three bytes {expected[last:].hex(' ')}", found)  # fmt: skip


@check("long-reads", Area.ACCESS, "I2C-05", "a read of 128 bytes gives what reads of 8 give", live=True)
def long_reads(s: Session) -> Iterator[Outcome]:
    if s.read_limit == SHORT and not (s.has("FullPageReadSupported") and s.code("FullPageReadSupported") == FULL_PAGE):
        yield passed("I2C-05", "page 00h", "reads beyond 8 bytes are not served, as the base standard allows")
        return
    for number in (0,) if s.flat else (0, 1, 2):
        s.select(number)
        long = s.host.read(PAGE_BYTES, PAGE_BYTES)
        short = b"".join(s.host.read(at, SHORT) for at in range(PAGE_BYTES, 2 * PAGE_BYTES, SHORT))
        differ = [PAGE_BYTES + i for i, (a, b) in enumerate(zip(long, short, strict=True)) if a != b]
        found = f"{len(differ)} bytes differ, first {differ[0]}" if differ else ""
        yield judged(not differ, "I2C-05", f"page {number:02X}h", found, "the same bytes")


@check("write-only", Area.ACCESS, "I2C-08", "write-only and self-clearing bytes read 0")
def write_only(s: Session) -> Iterator[Outcome]:
    seen = 0
    for number, compiled in s.compiled.pages.items():
        if not s.in_image(number):
            continue
        for field in compiled.fields:
            if field.access is not Access.WO or field.note.startswith("0 nothing"):
                continue
            codes = s.codes(field.name) if field.page == number else []
            seen += 1
            if any(codes):
                yield judged(False, "I2C-08", field.name, f"{codes}", "0", s.show(field.name))
    if seen:
        yield passed("I2C-08", f"{seen} fields")


@check("hold-off", Area.ACCESS, "I2C-11", "refusals after writes end in time", live=True)
def hold_off(s: Session) -> Iterator[Outcome]:
    for number in (0,) if s.flat else (1, 2, 0):
        s.select(number, force=True)
        s.host.read(PAGE_BYTES, 1)
    longest = s.host.longest_refusal_s
    yield judged(
        longest <= HOLD_OFF_S + POLL_S,
        "I2C-11",
        "page selects and writes so far",
        f"refused for {longest * 1000:.1f} ms",
        f"at most {HOLD_OFF_S * 1000:g} ms",
    )


CHECKS = (address_counter, roll_over, long_reads, write_only, hold_off)
