"""The I2C block of an RP2040 as a slave, by its registers: what firmware meets there, for tests.

Owns this model of the DesignWare block, written from the RP2040 datasheet's register descriptions as the SDK's headers
repeat them; it is ours, and no independent judge. It meets the byte-event contract, so that anything that drives a
target drives firmware through it. SCL is held from RD_REQ until a byte is given and while the receive FIFO is full:
then the interrupt is served, however late it is otherwise (`late`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

FIFO = 16
RX_OVER, RX_FULL, RD_REQ, TX_ABRT, RX_DONE, STOP_DET, START_DET = (
    1 << 1,
    1 << 2,
    1 << 5,
    1 << 6,
    1 << 7,
    1 << 9,
    1 << 10,
)
FIRST_DATA_BYTE = 1 << 11
RFNE, TFNF, TFE, SLV_ACTIVITY = 1 << 3, 1 << 1, 1 << 2, 1 << 6
_CLEARS = {0x48: RX_OVER, 0x50: RD_REQ, 0x54: TX_ABRT, 0x58: RX_DONE, 0x60: STOP_DET, 0x64: START_DET}
_ROUNDS = 8  # of one interrupt: more without progress is a handler that clears nothing


class DesignWare:
    """One block. `handler` is the interrupt; it is called while something unmasked is raised."""

    def __init__(self, handler: Callable[[], None]) -> None:
        self.handler = handler
        self.late = False
        self.enabled = False
        self.address: int | None = None
        self.mask = 0
        self.interrupts = 0
        self._raised = 0
        self._active = False
        self._rx: deque[int] = deque()
        self._tx: deque[int] = deque()
        self._out: int | None = None  # in the shift register
        self._reading = False
        self._first = False
        self._ours = False
        self._unsettled = False  # a byte left; whether it was acknowledged shows by what follows
        self._control = 0

    # -- registers -----------------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        if offset == 0x00:
            return self._control
        if offset == 0x10:
            value = self._rx.popleft() if self._rx else 0
            self._level()
            return value
        if offset in (0x2C, 0x34):
            return self._raised & (self.mask if offset == 0x2C else -1)
        if offset == 0x30:
            return self.mask
        if offset in _CLEARS:
            self._raised &= ~_CLEARS[offset]
            return 1
        if offset == 0x6C:
            return int(self.enabled)
        if offset == 0x70:
            return (RFNE if self._rx else 0) | TFNF | (0 if self._tx else TFE) | (SLV_ACTIVITY if self._active else 0)
        if offset == 0x78:
            return len(self._rx)
        raise AssertionError(f"read of register {offset:#x}, of which this model knows nothing")

    def write(self, offset: int, value: int) -> None:
        if offset == 0x00:
            assert not self.enabled, "IC_CON is written while enabled"
            self._control = value
        elif offset == 0x08:
            assert not self.enabled, "IC_SAR is written while enabled"
            self.address = value & 0x7F
        elif offset == 0x10:
            assert self.enabled
            assert self._raised & TX_ABRT == 0, "data is given while the FIFO is held in flush"
            self._tx.append(value & 0xFF)
        elif offset == 0x30:
            self.mask = value
        elif offset == 0x6C:
            self._enable(bool(value & 1))
        elif offset in (0x38, 0x3C):
            assert value == 0, "thresholds other than 0 are not modelled"
        else:
            raise AssertionError(f"write of register {offset:#x}, of which this model knows nothing")

    def _enable(self, on: bool) -> None:
        if self.enabled and not on:
            self._rx.clear()
            self._tx.clear()
            self._raised &= ~(RX_FULL | RD_REQ)
            self._ours = self._reading = self._unsettled = False
            self._out = None
            self._active = False
        self.enabled = on

    def _level(self) -> None:
        self._raised = self._raised | RX_FULL if self._rx else self._raised & ~RX_FULL

    def raise_(self, bits: int) -> None:
        self._raised |= bits
        if not self.late:
            self.serve()

    def serve(self) -> None:
        """The processor gets round to it."""
        for _ in range(_ROUNDS):
            if not self._raised & self.mask:
                return
            self.interrupts += 1
            self.handler()
        raise AssertionError(f"the handler leaves {self._raised & self.mask:#x} raised")

    # -- the bus: the byte-event contract ------------------------------------------------------------

    def start(self, *, read: bool) -> bool:
        if not self.enabled:
            return False
        self._settle()
        self._active = True
        self._ours = True
        self._reading = read
        self._first = not read
        self._out = None
        self.raise_(START_DET)
        return True

    def write_byte(self, value: int) -> bool:
        if not self._ours or self._reading:
            return False
        if len(self._rx) >= FIFO:  # IC_CON: RX_FIFO_FULL_HLD_CTRL
            assert self._control >> 9 & 1
            self.serve()
            if not self._ours:
                return False
            assert len(self._rx) < FIFO
        self._rx.append(value | (FIRST_DATA_BYTE if self._first else 0))
        self._first = False
        self._level()
        self.raise_(0)
        return self._ours

    def peek(self) -> int:
        if not self._ours or not self._reading:
            return 0xFF
        if self._out is None:
            self._unsettled = False  # it was acknowledged: the controller wants more
            if self._tx:  # what nobody asked for
                self._tx.clear()
                self._raised |= TX_ABRT
            self._raised |= RD_REQ
            self.serve()
            if not self.enabled:
                return 0xFF
            assert len(self._tx) == 1, "one byte for each request"
            self._out = self._tx.popleft()
        return self._out

    def commit(self) -> None:
        if self._out is not None:
            self._out = None
            self._unsettled = True

    def end(self) -> None:
        if not self._ours:
            return
        self._settle()
        self._ours = self._reading = False
        self._out = None
        self._active = False
        self.raise_(STOP_DET)

    def abort(self) -> None:
        """The bus broke off, without a STOP that anybody saw."""
        self._ours = self._reading = self._unsettled = False
        self._out = None
        self._active = False

    def elsewhere(self) -> None:
        """A transfer with another device, from START to STOP."""
        if self.enabled:
            self._active = True
            self.raise_(START_DET)
            self._active = False
            self.raise_(STOP_DET)

    def _settle(self) -> None:
        if self._unsettled:  # the last byte of the read was not acknowledged
            self._unsettled = False
            self.raise_(RX_DONE)
