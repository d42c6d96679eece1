"""The waveform of messages that were recorded on a bus without wires, as a master and a slave would have made it.

Owns what a record of messages leaves open. A message is drawn at its moment, or right after the one before where that
takes longer on wires than it took; it ends in a STOP, but for a write of an address alone that a read follows at once,
which a repeated START joins as hosts do it. A message that took longer than its bytes need is drawn with a clock that
is held for the rest, before its first acknowledge bit. A byte that was refused is not in the record, and drawn as FFh.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from cmis_emu.bus.bits.limits import Limits, Parameter, mode_of
from cmis_emu.bus.bits.machine import Pause
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import Steps, run
from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.vcd import Recorder, Recording
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.target import MODULE_ADDRESS

REFUSED = 0xFF


class _Script:
    """A target that does what one message says."""

    def __init__(self) -> None:
        self.message: Transaction | None = None
        self.stretch_ns = 0
        self._left = 0
        self._at = 0

    def play(self, message: Transaction, stretch_ns: int) -> None:
        """This message comes next."""
        self.message = message
        self.stretch_ns = stretch_ns
        self._at = 0
        self._left = len(_written(message)) - (1 if message.error not in (None, errno.ENXIO) else 0)

    def start(self, *, read: bool) -> bool:
        assert self.message is not None
        return self.message.error != errno.ENXIO

    def write_byte(self, value: int) -> bool:
        self._left -= 1
        return self._left >= 0

    def peek(self) -> int:
        assert self.message is not None
        return self.message.data[self._at]

    def commit(self) -> None:
        self._at += 1

    def end(self) -> None:
        """Nothing follows from it."""

    def abort(self) -> None:
        """Nothing follows from it."""

    def hold_ns(self, pause: Pause, number: int) -> int:
        """How long the clock is held at that point."""
        held = self.stretch_ns if pause is Pause.ACK else 0
        if held:
            self.stretch_ns = 0
        return held


def draw(
    messages: Iterable[Transaction], hz: int = 400_000, *, address: int = MODULE_ADDRESS, limits: Limits | None = None
) -> Recording:
    """The waveform at a clock rate in Hz; `limits` are those of the rate unless given. Times are those of the record.

    Raises KeyError for a rate beyond 1 MHz.
    """
    limits = limits or mode_of(hz)
    record = list(messages)
    wires = Wires()
    if record:
        wires.clock.advance_ns(max(0, record[0].began_ns - limits.ns(Parameter.FREE)))
    script = _Script()
    BitSlave(wires, address, script, stretch=script.hold_ns)
    recorder = Recorder(wires)
    master = BitMaster(wires, Pace.at(hz, limits))
    run(wires.clock, _replay(record, wires, master, script, address))
    wires.clock.advance_ns(limits.ns(Parameter.FREE))
    return recorder.stop()


def _replay(
    record: Sequence[Transaction], wires: Wires, master: BitMaster, script: _Script, address: int
) -> Steps[None]:
    pace = master.pace
    joined = False
    for at, message in enumerate(record):
        wait = message.began_ns - wires.clock.now_ns
        if wait > 0 and not joined:
            yield wait
        written = _written(message)
        bits = 9 * (1 + (len(message.data) if message.read else len(written)))
        need = bits * (pace.low_ns + pace.high_ns) + pace.start_hold_ns + pace.low_ns + pace.stop_set_up_ns
        took = message.ended_ns - message.began_ns
        script.play(message, max(0, took - need))
        yield from master.start()
        if (yield from master.write_byte(address << 1 | message.read)):
            if message.read:
                for left in range(len(message.data), 0, -1):
                    yield from master.read_byte(more=left > 1)
            for value in written:
                yield from master.write_byte(value)
        after = record[at + 1] if at + 1 < len(record) else None
        joined = (
            after is not None
            and after.read
            and not message.read
            and not message.data
            and message.error is None
            and after.began_ns - message.ended_ns <= pace.free_ns
        )
        if not joined:
            yield from master.stop()


def _written(message: Transaction) -> bytes:
    """The bytes after the address byte that a write puts on the wires."""
    if message.read or message.error == errno.ENXIO:
        return b""
    sent = bytes([message.address]) + message.data
    return sent if message.error is None else sent + bytes([REFUSED])
