"""What a tunable product offers: grids and their channels, fine tuning, output power, and how its laser behaves.

Owns the codes of page 04h and the defaults of page 12h that follow, so that what is advertised is what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from cmis_emu.clock import NS_PER_MS
from cmis_emu.layouts.grid import GRIDS
from cmis_emu.module.states import DpState


class FineTuning(NamedTuple):
    """Offsets from the channel that can be asked for, in MHz."""

    low_mhz: int
    high_mhz: int
    resolution_mhz: int

    def offers(self, offset_mhz: int) -> bool:
        """Can the laser be set so far from its channel (TUN-04)?"""
        return self.low_mhz <= offset_mhz <= self.high_mhz and offset_mhz % self.resolution_mhz == 0


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """The whole section. `channels`: by grid code, lowest and highest. Powers in 0.01 dBm, as the registers."""

    channels: Mapping[int, tuple[int, int]]
    grid: int  # after a reset
    channel: int
    output: int  # after a reset
    media_lanes: int
    fine: FineTuning | None = None
    output_range: tuple[int, int] | None = None  # None: the output is what it is
    time_ms: float = 4000.0  # to another channel
    fine_time_ms: float = 500.0  # to another offset within the channel
    accepts: frozenset[DpState] = frozenset({DpState.DEACTIVATED, DpState.INITIALIZED})  # TUN-05
    lock_mhz: int = 1800  # further off, the wavelength counts as unlocked

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def offers(self, grid: int, channel: int) -> bool:
        """Is that a channel of the product (TUN-04)?"""
        known = self.channels.get(grid)
        return known is not None and known[0] <= channel <= known[1] and channel % GRIDS[grid].multiple == 0

    @property
    def start_mhz(self) -> int:
        """Where the laser is after a reset."""
        return GRIDS[self.grid].frequency_mhz(self.channel)

    def duration_ns(self, *, fine: bool) -> int:
        """How long the laser takes to get there."""
        return round((self.fine_time_ms if fine else self.time_ms) * NS_PER_MS)

    def codes(self) -> dict[str, int]:
        """Codes of the registers by field name."""
        found = {"WavelengthIsControllable": 1, "TransmitterIsTunable": 1}
        for code, (low, high) in self.channels.items():
            name = GRIDS[code].name
            found |= {
                f"GridSupported{name}": 1,
                f"GridLowChannel{name}": low & 0xFFFF,
                f"GridHighChannel{name}": high & 0xFFFF,
            }
        if self.fine is not None:
            found |= {
                "FineTuningSupported": 1,
                "FineTuningResolution": self.fine.resolution_mhz,
                "FineTuningLowOffset": self.fine.low_mhz & 0xFFFF,
                "FineTuningHighOffset": self.fine.high_mhz & 0xFFFF,
            }
        if self.output_range is not None:
            found["ProgOutputPowerPerLaneSupported"] = 1
            found["ProgOutputPowerMin"], found["ProgOutputPowerMax"] = (each & 0xFFFF for each in self.output_range)
        for lane in range(1, self.media_lanes + 1):
            found |= {
                f"GridSpacingTx{lane}": self.grid,
                f"ChannelOffsetNumberTx{lane}": self.channel & 0xFFFF,
                f"CurrentLaserFrequencyTx{lane}": self.start_mhz,
            }
            if self.output_range is not None:
                found[f"TargetOutputPowerTx{lane}"] = self.output & 0xFFFF
        return found
