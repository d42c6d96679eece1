"""Quantities as scenarios write them: a number and its unit, `4.5 dB`, `85 degC`, `200 ms`, `1e-4`.

Owns which units a kind of quantity may have, and their factors; values come out in SI units (degC for
temperatures, dB and dBm as they are). A number without its unit is refused, so that nobody has to guess.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from cmis_emu.errors import InputError

_TEXT = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*\Z")

_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One kind of quantity. units: factor to the unit that is kept; '' when a bare number is meant."""

    name: str
    units: dict[str, float]
    example: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def read(self, value: Any) -> float:
        """The value in the unit that is kept. Raises InputError."""
        expected = f"{self.name} such as '{self.example}'"
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InputError(repr(value), expected)
        if self.whole and isinstance(value, str) and _HEX.match(value):
            value = int(value, 16)
        match = _TEXT.match(str(value))
        if match is None or match[2] not in self.units:
            units = ", ".join(unit for unit in self.units if unit)
            raise InputError(repr(value), f"{expected}{f' (units: {units})' if units else ''}")
        found = float(match[1]) * self.units[match[2]]
        if not self.low <= found <= self.high or (self.whole and found != int(found)):
            raise InputError(repr(value), f"{expected}, {self._range()}")
        return int(found) if self.whole else found

    def _range(self) -> str:
        unit = next((f" {unit}" for unit, factor in self.units.items() if unit and factor == 1.0), "")
        low = "" if self.low == -math.inf else f"from {self.low:g}"
        high = "" if self.high >= LARGEST else f"{' ' if low else ''}up to {self.high:g}"
        return f"{low}{high}{unit}{', whole' if self.whole else ''}"


LARGEST = 2**62
"""Numbers that nobody counts to."""

_TIME = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

DURATION = Quantity("a duration", _TIME, "200 ms", 0.0, 1e9)
MOMENT = Quantity("a time", _TIME, "2 s", 0.0, 1e9)
LOSS = Quantity("a loss", {"dB": 1.0}, "4.5 dB", 0.0, 100.0)
LEVEL = Quantity("a ratio", {"dB": 1.0}, "-20 dB", -200.0, 200.0)
POWER = Quantity("an optical power", {"dBm": 1.0}, "-3 dBm", -100.0, 40.0)
TEMPERATURE = Quantity("a temperature", {"degC": 1.0}, "85 degC", -128.0, 127.996)
FREQUENCY = Quantity("a frequency", {"GHz": 1.0, "MHz": 1e-3, "THz": 1e3}, "193400 GHz", 0.0, 1e6)
DRIFT = Quantity("a change of frequency", {"GHz": 1.0, "MHz": 1e-3}, "2.5 GHz", -100.0, 100.0)
VOLTAGE = Quantity("a voltage", {"V": 1.0, "mV": 1e-3}, "3.1 V", 0.0, 6.5535)
CURRENT = Quantity("a current", {"A": 1.0, "mA": 1e-3, "uA": 1e-6}, "80 mA", 0.0, 10.0)
LENGTH = Quantity("a length", {"m": 1.0, "km": 1e3, "mm": 1e-3}, "7.5 mm", 0.0, 1e6)
RATIO = Quantity("a number", {"": 1.0, "%": 1e-2}, "1e-4")
CHANCE = Quantity("a probability", {"": 1.0, "%": 1e-2}, "0.1", 0.0, 1.0)
FRACTION = Quantity("a fraction", {"": 1.0, "%": 1e-2}, "20 %", 0.0, 100.0)
COUNT = Quantity("a whole number", {"": 1.0}, "3", 0, LARGEST, whole=True)
ORDINAL = Quantity("a whole number", {"": 1.0}, "3", 1, LARGEST, whole=True)
NUMBER = Quantity("a number", {"": 1.0}, "1.5")
COMMAND_CODE = Quantity("a CDB command", {"": 1.0}, "0x0101", 0, 0xFFFF, whole=True)
BYTE = Quantity("a byte", {"": 1.0}, "3", 0, 255, whole=True)
