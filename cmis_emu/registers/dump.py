"""Reads register dumps that people have as text: pages of bytes, by page and bank.

Owns the layouts: rows with page and bank in them (`11 0 80: ...`), and plain rows of 16 bytes from an
offset, as `i2cdump`, `ethtool -m ... hex on`, `xxd` and `hexdump -C` print them. Without page names the
linear order of ethtool is taken: lower memory, 00h, 01h, 02h.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmis_emu.errors import InputError
from cmis_emu.registers.field import LOWER, PAGE_BYTES
from cmis_emu.registers.regmap import page_number

_PAGED = re.compile(r"^\s*(lower|[0-9a-f]{2})\s+(\d)\s+([0-9a-f]{2}):((?:\s[0-9a-f]{2}){1,16})", re.IGNORECASE)
_LINEAR = re.compile(r"^\s*(?:0x)?([0-9a-f]{2,8}):?\s+((?:[0-9a-f]{2}\s+|[0-9a-f]{4}\s+){1,16})", re.IGNORECASE)
_ORDER = (LOWER, 0, 1, 2)

Pages = dict[tuple[int, int], bytes]


def read_dump(path: Path) -> Pages:
    """128-byte pages by (page, bank), bytes that the text lacks as 0. Raises InputError."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise InputError(error.strerror or str(error), "a readable dump", file=str(path)) from None
    found: dict[tuple[int, int], bytearray] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        paged = _PAGED.match(line)
        if paged is not None:
            page, bank, offset = page_number(_name(paged[1])), int(paged[2]), int(paged[3], 16)
            _store(found, (page, bank), offset % PAGE_BYTES, bytes.fromhex(paged[4]), path, number)
            continue
        linear = _LINEAR.match(line + " ")
        if linear is not None:
            offset, data = int(linear[1], 16), bytes.fromhex(linear[2])
            index = offset // PAGE_BYTES
            if index >= len(_ORDER):
                raise InputError(
                    f"offset {offset:#x}",
                    "at most 0x1ff in a dump without pages",
                    file=str(path),
                    line=number,
                )
            _store(found, (_ORDER[index], 0), offset % PAGE_BYTES, data, path, number)
    if not found:
        raise InputError("no row of bytes", "rows such as '00: 18 52 ...'", file=str(path))
    return {key: bytes(block) for key, block in found.items()}


def _name(text: str) -> str:
    return text if text.lower() == "lower" else f"{text}h"


def _store(
    pages: dict[tuple[int, int], bytearray],
    key: tuple[int, int],
    offset: int,
    data: bytes,
    path: Path,
    line: int,
) -> None:
    block = pages.setdefault(key, bytearray(PAGE_BYTES))
    if offset + len(data) > PAGE_BYTES:
        raise InputError(f"{len(data)} bytes from {offset}", "a row inside its page", file=str(path), line=line)
    block[offset : offset + len(data)] = data
