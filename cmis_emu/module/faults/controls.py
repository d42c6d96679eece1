"""How a module can misbehave towards its controls: a write is not acted on, or acted on late.

Owns what of a host's write reaches the registers (`memory.gate`). The registers hold what the module acts on; what a
host reads back meanwhile is shown over them, or is the old value, as the rule says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from cmis_emu.clock import Clock, Event
from cmis_emu.module.faults.seam import Rule, Seam
from cmis_emu.occasions import Occasions
from cmis_emu.registers.memory import HALF, Memory, Page

Place = tuple[int, int, int]
"""Page, bank and byte within the page from 0."""


@dataclass(eq=False, slots=True)
class Unheeded(Rule):
    """Host writes to these bits are not acted on; an occasion is a write that touches one of them.

    delay_ns: acted on so much later; None: never. shown: a host reads at once what it wrote, not what holds.
    """

    bits: Mapping[Place, int]
    occasions: Occasions
    delay_ns: int | None = None
    shown: bool = True


@dataclass(slots=True)
class _Wait:
    """A write that is held back."""

    rule: Unheeded
    page: Page
    start: int
    data: bytes
    masks: bytes
    event: Event | None = None


class ControlFaults(Seam[Unheeded]):
    """The gate of one module's registers."""

    __slots__ = ("_clock", "_memory", "_waits")

    def __init__(self, memory: Memory, clock: Clock, changed: Callable[[Rule, bool], None]) -> None:
        super().__init__(changed)
        self._memory = memory
        self._clock = clock
        self._waits: list[_Wait] = []

    def add(self, rule: Unheeded) -> None:
        """Arm a rule: writes come this way from now on."""
        super().add(rule)
        self._memory.gate = self

    def remove(self, rule: Unheeded) -> None:
        """Clear a rule: what a host reads of what it wrote holds now; what was lost stays lost."""
        super().remove(rule)
        for wait in [each for each in self._waits if each.rule is rule]:
            self._act(wait)
        if not self.rules:
            self._memory.gate = None

    def reset(self) -> None:
        """Registers go to their defaults: nothing waits, nothing is shown over them."""
        for wait in self._waits:
            if wait.event is not None:
                wait.event.cancel()
            wait.page.shown = {}
        self._waits.clear()

    def pass_on(self, page: Page, start: int, data: bytes) -> bytes:
        """The write with the bits of rules that strike as they are now."""
        older = [wait for wait in self._waits if wait.page is page]
        held = bytearray(len(data))
        passed = data
        for rule in self.rules:
            masks = self._masks(rule, page, start, len(data))
            if any(masks) and rule.occasions.take():
                passed = self._hold(rule, page, start, data, masks, passed)
                held = bytearray(known | mask for known, mask in zip(held, masks, strict=True))
        for wait in older:
            self._outdate(wait, {(start + n) % HALF: mask for n, mask in enumerate(held)})
        self._show(page)
        return passed

    def _masks(self, rule: Unheeded, page: Page, start: int, length: int) -> bytes:
        return bytes(rule.bits.get((page.number, page.bank, (start + n) % HALF), 0) for n in range(length))

    def _hold(self, rule: Unheeded, page: Page, start: int, data: bytes, masks: bytes, passed: bytes) -> bytes:
        wait = _Wait(rule, page, start, data, masks)
        if rule.delay_ns is not None:
            wait.event = self._clock.after(rule.delay_ns, partial(self._act, wait))
            self._waits.append(wait)
        elif rule.shown:  # what cannot be read, such as a trigger, is lost
            readable = page.compiled.write_mask
            wait.masks = bytes(mask & readable[(start + n) % HALF] for n, mask in enumerate(masks))
            self._waits.append(wait)
        held = bytearray(passed)
        for n, mask in enumerate(masks):
            held[n] = passed[n] & ~mask | page.data[(start + n) % HALF] & mask
        return bytes(held)

    def _outdate(self, wait: _Wait, written: Mapping[int, int]) -> None:
        """A later write has come; `written`: by byte, the bits of it that are held back too.

        What the later one sets at once is no longer waited for; a write that is never acted on ends with the next.
        """
        masks = bytearray(wait.masks)
        for n in range(len(masks)):
            held = written.get((wait.start + n) % HALF)
            if held is not None:
                masks[n] &= held if wait.event is not None else 0
        wait.masks = bytes(masks)
        if not any(masks):
            if wait.event is not None:
                wait.event.cancel()
            self._waits.remove(wait)

    def _show(self, page: Page) -> None:
        """Lay what hosts read over the page, the latest write on top; only bits that a host can write and read."""
        page.shown = {}
        for wait in self._waits:
            if wait.page is page and wait.rule.shown:
                for n, mask in enumerate(wait.masks):
                    index = (wait.start + n) % HALF
                    known, value = page.shown.get(index, (0, 0))
                    seen = mask & page.compiled.write_mask[index]
                    if seen:
                        page.shown[index] = known | seen, value & ~seen | wait.data[n] & seen

    def _act(self, wait: _Wait) -> None:
        """The module takes notice of a write at last."""
        if wait not in self._waits:
            return
        if wait.event is not None:
            wait.event.cancel()
        self._waits.remove(wait)
        page = wait.page
        self._show(page)
        late = bytearray(wait.data)
        for n, mask in enumerate(wait.masks):
            late[n] = page.data[(wait.start + n) % HALF] & ~mask | wait.data[n] & mask
        first = next((n for n, mask in enumerate(wait.masks) if mask), 0)
        last = max((n for n, mask in enumerate(wait.masks) if mask), default=-1)
        if last >= first:
            self._memory.write_page(page, (wait.start + first) % HALF, bytes(late[first : last + 1]))
