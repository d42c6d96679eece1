"""Where a way listens on the network: `[HOST:]PORT` as people write it, and the warning when others can reach it.

Owns the rule that a way without passwords serves this machine only, unless an address says otherwise.
"""

from __future__ import annotations

import ipaddress

from cmis_emu.bus.options import decimal
from cmis_emu.errors import InputError

LOOPBACK = "127.0.0.1"
_PORT_MAX = 65535


def read_endpoint(kind: str, address: str, usual: int) -> tuple[str, int]:
    """Host and port of the way `kind`:[HOST:]PORT; `usual` is a port for the example. Raises InputError."""
    host, colon, port = address.rpartition(":")
    if not colon:
        host = LOOPBACK
    number = decimal(port, _PORT_MAX)
    if number is None or not host:
        expected = f"{kind}:[HOST:]PORT, such as {kind}:{LOOPBACK}:{usual}"
        raise InputError(repr(f"{kind}:{address}"), expected, field="--serve")
    return host.removeprefix("[").removesuffix("]"), number


def exposure(name: str, host: str, port: int) -> list[str]:
    """A line of warning for a numeric `host` that is not this machine alone."""
    if ipaddress.ip_address(host).is_loopback:
        return []
    return [
        f"warning: {name} has no passwords: whoever reaches {host} port {port} drives these modules; "
        f"{LOOPBACK} is for this machine only"
    ]
