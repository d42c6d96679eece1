"""The receiver: noise at the eye's levels, and from it eSNR and bit error ratio (optics model, section 5).

Pure functions of a frozen parameter set and of the light that arrives. Optical powers in W; noise is referred
to the optical input, so that it is a power too. Everything that a receiver says about its signal comes from
`decide`, so that power, eSNR, level transitions and errors never contradict each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from cmis_emu.physics.inverse import level_db_of
from cmis_emu.physics.units import db_to_ratio, dbm_to_w, ratio_to_db, w_to_dbm

ELECTRON_C = 1.602176634e-19
TRANSMITTER_FLOOR = 5 * 10**-2.7  # variance of the Tx DSP's own noise, in units of the half eye squared
NO_RIN = -400.0
DISPERSION_LIMIT_PS_NM = 33.0  # costs 1 dB at the reference symbol rate
REFERENCE_BAUD = 53.125e9
OVERLOAD_DB_PER_DB2 = 0.5
LTP_CAP_DB = 48.0  # a histogram of finite depth shows no more
WORST_BER = 0.5
NRZ_TO_PAM4_ELECTRICAL_DB = 20 * math.log10(1 / 3)  # a third of the swing
NRZ_TO_PAM4_OPTICAL_DB = 10 * math.log10(1 / 3)
HOST_ESNR_DB, HOST_LOSS_DB, HOST_SLOPE = 23.5, 4.0, 0.35  # eSNR of a short host channel, and how it falls


@dataclass(frozen=True, slots=True)
class ReceiverParameters:
    """One kind of receiver. `calibration_*` is the point at which its error ratio is the limit.

    The thermal noise follows from that point, which a vendor's data sheet gives as sensitivity. A limit that the
    standard sets leaves the other noises out (`rin_db_per_hz` NO_RIN, `transmitter_floor` 0).
    """

    calibration_oma_dbm: float = -5.3
    calibration_tdecq_db: float = 2.0
    calibration_ber: float = 2.4e-4
    calibration_extinction_db: float = 5.0
    bandwidth_hz: float = 26.56e9
    responsivity_a_per_w: float = 0.85
    rin_db_per_hz: float = -145.0
    transmitter_floor: float = TRANSMITTER_FLOOR
    overload_oma_dbm: float = 4.2
    symbol_rate_bd: float = REFERENCE_BAUD
    levels: int = 4  # 4: PAM4, 2: NRZ
    burst_continuation: float = 0.0  # chance that an error spoils the next symbol too: a DFE's tail

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def bits_per_symbol(self) -> int:
        """2 for PAM4, 1 for NRZ."""
        return 2 if self.levels == 4 else 1

    @property
    def lane_bps(self) -> float:
        """Bits that a media lane carries each second."""
        return self.symbol_rate_bd * self.bits_per_symbol

    @property
    def limit_ber(self) -> float:
        """The errors that its FEC is made for."""
        return self.calibration_ber

    def ber_of_esnr(self, esnr_db: float) -> float:
        """Error ratio that belongs to a reported eSNR."""
        return ber_of_esnr(esnr_db)

    def esnr_of_ber(self, ratio: float) -> float:
        """The reported eSNR at which there are so many errors."""
        return esnr_of_ber(ratio)


class Decision(NamedTuple):
    """What a settled receiver makes of its light."""

    esnr_db: float
    ber: float


DARK = Decision(0.0, WORST_BER)


def q_function(x: float) -> float:
    """Tail of the standard normal distribution."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def oma_of_average(average_w: float, extinction: float) -> float:
    """Outer modulation amplitude of light with a ratio `extinction` of its highest and lowest power."""
    return 2 * average_w * (extinction - 1) / (extinction + 1)


def average_of_oma(oma_w: float, extinction: float) -> float:
    """Average power of light with an outer modulation amplitude of `oma_w`."""
    return oma_w / 2 * (extinction + 1) / (extinction - 1)


def ber_of_esnr(esnr_db: float) -> float:
    """Error ratio of PAM4 with equal noise at all levels: 3/4 Q(x), eSNR = 5 x^2."""
    return min(WORST_BER, 0.75 * q_function(math.sqrt(db_to_ratio(esnr_db) / 5)))


def esnr_of_ber(ber: float) -> float:
    """The eSNR in dB at which `ber_of_esnr` gives `ber`, between -10 and 40 dB."""
    return level_db_of(ber_of_esnr, ber, -10.0, 40.0)


def level_transition_db(esnr_db: float) -> float:
    """PAM4 level transition parameter: peak over valley of the histogram, 10 log10(e^(x^2/2) / 2), capped."""
    squared = db_to_ratio(esnr_db) / 5
    return max(0.0, min(LTP_CAP_DB, ratio_to_db(0.5) + squared / 2 * 10 / math.log(10)))


def host_esnr_db(loss_db: float) -> float:
    """eSNR of an electrical lane behind a channel with `loss_db` at Nyquist."""
    return HOST_ESNR_DB - HOST_SLOPE * max(0.0, loss_db - HOST_LOSS_DB)


def dispersion_penalty_db(dispersion_ps_nm: float, symbol_rate_bd: float = REFERENCE_BAUD) -> float:
    """What chromatic dispersion adds to TDECQ; it grows with the square of the symbol rate, and of itself."""
    scaled = dispersion_ps_nm * (symbol_rate_bd / REFERENCE_BAUD) ** 2
    return (scaled / DISPERSION_LIMIT_PS_NM) ** 2


def overload_db(oma_w: float, receiver: ReceiverParameters) -> float:
    """What too much light adds to TDECQ."""
    if oma_w <= 0:
        return 0.0
    return OVERLOAD_DB_PER_DB2 * max(0.0, w_to_dbm(oma_w) - receiver.overload_oma_dbm) ** 2


class _Constants(NamedTuple):
    """What of a receiver does not depend on its light."""

    receiver: ReceiverParameters
    thermal_w: float  # rms, optical
    shot_w: float  # variance of a level of 1 W
    rin: float
    overload_w: float
    places: tuple[float, ...]  # of the levels, from 0 to 1
    errors: float  # bits that are wrong for each level taken for its neighbour, summed over the eyes


_CONSTANTS: dict[int, _Constants] = {}  # by identity, as a look-up by value costs more than what is kept
_MOST = 256


def _constants(receiver: ReceiverParameters) -> _Constants:
    known = _CONSTANTS.get(id(receiver))
    if known is not None and known.receiver is receiver:
        return known
    known = _Constants(
        receiver,
        0.0,
        2 * ELECTRON_C * receiver.bandwidth_hz / receiver.responsivity_a_per_w,
        db_to_ratio(receiver.rin_db_per_hz) * receiver.bandwidth_hz,
        dbm_to_w(receiver.overload_oma_dbm),
        tuple(k / (receiver.levels - 1) for k in range(receiver.levels)),
        2 / (receiver.levels * receiver.bits_per_symbol),
    )
    if len(_CONSTANTS) >= _MOST:
        _CONSTANTS.clear()
    found = _CONSTANTS[id(receiver)] = known._replace(thermal_w=_calibrate(known))
    return found


def _calibrate(known: _Constants) -> float:
    """The thermal noise with which the receiver meets its calibration point."""
    receiver = known.receiver
    oma_w = dbm_to_w(receiver.calibration_oma_dbm)
    half = oma_w / (2 * (receiver.levels - 1)) * db_to_ratio(-receiver.calibration_tdecq_db)
    extinction = db_to_ratio(receiver.calibration_extinction_db)
    low, high = 0.0, half
    for _ in range(80):
        middle = (low + high) / 2
        ber = _ber(known, half, _variances(known, oma_w, extinction, half, middle, 0.0))
        low, high = (middle, high) if ber < receiver.calibration_ber else (low, middle)
    return low


def _variances(
    known: _Constants, oma_w: float, extinction: float, half_eye_w: float, thermal: float, beat: float
) -> list[float]:
    """Variance of the noise at each level, in W^2. `beat`: what interference adds to a level of 1 W."""
    lowest = oma_w / (extinction - 1)
    constant = thermal * thermal + known.receiver.transmitter_floor * half_eye_w * half_eye_w
    linear, rin = known.shot_w + beat, known.rin
    levels = [lowest + oma_w * place for place in known.places]
    return [constant + level * (linear + rin * level) for level in levels]


def _ber(known: _Constants, half_eye_w: float, variances: list[float]) -> float:
    """Errors over all eyes: each level is sent equally often, and Gray coding costs one bit an error."""
    total, below, distance = 0.0, 0.0, math.sqrt(2) * half_eye_w  # q_function(2 h / (below + above)), written out
    for variance in variances:
        above = math.sqrt(variance)
        if below:
            total += math.erfc(distance / (below + above))
        below = above
    return min(WORST_BER, known.errors * total / 2)


def thermal_w(receiver: ReceiverParameters) -> float:
    """The thermal noise in W (optical, rms) with which the receiver meets its calibration point."""
    return _constants(receiver).thermal_w


def decide(
    receiver: ReceiverParameters,
    oma_w: float,
    extinction: float,
    tdecq_db: float,
    interference: float = 0.0,
    sensitivity_loss_db: float = 0.0,
) -> Decision:
    """eSNR and error ratio of light with outer modulation amplitude `oma_w` at the receiver.

    tdecq_db: with what dispersion adds; overload is added here. interference: multi-path, as the sum of the
    products of two reflectances. sensitivity_loss_db: a warm receiver's noise grows by that.
    """
    if oma_w <= 0 or extinction <= 1:
        return DARK
    known = _constants(receiver)
    if oma_w > known.overload_w:
        tdecq_db += overload_db(oma_w, receiver)
    half = oma_w / (2 * (receiver.levels - 1)) * db_to_ratio(-tdecq_db)
    thermal = known.thermal_w
    if sensitivity_loss_db:
        thermal *= db_to_ratio(sensitivity_loss_db)
    beat = 2 * average_of_oma(oma_w, extinction) * interference if interference else 0.0
    noise = _variances(known, oma_w, extinction, half, thermal, beat)
    signal = (5.0 if receiver.levels == 4 else 1.0) * half * half
    esnr_db = ratio_to_db(signal * receiver.levels / sum(noise))
    return Decision(max(0.0, esnr_db), _ber(known, half, noise))


DR_TYPICAL = ReceiverParameters()
DR_LIMIT = replace(
    DR_TYPICAL, calibration_oma_dbm=-1.9, calibration_tdecq_db=3.4, rin_db_per_hz=NO_RIN, transmitter_floor=0.0
)
TYPICAL_MARGIN_DB = 2.0  # how much better than the limit the typical DR4's receiver is, TDECQ counted


def _typical(limit: ReceiverParameters) -> ReceiverParameters:
    """A receiver as much better than its limit as the typical DR4's is, with a TDECQ of 2 dB."""
    oma = limit.calibration_oma_dbm - limit.calibration_tdecq_db + 2.0 - TYPICAL_MARGIN_DB
    return replace(
        limit,
        calibration_oma_dbm=oma,
        calibration_tdecq_db=2.0,
        rin_db_per_hz=DR_TYPICAL.rin_db_per_hz,
        transmitter_floor=TRANSMITTER_FLOOR,
    )


FR4_LIMIT = replace(DR_LIMIT, calibration_oma_dbm=-2.6)
FR1_LIMIT = replace(DR_LIMIT, calibration_oma_dbm=-2.5)
LR4_LIMIT = replace(DR_LIMIT, calibration_oma_dbm=-4.1, calibration_tdecq_db=3.9)
LR1_LIMIT = replace(DR_LIMIT, calibration_oma_dbm=-4.1)
SR8_LIMIT = replace(
    DR_LIMIT,
    calibration_oma_dbm=-3.4,
    calibration_tdecq_db=4.5,
    bandwidth_hz=13.28e9,
    responsivity_a_per_w=0.55,
    symbol_rate_bd=26.5625e9,
)
PRESETS = {
    "dr": DR_TYPICAL,
    "dr-limit": DR_LIMIT,
    "fr4": _typical(FR4_LIMIT),
    "fr4-limit": FR4_LIMIT,
    "fr1": _typical(FR1_LIMIT),
    "fr1-limit": FR1_LIMIT,
    "lr4": _typical(LR4_LIMIT),
    "lr4-limit": LR4_LIMIT,
    "lr1": _typical(LR1_LIMIT),
    "lr1-limit": LR1_LIMIT,
    "sr8": _typical(SR8_LIMIT),
    "sr8-limit": SR8_LIMIT,
}
"""Receivers by name: as they usually are (an engineering choice), and as bad as the standard allows."""
