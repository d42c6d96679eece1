"""The numbers that edges are judged by: timing of I2C per mode, and what module standards add to it.

One table. `verified` says whether a number was found in two places that could be opened; the others are recalled
from a standard, and are to be checked before a bench result depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from cmis_emu.clock import NS_PER_S, NS_PER_US


class Parameter(Enum):
    """What is measured, by its name in the I2C specification."""

    RATE = "fSCL"
    LOW = "tLOW"
    HIGH = "tHIGH"
    START_SET_UP = "tSU;STA"
    START_HOLD = "tHD;STA"
    DATA_SET_UP = "tSU;DAT"
    DATA_HOLD = "tHD;DAT"
    STOP_SET_UP = "tSU;STO"
    FREE = "tBUF"
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True)
class Limit:
    """One number. ns: the least that is allowed, of STRETCH the most; of RATE the least clock period."""

    ns: int
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one mode. hz: its greatest clock rate."""

    name: str
    hz: int
    table: Mapping[Parameter, Limit]

    def ns(self, parameter: Parameter) -> int:
        """The number of a parameter."""
        return self.table[parameter].ns

    def but(self, parameter: Parameter, limit: Limit) -> Limits:
        """The same with another limit for one parameter."""
        return replace(self, table={**self.table, parameter: limit})


_I2C = "I2C-bus specification, Standard-, Fast- and Fast-mode Plus, characteristics of the SDA and SCL lines"
_MODULE = "QSFP-DD Hardware 6.3, timing of the two-wire interface"

STRETCH_MAX_NS = 500 * NS_PER_US
"""How long a module may hold SCL low (I2C-10)."""


def _limits(name: str, hz: int, i2c: tuple[int, ...], free_ns: int) -> Limits:
    names = (
        Parameter.LOW,
        Parameter.HIGH,
        Parameter.START_SET_UP,
        Parameter.START_HOLD,
        Parameter.DATA_SET_UP,
        Parameter.DATA_HOLD,
        Parameter.STOP_SET_UP,
    )
    table = {parameter: Limit(ns, _I2C, True) for parameter, ns in zip(names, i2c, strict=True)}
    table[Parameter.RATE] = Limit(NS_PER_S // hz, _I2C, True)
    table[Parameter.FREE] = Limit(free_ns, _MODULE, False)
    table[Parameter.STRETCH] = Limit(STRETCH_MAX_NS, _MODULE, False)
    return Limits(name, hz, table)


#                                              tLOW  tHIGH tSU;STA tHD;STA tSU;DAT tHD;DAT tSU;STO     tBUF
STANDARD = _limits("100k", 100_000, (4700, 4000, 4700, 4000, 250, 0, 4000), 20_000)
FAST = _limits("400k", 400_000, (1300, 600, 600, 600, 100, 0, 600), 20_000)
FAST_PLUS = _limits("1M", 1_000_000, (500, 260, 260, 260, 50, 0, 260), 1_000)

MODES = (STANDARD, FAST, FAST_PLUS)
"""From slow to fast. That modules want 20 us between STOP and START also at 100 kHz is inferred from 400 kHz."""

I2C_FREE_NS = {STANDARD.name: 4700, FAST.name: 1300, FAST_PLUS.name: 500}
"""tBUF of I2C itself, which is less than modules ask for: hosts that only know I2C keep this one."""


def mode_of(hz: int) -> Limits:
    """The slowest mode that has this rate. Raises KeyError beyond 1 MHz."""
    for limits in MODES:
        if hz <= limits.hz:
            return limits
    raise KeyError(hz)


def plain_i2c(limits: Limits) -> Limits:
    """The mode without what modules add to it."""
    return limits.but(Parameter.FREE, Limit(I2C_FREE_NS[limits.name], _I2C, True))
