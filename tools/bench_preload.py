"""The preloaded library against a bare echo of the same sizes over the same transport, in the same run.

Owns the measurement of one host in C (`bench_preload.c`): through the library to the emulator, through the library to
an echo, and to the echo by hand, without the library. Servers are processes of their own, and turns alternate, so
that all meet the same machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cmis_emu.bus.preload import environment, wire

PROFILE = "qsfpdd-400g-dr4"
ROUNDS = 5
LENGTHS = (1, 128)

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

SERVER = f"""
import sys
from pathlib import Path
from cmis_emu import Emulator
emu = Emulator.load("{PROFILE}")
emu.settle()
emu.serve(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def _server(stack: ExitStack, code: str, *arguments: str) -> None:
    command = [sys.executable, "-c", code, *arguments]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise SystemExit("a server did not come up")


def _measure(env: dict[str, str], *command: str) -> list[int]:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def over_preload(count: int) -> dict[str, float]:
    """Median and p99 of a transaction in us, and the rate as a ratio to the echo. Nothing without a C compiler."""
    found: dict[str, float] = {}
    if shutil.which("cc") is None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        host = str(Path(folder) / "host")
        subprocess.run(["cc", "-O2", "-o", host, str(Path(__file__).with_suffix(".c"))], check=True)
        hello = wire.REQUEST.pack(wire.OPEN.size, wire.Op.OPEN, 1) + wire.OPEN.pack(wire.PROTOCOL_VERSION, 0)
        introduction = wire.REPLY.pack(wire.OPEN_REPLY.size, 0) + wire.OPEN_REPLY.pack(wire.FUNCTIONALITY)
        for length in LENGTHS:
            messages = wire.MESSAGE.pack(0x50, 0, 1, 0) + wire.MESSAGE.pack(0x50, 1, length, 0) + b"\x80"
            payload = wire.RDWR.pack(2, 0) + messages
            request = wire.REQUEST.pack(len(payload), wire.Op.RDWR, 1) + payload
            answer = wire.REPLY.pack(length, 2) + bytes(length)
            echo, emulator = Path(folder) / f"echo{length}", Path(folder) / f"emulator{length}"
            ioctl = (host, "ioctl", "/dev/i2c-1", str(length), str(count // ROUNDS))
            by_hand = (host, "socket", str(echo), *ioctl[3:], hello.hex(), request.hex(), str(len(answer)))
            ways = {
                "echo by hand": (dict(os.environ), by_hand),
                "echo": (environment(echo, os.environ), ioctl),
                "emulator": (environment(emulator, os.environ), ioctl),
            }
            times: dict[str, list[int]] = {way: [] for way in ways}
            with ExitStack() as stack:
                _server(stack, ECHO, str(echo), str(len(hello)), introduction.hex(), str(len(request)), answer.hex())
                _server(stack, SERVER, str(emulator))
                for _ in range(ROUNDS):
                    for way, (env, command) in ways.items():
                        times[way] += _measure(env, *command)
            for way, each in times.items():
                each.sort()
                found[f"preload transaction {length} B, {way}"] = each[len(each) // 2] / 1000
                found[f"preload transaction {length} B, {way}, p99"] = each[len(each) * 99 // 100] / 1000
            medians = {way: each[len(each) // 2] for way, each in times.items()}
            found[f"preload {length} B: transactions per second"] = 1e9 / medians["emulator"]
            found[f"preload {length} B: rate as a ratio to the echo"] = medians["echo"] / medians["emulator"]
            found[f"preload {length} B: library, ratio to a bare socket"] = medians["echo by hand"] / medians["echo"]
    return found
