"""Faults of lasers: laser.ageing, laser.failed, laser.weak, laser.tec."""

from __future__ import annotations

from cmis_emu.physics.disturbances import Input
from cmis_emu.scenarios.action import Argument, Call, Undo, action
from cmis_emu.scenarios.arming import LANES, PORT, both, lanes_of
from cmis_emu.scenarios.disturbing import disturb
from cmis_emu.scenarios.units import DURATION, FRACTION, LOSS

_OVER = Argument(DURATION, "moves there linearly within this time", default=0.0)


@action(
    "laser.ageing",
    {
        "port": PORT,
        "lanes": LANES,
        "rise": Argument(FRACTION, "so much more bias for the same light; 20 % is the end of life", required=True),
        "over": _OVER,
    },
)
def ageing(call: Call) -> Undo:
    """Lasers have aged."""
    return disturb(call, Input.AGEING, call["rise"], call["over"], lanes_of(call))


@action("laser.failed", {"port": PORT, "lanes": LANES})
def failed(call: Call) -> Undo:
    """Lasers are dead: driven, and dark."""
    return disturb(call, Input.LASER_FAILED, 1.0, lanes=lanes_of(call))


@action(
    "laser.weak",
    {
        "port": PORT,
        "lanes": LANES,
        "loss": Argument(LOSS, "so much less light", default=0.0),
        "distortion": Argument(LOSS, "so much more TDECQ", default=0.0),
        "over": _OVER,
    },
)
def weak(call: Call) -> Undo:
    """Lanes send less light, or a worse signal."""
    lanes, over = lanes_of(call), call["over"]
    less = disturb(call, Input.WEAKNESS_DB, call["loss"], over, lanes)
    return both(less, disturb(call, Input.DISTORTION_DB, call["distortion"], over, lanes))


@action("laser.tec", {"port": PORT})
def tec(call: Call) -> Undo:
    """The cooler stands still. Without effect on a module that has none."""
    return disturb(call, Input.TEC_FAILED, 1.0, lanes=frozenset())
