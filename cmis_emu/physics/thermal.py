"""Two thermal nodes, junction and case, solved exactly (optics model, section 2).

    Cj Tj' = Pj + k (Tj - 60) - (Tj - Tc)/Rjc          Cc Tc' = Pc + (Tj - Tc)/Rjc - G(v) (Tc - Ta)

Between two changes of power or airflow the solution is a steady value plus two decaying exponentials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmis_emu.clock import NS_PER_S


@dataclass(frozen=True, slots=True)
class ThermalParameters:
    """Capacities J/K, resistance K/W, leakage W/K, airflow law W/K, limits degC."""

    junction_j_per_k: float = 6.0
    case_j_per_k: float = 55.0
    resistance_k_per_w: float = 1.1
    leakage_w_per_k: float = 0.024
    leakage_reference_c: float = 60.0
    still_air_w_per_k: float = 0.10
    airflow_w_per_k: float = 0.40
    airflow_exponent: float = 0.8
    shutdown_c: float = 85.0

    def conductance(self, airflow: float) -> float:
        """Case to ambient in W/K; `airflow` 1 is nominal."""
        return self.still_air_w_per_k + self.airflow_w_per_k * float(airflow**self.airflow_exponent)


@dataclass(frozen=True, slots=True)
class ThermalInput:
    """What heats and cools between two changes."""

    junction_w: float
    case_w: float
    leaking: bool
    ambient_c: float
    airflow: float


class ThermalSegment:
    """The exact course of both temperatures from `start_ns` on, until the next change."""

    __slots__ = ("_case", "_junction", "_rates", "case_steady_c", "inputs", "junction_steady_c", "start_ns")

    def __init__(
        self,
        parameters: ThermalParameters,
        inputs: ThermalInput,
        start_ns: int,
        junction_c: float,
        case_c: float,
    ) -> None:
        p = parameters
        self.start_ns = start_ns
        self.inputs = inputs
        leak = p.leakage_w_per_k if inputs.leaking else 0.0
        coupling = 1 / p.resistance_k_per_w
        out = p.conductance(inputs.airflow)
        # x' = A x + b, with x = (junction, case)
        a11, a12 = (leak - coupling) / p.junction_j_per_k, coupling / p.junction_j_per_k
        a21, a22 = coupling / p.case_j_per_k, -(coupling + out) / p.case_j_per_k
        b1 = (inputs.junction_w - leak * p.leakage_reference_c) / p.junction_j_per_k
        b2 = (inputs.case_w + out * inputs.ambient_c) / p.case_j_per_k
        determinant = a11 * a22 - a12 * a21
        self.junction_steady_c = (a12 * b2 - a22 * b1) / determinant
        self.case_steady_c = (a21 * b1 - a11 * b2) / determinant
        half_trace = (a11 + a22) / 2
        root = math.sqrt(half_trace * half_trace - determinant)
        self._rates = (half_trace + root, half_trace - root)  # both negative: the module always comes to rest
        xj, xc = junction_c - self.junction_steady_c, case_c - self.case_steady_c
        # Eigenvector of rate r in the form (r - a22, a21).
        v1, v2 = (self._rates[0] - a22, a21), (self._rates[1] - a22, a21)
        area = v1[0] * v2[1] - v2[0] * v1[1]
        c1, c2 = (xj * v2[1] - v2[0] * xc) / area, (v1[0] * xc - xj * v1[1]) / area
        self._junction = (c1 * v1[0], c2 * v2[0])
        self._case = (c1 * v1[1], c2 * v2[1])

    def case_c(self, now_ns: int) -> float:
        """Case temperature, which DOM reports."""
        slow, fast = self._decay(now_ns)
        return self.case_steady_c + self._case[0] * slow + self._case[1] * fast

    def junction_c(self, now_ns: int) -> float:
        """DSP junction temperature."""
        slow, fast = self._decay(now_ns)
        return self.junction_steady_c + self._junction[0] * slow + self._junction[1] * fast

    def case_trend(self, now_ns: int) -> tuple[float, float, float]:
        """Case temperature, and from then on bounds on its |rate| in K/s and on its further excursion in K."""
        slow, fast = self._decay(now_ns)
        first, second = self._case[0] * slow, self._case[1] * fast
        return self.case_steady_c + first + second, *self._bounds(first, second)

    def junction_bounds(self, now_ns: int) -> tuple[float, float]:
        """The same bounds of the junction."""
        slow, fast = self._decay(now_ns)
        return self._bounds(self._junction[0] * slow, self._junction[1] * fast)

    def _bounds(self, slow: float, fast: float) -> tuple[float, float]:
        slow, fast = abs(slow), abs(fast)
        return -slow * self._rates[0] - fast * self._rates[1], slow + fast

    def _decay(self, now_ns: int) -> tuple[float, float]:
        elapsed = max(0, now_ns - self.start_ns) / NS_PER_S
        return math.exp(self._rates[0] * elapsed), math.exp(self._rates[1] * elapsed)
