"""How long, or how often, something was within each of some bins: histograms that grow with simulated time (CMD-07).

Owns the counting, by the fixed choice of samples that VDM's statistics use: each sample counts until the next, so
what is counted depends on nobody's asking, and nothing ticks.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmis_emu.clock import NEVER, NS_PER_S
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.statistics import Grid
from cmis_emu.physics.counting import poisson_count
from cmis_emu.physics.fec import CORRECTABLE, DEEPEST, symbol_errors
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant

_Array = NDArray[np.float64]
TEMPERATURE_EDGES_C = tuple(range(-5, 86, 10))
"""Edges of the 11 bins: below the first, ten degrees each, above the last."""
_CHANNEL = 7_000_000  # of poisson_count, away from those of the pattern checkers


class Counter(Protocol):
    """Something that is told when what it counts changes."""

    def open(self, now_ns: int) -> None: ...
    def close(self, now_ns: int) -> None: ...


class Binned:
    """Seconds in each bin. A subclass says what share of the time that a sample stands for goes to which bin."""

    def __init__(self, bins: int, grid: Grid) -> None:
        self._grid = grid
        self._bins = bins
        self._start_ns: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._area: _Array = np.zeros(self._bins)
        self._chosen = 0
        self._last: _Array = np.zeros(self._bins)
        self._last_ns = 0

    def shares(self, sample: int, at_ns: int) -> _Array:
        """What each bin gets of a second."""
        raise NotImplementedError

    def begins_ns(self, now_ns: int) -> int:
        """When there is something to count; NEVER for not at all."""
        return now_ns

    def start(self, now_ns: int) -> None:
        """All bins empty, and on."""
        self._clear()
        self.open(now_ns)

    def open(self, now_ns: int) -> None:
        """From now on something else may hold."""
        begins_ns = self.begins_ns(now_ns)
        self._chosen = 0
        self._start_ns = None if begins_ns == NEVER else begins_ns

    def close(self, now_ns: int) -> None:
        """What holds until now ends."""
        if self._start_ns is not None:
            self._count(now_ns)
            if self._chosen:
                self._area = self._area + self._held(now_ns)
            self._start_ns = None
            self._chosen = 0

    def _held(self, until_ns: int) -> _Array:
        return self._last * ((until_ns - self._last_ns) / NS_PER_S)

    def _count(self, now_ns: int) -> None:
        """Count the chosen samples before `now_ns`."""
        assert self._start_ns is not None
        while True:
            sample, at_ns = self._grid.chosen(self._start_ns, self._chosen)
            if at_ns >= now_ns:
                return
            if self._chosen:
                self._area = self._area + self._held(at_ns)
            self._last, self._last_ns = self.shares(sample, at_ns), at_ns
            self._chosen += 1

    def totals(self, now_ns: int) -> _Array:
        """Seconds, or expected events, in each bin until now."""
        if self._start_ns is None:
            return self._area
        self._count(now_ns)
        return self._area + self._held(now_ns) if self._chosen else self._area


class TemperatureCounter(Binned):
    """How long the case had which temperature."""

    def __init__(self, plant: ModulePlant, grid: Grid) -> None:
        self._plant = plant
        super().__init__(len(TEMPERATURE_EDGES_C) + 1, grid)

    def shares(self, sample: int, at_ns: int) -> _Array:
        """All of it to one bin; without noise, which would shift hours between two bins."""
        degrees = self._plant.trend(Quantity.CASE_TEMPERATURE, 0, at_ns).value
        found = np.zeros(self._bins)
        found[sum(degrees >= edge for edge in TEMPERATURE_EDGES_C)] = 1.0
        return found

    def seconds(self, now_ns: int) -> list[int]:
        """Whole seconds of each bin."""
        return [int(each + 1e-6) for each in self.totals(now_ns)]


class Decoder(Protocol):
    """What a counter of codewords asks: see `Meter`."""

    @property
    def grid(self) -> Grid: ...
    def bers(self, number: int, side: Side, sample: int, at_ns: int) -> list[float]: ...
    def frames_per_s(self, number: int) -> float: ...
    def found_ns(self, number: int, side: Side) -> int: ...


class WeightCounter(Binned):
    """Codewords of one data path at one decoder by their number of wrong symbols, and their error ratio."""

    def __init__(self, decoder: Decoder, number: int, side: Side, seed: int, turn: int = 0) -> None:
        """`turn`: another one gives other chances to the same codewords."""
        self._decoder = decoder
        self._number = number
        self._side = side
        self._seed = seed
        self._channel = _CHANNEL + (turn << 16 | number << 1 | (side is Side.HOST)) * 1000
        super().__init__(DEEPEST + 2, decoder.grid)  # the last one: bits that were wrong, a ratio times frames

    def begins_ns(self, now_ns: int) -> int:
        """Once the data path is at work and its receivers have found their signal."""
        if not self._decoder.frames_per_s(self._number):
            return NEVER
        found_ns = self._decoder.found_ns(self._number, self._side)
        return NEVER if found_ns >= NEVER else max(now_ns, found_ns)

    def shares(self, sample: int, at_ns: int) -> _Array:
        """Codewords of each weight in a second."""
        found = np.zeros(self._bins)
        bers = self._decoder.bers(self._number, self._side, sample, at_ns)
        frames = self._decoder.frames_per_s(self._number)
        if not bers or max(bers) <= 0.0:
            found[0] = frames
            return found
        chances = symbol_errors(bers)
        found[:DEEPEST] = frames * chances[:DEEPEST]
        found[DEEPEST] = frames * float(chances[DEEPEST:].sum())
        found[-1] = frames * sum(bers) / len(bers)
        return found

    def counts(self, now_ns: int) -> list[int]:
        """Codewords of each weight: whole numbers that never fall, and whose sum is that of all codewords."""
        expected = self.totals(now_ns)[:-1]
        wrong = [poisson_count(self._seed, self._channel + k, float(expected[k])) for k in range(1, len(expected))]
        every = int(float(expected.sum()))
        return [max(0, every - sum(wrong)), *wrong]

    def ber(self, now_ns: int) -> float:
        """Mean error ratio before the decoder."""
        totals = self.totals(now_ns)
        frames = float(totals[:-1].sum())
        return float(totals[-1]) / frames if frames else 0.0

    def heaviest(self, now_ns: int) -> int:
        """Most wrong symbols of a codeword; what cannot be corrected counts as one more than what can."""
        counts = self.counts(now_ns)
        weight = max((k for k in range(1, len(counts)) if counts[k]), default=0)
        return min(weight, CORRECTABLE + 1)
