"""The preloaded library against a bare echo of the same sizes over the same transport, in the same run.

Owns the measurement of one host in C (`bench_preload.c`): through the library to the emulator, through the library to
an echo, and to the echo by hand, without the library. Servers are processes of their own, and turns alternate, so
that all meet the same machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from bench_calls import EMULATOR, LENGTHS, in_turns, medians, server
from bench_socket import ECHO, transaction

from cmis_emu.bus.preload import environment, wire


def _times(env: dict[str, str], command: list[str], more: list[str], count: int) -> list[int]:
    done = subprocess.run([*command, str(count), *more], env=env, capture_output=True, text=True, check=True)
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
            request, _ = transaction(length)
            answer = wire.REPLY.pack(length, 2) + bytes(length)
            echo, emulator = str(Path(folder) / f"echo{length}"), str(Path(folder) / f"emulator{length}")
            ioctl = [host, "ioctl", "/dev/i2c-1", str(length)]
            by_hand = [host, "socket", echo, str(length)]
            said = [hello.hex(), request.hex(), str(len(answer))]
            ways = {
                "echo by hand": partial(_times, dict(os.environ), by_hand, said),
                "echo": partial(_times, environment(Path(echo), os.environ), ioctl, []),
                "emulator": partial(_times, environment(Path(emulator), os.environ), ioctl, []),
            }
            sizes = (str(len(hello)), introduction.hex(), str(len(request)), answer.hex())
            with server(ECHO, echo, *sizes), server(EMULATOR, f"unix:{emulator}"):
                times = in_turns(ways, count)
            median = medians(found, f"preload transaction {length} B", times)
            found[f"preload {length} B: transactions per second"] = 1e6 / median["emulator"]
            found[f"preload {length} B: rate as a ratio to the echo"] = median["echo"] / median["emulator"]
            found[f"preload {length} B: library, ratio to a bare socket"] = median["echo by hand"] / median["echo"]
    return found
