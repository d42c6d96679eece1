"""sigrok's decoders find in the waveforms exactly what was meant, at every rate, stretched or not."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rigs.logged import LoggedTarget
from rigs.sigrok import decode, needs_sigrok, symbols

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.bus import WireBus
from cmis_emu.bus.bits.drawing import draw
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import Steps, run
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.vcd import Recorder, Recording
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.virtual import I2C_M_RD, Message

pytestmark = needs_sigrok

A = 0x50
RATES = (100_000, 400_000, 1_000_000)

MESSAGES = st.builds(
    lambda address, what: (
        Message(address, I2C_M_RD, length=what) if isinstance(what, int) else Message(address, 0, bytes(what))
    ),
    st.sampled_from([A, A, A, A, 0x51, 0x08]),
    st.one_of(st.integers(1, 5), st.lists(st.integers(0, 255), max_size=5)),
)
TRANSFERS = st.lists(st.lists(MESSAGES, min_size=1, max_size=3), min_size=1, max_size=4)


def meant(transfers: list[list[Message]], memory: bytes, refuse: frozenset[int]) -> str:
    """The symbols of these transfers with a target that refuses those written bytes."""
    found: list[str] = []
    at = 0
    for messages in transfers:
        start = "S"
        for message in messages:
            read = bool(message.flags & I2C_M_RD)
            found += [start, f"{'R' if read else 'W'}{message.address:02x}"]
            start = "Sr"
            if message.address != A or -1 in refuse:
                found.append("N")
                break
            found.append("A")
            if read:
                for left in range(message.length, 0, -1):
                    found += [f"D{memory[at]:02x}", "A" if left > 1 else "N"]
                    at = (at + 1) % 256
                continue
            taken = message.data
            for number, value in enumerate(message.data):
                found += [f"D{value:02x}", "N" if number in refuse else "A"]
                if number in refuse:
                    taken = message.data[:number]
                    break
            if taken:
                at = (taken[0] + len(taken) - 1) % 256
            if taken != message.data:
                break
        found.append("P")
    return " ".join(found)


class ReadOnly(LoggedTarget):
    """Writes move its counter and change nothing."""

    def end(self) -> None:
        kept = bytes(self.memory)
        super().end()
        self.memory[:] = kept


@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    transfers=TRANSFERS,
    hz=st.sampled_from(RATES),
    stretch_ns=st.sampled_from([0, 0, 3_000, 30_000]),
    refuse=st.sampled_from([frozenset[int](), frozenset[int](), frozenset({1}), frozenset({0}), frozenset({-1})]),
    seed=st.integers(1, 255),
)
@pytest.mark.timeout(300)
def test_random_transactions(
    tmp_path: Path, transfers: list[list[Message]], hz: int, stretch_ns: int, refuse: frozenset[int], seed: int
) -> None:
    memory = bytes((at * seed + 7) & 0xFF for at in range(256))
    wires = Wires()
    BitSlave(wires, A, ReadOnly(memory, refuse), stretch=steady(stretch_ns, stretch_ns))
    recorder = Recorder(wires, drivers=True)
    master = BitMaster(wires, Pace.at(hz))
    for messages in transfers:
        with contextlib.suppress(BusError):
            run(wires.clock, master.transfer(messages))
    assert symbols(decode(recorder.stop(), tmp_path)) == meant(transfers, memory, refuse)


def _read_128(hz: int) -> tuple[Recording, bytes]:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        clock = emu.clock
        assert isinstance(clock, ManualClock)
        bus = WireBus(emu.buses[1], emu.lock, hz, clock=clock)
        bus.wires.clock.advance_ns(clock.now_ns)  # so that the recording does not begin seconds before
        recorder = Recorder(bus.wires)
        pins = emu.ports["1"].pins
        recorder.pin("IntL", pins.IntL)
        with emu.lock:
            found = bus.transfer([Message(A, 0, b"\x80"), Message(A, I2C_M_RD, length=128)])[0]
        assert found == emu.ports["1"].module.peek(0, 128, 128)
        return recorder.stop(), found


@pytest.mark.parametrize("hz", RATES)
def test_a_page_of_a_module_as_an_eeprom(tmp_path: Path, hz: int) -> None:
    recording, page = _read_128(hz)
    lines = decode(recording, tmp_path, "eeprom24xx")
    [read] = [line for line in lines if line.startswith("Sequential random read")]
    expected = f"(addr=80, 128 bytes): {' '.join(f'{value:02X}' for value in page)}"
    assert read.partition("read ")[2] == expected
    assert not [line for line in lines if line.startswith("Warning")]


def test_a_stop_in_the_middle_of_a_byte_is_seen_by_both(tmp_path: Path) -> None:
    wires = Wires()
    BitSlave(wires, A, LoggedTarget())
    recorder = Recorder(wires)
    master = BitMaster(wires, Pace.at(400_000))

    def steps() -> Steps[None]:
        yield from master.start()
        yield from master.write_byte(A << 1)
        for _ in range(3):
            yield from master.bit(True)
        yield from master.stop()

    run(wires.clock, steps())
    assert symbols(decode(recorder.stop(), tmp_path)) == "S W50 A P"


def test_messages_recorded_without_wires(tmp_path: Path) -> None:
    """What a tap told of an emulator's bus, drawn: the same transactions."""
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        record: list[Transaction] = []
        emu.ports["1"].target.taps.append(record.append)
        bus = emu.smbus(1)
        bus.write_i2c_block_data(A, 126, [0, 0x10])
        emu.clock.advance(0.001)
        assert bus.read_i2c_block_data(A, 128, 2) == [0, 0]
        with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EIO}]")):
            bus.write_i2c_block_data(A, 145, [1, 2, 3, 4, 5, 6, 7, 8, 9])
        emu.ports["1"].pins.ModSelL = True
        emu.clock.advance(0.01)
        with pytest.raises(OSError, match=re.escape(f"[Errno {errno.ENXIO}]")):
            bus.read_byte(A)
    taken = " ".join(f"D{value:02x} A" for value in [145, 1, 2, 3, 4, 5, 6, 7, 8])
    assert symbols(decode(draw(record, 400_000), tmp_path)) == (
        f"S W50 A D7e A D00 A D10 A P S W50 A D80 A Sr R50 A D00 A D00 N P S W50 A {taken} Dff N P S R50 N P"
    )


def test_the_tool_reads_times(tmp_path: Path) -> None:
    """A recorded stretch is as long in the drawing as it was."""
    message = Transaction(5_000_000, 9_000_000, True, 0, 0, 128, b"\x11\x22")
    recording = draw([message])
    rises = [when for when, signal, level in recording.changes if signal == 0 and level]
    falls = [when for when, signal, level in recording.changes if signal == 0 and not level]
    assert falls[0] - 5_000_000 < 1000
    assert 8_990_000 < rises[-1] < 9_010_000
    assert symbols(decode(recording, tmp_path, timescale_ns=100)) == "S R50 A D11 A D22 N P"
    assert shutil.which("sigrok-cli")
