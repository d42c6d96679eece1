"""The Unix socket against a bare echo of the same sizes, by the same client in the same run."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_calls import per_call_us

from cmis_emu.bus.preload import wire

PROFILE = "qsfpdd-400g-dr4"


def _round_trips(path: Path, request: bytes, reply: int, count: int) -> float:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))

        def once() -> None:
            client.sendall(request)
            got = 0
            while got < reply:
                got += len(client.recv(65536))

        return per_call_us(once, count)


ECHO = """
import socket, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
print("ready", flush=True)
size, answer = int(sys.argv[2]), bytes(int(sys.argv[3]))
while True:
    client, _ = listener.accept()
    with client:
        while True:
            got = 0
            while got < size:
                block = client.recv(65536)
                if not block: break
                got += len(block)
            if got < size: break
            client.sendall(answer)
"""

SERVER = """
import sys
from pathlib import Path
from cmis_emu import Emulator
emu = Emulator.load(sys.argv[2]); emu.settle(); emu.serve(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def over_socket(count: int) -> dict[str, float]:
    """Round trips of a set-address-and-read against a bare echo of the same sizes, both servers in processes."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for length in (1, 128):
            messages = wire.MESSAGE.pack(0x50, 0, 1, 0) + wire.MESSAGE.pack(0x50, 1, length, 0) + b"\x80"
            payload = wire.RDWR.pack(2, 0) + messages
            request = wire.REQUEST.pack(len(payload), wire.Op.RDWR, 1) + payload
            reply = wire.REPLY.size + length
            times = {}
            for name, code, arguments in (
                ("echo", ECHO, [str(len(request)), str(reply)]),
                ("emulator", SERVER, [PROFILE]),
            ):
                path = Path(folder) / f"{name}{length}.sock"
                with subprocess.Popen(
                    [sys.executable, "-c", code, str(path), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                ) as process:
                    assert process.stdout is not None
                    process.stdout.readline()
                    times[name] = _round_trips(path, request, reply, count)
                    process.kill()
            found[f"socket round trip {length} B, echo"] = times["echo"]
            found[f"socket round trip {length} B, emulator"] = times["emulator"]
            found[f"socket {length} B: rate as a ratio to the echo"] = times["echo"] / times["emulator"]
    return found
