"""The integral of an error ratio over time, so that what a checker counts does not depend on who looks when.

Between two changes the ratio is a formula of time: a drift that dies away. It is taken at a fixed choice of
instants after each change, ever further apart, and joined by straight lines. The line that time runs along is
always known in advance: whoever keeps an `ErrorIntegral` calls `extend` when `due_ns` comes, and `change` when
something was switched, which then can alter nothing of the past.
"""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.clock import NS_PER_MS, NS_PER_S

STEP_NS = 5 * NS_PER_MS
PER_DOUBLING = 8
"""The first steps are of STEP_NS; then so many make the time since the change twice as long."""


def node_ns(number: int) -> int:
    """How long after a change the ratio is taken for time number `number`."""
    if number <= PER_DOUBLING:
        return number * STEP_NS
    doubling, step = divmod(number - PER_DOUBLING, PER_DOUBLING)
    return STEP_NS * (PER_DOUBLING << doubling) + STEP_NS * (step << doubling)


class ErrorIntegral:
    """The integral in s, since it was made. `ratio` tells the error ratio at an instant as things stand."""

    __slots__ = ("_began_ns", "_left", "_number", "_ratio", "_right", "_total")

    def __init__(self, ratio: Callable[[int], float], now_ns: int) -> None:
        self._ratio = ratio
        self._total = 0.0  # up to the left end
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self._number = 1
        self._left = now_ns, self._ratio(now_ns)
        self._right = self._node()

    def _node(self) -> tuple[int, float]:
        at_ns = self._began_ns + node_ns(self._number)
        return at_ns, self._ratio(at_ns)

    @property
    def due_ns(self) -> int:
        """When `extend` must be called."""
        return self._right[0]

    def extend(self, now_ns: int) -> None:
        """Time has come to the end of what is known, and nothing has changed."""
        while self._right[0] <= now_ns:
            self._total = self.at(self._right[0])
            self._left = self._right
            self._number += 1
            self._right = self._node()

    def change(self, now_ns: int, switched: bool) -> bool:
        """Something may have changed at this instant, and has if `switched`; True if it did."""
        if not switched and self._ratio(self._right[0]) == self._right[1]:
            return False
        self._total = self.at(now_ns)
        self._begin(now_ns)
        return True

    def at(self, now_ns: int) -> float:
        """The integral up to an instant between the ends of the line."""
        (left_ns, left), (right_ns, right) = self._left, self._right
        passed = (now_ns - left_ns) / (right_ns - left_ns)
        here = left + (right - left) * passed
        return self._total + (left + here) / 2 * (now_ns - left_ns) / NS_PER_S
