"""A small chip with a few registers, at byte-event level: what muxes and GPIO expanders have in common.

Owns the order of byte events and the whole messages made of them. Unlike a CMIS module such a chip acts on each
byte as it comes, and has no limits on the length of a message.
"""

from __future__ import annotations

from cmis_emu.bus.segment import UNDRIVEN


class Chip:
    """An `Endpoint` for as long as it `answers`; events out of order are ignored as `Target` ignores them."""

    _IDLE, _WRITING, _READING = range(3)

    def __init__(self) -> None:
        self._mode = Chip._IDLE
        self._byte: int | None = None  # what the next byte of a read shows, once that was asked

    # -- the chip itself -------------------------------------------------------------------------------

    def answers(self) -> bool:
        """Is the address acknowledged now?"""
        return True

    def addressed(self) -> None:
        """A write begins."""

    def take(self, value: int) -> None:
        """A byte of a write."""
        raise NotImplementedError

    def show(self) -> int:
        """The next byte of a read, as it is now."""
        raise NotImplementedError

    def clocked_out(self, value: int) -> None:
        """That byte has left the chip."""

    # -- byte events -----------------------------------------------------------------------------------

    def start(self, *, read: bool) -> bool:
        self.end()
        if not self.answers():
            return False
        self._mode = Chip._READING if read else Chip._WRITING
        if not read:
            self.addressed()
        return True

    def write_byte(self, value: int) -> bool:
        if self._mode != Chip._WRITING:
            return False
        self.take(value)
        return True

    def peek(self) -> int:
        if self._mode != Chip._READING:
            return UNDRIVEN
        if self._byte is None:
            self._byte = self.show()
        return self._byte

    def commit(self) -> None:
        if self._mode == Chip._READING:
            value = self.peek()
            self._byte = None
            self.clocked_out(value)

    def end(self) -> None:
        self._mode = Chip._IDLE
        self._byte = None

    # -- whole messages --------------------------------------------------------------------------------

    def write(self, data: bytes) -> int | None:
        if not self.start(read=False):
            return None
        taken = 0
        for value in data:
            if not self.write_byte(value):
                break
            taken += 1
        self.end()
        return taken

    def read(self, length: int) -> bytes | None:
        if not self.start(read=True):
            return None
        found = bytearray()
        for _ in range(length):
            found.append(self.peek())
            self.commit()
        self.end()
        return bytes(found)

    def bear(self, limit_ns: int) -> None:
        """It never stretches the clock."""
