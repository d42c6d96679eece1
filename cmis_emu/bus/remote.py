"""A bus of a running emulator: the client end of its Unix socket, with the `i2c_rdwr` of smbus2.

Owns how I2C messages travel in `preload/wire.py`, for commands that are hosts themselves. Errors are the
OSErrors of a kernel adapter; a server that goes away raises AttachError.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cmis_emu.bus.connection import Connection
from cmis_emu.bus.preload import wire
from cmis_emu.errors import AttachError


class RemoteBus:
    """Bus `number` of the emulator at socket `path`. Raises AttachError when there is none."""

    def __init__(self, path: Path, number: int) -> None:
        self._number = number
        self._connection = Connection(path)
        status, _ = self._connection.ask(wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION, os.getpid()), number)
        if status < 0:
            self.close()
            raise AttachError(f"{path}: bus {number}: {os.strerror(-status)}")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """One combined transfer of `smbus2.i2c_msg`s; read messages are filled."""
        head = [wire.RDWR.pack(len(i2c_msgs), 0)]
        head += [wire.MESSAGE.pack(message.addr, message.flags, message.len, 0) for message in i2c_msgs]
        body = [bytes(message) for message in i2c_msgs if not message.flags & wire.MessageFlag.RD]
        status, found = self._connection.ask(wire.Op.RDWR, b"".join(head + body), self._number)
        if status < 0:
            raise OSError(-status, os.strerror(-status))
        at = 0
        for message in i2c_msgs:
            if message.flags & wire.MessageFlag.RD:
                for index, value in enumerate(found[at : at + message.len]):
                    message.buf[index] = value
                at += message.len
