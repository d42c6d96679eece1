"""The way `rpi-bsc:`: this Raspberry Pi's own I2C slave is the module, experimental and only when asked for as such.

Owns the address, the helper process and the thread that keeps module and shared memory alike. `describe` prints the
limits; they are those of `capabilities.RPI_BSC`, and were measured on a model of the chip only.
"""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO

from cmis_emu.bus.capabilities import RPI_BSC, Request, admit
from cmis_emu.bus.options import Options, find_cage
from cmis_emu.bus.rpi_bsc import build
from cmis_emu.bus.rpi_bsc.board import this_board
from cmis_emu.bus.rpi_bsc.mirror import Mirror
from cmis_emu.bus.rpi_bsc.shared import Shared
from cmis_emu.bus.ways import Served
from cmis_emu.errors import NotAvailableError

_LOG = logging.getLogger(__name__)
_FIELD = "--serve"
_OPTIONS = {"experimental": "yes", "bus": "1", "address": "0x50", "hz": "100000", "cpu": "3", "busy": "ignore"}
_CPU_MOST = 1023
_CORES_LEAST = 2
_LOOK_S = 0.001  # between looks for events, while there is nothing
_LIVE_LOOKS = 50  # after so many, monitors are brought up to date
_END_S = 5.0
_THROTTLE = Path("/proc/sys/kernel/sched_rt_runtime_us")


class RpiBscWay:
    """A helper and what keeps its memory up to date, until `close`."""

    def __init__(self, mirror: Mirror, shared: Shared, helper: subprocess.Popen[str], lines: list[str]) -> None:
        self._mirror = mirror
        self._shared = shared
        self._helper = helper
        self._lines = lines
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cmis-emu rpi-bsc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and end the helper. Harmless when called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(_END_S)
        self._shared.stop()
        try:
            self._helper.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            self._helper.wait()
        self._shared.close()

    def describe(self) -> list[str]:
        """How it is wired, and its limits."""
        return self._lines

    def _run(self) -> None:
        idle = 0
        try:
            while not self._closing.is_set():
                if self._mirror.step():
                    idle = 0
                    continue
                if idle % _LIVE_LOOKS == 0:
                    self._mirror.publish()
                    if self._helper.poll() is not None:
                        _LOG.error("the rpi-bsc helper has ended (%s): no module answers any more", self._helper.poll())
                        return
                idle += 1
                self._closing.wait(_LOOK_S)
        except Exception:
            _LOG.exception("the BSC slave is not served any more")
            self._shared.stop()


def serve(address: str, served: Served) -> RpiBscWay:
    """The way `rpi-bsc:experimental=yes&bus=1`. Raises InputError, NotAvailableError."""
    options = Options.read(address, _OPTIONS, _FIELD)
    hz = options.number("hz", 100_000, 1_000, 1_000_000)
    warnings = admit(RPI_BSC, Request(hz=hz, experimental=options.flag("experimental")))
    bus, at = options.place(served)
    cores = os.cpu_count() or 1
    cpu = options.number("cpu", cores - 1, 0, _CPU_MOST)
    trust = options.choice("busy", "ignore", "trust") == "trust"
    cage = find_cage(served, bus, at)
    board = this_board()
    if cores < _CORES_LEAST:
        raise NotAvailableError(
            f"rpi-bsc: found one core on this {board.chip}, expected two or more: the helper never lets go of its own"
        )
    with tempfile.TemporaryDirectory(prefix="cmis-emu-bsc-") as name:
        folder = Path(name)
        shared = Shared(build.library(folder))
        try:
            mirror = Mirror(cage, shared, served.lock)
            words = [
                str(build.helper(folder)),
                str(shared.descriptor),
                f"{board.peripherals:x}",
                *(str(each) for each in (board.sda, board.scl, at, hz, cpu, int(trust))),
            ]
            helper = start(words, shared.descriptor)
        except BaseException:
            shared.close()
            raise
    lines = [
        f"bus {bus} at {at:#x} by this {board.chip}: SDA on GPIO {board.sda}, SCL on GPIO {board.scl}, ground; "
        f"3.3 V, pull-ups; the helper has CPU {cpu} to itself",
        *(f"warning: {each}" for each in warnings),
        *_throttled(),
        "warning: rpi-bsc: what a write sets off shows some ms later, since the host cannot be held off",
        "warning: rpi-bsc: checked on a model of the chip only, on no Raspberry Pi",
    ]
    return RpiBscWay(mirror, shared, helper, lines)


def start(words: list[str], descriptor: int) -> subprocess.Popen[str]:
    """Start the helper, and wait until it polls. Raises NotAvailableError with what it says instead."""
    helper = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, pass_fds=[descriptor])
    out = helper.stdout
    assert out is not None
    said = _line(out)
    if said != "ready":
        helper.kill()
        helper.wait()
        raise NotAvailableError(f"rpi-bsc: {said or 'the helper ended without a word'}; it needs root, and /dev/mem")
    return helper


def _line(out: IO[str]) -> str:
    with out:
        return out.readline().strip()


def _throttled() -> list[str]:
    """A warning where the kernel takes real-time programs off their core now and then."""
    try:
        runtime = _THROTTLE.read_text().strip()
    except OSError:
        return []
    if runtime == "-1":
        return []
    return [
        f"warning: rpi-bsc: found {_THROTTLE} at {runtime}: the kernel stops the helper for a part of each second, and "
        "reads are wrong meanwhile; write -1 there"
    ]
