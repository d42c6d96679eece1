"""Diagnostics of one bank on a double of the signals: for tests of the register side alone.

`Signals` routes in the plainest way: what the host drives, what comes from the media, generators over both, and
the loopbacks. `Rig` is the pages, the flags and the diagnostics of a DR4 with added registers; a host reads and
writes through it. Offsets are typed from the standard.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cmis_emu import ManualClock
from cmis_emu.clock import NS_PER_S
from cmis_emu.module.diagnostics.controller import Diagnostics
from cmis_emu.module.flags import Flags
from cmis_emu.module.profile.library import load_profile
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.physics.light import TRAFFIC, Stream
from cmis_emu.registers.memory import Memory
from cmis_emu.registers.view import View

HOST, MEDIA = Side.HOST, Side.MEDIA
RATE = 53.125e9
PATTERNS = 0x1FFF  # PRBS31Q to SSPRQ

_LOOPBACKS = (
    "MediaSideOutputLoopbackSupported",
    "MediaSideInputLoopbackSupported",
    "HostSideOutputLoopbackSupported",
    "HostSideInputLoopbackSupported",
    "PerLaneHostSideLoopbacksSupported",
    "PerLaneMediaSideLoopbacksSupported",
    "SimultaneousHostAndMediaSideLoopbacksSupported",
)
_ENGINES = ("HostSideGenerator", "MediaSideGenerator", "HostSideChecker", "MediaSideChecker")
EVERYTHING: dict[str, Any] = {
    "DiagnosticPagesSupported": 1,
    **dict.fromkeys(_LOOPBACKS, 1),
    "GatingSupport": 1,
    "GatingResultsSupported": 1,
    "PeriodicUpdatesSupported": 1,
    "PerLaneGatingTimersSupported": 1,
    "AutoRestartGatingSupported": 1,
    "MediaSideInputSNRMeasurementSupported": 1,
    "HostSideInputSNRMeasurementSupported": 1,
    "BitsAndErrorsCountingSupported": 1,
    "BitErrorRatioResultsSupported": 1,
    "PRBSGeneratorMediaSidePostFECSupported": 1,
    "PRBSCheckerMediaSidePreFECSupported": 1,
    "PRBSGeneratorHostSidePostFECSupported": 1,
    "PRBSCheckerHostSidePreFECSupported": 1,
    **{f"{each}SupportedPatterns": PATTERNS for each in _ENGINES},
    **{f"{each}{what}Supported": 1 for each in _ENGINES for what in ("DataSwap", "DataInvert")},
    **{f"{each}PerLane{what}Supported": 1 for each in _ENGINES for what in ("Enable", "Pattern")},
}
"""A module that offers all of it, on the line."""


@dataclass
class Signals:
    """What reaches the checkers. `host`, `media`: what comes from outside, by lane; None is nothing."""

    clock: ManualClock
    host: dict[int, Stream | None] = field(default_factory=dict)
    media: dict[int, Stream | None] = field(default_factory=dict)
    is_ready: bool = True
    powered: bool = True
    rate: float = RATE
    snr: float = 22.5
    diagnostics: Diagnostics | None = None
    settled: int = 0
    asked: int = 0
    watched: set[tuple[Side, int]] = field(default_factory=set)
    _ratio: dict[tuple[Side, int], float] = field(default_factory=dict)
    _past: dict[tuple[Side, int], tuple[int, float]] = field(default_factory=dict)

    def ready(self) -> bool:
        return self.is_ready

    def heard(self, side: Side, lane: int) -> Stream | None:
        self.asked += 1
        if not self.is_ready or not self.powered:
            return None
        return self._from_host(lane) if side is HOST else self._from_media(lane)

    def _from_host(self, lane: int) -> Stream | None:
        return self._to_host(lane) if self._looped(Loopback.HOST_OUTPUT, lane) else self._given(self.host, lane)

    def _from_media(self, lane: int) -> Stream | None:
        return self._to_media(lane) if self._looped(Loopback.MEDIA_OUTPUT, lane) else self._given(self.media, lane)

    def _to_host(self, lane: int) -> Stream | None:
        made = self.diagnostics.generated(HOST, lane) if self.diagnostics else None
        back = self._looped(Loopback.HOST_INPUT, lane)
        return made or (self._given(self.host, lane) if back else self._given(self.media, lane))

    def _to_media(self, lane: int) -> Stream | None:
        made = self.diagnostics.generated(MEDIA, lane) if self.diagnostics else None
        back = self._looped(Loopback.MEDIA_INPUT, lane)
        return made or (self._given(self.media, lane) if back else self._given(self.host, lane))

    def _looped(self, kind: Loopback, lane: int) -> bool:
        return self.diagnostics is not None and self.diagnostics.loopback(kind, lane)

    @staticmethod
    def _given(signals: dict[int, Stream | None], lane: int) -> Stream | None:
        return signals.get(lane, Stream(TRAFFIC))

    def set_ratio(self, side: Side, lane: int, ratio: float) -> None:
        """The bit error ratio from now on, until set again."""
        now = self.clock.now_ns
        self._past[side, lane] = now, self._integral(side, lane, now)
        self._ratio[side, lane] = ratio
        self.settle()

    def measured(self, side: Side, lane: int, now_ns: int) -> float:
        assert (side, lane) in self.watched
        return self._integral(side, lane, now_ns)

    def _integral(self, side: Side, lane: int, now_ns: int) -> float:
        began, before = self._past.get((side, lane), (0, 0.0))
        assert began <= now_ns <= self.clock.now_ns
        return before + self._ratio.get((side, lane), 0.0) * (now_ns - began) / NS_PER_S

    def bit_rate(self, side: Side, lane: int) -> float:
        return self.rate if side is HOST else 2 * self.rate

    def snr_db(self, side: Side, lane: int, now_ns: int) -> float:
        return self.snr if self.heard(side, lane) is not None else 0.0

    def can_generate(self, side: Side, lane: int) -> bool:
        return self.is_ready and self.powered

    def watch(self, spots: Collection[tuple[Side, int]]) -> None:
        self.watched = set(spots)

    def changing(self) -> None:
        """Nobody measures at the other end."""

    def settle(self) -> None:
        self.settled += 1
        if self.diagnostics is not None:
            self.diagnostics.update()


class Rig:
    """The diagnostics of one bank of a module that has `registers`, and a host that reads and writes them."""

    def __init__(self, folder: Path, seed: int = 1, behaviour: dict[str, Any] | None = None, **registers: Any) -> None:
        path = folder / "rig.yaml"
        data = {"profile": "rig", "base": "qsfpdd-400g-dr4", "registers": EVERYTHING | registers}
        path.write_text(yaml.safe_dump(data | ({"behaviour": behaviour} if behaviour else {})))
        self.profile = load_profile(str(path))
        self.clock = ManualClock()
        profile = self.profile
        self.memory = Memory(profile.regmap, profile.compiled, profile.image, bank_counts=profile.bank_count)
        self.view = View(profile.regmap, self._fetch, self.memory.store)
        self.interrupts: list[bool] = []
        self.flags = Flags(self.memory, self.clock, 100_000_000, self.interrupts.append)
        self.signals = Signals(self.clock)
        self.diagnostics = Diagnostics(
            self.memory,
            profile,
            self.clock,
            self.flags,
            self.signals,
            seed=seed,
            bank=0,
            media_lanes=(1, 2, 3, 4),
        )
        self.signals.diagnostics = self.diagnostics
        self.signals.settle()

    def _fetch(self, page: int, bank: int, offset: int, length: int) -> bytes:
        return self.memory.fetch(page, bank, offset, length, self.clock.now_ns)

    def write(self, page: int, offset: int, *values: int) -> None:
        """One host write."""
        self.memory.select(page, 0)
        self.memory.write(offset, bytes(values))

    def read(self, page: int, offset: int, length: int = 1) -> bytes:
        """One host read, with its side effects."""
        self.memory.select(page, 0)
        data = self.memory.read(offset, length, self.clock.now_ns)
        self.memory.clocked_out(offset, data)
        return data

    def byte(self, page: int, offset: int) -> int:
        """One byte, read by the host."""
        return self.read(page, offset)[0]

    def selected(self, selector: int) -> bytes:
        """The 64 bytes of results that a selector shows."""
        self.write(0x14, 128, selector)
        return self.read(0x14, 192, 64)

    def get(self, name: str, lane: int | None = None) -> Any:
        """A field by its name, with no side effect."""
        return self.view.get(name, lane=lane)
