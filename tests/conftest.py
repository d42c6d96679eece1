"""Fixtures that many tests share. A host-side helper for bus access is in `cmis_host.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cmis_host import Host
from dr4 import DR4, Edit, Variant, dr4_profile
from guest_bench import guest, guest_machine  # noqa: F401  # fixtures
from twins import twins  # noqa: F401  # a fixture

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus


@pytest.fixture
def emu() -> Iterator[Emulator]:
    """One DR4, looped to itself, that has come to rest: Ready, data path activated."""
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


@pytest.fixture
def bus(emu: Emulator) -> VirtualSMBus:
    """The bus of `emu`."""
    return emu.smbus(1)


@pytest.fixture
def host(bus: VirtualSMBus) -> Host:
    """A host on `bus`."""
    return Host(bus)


@pytest.fixture
def variant(tmp_path: Path) -> Iterator[Variant]:
    """Build an emulator of an edited DR4: `variant(edit, settle=True, pins={...})`."""
    loaded: list[Emulator] = []

    def build(edit: Edit | None = None, *, settle: bool = True, pins: dict[str, bool] | None = None) -> Emulator:
        profile = dr4_profile()
        if edit is not None:
            edit(profile)
        path = tmp_path / f"variant-{len(loaded)}.yaml"
        profile["profile"] = path.stem
        path.write_text(yaml.safe_dump(profile, sort_keys=False))
        testbed = {
            "version": 1,
            "ports": {"1": {"profile": str(path), "bus": 1, "state": pins or {}}},
            "fibres": {"loop": {"from": "1", "to": "1"}},
        }
        emulator = Emulator.load(testbed, clock=ManualClock(), seed=1)
        loaded.append(emulator)
        if settle:
            emulator.settle()
        return emulator

    yield build
    for emulator in loaded:
        emulator.close()
