"""Faults of tuning: tune.refuse, tune.flag, tune.never_lock, tune.drift, tune.slow."""

from __future__ import annotations

from cmis_emu.clock import seconds
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.tuning.faults import RefusedTuning, SlowTuning, TuningFaults, WrongFlag
from cmis_emu.physics.disturbances import Input
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, lanes_of
from cmis_emu.scenarios.disturbing import disturb
from cmis_emu.scenarios.units import DRIFT, DURATION

_NONE = "none"
_FLAGS = {
    "not-accepted": "TuningNotAccepted",
    "invalid-channel": "InvalidChannelNumber",
    "fine-out-of-range": "FineTuningOutOfRange",
    "power-out-of-range": "TargetOutputPowerOOR",
    "wavelength-unlocked": "WavelengthUnlocked",
    "complete": "TuningComplete",
    _NONE: None,
}
_REFUSALS = ("not-accepted", "invalid-channel", "fine-out-of-range", _NONE)


def _tuning(faults: ModuleFaults) -> TuningFaults:
    return faults.tuning


@action(
    "tune.refuse",
    {
        "port": PORT,
        "lanes": LANES,
        "with": Argument(Kind.CHOICE, "the flag that says so", default="not-accepted", choices=_REFUSALS),
    },
    counted=True,
)
def refuse(call: Call) -> Undo:
    """Requests for another frequency that are in order are not followed. An occasion is each of them."""
    return arm_rule(call, _tuning, RefusedTuning(call.occasions, _FLAGS[call["with"]], lanes_of(call)))


@action(
    "tune.flag",
    {
        "port": PORT,
        "lanes": LANES,
        "flag": Argument(Kind.CHOICE, "the flag in place of TuningComplete", default=_NONE, choices=tuple(_FLAGS)),
    },
    counted=True,
)
def flag(call: Call) -> Undo:
    """A tuning that is done says so with another flag, or with none. An occasion is each of them."""
    return arm_rule(call, _tuning, WrongFlag(call.occasions, _FLAGS[call["flag"]], lanes_of(call)))


@action(
    "tune.never_lock",
    {
        "port": PORT,
        "lanes": LANES,
        "quiet": Argument(Kind.FLAG, "TuningInProgress does not tell, only the unlocked wavelength", default=False),
    },
    counted=True,
)
def never_lock(call: Call) -> Undo:
    """A tuning does not end: no lock, no light. An occasion is each tuning; cleared, it ends after its usual time."""
    return arm_rule(call, _tuning, SlowTuning(call.occasions, None, lanes_of(call), call["quiet"]))


@action(
    "tune.slow",
    {"port": PORT, "lanes": LANES, "time": Argument(DURATION, "from the request to the end", required=True)},
    counted=True,
)
def slow(call: Call) -> Undo:
    """Tunings take so long. An occasion is each of them."""
    return arm_rule(call, _tuning, SlowTuning(call.occasions, seconds(call["time"]), lanes_of(call)))


@action(
    "tune.drift",
    {
        "port": PORT,
        "lanes": LANES,
        "by": Argument(DRIFT, "so far from where the laser was told to be", required=True),
        "over": Argument(DURATION, "moves there linearly within this time", default=0.0),
    },
)
def drift(call: Call) -> Undo:
    """Lasers drift away from their frequency. Without effect on light that nobody tunes to."""
    return disturb(call, Input.DRIFT_GHZ, call["by"], call["over"], lanes_of(call))
