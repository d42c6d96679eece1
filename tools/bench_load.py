"""How long a host waits for one transaction while 128 modules are polled, in the process and through the socket.

Owns the load: a daemon's round over all modules, at a steady 30 thousand transactions a second in total, or what a
bare echo with as many connections allows on this machine. Time runs, monitors are live. A transaction that was due
while the one before was under way starts late; what is told is how long each took.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

from bench_calls import PROFILE, ask, server, spread_us

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus.preload import wire
from cmis_emu.bus.virtual import I2C_M_RD, Message

MODULES = 128
AIM_PER_S = 30_000
HEADROOM = 0.9  # of what the echo reaches, where that is less than the aim

POLL: list[list[tuple[bytes, int]]] = [
    [(b"\x03", 9)],  # state and module flags
    [(b"\x0e", 12)],  # module monitors
    [(b"\x7e\x00\x11", 0), (b"\x86", 20)],  # flags of the lanes
    [(b"\x9a", 48)],  # monitors of the lanes
]
"""What a daemon reads of a module, a transaction each: what is written, and how many bytes are read then."""

ECHO = """
import selectors, socket, struct, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(256)
print("ready", flush=True)
ready = selectors.DefaultSelector(); ready.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if key.fileobj is listener:
            ready.register(listener.accept()[0], selectors.EVENT_READ)
            continue
        data = key.fileobj.recv(65536)
        if data:
            key.fileobj.sendall(bytes(struct.unpack_from("<I", data, len(data) - 4)[0]))
        else:
            ready.unregister(key.fileobj); key.fileobj.close()
"""
"""Answers with as many bytes as the last four of a request say; one thread, as a bare echo needs no more."""

SERVER = f"""
import sys
from pathlib import Path
from cmis_emu import Emulator
ports = {{str(n): {{"profile": "{PROFILE}", "bus": n}} for n in range({MODULES})}}
emu = Emulator.load({{"version": 1, "ports": ports}}); emu.settle(); emu.serve(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def _request(bus: int, poll: list[tuple[bytes, int]]) -> tuple[bytes, int]:
    """A transaction in the words of the socket, and the size of its answer."""
    messages, data, expected = b"", b"", 0
    for written, length in poll:
        messages += wire.MESSAGE.pack(0x50, 0, len(written), 0)
        data += written
        if length:
            messages += wire.MESSAGE.pack(0x50, wire.MessageFlag.RD, length, 0)
            expected += length
    payload = wire.RDWR.pack(len(messages) // wire.MESSAGE.size, 0) + messages + data
    return wire.REQUEST.pack(len(payload), wire.Op.RDWR, bus) + payload, wire.REPLY.size + expected


def _messages(poll: list[tuple[bytes, int]]) -> list[Message]:
    found = []
    for written, length in poll:
        found.append(Message(0x50, 0, written))
        if length:
            found.append(Message(0x50, I2C_M_RD, b"", length))
    return found


def _latencies(calls: list[Callable[[], object]], rate: float, duration_s: float) -> tuple[list[int], float]:
    """Each call in turn, at `rate` a second, for a time: how long each took in ns, and the rate reached."""
    period = int(1e9 / rate)
    taken: list[int] = []
    begin = time.perf_counter_ns()
    due = begin
    end = begin + int(duration_s * 1e9)
    for call in cycle(calls):
        start = time.perf_counter_ns()
        while start < due:
            start = time.perf_counter_ns()
        if start >= end:
            break
        call()
        taken.append(time.perf_counter_ns() - start)
        due = max(due + period, start)
    return taken, len(taken) * 1e9 / (time.perf_counter_ns() - begin)


@contextmanager
def _connected(code: str, path: Path) -> Iterator[list[socket.socket]]:
    """A server in a process of its own, and a connection for each module."""
    with server(code, str(path)), ExitStack() as stack:
        clients = []
        for _ in range(MODULES):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
            clients.append(client)
        yield clients


def under_load(duration_s: float) -> dict[str, float]:
    """p99 in us in the process and through the socket, beside the echo's, and the rates that were reached."""
    found: dict[str, float] = {}
    order = [(n, poll) for n in range(MODULES) for poll in POLL]
    with tempfile.TemporaryDirectory() as folder:
        with _connected(ECHO, Path(folder) / "echo.sock") as clients:
            calls: list[Callable[[], object]] = []
            for n, poll in order:
                request, size = _request(n, poll)
                calls.append(partial(ask, clients[n], request + size.to_bytes(4, "little"), size))
            _, most = _latencies(calls, 1e9, duration_s / 4)
            rate = min(float(AIM_PER_S), HEADROOM * most)
            taken, reached = _latencies(calls, rate, duration_s)
        name = f"{MODULES} polled modules"
        found[f"{name}: echo alone, transactions per second"] = most
        _, found[f"{name}, echo: p99 us"] = spread_us(taken)
        found[f"{name}, echo: transactions per second"] = reached
        with _connected(SERVER, Path(folder) / "emulator.sock") as clients:
            calls = [partial(ask, clients[n], *_request(n, poll)) for n, poll in order]
            _latencies(calls, rate, duration_s / 4)
            taken, reached = _latencies(calls, rate, duration_s)
        _, found[f"{name}, socket: p99 us"] = spread_us(taken)
        found[f"{name}, socket: transactions per second"] = reached
    ports = {str(n): {"profile": PROFILE, "bus": n} for n in range(MODULES)}
    with Emulator.load({"version": 1, "ports": ports}, clock=ScaledClock()) as emu:
        emu.settle()

        def running(n: int, messages: list[Message]) -> Callable[[], object]:
            bus, lock = emu.buses[n], emu.lock

            def run() -> None:
                with lock:
                    bus.transfer(messages)

            return run

        calls = [running(n, _messages(poll)) for n, poll in order]
        _latencies(calls, AIM_PER_S, duration_s / 4)
        taken, reached = _latencies(calls, AIM_PER_S, duration_s)
    _, found[f"{name}, in process: p99 us"] = spread_us(taken)
    found[f"{name}, in process: transactions per second"] = reached
    return found
