"""The controls of one of the four pattern engines of a bank: which lanes, which pattern, which clock (DIAG-06).

Owns the meaning of its control bytes under what the profile advertises. Only raw line patterns are played: a
generator behind the FEC encoder, a checker in front of the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from cmis_emu.module.diagnostics.bench import USER_PATTERN, pattern_stream
from cmis_emu.module.diagnostics.faults import DiagnosticFaults
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.sides import Side
from cmis_emu.physics.light import Stream
from cmis_emu.registers.memory import Cell, Memory


class Engine(Enum):
    """What an engine does. The value is part of the names of its fields."""

    GENERATOR = "Generator"
    CHECKER = "Checker"


ON_THE_LINE = {Engine.GENERATOR: "PostFEC", Engine.CHECKER: "PreFEC"}
"""Where an engine sits that knows no FEC."""
_MOVED = {Engine.GENERATOR: "PreFECEnable", Engine.CHECKER: "PostFECEnable"}
"""The control that moves it to the other side of the FEC."""

_REFERENCE = {
    (Side.HOST, Engine.GENERATOR): frozenset[int](),
    (Side.MEDIA, Engine.GENERATOR): frozenset({1}),
    (Side.HOST, Engine.CHECKER): frozenset({2}),
    (Side.MEDIA, Engine.CHECKER): frozenset({2}),
}
"""Codes of the clock source that ask for a reference clock, which no form factor here has (enums, unsure)."""
_FIRST_RECOVERED = {Side.HOST: 1, Side.MEDIA: 2}  # a generator's clock source: that of lane 1 of the other side
_RECOVERED_HERE = 15  # the clock of the lane of the same number


def fields_of(side: Side, engine: Engine) -> tuple[str, ...]:
    """Names of an engine's controls."""
    lanes = ("Enable", "DataInvert", "ByteSwap", _MOVED[engine], "PatternSelect")
    prefix = f"{side.value}Side{engine.value}"
    return (*(f"{prefix}{each}Lane" for each in lanes), f"{prefix}ClockSource")


class PatternControls:
    """One engine on the lanes that exist, 1-based within the bank."""

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        side: Side,
        engine: Engine,
        bank: int,
        lanes: Sequence[int],
        faults: DiagnosticFaults,
    ) -> None:
        self._faults = faults
        self.side = side
        self.lanes = tuple(lanes)
        self._engine = engine
        prefix = f"{side.value}Side{engine.value}"
        says = profile.registers.get
        place = f"PRBS{engine.value}{side.value}Side{ON_THE_LINE[engine]}Supported"
        self._patterns = int(says(f"{prefix}SupportedPatterns", 0)) if says(place, 0) else 0
        self._lane_enable = bool(says(f"{prefix}PerLaneEnableSupported", 0))
        self._lane_pattern = bool(says(f"{prefix}PerLanePatternSupported", 0))
        self._user_bytes = 2 * (int(says("UserPatternLengthMax", 0)) + 1)
        names = dict(zip(("on", "invert", "swap", "moved", "pattern", "clock"), fields_of(side, engine), strict=True))
        self.cells: dict[str, Cell] = {key: memory.cell(name, bank) for key, name in names.items()}
        self._user = memory.cell("UserPattern", bank)

    def spread(self) -> None:
        """DIAG-06: without an enable per lane, one bit stands for all lanes, and reads back so."""
        cell = self.cells["on"]
        if not self._lane_enable and cell.implemented and cell.bits():
            cell.set_bits(sum(1 << (lane - 1) for lane in self.lanes))

    def enabled(self) -> tuple[int, ...]:
        """Lanes that are switched on."""
        bits = self.cells["on"].bits() if self.cells["on"].implemented else 0
        return tuple(lane for lane in self.lanes if bits >> (lane - 1) & 1)

    def stream(self, lane: int) -> Stream | None:
        """The pattern that a lane is set to; None where the module cannot make it there (DIAG-07)."""
        code = self._of("pattern", lane if self._lane_pattern else 1)
        if not self._patterns >> code & 1 or self._of("moved", lane):
            return None
        if self._faults.rules and self._faults.refuses(self.side, self._engine.value, code):
            return None
        index, size, *_ = self._user.slots[0]
        return pattern_stream(
            code,
            inverted=bool(self._of("invert", lane)),
            swapped=bool(self._of("swap", lane)),
            user=bytes(self._user.data[index : index + min(size, self._user_bytes)]) if code == USER_PATTERN else b"",
        )

    @property
    def referenced(self) -> bool:
        """Is it told to run on the reference clock?"""
        return self._clock() in _REFERENCE[self.side, self._engine]

    def clock_lane(self, lane: int) -> int | None:
        """The lane of the other side whose recovered clock a generator takes; None for a clock of its own."""
        code = self._clock()
        if self._engine is not Engine.GENERATOR or not code or self.referenced:
            return None
        return lane if code == _RECOVERED_HERE else code - _FIRST_RECOVERED[self.side] + 1

    def _clock(self) -> int:
        return self.cells["clock"].get() if self.cells["clock"].implemented else 0

    def _of(self, key: str, lane: int) -> int:
        cell = self.cells[key]
        return cell.get(lane) if cell.implemented else 0
