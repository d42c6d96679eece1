"""A port of an emulator as a platform driver sees it: the file of its memory, its pins, its presence.

Owns the two ways to reach it, an emulator in this process and one that runs elsewhere, by the same requests. Needs
no framework; `sonic.py` builds on it.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cmis_emu.clock import seconds
from cmis_emu.control import ControlClient, ControlServer, RefusedError, choose
from cmis_emu.emulator import Emulator
from cmis_emu.errors import AttachError, CmisEmuError


class Link(Protocol):
    """A way to ask an emulator."""

    def ask(self, operation: str, **arguments: Any) -> Any:
        """One request. Raises RefusedError, AttachError, CmisEmuError."""
        ...

    def pause(self, duration_s: float) -> None:
        """Let the host's time pass."""
        ...


class InProcess:
    """An emulator in this process. The host's time is the emulator's: on a ManualClock a pause takes none."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._server = ControlServer(emulator)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """As `Link` says."""
        return self._server.ask(operation, **arguments)

    def pause(self, duration_s: float) -> None:
        """As `Link` says."""
        self._emulator.pass_time(seconds(duration_s))


class Attached:
    """A running emulator, by name or socket; None for the only one. Threads and forked processes may share it.

    Raises AttachError when it is not there, or not there any more; the next request looks for it again.
    """

    def __init__(self, name: str | None = None) -> None:
        self._path: Path = choose(name)
        self._lock = threading.Lock()
        self._never = threading.Event()
        self._owner = os.getpid()
        self._client: ControlClient | None = ControlClient(self._path)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """As `Link` says."""
        if self._owner != os.getpid():  # forked: the parent has the connection, and maybe the lock
            self._owner, self._lock, self._client = os.getpid(), threading.Lock(), None
        with self._lock:
            if self._client is None:
                self._client = ControlClient(self._path)
            try:
                return self._client.ask(operation, **arguments)
            except AttachError:
                self._client.close()
                self._client = None
                raise

    def pause(self, duration_s: float) -> None:
        """As `Link` says."""
        self._never.wait(duration_s)

    def close(self) -> None:
        """Hang up; a later request connects again."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What a presence pin has told: is a module there, and when it was plugged in (ns of the emulator's time)."""

    present: bool
    inserted_ns: int


class Cage:
    """One port behind a link.

    Transfers that fail raise the OSError of the driver's file. An emulator that went away is an unplugged module to
    `present`, and EIO to everything else, since a platform must live on.
    """

    def __init__(self, link: Link, port: str) -> None:
        """Raises RefusedError for a port that is not there, AttachError."""
        self.port = port
        self._link = link
        link.ask("eeprom_driver", port=port)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file from a linear offset on; fewer at its end. Raises OSError."""
        return bytes.fromhex(self._file("eeprom_read", offset=offset, length=length)["data"])

    def write(self, offset: int, data: bytes) -> int:
        """How many bytes the file took. Raises OSError."""
        return int(self._file("eeprom_write", offset=offset, data=data.hex())["count"])

    def _file(self, operation: str, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = _ask(self._link, operation, port=self.port, **arguments)
        if "errno" in found:
            raise OSError(found["errno"], os.strerror(found["errno"]))
        return found

    def configure(self, **files: int) -> dict[str, int]:
        """Write the driver's files write_max, write_timeout (ms) and max_bank_size; tells all. Raises OSError."""
        found: dict[str, int] = _ask(self._link, "eeprom_driver", port=self.port, **files)
        return found

    def pins(self) -> dict[str, bool]:
        """Levels of all pins, by QSFP-DD's names."""
        found: dict[str, bool] = _ask(self._link, "pin", port=self.port)
        return found

    def drive(self, pin: str, level: bool) -> None:
        """Drive a pin of the host's."""
        _ask(self._link, "pin", port=self.port, name=pin, level=level)

    def present(self) -> bool:
        """ModPrsL is low."""
        try:
            return not self.pins()["ModPrsL"]
        except OSError:
            return False

    def reset(self, duration_ms: int) -> None:
        """Hold ResetL low for so long."""
        _ask(self._link, "reset", port=self.port, duration_ms=duration_ms)


def occupancy(link: Link) -> dict[str, Occupancy]:
    """Every port and what is in it, in the emulator's order. Raises OSError."""
    rows = _ask(link, "cages")
    return {row["port"]: Occupancy(row["present"], row["inserted_ns"]) for row in rows}


def _ask(link: Link, operation: str, **arguments: Any) -> Any:
    try:
        return link.ask(operation, **arguments)
    except RefusedError as error:
        raise OSError(errno.EINVAL, str(error)) from None
    except CmisEmuError as error:
        raise OSError(errno.EIO, str(error)) from None
