"""Programs that know nothing of the emulator open `/dev/i2c-N` and reach it: the preloaded C library.

Owns the build of the C files here (once, on first use, into the user's cache) and the environment that makes a
program use the library. `shim.h` tells what each file does; `wire` is the protocol that the library speaks to the
emulator's socket, `tree` the part of sysfs that it shows.

What it cannot reach: static programs, set-uid programs, and runtimes that make their own system calls (Go).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from cmis_emu.bus.compiler import compiler, first_error, run
from cmis_emu.errors import InputError, NotAvailableError

__all__ = ["environment", "library", "sources"]

_FOLDER = Path(__file__).parent
_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden", "-shared")
_LIBRARIES = ("-ldl", "-lpthread")
_WHAT = "preload library"
_SOCKET_PATH_MAX = 107  # bytes: sun_path of Linux without its final NUL


def library() -> Path:
    """Path of the compiled library; compiles it when this machine has no copy of this very source yet.

    Several processes may call this at once: each compiles to a file of its own, and a rename shows it to all.
    """
    command = compiler()
    version = run([*command, "--version"], _WHAT)
    if version.returncode != 0:
        raise NotAvailableError(f"{_WHAT}: {command[0]} --version failed: {first_error(version)}")
    source = b"\0".join(path.read_bytes() for path in [*sources(), *sorted(_FOLDER.glob("*.h"))])
    recipe = "\0".join([*command, version.stdout, platform.machine(), *_FLAGS, *_LIBRARIES])
    name = f"i2c_preload-{hashlib.sha256(source + recipe.encode()).hexdigest()[:20]}.so"

    refused = "none was tried"
    for folder in _folders():
        reason = _unfit(folder)
        if reason is None:
            built = folder / name
            if not built.exists():
                _compile(command, built)
            return built
        refused = f"{folder}: {reason}"
    raise NotAvailableError(f"{_WHAT}: found no folder to keep it in ({refused})")


def sources() -> list[Path]:
    """The C files of the library."""
    found = sorted(_FOLDER.glob("*.c"))
    if not found:
        raise NotAvailableError(f"{_WHAT}: found no source in {_FOLDER}")
    return found


def environment(socket: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` changed so that a program started with it sees the buses that the server at `socket` offers."""
    path = os.path.abspath(socket)
    length = len(os.fsencode(path))
    if length > _SOCKET_PATH_MAX:
        raise InputError(f"{path} of {length} bytes", f"at most {_SOCKET_PATH_MAX}", field="socket path")
    ours = str(library())
    others = [other for other in base.get("LD_PRELOAD", "").replace(":", " ").split() if other != ours]
    return {**base, "LD_PRELOAD": ":".join([ours, *others]), "CMIS_EMU_SOCKET": path}


def _folders() -> Iterator[Path]:
    """Where the library may live, best first."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(cache):
        yield Path(cache) / "cmis-emu"
    else:
        with contextlib.suppress(RuntimeError):  # a user without a home
            yield Path.home() / ".cache" / "cmis-emu"
    yield Path(tempfile.gettempdir()) / f"cmis-emu-{os.getuid()}"


def _unfit(folder: Path) -> str | None:
    """Why the library cannot live in a folder (which is made if need be), or None.

    Code is loaded from there into other programs, so nobody else may be able to write to it.
    """
    if any(character.isspace() or character == ":" for character in str(folder)):
        return "LD_PRELOAD takes no path with a space or a colon"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        mounted = os.statvfs(folder)
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return "it is not a folder that only you can write to"
    if mounted.f_flag & os.ST_NOEXEC:
        return "it is mounted noexec"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "it is not writable"
    return None


def _compile(command: list[str], built: Path) -> None:
    try:
        handle, name = tempfile.mkstemp(prefix=".i2c_preload-", suffix=".so", dir=built.parent)
    except OSError as error:
        reason = f"cannot write to {built.parent}: {error.strerror}"
        raise NotAvailableError(f"{_WHAT}: {reason}") from None
    os.close(handle)
    unfinished = Path(name)
    try:
        done = run([*command, *_FLAGS, "-o", name, *map(str, sources()), *_LIBRARIES], _WHAT)
        if done.returncode != 0:
            raise NotAvailableError(f"{_WHAT}: {command[0]} cannot compile it: {first_error(done)}")
        unfinished.chmod(0o755)
        unfinished.replace(built)
    finally:
        unfinished.unlink(missing_ok=True)
