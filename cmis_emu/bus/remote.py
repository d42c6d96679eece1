"""A bus of a running emulator: the client end of its Unix socket, with the `i2c_rdwr` of smbus2.

Owns the client's side of `preload/wire.py` in Python, for commands that are hosts themselves. Errors are the
OSErrors of a kernel adapter; a server that goes away raises AttachError.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from cmis_emu.bus.preload import wire
from cmis_emu.errors import AttachError

TIMEOUT_S = 10.0


class RemoteBus:
    """Bus `number` of the emulator at socket `path`. Raises AttachError when there is none."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._number = number
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise AttachError(f"{path}: found no emulator there ({error.strerror or error})") from None
        status, _ = self._ask(wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION, os.getpid()))
        if status < 0:
            self.close()
            raise AttachError(f"{path}: bus {number}: {os.strerror(-status)}")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """One combined transfer of `smbus2.i2c_msg`s; read messages are filled."""
        head = [wire.RDWR.pack(len(i2c_msgs), 0)]
        head += [wire.MESSAGE.pack(message.addr, message.flags, message.len, 0) for message in i2c_msgs]
        body = [bytes(message) for message in i2c_msgs if not message.flags & wire.MessageFlag.RD]
        status, found = self._ask(wire.Op.RDWR, b"".join(head + body))
        if status < 0:
            raise OSError(-status, os.strerror(-status))
        at = 0
        for message in i2c_msgs:
            if message.flags & wire.MessageFlag.RD:
                for index, value in enumerate(found[at : at + message.len]):
                    message.buf[index] = value
                at += message.len

    def _ask(self, op: wire.Op, payload: bytes) -> tuple[int, bytes]:
        try:
            self._socket.sendall(wire.REQUEST.pack(len(payload), op, self._number) + payload)
            length, status = wire.REPLY.unpack(self._exactly(wire.REPLY.size))
            return status, self._exactly(length)
        except OSError as error:
            raise AttachError(f"{self._path}: the emulator went away ({error.strerror or error})") from None

    def _exactly(self, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            block = self._socket.recv(length - len(found))
            if not block:
                raise ConnectionResetError(0, "connection closed")
            found += block
        return bytes(found)
