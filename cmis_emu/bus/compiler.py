"""The C compiler of this machine, for C files that are compiled on first use: which one it is, running it, its error.

Owns the environment it runs in and what the user is told of one that is not there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from cmis_emu.errors import NotAvailableError

_LIMIT_S = 120


def compiler() -> list[str]:
    """Its command: that of CC, else cc."""
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def run(command: Sequence[str], what: str) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it. what: is to be compiled, for errors. Raises NotAvailableError for no compiler."""
    # Without a preload (the compiler needs no I2C), and in the C locale, so that "error" is spelt "error".
    base = {**os.environ, "LC_ALL": "C"}
    base.pop("LD_PRELOAD", None)
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            env=base,
            check=False,
        )
    except OSError as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else error.strerror
        raise NotAvailableError(f"{what}: C compiler {command[0]}: {reason}; install gcc, or name one in CC") from None
    except subprocess.TimeoutExpired:
        raise NotAvailableError(f"{what}: C compiler {command[0]}: found no end after {_LIMIT_S} s") from None


def first_error(done: subprocess.CompletedProcess[str]) -> str:
    """The line that tells most of what went wrong."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    lines.append(f"exit code {done.returncode}")
    return next((line for line in lines if "error" in line), lines[0])
