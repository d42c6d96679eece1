"""The BSC slave of a Raspberry Pi as far as published code tells of it, and the helper's own C code that polls it.

Owns the model of the chip: FIFOs of 16 bytes, one byte fetched ahead into the shift register, BRK that does nothing,
TXE that drops a byte when it is toggled, address and every byte acknowledged without asking, no stretching. What a
read shows when nothing is there (0) and that the busy flags last from address to STOP are guesses.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from itertools import count

from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.cages import Cage
from cmis_emu.bus.rpi_bsc.mirror import Mirror
from cmis_emu.bus.rpi_bsc.shared import Shared
from cmis_emu.clock import NS_PER_MS, NS_PER_S, NS_PER_US, Event, ManualClock
from cmis_emu.physics.noise import uniform

DR, RSR, SLV, CR, FR = range(5)
EN, TXE = 1 << 0, 1 << 8
FIFO = 16
UNDERRUN = 0x00

READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint32)


class Registers(ctypes.Structure):
    """`struct bsc_registers`."""

    _fields_ = (("read", READ), ("write", WRITE), ("chip", ctypes.c_void_p))


class BscChip:
    """Registers on one side, a byte target on the other.

    changed: called after everything that a look could see, with whether a byte has come in.
    """

    def __init__(self, changed: Callable[[bool], None], *, busy_flags: bool = True) -> None:
        self.sent: deque[int] = deque()
        self.shift: int | None = None
        self.got: deque[int] = deque()
        self.control = self.address = self.errors = 0
        self.busy_flags = busy_flags
        self._changed = changed
        self._reading = self._writing = False
        self._shown = UNDERRUN
        self._empty = False

    # -- registers -------------------------------------------------------------------------------------

    def read(self, register: int) -> int:
        if register == DR:
            return self.got.popleft() if self.got else 0
        if register == RSR:
            return self.errors
        if register == CR:
            return self.control
        if register != FR:
            return 0
        busy = (self._reading | self._writing << 5) if self.busy_flags else 0
        full = (len(self.sent) == FIFO) << 2 | (len(self.got) == FIFO) << 3
        empty = (not self.got) << 1 | (not self.sent) << 4
        return busy | full | empty | len(self.sent) << 6 | len(self.got) << 11

    def write(self, register: int, value: int) -> None:
        if register == DR:
            if self.shift is None:
                self.shift = value & 0xFF
            elif len(self.sent) < FIFO:
                self.sent.append(value & 0xFF)
        elif register == RSR:
            self.errors = 0
        elif register == SLV:
            self.address = value
        elif register == CR:
            if self.control & TXE and not value & TXE:
                self.shift = self.sent.popleft() if self.sent else None
            self.control = value

    # -- the bus ---------------------------------------------------------------------------------------

    def start(self, *, read: bool) -> bool:
        if not self.control & EN:
            return False
        self._reading, self._writing = read, not read
        self._changed(False)
        return True

    def write_byte(self, value: int) -> bool:
        if len(self.got) == FIFO:
            self.errors |= 1
        else:
            self.got.append(value)
        self._changed(True)
        return True

    def peek(self) -> int:
        self._empty = self.shift is None
        if self.shift is None:
            self.errors |= 2
            self._changed(False)
            return UNDERRUN
        return self.shift

    def commit(self) -> None:
        if not self._empty:
            self.shift = self.sent.popleft() if self.sent else None
            self._changed(False)

    def end(self) -> None:
        self._reading = self._writing = False
        self._changed(False)

    def abort(self) -> None:
        self.end()


def late(ordinary_ns: int, late_ns: int, part: float, seed: int = 1) -> Callable[[], int]:
    """Mostly one time, in some part of all cases another, in an order that belongs to the seed."""
    number = count()
    return lambda: late_ns if uniform(seed, 1, next(number)) < part else ordinary_ns


class Helper:
    """The C code in front of a chip, on the wires' time. latency_ns: from a byte that has come in to the next look."""

    def __init__(
        self,
        wires: Wires,
        address: int,
        shared: Shared,
        hz: int,
        latency_ns: int | Callable[[], int] = NS_PER_US,
        *,
        trust_busy: bool = True,
        busy_flags: bool = True,
    ) -> None:
        self.chip = BscChip(self._changed, busy_flags=busy_flags)
        self.slave = BitSlave(wires, address, self.chip)
        self.looks = 0
        self._clock = wires.clock
        self._latency_ns = latency_ns if callable(latency_ns) else lambda: latency_ns
        self._quiet_ns = (3 if trust_busy else 12) * NS_PER_S // hz
        self._library = shared.library
        self._memory = (ctypes.c_uint8 * shared.library.bsc_slave_size())()
        self._registers = Registers(
            READ(lambda chip, register: self.chip.read(register)),
            WRITE(lambda chip, register, value: self.chip.write(register, value)),
            None,
        )
        self._event: Event | None = None
        self._last_ns = self._paused_ns = 0
        self._library.bsc_begin(
            ctypes.byref(self._memory), shared.pointer, ctypes.byref(self._registers), address, hz, int(trust_busy)
        )
        assert self.chip.address == address
        self.look()

    def look(self) -> None:
        """Poll once, now."""
        self.looks += 1
        self._library.bsc_poll(ctypes.byref(self._memory), ctypes.c_uint64(self._clock.now_ns + NS_PER_S))

    def pause(self, duration_ns: int) -> None:
        """Something else has its core for so long."""
        self._paused_ns = self._clock.now_ns + duration_ns
        self._clock.after(duration_ns, self._due)

    def _changed(self, byte: bool) -> None:
        """The helper polls all the time; looks that would find nothing new are left out."""
        self._last_ns = self._clock.now_ns
        if byte:
            if self._event is not None:
                self._event.cancel()
            self._event = self._clock.after(self._latency_ns(), self._due)
        elif self._event is None:
            self._event = self._clock.after(NS_PER_US, self._due)

    def _due(self) -> None:
        self._event = None
        if self._clock.now_ns < self._paused_ns:
            return
        self.look()
        if self._event is None and self._clock.now_ns - self._last_ns <= 2 * self._quiet_ns:
            self._event = self._clock.after(self._quiet_ns // 4, self._due)


class BscModule:
    """A module on the wires behind chip, helper and mirror. clock: the module's, which is taken along.

    mirror_ns: how often the emulator looks for what the bus did.
    """

    def __init__(
        self,
        wires: Wires,
        address: int,
        cage: Cage,
        shared: Shared,
        lock: threading.RLock,
        hz: int,
        *,
        clock: ManualClock | None = None,
        mirror_ns: int = NS_PER_MS,
        latency_ns: int | Callable[[], int] = NS_PER_US,
        trust_busy: bool = True,
        busy_flags: bool = True,
    ) -> None:
        self.mirror = Mirror(cage, shared, lock)
        self.helper = Helper(wires, address, shared, hz, latency_ns, trust_busy=trust_busy, busy_flags=busy_flags)
        self._wires = wires
        self._clock = clock
        self._mirror_ns = mirror_ns
        wires.clock.after(mirror_ns, self._step)

    def _step(self) -> None:
        if self._clock is not None and (behind := self._wires.clock.now_ns - self._clock.now_ns) > 0:
            self._clock.wait(behind)
        self.mirror.step()
        self._wires.clock.after(self._mirror_ns, self._step)

    def settle(self) -> None:
        """As after the time in which the emulator brings everything up to date."""
        self._wires.clock.advance_ns(2 * self._mirror_ns)
        self.mirror.publish()
        self.helper.look()
