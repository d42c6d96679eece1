"""The one contract between whatever carries bytes and a target: start, write byte, peek, commit, end, abort.

The virtual bus, the bit-level slave and every hardware back end drive a target by these calls and nothing else, so
that what they can do to it is the same. `target.Target` is the module's side; other sides may meet it, too. A whole
message is a sequence of them: `write_bytes`, `read_bytes`.
"""

from __future__ import annotations

from typing import Protocol

UNDRIVEN = 0xFF  # an open bus reads high


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


def write_bytes(target: ByteTarget, data: bytes) -> int | None:
    """A whole write as byte events: how many bytes were acknowledged, None when the address was not."""
    if not target.start(read=False):
        return None
    taken = 0
    for value in data:
        if not target.write_byte(value):
            break
        taken += 1
    target.end()
    return taken


def read_bytes(target: ByteTarget, length: int) -> bytes | None:
    """A whole read as byte events; None when the address was not acknowledged."""
    if not target.start(read=True):
        return None
    found = bytearray()
    for _ in range(length):
        found.append(target.peek())
        target.commit()
    target.end()
    return bytes(found)
