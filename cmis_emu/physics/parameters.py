"""What a product is made of: every figure that a profile's `plant` section can give."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from cmis_emu.physics.acquisition import AcquisitionParameters
from cmis_emu.physics.coherent import CoherentParameters
from cmis_emu.physics.laser import EML_1310, LaserParameters
from cmis_emu.physics.pmd import PMDS, AnyPmd
from cmis_emu.physics.receiver import DR_TYPICAL, ReceiverParameters
from cmis_emu.physics.supply import SupplyParameters
from cmis_emu.physics.tec import TecParameters
from cmis_emu.physics.thermal import ThermalParameters
from cmis_emu.physics.units import dbm_to_w

CAPTIVE_NM = 1311.0  # the model's stand-in for what happens inside a cable that belongs to the module


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


@dataclass(frozen=True, slots=True)
class PowerParameters:
    """Consumption in W: junction and case shares, per lane at work (optics model, section 2)."""

    scale: float = 1.08
    junction_base_w: float = 1.5
    junction_host_lane_w: float = 0.35
    junction_media_lane_w: float = 0.45
    case_base_w: float = 0.5
    case_media_lane_w: float = 0.75
    low_junction_w: float = 0.3
    low_case_w: float = 0.9


@dataclass(frozen=True, slots=True)
class PlantParameters:
    """One product's physics. Every figure can be given in the profile's `plant` section."""

    host_lanes: int = 8
    media_lanes: int = 4
    pmd: AnyPmd | None = PMDS["400gbase-dr4"]  # the optical interface; None where the cable belongs to the module
    lanes_per_laser: int = 1  # silicon photonics: one laser feeds two lanes
    laser: LaserParameters = EML_1310
    tec: TecParameters | None = field(default_factory=TecParameters)
    thermal: ThermalParameters = field(default_factory=ThermalParameters)
    supply: SupplyParameters = field(default_factory=SupplyParameters)
    power: PowerParameters = field(default_factory=PowerParameters)
    tx_power_dbm: float = 1.53  # average power of a lane; an OMA of 1.7 dBm
    tx_spread_db: float = 0.15  # lane to lane, one sigma
    extinction_db: float = 5.0
    tdecq_db: float = 2.0
    tdecq_spread_db: float = 0.05  # lane to lane, one sigma
    bias_spread: float = 0.05  # lane to lane, one sigma, as a fraction
    apc_tau_s: float = 0.05
    receiver: ReceiverParameters = DR_TYPICAL
    coherent: CoherentParameters | None = None  # the receiver of a coherent product, in place of `receiver`
    acquisition: AcquisitionParameters = field(default_factory=AcquisitionParameters)
    los_assert_dbm: float = -13.0
    los_deassert_dbm: float = -11.5
    power_noise_db: float = 0.02
    temperature_noise_c: float = 0.05
    bias_noise_a: float = 0.05e-3
    supply_noise_v: float = 2e-3
    power_error_db: float = 0.0  # fixed error of a monitor, one sigma
    temperature_error_c: float = 0.0

    def wavelength_nm(self, lane: int) -> float:
        """Centre wavelength of a lane (1-based)."""
        return CAPTIVE_NM if self.pmd is None else self.pmd.lane_wavelength_nm(lane)

    @property
    def media_receiver(self) -> ReceiverParameters | CoherentParameters:
        """The receiver of its media lanes, of either kind."""
        return self.receiver if self.coherent is None else self.coherent

    @property
    def los_assert_w(self) -> float:
        """Average power below which a lane has lost its signal."""
        return dbm_to_w(self.los_assert_dbm)

    @property
    def los_deassert_w(self) -> float:
        """Average power above which it is back."""
        return dbm_to_w(self.los_deassert_dbm)
