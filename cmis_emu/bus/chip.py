"""A small chip with a few registers, at byte-event level: what muxes and GPIO expanders have in common.

Owns the order of byte events and the whole messages made of them. Unlike a CMIS module such a chip acts on each
byte as it comes, and has no limits on the length of a message.
"""

from __future__ import annotations

from cmis_emu.bus.contract import UNDRIVEN, read_bytes, write_bytes


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

    def abort(self) -> None:
        """What it was given it has."""
        self.end()

    # -- whole messages --------------------------------------------------------------------------------

    def write(self, data: bytes) -> int | None:
        return write_bytes(self, data)

    def read(self, length: int) -> bytes | None:
        return read_bytes(self, length)

    def bear(self, limit_ns: int) -> None:
        """It never stretches the clock."""
