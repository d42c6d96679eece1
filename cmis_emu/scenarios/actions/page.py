"""Actions on page selects: lost, serving another page, slow. An occasion is a host's write of PageSelect."""

from __future__ import annotations

from cmis_emu.clock import seconds
from cmis_emu.module.faults.pages import Selects, SlowPage, StuckSelect, WrongPage
from cmis_emu.port import Port
from cmis_emu.registers.memory import SelectFault
from cmis_emu.registers.place import Place
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.units import DURATION

PORT = Argument(Kind.PORT, "The cage.", required=True)
PAGE = Argument(Kind.PLACE, "Only selects of this page, such as 11h or 11h/1. Without it all.")
UNSUPPORTED = Argument(Kind.FLAG, "Only selects of pages that the module lacks.", default=False)


class _OnSelects:
    """A page select fault, kept by the port."""

    def __init__(self, fault: SelectFault) -> None:
        self._fault = fault

    def attach(self, port: Port) -> None:
        memory = port.module.memory
        if self._fault not in memory.select_faults:
            memory.select_faults = (*memory.select_faults, self._fault)

    def detach(self, port: Port) -> None:
        if port.occupant is None:
            return
        memory = port.occupant.memory
        self._fault.reset(memory)
        memory.select_faults = tuple(each for each in memory.select_faults if each is not self._fault)
        memory.remap()


def _selects(call: Call) -> Selects:
    return Selects(call["page"], call["unsupported"])


@action("page.stuck", {"port": PORT, "page": PAGE, "unsupported": UNSUPPORTED}, counted=True)
def stuck(call: Call) -> Undo:
    """A page select is lost: acknowledged, and both the select bytes and the page stay what they were."""
    return armed_on_port(call, _OnSelects(StuckSelect(_selects(call), call.occasions)))


@action(
    "page.ignored",
    {
        "port": PORT,
        "page": PAGE,
        "unsupported": UNSUPPORTED,
        "serves": Argument(Kind.PLACE, "The page that is read instead.", default=Place(0, 128, 255)),
        "keeps": Argument(Kind.FLAG, "Instead of that, the page that was there before.", default=False),
    },
    counted=True,
)
def ignored(call: Call) -> Undo:
    """Another page is served than the one that the select bytes tell."""
    serves: Place = call["serves"]
    if serves.page < 0:
        raise refuse(serves, "a page of the upper half", "serves")
    found = None if call["keeps"] else (serves.page, serves.bank or 0)
    return armed_on_port(call, _OnSelects(WrongPage(_selects(call), call.occasions, found)))


@action(
    "page.slow",
    {
        "port": PORT,
        "page": PAGE,
        "unsupported": UNSUPPORTED,
        "time": Argument(DURATION, "How long it takes.", required=True),
        "meanwhile": Argument(
            Kind.CHOICE,
            "What a host meets until then: the old page, or a module that refuses every access.",
            default="old",
            choices=("old", "refused"),
        ),
    },
    counted=True,
)
def slow(call: Call) -> Undo:
    """A page change takes its time, although the select bytes read as written at once."""
    port = call.port

    def refuse_access(duration_ns: int) -> None:
        port.module.hold_off(duration_ns)

    hold_off = refuse_access if call["meanwhile"] == "refused" else None
    fault = SlowPage(_selects(call), call.occasions, seconds(call["time"]), call.world.clock, hold_off)
    return armed_on_port(call, _OnSelects(fault))
