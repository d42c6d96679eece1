"""Actions on the way between bus and module: refusals, a held clock, wrong bytes, silence.

They stay with the port, whatever is plugged in. An occasion is one message, START to STOP or repeated START (a random
read is two), or one byte where bytes are changed.
"""

from __future__ import annotations

import errno

from cmis_emu.bus.byte_faults import Corrupt, Filler, ShortRead, StaleRead, flipped, replaced
from cmis_emu.bus.faults import AdapterError, DeadUntil, Direction, Match, Nack, Stretch
from cmis_emu.bus.line import LineFault
from cmis_emu.clock import NEVER, seconds
from cmis_emu.registers.place import ALL_BITS
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, refuse
from cmis_emu.scenarios.units import BYTE, COUNT, DURATION

ERRORS = (
    "EAGAIN",
    "EBUSY",
    "EIO",
    "ENODEV",
    "ENXIO",
    "EPROTO",
    "EREMOTEIO",
    "ETIMEDOUT",
)
"""What Linux adapters report for a transfer that failed."""

PORT = Argument(Kind.PORT, "The cage.", required=True)
DIRECTION = Argument(
    Kind.CHOICE, "Only reads, only writes, or any message.", default="any", choices=("read", "write", "any")
)
BYTE_DIRECTION = Argument(
    Kind.CHOICE, "Bytes read, bytes written, or both.", default="read", choices=("read", "write", "any")
)
PLACE = Argument(
    Kind.PLACE,
    "Only reads that begin in this place, and writes of its bytes, at the byte in question. Without it every message.",
)
UNCHANGED = Argument(Kind.FLAG, "Only writes of the value that is there already.", default=False)
VALUE = Argument(BYTE, "Only writes of this value.")


def _match(call: Call) -> Match:
    value = call.arguments.get("value")
    unchanged = bool(call.arguments.get("unchanged"))
    return Match(Direction(call["direction"]), call["place"], unchanged, None if value is None else int(value))


def _mask(call: Call) -> int:
    """The bits of the place, or all of a byte."""
    place = call["place"]
    return ALL_BITS if place is None else int(place.mask)


def _armed(call: Call, fault: LineFault) -> Undo:
    port = call.port
    port.arm_line(fault)
    return lambda: port.disarm_line(fault)


@action(
    "bus.nack",
    {
        "port": PORT,
        "direction": DIRECTION,
        "place": PLACE,
        "unchanged": UNCHANGED,
        "value": VALUE,
        "error": Argument(
            Kind.CHOICE, "What the adapter calls it; without it ENXIO for an address, EIO for a byte.", choices=ERRORS
        ),
    },
    counted=True,
)
def nack(call: Call) -> Undo:
    """The module does not acknowledge: its address, or the byte of a write that is meant, and then nothing of that
    write counts."""
    error = None if call["error"] is None else int(getattr(errno, call["error"]))
    return _armed(call, Nack(_match(call), call.occasions, error))


@action(
    "bus.stretch",
    {
        "port": PORT,
        "time": Argument(DURATION, "How long the clock is held low."),
        "forever": Argument(Kind.FLAG, "Until the module is reset, pulled out, or this is cleared.", default=False),
        "direction": DIRECTION,
        "place": Argument(Kind.PLACE, "At the first byte of a message in this place; without it after the address."),
        "limit": Argument(DURATION, "How long the adapter bears it (ETIMEDOUT); without it 1 s."),
    },
    counted=True,
)
def stretch(call: Call) -> Undo:
    """The module holds the clock low in the middle of a transfer, so that time passes there."""
    if (call["time"] is None) is not bool(call["forever"]):
        raise refuse(f"time {call['time']} and forever {call['forever']}", "one of the two", "time")
    duration_ns = NEVER if call["forever"] else seconds(call["time"])
    limit_ns = None if call["limit"] is None else seconds(call["limit"])
    return _armed(call, Stretch(_match(call), call.occasions, duration_ns, limit_ns))


@action(
    "bus.short_read",
    {
        "port": PORT,
        "right": Argument(COUNT, "How many bytes are right.", default=1),
        "filler": Argument(
            Kind.CHOICE,
            "What follows: 00, FF, or the last right byte.",
            default="zeros",
            choices=("zeros", "ones", "last"),
        ),
        "place": Argument(Kind.PLACE, "Only reads that begin in this place."),
    },
    counted=True,
)
def short_read(call: Call) -> Undo:
    """A read of several bytes has only its first ones right."""
    match = Match(Direction.READ, call["place"])
    return _armed(call, ShortRead(match, call.occasions, int(call["right"]), Filler(call["filler"])))


@action(
    "bus.flip",
    {
        "port": PORT,
        "place": Argument(
            Kind.PLACE,
            "Where; with bits such as L:14.6 one of those, else one that chance chooses. Without it anywhere.",
        ),
        "direction": BYTE_DIRECTION,
    },
    counted=True,
)
def flip(call: Call) -> Undo:
    """One bit of a byte arrives inverted. Every byte of the place is an occasion."""
    return _armed(call, Corrupt(_match(call), call.occasions, flipped(_mask(call))))


@action(
    "bus.corrupt",
    {
        "port": PORT,
        "place": Argument(Kind.PLACE, "Where. Without it anywhere."),
        "byte": Argument(BYTE, "What arrives; without it a wrong value that chance chooses."),
        "direction": BYTE_DIRECTION,
    },
    counted=True,
)
def corrupt(call: Call) -> Undo:
    """A byte arrives as another one. Every byte of the place is an occasion."""
    byte = None if call["byte"] is None else int(call["byte"])
    return _armed(call, Corrupt(_match(call), call.occasions, replaced(byte, _mask(call))))


@action(
    "bus.dead_until",
    {
        "port": PORT,
        "time": Argument(DURATION, "How long nothing is acknowledged.", required=True),
        "since": Argument(
            Kind.CHOICE,
            "From when on: the last insertion, the last exit from reset, now, or a write to `place`.",
            default="insertion",
            choices=("insertion", "reset", "now", "write"),
        ),
        "place": Argument(Kind.PLACE, "With since: write, what must be written."),
        "value": Argument(Kind.BYTES, "With since: write, the bytes that it must be."),
    },
)
def dead_until(call: Call) -> Undo:
    """The management interface answers nothing for a time after insertion, a reset, or a command."""
    port, since = call.port, call["since"]
    duration_ns = seconds(call["time"])
    if since == "write":
        if call["place"] is None:
            raise refuse("none", "a place whose write makes the module fall silent", "place")
        return _armed(call, DeadUntil(duration_ns, None, call["place"], call["value"]))
    now_ns = call.world.clock.now_ns
    moments = {
        "insertion": lambda: port.inserted_ns,
        "reset": lambda: None if port.occupant is None else port.occupant.started_ns,
        "now": lambda: now_ns,
    }
    return _armed(call, DeadUntil(duration_ns, moments[since]))


@action(
    "bus.busy_errno",
    {
        "port": PORT,
        "error": Argument(Kind.CHOICE, "What the adapter reports.", default="EBUSY", choices=ERRORS),
        "direction": DIRECTION,
        "place": PLACE,
        "takes": Argument(DURATION, "How long it tries first.", default=0.0),
    },
    counted=True,
)
def busy_errno(call: Call) -> Undo:
    """The adapter fails, with a module or without one."""
    number = int(getattr(errno, call["error"]))
    return _armed(call, AdapterError(_match(call), call.occasions, number, seconds(call["takes"])))


@action(
    "bus.stale_read",
    {
        "port": PORT,
        "place": Argument(Kind.PLACE, "What reads old.", required=True),
        "time": Argument(DURATION, "For how long.", required=True),
        "after": Argument(Kind.PLACE, "After a read of this other place; without it after a write of the place."),
        "value": Argument(Kind.BYTES, "What is read then; without it what was there before, or 00 after a read."),
    },
    counted=True,
)
def stale_read(call: Call) -> Undo:
    """Old bytes are read for a while after a write, or after a read of another place."""
    fault = StaleRead(call["place"], call.occasions, seconds(call["time"]), call["after"], call["value"])
    return _armed(call, fault)
