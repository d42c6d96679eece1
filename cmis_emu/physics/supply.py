"""The 3.3 V supply as the module sees it: Vmod = Vset - I Rp (optics model, section 3)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SupplyParameters:
    """Host's set voltage V, path resistance ohm. reset_v: below, the module is held in reset (VccReset)."""

    set_v: float = 3.335
    resistance_ohm: float = 0.010
    nominal_v: float = 3.3
    reset_v: float = 2.4  # an engineering choice: the standards give no level

    def at_module(self, set_v: float, power_w: float) -> float:
        """Voltage at the module in V for a consumption in W."""
        return set_v - power_w / self.nominal_v * self.resistance_ohm
