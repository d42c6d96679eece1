"""Modules to judge: intact ones, and ones that are broken on purpose, between the judge and the bus.

A `Bench` holds settled emulators and hands out hosts; `Meddler` is a host that changes what passes through it.
Offsets are typed from the standard, as in `cmis_host.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import smbus2
import yaml
from dr4 import DR4, Edit, dr4_profile

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.static import StaticDevice
from cmis_emu.bus.target import Target
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.cli.check import Simulated
from cmis_emu.judge.check import Check, Level
from cmis_emu.judge.host import BusHost
from cmis_emu.judge.report import Report
from cmis_emu.judge.run import judge
from cmis_emu.module.module import Module
from cmis_emu.registers.loader import load_maps

LOWER = -1
BANK_SELECT, PAGE_SELECT = 126, 127

ByteHook = Callable[[int], int]
WriteHook = Callable[[int, int, bytes], "tuple[int, bytes] | None"]  # page, address, data -> what is written


@dataclass
class Meddler:
    """A host that changes bytes as they are read, and writes as they pass.

    values: (page, address) -> what the judge reads there. on_write: what is really written, None for nothing.
    on_read: called with (page, address, data) for whole reads. pins: overrides.
    """

    inner: BusHost
    values: dict[tuple[int, int], ByteHook] = field(default_factory=dict)
    on_write: WriteHook | None = None
    on_read: Callable[[int, int, bytes], bytes] | None = None
    current: Callable[[int], bytes] | None = None
    pins: Any = None

    def __post_init__(self) -> None:
        self.timer = self.inner.timer
        self.known_pages = self.inner.known_pages
        self.pins = self.pins or self.inner.pins

    @property
    def longest_refusal_s(self) -> float:
        return self.inner.longest_refusal_s

    def probe(self) -> bool:
        return self.inner.probe()

    def page(self, address: int) -> int:
        return LOWER if address < 128 else self.inner.read(PAGE_SELECT, 1)[0]

    def read(self, address: int, length: int) -> bytes:
        page = self.page(address)
        data = bytearray(self.inner.read(address, length))
        for index in range(length):
            at = (address & 128) | (address + index & 127)
            hook = self.values.get((page, at))
            if hook is not None:
                data[index] = hook(data[index]) & 0xFF
        return bytes(data) if self.on_read is None else self.on_read(page, address, bytes(data))

    def read_current(self, length: int) -> bytes:
        return self.inner.read_current(length) if self.current is None else self.current(length)

    def write(self, address: int, data: bytes) -> None:
        passed: tuple[int, bytes] | None = (address, data)
        if self.on_write is not None:
            passed = self.on_write(self.page(address), address, data)
        if passed is not None:
            self.inner.write(*passed)


class StuckPins:
    """Pins of a port, some of which do nothing or show the wrong level."""

    def __init__(self, real: Any, *, dead: tuple[str, ...] = (), inverted: tuple[str, ...] = ()) -> None:
        self.real, self.dead, self.inverted = real, dead, inverted

    def get(self, name: str) -> bool:
        level = bool(self.real.get(name))
        return not level if name in self.inverted else level

    def set(self, name: str, level: bool) -> None:
        if name not in self.dead:
            self.real.set(name, level)


@dataclass
class Subject:
    """One module to judge: its host, and the back door of the emulated one."""

    host: Any
    module: Module | None = None
    emulator: Emulator | None = None

    @property
    def inside(self) -> Module:
        assert self.module is not None
        return self.module


class Bench:
    """Emulators by kind, settled once; every subject starts from that moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[str, tuple[Emulator, Any]] = {}

    def subject(self, kind: str, edit: Edit | None = None) -> Subject:
        """A module of the DR4 profile, edited; `kind` names the edit."""
        if kind not in self.kept:
            emulator = self._load(kind, edit)
            self.kept[kind] = emulator, emulator.snapshot()
        emulator, snapshot = self.kept[kind]
        emulator.restore(snapshot)
        port = emulator.ports["1"]
        clock = emulator.clock
        assert isinstance(clock, ManualClock)
        host = BusHost(emulator.smbus(1), smbus2.i2c_msg, Simulated(clock), pins=port.pins)
        return Subject(host, port.module, emulator)

    def _load(self, kind: str, edit: Edit | None) -> Emulator:
        profile = dr4_profile()
        if edit is not None:
            edit(profile)
        path = self.folder / f"{kind}.yaml"
        profile["profile"] = path.stem
        path.write_text(yaml.safe_dump(profile, sort_keys=False))
        testbed = {
            "version": 1,
            "ports": {"1": {"profile": str(path), "bus": 1}},
            "fibres": {"loop": {"from": "1", "to": "1"}},
        }
        emulator = Emulator.load(testbed, clock=ManualClock(), seed=1)
        emulator.settle()
        clock = emulator.clock
        assert isinstance(clock, ManualClock)
        clock.advance(2.0)  # receivers lock after the state machines are at rest
        host = BusHost(emulator.smbus(1), smbus2.i2c_msg, Simulated(clock))
        host.write(BANK_SELECT, b"\0\x11")
        for at in (0, 128):  # a host has read the flags of the insertion
            host.read(at, 128)
        host.write(BANK_SELECT, b"\0\0")
        return emulator

    def image(self, pages: dict[tuple[int, int], bytes], *, live: bool = True, flat: bool | None = None) -> Subject:
        """Pages of bytes: as a module that never moves (`live`), or as an image."""
        device = StaticDevice(pages, load_maps())
        if flat is not None:
            device.flat = flat
        return Subject(host_of(device, None if live else frozenset(pages)))

    def pages(self) -> dict[tuple[int, int], bytes]:
        """The pages of an intact DR4."""
        module = self.subject(DR4).inside
        numbers = (LOWER, 0x00, 0x01, 0x02, 0x10, 0x11)
        return {(n, 0): bytes(module.peek(n, 0 if n == LOWER else 128, 128)) for n in numbers}

    def close(self) -> None:
        for emulator, _ in self.kept.values():
            emulator.close()


def host_of(device: Any, known_pages: frozenset[tuple[int, int]] | None = None) -> BusHost:
    """A host of a device that lives on no emulator."""
    import threading

    bus = VirtualSMBus(VirtualBus(1, {0x50: Target(device)}), threading.RLock())
    return BusHost(bus, smbus2.i2c_msg, Simulated(ManualClock()), known_pages=known_pages)


def verdict_on(check: Check, subject: Subject) -> Report:
    """The report of one check."""
    level = Level.READ_ONLY if subject.host.known_pages is not None else check.level
    return judge(subject.host, load_maps(), level, "test", [check])


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """A bench that closes its emulators."""
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.close()
