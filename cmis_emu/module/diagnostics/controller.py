"""Diagnostics of one bank: pattern generators and checkers, loopbacks, gating and their flags (DIAG-01 to DIAG-17).

Owns the controls of page 13h and the flags of page 14h. Controls act when they are written; what runs, and what a
checker finds, is settled in `update`, which the routing of signals calls whenever something was switched. A bank
whose engines are off schedules nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from cmis_emu.clock import NS_PER_MS, NS_PER_S, Clock
from cmis_emu.layouts.application import mask_of
from cmis_emu.module.diagnostics.bench import Bench
from cmis_emu.module.diagnostics.faults import BadChecker, DiagnosticFaults, Refusal, Trouble
from cmis_emu.module.diagnostics.gating import CUSTOM_GATE, GATE_S, UPDATE_S, Gate, GateSettings
from cmis_emu.module.diagnostics.loopbacks import LoopbackControls
from cmis_emu.module.diagnostics.pattern_checker import PatternChecker
from cmis_emu.module.diagnostics.pattern_controls import Engine, PatternControls, fields_of
from cmis_emu.module.diagnostics.results import DiagnosticResults
from cmis_emu.module.faults.monitors import Misreadings, MonitorFaults
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.flags import Flags
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.physics.light import Stream
from cmis_emu.registers.memory import Cell, Memory, Write

_GATING = ("StartStopIsGlobal", "ResetErrorInformation", "AutoRestartGating", "MeasurementTime", "UpdatePeriodSelect")
_FLAGS = {
    "gate": "PatternCheckGatingCompleteFlag{}Lane",
    "generator": "PatternGeneratorLOLFlag{}Lane",
    "checker": "PatternCheckerLOLFlag{}Lane",
}
_CHANNEL = 0xD1A6 << 44  # far from the channels of the plant's noise

Spot = tuple[Side, int]


class Diagnostics:
    """Lanes are 1-based within the bank. `media_lanes` are those that exist."""

    OWNS = (
        *(name for side in Side for engine in Engine for name in fields_of(side, engine)),
        *_GATING,
        "UserPattern",
        "LossOfReferenceClockFlag",
        *(name.format(f"{side.value}") for name in _FLAGS.values() for side in Side),
    )

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        clock: Clock,
        flags: Flags,
        bench: Bench,
        *,
        seed: int,
        bank: int,
        media_lanes: Sequence[int],
        faults: DiagnosticFaults | None = None,
        misreads: MonitorFaults | None = None,
    ) -> None:
        self._faults = faults or DiagnosticFaults()
        self._profile = profile
        self._clock = clock
        self._flags = flags
        self._bench = bench
        self._bank = bank
        lanes = {Side.HOST: tuple(range(1, profile.host_lanes(bank) + 1)), Side.MEDIA: tuple(media_lanes)}
        self._engines = {
            (side, engine): PatternControls(memory, profile, side, engine, bank, lanes[side], self._faults)
            for side in Side
            for engine in Engine
        }
        self._loopbacks = LoopbackControls(memory, profile, lanes, bank, self._faults)
        lock_ns = round(profile.behaviour.pattern_lock_ms * NS_PER_MS)
        self._checkers: dict[Spot, PatternChecker] = {
            (side, lane): PatternChecker(
                bench,
                clock,
                side,
                lane,
                lock_ns=lock_ns,
                seed=seed,
                changed=self._lock_changed,
                in_trouble=partial(self._troubled, side, lane),
            )
            for side in Side
            for lane in lanes[side]
        }
        self._results = DiagnosticResults(
            memory,
            profile,
            clock,
            bench,
            self._checkers,
            bank,
            self._faults,
            misreads or MonitorFaults(),
            Misreadings(seed),
        )
        self._gating: dict[str, Cell] = {name: memory.cell(name, bank) for name in _GATING}
        self._lane_timers = bool(profile.registers.get("PerLaneGatingTimersSupported", 0))
        self._flag_cells = {
            (key, side): memory.cell(name.format(side.value), bank) for key, name in _FLAGS.items() for side in Side
        }
        self._no_reference = memory.cell("LossOfReferenceClockFlag", bank)
        self._watching = False  # a checker is on
        self._measuring: list[Spot] = []
        self._gates: list[Gate] = []
        self._generated: dict[Spot, Stream] = {}
        self._listening = 0
        self._runs = 0
        self._seen: tuple[bytes, bool] = (b"", False)  # controls, and whether the module is ready, as last taken
        self._at_rest = False  # no engine is on, and none left anything to clear
        self._hook(memory, bank)

    def _hook(self, memory: Memory, bank: int) -> None:
        controls = [*self._gating.values(), memory.cell("UserPattern", bank), *self._loopbacks.cells.values()]
        for engine in self._engines.values():
            controls += engine.cells.values()
        for cell in controls:
            if cell.implemented:
                for index, size, *_ in cell.slots:
                    for step in range(size):
                        cell.page.hooks[index + step] = self._written
        self._page = controls[0].page

    # -- what the routing of signals asks ------------------------------------------------------------

    def generated(self, side: Side, lane: int) -> Stream | None:
        """The pattern on the output of that side (DIAG-08); None while no generator runs there."""
        return self._generated.get((side, lane))

    def loopback(self, kind: Loopback, lane: int) -> bool:
        """Is that loopback really on (DIAG-05)?"""
        return self._loopbacks.on(kind, lane)

    def listening(self) -> int:
        """Host lanes (mask) whose receivers are at work for a test, data path or not (DIAG-17)."""
        return self._listening

    def update(self) -> None:
        """Signals were routed: look at them, at this instant."""
        switched = self._take_controls()
        self._results.changed()
        if self._at_rest:
            if switched:
                self._bench.settle()
            return
        if self._run_generators() or switched:
            self._bench.settle()  # by the back door, by a change of state, or by a clock that came or went
        self._run_checkers()
        self._show_flags()
        self._at_rest = not any(engine.enabled() for engine in self._engines.values())

    # -- faults --------------------------------------------------------------------------------------

    def _troubled(self, side: Side, lane: int, trouble: Trouble) -> bool:
        return bool(self._faults.rules) and self._faults.troubled(trouble, side, self._bank, lane)

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        self._results.refault(rule, armed)
        if isinstance(rule, (BadChecker, Refusal)):
            self._at_rest = False
            self.update()
            self._bench.settle()

    # -- life ----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Registers are at their defaults: nothing runs, nothing is known (RST-05)."""
        for gate in self._gates:
            gate.close()
        self._gates = []
        self._measuring = []
        self._watching = False
        self._generated = {}
        self._listening = 0
        self._loopbacks.reset()
        for checker in self._checkers.values():
            checker.look(None)
            checker.clear()
        self._bench.watch(())
        self._seen = (b"", False)
        self._results.changed()

    # -- controls ------------------------------------------------------------------------------------

    def _written(self, _: Write) -> None:
        self._take_controls()
        self._run_generators()
        self._bench.settle()

    def _take_controls(self) -> bool:
        """Make loopbacks fit the registers and the state of the module; True when signals must be routed anew."""
        seen = bytes(self._page.data), self._bench.ready()
        if seen == self._seen:
            return False
        for engine in self._engines.values():
            engine.spread()
        wanted = self._loopbacks.grant(seen[1])
        if self._loopbacks.differ(wanted):
            self._bench.changing()
        switched = self._loopbacks.switch(wanted)
        listening = wanted[Loopback.HOST_INPUT]
        if seen[1]:
            listening |= mask_of(self._engines[Side.HOST, Engine.CHECKER].enabled())
        switched |= listening != self._listening
        self._listening = listening
        self._seen = bytes(self._page.data), seen[1]
        self._at_rest = False
        return switched

    def _run_generators(self) -> bool:
        """DIAG-06 to DIAG-08: what each generator sends; True when that changed."""
        generated: dict[Spot, Stream] = {}
        for side, lane in self._enabled(Engine.GENERATOR):
            controls = self._engines[side, Engine.GENERATOR]
            stream = controls.stream(lane)
            if stream is not None and self._clocked(controls, lane) and self._bench.can_generate(side, lane):
                generated[side, lane] = stream
        if generated == self._generated:
            return False
        self._bench.changing()
        self._generated = generated
        return True

    def _clocked(self, controls: PatternControls, lane: int) -> bool:
        """Has a generator a clock? There is no reference clock; a recovered one comes with its signal."""
        source = controls.clock_lane(lane)
        if source is None:
            return not controls.referenced
        return self._bench.heard(controls.side.opposite, source) is not None

    # -- checkers ------------------------------------------------------------------------------------

    def _enabled(self, engine: Engine) -> list[Spot]:
        """Lanes that are switched on; none outside ModuleReady (DIAG-17)."""
        if not self._bench.ready():
            return []
        return [(side, lane) for side in Side for lane in self._engines[side, engine].enabled()]

    def _run_checkers(self) -> None:
        enabled = self._enabled(Engine.CHECKER)
        if not enabled and not self._watching:
            return
        self._watching = bool(enabled)
        held = bool(self._gating["ResetErrorInformation"].get())
        measuring = [] if held else enabled
        for spot in self._measuring:
            if spot not in measuring:
                for gate in self._gates:
                    gate.leave(self._checkers[spot])
                self._checkers[spot].stop()
        self._bench.watch(enabled)
        if held:
            for checker in self._checkers.values():
                checker.clear()  # DIAG-10
        wanted = {spot: self._wanted(spot) for spot in enabled}
        for spot, checker in self._checkers.items():
            checker.look(wanted.get(spot))
        started = [spot for spot in measuring if spot not in self._measuring]
        self._measuring = measuring
        self._gates = [gate for gate in self._gates if gate.running]
        if started:
            self._start(started)

    def _wanted(self, spot: Spot) -> Stream | None:
        controls = self._engines[spot[0], Engine.CHECKER]
        return None if controls.referenced else controls.stream(spot[1])

    def _start(self, started: Sequence[Spot]) -> None:
        """DIAG-09: 0 to 1 of an enable bit resets the error information and starts measuring."""
        settings = self._settings()
        together = settings.gate_ns > 0 and (self._control("StartStopIsGlobal") or not self._lane_timers)
        running = next((gate for gate in self._gates if gate.settings.gate_ns), None) if together else None
        joining: Iterable[Spot] = started
        if running is None:
            joining = self._measuring if together else started
            for spot in joining:
                for gate in self._gates:
                    gate.leave(self._checkers[spot])
            running = Gate(self._clock, settings, self._channel, self._shown)
            self._gates.append(running)
        for spot in joining:
            running.join(self._checkers[spot])

    def _settings(self) -> GateSettings:
        """DIAG-09, DIAG-11: the controls as they are at the start."""
        code = self._control("MeasurementTime")
        gate_s = self._profile.behaviour.custom_gate_s if code == CUSTOM_GATE else GATE_S.get(code, 0.0)
        gate_ns = round(gate_s * NS_PER_S)
        periodic = bool(self._profile.registers.get("PeriodicUpdatesSupported", 0))
        # Without periodic updates a gate shows nothing until it is complete; free running counts still show.
        update_ns = UPDATE_S[self._control("UpdatePeriodSelect")] * NS_PER_S if periodic or not gate_ns else 0
        return GateSettings(gate_ns, update_ns, bool(self._control("AutoRestartGating")))

    def _control(self, name: str) -> int:
        cell = self._gating[name]
        return cell.get() if cell.implemented else 0

    def _channel(self, checker: PatternChecker) -> int:
        """A source of chance of its own for each measurement, so that runs differ."""
        self._runs += 1
        side = list(Side).index(checker.side)
        return _CHANNEL | self._runs << 8 | self._bank << 5 | side << 4 | checker.lane

    def _shown(self, gate: Gate, complete: bool) -> None:
        if complete:
            for side in Side:
                lanes = mask_of([checker.lane for checker in gate.checkers if checker.side is side])
                if lanes:
                    self._flags.latch(self._flag_cells["gate", side], lanes)
        self._results.changed()

    def _lock_changed(self) -> None:
        self._show_flags()
        self._results.changed()

    # -- flags ---------------------------------------------------------------------------------------

    def _show_flags(self) -> None:
        """DIAG-15: engines that are on and do not run, and a reference clock that is not there."""
        generators = self._enabled(Engine.GENERATOR)
        checkers = self._enabled(Engine.CHECKER)
        silent = [spot for spot in generators if spot not in self._generated]
        lost = [spot for spot in checkers if not (self._checkers[spot].locked or self._checkers[spot].searching)]
        for key, spots in (("generator", silent), ("checker", lost)):
            for side in Side:
                lanes = mask_of([lane for where, lane in spots if where is side])
                self._flags.level(self._flag_cells[key, side], lanes)
        asked = {(side, Engine.GENERATOR) for side, _ in generators} | {(side, Engine.CHECKER) for side, _ in checkers}
        self._flags.level(self._no_reference, int(any(self._engines[each].referenced for each in asked)))
