"""vhost-user against a bare echo over the same ring, by the same driver in the same run.

Owns the driver's side, which does what i2c-virtio does for a write of the address and a read: two chains with indirect
tables, one kick, a wait for one call. The echo is a device that follows the ring to the buffers, takes what is there
and leaves zeros, and checks nothing; one that did not even follow the ring would measure two system calls. The bare
bus is the emulator's own device with nothing behind it: what is between the two is the price of looking at everything
that a guest says before it is believed. All servers are processes of their own, and turns alternate, so that all meet
the same machine.
"""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import select
import socket
import struct
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench_calls import EMULATOR, LENGTHS, in_turns, medians, server, times_of

SIZE = 1 << 20
FRONT = 0x7F00_0000_0000
DESCRIPTORS, AVAILABLE, USED, TABLES, BUFFERS = 0x0, 0x100, 0x200, 0x1000, 0x2000
RING = 4
FEATURES = 1 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32
_SOON_MS = 10_000

ECHO = f"""
import mmap, os, select, socket, struct, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
print("ready", flush=True)
client, _ = listener.accept()
_, descriptors, _, _ = socket.recv_fds(client, 1, 3)
file, kick, call = descriptors
memory = memoryview(mmap.mmap(file, 0))
reply = bytes(int(sys.argv[2]))
available, used = memory[{AVAILABLE}:{USED}].cast("H"), memory[{USED}:{TABLES}].cast("H")
unpack = struct.Struct("<QIHH").unpack_from
element = struct.Struct("<II").pack_into
poll = select.epoll(); poll.register(kick, select.EPOLLIN | select.EPOLLET)
seen = 0
while True:
    poll.poll()
    while available[1] != seen:
        while available[1] != seen:
            head = available[2 + seen % {RING}]
            table, size, _, _ = unpack(memory, {DESCRIPTORS} + 16 * head)
            asked, written = b"", 0
            for at in range(table, table + size, 16):
                address, length, flags, _ = unpack(memory, at)
                if flags & 2:
                    memory[address:address + length] = reply[:length]
                    written += length
                else:
                    asked += memory[address:address + length]
            element(memory, {USED} + 4 + seen % {RING} * 8, head, written)
            seen = seen + 1 & 65535
        used[2 + 4 * {RING}] = seen
        used[1] = seen
        os.eventfd_write(call, 1)
"""

BARE_BUS = """
import sys, threading
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.bus.ways import Served, open_way
class Bare(VirtualBus):
    def run(self, messages):
        return [bytes(each.length) for each in messages if each.flags]
open_way("vhost-user:" + sys.argv[1], Served({1: Bare(1)}, threading.RLock()))
print("ready", flush=True)
sys.stdin.read()
"""


class _Driver:
    """The driver's side of a ring that a server serves."""

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(path))
        self.file = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.file, SIZE)
        fcntl.fcntl(self.file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = memoryview(mmap.mmap(self.file, SIZE))
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        self.kick, self.call = os.eventfd(0, flags), os.eventfd(0, flags)
        self._available = self.memory[AVAILABLE:USED].cast("H")
        self._used = self.memory[USED:TABLES].cast("H")
        self._index = 0
        self._poll = select.poll()
        self._poll.register(self.call, select.POLLIN)

    def close(self) -> None:
        self.connection.close()
        for descriptor in (self.file, self.kick, self.call):
            os.close(descriptor)

    def greet(self) -> None:
        """Hand over memory and events to an echo."""
        socket.send_fds(self.connection, [b"\0"], [self.file, self.kick, self.call])

    def negotiate(self) -> None:
        """The same with an adapter, as QEMU does it."""
        places = (FRONT + DESCRIPTORS, FRONT + USED, FRONT + AVAILABLE)
        for request, payload, descriptors in (
            (16, struct.pack("=Q", 0), []),
            (2, struct.pack("=Q", FEATURES), []),
            (5, struct.pack("=IIQQQQ", 1, 0, 0, SIZE, FRONT, 0), [self.file]),
            (8, struct.pack("=II", 0, RING), []),
            (10, struct.pack("=II", 0, 0), []),
            (9, struct.pack("=IIQQQQ", 0, 0, *places, 0), []),
            (13, struct.pack("=Q", 0), [self.call]),
            (12, struct.pack("=Q", 0), [self.kick]),
            (18, struct.pack("=II", 0, 1), []),
        ):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            self.connection.sendmsg([struct.pack("=III", request, 1, len(payload)) + payload], rights)

    def prepare(self, length: int) -> None:
        """The requests of a transaction: what a driver would write anew each time but for the values."""
        requests: list[tuple[bytes | int, int]] = [(b"\x80", 1), (length, 2)]
        for number, (what, flags) in enumerate(requests):
            header = BUFFERS + 256 * number
            data = BUFFERS + 512 if number else header + 32
            self.memory[header : header + 8] = struct.pack("<HHI", 0x50 << 1, 0, flags)
            if isinstance(what, bytes):
                self.memory[data : data + len(what)] = what
            size = what if isinstance(what, int) else len(what)
            table = TABLES + 64 * number
            for at, each in enumerate(((header, 8, 1), (data, size, 3 if number else 1), (header + 16, 1, 2))):
                struct.pack_into("<QIHH", self.memory, table + 16 * at, *each, at + 1)
            struct.pack_into("<QIHH", self.memory, DESCRIPTORS + 16 * number, table, 48, 4, 0)

    def transact(self) -> None:
        """Set the address, and read."""
        memory, available, used, index = self.memory, self._available, self._used, self._index
        memory[BUFFERS + 16] = memory[BUFFERS + 256 + 16] = 0xFF
        for head in range(2):
            available[2 + (index + head) % RING] = head
        available[2 + RING] = index  # call for the first that is used
        before, index = index, index + 2 & 0xFFFF
        available[1] = index
        if (index - used[2 + 4 * RING] - 1) & 0xFFFF < (index - before) & 0xFFFF:
            os.eventfd_write(self.kick, 1)
        while used[1] != index:
            if not self._poll.poll(_SOON_MS):
                raise SystemExit("vhost-user: found no answer")
            os.eventfd_read(self.call)
        if memory[BUFFERS + 16] or memory[BUFFERS + 256 + 16]:
            raise SystemExit("vhost-user: found a failed transaction")
        self._index = index


def over_vhost_user(count: int) -> dict[str, float]:
    """Median and p99 of a transaction in us, transactions per second, and the rate as a ratio to the echo."""
    found: dict[str, float] = {}
    for length in LENGTHS:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cmis")))
            servers = {
                "echo": (ECHO, str(folder / "echo"), str(length)),
                "bare bus": (BARE_BUS, str(folder / "bare bus")),
                "emulator": (EMULATOR, f"vhost-user:{folder / 'emulator'}"),
            }
            drivers = {}
            for name, command in servers.items():
                stack.enter_context(server(*command))
                driver = drivers[name] = _Driver(folder / name)
                stack.callback(driver.close)
                driver.prepare(length)
            drivers["echo"].greet()
            drivers["bare bus"].negotiate()
            drivers["emulator"].negotiate()
            times = in_turns({name: partial(times_of, driver.transact) for name, driver in drivers.items()}, count)
            if bytes(drivers["emulator"].memory[BUFFERS + 512 : BUFFERS + 513]) != b"\x18":
                raise SystemExit("vhost-user: found no identifier of a module")
        median = medians(found, f"vhost-user transaction {length} B", times)
        found[f"vhost-user {length} B: transactions per second"] = 1e6 / median["emulator"]
        for name in ("echo", "bare bus"):
            found[f"vhost-user {length} B: rate as a ratio to the {name}"] = median[name] / median["emulator"]
    return found
