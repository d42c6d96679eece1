"""The host program that tunes a laser: host.tune (rules TUN-02 to TUN-06)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.layouts.grid import BY_NAME, Grid
from cmis_emu.registers.encoding import extract
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, program
from cmis_emu.scenarios.programs import PORT
from cmis_emu.scenarios.units import BYTE, DURATION, FREQUENCY, ORDINAL

_REFUSALS = ("InvalidChannelNumber", "TuningNotAccepted", "FineTuningOutOfRange")
MHZ_PER_GHZ = 1000
LOOK_S = 0.1


@program("host.tune", {
    "port": PORT,
    "frequency": Argument(FREQUENCY, "where the laser is to be", required=True),
    "grid": Argument(Kind.CHOICE, "on which grid", default="75GHz", choices=tuple(BY_NAME)),
    "lane": Argument(ORDINAL, "media lane", default=1),
    "careless": Argument(Kind.FLAG, "write what rounding gives, whatever page 04h offers", default=False),
    "wait": Argument(Kind.FLAG, "wait until a tuning under way has ended before asking", default=False),
    "limit": Argument(DURATION, "how long the tuning may take", default=60.0),
    "bank": Argument(BYTE, "bank of page 12h", default=0),
})  # fmt: skip
def tune(host: Host, given: Mapping[str, Any]) -> Telling:
    """Tune a laser as hosts do: look what is offered, write grid and channel, and wait for the end of it."""
    lane, bank, grid = given["lane"], given["bank"], BY_NAME[given["grid"]]
    wanted_mhz = round(given["frequency"] * MHZ_PER_GHZ)

    def at_rest() -> Generator[float, None, bool]:
        progress = yield from host.get("TuningInProgressTx", lane, bank)
        unlocked = yield from host.get("WavelengthUnlockStatusTx", lane, bank)
        return not progress and not unlocked

    channel = yield from _channel(host, grid, wanted_mhz, careless=given["careless"])
    if given["wait"]:
        yield from host.until(at_rest, "the end of the tuning before", given["limit"], LOOK_S)
    yield from host.put("GridSpacingTx", grid.code, lane, bank)
    yield from _refusals(host, lane, bank)  # grid and channel need not fit in between
    yield from host.put("ChannelOffsetNumberTx", channel, lane, bank)
    refused = yield from _refusals(host, lane, bank)
    if refused:
        raise HostFailure(f"the request was refused: {', '.join(refused)}")
    yield from host.until(at_rest, "the end of the tuning", given["limit"], LOOK_S)
    found_mhz = round(float((yield from host.get("CurrentLaserFrequencyTx", lane, bank))) * MHZ_PER_GHZ)
    if found_mhz != wanted_mhz:
        raise HostFailure(f"the laser is at {found_mhz / MHZ_PER_GHZ:g} GHz")
    return f"at {found_mhz / MHZ_PER_GHZ:g} GHz"


def _refusals(host: Host, lane: int, bank: int) -> Generator[float, None, list[str]]:
    """Flags that say why a request was refused. All flags of a lane are one byte, which a read clears."""
    fields = [host.maps.field(f"{name}FlagTx") for name in _REFUSALS]
    at = fields[0].element(lane)[0]
    data = yield from host.read(fields[0].page, at, 1, bank)
    return [name for name, field in zip(_REFUSALS, fields, strict=True) if extract(field, data, at, lane)]


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
