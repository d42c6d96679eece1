"""The 4-byte application descriptor of the lower memory and page 01h (rules APP-01 to APP-03)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from construct import BitsInteger, BitStruct, Byte, Nibble, Struct

DESCRIPTOR = Struct(
    "host_interface_id" / Byte,
    "media_interface_id" / Byte,
    "lane_counts" / BitStruct("host" / Nibble, "media" / Nibble),
    "host_lane_assignment_options" / BitStruct("lanes" / BitsInteger(8)),
)
"""HostInterfaceID, MediaInterfaceID, lane counts, HostLaneAssignmentOptions."""

END_OF_LIST = 0xFF
UNUSED = bytes((END_OF_LIST, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Application:
    """One advertised application; `app_sel` is its number (1-15)."""

    app_sel: int
    host_interface_id: int
    media_interface_id: int
    host_lanes: int
    media_lanes: int
    host_starts: tuple[int, ...]  # first host lanes it may occupy, 1-based
    media_starts: tuple[int, ...]
    network_path: bool = False  # its media side is shared by way of a network path (NP-01)

    @property
    def shared_media_lanes(self) -> tuple[int, ...]:
        """Media lanes of the network path that carries it; empty for an application that has its own."""
        first = self.media_starts[0] if self.media_starts else 1
        return tuple(range(first, first + self.media_lanes)) if self.network_path else ()

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def pack(self) -> bytes:
        """The four bytes of the descriptor."""
        return bytes(
            DESCRIPTOR.build(
                {
                    "host_interface_id": self.host_interface_id,
                    "media_interface_id": self.media_interface_id,
                    "lane_counts": {"host": self.host_lanes, "media": self.media_lanes},
                    "host_lane_assignment_options": {"lanes": mask_of(self.host_starts)},
                }
            )
        )


def lanes_of(mask: int) -> tuple[int, ...]:
    """1-based lanes of a bit mask."""
    return tuple(lane for lane in range(1, 9) if mask >> (lane - 1) & 1)


def mask_of(lanes: Sequence[int]) -> int:
    """Bit mask of 1-based lanes."""
    mask = 0
    for lane in lanes:
        mask |= 1 << (lane - 1)
    return mask


def parse_applications(
    basic: bytes, additional: bytes, media_options: bytes, network_paths: int = 0
) -> tuple[Application, ...]:
    """The list as a host reads it: 8 descriptors, 7 more, and 15 media lane masks. FFh ends it (APP-01).

    `network_paths`: bit per AppSel of those whose media side is a network path.
    """
    found: list[Application] = []
    for index, media_mask in enumerate(media_options):
        source, at = (basic, 4 * index) if index < 8 else (additional, 4 * (index - 8))
        raw = source[at : at + 4]
        if len(raw) < 4 or raw[0] == END_OF_LIST:
            break
        parsed = DESCRIPTOR.parse(raw)
        found.append(
            Application(
                index + 1,
                parsed.host_interface_id,
                parsed.media_interface_id,
                parsed.lane_counts.host,
                parsed.lane_counts.media,
                lanes_of(parsed.host_lane_assignment_options.lanes),
                lanes_of(media_mask),
                bool(network_paths >> (index + 1) & 1),
            )
        )
    return tuple(found)
