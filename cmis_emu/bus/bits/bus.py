"""A virtual bus whose transfers go over wires: a master, two lines and a slave for every target.

It takes the place of a `VirtualBus` with the same targets, so that everything that runs on one (hosts, servers, the
judge) runs over edges, and what it meets there is what a chip would make of it. Transfers take the time that they
take at the clock's rate, and the module's time goes along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from cmis_emu.bus.bits.limits import Limits, mode_of
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.claims import Claims
from cmis_emu.bus.contract import ByteTarget
from cmis_emu.bus.virtual import Message, VirtualBus
from cmis_emu.clock import ManualClock

Attach = Callable[[Wires, int, ByteTarget], object]
"""Puts a target on the wires at an address."""


class WireBus(VirtualBus):
    """`bus` over wires at a clock rate in Hz. Raises KeyError beyond 1 MHz.

    lock: the emulator's. clock: the modules', which the wires' time takes along; none when their time stands apart.
    attach: what puts a target on the wires, a `BitSlave` unless given.
    """

    __slots__ = ("_clock", "limits", "master", "slaves", "wires")

    def __init__(
        self,
        bus: VirtualBus,
        lock: threading.RLock,
        hz: int = 400_000,
        *,
        clock: ManualClock | None = None,
        rise_ns: int = 0,
        attach: Attach | None = None,
    ) -> None:
        super().__init__(bus.number, bus.targets, Claims(lock))  # claims: no call may go past the wires
        self._clock = clock
        self.limits: Limits = mode_of(hz)
        self.wires = Wires(rise_ns)
        self.master = BitMaster(self.wires, Pace.at(hz, self.limits))
        if attach is None:

            def attach(wires: Wires, address: int, target: ByteTarget) -> object:
                return BitSlave(wires, address, target, clock=clock)

        self.slaves = [attach(self.wires, address, target) for address, target in bus.targets.items()]

    def run(self, messages: Sequence[Message]) -> list[bytes]:
        """The messages, edge by edge. Raises BusError."""
        wires = self.wires.clock
        if self._clock is not None and self._clock.now_ns > wires.now_ns:
            wires.advance_ns(self._clock.now_ns - wires.now_ns)
        return run(wires, self.master.transfer(messages))
