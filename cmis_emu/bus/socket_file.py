"""A listening Unix socket at a place in the file system: private to the user, and gone when it is closed.

Owns the file: the place of a server that died is taken over, that of one that lives is not.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from cmis_emu.errors import NotAvailableError

_PROBE_S = 1.0  # a server that is alive accepts within this time, or is at least there


class SocketFile:
    """`listener` listens at `path`. Raises NotAvailableError; `advice` is for one who finds the place taken."""

    def __init__(self, path: Path, advice: str) -> None:
        self.path = path
        self.listener = _listen(path, advice)
        self._inode = _inode(path)

    def remove(self) -> bool:
        """Remove the file, unless it is that of a server that came after; tells whether it was this one's.

        Closing the listener is the owner's.
        """
        with contextlib.suppress(OSError):
            if _inode(self.path) == self._inode:
                self.path.unlink()
                return True
        return False


def _listen(path: Path, advice: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            if not stat.S_ISSOCK(path.stat().st_mode):
                raise NotAvailableError(f"{path}: found a file that is no socket, expected a free place")
            if _alive(path):
                raise NotAvailableError(f"{path}: another emulator listens there; {advice}")
            path.unlink()
        previous = os.umask(0o077)
        try:
            listener.bind(str(path))
        finally:
            os.umask(previous)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise NotAvailableError(f"{path}: {error.strerror or error}") from None
    except NotAvailableError:
        listener.close()
        raise
    return listener


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy, or not ours to ask
        return True


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
