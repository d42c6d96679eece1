"""Fixtures for programs under the preloaded library, on a small server that is not the emulator, and for sockets."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_bus_server import FAULTY, FakeBusServer
from preloaded import OTHER_BUS, PRELUDE, ROOT, Python, Run, need_compiler, run_in, tool_path

from cmis_emu.bus import preload


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets have room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="cmis") as name:
        yield Path(name)


@pytest.fixture
def server(folder: Path) -> Iterator[FakeBusServer]:
    with FakeBusServer(folder / "socket", buses=(1, 2, FAULTY, OTHER_BUS)) as running:
        yield running


@pytest.fixture
def env(folder: Path) -> dict[str, str]:
    need_compiler()
    base = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    return preload.environment(folder / "socket", base)


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    def run(*command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return run_in({**env, **changes}, *command)

    return run


@pytest.fixture
def tool(run: Run) -> Run:
    """A program of i2c-tools."""

    def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(tool_path(name, "i2c-tools"), *arguments)

    return tool


@pytest.fixture
def python(run: Run) -> Python:
    """Run a script under the preload; its lines. It must end well and be silent on stderr."""

    def python(script: str, **changes: str) -> list[str]:
        done = run(sys.executable, "-c", PRELUDE + textwrap.dedent(script), **changes)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return python
