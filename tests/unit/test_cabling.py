"""Which lane shines into which, for every pair of interfaces and every cable (optics model, section 4)."""

from __future__ import annotations

import itertools

import pytest

from cmis_emu.physics.cabling import Cable, Optics, Strands, breakout, joints, loop, trunk
from cmis_emu.physics.mpo import Connector
from cmis_emu.physics.pmd import PMDS


def whole(name: str) -> Optics:
    return Optics(PMDS[name], PMDS[name].lanes)


DR4, DR8, FR4, SR8 = whole("400gbase-dr4"), whole("800gbase-dr8"), whole("400gbase-fr4"), whole("400gbase-sr8")
DR1, FR1 = whole("100gbase-dr"), whole("100gbase-fr1")
TWO_FR4 = Optics(PMDS["400gbase-fr4"], 8)
COPPER = Optics(None, 8)
ALL = (DR4, DR8, FR4, SR8, DR1, FR1, TWO_FR4, COPPER)


def straight(lanes: int) -> tuple[tuple[int, int], ...]:
    return tuple((lane, lane) for lane in range(1, lanes + 1))


@pytest.mark.parametrize("optics", [DR4, DR8, SR8])
@pytest.mark.parametrize("cable", [Cable.AUTO, Cable.TYPE_B])
def test_a_type_b_trunk_joins_equal_lanes(optics: Optics, cable: Cable) -> None:
    assert trunk(optics, optics, cable) == Strands(straight(optics.lanes), straight(optics.lanes))


@pytest.mark.parametrize("optics", [DR4, DR8, SR8])
@pytest.mark.parametrize("cable", [Cable.TYPE_A, Cable.TYPE_C])
def test_other_trunks_leave_parallel_modules_dark(optics: Optics, cable: Cable) -> None:
    found = trunk(optics, optics, cable)
    assert found.there == found.back == ()
    assert f"type-{cable.value[-1].upper()} trunk" in str(found.reason)


def test_wavelengths_find_their_lane_in_a_duplex_fibre() -> None:
    assert trunk(FR4, FR4, Cable.DUPLEX).there == straight(4)
    assert trunk(TWO_FR4, TWO_FR4, Cable.AUTO).there == straight(8)
    assert trunk(TWO_FR4, FR4, Cable.AUTO).there == straight(4)  # the second connector has no fibre


@pytest.mark.parametrize(("near", "far"), [(DR4, FR4), (FR4, DR1), (DR4, SR8), (SR8, DR8), (DR8, FR4)])
def test_modules_that_do_not_hear_each_other_stay_dark_whatever_the_cable(near: Optics, far: Optics) -> None:
    for one, other, cable in ((near, far, Cable.AUTO), (far, near, Cable.BREAKOUT)):
        found = trunk(one, other, cable)
        assert (found.there, found.back) == ((), ())
        assert "differ in wavelength or symbol rate" in str(found.reason)


@pytest.mark.parametrize(
    ("near", "far", "cable"),
    [
        (DR4, DR4, Cable.DUPLEX),
        (DR4, DR4, Cable.BREAKOUT),
        (FR4, FR4, Cable.TYPE_B),
        (DR4, DR1, Cable.TYPE_B),
        (DR4, DR8, Cable.TYPE_B),
        (FR1, DR4, Cable.DUPLEX),
    ],
)
def test_a_cable_that_does_not_fit_is_named(near: Optics, far: Optics, cable: Cable) -> None:
    reason = str(trunk(near, far, cable).reason)
    assert f"a {cable.value} cable does not fit" in reason or "at one end" in reason


@pytest.mark.parametrize(("near", "far", "lanes"), [(DR4, DR1, 1), (FR1, DR4, 1), (DR8, DR4, 4), (DR4, DR8, 4)])
def test_connectors_that_differ_are_joined_by_the_first_leg_of_a_breakout(
    near: Optics, far: Optics, lanes: int
) -> None:
    for cable in (Cable.AUTO, Cable.BREAKOUT):
        assert trunk(near, far, cable) == Strands(straight(lanes), straight(lanes))


def test_a_breakout_gives_each_leg_its_lanes() -> None:
    found = breakout(DR4, [DR1, None, FR1, DR1], Cable.AUTO)
    assert [leg.there for leg in found] == [((1, 1),), (), ((3, 1),), ((4, 1),)]
    assert [leg.back for leg in found] == [((1, 1),), (), ((3, 1),), ((4, 1),)]  # pairs of (here, there)
    assert found[1].reason == "nothing is plugged in"
    halves = breakout(DR8, [DR4, DR4], Cable.BREAKOUT)
    assert [leg.there for leg in halves] == [straight(4), ((5, 1), (6, 2), (7, 3), (8, 4))]
    assert [leg.there for leg in breakout(TWO_FR4, [None, FR4], Cable.AUTO)] == [
        (),
        ((5, 1), (6, 2), (7, 3), (8, 4)),
    ]


def test_legs_that_cannot_be_are_dark_with_a_reason() -> None:
    reasons = [leg.reason for leg in breakout(DR4, [DR1, FR4, DR4], Cable.AUTO)]
    assert reasons[0] is None
    assert "differ in wavelength" in str(reasons[1])
    assert "lanes 6 to 9 of a module with 4" in str(reasons[2])
    assert "has two ends" in str(breakout(DR4, [DR1, DR1], Cable.TYPE_B)[0].reason)
    assert "has no legs" in str(breakout(COPPER, [COPPER, COPPER], Cable.AUTO)[0].reason)


def test_a_cable_of_the_modules_own_needs_its_like() -> None:
    assert trunk(COPPER, COPPER, Cable.AUTO) == Strands(straight(8), straight(8))
    assert "one of its own ends" in str(trunk(COPPER, DR8, Cable.AUTO).reason)
    assert "one of its own ends" in str(trunk(COPPER, Optics(None, 4), Cable.AUTO).reason)


def test_loops() -> None:
    for optics in ALL:
        assert loop(optics, Cable.AUTO) == Strands(straight(optics.lanes))
    assert loop(DR4, Cable.TYPE_A).there == ()
    assert loop(DR4, Cable.TYPE_A).back == ()


@pytest.mark.parametrize(("near", "far"), list(itertools.product(ALL, ALL)))
@pytest.mark.parametrize("cable", Cable)
def test_no_receiver_gets_two_lights_and_dark_has_a_reason(near: Optics, far: Optics, cable: Cable) -> None:
    found = trunk(near, far, cable)
    for pairs in (found.there, tuple((b, a) for a, b in found.back)):
        assert len({there for _, there in pairs}) == len(pairs) == len({here for here, _ in pairs})
    assert all(1 <= here <= near.lanes and 1 <= there <= far.lanes for here, there in found.there + found.back)
    assert bool(found.reason) == (not found.there and not found.back)
    assert set(trunk(far, near, cable).there) == {(there, here) for here, there in found.back}


def test_the_connectors_of_a_cable() -> None:
    assert [joint.name for joint in joints(DR4, DR1)] == ["mpo", "lc"]
    assert [joint.name for joint in joints(FR4, FR4)] == ["lc", "lc"]
    assert joints(COPPER, COPPER) == ()
    assert {optics.pmd.connector for optics in (DR4, DR8, FR4) if optics.pmd} == set(Connector)
