"""Commands that start an emulator or reach a running one: `run`, `exec` and the client of the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from cmis_emu.bus.mux import ChannelBus
from cmis_emu.bus.preload import environment
from cmis_emu.clock import ScaledClock
from cmis_emu.control import ControlClient, ControlServer, choose, socket_of, status
from cmis_emu.emulator import Emulator
from cmis_emu.errors import NotAvailableError
from cmis_emu.live.status import StatusView
from cmis_emu.nvm import state_folder

REFRESH_S = 1.0


@contextmanager
def client(attach: str | None) -> Iterator[ControlClient]:
    """A connection to the chosen emulator."""
    connection = ControlClient(choose(attach))
    try:
        yield connection
    finally:
        connection.close()


def run(
    source: str, name: str, speed: float, seed: int | None, serve: Sequence[str], nvm: Path | None, *, forget: bool
) -> None:
    """Run until SIGINT or SIGTERM."""
    socket = socket_of(name)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = None if forget else nvm or state_folder(name)
    with Emulator.load(source, clock=ScaledClock(speed), seed=seed, nvm=folder) as emulator:
        control = ControlServer(emulator)
        ways = [emulator.serve(socket, control), *(emulator.open_way(each, control) for each in serve)]
        click.echo(f"emulator '{name}' runs {source}, seed {emulator.seed}, speed {speed:g}")
        for line in _buses(emulator, name):
            click.echo(f"  {line}")
        for plan in emulator.testbed.ports:
            if plan.interface:
                click.echo(f"  port {plan.name}: cmis-emu exec --attach {name} -- ethtool -m {plan.interface}")
        for line in (line for way in ways for line in way.describe()):
            click.echo(f"  {line}")
        if folder is not None:
            click.echo(f"  non-volatile memory: {folder}")
        view = StatusView(sys.stdout.isatty())
        with view:
            while not stop.wait(REFRESH_S):
                with emulator.lock:
                    emulator.clock.sync()
                    found = status(emulator)
                view.update(found)
    click.echo(f"emulator '{name}' stopped")


def _buses(emulator: Emulator, name: str) -> Iterator[str]:
    """How to use each bus; a mux with all its channels is one line."""
    plan = emulator.testbed.board
    switched = {mux.place.bus for mux in plan.muxes}
    channels = {mux.first_bus: mux for mux in plan.muxes}
    for number, bus in sorted(emulator.buses.items()):
        if number in channels:
            mux = channels[number]
            last = number + len(emulator.muxes[mux.name].channels) - 1
            where = f"{mux.kind} at {mux.address:#04x} on {mux.place}"
            yield f"buses {number} to {last}: channels of mux {mux.name}, {where}"
        elif not isinstance(bus, ChannelBus):
            program = f"i2cdetect -y {number}" if number in switched else f"i2cdump -y {number} 0x50"
            yield f"bus {number}: cmis-emu exec --attach {name} -- {program}"


def execute(source: str, program: Sequence[str], speed: float, seed: int | None, *, settled: bool) -> int:
    """Run `program` on an emulator of its own; returns the program's exit code."""
    with tempfile.TemporaryDirectory(prefix="cmis-emu-") as folder:
        path = Path(folder) / "bus.sock"
        with Emulator.load(source, clock=ScaledClock(speed), seed=seed) as emulator:
            if settled:
                emulator.settle()
            emulator.serve(path, ControlServer(emulator))
            return launch(path, program)


def execute_attached(attach: str | None, program: Sequence[str]) -> int:
    """Run `program` on a running emulator; returns the program's exit code."""
    path = choose(attach)
    ControlClient(path).close()
    return launch(path, program)


def launch(path: Path, program: Sequence[str]) -> int:
    """Start `program` so that it sees the buses served at `path`; wait; return its exit code."""
    env = environment(path, os.environ)
    try:
        process = subprocess.Popen(list(program), env=env)
    except FileNotFoundError:
        raise NotAvailableError(f"found no program {program[0]!r}, expected it on PATH") from None
    except OSError as error:
        raise NotAvailableError(f"{program[0]}: {error.strerror}") from None
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # the program got the signal too; its end is ours
        return code if code >= 0 else 128 - code
