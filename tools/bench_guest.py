"""vhost-user as a program in a guest sees it: the emulator's adapter and a bare echo's, in one guest.

Run: python tools/bench_guest.py [--json]. Owns the echo, a device that speaks as much of the protocol as QEMU needs,
follows the ring, leaves zeros and checks nothing; and the client, a C program in the guest that sets an address and
reads, through the guest's kernel. Turns alternate, and where there are two cores the guest has one and both servers
the other. It takes QEMU and what `tools/guest` needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench_calls import EMULATOR, LENGTHS, in_turns, on_core, server, spread_us
from guest.drivers import driver
from guest.image import build
from guest.machine import Machine

COUNT = 2400

ECHO = """
import array, mmap, os, select, socket, struct, sys, threading
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
print("ready", flush=True)
client, _ = listener.accept()
FEATURES = 1 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32
ring = {}
def serve():
    memory, base, (descriptors, used_at, available_at) = ring["memory"], ring["front"], ring["places"]
    size, kick, seen = ring["size"], ring["kick"], ring["seen"]
    descriptors, used_at, available_at = (each - base for each in (descriptors, used_at, available_at))
    available = memory[available_at:available_at + 6 + 2 * size].cast("H")
    used = memory[used_at:used_at + 6 + 8 * size].cast("H")
    unpack, element = struct.Struct("<QIHH").unpack_from, struct.Struct("<II").pack_into
    poll = select.epoll(); poll.register(kick, select.EPOLLIN)
    while True:
        poll.poll(); os.eventfd_read(kick)
        while available[1] != seen:
            while available[1] != seen:
                head = available[2 + seen % size]
                table, length, flags, following = unpack(memory, descriptors + 16 * head)
                chain, at, written = memory, table, 0
                if not flags & 4:
                    at = descriptors + 16 * head
                while True:
                    address, length, flags, following = unpack(chain, at)
                    if flags & 2:
                        memory[address:address + length] = bytes(length)
                        written += length
                    if not flags & 1:
                        break
                    at = (table if at >= table and at < table + 4096 else descriptors) + 16 * following
                element(memory, used_at + 4 + seen % size * 8, head, written)
                seen = seen + 1 & 65535
            used[2 + 4 * size] = seen
            used[1] = seen
            os.eventfd_write(ring["call"], 1)
while True:
    data, files, _, _ = socket.recv_fds(client, 12, 8)
    if not data:
        break
    request, flags, length = struct.unpack("=III", data)
    body = b""
    while len(body) < length:
        body += client.recv(length - len(body))
    answer = None
    if request == 1: answer = FEATURES
    elif request == 15: answer = 8
    elif request == 5:
        regions = [struct.unpack_from("=QQQQ", body, 8 + 32 * n) for n in range(struct.unpack_from("=I", body)[0])]
        ring["memory"] = memoryview(mmap.mmap(files[0], 0))
        ring["front"] = regions[-1][2] - regions[-1][3]
        answer = 0
    elif request == 8: ring["size"] = struct.unpack("=II", body)[1]
    elif request == 10: ring["seen"] = struct.unpack("=II", body)[1]
    elif request == 9:
        _, _, descriptors, used, available, _ = struct.unpack("=IIQQQQ", body)
        ring["places"] = descriptors, used, available
    elif request == 12: ring["kick"] = files[0]
    elif request == 13: ring["call"] = files[0] if files else None
    elif request == 18 and struct.unpack("=II", body)[1] and "kick" in ring and "running" not in ring:
        ring["running"] = threading.Thread(target=serve, daemon=True); ring["running"].start()
    if answer is not None or flags & 8:
        client.sendall(struct.pack("=IIIQ", request, 5, 8, answer or 0))
"""

CLIENT = r"""
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
int main(int count, char **words)
{
    int file = open(words[1], O_RDWR), length = atoi(words[2]), turns = atoi(words[3]);
    unsigned char place = 128, data[128];
    struct i2c_msg messages[2] = {{0x50, 0, 1, &place}, {0x50, I2C_M_RD, length, data}};
    struct i2c_rdwr_ioctl_data transfer = {messages, 2};
    (void)count;
    while (turns--) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        if (ioctl(file, I2C_RDWR, &transfer) != 2)
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec);
    }
    return 0;
}
"""


def in_guest() -> dict[str, float]:
    """Median and p99 of a transaction in us, and the rate as a ratio to the echo."""
    image = build()
    module = driver(image, "i2c-virtio")
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="cmis") as place:
        folder = Path(place)
        (folder / "client.c").write_text(CLIENT)
        subprocess.run(["cc", "-O2", "-o", folder / "client", folder / "client.c"], check=True)
        options = ["-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-numa", "node,memdev=mem"]
        paths = {which: folder / which for which in ("echo", "emulator")}
        for which, path in paths.items():
            options += ["-chardev", f"socket,id={which},path={path}"]
            options += ["-device", f"vhost-user-i2c-pci,chardev={which}"]
        with ExitStack() as stack:
            with on_core(-1):
                stack.enter_context(server(ECHO, str(paths["echo"])))
                stack.enter_context(server(EMULATOR, f"vhost-user:{paths['emulator']}"))
            with on_core(0):
                machine = stack.enter_context(Machine(image, options=options))
            machine.modprobe("i2c-dev")
            machine.load(module)
            adapters = {}
            for line in machine.run("i2cdetect -l | grep i2c_virtio").output.splitlines():
                number = line.split()[0].removeprefix("i2c-")
                value = machine.run(f"i2cget -y {number} 0x50 0").output.strip()
                adapters["emulator" if value == "0x18" else "echo"] = f"/dev/i2c-{number}"
            for length in LENGTHS:
                asked = {which: f"{folder / 'client'} {device} {length}" for which, device in adapters.items()}
                times = in_turns({which: partial(_times, machine, command) for which, command in asked.items()}, COUNT)
                median = {}
                for which, taken in times.items():
                    median[which], p99 = spread_us(taken)
                    found[f"in a guest: vhost-user {length} B, {which}: median us"] = median[which]
                    found[f"in a guest: vhost-user {length} B, {which}: p99 us"] = p99
                found[f"in a guest: vhost-user {length} B: ratio to the echo"] = median["echo"] / median["emulator"]
    return found


def _times(machine: Machine, command: str, count: int) -> list[int]:
    return [int(line) for line in machine.run(f"{command} {count}").output.split()]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    results = in_guest()
    if parser.parse_args().json:
        print(json.dumps(results, indent=1))
        return 0
    for name, value in results.items():
        print(f"{name:<56} {value:10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
