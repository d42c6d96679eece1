"""What a module tells of its applications and interface codes beyond their descriptors (CMD-06, since revision 5.3).

Limits come from the registers and the plant, names and rates from the maps' tables. A code of which the tables know
no rate is told with its name and rates of 0. Nothing is answered for what the module does not advertise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cmis_emu.layouts.cdb import (
    APPLICATION_REPLY,
    APPLICATION_REQUEST,
    INTERFACE_REPLY,
    INTERFACE_REQUEST,
    check_code,
)
from cmis_emu.module.cdb.command import Command, Job, Refusal, Reply, Request, Status
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.registers.encoding import encode_f16

GROUP = "applications"
MEDIA, HOST = 0, 1  # Location of 0051h
HUNDREDTHS = 100  # powers are in 0.01 dBm
NAME_BYTES, DESCRIPTION_BYTES, MODULATION_BYTES = 16, 48, 16
_MEDIA_ENUMS = {
    1: "media_interface_id_mmf",
    2: "media_interface_id_smf",
    3: "media_interface_id_passive_copper",
    4: "media_interface_id_active_cable",
    5: "media_interface_id_base_t",
}  # by MediaType
_MEDIA_DETAILS = {2: "media_interface_detail_smf"}
_BITS_PER_SYMBOL = {"NRZ": 1, "PAM4": 2, "DP-16QAM": 8}
_THRESHOLDS = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")


class Applications:
    """Commands 0050h and 0051h of one module."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._execution_ns = around.plan.execution_ns(GROUP)
        memory = around.memory
        self._max_power = memory.cell("MaxPower")
        self._media_type = memory.cell("MediaType")
        self._thresholds = [memory.cell(f"OpticalPowerRx{kind}Threshold") for kind in _THRESHOLDS]

    def commands(self) -> Sequence[Command]:
        """See `CommandGroup`."""
        return (
            Command(0x0050, "Get Application Attributes", self._attributes, (2, 2)),
            Command(0x0051, "Get Interface Code Description", self._interface, (3, 3)),
        )

    def reset(self) -> None:
        """Nothing is kept here."""

    def _attributes(self, request: Request) -> Job:
        number = int(APPLICATION_REQUEST.parse(request.lpl).number)
        if self._around.profile.application(number) is None:  # 0, all at once, came with 5.4; so did other banks
            raise Refusal(Status.PARAMETER_ERROR)
        plant = self._around.plant.parameters
        power = round(plant.tx_power_dbm * HUNDREDTHS)  # of a lane; not programmable, so both ends are the same
        said = {
            "number": number,
            "max_power": self._max_power.get(),
            "power_min": power,
            "power_max": power,
            "ber_threshold": encode_f16(plant.receiver.calibration_ber),
            "los_threshold": round(plant.los_assert_dbm * HUNDREDTHS),
            "rx_power": [cell.get() for cell in self._thresholds],
        }
        return self._answer(APPLICATION_REPLY.build(said))

    def _interface(self, request: Request) -> Job:
        said = INTERFACE_REQUEST.parse(request.lpl)
        code, location = int(said.interface), int(said.location)
        listed = {
            HOST: {a.host_interface_id for a in self._around.profile.applications},
            MEDIA: {a.media_interface_id for a in self._around.profile.applications},
        }
        if code not in listed.get(location, ()):
            raise Refusal(Status.PARAMETER_ERROR)
        name, detail = self._known(code, location)
        text = name
        data = self._description(code, location, name, text, detail)
        if check_code(data) == 0:  # CDB-05: hosts take 0 for no reply
            data = self._description(code, location, name, f"{text[: DESCRIPTION_BYTES - 1]}.", detail)
        return self._answer(data)

    def _known(self, code: int, location: int) -> tuple[str, Mapping[str, Any]]:
        regmap, media_type = self._around.memory.regmap, self._media_type.get()
        if location == HOST:
            names, table = "host_interface_id", "host_interface_detail"
        else:
            names, table = _MEDIA_ENUMS.get(media_type, ""), _MEDIA_DETAILS.get(media_type, "")
        return regmap.enums.get(names, {}).get(code, ""), regmap.tables.get(table, {}).get(code, {})

    @staticmethod
    def _description(code: int, location: int, name: str, text: str, detail: Mapping[str, Any]) -> bytes:
        modulation = str(detail.get("modulation", ""))
        return bytes(
            INTERFACE_REPLY.build(
                {
                    "interface": code,
                    "location": location,
                    "name": _text(name, NAME_BYTES),
                    "description": _text(text, DESCRIPTION_BYTES),
                    "data_rate": encode_f16(float(detail.get("gbps", 0))),
                    "lane_count": int(detail.get("lanes", 0)),
                    "signaling_rate": encode_f16(float(detail.get("gbd", 0))),
                    "modulation": _text(modulation, MODULATION_BYTES),
                    "bits_per_symbol": _BITS_PER_SYMBOL.get(modulation, 0),
                }
            )
        )

    def _answer(self, lpl: bytes) -> Job:
        return Job(self._execution_ns, partial(Reply, lpl=lpl))


def _text(text: str, size: int) -> bytes:
    """NUM-03: left-justified, padded with spaces."""
    return text.encode("ascii", "replace")[:size].ljust(size)
