"""What a settled receiver makes of the light that shines into it, and where that can still go (section 5).

`warm` is what a warm receiver loses, in dB.
"""

from __future__ import annotations

import math

from cmis_emu.physics import coherent_receiver
from cmis_emu.physics.coherent_receiver import CoherentReceiver
from cmis_emu.physics.light import LightSource, Trend
from cmis_emu.physics.receiver import (
    DARK,
    Decision,
    ReceiverParameters,
    decide,
    dispersion_penalty_db,
    oma_of_average,
)
from cmis_emu.physics.units import db_to_ratio

AnyReceiver = ReceiverParameters | CoherentReceiver
ESNR_DB_PER_DB = 2.0  # eSNR follows the light at most twice as fast, in dB


def detect(receiver: AnyReceiver, light: LightSource, warm: Trend, now_ns: int, jitter_db: float = 0.0) -> Decision:
    """eSNR and error ratio, with the light off its trend by `jitter_db`."""
    return _decide(receiver, light, light.trend(now_ns).value, 0.0, warm.value, now_ns, jitter_db)


def _decide(
    receiver: AnyReceiver,
    light: LightSource,
    power_w: float,
    worse_db: float,
    warm_db: float,
    now_ns: int,
    jitter_db: float,
) -> Decision:
    """`worse_db`: what is added to TDECQ."""
    if power_w <= 0.0:
        return DARK
    beam = light.beam(now_ns)
    power_w *= db_to_ratio(jitter_db) if jitter_db else 1.0
    tdecq_db = beam.tdecq_db.value + worse_db
    if isinstance(receiver, CoherentReceiver):
        return coherent_receiver.decide(receiver, beam, power_w, tdecq_db + warm_db)
    if beam.dispersion_ps_nm:
        tdecq_db += dispersion_penalty_db(beam.dispersion_ps_nm, receiver.symbol_rate_bd)
    oma_w = oma_of_average(power_w, beam.extinction) * beam.modulation
    return decide(receiver, oma_w, beam.extinction, tdecq_db, beam.interference, warm_db)


def detect_bounds(
    receiver: AnyReceiver,
    light: LightSource,
    warm: Trend,
    now_ns: int,
    horizon_s: float,
    jitter_db: float = 0.0,
) -> tuple[Decision, Decision]:
    """The worst and the best that `detect` can give in the next `horizon_s`, while no input changes."""
    power, tdecq = light.trend(now_ns), light.beam(now_ns).tdecq_db
    moves_w = power.moves(horizon_s)
    moves_db = tdecq.moves(horizon_s) + warm.moves(horizon_s)
    low_w, high_w = max(0.0, power.value - moves_w), power.value + moves_w
    # More light is better until the receiver is overloaded; the bounds are wide there, and right below.
    ends = [
        _decide(receiver, light, watts, worse_db, warm.value, now_ns, off_db)
        for worse_db in ((moves_db, -moves_db) if moves_db else (0.0,))
        for watts, off_db in ((low_w, -jitter_db), (high_w, jitter_db))
    ]
    worst = Decision(min(d.esnr_db for d in ends), max(d.ber for d in ends))
    return worst, Decision(max(d.esnr_db for d in ends), min(d.ber for d in ends))


def detect_trend(receiver: AnyReceiver, light: LightSource, warm: Trend, now_ns: int) -> Trend:
    """eSNR in dB, and where it can still go."""
    here = detect(receiver, light, warm, now_ns).esnr_db
    power, tdecq = light.trend(now_ns), light.beam(now_ns).tdecq_db
    if power.remaining < 1e-4 * power.value and tdecq.remaining + warm.remaining < 1e-3:
        return Trend(here)
    worst, best = detect_bounds(receiver, light, warm, now_ns, math.inf)
    light_db_s = 10 / math.log(10) * power.rate / power.value if power.value > 0 else math.inf
    rate = ESNR_DB_PER_DB * (light_db_s + tdecq.rate + warm.rate)
    return Trend(here, rate, max(here - worst.esnr_db, best.esnr_db - here))
