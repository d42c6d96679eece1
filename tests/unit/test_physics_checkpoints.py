"""The published check points of the optics model, sections 1 to 4."""

from __future__ import annotations

import math

import pytest

from cmis_emu.clock import ManualClock
from cmis_emu.physics.glass import JOINTS, Path
from cmis_emu.physics.laser import (
    CW_DFB_SIPH,
    DML_DFB,
    EML_1310,
    ITLA,
    VCSEL_850,
    LaserParameters,
    ageing,
    frequency_per_wavelength,
)
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.pmd import PMDS
from cmis_emu.physics.supply import HIGHEST_V, LOWEST_V, POWER_CLASS_W, SupplyParameters, hot_plug_a, power_class
from cmis_emu.physics.tec import TecParameters
from cmis_emu.physics.units import dbm_to_w, w_to_dbm


def running(ambient_c: float = 35.0, airflow: float = 1.0) -> tuple[ModulePlant, ManualClock]:
    """A DR4's plant with eight host and four media lanes at work, just switched on."""
    clock = ManualClock()
    plant = ModulePlant(PlantParameters(), clock, 1, Environment(ambient_c, airflow))
    plant.set_power(PowerMode.LOW)
    clock.advance(3600)
    plant.set_power(PowerMode.FULL)
    plant.set_active_lanes(8, 4)
    return plant, clock


def case_c(plant: ModulePlant, clock: ManualClock) -> float:
    return plant.trend(Quantity.CASE_TEMPERATURE, 0, clock.now_ns).value


@pytest.mark.parametrize(("temperature_c", "bias_ma"), [(50, 72.0), (80, 93.1)])
def test_eml_bias(temperature_c: float, bias_ma: float) -> None:
    assert EML_1310.apc(temperature_c)[0] * 1e3 == pytest.approx(bias_ma, abs=0.05)


@pytest.mark.parametrize(("temperature_c", "bias_ma"), [(25, 157), (50, 184), (70, 209)])
def test_cw_dfb_bias(temperature_c: float, bias_ma: float) -> None:
    assert CW_DFB_SIPH.apc(temperature_c)[0] * 1e3 == pytest.approx(bias_ma, abs=0.5)


def test_vcsel_bias() -> None:
    assert VCSEL_850.apc(25)[0] * 1e3 == pytest.approx(6.14, abs=0.01)


def test_tunable_laser() -> None:
    """256 mA whatever the temperature, and a wavelength that stays."""
    for temperature_c in (-5.0, 25.0, 50.0, 85.0):
        assert ITLA.apc(temperature_c)[0] * 1e3 == pytest.approx(256)
        assert ITLA.wavelength_nm(1547.7, temperature_c) == 1547.7
        assert ITLA.bias_slope(temperature_c) == 0.0
    assert ITLA.apc(50.0, ageing=0.1)[0] * 1e3 == pytest.approx(281.6)


@pytest.mark.parametrize(
    ("laser", "reference_c", "i0_ma", "t0_k", "eta0", "t1_k", "chip_mw", "nm_per_k"),
    [
        (EML_1310, 50, 12, 60, 0.15, 150, 9, 0.09),
        (CW_DFB_SIPH, 25, 14, 75, 0.42, 180, 60, 0.09),
        (DML_DFB, 25, 8, 65, 0.20, 150, 8, 0.09),
    ],
)
def test_table_of_lasers(
    laser: LaserParameters,
    reference_c: float,
    i0_ma: float,
    t0_k: float,
    eta0: float,
    t1_k: float,
    chip_mw: float,
    nm_per_k: float,
) -> None:
    assert laser.threshold(reference_c) * 1e3 == pytest.approx(i0_ma)
    assert laser.threshold(reference_c + t0_k) * 1e3 == pytest.approx(i0_ma * math.e)
    assert laser.slope(reference_c) == pytest.approx(eta0)
    assert laser.slope(reference_c + t1_k) == pytest.approx(eta0 / math.e)
    assert laser.chip_power_w * 1e3 == pytest.approx(chip_mw)
    assert laser.wavelength_nm_per_k == nm_per_k


def test_law_of_the_vcsel() -> None:
    assert VCSEL_850.threshold(30) * 1e3 == pytest.approx(0.8)
    assert VCSEL_850.threshold(80) * 1e3 == pytest.approx(0.8 + 2e-4 * 50**2)
    assert VCSEL_850.slope(25) == pytest.approx(0.30)
    assert VCSEL_850.slope(75) == pytest.approx(0.30 * (1 - 0.003 * 50))
    assert VCSEL_850.chip_power_w * 1e3 == pytest.approx(1.6)
    assert VCSEL_850.wavelength_nm_per_k == 0.06
    assert 5.9 < VCSEL_850.apc(25)[0] * 1e3 < 6.5  # as real modules read


def test_wavelength() -> None:
    """0 to 85 degC at the laser stay inside the DR4's window."""
    low, high = (EML_1310.wavelength_nm(1311.0, laser_c) for laser_c in (0.0, 85.0))
    assert (low, high) == (pytest.approx(1306.95), pytest.approx(1314.6))
    window = PMDS["400gbase-dr4"].window_nm(1)
    assert window == (1304.5, 1317.5)
    assert window[0] < low < high < window[1]


@pytest.mark.parametrize(("nm", "ghz_per_nm"), [(1311.0, -174.4), (1547.7, -125.2)])
def test_frequency_over_wavelength(nm: float, ghz_per_nm: float) -> None:
    assert frequency_per_wavelength(nm) == pytest.approx(ghz_per_nm, abs=0.05)


@pytest.mark.parametrize(("case", "percent"), [(0, -7), (25, 11), (55, 34), (70, 47)])
def test_tec_current(case: float, percent: float) -> None:
    tec = TecParameters()
    assert 100 * tec.current(case) / tec.imax_a == pytest.approx(percent, abs=0.5)


@pytest.mark.parametrize(("years", "laser_c", "percent"), [(5, 50, 9.3), (15, 50, 20), (7, 70, 21.1)])
def test_ageing(years: float, laser_c: float, percent: float) -> None:
    assert 100 * ageing(years, laser_c) == pytest.approx(percent, abs=0.11)


def test_consumption_and_low_power_temperature() -> None:
    plant, clock = running()
    assert case_c(plant, clock) == pytest.approx(37.4, abs=0.05)
    clock.advance(3600)
    assert plant.trend(Quantity.CONSUMPTION, 0, clock.now_ns).value == pytest.approx(10.7, abs=0.1)


@pytest.mark.parametrize(("airflow", "steady_c"), [(1.0, 56.5), (0.5, 68.5), (0.25, 84.4), (0.1, 108.7)])
def test_steady_case_temperature(airflow: float, steady_c: float) -> None:
    plant, clock = running(airflow=airflow)
    clock.advance(3 * 3600)
    assert case_c(plant, clock) == pytest.approx(steady_c, abs=0.1)


@pytest.mark.parametrize(("inlet_c", "steady_c"), [(25, 46.0), (45, 67.0), (55, 77.6)])
def test_inlet_temperature(inlet_c: float, steady_c: float) -> None:
    plant, clock = running(ambient_c=inlet_c)
    clock.advance(3 * 3600)
    assert case_c(plant, clock) == pytest.approx(steady_c, abs=0.1)


def test_power_up_trajectory() -> None:
    plant, clock = running()
    for step_s, expected_c in ((0, 37.4), (30, 40.9), (30, 44.1), (50, 48.1), (190, 54.6)):
        clock.advance(step_s)
        assert case_c(plant, clock) == pytest.approx(expected_c, abs=0.06)


def test_fan_failure_times() -> None:
    plant, clock = running()
    clock.advance(3600)
    plant.set_environment(airflow=0.1)
    start = clock.now
    for limit_c, after_s in ((75, 193), (80, 264), (85, 349)):
        while case_c(plant, clock) < limit_c:
            clock.advance(0.25)
        assert clock.now - start == pytest.approx(after_s, abs=1.0)


def test_supply() -> None:
    plant, clock = running()
    clock.advance(3600)
    assert plant.trend(Quantity.VCC, 0, clock.now_ns).value == pytest.approx(3.303, abs=0.001)
    plant.set_power(PowerMode.LOW)
    assert plant.trend(Quantity.VCC, 0, clock.now_ns).value == pytest.approx(3.331, abs=0.001)


def test_idle_circuits_draw_nothing() -> None:
    """Ready with all data paths deactivated: no share of any lane, though the module leaks."""
    plant, clock = running()
    clock.advance(3600)
    at_work = plant.trend(Quantity.CONSUMPTION, 0, clock.now_ns).value
    plant.set_active_lanes(0, 0)
    saved = at_work - plant.trend(Quantity.CONSUMPTION, 0, clock.now_ns).value
    assert saved == pytest.approx(1.08 * (8 * 0.35 + 4 * (0.45 + 0.75)))


def test_warmth_costs_sensitivity_and_eye() -> None:
    """Above 60 degC each kelvin costs 0.01 dB at the transmitter, and 0.01 dB at the receiver."""
    for ambient_c in (35.0, 55.0):
        plant, clock = running(ambient_c)
        clock.advance(3 * 3600)
        expected = 0.01 * max(0.0, case_c(plant, clock) - 60)
        assert plant.tx_beam(1, clock.now_ns).tdecq_db.value - plant._emitters[0].tdecq_db == pytest.approx(expected)
        assert plant._climate.warm(clock.now_ns).value == pytest.approx(expected)
    assert expected == pytest.approx(0.176, abs=0.001)


def test_power_classes() -> None:
    assert list(POWER_CLASS_W.values()) == [1.5, 3.5, 7, 8, 10, 12, 14]
    assert [power_class(watts) for watts in (1.5, 10.7, 12.0, 14.0, 14.1)] == [1, 6, 6, 7, 8]
    assert (LOWEST_V, HIGHEST_V) == (3.135, 3.465)
    assert hot_plug_a(14.0) == (pytest.approx(5.6), pytest.approx(4.62))
    assert SupplyParameters().current_a(12.0) == pytest.approx(3.64, abs=0.005)


def test_levels() -> None:
    assert w_to_dbm(dbm_to_w(-7.3)) == pytest.approx(-7.3)
    assert w_to_dbm(0.0) == -math.inf
    patch = Path(length_m=500, joints=(JOINTS["mpo"], JOINTS["mpo"]))
    assert patch.loss_db(1310) == pytest.approx(0.875)
