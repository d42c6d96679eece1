"""What a product's plant is made of, as data; and the names of what can be asked of a plant."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from cmis_emu.errors import InputError
from cmis_emu.physics.laser import EML_1310, LaserParameters
from cmis_emu.physics.noise import MAX_SIGMA
from cmis_emu.physics.supply import SupplyParameters
from cmis_emu.physics.tec import TecParameters
from cmis_emu.physics.thermal import ThermalParameters
from cmis_emu.physics.units import check_not_negative, check_positive, dbm_to_w


class PowerMode(IntEnum):
    """How much of the module is switched on."""

    OFF = 0
    LOW = 1
    FULL = 2


class Quantity(IntEnum):
    """What can be asked of a plant; lane quantities take a 1-based media lane, others lane 0."""

    CASE_TEMPERATURE = 1  # degC
    VCC = 2  # V
    LASER_TEMPERATURE = 3  # degC
    TEC_CURRENT = 4  # fraction of the maximum, positive heats (MON-01)
    CONSUMPTION = 5  # W
    TX_BIAS = 6  # A
    TX_POWER = 7  # W
    RX_POWER = 8  # W


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds a module: ambient degC, airflow as a fraction of nominal."""

    ambient_c: float = 35.0
    airflow: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative({"airflow": self.airflow})


@dataclass(frozen=True, slots=True)
class PowerParameters:
    """Consumption in W, without leakage and cooler (optics model, section 2).

    Pj = 1.08 (1.5 + 0.35 host + 0.45 media lanes), Pc = 1.08 (0.5 + 0.75 media lanes); low power 0.3/0.9 W.
    """

    scale: float = 1.08
    junction_base_w: float = 1.5
    junction_host_lane_w: float = 0.35
    junction_media_lane_w: float = 0.45
    case_base_w: float = 0.5
    case_media_lane_w: float = 0.75
    low_junction_w: float = 0.3
    low_case_w: float = 0.9

    def heat(self, mode: PowerMode, host_lanes: int, media_lanes: int) -> tuple[float, float]:
        """(junction, case) share for a number of lanes at work."""
        if mode is PowerMode.OFF:
            return 0.0, 0.0
        if mode is PowerMode.LOW:
            return self.low_junction_w, self.low_case_w
        return (
            self.scale
            * (
                self.junction_base_w
                + self.junction_host_lane_w * host_lanes
                + self.junction_media_lane_w * media_lanes
            ),
            self.scale * (self.case_base_w + self.case_media_lane_w * media_lanes),
        )


@dataclass(frozen=True, slots=True)
class PlantParameters:
    """One product's physics. Every figure can be given in the profile's `plant` section.

    | monitor | noise, rms | fixed error, one sigma |
    |---|---|---|
    | optical power | 0.02 dB | `power_error_db` |
    | case temperature | 0.05 degC | `temperature_error_c` |
    | bias | 0.05 mA | `bias_error`, a fraction |
    | supply | 2 mV | `supply_error_v` |

    Spread from lane to lane and unit to unit: 0.4 dB of power; bias 5 %.
    """

    host_lanes: int = 8
    media_lanes: int = 4
    laser: LaserParameters = EML_1310
    tec: TecParameters | None = field(default_factory=TecParameters)
    thermal: ThermalParameters = field(default_factory=ThermalParameters)
    supply: SupplyParameters = field(default_factory=SupplyParameters)
    power: PowerParameters = field(default_factory=PowerParameters)
    tx_power_dbm: float = 1.5  # average power of a lane
    tx_spread_db: float = 0.4  # one sigma
    bias_spread: float = 0.05  # one sigma, as a fraction
    apc_tau_s: float = 0.05  # the power control settles with this time constant
    tec_tau_s: float = 0.3  # and so does the laser's temperature
    los_assert_dbm: float = -13.0
    los_deassert_dbm: float = -11.5
    power_noise_db: float = 0.02
    temperature_noise_c: float = 0.05
    laser_temperature_noise_c: float = 0.01
    bias_noise_a: float = 0.05e-3
    supply_noise_v: float = 2e-3
    power_error_db: float = 0.0
    temperature_error_c: float = 0.0
    bias_error: float = 0.0
    supply_error_v: float = 0.0

    def __post_init__(self) -> None:
        check_positive({"apc_tau_s": self.apc_tau_s, "tec_tau_s": self.tec_tau_s})
        names = ("host_lanes", "media_lanes", "tx_spread_db", "bias_spread", "power_noise_db")
        names += ("temperature_noise_c", "laser_temperature_noise_c", "bias_noise_a", "supply_noise_v")
        names += ("power_error_db", "temperature_error_c", "bias_error", "supply_error_v")
        check_not_negative({name: getattr(self, name) for name in names})
        for name in ("bias_spread", "bias_error"):
            if getattr(self, name) * MAX_SIGMA >= 1:
                raise InputError(f"{getattr(self, name)}", f"less than {1 / MAX_SIGMA}", field=name)
        if self.los_deassert_dbm < self.los_assert_dbm:
            raise InputError(
                f"{self.los_deassert_dbm} dBm", f"{self.los_assert_dbm} or more", field="los_deassert_dbm"
            )

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: plants and their copies share it

    @property
    def los_assert_w(self) -> float:
        """Average power below which a lane has lost its signal."""
        return dbm_to_w(self.los_assert_dbm)

    @property
    def los_deassert_w(self) -> float:
        """Average power above which it is back."""
        return dbm_to_w(self.los_deassert_dbm)
