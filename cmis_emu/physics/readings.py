"""What a monitor makes of a true value: its fixed error and its noise (optics model, section 1, reporting).

The noise of a sample belongs to (seed, quantity, lane, sample number), the fixed error to (seed, quantity,
lane). Powers err in dB, the rest in their own unit. Something that is off reads exactly 0.
"""

from __future__ import annotations

from cmis_emu.physics.noise import MAX_SIGMA, gauss, spread
from cmis_emu.physics.parameters import PlantParameters, Quantity
from cmis_emu.physics.units import db_to_ratio

TX_SPREAD_CHANNEL = 100  # noise channels: spreads of the lanes below 1000, monitors above
BIAS_SPREAD_CHANNEL = 200
_MONITOR_CHANNELS = 1000  # per quantity
_ERROR_CHANNEL = 500

_READS_ZERO = frozenset({Quantity.VCC, Quantity.TX_BIAS, Quantity.TX_POWER, Quantity.RX_POWER})
_POWERS = frozenset({Quantity.TX_POWER, Quantity.RX_POWER})


def reading(
    parameters: PlantParameters, seed: int, quantity: Quantity, lane: int, index: int, value: float
) -> float:
    """What sample number `index` of a monitor reads when the truth is `value`."""
    if value == 0.0 and quantity in _READS_ZERO:
        return value
    noise, error = _figures(parameters, quantity)
    channel = _MONITOR_CHANNELS * quantity + lane
    off = noise * gauss(seed, channel, index) if noise else 0.0
    if error:
        fixed = error * spread(seed, channel + _ERROR_CHANNEL)
        off += fixed * value if quantity is Quantity.TX_BIAS else fixed
    if quantity in _POWERS:
        return value * db_to_ratio(off)
    return max(0.0, value + off) if quantity is Quantity.TX_BIAS else value + off


def reading_bound(
    parameters: PlantParameters, seed: int, quantity: Quantity, lane: int, value: float
) -> float:
    """Greatest distance of any `reading` from the true `value`."""
    if value == 0.0 and quantity in _READS_ZERO:
        return 0.0
    noise, error = _figures(parameters, quantity)
    off = MAX_SIGMA * noise
    if error:
        fixed = abs(error * spread(seed, _MONITOR_CHANNELS * quantity + lane + _ERROR_CHANNEL))
        off += fixed * value if quantity is Quantity.TX_BIAS else fixed
    return value * (db_to_ratio(off) - 1) if quantity in _POWERS else off


def _figures(p: PlantParameters, quantity: Quantity) -> tuple[float, float]:
    """(noise, fixed error) of a monitor, one sigma each."""
    if quantity in _POWERS:
        return p.power_noise_db, p.power_error_db
    if quantity is Quantity.TX_BIAS:
        return p.bias_noise_a, p.bias_error
    if quantity is Quantity.CASE_TEMPERATURE:
        return p.temperature_noise_c, p.temperature_error_c
    if quantity is Quantity.VCC:
        return p.supply_noise_v, p.supply_error_v
    if quantity is Quantity.LASER_TEMPERATURE:
        return p.laser_temperature_noise_c, 0.0
    return 0.0, 0.0
