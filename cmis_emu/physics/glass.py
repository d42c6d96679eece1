"""What a passive fibre path does to light: loss, dispersion and echoes (optics model, section 4).

Owns the kinds of glass, of joints and of bends, and their sum over a path. What stands at the ends of a path is
in pmd.py, which fibre of a connector is which lane in mpo.py. Pure functions; wavelengths in nm, lengths in m.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from cmis_emu.errors import InputError
from cmis_emu.physics.units import db_to_ratio

DISPERSION_SLOPE = 0.023  # ps/nm^2/km: a quarter of G.652's zero-dispersion slope
BEND_1310, BEND_1550 = (195.0, 1.395), (386.0, 1.80)  # G.652: dB a turn at radius 0, and mm for a factor e
WINDOW_1310_NM = (1304.5, 1317.5)  # what calls itself 1310 nm: one figure for all of it, as the standard's
SHORTEST_GUIDED_NM, LONGEST_GUIDED_NM = 1260.0, 1625.0  # a bend's loss follows its law in the O to L bands only
AMPLIFIED_NM = (1525.0, 1570.0)
APC_DB, UPC_DB, DIRTY_DB = -60.0, -50.0, -20.0  # reflectance of a clean angled, a clean flat and a dirty face
DIRT_LOSS_DB = 0.5  # fault table: two dirty ends add 1 dB


@dataclass(frozen=True, slots=True)
class GlassKind:
    """One kind of fibre.

    bands: (wavelength in nm, attenuation in dB/km), by wavelength. zero_dispersion_nm: typical;
    `zero_limits_nm` is between what manufacture leaves it.
    """

    name: str
    bands: tuple[tuple[float, float], ...]
    zero_dispersion_nm: float = 1312.0
    zero_limits_nm: tuple[float, float] = (1300.0, 1324.0)  # G.652
    single_mode: bool = True

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it


GLASS = {
    kind.name: kind
    for kind in (
        GlassKind("smf", ((1310.0, 0.35), (1550.0, 0.20))),  # typical
        GlassKind("smf-spec", ((1310.0, 0.5),)),  # what the standards' 500 m and 2 km count with
        GlassKind("smf-lr", ((1310.0, 0.43),)),  # what they count with at 10 km: 10 * 0.43 + 2.0 = 6.3 dB
        GlassKind("os2", ((1310.0, 0.4),)),
        # Multi-mode: 3.5 dB/km and 1.5 dB of connectors give SR8's 1.8 dB over 70 m and 1.9 dB over 100 m.
        GlassKind("om3", ((850.0, 3.5),), single_mode=False),
        GlassKind("om4", ((850.0, 3.5),), single_mode=False),
    )
}


class Joint(NamedTuple):
    """A place where two fibres meet. `reflectance_db` minus infinity: nothing comes back."""

    loss_db: float
    reflectance_db: float
    name: str = "joint"


JOINTS = {
    joint.name: joint
    for joint in (
        Joint(0.2, UPC_DB, "lc"),
        Joint(0.2, APC_DB, "lc-apc"),
        Joint(0.35, APC_DB, "mpo"),  # typical single-mode
        Joint(0.75, APC_DB, "mpo-max"),
        Joint(0.05, -math.inf, "splice"),
    )
}


def dirty(joint: Joint, extra_db: float = DIRT_LOSS_DB) -> Joint:
    """The same joint with dirt on it, which takes `extra_db` more of the light."""
    return Joint(joint.loss_db + extra_db, max(joint.reflectance_db, DIRTY_DB), f"dirty {joint.name}")


def attenuation_db_per_km(kind: GlassKind, wavelength_nm: float) -> float:
    """Attenuation at a wavelength: straight between two known bands (an engineering choice), else of the nearest."""
    shorter = [band for band in kind.bands if band[0] <= wavelength_nm]
    longer = [band for band in kind.bands if band[0] > wavelength_nm]
    if not shorter or not longer:
        return (shorter[-1] if shorter else longer[0])[1]
    (low_nm, low), (high_nm, high) = shorter[-1], longer[0]
    return low + (high - low) * (wavelength_nm - low_nm) / (high_nm - low_nm)


def bend_loss_db(radius_mm: float, wavelength_nm: float, turns: float = 1.0) -> float:
    """Loss of `turns` full turns of single-mode fibre around `radius_mm`.

    Known at 1550 nm and in the window of 1310 nm. Elsewhere the loss in dB is taken as an exponential of the
    wavelength, which is an engineering choice; outside the bands in which the fibre guides one mode, as at their
    edge. A path of multi-mode glass takes that edge's loss too, for want of a published figure.
    """
    short, long = (scale * math.exp(-radius_mm / fall_mm) for scale, fall_mm in (BEND_1310, BEND_1550))
    if short <= 0.0:
        return 0.0  # so wide that no double can tell
    guided = min(max(wavelength_nm, SHORTEST_GUIDED_NM), LONGEST_GUIDED_NM)
    if WINDOW_1310_NM[0] <= guided <= WINDOW_1310_NM[1]:
        guided = 1310.0
    return turns * short * float((long / short) ** ((guided - 1310.0) / 240.0))


def dispersion_ps_nm_km(wavelength_nm: float, zero_nm: float) -> float:
    """Chromatic dispersion of single-mode fibre: 0.023 w (1 - (z/w)^4)."""
    return DISPERSION_SLOPE * wavelength_nm * (1 - (zero_nm / wavelength_nm) ** 4)


def interference(reflectances_db: Iterable[float]) -> float:
    """Multi-path interference: the sum, over all pairs, of the products of two reflectances, as a ratio.

    Light that turns round twice arrives late, with about the strength of the product; what it loses between the
    two is left out, as the pair that matters is of the strong ones.
    """
    total = seen = 0.0
    for reflectance_db in reflectances_db:
        ratio = db_to_ratio(reflectance_db)
        total += seen * ratio
        seen += ratio
    return total


class Part(NamedTuple):
    """One thing on the way of the light, and what it takes in dB; infinite where the fibre is cut."""

    name: str
    loss_db: float


@dataclass(frozen=True, slots=True)
class Amplifiers:
    """Amplifiers for light around 1550 nm: a booster at the start, then equal spans with one behind each.

    gain_db: of each behind a span; None: what its span of the path as built takes. Gains stay what they are,
    whatever happens to the path; without light the amplifiers shut down.
    """

    spans: int = 1
    booster_db: float = 0.0
    gain_db: float | None = None
    noise_figure_db: float = 5.5

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def works(self, wavelength_nm: float) -> bool:
        """Is the light of a wavelength amplified? If not, it does not pass."""
        return AMPLIFIED_NM[0] <= wavelength_nm <= AMPLIFIED_NM[1]


class Bend(NamedTuple):
    """Turns of fibre around a radius."""

    radius_mm: float
    turns: float = 1.0


@dataclass(frozen=True, slots=True)
class Path:
    """One fibre from end to end. `zero_nm`: where its dispersion is zero, None for the typical fibre."""

    glass: GlassKind = GLASS["smf"]
    length_m: float = 0.0
    joints: tuple[Joint, ...] = ()
    bends: tuple[Bend, ...] = ()
    extra_db: float = 0.0
    zero_nm: float | None = None

    def __post_init__(self) -> None:
        for field in ("length_m", "extra_db"):
            value: float = getattr(self, field)
            if not 0 <= value < math.inf:
                raise InputError(str(value), "a number of 0 or more", field=field)
        if self.zero_nm is not None and not 0 < self.zero_nm < math.inf:
            raise InputError(str(self.zero_nm), "a wavelength above 0 nm", field="zero_nm")
        for joint in self.joints:
            if not (joint.loss_db >= 0 >= joint.reflectance_db):
                raise InputError(str(joint), "a loss of 0 dB or more, a reflectance of 0 dB or less", field="joints")
        for bend in self.bends:
            if not (bend.radius_mm > 0 and bend.turns >= 0):
                raise InputError(str(bend), "a radius above 0 mm, 0 turns or more", field="bends")

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def parts(self, wavelength_nm: float) -> tuple[Part, ...]:
        """What lies on the way, from end to end: the first joint, the glass with its bends, the other joints."""
        joints = [Part(joint.name, joint.loss_db) for joint in self.joints]
        glass_db = attenuation_db_per_km(self.glass, wavelength_nm) * self.length_m / 1000
        found = [*joints[:1], Part(f"{self.length_m:g} m {self.glass.name}", glass_db)]
        for bend in self.bends:
            turned_db = bend_loss_db(bend.radius_mm, wavelength_nm, bend.turns)
            found.append(Part(f"{bend.turns:g} turns r {bend.radius_mm:g} mm", turned_db))
        found += joints[1:]
        if self.extra_db:
            found.append(Part("extra", self.extra_db))
        return tuple(found)

    def loss_db(self, wavelength_nm: float) -> float:
        """What the path takes from light of a wavelength."""
        return sum(part.loss_db for part in self.parts(wavelength_nm))

    def dispersion_ps_nm(self, wavelength_nm: float) -> float:
        """Chromatic dispersion; none in multi-mode glass, where a link's reach and TDECQ account for it."""
        if not self.glass.single_mode:
            return 0.0
        zero_nm = self.glass.zero_dispersion_nm if self.zero_nm is None else self.zero_nm
        return dispersion_ps_nm_km(wavelength_nm, zero_nm) * self.length_m / 1000

    def worst_dispersion_ps_nm(self, wavelength_nm: float) -> float:
        """The dispersion, with its sign, that is largest among the fibres which manufacture may deliver."""
        if not self.glass.single_mode:
            return 0.0
        both = [dispersion_ps_nm_km(wavelength_nm, zero) * self.length_m / 1000 for zero in self.glass.zero_limits_nm]
        return max(both, key=abs)

    def interference(self) -> float:
        """Multi-path interference of its joints; the two modules' own reflectance is not the path's."""
        return interference(joint.reflectance_db for joint in self.joints)
