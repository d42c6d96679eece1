"""Writes that disturb nothing: what must not take, what must hold, and staged sets that only remember."""

from __future__ import annotations

from collections.abc import Iterator

from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged
from cmis_emu.judge.checks.identity import echo_of, owned_bits
from cmis_emu.judge.session import Session
from cmis_emu.registers.field import LOWER, Access, Kind, OnWrite
from cmis_emu.registers.regmap import CompiledPage, page_name

PER_PAGE = 4  # bytes tried on each page
OBSERVED = ("DPStateHostLane", "ConfigStatusLane", "ACS.AppSelCodeLane", "ACS.DataPathIDLane")
SETTLE_S = 0.05
PROTECTED = (LOWER, 0x00, 0x01, 0x02, 0x10, 0x11)
"""Pages whose bytes are tried: those that every module has. Others may be behind a password (PW-02)."""


@check("read-only-bytes", Area.ACCESS, "I2C-07", "read-only and reserved bytes ignore writes", Level.SAFE)
def read_only_bytes(s: Session) -> Iterator[Outcome]:
    for number in PROTECTED:
        compiled = s.compiled.pages.get(number)
        if compiled is None or (number != LOWER and echo_of(s, number)):
            continue
        for at in _tried(s, compiled):
            page = s.regmap.pages[number]
            before = s.fetch(number, at, 1)
            s.store(number, at, bytes([before[0] ^ 0xFF]))
            after = s.fetch(number, at, 1)
            kind = "reserved" if not owned_bits(page)[at - page.first] else "read-only"
            if after != before:
                s.store(number, at, before)
            where = f"{page_name(number)}:{at} ({kind})"
            yield judged(after == before, "I2C-07", where, f"{after.hex()} after a write", before.hex(), after)


def _tried(s: Session, compiled: CompiledPage) -> list[int]:
    """Some static read-only bytes and some reserved ones of a page."""
    page = s.regmap.pages[compiled.number]
    owned = owned_bits(page)
    moving = {at for f in page.fields for at, _ in f.masks() if f.volatile or f.type == "custom" or f.count > 8}
    quiet = [
        page.first + i
        for i in range(len(owned))
        if not compiled.write_mask[i] and not compiled.trigger_mask[i] and not compiled.clear_mask[i]
    ]
    fixed = [at for at in quiet if compiled.implemented[at - page.first] and at not in moving]
    blank = [at for at in quiet if not owned[at - page.first]]
    return fixed[:: max(1, len(fixed) // PER_PAGE)][:PER_PAGE] + blank[:: max(1, len(blank) // PER_PAGE)][:PER_PAGE]


@check("read-back", Area.ACCESS, "I2C-09", "masks and staged sets read back what was written, and go back", Level.SAFE)
def read_back(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no masks and no control sets")
    masks = {field.masked_by for field in s.regmap if field.masked_by is not None}
    for number in (LOWER, 0x10):
        compiled = s.compiled.pages.get(number)
        for field in () if compiled is None else compiled.fields:
            if field.access is not Access.RW or field.on_write is OnWrite.TRIGGER or field.kind is Kind.BYTES:
                continue
            if field.name not in masks and not field.name.startswith("SCS"):
                continue
            for bank in range(s.banks if number != LOWER else 1):
                before = s.now_all(field.name, bank)
                wanted = [code ^ field.maximum for code in before]
                where = field.name + (f" bank {bank}" if bank else "")
                with s.keeping(field.name, bank=bank):
                    s.put(field.name, wanted, bank=bank)
                    found = s.now_all(field.name, bank)
                    yield judged(found == wanted, "I2C-09", where, f"{found}", f"{wanted}, as written")
                again = s.now_all(field.name, bank)
                if again != before:
                    yield judged(False, "I2C-09", where, f"{again} at the end", f"{before}, as before")


@check("staged-sets", Area.STATES, "CFG-01", "writing a staged set changes nothing but the set", Level.SAFE)
def staged_sets(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: no control sets")
    sets = ["SCS0", *(["SCS1"] if s.has("SCS1.AppSelCodeLane") else [])]
    for bank in range(s.banks):
        for each in sets:
            name = f"{each}.AppSelCodeLane"
            before = {seen: s.now_all(seen, bank) for seen in OBSERVED}
            with s.keeping(name, bank=bank):
                s.put(name, [code ^ 1 for code in s.now_all(name, bank)], bank=bank)
                s.wait(SETTLE_S)
                after = {seen: s.now_all(seen, bank) for seen in OBSERVED}
            changed = [seen for seen in OBSERVED if before[seen] != after[seen]]
            yield judged(
                not changed, "CFG-01", f"{each} bank {bank}", f"changed: {', '.join(changed)}", "no effect by itself"
            )


CHECKS = (read_only_bytes, read_back, staged_sets)
