"""Compiles the helper and the library of the shared memory, into a folder of their own that goes with the process.

It takes a second or two, and leaves no cache behind that somebody else could write to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmis_emu.bus.compiler import compiler, first_error, run
from cmis_emu.errors import NotAvailableError

_HERE = Path(__file__).parent
_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


def library(folder: Path) -> Path:
    """The shared library of `bsc_slave.c`. Raises NotAvailableError."""
    return _compile(folder / "bsc_slave.so", ["bsc_slave.c"], ["-fPIC", "-shared"])


def helper(folder: Path, memory: Path | None = None) -> Path:
    """The program. memory: what it maps instead of /dev/mem. Raises NotAvailableError."""
    flags = [] if memory is None else [f'-DBSC_MEMORY="{memory}"']
    return _compile(folder / "bsc_helper", ["bsc_helper.c", "bsc_slave.c"], flags)


def _compile(built: Path, sources: Sequence[str], flags: Sequence[str]) -> Path:
    command = compiler()
    done = run([*command, *_FLAGS, *flags, "-o", str(built), *(str(_HERE / source) for source in sources)], "rpi-bsc")
    if done.returncode != 0:
        raise NotAvailableError(f"rpi-bsc: {command[0]} cannot compile {sources[0]}: {first_error(done)}")
    return built
