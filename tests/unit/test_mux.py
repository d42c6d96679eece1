"""Muxes and switches on a bus: what their data sheets say, and what a host sees of it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from smbus2 import i2c_msg

from cmis_emu import Emulator, ManualClock
from cmis_emu.board_plan import BoardPlan, Channel, MuxPlan, Place
from cmis_emu.bus.byte_faults import Corrupt, replaced
from cmis_emu.bus.faults import Direction, Match, Nack, Stretch
from cmis_emu.bus.mux import MUXES
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.usbip.tiny_usb import FIRST, LAST, STALL, Request, TinyUsb
from cmis_emu.clock import NS_PER_S
from cmis_emu.occasions import Occasions
from cmis_emu.scenarios.model import Begin
from cmis_emu.scenarios.reader import read_scenario

DR4 = "qsfpdd-400g-dr4"
A = 0x50
SERIALS = {"a": "AAAA", "b": "CCCC", "c": "XYZ1", "d": "XYZ2"}


def bench(kind: str = "pca9548") -> dict[str, Any]:
    """a and b behind m1, c and d behind m2, which is behind channel 3 of m1."""
    ports = {
        "a": {"mux": "m1", "channel": 0},
        "b": {"mux": "m1", "channel": 1},
        "c": {"mux": "m2", "channel": 0},
        "d": {"mux": "m2", "channel": 2},
    }
    return {
        "version": 1,
        "muxes": {
            "m1": {"type": kind, "bus": 1, "address": 0x70},
            "m2": {"type": kind, "mux": "m1", "channel": 3, "address": 0x71},
        },
        "ports": {
            name: {"profile": DR4, **place, "registers": {"VendorSN": SERIALS[name]}} for name, place in ports.items()
        },
    }


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    with Emulator.load(bench(), ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


@pytest.fixture
def emu(shared: Emulator) -> Iterator[Emulator]:
    """All channels are off before and after each test, and nothing is armed."""
    start = shared.snapshot()
    yield shared
    shared.restore(start)
    assert [mux.control for mux in shared.muxes.values()] == [0, 0]


@pytest.fixture
def bus(emu: Emulator) -> VirtualSMBus:
    return emu.smbus(1)


def error_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its errno is looked at
        call(*arguments)
    return errno.errorcode[caught.value.errno or 0]


def serial(bus: VirtualSMBus) -> bytes:
    found = i2c_msg.read(A, 4)
    bus.i2c_rdwr(i2c_msg.write(A, [126, 0, 0]), i2c_msg.write(A, [166]), found)
    return bytes(found)


def test_all_channels_are_off_at_power_up(bus: VirtualSMBus) -> None:
    assert bus.read_byte(0x70) == 0
    assert error_of(bus.read_byte, A) == "ENXIO"
    assert error_of(bus.read_byte, 0x71) == "ENXIO"


def test_a_channel_is_on_from_the_stop_on(bus: VirtualSMBus) -> None:
    found = i2c_msg.read(A, 1)
    assert error_of(bus.i2c_rdwr, i2c_msg.write(0x70, [1]), i2c_msg.write(A, [0]), found) == "ENXIO"
    assert bus.read_byte_data(A, 0) == 0x18  # that failure was a STOP
    bus.i2c_rdwr(i2c_msg.write(0x70, [2]), i2c_msg.write(A, [126, 0, 0]), i2c_msg.write(A, [166]), found)
    assert bytes(found) == b"A"  # it is still the old one
    assert serial(bus) == b"CCCC"
    bus.i2c_rdwr(i2c_msg.write(0x70, [0]), i2c_msg.write(A, [0]), found)
    assert error_of(bus.read_byte, A) == "ENXIO"


def test_the_register_reads_what_was_written_last(bus: VirtualSMBus) -> None:
    bus.i2c_rdwr(i2c_msg.write(0x70, [0x80, 0x40, 2]))
    assert bus.read_byte(0x70) == 2
    found = i2c_msg.read(0x70, 3)
    bus.i2c_rdwr(found)
    assert bytes(found) == b"\x02\x02\x02"
    bus.i2c_rdwr(i2c_msg.write(0x70, [1]), found)
    assert bytes(found) == b"\x01\x01\x01"
    assert serial(bus) == b"AAAA"
    bus.i2c_rdwr(i2c_msg.write(0x70, []))  # no byte, no change
    assert bus.read_byte(0x70) == 1


def test_kinds() -> None:
    """Channel bits or an enable bit; what a PCA9547 connects at power-up."""
    seen = {}
    for kind in MUXES:
        testbed = bench(kind)
        with Emulator.load(testbed, ManualClock(), seed=1) as emu:
            emu.settle()
            bus = emu.smbus(1)
            row: list[Any] = [bus.read_byte(0x70)]
            for control in (0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0xF1):
                bus.write_byte(0x70, control)
                try:
                    row.append((bus.read_byte(0x70), serial(bus)))
                except OSError:
                    row.append((bus.read_byte(0x70), None))
            seen[kind] = row
    a, b, both = b"AAAA", b"CCCC", b"AAAA"  # 41h & 43h is 41h
    assert seen["pca9548"] == [0, (0, None), (1, a), (2, b), (3, both), (8, None), (9, a), (0xF1, a)]
    assert seen["pca9546"] == [0, (0, None), (1, a), (2, b), (3, both), (8, None), (9, a), (1, a)]
    assert seen["pca9547"] == [8, (0, None), (1, None), (2, None), (3, None), (8, a), (9, b), (1, None)]


def test_two_channels_that_are_on_are_one_wire(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 0x03)
    assert serial(bus) == bytes(x & y for x, y in zip(b"AAAA", b"CCCC", strict=True))
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    bus.write_byte_data(A, 145, 0x5A)
    both = [emu.ports[name].module for name in ("a", "b")]
    assert [module.peek(0x10, 145, 1) for module in both] == [b"\x5a"] * 2
    emu.ports["a"].pins.ModSelL = True
    assert serial(bus) == b"CCCC"  # one that answers is enough
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    bus.write_byte_data(A, 145, 0x33)
    assert [module.peek(0x10, 145, 1) for module in both] == [b"\x5a", b"\x33"]
    emu.ports["b"].pins.ModSelL = True
    assert error_of(bus.read_byte, A) == "ENXIO"


def test_one_that_refuses_a_byte_takes_no_more_and_the_other_goes_on(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 0x03)
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    a, b = (emu.ports[name] for name in ("a", "b"))
    refusal = Nack(Match(Direction.WRITE, value=0x44), Occasions())
    a.arm_line(refusal)
    before = a.module.peek(0x10, 145, 3)
    bus.write_i2c_block_data(A, 145, [0x33, 0x44, 0x55])
    assert b.module.peek(0x10, 145, 3) == b"\x33\x44\x55"
    assert a.module.peek(0x10, 145, 3) == before  # a refused write is void
    a.disarm_line(refusal)
    # Nine bytes are more than a module takes, so nobody acknowledges the last one.
    assert error_of(bus.write_i2c_block_data, A, 145, list(range(9))) == "EIO"


def test_a_mux_behind_a_mux(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 1 << 3)
    bus.write_byte(0x71, 1 << 2)
    assert serial(bus) == b"XYZ2"
    bus.write_byte(0x70, 0)
    assert error_of(bus.read_byte, 0x71) == "ENXIO"
    bus.write_byte(0x70, 1 << 3)
    assert bus.read_byte(0x71) == 1 << 2  # it has kept its register
    assert serial(bus) == b"XYZ2"
    bus.write_byte(0x71, 0)
    bus.write_byte(0x70, 0)


def test_reset_counts_at_once(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 1)
    emu.muxes["m1"].set_reset(low=True)
    assert error_of(bus.read_byte, 0x70) == "ENXIO"
    assert error_of(bus.read_byte, A) == "ENXIO"
    assert error_of(emu.smbus_of("a").read_byte, A) == "ENXIO"
    emu.muxes["m1"].set_reset(low=False)
    assert bus.read_byte(0x70) == 0


# -- the buses of channels ---------------------------------------------------------------------------


def test_a_channel_is_a_bus_and_leaves_the_switches_as_they_were(emu: Emulator, bus: VirtualSMBus) -> None:
    assert sorted(emu.buses) == list(range(1, 18))  # the next free numbers, as a kernel would give them
    assert [emu.bus_of(name).number for name in "abcd"] == [2, 3, 10, 12]
    for name in "abcdabcd":
        assert serial(emu.smbus_of(name)) == SERIALS[name].encode()
        assert [mux.control for mux in emu.muxes.values()] == [0, 0]
    bus.write_byte(0x70, 0x02)
    assert serial(emu.smbus_of("c")) == b"XYZ1"
    assert serial(bus) == b"CCCC"
    assert emu.smbus(9).read_byte(0x70) == 0x80  # channel 7 with nothing on it; the mux is before it
    assert error_of(emu.smbus(9).read_byte, A) == "ENXIO"
    assert error_of(emu.smbus_of("c").read_byte, 0x52) == "ENXIO"
    assert [mux.control for mux in emu.muxes.values()] == [2, 0]
    bus.write_byte(0x70, 0)


def test_two_hosts_on_two_channels_at_once(emu: Emulator) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            host = emu.smbus_of(name)
            for _ in range(100):
                assert serial(host) == SERIALS[name].encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures, failures


# -- adapters that get one message after the other ---------------------------------------------------


def usb(adapter: TinyUsb, flags: int, address: int, data: bytes | int) -> tuple[int, bytes | int]:
    if isinstance(data, int):
        return adapter.vendor(0xC1, Request.MESSAGE + flags, 1, address, data, b"")
    return adapter.vendor(0x41, Request.MESSAGE + flags, 0, address, len(data), data)


def test_a_message_with_stop_switches_and_one_without_does_not(emu: Emulator) -> None:
    adapter = TinyUsb(emu.buses[1], emu.lock)
    usb(adapter, FIRST, 0x70, b"\x01")
    assert emu.muxes["m1"].control == 1
    assert usb(adapter, LAST, A, b"\x00") == (0, 1)
    assert adapter.vendor(0xC1, Request.STATUS, 0, 0, 1, b"")[1] == b"\x02"  # NACK: it was off
    assert usb(adapter, FIRST | LAST, A, b"\x00") == (0, 1)
    assert usb(adapter, FIRST | LAST, A, 1) == (0, b"\x18")
    usb(adapter, FIRST, 0x70, b"\x00")
    adapter.unplug()  # and whoever comes next finds the bus after a STOP
    assert error_of(emu.smbus(1).read_byte, A) == "ENXIO"
    assert adapter.vendor(0, 0, 0, 0, 0, b"") == (STALL, 0)


# -- faults and observers of a module's own line ---------------------------------------------------------


@pytest.mark.parametrize("way", ["switched", "channel"])
def test_faults_and_taps_behind_a_mux(emu: Emulator, bus: VirtualSMBus, way: str) -> None:
    if way == "switched":
        bus.write_byte(0x70, 1)
        host = bus
    else:
        host = emu.smbus_of("a")
    port, seen = emu.ports["a"], list[Transaction]()
    port.target.taps.append(seen.append)
    faults = [
        Corrupt(Match(Direction.READ), Occasions(), replaced(0xEE)),
        Stretch(Match(Direction.READ), Occasions(), NS_PER_S // 10),
    ]
    for fault in faults:
        port.arm_line(fault)
    began = emu.clock.now
    assert host.read_byte_data(A, 0) == 0xEE
    assert emu.clock.now - began == pytest.approx(0.1)
    assert emu.smbus_of("b").read_byte_data(A, 0) == 0x18 if way == "channel" else True
    for fault in faults:
        port.disarm_line(fault)
    assert host.read_byte_data(A, 0) == 0x18
    assert [(each.read, each.data) for each in seen] == [(False, b""), (True, b"\xee"), (False, b""), (True, b"\x18")]
    port.target.taps.clear()
    bus.write_byte(0x70, 0)


def test_an_adapter_that_gives_up_on_one_lets_the_others_go(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 0x03)
    bus.write_i2c_block_data(A, 126, [0, 0x10])
    held = Stretch(Match(Direction.WRITE), Occasions(), 5 * NS_PER_S)
    emu.ports["a"].arm_line(held)
    assert error_of(bus.write_byte_data, A, 145, 1) == "ETIMEDOUT"
    emu.ports["a"].disarm_line(held)
    bus.write_byte_data(A, 145, 0x21)
    assert [emu.ports[name].module.peek(0x10, 145, 1) for name in "ab"] == [b"\x21"] * 2
    bus.write_byte(0x70, 0)


# -- scenarios -------------------------------------------------------------------------------------------

SCENARIOS = (
    *("one-read-in-seven-fails", "clock-held-too-long", "clock-held-during-a-command", "bus-owned-by-another"),
    *("empty-cage-is-polled", "four-ports-configured-at-once", "first-byte-right-then-zeros", "interrupt-glitch"),
    *("low-power-by-another-master", "dirty-mpo"),
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_plays_alike_behind_a_mux(name: str) -> None:
    """The same transactions, at the same times, with the same outcome."""
    scenario = read_scenario(name)
    direct = scenario.testbed
    assert direct is not None
    ports = tuple(replace(port, place=Place(0, Channel("m", n))) for n, port in enumerate(direct.ports))
    mux = MuxPlan("m", "pca9548", Place(0), 0x70, 1)
    digests = []
    for testbed in (direct, replace(direct, ports=ports, board=BoardPlan((mux,)))):
        with Emulator.load(testbed, ManualClock(), seed=scenario.seed) as emu:
            if scenario.begin is Begin.SETTLED:
                emu.settle()
            result = emu.run_scenario(scenario)
            assert result.passed
            digests.append(result.digest)
    assert digests[0] == digests[1]
