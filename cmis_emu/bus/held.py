"""A target of a virtual bus for one host outside of this process whose byte events come one at a time.

Owns the lock and the claim: from START to the end of a transfer the bus is that host's, so that no other way onto the
bus moves the address or the page in between; and each event runs under the emulator's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from cmis_emu.bus.options import find_target
from cmis_emu.bus.target import MODULE_ADDRESS
from cmis_emu.bus.ways import Served

T = TypeVar("T")


class HeldTarget:
    """A `ByteTarget` in front of the target at an address of a bus of `served`. Raises InputError for no such one."""

    def __init__(self, served: Served, bus: int, address: int = MODULE_ADDRESS) -> None:
        self.target = find_target(served, bus, address)
        found = served.buses[bus]
        self.lock: threading.RLock = served.lock
        with self.lock:
            self._claims = found.claimed(self.lock)

    def start(self, *, read: bool) -> bool:
        """As in the contract. Waits while somebody else has the bus."""
        taken = self._event(lambda: self.target.start(read=read), False, new=True)
        if not taken:
            with self.lock:
                self._claims.give_up(self)  # no end will be told
        return taken

    def write_byte(self, value: int) -> bool:
        """As in the contract."""
        return self._event(lambda: self.target.write_byte(value), False)

    def peek(self) -> int:
        """As in the contract."""
        return self._event(self.target.peek, 0xFF)

    def commit(self) -> None:
        """As in the contract."""
        self._event(self.target.commit, None)

    def end(self) -> None:
        """As in the contract."""
        self._event(self.target.end, None, stop=True)

    def abort(self) -> None:
        """As in the contract."""
        self._event(self.target.abort, None, stop=True)

    def _event(self, event: Callable[[], T], otherwise: T, *, new: bool = False, stop: bool = False) -> T:
        """`otherwise` when the bus was lost to others, after a long silence."""
        with self.lock:
            if not self._claims.begin(self, new=new):
                return otherwise
            over = True  # also when a fault makes an adapter give up
            try:
                found = event()
                over = stop
            finally:
                self._claims.end(self, stop=over)
            return found
