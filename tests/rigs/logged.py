"""A target that keeps a log: 256 bytes, an address counter, and every byte event that reached it."""

from __future__ import annotations


class LoggedTarget:
    """Reads and writes `memory` at a counter that the first written byte sets; writes count at the end.

    refuse: numbers of written bytes, from 0, that are not acknowledged; -1: the address. log: W and R for a START,
    written bytes as hex, ! before one that is refused, < before one that was committed, P for an end, X for an abort.
    """

    def __init__(self, memory: bytes = bytes(range(256)), refuse: frozenset[int] = frozenset()) -> None:
        self.memory = bytearray(memory)
        self.refuse = refuse
        self.log: list[str] = []
        self.peeks = 0
        self._at = 0
        self._new: list[int] = []

    def start(self, *, read: bool) -> bool:
        self.log.append("R" if read else "W")
        self._new = []
        return -1 not in self.refuse

    def write_byte(self, value: int) -> bool:
        if len(self._new) in self.refuse:
            self.log.append(f"!{value:02x}")
            return False
        self.log.append(f"{value:02x}")
        self._new.append(value)
        return True

    def peek(self) -> int:
        self.peeks += 1
        return self.memory[self._at]

    def commit(self) -> None:
        self.log.append(f"<{self.memory[self._at]:02x}")
        self._at = (self._at + 1) % 256

    def end(self) -> None:
        self.log.append("P")
        if self._new:
            self._at = self._new[0]
            for value in self._new[1:]:
                self.memory[self._at] = value
                self._at = (self._at + 1) % 256
        self._new = []

    def abort(self) -> None:
        self.log.append("X")
        self._new = []
