"""Which fibre of a connector carries which lane, and what a trunk's polarity makes of it (optics model, section 4).

Positions are numbered from 1 as on the module's own connector, key up. A module sends from the low positions and
receives at the high ones, mirrored: Tx lane k at k, Rx lane k at the position as far from the other end.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from cmis_emu.errors import InputError


class Connector(Enum):
    """The optical connector of a module. `positions` fibres, of which `lanes` send and as many receive."""

    LC = ("lc-duplex", 2, 1)  # wavelength division puts several lanes into the one fibre
    MPO12 = ("mpo-12", 12, 4)  # positions 5 to 8 stay dark
    MPO16 = ("mpo-16", 16, 8)

    def __init__(self, title: str, positions: int, lanes: int) -> None:
        self.title = title
        self.positions = positions
        self.lanes = lanes


class Polarity(Enum):
    """How the two ends of a cable are wired (TIA-568's types)."""

    A = "straight"  # n to n
    B = "reversed"  # n to the mirrored position
    C = "pair-flipped"  # 1 to 2, 2 to 1, 3 to 4, ...


class Leg(NamedTuple):
    """One duplex leg of a breakout cable: positions of the multi-fibre end, seen from the module there."""

    tx: int
    rx: int


def tx_position(connector: Connector, lane: int) -> int:
    """The position from which a module sends a lane (1-based)."""
    _check(lane, connector.lanes, "lane")
    return lane


def rx_position(connector: Connector, lane: int) -> int:
    """The position at which a module receives a lane (1-based)."""
    return connector.positions + 1 - tx_position(connector, lane)


def rx_lane(connector: Connector, position: int) -> int | None:
    """The lane that a module receives at a position; None where it sends or where no fibre is used."""
    _check(position, connector.positions, "position")
    lane = connector.positions + 1 - position
    return lane if lane <= connector.lanes else None


def far_position(connector: Connector, position: int, *trunks: Polarity) -> int:
    """Where light that enters at a position comes out of a chain of trunks."""
    _check(position, connector.positions, "position")
    for trunk in trunks:
        if trunk is Polarity.B:
            position = connector.positions + 1 - position
        elif trunk is Polarity.C:
            position += 1 if position % 2 else -1
    return position


def received_lane(connector: Connector, lane: int, *trunks: Polarity) -> int | None:
    """The far module's Rx lane that gets Tx lane `lane` through a chain of trunks; None: it arrives nowhere."""
    return rx_lane(connector, far_position(connector, tx_position(connector, lane), *trunks))


def lane_map(connector: Connector, *trunks: Polarity) -> tuple[int | None, ...]:
    """`received_lane` of every lane of the connector, from lane 1 on."""
    return tuple(received_lane(connector, lane, *trunks) for lane in range(1, connector.lanes + 1))


def breakout_leg(connector: Connector, leg: int) -> Leg:
    """The fibres that a breakout cable leads to duplex connector `leg` (1-based), whose module hears `tx`."""
    return Leg(tx_position(connector, leg), rx_position(connector, leg))


def _check(number: int, most: int, field: str) -> None:
    if not 1 <= number <= most:
        raise InputError(str(number), f"a number from 1 to {most}", field=field)
