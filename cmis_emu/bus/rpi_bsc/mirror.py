"""Keeps a module and the shared memory alike: pages out, what the bus did in.

Owns the order: events are played into the module as they happened, then the pages that may have changed are
published as of the last event. A read tells the module which bytes were clocked out, with the values that went over
the wire, so that a flag which was raised meanwhile is not cleared unseen.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cmis_emu.bus.cages import Cage, PagePlan, PageRules, Source, tell
from cmis_emu.bus.rpi_bsc.shared import LOWER_KEY, PAGES_MAX, READ, Event, Shared
from cmis_emu.bus.target import HALF
from cmis_emu.errors import NotAvailableError
from cmis_emu.registers.field import LOWER

_AT_ONCE = 64  # events, before others get the lock


class Mirror:
    """Of the module in `cage`, in `shared`. lock: the emulator's. Raises NotAvailableError for no module."""

    def __init__(self, cage: Cage, shared: Shared, lock: threading.RLock) -> None:
        self._cage = cage
        self._shared = shared
        self._lock = lock
        self._source: Source | None = None
        self._plans: Sequence[PagePlan] = ()
        self._index: dict[tuple[int, int], int] = {}
        self._rules: dict[int, PageRules] = {}
        self._published: dict[int, bytes] = {}
        self._number = 0
        self._state: tuple[int, bool] | None = None
        with lock:
            if cage.source() is None:
                raise NotAvailableError("rpi-bsc: found an empty cage, expected a module to begin with")
            self.publish()

    def step(self) -> bool:
        """Play what the bus did; publish what came of it. True when there was anything."""
        event = self._shared.take()
        if event is None:
            return False
        with self._lock:
            for left in range(_AT_ONCE, 0, -1):
                self._play(event)
                self._number = event.number
                event = self._shared.take() if left > 1 else None
                if event is None:
                    break
            self.publish()
        return True

    def publish(self) -> None:
        """Every page whose bytes have changed, which of them is mapped, and whether the module answers."""
        with self._lock:
            source, device = self._cage.source(), self._cage.target.device
            if source is None or device is None:
                self._enable(False)
                return
            if source is not self._source:
                self._enable(False)
                self._adopt(source)
            answers = device.answers()  # also brings its time up to date
            for index, plan in enumerate(self._plans):
                rules = source.rules(plan.number, plan.bank)
                if rules is not self._rules.get(index):
                    self._rules[index] = rules
                    key = LOWER_KEY if plan.number == LOWER else plan.bank << 8 | plan.number
                    self._shared.describe(index, key, plan.banked, rules.write, rules.clear)
                self._show(index, source.shown(plan.number, plan.bank, live=True))
            limits = device.write_limit(0), device.write_limit(HALF)
            self._shared.map(self._index[source.mapped()], self._number, limits)
            self._enable(answers)

    def _show(self, index: int, data: bytes) -> None:
        """Also when nothing but the number of the event is new: what lies on top of the page goes then."""
        tag = data + self._number.to_bytes(4, "little")
        if self._published.get(index) != tag:
            self._published[index] = tag
            self._shared.publish(index, data, self._number)

    def _adopt(self, source: Source) -> None:
        """Another module, with pages of its own."""
        plans = source.pages()
        if len(plans) > PAGES_MAX:
            raise NotAvailableError(f"rpi-bsc: found {len(plans)} pages in all banks, expected {PAGES_MAX} at most")
        self._source = source
        self._plans = plans
        self._index = {(plan.number, plan.bank): index for index, plan in enumerate(plans)}
        self._rules.clear()
        self._published.clear()

    def _enable(self, answers: bool) -> None:
        state = len(self._index), answers
        if state != self._state:
            self._state = state
            self._shared.enable(*state)

    def _play(self, event: Event) -> None:
        """The bus has acknowledged it all: a module that holds off by now takes it nevertheless."""
        source = self._source
        if source is None or source is not self._cage.source():
            return
        address, data = event.address, bytes(event.data[: event.length])
        page, bank = (LOWER, 0) if address < HALF else (event.key & 0xFF, event.key >> 8)
        if (page, bank) not in self._index:
            return
        tell(self._cage, event.kind == READ, page, bank, address, data)
        if event.kind == READ:
            self._clocked_out(source, page, bank, address, data)
        elif data:
            source.write(page, bank, address, data)
        self._cage.target.pointer = _on(address, len(data))

    def _clocked_out(self, source: Source, page: int, bank: int, address: int, data: bytes) -> None:
        """Half by half: what has come round may have been cleared, and set again."""
        clears = source.rules(page, bank).clear
        while data:
            piece = data[: HALF - address % HALF]
            bits = {index: value & clears[index] for index, value in enumerate(piece, address % HALF)}
            gone = {index: flags for index, flags in bits.items() if flags}
            source.clocked_out(page, bank, address, len(piece), gone)
            address, data = _on(address, len(piece)), data[len(piece) :]


def _on(address: int, count: int) -> int:
    """The address counter after `count` bytes (I2C-04)."""
    return (address & HALF) | (address + count) & (HALF - 1)
