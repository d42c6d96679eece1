"""A bit-banged master: START, bits, bytes, STOP and whole transfers, at a pace that is its own.

Owns what a controller does on the wires: pacing, waiting for a held clock, losing an arbitration, and clocking a
stuck slave free. A good master takes its pace from the limits of a mode; a bad one has one number changed, or is put
together from the same pieces in another order. Errors are those of an adapter (BusError): ENXIO and EIO for
an address and a byte that is not acknowledged, ETIMEDOUT for a clock that is held too long, EAGAIN for a lost
arbitration, EBUSY for lines that nobody frees.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from cmis_emu.bus.bits.limits import Limits, Parameter, mode_of
from cmis_emu.bus.bits.process import Steps, Until
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.line import ADAPTER_LIMIT_NS
from cmis_emu.bus.virtual import I2C_M_NOSTART, I2C_M_RD, I2C_M_RECV_LEN, I2C_M_TEN, Message
from cmis_emu.clock import NS_PER_S

RECOVERY_CLOCKS = 9

BLIND_NS = 50
"""From finding the bus idle to a START on it: another master may begin in that time, and they arbitrate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a master times its edges, in ns. data_ns: from SCL low to the change of SDA."""

    low_ns: int
    high_ns: int
    start_set_up_ns: int
    start_hold_ns: int
    data_ns: int
    stop_set_up_ns: int
    free_ns: int

    @classmethod
    def at(cls, hz: int, limits: Limits | None = None) -> Pace:
        """A good one at a rate in Hz, within the limits of its mode. Raises KeyError beyond 1 MHz."""
        limits = limits or mode_of(hz)
        period = -(-NS_PER_S // hz)
        high = max(limits.ns(Parameter.HIGH), period * 2 // 5)
        low = max(limits.ns(Parameter.LOW), period - high)
        return cls(
            low_ns=low,
            high_ns=high,
            start_set_up_ns=limits.ns(Parameter.START_SET_UP),
            start_hold_ns=limits.ns(Parameter.START_HOLD),
            data_ns=low // 4,
            stop_set_up_ns=limits.ns(Parameter.STOP_SET_UP),
            free_ns=limits.ns(Parameter.FREE),
        )


class BitMaster:
    """A controller on the wires. Its methods are steps for `process.run`.

    waits: for a clock that somebody holds low; one that does not goes on as if it had risen. timeout_ns: how long it
    waits at most. shares: others may be masters too, so it goes along with their clock.
    """

    def __init__(
        self,
        wires: Wires,
        pace: Pace,
        name: str = "host",
        *,
        waits: bool = True,
        timeout_ns: int = ADAPTER_LIMIT_NS,
        shares: bool = False,
    ) -> None:
        self.pace = pace
        self.waits = waits
        self.timeout_ns = timeout_ns
        self._shares = shares
        self._wires = wires
        self.scl = wires.scl.driver(name)
        self.sda = wires.sda.driver(name)
        self._free_at = 0

    # -- whole transfers -------------------------------------------------------------------------------

    def transfer(self, messages: Sequence[Message]) -> Steps[list[bytes]]:
        """One combined transfer with repeated START; comes to the data of the messages that read."""
        if any(message.flags & (I2C_M_TEN | I2C_M_RECV_LEN | I2C_M_NOSTART) for message in messages):
            raise BusError(errno.EOPNOTSUPP)
        if not self._wires.sda.level:
            yield from self.recover()
        results = []
        try:
            for message in messages:
                yield from self.start()
                read = message.flags & I2C_M_RD
                if not (yield from self.write_byte(message.address << 1 | (1 if read else 0))):
                    raise BusError(errno.ENXIO)
                if read:
                    found = bytearray()
                    for left in range(message.length, 0, -1):
                        found.append((yield from self.read_byte(more=left > 1)))
                    results.append(bytes(found))
                else:
                    for value in message.data:
                        if not (yield from self.write_byte(value)):
                            raise BusError(errno.EIO)
        except BusError as error:
            if error.errno in (errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY):
                self.let_go()
            else:
                yield from self.stop()
            raise
        yield from self.stop()
        return results

    # -- bytes -----------------------------------------------------------------------------------------

    def write_byte(self, value: int) -> Steps[bool]:
        """Eight bits and the answer to them: was it acknowledged?"""
        for place in range(7, -1, -1):
            yield from self.bit(bool(value >> place & 1), mine=True)
        return not (yield from self.bit(True))

    def read_byte(self, *, more: bool) -> Steps[int]:
        """Eight bits, acknowledged when `more` are wanted."""
        value = 0
        for _ in range(8):
            value = value << 1 | (yield from self.bit(True))
        yield from self.bit(not more)
        return value

    # -- bits ------------------------------------------------------------------------------------------

    def start(self) -> Steps[None]:
        """START, or a repeated one when this master has the bus. SCL is low afterwards."""
        pace = self.pace
        repeated = self.scl.low
        if repeated:
            yield pace.data_ns
            self.sda.pull(False)
            yield max(0, pace.low_ns - pace.data_ns)
            yield from self.clock_high()
            yield pace.start_set_up_ns
        else:
            wait = self._free_at - self._wires.clock.now_ns
            if wait > 0:
                yield wait
            if not self._wires.idle:
                raise BusError(errno.EBUSY)
            if self._shares:
                yield BLIND_NS
        if repeated and not self._wires.sda.level:
            raise BusError(errno.EAGAIN)
        self.sda.pull(True)
        yield pace.start_hold_ns
        self.scl.pull(True)

    def bit(self, value: bool, *, mine: bool = False) -> Steps[bool]:
        """One clock with SDA at `value`, high meaning let go; what SDA read at the end of it.

        mine: nobody else has a say. When somebody pulls SDA then, the arbitration is lost, and SCL is the other's.
        """
        pace = self.pace
        yield pace.data_ns
        self.sda.pull(not value)
        yield pace.low_ns - pace.data_ns
        yield from self.clock_high()
        if self._shares:
            yield Until(self._wires.scl, False, pace.high_ns)
        else:
            yield pace.high_ns
        found = self._wires.sda.level
        if mine and value and not found:
            raise BusError(errno.EAGAIN)
        self.scl.pull(True)
        return found

    def stop(self) -> Steps[None]:
        """STOP. A slave that pulls SDA, since it is in the middle of a byte, is clocked free before."""
        pace = self.pace
        yield pace.data_ns
        self.sda.pull(True)
        yield pace.low_ns - pace.data_ns
        yield from self.clock_high()
        yield pace.stop_set_up_ns
        self.sda.pull(False)
        yield self._wires.rise_ns
        self._freed()
        if not self._wires.sda.level and self.waits:
            yield from self.recover()

    def clock_high(self) -> Steps[None]:
        """Let SCL rise, and wait for it if this master waits."""
        self.scl.pull(False)
        if self._wires.scl.level or not self.waits:
            return
        if not (yield Until(self._wires.scl, True, self.timeout_ns)):
            raise BusError(errno.ETIMEDOUT)

    def recover(self) -> Steps[None]:
        """Clock a slave that pulls SDA until it lets go, nine times at most; then STOP."""
        pace = self.pace
        for _ in range(RECOVERY_CLOCKS):
            self.scl.pull(True)
            yield pace.low_ns
            yield from self.clock_high()
            yield pace.high_ns
            if self._wires.sda.level:
                break
        else:
            raise BusError(errno.EBUSY)
        self.scl.pull(True)
        yield pace.data_ns
        self.sda.pull(True)
        yield max(0, pace.low_ns - pace.data_ns)
        yield from self.clock_high()
        yield pace.stop_set_up_ns
        self.sda.pull(False)
        yield self._wires.rise_ns
        self._freed()

    def let_go(self) -> None:
        """Drive nothing any more."""
        self.sda.pull(False)
        self.scl.pull(False)
        self._freed()

    def _freed(self) -> None:
        self._free_at = self._wires.clock.now_ns + self.pace.free_ns
