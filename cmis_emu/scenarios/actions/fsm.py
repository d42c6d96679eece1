"""Faults of the state machines: fsm.delay, fsm.stall, fsm.skip, fsm.spontaneous."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from cmis_emu.module.faults.machines import MODULE_FLAG, PATH_FLAG, PENDING, Linger, MachineFaults, Skip, Until
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.states import MSM_TRANSITIONS, STEADY, UNMANAGED, DpState, MsmState, transient_name
from cmis_emu.occasions import Occasions
from cmis_emu.port import Port
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, lanes_of, nanoseconds
from cmis_emu.scenarios.units import BYTE, DURATION, TEMPERATURE

_MODULE = tuple(state.value for state in MsmState if state not in UNMANAGED and state is not MsmState.FAULT)
_PATHS = tuple(kind + state.title[2:] for kind in ("DP", "NP") for state in DpState)
STATES = (MsmState.MGMT_INIT.value, *_MODULE, *_PATHS)
"""States of the module and of data paths and network paths that a fault can hold up."""

_STEADY = {"ModuleLowPwr", "ModuleReady", *(kind + state.title[2:] for kind in ("DP", "NP") for state in STEADY)}
_TRANSIENT = tuple(transient_name(state, kind) for kind in ("DP", "NP") for state in DpState if state not in STEADY)
_ENDS = {str(row["dest"].value) for row in MSM_TRANSITIONS} | set(_PATHS)

_STATE = Argument(Kind.CHOICE, "the state that is held up", required=True, choices=STATES)


def _machines(faults: ModuleFaults) -> MachineFaults:
    return faults.machines


@action(
    "fsm.delay",
    {
        "port": PORT,
        "state": _STATE,
        "to": Argument(Kind.TEXT, "of a steady state: only on the way to this one"),
        "time": Argument(DURATION, "how long the state really lasts", required=True),
        "random": Argument(DURATION, "up to so much longer, by chance", default=0.0),
        "lanes": LANES,
    },
    counted=True,
)
def delay(call: Call) -> Undo:
    """A state lasts another time than the module advertises. A transient one ends after this time, a steady one is
    left so much later. An occasion is each entry."""
    rule = Linger(
        frozenset({call["state"]}),
        call.occasions,
        lanes_of(call),
        nanoseconds(call["time"]),
        nanoseconds(call["random"]) or 0,
        Until.RESET,
        _way(call),
    )
    return arm_rule(call, _machines, rule)


def _way(call: Call) -> str | None:
    to: str | None = call["to"]
    if to is not None and call["state"] not in _STEADY:
        raise refuse(call["state"], f"a steady state ({', '.join(sorted(_STEADY))}) where `to` is given", "state")
    if to is not None and to not in _ENDS:
        raise refuse(to, f"a state: {', '.join(STATES)}", "to")
    return to


@action(
    "fsm.stall",
    {
        "port": PORT,
        "state": _STATE,
        "to": Argument(Kind.TEXT, "of a steady state: only on the way to this one"),
        "until": Argument(
            Kind.CHOICE,
            "what frees it beside clearing the fault: nothing, a reset, or a request to de-initialise too",
            default=Until.RESET.value,
            choices=tuple(each.value for each in Until),
        ),
        "lanes": LANES,
    },
    counted=True,
)
def stall(call: Call) -> Undo:
    """A machine gets stuck in a state. An occasion is each entry; every_nth and probability choose which."""
    until = Until(call["until"])
    states = frozenset({call["state"]})
    return arm_rule(call, _machines, Linger(states, call.occasions, lanes_of(call), None, 0, until, _way(call)))


@action(
    "fsm.skip",
    {
        "port": PORT,
        "what": Argument(
            Kind.CHOICE,
            "a transient state that lasts no time, or what never shows",
            required=True,
            choices=(
                *(state.value for state in (MsmState.PWR_UP, MsmState.PWR_DN)),
                *_TRANSIENT,
                PENDING,
                PATH_FLAG,
                MODULE_FLAG,
            ),
        ),
        "unchanged": Argument(Kind.FLAG, "DPInitPending: only where the application stays the same", default=False),
        "lanes": LANES,
    },
    counted=True,
)
def skip(call: Call) -> Undo:
    """Hosts never see it: a transient state takes no time and its end sets no flag; DPInitPending or a state changed
    flag never sets. An occasion is each time that it would show."""
    rule = Skip(frozenset({call["what"]}), call.occasions, lanes_of(call), call["unchanged"])
    return arm_rule(call, _machines, rule)


@dataclass(eq=False, slots=True)
class _Spontaneous:
    """Something that the module does by itself, at once or when it gets warm."""

    what: str
    cause: int
    above_c: float | None
    occasions: Occasions
    low_power: Rule

    def attach(self, port: Port) -> None:
        """A module is there."""
        if self.above_c is not None:
            port.module.trip(self, self.above_c, partial(self.strike, port))
        elif self.what == "low-power":
            self.strike(port)

    def detach(self, port: Port) -> None:
        """The fault is cleared."""
        if port.occupant is not None:
            port.occupant.untrip(self)
            port.occupant.faults.low_power.remove(self.low_power)

    def strike(self, port: Port) -> None:
        """It happens."""
        if port.occupant is None or not self.occasions.take():
            return
        if self.what == "reset":
            port.occupant.reset_itself()
        elif self.what == "fault":
            port.occupant.fault(self.cause)
        else:
            port.occupant.faults.low_power.add(self.low_power)

    def __deepcopy__(self, memo: object) -> _Spontaneous:
        return self  # the scenario's; no snapshot takes it back


@action(
    "fsm.spontaneous",
    {
        "port": PORT,
        "what": Argument(Kind.CHOICE, "what it does", required=True, choices=("reset", "low-power", "fault")),
        "cause": Argument(BYTE, "ModuleFaultCause of a fault", default=1),
        "above": Argument(TEMPERATURE, "each time that the case gets so warm; at once without it"),
    },
    counted=True,
)
def spontaneous(call: Call) -> Undo | None:
    """The module resets, drops to low power or finds a fault in itself, with nobody asking. Low power lasts until the
    fault is cleared, a module fault until a reset."""
    fault = _Spontaneous(call["what"], call["cause"], call["above"], call.occasions, Rule())
    if call["what"] == "fault" and not call["cause"]:
        raise refuse(0, "a cause from 1 to 255", "cause")
    if call["above"] is None and call["what"] != "low-power":
        call.port.module  # noqa: B018 - a port without a module is an error
        fault.strike(call.port)
        return None
    return armed_on_port(call, fault)
