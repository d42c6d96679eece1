"""The Unix socket against a bare echo of the same sizes, by the same client in the same run, turn by turn."""

from __future__ import annotations

import socket
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench_calls import EMULATOR, LENGTHS, ask, in_turns, medians, server, times_of

from cmis_emu.bus.preload import wire

ECHO = """
import socket, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
print("ready", flush=True)
hello, size = int(sys.argv[2]), int(sys.argv[4])
introduction, answer = bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[5])
def take(client, size):
    got = 0
    while got < size:
        block = client.recv(65536)
        if not block:
            return False
        got += len(block)
    return True
while True:
    client, _ = listener.accept()
    with client:
        if take(client, hello):
            client.sendall(introduction)
        while take(client, size):
            client.sendall(answer)
"""
"""Arguments: a path; what a client says first, in bytes, and the answer to that; size of a request, and its answer."""


def transaction(length: int) -> tuple[bytes, int]:
    """Set the address and read, in the words of the socket, and the size of the answer."""
    messages = wire.MESSAGE.pack(0x50, 0, 1, 0) + wire.MESSAGE.pack(0x50, 1, length, 0) + b"\x80"
    payload = wire.RDWR.pack(2, 0) + messages
    return wire.REQUEST.pack(len(payload), wire.Op.RDWR, 1) + payload, wire.REPLY.size + length


def over_socket(count: int) -> dict[str, float]:
    """Median and p99 of a round trip in us, and the rate as a ratio to the echo."""
    found: dict[str, float] = {}
    for length in LENGTHS:
        request, size = transaction(length)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            paths = {name: str(folder / name) for name in ("echo", "emulator")}
            stack.enter_context(server(ECHO, paths["echo"], "0", "", str(len(request)), bytes(size).hex()))
            stack.enter_context(server(EMULATOR, f"unix:{paths['emulator']}"))
            ways = {}
            for name, path in paths.items():
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(path)
                ways[name] = partial(times_of, partial(ask, client, request, size))
            median = medians(found, f"socket round trip {length} B", in_turns(ways, count))
        found[f"socket {length} B: rate as a ratio to the echo"] = median["echo"] / median["emulator"]
    return found
