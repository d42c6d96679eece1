"""A slave on the wires: drives what the byte machine says, when a chip would, and holds the clock where it is told.

Owns the slave's timing: how long after SCL falls it changes SDA, clock stretching, and letting go when SCL stays low
for too long. Time that a target lets pass on its own clock inside a byte event (a module that stretches) becomes a
clock that is held low on the wires.
"""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.bus.bits.machine import ByteMachine, Pause
from cmis_emu.bus.bits.wires import Wire, Wires
from cmis_emu.bus.contract import ByteTarget
from cmis_emu.clock import Event, ManualClock

HOLD_NS = 100
"""From SCL low to the change of SDA: inside what every mode lets a slave have (tVD;DAT 450 ns at 1 MHz)."""

SET_UP_NS = 250
"""From the change of SDA to letting go of a held clock: tSU;DAT of the slowest mode."""

Stretch = Callable[[Pause, int], int]
"""How many ns to hold the clock, from where and the number of the byte in its message, the address being 0."""


def steady(ack_ns: int = 0, data_ns: int = 0) -> Stretch:
    """The same before every acknowledge bit and before every byte that is read."""
    return lambda pause, number: ack_ns if pause is Pause.ACK else data_ns


class BitSlave:
    """`target` on the wires at `address`.

    stretch: on top of what the target itself lets pass. clock: on which it lets it pass, and which is taken along to
    the time of the wires before each byte event; without it the target's time has nothing to do with them. timeout_ns:
    after so long with SCL low it aborts and lets go, as SMBus slaves do; without it, as plain I2C, it waits for ever.
    """

    def __init__(
        self,
        wires: Wires,
        address: int,
        target: ByteTarget,
        name: str = "module",
        *,
        stretch: Stretch | None = None,
        hold_ns: int = HOLD_NS,
        timeout_ns: int | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.machine = ByteMachine(address, target)
        self.stretch = stretch
        self.hold_ns = hold_ns
        self.timeout_ns = timeout_ns
        self._wires = wires
        self._clock = clock
        self._scl = wires.scl.driver(name)
        self._sda = wires.sda.driver(name)
        self._levels = [wires.scl.level, wires.sda.level]
        self._change: Event | None = None
        self._release: Event | None = None
        self._timeout: Event | None = None
        wires.listen(self._edge)

    def _edge(self, now_ns: int, wire: Wire, level: bool) -> None:
        machine = self.machine
        if wire is self._wires.sda:
            self._levels[1] = level
            if self._levels[0]:
                self._keep_time()
                if level:
                    machine.stop()
                else:
                    machine.start()
                self._drive()
            return
        self._levels[0] = level
        if level:
            if self._timeout is not None:
                self._timeout.cancel()
                self._timeout = None
            self._keep_time()
            machine.rise(self._levels[1])
            return
        if self.timeout_ns is not None:
            self._timeout = self._wires.clock.after(self.timeout_ns, self._timed_out)
        was = machine.low
        began = self._keep_time()
        machine.fall()
        pause = machine.pause
        held = 0
        if pause is not None:
            if self._clock is not None:
                held = self._clock.now_ns - began
            if self.stretch is not None:
                held += self.stretch(pause, machine.number)
        if held > 0:
            self._scl.pull(True)
            change_ns = max(self.hold_ns, held - SET_UP_NS)
            self._release = self._wires.clock.after(max(held, change_ns + SET_UP_NS), self._let_go)
        else:
            change_ns = self.hold_ns
        if machine.low is not was or self._change is not None:
            self._drive(change_ns)

    def _keep_time(self) -> int:
        """Take the target's clock along; returns the time on it."""
        clock = self._clock
        if clock is None:
            return 0
        behind = self._wires.clock.now_ns - clock.now_ns
        if behind > 0:
            clock.wait(behind)
        return clock.now_ns

    def _drive(self, after_ns: int = 0) -> None:
        if self._change is not None:
            self._change.cancel()
            self._change = None
        if after_ns:
            self._change = self._wires.clock.after(after_ns, self._drive)
        else:
            self._sda.pull(self.machine.low)

    def _let_go(self) -> None:
        self._release = None
        self._scl.pull(False)

    def _timed_out(self) -> None:
        self._timeout = None
        self._keep_time()
        self.machine.abort()
        if self._release is not None:
            self._release.cancel()
            self._let_go()
        self._drive()
