"""The front end of vhost-user and the guest's driver behind it, for tests: what QEMU and Linux's i2c-virtio do.

Typed from the vhost-user specification and VIRTIO 1.2; nothing is imported from the emulator. `FrontEnd` sends the
messages that QEMU sends, in its order; `Queue` is the driver's side of a split virtqueue in memory that both share;
`VirtioDriver` makes I2C transfers as i2c-virtio does: all messages queued, one kick, and a wait for all of them. Where
that driver waits for ever, because its device is gone, this one fails with ENODEV.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

SOON_S = 30.0

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 15, 16, 18
VERSION, REPLY, NEED_REPLY = 1, 4, 8
NO_DESCRIPTOR = 0x100

ZERO_LENGTH, INDIRECT, EVENTS, PROTOCOL, VERSION_1 = 1 << 0, 1 << 28, 1 << 29, 1 << 30, 1 << 32
REPLY_ACK = 1 << 3

NEXT, WRITE, TABLE = 1, 2, 4
FAIL_NEXT, READ = 1, 2

FRONT = 0x7F12_0000_0000
"""Where QEMU would have the memory."""
REGIONS = ((0x0, 0xA_0000, 0), (0xC_0000, 0x4_0000, 0xC_0000), (0x10_0000, 0x10_0000, 0x10_0000))
"""Guest address, size, offset in the file; the last two are neighbours."""
FILE_SIZE = 0x20_0000
RINGS = 0x1000
TABLES = 0xE_0000
BUFFERS = 0xF_F000  # and on into the next region


class ShortCount(OSError):
    """Fewer messages than wanted were sent: `done` of them. i2c-virtio knows no more; SMBus calls make EIO of it."""

    def __init__(self, done: int) -> None:
        super().__init__(errno.EIO, os.strerror(errno.EIO))
        self.done = done


def sealed_memory(size: int = FILE_SIZE) -> int:
    """A file in memory as QEMU's memory-backend-memfd makes it."""
    file = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return file


def event() -> int:
    """An eventfd as QEMU makes it."""
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


class FrontEnd:
    """A connection, and messages over it. `close` also closes what `own` was given."""

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(SOON_S)
        try:
            self.connection.connect(str(path))
        except OSError:
            self.connection.close()
            raise
        self._owned: list[int] = []

    def own(self, descriptor: int) -> int:
        """Close this at the end."""
        self._owned.append(descriptor)
        return descriptor

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
        while self._owned:
            os.close(self._owned.pop())

    def send(self, request: int, payload: bytes = b"", descriptors: Sequence[int] = (), flags: int = VERSION) -> None:
        """One message."""
        self.raw(struct.pack("=III", request, flags, len(payload)) + payload, descriptors)

    def raw(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Bytes, with file descriptors along."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        self.connection.sendmsg([data], [rights] if descriptors else [])

    def ask(self, request: int, payload: bytes = b"", descriptors: Sequence[int] = (), flags: int = VERSION) -> bytes:
        """A message and its reply. Raises ConnectionResetError when the other side hangs up."""
        self.send(request, payload, descriptors, flags)
        head = self._exactly(12)
        found, flags, size = struct.unpack("=III", head)
        assert (found, flags) == (request, VERSION | REPLY)
        return self._exactly(size)

    def ask_number(self, request: int) -> int:
        (number,) = struct.unpack("=Q", self.ask(request))
        return int(number)

    def set_number(self, request: int, number: int, descriptors: Sequence[int] = ()) -> None:
        self.send(request, struct.pack("=Q", number), descriptors)

    def set_state(self, request: int, number: int, index: int = 0) -> None:
        self.send(request, struct.pack("=II", index, number))

    def share(self, file: int, regions: Sequence[tuple[int, int, int]] = REGIONS) -> None:
        """Hand over memory, and wait until it is taken."""
        table = struct.pack("=II", len(regions), 0)
        for guest, size, offset in regions:
            table += struct.pack("=QQQQ", guest, size, FRONT + guest, offset)
        reply = self.ask(SET_MEM_TABLE, table, [file] * len(regions), VERSION | NEED_REPLY)
        assert reply == bytes(8)

    def hung_up_in_the_end(self) -> bool:
        """Does the other side hang up, whatever it says before that? Raises TimeoutError."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while self.connection.recv(65536):
                pass
        return True

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            block = self.connection.recv(size - len(found))
            if not block:
                raise ConnectionResetError("the back end hung up")
            found += block
        return found


class Queue:
    """The driver's side of a split virtqueue at RINGS of `memory`."""

    def __init__(self, memory: mmap.mmap, size: int, *, indirect: bool, events: bool) -> None:
        self.memory = memory
        self._halves = memoryview(memory).cast("H")
        self.size = size
        self.indirect = indirect
        self.events = events
        self.descriptors = RINGS
        self.available = RINGS + 16 * size
        self.used = -(-(self.available + 6 + 2 * size) // 4096) * 4096
        self.added = 0  # available index, not shown yet
        self.shown = 0
        self.seen = 0  # used index
        self._free = 0  # next descriptor; all are free again when all chains are used
        self._tables = TABLES

    def close(self) -> None:
        """Look at the memory no more."""
        self._halves.release()

    def look_at(self, memory: mmap.mmap) -> None:
        """The same ring in other memory."""
        self.close()
        self.memory, self._halves = memory, memoryview(memory).cast("H")

    def addresses(self) -> bytes:
        """The payload of SET_VRING_ADDR."""
        places = (FRONT + self.descriptors, FRONT + self.used, FRONT + self.available)
        return struct.pack("=IIQQQQ", 0, 0, *places, 0)

    def u16(self, at: int, value: int | None = None) -> int:
        """Read or write an index, at once: `struct` would do it byte by byte, and the device looks meanwhile."""
        if value is not None:
            self._halves[at // 2] = value & 0xFFFF
            return value
        return int(self._halves[at // 2])

    def describe(self, at: int, address: int, length: int, flags: int, following: int) -> None:
        struct.pack_into("<QIHH", self.memory, at, address, length, flags, following)

    def add(self, buffers: Sequence[tuple[int, int, bool]]) -> int | None:
        """Make a chain of (address, length, writable) available; its head, None when there is no room."""
        if self.seen == self.added:
            self._free, self._tables = 0, TABLES
        head = self._free
        taken = 1 if self.indirect else len(buffers)
        if head + taken > self.size:
            return None
        self._free += taken
        table, first = self.descriptors, head
        if self.indirect:
            table, first = self._tables, 0
            self._tables += 16 * len(buffers)
            self.describe(self.descriptors + 16 * head, table, 16 * len(buffers), TABLE, 0)
        for number, (address, length, writable) in enumerate(buffers, first):
            last = number == first + len(buffers) - 1
            flags = (WRITE if writable else 0) | (0 if last else NEXT)
            self.describe(table + 16 * number, address, length, flags, 0 if last else number + 1)
        self.offer(head)
        return head

    def offer(self, head: int) -> None:
        """Put a head into the available ring."""
        self.u16(self.available + 4 + 2 * (self.added % self.size), head)
        self.added += 1

    def show(self) -> bool:
        """Let the device see what was added. Does it want a kick?"""
        before, self.shown = self.shown, self.added
        self.u16(self.available + 2, self.added)
        if not self.events:
            return not self.u16(self.used) & 1
        wanted = self.u16(self.used + 4 + 8 * self.size)
        return (self.added - wanted - 1) & 0xFFFF < (self.added - before) & 0xFFFF

    def want_call(self, after: int = 0) -> None:
        """The device shall call when it has used so many more chains after the next one."""
        self.u16(self.available + 4 + 2 * self.size, self.seen + after)

    def silence(self, silent: bool) -> None:
        """Without event indexes: the device shall not call."""
        self.u16(self.available, int(silent))

    def take(self) -> tuple[int, int] | None:
        """The next used chain: its head, and how much was written."""
        if self.u16(self.used + 2) == self.seen & 0xFFFF:
            return None
        at = self.used + 4 + 8 * (self.seen % self.size)
        self.seen += 1
        head, length = struct.unpack_from("<II", self.memory, at)
        return head, length


class VirtioDriver:
    """QEMU with a guest whose i2c-virtio has bound; transfers as i2c-dev makes them."""

    def __init__(self, path: Path, *, indirect: bool = True, events: bool = True, size: int = 4) -> None:
        self.front = FrontEnd(path)
        self.file = self.front.own(sealed_memory())
        self.memory = mmap.mmap(self.file, FILE_SIZE)
        self.queue = Queue(self.memory, size, indirect=indirect, events=events)
        self.kick, self.call = self.front.own(event()), self.front.own(event())
        self._lock = threading.Lock()  # the I2C core's, one per adapter
        try:
            self._introduce((INDIRECT if indirect else 0) | (EVENTS if events else 0))
            self.start()
        except ConnectionError:
            self.close()
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None

    def close(self) -> None:
        self.front.close()

    def _introduce(self, wanted: int) -> None:
        front = self.front
        offered = front.ask_number(GET_FEATURES)
        assert offered & PROTOCOL
        assert front.ask_number(GET_PROTOCOL_FEATURES) & REPLY_ACK
        front.set_number(SET_PROTOCOL_FEATURES, REPLY_ACK)
        front.send(SET_OWNER)
        assert front.ask_number(GET_FEATURES) == offered
        front.set_number(SET_VRING_CALL, 0, [self.call])
        front.set_number(SET_VRING_ERR, 0, [self.call])
        wanted |= ZERO_LENGTH | PROTOCOL | VERSION_1
        assert offered & wanted == wanted
        front.set_number(SET_FEATURES, wanted)
        front.share(self.file)

    def move(self, regions: Sequence[tuple[int, int, int]] = REGIONS) -> mmap.mmap:
        """Have the same memory in another file, and hand that over; the memory of before."""
        before = self.memory
        self.file = self.front.own(sealed_memory())
        self.memory = mmap.mmap(self.file, FILE_SIZE)
        self.memory[:] = before[:]
        self.queue.look_at(self.memory)
        self.front.share(self.file, regions)
        return before

    def start(self, position: int = 0) -> None:
        """Start the ring."""
        front = self.front
        front.set_state(SET_VRING_NUM, self.queue.size)
        front.set_state(SET_VRING_BASE, position)
        front.send(SET_VRING_ADDR, self.queue.addresses())
        front.set_number(SET_VRING_KICK, 0, [self.kick])
        front.set_state(SET_VRING_ENABLE, 1)
        front.set_number(SET_VRING_CALL, 0, [self.call])
        assert front.ask_number(GET_FEATURES)  # all of it is done

    def stop(self) -> int:
        """Stop the ring; the position of the first request that is not done."""
        self.front.set_state(SET_VRING_ENABLE, 0)
        index, position = struct.unpack("=II", self.front.ask(GET_VRING_BASE, struct.pack("=II", 0, 0)))
        assert index == 0
        return int(position)

    def request(self, number: int, address: int, what: bytes | int, flags: int) -> tuple[int | None, int]:
        """Queue one message as number `number` of its transfer: the head of its chain, and where its data are."""
        place = BUFFERS + number * 0x1_0000
        header, status, data = place, place + 16, place + 0xFF0  # the first message's data cross a region's end
        length = what if isinstance(what, int) else len(what)
        read = isinstance(what, int)
        self.memory[header : header + 8] = struct.pack("<HHI", address << 1, 0, flags | (READ if read else 0))
        self.memory[status] = 0xA5
        if isinstance(what, bytes):
            self.memory[data : data + length] = what
        buffers = [(header, 8, False), (data, length, read), (status, 1, True)]
        return self.queue.add([each for each in buffers if each[1]]), data

    def begin(self, *messages: tuple[int, bytes | int], open_end: bool = False) -> list[tuple[int, int, int]]:
        """Queue a transfer and kick: for each message head, place of its data, and bytes that will be written."""
        begun = []
        self.queue.want_call()
        for number, (address, what) in enumerate(messages):
            goes_on = open_end or number < len(messages) - 1
            head, data = self.request(number, address, what, FAIL_NEXT if goes_on else 0)
            if head is None:
                break
            begun.append((head, data, 1 + (what if isinstance(what, int) else 0)))
        if self.queue.show():
            os.eventfd_write(self.kick, 1)
        return begun

    def end(self, begun: Sequence[tuple[int, int, int]], limit_s: float = SOON_S) -> list[int]:
        """Wait until all of it is used; the status of each."""
        poll = select.poll()
        poll.register(self.call, select.POLLIN)
        poll.register(self.front.connection, select.POLLIN)
        found: list[int] = []
        deadline = time.monotonic() + limit_s
        while len(found) < len(begun):
            while used := self.queue.take():
                head, _, written = begun[len(found)]
                assert used == (head, written)
                found.append(self.memory[BUFFERS + len(found) * 0x1_0000 + 16])
            if len(found) == len(begun):
                break
            self.queue.want_call()
            if self.queue.u16(self.queue.used + 2) != self.queue.seen & 0xFFFF:
                continue
            if time.monotonic() > deadline:
                raise TimeoutError("the device does not answer")
            ready = {descriptor for descriptor, _ in poll.poll(1000 * limit_s)}
            if self.call in ready:
                os.eventfd_read(self.call)
            elif ready:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return found

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        """One combined transfer of (address, data to write or length to read). Raises ShortCount, OSError."""
        with self._lock:
            begun = self.begin(*messages)
            statuses = self.end(begun)
            done = next((number for number, status in enumerate(statuses) if status), len(begun))
            if done < len(messages):
                raise ShortCount(done)
            return [
                bytes(self.memory[data : data + what])
                for (_, data, _), (_, what) in zip(begun, messages, strict=True)
                if isinstance(what, int)
            ]
