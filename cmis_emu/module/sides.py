"""The two sides of a module, and the four loopbacks at its ports (DIAG-02, DIAG-03). Owns names only."""

from __future__ import annotations

from enum import Enum


class Side(Enum):
    """A side of the module. The value begins the names of its fields."""

    HOST = "Host"
    MEDIA = "Media"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.MEDIA if self is Side.HOST else Side.HOST


class Loopback(Enum):
    """Where a signal is turned (DIAG-03). The value begins the names of its fields."""

    MEDIA_OUTPUT = "MediaSideOutput"  # about to leave on the media: back into the Rx path, towards the host
    MEDIA_INPUT = "MediaSideInput"  # come from the media: back to the media output
    HOST_OUTPUT = "HostSideOutput"  # about to leave to the host: back into the Tx path, towards the media
    HOST_INPUT = "HostSideInput"  # come from the host: back to the host output

    @property
    def side(self) -> Side:
        """Whose lanes its controls count."""
        return Side.HOST if self in (Loopback.HOST_OUTPUT, Loopback.HOST_INPUT) else Side.MEDIA

    @property
    def opposite(self) -> Loopback:
        """The other one of the same side."""
        return _OPPOSITE[self]


_OPPOSITE = {
    Loopback.MEDIA_OUTPUT: Loopback.MEDIA_INPUT,
    Loopback.MEDIA_INPUT: Loopback.MEDIA_OUTPUT,
    Loopback.HOST_OUTPUT: Loopback.HOST_INPUT,
    Loopback.HOST_INPUT: Loopback.HOST_OUTPUT,
}
