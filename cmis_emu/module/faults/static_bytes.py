"""How what a module says of itself can be wrong: static bytes that are not what the product should hold.

Owns the difference between the product's bytes and those with faults, now and after each reset; any number of rules
on the same bytes, cleared in any order, leave what was there before. Checksums follow, as the vendor's would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.registers.memory import Memory

Patch = Callable[[int, bytearray], None]
"""Changes the 128 bytes of a page, which is given by its number."""


@dataclass(eq=False, slots=True)
class Misprint(Rule):
    """Static bytes of these pages are wrong. `patch` is applied to the bytes that the product has."""

    pages: frozenset[int]
    patch: Patch


class StaticFaults(Seam[Misprint]):
    """The seam of one module's static pages."""

    __slots__ = ("_known", "_memory")

    def __init__(self, memory: Memory, changed: Callable[[Rule, bool], None]) -> None:
        super().__init__(changed)
        self._memory = memory
        self._known: dict[int, bytes] = {}  # images of pages as the product has them

    def add(self, rule: Misprint) -> None:
        """Arm a rule."""
        if rule not in self.rules:
            self._print((*self.rules, rule), rule.pages)
        super().add(rule)

    def remove(self, rule: Misprint) -> None:
        """Clear a rule."""
        if rule in self.rules:
            self._print(tuple(each for each in self.rules if each is not rule), rule.pages)
        super().remove(rule)

    def _print(self, rules: tuple[Misprint, ...], pages: frozenset[int]) -> None:
        memory = self._memory
        for number in pages:
            if (number, 0) not in memory.pages:
                continue
            page = memory.page(number)
            before = memory.image.get(number, page.compiled.reset)
            product = self._known.setdefault(number, before)
            wanted = bytearray(product)
            for rule in rules:
                if number in rule.pages:
                    rule.patch(number, wanted)
            checksum = memory.regmap.pages[number].checksum
            if checksum is not None and wanted != product:
                wanted[checksum.at - 128] = checksum.of(bytes(wanted))
            memory.image = {**memory.image, number: bytes(wanted)}
            for bank in range(8):
                if (number, bank) in memory.pages:
                    data = memory.pages[number, bank].data
                    for index, (old, new) in enumerate(zip(before, wanted, strict=True)):
                        if old != new:
                            data[index] = new
            if not any(number in rule.pages for rule in rules):
                del self._known[number]
