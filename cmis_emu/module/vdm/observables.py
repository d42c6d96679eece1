"""What VDM can observe: the observables of the table, by name, and how their values become codes (VDM-10).

Owns the meaning of each row of the map's table `vdm_observable`: which quantity it is, of which side, and
whether it is a current value or a statistic of the interval. Names are those of the table in snake case
without the word input: `esnr_media`, `pre_fec_ber_maximum_host`. Values are in the unit of the table: %, dB,
MHz, degC, or a plain ratio.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Self

from cmis_emu.module.sides import Side
from cmis_emu.registers.encoding import decode_f16, encode_f16
from cmis_emu.registers.regmap import RegisterMap

LARGEST_F16 = 0xFFFF
MODULE_RESOURCE = 15  # MonitoredResource of the whole module (VDM-02)


class Measure(Enum):
    """A quantity, whatever its side and statistic."""

    LASER_AGE = "laser_age"
    TEC_CURRENT = "tec_current"
    FREQUENCY_ERROR = "laser_frequency_error"
    LASER_TEMPERATURE = "laser_temperature"
    ESNR = "esnr"
    LTP = "pam4_level_transition"
    BER = "pre_fec_ber"
    FERC = "ferc"
    SEW_MAX = "sewmax"
    CD_HIGH = "cd_high_granularity"
    CD_LOW = "cd_low_granularity"
    DGD = "dgd"
    SOPMD_HIGH = "sopmd_high_granularity"
    SOPMD_LOW = "sopmd_low_granularity"
    PDL = "pdl"
    OSNR = "osnr"
    COHERENT_ESNR = "coherent_esnr"
    CFO = "cfo"
    EVM = "evm"
    TX_POWER = "tx_power"
    RX_TOTAL_POWER = "rx_total_power"
    RX_SIGNAL_POWER = "rx_signal_power"
    SOP_RATE = "sop_rate_of_change"
    MER = "mer"
    SNR_MARGIN = "snr_margin"
    Q_FACTOR = "q_factor"
    Q_MARGIN = "q_margin"


class Statistic(Enum):
    """What an observable shows of its quantity."""

    CURRENT = "current"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    AVERAGE = "average"
    TOTAL = "total_accumulated"


class Scope(Enum):
    """What one instance belongs to, by the profile's word for it."""

    LANES = "lanes"
    DATA_PATHS = "data_paths"
    MODULE = "module"


LASER = frozenset({Measure.LASER_AGE, Measure.TEC_CURRENT, Measure.FREQUENCY_ERROR, Measure.LASER_TEMPERATURE})
"""Quantities of the transmitter; the others are a receiver's."""
COHERENT = frozenset(list(Measure)[list(Measure).index(Measure.CD_HIGH) :])
"""Quantities of a coherent signal. Modulator biases and the clock loop are not modelled."""
EYES = frozenset({Measure.LTP, Measure.SEW_MAX})
"""What a media side without PAM4 does not have."""
COOLED = frozenset({Measure.TEC_CURRENT, Measure.FREQUENCY_ERROR})
"""What only a laser with a cooler has."""
SCOPES: Mapping[Measure, tuple[Scope, ...]] = {
    **dict.fromkeys(LASER, (Scope.LANES, Scope.MODULE)),
    Measure.ESNR: (Scope.LANES,),
    Measure.LTP: (Scope.LANES,),
    Measure.BER: (Scope.LANES, Scope.DATA_PATHS, Scope.MODULE),
    Measure.FERC: (Scope.DATA_PATHS, Scope.MODULE),
    Measure.SEW_MAX: (Scope.DATA_PATHS, Scope.MODULE),
    **dict.fromkeys(COHERENT, (Scope.LANES,)),
}
"""What can have an instance. Real 400G modules show one error ratio for the whole module, 800G ones one a lane."""

_COHERENT_ESNR = "eSNR"  # without a side, and so without a word of its own
_NAME = re.compile(
    rf"({'|'.join(m.value for m in Measure)})"
    rf"(?:_({'|'.join(s.value for s in Statistic)}))?"
    rf"(?:_({'|'.join(s.value.lower() for s in Side)}))?\Z"
)


@dataclass(frozen=True, slots=True)
class Observable:
    """One row of the table. `scale`: value of one step of a number; 0 for the floating-point form F16."""

    code: int
    name: str
    measure: Measure
    side: Side
    statistic: Statistic
    signed: bool
    scale: float
    unit: str
    since: tuple[int, int]

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def lowest(self) -> int:
        """The code of the least value: a low threshold that nothing goes below."""
        return 0x8000 if self.signed else 0

    @property
    def highest(self) -> int:
        """The code of the greatest value: a high threshold that nothing exceeds."""
        return 0x7FFF if self.signed else LARGEST_F16

    def encode(self, value: float) -> int:
        """The code nearest to a value, clipped to what the type can hold."""
        if self.scale == 0.0:
            return encode_f16(value) if 0 <= value < decode_f16(LARGEST_F16) else LARGEST_F16 if value > 0 else 0
        number = round(value / self.scale)
        if self.signed:
            return max(-0x8000, min(0x7FFF, number)) & 0xFFFF
        return max(0, min(0xFFFF, number))

    def decode(self, code: int) -> float:
        """The value that a code stands for."""
        if self.scale == 0.0:
            return decode_f16(code)
        return (code - 0x10000 if self.signed and code & 0x8000 else code) * self.scale

    def step(self, value: float) -> float:
        """How far the register's reading may be from a value."""
        return self.scale if self.scale else abs(value) * 1e-3 + 1e-24


def snake(text: str) -> str:
    """The profile's name of an observable, from the table's."""
    if text == _COHERENT_ESNR:
        return Measure.COHERENT_ESNR.value
    words = re.sub(r"\(.*?\)", " ", text).lower().replace("input", " ")
    return "_".join(re.findall(r"[a-z0-9]+", words))


def observables(regmap: RegisterMap) -> Mapping[str, Observable]:
    """All observables that this emulator measures, by name."""
    return _observables(regmap)


@lru_cache(maxsize=4)
def _observables(regmap: RegisterMap) -> Mapping[str, Observable]:
    names, rows = regmap.enums["vdm_observable"], regmap.tables["vdm_observable"]
    found: dict[str, Observable] = {}
    for code, row in rows.items():
        name = snake(names[code])
        match = _NAME.match(name)
        if match is None or (match[3] is None) != (Measure(match[1]) in LASER | COHERENT):
            continue  # co-packaged optics' own, and what is not modelled
        major, _, minor = str(row.get("since", "0.0")).partition(".")
        found[name] = Observable(
            code=code,
            name=name,
            measure=Measure(match[1]),
            side=Side((match[3] or "media").capitalize()),
            statistic=Statistic(match[2] or "current"),
            signed=row["type"] == "s16",
            scale=0.0 if row["type"] == "f16" else float(row["scale"]),
            unit=str(row.get("unit", "")),
            since=(int(major), int(minor)),
        )
    return MappingProxyType(found)
