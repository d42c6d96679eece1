"""What measurements share: servers in processes of their own, turns that alternate, and what is told of times.

Ways that are compared take turns, so that all of them meet the same machine. Where a client and its server wait for
each other all the time they share a core: left to the scheduler, one pair may wake across cores and the other not,
which tells more than what they do.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

PROFILE = "qsfpdd-400g-dr4"
REPEATS = 7
ROUNDS = 5
LENGTHS = (1, 128)
"""Bytes that a transaction reads."""

EMULATOR = f"""
import sys
from cmis_emu import Emulator
emu = Emulator.load("{PROFILE}")
emu.settle()
emu.open_way(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""
"""A server with one module at rest, on the way that its argument says."""


def per_call_us(call: Callable[[], object], count: int) -> float:
    """Best of several runs, in microseconds a call, the loop included."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter_ns()
        for _ in range(count):
            call()
        best = min(best, time.perf_counter_ns() - start)
    return best / count / 1000


def times_of(call: Callable[[], object], count: int) -> list[int]:
    """How long each of so many calls takes, in ns."""
    taken = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - start)
    return taken


def in_turns(ways: Mapping[str, Callable[[int], Iterable[int]]], count: int) -> dict[str, list[int]]:
    """Times by way, in ns. Each way is asked for as many times as it is told, `ROUNDS` times, for `count` in all."""
    times: dict[str, list[int]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, measure in ways.items():
            times[way] += measure(max(1, count // ROUNDS))
    return times


def spread_us(taken: Iterable[int]) -> tuple[float, float]:
    """Median and 99th percentile of times in ns, in us."""
    ordered = sorted(taken)
    return ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000


def medians(found: dict[str, float], what: str, times: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Put median and p99 of each way into `found`; the medians by way."""
    median = {}
    for way, taken in times.items():
        median[way], p99 = spread_us(taken)
        found[f"{what}, {way}"] = median[way]
        found[f"{what}, {way}, p99"] = p99
    return median


@contextmanager
def on_core(which: int) -> Iterator[None]:
    """On the first or last core (0, -1) that may be used: this thread, and what it starts meanwhile for good."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def server(code: str, *arguments: str) -> Iterator[str]:
    """A Python program in a process of its own, once it has printed a line, which is given."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit("a server did not come up")
            yield line.strip()
        finally:
            process.kill()


def ask(client: socket.socket, request: bytes, size: int) -> None:
    """Send a request, and take as many bytes as its answer has."""
    client.sendall(request)
    got = 0
    while got < size:
        block = client.recv(65536)
        if not block:
            raise SystemExit("a server hung up")
        got += len(block)
