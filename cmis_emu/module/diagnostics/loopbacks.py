"""The loopback controls of one bank: what a host asked for, what is granted, what reads back (DIAG-02 to DIAG-05).

Owns the four enable bytes. A request that the rules exclude is ignored and its bits read back 0. Within one write
what is switched off goes first, then requests are judged in the order of the registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmis_emu.layouts.application import mask_of
from cmis_emu.module.diagnostics.faults import DiagnosticFaults
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.registers.memory import Cell, Memory


class LoopbackControls:
    """The loopbacks of one bank. Lanes are 1-based within the bank."""

    OWNS = tuple(f"{kind.value}LoopbackEnable" for kind in Loopback)

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        lanes: Mapping[Side, Sequence[int]],
        bank: int,
        faults: DiagnosticFaults,
    ) -> None:
        self._faults = faults
        self._lanes = {side: mask_of(here) for side, here in lanes.items()}
        self._per_lane = {
            side: bool(profile.registers.get(f"PerLane{side.value}SideLoopbacksSupported", 0)) for side in Side
        }
        self._both_sides = bool(profile.registers.get("SimultaneousHostAndMediaSideLoopbacksSupported", 0))
        self.cells: dict[Loopback, Cell] = {}
        for kind in Loopback:
            cell = memory.cell(f"{kind.value}LoopbackEnable", bank)
            if cell.implemented:
                self.cells[kind] = cell
        self._on = dict.fromkeys(Loopback, 0)

    def on(self, kind: Loopback, lane: int) -> bool:
        """Is the loopback really on?"""
        return bool(self._on[kind] >> (lane - 1) & 1)

    def reset(self) -> None:
        """The registers are at their defaults."""
        self._on = dict.fromkeys(Loopback, 0)

    def grant(self, ready: bool) -> dict[Loopback, int]:
        """What shall be on: as the registers ask, as far as the rules allow. Nothing is switched yet."""
        wanted = {kind: self._wanted(kind) if ready else 0 for kind in self.cells}
        if self._faults.rules:
            for kind, bits in wanted.items():
                new = bits & ~self._on[kind]
                if new and self._faults.loopback_refused(kind, bits, self._lanes[kind.side]):
                    wanted[kind] &= ~new
        on = {kind: bits & wanted.get(kind, 0) for kind, bits in self._on.items()}
        for kind, bits in wanted.items():
            on[kind] |= self._granted(kind, bits & ~on[kind], on)
        return on

    def differ(self, on: Mapping[Loopback, int]) -> bool:
        """Is it not what is on now?"""
        return on != self._on

    def switch(self, on: dict[Loopback, int]) -> bool:
        """Switch, and make the registers read back what is on (DIAG-05); True when something changed."""
        changed, self._on = self.differ(on), on
        for kind, cell in self.cells.items():
            cell.set_bits(on[kind])
        return changed

    def _wanted(self, kind: Loopback) -> int:
        """DIAG-04: without control per lane any bit stands for all lanes of the side."""
        bits = self.cells[kind].bits()
        every = self._lanes[kind.side]
        return bits & every if self._per_lane[kind.side] else every if bits else 0

    def _granted(self, kind: Loopback, bits: int, on: Mapping[Loopback, int]) -> int:
        """DIAG-04: not both loopbacks of one side on a lane, and not both sides where that is not offered."""
        other_side = any(on[each] for each in Loopback if each.side is not kind.side)
        if other_side and not self._both_sides:
            return 0
        taken = on[kind.opposite]
        if not self._per_lane[kind.side] and taken:
            return 0
        return bits & ~taken
