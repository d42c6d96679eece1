"""A stretch of bus: what sits on its wires, and who hears an address.

Owns what a bus finds at an address (`Endpoint`), several of them at one address (`Chorus`), and the wires between
switches (`Segment`). Switches join segments (`mux.py`); who hears an address is worked out when a switch moves, so
that a transfer costs the same with switches as without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cmis_emu.bus.contract import UNDRIVEN, ByteTarget, read_bytes, write_bytes
from cmis_emu.bus.errors import BusError


class Endpoint(ByteTarget, Protocol):
    """What answers an address: byte events, and whole messages that equal a sequence of them (see `Target`)."""

    def write(self, data: bytes) -> int | None:
        """A whole message: how many bytes were acknowledged, None when the address was not."""
        ...

    def read(self, length: int) -> bytes | None:
        """A whole message; None when the address was not acknowledged."""
        ...

    def bear(self, limit_ns: int) -> None:
        """How long the adapter bears a stretched clock from now on."""
        ...


class Chorus:
    """Several endpoints at one address, as when a switch has two channels on: all of them hear all of it.

    The bus is a wired AND: one that pulls the acknowledge bit low is enough, and a read shows a 1 only where all show
    it. One that has refused a byte takes no more of that message.
    """

    def __init__(self, members: Sequence[Endpoint]) -> None:
        self._members = tuple(members)
        self._listening: list[Endpoint] = []

    def start(self, *, read: bool) -> bool:
        self._listening = []
        for member in self._members:
            try:
                if member.start(read=read):
                    self._listening.append(member)
            except BusError:
                self.end()
                raise
        return bool(self._listening)

    def write_byte(self, value: int) -> bool:
        taking = []
        for member in self._listening:
            try:
                if member.write_byte(value):
                    taking.append(member)
            except BusError:
                self.end()
                raise
        self._listening = taking
        return bool(taking)

    def peek(self) -> int:
        value = UNDRIVEN
        for member in self._listening:
            value &= member.peek()
        return value

    def commit(self) -> None:
        for member in self._listening:
            try:
                member.commit()
            except BusError:
                self.end()
                raise

    def end(self) -> None:
        self._listening = []
        for member in self._members:
            member.end()

    def abort(self) -> None:
        self._listening = []
        for member in self._members:
            member.abort()

    def write(self, data: bytes) -> int | None:
        return write_bytes(self, data)

    def read(self, length: int) -> bytes | None:
        return read_bytes(self, length)

    def bear(self, limit_ns: int) -> None:
        for member in self._members:
            member.bear(limit_ns)


class Switch(Protocol):
    """What joins segments below to the one that it sits on."""

    def connected(self) -> Sequence[Segment]:
        """The segments that are joined now."""
        ...


class Segment:
    """Wires without a switch in between: `own` is what sits on them, `switches` what leads on.

    heard: who answers each address with the switches as they stand; `resolve` renews it in place.
    """

    def __init__(self) -> None:
        self.own: dict[int, Endpoint] = {}
        self.switches: list[Switch] = []
        self.heard: dict[int, Endpoint] = {}

    def resolve(self) -> None:
        """A switch has moved: work out anew who hears what."""
        found: dict[int, list[Endpoint]] = {address: [each] for address, each in self.own.items()}
        for switch in self.switches:
            for below in switch.connected():
                below.resolve()
                for address, each in below.heard.items():
                    found.setdefault(address, []).append(each)
        self.heard.clear()
        for address, several in found.items():
            self.heard[address] = several[0] if len(several) == 1 else Chorus(several)
