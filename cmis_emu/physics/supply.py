"""The 3.3 V supply as the module sees it: Vmod = Vset - I Rp (optics model, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

POWER_CLASS_W = {1: 1.5, 2: 3.5, 3: 7.0, 4: 8.0, 5: 10.0, 6: 12.0, 7: 14.0}  # class 8: whatever MaxPower says
LOWEST_V, HIGHEST_V = 3.135, 3.465  # what a host must supply
PEAK_A_PER_W, SUSTAINED_A_PER_W = 0.40, 0.33  # current while a module is plugged in, by the power of its class


@dataclass(frozen=True, slots=True)
class SupplyParameters:
    """Host's set voltage V, path resistance ohm. reset_v: below, the module is held in reset (VccReset)."""

    set_v: float = 3.335
    resistance_ohm: float = 0.010
    nominal_v: float = 3.3
    reset_v: float = 2.4  # an engineering choice: the standards give no level

    def at_module(self, set_v: float, power_w: float) -> float:
        """Voltage at the module in V for a consumption in W."""
        return set_v - self.current_a(power_w) * self.resistance_ohm

    def current_a(self, power_w: float) -> float:
        """Current in A that a consumption in W draws."""
        return power_w / self.nominal_v


def power_class(power_w: float) -> int:
    """The lowest power class (1 to 8) that allows a consumption in W."""
    return next((number for number, most_w in POWER_CLASS_W.items() if power_w <= most_w), 8)


def hot_plug_a(class_w: float) -> tuple[float, float]:
    """(peak, sustained) current in A that a host must deliver to a module that is plugged in."""
    return PEAK_A_PER_W * class_w, SUSTAINED_A_PER_W * class_w
