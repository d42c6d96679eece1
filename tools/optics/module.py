"""Pictures of what is inside a module: lasers, their cooler and age, temperatures (sections 1 and 2)."""

from __future__ import annotations

from functools import partial

from cmis_emu.clock import ManualClock
from cmis_emu.physics.laser import CW_DFB_SIPH, EML_1310, VCSEL_850, LaserParameters, ageing
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode, Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.physics.tec import TecParameters
from optics.figure import Axis, Curve, Figure, Panel, Point, points

HOUR_S = 3600.0


# -- section 1: lasers and their cooler ---------------------------------------------------------------------


def _laser(name: str, laser: LaserParameters, biases: dict[float, str], shown: tuple[float, ...]) -> tuple[Panel, ...]:
    """L-I curves at some temperatures, and the bias over temperature. biases: mA by laser temperature."""
    target_mw = laser.chip_power_w * 1e3
    limit_ma = laser.imax_a * 1e3

    def emitted_mw(temperature_c: float, current_ma: float) -> float:
        return laser.emitted(current_ma / 1e3, temperature_c) * 1e3

    curves = []
    for temperature_c in shown:
        bias = biases.get(temperature_c)
        held = () if bias is None else points((float(bias), f"{target_mw:g}"))
        # The bias is rounded: half its last digit along the slope.
        slack = 0.0 if bias is None else Point(0, bias).last_digit / 2 * laser.slope(temperature_c)
        law = partial(emitted_mw, temperature_c)
        curves.append(Curve(f"{temperature_c:g} °C", law, held, slack, note=None))
    current = Axis("bias", "mA", 0, limit_ma)
    over = Axis("laser temperature", "°C", 0, 110)
    return (
        Panel(
            current,
            Axis("chip power", "mW", 0, 2 * target_mw),
            tuple(curves),
            ((target_mw, "held by the power control"),),
            "upper left",
            f"{name}: light over current",
        ),
        Panel(
            over,
            Axis("bias", "mA", 0, 1.15 * limit_ma),
            (Curve("for the nominal light", lambda t: laser.apc(t)[0] * 1e3, points(*biases.items()), note=(0, -14)),),
            ((limit_ma, "driver's limit"),),
            "lower right",
            f"{name}: bias over temperature",
        ),
    )


TEC = TecParameters()

LASERS = Figure(
    "lasers",
    1,
    "Light over current, and the bias that the power control settles at, of three kinds of laser",
    _laser("EML", EML_1310, {50: "72.0", 66.5: "83", 80: "93.1"}, (25, 50, 80))
    + _laser("CW DFB for silicon photonics", CW_DFB_SIPH, {25: "157", 50: "184", 70: "209"}, (25, 50, 70))
    + _laser("VCSEL", VCSEL_850, {25: "6.14"}, (0, 25, 70)),
)

COOLER = Figure(
    "cooler",
    1,
    "Current of the thermo-electric cooler that holds an EML at 50 °C",
    (
        Panel(
            Axis("case temperature", "°C", -20, 100),
            Axis("share of the largest current", "%", -40, 100),
            (
                Curve(
                    "cools above 0, heats below",
                    lambda c: 100 * TEC.current(c) / TEC.imax_a,
                    points((0, "-7"), (25, "11"), (55, "34"), (70, "47")),
                    note=(6, -12),
                ),
            ),
            legend="upper left",
        ),
    ),
)

_KELVIN_PERCENT = 0.05  # the sheet takes 70 °C for 343 K


def _aged(laser_c: float, years: float) -> float:
    return 100 * ageing(years, laser_c)


AGEING = Figure(
    "ageing",
    1,
    "Rise of a laser's bias with age; 20 % is the end of its life",
    (
        Panel(
            Axis("time at work", "years", 0, 20),
            Axis("rise of the bias", "%", 0, 40),
            tuple(
                Curve(f"laser at {laser_c} °C", partial(_aged, laser_c), known, _KELVIN_PERCENT, note=note)
                for laser_c, known, note in (
                    (70, points((7, "21.1")), (-27, 4)),
                    (50, points((5, "9.3"), (15, "20")), (6, -12)),
                    (30, (), None),
                )
            ),
            ((20.0, "end of life"),),
            "upper left",
        ),
    ),
)


# -- section 2: temperatures --------------------------------------------------------------------------------


def _warm_plant(ambient_c: float = 35.0, airflow: float = 1.0) -> tuple[ModulePlant, ManualClock]:
    """A DR4's plant in low power mode, come to rest."""
    clock = ManualClock()
    plant = ModulePlant(PlantParameters(), clock, 1, Environment(ambient_c, airflow))
    plant.set_power(PowerMode.LOW)
    clock.advance(HOUR_S)
    return plant, clock


def _run(plant: ModulePlant, clock: ManualClock, seconds: float) -> float:
    clock.advance(seconds)
    return plant.trend(Quantity.CASE_TEMPERATURE, 0, clock.now_ns).value


def _power_up_c(seconds: float, ambient_c: float = 35.0, airflow: float = 1.0) -> float:
    plant, clock = _warm_plant(ambient_c, airflow)
    plant.set_power(PowerMode.FULL)
    plant.set_active_lanes(8, 4)
    return _run(plant, clock, seconds)


def _fan_failure_c(airflow: float, seconds: float) -> float:
    plant, clock = _warm_plant()
    plant.set_power(PowerMode.FULL)
    plant.set_active_lanes(8, 4)
    clock.advance(HOUR_S)
    plant.set_environment(airflow=airflow)
    return _run(plant, clock, seconds)


_CASE = "case temperature"
# Times are published in whole seconds, in which the case warms by up to 0.1 K.
_SECOND_K = 0.05

TEMPERATURES = Figure(
    "temperatures",
    2,
    "Case temperature of a 400G-DR4: power-up, failing fans, and where it comes to rest",
    (
        Panel(
            Axis("time since full power", "s", 0, 400),
            Axis(_CASE, "°C", 35, 60),
            (
                Curve(
                    "nominal airflow, 35 °C",
                    _power_up_c,
                    points((0, "37.4"), (30, "40.9"), (60, "44.1"), (110, "48.1"), (300, "54.6")),
                    note=(7, -10),
                ),
            ),
            legend="lower right",
            title="power-up",
        ),
        Panel(
            Axis("time since the fans slowed", "s", 0, 700),
            Axis(_CASE, "°C", 45, 105),
            tuple(
                Curve(f"airflow {v:g} of nominal", partial(_fan_failure_c, v), known, _SECOND_K, note=None)
                for v, known in (
                    (0.1, points((193, "75.0"), (264, "80.0"), (349, "85.0"))),
                    (0.25, points((323, "75.0"), (550, "80.0"))),
                    (0.5, ()),
                )
            ),
            ((85.0, "shutdown"), (80.0, "high alarm"), (75.0, "high warning")),
            "lower right",
            "fan failure",
        ),
        Panel(
            Axis("airflow", "of nominal", 0.05, 1.5),
            Axis(_CASE, "°C", 40, 130),
            (
                Curve(
                    "inlet at 35 °C",
                    lambda v: _power_up_c(3 * HOUR_S, airflow=v),
                    points((1.0, "56.5"), (0.5, "68.5"), (0.25, "84.4"), (0.1, "108.7")),
                    note=(8, 7),
                ),
            ),
            ((85.0, "shutdown"),),
            "upper right",
            "at rest, over the airflow",
            marks_right=True,
        ),
        Panel(
            Axis("inlet temperature", "°C", 0, 70),
            Axis(_CASE, "°C", 10, 100),
            (
                Curve(
                    "nominal airflow",
                    lambda a: _power_up_c(3 * HOUR_S, ambient_c=a),
                    points((25, "46.0"), (35, "56.5"), (45, "67.0"), (55, "77.6")),
                    note=(7, -11),
                ),
            ),
            ((85.0, "shutdown"),),
            "lower right",
            "at rest, over the inlet's temperature",
        ),
    ),
)
