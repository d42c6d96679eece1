"""Keeps a module and the shared memory alike: pages out, what the bus did in.

Owns the order: events are played into the module as they happened, then the pages that may have changed are
published as of the last event. A read tells the module which bytes were clocked out, with the values that went over
the wire, so that a flag which was raised meanwhile is not cleared unseen.
"""

from __future__ import annotations

import threading
from typing import Protocol, runtime_checkable

from cmis_emu.bus.rpi_bsc.shared import LOWER_KEY, PAGES_MAX, READ, Event, Shared
from cmis_emu.bus.target import HALF, Device, Target
from cmis_emu.clock import Clock
from cmis_emu.errors import NotAvailableError
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.memory import Memory

_AT_ONCE = 64  # events, before others get the lock


@runtime_checkable
class Paged(Device, Protocol):
    """A device with pages to mirror."""

    memory: Memory
    clock: Clock


class Mirror:
    """Of the device behind `target`, in `shared`. lock: the emulator's. Raises NotAvailableError for no module."""

    def __init__(self, target: Target, shared: Shared, lock: threading.RLock) -> None:
        self._target = target
        self._shared = shared
        self._lock = lock
        self._device: Paged | None = None
        self._index: dict[tuple[int, int], int] = {}
        self._published: dict[int, bytes] = {}
        self._number = 0
        self._state: tuple[int, bool] | None = None
        with lock:
            if target.device is None:
                raise NotAvailableError("rpi-bsc: found an empty cage, expected a module to begin with")
            self._adopt(target.device)
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
            device = self._target.device
            if device is None:
                self._enable(False)
                return
            if device is not self._device:
                self._enable(False)
                self._adopt(device)
            found = self._device
            assert found is not None
            answers = found.answers()  # also brings its time up to date
            now_ns = found.clock.now_ns
            for (number, bank), index in self._index.items():
                data = found.memory.fetch(number, bank, 0 if number == LOWER else HALF, HALF, now_ns)
                self._show(index, data)
            limits = found.write_limit(0), found.write_limit(HALF)
            self._shared.map(self._index[found.mapped()], self._number, limits)
            self._enable(answers)

    def _show(self, index: int, data: bytes) -> None:
        """Also when nothing but the number of the event is new: what lies on top of the page goes then."""
        tag = data + self._number.to_bytes(4, "little")
        if self._published.get(index) != tag:
            self._published[index] = tag
            self._shared.publish(index, data, self._number)

    def _adopt(self, device: Device) -> None:
        """Another module, with pages of its own."""
        if not isinstance(device, Paged):
            raise NotAvailableError(f"rpi-bsc: found a {type(device).__name__}, expected a module with pages")
        pages = device.memory.pages
        if len(pages) > PAGES_MAX:
            raise NotAvailableError(f"rpi-bsc: found {len(pages)} pages in all banks, expected {PAGES_MAX} at most")
        self._device = device
        self._published.clear()
        keys = sorted(pages, key=lambda key: key[0] != LOWER)
        self._index = {key: index for index, key in enumerate(keys)}
        for (number, bank), index in self._index.items():
            compiled = pages[number, bank].compiled
            key = LOWER_KEY if number == LOWER else bank << 8 | number
            self._shared.describe(index, key, compiled.banked, bytes(compiled.write_mask), bytes(compiled.clear_mask))

    def _enable(self, answers: bool) -> None:
        state = len(self._index), answers
        if state != self._state:
            self._state = state
            self._shared.enable(*state)

    def _play(self, event: Event) -> None:
        target = self._target
        data = bytes(event.data[: event.length])
        if event.kind != READ:
            target.write(bytes([event.address]) + data)
            return
        device = target.device
        if device is None or not device.answers():
            return
        address = event.address
        while data:
            piece, data = data[: HALF - (address & 127)], data[HALF - (address & 127) :]
            device.clocked_out(address, piece)
            address = (address & HALF) | (address + len(piece)) & 127
        target.pointer = address
