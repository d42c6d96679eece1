"""Threads, forks and starts of programs on one `/dev/i2c-N`: no reply is torn, nobody waits for ever.

The programs are in `programs/`; each tells in a line what went wrong, in numbers. Every read has a known answer.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from fake_bus_server import FakeBusServer
from preloaded import PRELUDE, Python, Run, build


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("forks", "0 0"),  # wrong reads of threads, children that failed
        ("bare_fork", "0 0"),
        ("vforks", "0 1"),  # rounds that failed, and the descriptor is a device file still
        ("reopen", "0 0 1"),  # errors but EBADF and ENODEV, wrong bytes, and it worked at times
        ("renew", "0"),  # children where the descriptor looked like something else
        ("duplicates", "0"),  # wrong reads
    ],
)
def test_under_stress(server: FakeBusServer, run: Run, folder: Path, program: str, expected: str) -> None:
    done = run(build(folder, program))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", expected + "\n")


def test_processes_by_every_method(server: FakeBusServer, run: Run, folder: Path) -> None:
    script = """
        import multiprocessing

        def work(seed):
            with SMBus(1 + seed % 2) as bus:
                for i in range(100):
                    at = (37 * seed + i) % 200
                    if bus.read_i2c_block_data(0x50, at, 20) != [(at + k) % 256 for k in range(20)]:
                        return "wrong"
            return "right"

        if __name__ == "__main__":
            bus = SMBus(1)  # inherited by forks, not used there
            for method in ("fork", "spawn", "forkserver"):
                with multiprocessing.get_context(method).Pool(3) as pool:
                    print(method, set(pool.map(work, range(6))))
    """
    program = folder / "program.py"
    program.write_text(PRELUDE + textwrap.dedent(script))
    done = run(sys.executable, "-W", "ignore", str(program))
    assert done.stdout.splitlines() == [f"{method} {{'right'}}" for method in ("fork", "spawn", "forkserver")]


@pytest.mark.parametrize("number", [0, 9, 63, 64, 500])
def test_any_descriptor_is_known_after_exec(server: FakeBusServer, python: Python, number: int) -> None:
    script = f"""
        fd = os.open("/dev/i2c-2", os.O_RDWR)
        os.dup2(fd, {number})
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", os.environ["CODE"]], os.environ)
        print(os.waitpid(pid, 0)[1], read_at(fd, 1, 1))
    """
    code = PRELUDE + f"print(read_at({number}, 7, 3), os.minor(os.fstat({number}).st_rdev))"
    assert python(script, CODE=code) == ["b'\\x07\\x08\\t' 2", "0 b'\\x01'"]


def test_spawn_actions_move_the_descriptor(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        code = "import os; print(os.major(os.fstat(0).st_rdev), os.minor(os.fstat(0).st_rdev))"
        actions = [(os.POSIX_SPAWN_DUP2, fd, 0)]
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ, file_actions=actions)
        print(os.waitpid(pid, 0)[1], read_at(fd, 1, 1))
    """) == ["89 1", "0 b'\\x01'"]


def test_vectors(server: FakeBusServer, python: Python) -> None:
    """i2c-dev has no vectored calls: each part is a message of its own."""
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        fcntl.ioctl(fd, 0x0703, 0x50)
        parts = bytearray(2), bytearray(3)
        print(os.writev(fd, [b"\\x20\\xaa", b"\\x20"]), os.readv(fd, parts), *map(bytes, parts))
        print(fails(os.readv, os.open("/dev/i2c-1", os.O_WRONLY), parts))
        read, write = os.pipe()
        print(os.writev(write, [b"ab", b"c"]), os.readv(read, parts), *map(bytes, parts))
    """) == ["3 5 b'\\xaa!' b'\"#$'", "EBADF", "3 3 b'ab' b'c#$'"]


def test_a_killed_child_takes_nothing_with_it(server: FakeBusServer, python: Python) -> None:
    assert python("""
        import signal
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        for _ in range(10):
            child = os.fork()
            if child == 0:
                while True:
                    read_at(fd, 3, 30)
            assert read_at(fd, 9, 2) == b"\\x09\\x0a"
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        print(read_at(fd, 4, 2))
    """) == ["b'\\x04\\x05'"]
