"""Modules with firmware management, and a host's steps of an update one by one, for tests of the rules FW-*.

The steps go over the bus; offsets and codes are typed from the standard.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cdb_host import SUCCESS, CdbHost
from firmware_hosts import Info, parse_info

from cmis_emu import Emulator, ManualClock
from cmis_emu.layouts.firmware_image import Version, sample

HARDWARE = "QDD-400G-DR4"
HEADER = 84
ERASED = 0xFF
SMALL = 4096
A_RUNS, B_RUNS = 0x03, 0x30  # both valid, the running one committed (FW-02)
B_ON_TRIAL, A_ON_TRIAL = 0x12, 0x21
B_INVALID, A_INVALID = 0x40, 0x04

FIRMWARE: dict[str, Any] = {
    "a": {"version": "3.4.12", "text": "release"},
    "b": "3.2.0",
    "factory": "3.0.1",
    "image_bytes": 8192,
    "capacity_bytes": 2 << 20,
    "write": ["lpl", "epl"],
    "readback": True,
    "copy": True,
    "abort": True,
    "skip_erased": False,
    "hitless": False,
    "durations_ms": {"start": 200, "write": 2, "complete": 100, "abort": 10, "copy": 300, "commit": 20},
    "watchdog_ms": 100,
}
CDB: dict[str, Any] = {"mode": "background", "epl_pages": 16, "access_bytes": 128, "max_busy_ms": 4960}


def profile(cdb: dict[str, Any] | None = None, **firmware: Any) -> dict[str, Any]:
    """A DR4 with firmware management; `firmware` changes its section, None takes a line away."""
    section = copy.deepcopy(FIRMWARE) | firmware
    return {
        "profile": "updatable",
        "base": "qsfpdd-400g-dr4",
        "cdb": CDB | (cdb or {}),
        "firmware": section,
    }


def module_file(folder: Path, cdb: dict[str, Any] | None = None, **firmware: Any) -> Path:
    """The profile as a file."""
    path = folder / "updatable.yaml"
    path.write_text(yaml.safe_dump(profile(cdb, **firmware), sort_keys=False))
    return path


@contextmanager
def module(
    folder: Path, nvm: Path | None = None, cdb: dict[str, Any] | None = None, **firmware: Any
) -> Iterator[Steps]:
    """A module held in ModuleLowPwr, at rest."""
    path = module_file(folder, cdb, **firmware)
    with load(path, nvm) as emu:
        yield Steps(emu)


def load(path: Path, nvm: Path | None = None) -> Emulator:
    testbed = {"version": 1, "ports": {"1": {"profile": str(path), "bus": 1, "state": {"LPMode": True}}}}
    emu = Emulator.load(testbed, clock=ManualClock(), seed=1, nvm=nvm)
    emu.settle()
    return emu


def image(version: str = "9.8.7", size: int = SMALL, hardware: str = HARDWARE, text: str = "") -> bytes:
    return sample(Version.parse(version, text), size, hardware)


class Steps(CdbHost):
    """A host that does one thing at a time."""

    def __init__(self, emu: Emulator, instance: int = 1) -> None:
        super().__init__(emu, instance, piece=128)

    @property
    def module(self) -> Any:
        return self.emu.ports["1"].module

    def info(self) -> Info:
        return parse_info(self.ask(0x0100))

    def versions(self) -> tuple[str, str]:
        """The version registers: running, other."""
        active = self.get(39, 2)
        other = self.read(0x01, 128, 2)
        return f"{active[0]}.{active[1]}", f"{other[0]}.{other[1]}"

    def start(self, data: bytes, header: int = HEADER) -> int:
        return self.run(0x0101, len(data).to_bytes(4, "big") + bytes(4) + data[:header])

    def block(self, address: int, data: bytes, *, epl: bool = False) -> int:
        if epl:
            return self.run(0x0104, address.to_bytes(4, "big"), epl=data)
        return self.run(0x0103, address.to_bytes(4, "big") + data)

    def blocks(self, data: bytes, *, epl: bool = False, until: int | None = None, header: int = HEADER) -> int:
        """All blocks, or those in front of `until`; the last status."""
        payload, size = data[header:], 2048 if epl else 116
        status = SUCCESS
        for at in range(0, len(payload) if until is None else until, size):
            status = self.block(at, payload[at : at + size], epl=epl)
            if status != SUCCESS:
                break
        return status

    def complete(self) -> int:
        return self.run(0x0107)

    def abort(self) -> int:
        return self.run(0x0102)

    def copy(self, direction: int) -> int:
        return self.run(0x0108, bytes([direction]))

    def commit(self) -> int:
        return self.run(0x010A)

    def run_image(self, mode: int = 0, delay_ms: int = 100) -> int:
        """The status of the command; the module comes to rest afterwards."""
        status = self.run(0x0109, bytes([0, mode]) + delay_ms.to_bytes(2, "big"))
        self.emu.settle()
        self.emu.clock.advance(1.0)
        return status

    def download(self, data: bytes, *, epl: bool = True) -> None:
        for status in (self.start(data), self.blocks(data, epl=epl), self.complete()):
            assert status == SUCCESS, f"{status:02X}h"

    def reset(self, how: str) -> None:
        """Software reset, the pin, or power; the module comes to rest."""
        pins = self.emu.ports["1"].pins
        if how == "software":
            self.put(26, b"\x48")
        elif how == "pin":
            pins.ResetL = False
            self.emu.clock.advance(0.001)
            pins.ResetL = True
        else:
            pins.power = False
            self.emu.clock.advance(1.0)
            pins.power = True
        self.emu.settle()

    def recover(self) -> None:
        """Whatever state the bus was left in, the module is at rest afterwards."""
        for _ in range(200):
            self.emu.settle()
            try:
                if not self.status() & 0x80:
                    return
            except OSError:
                pass
            self.clock.advance(0.1)
        raise AssertionError("the module does not come back")
