"""What the world and wear do to one plant, as things that come and go in any order and on top of each other.

Owns how several disturbances of the same input add up, and what comes back when the last of them is gone: what was
set before, by `ModulePlant.set_*`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from cmis_emu.physics.plant import ModulePlant


class Input(Enum):
    """An input of the plant that can be disturbed, and how several add up: the latest, their sum, or any of them."""

    AMBIENT_C = ("ambient", "latest")
    AIRFLOW = ("airflow", "latest")
    SUPPLY_V = ("supply", "latest")
    AGEING = ("ageing", "latest")
    WEAKNESS_DB = ("weakness", "sum")
    DISTORTION_DB = ("distortion", "sum")
    TEC_FAILED = ("TEC failed", "any")
    LASER_FAILED = ("laser failed", "any")
    RX_BLOCKED = ("Rx blocked", "any")
    BURSTS = ("bursts", "latest")
    DRIFT_GHZ = ("drift", "sum")

    @property
    def adds(self) -> str:
        """latest, sum or any."""
        return self.value[1]


@dataclass(eq=False, slots=True)
class Disturbance:
    """One of them. lane: 1-based; 0 for the module. Whoever changes `value` says so by `Disturbances.moved`."""

    what: Input
    lane: int
    value: float

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back


class Disturbances:
    """The disturbances of one plant."""

    __slots__ = ("_base", "_here", "_plant")

    def __init__(self, plant: ModulePlant) -> None:
        self._plant = plant
        self._here: list[Disturbance] = []
        self._base: dict[tuple[Input, int], float] = {}

    def add(self, one: Disturbance) -> None:
        """From now on; harmless for one that is there."""
        if one not in self._here:
            key = one.what, one.lane
            if key not in self._base:
                self._base[key] = _get(self._plant, *key)
            self._here.append(one)
            self.moved(one)

    def remove(self, one: Disturbance) -> None:
        """No longer; harmless for one that is not there."""
        if one in self._here:
            self._here.remove(one)
            self.moved(one)
            key = one.what, one.lane
            if not any((each.what, each.lane) == key for each in self._here):
                del self._base[key]

    def moved(self, one: Disturbance) -> None:
        """Its value is another now."""
        key = one.what, one.lane
        if key not in self._base:
            return
        values = [each.value for each in self._here if (each.what, each.lane) == key]
        _set(self._plant, *key, _total(one.what, self._base[key], values))

    def present(self, what: Input, lane: int) -> float:
        """The input as it is now."""
        return _get(self._plant, what, lane)


def _total(what: Input, base: float, values: Sequence[float]) -> float:
    if what.adds == "sum":
        return base + sum(values)
    if what.adds == "any":
        return float(any((base, *values)))
    return values[-1] if values else base


def _get(plant: ModulePlant, what: Input, lane: int) -> float:
    match what:
        case Input.AMBIENT_C:
            return plant.environment.ambient_c
        case Input.AIRFLOW:
            return plant.environment.airflow
        case Input.SUPPLY_V:
            return plant.supply_v
        case Input.AGEING:
            return plant.ageing(lane)
        case Input.WEAKNESS_DB:
            return plant.transmitter(lane)[0]
        case Input.DISTORTION_DB:
            return plant.transmitter(lane)[1]
        case Input.TEC_FAILED:
            return float(plant.tec_failed)
        case Input.LASER_FAILED:
            return float(plant.laser_failed(lane))
        case Input.RX_BLOCKED:
            return float(plant.rx_blocked(lane))
        case Input.BURSTS:
            return plant.burst_continuation
        case Input.DRIFT_GHZ:
            return plant.drift_ghz(lane)


def _set(plant: ModulePlant, what: Input, lane: int, value: float) -> None:
    match what:
        case Input.AMBIENT_C:
            plant.set_environment(ambient_c=value)
        case Input.AIRFLOW:
            plant.set_environment(airflow=value)
        case Input.SUPPLY_V:
            plant.set_supply(value)
        case Input.AGEING:
            plant.set_ageing(lane, value)
        case Input.WEAKNESS_DB:
            plant.set_transmitter(lane, value, plant.transmitter(lane)[1])
        case Input.DISTORTION_DB:
            plant.set_transmitter(lane, plant.transmitter(lane)[0], value)
        case Input.TEC_FAILED:
            plant.set_tec_failed(bool(value))
        case Input.LASER_FAILED:
            plant.set_laser_failed(lane, bool(value))
        case Input.RX_BLOCKED:
            plant.set_rx_blocked(lane, bool(value))
        case Input.BURSTS:
            plant.set_burst_continuation(value)
        case Input.DRIFT_GHZ:
            plant.set_drift(lane, value)
