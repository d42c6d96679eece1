"""What ends a session: a front end or a guest's driver that does not keep to the protocol."""

from __future__ import annotations


class ProtocolError(Exception):
    """Says what was found and expected. The session ends with this as its one log line, and nothing else does."""
