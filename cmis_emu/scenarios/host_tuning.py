"""The host program that tunes a laser: host.tune (rules TUN-02 to TUN-06)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.layouts.grid import GRIDS, Grid
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, program
from cmis_emu.scenarios.programs import PORT
from cmis_emu.scenarios.units import BYTE, DURATION, FREQUENCY, ORDINAL

_BY_NAME = {grid.name: grid for grid in GRIDS.values()}
_REFUSALS = {
    0x04: "InvalidChannelNumber",
    0x08: "TuningNotAccepted",
    0x10: "FineTuningOutOfRange",
}
MHZ_PER_GHZ = 1000
LOOK_S = 0.1
FLAGS_AT = 231  # of page 12h: a byte of flags for each lane


@program("host.tune", {
    "port": PORT,
    "frequency": Argument(FREQUENCY, "where the laser is to be", required=True),
    "grid": Argument(Kind.CHOICE, "on which grid", default="75GHz", choices=tuple(_BY_NAME)),
    "lane": Argument(ORDINAL, "media lane", default=1),
    "careless": Argument(Kind.FLAG, "write what rounding gives, whatever page 04h offers", default=False),
    "wait": Argument(Kind.FLAG, "wait until a tuning under way has ended before asking", default=False),
    "limit": Argument(DURATION, "how long the tuning may take", default=60.0),
    "bank": Argument(BYTE, "bank of page 12h", default=0),
})  # fmt: skip
def tune(host: Host, given: Mapping[str, Any]) -> Telling:
    """Tune a laser as hosts do: look what is offered, write grid and channel, and wait for the end of it."""
    lane, bank, grid = given["lane"], given["bank"], _BY_NAME[given["grid"]]
    wanted_mhz = round(given["frequency"] * MHZ_PER_GHZ)

    def at_rest() -> Generator[float, None, bool]:
        progress = yield from host.get("TuningInProgressTx", lane, bank)
        unlocked = yield from host.get("WavelengthUnlockStatusTx", lane, bank)
        return not progress and not unlocked

    channel = yield from _channel(host, grid, wanted_mhz, careless=given["careless"])
    if given["wait"]:
        yield from host.until(at_rest, "the end of the tuning before", given["limit"], LOOK_S)
    yield from host.put("GridSpacingTx", grid.code, lane, bank)
    yield from host.read(0x12, FLAGS_AT + lane - 1, 1, bank)  # grid and channel need not fit in between
    yield from host.put("ChannelOffsetNumberTx", channel, lane, bank)
    flags = (yield from host.read(0x12, FLAGS_AT + lane - 1, 1, bank))[0]
    refused = [name for bit, name in _REFUSALS.items() if flags & bit]
    if refused:
        raise HostFailure(f"the request was refused: {', '.join(refused)}")
    yield from host.until(at_rest, "the end of the tuning", given["limit"], LOOK_S)
    found_mhz = round(float((yield from host.get("CurrentLaserFrequencyTx", lane, bank))) * MHZ_PER_GHZ)
    if found_mhz != wanted_mhz:
        raise HostFailure(f"the laser is at {found_mhz / MHZ_PER_GHZ:g} GHz")
    return f"at {found_mhz / MHZ_PER_GHZ:g} GHz"


def _channel(host: Host, grid: Grid, wanted_mhz: int, *, careless: bool) -> Generator[float, None, int]:
    """The channel to write; a careful host gives up where page 04h does not offer it."""
    if careless:
        return grid.nearest(wanted_mhz)
    if not (yield from host.get(f"GridSupported{grid.name}")):
        raise HostFailure(f"the module offers no grid of {grid.name}")
    low = yield from host.get(f"GridLowChannel{grid.name}")
    high = yield from host.get(f"GridHighChannel{grid.name}")
    channel = grid.channel_at(wanted_mhz)
    if channel is None:
        raise HostFailure(f"{wanted_mhz / MHZ_PER_GHZ:g} GHz is not on the grid of {grid.name}")
    if not low <= channel <= high:
        raise HostFailure(f"channel {channel} is not among {low} to {high}")
    return channel
