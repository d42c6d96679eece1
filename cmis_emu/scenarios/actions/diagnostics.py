"""Faults of diagnostics: diag.selector, diag.lock, diag.ber, diag.counters, diag.refuse, diag.loopback."""

from __future__ import annotations

from cmis_emu.clock import seconds
from cmis_emu.module.diagnostics.faults import (
    BadChecker,
    DiagnosticFaults,
    LoopbackRefusal,
    Refusal,
    SelectorLag,
    Trouble,
)
from cmis_emu.module.diagnostics.pattern_controls import Engine
from cmis_emu.module.faults.monitors import How, Misread
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.port import pattern_code
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action
from cmis_emu.scenarios.actions.monitors import monitors
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, lanes_of
from cmis_emu.scenarios.units import CHANCE, DURATION

_SIDES = {"host": Side.HOST, "media": Side.MEDIA}
_ENGINES = {"generator": Engine.GENERATOR, "checker": Engine.CHECKER}
_LOOPBACKS = {
    "media-output": Loopback.MEDIA_OUTPUT,
    "media-input": Loopback.MEDIA_INPUT,
    "host-output": Loopback.HOST_OUTPUT,
    "host-input": Loopback.HOST_INPUT,
}
_SIDE = Argument(Kind.CHOICE, "of which side", default="media", choices=tuple(_SIDES))


def _diagnostics(faults: ModuleFaults) -> DiagnosticFaults:
    return faults.diagnostics


@action(
    "diag.selector",
    {"port": PORT, "latency": Argument(DURATION, "from the write to the new results", required=True)},
    counted=True,
)
def selector(call: Call) -> Undo:
    """After a write of the diagnostics selector the old results show for a while. An occasion is each write."""
    return arm_rule(call, _diagnostics, SelectorLag(seconds(call["latency"]), call.occasions))


@action("diag.lock", {"port": PORT, "side": _SIDE, "lanes": LANES})
def lock(call: Call) -> Undo:
    """Pattern checkers never lock, whatever reaches them."""
    return arm_rule(call, _diagnostics, BadChecker(Trouble.NO_LOCK, _SIDES[call["side"]], lanes_of(call)))


@action(
    "diag.ber",
    {"port": PORT, "side": _SIDE, "lanes": LANES, "ratio": Argument(CHANCE, "the ratio that reads", default=1.0)},
    counted=True,
)
def ber(call: Call) -> Undo:
    """Checkers have lock and count as ever, and yet the error ratio reads so."""
    name = f"BER{_SIDES[call['side']].value}Lane"
    return arm_rule(call, monitors, Misread(name, How.VALUE, call.occasions, call["ratio"], lanes_of(call)))


@action("diag.counters", {"port": PORT, "side": _SIDE, "lanes": LANES})
def counters(call: Call) -> Undo:
    """Error counts are not cleared, neither by a new start nor by ResetErrorInformation."""
    return arm_rule(call, _diagnostics, BadChecker(Trouble.KEEPS, _SIDES[call["side"]], lanes_of(call)))


@action(
    "diag.refuse",
    {
        "port": PORT,
        "side": _SIDE,
        "engine": Argument(Kind.CHOICE, "which engine", default="generator", choices=tuple(_ENGINES)),
        "pattern": Argument(Kind.TEXT, "such as prbs31q; any without it"),
    },
)
def refuse(call: Call) -> Undo:
    """An engine does not run with a pattern that is advertised: it says that it has no lock."""
    codes = None if call["pattern"] is None else frozenset({pattern_code(call["pattern"])})
    return arm_rule(call, _diagnostics, Refusal(_SIDES[call["side"]], _ENGINES[call["engine"]].value, codes))


@action(
    "diag.loopback",
    {
        "port": PORT,
        "kind": Argument(Kind.CHOICE, "which loopback; any without it", choices=tuple(_LOOPBACKS)),
        "single": Argument(Kind.FLAG, "only requests that are not for all lanes", default=True),
    },
    counted=True,
)
def loopback(call: Call) -> Undo:
    """A request for a loopback does not stick: its bits read back 0. An occasion is each request."""
    kinds = frozenset(_LOOPBACKS.values() if call["kind"] is None else {_LOOPBACKS[call["kind"]]})
    return arm_rule(call, _diagnostics, LoopbackRefusal(kinds, call.occasions, call["single"]))
