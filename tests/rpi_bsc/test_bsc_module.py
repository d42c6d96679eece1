"""A module behind the BSC slave: what holds at once, what later, and the traps of the chip."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rigs.bsc import BscChip
from rigs.bsc_bench import Bench
from rigs.sigrok import decode, needs_sigrok, symbols

from cmis_emu.bus.bits.limits import STANDARD, Parameter, plain_i2c
from cmis_emu.bus.bits.vcd import Recorder
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.rpi_bsc.shared import Event
from cmis_emu.clock import NS_PER_S

LOS_RX, LOL_RX = 147, 148
NEVER_LOOKS = NS_PER_S  # the emulator, in these tests


@pytest.fixture
def alone(bench: Callable[..., Bench]) -> Bench:
    """The helper, and an emulator that has published once and does not look any more."""
    made = bench(mirror_ns=NEVER_LOOKS)
    made.rest()
    return made


def test_what_a_host_wrote_it_reads_at_once(alone: Bench) -> None:
    alone.write(126, 0, 0x10)
    assert alone.read(126, 2) == b"\x00\x10"
    alone.rest()
    before = alone.module.peek(0x10, 128, 128)
    assert alone.read(128, 128) == before
    alone.rest()
    alone.write(145, *range(0x10, 0x18))
    assert alone.read(144, 10) == before[16:17] + bytes(range(0x10, 0x18)) + before[25:26]
    alone.rest()
    alone.write(0, 0xFF)  # read-only
    assert alone.read(0) == b"\x18"
    assert alone.module.peek(0x10, 145, 8) != bytes(range(0x10, 0x18))  # the module has not heard of it


def test_pages_that_are_not_there(alone: Bench) -> None:
    alone.write(126, 0, 0x11)
    alone.write(126, 0, 0xEE)
    assert alone.read(126, 2) == b"\x00\x00"
    alone.rest()
    assert alone.read(128, 16) == alone.module.peek(0, 128, 16)


def test_a_flag_is_read_once(alone: Bench) -> None:
    module = alone.module
    with alone.emu.lock:
        for name in ("LOSFlagRx", "CDRLOLFlagRx"):
            module.flags.latch(module.memory.cell(name), 0x0F)
    alone.bsc.mirror.publish()
    alone.write(126, 0, 0x11)
    assert alone.read(LOS_RX) == b"\x0f"
    alone.rest()
    assert alone.read(LOS_RX) == b"\x00"  # though the module has not heard of it
    alone.rest()
    with alone.emu.lock:
        module.flags.latch(module.memory.cell("LOSFlagRx"), 0xF0)  # raised meanwhile, and seen by nobody
    alone.bsc.mirror.step()
    assert module.peek(0x11, LOS_RX, 2) == b"\xf0\x0f"
    assert alone.read(LOS_RX, 2) == b"\xf0\x0f"


def test_a_value_of_two_bytes_never_tears(alone: Bench) -> None:
    """The emulator publishes in the middle of a read, between its first byte and its second."""
    alone.shared.publish(0, bytes(range(128)), 0)
    alone.wires.clock.after(450_000, lambda: alone.shared.publish(0, bytes(128), 0))
    began = alone.wires.clock.now_ns
    assert alone.read(14, 2) == b"\x0e\x0f"
    assert alone.wires.clock.now_ns - began > 450_000
    alone.rest()
    assert alone.read(14, 2) == b"\x00\x00"


def test_a_page_that_is_never_whole_shows_as_it_was(alone: Bench) -> None:
    """As when the emulator stands still while it publishes."""
    assert alone.read(0) == b"\x18"
    alone.rest()
    alone.shared.publish(0, bytes([0xAA]) * 128, 0)
    where = bytes(alone.shared._memory).index(bytes([0xAA]) * 128) - 16  # its sequence stands before
    alone.shared._memory[where] |= 1
    assert alone.read(0) == b"\x18"
    alone.rest()
    alone.shared._memory[where] &= 0xFE
    assert alone.read(0) == b"\xaa"


def test_events_without_room_are_counted(alone: Bench) -> None:
    for _ in range(70):
        alone.write(31, 0)
        alone.rest()
    assert alone.shared.counts().lost == 70 - 64
    assert alone.read(0) == b"\x18"


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 18, 40])
def test_the_byte_that_was_fetched_ahead_was_not_read(alone: Bench, count: int) -> None:
    """A current-address read goes on behind the last byte that went out; no stale byte is in its way."""
    whole = alone.module.peek(0, 128, 128)
    assert alone.read(128, count) == whole[:count]
    alone.rest()
    assert alone.transfer(5) == [whole[count : count + 5]]
    alone.rest()
    assert alone.read(200, 3) == whole[72:75]


def test_what_was_acknowledged_arrives_though_the_module_holds_off(alone: Bench) -> None:
    """Writes to page 03h go to non-volatile memory, for which the module refuses others for 10 ms."""
    alone.write(126, 0, 0x03)
    for address, value in ((128, 0x41), (129, 0x42), (130, 0x43)):
        alone.write(address, value)
    alone.rest()
    alone.bsc.mirror.step()
    assert alone.module.peek(0x03, 128, 3) == b"ABC"


def test_a_page_that_others_select_meanwhile_is_theirs(alone: Bench) -> None:
    """A write, and a read that clears, belong to the page that was mapped on the wires then."""
    module = alone.module
    with alone.emu.lock:
        module.flags.latch(module.memory.cell("LOSFlagRx"), 0xFF)
    alone.bsc.mirror.publish()
    alone.write(126, 0, 0x11)
    assert alone.read(LOS_RX) == b"\xff"
    alone.write(126, 0, 0x10)
    alone.write(145, 0x21)
    alone.rest()
    untouched = module.peek(0x01, 128, 128)
    take = alone.shared.take
    events = 0

    def between() -> Event | None:
        nonlocal events
        events += 1
        if events in (3, 5):  # before the read of 11h, and before the write to 10h
            module.memory.select(0x01, 0)
        return take()

    alone.shared.take = between  # type: ignore[method-assign]
    alone.bsc.mirror.step()
    assert module.peek(0x11, LOS_RX, 1) == b"\x00"
    assert module.peek(0x10, 145, 1) == b"\x21"
    assert module.peek(0x01, 128, 128) == untouched
    assert module.mapped() == (0x01, 0)


def test_observers_see_what_the_bus_did(alone: Bench) -> None:
    seen: list[tuple[bool, int, int, bytes]] = []
    alone.emu.ports["1"].target.taps.append(lambda t: seen.append((t.read, t.page, t.address, t.data)))
    alone.write(126, 0, 0x10)
    alone.write(145, *range(0x10, 0x19))  # a byte more than the module takes
    alone.read(145, 3)
    alone.rest()
    alone.bsc.mirror.step()
    assert seen == [
        (False, -1, 126, b"\x00\x10"),
        (False, 0x10, 145, bytes(range(0x10, 0x18))),
        (False, 0x10, 145, b""),
        (True, 0x10, 145, b"\x10\x11\x12"),
    ]


def test_it_is_told_when_the_module_does_not_answer(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.rest()
    made.emu.ports["1"].pins.ResetL = False
    made.emu.clock.advance(0.001)
    made.bsc.settle()
    with pytest.raises(BusError) as failure:
        made.read(0)
    assert failure.value.errno == errno.ENXIO
    made.emu.ports["1"].pins.ResetL = True
    made.emu.settle()
    made.bsc.settle()
    assert made.read(0) == b"\x18"


def test_busy_flags_that_are_not_trusted(bench: Callable[..., Bench]) -> None:
    """On a chip that has none, transfers end by silence: the address byte of the next one is long enough."""
    made = bench(trust_busy=False, busy_flags=False)
    made.rest()
    whole = made.module.peek(0, 128, 128)
    for address in (128, 200, 131):
        assert made.read(address, 20) == (whole * 2)[address - 128 : address - 108]
        made.rest()
    made.master.pace = replace(made.master.pace, free_ns=plain_i2c(STANDARD).ns(Parameter.FREE))
    made.write(126, 0, 0x10)
    made.write(145, 0x10, 0x20)
    made.write(147, 0x30)  # however little the host waits between transfers
    made.rest()
    assert made.read(147) == b"\x30"
    made.rest()
    assert made.read(145, 2) == b"\x10\x20"


def test_what_needs_them(bench: Callable[..., Bench]) -> None:
    """A read by repeated START behind a write with data: without them, the write's end is not known in time."""
    for made, right in ((bench(), True), (bench(trust_busy=False, busy_flags=False), False)):
        made.rest()
        whole = made.module.peek(0, 128, 128)
        first, second = made.transfer(b"\x80", 5, 5)[:2]
        assert first == whole[:5]
        assert second == whole[5:10]  # the FIFO goes on by itself
        made.rest()
        made.write(126, 0, 0x10)
        made.rest()
        made.write(145, 0x11, 0x22)
        made.rest()
        assert made.transfer(b"\x91\x55", 1) == [b"\x22" if right else b"\x11"]
        made.rest()
        assert made.read(145) == b"\x55"


@needs_sigrok
def test_sigrok_reads_what_was_meant(bench: Callable[..., Bench], tmp_path: Path) -> None:
    made = bench()
    made.rest()
    recorder = Recorder(made.wires)
    made.write(126, 0, 0x00)
    made.read(129, 4)
    seen = symbols(decode(recorder.stop(), tmp_path, timescale_ns=100))
    assert seen == "S W50 A D7e A D00 A D00 A P S W50 A D81 A Sr R50 A D43 A D4d A D49 A D53 N P"


def test_the_chip_has_the_traps() -> None:
    chip = BscChip(lambda byte: None)
    chip.write(3, 0x305)
    for value in range(20):
        chip.write(0, value)
    assert (chip.shift, len(chip.sent)) == (0, 16)  # one ahead, 16 in the FIFO, the rest lost
    chip.write(3, 0x305 | 1 << 7)
    chip.write(3, 0x305)
    assert (chip.shift, len(chip.sent)) == (0, 16)  # BRK empties nothing
    chip.write(3, 0x205)
    chip.write(3, 0x305)
    assert (chip.shift, len(chip.sent)) == (1, 15)
    assert chip.read(4) >> 6 & 31 == 15
