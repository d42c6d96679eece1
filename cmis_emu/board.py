"""The board of a testbed: its buses, muxes and GPIO expanders, and the wires between expanders and ports.

Builds what `board_plan.py` says. A bus without muxes is its targets and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from cmis_emu.board_plan import Channel, ExpanderPlan, LinePlan, MuxPlan, Peer, Place
from cmis_emu.bus.expander import EXPANDERS, Expander, Wire
from cmis_emu.bus.mux import MUXES, Hop, Mux, Path, Wiring
from cmis_emu.bus.segment import Segment
from cmis_emu.bus.target import MODULE_ADDRESS, Target
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.pins import plain
from cmis_emu.port import Port
from cmis_emu.testbed import PortPlan, Testbed


class _HostWire:
    """A line to a pin that a host drives; the last one who moved it counts."""

    def __init__(self, port: Port, pin: str, pull: bool) -> None:
        self._pins = port.pins
        self._pin = pin
        self._pull = pull

    def level(self, driven: bool | None) -> bool:
        return self._pins.get(self._pin)

    def drive(self, driven: bool | None) -> None:
        self._pins.set(self._pin, self._pull if driven is None else driven)


class _ModuleWire:
    """A line to a pin that the module pulls low, or lets go; an expander that drives it low is a second one."""

    def __init__(self, port: Port, pin: str) -> None:
        self._pins = port.pins
        self._pin = pin

    def level(self, driven: bool | None) -> bool:
        return driven is not False and self._pins.get(self._pin)

    def drive(self, driven: bool | None) -> None:
        """The module does not look at it."""


class _ResetWire:
    """A line to the RESET pin of a mux, which the board pulls high."""

    def __init__(self, mux: Mux) -> None:
        self._mux = mux

    def level(self, driven: bool | None) -> bool:
        return not self._mux.reset

    def drive(self, driven: bool | None) -> None:
        self._mux.set_reset(low=driven is False)


class _InterruptWire:
    """A line to the interrupt output of another expander."""

    def __init__(self, source: Expander) -> None:
        self._source = source

    def level(self, driven: bool | None) -> bool:
        return driven is not False and self._source.INT

    def drive(self, driven: bool | None) -> None:
        """The other one does not look at it."""


class Board:
    """Everything between the adapters and the targets of the ports.

    buses: by number, adapters and channels. muxes, expanders: by name. bus_of: by port, the bus that has it alone at
    its address.
    """

    def __init__(self, testbed: Testbed, targets: Mapping[str, Target], lock: threading.RLock) -> None:
        plan = testbed.board
        self.buses: dict[int, VirtualBus] = {}
        self.muxes: dict[str, Mux] = {}
        self.expanders: dict[str, Expander] = {}
        self.bus_of: dict[str, VirtualBus] = {}
        self._plan = plan
        self._wirings = {each.place.bus: Wiring(lock) for each in plan.muxes}
        self._segments: dict[Place, Segment] = {Place(bus): wiring.root for bus, wiring in self._wirings.items()}
        for each in plan.muxes:
            mux = self.muxes[each.name] = Mux(MUXES[each.kind], self._wirings[each.place.bus])
            for number, below in enumerate(mux.channels):
                self._segments[Place(each.place.bus, Channel(each.name, number))] = below
        for each in plan.muxes:
            self._segment(each.place).own[each.address] = self.muxes[each.name]
            self._segment(each.place).switches.append(self.muxes[each.name])
        for chip in plan.expanders:
            expander = self.expanders[chip.name] = Expander(EXPANDERS[chip.kind])
            self._segment(chip.place).own[chip.address] = expander
        for port in testbed.ports:
            self._segment(port.place).own[MODULE_ADDRESS] = targets[port.name]
        for place, segment in self._segments.items():
            if place.behind is None and place.bus not in self._wirings:
                self.buses[place.bus] = VirtualBus(place.bus, segment.own)
        for bus, wiring in self._wirings.items():
            wiring.root.resolve()
            self.buses[bus] = wiring.adapter(bus)
        plans = {each.name: each for each in plan.muxes}
        for each in plan.muxes:
            wiring = self._wirings[each.place.bus]
            for channel in range(MUXES[each.kind].channels):
                bus = each.first_bus + channel
                self.buses[bus] = wiring.channel(bus, self._path(Channel(each.name, channel), plans))
        for port in testbed.ports:
            behind = port.place.behind
            number = port.place.bus if behind is None else plans[behind.mux].first_bus + behind.number
            self.bus_of[port.name] = self.buses[number]

    def add(self, port: str, bus: int, target: Target) -> None:
        """One more port, on a bus of its own that nobody has yet."""
        self.buses[bus] = self.bus_of[port] = VirtualBus(bus, {MODULE_ADDRESS: target})

    def _segment(self, place: Place) -> Segment:
        return self._segments.setdefault(place, Segment())

    def _path(self, channel: Channel, plans: Mapping[str, MuxPlan]) -> Path:
        plan = plans[channel.mux]
        before = () if plan.place.behind is None else self._path(plan.place.behind, plans)
        return (*before, Hop(self.muxes[channel.mux], plan.address, channel.number))

    def levels(self, port: PortPlan) -> dict[str, bool]:
        """Levels of the port's host-driven pins while no expander drives any."""
        found = dict(port.pins)
        for line in self._plan.lines_to(port.name):
            if line.pull is not None:
                pin, inverted = plain(line.pin)
                found[pin] = line.pull ^ inverted
        return found

    def connect(self, ports: Mapping[str, Port]) -> None:
        """Lead the expanders' lines where they go; the expanders have just got power."""
        for plan in self._plan.expanders:
            for number, line in enumerate(plan.lines):
                if line is not None:
                    self.expanders[plan.name].connect(number, self._wire(plan, line, ports))

    def _wire(self, plan: ExpanderPlan, line: LinePlan, ports: Mapping[str, Port]) -> Wire:
        expander = self.expanders[plan.name]
        if line.peer is Peer.MUX:
            return _ResetWire(self.muxes[line.name])
        if line.peer is Peer.EXPANDER:
            source = self.expanders[line.name]
            source.interrupt_listeners.append(lambda _: expander.refresh())
            return _InterruptWire(source)
        port = ports[line.name]
        pin, _ = plain(line.pin)
        heard = {"IntL": port.interrupt_listeners, "ModPrsL": port.presence_listeners}
        heard.get(pin, port.drive_listeners).append(lambda _: expander.refresh())
        return _ModuleWire(port, line.pin) if line.pull is None else _HostWire(port, line.pin, line.pull)

    def state(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        return {
            "muxes": {name: mux.state() for name, mux in self.muxes.items()},
            "expanders": {name: expander.state() for name, expander in self.expanders.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a kept state; pins are where they were then."""
        for name, mux in self.muxes.items():
            mux.restore(state["muxes"][name])
        for name, expander in self.expanders.items():
            expander.restore(state["expanders"][name])
        for expander in self.expanders.values():
            expander.refresh()
