"""Where diagnostics and signals meet: what a pattern is on the line, and what reaches a checker.

`Bench` is how the register side of diagnostics asks for the signals of its bank; whoever routes
the signals implements it, and asks `Diagnostics` in turn what is generated and what is looped back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from cmis_emu.module.sides import Side
from cmis_emu.physics.light import Stream

SWAPPED = 1 << 4
"""Added to the code of a pattern whose bytes are swapped: another sequence of bits on the line."""
USER_PATTERN = 15
"""The code of prbs_pattern whose bits the host gave."""
_USER_SHIFT = 5


def pattern_stream(code: int, *, inverted: bool, swapped: bool, user: bytes = b"") -> Stream:
    """The stream of a test pattern. Two are equal when the bits on the line are."""
    content = code | (SWAPPED if swapped else 0)
    if code == USER_PATTERN:
        content |= int.from_bytes(user, "big") << _USER_SHIFT
    return Stream(content, inverted)


class Bench(Protocol):
    """What reaches the checkers of one bank. Lanes are 1-based within the bank."""

    def ready(self) -> bool:
        """True in ModuleReady (DIAG-17)."""

    def heard(self, side: Side, lane: int) -> Stream | None:
        """What a checker hears. None: no signal, no lock, or a lane that is not there or not powered."""

    def measured(self, side: Side, lane: int, now_ns: int) -> float:
        """Integral of the bit error ratio over time since some fixed instant, in s. `now_ns` is the present."""

    def bit_rate(self, side: Side, lane: int) -> float:
        """Bit/s of the lane."""

    def snr_db(self, side: Side, lane: int, now_ns: int) -> float:
        """Electrical signal-to-noise ratio at an instant since the last change; 0 while not locked."""

    def can_generate(self, side: Side, lane: int) -> bool:
        """Module ready and the circuits of the lane powered (DIAG-17)."""

    def watch(self, spots: Collection[tuple[Side, int]]) -> None:
        """The checkers that are on: `measured` is asked of these alone."""

    def changing(self) -> None:
        """A generator or a loopback is about to be switched; all is as it was."""

    def settle(self) -> None:
        """Something was switched: route the signals anew, and then call `Diagnostics.update`."""
