"""What each lane of a bank says of its configuration: ConfigStatus, and who is in progress (CFG-03, CFG-06, CFG-10).

Owns ConfigStatusLane. Faults may have a lane say what is not so, for a while or for good; what it should have said
is kept, and shown when the time is over or the fault is cleared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cmis_emu.clock import Clock
from cmis_emu.layouts.application import lanes_of, mask_of
from cmis_emu.module.faults.applying import Report
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.states import ConfigStatus
from cmis_emu.registers.memory import Cell

Reports = Sequence[tuple[int, Report]]
"""Of faults: lanes (mask), and what they report."""


class StatusBoard:
    """The lanes of one bank, 1-based. `settle` is called when a lane is through of itself."""

    def __init__(self, cell: Cell, clock: Clock, settle: Callable[[], None]) -> None:
        self.in_progress = 0  # lanes (mask)
        self._cell = cell
        self._clock = clock
        self._settle = settle
        self._serial = 0
        self._wrong: dict[int, tuple[Report, ConfigStatus]] = {}  # lanes that say what is not so, and what is

    def reset(self, initial: int) -> None:
        """Nothing is in progress."""
        self.freeze()
        self.in_progress = 0
        self._wrong.clear()
        for lane in range(1, len(self._cell.slots) + 1):
            self._cell.set(initial, lane)

    def freeze(self) -> None:
        """What is shown now stays."""
        self._serial += 1

    def begin(self, lanes: Sequence[int]) -> None:
        """Lanes are being configured."""
        for lane in lanes:
            self._cell.set(ConfigStatus.IN_PROGRESS, lane)
        self.in_progress |= mask_of(lanes)

    @staticmethod
    def ends(lanes: Sequence[int], reports: Reports, usual_ns: int) -> dict[int, tuple[int, ...]]:
        """Who is through after how many ns, the first ones first."""
        times = dict.fromkeys(lanes, usual_ns)
        for mask, report in reports:
            if report.in_progress_ns is not None:
                times |= dict.fromkeys(lanes_of(mask), report.in_progress_ns)
        return {ns: tuple(lane for lane in lanes if times[lane] == ns) for ns in sorted(set(times.values()))}

    def show_after(self, ns: int, lanes: Sequence[int], codes: Mapping[int, ConfigStatus], reports: Reports) -> None:
        """Lanes are through so much later."""
        self._clock.after(ns, partial(self._show_late, tuple(lanes), codes, reports, self._serial))

    def _show_late(
        self, lanes: Sequence[int], codes: Mapping[int, ConfigStatus], reports: Reports, serial: int
    ) -> None:
        if serial == self._serial:
            self.show(lanes, codes, reports)
            self._settle()

    def show(self, lanes: Sequence[int], codes: Mapping[int, ConfigStatus], reports: Reports) -> None:
        """Lanes are through: what they say."""
        for lane in lanes:
            report = next((r for mask, r in reports if mask >> (lane - 1) & 1 and r.code is not None), None)
            self.in_progress &= ~(1 << (lane - 1))
            self._wrong.pop(lane, None)
            if report is None or report.code is None:
                self._cell.set(codes[lane], lane)
                continue
            self._cell.set(report.code, lane)
            self._wrong[lane] = report, codes[lane]
            if report.code == ConfigStatus.IN_PROGRESS:
                self.in_progress |= 1 << (lane - 1)  # it is not done, and takes no further trigger
            if report.lasts_ns is not None:
                self._clock.after(report.lasts_ns, partial(self._put_right, lane, report, self._serial))

    def _put_right(self, lane: int, report: Report, serial: int) -> None:
        wrong = self._wrong.get(lane)
        if serial == self._serial and wrong is not None and wrong[0] is report:
            del self._wrong[lane]
            self._cell.set(wrong[1], lane)
            self.in_progress &= ~(1 << (lane - 1))
            self._settle()

    def cleared(self, rule: Rule) -> None:
        """A fault was cleared: whoever said what is not so by it says what is."""
        for lane, (report, _) in tuple(self._wrong.items()):
            if report is rule:
                self._put_right(lane, report, self._serial)
