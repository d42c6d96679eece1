"""Actions on what a host reads from the memory: bytes that are wrong, maps that are not filled in yet.

The module itself works on with the bytes that it has, and nothing is left behind when one is cleared. A reset leaves
them armed.
"""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.clock import seconds
from cmis_emu.module.overrides import Blank, FixedBytes, Unfilled, whole_pages
from cmis_emu.port import Port
from cmis_emu.registers.overlay import Override
from cmis_emu.registers.place import Place
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.units import DURATION

PORT = Argument(Kind.PORT, "The cage.", required=True)


class _OnMemory:
    """Overrides of one or more places, kept by the port. `make` gives one for a place."""

    def __init__(self, places: Place | None, make: Callable[[Place], Override]) -> None:
        self._place = places
        self._make = make
        self._made: dict[Place, Override] = {}

    def attach(self, port: Port) -> None:
        for place in self._places(port):
            if place not in self._made:
                self._made[place] = self._make(place)
            port.module.memory.override(place, self._made[place])

    def detach(self, port: Port) -> None:
        if port.occupant is not None:
            for place, override in self._made.items():
                port.occupant.memory.uncover(place, override)

    def _places(self, port: Port) -> list[Place]:
        pages = {number for number, _ in port.module.memory.pages}
        return whole_pages(pages) if self._place is None else [self._place]


@action(
    "mem.override",
    {
        "port": PORT,
        "place": Argument(Kind.PLACE, "Which bytes, or bits of one byte.", required=True),
        "value": Argument(
            Kind.BYTES,
            "What they read as: as many as the place has, or one for all of it. From a single byte on, any number.",
            required=True,
        ),
        "checksum": Argument(
            Kind.CHOICE,
            "The checksum of the page: left as it is, so that it is wrong now, or made to fit.",
            default="left",
            choices=("left", "recomputed"),
        ),
    },
)
def override(call: Call) -> Undo:
    """Bytes read as they are told to, over live ones and flags too; flags below clear as their bytes are read."""
    place: Place = call["place"]
    value: bytes = call["value"]
    if len(place) == 1 < len(value):
        place = Place(place.page, place.first, place.first + len(value) - 1, place.bank, place.mask)
    if place.first < 128 <= place.last or place.last > 255:
        raise refuse(f"{len(value)} bytes from {place.first} on", "bytes within one page", "value")
    if len(value) not in (1, len(place)):
        raise refuse(f"{len(value)} bytes", f"1 or {len(place)} for {place}", "value")
    return armed_on_port(call, _OnMemory(place, lambda at: FixedBytes(at, value, call["checksum"] == "recomputed")))


@action(
    "mem.partial",
    {
        "port": PORT,
        "until": Argument(DURATION, "When everything is there.", required=True),
        "begin": Argument(DURATION, "When the first bytes come; without it all come at the end, together."),
        "place": Argument(Kind.PLACE, "Which bytes. Without it all pages."),
        "since": Argument(
            Kind.CHOICE,
            "Counted from the last insertion, or the last exit from reset.",
            default="insertion",
            choices=("insertion", "reset"),
        ),
        "blank": Argument(Kind.CHOICE, "What is read before.", default="zeros", choices=("zeros", "ones", "garbage")),
    },
)
def partial(call: Call) -> Undo:
    """The map fills in over time after insertion, although the module answers already."""
    port, clock = call.port, call.world.clock
    end_ns = seconds(call["until"])
    begin_ns = end_ns if call["begin"] is None else seconds(call["begin"])
    if begin_ns > end_ns:
        raise refuse(f"{call['begin']:g} s", f"at most {call['until']:g} s, when all is there", "begin")

    def since() -> int:
        if call["since"] == "insertion" or port.occupant is None:
            return port.inserted_ns
        return port.occupant.started_ns

    def make(place: Place) -> Override:
        blank = Blank(call["blank"])
        return Unfilled(place, since, lambda: clock.now_ns, begin_ns, end_ns, blank, call.world.seed)

    return armed_on_port(call, _OnMemory(call["place"], make))
