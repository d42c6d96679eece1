"""Muxes and GPIO expanders of a testbed: the sections `muxes` and `expanders`, and where a thing sits on a bus.

Owns their format and its errors; `testbed.py` has the rest of the file, `board_plan.py` what comes of it.

    muxes:
      m1: {type: pca9548, bus: 1, address: 0x70, first_bus: 2}     # channels 0 to 7 are buses 2 to 9
      m2: {type: pca9546, mux: m1, channel: 7, address: 0x71}      # behind another one
    expanders:
      resets: {type: pca9535, bus: 1, address: 0x20, lines: {ResetL: [a, b, null], LPMode: [a, b]}}
      others: {type: pca9555, bus: 1, address: 0x21, lines: [{port: a, pin: IntL}, null, {mux: m1, pin: RESET},
               {expander: resets, pin: INT}], pulls: {ModSelL: false}}

Lines count from 0, as Linux counts them. `pulls` are the levels of the wires to pins that a host drives while the
expander leaves them alone: its lines are inputs from power-up. Without a word they are those of the modules' own
resistors: ResetL, LPMode and ModSelL high, so that a module waits in low power, deselected (SFF-8436, section 4.1.1);
LPWn low and RSTn high for OSFP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cmis_emu.board_plan import BoardPlan, Channel, ExpanderPlan, LinePlan, MuxPlan, Peer, Place
from cmis_emu.bus.expander import EXPANDERS
from cmis_emu.bus.mux import MUXES
from cmis_emu.bus.target import MODULE_ADDRESS
from cmis_emu.errors import InputError
from cmis_emu.pins import HOST_WORDS, MODULE_WORDS, plain
from cmis_emu.registers.yamlfile import Located

BUS_MAX = 4095

PULLS = {"ResetL": True, "LPMode": True, "ModSelL": True, "power": True, "RSTn": True, "LPWn": False}
"""The level of each of `pins.HOST_WORDS` while nobody drives it."""

PLACE_KEYS = ("bus", "mux", "channel")


class BoardReader:
    """Reads the sections `muxes` and `expanders` of `source`; `place` is for whatever sits on a bus."""

    def __init__(self, source: Located) -> None:
        self._source = source
        self._muxes = source.section("muxes")
        self._kinds = {name: self._kind(self._muxes, name, "mux", MUXES) for name in self._muxes}
        self._roots: dict[str, int] = {}
        self._occupied = _Occupied()

    # -- places ----------------------------------------------------------------------------------------

    def place(self, plan: Located, field: str) -> Place:
        """Where `plan` says that it sits: `bus: N`, or `mux: NAME, channel: K`. Raises InputError."""
        if "mux" not in plan:
            if "channel" in plan:
                raise plan.error("channel", "a channel without a mux", "mux: NAME beside it", field=field)
            plan.check_keys(plan, ("bus",), field=field)
            return Place(self._bus(plan, "bus", field if "bus" not in plan else None))
        if "bus" in plan:
            raise plan.error("bus", "both a bus and a mux", "bus: N, or mux: NAME and channel: K", field=field)
        mux = _known(plan, "mux", plan["mux"], Peer.MUX, self._muxes, field)
        plan.check_keys(plan, ("channel",), field=field)
        number, channels = plan["channel"], MUXES[self._kinds[mux]].channels
        if type(number) is not int or not 0 <= number < channels:
            raise plan.error("channel", number, f"a channel from 0 to {channels - 1} of the {self._kinds[mux]} {mux}")
        return Place(self._root(mux), Channel(mux, number))

    def _bus(self, plan: Located, key: str, field: str | None = None) -> int:
        number = plan[key]
        if type(number) is not int or not 0 <= number <= BUS_MAX:
            raise plan.error(key, number, f"a bus number from 0 to {BUS_MAX}", field=field)
        return number

    def _root(self, mux: str) -> int:
        """The bus on which a mux sits, behind whatever others."""
        way = [mux]
        while way[-1] not in self._roots:
            plan, where = self._muxes[way[-1]], f"mux {way[-1]}"
            if "mux" not in plan:
                self._roots[way[-1]] = self.place(plan, where).bus
                break
            before, above = set(way), _known(plan, "mux", plan["mux"], Peer.MUX, self._muxes, where)
            way.append(above)
            if above in before:
                raise plan.error("mux", " behind ".join(way), "a way that ends at a bus", field=where)
        self._roots |= dict.fromkeys(way, self._roots[way[-1]])
        return self._roots[mux]

    # -- the sections ----------------------------------------------------------------------------------

    def read(self, ports: Mapping[str, tuple[Located, Place, Mapping[str, bool]]]) -> BoardPlan:
        """The whole board. ports: of each port what the file says, where it sits, and levels it starts with."""
        for name, (plan, place, _) in ports.items():
            key = "bus" if place.behind is None else "channel"
            self._occupied.take(place, MODULE_ADDRESS, f"port {name}", plan, key, key)
        places = {name: self.place(self._muxes[name], f"mux {name}") for name in self._muxes}
        for name, place in places.items():
            self._occupied.join(name, place)
        first = self._numbers({place.bus for _, place, _ in ports.values()} | {p.bus for p in places.values()})
        muxes = tuple(
            MuxPlan(
                name, self._kinds[name], place, self._chip(self._muxes[name], place, f"mux {name}", MUXES), first[name]
            )
            for name, place in places.items()
        )
        expanders = self._source.section("expanders")
        lines = _Lines(expanders, ports, self._muxes)
        found = []
        for name in expanders:
            kind = self._kind(expanders, name, "expander", EXPANDERS)
            plan, where = expanders[name], f"expander {name}"
            place = self.place(plan, where)
            address = self._chip(plan, place, where, EXPANDERS)
            found.append(ExpanderPlan(name, kind, place, address, lines.read(name, EXPANDERS[kind].lines)))
        lines.check_loops(found)
        self._occupied.check()
        return BoardPlan(muxes, tuple(found))

    def _kind(self, section: Located, name: str, what: str, kinds: Mapping[str, Any]) -> str:
        plan, where = section[name], f"{what} {name}"
        if not isinstance(plan, Located):
            raise section.error(name, plan, "{type: TYPE, bus: N, address: A}", field=where)
        keys = ("type", *PLACE_KEYS, "address", *(("first_bus",) if what == "mux" else ("lines", "pulls")))
        plan.check_keys(keys, ("type", "address"), field=where)
        kind = plan["type"]
        if not isinstance(kind, str) or kind not in kinds:
            raise plan.error("type", kind, f"one of {', '.join(kinds)}", field=f"{where}: type")
        return kind

    def _chip(self, plan: Located, place: Place, where: str, kinds: Mapping[str, Any]) -> int:
        address, allowed = plan["address"], kinds[plan["type"]].addresses
        if type(address) is not int or address not in allowed:
            shown = f"{address:#04x}" if type(address) is int else address
            expected = f"an address that a {plan['type']} can have, {allowed[0]:#04x} to {allowed[-1]:#04x}"
            raise plan.error("address", shown, expected, field=f"{where}: address")
        self._occupied.take(place, address, where, plan, "address", f"{where}: address")
        return address

    def _numbers(self, roots: set[int]) -> dict[str, int]:
        """The bus number of each mux's channel 0: as given, else the next free ones, as a kernel would give them."""
        taken = dict.fromkeys(roots, "an adapter")
        found: dict[str, int] = {}
        for name, plan in self._muxes.items():
            if "first_bus" not in plan:
                continue
            where, channels = f"mux {name}: first_bus", MUXES[self._kinds[name]].channels
            first = self._bus(plan, "first_bus", where)
            for number in range(first, first + channels):
                if number in taken or number > BUS_MAX:
                    owner = f"bus {number}, which {taken[number]} has" if number in taken else f"bus {number}"
                    raise plan.error("first_bus", owner, f"{channels} free bus numbers up to {BUS_MAX}", field=where)
                taken[number] = f"mux {name}"
            found[name] = first
        next_free = max(taken, default=-1) + 1
        for name, plan in self._muxes.items():
            if name not in found:
                found[name] = next_free
                next_free += MUXES[self._kinds[name]].channels
                if next_free > BUS_MAX + 1:
                    raise plan.error(
                        None,
                        f"bus {next_free - 1}",
                        f"bus numbers up to {BUS_MAX}; give first_bus",
                        field=f"mux {name}",
                    )
        return found


@dataclass(slots=True)
class _Resident:
    address: int
    what: str
    plan: Located
    key: str
    field: str


@dataclass(slots=True)
class _Occupied:
    """Who answers which address where. On a segment, and on those before it, an address is one thing."""

    residents: dict[Place, list[_Resident]] = field(default_factory=dict)
    muxes: dict[str, Place] = field(default_factory=dict)

    def take(self, place: Place, address: int, what: str, plan: Located, key: str, where: str) -> None:
        self.residents.setdefault(place, []).append(_Resident(address, what, plan, key, where))

    def join(self, mux: str, place: Place) -> None:
        self.muxes[mux] = place

    def check(self) -> None:
        for place, residents in self.residents.items():
            known: dict[int, tuple[Place, _Resident]] = {}
            for above in self._above(place):
                known.update({each.address: (above, each) for each in self.residents.get(above, [])})
            for each in residents:
                if each.address in known:
                    raise self._conflict(each, place, *known[each.address])
                known[each.address] = (place, each)

    def _above(self, place: Place) -> Iterator[Place]:
        while place.behind is not None:
            place = self.muxes[place.behind.mux]
            yield place

    def _conflict(self, each: _Resident, place: Place, where: Place, other: _Resident) -> InputError:
        if each.what.startswith("port "):
            kind = "bus" if place.behind is None else "channel"
            found = f"{where} of {other.what}" if where == place else f"{other.what} on {where}, which leads there"
            return each.plan.error(each.key, found, f"a {kind} of its own for each port", field=each.field)
        expected = f"an address that nothing else on {place} or before it answers"
        return each.plan.error(each.key, f"{each.address:#04x}, which {other.what} has", expected, field=each.field)


_PINS = {Peer.PORT: (*HOST_WORDS, *MODULE_WORDS), Peer.MUX: ("RESET",), Peer.EXPANDER: ("INT",)}
"""Where a line can end."""


class _End(NamedTuple):
    """What a line leads to, and where the file says so."""

    source: Located
    key: str
    peer: Peer
    name: str
    pin: str


class _Lines:
    """Reads what the lines of expanders lead to."""

    def __init__(
        self,
        expanders: Located,
        ports: Mapping[str, tuple[Located, Place, Mapping[str, bool]]],
        muxes: Located,
    ) -> None:
        self._expanders = expanders
        self._names: dict[Peer, Iterable[str]] = {Peer.PORT: ports, Peer.MUX: muxes, Peer.EXPANDER: expanders}
        self._started = {name: levels for name, (_, _, levels) in ports.items()}
        self._wired: dict[tuple[Peer, str, str], str] = {}

    def read(self, name: str, count: int) -> tuple[LinePlan | None, ...]:
        plan, where = self._expanders[name], f"expander {name}: lines"
        given = plan.get("lines")
        if isinstance(given, Located):
            ends = self._by_pin(given, where)
        elif isinstance(given, list):
            ends = self._one_by_one(plan, given, where)
        elif given is None:
            ends = []
        else:
            raise plan.error("lines", given, "PIN: [PORT, ...] pairs, or a list of what each leads to", field=where)
        if len(ends) > count:
            raise plan.error("lines", f"{len(ends)} lines", f"at most the {count} of a {plan['type']}", field=where)
        pulls = plan.section("pulls")
        pins = sorted({end.pin for end in ends if end is not None and end.peer is Peer.PORT and end.pin in HOST_WORDS})
        for pin, level in pulls.items():
            if pin not in pins:
                expected = f"one of {', '.join(pins)}" if pins else "none: no line leads to a pin that a host drives"
                raise pulls.error(pin, f"pin {pin}", expected, field=f"expander {name}: pulls")
            if not isinstance(level, bool):
                raise pulls.error(pin, level, "true (high) or false (low)", field=f"expander {name}: pulls")
        return tuple(None if end is None else self._line(name, number, end, pulls) for number, end in enumerate(ends))

    def check_loops(self, plans: list[ExpanderPlan]) -> None:
        """Interrupt outputs that lead round in a circle would never come to rest."""
        leads = {
            plan.name: [line.name for line in plan.lines if line is not None and line.peer is Peer.EXPANDER]
            for plan in plans
        }
        for start, ends in leads.items():
            waiting, seen = list(ends), set()
            while waiting:
                each = waiting.pop()
                if each == start:
                    raise self._expanders[start].error(
                        "lines", "interrupts that lead round in a circle", "a way that ends", field=f"expander {start}"
                    )
                if each not in seen:
                    seen.add(each)
                    waiting += leads[each]

    def _by_pin(self, given: Located, where: str) -> list[_End | None]:
        ends: list[_End | None] = []
        for pin, names in given.items():
            if pin not in _PINS[Peer.PORT]:
                raise given.error(pin, f"pin {pin}", f"one of {', '.join(_PINS[Peer.PORT])}", field=where)
            if not isinstance(names, list):
                raise given.error(pin, names, "a list of ports; null for a line that leads nowhere", field=where)
            for name in names:
                if name is None:
                    ends.append(None)
                else:
                    port = _known(given, pin, name, Peer.PORT, self._names[Peer.PORT], where)
                    ends.append(_End(given, pin, Peer.PORT, port, pin))
        return ends

    def _one_by_one(self, plan: Located, given: list[Any], where: str) -> list[_End | None]:
        ends: list[_End | None] = []
        for line, end in enumerate(given):
            at = f"{where}: {line}"
            if end is None:
                ends.append(None)
                continue
            if not isinstance(end, Located):
                raise plan.error("lines", end, "{port: PORT, pin: PIN}, or null for nothing", field=at)
            end.check_keys((*(each.value for each in Peer), "pin"), ("pin",), field=at)
            peers = [each for each in Peer if each.value in end]
            if len(peers) != 1:
                found = " and ".join(each.value for each in peers) or "none"
                raise end.error(None, found, "one of port, mux and expander", field=at)
            peer = peers[0]
            name = _known(end, peer.value, end[peer.value], peer, self._names[peer], at)
            if end["pin"] not in _PINS[peer]:
                raise end.error("pin", end["pin"], f"one of {', '.join(_PINS[peer])}", field=f"{at}: pin")
            ends.append(_End(end, "pin", peer, name, str(end["pin"])))
        return ends

    def _line(self, expander: str, number: int, end: _End, pulls: Located) -> LinePlan:
        source, key, peer, name, pin = end
        where = f"expander {expander}: lines: {number}"
        same = (peer, name, plain(pin)[0] if peer is Peer.PORT else pin)
        if same in self._wired:
            raise source.error(
                key, f"{pin} of {peer.value} {name}, which {self._wired[same]} has", "a pin of its own", field=where
            )
        self._wired[same] = f"line {number} of expander {expander}"
        if peer is Peer.PORT and same[2] in self._started[name]:
            found = f"{pin} of port {name}, which has a level under state"
            raise source.error(key, found, "a pin that nothing else drives; pulls say how it starts", field=where)
        pull = None
        if peer is Peer.MUX:
            pull = True
        elif peer is Peer.PORT and pin in PULLS:
            pull = bool(pulls.get(pin, PULLS[pin]))
        return LinePlan(peer, name, pin, pull)


def _known(plan: Located, key: str, name: object, kind: Peer, names: Iterable[str], field: str) -> str:
    """A name that stands under `key` of `plan`, as text. Raises InputError for none of `names`."""
    if isinstance(name, (list, Located, bool)) or str(name) not in names:
        known, kinds = ", ".join(sorted(names)), f"{kind.value}{'es' if kind is Peer.MUX else 's'}"
        expected = f"one of the {kinds} {known}" if known else f"none: there is no {kind.value}"
        raise plan.error(key, name, expected, field=field)
    return str(name)
