"""A host's view of a module, for tests: page access over an SMBus-like object, offsets typed from the standard.

Nothing here knows the emulator, so that a test that reads through it judges what a host really sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

ADDRESS = 0x50

# Module states, 3.3-1 (MSM-01)
LOW_PWR, PWR_UP, READY, PWR_DN, FAULT = 1, 2, 3, 4, 5

# Data path states, 11h:128-131 (DP-01)
DEACTIVATED, INIT, DEINIT, ACTIVATED, TX_TURN_ON, TX_TURN_OFF, INITIALIZED = 1, 2, 3, 4, 5, 6, 7

# ConfigStatus, 11h:202-205 (CFG-08)
UNDEFINED, SUCCESS, REJECTED, INVALID_APP_SEL, INVALID_DATA_PATH, INVALID_SI, LANES_IN_USE, PARTIAL = range(8)
IN_PROGRESS = 12

# Controls of page 10h
DP_DEINIT, OUTPUT_DISABLE_TX, AUTO_SQUELCH_DISABLE_TX, SQUELCH_FORCE_TX = 128, 130, 131, 132
OUTPUT_DISABLE_RX, AUTO_SQUELCH_DISABLE_RX = 138, 139
APPLY_DP_INIT, APPLY_IMMEDIATE, DP_CONFIG = 143, 144, 145
APPLY_IMMEDIATE_TX, APPLY_IMMEDIATE_RX = 176, 177
SCS1 = 35  # staged set 1 lies this much higher

DURATION_BOUND_S = {
    0: 0.001,
    1: 0.005,
    2: 0.010,
    3: 0.050,
    4: 0.100,
    5: 0.500,
    6: 1.0,
    7: 5.0,
    8: 10.0,
    9: 60.0,
    10: 300.0,
    11: 600.0,
    12: 3000.0,
}
"""Exclusive upper bound of each state duration code (01h:144, 167, 168)."""


def lane_mask(lanes: Iterable[int]) -> int:
    """Bit mask of 1-based lanes."""
    return sum(1 << (lane - 1) for lane in lanes)


def dp_config(app_sel: int, data_path_id: int = 0, explicit: int = 0) -> int:
    """A DPConfig byte."""
    return app_sel << 4 | data_path_id << 1 | explicit


class Host:
    """Reads and writes pages of the module at 50h of `bus`."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus

    def select(self, page: int, bank: int = 0) -> None:
        """BankSelect and PageSelect in one write."""
        self.bus.write_i2c_block_data(ADDRESS, 126, [bank, page])

    def read(self, page: int, offset: int, length: int = 1, bank: int = 0) -> bytes:
        """Bytes of a page; the lower memory where `offset` is below 128."""
        if offset >= 128:
            self.select(page, bank)
        found = bytearray()
        while len(found) < length:
            found += bytes(self.bus.read_i2c_block_data(ADDRESS, offset + len(found), min(32, length - len(found))))
        return bytes(found)

    def byte(self, page: int, offset: int, bank: int = 0) -> int:
        """One byte."""
        if offset >= 128:
            self.select(page, bank)
        return int(self.bus.read_byte_data(ADDRESS, offset))

    def write(self, page: int, offset: int, *data: int, bank: int = 0) -> None:
        """One write of one byte or up to eight."""
        if offset >= 128:
            self.select(page, bank)
        if len(data) == 1:
            self.bus.write_byte_data(ADDRESS, offset, data[0])
        else:
            self.bus.write_i2c_block_data(ADDRESS, offset, list(data))

    def answers(self) -> bool:
        """Does the module acknowledge?"""
        try:
            self.bus.read_byte(ADDRESS)
        except OSError:
            return False
        return True

    # -- state ---------------------------------------------------------------------------------

    def module_state(self) -> int:
        """ModuleState, or 0 while the module does not answer."""
        try:
            return int(self.bus.read_byte_data(ADDRESS, 3)) >> 1 & 7
        except OSError:
            return 0

    def nibbles(self, offset: int, bank: int = 0) -> list[int]:
        """Eight lanes of nibbles on page 11h, lane 1 first."""
        raw = self.read(0x11, offset, 4, bank)
        return [raw[lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)]

    def states(self, bank: int = 0) -> list[int]:
        """DPStateHostLane1 to 8."""
        return self.nibbles(128, bank)

    def status(self, bank: int = 0) -> list[int]:
        """ConfigStatusLane1 to 8."""
        return self.nibbles(202, bank)

    def active(self, bank: int = 0) -> list[int]:
        """DPConfig bytes of the active set."""
        return list(self.read(0x11, 206, 8, bank))

    def pending(self, bank: int = 0) -> int:
        """DPInitPendingLane mask."""
        return self.byte(0x11, 235, bank)

    def output_rx(self, bank: int = 0) -> int:
        """OutputStatusRx mask."""
        return self.byte(0x11, 132, bank)

    def output_tx(self, bank: int = 0) -> int:
        """OutputStatusTx mask."""
        return self.byte(0x11, 133, bank)

    def tx_power_uw(self, lane: int, bank: int = 0) -> float:
        """Tx power of a media lane in µW."""
        return int.from_bytes(self.read(0x11, 154 + 2 * (lane - 1), 2, bank), "big") / 10

    def changed(self, bank: int = 0) -> int:
        """DPStateChangedFlag; reading clears it."""
        return self.byte(0x11, 134, bank)

    # -- control -------------------------------------------------------------------------------

    def control(self, offset: int, mask: int, bank: int = 0) -> None:
        """A direct control of page 10h."""
        self.write(0x10, offset, mask, bank=bank)

    def stage(self, lanes: Iterable[int], config: int, staged_set: int = 0, bank: int = 0) -> None:
        """The same DPConfig byte on several lanes, one write each."""
        for lane in lanes:
            self.write(0x10, DP_CONFIG + SCS1 * staged_set + lane - 1, config, bank=bank)

    def apply(self, mask: int, trigger: int = APPLY_DP_INIT, staged_set: int = 0, bank: int = 0) -> None:
        """Write a trigger."""
        self.write(0x10, trigger + SCS1 * staged_set, mask, bank=bank)
