"""Faults of controls and of applying them: ctrl.ignore, ctrl.delay, apply.result, apply.sideeffect."""

from __future__ import annotations

from typing import Any

from cmis_emu.module.control_sets import Trigger
from cmis_emu.module.faults.applying import ApplyFaults, Condition, Harm, Report, SideEffect
from cmis_emu.module.faults.controls import ControlFaults, Unheeded
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.states import UNMANAGED, DpState, MsmState
from cmis_emu.registers.field import Access
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, refuse
from cmis_emu.scenarios.arming import (
    FIELD,
    LANES,
    PORT,
    arm_rule,
    bits_of,
    field_of,
    lanes_of,
    nanoseconds,
    refuse_selects,
)
from cmis_emu.scenarios.units import COUNT, DURATION

_READS = Argument(
    Kind.CHOICE,
    "what a host reads meanwhile: what it wrote, or what was there",
    default="written",
    choices=("written", "old"),
)
_TRIGGERS = {
    "dp-init": Trigger.DP_INIT,
    "immediate": Trigger.IMMEDIATE,
    "immediate-tx": Trigger.IMMEDIATE_TX,
    "immediate-rx": Trigger.IMMEDIATE_RX,
}
_STATUS = {name: code for code, name in load_maps().enums["config_status"].items() if name != "custom"}
_CONDITIONS: dict[str, Argument] = {
    "app_sel": Argument(COUNT, "only where this AppSel is staged"),
    "staged_set": Argument(COUNT, "only of this staged set, 0 or 1"),
    "trigger": Argument(Kind.CHOICE, "only by this trigger", choices=tuple(_TRIGGERS)),
    "module_state": Argument(
        Kind.CHOICE, "only in this state of the module", choices=tuple(s.value for s in MsmState if s not in UNMANAGED)
    ),
    "path_state": Argument(
        Kind.CHOICE, "only where a data path of the lanes is in this state", choices=tuple(s.title for s in DpState)
    ),
    "while_another": Argument(Kind.FLAG, "only while another apply is in progress", default=False),
}


def _unheeded(call: Call, delay_ns: int | None) -> Undo:
    name = call["field"]
    refuse_selects(name)
    if field_of(name)[0].access is Access.RO:
        raise refuse(name, "a field that hosts write", "field")
    bits = bits_of(name, lanes_of(call))
    if not bits:
        raise refuse(call["lanes"], f"lanes of {name}", "lanes")
    return arm_rule(call, _controls, Unheeded(bits, call.occasions, delay_ns, call["reads"] == "written"))


def _controls(faults: ModuleFaults) -> ControlFaults:
    return faults.controls


def _applying(faults: ModuleFaults) -> ApplyFaults:
    return faults.applying


@action("ctrl.ignore", {"port": PORT, "field": FIELD, "lanes": LANES, "reads": _READS}, counted=True)
def ignore(call: Call) -> Undo:
    """The module does not act on what a host writes to a control. An occasion is each write that touches it. When
    the fault is cleared, a value that reads as written holds."""
    return _unheeded(call, None)


@action(
    "ctrl.delay",
    {
        "port": PORT,
        "field": FIELD,
        "lanes": LANES,
        "time": Argument(DURATION, "how much later", required=True),
        "reads": _READS,
    },
    counted=True,
)
def delay(call: Call) -> Undo:
    """The module acts late on what a host writes to a control. An occasion is each write that touches it."""
    return _unheeded(call, nanoseconds(call["time"]))


def _condition(call: Call) -> Condition:
    trigger = call["trigger"]
    return Condition(
        app_sel=call["app_sel"],
        staged_set=call["staged_set"],
        trigger=None if trigger is None else _TRIGGERS[trigger].value,
        module_state=call["module_state"],
        path_state=call["path_state"],
        another=call["while_another"],
    )


def _code(status: Any) -> int | None:
    return None if status is None else _STATUS[status]


@action(
    "apply.result",
    {
        "port": PORT,
        "lanes": LANES,
        "status": Argument(Kind.CHOICE, "the status that shows; as judged without it", choices=tuple(_STATUS)),
        "in_progress": Argument(DURATION, "how long ConfigInProgress shows"),
        "lasts": Argument(DURATION, "after so long the right status shows; never without it"),
        "applied": Argument(Kind.FLAG, "is it carried out all the same? Without it: unless a rejection is told"),
        **_CONDITIONS,
    },
    counted=True,
)
def result(call: Call) -> Undo:
    """Lanes report a status that is not so when a staged set is applied, or report it late. An occasion is each group
    of lanes that a trigger configures together. Lanes that show ConfigInProgress take no further trigger."""
    rule = Report(
        call.occasions,
        _condition(call),
        lanes_of(call),
        _code(call["status"]),
        nanoseconds(call["in_progress"]),
        nanoseconds(call["lasts"]),
        call["applied"],
    )
    return arm_rule(call, _applying, rule)


@action(
    "apply.sideeffect",
    {
        "port": PORT,
        "what": Argument(
            Kind.CHOICE,
            "DPInitPending of others is cleared, others initialise anew, or what is applied next is refused",
            required=True,
            choices=tuple(each.value for each in Harm),
        ),
        "lanes": Argument(Kind.LANES, "who suffers; everybody else without it"),
        "time": Argument(DURATION, "how long what is applied next is refused", default=0.5),
        "status": Argument(Kind.CHOICE, "with this status", default="ConfigRejected", choices=tuple(_STATUS)),
        **_CONDITIONS,
    },
    counted=True,
)
def sideeffect(call: Call) -> Undo:
    """Applying a staged set to some lanes breaks something elsewhere. An occasion is each apply that succeeds."""
    rule = SideEffect(
        call.occasions,
        _condition(call),
        Harm(call["what"]),
        lanes_of(call),
        nanoseconds(call["time"]) or 0,
        _code(call["status"]) or 0,
    )
    return arm_rule(call, _applying, rule)
