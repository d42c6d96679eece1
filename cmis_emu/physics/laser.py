"""Lasers: threshold, slope, automatic power control, ageing (optics model, section 1).

Currents in A, powers in W, temperatures in degC. Pure functions of a frozen parameter set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmis_emu.physics.units import BOLTZMANN_EV, KELVIN

AGEING_END_OF_LIFE = 0.20  # a bias 20 % above its start is the end of life
AGEING_REFERENCE_YEARS = 15.0
AGEING_EXPONENT = 0.7
AGEING_ACTIVATION_EV = 0.4
AGEING_REFERENCE_K = 323.0
NOMINAL_WAVELENGTH_C = 45.0  # the laser temperature at which a lane has its nominal wavelength
LIGHT_NM_GHZ = 299_792_458.0  # speed of light


@dataclass(frozen=True, slots=True)
class LaserParameters:
    """One kind of laser: Ith = I0 exp((T-Tr)/T0), slope = eta0 exp(-(T-Tr)/T1).

    The VCSEL law is another: Ith = I0 + i2 (T-Tm)^2, slope = eta0 (1 - drop (T-Tr)).
    """

    threshold_a: float  # I0 at the reference temperature
    slope_w_per_a: float  # eta0 there
    chip_power_w: float  # power of the chip at the nominal output
    reference_c: float = 25.0
    t0_k: float = 60.0
    t1_k: float = 150.0
    imax_a: float = 0.120  # the driver's limit, which is the bias high alarm
    wavelength_nm_per_k: float = 0.09
    parabola_a_per_k2: float = 0.0  # VCSEL: i2
    parabola_c: float = 30.0  # VCSEL: Tm
    slope_drop_per_k: float = 0.0  # VCSEL: drop

    def threshold(self, temperature_c: float) -> float:
        """Threshold current in A."""
        if self.parabola_a_per_k2:
            return self.threshold_a + self.parabola_a_per_k2 * (temperature_c - self.parabola_c) ** 2
        return self.threshold_a * math.exp((temperature_c - self.reference_c) / self.t0_k)

    def slope(self, temperature_c: float) -> float:
        """Slope efficiency in W/A."""
        if self.slope_drop_per_k:
            return self.slope_w_per_a * (1 - self.slope_drop_per_k * (temperature_c - self.reference_c))
        return self.slope_w_per_a * math.exp(-(temperature_c - self.reference_c) / self.t1_k)

    def emitted(self, current_a: float, temperature_c: float) -> float:
        """Chip power in W."""
        return max(0.0, self.slope(temperature_c) * (current_a - self.threshold(temperature_c)))

    def apc(self, temperature_c: float, ageing: float = 0.0) -> tuple[float, float]:
        """(bias, chip power) that the power control settles at: the target, or what the limit allows.

        `ageing` raises the bias by that fraction for the same light.
        """
        wanted = (self.threshold(temperature_c) + self.chip_power_w / self.slope(temperature_c)) * (1 + ageing)
        if wanted <= self.imax_a:
            return wanted, self.chip_power_w
        return self.imax_a, self.emitted(self.imax_a / (1 + ageing), temperature_c)

    def wavelength_nm(self, nominal_nm: float, temperature_c: float) -> float:
        """Wavelength at a laser temperature, of a laser that is to have `nominal_nm`."""
        return nominal_nm + self.wavelength_nm_per_k * (temperature_c - NOMINAL_WAVELENGTH_C)

    def bias_slope(self, temperature_c: float) -> float:
        """Bound on |d bias / d temperature| at and below `temperature_c`, in A/K."""
        if self.parabola_a_per_k2 or self.slope_drop_per_k:
            step = 2 * self.parabola_a_per_k2 * abs(temperature_c - self.parabola_c)
            return step + self.chip_power_w / self.slope(temperature_c) * 0.02
        return self.threshold(temperature_c) / self.t0_k + self.chip_power_w / self.slope(temperature_c) / self.t1_k


EML_1310 = LaserParameters(12e-3, 0.15, 9e-3, reference_c=50.0, t0_k=60.0, t1_k=150.0)
CW_DFB_SIPH = LaserParameters(14e-3, 0.42, 60e-3, t0_k=75.0, t1_k=180.0, imax_a=0.380)
DML_DFB = LaserParameters(8e-3, 0.20, 8e-3, t0_k=65.0, t1_k=150.0)
VCSEL_850 = LaserParameters(
    0.8e-3,
    0.30,
    1.6e-3,
    imax_a=10e-3,
    wavelength_nm_per_k=0.06,
    parabola_a_per_k2=2e-7,
    slope_drop_per_k=0.003,
)

# A tunable laser of a coherent module: its gain current stays the same, a locker holds the wavelength.
ITLA = LaserParameters(36e-3, 0.10, 22e-3, t0_k=math.inf, t1_k=math.inf, imax_a=0.300, wavelength_nm_per_k=0.0)

PRESETS = {
    "eml-1310": EML_1310,
    "cw-dfb-siph": CW_DFB_SIPH,
    "dml-dfb": DML_DFB,
    "vcsel-850": VCSEL_850,
    "itla": ITLA,
}


def wavelength_of(frequency_ghz: float) -> float:
    """Wavelength in nm of light of a frequency."""
    return LIGHT_NM_GHZ / frequency_ghz


def frequency_per_wavelength(wavelength_nm: float) -> float:
    """How the optical frequency moves with the wavelength, in GHz/nm: -c over its square."""
    return -LIGHT_NM_GHZ / wavelength_nm**2


def ageing(years: float, laser_c: float) -> float:
    """Fractional rise of the bias after `years` at a laser temperature: 0.2 (AF years/15)^0.7."""
    acceleration = math.exp(AGEING_ACTIVATION_EV / BOLTZMANN_EV * (1 / AGEING_REFERENCE_K - 1 / (laser_c + KELVIN)))
    return AGEING_END_OF_LIFE * float((acceleration * years / AGEING_REFERENCE_YEARS) ** AGEING_EXPONENT)
