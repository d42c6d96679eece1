"""A simulated board behind a pseudo-terminal, in real time: what a serial device with a Pico looks like."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty
from types import TracebackType
from typing import Self

from rigs.board import Board, deliver

from cmis_emu.bus.virtual import I2C_M_RD, Message


class PtyBoard:
    """Serves a board at `path` in a thread of its own until closed. `transfer` is the bus's controller."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.lock = threading.Lock()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        self._began = time.monotonic()
        self._over = threading.Event()
        self._waiting = b""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(5)
        os.close(self._master)
        os.close(self._slave)

    def _run(self) -> None:
        out = b""
        while not self._over.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.001)
            if ready and len(self._waiting) < 4096:
                with contextlib.suppress(OSError):
                    self._waiting += os.read(self._master, 4096)
            with self.lock:
                self.board.tick(int((time.monotonic() - self._began) * 1000))
                taken = self.board.receive(self._waiting)
                self._waiting = self._waiting[taken:]
                while len(out) < 4096 and (frame := self.board.transmit()):
                    out += frame
            if out:
                with contextlib.suppress(OSError):
                    out = out[os.write(self._master, out) :]

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        """One combined transfer. Raises BusError."""
        sent = [
            Message(address, I2C_M_RD, length=what) if isinstance(what, int) else Message(address, 0, what)
            for address, what in messages
        ]
        with self.lock:
            return deliver(self.board.bus, sent)
