"""Faults of monitors and their thresholds: mon.override, mon.thresholds."""

from __future__ import annotations

from cmis_emu.errors import UnknownFieldError
from cmis_emu.module.faults.monitors import How, Misread, MonitorFaults
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.faults.static_bytes import Misprint, StaticFaults
from cmis_emu.module.monitors import KINDS
from cmis_emu.module.vdm.observables import observables
from cmis_emu.registers.field import PAGE_BYTES
from cmis_emu.registers.field import Kind as FieldKind
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, refuse
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, field_of, lanes_of, value_of
from cmis_emu.scenarios.units import COUNT
from cmis_emu.scenarios.values import near

_MODULE = ("TempMon", "VccMon", "Aux1Mon", "Aux2Mon", "Aux3Mon")
_LANES = ("OpticalPowerTx", "LaserBiasTx", "OpticalPowerRx")
_FIELDS = {
    "TempMonValue",
    "VccMonVoltage",
    "Aux1MonValue",
    "Aux2MonValue",
    "Aux3MonValue",
    *_LANES,
    "SNRHostLane",
    "SNRMediaLane",
    "BERHostLane",
    "BERMediaLane",
}
UNAVAILABLE = "unavailable"


def monitors(faults: ModuleFaults) -> MonitorFaults:
    """Their seam."""
    return faults.monitors


def _name(call: Call) -> tuple[str, frozenset[int] | None]:
    """The monitor and its lanes: by the name of a field or of an observable of VDM."""
    name, lane = monitor_named(call["field"])
    return name, lanes_of(call) if lane is None else frozenset({lane})


def monitor_named(name: str) -> tuple[str, int | None]:
    """A monitor, and the lane that its name says. Raises InputError with the nearest names."""
    known = (*observables(load_maps()), *sorted(_FIELDS))
    if name in known:
        return name, None
    expected = f"one of {', '.join(sorted(_FIELDS))}, or an observable of VDM such as esnr_media{near(name, known)}"
    try:
        field, lane = load_maps().resolve(name)
    except UnknownFieldError:
        raise refuse(name, expected, "field") from None
    if field.name not in _FIELDS:
        raise refuse(name, expected, "field")
    return field.name, lane


def _unavailable(name: str) -> int:
    """What stands for no value: all bits, or the lowest of a signed one."""
    known = observables(load_maps()).get(name)
    if name.startswith(("SNR", "BER")):  # results of diagnostics, which lie where the selector says
        return 0xFFFF
    signed = known.signed if known is not None else field_of(name)[0].kind is FieldKind.SINT
    return 0x8000 if signed else 0xFFFF


@action(
    "mon.override",
    {
        "port": PORT,
        "field": Argument(Kind.MONITOR, "the monitor: a CMIS field, or an observable of VDM", required=True),
        "how": Argument(
            Kind.CHOICE,
            "value and code: reads so; offset, scale, noise (one sigma), drift (a second): changed by `value`; "
            "stale: as when the fault was armed; unavailable: the code of no value",
            default=How.VALUE.value,
            choices=(*(each.value for each in How), UNAVAILABLE),
        ),
        "value": Argument(Kind.READING, "in the monitor's unit (W, A, V, degC, dB, ratio) or with it; scale: a factor"),
        "code": Argument(COUNT, "the raw code, for how: code"),
        "lanes": LANES,
        "flags": Argument(Kind.FLAG, "do flags follow what is reported?", default=True),
    },
    counted=True,
)
def override(call: Call) -> Undo:
    """A monitor reports something else than what it measures. An occasion is each sample, read or not, so `count: 1`
    is a spike of one sample."""
    name, lanes = _name(call)
    how, number = call["how"], 0.0
    if how in (How.CODE.value, UNAVAILABLE):
        code = _unavailable(name) if how == UNAVAILABLE else call["code"]
        if code is None or not 0 <= code <= 0xFFFF:
            raise refuse(code, "a code from 0 to 65535", "code")
        how, number = How.CODE.value, float(code)
    elif how != How.STALE.value:
        if call["value"] is None:
            raise refuse("nothing", f"a value for how: {how}", "value")
        number = value_of(call["value"])
    return arm_rule(call, monitors, Misread(name, How(how), call.occasions, number, lanes, call["flags"]))


@action(
    "mon.thresholds",
    {
        "port": PORT,
        "monitor": Argument(Kind.CHOICE, "whose thresholds", required=True, choices=(*_MODULE, *_LANES)),
        "how": Argument(
            Kind.CHOICE,
            "swap: high and low exchanged; zero: all 0000h; ones: all FFFFh",
            required=True,
            choices=("swap", "zero", "ones"),
        ),
    },
)
def thresholds(call: Call) -> Undo:
    """The thresholds of a monitor are wrong, for hosts and for the module's own flags."""
    regmap = load_maps()
    fields = [regmap.field(f"{call['monitor']}{kind}Threshold") for kind in KINDS]
    at = [field.at - PAGE_BYTES for field in fields]
    how = call["how"]

    def patch(_: int, data: bytearray) -> None:
        old = [bytes(data[index : index + 2]) for index in at]
        high_alarm, low_alarm, high, low = old
        swapped = [low_alarm, high_alarm, low, high]
        new = swapped if how == "swap" else [b"\0\0" if how == "zero" else b"\xff\xff"] * len(old)
        for index, code in zip(at, new, strict=True):
            data[index : index + 2] = code

    return arm_rule(call, _statics, Misprint(frozenset({fields[0].page}), patch))


def _statics(faults: ModuleFaults) -> StaticFaults:
    return faults.statics
