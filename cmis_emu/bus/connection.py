"""One client's connection to a running emulator's Unix socket: a request out, a reply back, in turn.

Owns the client's side of the stream in `preload/wire.py` and what is said when the emulator is not there or
goes away. What requests mean is the callers' business.
"""

from __future__ import annotations

import socket
from pathlib import Path

from cmis_emu.bus.preload import wire
from cmis_emu.errors import AttachError

TIMEOUT_S = 10.0


class Connection:
    """Connected to the emulator at socket `path`. Raises AttachError when there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise AttachError(f"{path}: found no emulator there ({error.strerror or error})") from None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, op: wire.Op, payload: bytes, bus: int = 0) -> tuple[int, bytes]:
        """Status and payload of the reply; a status below 0 is -errno. Raises AttachError."""
        try:
            self._socket.sendall(wire.REQUEST.pack(len(payload), op, bus) + payload)
            length, status = wire.REPLY.unpack(self._exactly(wire.REPLY.size))
            return status, self._exactly(length)
        except TimeoutError:
            raise AttachError(f"{self.path}: the emulator did not answer in {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise AttachError(f"{self.path}: the emulator went away ({error.strerror or error})") from None

    def release(self) -> socket.socket:
        """The socket itself, when the connection has become something else; it blocks without a limit."""
        self._socket.settimeout(None)
        return self._socket

    def _exactly(self, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            block = self._socket.recv(length - len(found))
            if not block:
                raise ConnectionResetError(0, "connection closed")
            found += block
        return bytes(found)
