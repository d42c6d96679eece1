"""`cmis-emu demo`: two DR4 modules, a fibre, and a host program that sees nothing but `/dev/i2c-N`.

Every step is observed by that program over the bus, and the demo succeeds only if each was. The only thing
done here by the emulator's own hands is the fault: a fibre that gets worse, breaks and is mended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from cmis_emu.bus.preload import environment
from cmis_emu.clock import ScaledClock
from cmis_emu.emulator import Emulator

TESTBED = {
    "version": 1,
    "seed": 1,
    "ports": {
        "a": {"profile": "qsfpdd-400g-dr4", "bus": 1, "state": {"LPMode": True}},
        "b": {"profile": "qsfpdd-400g-dr4", "bus": 2, "state": {"LPMode": True}},
    },
    "fibres": {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": 3.0}},
}
HOST = Path(__file__).with_name("demo_host.py")
STEP_LIMIT_S = 20


class _Host:
    """Runs the host program as a process that sees the emulated device files."""

    def __init__(self, socket: Path) -> None:
        self._environment = environment(socket, os.environ)
        self.failed = False

    def does(self, action: str, bus: int) -> None:
        """One run of the host program; its output belongs to the story."""
        if self.failed:
            return
        command = [sys.executable, str(HOST), action, str(bus)]
        try:
            done = subprocess.run(command, env=self._environment, timeout=STEP_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            click.echo(f"  the host program hung for {STEP_LIMIT_S} s")
            self.failed = True
            return
        self.failed = done.returncode != 0


def play() -> int:
    """Tell the story; 0 only if every step was observed."""
    with (
        tempfile.TemporaryDirectory(prefix="cmis-emu-demo-") as folder,
        Emulator.load(TESTBED, clock=ScaledClock()) as emulator,
    ):
        socket = Path(folder) / "bus.sock"
        emulator.serve(socket)
        host = _Host(socket)
        click.echo("Two 400G DR4 modules, a on bus 1 and b on bus 2, joined by 500 m of fibre (3.0 dB).")
        click.echo("Both have just been plugged in, with LPMode high.")
        emulator.settle()
        for name, bus in (("a", 1), ("b", 2)):
            click.echo(f"\nThe host opens /dev/i2c-{bus} and brings module {name} up:")
            host.does("bring-up", bus)
        click.echo("\nLight both ways. What the host reads on module b:")
        host.does("expect-light", 2)
        click.echo("\nFault: a dirty connector adds 5 dB to the fibre. Module b:")
        with emulator.lock:
            emulator.fibres["a-b"].loss_db = 8.0
        host.does("expect-weak", 2)
        click.echo("\nFault: the fibre is cut. Module b:")
        with emulator.lock:
            emulator.fibres["a-b"].cut()
        host.does("expect-dark", 2)
        click.echo("\nRepair: the fibre is spliced and cleaned, 3.0 dB again. Module b:")
        with emulator.lock:
            emulator.fibres["a-b"].restore()
            emulator.fibres["a-b"].loss_db = 3.0
        host.does("expect-light", 2)
    if host.failed:
        click.echo("\nThe story did not come true: see the last line above.")
        return 1
    click.echo("\nEvery step was seen by a program that knows only /dev/i2c-N.")
    return 0
