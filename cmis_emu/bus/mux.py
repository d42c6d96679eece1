"""I2C multiplexers and switches (PCA9546, PCA9547, PCA9548), and the buses behind them.

Owns the control register and when it takes effect: what is written counts from the next STOP on, so that a channel
never comes or goes in mid-transfer (NXP PCA9548A and PCA9546A data sheets, section 6.2.1). A reset counts at once.
`Wiring` is all of one adapter's switches; it is told of each STOP by the adapter's claims, and so such an adapter
always has claims. `ChannelBus` is what a kernel makes of a channel: a bus of its own, whose transfers put the
switches on the way right, run, and leave the switches as they were.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmis_emu.bus.chip import Chip
from cmis_emu.bus.claims import Claims
from cmis_emu.bus.segment import Segment
from cmis_emu.bus.virtual import Message, VirtualBus


@dataclass(frozen=True, slots=True)
class MuxKind:
    """channels. enable: the bit that turns the one selected channel on; 0 where each channel has its own bit.

    reset: the control register after power-up and reset. addresses: that its pins can select.
    """

    channels: int
    enable: int
    reset: int
    addresses: range = range(0x70, 0x78)

    @property
    def mask(self) -> int:
        """The bits of the control register that there are."""
        return self.enable | (self.channels - 1) if self.enable else (1 << self.channels) - 1

    def selecting(self, channel: int) -> int:
        """The control register that turns on this channel alone."""
        return self.enable | channel if self.enable else 1 << channel

    def on(self, control: int) -> list[int]:
        """The channels that are on."""
        if not self.enable:
            return [channel for channel in range(self.channels) if control >> channel & 1]
        return [control & (self.channels - 1)] if control & self.enable else []


MUXES = {
    "pca9546": MuxKind(4, 0, 0),
    "pca9547": MuxKind(8, 0x08, 0x08),  # channel 0 is on from power-up (PCA9547 data sheet, section 6.2)
    "pca9548": MuxKind(8, 0, 0),
}


class Mux(Chip):
    """One switch. `channels` are the segments behind it.

    control: its register, as a host reads it. reset: its RESET pin is low: all is off, and it answers nobody.
    """

    def __init__(self, kind: MuxKind, wiring: Wiring) -> None:
        super().__init__()
        self.kind = kind
        self.control = kind.reset
        self.channels = tuple(Segment() for _ in range(kind.channels))
        self.reset = False
        self._wiring = wiring
        self._applied = kind.reset

    def connected(self) -> list[Segment]:
        """The segments behind channels that are on."""
        return [self.channels[channel] for channel in self.kind.on(self._applied)]

    def set_reset(self, *, low: bool) -> None:
        """The level of the RESET pin."""
        if low is self.reset:
            return
        self.reset = low
        self.end()
        self.put(self.kind.reset)

    def settle(self) -> bool:
        """STOP: the control register takes effect. Tells whether that changes anything."""
        changed = self._applied != self.control
        self._applied = self.control
        return changed

    def put(self, control: int) -> None:
        """Set the register from outside, at once."""
        self.control = control
        if self.settle():
            self._wiring.root.resolve()

    def state(self) -> tuple[int, int, bool]:
        """What a snapshot keeps."""
        return self.control, self._applied, self.reset

    def restore(self, state: tuple[int, int, bool]) -> None:
        """Go back to a kept state."""
        self.end()
        self.control, self._applied, self.reset = state
        self._wiring.root.resolve()

    # -- byte events -----------------------------------------------------------------------------------

    def answers(self) -> bool:
        return not self.reset

    def take(self, value: int) -> None:
        self.control = value & self.kind.mask  # of several bytes the last one counts
        self._wiring.moving.append(self)

    def show(self) -> int:
        return self.control


@dataclass(frozen=True, slots=True)
class Hop:
    """A channel of a switch that answers at `address` where it sits."""

    mux: Mux
    address: int
    channel: int


Path = tuple[Hop, ...]
"""From the adapter to a channel."""


class Wiring:
    """All segments and switches of one adapter."""

    def __init__(self, lock: threading.RLock) -> None:
        self.root = Segment()
        self.claims = Claims(lock, self.stop)
        self.moving: list[Mux] = []
        """Switches that were written since the last STOP."""
        self._reached: Path | None = None
        self._before: list[tuple[Mux, int]] = []

    def adapter(self, number: int) -> VirtualBus:
        """The bus of the adapter itself, as number `number`."""
        return VirtualBus(number, self.root.heard, self.claims, self.root.own)

    def channel(self, number: int, path: Path) -> ChannelBus:
        """The bus that a host's kernel has for the channel at the end of `path`."""
        own = path[-1].mux.channels[path[-1].channel].own
        return ChannelBus(number, self.root.heard, self.claims, own, wiring=self, path=path)

    def stop(self) -> None:
        """STOP: switches move. If the transfer was one of a channel, those on the way go back to what they were."""
        self._settle()
        if self._reached is not None:
            self._reached = None
            for mux, control in reversed(self._before):
                if not mux.reset:
                    mux.put(control)
            self._before = []

    def reach(self, bus: VirtualBus, path: Path) -> None:
        """The transfer under way is one on the channel at the end of `path`. Raises BusError."""
        if self._reached == path:
            return
        self._reached = path
        for hop in path:
            self._before.append((hop.mux, hop.mux.control))
            VirtualBus.run(bus, (Message(hop.address, 0, bytes((hop.mux.kind.selecting(hop.channel),))),))
            self._settle()

    def _settle(self) -> None:
        moved = [mux.settle() for mux in self.moving]
        self.moving.clear()
        if any(moved):
            self.root.resolve()


@dataclass(slots=True, kw_only=True)
class ChannelBus(VirtualBus):
    """The bus that a host's kernel has for a channel. What answers on the wires before it answers on it, too."""

    wiring: Wiring
    path: Path

    def run(self, messages: Sequence[Message]) -> list[bytes]:
        """The messages, on the channel."""
        self.wiring.reach(self, self.path)
        return VirtualBus.run(self, messages)


def adapters(buses: Mapping[int, VirtualBus]) -> dict[int, VirtualBus]:
    """Those that are adapters; the buses of channels a host's kernel makes itself."""
    return {number: bus for number, bus in buses.items() if not isinstance(bus, ChannelBus)}
