"""A split virtqueue, from the device's side (VIRTIO 1.2, 2.7): descriptor chains out of it, used ones back into it.

Owns indexes, chains with indirect tables, and who tells whom when (event indexes, 2.7.7 and 2.7.10). A driver may
change its memory at any time, so everything is read once and what was read is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import Final

from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.memory import Memory

SIZE_MAX: Final = 32768
CHAIN_MAX: Final = 1024  # descriptors; Linux makes chains of three in a ring of any size
_DESCRIPTOR: Final = Struct("<QIHH")  # guest address, length, flags, next
_unpack: Final = _DESCRIPTOR.unpack_from
_THREE: Final = Struct("<QIHHQIHHQIHH")
_unpack_three: Final = _THREE.unpack_from
_USED: Final = Struct("<II")  # head of the chain, bytes written
_pack_used: Final = _USED.pack_into
_MASK: Final = 0xFFFF
_REMEMBERED_MAX: Final = 256  # chains
_NO_INTERRUPT: Final = 1


class DescriptorFlag(IntFlag):
    NEXT = 1
    WRITE = 2
    INDIRECT = 4


_NEXT, _WRITE, _INDIRECT = (int(flag) for flag in DescriptorFlag)


@dataclass(slots=True, eq=False)
class Chain:
    """One descriptor chain: what the driver says, where it wants its answer, and how many bytes both have.

    `entries`: how many descriptors of the ring itself it takes. Two are the same only if they are one; the views show
    what is in memory now, whoever put it there.
    """

    head: int
    entries: int
    readable: list[memoryview]
    writable: list[memoryview]
    length: int


class Ring:
    """The ring of `size` entries at three addresses of the front end; `position` is the next available index."""

    def __init__(
        self,
        memory: Memory,
        size: int,
        addresses: tuple[int, int, int],
        position: int,
        bytes_max: int,
        *,
        indirect: bool,
        events: bool,
    ) -> None:
        """`bytes_max`: of all buffers of a chain. `indirect`, `events`: INDIRECT_DESC and EVENT_IDX were agreed on.

        Raises ProtocolError.
        """
        self.position = position
        self._size = size
        self._bytes_max = bytes_max
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
        self._usual_chains: dict[tuple[int, int, bytes], Chain] = {}
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
        position = self.position
        head = self._available[2 + position % self._size]
        chain = self._usual(head) or self._walk(head)
        self.position = (position + 1) & _MASK
        return chain

    def _usual(self, head: int) -> Chain | None:
        """What Linux makes of a message with data: three buffers by a table, all near. None for anything else."""
        if head >= self._size or not self._indirect:
            return None
        table, length, flags, _ = _unpack(self._descriptors, head * 16)
        start, end, view = self._memory.near
        table -= start
        if flags != _INDIRECT or length != _THREE.size or not 0 <= table <= end - start - length:
            return None
        # Drivers free their memory and are given the same again, so the same tables come again and again.
        content = bytes(view[table : table + length])
        key = head, start, content
        chain = self._usual_chains.get(key)
        if chain is None:
            chain = self._by_table(head, content)
            if chain is not None:
                if len(self._usual_chains) == _REMEMBERED_MAX:
                    self._usual_chains.clear()
                self._usual_chains[key] = chain
        return chain

    def _by_table(self, head: int, table: bytes) -> Chain | None:
        start, end, view = self._memory.near
        a, a_length, a_flags, b_at, b, b_length, b_flags, c_at, c, c_length, c_flags, _ = _unpack_three(table)
        if a_flags != _NEXT or b_at != 1 or c_at != 2 or c_flags != _WRITE or a < start or b < start or c < start:
            return None
        total = a_length + b_length + c_length
        if a + a_length > end or b + b_length > end or c + c_length > end or total > self._bytes_max:
            return None
        if not (a_length and b_length and c_length):
            return None
        a, b, c = a - start, b - start, c - start
        one, two, three = view[a : a + a_length], view[b : b + b_length], view[c : c + c_length]
        if b_flags == _NEXT:
            return Chain(head, 1, [one, two], [three], total)
        if b_flags == _NEXT | _WRITE:
            return Chain(head, 1, [one], [two, three], total)
        return None

    def _walk(self, head: int) -> Chain:
        """Any chain, descriptor by descriptor."""
        table, entries = self._descriptors, self._size
        at = head
        memory = self._memory
        start, end, view = memory.near
        readable: list[memoryview] = []
        writable: list[memoryview] = []
        own = count = total = 0
        while True:
            if at >= entries or count == entries:
                raise ProtocolError(f"chain {head}: found descriptor {at} after {count}, expected an end of {entries}")
            address, length, flags, following = _unpack(table, at * 16)
            if flags & _INDIRECT:
                table = self._table(head, address, length, flags, nested=table is not self._descriptors)
                entries, at, own, count = length // 16, 0, count + 1, 0
                start, end, view = memory.near
                continue
            count += 1
            total += length
            if not length or total > self._bytes_max:
                raise ProtocolError(
                    f"chain {head}: found a buffer of {length} bytes, {total} in all, expected some, and at most "
                    f"{self._bytes_max} in all"
                )
            if flags & _WRITE:
                side = writable
            elif writable:
                raise ProtocolError(f"chain {head}: found a buffer to read after one to write")
            else:
                side = readable
            if start <= address and address + length <= end:
                side.append(view[address - start : address - start + length])
            else:
                side += memory.pieces(address, length)
                start, end, view = memory.near
            if not flags & _NEXT:
                return Chain(head, own or count, readable, writable, total)
            at = following

    def room(self, chains: Iterable[Chain], buffers: int) -> bool:
        """Could a driver that has made these chains available, and no others, have added one of so many buffers?"""
        return sum(chain.entries for chain in chains) + (1 if self._indirect else buffers) <= self._size

    def listen(self) -> None:
        """The driver shall tell of the next chain that it makes available; look again after this."""
        if self._events:
            self._used[2 + 4 * self._size] = self.position

    def _table(self, head: int, address: int, length: int, flags: int, *, nested: bool) -> memoryview:
        """An indirect table, which ends a chain."""
        if nested or not self._indirect or flags & (_NEXT | _WRITE) or length % 16 or not 0 < length <= 16 * CHAIN_MAX:
            raise ProtocolError(
                f"chain {head}: found an indirect table of {length} bytes with flags {flags:#x}, expected 16 bytes "
                f"for each of up to {CHAIN_MAX} descriptors, at the end of a chain that has none yet"
            )
        return self._memory.at(address, length)

    # -- to the driver -------------------------------------------------------------------------------

    def publish(self, done: Iterable[tuple[int, int]]) -> None:
        """Chains are done: the head of each, and how many bytes were written. The driver may see all of them now."""
        index = self._used_index
        for head, written in done:
            _pack_used(self._elements, index % self._size * 8, head, written)
            index = (index + 1) & _MASK
        self._used[1] = self._used_index = index

    def interrupt(self) -> bool:
        """Does the driver want to be told of what was published since the last time?"""
        told, self._told = self._told, self._used_index
        if not self._events:
            return not self._available[0] & _NO_INTERRUPT
        event = self._available[2 + self._size]
        return (self._used_index - event - 1) & _MASK < (self._used_index - told) & _MASK
