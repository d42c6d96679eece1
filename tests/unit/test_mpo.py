"""Positions and polarities of the optics model, section 4."""

from __future__ import annotations

import pytest

from cmis_emu.errors import InputError
from cmis_emu.physics.mpo import (
    Connector,
    Polarity,
    breakout_leg,
    far_position,
    lane_map,
    received_lane,
    rx_lane,
    rx_position,
    tx_position,
)

A, B, C = Polarity.A, Polarity.B, Polarity.C
LC, MPO12, MPO16 = Connector.LC, Connector.MPO12, Connector.MPO16


def test_positions() -> None:
    """MPO-12: Tx1 to 4 on fibres 1 to 4, Rx1 to 4 on 12 to 9, 5 to 8 unused."""
    assert [tx_position(MPO12, lane) for lane in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert [rx_position(MPO12, lane) for lane in (1, 2, 3, 4)] == [12, 11, 10, 9]
    assert [rx_lane(MPO12, position) for position in range(1, 13)] == [None] * 8 + [4, 3, 2, 1]
    assert [rx_position(MPO16, lane) for lane in range(1, 9)] == list(range(16, 8, -1))
    assert (tx_position(LC, 1), rx_position(LC, 1)) == (1, 2)


@pytest.mark.parametrize("connector", Connector)
def test_no_position_serves_twice(connector: Connector) -> None:
    lanes = range(1, connector.lanes + 1)
    used = [place(connector, lane) for place in (tx_position, rx_position) for lane in lanes]
    assert len(set(used)) == len(used) == 2 * connector.lanes
    assert set(used) <= set(range(1, connector.positions + 1))
    assert [rx_lane(connector, rx_position(connector, lane)) for lane in lanes] == list(lanes)


@pytest.mark.parametrize(
    ("trunk", "expected"),
    [
        (A, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (B, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (C, [2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]),
    ],
)
def test_polarities(trunk: Polarity, expected: list[int]) -> None:
    assert [far_position(MPO12, n, trunk) for n in range(1, 13)] == expected
    assert [far_position(MPO12, n, trunk, trunk) for n in range(1, 13)] == list(range(1, 13))  # back the same way


@pytest.mark.parametrize(
    ("connector", "trunk", "expected"),
    [
        (MPO12, B, (1, 2, 3, 4)),
        (MPO16, B, (1, 2, 3, 4, 5, 6, 7, 8)),
        (MPO12, A, (None,) * 4),  # the sheet: LOS on all lanes
        (MPO16, A, (None,) * 8),
        (MPO12, C, (None,) * 4),  # Tx meets Tx, only of the neighbour
        (MPO16, C, (None,) * 8),
        (LC, A, (None,)),
        (LC, B, (1,)),
        (LC, C, (1,)),  # one pair flipped is a duplex link
    ],
)
def test_what_arrives_where(connector: Connector, trunk: Polarity, expected: tuple[int | None, ...]) -> None:
    assert lane_map(connector, trunk) == expected


def test_chains() -> None:
    """Three reversals are one; two cancel out, which leaves the link dark."""
    assert lane_map(MPO12, B, B, B) == lane_map(MPO12, A, B, A) == (1, 2, 3, 4)
    assert lane_map(MPO12, B, B) == lane_map(MPO12) == (None,) * 4
    assert lane_map(MPO12, B, C) == (2, 1, 4, 3)  # light on every lane, and every lane the wrong one
    assert received_lane(MPO12, 3, C, B) == 4


@pytest.mark.parametrize("connector", Connector)
@pytest.mark.parametrize("trunk", Polarity)
def test_both_directions_agree(connector: Connector, trunk: Polarity) -> None:
    """Each type is its own inverse, so what lane k is to the far end, the far end's lane k is to this one."""
    for lane, heard in enumerate(lane_map(connector, trunk), 1):
        if heard is not None:
            assert far_position(connector, rx_position(connector, heard), trunk) == tx_position(connector, lane)


def test_breakout() -> None:
    assert [breakout_leg(MPO12, leg) for leg in (1, 2, 3, 4)] == [(1, 12), (2, 11), (3, 10), (4, 9)]
    assert breakout_leg(MPO16, 8) == (8, 9)


def test_numbers_that_no_connector_has() -> None:
    for call in (
        lambda: tx_position(MPO12, 5),
        lambda: rx_position(MPO12, 0),
        lambda: rx_lane(MPO12, 13),
        lambda: far_position(MPO16, 17, B),
        lambda: breakout_leg(LC, 2),
    ):
        with pytest.raises(InputError, match="expected a number from 1 to"):
            call()
