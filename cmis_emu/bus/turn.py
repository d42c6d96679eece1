"""One access at a time to one module, for drivers whose accesses are several transfers with waits between them.

While a driver waits, the emulator's lock is free, and another thread may come with an access of its own; it would
find the wrong page mapped, and leave one.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cmis_emu.clock import NS_PER_MS, Clock


class Turn:
    """Who uses a module now. Callers hold the emulator's lock."""

    __slots__ = ("_clock", "_thread")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._thread: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the one before. Raises OSError(EBUSY) where that is the same thread, which would wait forever."""
        if self._thread == threading.get_ident():
            raise OSError(errno.EBUSY, "found an access in the middle of another of the same thread")
        while self._thread is not None:
            self._clock.wait(NS_PER_MS, until=lambda: self._thread is None)
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
            self._clock.wake()
