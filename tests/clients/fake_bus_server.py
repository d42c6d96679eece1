"""A small server of the preload protocol, so that the C library is tested without the emulator.

Each bus has a memory of 256 bytes with an address pointer at 0x50, and nothing (ENXIO) elsewhere. On the bus
FAULTY, these addresses misbehave on purpose:

    0x51  never answers               0x54  the server process kills itself (only when run as a program)
    0x52  closes the connection       0x55  half a reply, then closes the connection
    0x53  a reply of absurd length    0x56  a status that is no errno

`python fake_bus_server.py SOCKET` runs it as a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from types import TracebackType

from cmis_emu.bus.preload import wire

FAULTY = 3
MEMORY, SILENT, HANGS_UP, ABSURD, SUICIDE, HALF, NO_ERRNO = range(0x50, 0x57)


class _Refusal(Exception):
    def __init__(self, number: int) -> None:
        self.number = number


class _HangUp(Exception):
    pass


class Memory:
    """256 bytes behind an address pointer: the first byte of a write sets it, everything else moves it on."""

    def __init__(self) -> None:
        self.data = bytearray(range(256))
        self.pointer = 0
        self.lock = threading.Lock()

    def write(self, data: bytes) -> None:
        if data:
            self.pointer = data[0]
        for byte in data[1:]:
            self.data[self.pointer] = byte
            self.pointer = (self.pointer + 1) % 256

    def read(self, length: int) -> bytes:
        got = bytes(self.data[(self.pointer + i) % 256] for i in range(length))
        self.pointer = (self.pointer + length) % 256
        return got


class FakeBusServer:
    """Threads: one that accepts, one per connection. `close` ends and joins all of them."""

    def __init__(self, path: Path, buses: tuple[int, ...] = (1, 2, FAULTY)) -> None:
        self.path = path
        self.memories = {bus: Memory() for bus in buses}
        self.messages: list[tuple[int, int, int]] = []  # address, flags, length of each RDWR message
        self.transactions: list[tuple[int, int, int]] = []  # address, SmbusSize, client flags
        self.greetings: list[tuple[int, int]] = []  # bus, process of each OPEN
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> FakeBusServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """As if the server had died: nobody listens, every connection ends."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(_HangUp, OSError):
            while True:
                length, op, bus = wire.REQUEST.unpack(_exactly(connection, wire.REQUEST.size))
                payload = _exactly(connection, length)
                try:
                    status, answer = self._answer(connection, op, bus, payload)
                except _Refusal as refusal:
                    status, answer = -refusal.number, b""
                connection.sendall(wire.REPLY.pack(len(answer), status) + answer)
        with self._lock:
            self._connections.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, op: int, bus: int, payload: bytes) -> tuple[int, bytes]:
        memory = self.memories.get(bus)
        if memory is None:
            raise _Refusal(errno.ENOENT)
        if op == wire.Op.OPEN:
            version, process = wire.OPEN.unpack(payload)
            assert version == wire.PROTOCOL_VERSION
            self.greetings.append((bus, process))
            return 0, wire.OPEN_REPLY.pack(wire.FUNCTIONALITY)
        with memory.lock:
            if op == wire.Op.RDWR:
                return self._rdwr(connection, bus, payload)
            assert op == wire.Op.SMBUS
            return self._smbus(connection, bus, payload)

    def _rdwr(self, connection: socket.socket, bus: int, payload: bytes) -> tuple[int, bytes]:
        memory = self.memories[bus]
        (count, _) = wire.RDWR.unpack_from(payload)
        at = wire.RDWR.size + count * wire.MESSAGE.size
        answer = b""
        for i in range(count):
            address, flags, length, _ = wire.MESSAGE.unpack_from(payload, wire.RDWR.size + i * wire.MESSAGE.size)
            self.messages.append((address, flags, length))
            self._select(connection, bus, address)
            if flags & wire.MessageFlag.RD:
                answer += memory.read(length)
            else:
                memory.write(payload[at : at + length])
                at += length
        assert at == len(payload)
        return count, answer

    def _smbus(self, connection: socket.socket, bus: int, payload: bytes) -> tuple[int, bytes]:
        memory = self.memories[bus]
        address, read, command, size, flags, _, data = wire.SMBUS.unpack(payload)
        self.transactions.append((address, size, flags))
        self._select(connection, bus, address)
        answer = b""
        if size == wire.SmbusSize.QUICK:
            pass
        elif size == wire.SmbusSize.BYTE:
            if read:
                answer = memory.read(1)
            else:
                memory.write(bytes([command]))
        elif size in (wire.SmbusSize.BYTE_DATA, wire.SmbusSize.WORD_DATA):
            length = 1 if size == wire.SmbusSize.BYTE_DATA else 2
            memory.write(bytes([command]) if read else bytes([command]) + data[:length])
            answer = memory.read(length) if read else b""
        elif size == wire.SmbusSize.PROC_CALL:
            memory.write(bytes([command]) + data[:2])
            answer = memory.read(2)
        elif size == wire.SmbusSize.I2C_BLOCK_DATA:
            memory.write(bytes([command]) if read else bytes([command]) + data[1 : 1 + data[0]])
            answer = data[:1] + memory.read(data[0]) if read else b""
        elif size == wire.SmbusSize.BLOCK_DATA and not read:
            memory.write(bytes([command]) + data[: 1 + data[0]])
        else:
            raise _Refusal(errno.EOPNOTSUPP)
        return 0, wire.SMBUS_REPLY.pack(answer)

    def _select(self, connection: socket.socket, bus: int, address: int) -> None:
        if address == MEMORY:
            return
        if bus != FAULTY:
            raise _Refusal(errno.ENXIO)
        if address == SILENT:
            connection.recv(1)  # until the client or close() ends it
            raise _HangUp
        if address == SUICIDE:
            os.kill(os.getpid(), signal.SIGKILL)
        if address == HANGS_UP:
            raise _HangUp
        if address == ABSURD:
            connection.sendall(wire.REPLY.pack(0x7FFFFFFF, 0))
            raise _HangUp
        if address == HALF:
            connection.sendall(wire.REPLY.pack(wire.SMBUS_REPLY.size, 0) + b"half")
            raise _HangUp
        if address == NO_ERRNO:
            connection.sendall(struct.pack("<Ii", 0, -100_000))
            raise _HangUp
        raise _Refusal(errno.ENXIO)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise _HangUp
        data += more
    return data


if __name__ == "__main__":
    with FakeBusServer(Path(sys.argv[1])):
        print("ready", flush=True)
        sys.stdin.read()  # until whoever started it goes away
