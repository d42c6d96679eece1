"""What a coherent receiver makes of the light that shines into it: everything it can say, from one SNR.

Owns how light, line and the receiver's own laser (its local oscillator) meet. Without that laser, or when the two
lasers are too far apart, there is no signal, however much light there is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from cmis_emu.physics import coherent
from cmis_emu.physics.coherent import CoherentParameters, Line
from cmis_emu.physics.light import Beam
from cmis_emu.physics.receiver import DARK, Decision
from cmis_emu.physics.units import ratio_to_db, w_to_dbm


class CoherentReceiver(NamedTuple):
    """A receiver and the frequency of its local oscillator in GHz; None while that gives no light."""

    parameters: CoherentParameters
    oscillator_ghz: float | None


class CoherentReading(NamedTuple):
    """What a receiver reports of its signal: SNR in dB, powers in W, the carrier's offset in GHz."""

    snr_db: float
    osnr_db: float
    way: Line
    offset_ghz: float
    total_w: float
    signal_w: float


def offset_ghz(receiver: CoherentReceiver, beam: Beam) -> float | None:
    """How far the carrier is from the receiver's laser; None where there is nothing to compare."""
    if receiver.oscillator_ghz is None or not beam.carrier_ghz:
        return None
    return beam.carrier_ghz - receiver.oscillator_ghz


def read(receiver: CoherentReceiver, beam: Beam, power_w: float, worse_db: float = 0.0) -> CoherentReading | None:
    """A receiver that has found its signal; None where it can't.

    power_w: of the channel at the receiver. worse_db: what wear and warmth take from the SNR.
    """
    offset = offset_ghz(receiver, beam)
    p = receiver.parameters
    if offset is None or abs(offset) > p.capture_ghz or power_w <= 0.0:
        return None
    osnr_db = -ratio_to_db(beam.noise_ratio + beam.ase_w / power_w)
    way = coherent.line_of(beam.dispersion_ps_nm, beam.dgd_ps2, p.inner_pdl_db)
    snr = coherent.snr_db(osnr_db, w_to_dbm(power_w), way, p) - worse_db
    return CoherentReading(snr, osnr_db, way, offset, power_w, power_w * overlap(offset, p))


def overlap(offset: float, p: CoherentParameters) -> float:
    """How much of a signal so far off falls into the receiver's band."""
    return max(0.0, 1 - abs(offset) / p.symbol_rate_gbd)


def decide(receiver: CoherentReceiver, beam: Beam, power_w: float, worse_db: float = 0.0) -> Decision:
    """eSNR as it is reported, and the errors before the FEC."""
    found = read(receiver, beam, power_w, worse_db)
    if found is None or not math.isfinite(found.snr_db):
        return DARK
    p = receiver.parameters
    return Decision(max(0.0, coherent.reported_esnr_db(found.snr_db, p)), coherent.ber(found.snr_db))
