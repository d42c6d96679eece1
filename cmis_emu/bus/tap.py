"""What observers of a target are told: each message, once it is over.

Owns the record of a message and the list of those who listen. A tap sees what went over the wires: for a read the
bytes that the controller got, for a write those that were acknowledged. Nobody is told anything, at no cost, while
nobody listens.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, MutableSequence
from dataclasses import dataclass
from typing import overload

from cmis_emu.registers.field import LOWER

HALF = 128


@dataclass(frozen=True, slots=True)
class Transaction:
    """One message, from START to STOP or repeated START. A random read is two: the address, then the bytes.

    began_ns, ended_ns: differ when the module stretched the clock. page, bank: of the half that was accessed, as
    mapped at START; LOWER and 0 for bytes 0 to 127. address: register address of the first byte; for a write
    whose address byte was never taken, where the counter stood. data: of a read, the bytes that were clocked out;
    of a write, the data bytes that were acknowledged, none when it only sets the address. error: errno of the
    failure as an adapter tells it, ENXIO for an address and EIO for a byte that was not acknowledged.
    """

    began_ns: int
    ended_ns: int
    read: bool
    page: int
    bank: int
    address: int
    data: bytes
    error: int | None = None

    def touches(self, page: int, first: int, last: int) -> bool:
        """Did it carry a byte from `first` to `last` of that page? A refused read: was it to begin there?"""
        if page != self.page or (not self.data and not (self.read and self.error)):
            return False
        if not self.data:
            return first <= self.address <= last
        if len(self.data) >= HALF:
            return True
        base = self.address & HALF
        return any(first <= (base | (self.address + step) & 127) <= last for step in range(len(self.data)))

    def byte_at(self, address: int) -> int | None:
        """The byte that it carried for `address` of its half, the last one where it came round; None for none."""
        if (address ^ self.address) & HALF:
            return None
        first = (address - self.address) & 127
        carried = range(first, len(self.data), HALF)
        return self.data[carried[-1]] if carried else None

    def __str__(self) -> str:
        place = f"{'L' if self.page == LOWER else f'{self.page:02X}h'}{f'/{self.bank}' if self.bank else ''}"
        data = f" {self.data.hex(' ')}" if self.data else ""
        how = f" {errno.errorcode.get(self.error, str(self.error))}" if self.error is not None else ""
        return f"{'read' if self.read else 'write'} {place}:{self.address}{data}{how}"


Tap = Callable[[Transaction], None]


class Taps(MutableSequence[Tap]):
    """The observers of one target, told in order. `changed` is called when one comes or goes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._taps: list[Tap] = []
        self._changed = changed

    def tell(self, transaction: Transaction) -> None:
        """A message is over. Observers may come and go meanwhile."""
        for tap in tuple(self._taps):
            tap(transaction)

    def insert(self, index: int, value: Tap) -> None:
        self._taps.insert(index, value)
        self._changed()

    def __len__(self) -> int:
        return len(self._taps)

    @overload
    def __getitem__(self, index: int) -> Tap: ...
    @overload
    def __getitem__(self, index: slice) -> MutableSequence[Tap]: ...
    def __getitem__(self, index: int | slice) -> Tap | MutableSequence[Tap]:
        return self._taps[index]

    @overload
    def __setitem__(self, index: int, value: Tap) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Tap]) -> None: ...
    def __setitem__(self, index: int | slice, value: Tap | Iterable[Tap]) -> None:
        self._taps[index] = value  # type: ignore[index, assignment]
        self._changed()

    def __delitem__(self, index: int | slice) -> None:
        del self._taps[index]
        self._changed()
