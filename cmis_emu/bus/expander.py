"""GPIO expanders (PCA9534, PCA9535, PCA9539, PCA9554, PCA9555): registers, lines and the interrupt output.

Owns the chip's behaviour as NXP's and TI's data sheets of the PCA9535 have it: after power-up all lines are inputs;
a data byte counts at its acknowledge; registers of 16-bit chips come in pairs, and each data byte, read or written,
moves on to the other one of the pair; the place outlives the message. Input registers show the level of each pin,
outputs too. INT goes low while an input differs from what its input register showed when it was last read; reading
one register of the pair says nothing about the other one.

Left open there, so a choice: only as many bits of the command count as there are registers; a pin that nothing
drives reads high. What a line is connected to is the board's business (`Wire`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from cmis_emu.bus.chip import Chip


@dataclass(frozen=True, slots=True)
class ExpanderKind:
    """lines: 8 or 16. addresses: that its pins can select."""

    lines: int
    addresses: range


EXPANDERS = {
    "pca9534": ExpanderKind(8, range(0x20, 0x28)),
    "pca9535": ExpanderKind(16, range(0x20, 0x28)),
    "pca9539": ExpanderKind(16, range(0x74, 0x78)),
    "pca9554": ExpanderKind(8, range(0x20, 0x28)),
    "pca9555": ExpanderKind(16, range(0x20, 0x28)),
}


class Register(IntEnum):
    """What a command selects; of a chip with 16 lines each is two registers."""

    INPUT = 0
    OUTPUT = 1
    POLARITY = 2
    CONFIGURATION = 3


class Wire(Protocol):
    """What a line is connected to. A high level is True; `driven` is what the chip drives, None for nothing."""

    def level(self, driven: bool | None) -> bool:
        """The level of the wire now."""
        ...

    def drive(self, driven: bool | None) -> None:
        """The chip drives that from now on."""
        ...


class OpenEnd:
    """A line that leads nowhere."""

    def level(self, driven: bool | None) -> bool:
        return driven is not False

    def drive(self, driven: bool | None) -> None:
        """Nobody is there."""


State = tuple[int, int, int, int, int]


class Expander(Chip):
    """One chip. `connect` its lines; call `refresh` whenever the level of one has changed.

    interrupt_listeners: told whether INT is low, when that changes.
    """

    def __init__(self, kind: ExpanderKind) -> None:
        super().__init__()
        self.kind = kind
        self.interrupt_listeners: list[Callable[[bool], None]] = []
        self._wires: list[Wire] = [OpenEnd() for _ in range(kind.lines)]
        self._banks = kind.lines // 8
        self._all = (1 << kind.lines) - 1
        self._command = 0
        self._commanded = True
        self._output = self._all
        self._polarity = 0
        self._inputs = self._all  # the configuration registers: 1 is an input
        self._seen = self._all  # levels when the input registers were last read
        self._low = False  # INT

    def connect(self, line: int, wire: Wire) -> None:
        """Line `line` (0 is I0.0, 8 is I1.0) leads there; the chip has just got power."""
        self._wires[line] = wire
        self._seen = self._levels()

    @property
    def INT(self) -> bool:  # noqa: N802 - the pin's name
        """Level of the interrupt output: low while an input differs from what was last read."""
        self.refresh()
        return not self._low

    def refresh(self) -> None:
        """A level may have changed."""
        low = bool((self._levels() ^ self._seen) & self._inputs)
        if low is not self._low:
            self._low = low
            for listener in tuple(self.interrupt_listeners):
                listener(low)

    def level(self, line: int) -> bool:
        """Level of the pin of a line."""
        return self._wires[line].level(self.driven(line))

    def driven(self, line: int) -> bool | None:
        """Level that the chip gives a line; None for an input."""
        return None if self._inputs >> line & 1 else bool(self._output >> line & 1)

    def state(self) -> State:
        """What a snapshot keeps."""
        return self._command, self._output, self._polarity, self._inputs, self._seen

    def restore(self, state: State) -> None:
        """Go back to a kept state; the wires are where they were then, too."""
        self.end()
        self._command, self._output, self._polarity, self._inputs, self._seen = state

    # -- byte events -----------------------------------------------------------------------------------

    def addressed(self) -> None:
        self._commanded = False

    def take(self, value: int) -> None:
        if not self._commanded:
            self._commanded = True
            self._command = value & (4 * self._banks - 1)
            return
        register, bank = divmod(self._command, self._banks)
        keep = self._all ^ (0xFF << 8 * bank)
        put = value << 8 * bank
        self._other_of_the_pair()
        if register == Register.OUTPUT:
            self._set(self._output & keep | put, self._inputs)
        elif register == Register.POLARITY:
            self._polarity = self._polarity & keep | put
        elif register == Register.CONFIGURATION:
            self._set(self._output, self._inputs & keep | put)

    def show(self) -> int:
        register, bank = divmod(self._command, self._banks)
        if register == Register.INPUT:
            value = self._levels() ^ self._polarity
        else:
            value = (self._output, self._polarity, self._inputs)[register - 1]
        return value >> 8 * bank & 0xFF

    def clocked_out(self, value: int) -> None:
        register, bank = divmod(self._command, self._banks)
        self._other_of_the_pair()
        if register == Register.INPUT:
            mask = 0xFF << 8 * bank
            self._seen = self._seen & ~mask | (value << 8 * bank ^ self._polarity) & mask
            self.refresh()

    def _other_of_the_pair(self) -> None:
        if self._banks == 2:
            self._command ^= 1

    # -- lines -----------------------------------------------------------------------------------------

    def _levels(self) -> int:
        found = 0
        for line, wire in enumerate(self._wires):
            found |= wire.level(self.driven(line)) << line
        return found

    def _set(self, output: int, inputs: int) -> None:
        before = [self.driven(line) for line in range(self.kind.lines)]
        self._output, self._inputs = output, inputs
        for line, wire in enumerate(self._wires):
            driven = self.driven(line)
            if driven is not before[line]:
                wire.drive(driven)
        self.refresh()
