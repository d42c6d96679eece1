"""A host that is a program of its own on `/dev/i2c-N`: smbus2 in a child process, under the preloaded library."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

from cmis_emu.bus import preload

PROGRAM = """
import json, sys
from smbus2 import SMBus, i2c_msg
bus = SMBus(int(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    messages = [
        i2c_msg.read(address, what) if isinstance(what, int) else i2c_msg.write(address, bytes.fromhex(what))
        for address, what in json.loads(line)
    ]
    try:
        bus.i2c_rdwr(*messages)
    except OSError as error:
        print(json.dumps(error.errno), flush=True)
    else:
        print(json.dumps([bytes(message).hex() for message in messages if message.flags & 1]), flush=True)
"""


class PreloadHost:
    """A process that has bus `number` of the emulator at `path` open."""

    def __init__(self, path: Path, number: int = 1) -> None:
        env = preload.environment(path, os.environ)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(number)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        plain = [(address, what if isinstance(what, int) else what.hex()) for address, what in messages]
        self.process.stdin.write(json.dumps(plain) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        if isinstance(found, int):
            raise OSError(found, os.strerror(found))
        return [bytes.fromhex(each) for each in found]
