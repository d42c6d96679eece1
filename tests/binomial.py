"""How many symbols of a KP4 codeword are wrong: plain arithmetic, independent of the emulator's."""

from __future__ import annotations

import math


def weights_of(ber: float, most: int) -> list[float]:
    """Chances of 0, 1, 2 ... wrong symbols of 544, each of ten bits that fail one by one."""
    wrong = 1 - (1 - ber) ** 10
    return [math.comb(544, k) * wrong**k * (1 - wrong) ** (544 - k) for k in range(most)]
