"""A listening socket whose clients each have a thread: what every server of buses shares.

Owns accepting, the threads, and an end that leaves no client behind. What is said over a connection is the
business of whoever listens.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)
_CLOSE_S = 5


class Listener:
    """Accepts on `listener` until `close`; `converse` talks to one client and returns when it is done."""

    def __init__(self, listener: socket.socket, converse: Callable[[socket.socket], None], name: str) -> None:
        self._listener = listener
        self._converse = converse
        self._clients: set[socket.socket] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, name=f"cmis-emu {name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop every client. Harmless when called again."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=_CLOSE_S)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.add(client)
            if self._closing.is_set():  # `close` may have looked at the clients before this one was among them
                client.close()
                return
            threading.Thread(target=self._serve, args=(client,), name="cmis-emu client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                self._converse(client)
        except OSError:
            pass  # the client went away in the middle; that is its right
        except Exception:
            _LOG.exception("a client's connection failed")  # and the others live on
        finally:
            self._clients.discard(client)
