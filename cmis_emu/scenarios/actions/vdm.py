"""Faults of VDM: vdm.freeze, vdm.layout."""

from __future__ import annotations

from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.faults.static_bytes import Misprint, StaticFaults
from cmis_emu.module.vdm.faults import BadFreeze, Freezes, Hole, VdmFaults
from cmis_emu.module.vdm.observables import observables
from cmis_emu.module.vdm.plan import GROUPS
from cmis_emu.registers.field import PAGE_BYTES
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, refuse
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, both, lanes_of, nanoseconds
from cmis_emu.scenarios.units import COUNT, DURATION

_REQUESTS = {"freeze": True, "unfreeze": False, "both": None}
_DESCRIPTORS = range(0x20, 0x20 + GROUPS)


def _vdm(faults: ModuleFaults) -> VdmFaults:
    return faults.vdm


def _statics(faults: ModuleFaults) -> StaticFaults:
    return faults.statics


@action(
    "vdm.freeze",
    {
        "port": PORT,
        "how": Argument(
            Kind.CHOICE,
            "never: a request has no effect; late: it takes `time`; sticks: the done bit of the request before goes "
            "away `time` late, or never; stops: after a write to the controls nothing is reported until a reset",
            required=True,
            choices=tuple(each.value for each in Freezes),
        ),
        "request": Argument(Kind.CHOICE, "which requests", default="both", choices=tuple(_REQUESTS)),
        "time": Argument(DURATION, "for late and sticks"),
    },
    counted=True,
)
def freeze(call: Call) -> Undo:
    """Freezing the statistics goes wrong. An occasion is a request, or for stops a write to the controls."""
    how = Freezes(call["how"])
    if how is Freezes.LATE and call["time"] is None:
        raise refuse("nothing", "a time for how: late", "time")
    return arm_rule(call, _vdm, BadFreeze(how, call.occasions, _REQUESTS[call["request"]], nanoseconds(call["time"])))


@action(
    "vdm.layout",
    {
        "port": PORT,
        "what": Argument(
            Kind.CHOICE,
            "holes: instances are not there; groups: another number of groups is advertised; support: the support "
            "bit is taken away though all pages are there",
            required=True,
            choices=("holes", "groups", "support"),
        ),
        "observable": Argument(Kind.TEXT, "holes: of this observable, such as esnr_media; a star stands for any text"),
        "lanes": LANES,
        "instances": Argument(Kind.LANES, "holes: these numbers, counted over all groups from 1"),
        "groups": Argument(COUNT, "how many are advertised, 1 to 4", default=GROUPS),
    },
)
def layout(call: Call) -> Undo:
    """VDM is not laid out as it should be. Holes take descriptors, values and flags away; the rest is advertised
    wrongly while the module does what it did."""
    if call["what"] == "holes":
        return _holes(call)
    if call["what"] == "groups":
        if not 1 <= call["groups"] <= GROUPS:
            raise refuse(call["groups"], f"1 to {GROUPS} groups", "groups")
        return _advertise(call, "VDMSupport", call["groups"] - 1)
    return _advertise(call, "VDMPagesSupported", 0)


def _holes(call: Call) -> Undo:
    pattern = call["observable"]
    names = None
    codes = frozenset(range(1, 256))
    if pattern is not None:
        found = [each for each in observables(load_maps()).values() if _fits(each.name, pattern)]
        if not found:
            raise refuse(pattern, "an observable of VDM, such as esnr_media or pre_fec_ber_*_media", "observable")
        names, codes = frozenset(each.name for each in found), frozenset(each.code for each in found)
    lanes, numbers = lanes_of(call), lanes_of(call, "instances")
    if names is None and lanes is None and numbers is None:
        raise refuse("nothing", "an observable, lanes or instances", "observable")

    def patch(page: int, data: bytearray) -> None:
        for place in range(PAGE_BYTES // 2):
            resource, code = data[2 * place] & 15, data[2 * place + 1]
            number = (page - _DESCRIPTORS.start) * PAGE_BYTES // 2 + place + 1
            mine = code in codes and (lanes is None or resource + 1 in lanes)
            if mine and (numbers is None or number in numbers):
                data[2 * place : 2 * place + 2] = b"\0\0"

    gone = arm_rule(call, _vdm, Hole(names, lanes, numbers))
    return both(gone, arm_rule(call, _statics, Misprint(frozenset(_DESCRIPTORS), patch)))


def _fits(name: str, pattern: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return name == pattern
    return name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after)


def _advertise(call: Call, name: str, code: int) -> Undo:
    field = load_maps().field(name)
    first, _, msb, lsb = field.element(1)
    mask = (1 << (msb + 1)) - (1 << lsb)

    def patch(_: int, data: bytearray) -> None:
        data[first - PAGE_BYTES] = data[first - PAGE_BYTES] & ~mask & 0xFF | code << lsb

    return arm_rule(call, _statics, Misprint(frozenset({field.page}), patch))
