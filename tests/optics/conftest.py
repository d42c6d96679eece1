"""Two warm modules on a fibre, as they were at the start of each test. Each file has a `world` of its own."""

from __future__ import annotations

import pytest
from cmis_host import Host
from optical_link import host_of

from cmis_emu import Emulator
from cmis_emu.emulator import Snapshot


@pytest.fixture
def link(world: tuple[Emulator, Snapshot]) -> Emulator:
    """The file's world, put back to its start."""
    emu, start = world
    emu.restore(start)
    return emu


@pytest.fixture
def near(link: Emulator) -> Host:
    """The host of port a."""
    return host_of(link, "a")


@pytest.fixture
def far(link: Emulator) -> Host:
    """The host of port b."""
    return host_of(link, "b")
