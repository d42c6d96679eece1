"""Files that keep what modules keep without power: one small JSON file per port, and firmware images (RST-07).

Owns their format and their safety: a file is replaced as a whole, so that whatever is killed at whatever moment,
the old or the new contents are there. The JSON file of a port holds one entry per profile that sat in the port. It
names the image files of firmware banks: an image is written first, under a name that follows from its contents, then
the JSON file that names it, and last the images go that it no longer names.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmis_emu.errors import InputError, NotAvailableError
from cmis_emu.layouts.firmware_image import Version
from cmis_emu.module.firmware.bank import Bank, FirmwareImage, KeptFirmware
from cmis_emu.module.nonvolatile import Kept

VERSION = 1
IMAGE_SUFFIX = ".bin"
SPARE_SUFFIX = ".new"
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
        return self.folder / f"{_spelt(port)}.json"

    def load(self, port: str, profile: str) -> Kept:
        """What the module of that profile in that port keeps. Raises InputError for a file that is not whole."""
        self._ports[port] = self._read(port)
        return self._ports[port].get(profile, Kept())

    def save(self, port: str, profile: str, kept: Kept) -> None:
        """Replace the file, atomically and durably. A full disk is logged: the host's write went through."""
        path = self.path(port)
        modules = self._ports.setdefault(port, {})
        modules[profile] = kept
        found: dict[str, Any] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, each in modules.items():
                found[name] = each.as_data()
                if each.firmware != KeptFirmware():
                    found[name]["firmware"] = self._save_firmware(port, each.firmware)
            text = json.dumps({"version": VERSION, "modules": found}, indent=1)
            _replace(path, (text + "\n").encode())
            self._tidy(port, modules)
        except OSError as error:
            _log.error("%s: %s, so the module's memory is not kept", path, error.strerror)

    def keep_in_line(self, port: str, profile: str, kept: Kept) -> None:
        """A module went back to an earlier state: files go with it."""
        if self._ports.get(port, {}).get(profile, Kept()) != kept:
            self.save(port, profile, kept)

    # -- firmware ----------------------------------------------------------------------------------------

    def _image_path(self, port: str, image: FirmwareImage) -> Path:
        return self.folder / f"{_spelt(port)}.{image.digest[:32]}{IMAGE_SUFFIX}"

    def _save_firmware(self, port: str, firmware: KeptFirmware) -> dict[str, Any]:
        """Image files, and the JSON entry that names them."""
        banks: dict[str, dict[str, Any] | None] = {}
        for bank, image in firmware.banks.items():
            banks[bank.value] = None
            if image is not None:
                path = self._image_path(port, image)
                if not path.exists():
                    _replace(path, image.data)
                version = {"version": str(image.version), "text": image.version.text}
                banks[bank.value] = {"file": path.name, "sha256": image.digest, **version}
        found: dict[str, Any] = {"banks": banks}
        if firmware.committed is not None:
            found["committed"] = firmware.committed.value
        if firmware.tags:
            found["tags"] = {bank.value: tag for bank, tag in firmware.tags.items()}
        return found

    def _read_firmware(self, data: Mapping[str, Any]) -> KeptFirmware:
        unknown = set(data) - {"committed", "banks", "tags"}
        if unknown:
            raise InputError(f"unknown key {min(unknown)!r}", "committed, banks or tags", field="firmware")
        banks = {_bank(name): self._read_image(entry) for name, entry in data["banks"].items()}
        committed = None if data.get("committed") is None else _bank(data["committed"])
        tags = {_bank(name): str(tag) for name, tag in data.get("tags", {}).items()}
        return KeptFirmware(committed, banks, tags)

    def _read_image(self, entry: Mapping[str, Any] | None) -> FirmwareImage | None:
        if entry is None:
            return None
        name = str(entry["file"])
        path = self.folder / name
        if name != path.name or not name.endswith(IMAGE_SUFFIX):
            raise InputError(repr(name), f"the name of an image file, which ends in {IMAGE_SUFFIX}", field="file")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", "the image of a firmware bank", field="file") from None
        image = FirmwareImage(Version.parse(entry["version"], entry["text"]), len(data), "", data)
        if image.digest != entry["sha256"]:
            raise InputError(f"{path}: SHA-256 {image.digest}", str(entry["sha256"]), field="file")
        return image

    def _tidy(self, port: str, modules: Mapping[str, Kept]) -> None:
        """Remove images of the port that no bank holds."""
        banks = (image for kept in modules.values() for image in kept.firmware.banks.values() if image is not None)
        named = {self._image_path(port, image).name for image in banks}
        prefix = f"{_spelt(port)}."
        for entry in os.scandir(self.folder):
            ours = entry.name.startswith(prefix) and entry.name.endswith((IMAGE_SUFFIX, IMAGE_SUFFIX + SPARE_SUFFIX))
            if ours and entry.name not in named:
                os.unlink(entry.path)

    # -- reading -----------------------------------------------------------------------------------------

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
            return {str(name): self._kept(dict(kept)) for name, kept in data["modules"].items()}
        except InputError as error:
            raise InputError(error.found, error.expected, file=str(path), field=error.field) from None
        except (TypeError, KeyError, AttributeError, ValueError):
            raise InputError("another shape of data", "what cmis-emu wrote", file=str(path)) from None

    def _kept(self, entry: dict[str, Any]) -> Kept:
        firmware = entry.pop("firmware", None)
        kept = Kept.from_data(entry)
        return kept if firmware is None else replace(kept, firmware=self._read_firmware(firmware))


def _spelt(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in name)


def _bank(name: str) -> Bank:
    known = {bank.value: bank for bank in (Bank.A, Bank.B)}
    if name not in known:
        raise InputError(repr(name), "a bank: A or B", field="firmware")
    return known[name]


def _replace(path: Path, data: bytes) -> None:
    """Make a file hold `data`, atomically and durably. Raises OSError."""
    spare = path.with_name(path.name + SPARE_SUFFIX)
    with spare.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(spare, path)
    handle = os.open(path.parent, os.O_RDONLY)  # the new name itself must last too
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
