"""The adapter itself: requests in, messages on a virtual bus out, done or failed; more the guest cannot be told.

Owns transfers. A request that goes on keeps the bus for the next one, and takes it down with it when it fails. One
adapter is one master; several guests on one bus are several masters on it (`claims.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.vhost_user.requests import Request
from cmis_emu.bus.virtual import VirtualBus

_LOG = logging.getLogger(__name__)


class Adapter:
    """One guest's master on `bus`, as long as its ring runs. `run` and `give_up` are for one thread."""

    def __init__(self, bus: VirtualBus, lock: threading.RLock) -> None:
        self._bus = bus
        self._lock = lock
        with lock:
            self._claims = bus.claimed(lock)
        self._open = False  # in the middle of a transfer
        self._failing = False
        self._gone = False

    def run(self, requests: Iterable[Request]) -> list[bytes | None]:
        """Serve requests in their order: what each read (b"" for a write), None where it failed."""
        found: list[bytes | None] = []
        claims = self._claims
        begun = False
        with self._lock:
            for request in requests:
                goes_on = request.goes_on
                if self._failing:
                    self._failing = bool(goes_on)
                    found.append(None)
                    continue
                begun = begun or self._begin()
                data = self._one(request) if begun else None
                found.append(data)
                self._open = bool(goes_on) and data is not None
                self._failing = bool(goes_on) and data is None
                if begun and not self._open:
                    claims.end(self, stop=True)
                    begun = False
            if begun:
                claims.end(self, stop=self._gone)
        return found

    def abandon(self) -> None:
        """Nobody wants what is under way; for any thread, and without the lock, which that may have."""
        self._gone = True

    def give_up(self) -> None:
        """The guest asks no more; a bus that it was holding is free."""
        with self._lock:
            self._claims.give_up(self)

    def _begin(self) -> bool:
        """Have the bus for a message. False: it was silent for so long that it lost it, or nobody waits any more."""
        try:
            begun = self._claims.begin(self, new=not self._open)
        except BusError:
            return False
        if begun and self._gone:
            self._claims.end(self, stop=True)
            return False
        return begun

    def _one(self, request: Request) -> bytes | None:
        try:
            found = self._bus.run((request.message,))
        except BusError:
            return None
        except Exception:
            _LOG.exception("a request to address %d failed", request.message.address)
            return None
        return found[0] if found else b""
