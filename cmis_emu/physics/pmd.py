"""The optical interfaces that standards define: what a lane may send, must hear, and may lose between.

A PMD (physical medium dependent sublayer) is IEEE 802.3's name for such an interface; 400GBASE-DR4 is one. The
figures are the table of the optics model, section 4: powers in dBm, ratios in dB. Receivers that just meet them
are in receiver.py, under `receiver`. A coherent interface has figures of its own kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from cmis_emu.physics.mpo import Connector

LEAST_TDECQ_DB = 1.4  # below, a better signal does not allow for less light
SIDE_MODE_SUPPRESSION_DB = 30.0
RIN_LIMIT_DB_PER_HZ = -136.0
DAMAGE_DBM = 5.0  # average power that a receiver survives
LOS_ASSERT_LEAST_DBM, LOS_DEASSERT_MOST_DBM, LOS_HYSTERESIS_DB = -15.0, -10.0, 0.5
PORT_REFLECTANCE_DB = -26.0  # at most, of a module's own face

DR_NM = (1311.0,)
CWDM4_NM = (1271.0, 1291.0, 1311.0, 1331.0)
SR_NM = (850.0,)


class Span(NamedTuple):
    """A link that a standard promises: glass (of glass.GLASS), length, and loss with its connectors."""

    glass: str
    length_m: float
    budget_db: float


@dataclass(frozen=True, slots=True)
class Pmd:
    """One interface, figures per lane. SECQ is the TDECQ of the signal with which a receiver is tested."""

    name: str
    lanes: int
    connector: Connector
    receiver: str  # of receiver.PRESETS; with "-limit" the one that just meets `stressed_sensitivity_dbm`
    oma_min_dbm: float
    oma_max_dbm: float | None  # None: not published
    oma_minus_tdecq_dbm: float
    tdecq_max_db: float
    average_min_dbm: float
    average_max_dbm: float
    rx_average_min_dbm: float
    stressed_sensitivity_dbm: float  # OMA, at secq_db
    secq_db: float
    spans: tuple[Span, ...]  # the longest first
    wavelengths_nm: tuple[float, ...] = DR_NM  # centres: one a lane where they share a fibre, else one for all
    half_window_nm: float = 6.5  # 1304.5 to 1317.5 nm around 1311
    extinction_min_db: float = 3.5
    tx_off_dbm: float = -15.0  # average power of a lane that is off, at most
    symbol_rate_bd: float = 53.125e9

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def reach_m(self) -> float:
        """The longest link that is promised."""
        return self.spans[0].length_m

    @property
    def budget_db(self) -> float:
        """The loss that link may have."""
        return self.spans[0].budget_db

    @property
    def power_budget_db(self) -> float:
        """From the weakest transmitter with the worst TDECQ to the sensitivity for a perfect signal."""
        return self.oma_minus_tdecq_dbm + self.tdecq_max_db - (self.stressed_sensitivity_dbm - self.secq_db)

    @property
    def penalties_db(self) -> float:
        """What of that is not for loss: TDECQ, dispersion, interference."""
        return self.power_budget_db - self.budget_db

    def lane_wavelength_nm(self, lane: int) -> float:
        """Centre wavelength of a lane (1-based)."""
        return self.wavelengths_nm[(lane - 1) % len(self.wavelengths_nm)]

    def window_nm(self, lane: int) -> tuple[float, float]:
        """Between what wavelengths the light of a lane (1-based) must be."""
        centre = self.lane_wavelength_nm(lane)
        return centre - self.half_window_nm, centre + self.half_window_nm

    def hears(self, lane: int, wavelength_nm: float) -> bool:
        """Whether the receiver of a lane is made for light of that wavelength."""
        low, high = self.window_nm(lane)
        return low <= wavelength_nm <= high

    def least_oma_dbm(self, tdecq_db: float) -> float:
        """OMA that a transmitter must send: a worse signal needs more light."""
        return self.oma_minus_tdecq_dbm + max(LEAST_TDECQ_DB, tdecq_db)

    def sensitivity_dbm(self, secq_db: float) -> float:
        """OMA that a receiver may need for a signal; DR4: max(-3.9, SECQ - 5.3)."""
        return self.stressed_sensitivity_dbm - self.secq_db + max(LEAST_TDECQ_DB, secq_db)


# Lane counts and connectors are those of the modules in use; the other figures are the table's.
_DR4 = Pmd(
    name="400gbase-dr4",
    lanes=4,
    connector=Connector.MPO12,
    receiver="dr",
    oma_min_dbm=-0.8,
    oma_max_dbm=4.2,
    oma_minus_tdecq_dbm=-2.2,
    tdecq_max_db=3.4,
    average_min_dbm=-2.9,
    average_max_dbm=4.0,
    rx_average_min_dbm=-5.9,
    stressed_sensitivity_dbm=-1.9,
    secq_db=3.4,
    spans=(Span("smf-spec", 500, 3.0),),
)
_FR4 = replace(
    _DR4,
    name="400gbase-fr4",
    connector=Connector.LC,
    receiver="fr4",
    oma_min_dbm=-0.3,
    oma_max_dbm=3.7,
    oma_minus_tdecq_dbm=-1.7,
    average_min_dbm=-3.3,
    average_max_dbm=3.5,
    rx_average_min_dbm=-7.3,
    stressed_sensitivity_dbm=-2.6,
    spans=(Span("smf-spec", 2000, 4.0),),
    wavelengths_nm=CWDM4_NM,
    tx_off_dbm=-20.0,
)
_FR1 = replace(
    _DR4,
    name="100gbase-fr1",
    lanes=1,
    connector=Connector.LC,
    receiver="fr1",
    oma_min_dbm=-0.1,
    oma_minus_tdecq_dbm=-1.5,
    average_min_dbm=-3.1,
    rx_average_min_dbm=-7.1,
    stressed_sensitivity_dbm=-2.5,
    spans=(Span("smf-spec", 2000, 4.0),),
)
_LR4_10 = replace(
    _FR4,
    name="400g-lr4-10",  # Lambda MSA, no IEEE standard
    receiver="lr4",
    oma_min_dbm=0.3,
    oma_max_dbm=4.4,
    oma_minus_tdecq_dbm=-1.1,
    tdecq_max_db=3.9,
    average_min_dbm=-2.7,
    average_max_dbm=5.1,
    rx_average_min_dbm=-9.0,
    stressed_sensitivity_dbm=-4.1,
    secq_db=3.9,
    spans=(Span("smf-lr", 10_000, 6.3),),
)
_LR1 = replace(
    _FR1,
    name="100gbase-lr1",
    receiver="lr1",
    oma_min_dbm=0.7,
    oma_max_dbm=None,
    oma_minus_tdecq_dbm=-0.7,
    average_min_dbm=-1.9,
    average_max_dbm=4.8,
    rx_average_min_dbm=-8.2,
    stressed_sensitivity_dbm=-4.1,
    spans=(Span("smf-lr", 10_000, 6.3),),
)
_LR4_6 = replace(
    _LR1,
    name="400gbase-lr4-6",
    lanes=4,
    spans=(Span("smf-lr", 6000, 4.6),),  # not in the table; by the rule of the 10 km budget: 6 * 0.43 + 2.0
    wavelengths_nm=CWDM4_NM,
    tx_off_dbm=-20.0,
)
_SR8 = Pmd(
    name="400gbase-sr8",
    lanes=8,
    connector=Connector.MPO16,
    receiver="sr8",
    oma_min_dbm=-4.5,
    oma_max_dbm=3.0,
    oma_minus_tdecq_dbm=-5.9,
    tdecq_max_db=4.5,
    average_min_dbm=-6.5,
    average_max_dbm=4.0,
    rx_average_min_dbm=-8.4,
    stressed_sensitivity_dbm=-3.4,
    secq_db=4.5,
    spans=(Span("om4", 100, 1.9), Span("om3", 70, 1.8)),
    wavelengths_nm=SR_NM,
    half_window_nm=10.0,  # not in the table: an engineering choice
    extinction_min_db=3.0,
    symbol_rate_bd=26.5625e9,
)
PMDS = {
    pmd.name: pmd
    for pmd in (
        _DR4,
        replace(_DR4, name="100gbase-dr", lanes=1, connector=Connector.LC),
        replace(_DR4, name="800gbase-dr8", lanes=8, connector=Connector.MPO16),
        _FR4,
        _FR1,
        _LR4_10,
        _LR4_6,
        _LR1,
        _SR8,
    )
}


@dataclass(frozen=True, slots=True)
class CoherentPmd:
    """An interface with a coherent receiver (section 7): its light is tuned, and needs no eye. Powers in dBm."""

    name: str
    connector: Connector
    average_min_dbm: float
    average_max_dbm: float
    rx_average_min_dbm: float  # without amplifiers
    spans: tuple[Span, ...]  # without amplifiers
    centre_nm: float
    half_window_nm: float
    symbol_rate_bd: float
    lanes: int = 1
    tx_off_dbm: float = -20.0

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def wavelengths_nm(self) -> tuple[float, ...]:
        """The middle of the band, for all lanes."""
        return (self.centre_nm,)

    @property
    def budget_db(self) -> float:
        """The loss of the longest link without amplifiers."""
        return self.spans[0].budget_db

    def lane_wavelength_nm(self, lane: int) -> float:
        """The middle of the band: where an untuned lane is."""
        return self.centre_nm

    def hears(self, lane: int, wavelength_nm: float) -> bool:
        """Whether the light is in its band; whether the receiver is tuned to it is another matter."""
        return abs(wavelength_nm - self.centre_nm) <= self.half_window_nm


AnyPmd = Pmd | CoherentPmd
COHERENT_PMDS = {
    "400zr": CoherentPmd(
        name="400zr",
        connector=Connector.LC,
        average_min_dbm=-10.0,
        average_max_dbm=-6.0,
        rx_average_min_dbm=-20.0,
        spans=(Span("smf", 40_000, 10.0),),  # not in the table: -10 dBm down to -20 dBm
        centre_nm=1547.7,  # 193.7 THz, the middle of 191.3 to 196.1
        half_window_nm=20.0,
        symbol_rate_bd=59.84e9,
    )
}


def shared_span(one: AnyPmd, other: AnyPmd) -> Span | None:
    """The longest link between lanes of two interfaces: what both promise. None: they do not hear each other."""
    if set(one.wavelengths_nm) != set(other.wavelengths_nm) or one.symbol_rate_bd != other.symbol_rate_bd:
        return None
    shorter = min(one.spans[0], other.spans[0], key=lambda span: span.length_m)
    return shorter._replace(budget_db=min(one.budget_db, other.budget_db))
