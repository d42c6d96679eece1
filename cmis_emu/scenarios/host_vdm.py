"""Programs of hosts that read VDM: an observable that must be so, and statistics that are frozen while they are read.

Owns how such a host finds an instance: by the support bit, the number of groups and the descriptors, never by a place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

from cmis_emu.errors import InputError
from cmis_emu.module.vdm.observables import MODULE_RESOURCE, Observable, observables
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, program
from cmis_emu.scenarios.host_expects import HOW, judge
from cmis_emu.scenarios.model import Comparison
from cmis_emu.scenarios.programs import READY
from cmis_emu.scenarios.units import BYTE, DURATION, NUMBER
from cmis_emu.scenarios.values import near

DESCRIPTORS, SAMPLES, CONTROLS, INSTANCES = 0x20, 0x24, 0x2F, 64
FREEZE, FREEZE_DONE, UNFREEZE_DONE = 0x80, 0x80, 0x40  # bytes 144 and 145
_UNAVAILABLE = {True: 0x8000, False: 0xFFFF}  # the code of no value, of a signed type or not

_ARGUMENTS = {
    "port": Argument(Kind.PORT, "whose module", required=True),
    "observable": Argument(Kind.TEXT, "which, such as esnr_media or pre_fec_ber_current_media", required=True),
    "lanes": Argument(Kind.LANES, "of which lanes, or first host lanes of data paths; without it all that there are"),
    "above": Argument(NUMBER, "it must be above this: dB, %, MHz, degC, or a ratio"),
    "below": Argument(NUMBER, "it must be below this"),
    "bank": Argument(BYTE, "bank of the pages", default=0),
}


def _known(given: Mapping[str, Any]) -> None:
    known = observables(load_maps())
    if given["observable"] not in known:
        raise InputError(
            repr(given["observable"]), f"an observable of VDM{near(given['observable'], known)}", field="observable"
        )


def _some_bound(given: Mapping[str, Any]) -> None:
    _known(given)
    if given["above"] is None and given["below"] is None:
        raise InputError("no comparison", "above, below, or both")


def find(host: Host, given: Mapping[str, Any]) -> Generator[float, None, dict[str, tuple[int, int]]]:
    """Page and byte of each instance that is meant, by its lane; HostFailure for one that is not there."""
    if not (yield from host.get("VDMPagesSupported")):
        raise HostFailure("VDM is not supported")
    code = _observable(host, given).code
    found: dict[int, tuple[int, int]] = {}
    for group in range((yield from host.get("VDMSupport")) + 1):
        rows = yield from host.read(DESCRIPTORS + group, 128, 2 * INSTANCES)
        for place in range(INSTANCES):
            if rows[2 * place + 1] == code:
                resource = rows[2 * place] & 15
                lane = 0 if resource == MODULE_RESOURCE else resource + 1
                found[lane] = SAMPLES + group, 128 + 2 * place
    wanted = given["lanes"] or sorted(found)
    gone = [lane for lane in wanted if lane not in found]
    if gone or not found:
        lanes = f" of lane {', '.join(str(lane) for lane in gone)}" if gone else ""
        raise HostFailure(f"there is no {given['observable']}{lanes}")
    return {_title(lane): found[lane] for lane in wanted}


def _observable(host: Host, given: Mapping[str, Any]) -> Observable:
    return observables(host.maps)[given["observable"]]


def _title(lane: int) -> str:
    return f"{lane}: " if lane else ""


def _values(
    host: Host, given: Mapping[str, Any], places: Mapping[str, tuple[int, int]]
) -> Generator[float, None, dict[str, float]]:
    """Values by lane; HostFailure for a code that says that there is none."""
    observable = _observable(host, given)
    found = {}
    for title, (page, at) in places.items():
        code = int.from_bytes((yield from host.read(page, at, 2, given["bank"])), "big")
        if code == _UNAVAILABLE[observable.signed]:
            raise HostFailure(f"{title}no value ({code:04X}h)")
        found[title] = observable.decode(code)
    return found


def _told(found: Mapping[str, float]) -> str:
    return ", ".join(f"{title}{value:.4g}" for title, value in found.items())


@program("host.expect_vdm", {**_ARGUMENTS, **HOW}, check=_some_bound)
def expect_vdm(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read an observable of VDM, found by its descriptors; fail when it is not as it must be, or has no value."""
    comparison = Comparison("between", low=given["above"], high=given["below"])

    def look() -> Generator[float, None, tuple[bool, str]]:
        found = yield from _values(host, given, (yield from find(host, given)))
        return all(comparison.holds(value) for value in found.values()), _told(found)

    return (yield from judge(host, look, given))


# -- statistics ----------------------------------------------------------------------------------------------


@program(
    "host.statistics",
    {
        **_ARGUMENTS,
        "freeze": Argument(Kind.FLAG, "freeze them while they are read", default=True),
        "ready": Argument(Kind.FLAG, "freeze only a module that is in ModuleReady", default=False),
        "settle": Argument(DURATION, "how long to wait before the done bit is looked at", default=0.01),
        "limit": Argument(DURATION, "how long to wait for the done bit", default=0.1),
        "insist": Argument(Kind.FLAG, "without the done bit it is an error; else it goes on", default=True),
        "changes": Argument(Kind.FLAG, "the done bit of the request before must go away first", default=False),
        "hold": Argument(DURATION, "read them again so much later, still frozen: they must not have moved"),
    },
    check=_known,
)  # fmt: skip
def statistics(host: Host, given: Mapping[str, Any]) -> Telling:
    """Freeze the statistics of VDM, read them, and let them run again, as a poll of error ratios does."""
    low = -math.inf if given["above"] is None else given["above"]
    comparison = Comparison("between", low=low, high=given["below"])
    if given["ready"] and (yield from host.get("ModuleState")) != READY:
        raise HostFailure("the module is not ready, so nothing is frozen")
    places = yield from find(host, given)
    frozen = given["freeze"] and (yield from _request(host, given, FREEZE, FREEZE_DONE))
    found = yield from _values(host, given, places)
    if given["hold"] is not None:
        yield given["hold"]
        again = yield from _values(host, given, places)
        if again != found:
            raise HostFailure(f"moved from {_told(found)} to {_told(again)}")
    if given["freeze"]:
        yield from _request(host, given, 0, UNFREEZE_DONE)
    if not all(comparison.holds(value) for value in found.values()):
        raise HostFailure(f"found {_told(found)}")
    return f"found {_told(found)}{'' if frozen or not given['freeze'] else ', not frozen'}"


def _request(host: Host, given: Mapping[str, Any], control: int, done: int) -> Generator[float, None, bool]:
    """Freeze or unfreeze, with the other controls left as they are; was it confirmed?"""
    other = UNFREEZE_DONE if done == FREEZE_DONE else FREEZE_DONE
    controls = yield from host.read(CONTROLS, 144, 1)
    yield from host.write(CONTROLS, 144, bytes([controls[0] & ~FREEZE | control]))
    yield given["settle"]
    try:
        yield from host.until(_bits(host, done, done), _NAMES[done], given["limit"], 0.001)
        if given["changes"]:
            yield from host.until(_bits(host, other, 0), f"an end of {_NAMES[other]}", given["limit"], 0.001)
    except HostFailure:
        if given["insist"]:
            raise
        return False
    return True


_NAMES = {FREEZE_DONE: "FreezeDone", UNFREEZE_DONE: "UnfreezeDone"}


def _bits(host: Host, mask: int, wanted: int) -> Callable[[], Generator[float, None, bool]]:
    def look() -> Generator[float, None, bool]:
        return ((yield from host.read(CONTROLS, 145, 1))[0] & mask) == wanted

    return look
