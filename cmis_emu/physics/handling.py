"""What is done to a cable while it runs: loss, dirt, bends and cuts that come and go on top of each other.

Owns what several of them together do to one strand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from cmis_emu.physics.glass import Bend, bend_loss_db


@dataclass(eq=False, slots=True)
class Handling:
    """One thing that is done to a cable. Whoever changes it says so by `Fibre.handled`.

    leg: 1-based; None: all. there, back: the directions it touches, from the source on. lanes: transmit lanes; None:
    all. loss_db: of the whole path in place of what it was; extra_db: on top.
    """

    leg: int | None = None
    there: bool = True
    back: bool = True
    lanes: frozenset[int] | None = None
    loss_db: float | None = None
    extra_db: float = 0.0
    reflectances_db: tuple[float, ...] = ()
    bend: Bend | None = None
    cut: bool = False

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back

    def touches(self, leg: int, outward: bool, tx_lane: int) -> bool:
        """Is that strand touched?"""
        return (
            self.leg in (None, leg)
            and (self.there if outward else self.back)
            and (self.lanes is None or tx_lane in self.lanes)
        )


class Handled(NamedTuple):
    """What holds for one strand with all that is done to it."""

    fixed_db: float | None
    extra_db: float
    reflectances_db: tuple[float, ...]
    cut: bool


def together(base: Handled, done: Iterable[Handling], wavelength_nm: float) -> Handled:
    """The latest loss of the whole path; sums of what comes on top; cut as soon as one cuts."""
    fixed_db, extra_db, reflectances_db, cut = base
    for each in done:
        fixed_db = fixed_db if each.loss_db is None else each.loss_db
        extra_db += each.extra_db
        if each.bend is not None:
            extra_db += bend_loss_db(each.bend.radius_mm, wavelength_nm, each.bend.turns)
        reflectances_db += each.reflectances_db
        cut |= each.cut
    return Handled(fixed_db, extra_db, reflectances_db, cut)
