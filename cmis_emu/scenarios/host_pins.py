"""Programs of hosts on the pins of a cage: drive one, wait for one, watch modules come and go.

Owns when such a host believes a pin. A pin says nothing of how long it was so: hosts look again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.pins import ALL_WORDS, HOST_WORDS
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, Work, program
from cmis_emu.scenarios.host_reads import identity
from cmis_emu.scenarios.units import COUNT, DURATION

_PORT = Argument(Kind.PORT, "which cage", required=True)
_HIGH = Argument(Kind.FLAG, "true is the high level", required=True)
_TRUSTING = {"known": False, "checksum": False, "lenient": True}


@program(
    "host.pin",
    {
        "port": _PORT,
        "pin": Argument(Kind.CHOICE, "a pin that the host drives", required=True, choices=HOST_WORDS),
        "high": _HIGH,
        "hold": Argument(DURATION, "back to the other level after so long; without it, it stays"),
    },
    uses_bus=False,
)
def pin(host: Host, given: Mapping[str, Any]) -> Work:
    """Drive a pin, such as ResetL low for a while."""
    host.pins.set(given["pin"], given["high"])
    if given["hold"] is not None:
        yield given["hold"]
        host.pins.set(given["pin"], not given["high"])


@program(
    "host.wait_pin",
    {
        "port": _PORT,
        "pin": Argument(Kind.CHOICE, "any pin", required=True, choices=ALL_WORDS),
        "high": _HIGH,
        "period": Argument(DURATION, "from one look to the next", default=0.01),
        "steady": Argument(DURATION, "it must have been so at every look of so long", default=0.0),
        "limit": Argument(DURATION, "how long to wait", default=10.0),
    },
    uses_bus=False,
)
def wait_pin(host: Host, given: Mapping[str, Any]) -> Telling:
    """Wait until a pin has a level, and keeps it."""
    start = host.now()
    since: float | None = None
    while True:
        now = host.now()
        if host.pins.get(given["pin"]) is not given["high"]:
            since = None
        elif since is None:
            since = now
        if since is not None and now - since >= given["steady"]:
            return f"after {now - start:.3f} s"
        if now - start > given["limit"]:
            raise HostFailure(
                f"{given['pin']} was not {'high' if given['high'] else 'low'} within {given['limit']:g} s"
            )
        yield given["period"]


@program(
    "host.watch_presence",
    {
        "port": _PORT,
        "times": Argument(COUNT, "how many looks", default=10),
        "period": Argument(DURATION, "from one look to the next", default=1.0),
        "steady": Argument(COUNT, "a change counts after so many looks in a row", default=1),
        "compare": Argument(Kind.FLAG, "at each look read the identity too, for another one", default=False),
    },
)
def watch_presence(host: Host, given: Mapping[str, Any]) -> Telling:
    """Look at ModPrsL again and again; tell how many insertions and removals were seen, and how many other modules."""
    present, doubts = not host.pins.get("ModPrsL"), 0
    known: str | None = None
    counts = {"insertions": 0, "removals": 0, "other modules": 0}
    for number in range(given["times"]):
        if number:
            yield given["period"]
        seen = not host.pins.get("ModPrsL")
        doubts = doubts + 1 if seen is not present else 0
        if doubts >= max(1, given["steady"]):
            present, doubts = seen, 0
            counts["insertions" if seen else "removals"] += 1
        if given["compare"] and seen:
            found = yield from _who(host)
            if found is not None and known not in (None, found):
                counts["other modules"] += 1
            known = found or known
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _who(host: Host) -> Generator[float, None, str | None]:
    try:
        return (yield from identity(host, _TRUSTING))
    except HostFailure:
        return None
