"""Which Raspberry Pi this is, and where its BSC slave lies; or why there is none.

Addresses and pins come from published code for the boards (pigpio, Circle) and were checked on no board.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmis_emu.errors import NotAvailableError

COMPATIBLE = Path("/proc/device-tree/compatible")


@dataclass(frozen=True, slots=True)
class Board:
    """chip: its name. peripherals: physical address. sda, scl: GPIO numbers, alternate function 3."""

    chip: str
    peripherals: int
    sda: int
    scl: int


BOARDS = (
    Board("bcm2835", 0x20000000, 18, 19),  # Pi 1, Zero
    Board("bcm2836", 0x3F000000, 18, 19),  # Pi 2
    Board("bcm2837", 0x3F000000, 18, 19),  # Pi 3, Zero 2
    Board("bcm2711", 0xFE000000, 10, 11),  # Pi 4
)


def this_board(compatible: Path | None = None) -> Board:
    """Of this machine. Raises NotAvailableError with the reason for any other."""
    try:
        text = (compatible or COMPATIBLE).read_bytes()
    except OSError:
        text = b""
    names = [name.decode("ascii", "replace") for name in text.split(b"\0") if name]
    chips = [name.partition(",")[2] for name in names if name.startswith("brcm,")]
    if "bcm2712" in chips:
        raise NotAvailableError(
            "rpi-bsc: found a Raspberry Pi 5: its I2C is in the RP1, which has no BSC slave; "
            "expected a Raspberry Pi 0 to 4, or put a Pico in front (hardware/README.md)"
        )
    for board in BOARDS:
        if board.chip in chips:
            return board
    what = names[0] if names else "a machine without a device tree"
    raise NotAvailableError(f"rpi-bsc: found {what}, expected a Raspberry Pi 0 to 4")
