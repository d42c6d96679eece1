"""A picture of a module behind a bus: select bytes act, nothing else does."""

from __future__ import annotations

from cmis_emu.bus.static import StaticDevice
from cmis_emu.bus.target import Target
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.loader import load_maps

PAGES = {(LOWER, 0): bytes(128), (0x00, 0): b"\x18" * 128, (0x11, 0): b"\x11" * 128, (0x11, 1): b"\x21" * 128}


def target(pages: dict[tuple[int, int], bytes]) -> Target:
    return Target(StaticDevice(pages, load_maps()))


def upper(found: Target, bank: int, page: int) -> tuple[bytes, bytes]:
    """One byte of the upper half and the select bytes after a select."""
    found.write(bytes([126, bank, page]))
    found.write(b"\x80")
    data = found.read(1)
    found.write(b"\x7e")
    selects = found.read(2)
    assert data is not None
    assert selects is not None
    return data, selects


def test_pages_and_banks_of_the_image_are_mapped() -> None:
    module = target(PAGES)
    assert upper(module, 0, 0x11) == (b"\x11", b"\x00\x11")
    assert upper(module, 1, 0x11) == (b"\x21", b"\x01\x11")
    module.write(b"\x7e\x00")  # BankSelect alone waits for PageSelect (PAGE-02)
    module.write(b"\x80")
    assert module.read(1) == b"\x21"


def test_a_page_that_the_image_lacks_answers_as_page_00h() -> None:
    assert upper(target(PAGES), 0, 0x13) == (b"\x18", b"\x00\x00")
    assert upper(target(PAGES), 2, 0x11) == (b"\x18", b"\x00\x00")


def test_writes_change_nothing() -> None:
    module = target(PAGES)
    assert module.write(b"\x1a\xff\xff") == 3
    assert module.write(b"\x80\xff") == 2
    module.write(b"\x1a")
    assert module.read(2) == b"\0\0"
    module.write(b"\x80")
    assert module.read(1) == b"\x18"


def test_reads_roll_over_in_their_half() -> None:
    module = target({**PAGES, (0x00, 0): bytes(range(128))})
    module.write(b"\xff")
    assert module.read(3) == b"\x7f\x00\x01"


def test_a_flat_image_ignores_selects() -> None:
    lower = bytearray(128)
    lower[2] = 0x80
    module = target({**PAGES, (LOWER, 0): bytes(lower)})
    assert upper(module, 0, 0x11) == (b"\x18", b"\0\0")
