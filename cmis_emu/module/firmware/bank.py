"""Firmware images and the banks that hold them: what lasts without power, as values (FW-02, RST-07).

Owns `FirmwareImage` and `KeptFirmware`. Both are immutable: a change is a new value, which is what makes it
atomic in memory, in a snapshot and in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Self

from cmis_emu.layouts.firmware_image import Version, sample


class Bank(Enum):
    """Where an image lies. The factory image is never written and never committed."""

    A = "A"
    B = "B"
    FACTORY = "factory"

    @property
    def other(self) -> Bank:
        """The other of A and B."""
        return Bank.A if self is Bank.B else Bank.B


@dataclass(frozen=True)
class FirmwareImage:
    """One whole image. `content` is None for one that the module was shipped with: it is made when asked for."""

    version: Version
    size: int
    hardware: str = ""
    content: bytes | None = field(default=None, repr=False)

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def data(self) -> bytes:
        """Its bytes, header included."""
        return sample(self.version, self.size, self.hardware) if self.content is None else self.content

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class KeptFirmware:
    """The banks as far as they are no longer as shipped. A bank that is None holds no valid image."""

    committed: Bank | None = None  # None: as shipped
    banks: Mapping[Bank, FirmwareImage | None] = field(default_factory=dict)
    tags: Mapping[Bank, str] = field(default_factory=dict)  # load tags that a host has stored (010Ch)

    def __post_init__(self) -> None:
        for name in ("banks", "tags"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def with_bank(self, bank: Bank, image: FirmwareImage | None) -> KeptFirmware:
        """Another image in a bank, or none that is valid. A load tag goes with the image it was about."""
        tags = {key: tag for key, tag in self.tags.items() if key is not bank}
        return KeptFirmware(self.committed, {**self.banks, bank: image}, tags)

    def with_committed(self, bank: Bank) -> KeptFirmware:
        """Another bank boots from now on."""
        return KeptFirmware(bank, self.banks, self.tags)

    def with_tag(self, bank: Bank, tag: str) -> KeptFirmware:
        """A load tag beside the image of a bank."""
        return KeptFirmware(self.committed, self.banks, {**self.tags, bank: tag})
