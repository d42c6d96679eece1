"""How a DSP receiver finds its signal: the equaliser's adaptation, and the eSNR at which it holds lock (section 5).

The residual error falls exponentially: 1/SNR(t) = 1/SNR_end + (1/SNR_start - 1/SNR_end) e^(-t/tau).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmis_emu.physics.units import db_to_ratio, ratio_to_db


@dataclass(frozen=True, slots=True)
class AcquisitionParameters:
    """Adaptation and lock of one kind of DSP; eSNR in dB."""

    start_db: float = 6.0  # an equaliser at its preset
    tau_s: float = 0.12
    first_factor: float = 3.0  # the first adaptation after power-up takes so much longer
    unlock_db: float = 12.5  # below, the DSP loses its signal
    lock_db: float = 14.0  # above, it has it


def esnr_at(elapsed_s: float, final_db: float, start_db: float, tau_s: float) -> float:
    """eSNR in dB that an adaptation has reached; `final_db` at once when that is no better than the start."""
    if final_db <= start_db:
        return final_db
    end = db_to_ratio(-final_db)
    left = (db_to_ratio(-start_db) - end) * math.exp(-max(0.0, elapsed_s) / tau_s)
    return -ratio_to_db(end + left)


def time_to_reach(wanted_db: float, final_db: float, start_db: float, tau_s: float) -> float:
    """Seconds after the start of an adaptation at which it reaches `wanted_db`; infinite if it never does."""
    if final_db <= wanted_db:
        return math.inf
    if start_db >= wanted_db:
        return 0.0
    end = db_to_ratio(-final_db)
    return tau_s * math.log((db_to_ratio(-start_db) - end) / (db_to_ratio(-wanted_db) - end))
