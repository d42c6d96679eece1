"""A coherent receiver, 400ZR: from the light's own noise to eSNR, errors, EVM and uncorrectable codewords (section 7).

Pure functions of a frozen parameter set. OSNR is in dB within 0.1 nm; what the line does beside (dispersion,
differential delay, loss that depends on polarisation) is counted as OSNR that is needed more. Everything that a
receiver says about its signal follows from one SNR. No product of the library has such a receiver yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from cmis_emu.physics.units import db_to_ratio, ratio_to_db

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


ZR = CoherentParameters()


class Line(NamedTuple):
    """What the line does to the light beside adding noise."""

    dispersion_ps_nm: float = 0.0
    dgd_ps: float = 0.0
    sopmd_ps2: float = 0.0
    pdl_db: float = 0.0


DISPERSION_PS_NM_KM = 17.0
DGD_INSIDE_PS, DGD_PS_ROOT_KM = 2.0, 0.1  # of the transceiver, and of the fibre
SOPMD_OF_DGD = 8.0


def line(length_km: float, pdl_db: float = 0.0) -> Line:
    """A line of plain fibre: mean differential delay, and what goes with it."""
    dgd_ps = math.hypot(DGD_INSIDE_PS, DGD_PS_ROOT_KM * math.sqrt(length_km))
    return Line(DISPERSION_PS_NM_KM * length_km, dgd_ps, SOPMD_OF_DGD * dgd_ps**2, pdl_db)


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
