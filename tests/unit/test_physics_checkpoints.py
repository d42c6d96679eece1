"""The published check points of the optics model, sections 1 to 4."""

from __future__ import annotations

import math

import pytest

from cmis_emu.clock import ManualClock
from cmis_emu.physics.glass import JOINTS, Path
from cmis_emu.physics.laser import CW_DFB_SIPH, EML_1310, VCSEL_850, ageing
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant
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


def test_levels() -> None:
    assert w_to_dbm(dbm_to_w(-7.3)) == pytest.approx(-7.3)
    assert w_to_dbm(0.0) == -math.inf
    patch = Path(length_m=500, joints=(JOINTS["mpo"], JOINTS["mpo"]))
    assert patch.loss_db(1310) == pytest.approx(0.875)
