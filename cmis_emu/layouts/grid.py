"""Frequency grids of tunable lasers: from grid code and channel number to a frequency, and back (TUN-02).

All grids stand on 193.1 THz. Frequencies are whole MHz, the step of the registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

ANCHOR_MHZ = 193_100_000
LEAST_CHANNEL, MOST_CHANNEL = -0x8000, 0x7FFF  # S16


@dataclass(frozen=True, slots=True)
class Grid:
    """One grid: frequency = anchor + (channel + shift) * step. `multiple`: channels are multiples of it."""

    code: int
    name: str  # as it ends the names of its fields on page 04h
    step_mhz: float
    shift: int = 0
    multiple: int = 1

    def frequency_mhz(self, channel: int) -> int:
        """Frequency of a channel."""
        return round(ANCHOR_MHZ + (channel + self.shift) * self.step_mhz)

    def channel_at(self, frequency_mhz: float) -> int | None:
        """The channel of a frequency; None for one that is not on the grid."""
        channel = self.nearest(frequency_mhz)
        on_grid = channel % self.multiple == 0 and self.frequency_mhz(channel) == round(frequency_mhz)
        return channel if on_grid else None

    def nearest(self, frequency_mhz: float) -> int:
        """The number that a host gets which rounds and does not ask whether it is a channel."""
        return round((frequency_mhz - ANCHOR_MHZ) / self.step_mhz) - self.shift

    def channels(self, low_mhz: float, high_mhz: float) -> tuple[int, int] | None:
        """The first and the last channel within a range of frequencies; None without any."""
        low = ceil(round((low_mhz - ANCHOR_MHZ) / self.step_mhz, 6)) - self.shift
        high = floor(round((high_mhz - ANCHOR_MHZ) / self.step_mhz, 6)) - self.shift
        first, last = -(-low // self.multiple) * self.multiple, high // self.multiple * self.multiple
        fits = LEAST_CHANNEL <= first <= last <= MOST_CHANNEL
        return (first, last) if fits else None


GRIDS = {
    grid.code: grid
    for grid in (
        Grid(0, "3p125GHz", 3_125),
        Grid(1, "6p25GHz", 6_250),
        Grid(2, "12p5GHz", 12_500),
        Grid(3, "25GHz", 25_000),
        Grid(4, "50GHz", 50_000),
        Grid(5, "100GHz", 100_000),
        Grid(6, "33GHz", 100_000 / 3),
        Grid(7, "75GHz", 25_000, multiple=3),
        Grid(8, "150GHz", 25_000, shift=3, multiple=6),
        Grid(9, "300GHz", 12_500, shift=-9, multiple=24),
    )
}
BY_NAME = {grid.name: grid for grid in GRIDS.values()}
