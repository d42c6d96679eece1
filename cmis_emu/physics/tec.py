"""Thermo-electric cooler: the current that holds a laser at its set point (optics model, section 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmis_emu.physics.units import KELVIN


@dataclass(frozen=True, slots=True)
class TecParameters:
    """Cooler and its load: heat load W, Seebeck V/K, resistance ohm, conductance W/K, limit A."""

    set_point_c: float = 50.0
    tau_s: float = 0.3  # the laser approaches the set point with this time constant
    load_w: float = 0.8
    seebeck_v_per_k: float = 0.011
    resistance_ohm: float = 1.8
    conductance_w_per_k: float = 0.02
    imax_a: float = 0.8
    power_w: float = 0.3  # drawn with its driver, as the thermal model's check points take it

    def current(self, case_c: float) -> float:
        """Drive current in A, negative when it heats, clipped to the limit."""
        need = self.load_w + self.conductance_w_per_k * (case_c - self.set_point_c)
        pumped = self.seebeck_v_per_k * (self.set_point_c + KELVIN)
        under_root = pumped * pumped - 2 * self.resistance_ohm * need
        if under_root <= 0:
            return self.imax_a
        wanted = (pumped - math.sqrt(under_root)) / self.resistance_ohm
        return max(-self.imax_a, min(self.imax_a, wanted))
