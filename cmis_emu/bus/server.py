"""Serves virtual buses on a Unix stream socket: the way of the preloaded library and of the commands.

One thread per connection, one request at a time; the protocol is in `preload/wire.py`. A client that dies,
lies about lengths or sends rubbish loses its own connection and nothing else. Control requests (JSON) go to
a handler that the composition root provides; this file knows nothing of ports and modules. A connection may
turn into the USB cable of one adapter, for this machine's own kernel (`usbip/`).
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.listener import Listener
from cmis_emu.bus.preload import wire
from cmis_emu.bus.socket_file import SocketFile
from cmis_emu.bus.usbip.hub import Hub
from cmis_emu.bus.virtual import Message, VirtualBus
from cmis_emu.bus.ways import ControlHandler, Served
from cmis_emu.errors import InputError

_HEADER = wire.REQUEST.size
_CONTROL_MAX = 4_000_000
_LOG = logging.getLogger(__name__)


class SocketServer:
    """Listens on `path` until `close`. The socket file is private to the user and removed at the end."""

    def __init__(
        self,
        path: Path,
        buses: Mapping[int, VirtualBus],
        lock: threading.RLock,
        control: ControlHandler | None = None,
    ) -> None:
        self.path = path
        self._buses = buses
        self._lock = lock
        self._control = control
        self._hub = Hub(buses, lock)
        self._file = SocketFile(path, "choose another --name")
        self._listener = Listener(self._file.listener, self._converse, path.name)

    def close(self) -> None:
        """Stop listening, drop every client, remove the socket file."""
        self._listener.close()
        self._hub.close()
        self._file.remove()

    def describe(self) -> list[str]:
        """Lines for the user: how to get in."""
        return [f"socket: {self.path}"]

    def _converse(self, client: socket.socket) -> None:
        pending = bytearray()
        while True:
            while len(pending) < _HEADER:
                block = client.recv(65536)
                if not block:
                    return
                pending += block
            length, op, bus = wire.REQUEST.unpack_from(pending)
            if length > (_CONTROL_MAX if op == wire.Op.CONTROL else wire.PAYLOAD_MAX):
                client.sendall(wire.REPLY.pack(0, -errno.EMSGSIZE))
                return
            end = _HEADER + length
            while len(pending) < end:
                block = client.recv(65536)
                if not block:
                    return
                pending += block
            payload = bytes(pending[_HEADER:end])
            del pending[:end]
            status, reply = self._answer(op, bus, payload)
            client.sendall(wire.REPLY.pack(len(reply), status) + reply)
            if op == wire.Op.USB and status == wire.PLUGGED:
                self._hub.plug(bus, client, bytes(pending))
                return

    def _answer(self, op: int, bus_number: int, payload: bytes) -> tuple[int, bytes]:
        try:
            if op == wire.Op.CONTROL:
                return (0, self._control(payload)) if self._control else (-errno.EOPNOTSUPP, b"")
            bus = self._buses.get(bus_number)
            if bus is None:
                return -errno.ENOENT, b""
            if op == wire.Op.RDWR:
                return self._rdwr(bus, payload)
            if op == wire.Op.SMBUS:
                address, read, command, size, flags, _, data = wire.SMBUS.unpack(payload)
                with self._lock:
                    return 0, bus.smbus(address, read, command, size, data, flags)
            if op == wire.Op.OPEN:
                version, _ = wire.OPEN.unpack(payload)
                if version != wire.PROTOCOL_VERSION:
                    return -errno.EPROTO, b""
                return 0, wire.OPEN_REPLY.pack(wire.FUNCTIONALITY)
            if op == wire.Op.USB:
                version, plug = wire.USB.unpack(payload)
                if version != wire.PROTOCOL_VERSION:
                    return -errno.EPROTO, b""
                return wire.PLUGGED if plug else 0, wire.USB_REPLY.pack(*self._hub.cable(bus_number))
        except BusError as error:
            return -error.errno, b""
        except (ValueError, struct.error):
            return -errno.EINVAL, b""
        except Exception:
            _LOG.exception("request %d of %d bytes failed", op, len(payload))
            return -errno.EIO, b""
        return -errno.EOPNOTSUPP, b""

    def _rdwr(self, bus: VirtualBus, payload: bytes) -> tuple[int, bytes]:
        count, _ = wire.RDWR.unpack_from(payload)
        if not 1 <= count <= wire.MESSAGES_MAX:
            return -errno.EINVAL, b""
        at = wire.RDWR.size
        data_at = at + count * wire.MESSAGE.size
        messages: list[Message] = []
        for _ in range(count):
            address, flags, length, _ = wire.MESSAGE.unpack_from(payload, at)
            at += wire.MESSAGE.size
            if length > wire.MESSAGE_LENGTH_MAX:
                return -errno.EINVAL, b""
            if flags & wire.MessageFlag.RD:
                messages.append(Message(address, flags, b"", length))
            else:
                data = payload[data_at : data_at + length]
                if len(data) != length:
                    return -errno.EINVAL, b""
                data_at += length
                messages.append(Message(address, flags, data))
        with self._lock:
            results = bus.transfer(messages)
        return count, b"".join(results)


def serve(address: str, served: Served) -> SocketServer:
    """The way `unix:PATH`."""
    if not address:
        raise InputError("no path", "unix:PATH", field="--serve")
    return SocketServer(Path(address), served.buses, served.lock, served.control)
