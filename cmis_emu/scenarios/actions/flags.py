"""Faults of flags: flag.stick, flag.drop, flag.spurious, flag.latency."""

from __future__ import annotations

from typing import Any

from cmis_emu.module.faults.flags import BadFlag, Fails, FlagFaults
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.registers.field import OnRead
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, refuse
from cmis_emu.scenarios.arming import FIELD, LANES, PORT, arm_rule, bits_of, field_of, lanes_of, nanoseconds
from cmis_emu.scenarios.units import DURATION

_ALARMS = ("high-alarm", "low-alarm", "high-warning", "low-warning")  # bits of a VDM instance (VDM-05)
_ARGUMENTS: dict[str, Argument] = {
    "port": PORT,
    "field": FIELD,
    "lanes": LANES,
    "alarm": Argument(Kind.CHOICE, "of VDMFlags: which of the four; all without it", choices=_ALARMS),
}


def _flags(faults: ModuleFaults) -> FlagFaults:
    return faults.flags


def _bad(call: Call, fails: Fails, **more: Any) -> Undo:
    name, alarm = call["field"], call["alarm"]
    field, _ = field_of(name)
    if field.on_read is not OnRead.CLEAR:
        raise refuse(name, "a flag, which a read clears", "field")
    if alarm is not None and field.width != len(_ALARMS):
        raise refuse(alarm, "nothing, for a flag of one bit", "alarm")
    bits = bits_of(name, lanes_of(call), None if alarm is None else _ALARMS.index(alarm))
    if not bits:
        raise refuse(call["lanes"], f"lanes of {name}", "lanes")
    media = field.side == "media" and field.packed and field.width == 1
    return arm_rule(call, _flags, BadFlag(bits, fails, call.occasions, media=media, **more))


@action(
    "flag.stick",
    {**_ARGUMENTS, "once_set": Argument(Kind.FLAG, "only from when something sets it", default=False)},
    counted=True,
)
def stick(call: Call) -> Undo:
    """A flag stays set: reads do not clear it. An occasion is each read that should have."""
    return _bad(call, Fails.STUCK, at_once=not call["once_set"])


@action("flag.drop", _ARGUMENTS, counted=True)
def drop(call: Call) -> Undo:
    """A flag does not set. An occasion is each time that it should; what still holds when the fault is cleared sets
    it then."""
    return _bad(call, Fails.DROPPED)


@action(
    "flag.spurious",
    {
        **_ARGUMENTS,
        "holds": Argument(Kind.FLAG, "a condition that goes on, so that it sets again after a read", default=False),
        "lasts": Argument(DURATION, "a condition ends so long after the fault was armed or the module came"),
    },
    counted=True,
)
def spurious(call: Call) -> Undo:
    """A flag sets for no reason: now, and when a module comes. An occasion is each of these."""
    lasts = nanoseconds(call["lasts"])
    return _bad(call, Fails.SPURIOUS, holds=call["holds"] or lasts is not None, time_ns=lasts)


@action("flag.latency", {**_ARGUMENTS, "time": Argument(DURATION, "how late it sets", required=True)}, counted=True)
def latency(call: Call) -> Undo:
    """A flag sets late. An occasion is each time that it should set."""
    return _bad(call, Fails.LATE, time_ns=nanoseconds(call["time"]))
