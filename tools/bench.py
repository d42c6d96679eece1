"""Performance as ratios within one run: against a bare echo, against an empty call, against the limits we aim at.

Run: python tools/bench.py [--quick] [--json]. Absolute times belong to this machine; the ratios travel.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench_calls import PROFILE, on_core, per_call_us
from bench_links import links
from bench_load import under_load
from bench_preload import over_preload
from bench_socket import over_socket
from bench_usbip import over_usbip
from bench_vhost_user import over_vhost_user

from cmis_emu import Emulator, ManualClock, ScaledClock
from cmis_emu.layouts.firmware_image import HEADER_BYTES, Version, sample


def in_process(count: int) -> dict[str, float]:
    """Reads and writes of one settled module."""
    emu = Emulator.load(PROFILE, clock=ManualClock(), seed=1)
    emu.settle()
    bus = emu.smbus(1)
    bus.write_i2c_block_data(0x50, 126, [0, 0x11])
    target = next(iter(emu.buses[1].targets.values()))
    target.write(b"\x80")
    target.read(128)  # fresh now, and nothing left to clear
    pointer = b"\x80"

    def page_read() -> None:
        target.read(128)

    def byte_read() -> None:
        target.read(1)

    def pointed_read() -> None:
        target.write(pointer)
        target.read(128)

    def refreshed_read() -> None:
        emu.clock.advance_ns(100_000_000)
        target.write(pointer)
        target.read(128)

    stored = bytes((191, 0))  # a staged byte: stored, nobody acts
    bus.write_i2c_block_data(0x50, 126, [0, 0x10])
    target.write(b"\x80")
    masked = bytes((213, 0))  # a mask: the interrupt is worked out anew
    hooked = bytes((128, 0))  # DPDeinit, unchanged: the state machines look

    found = {
        "empty call": per_call_us(lambda: None, count),
        "1-byte read, stored page": per_call_us(byte_read, count),
        "1-byte write, stored": per_call_us(lambda: target.write(stored), count),
        "1-byte write with hook (a mask)": per_call_us(lambda: target.write(masked), count),
        "1-byte write with hook (state machines)": per_call_us(lambda: target.write(hooked), max(1, count // 10)),
    }
    bus.write_i2c_block_data(0x50, 126, [0, 0x11])
    target.write(pointer)
    found |= {
        "128-byte read, live page 11h, fresh": per_call_us(page_read, count),
        "1-byte read, live page 11h, fresh": per_call_us(byte_read, count),
        "set address and read 128 bytes": per_call_us(pointed_read, count),
        "128-byte read, every monitor recomputed": per_call_us(refreshed_read, max(1, count // 20)),
        "smbus read_byte_data": per_call_us(lambda: bus.read_byte_data(0x50, 0), count),
    }
    emu.close()
    return found


def firmware(size: int) -> dict[str, float]:
    """CPU of an update by 2048-byte blocks, and of as many bare writes, which only store their bytes."""
    command, block_bytes = 128, 2048
    image = sample(Version(9, 9), size)
    emu = Emulator.load(PROFILE, clock=ManualClock(), seed=1)
    emu.settle()
    target = next(iter(emu.buses[1].targets.values()))
    writes = 0

    def write(data: bytes) -> None:
        nonlocal writes
        writes += 1
        target.write(data)

    def send(code: int, lpl: bytes = b"", epl: int = 0) -> None:
        head = code.to_bytes(2, "big") + epl.to_bytes(2, "big") + bytes([len(lpl)])
        write(b"\x7e\x00\x9f")
        write(bytes([command + 2]) + head[2:] + bytes([~sum(head + lpl) & 0xFF, 0, 0]) + lpl)
        write(bytes([command]) + head[:2])
        emu.clock.advance_ns(5_000_000_000 if epl == 0 else 20_000_000)
        if target.write(b"\x25") is None or target.read(1) != b"\x01":
            raise SystemExit(f"command {code:04X}h: found no success")

    start = time.process_time()
    send(0x0101, len(image).to_bytes(4, "big") + bytes(4) + image[:HEADER_BYTES])
    payload = image[HEADER_BYTES:]
    for at in range(0, len(payload), block_bytes):
        block = payload[at : at + block_bytes]
        for page in range(0, len(block), 128):
            write(bytes([126, 0, 0xA0 + page // 128]))
            write(b"\x80" + block[page : page + 128])
        send(0x0104, at.to_bytes(4, "big"), len(block))
    send(0x0107)
    update_s = time.process_time() - start
    stored = bytes((191, *range(8)))
    target.write(b"\x7e\x00\x10")
    start = time.process_time()
    for _ in range(writes):
        target.write(stored)
    bare_s = time.process_time() - start
    emu.close()
    return {
        f"firmware {size >> 10} KiB by EPL blocks: CPU s": update_s,
        f"firmware {size >> 10} KiB: CPU, ratio to bare writes": update_s / bare_s,
    }


def fleet(size: int) -> dict[str, float]:
    """Start-up time and memory of `size` modules, in a process of its own; idle CPU at 128."""
    ports = {str(n): {"profile": PROFILE, "bus": n} for n in range(size)}
    start = time.perf_counter()
    emu = Emulator.load({"version": 1, "ports": ports}, clock=ManualClock())
    loaded = time.perf_counter()
    emu.settle()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {f"{size} modules: load s": loaded - start, f"{size} modules: peak MiB": peak_mib}
    emu.close()
    return found


def idle(size: int, duration_s: float) -> dict[str, float]:
    """CPU of a real-time emulator with `size` settled modules that nobody touches."""
    ports = {str(n): {"profile": PROFILE, "bus": n} for n in range(size)}
    with Emulator.load({"version": 1, "ports": ports}, clock=ScaledClock()) as emu:
        emu.settle()
        threading.Event().wait(0.5)
        before = time.process_time()
        threading.Event().wait(duration_s)
        used = time.process_time() - before
    return {f"{size} idle modules: % of a core": 100 * used / duration_s}


__all__ = ["fleet", "idle", "links"]  # what a child process is asked for


def _in_child(expression: str) -> dict[str, float]:
    code = f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench; "
    code += f"print(json.dumps(bench.{expression}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    results: dict[str, Any] = dict(in_process(100_000 // scale))
    results |= firmware((1 << 20) // scale)
    with on_core(0):
        for way in (over_socket, over_preload, over_usbip, over_vhost_user):
            results |= way(20_000 // scale)
    results |= under_load(10.0 / scale)
    for size in (1, 32, 128, 1024):
        results |= _in_child(f"fleet({size})")
    results |= _in_child(f"links(128, {5 if scale == 1 else 2})")
    results |= _in_child(f"idle(128, {10.0 / scale})")
    if arguments.json:
        print(json.dumps(results, indent=1))
        return 0
    for name, value in results.items():
        unit = "" if any(word in name for word in ("modules", "ratio", "CPU s", "per second")) else " us"
        print(f"{name:<56} {value:10.3f}{unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
