"""Programs of hosts that read what a module says of itself: identity, applications, thresholds, laser temperature.

They end with what they found, or fail over what no host can use.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.registers.field import LOWER
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, program
from cmis_emu.scenarios.units import BYTE, COUNT, DURATION

_PORT = Argument(Kind.PORT, "whose module", required=True)
PRINTABLE = range(0x20, 0x7F)
VDM_LASER_TEMPERATURE = 4
MONITORS = ("TempMon", "VccMon", "Aux1Mon", "Aux2Mon", "Aux3Mon", "CustomMon",
            "OpticalPowerTx", "LaserBiasTx", "OpticalPowerRx")  # fmt: skip
LEVELS = ("HighAlarm", "HighWarning", "LowWarning", "LowAlarm")


# -- identity ----------------------------------------------------------------------------------------------


@program(
    "host.identify",
    {
        "port": _PORT,
        "attempts": Argument(COUNT, "how often to read it until it is sound", default=1),
        "pause": Argument(DURATION, "from one attempt to the next", default=1.0),
        "twice": Argument(Kind.FLAG, "believe it only when two attempts in a row agree", default=False),
        "lenient": Argument(Kind.FLAG, "a byte that is no text becomes a question mark", default=False),
        "checksum": Argument(Kind.FLAG, "page 00h must fit its checksum", default=True),
        "known": Argument(Kind.FLAG, "the identifier must be one with a name, alike in both places", default=True),
    },
)
def identify(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read who made the module (lower memory and page 00h) and judge it: identifier, checksum, text."""
    before: str | None = None
    why = "nothing"
    for number in range(max(1, given["attempts"])):
        if number:
            yield given["pause"]
        try:
            found = yield from identity(host, given)
        except HostFailure as error:
            before, why = None, str(error)
            continue
        if not given["twice"] or found == before:
            return found
        before, why = found, f"{found}, read once only"
    raise HostFailure(why)


def identity(host: Host, given: Mapping[str, Any]) -> Telling:
    """One reading: vendor, part number, serial number, revision and identifier, or HostFailure."""
    low = yield from host.read(LOWER, 0, 3)
    page = yield from host.read(0, 128, 95)
    names = host.maps.enums["sff8024_identifier"]
    if given["known"] and (low[0] not in names or low[0] == 0 or page[0] != low[0]):
        raise HostFailure(f"identifier {low[0]:02X}h and {page[0]:02X}h")
    if given["checksum"] and sum(page[:94]) & 0xFF != page[94]:
        raise HostFailure(f"checksum of page 00h is {page[94]:02X}h, {sum(page[:94]) & 0xFF:02X}h of the bytes")
    texts = []
    for field, first, size in (("VendorName", 1, 16), ("VendorPN", 20, 16), ("VendorSN", 38, 16), ("date", 54, 8)):
        raw = page[first : first + size]
        wrong = [byte for byte in raw if byte not in PRINTABLE]
        if wrong and not given["lenient"]:
            raise HostFailure(f"{field} has the byte {wrong[0]:02X}h")
        texts.append("".join(chr(byte) if byte in PRINTABLE else "?" for byte in raw).strip())
    flat = ", flat memory" if low[2] & 0x80 else ""
    kind = names.get(low[0], f"identifier {low[0]:02X}h")
    return f"{' '.join(texts)}, CMIS {low[1] >> 4}.{low[1] & 15}, {kind}{flat}"


# -- applications ------------------------------------------------------------------------------------------


@program(
    "host.applications",
    {
        "port": _PORT,
        "host_interface": Argument(BYTE, "only with this code of the host interface"),
        "lanes": Argument(COUNT, "only with so many host lanes"),
    },
)
def applications(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read the application descriptors and tell those that fit, by AppSel; fail when none does."""
    flat = (yield from host.read(LOWER, 2, 1))[0] & 0x80
    rows = yield from host.read(LOWER, 86, 32)
    if not flat:
        rows += yield from host.read(1, 223, 28)
    names = host.maps.enums["host_interface_id"]
    found = []
    for number in range(len(rows) // 4):
        code, media, lanes, _ = rows[4 * number : 4 * number + 4]
        if code == 0xFF:
            break
        if given["host_interface"] not in (None, code) or given["lanes"] not in (None, lanes >> 4):
            continue
        name = names.get(code, f"unknown {code:02X}h")
        found.append(f"AppSel {number + 1} {name}{'' if media else ' media undefined'} {lanes >> 4} lanes")
    if not found:
        raise HostFailure("no such application")
    return ", ".join(found)


# -- monitors ----------------------------------------------------------------------------------------------


def advertised(host: Host) -> Generator[float, None, list[str]]:
    """Names of the monitors that the module says it has; none with flat memory."""
    if (yield from host.get("MemoryModel")):
        return []
    found = []
    for name in MONITORS:
        supported = yield from host.get(_support(name))
        if supported:
            found.append(name)
    return found


def _support(name: str) -> str:
    return f"{name}Supported" if name.endswith("Mon") else f"{name}MonSupported"


@program("host.monitors", {"port": _PORT})
def monitors(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read the monitors that are advertised, and no others; tell them by name."""
    found = yield from advertised(host)
    told = []
    for name in found:
        field = {"TempMon": "TempMonValue", "VccMon": "VccMonVoltage"}.get(
            name, f"{name}Value" if name.endswith("Mon") else name
        )
        value = yield from host.get(field)
        lanes = value if isinstance(value, list) else [value]
        told.append(f"{name} {' '.join(f'{each:.4g}' for each in lanes)}")
    return ", ".join(told) or "no monitors"


@program("host.thresholds", {"port": _PORT})
def thresholds(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read the thresholds of the monitors that are advertised; fail when alarms and warnings are in a wrong order.

    A monitor whose four thresholds are all 0, or all ones, has none."""
    found = yield from advertised(host)
    if not found:
        raise HostFailure("no monitors")
    page = yield from host.read(2, 128, 128)
    none, sound = [], []
    for name in found:
        if name not in _THRESHOLDS:
            continue
        at, signed = _THRESHOLDS[name]
        raw = page[at : at + 8]
        high_alarm, low_alarm, high_warning, low_warning = (
            int.from_bytes(raw[i : i + 2], "big", signed=signed) for i in (0, 2, 4, 6)
        )
        if raw in (bytes(8), b"\xff" * 8):
            none.append(name)
        elif high_alarm >= high_warning > low_warning >= low_alarm:
            sound.append(name)
        else:
            levels = ", ".join(str(each) for each in (high_alarm, high_warning, low_warning, low_alarm))
            raise HostFailure(f"thresholds of {name} from high alarm to low alarm are {levels}")
    return f"thresholds of {', '.join(sound) or 'nothing'}" + (f", not applicable {', '.join(none)}" if none else "")


_THRESHOLDS = {"TempMon": (0, True), "VccMon": (8, False), "OpticalPowerTx": (48, False),
               "LaserBiasTx": (56, False), "OpticalPowerRx": (64, False)}  # fmt: skip
"""Offset on page 02h of the first of four thresholds, and whether they are signed; those that need no more."""


@program("host.laser_temperature", {"port": _PORT})
def laser_temperature(host: Host, given: Mapping[str, Any]) -> Telling:
    """Find the temperatures of lasers where the module says they are: Aux 2, Aux 3, VDM; fail when it has none."""
    found = []
    supported = yield from advertised(host)
    for number in (2, 3):
        if f"Aux{number}Mon" in supported and not (yield from host.get(f"Aux{number}MonObservable")):
            code = yield from host.get(f"Aux{number}MonValue")
            found.append(f"Aux{number} {code / 256:.0f} degC")
    if (yield from host.get("VDMPagesSupported")):
        groups = (yield from host.get("VDMSupport")) + 1
        for group in range(groups):
            descriptors = yield from host.read(0x20 + group, 128, 128)
            for number in range(64):
                if descriptors[2 * number + 1] == VDM_LASER_TEMPERATURE:
                    raw = yield from host.read(0x24 + group, 128 + 2 * number, 2)
                    code = int.from_bytes(raw, "big", signed=True)
                    found.append(f"VDM {64 * group + number + 1} {code / 256:.0f} degC")
    if not found:
        raise HostFailure("no laser temperature")
    return ", ".join(found)
