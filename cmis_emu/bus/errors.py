"""How a transfer fails when it is not just not acknowledged: with the errno that a kernel adapter returns."""

from __future__ import annotations

import errno


class BusError(Exception):
    """A transfer failed; `errno` is what a kernel adapter returns for it.

    A bus says so for every failure. A target raises it only where a fault on the way makes the adapter give up;
    a NACK is a value there.
    """

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number
