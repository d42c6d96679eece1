"""A split virtqueue, from the device's side (VIRTIO 1.2, 2.7): descriptor chains out of it, used ones back into it.

Owns indexes, chains with indirect tables, and who tells whom when (event indexes, 2.7.7 and 2.7.10). A driver may
change its memory at any time, so everything is read once and what was read is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from struct import Struct
from typing import Final

from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.memory import Memory

SIZE_MAX: Final = 32768
CHAIN_MAX: Final = 1024  # descriptors; Linux makes chains of three in a ring of any size
_DESCRIPTOR: Final = Struct("<QIHH")  # guest address, length, flags, next
_USED: Final = Struct("<II")  # head of the chain, bytes written
_MASK: Final = 0xFFFF
_NO_INTERRUPT: Final = 1


class DescriptorFlag(IntFlag):
    NEXT = 1
    WRITE = 2
    INDIRECT = 4


_NEXT, _WRITE, _INDIRECT = (int(flag) for flag in DescriptorFlag)


@dataclass(slots=True)
class Chain:
    """One descriptor chain: what the driver says, and where it wants its answer."""

    head: int
    readable: list[memoryview] = field(default_factory=list)
    writable: list[memoryview] = field(default_factory=list)


class Ring:
    """The ring of `size` entries at three addresses of the front end; `position` is the next available index."""

    def __init__(
        self, memory: Memory, size: int, addresses: tuple[int, int, int], position: int, *, indirect: bool, events: bool
    ) -> None:
        """`indirect`, `events`: the features INDIRECT_DESC and EVENT_IDX were agreed on. Raises ProtocolError."""
        self.position = position
        self._size = size
        self._addresses = addresses
        self._indirect = indirect
        self._events = events
        self.move(memory)
        self._used_index = self._used[1]
        self._told = self._used_index

    def move(self, memory: Memory) -> None:
        """The same ring in memory that is mapped anew. Raises ProtocolError."""
        descriptors, used, available = self._addresses
        size = self._size
        self._memory = memory
        self._descriptors = memory.front(descriptors, 16 * size, 16)
        # A cast view stores 16 bits at once, as the other side reads them.
        self._available = memory.front(available, 6 + 2 * size, 2).cast("H")
        whole = memory.front(used, 6 + 8 * size, 4)
        self._used = whole.cast("H")
        self._elements = whole[4 : 4 + 8 * size]

    # -- from the driver -----------------------------------------------------------------------------

    def waiting(self) -> int:
        """How many chains are available. Raises ProtocolError."""
        count = (self._available[1] - self.position) & _MASK
        if count > self._size:
            raise ProtocolError(f"ring: found {count} chains available, expected at most its size of {self._size}")
        return count

    def take(self) -> Chain:
        """The next chain, after `waiting` has said that there is one. Raises ProtocolError."""
        head = self._available[2 + self.position % self._size]
        chain = Chain(head)
        self._walk(chain, self._descriptors, head, nested=False)
        self.position = (self.position + 1) & _MASK
        return chain

    def listen(self) -> None:
        """The driver shall tell of the next chain that it makes available; look again after this."""
        if self._events:
            self._used[2 + 4 * self._size] = self.position

    def _walk(self, chain: Chain, table: memoryview, at: int, *, nested: bool) -> None:
        size = len(table) // 16
        writable = chain.writable
        for _ in range(min(size, CHAIN_MAX)):
            if at >= size:
                raise ProtocolError(f"descriptor: found number {at}, expected less than {size}")
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, at * 16)
            if flags & _INDIRECT:
                if nested or not self._indirect or flags & (_NEXT | _WRITE) or length % 16:
                    raise ProtocolError(
                        f"descriptor {at}: found an indirect table of {length} bytes with flags {flags:#x}, expected "
                        "one of 16 bytes for each descriptor, at the end of a chain that has none yet"
                    )
                if not 0 < length <= 16 * CHAIN_MAX:
                    raise ProtocolError(f"descriptor {at}: found an indirect table of {length} bytes, expected less")
                self._walk(chain, self._memory.at(address, length), 0, nested=True)
                return
            if not length:
                raise ProtocolError(f"descriptor {at}: found a buffer of no bytes")
            if flags & _WRITE:
                self._add(writable, address, length)
            elif writable:
                raise ProtocolError(f"descriptor {at}: found one to read after one to write")
            else:
                self._add(chain.readable, address, length)
            if not flags & _NEXT:
                return
            at = following
        raise ProtocolError(f"chain {chain.head}: found no end after {min(size, CHAIN_MAX)} descriptors")

    def _add(self, views: list[memoryview], address: int, length: int) -> None:
        try:
            views.append(self._memory.at(address, length))
        except ProtocolError:
            views += self._memory.pieces(address, length)

    # -- to the driver -------------------------------------------------------------------------------

    def put(self, chain: Chain, written: int) -> None:
        """The chain is done; the driver sees it from `publish` on."""
        _USED.pack_into(self._elements, self._used_index % self._size * 8, chain.head, written)
        self._used_index = (self._used_index + 1) & _MASK

    def publish(self) -> None:
        """The driver may see what was put."""
        self._used[1] = self._used_index

    def interrupt(self) -> bool:
        """Does the driver want to be told of what was published since the last time?"""
        told, self._told = self._told, self._used_index
        if not self._events:
            return not self._available[0] & _NO_INTERRUPT
        event = self._available[2 + self._size]
        return (self._used_index - event - 1) & _MASK < (self._used_index - told) & _MASK
