"""What a testbed's board is to be: muxes, GPIO expanders and their lines, and where a thing sits on a bus.

Plain data, read by `board_reader.py` and built by `board.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a mux."""

    mux: str
    number: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where something sits: on bus `bus` (its root), behind a channel or not."""

    bus: int
    behind: Channel | None = None

    def __str__(self) -> str:
        return f"bus {self.bus}" if self.behind is None else f"channel {self.behind.number} of mux {self.behind.mux}"


@dataclass(frozen=True, slots=True)
class MuxPlan:
    """One mux. first_bus: number of the bus that channel 0 is; the others follow."""

    name: str
    kind: str
    place: Place
    address: int
    first_bus: int


class Peer(Enum):
    """What a line can lead to."""

    PORT = "port"
    MUX = "mux"
    EXPANDER = "expander"


@dataclass(frozen=True, slots=True)
class LinePlan:
    """Where a line leads. pull: level of the wire while the expander leaves it alone; None where others drive it."""

    peer: Peer
    name: str
    pin: str
    pull: bool | None


@dataclass(frozen=True, slots=True)
class ExpanderPlan:
    """One expander. lines: from line 0 on, None for one that leads nowhere."""

    name: str
    kind: str
    place: Place
    address: int
    lines: tuple[LinePlan | None, ...]


@dataclass(frozen=True, slots=True)
class BoardPlan:
    """All of it."""

    muxes: tuple[MuxPlan, ...] = ()
    expanders: tuple[ExpanderPlan, ...] = ()

    def lines_to(self, port: str) -> Iterator[LinePlan]:
        """The lines that lead to a port."""
        for expander in self.expanders:
            for line in expander.lines:
                if line is not None and line.peer is Peer.PORT and line.name == port:
                    yield line
