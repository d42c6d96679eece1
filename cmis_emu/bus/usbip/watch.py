"""Looks after threads that are held up, so that requests need no hand-over from thread to thread otherwise.

The thread that reads a host's requests also serves them, which is fast, and waits with them when a module stretches
the clock. One watch per server looks at the sessions while any of them is busy, and has each that has not moved
since the last look relieved: another thread reads on. Nothing wakes up while nobody asks anything.
"""

from __future__ import annotations

import threading
from typing import Protocol

LOOK_S = 0.02  # a hundredth of what the kernel's driver waits
_QUIET_LOOKS = 50


class Watched(Protocol):
    """A session."""

    def look(self) -> bool:
        """Relieve a thread that is held up since the last look. False when nothing went on since then."""
        ...


class Watch:
    """Looks at sessions between `stir` and a while of quiet, until `close`."""

    def __init__(self) -> None:
        self.asleep = True
        self._sessions: set[Watched] = set()
        self._lock = threading.Lock()
        self._stirred = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, session: Watched) -> None:
        """Look at this one too."""
        with self._lock:
            self._sessions.add(session)

    def remove(self, session: Watched) -> None:
        """No more."""
        with self._lock:
            self._sessions.discard(session)

    def stir(self) -> None:
        """A session is busy and `asleep` is true."""
        self.asleep = False
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="cmis-emu usbip watch", daemon=True)
                self._thread.start()
        self._stirred.set()

    def close(self) -> None:
        """Look no more."""
        with self._lock:
            self._closing.set()
        self._stirred.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while self._stirred.wait() and not self._closing.is_set():
            self._stirred.clear()
            quiet = 0
            while quiet < _QUIET_LOOKS and not self._closing.wait(LOOK_S):
                quiet = 0 if self._look() else quiet + 1
            self.asleep = True
            if self._look():  # one that began while `asleep` was still false did not stir
                self.asleep = False
                self._stirred.set()

    def _look(self) -> bool:
        with self._lock:
            sessions = list(self._sessions)
        return sum(session.look() for session in sessions) > 0  # each of them looks
