"""A coherent receiver, 400ZR: from the light's own noise to eSNR, errors, EVM and uncorrectable codewords (section 7).

Pure functions of a frozen parameter set. OSNR is in dB within 0.1 nm; what the line does beside (dispersion,
differential delay, loss that depends on polarisation) is counted as OSNR that is needed more. Everything that a
receiver says about its signal follows from one SNR. What a light brings to a receiver is in coherent_receiver.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from cmis_emu.physics.inverse import level_db_of
from cmis_emu.physics.receiver import q_function
from cmis_emu.physics.units import db_to_ratio, dbm_to_w, ratio_to_db

BER_ALARM, BER_WARNING = 1.25e-2, 1.1e-2  # before the FEC; the alarm is what CFEC corrects
QUANTUM_NOISE_DBM = -58.0  # what an ideal amplifier adds within 0.1 nm at 1550 nm, referred to its input
PEAK_OVER_MEAN_16QAM = 1.8  # power of the outermost points over the mean


@dataclass(frozen=True, slots=True)
class CoherentParameters:
    """One kind of coherent receiver and FEC. SNR in dB, powers in dBm, penalties in dB at their reference."""

    noise_to_symbol_db: float = 6.80  # the symbol rate, 59.84 GBd, over the 12.5 GHz in which OSNR is measured
    transceiver_snr_db: float = 17.5
    receiver_noise_dbm: float = -39.3
    reported_offset_db: float = 1.06  # by which real modules report more than their errors tell
    dgd_reference_ps: float = 10.0
    dgd_penalty_db: float = 0.5
    pdl_reference_db: float = 2.5
    pdl_penalty_db: float = 0.8
    dispersion_reference_ps_nm: float = 2400.0  # an engineering choice: half a dB at the end of the range
    dispersion_penalty_db: float = 0.5
    sopmd_reference_ps2: float = 800.0  # likewise: as much again as goes with the reference delay
    sopmd_penalty_db: float = 0.1
    cfec_ber: float = BER_ALARM
    cfec_exponent: float = -15.0  # log10 of the codeword error ratio there
    cfec_steepness: float = 140.0
    symbol_rate_gbd: float = 59.84
    transmitter_osnr_db: float = 36.4  # of its own light; a published dump shows it on a short link
    inner_pdl_db: float = 0.3  # of the transceivers, as that dump shows
    laser_spread_ghz: float = 0.3  # from unit to unit, one sigma; a laser is within 1.8 GHz of where it should be
    capture_ghz: float = 4.0  # beyond, a receiver does not find its signal; two lasers within 1.8 GHz are nearer
    client_bps: float = 425e9  # 400GAUI-8, with its own FEC
    frame_bits: float = 244_664.0  # of a client within one block of CFEC
    polarisation_krad_s: float = 4.0  # how fast a fibre at rest turns the polarisation: an engineering choice

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def frames_per_s(self) -> float:
        """Blocks of CFEC each second."""
        return self.client_bps / self.frame_bits

    @property
    def lane_bps(self) -> float:
        """Bits of the host's signal that a media lane carries each second."""
        return self.client_bps

    @property
    def limit_ber(self) -> float:
        """The errors that its FEC is made for."""
        return self.cfec_ber

    def ber_of_esnr(self, esnr_db: float) -> float:
        """Error ratio that belongs to a reported eSNR."""
        return ber(esnr_db - self.reported_offset_db)

    def esnr_of_ber(self, ratio: float) -> float:
        """The reported eSNR at which there are so many errors."""
        return reported_esnr_db(snr_of_ber(ratio), self)


ZR = CoherentParameters()
PRESETS = {"400zr": ZR}


class Line(NamedTuple):
    """What the line does to the light beside adding noise."""

    dispersion_ps_nm: float = 0.0
    dgd_ps: float = 0.0
    sopmd_ps2: float = 0.0
    pdl_db: float = 0.0


DISPERSION_PS_NM_KM = 17.0
DGD_INSIDE_PS, DGD_PS_ROOT_KM = 2.0, 0.1  # of the transceiver, and of the fibre
SOPMD_OF_DGD = 8.0


def amplifier_noise_w(noise_figure_db: float) -> float:
    """What an amplifier adds within 0.1 nm, in W, referred to its input."""
    return dbm_to_w(QUANTUM_NOISE_DBM + noise_figure_db)


def dgd_ps(fibre_ps2: float) -> float:
    """Mean differential delay with a fibre whose own is the root of `fibre_ps2`, the transceiver's included."""
    return math.sqrt(DGD_INSIDE_PS**2 + fibre_ps2)


def line_of(dispersion_ps_nm: float, fibre_ps2: float, pdl_db: float) -> Line:
    """A line with such a dispersion, and such a square of its own differential delay, and what goes with that."""
    delay_ps = dgd_ps(fibre_ps2)
    return Line(dispersion_ps_nm, delay_ps, SOPMD_OF_DGD * delay_ps**2, pdl_db)


def line(length_km: float, pdl_db: float = 0.0) -> Line:
    """A line of plain fibre."""
    return line_of(DISPERSION_PS_NM_KM * length_km, fibre_dgd_ps2(length_km), pdl_db)


def fibre_dgd_ps2(length_km: float) -> float:
    """Square of a fibre's own mean differential delay."""
    return DGD_PS_ROOT_KM**2 * length_km


def osnr_of_spans(spans: int, channel_dbm: float, loss_db: float, noise_figure_db: float) -> float:
    """OSNR in dB behind `spans` equal spans, each with an amplifier that makes up for its loss."""
    return channel_dbm - loss_db - QUANTUM_NOISE_DBM - noise_figure_db - ratio_to_db(spans)


def penalty_db(way: Line, receiver: CoherentParameters = ZR) -> float:
    """OSNR that is needed more because of the line; each part grows with its square.

    The penalty of a differential delay has in it the second order that goes with the delay; what is beyond counts.
    """
    p = receiver
    further_ps2 = max(0.0, way.sopmd_ps2 - SOPMD_OF_DGD * way.dgd_ps**2)
    return (
        p.dispersion_penalty_db * (way.dispersion_ps_nm / p.dispersion_reference_ps_nm) ** 2
        + p.dgd_penalty_db * (way.dgd_ps / p.dgd_reference_ps) ** 2
        + p.sopmd_penalty_db * (further_ps2 / p.sopmd_reference_ps2) ** 2
        + p.pdl_penalty_db * (way.pdl_db / p.pdl_reference_db) ** 2
    )


def snr_db(osnr_db: float, rx_dbm: float, way: Line | None = None, receiver: CoherentParameters = ZR) -> float:
    """SNR of a symbol: noise of the line, of both transceivers, and of a receiver with little light.

    osnr_db: infinite for a line without amplifiers. rx_dbm: power of the channel at the receiver.
    """
    p = receiver
    amplified = osnr_db - p.noise_to_symbol_db - (penalty_db(way, p) if way is not None else 0.0)
    noise = db_to_ratio(-amplified) + db_to_ratio(-p.transceiver_snr_db) + db_to_ratio(p.receiver_noise_dbm - rx_dbm)
    return -ratio_to_db(noise)


def ber(snr: float) -> float:
    """Error ratio of 16QAM in both polarisations at an SNR in dB: 3/8 erfc(sqrt(SNR/10))."""
    return 0.375 * math.erfc(math.sqrt(db_to_ratio(snr) / 10))


def snr_of_ber(ratio: float) -> float:
    """The SNR in dB at which `ber` gives `ratio`, between -20 and 40 dB."""
    return level_db_of(ber, ratio, -20.0, 40.0)


def q_factor_db(ratio: float) -> float:
    """Q in dB that belongs to an error ratio: that of a signal of two levels."""
    return level_db_of(lambda q_db: q_function(db_to_ratio(q_db / 2)), ratio, -20.0, 40.0)


def reported_esnr_db(snr: float, receiver: CoherentParameters = ZR) -> float:
    """What modules report as eSNR."""
    return snr + receiver.reported_offset_db


def evm_rms(snr: float) -> float:
    """Error vector over the root mean square of the constellation, as a ratio."""
    return db_to_ratio(-snr / 2)


def evm_peak(snr: float) -> float:
    """The same error over the outermost point."""
    return evm_rms(snr) / math.sqrt(PEAK_OVER_MEAN_16QAM)


def mer_db(snr: float) -> float:
    """Modulation error ratio in dB: the SNR under another name."""
    return snr


def codeword_error_ratio(before: float, receiver: CoherentParameters = ZR) -> float:
    """Uncorrectable codewords of CFEC: a steep fall around the error ratio that it corrects."""
    if before <= 0.0:
        return 0.0
    p = receiver
    exponent = p.cfec_exponent + p.cfec_steepness * math.log10(before / p.cfec_ber)
    return float(10.0 ** min(0.0, exponent)) if exponent > -300 else 0.0
