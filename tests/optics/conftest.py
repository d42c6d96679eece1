"""Two warm modules on a fibre, as they were at the start of each test. A file may have a `world` of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cmis_host import Host
from optical_link import host_of, joined, nominal, warm

from cmis_emu import Emulator
from cmis_emu.emulator import Snapshot


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the profiles of a file lie."""
    return tmp_path_factory.mktemp("optics")


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[tuple[Emulator, Snapshot]]:
    """Two nominal DR4, `a` and `b`, and their start."""
    with warm(joined(nominal(folder))) as emu:
        yield emu, emu.snapshot()


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
