"""The C firmware as ARM instructions: what a bus sees of it, and how many cycles that takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rigs.arm_board import ArmBoard, needs_arm
from rigs.board import Bench, BoardBus

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.virtual import I2C_M_RD, Message

pytestmark = needs_arm

A = 0x50
CLOCK_HZ = 125_000_000
BUDGET_US = 9.0
"""A byte and its acknowledge bit at 1 MHz."""
STRETCH_US = 500.0


def write(*values: int) -> Message:
    return Message(A, 0, bytes(values))


def read(length: int) -> Message:
    return Message(A, I2C_M_RD, b"", length)


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with Emulator.load("qsfpdd-400g-dr4", ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


@pytest.fixture(scope="module")
def board() -> ArmBoard:
    return ArmBoard()


@pytest.fixture(scope="module")
def bus(emu: Emulator, board: ArmBoard) -> BoardBus:
    return BoardBus(emu.buses[1], Bench(emu, board))


def test_address_restart_and_128_bytes(emu: Emulator, bus: BoardBus) -> None:
    assert bus.run([write(128), read(128)])[0] == emu.ports["1"].module.peek(0, 128, 128)


def test_page_select_and_write_then_restart(emu: Emulator, bus: BoardBus) -> None:
    module = emu.ports["1"].module
    before = module.peek(0x11, 128, 128)
    assert bus.run([write(126, 0, 0x11), write(128), read(128)])[0] == before
    assert bus.run([write(126, 0, 0x10), write(145, 0x21, 0x22), write(145), read(2), read(1)])[:1] == [b"\x21\x22"]
    assert module.peek(0x10, 145, 2) == b"\x21\x22"
    assert bus.run([write(126, 0, 0xEE), write(126), read(2)]) == [b"\x00\x00"]  # PAGE-04


def test_clear_on_read(emu: Emulator, bus: BoardBus) -> None:
    module = emu.ports["1"].module
    module.flags.latch(module.memory.cell("LOSFlagRx"), 0xFF)
    bus.run([write(126, 0, 0x11), write(146), read(1)])
    assert module.peek(0x11, 147, 1) == b"\xff"
    assert bus.run([write(147), read(1), write(147), read(1)]) == [b"\xff", b"\x00"]
    assert module.peek(0x11, 147, 1) == b"\x00"


def test_cycles_against_the_budget_of_1_mhz(bus: BoardBus, board: ArmBoard, capsys: pytest.CaptureFixture[str]) -> None:
    bus.run([write(126, 0, 0), write(128)])
    rows: list[tuple[str, list[int], float]] = []

    def measure(name: str, limit_us: float, *messages: Message) -> None:
        bus.bench.settle()
        board.interrupt_cycles.clear()
        board.counting = True
        bus.deliver(messages)
        board.counting = False
        rows.append((name, list(board.interrupt_cycles), limit_us))

    measure("read, per byte", BUDGET_US, read(120))
    measure("address byte", BUDGET_US, write(128))
    measure("write of 8, per byte and at its end", STRETCH_US, write(128, *range(8)))
    measure("page select, per byte and at its end", STRETCH_US, write(126, 0, 0x10))
    with capsys.disabled():
        print()
        for name, cycles, limit_us in rows:
            micros = [1e6 * each / CLOCK_HZ for each in cycles]
            mean, worst = sum(micros) / len(micros), max(micros)
            print(
                f"  pico: {name}: mean {sum(cycles) / len(cycles):.0f} cycles ({mean:.1f} us), "
                f"most {max(cycles)} ({worst:.1f} us of {limit_us:g})"
            )
            assert worst < limit_us
    reads = rows[0][1]
    assert len(reads) >= 120
    assert all(each > 50 for each in reads), "these are no cycles of a handler"
