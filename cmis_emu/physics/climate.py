"""Power, temperatures and supply of one module, from one input to the next (optics model, sections 1 to 3).

Everything is a closed formula of time. What several laws need at one instant is worked out once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from cmis_emu.clock import NS_PER_S
from cmis_emu.physics.light import Trend
from cmis_emu.physics.parameters import Environment, PlantParameters, PowerMode
from cmis_emu.physics.thermal import ThermalInput, ThermalSegment

WARM_C, WARM_DB_PER_K = 60.0, 0.01  # above, TDECQ rises and sensitivity falls (section 2, feedback)
UNCOOLED_BY_FAULT_C = 10.0  # a laser that lost its cooler is so much warmer than the case
UNCOOLED_RISE_C = 8.0  # an uncooled laser is this much warmer than the case


KEPT = 64  # instants: statistics of several lanes ask for the same ones
_COOL = Trend(0.0)


class _State(NamedTuple):
    """What several laws need at one instant."""

    case: Trend
    laser: Trend
    warm: Trend


class Climate:
    """The inputs, and what follows from them; each `set_*` opens a new segment at `now_ns`."""

    __slots__ = (
        "_kept",
        "_laser_start",
        "_parameters",
        "_thermal",
        "active",
        "environment",
        "mode",
        "supply_v",
        "tec_failed",
    )

    def __init__(self, parameters: PlantParameters, now_ns: int, environment: Environment) -> None:
        self._parameters = parameters
        self.environment = environment
        self.mode = PowerMode.OFF
        self.tec_failed = False
        self.supply_v = parameters.supply.set_v
        self.active = (0, 0)
        ambient = environment.ambient_c
        self._laser_start = (now_ns, ambient, ambient)  # when, laser and case temperature then
        self._kept: dict[int, _State] = {}  # by instant, since the last change
        self._thermal = self._segment(now_ns, ambient, ambient)

    # -- inputs ----------------------------------------------------------------------------------------

    def set_mode(self, mode: PowerMode, now_ns: int) -> None:
        """Supply off, low power or full power."""
        self._restart_laser(now_ns)
        self.mode = mode
        self._reheat(now_ns)

    def set_active(self, active: tuple[int, int], now_ns: int) -> None:
        """How many host and media lanes are at work."""
        self.active = active
        self._reheat(now_ns)

    def set_environment(self, environment: Environment, now_ns: int) -> None:
        """Ambient temperature and airflow."""
        self.environment = environment
        self._reheat(now_ns)

    def set_tec_failed(self, failed: bool, now_ns: int) -> None:
        """The cooler stands still, or works again."""
        self._restart_laser(now_ns)
        self.tec_failed = failed
        self._reheat(now_ns)

    def _restart_laser(self, now_ns: int) -> None:
        self._laser_start = (now_ns, self.laser(now_ns).value, self._thermal.case_c(now_ns))

    def _reheat(self, now_ns: int) -> None:
        self._thermal = self._segment(now_ns, self._thermal.junction_c(now_ns), self._thermal.case_c(now_ns))
        self._kept.clear()

    def _segment(self, now_ns: int, junction_c: float, case_c: float) -> ThermalSegment:
        junction_w, case_w = self._heat()
        air = self.environment
        inputs = ThermalInput(junction_w, case_w, self.mode is PowerMode.FULL, air.ambient_c, air.airflow)
        return ThermalSegment(self._parameters.thermal, inputs, now_ns, junction_c, case_c)

    def _heat(self) -> tuple[float, float]:
        """Junction and case power in W, without leakage."""
        power = self._parameters.power
        if self.mode is PowerMode.OFF:
            return 0.0, 0.0
        if self.mode is PowerMode.LOW:
            return power.low_junction_w, power.low_case_w
        host, media = self.active
        junction = power.junction_base_w + power.junction_host_lane_w * host + power.junction_media_lane_w * media
        case = power.case_base_w + power.case_media_lane_w * media
        tec = self._parameters.tec
        return power.scale * junction, power.scale * case + (tec.power_w if tec and not self.tec_failed else 0.0)

    # -- answers ---------------------------------------------------------------------------------------

    def case(self, now_ns: int) -> Trend:
        """Case temperature in degC."""
        return self._at(now_ns).case

    def laser(self, now_ns: int) -> Trend:
        """Laser temperature in degC: the set point of its cooler, or the case's when that is off or missing."""
        return self._at(now_ns).laser

    def warm(self, now_ns: int) -> Trend:
        """What warmth costs, in dB: the transmitter's TDECQ, and the receiver's sensitivity."""
        return self._at(now_ns).warm

    def _at(self, now_ns: int) -> _State:
        known = self._kept.get(now_ns)
        if known is not None:
            return known
        case = Trend(*self._thermal.case_trend(now_ns))
        warm = _COOL
        if case.value + case.remaining > WARM_C:
            above = max(0.0, case.value - WARM_C)
            warm = Trend(*(WARM_DB_PER_K * each for each in (above, case.rate, case.remaining)))
        if len(self._kept) >= KEPT:
            self._kept.clear()
        known = self._kept[now_ns] = _State(case, self._laser_by(case, now_ns), warm)
        return known

    def _laser_by(self, case: Trend, now_ns: int) -> Trend:
        tec = self._parameters.tec
        full = self.mode is PowerMode.FULL
        if tec is None:
            return case._replace(value=case.value + (UNCOOLED_RISE_C if full else 0.0))
        start_ns, start_c, start_case_c = self._laser_start
        left = math.exp(-max(0, now_ns - start_ns) / (tec.tau_s * NS_PER_S))
        if full and not self.tec_failed:
            gap = (start_c - tec.set_point_c) * left
            return Trend(tec.set_point_c + gap, abs(gap) / tec.tau_s, abs(gap))
        rise = UNCOOLED_BY_FAULT_C if full else 0.0
        gap = (start_c - start_case_c - rise) * left
        return Trend(case.value + rise + gap, case.rate + abs(gap) / tec.tau_s, case.remaining + abs(gap))

    def tec_current(self, now_ns: int) -> Trend:
        """Drive current of the cooler as a fraction of its limit; positive heats."""
        tec = self._parameters.tec
        if tec is None or self.mode is not PowerMode.FULL or self.tec_failed:
            return Trend(0.0)
        case, rate, reach = self.case(now_ns)
        here = -tec.current(case) / tec.imax_a
        ends = [-tec.current(case + step) / tec.imax_a for step in (-reach, reach)]
        slope = max(abs(end - here) for end in ends) / reach if reach else 0.0
        return Trend(here, 2 * slope * rate, max(abs(end - here) for end in ends))

    def consumption(self, now_ns: int) -> Trend:
        """Power drawn in W; only leakage moves between inputs."""
        leak = self._parameters.thermal.leakage_w_per_k if self.mode is PowerMode.FULL else 0.0
        reference = self._parameters.thermal.leakage_reference_c
        power = sum(self._heat()) + leak * (self._thermal.junction_c(now_ns) - reference)
        rate, reach = self._thermal.junction_bounds(now_ns)
        return Trend(power, leak * rate, leak * reach)

    def vcc(self, now_ns: int) -> Trend:
        """Supply at the module in V."""
        if self.mode is PowerMode.OFF:
            return Trend(0.0)
        supply, drawn = self._parameters.supply, self.consumption(now_ns)
        per_watt = supply.resistance_ohm / supply.nominal_v
        volts = supply.at_module(self.supply_v, drawn.value)
        return Trend(volts, drawn.rate * per_watt, drawn.remaining * per_watt)
