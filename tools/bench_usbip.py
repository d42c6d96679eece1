"""USB/IP against a bare echo of the same sizes over the same transport, by the same client in the same run.

Owns the client, which sends what the kernel's driver sends for a write of the address and a read: four URBs, one
after the other. Both servers are processes of their own, and turns alternate, so that both meet the same machine.
"""

from __future__ import annotations

import socket
import struct
from functools import partial

from bench_calls import LENGTHS, PROFILE, ask, in_turns, medians, server, times_of

_IMPORT = struct.pack(">HHI32s", 0x0111, 0x8003, 0, b"1-1")
_IMPORTED = 8 + 312
_HEADER = 48

ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
client, _ = listener.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
first, *turns = [tuple(map(int, each.split(","))) for each in sys.argv[1:]]
def answer(size, reply):
    got = 0
    while got < size:
        block = client.recv(65536)
        if not block:
            sys.exit()
        got += len(block)
    client.sendall(reply)
answer(first[0], bytes(first[1]))
turns = [(size, bytes(reply)) for size, reply in turns]
while True:
    for size, reply in turns:
        answer(size, reply)
"""

SERVER = f"""
import sys
from cmis_emu import Emulator
emu = Emulator.load("{PROFILE}")
emu.settle()
print(emu.open_way("usbip:127.0.0.1:0").address[1], flush=True)
sys.stdin.read()
"""


def _urb(into: bool, request: int, value: int, index: int, data: bytes | int) -> tuple[bytes, int]:
    """A vendor request, and the size of its answer."""
    length = data if isinstance(data, int) else len(data)
    setup = struct.pack("<BBHHH", 0xC1 if into else 0x41, request, value, index, length)
    head = struct.pack(">5I5i8s", 1, 1, 65537, into, 0, 0, length, 0, -1, 0, setup)
    return head + (b"" if isinstance(data, int) else data), _HEADER + (length if into else 0)


def transaction(length: int) -> list[tuple[bytes, int]]:
    """Set the address and read, as the driver does it: each request with the size of its answer."""
    status = _urb(True, 3, 0, 0, 1)
    return [_urb(False, 4 + 1, 0, 0x50, b"\x80"), status, _urb(True, 4 + 2, 1, 0x50, length), status]


def _client(address: str) -> socket.socket:
    """A connection that has imported the device at a port of this machine."""
    client = socket.create_connection(("127.0.0.1", int(address)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ask(client, _IMPORT, _IMPORTED)
    return client


def _transact(client: socket.socket, turns: list[tuple[bytes, int]]) -> None:
    for request, size in turns:
        ask(client, request, size)


def over_usbip(count: int) -> dict[str, float]:
    """Median and p99 of a transaction in us, transactions per second, and the rate as a ratio to the echo."""
    found: dict[str, float] = {}
    for length in LENGTHS:
        turns = transaction(length)
        sizes = [f"{len(_IMPORT)},{_IMPORTED}", *(f"{len(request)},{size}" for request, size in turns)]
        with server(ECHO, *sizes) as echo, server(SERVER) as emulator, _client(echo) as one, _client(emulator) as two:
            ways = {"echo": one, "emulator": two}
            times = in_turns({way: partial(times_of, partial(_transact, ways[way], turns)) for way in ways}, count)
        median = medians(found, f"USB/IP transaction {length} B", times)
        found[f"USB/IP {length} B: transactions per second"] = 1e6 / median["emulator"]
        found[f"USB/IP {length} B: rate as a ratio to the echo"] = median["echo"] / median["emulator"]
    return found
