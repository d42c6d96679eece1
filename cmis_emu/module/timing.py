"""Page 15h: the latency of each lane, measured at each initialisation of its data path (TIM-01).

A product's latency is a figure of its profile; what an initialisation adds are the fill levels of the elastic
buffers, which come out a little differently each time. Lanes without an initialised data path read 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cmis_emu.physics.noise import MAX_SIGMA, gauss
from cmis_emu.registers.memory import Cell, Memory

_CHANNEL = 15_000  # noise channels of this page; each direction and lane has its own


@dataclass(frozen=True, slots=True)
class LatencyParameters:
    """Latency through the module in ns, each way; `spread`: one sigma from one initialisation to the next."""

    rx: float
    tx: float
    spread: float = 0.0


class DataPathLatency:
    """DPRxLatency and DPTxLatency of one bank, in whole ns."""

    OWNS = ("DPRxLatency", "DPTxLatency")

    def __init__(self, memory: Memory, parameters: LatencyParameters | None, seed: int, bank: int) -> None:
        self._parameters = parameters
        self._seed = seed + bank
        self._initialisations = 0
        here = parameters is not None and memory.has("DPRxLatency")
        self._cells: tuple[Cell, ...] = tuple(memory.cell(name, bank) for name in self.OWNS) if here else ()

    def measured(self, lanes: Sequence[int]) -> None:
        """The data path of these lanes is initialised; a latency known already stays."""
        if self._parameters is None:
            return
        self._initialisations += 1
        for direction, (cell, nominal) in enumerate(
            zip(self._cells, (self._parameters.rx, self._parameters.tx), strict=False)
        ):
            for lane in (n for n in lanes if not cell.get(n)):
                noise = gauss(self._seed, _CHANNEL + 100 * direction + lane, self._initialisations)
                cell.set(max(1, round(nominal + self._parameters.spread * noise)), lane)

    def lost(self, lanes: Iterable[int]) -> None:
        """These lanes have no initialised data path any more."""
        for cell in self._cells:
            for lane in lanes:
                cell.set(0, lane)


LARGEST_NS = 65_535 / 2
"""Of a nominal latency, so that no spread leaves the register."""

LARGEST_SPREAD_NS = LARGEST_NS / MAX_SIGMA
