"""Serves virtual buses on a Unix stream socket: the way of the preloaded library and of the commands.

One thread per connection, one request at a time; the protocol is in `preload/wire.py`. A client that dies,
lies about lengths or sends rubbish loses its own connection and nothing else. Control requests (JSON) go to
a handler that the composition root provides; this file knows nothing of ports and modules. Beside the socket it
keeps the tree of files that the preloaded library shows as sysfs. A connection may turn into the USB cable of one
adapter, for this machine's own kernel (`usbip/`).
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from functools import lru_cache
from pathlib import Path

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.ethtool import legacy
from cmis_emu.bus.ethtool.driver import Driver
from cmis_emu.bus.ethtool.family import Family
from cmis_emu.bus.listener import Listener
from cmis_emu.bus.preload import tree, wire
from cmis_emu.bus.socket_file import SocketFile
from cmis_emu.bus.usbip.hub import Hub
from cmis_emu.bus.virtual import Message
from cmis_emu.bus.ways import Served
from cmis_emu.errors import InputError, NotAvailableError

_HEADER = wire.REQUEST.size
_CHUNK = 479  # bytes; most requests are shorter, and up to this size the interpreter has memory at hand
# Plain numbers on the way of every transfer: members of an Enum cost as much there as the bus does.
_RDWR, _CONTROL, _USB = int(wire.Op.RDWR), int(wire.Op.CONTROL), int(wire.Op.USB)
_RD = int(wire.MessageFlag.RD)
_request, _reply = wire.REQUEST.unpack_from, wire.REPLY.pack
_CONTROL_MAX = 4_000_000
_LOG = logging.getLogger(__name__)


class SocketServer:
    """Listens on `path` until `close`. The socket file is private to the user and removed at the end."""

    def __init__(self, path: Path, served: Served) -> None:
        self.path = path
        self._buses = served.buses
        self._lock = served.lock
        self._control = served.control
        drivers = {name: Driver(bus) for name, bus in served.interfaces.items()}
        self._drivers = drivers
        self._family = Family(drivers, served.lock)
        self._hub = Hub(served.buses, served.lock)
        self._file = SocketFile(path, "choose another --name")
        names = {bus: served.names.get(bus, f"CMIS-EMU bus {bus}") for bus in served.buses}
        try:
            tree.plant(tree.tree_of(path), names, drivers)
        except OSError as error:
            self._file.listener.close()
            self._file.remove()
            tree.fell(tree.tree_of(path))
            raise NotAvailableError(f"{tree.tree_of(path)}: {error.strerror or error}") from None
        self._listener = Listener(self._file.listener, self._converse, path.name)

    def close(self) -> None:
        """Stop listening, drop every client, remove the socket file."""
        self._listener.close()
        self._hub.close()
        if self._file.remove():
            tree.fell(tree.tree_of(self.path))

    def describe(self) -> list[str]:
        """Lines for the user: how to get in."""
        return [f"socket: {self.path}"]

    def _converse(self, client: socket.socket) -> None:
        receive, send, answer, transfer = client.recv, client.sendall, self._answer, self._transfer
        pending = b""
        while True:
            if not pending:
                pending = receive(_CHUNK)
                if not pending:
                    return
                known = _known(pending) if len(pending) <= _KNOWN_MAX else None
                if known is not None:
                    pending = b""
                    status, found = transfer(*known)
                    send(_reply(len(found), status) + found)
                    continue
            while len(pending) < _HEADER:
                block = receive(_CHUNK)
                if not block:
                    return
                pending += block
            length, op, bus = _request(pending)
            if length > (_CONTROL_MAX if op == _CONTROL else wire.PAYLOAD_MAX):
                send(_reply(0, -errno.EMSGSIZE))
                return
            end = _HEADER + length
            if len(pending) < end:
                pending = _until(client, pending, end)
                if not pending:
                    return
            status, found = answer(op, bus, pending[_HEADER:end])
            pending = pending[end:] if len(pending) > end else b""
            send(_reply(len(found), status) + found)
            if op == _USB and status == wire.PLUGGED:
                self._hub.plug(bus, client, pending)
                return

    def _answer(self, op: int, bus_number: int, payload: bytes) -> tuple[int, bytes]:
        try:
            if op == _RDWR:
                return self._transfer(bus_number, _messages(payload))
            if op == _CONTROL:
                return (0, self._control(payload)) if self._control else (-errno.EOPNOTSUPP, b"")
            if op == wire.Op.NETLINK:
                return self._netlink(payload)
            if op == wire.Op.ETHTOOL:
                return self._ethtool(payload)
            bus = self._buses.get(bus_number)
            if bus is None:
                return -errno.ENOENT, b""
            if op == wire.Op.SMBUS:
                address, read, command, size, flags, _, data = wire.SMBUS.unpack(payload)
                with self._lock:
                    return 0, bus.smbus(address, read, command, size, data, flags)
            if op == wire.Op.OPEN:
                version, _ = wire.OPEN.unpack(payload)
                if version != wire.PROTOCOL_VERSION:
                    return -errno.EPROTO, b""
                return 0, wire.OPEN_REPLY.pack(wire.FUNCTIONALITY)
            if op == _USB:
                version, plug = wire.USB.unpack(payload)
                if version != wire.PROTOCOL_VERSION:
                    return -errno.EPROTO, b""
                return wire.PLUGGED if plug else 0, wire.USB_REPLY.pack(*self._hub.cable(bus_number))
        except Exception as error:
            return _failed(op, error)
        return -errno.EOPNOTSUPP, b""

    def _netlink(self, payload: bytes) -> tuple[int, bytes]:
        family, flags = wire.NETLINK.unpack_from(payload)
        found = self._family.answer(payload[wire.NETLINK.size :], family, wire.NetlinkFlag(flags))
        if found is None:
            return 0, b""
        return 1 + len(found), b"".join(wire.DATAGRAM.pack(len(each)) + each for each in found)

    def _ethtool(self, payload: bytes) -> tuple[int, bytes]:
        (name,) = wire.ETHTOOL.unpack_from(payload)
        driver = self._drivers.get(name.partition(b"\0")[0].decode(errors="surrogateescape"))
        if driver is None:
            return -errno.ENODEV, b""
        with self._lock:
            return 0, legacy.answer(driver, payload[wire.ETHTOOL.size :])

    def _transfer(self, bus_number: int, messages: tuple[Message, ...]) -> tuple[int, bytes]:
        try:
            bus = self._buses.get(bus_number)
            if bus is None:
                return -errno.ENOENT, b""
            with self._lock:
                results = bus.transfer(messages)
            return len(messages), b"".join(results)
        except Exception as error:
            return _failed(_RDWR, error)


def _failed(op: int, error: Exception) -> tuple[int, bytes]:
    if isinstance(error, BusError):
        return -error.errno, b""
    if isinstance(error, (ValueError, struct.error)):
        return -errno.EINVAL, b""
    _LOG.error("request %d failed", op, exc_info=error)
    return -errno.EIO, b""


def _messages(payload: bytes) -> tuple[Message, ...]:
    """The messages of a RDWR request. Raises BusError EINVAL, or struct.error."""
    count, _ = wire.RDWR.unpack_from(payload)
    at = wire.RDWR.size
    data_at = at + count * wire.MESSAGE.size
    messages: list[Message] = []
    for address, flags, length, _ in wire.MESSAGE.iter_unpack(payload[at:data_at]):
        if length > wire.MESSAGE_LENGTH_MAX:
            raise BusError(errno.EINVAL)
        if flags & _RD:
            messages.append(Message(address, flags, b"", length))
        else:
            data = payload[data_at : data_at + length]
            if len(data) != length:
                raise BusError(errno.EINVAL)
            data_at += length
            messages.append(Message(address, flags, data))
    if len(messages) != count or not 1 <= count <= wire.MESSAGES_MAX:
        raise BusError(errno.EINVAL)
    return tuple(messages)


_KNOWN_MAX = 64 + _HEADER  # bytes


@lru_cache(maxsize=1024)
def _known(block: bytes) -> tuple[int, tuple[Message, ...]] | None:
    """Bus and messages of a block that is one whole transfer, and nothing more; None for any other.

    Hosts that poll send the same short requests again and again; nobody changes a message.
    """
    if len(block) < _HEADER:
        return None
    length, op, bus = _request(block)
    if op != _RDWR or len(block) != _HEADER + length:
        return None
    try:
        return bus, _messages(block[_HEADER:])
    except (BusError, struct.error):
        return None  # who takes it to pieces tells why


def serve(address: str, served: Served) -> SocketServer:
    """The way `unix:PATH`."""
    if not address:
        raise InputError("no path", "unix:PATH", field="--serve")
    return SocketServer(Path(address), served)


def _until(client: socket.socket, pending: bytes, end: int) -> bytes:
    """What is pending and all that comes until there are `end` bytes; nothing when the client hangs up before."""
    found = bytearray(pending)
    while len(found) < end:
        block = client.recv(1 << 16)
        if not block:
            return b""
        found += block
    return bytes(found)
