"""Boards for tests: the firmware's C compiled for this machine, behind a model of its I2C block; and their bench.

`Board` is what a test needs of any board: bytes in, bytes out, time, and the byte events of a bus. `CBoard` runs the
files of hardware/pico/firmware in this process.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest
from rigs.designware import DesignWare

from cmis_emu import Emulator
from cmis_emu.bus.claims import Claims
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.pico.link import Link
from cmis_emu.bus.pico.mirror import HOLD_MS, LEASE_MS, Mirror
from cmis_emu.bus.virtual import I2C_M_RD, Message, VirtualBus

FIRMWARE = Path(__file__).resolve().parents[2] / "hardware" / "pico" / "firmware"
SOURCES = ("map.c", "frame.c", "rig.c", "slave.c")
FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion")
CODED_MAX = 160
_READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class Board(Protocol):
    """Any board."""

    bus: DesignWare

    def receive(self, data: bytes) -> int:
        """Bytes from the host; how many were taken."""
        ...

    def transmit(self) -> bytes:
        """One frame for the host, or nothing."""
        ...

    def tick(self, ms: int) -> None:
        """That millisecond of its time has come."""
        ...

    def sides(self, levels: int) -> None: ...
    def answers(self) -> bool: ...
    def lamps(self) -> int: ...


@functools.cache
def compiled(*extra: str) -> ctypes.CDLL:
    """The firmware as a shared library of this machine, for a simulated I2C block."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) on this machine")
    text = b"".join(each.read_bytes() for each in sorted(FIRMWARE.glob("*.[ch]")))
    name = hashlib.sha256(text + repr(extra).encode()).hexdigest()[:16]
    folder = Path(tempfile.mkdtemp(prefix="cmis-pico-"))
    library = folder / f"{name}.so"
    sources = [str(FIRMWARE / each) for each in SOURCES]
    subprocess.run(
        ["cc", *FLAGS, "-O2", "-g", "-DCMIS_SIM", "-shared", "-fPIC", *extra, *sources, "-o", str(library)], check=True
    )
    found = ctypes.CDLL(str(library))
    shutil.rmtree(folder)
    found.rig_size.restype = ctypes.c_size_t
    found.rig_receive.restype = ctypes.c_size_t
    found.rig_receive.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    found.rig_transmit.restype = ctypes.c_size_t
    found.rig_transmit.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    found.rig_answers.restype = ctypes.c_bool
    found.rig_lamps.restype = ctypes.c_uint8
    found.rig_init.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    found.rig_tick.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    found.rig_sides.argtypes = [ctypes.c_void_p, ctypes.c_uint8]
    for function in (found.rig_answers, found.rig_lamps, found.slave_irq, found.slave_poll):
        function.argtypes = [ctypes.c_void_p]
    return found


class _Slave(ctypes.Structure):
    _fields_ = (
        ("rig", ctypes.c_void_p),
        ("read", _READ),
        ("write", _WRITE),
        ("on", ctypes.c_bool),
        ("done", ctypes.c_bool),
    )


class CBoard:
    """The C firmware. nonce: what stands for its random number at start."""

    def __init__(self, nonce: int = 77) -> None:
        c = self._c = compiled()
        self._rig = ctypes.create_string_buffer(c.rig_size())
        self.bus = DesignWare(lambda: c.slave_irq(ctypes.byref(self._slave)))
        self._keep = (_READ(self.bus.read), _WRITE(self.bus.write))
        self._slave = _Slave(ctypes.addressof(self._rig), *self._keep, False, False)
        self._coded = ctypes.create_string_buffer(CODED_MAX)
        c.rig_init(self._rig, nonce)
        c.slave_init(ctypes.byref(self._slave), 0x50)

    def receive(self, data: bytes) -> int:
        return int(self._c.rig_receive(self._rig, data, len(data)))

    def transmit(self) -> bytes:
        length = self._c.rig_transmit(self._rig, self._coded)
        return self._coded.raw[:length]

    def tick(self, ms: int) -> None:
        self._c.rig_tick(self._rig, ms & 0xFFFFFFFF)
        self._c.slave_poll(ctypes.byref(self._slave))

    def sides(self, levels: int) -> None:
        self._c.rig_sides(self._rig, levels)

    def answers(self) -> bool:
        return bool(self._c.rig_answers(self._rig))

    def lamps(self) -> int:
        return int(self._c.rig_lamps(self._rig))


class Bench:
    """A board, a host's end and a perfect line between them; time is the board's, by hand."""

    def __init__(
        self,
        emu: Emulator,
        board: Board,
        bus: int = 1,
        *,
        pins: str = "none",
        lease_ms: int = LEASE_MS,
        hold_ms: int = HOLD_MS,
    ) -> None:
        self.emu = emu
        self.board = board
        self.ms = 1000
        self._to_board = bytearray()
        self.link = Link(self._to_board.extend, 4711)
        self.cage = emu.cages()[bus]
        self.mirror = Mirror(self.link, self.cage, pins=pins, lease_ms=lease_ms, hold_ms=hold_ms)
        self.board.tick(self.ms)
        self.link.knock()

    def step(self, ms: int = 1) -> None:
        """So many milliseconds pass for the board; the line carries what there is."""
        for _ in range(max(ms, 1)):
            self.ms += 1 if ms else 0
            self.board.tick(self.ms)
            self.carry()

    def carry(self) -> bool:
        """Everything that can go goes, both ways, once. Did anything?"""
        waiting = len(self._to_board)
        taken = self.board.receive(bytes(self._to_board))
        del self._to_board[:taken]
        found = bytearray()
        while frame := self.board.transmit():
            found += frame
        with self.emu.lock:
            self.mirror.step(bytes(found))
        return bool(waiting or found)

    def settle(self, limit_ms: int = 3000) -> None:
        """Until the board has what the module has, and the module what the bus did."""
        quiet = 0
        for _ in range(limit_ms):
            self.ms += 1
            self.board.tick(self.ms)
            moved = self.carry()
            self.board.tick(self.ms)
            quiet = 0 if moved or self.link.backlog or not self.link.opened else quiet + 1
            if quiet == 2:
                return
        raise AssertionError("board and module do not come to rest")


class BoardBus(VirtualBus):
    """A bus whose module is reached through a board; before and after each transfer board and module agree."""

    __slots__ = ("bench",)

    def __init__(self, bus: VirtualBus, bench: Bench) -> None:
        super().__init__(bus.number, bus.targets, Claims(bench.emu.lock))
        self.bench = bench

    def run(self, messages: Sequence[Message]) -> list[bytes]:
        self.bench.settle()
        try:
            return self.deliver(messages)
        finally:
            self.bench.settle()

    def deliver(self, messages: Sequence[Message]) -> list[bytes]:
        """The messages, byte event by byte event."""
        return deliver(self.bench.board.bus, messages)


def deliver(device: DesignWare, messages: Sequence[Message]) -> list[bytes]:
    """One combined transfer, as a controller does it. Raises BusError."""
    found: list[bytes] = []
    try:
        for message in messages:
            read = bool(message.flags & I2C_M_RD)
            if message.address != device.address or not device.start(read=read):
                raise BusError(errno.ENXIO)
            if read:
                data = bytearray()
                for _ in range(message.length):
                    data.append(device.peek())
                    device.commit()
                found.append(bytes(data))
            elif not all(device.write_byte(value) for value in message.data):
                raise BusError(errno.EIO)
    finally:
        device.end()
    return found
