"""What surrounds modules: env.ambient, env.airflow, env.supply."""

from __future__ import annotations

from cmis_emu.physics.disturbances import Input
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action
from cmis_emu.scenarios.disturbing import surround
from cmis_emu.scenarios.units import DURATION, FRACTION, TEMPERATURE, VOLTAGE

_PORT = Argument(Kind.PORT, "the cage that is meant; every one without it")
_OVER = Argument(DURATION, "moves there linearly within this time", default=0.0)


@action(
    "env.ambient",
    {"port": _PORT, "temperature": Argument(TEMPERATURE, "of the air", required=True), "over": _OVER},
)
def ambient(call: Call) -> Undo:
    """The air gets this warm."""
    return surround(call, Input.AMBIENT_C, call["temperature"], call["over"])


@action(
    "env.airflow",
    {
        "port": _PORT,
        "flow": Argument(FRACTION, "of the nominal flow, 10 % for a dead fan", required=True),
        "over": _OVER,
    },
)
def airflow(call: Call) -> Undo:
    """The air moves so much less, or more."""
    return surround(call, Input.AIRFLOW, call["flow"], call["over"])


@action(
    "env.supply",
    {"port": _PORT, "voltage": Argument(VOLTAGE, "that the host supplies", required=True), "over": _OVER},
)
def supply(call: Call) -> Undo:
    """The supply has this voltage. Below the level at which a module can work (2.4 V unless its profile says
    otherwise) it is held in reset, so a dip for some ms is a brown-out."""
    return surround(call, Input.SUPPLY_V, call["voltage"], call["over"])
