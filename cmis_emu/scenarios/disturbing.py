"""How physical faults are armed: a disturbance of the plant of whatever module sits in a port, perhaps as a ramp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from cmis_emu.clock import Clock
from cmis_emu.physics.disturbances import Disturbance, Input
from cmis_emu.port import Port
from cmis_emu.scenarios.action import Call, Undo, armed_on_port
from cmis_emu.scenarios.arming import both
from cmis_emu.scenarios.ramp import Ramp


class Disturbing:
    """One input of the plant, of the module or of some lanes; a ramp starts with the first module."""

    def __init__(
        self, clock: Clock, what: Input, target: float, over_s: float = 0.0, lanes: frozenset[int] | None = frozenset()
    ) -> None:
        """lanes: of the media side; None: all; empty: an input of the module."""
        self._clock = clock
        self._what, self._target, self._over_s, self._lanes = what, target, over_s, lanes
        self._here: dict[int, Disturbance] = {}
        self._ramps: dict[int, Ramp] = {}

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back

    def attach(self, port: Port) -> None:
        """A module is there."""
        plant = port.module.plant
        for lane in self._keys(port):
            one = self._here.get(lane)
            if one is None:
                start = 0.0 if self._what.adds == "sum" else plant.disturbances.present(self._what, lane)
                one = self._here[lane] = Disturbance(self._what, lane, start)
                move = self._mover(port, one)
                self._ramps[lane] = Ramp(self._clock, start, self._target, self._over_s, move)
                one.value = self._ramps[lane].value
            plant.disturbances.add(one)

    def detach(self, port: Port) -> None:
        """The fault is cleared."""
        for ramp in self._ramps.values():
            ramp.stop()
        if port.occupant is not None:
            for one in self._here.values():
                port.occupant.plant.disturbances.remove(one)

    def set(self, port: Port, value: float) -> None:
        """Another value, at once."""
        for one in self._here.values():
            self._mover(port, one)(value)

    def _mover(self, port: Port, one: Disturbance) -> Callable[[float], None]:
        def move(value: float) -> None:
            one.value = value
            if port.occupant is not None:
                port.occupant.plant.disturbances.moved(one)

        return move

    def _keys(self, port: Port) -> tuple[int, ...]:
        plant = port.module.plant
        if self._lanes is not None and not self._lanes:
            return (0,)
        every = range(1, plant.parameters.media_lanes + 1)
        meant = [lane for lane in every if self._lanes is None or lane in self._lanes]
        if self._what in (Input.AGEING, Input.LASER_FAILED):  # lanes that share a laser share this
            meant = [plant.laser_of(lane) for lane in meant]
        return tuple(dict.fromkeys(meant))


def disturb(call: Call, what: Input, target: float, over_s: float = 0.0, lanes: frozenset[int] | None = None) -> Undo:
    """Disturb lanes of the call's port; None: all."""
    return armed_on_port(call, Disturbing(call.world.clock, what, target, over_s, lanes))


def surround(call: Call, what: Input, target: float, over_s: float = 0.0) -> Undo:
    """Disturb the whole module in the call's port, or in every port where the call names none."""
    ports = list(call.world.ports.values()) if call["port"] is None else [call.port]
    undos: list[Undo] = []
    for port in ports:
        fault = Disturbing(call.world.clock, what, target, over_s)
        port.arm(fault)
        undos.append(_disarm(port, fault))
    return both(*undos)


def _disarm(port: Port, fault: Disturbing) -> Undo:
    return lambda: port.disarm(fault)
