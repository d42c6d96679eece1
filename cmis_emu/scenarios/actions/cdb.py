"""Actions on CDB and on firmware: commands that fail, hang, hold the bus or reply wrongly; images that go wrong.

They stay with the port, whatever is plugged in; a module without CDB or firmware has nothing to go wrong. An occasion
is a command that fits.
"""

from __future__ import annotations

from functools import partial

from cmis_emu.bus.faults import Match, Stretch
from cmis_emu.clock import NS_PER_MS, NS_PER_S, seconds
from cmis_emu.module.cdb.faults import Effect, Fault, Phase, SharedFault
from cmis_emu.module.firmware.bank import Bank
from cmis_emu.module.firmware.faults import FirmwareFault, SharedFirmwareFault
from cmis_emu.module.firmware.faults import Kind as FirmwareKind
from cmis_emu.module.firmware.faults import Phase as FirmwarePhase
from cmis_emu.occasions import Occasions
from cmis_emu.port import Port
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.units import BYTE, COMMAND_CODE, COUNT, DURATION, FRACTION

PORT = Argument(Kind.PORT, "The cage.", required=True)
COMMAND = Argument(COMMAND_CODE, "Only this command; without it any.")


class _CdbFault:
    """One fault of the CDB of whatever sits in a port."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def attach(self, port: Port) -> None:
        module = port.occupant
        if module is not None and module.cdb is not None:
            module.cdb.faults.arm(self._fault)

    def detach(self, port: Port) -> None:
        module = port.occupant
        if module is not None and module.cdb is not None:
            module.cdb.faults.clear(self._fault)


def _armed(call: Call, effect: Effect, value: int = 0, phase: Phase | None = None, **more: object) -> Undo:
    command = call["command"]
    fault = SharedFault(effect, command, None, 0, None, value, phase, occasions=call.occasions)
    for name, given in more.items():
        setattr(fault, name, given)
    return armed_on_port(call, _CdbFault(fault))


@action(
    "cdb.busy",
    {
        "port": PORT,
        "command": COMMAND,
        "time": Argument(DURATION, "How much longer it takes; without it for ever, until abort or reset."),
    },
    counted=True,
)
def busy(call: Call) -> Undo:
    """A command takes longer than it should, or never ends; the status says busy."""
    if call["time"] is None:
        return _armed(call, Effect.BUSY)
    return _armed(call, Effect.DELAY, seconds(call["time"]), Phase.EXECUTING)


@action(
    "cdb.hold",
    {
        "port": PORT,
        "command": COMMAND,
        "time": Argument(DURATION, "For how long from the trigger on.", required=True),
        "how": Argument(
            Kind.CHOICE,
            "Refuse every access, or hold the clock low in the middle of the next one.",
            default="nack",
            choices=("nack", "stretch"),
        ),
        "limit": Argument(DURATION, "After so long the adapter gives up on a held clock.", default=1.0),
    },
    counted=True,
)
def hold(call: Call) -> Undo:
    """A command takes the whole management interface away, whatever is advertised."""
    strike = _hold_clock if call["how"] == "stretch" else _hold_off
    return _armed(call, Effect.PHASE, 0, Phase.CAPTURED, callback=lambda *_: strike(call))


def _hold_off(call: Call) -> None:
    if call.port.occupant is not None:
        call.port.occupant.hold_off(seconds(call["time"]))


def _hold_clock(call: Call) -> None:
    line = Stretch(Match(), Occasions(count=1), seconds(call["time"]), seconds(call["limit"]))
    call.port.arm_line(line)
    call.world.clock.after(seconds(call["time"]), partial(call.port.disarm_line, line))


@action(
    "cdb.result",
    {
        "port": PORT,
        "command": COMMAND,
        "status": Argument(BYTE, "Ends with this failure, 0x40 to 0x7F, and does nothing."),
        "length": Argument(BYTE, "RPLLength says so."),
        "check_code": Argument(Kind.CHOICE, "The reply's check code.", default="right", choices=("right", "wrong")),
        "byte": Argument(COUNT, "This byte of the reply, counted from 0, is another one."),
        "value": Argument(BYTE, "What it is."),
    },
    counted=True,
)
def result(call: Call) -> Undo:
    """A command ends in another way than it should: with a failure, or with a reply that is not right."""
    given = [name for name in ("status", "length", "byte") if call[name] is not None]
    wrong_code = call["check_code"] == "wrong"
    if len(given) + wrong_code != 1:
        raise refuse(", ".join(given) or "nothing", "one of status, length, byte and check_code: wrong", "command")
    if wrong_code:
        return _armed(call, Effect.REPLY_CODE)
    if given == ["status"]:
        if not 0x40 <= call["status"] <= 0x7F:
            raise refuse(f"0x{call['status']:02X}", "a failure, 0x40 to 0x7F", "status")
        return _armed(call, Effect.FAIL, call["status"])
    if given == ["length"]:
        return _armed(call, Effect.REPLY_LENGTH, call["length"])
    if call["value"] is None:
        raise refuse("no value", "what the byte is", "value")
    return _armed(call, Effect.REPLY_BYTES, patch={call["byte"]: (0xFF, call["value"])})


@action("cdb.no_flag", {"port": PORT, "command": COMMAND}, counted=True)
def no_flag(call: Call) -> Undo:
    """A command ends without setting its completion flag."""
    return _armed(call, Effect.NO_FLAG)


@action("cdb.ignore", {"port": PORT, "command": COMMAND}, counted=True)
def ignore(call: Call) -> Undo:
    """A trigger is not noticed: the status stays what it was."""
    return _armed(call, Effect.IGNORE)


# -- firmware ----------------------------------------------------------------------------------------


class _FirmwareFault:
    """One fault of the firmware of whatever sits in a port."""

    def __init__(self, fault: FirmwareFault) -> None:
        self._fault = fault

    def attach(self, port: Port) -> None:
        module = port.occupant
        if module is not None and module.firmware is not None:
            module.firmware.faults.arm(self._fault)

    def detach(self, port: Port) -> None:
        module = port.occupant
        if module is not None and module.firmware is not None:
            module.firmware.faults.clear(self._fault)


PHASES = tuple(phase.value for phase in FirmwarePhase)
PHASE = Argument(Kind.CHOICE, "In the time of which command, or in the boot.", required=True, choices=PHASES)
BLOCK = Argument(COUNT, "Only the n-th block of a download, from 1.")
MOMENT = Argument(FRACTION, "When in its time: 0 at its beginning, 1 at its end.", default=0.5)


def _block(call: Call) -> int | None:
    return None if call["block"] is None else int(call["block"])


@action(
    "cdb.fail_block",
    {
        "port": PORT,
        "block": Argument(COUNT, "The n-th block of a download, from 1; without it each."),
        "status": Argument(BYTE, "With this failure, 0x40 to 0x7F.", default=0x40),
    },
    counted=True,
)
def fail_block(call: Call) -> Undo:
    """Writing a block of a firmware image fails."""
    if not 0x40 <= call["status"] <= 0x7F:
        raise refuse(f"0x{call['status']:02X}", "a failure, 0x40 to 0x7F", "status")
    fault = SharedFirmwareFault(
        FirmwareKind.FAIL,
        FirmwarePhase.WRITE,
        None,
        _block(call),
        status=int(call["status"]),
        occasions=call.occasions,
    )
    return armed_on_port(call, _FirmwareFault(fault))


@action("fw.corrupt", {"port": PORT, "block": BLOCK}, counted=True)
def corrupt(call: Call) -> Undo:
    """A bit of what was written tips over in the module's memory: the image is found to be damaged at its end."""
    fault = SharedFirmwareFault(FirmwareKind.CORRUPT, FirmwarePhase.WRITE, None, _block(call), occasions=call.occasions)
    return armed_on_port(call, _FirmwareFault(fault))


@action("fw.reset", {"port": PORT, "phase": PHASE, "block": BLOCK, "moment": MOMENT}, counted=True)
def sudden_reset(call: Call) -> Undo:
    """The module resets by itself while its firmware is updated or boots."""
    return _sudden(call, FirmwareKind.RESET, 0.0)


@action(
    "fw.power_loss",
    {
        "port": PORT,
        "phase": PHASE,
        "block": BLOCK,
        "moment": MOMENT,
        "time": Argument(DURATION, "For how long the supply is gone.", default=1.0),
    },
    counted=True,
)
def power_loss(call: Call) -> Undo:
    """The module loses its supply while its firmware is updated or boots."""
    return _sudden(call, FirmwareKind.POWER_LOSS, call["time"])


def _sudden(call: Call, kind: FirmwareKind, off_s: float) -> Undo:
    fault = SharedFirmwareFault(
        kind,
        FirmwarePhase(call["phase"]),
        None,
        _block(call),
        at=min(1.0, call["moment"]),
        off_ms=off_s * NS_PER_S / NS_PER_MS,
        occasions=call.occasions,
    )
    return armed_on_port(call, _FirmwareFault(fault))


@action(
    "fw.slow",
    {"port": PORT, "phase": PHASE, "time": Argument(DURATION, "How much longer.", required=True)},
    counted=True,
)
def slow(call: Call) -> Undo:
    """A step of an update, or the boot of an image, takes longer than advertised."""
    fault = SharedFirmwareFault(
        FirmwareKind.SLOW,
        FirmwarePhase(call["phase"]),
        None,
        extra_ms=call["time"] * NS_PER_S / NS_PER_MS,
        occasions=call.occasions,
    )
    return armed_on_port(call, _FirmwareFault(fault))


@action(
    "fw.boot_fails",
    {
        "port": PORT,
        "bank": Argument(Kind.CHOICE, "The image of which bank; without it each.", choices=("A", "B", "factory")),
    },
    counted=True,
)
def boot_fails(call: Call) -> Undo:
    """An image does not come up: the module falls back to the committed one."""
    bank = None if call["bank"] is None else Bank(call["bank"])
    fault = SharedFirmwareFault(FirmwareKind.FAIL, FirmwarePhase.BOOT, None, bank=bank, occasions=call.occasions)
    return armed_on_port(call, _FirmwareFault(fault))


STATES = {
    "both running": (0x11, 0x11),
    "both committed": (0x22, 0x22),
    "none running": (0x11, 0x00),
    "none committed": (0x22, 0x00),
    "both invalid": (0x44, 0x44),
}
"""Bits of the status byte of 0100h: (which, what they say)."""
_INFO, _STATUS, _PRESENT = 0x0100, 0, 1


@action(
    "fw.state",
    {
        "port": PORT,
        "says": Argument(
            Kind.CHOICE,
            "What it says of its images; one bank: image B is not there at all.",
            required=True,
            choices=(*STATES, "one bank"),
        ),
    },
    counted=True,
)
def state(call: Call) -> Undo:
    """The module says of its images what cannot be, or what hosts do not expect."""
    if call["says"] == "one bank":
        patch = {_STATUS: (0xF0, 0x00), _PRESENT: (0x02, 0x00)} | dict.fromkeys(range(38, 74), (0xFF, 0x00))
    else:
        patch = {_STATUS: STATES[call["says"]]}
    fault = SharedFault(Effect.REPLY_BYTES, _INFO, None, 0, None, occasions=call.occasions, patch=patch)
    return armed_on_port(call, _CdbFault(fault))
