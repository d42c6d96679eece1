"""Raw bytes by the back door: what a host cannot write gets a value, for tools that set values by bytes.

Owns what that means for each kind of byte. A static one is from now on the product's, reset or not, and the checksum
of its page fits. A flag or a state holds until the module changes it. A reading holds: it is computed at each read,
so the bytes lie over it until the module leaves or a snapshot is put back, as those of a fault do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cmis_emu.registers.memory import Memory, Page
from cmis_emu.registers.place import Place


@dataclass(eq=False, slots=True)
class Held:
    """Bits that lie over what a page computes: by index of the byte, which bits and their value."""

    bits: dict[int, tuple[int, int]] = field(default_factory=dict)
    checksummed: bool = False

    def cover(self, page: int, block: bytearray) -> None:
        """As `Override` says."""
        for index, (mask, value) in self.bits.items():
            block[index] = block[index] & ~mask & 0xFF | value & mask


def overwrite(memory: Memory, number: int, bank: int, address: int, data: bytes, now_ns: int) -> None:
    """Give the bits that a host cannot write of these bytes the value of `data`; the others stay as they are.

    Raises InputError for what is not of the page, or for a page that is not there.
    """
    banked = number in memory.compiled.pages and memory.compiled.pages[number].banked
    page = memory.page(number, bank if banked else 0)
    before = memory.fetch(page.number, page.bank, address, len(data), held=True)
    start = address - page.first
    masks = [~each & 0xFF for each in page.compiled.write_mask[start : start + len(data)]]
    wanted = bytes(old & ~mask & 0xFF | new & mask for old, new, mask in zip(before, data, masks, strict=True))
    _let_go(page, start, len(data))
    memory.store(page.number, page.bank, address, wanted)
    _keep_static(memory, page, address, len(data))
    if page.live is not None:
        page.live.refresh(now_ns)
    found = memory.fetch(page.number, page.bank, address, len(data))
    for step, (mask, is_, ought) in enumerate(zip(masks, found, wanted, strict=True)):
        if (is_ ^ ought) & mask:
            _hold(memory, page, start + step, mask, ought)


def _keep_static(memory: Memory, page: Page, address: int, length: int) -> None:
    end = address + length
    checksum = memory.regmap.pages[page.number].checksum
    for each in page.compiled.fields:
        first, last = each.span
        if first >= end or last < address:
            continue
        if each.static:
            if checksum is None or not address <= checksum.at < end:  # a checksum that is written is meant
                memory.update_checksum(each)
            memory.keep(each)


def _held(page: Page) -> Held | None:
    overrides = () if page.overlay is None else page.overlay.overrides
    return next((each for each in overrides if isinstance(each, Held)), None)


def _let_go(page: Page, start: int, length: int) -> None:
    held = _held(page)
    if held is not None:
        for index in range(start, start + length):
            held.bits.pop(index, None)


def _hold(memory: Memory, page: Page, index: int, mask: int, value: int) -> None:
    held = _held(page)
    if held is None:
        held = Held()
        memory.override(Place(page.number, page.first, page.first, page.bank), held)
    held.bits[index] = (mask, value)
