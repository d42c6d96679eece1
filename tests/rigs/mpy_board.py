"""The MicroPython firmware under CPython, with a `machine` module made for it.

`I2CTarget` here does what MicroPython's RP2 port and the SDK's handler below it do: FINISH before the receive FIFO is
drained, events to a handler that runs as an interrupt, registers by `mem32`.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rigs.designware import RD_REQ, RX_FULL, START_DET, STOP_DET, TX_ABRT, DesignWare

MAIN = Path(__file__).resolve().parents[2] / "hardware" / "pico" / "micropython" / "main.py"
I2C0 = 0x4004_4000


class Memory:
    """`machine.mem32`, for the registers of the I2C block alone."""

    def __init__(self, block: DesignWare) -> None:
        self.block = block

    def __getitem__(self, address: int) -> int:
        return self.block.read(address - I2C0)

    def __setitem__(self, address: int, value: int) -> None:
        self.block.write(address - I2C0, value)


class Irq:
    def __init__(self) -> None:
        self.now = 0

    def flags(self) -> int:
        return self.now


def target_class(block: DesignWare) -> type[Any]:
    """An `I2CTarget` whose events come from that block."""

    class I2CTarget:
        IRQ_ADDR_MATCH_READ, IRQ_ADDR_MATCH_WRITE, IRQ_READ_REQ, IRQ_WRITE_REQ = 1, 2, 4, 8
        IRQ_END_READ, IRQ_END_WRITE = 16, 32

        def __init__(self, number: int, address: int, *, scl: object = None, sda: object = None) -> None:
            assert number == 0
            self._handler: Callable[[object], None] | None = None
            self._trigger = 0
            self._irq = Irq()
            self._busy = 0  # the END event that a FINISH becomes
            block.handler = self._sdk
            block.write(0x6C, 0)
            block.write(0x00, 1 << 9)
            block.write(0x08, address)
            block.write(0x30, RX_FULL | RD_REQ | TX_ABRT | STOP_DET | START_DET)
            block.write(0x6C, 1)

        def irq(self, handler: Callable[[object], None], trigger: int, hard: bool = False) -> Irq:
            assert hard
            self._handler, self._trigger = handler, trigger
            return self._irq

        def _event(self, what: int) -> None:
            if self._handler is not None and what & self._trigger:
                self._irq.now = what
                self._handler(self)

        def _sdk(self) -> None:
            raised = block.read(0x2C)
            finish = False
            for bit, register in ((TX_ABRT, 0x54), (START_DET, 0x64), (STOP_DET, 0x60)):
                if raised & bit:
                    block.read(register)
                    finish = True
            if finish and self._busy:
                what, self._busy = self._busy, 0
                self._event(what)
            if raised & RX_FULL:
                self._busy = self.IRQ_END_WRITE
                self._event(self.IRQ_WRITE_REQ)
            if raised & RD_REQ:
                block.read(0x50)
                self._busy = self.IRQ_END_READ
                self._event(self.IRQ_READ_REQ)

    return I2CTarget


class MicroPythonBoard:
    """The file on a board, without its `main`."""

    def __init__(self, nonce: int = 77) -> None:
        self.bus = DesignWare(lambda: None)
        machine = types.ModuleType("machine")
        machine.mem32 = Memory(self.bus)  # type: ignore[attr-defined]
        machine.I2CTarget = target_class(self.bus)  # type: ignore[attr-defined]
        machine.disable_irq = lambda: 0  # type: ignore[attr-defined]
        machine.enable_irq = lambda _: None  # type: ignore[attr-defined]
        before = sys.modules.get("machine")
        sys.modules["machine"] = machine
        try:
            spec = importlib.util.spec_from_file_location("pico_main", MAIN)
            assert spec is not None
            assert spec.loader is not None
            self.code: Any = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.code)
        finally:
            del sys.modules["machine"]
            if before is not None:
                sys.modules["machine"] = before
        self.rig = self.code.Rig(nonce)
        self.slave = self.code.Slave(self.rig, None, None)

    def receive(self, data: bytes) -> int:
        return int(self.rig.receive(data))

    def transmit(self) -> bytes:
        return bytes(self.rig.transmit())

    def tick(self, ms: int) -> None:
        self.rig.tick(ms & 0x3FFFFFFF)  # as ticks_ms counts
        self.slave.poll()

    def sides(self, levels: int) -> None:
        self.rig.set_sides(levels)

    def answers(self) -> bool:
        return bool(self.rig.answers())

    def lamps(self) -> int:
        return int(self.rig.shown_lamps())
