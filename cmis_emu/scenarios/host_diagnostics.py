"""Programs of hosts that use the diagnostics: a test pattern and its error ratio, and loopbacks (rules DIAG-*).

Owns the order of such a test: support, patterns, engines, time, selector, wait, results, locks, and off again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.errors import InputError
from cmis_emu.port import pattern_code
from cmis_emu.registers.encoding import decode_f16
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, Work, program
from cmis_emu.scenarios.programs import mask
from cmis_emu.scenarios.units import BYTE, CHANCE, DURATION

CONTROLS, RESULTS = 0x13, 0x14
BER_NOW = 1  # a code of the selector
_FIRST = {"host": (144, 160), "media": (152, 168)}  # bytes of generator and checker
_RATIOS = {"host": 192, "media": 208}
_NO_LOCK = {"host": 136, "media": 137}  # flags of the generators; those of the checkers are two further on
_LOOPBACKS = {"media-output": (180, 0), "media-input": (181, 1), "host-output": (182, 2), "host-input": (183, 3)}
_PER_LANE = {"media": 5, "host": 4}  # bits of byte 128

_PORT = Argument(Kind.PORT, "whose module", required=True)
_BANK = Argument(BYTE, "bank of the pages", default=0)


def _known_pattern(given: Mapping[str, Any]) -> None:
    try:
        pattern_code(given["pattern"])
    except InputError as error:
        raise InputError(error.found, error.expected, field="pattern") from None


def _supported(host: Host) -> Work:
    if not (yield from host.get("DiagnosticPagesSupported")):
        raise HostFailure("there are no diagnostics")


@program(
    "host.test_pattern",
    {
        "port": _PORT,
        "side": Argument(Kind.CHOICE, "of which side", default="media", choices=tuple(_FIRST)),
        "lanes": Argument(Kind.LANES, "which lanes", default=(1, 2, 3, 4)),
        "pattern": Argument(Kind.TEXT, "which pattern", default="prbs31q"),
        "time": Argument(DURATION, "how long the test runs before it is read", default=2.0),
        "settle": Argument(DURATION, "how long to wait after the selector was written", default=0.01),
        "below": Argument(CHANCE, "error ratios must be below this", default=1e-3),
        "lock": Argument(Kind.FLAG, "without lock it is an error", default=True),
        "bank": _BANK,
    },
    check=_known_pattern,
)
def pattern_test(host: Host, given: Mapping[str, Any]) -> Telling:
    """Send a test pattern from lanes and check what comes in, such as over a loop; tell the error ratios."""
    yield from _supported(host)
    side, lanes, bank = given["side"], given["lanes"], given["bank"]
    code = pattern_code(given["pattern"])
    for first in _FIRST[side]:
        yield from host.write(CONTROLS, first + 4, bytes([code * 0x11] * 4), bank)
        yield from host.write(CONTROLS, first, bytes([mask(lanes)]), bank)
    wrong: HostFailure | None = None
    told = ""
    try:
        yield 0.2
        yield from host.read(RESULTS, 134, 6, bank)  # what was latched while it began
        yield given["time"]
        told = yield from _results(host, given, lanes)
    except HostFailure as error:
        wrong = error
    for first in _FIRST[side]:
        yield from host.write(CONTROLS, first, bytes(1), bank)
    if wrong is not None:
        raise wrong
    return told


def _results(host: Host, given: Mapping[str, Any], lanes: tuple[int, ...]) -> Telling:
    side, bank = given["side"], given["bank"]
    yield from host.write(RESULTS, 128, bytes([BER_NOW]), bank)
    yield given["settle"]
    selector = yield from host.read(RESULTS, 128, 1, bank)
    raw = yield from host.read(RESULTS, _RATIOS[side], 16, bank)
    after = yield from host.read(RESULTS, 128, 1, bank)
    if selector[0] != BER_NOW or after[0] != BER_NOW:
        raise HostFailure(f"the selector is {after[0]} now")
    ratios = {lane: decode_f16(int.from_bytes(raw[2 * lane - 2 : 2 * lane], "big")) for lane in lanes}
    told = ", ".join(f"{lane}: {ratio:.2g}" for lane, ratio in ratios.items())
    flags = yield from host.read(RESULTS, _NO_LOCK[side], 3, bank)
    unlocked = [lane for lane in lanes if (flags[0] | flags[2]) >> (lane - 1) & 1]
    if unlocked and given["lock"]:
        raise HostFailure(f"no lock on lanes {', '.join(str(lane) for lane in unlocked)}")
    if any(ratio >= given["below"] for ratio in ratios.values()):
        raise HostFailure(f"found {told}")
    return f"found {told}"


@program(
    "host.loopback",
    {
        "port": _PORT,
        "kind": Argument(Kind.CHOICE, "which loopback", required=True, choices=tuple(_LOOPBACKS)),
        "lanes": Argument(Kind.LANES, "of which lanes", default=tuple(range(1, 9))),
        "asks": Argument(Kind.FLAG, "first look whether the module offers it, and for single lanes", default=True),
        "bank": _BANK,
    },
)
def loopback(host: Host, given: Mapping[str, Any]) -> Telling:
    """Ask for a loopback on lanes, and read back whether it was taken."""
    yield from _supported(host)
    at, bit = _LOOPBACKS[given["kind"]]
    wanted = mask(given["lanes"])
    if given["asks"]:
        offered = (yield from host.read(CONTROLS, 128, 1))[0]
        if not offered >> bit & 1:
            raise HostFailure("not offered")
        if len(given["lanes"]) == 1 and not offered >> _PER_LANE[given["kind"].partition("-")[0]] & 1:
            raise HostFailure("not offered for single lanes")
    yield from host.write(CONTROLS, at, bytes([wanted]), given["bank"])
    found = yield from _one(host, at, given["bank"])
    if found != wanted:
        raise HostFailure(f"asked for {wanted:02X}h, found {found:02X}h")
    return f"{found:02X}h is in force"


def _one(host: Host, at: int, bank: int) -> Generator[float, None, int]:
    return (yield from host.read(CONTROLS, at, 1, bank))[0]
