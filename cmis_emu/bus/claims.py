"""Who has a bus while a combined transfer is under way, when its messages do not come all at once.

Most hosts hand over a whole transfer, which runs under the emulator's lock. A USB-I2C adapter gets one message
after the other and keeps the bus between them by not sending a STOP; a stretched clock gives the lock away in the
middle. Others then wait, as they would on a wire, so that nobody moves the address or the page of somebody else.
A bus has claims from the time that something serves it that needs them.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from cmis_emu.bus.errors import BusError

SILENCE_S = 2.5
"""After so long without a message, a host that never said STOP has lost the bus. It is more than the two seconds
in which the kernel's driver gives up a message."""


class Claims:
    """The claims on one bus. Callers hold the emulator's `lock`, which is free while somebody waits.

    released: called when a transfer is over, which is a STOP on the bus.
    """

    __slots__ = ("_free", "_messages", "_owner", "_released", "_thread", "_waiting")

    def __init__(self, lock: threading.RLock, released: Callable[[], None] = lambda: None) -> None:
        self._free = threading.Condition(lock)
        self._released = released
        self._owner: object | None = None
        self._thread: int | None = None  # that runs a message of the owner
        self._messages = 0
        self._waiting = 0

    def begin(self, host: object, *, new: bool) -> bool:
        """`host` runs a message. `new`: with a START, for which it waits; else False when the bus is not its own.

        Raises BusError(EBUSY) for a transfer that somebody starts in the middle of a message of the same thread.
        """
        if self._owner is not None and self._thread == threading.get_ident():
            raise BusError(errno.EBUSY)
        if new:
            while self._owner is not None and self._owner is not host:
                self._wait()
            self._owner = host
        elif self._owner is not host:
            return False
        self._thread = threading.get_ident()
        self._messages += 1
        return True

    def end(self, host: object, *, stop: bool) -> None:
        """The message is over. `stop`: and the transfer with it."""
        if self._owner is host:
            self._thread = None
            if stop:
                self.give_up(host)

    def give_up(self, host: object) -> None:
        """`host` wants nothing any more; harmless when it has nothing."""
        if self._owner is host:
            self._release()
            if self._waiting:
                self._free.notify()

    def _wait(self) -> None:
        seen = self._messages
        self._waiting += 1
        try:
            woken = self._free.wait(SILENCE_S)
        finally:
            self._waiting -= 1
        if not woken and self._thread is None and self._messages == seen:
            self._release()  # it died, or forgot

    def _release(self) -> None:
        self._owner = None
        self._released()
