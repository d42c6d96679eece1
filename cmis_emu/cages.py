"""Ports and their modules as a way meets them that keeps a copy of a module elsewhere (`bus/cages.py`).

Owns how a copy's events reach the module: a write goes to the page that it was for, whatever is mapped here by then,
and is taken even while the module holds off, since a bus has acknowledged it. Costs a module nothing while nobody
keeps a copy of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cmis_emu.bus.cages import Latched, PagePlan, PageRules
from cmis_emu.clock import NEVER, Clock
from cmis_emu.module.module import Module
from cmis_emu.port import Port
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.memory import HALF, PAGE_SELECT, Memory, Page

_NOTHING = bytes(HALF)
_EVERYTHING = b"\xff" * HALF


class ModuleSource:
    """A module; meets `bus.cages.Source`."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.flat = module.profile.flat
        self.read_limit = module.read_limit
        self._memory: Memory = module.memory
        self._rules: dict[Page, tuple[tuple[object, ...], PageRules]] = {}

    def pages(self) -> Sequence[PagePlan]:
        """The lower memory first, then page 00h of bank 0."""
        order = sorted(self._memory.pages.items(), key=lambda item: (item[0][0], item[0][1]))
        return [self._plan(page) for _, page in order]

    def _plan(self, page: Page) -> PagePlan:
        limit = self.module.profile.behaviour.write_limit
        if page.number != LOWER and self.module.cdb is not None:
            limit = self.module.cdb.write_limit(page, limit)
        after = page.successor
        following = None if after is None else (after.number, after.bank)
        return PagePlan(page.number, page.bank, page.compiled.banked, limit, following)

    def rules(self, page: int, bank: int) -> PageRules:
        """The same object until something changes."""
        memory, found = self._memory, self._memory.pages[page, bank]
        state = (found.locked, found.taker is None, memory.gate is None, bool(memory.select_faults), len(found.hooks))
        known = self._rules.get(found)
        if known is None or known[0] != state:
            known = self._rules[found] = state, self._judge(found)
        return known[1]

    def _judge(self, page: Page) -> PageRules:
        memory, compiled = self._memory, page.compiled
        if page.locked:
            return PageRules(_NOTHING, compiled.clear_mask, _NOTHING)
        if page.taker is not None:
            return PageRules(_NOTHING, compiled.clear_mask, _EVERYTHING)
        if memory.gate is not None:
            return PageRules(compiled.write_mask, compiled.clear_mask, _EVERYTHING)
        hold = bytearray(compiled.trigger_mask)
        for index in page.hooks:
            hold[index] = 0xFF
        if page is memory.lower and memory.select_faults:
            hold[memory.regmap.field(PAGE_SELECT).at] = 0xFF
        return PageRules(compiled.write_mask, compiled.clear_mask, bytes(hold))

    def shown(self, page: int, bank: int, *, live: bool) -> bytes:
        """128 bytes as a host reads them; live ones fresh as far as their time has come."""
        memory = self._memory
        first = memory.pages[page, bank].first
        return memory.fetch(page, bank, first, HALF, self.module.clock.now_ns if live else NEVER)

    def mapped(self) -> tuple[int, int]:
        """Page and bank that the upper half shows."""
        return self.module.mapped()

    def ready(self) -> bool:
        """Out of reset, and not holding off."""
        return self.module.would_answer()

    def resets(self) -> int:
        """When it last left reset, in ns."""
        return self.module.started_ns

    def write(self, page: int, bank: int, address: int, data: bytes) -> None:
        """Takes effect as a write from the bus does."""
        module, memory = self.module, self._memory
        if not module.managed:
            return
        wanted = memory.pages[page, bank]
        mapped = memory.upper
        if address < HALF or wanted is mapped:
            module.write(address, data)
            return
        memory.upper = wanted  # somebody else has selected another page meanwhile; it is his, and stays
        module.write(address, data)
        if memory.upper is wanted:
            memory.upper = mapped

    def clocked_out(self, page: int, bank: int, address: int, count: int, cleared: dict[int, int]) -> None:
        """Clears those bits, and moves on where pages follow each other."""
        memory = self._memory
        length = min(count, HALF)
        data = bytearray(length)
        for index, bits in cleared.items():
            step = (index - address) % HALF
            if step < length:
                data[step] = bits
        wanted, mapped = memory.pages[page, bank], memory.upper
        if address >= HALF:
            memory.upper = wanted
        if wanted.overlay is not None:
            memory.read(address, length, 0)  # what lies under the overlay is what clears
        self.module.clocked_out(address, bytes(data))
        if address >= HALF and memory.upper is wanted:
            memory.upper = mapped

    def watch(self, latched: Latched | None) -> None:
        """Tell of flag bits that are set."""
        if latched is None:
            self.module.flags.on_set = None
        else:
            self.module.flags.on_set = lambda page, index, bits: latched(page.number, page.bank, index, bits)


class PortCage:
    """A port; meets `bus.cages.Cage`."""

    def __init__(self, port: Port, clock: Clock) -> None:
        self.port = port
        self.target = port.target
        self._clock = clock
        self._source: ModuleSource | None = None

    def source(self) -> ModuleSource | None:
        """The module in it."""
        module = self.port.occupant
        if module is None:
            self._source = None
        elif self._source is None or self._source.module is not module:
            self._source = ModuleSource(module)
        return self._source

    def drive(self, pin: str, level: bool) -> None:
        """The host drives a pin, which a fault may hold."""
        if self.port.pins.driven_level(pin) != level:
            self.port.pins.set(pin, level)

    def level(self, pin: str) -> bool:
        """Level of any pin."""
        return self.port.pins.get(pin)

    def now_ns(self) -> int:
        """The time, with everything that is due done."""
        return self._clock.sync()
