"""Exports every bus as a USB-I2C adapter over TCP, for the stock `usbip` tool and kernel of any host.

Owns listening and the question that opens a connection: a list, or the import of one adapter. The protocol has no
passwords, so the server listens to this machine only unless an address says otherwise, and then warns.
"""

from __future__ import annotations

import ipaddress
import socket

from cmis_emu.bus.endpoint import exposure, read_endpoint
from cmis_emu.bus.listener import Listener
from cmis_emu.bus.usbip import wire
from cmis_emu.bus.usbip.descriptors import VENDOR_CLASS
from cmis_emu.bus.usbip.hub import Hub
from cmis_emu.bus.ways import Served
from cmis_emu.errors import NotAvailableError

_QUESTION_S = 30.0  # to ask for something, once connected


class UsbIpServer:
    """Listens on `host`:`port` until `close`. Port 0 is any free one; `address` says which."""

    def __init__(self, host: str, port: int, served: Served) -> None:
        self._hub = Hub(served.buses, served.lock, number=1)
        listener = _listen(host, port)
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._listener = Listener(listener, self._converse, f"usbip {self.address[1]}")

    def close(self) -> None:
        """Stop listening and unplug every adapter."""
        self._listener.close()
        self._hub.close()

    def describe(self) -> list[str]:
        """How to get in."""
        host, port = self.address
        anywhere = ipaddress.ip_address(host).is_unspecified
        option = "" if port == wire.PORT else f"--tcp-port {port} "
        near = "THIS-HOST" if anywhere else host
        lines = [
            f"bus {number} by USB/IP: usbip {option}attach -r {near} -b {bus_id}"
            for bus_id, number in self._hub.bus_ids().items()
        ]
        return lines + exposure("USB/IP", host, port)

    def _converse(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a host that lost power never hangs up
        client.settimeout(_QUESTION_S)
        version, operation, _ = wire.OPERATION.unpack(_exactly(client, wire.OPERATION.size))
        if version != wire.VERSION:
            return
        if operation == wire.Operation.LIST:
            numbers = self._hub.bus_ids().values()
            client.sendall(
                wire.OPERATION.pack(wire.VERSION, wire.Operation.LISTED, wire.STATUS_OK)
                + wire.COUNT.pack(len(numbers))
                + b"".join(self._hub.record(number) + wire.INTERFACE.pack(VENDOR_CLASS, 0, 0, 0) for number in numbers)
            )
        elif operation == wire.Operation.IMPORT:
            asked = _exactly(client, wire.BUS_ID_SIZE).split(b"\0")[0].decode("ascii", "replace")
            number = self._hub.bus_ids().get(asked)
            if number is None:
                client.sendall(wire.OPERATION.pack(wire.VERSION, wire.Operation.IMPORTED, wire.STATUS_NO_DEVICE))
                return
            client.settimeout(None)
            client.sendall(
                wire.OPERATION.pack(wire.VERSION, wire.Operation.IMPORTED, wire.STATUS_OK) + self._hub.record(number)
            )
            self._hub.plug(number, client)


def serve(address: str, served: Served) -> UsbIpServer:
    """The way `usbip:[HOST:]PORT`."""
    return UsbIpServer(*read_endpoint("usbip", address, wire.PORT), served)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotAvailableError(f"usbip:{host}:{port}: {_reason(error)}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise NotAvailableError(f"usbip:{host}:{port}: {_reason(error)}") from None
    return listener


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = client.recv(size - len(found))
        if not block:
            raise ConnectionResetError("the host hung up in the middle of its question")
        found += block
    return found
