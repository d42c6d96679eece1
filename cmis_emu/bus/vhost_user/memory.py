"""The guest's memory, as far as the front end shares it: files mapped into this process, found by address.

Owns the promise that whatever a front end says and does, a look at its memory stays inside it. Regions are believed
as long as their files are; a file that its owner could shorten while it is mapped would take this whole process down
(SIGBUS), so only memory that is sealed against it is taken, as QEMU's memory-backend-memfd is.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass

from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.wire import REGION, REGIONS_MAX, TABLE

_ADDRESS_END = 1 << 64


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of memory: where the guest and the front end have it, and where it is here."""

    guest: int
    end: int  # of the guest's addresses
    front: int
    bytes: memoryview


class Memory:
    """All regions of one front end. The mappings go when nobody looks at them any more."""

    def __init__(self, regions: list[Region]) -> None:
        self._regions = regions
        self.near = (0, 0, memoryview(b""))
        """Start, end and bytes of the region that was looked at last: buffers come from one more often than not."""

    def at(self, address: int, length: int) -> memoryview:
        """`length` bytes at a guest address, in one region. Raises ProtocolError."""
        found = self.pieces(address, length)
        if len(found) != 1:
            raise _outside("guest", address, length)
        return found[0]

    def pieces(self, address: int, length: int) -> list[memoryview]:
        """`length` bytes at a guest address, from one region into the next if need be. Raises ProtocolError."""
        start, end, view = self.near
        if start <= address and address + length <= end:
            return [view[address - start : address - start + length]]
        found = []
        while length:
            region = next((each for each in self._regions if each.guest <= address < each.end), None)
            if region is None:
                raise _outside("guest", address, length)
            self.near = region.guest, region.end, region.bytes
            here = min(length, region.end - address)
            found.append(region.bytes[address - region.guest : address - region.guest + here])
            address += here
            length -= here
        return found

    def front(self, address: int, length: int, alignment: int) -> memoryview:
        """`length` bytes at an address of the front end's own, for a ring. Raises ProtocolError."""
        if address % alignment:
            raise ProtocolError(f"a ring: found address {address:#x}, expected a multiple of {alignment}")
        for region in self._regions:
            at = address - region.front
            if at >= 0 and at + length <= len(region.bytes):
                return region.bytes[at : at + length]
        raise _outside("front-end", address, length)


def mapped(payload: bytes, descriptors: list[int]) -> Memory:
    """The memory of a SET_MEM_TABLE. The descriptors remain the caller's. Raises ProtocolError."""
    if len(payload) < TABLE.size:
        raise ProtocolError(f"memory table: found {len(payload)} bytes, expected at least {TABLE.size}")
    count, _ = TABLE.unpack_from(payload)
    expected = TABLE.size + count * REGION.size
    if count > REGIONS_MAX or len(payload) != expected:
        raise ProtocolError(f"memory table: found {count} regions in {len(payload)} bytes, expected {expected}")
    if len(descriptors) != count:
        raise ProtocolError(f"memory table: found {len(descriptors)} file descriptors, expected {count}")
    files: dict[tuple[int, int], memoryview] = {}
    regions: list[Region] = []
    for index, descriptor in enumerate(descriptors):
        guest, size, front, offset = REGION.unpack_from(payload, TABLE.size + index * REGION.size)
        whole = _map(descriptor, files)
        if not size or guest + size > _ADDRESS_END or front + size > _ADDRESS_END or offset + size > len(whole):
            raise ProtocolError(
                f"memory region {index}: found {size} bytes at {guest:#x}, at {offset:#x} of a file of {len(whole)}, "
                "expected some bytes, inside the file"
            )
        if any(guest < other.end and other.guest < guest + size for other in regions):
            raise ProtocolError(f"memory region {index}: found guest addresses that another has, too")
        regions.append(Region(guest, guest + size, front, whole[offset : offset + size]))
    return Memory(regions)


def _map(descriptor: int, files: dict[tuple[int, int], memoryview]) -> memoryview:
    """The whole file, once: huge pages cannot be mapped by parts, and all regions are often in one file."""
    try:
        status = os.fstat(descriptor)
        key = status.st_dev, status.st_ino
        if key not in files:
            _check(descriptor)
            files[key] = memoryview(mmap.mmap(descriptor, 0))
    except (OSError, ValueError, OverflowError) as error:
        raise ProtocolError(f"memory: found a file that cannot be mapped ({error})") from None
    return files[key]


def _check(descriptor: int) -> None:
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if not seals & fcntl.F_SEAL_SHRINK:
        raise ProtocolError(
            "memory: found a file that may shrink while it is mapped, expected one that is sealed against it "
            "(QEMU: memory-backend-memfd)"
        )


def _outside(whose: str, address: int, length: int) -> ProtocolError:
    return ProtocolError(f"found {whose} address {address:#x} with {length} bytes, expected memory that is shared")
