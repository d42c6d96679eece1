"""A module of the emulator for a host outside: which one an address names, and that the bus is the host's meanwhile."""

from __future__ import annotations

import pytest
from dr4 import DR4

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.contract import read_bytes, write_bytes
from cmis_emu.bus.held import HeldTarget
from cmis_emu.bus.ways import Served

BOARD = {
    "version": 1,
    "ports": {
        "a": {"profile": DR4, "mux": "m", "channel": 0, "registers": {"VendorSN": "AAAA"}},
        "b": {"profile": DR4, "mux": "m", "channel": 3, "registers": {"VendorSN": "BBBB"}},
        "c": {"profile": DR4, "bus": 20, "registers": {"VendorSN": "CCCC"}},
    },
    "muxes": {"m": {"type": "pca9548", "bus": 0, "address": 0x70, "first_bus": 1}},
}
SERIAL = b"\xa6"  # VendorSN, page 00h


@pytest.fixture
def served() -> Served:
    emu = Emulator.load(BOARD, ManualClock(), seed=1)
    emu.settle()
    return Served(emu.buses, emu.lock)


@pytest.mark.parametrize(("bus", "serial"), [(1, b"AAAA"), (4, b"BBBB"), (20, b"CCCC")])
def test_a_module_by_its_bus_behind_a_mux_or_not(served: Served, bus: int, serial: bytes) -> None:
    target = HeldTarget(served, bus)
    assert write_bytes(target, SERIAL) == 1
    assert read_bytes(target, 4) == serial


@pytest.mark.parametrize(
    ("bus", "address", "message"),
    [
        (0, 0x50, "a bus that a module sits on"),
        (0, 0x70, "a bus that a module sits on"),
        (2, 0x50, "a bus that a module sits on"),
        (1, 0x51, "one of 0x50"),
        (99, 0x50, "one of the buses 0, 1, 2"),
    ],
)
def test_what_is_no_module_is_told(served: Served, bus: int, address: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HeldTarget(served, bus, address)


def test_a_channel_that_is_on_from_power_up_is_no_place_on_the_adapter() -> None:
    """A PCA9547 has channel 0 on; its module can be gone from the adapter at any time."""
    board = {
        "version": 1,
        "ports": {"a": {"profile": DR4, "mux": "m", "channel": 0}},
        "muxes": {"m": {"type": "pca9547", "bus": 0, "address": 0x70, "first_bus": 1}},
    }
    with Emulator.load(board, ManualClock(), seed=1) as emu:
        served = Served(emu.buses, emu.lock)
        with pytest.raises(InputError, match="a bus that a module sits on"):
            HeldTarget(served, 0)
        assert HeldTarget(served, 1).target is emu.ports["a"].target
