"""Places in a module's memory as scenarios write them: `11h:154-169`, `L:14`, `11h:154.3`, `10h`.

Owns the notation. `L` is the lower memory (bytes 0 to 127), `11h` a page (bytes 128 to 255); `11h/1` is bank 1 of
it, where no bank is named every bank is meant. `.3` is a bit and `.7-4` are bits, of one byte. A page alone is the
whole of it.
"""

from __future__ import annotations

import re

from cmis_emu.errors import InputError
from cmis_emu.registers.field import LOWER, PAGE_BYTES
from cmis_emu.registers.place import ALL_BITS, Place

__all__ = ["Place", "parse_page", "parse_place"]

_PAGE = r"(?P<page>[Ll]|[0-9A-Fa-f]{1,2}h)(?:/(?P<bank>\d{1,2}))?"
_PLACE = re.compile(
    rf"\s*{_PAGE}(?::(?P<first>\d{{1,3}})(?:-(?P<last>\d{{1,3}}))?(?:\.(?P<high>\d)(?:-(?P<low>\d))?)?)?\s*\Z"
)
_EXPECTED = "a place such as '11h:154-169', 'L:14', '11h:154.3' or '11h/1:154'"
_BANKS = 16  # BankSelect values that any page of CMIS knows


def parse_place(text: str) -> Place:
    """The place that `text` names. Raises InputError."""
    match = _PLACE.match(text)
    if match is None:
        raise InputError(repr(text), _EXPECTED)
    page = LOWER if match["page"] in ("L", "l") else int(match["page"][:-1], 16)
    bank = None if match["bank"] is None else int(match["bank"])
    if bank is not None and (page == LOWER or bank >= _BANKS):
        raise InputError(repr(text), f"a bank from 0 to {_BANKS - 1} of a page, none of the lower memory")
    base = 0 if page == LOWER else PAGE_BYTES
    first = base if match["first"] is None else int(match["first"])
    last = int(match["last"] or first) if match["first"] is not None else base + PAGE_BYTES - 1
    if not base <= first <= last < base + PAGE_BYTES:
        half = "the lower memory" if page == LOWER else "a page"
        raise InputError(
            repr(text), f"bytes from {base} to {base + PAGE_BYTES - 1} of {half}, the first not after the last"
        )
    return Place(page, first, last, bank, _mask(text, match, single=first == last))


def parse_page(text: str) -> Place:
    """A page alone, such as `11h` or `11h/1`: all of its bytes. Raises InputError."""
    place = parse_place(text)
    if len(place) != PAGE_BYTES or place.page == LOWER:
        raise InputError(repr(text), "a page such as '11h' or '11h/1'")
    return place


def _mask(text: str, match: re.Match[str], *, single: bool) -> int:
    if match["high"] is None:
        return ALL_BITS
    high = int(match["high"])
    low = high if match["low"] is None else int(match["low"])
    if not single or not 7 >= high >= low:
        raise InputError(repr(text), "bits 7 to 0 of one byte, the higher first, such as '11h:154.3' or 'L:3.3-1'")
    return ((2 << high) - 1) & ~((1 << low) - 1) & ALL_BITS
