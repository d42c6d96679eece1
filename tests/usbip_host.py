"""A host's end of USB/IP, for tests: what the kernel's vhci_hcd and i2c-tiny-usb driver do, as they are described.

Formats, codes and the order of requests are typed from the protocol's description; nothing is imported from the
emulator. `Cable` carries USB requests, many at once; `TinyUsbDriver` enumerates the device as the USB core does and
makes I2C transfers as the driver does: one URB per message, one for the status, two seconds for each, then an unlink.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from dataclasses import dataclass

URB_LIMIT_S = 2.0
SOON_S = 30.0

VENDOR_OUT, VENDOR_IN = 0x41, 0xC1
GET_FUNCTIONALITY, SET_DELAY, GET_STATUS, MESSAGE = 1, 2, 3, 4
FIRST, LAST = 1, 2
M_RD = 1


@dataclass(frozen=True)
class Device:
    """A device record of a list or an import."""

    path: str
    bus_id: str
    busnum: int
    devnum: int
    speed: int
    vendor: int
    product: int
    interfaces: int


@dataclass(frozen=True)
class Return:
    """How a USB request ended."""

    status: int
    actual: int
    data: bytes


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = connection.recv(size - len(found))
        if not block:
            raise ConnectionResetError("the server hung up")
        found += block
    return found


def _device(record: bytes) -> Device:
    path, bus_id, busnum, devnum, speed, vendor, product, _ = struct.unpack(">256s32sIIIHHH", record[:306])
    text = [field.split(b"\0")[0].decode() for field in (path, bus_id)]
    return Device(text[0], text[1], busnum, devnum, speed, vendor, product, record[311])


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection to a USB/IP server."""
    connection = socket.create_connection(address, timeout=SOON_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def list_devices(address: tuple[str, int]) -> list[Device]:
    """What `usbip list -r` asks for."""
    with connect(address) as connection:
        connection.sendall(struct.pack(">HHI", 0x0111, 0x8005, 0))
        assert struct.unpack(">HHI", _exactly(connection, 8)) == (0x0111, 0x0005, 0)
        (count,) = struct.unpack(">I", _exactly(connection, 4))
        found = []
        for _ in range(count):
            found.append(_device(_exactly(connection, 312)))
            _exactly(connection, 4 * found[-1].interfaces)
        assert connection.recv(1) == b""
        return found


def import_device(address: tuple[str, int], bus_id: str) -> tuple[socket.socket, Device]:
    """What `usbip attach` asks for. Raises OSError(ENODEV) when the server has no such device."""
    connection = connect(address)
    connection.sendall(struct.pack(">HHI32s", 0x0111, 0x8003, 0, bus_id.encode()))
    version, code, status = struct.unpack(">HHI", _exactly(connection, 8))
    assert (version, code) == (0x0111, 0x0003)
    if status:
        connection.close()
        raise OSError(errno.ENODEV, f"status {status}")
    return connection, _device(_exactly(connection, 312))


class Cable:
    """USB requests over an imported connection; any number may be under way."""

    def __init__(self, connection: socket.socket, device_id: int) -> None:
        self.connection = connection
        connection.settimeout(None)
        self._device_id = device_id
        self._sequence = 0
        self._into: dict[int, bool] = {}
        self._returned: dict[int, Return] = {}
        self._news = threading.Condition()
        self._broken = False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pull the plug."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(SOON_S)
        self.connection.close()

    def submit(
        self, request_type: int, request: int, value: int, index: int, data: bytes | int, endpoint: int = 0
    ) -> int:
        """Start a control request: an IN for `data` bytes, or an OUT of `data`. Returns its sequence number."""
        into = bool(request_type & 0x80)
        length = data if isinstance(data, int) else len(data)
        setup = struct.pack("<BBHHH", request_type, request, value, index, length)
        with self._news:
            self._sequence += 1
            sequence = self._sequence
            self._into[sequence] = into
        head = struct.pack(">IIIII", 1, sequence, self._device_id, int(into and length > 0), endpoint)
        body = b"" if isinstance(data, int) else data
        with contextlib.suppress(OSError):  # the kernel finds out when it waits, too
            self.connection.sendall(head + struct.pack(">IiiiI", 0, length, 0, -1, 0) + setup + body)
        return sequence

    def unlink(self, victim: int) -> int:
        """Ask for the end of a request. Returns the sequence number of this request."""
        with self._news:
            self._sequence += 1
            sequence = self._sequence
        self.connection.sendall(struct.pack(">IIIIII24x", 2, sequence, self._device_id, 0, 0, victim))
        return sequence

    def wait(self, sequence: int, limit_s: float = SOON_S) -> Return:
        """How a request ended. Raises TimeoutError, and OSError(ENODEV) when the device is gone."""
        with self._news:
            if not self._news.wait_for(lambda: sequence in self._returned or self._broken, limit_s):
                raise TimeoutError(f"request {sequence} has no answer after {limit_s} s")
            if sequence in self._returned:
                return self._returned.pop(sequence)
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def has_answer(self, sequence: int) -> bool:
        with self._news:
            return sequence in self._returned

    def _receive(self) -> None:
        try:
            while True:
                head = _exactly(self.connection, 48)
                command, sequence, device_id, direction, endpoint, status = struct.unpack(">IIIIIi", head[:24])
                assert (device_id, direction, endpoint) == (0, 0, 0)
                data, actual = b"", 0
                if command == 3:
                    actual, _, packets, errors, padding = struct.unpack(">iiii8s", head[24:])
                    assert (packets, errors, padding) == (-1, 0, bytes(8))
                    if self._into.pop(sequence):
                        data = _exactly(self.connection, actual)
                else:
                    assert command == 4
                    assert head[24:] == bytes(24)
                with self._news:
                    assert sequence not in self._returned, "one request, two answers"
                    self._returned[sequence] = Return(status, actual, data)
                    self._news.notify_all()
        except OSError:
            with self._news:
                self._broken = True
                self._news.notify_all()


class TinyUsbDriver:
    """The USB core's enumeration, the driver's probe, and its I2C transfers."""

    def __init__(self, address: tuple[str, int], bus_id: str = "1-1") -> None:
        connection, self.device = import_device(address, bus_id)
        self.cable = Cable(connection, self.device.busnum << 16 | self.device.devnum)
        self._lock = threading.Lock()  # the I2C core's, one per adapter
        self.strings: list[str] = []
        self._enumerate()
        self._probe()

    def close(self) -> None:
        self.cable.close()

    def control(self, request_type: int, request: int, value: int, index: int, data: bytes | int) -> Return:
        """As usb_control_msg: waits, and gives up with an unlink. Raises OSError."""
        sequence = self.cable.submit(request_type, request, value, index, data)
        try:
            done = self.cable.wait(sequence, URB_LIMIT_S)
        except TimeoutError:
            self.cable.wait(self.cable.unlink(sequence))
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        if done.status < 0:
            raise OSError(-done.status, os.strerror(-done.status))
        return done

    def _descriptor(self, kind: int, index: int, size: int, language: int = 0) -> bytes:
        return self.control(0x80, 6, kind << 8 | index, language, size).data

    def _enumerate(self) -> None:
        assert self._descriptor(1, 0, 64)[:2] == b"\x12\x01"
        device = self._descriptor(1, 0, 18)
        length, _, usb, _, _, _, packet, vendor, product = struct.unpack("<BBHBBBBHH", device[:12])
        manufacturer, name, serial, configurations = device[14:18]
        assert (length, usb, packet, configurations) == (18, 0x0200, 64, 1)
        assert (vendor, product) == (self.device.vendor, self.device.product)
        assert (vendor, product) in ((0x0403, 0xC631), (0x1C40, 0x0534))
        (total,) = struct.unpack("<H", self._descriptor(2, 0, 9)[2:4])
        whole = self._descriptor(2, 0, total)
        assert (len(whole), whole[4]) == (total, 1)
        interface = whole[whole[0] :]
        assert (interface[:2], interface[4], interface[5]) == (b"\x09\x04", 0, 0xFF)  # no endpoints, vendor class
        language = struct.unpack("<H", self._descriptor(3, 0, 255)[2:4])[0]
        for index in (manufacturer, name, serial):
            text = self._descriptor(3, index, 255, language)
            assert text[0] == len(text)
            self.strings.append(text[2:].decode("utf-16-le"))
        self.control(0x00, 9, whole[5], 0, b"")

    def _probe(self) -> None:
        assert self.control(VENDOR_OUT, SET_DELAY, 10, 0, b"").actual == 0
        (self.functionality,) = struct.unpack("<I", self.control(VENDOR_IN, GET_FUNCTIONALITY, 0, 0, 4).data)

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        """One combined transfer of (address, data to write or length to read). Raises OSError as the driver does."""
        found = []
        with self._lock:
            for index, (address, what) in enumerate(messages):
                request = MESSAGE + FIRST * (index == 0) + LAST * (index == len(messages) - 1)
                length = what if isinstance(what, int) else len(what)
                try:
                    if isinstance(what, int):
                        done = self.control(VENDOR_IN, request, M_RD, address, what)
                    else:
                        done = self.control(VENDOR_OUT, request, 0, address, what)
                    if done.actual != length:
                        raise OSError(errno.EIO, "short")
                    status = self.control(VENDOR_IN, GET_STATUS, 0, 0, 1).data
                except OSError as error:
                    number = errno.ENODEV if error.errno == errno.ENODEV else errno.EIO
                    raise OSError(number, os.strerror(number)) from None
                if status == b"\x02":
                    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
                if isinstance(what, int):
                    found.append(done.data)
        return found
