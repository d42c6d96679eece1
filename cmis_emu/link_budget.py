"""The light of a cable at every point, as plain data: what it should be, what it is, and what is left of the margin.

The figures are the model's own, without a monitor's error and noise. Only plain values leave, so that a view can
draw them and a socket can carry them. Callers hold the emulator's lock.
"""

from __future__ import annotations

import math
from typing import Any

from cmis_emu.links import Fibre, Way
from cmis_emu.module.module import Module
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.pmd import AnyPmd, Span, shared_span
from cmis_emu.physics.units import db_to_ratio, w_to_dbm

DARK_W = 1e-12
"""Less than this is no light at all: -90 dBm."""


def link_budget(fibre: Fibre, now_ns: int) -> dict[str, Any]:
    """Everything about one cable: its ends, its legs, and each strand's light. Powers in dBm, None for darkness."""
    return {
        "fibre": fibre.name,
        "ends": {port: None if (found := fibre.module(port)) is None else found.profile.name for port in fibre.ports},
        "legs": [
            {
                "leg": leg,
                "from": fibre.source,
                "to": port,
                "dark": fibre.dark.get(leg),
                "strands": [_strand(fibre, way, now_ns) for way in fibre.ways if way.leg == leg],
            }
            for leg, port in enumerate(fibre.destinations, 1)
        ],
    }


def _strand(fibre: Fibre, way: Way, now_ns: int) -> dict[str, Any]:
    sender, receiver = fibre.module(way.transmitter), fibre.module(way.receiver)
    assert sender is not None
    assert receiver is not None
    launched_w = sender.plant.trend(Quantity.TX_POWER, way.tx_lane, now_ns).value
    points = [{"at": "Tx", "loss_db": 0.0, "dbm": _dbm(launched_w)}]
    power_w = launched_w
    for part in way.strand.parts(fibre.wavelength_nm(way)):
        power_w *= db_to_ratio(-part.loss_db)
        points.append({"at": part.name, "loss_db": _finite(part.loss_db), "dbm": _dbm(power_w)})
    return {
        "from": way.transmitter,
        "tx_lane": way.tx_lane,
        "to": way.receiver,
        "rx_lane": way.rx_lane,
        "points": points,
        "rx_dbm": _dbm(power_w),
        "reception": _reception(receiver, way.rx_lane, now_ns),
        "margins": _margins(sender.plant.parameters.pmd, receiver.plant.parameters.pmd, fibre, way, power_w),
    }


def _dbm(watts: float) -> float | None:
    return w_to_dbm(watts) if watts > DARK_W else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reception(module: Module, lane: int, now_ns: int) -> dict[str, Any]:
    """What the receiver's DSP makes of it; `limit_esnr_db`: where its errors are the most that the FEC is made for."""
    bank, index = divmod(lane - 1, 8)
    signals = module.banks[bank].signals if bank < len(module.banks) else None
    receiver = module.plant.parameters.media_receiver
    if signals is None:
        return {"los": None, "locked": None, "esnr_db": None, "ber": None, "limit_ber": None, "limit_esnr_db": None}
    recovery = signals.recovery
    return _coherent(module, lane, now_ns) | {
        "los": bool(recovery.los >> index & 1),
        "locked": recovery.has_lock(index + 1),
        "esnr_db": recovery.esnr_db(index + 1, now_ns),
        "ber": signals.routes.light_errors(index + 1, now_ns),
        "limit_ber": receiver.limit_ber,
        "limit_esnr_db": receiver.esnr_of_ber(receiver.limit_ber),
    }


def _coherent(module: Module, lane: int, now_ns: int) -> dict[str, Any]:
    """What only a coherent receiver has: OSNR, and how far the carrier is from its own laser."""
    if module.plant.parameters.coherent is None:
        return {}
    reading = module.plant.coherent_reading(lane, now_ns)
    return {
        "osnr_db": None if reading is None else reading.osnr_db,
        "offset_ghz": module.plant.carrier_offset_ghz(lane, now_ns),
    }


def _margins(
    sender: AnyPmd | None, receiver: AnyPmd | None, fibre: Fibre, way: Way, power_w: float
) -> dict[str, Any] | None:
    """What is left of the promised loss and of the least light; None where no standard promises anything."""
    span: Span | None = shared_span(sender, receiver) if sender and receiver else None
    if span is None or receiver is None:
        return None
    loss_db = sum(part.loss_db for part in way.strand.parts(fibre.wavelength_nm(way)))
    promised = not way.strand.amplified  # what is promised with amplifiers is an OSNR
    return {
        "span": f"{span.length_m:g} m",
        "budget_db": span.budget_db if promised else None,
        "loss_db": _finite(loss_db),
        "left_db": _finite(span.budget_db - loss_db) if promised else None,
        "rx_min_dbm": receiver.rx_average_min_dbm,
        "above_min_db": None if power_w <= DARK_W else w_to_dbm(power_w) - receiver.rx_average_min_dbm,
    }
