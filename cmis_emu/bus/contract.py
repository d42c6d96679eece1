"""The one contract between whatever carries bytes and a target: start, write byte, peek, commit, end, abort.

The virtual bus, the bit-level slave and every hardware back end drive a target by these calls and nothing else, so
that what they can do to it is the same. `target.Target` is the module's side; other sides may meet it, too.
"""

from __future__ import annotations

from typing import Protocol


class ByteTarget(Protocol):
    """One I2C target at byte-event level.

    A read byte is peeked before its first bit is driven, as often and as early as the back end likes, and committed
    once the controller has clocked all of it out, acknowledged or not; a byte that was not clocked out whole is never
    committed. What was written takes effect at `end` or the next `start`, and never after `abort`. Each call may
    raise BusError where a fault makes an adapter give up; the transaction is over then.
    """

    def start(self, *, read: bool) -> bool:
        """START or repeated START with this target's address byte. Returns the acknowledge bit."""
        ...

    def write_byte(self, value: int) -> bool:
        """One byte from the controller. Returns the acknowledge bit."""
        ...

    def peek(self) -> int:
        """The byte that a read would clock out next; asking twice changes nothing."""
        ...

    def commit(self) -> None:
        """The peeked byte was clocked out."""
        ...

    def end(self) -> None:
        """STOP, or a repeated START for somebody else."""
        ...

    def abort(self) -> None:
        """The transaction broke off: the bus timed out, or was taken away. What was written is forgotten."""
        ...
