"""Event descriptors, by which guest and device wake each other: the only thing that a ring's work costs the kernel.

Owns what is believed of a descriptor that a front end handed over. A kick is never read: each write to it is an edge
that epoll tells of, so that no read can be made to wait. A call is written only when that cannot wait either.
"""

from __future__ import annotations

import os
import select

from cmis_emu.bus.vhost_user.errors import ProtocolError

_EVENTFD = "anon_inode:[eventfd]"


class Kick:
    """What the guest rings; owned from here on. Raises ProtocolError."""

    def __init__(self, descriptor: int) -> None:
        _check("kick", descriptor)
        self._kick = descriptor

    def close(self) -> None:
        """Let go of it."""
        os.close(self._kick)

    def wait_on(self, poll: select.epoll) -> None:
        """Have `poll` tell of each time that it is rung."""
        poll.register(self._kick, select.EPOLLIN | select.EPOLLET)


class Call:
    """What the guest wants to be told by; owned from here on. Raises ProtocolError."""

    def __init__(self, descriptor: int) -> None:
        _check("call", descriptor)
        self._call = descriptor
        self._blocks = os.get_blocking(descriptor)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._call)

    def ring(self) -> None:
        """Tell the guest. One that has not heard for 2^64 times is told already."""
        if self._blocks:
            poll = select.poll()
            poll.register(self._call, select.POLLOUT)
            if not poll.poll(0):
                return
        try:  # noqa: SIM105  # each answer goes this way, and suppress() costs
            os.eventfd_write(self._call, 1)
        except BlockingIOError:
            pass


def _check(what: str, descriptor: int) -> None:
    found = os.readlink(f"/proc/self/fd/{descriptor}")
    if found != _EVENTFD:
        raise ProtocolError(f"{what}: found {found}, expected an eventfd")
