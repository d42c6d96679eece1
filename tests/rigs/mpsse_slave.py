"""An FT232H as a slave on simulated wires: its engine, and a host whose answers take the time of USB."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from rigs.mpsse import CLOCK, RECEIVE, SEND, WAIT_PIN, Mpsse

from cmis_emu.bus.bits.machine import ByteMachine
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.contract import ByteTarget
from cmis_emu.bus.ftdi.follower import Follower
from cmis_emu.bus.ftdi.slave import SILENCE_NS
from cmis_emu.clock import Event, ManualClock
from cmis_emu.physics.noise import uniform

A = 0x50


def jitter(least_ns: int, most_ns: int, seed: int = 1) -> Callable[[], int]:
    """A time between two, another one each time, the same for a seed."""
    number = count()
    return lambda: least_ns + round((most_ns - least_ns) * uniform(seed, 0, next(number)))


class MpsseSlave:
    """`target` on the wires at an address. turnaround_ns: from an answer of the chip to the next stream in it.

    hz: that the slave was told. command_ns: of each command of the chip. believed_ns: what the slave takes that to be.
    clock: of the target, which is taken along.
    """

    def __init__(
        self,
        wires: Wires,
        address: int,
        target: ByteTarget,
        *,
        hz: int = 100_000,
        command_ns: int | Callable[[], int] = 200,
        believed_ns: int | None = None,
        turnaround_ns: int | Callable[[], int] = 300_000,
        clock: ManualClock | None = None,
    ) -> None:
        pins = {CLOCK: wires.scl, SEND: wires.sda, RECEIVE: wires.sda, WAIT_PIN: wires.scl}
        self.engine = Mpsse(wires, pins, "module", command_ns=command_ns, wait_ns=command_ns)
        if believed_ns is None:
            believed_ns = command_ns if isinstance(command_ns, int) else command_ns()
        self.machine = ByteMachine(address, target)
        self.follower = Follower(self.machine, hz, believed_ns)
        self.turnaround_ns = turnaround_ns if callable(turnaround_ns) else lambda: turnaround_ns
        self.restarts = 0
        self._wires = wires
        self._clock = clock
        self._silence: Event | None = None
        self.engine.on_flush = self._flushed
        self.engine.feed(self.follower.begin())

    def _flushed(self) -> None:
        self._wires.clock.after(self.turnaround_ns(), self._answer)

    def _answer(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._clock is not None and (behind := self._wires.clock.now_ns - self._clock.now_ns) > 0:
            self._clock.wait(behind)
        follower = self.follower
        while len(self.engine.output) >= (size := follower.early or follower.expected):
            stream = follower.answer(self.engine.take(size))
            if stream:
                self.engine.feed(stream)
                break
        if not follower.waiting:
            self._silence = self._wires.clock.after(SILENCE_NS, self._restart)

    def _restart(self) -> None:
        self._silence = None
        self.restarts += 1
        self.engine.reset()
        self.engine.feed(self.follower.begin())
