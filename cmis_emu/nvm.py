"""Files that keep what modules keep without power: one small JSON file per port (RST-07).

Owns their format and their safety: a file is replaced as a whole, so that whatever is killed at whatever moment,
the old or the new contents are there. A file holds one entry per profile that sat in the port.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from cmis_emu.errors import InputError, NotAvailableError
from cmis_emu.module.nonvolatile import Kept

VERSION = 1
_log = logging.getLogger(__name__)


def state_folder(name: str) -> Path:
    """Where the emulator called `name` keeps its modules' memories."""
    base = os.environ.get("CMIS_EMU_STATE_DIR")
    if base:
        return Path(base) / name
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "cmis-emu" / name


class NvmFolder:
    """The files of one emulator; the folder appears with the first. Raises NotAvailableError where none can be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports: dict[str, dict[str, Kept]] = {}
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise NotAvailableError(f"{there}: found no folder that can be written to, expected one to keep files in")

    def __deepcopy__(self, memo: object) -> NvmFolder:
        return self  # a snapshot of an emulator holds no files

    def path(self, port: str) -> Path:
        """File of a port; characters that no file name should have are spelt out."""
        return self.folder / ("".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in port) + ".json")

    def load(self, port: str, profile: str) -> Kept:
        """What the module of that profile in that port keeps. Raises InputError for a file that is not whole."""
        self._ports[port] = self._read(port)
        return self._ports[port].get(profile, Kept())

    def save(self, port: str, profile: str, kept: Kept) -> None:
        """Replace the file, atomically and durably. A full disk is logged: the host's write went through."""
        path = self.path(port)
        modules = self._ports.setdefault(port, {})
        modules[profile] = kept
        text = json.dumps({"version": VERSION, "modules": {name: k.as_data() for name, k in modules.items()}}, indent=1)
        spare = path.with_suffix(".new")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with spare.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(spare, path)
            _sync_folder(self.folder)
        except OSError as error:
            _log.error("%s: %s, so the module's memory is not kept", path, error.strerror)

    def _read(self, port: str) -> dict[str, Kept]:
        path = self.path(port)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(str(error), "what cmis-emu wrote, or no file", file=str(path)) from None
        try:
            if data["version"] != VERSION:
                raise InputError(f"version {data['version']!r}", str(VERSION), file=str(path))
            return {str(name): Kept.from_data(dict(kept)) for name, kept in data["modules"].items()}
        except InputError as error:
            raise InputError(error.found, error.expected, file=str(path), field=error.field) from None
        except (TypeError, KeyError, AttributeError, ValueError):
            raise InputError("another shape of data", "what cmis-emu wrote", file=str(path)) from None


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
