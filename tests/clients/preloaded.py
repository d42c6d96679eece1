"""Programs under the preloaded library: how tests start them, and small programs of their own in C and Python."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAM_LIMIT_S = 60  # a program that takes longer hangs
OTHER_BUS = 60001  # no machine has it, so what happens without the emulator is known

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Python = Callable[..., list[str]]

PRELUDE = """
import ctypes, errno, fcntl, os, stat, sys
from smbus2 import SMBus, i2c_msg
from smbus2.smbus2 import i2c_rdwr_ioctl_data, i2c_smbus_ioctl_data, union_i2c_smbus_data

def fails(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"

def rdwr(fd, messages, count=None):
    array = (i2c_msg * max(1, len(messages)))(*messages)
    fcntl.ioctl(fd, 0x0707, i2c_rdwr_ioctl_data(msgs=array, nmsgs=len(messages) if count is None else count))

def read_at(fd, offset, length):
    got = i2c_msg.read(0x50, length)
    array = (i2c_msg * 2)(i2c_msg.write(0x50, [offset]), got)
    fcntl.ioctl(fd, 0x0707, i2c_rdwr_ioctl_data(msgs=array, nmsgs=2))
    return bytes(array[1])
"""


def need_compiler() -> None:
    """Skip where the library cannot be compiled."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) on this machine")


def tool_path(name: str, package: str) -> str:
    """Where a program is; Debian keeps some in /usr/sbin, which not every user's PATH has. Skips without it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


def build(folder: Path, name: str, *flags: str) -> str:
    """Compile `programs/NAME.c`; the path of the program or, with -shared, of the library."""
    made = folder / name
    source = HERE / "programs" / f"{name}.c"
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", *flags, "-o", str(made), str(source)]
    subprocess.run([*command, "-lpthread", "-ldl"], check=True, timeout=PROGRAM_LIMIT_S)
    return str(made)


def run_in(env: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        check=False,
    )
