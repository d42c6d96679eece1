"""Latched flags, their masks, the summary and the interrupt (rules FLG-01 to FLG-12, MSM-11).

Owns every clear-on-read bit. Others report events (`latch`) and level conditions (`level`); a condition
that still holds after the clearing read sets its flag again, one flag latency later and never within the
same transaction (FLG-02). The interrupt is recomputed at each change, so it comes with nobody polling.

Race: when a flag is set while a read of it is on the bus, setting wins, because a read clears only the
bits that it returned as 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cmis_emu.clock import Clock, Event
from cmis_emu.module.faults.flags import BadFlag, Fails, FlagFaults
from cmis_emu.module.faults.seam import Rule
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.memory import Cell, Memory, Page, Write
from cmis_emu.registers.regmap import FlagBlock

LASERS_PAGE = 0x12
SUMMARY_PAGES = {0x11: "Page11h", 0x12: "Page12h", 0x14: "Page14h", 0x2C: "Page2Ch"}


class _Block:
    """One run of flag bytes and its run of mask bytes, as two slices."""

    __slots__ = ("first", "flags", "last", "mask_first", "mask_last", "masks")

    def __init__(self, block: FlagBlock, flags: Page, masks: Page) -> None:
        self.flags = flags.data
        self.masks = masks.data
        self.first = block.first - flags.first
        self.last = block.last - flags.first + 1
        self.mask_first = block.mask_first - masks.first
        self.mask_last = self.mask_first + self.last - self.first

    def unmasked(self) -> bool:
        """True when a flag is set whose mask bit is 0 (FLG-06)."""
        flags = int.from_bytes(self.flags[self.first : self.last], "big")
        if not flags:
            return False
        return bool(flags & ~int.from_bytes(self.masks[self.mask_first : self.mask_last], "big"))


class Flags:
    """All flags of one module. `on_interrupt(asserted)` is called when the request changes."""

    def __init__(
        self,
        memory: Memory,
        clock: Clock,
        latency_ns: int,
        on_interrupt: Callable[[bool], None],
        faults: FlagFaults | None = None,
    ) -> None:
        self._memory = memory
        self._faults = faults or FlagFaults()
        self._managed = False
        self._once: list[BadFlag] = []  # spurious, to be set when the module is managed
        self._idle: list[BadFlag] = []  # spurious, and not striking this module
        self._ends: dict[BadFlag, Event] = {}  # of those that last for a time
        self._late: list[Event] = []
        self._clock = clock
        self._latency_ns = latency_ns
        self._on_interrupt = on_interrupt
        self._levels: dict[tuple[Page, int], int] = {}
        self._again: Event | None = None
        self.asserted = False
        self._blocks: list[_Block] = []
        self._summaries: list[tuple[Cell, list[tuple[bytearray, int, int]]]] = []
        self._lasers: list[tuple[Cell, Cell]] = []  # of page 12h: a summary, and a flag of each byte that it sums up
        self.on_set: Callable[[Page, int, int], None] | None = None  # bits are set, whether or not they were
        self._deasserted = memory.cell("InterruptDeasserted")
        banks = range(max(bank for _, bank in memory.pages) + 1)
        for bank in banks:
            self._bind_bank(bank)
        memory.on_cleared = self._cleared

    def _bind_bank(self, bank: int) -> None:
        memory = self._memory
        for block in memory.compiled.flag_blocks:
            if (block.page, bank) in memory.pages and (block.mask_page, bank) in memory.pages:
                flags, masks = memory.page(block.page, bank), memory.page(block.mask_page, bank)
                self._blocks.append(_Block(block, flags, masks))
                for index in range(block.last - block.first + 1):
                    masks.hooks[block.mask_first - masks.first + index] = self._mask_written
        for number, name in SUMMARY_PAGES.items():
            spans = [
                (memory.page(b.page, bank).data, b.first - 128, b.last - 127)
                for b in memory.compiled.flag_blocks
                if b.page == number and (number, bank) in memory.pages
            ]
            if spans and number != LOWER:
                self._summaries.append((memory.cell(f"FlagsSummaryBank{bank}{name}"), spans))
        if (LASERS_PAGE, bank) in memory.pages:
            cells = memory.cell("LaserTuningFlagSummaryTx", bank), memory.cell("TuningCompleteFlagTx", bank)
            self._lasers.append(cells)

    # -- what the rest of the module reports -----------------------------------------------------

    def latch(self, cell: Cell, bits: int = 1, lane: int = 1) -> None:
        """An event: set flag bits now. For a lane field of one byte `bits` is its lane mask.

        Bits that the profile does not implement stay 0 (FLG-11).
        """
        index, mask = self._place(cell, bits, lane)
        self._set(cell.page, index, mask)
        self.update()

    def level(self, cell: Cell, bits: int, lane: int | None = None) -> None:
        """A condition: the lanes (or 1) for which it holds now. New ones latch at once.

        With `lane`, `bits` are those of that one element, such as the four of a VDM instance.
        """
        index, mask = self._place(cell, bits, lane or 1)
        every = self._place(cell, cell.slots[lane - 1][3] if lane else (1 << len(cell.slots)) - 1, lane or 1)[1]
        key = (cell.page, index)
        old = self._levels.get(key, 0)
        new = (old & ~every) | mask
        if new != old:
            self._levels[key] = new
            if new & ~old:
                self._set(cell.page, index, new & ~old)
                self.update()

    @staticmethod
    def _place(cell: Cell, bits: int, lane: int) -> tuple[int, int]:
        index, _, lsb, _ = cell.slots[lane - 1]
        return index, bits << lsb

    def _set(self, page: Page, index: int, bits: int) -> None:
        if self._faults.rules:
            old = bits & page.data[index]
            bits = self._held_back(page, index, bits & ~old) | old
        self._store(page, index, bits)

    def _store(self, page: Page, index: int, bits: int) -> None:
        bits &= page.compiled.clear_mask[index]
        page.data[index] |= bits
        if self.on_set is not None and bits:
            self.on_set(page, index, bits)

    # -- host accesses -------------------------------------------------------------------------

    def _cleared(self, page: Page, index: int, bits: int) -> None:
        """A read cleared bits: forget them, and look again later where the condition holds (FLG-02)."""
        if self._faults.rules:
            self._stick(page, index, bits)
        if (self._levels.get((page, index), 0) | self._forced(page, index)) & bits and self._again is None:
            self._again = self._clock.after(self._latency_ns, self._relatch)
        self.update()

    def _relatch(self) -> None:
        self._again = None
        for (page, index), bits in self._levels.items():
            self._set(page, index, bits)
        for rule in self._faults.rules:
            if rule.fails is Fails.SPURIOUS and rule.holds:
                self._force(rule)
        self.update()

    def _mask_written(self, _: Write) -> None:
        self.update()

    def reset(self) -> None:
        """All flags cleared, all conditions forgotten (RST-05)."""
        self._levels.clear()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._managed = False
        for event in self._late:
            event.cancel()
        self._late.clear()
        self.update()

    # -- faults --------------------------------------------------------------------------------

    def begin(self) -> None:
        """The module is managed: flags that are set for no reason show."""
        if not self._managed:
            self._managed = True
            for rule in self._faults.rules:
                self._show_up(rule)
            if self._faults.rules:
                self.update()

    def _show_up(self, rule: BadFlag) -> None:
        """Set what a rule sets by itself."""
        stuck = rule.fails is Fails.STUCK and rule.at_once and not rule.occasions.spent
        if stuck or (rule.fails is Fails.SPURIOUS and (rule.holds or rule in self._once)):
            self._force(rule)
        if rule in self._once:
            self._once.remove(rule)

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if not isinstance(rule, BadFlag):
            return
        if armed:
            self._arm(rule)
            return
        event = self._ends.pop(rule, None)
        if event is not None:
            event.cancel()
        for known in (self._once, self._idle):
            if rule in known:
                known.remove(rule)
        if rule.fails is Fails.DROPPED:
            self._relatch()  # what it held down, and still holds, shows now

    def _arm(self, rule: BadFlag) -> None:
        if rule.fails is Fails.SPURIOUS:
            if not rule.occasions.take():
                self._idle.append(rule)
                return
            self._once.append(rule)
            if rule.holds and rule.time_ns is not None:
                self._ends[rule] = self._clock.after(rule.time_ns, _nothing)
        if self._managed:
            self._show_up(rule)

    def _active(self, rule: BadFlag) -> bool:
        """Does a flag that is set for no reason still hold?"""
        event = self._ends.get(rule)
        return rule not in self._idle and (event is None or event.pending)

    def _force(self, rule: BadFlag) -> None:
        """Set the flags of a rule, whatever is the case."""
        if self._active(rule):
            for (number, bank, index), bits in rule.bits.items():
                page = self._memory.pages.get((number, bank))
                if page is not None:
                    here = bits & ~self._memory.cell("MediaLaneUnsupported").bits() if rule.media else bits
                    self._store(page, index, here)

    def _forced(self, page: Page, index: int) -> int:
        """Bits that hold for no reason."""
        found = 0
        for rule in self._faults.rules:
            if rule.fails is Fails.SPURIOUS and rule.holds and self._active(rule):
                found |= rule.bits.get((page.number, page.bank, index), 0)
        return found

    def _stick(self, page: Page, index: int, bits: int) -> None:
        """A read cleared bits that do not go away."""
        for rule in self._faults.rules:
            again = rule.bits.get((page.number, page.bank, index), 0) & bits
            if rule.fails is Fails.STUCK and again and rule.occasions.take():
                self._store(page, index, again)

    def _held_back(self, page: Page, index: int, bits: int) -> int:
        """What sets now of new bits that should set."""
        for rule in self._faults.rules:
            mine = rule.bits.get((page.number, page.bank, index), 0) & bits
            if not mine or rule.fails not in (Fails.DROPPED, Fails.LATE) or not rule.occasions.take():
                continue
            bits &= ~mine
            if rule.fails is Fails.LATE:
                self._late = [event for event in self._late if event.pending]
                self._late.append(self._clock.after(rule.time_ns or 0, partial(self._set_late, page, index, mine)))
        return bits

    def _set_late(self, page: Page, index: int, bits: int) -> None:
        self._store(page, index, bits)
        self.update()

    def update(self) -> None:
        """Summary, InterruptDeasserted and the pin, from the bytes as they are (FLG-06, FLG-07, MSM-11)."""
        for cell, spans in self._summaries:
            cell.set(int(any(any(data[first:last]) for data, first, last in spans)))
        for cell, flags in self._lasers:
            cell.set_bits(sum(1 << n for n, slot in enumerate(flags.slots) if flags.data[slot[0]]))  # TUN-08
        asserted = any(block.unmasked() for block in self._blocks)
        self._deasserted.set(int(not asserted))
        if asserted != self.asserted:
            self.asserted = asserted
            self._on_interrupt(asserted)


def _nothing() -> None:
    pass
