"""How the firmware of a product behaves: `FirmwarePlan`, which `reader.py` builds from a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cmis_emu.layouts.firmware import BLOCK_BYTES_MAX
from cmis_emu.layouts.firmware_image import Version
from cmis_emu.module.cdb.command import Privilege, Status
from cmis_emu.module.firmware.bank import Bank, FirmwareImage

OPERATIONS = ("start", "abort", "write", "complete", "copy")
"""Whose longest duration 0041h advertises (CMD-04)."""

UNADVERTISED = ("read", "run", "commit")
"""These end within MaxCompletionTime of 0040h."""


@dataclass(frozen=True, slots=True)
class FirmwarePlan:
    """One product's choices. Durations in ns; `longest_ms` is what 0041h says, in units of 1 or 10 ms."""

    shipped: Mapping[Bank, FirmwareImage | None]
    committed: Bank
    accepts_any: bool  # any bytes are an image; its version is `any_version` unless it is one of ours
    any_version: Version
    hardware: str
    capacity: int  # bytes of a bank, the header included
    start_payload: int
    erased_byte: int
    local_writes: bool
    extended_writes: bool
    extended_bytes: int  # greatest block in the EPL
    length_extension: int
    readback: bool
    copy: bool
    abort: bool
    skip_erased: bool
    any_order: bool
    hitless: bool
    durations_ns: Mapping[str, int]
    longest_ms: Mapping[str, int]
    privilege: Privilege = Privilege.NONE
    verify_status: int = Status.FAILED
    boot_ns: int = 0  # MgmtInit after 0109h lasts at least this long
    watchdog_ns: int = 0  # an image that does not boot is given up after this
    hitless_ns: int = 0  # no access is acknowledged while images change without a reset
    refuses_during_trial: bool = True  # FW-13
    restarts_download: bool = False  # 0101h while a download is under way: begin anew, or refuse
    implicit_commit: bool = False  # 0109h commits what it runs
    load_tags: bool = False  # 010Bh to 010Dh (since 5.4)

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def coding(self) -> int:
        """Unit of the advertised durations in ms: 1, or 10 when one does not fit otherwise."""
        return 10 if max(self.longest_ms.values()) > 0xFFFF else 1

    @property
    def mechanism(self) -> int:
        """Code of the ways to write: 01h LPL, 10h EPL, 11h both."""
        return (0x01 if self.local_writes else 0) | (0x10 if self.extended_writes else 0)

    def block_limit(self, extended: bool) -> int:
        """Greatest block of one command."""
        return self.extended_bytes if extended else BLOCK_BYTES_MAX
