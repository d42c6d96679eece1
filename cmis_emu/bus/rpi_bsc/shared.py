"""The memory that the emulator and the helper share, through the functions of `bsc_slave.c`.

Its layout is in `bsc_slave.h` alone. The functions know the barriers that two cores need; Python does not.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

LOWER_KEY = 0xFFFF
PAGES_MAX = 256


class Event(ctypes.Structure):
    """`struct bsc_event`."""

    _fields_ = (
        ("number", ctypes.c_uint32),
        ("kind", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("key", ctypes.c_uint32),
        ("address", ctypes.c_uint32),
        ("data", ctypes.c_uint8 * 256),
    )


WRITE, READ = 1, 2


@dataclass(frozen=True, slots=True)
class Counts:
    """By the helper. polls: looks at the chip. overruns, underruns: as the chip says. lost: events without room."""

    polls: int
    overruns: int
    underruns: int
    lost: int


class Shared:
    """A memory of its own; `descriptor` is for the helper. library: of `build.library`."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.bsc_shared_size.restype = ctypes.c_ulong
        self.library.bsc_slave_size.restype = ctypes.c_ulong
        size = self.library.bsc_shared_size()
        self.descriptor = os.memfd_create("cmis-emu-rpi-bsc", 0)  # the helper inherits it
        os.ftruncate(self.descriptor, size)
        self._memory = mmap.mmap(self.descriptor, size)
        self._bytes = (ctypes.c_uint8 * size).from_buffer(self._memory)
        self.pointer = ctypes.byref(self._bytes)

    def close(self) -> None:
        """Give the memory back; the helper keeps its own hold of it."""
        os.close(self.descriptor)

    def describe(self, index: int, key: int, banked: bool, writable: bytes, clears: bytes) -> None:
        """What a page is; its place and kind while the module does not answer, its masks at any time, byte by byte."""
        self.library.bsc_describe(self.pointer, index, key, int(banked), writable, clears)

    def publish(self, index: int, data: bytes, acknowledged: int) -> None:
        """The 128 bytes of a page, as of an event."""
        self.library.bsc_publish(self.pointer, index, data, ctypes.c_uint32(acknowledged))

    def map(self, index: int, acknowledged: int, limits: tuple[int, int]) -> None:
        """Which page the module maps, as of an event, and how many bytes a write to either half may carry."""
        self.library.bsc_map(self.pointer, index, ctypes.c_uint32(acknowledged), *limits)

    def enable(self, pages: int, enabled: bool) -> None:
        """Answer on the bus, or not."""
        self.library.bsc_enable(self.pointer, pages, int(enabled))

    def stop(self) -> None:
        """Tell the helper to end."""
        self.library.bsc_stop(self.pointer)

    def take(self) -> Event | None:
        """The oldest event that nobody took yet."""
        event = Event()
        return event if self.library.bsc_take(self.pointer, ctypes.byref(event)) else None

    def counts(self) -> Counts:
        """What the helper counts."""
        found = (ctypes.c_uint32 * 4)()
        self.library.bsc_counts(self.pointer, found)
        return Counts(*found)
