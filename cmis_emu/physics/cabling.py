"""Which transmit lane shines into which receive lane, for two modules and a cable (optics model, section 4).

Modules are described by their interface (`pmd.Pmd`) and how many lanes they have; lanes count from 1. A cable
that does not fit, or modules that do not hear each other, leave everything dark, and the reason can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from cmis_emu.physics.glass import JOINTS, Joint
from cmis_emu.physics.mpo import Connector, Polarity, received_lane
from cmis_emu.physics.pmd import AnyPmd, shared_span

EMPTY = "nothing is plugged in"
"""Why an end without a module is dark."""


class Cable(Enum):
    """Kinds of cable. AUTO is the one that is right for the two ends."""

    AUTO = "auto"
    TYPE_A = "type-a"
    TYPE_B = "type-b"
    TYPE_C = "type-c"
    DUPLEX = "duplex"
    BREAKOUT = "breakout"


_TRUNKS = {Cable.TYPE_A: Polarity.A, Cable.TYPE_B: Polarity.B, Cable.TYPE_C: Polarity.C}


class Optics(NamedTuple):
    """What of a module meets the cable. `pmd` None: the cable is part of the module, with both its ends."""

    pmd: AnyPmd | None
    lanes: int


class Strands(NamedTuple):
    """Pairs (lane here, lane there): light to the far end, light from it. `reason`: why there are none."""

    there: tuple[tuple[int, int], ...] = ()
    back: tuple[tuple[int, int], ...] = ()
    reason: str | None = None


def loop(optics: Optics, cable: Cable) -> Strands:
    """A module whose own light comes back to it."""
    pmd = optics.pmd
    if pmd is not None and cable in _TRUNKS and cable is not Cable.TYPE_B:
        return trunk(optics, optics, cable)._replace(back=())
    return Strands(_in_order(optics.lanes))


def trunk(near: Optics, far: Optics, cable: Cable) -> Strands:
    """A cable with one module at each end; between connectors that differ, a breakout of which one leg is used."""
    reason = _mismatch(near, far) or _misfit(near, far, cable)
    if reason is not None:
        return Strands(reason=reason)
    if near.pmd is None or far.pmd is None or near.pmd.connector is not far.pmd.connector:
        same = _in_order(min(near.lanes, far.lanes))  # the cable's own, or the first leg of a breakout
        return Strands(same, same)
    polarity = _TRUNKS.get(cable, Polarity.B)
    there = _pairs(near, far, polarity)
    back = tuple((here, lane) for lane, here in _pairs(far, near, polarity))
    if not there and not back:
        return Strands(reason=f"a type-{polarity.name} trunk ({polarity.value}) leads no transmitter to a receiver")
    return Strands(there, back)


def breakout(near: Optics, legs: Sequence[Optics | None], cable: Cable) -> tuple[Strands, ...]:
    """A cable that leads groups of lanes of the near end to a module each; None is a leg that hangs free."""
    found = []
    first = 0
    for leg in legs:
        if leg is None:
            found.append(Strands(reason=EMPTY))
            first += 1 if near.pmd is None or near.pmd.connector is not Connector.LC else near.pmd.lanes
            continue
        reason = _mismatch(near, leg)
        if reason is None and cable not in (Cable.AUTO, Cable.BREAKOUT):
            reason = f"a {cable.value} cable has two ends, and {len(legs)} legs were asked for"
        if reason is None and (near.pmd is None or leg.pmd is None):
            reason = "a cable that is part of a module has no legs"
        if reason is None and first + leg.lanes > near.lanes:
            reason = f"lanes {first + 1} to {first + leg.lanes} of a module with {near.lanes}"
        pairs = tuple((first + lane, lane) for lane in range(1, leg.lanes + 1))
        found.append(Strands(pairs, pairs) if reason is None else Strands(reason=reason))
        first += leg.lanes
    return tuple(found)


def _in_order(lanes: int) -> tuple[tuple[int, int], ...]:
    return tuple((lane, lane) for lane in range(1, lanes + 1))


def joints(near: Optics, far: Optics) -> tuple[Joint, ...]:
    """The two connectors of a cable between modules."""
    return tuple(
        JOINTS["lc" if end.pmd.connector is Connector.LC else "mpo"] for end in (near, far) if end.pmd is not None
    )


def _mismatch(near: Optics, far: Optics) -> str | None:
    """Why two modules do not hear each other whatever the cable."""
    if near.pmd is None or far.pmd is None:
        if near.pmd is far.pmd and near.lanes == far.lanes:
            return None
        return "the cable of a module that has one of its own ends in a module of the same kind"
    if shared_span(near.pmd, far.pmd) is None:
        return f"{near.pmd.name} and {far.pmd.name} differ in wavelength or symbol rate"
    return None


def _misfit(near: Optics, far: Optics, cable: Cable) -> str | None:
    """Why the cable does not go into both modules."""
    if near.pmd is None or far.pmd is None:
        return None
    ends = near.pmd.connector, far.pmd.connector
    if ends[0] is not ends[1]:
        if cable in (Cable.AUTO, Cable.BREAKOUT):
            return None
        return f"{ends[0].title} at one end, {ends[1].title} at the other"
    duplex = ends[0] is Connector.LC
    if cable is Cable.BREAKOUT or (cable is Cable.DUPLEX and not duplex) or (cable in _TRUNKS and duplex):
        return f"a {cable.value} cable does not fit {ends[0].title}"
    return None


def _pairs(source: Optics, sink: Optics, polarity: Polarity) -> tuple[tuple[int, int], ...]:
    """(transmit lane, receive lane), connector by connector: by position, or by wavelength in one fibre."""
    tx, rx = source.pmd, sink.pmd
    assert tx is not None
    assert rx is not None
    found = []
    for lane in range(1, source.lanes + 1):
        group, at = divmod(lane - 1, tx.lanes)
        if tx.connector is Connector.LC:
            there = [k for k in range(1, rx.lanes + 1) if rx.hears(k, tx.lane_wavelength_nm(at + 1))]
        else:
            arrives = received_lane(tx.connector, at + 1, polarity)
            there = [] if arrives is None else [arrives]
        found += [(lane, group * rx.lanes + k) for k in there if group * rx.lanes + k <= sink.lanes]
    return tuple(found)
