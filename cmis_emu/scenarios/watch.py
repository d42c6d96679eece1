"""Notices what changes in a module while a scenario runs: states, results, flags, pins. For its timeline.

It looks at the bytes, without side effects, and tells a change by CMIS name.
"""

from __future__ import annotations

from cmis_emu.module.module import Module
from cmis_emu.port import Port
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.regmap import CompiledPage
from cmis_emu.registers.view import decode_page

PINS = ("IntL", "ModPrsL")
_SPANS = {LOWER: ((3, 14),), 0x11: ((128, 154), (202, 206), (235, 236))}
"""Bytes that are watched, per page: module state and flags; data path states, outputs, flags, results."""


class RegisterWatch:
    """One port. `changes` tells, in words, what is different since the last call."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._module: Module | None = None
        self._bytes: dict[tuple[int, int], bytes] = {}
        self._pins: dict[str, bool] = {}

    def start(self) -> None:
        """From now on."""
        self.changes()

    def changes(self) -> list[str]:
        """One text for each pin, field or lane that has changed."""
        found = []
        pins = {name: self._port.pins.get(name) for name in PINS}
        for name, level in pins.items():
            if self._pins and self._pins[name] is not level:
                found.append(f"{name} {'high' if level else 'low'}")
        self._pins = pins
        module = self._port.occupant
        if module is not self._module:
            self._module = module
            self._bytes = {}
        if module is not None:
            for number, bank, compiled in self._pages(module):
                data = bytes(module.memory.page(number, bank).data)
                before = self._bytes.get((number, bank))
                self._bytes[number, bank] = data
                if before is not None and before != data:
                    found += _told(module, number, compiled, before, data)
        return found

    @staticmethod
    def _pages(module: Module) -> list[tuple[int, int, CompiledPage]]:
        pages = module.profile.compiled.pages
        wanted = [(LOWER, 0), *((0x11, bank) for bank in range(len(module.banks)))]
        return [(number, bank, pages[number]) for number, bank in wanted if number in pages]


def _told(module: Module, number: int, compiled: CompiledPage, before: bytes, after: bytes) -> list[str]:
    first = 0 if number == LOWER else 128
    spans = _SPANS[number]
    if all(before[a - first : b - first] == after[a - first : b - first] for a, b in spans):
        return []
    regmap = module.profile.regmap
    page = regmap.pages[number]
    names = {field.name for field in compiled.fields if any(a <= field.at < b for a, b in spans)}
    rows = zip(decode_page(page, before, regmap.enums), decode_page(page, after, regmap.enums), strict=True)
    found: dict[tuple[str, str], list[int]] = {}
    for old, new in rows:
        if new.name in names and old.text != new.text:
            found.setdefault((new.name, f"{old.text} -> {new.text}"), []).append(new.lane or 0)
    return [
        f"{name}{'' if lanes == [0] else ' lanes ' + ','.join(map(str, lanes))} {change}"
        for (name, change), lanes in found.items()
    ]
