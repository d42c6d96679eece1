"""The C code of the helper, compiled once, and a module on wires behind it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rigs.bsc_bench import Bench

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.rpi_bsc import build
from cmis_emu.bus.rpi_bsc.shared import Shared


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) on this machine")
    return build.library(tmp_path_factory.mktemp("bsc"))


@pytest.fixture
def bench(library: Path) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as opened:

        def bench(hz: int = 100_000, **options: object) -> Bench:
            emu = opened.enter_context(Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1))
            emu.settle()
            shared = Shared(library)
            opened.callback(shared.close)
            return Bench(emu, shared, hz, **options)

        yield bench
