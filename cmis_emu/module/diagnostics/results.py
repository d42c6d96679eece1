"""Page 14h: the selector and the results that it selects (DIAG-12 to DIAG-14).

Owns DiagnosticsSelector and DiagnosticsData. Which field lies where for which selector is the map's business
(`views`); what each of these fields holds is decided here by its name. Bytes are made when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial

from cmis_emu.clock import NEVER, NS_PER_MS, Clock
from cmis_emu.module.diagnostics.bench import Bench
from cmis_emu.module.diagnostics.faults import DiagnosticFaults, SelectorLag
from cmis_emu.module.diagnostics.pattern_checker import PatternChecker
from cmis_emu.module.faults.monitors import Misread, Misreadings, MonitorFaults
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.sides import Side
from cmis_emu.registers.encoding import decode, encode_f16, insert
from cmis_emu.registers.field import Field, Kind
from cmis_emu.registers.memory import Memory, Write
from cmis_emu.registers.regmap import PageView

GATED = 0x10
"""Set in the selectors that show the last completed gate instead of the running values (DIAG-11)."""

Checkers = Mapping[tuple[Side, int], PatternChecker]


class _Content(Enum):
    RATIO = "bit error ratio"
    ERRORS = "errors"
    BITS = "bits"
    SNR = "signal-to-noise ratio"


_CONTENTS = {
    "BERHostLane": (Side.HOST, _Content.RATIO),
    "BERMediaLane": (Side.MEDIA, _Content.RATIO),
    "ErrorCountHost": (Side.HOST, _Content.ERRORS),
    "ErrorCountMedia": (Side.MEDIA, _Content.ERRORS),
    "BitCountHost": (Side.HOST, _Content.BITS),
    "BitCountMedia": (Side.MEDIA, _Content.BITS),
    "SNRHostLane": (Side.HOST, _Content.SNR),
    "SNRMediaLane": (Side.MEDIA, _Content.SNR),
}


class DiagnosticResults:
    """The live region of page 14h of one bank."""

    OWNS = ("DiagnosticsSelector", "DiagnosticsData")

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        clock: Clock,
        bench: Bench,
        checkers: Checkers,
        bank: int,
        faults: DiagnosticFaults,
        misreads: MonitorFaults,
        misreadings: Misreadings,
    ) -> None:
        self._faults = faults
        self._misreads = misreads
        self._misreadings = misreadings
        self._bank = bank
        self._chosen = 0  # the selector that was written last
        self._before = 0  # the selector of the results that a fault still shows
        self._lags_until_ns = 0  # by a fault: until then they show
        self.due_ns = 0
        self._profile = profile
        self._clock = clock
        self._bench = bench
        self._checkers = checkers
        self._period_ns = round(profile.behaviour.monitor_period_ms * NS_PER_MS)
        self._since_ns = 0
        self._selector = memory.cell("DiagnosticsSelector", bank)
        self._data = memory.cell("DiagnosticsData", bank)
        self._map = memory.regmap.pages[self._selector.field.page]
        page = self._selector.page
        page.live = self
        page.hooks[self._selector.address - page.first] = self._selected

    def changed(self) -> None:
        """Results or signals changed: what the page holds is stale."""
        self.due_ns = 0
        self._since_ns = self._clock.now_ns

    def supported(self, selector: int) -> bool:
        """Does the module have results for the selector?"""
        view = self._map.view(selector)
        if view is None or (selector & GATED and not self._says("GatingResultsSupported")):
            return False
        return any(self._offered(field) for field in view.fields)

    def refresh(self, now_ns: int) -> None:
        """Write the bytes that the selector asks for; all 0 for one that is not supported."""
        selector, page = self._selector.get(), self._selector.page
        lags = now_ns < self._lags_until_ns
        self._chosen = selector
        selector = self._before if lags else selector
        index, size, *_ = self._data.slots[0]
        page.data[index : index + size] = bytes(size)
        view = self._map.view(selector)
        self.due_ns = self._lags_until_ns if lags else NEVER
        if view is None or not self.supported(selector):
            return
        for field in view.fields:
            if self._offered(field):
                self._fill(page.data, page.first, view, field, selector, now_ns)

    def _fill(self, data: bytearray, first: int, view: PageView, field: Field, selector: int, now_ns: int) -> None:
        side, content = _CONTENTS[field.name]
        for element in range(1, field.count + 1):
            lane = view.first_lane + element - 1
            checker = self._checkers.get((side, lane))
            if content is _Content.SNR:
                code = self._snr_code(field, side, lane, now_ns)
                insert(field, data, first, self._misread(field, lane, code, now_ns), element)
            elif checker is not None:
                result = checker.latched if selector & GATED else checker.shown
                code = {
                    _Content.RATIO: encode_f16(result.ratio),
                    _Content.ERRORS: result.errors,
                    _Content.BITS: result.bits & ~1 | result.sync_lost,
                }[content]
                code = self._misread(field, lane, min(code, field.maximum), now_ns)
                insert(field, data, first, code, element)

    def _snr_code(self, field: Field, side: Side, lane: int, now_ns: int) -> int:
        """Sampled on the grid of the monitors, so that nobody's polling matters."""
        sample = now_ns // self._period_ns
        self.due_ns = min(self.due_ns, (sample + 1) * self._period_ns)
        at_ns = max(sample * self._period_ns, self._since_ns)
        snr_db = self._bench.snr_db(side, lane, at_ns)
        return max(0, min(field.maximum, round(snr_db / (field.scale or 1.0))))

    def _selected(self, _: Write) -> None:
        """DIAG-12: write-through at once; what is not supported reads back 0."""
        if self._clock.now_ns >= self._lags_until_ns:
            self._before = self._chosen
        if self._faults.rules:
            self._lags_until_ns = max(self._lags_until_ns, self._clock.now_ns + self._faults.lag_ns())
        if not self.supported(self._selector.get()):
            self._selector.set(0)
        self._chosen = self._selector.get()
        self.due_ns = 0

    # -- faults --------------------------------------------------------------------------------------

    def _misread(self, field: Field, lane: int, code: int, now_ns: int) -> int:
        """What a result reads with the faults that are armed. An occasion is a period of the monitors."""
        if not self._misreads.rules:
            return code
        lane += 8 * self._bank
        rules = self._misreads.about(field.name, lane)
        if not rules:
            return code
        sample = now_ns // self._period_ns
        self.due_ns = min(self.due_ns, (sample + 1) * self._period_ns)
        value = float(decode(field, code))
        of_code = partial(_number, field)
        read = self._misreadings.read
        value = read(rules, (field.name, lane), sample, now_ns, value, of_code, judged=False)
        if field.kind is Kind.F16:
            return encode_f16(max(0.0, value))
        return max(0, min(field.maximum, round(value / (field.scale or 1.0))))

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if isinstance(rule, Misread):
            (self._misreadings.arm(rule, self._clock.now_ns) if armed else self._misreadings.clear(rule))
            self.due_ns = 0
        if isinstance(rule, SelectorLag) and not armed:
            self._lags_until_ns = self.due_ns = 0

    def _offered(self, field: Field) -> bool:
        return all(each.holds(self._says(each.name)) for each in field.needs)

    def _says(self, name: str) -> int:
        return int(self._profile.registers.get(name, 0))


def _number(field: Field, code: int) -> float:
    return float(decode(field, code & field.maximum))
