"""What a way needs of cages when it plugs modules itself: one small Protocol, which the emulator meets.

Owns the words between a way and the composition root; `bus` knows neither ports nor modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.clock import Clock


@dataclass(frozen=True, slots=True)
class PathState:
    """One data path: its bank, its DataPathID (index of its first host lane), its AppSel, its state by CMIS name."""

    bank: int
    data_path_id: int
    app_sel: int
    state: str


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """What is in a cage; nothing but `present` False when it is empty."""

    present: bool
    state: str = ""
    vendor: str = ""
    paths: tuple[PathState, ...] = ()


class Slots(Protocol):
    """The cages of an emulator, by name. Callers hold the emulator's lock."""

    clock: Clock

    def names(self) -> Sequence[str]:
        """In the order of the testbed, then in that of their making."""
        ...

    def create(self, name: str, profile: str | None) -> None:
        """A new, empty cage, for modules of that profile; None: of the one that is usual here.

        Raises InputError for an unknown profile or a name that is taken.
        """
        ...

    def plug(self, name: str) -> None:
        """Plug in a module of the cage's profile: the last one that was in it. Nothing when one is there."""
        ...

    def unplug(self, name: str) -> None:
        """Pull out what is in it, if anything."""
        ...

    def set_profile(self, name: str, profile: str | None) -> None:
        """What `plug` plugs in from now on. Raises InputError for an unknown profile."""
        ...

    def info(self, name: str) -> SlotInfo:
        """What is in it."""
        ...

    def bus(self, name: str) -> VirtualBus:
        """The bus on which its module answers."""
        ...

    def write_limit(self, name: str, address: int) -> int:
        """Most data bytes of one write from this register address on, as its module has it now; 1 without one."""
        ...

    def factory(self, name: str, bank: int, page: int, address: int, length: int) -> bytes:
        """Bytes as a module of the cage's profile has them after reset, for a cage that is empty."""
        ...

    def overwrite(self, name: str, bank: int, page: int, address: int, data: bytes) -> None:
        """By the back door: what a host cannot write of these bytes. In an empty cage it waits for the module.

        The lower memory is page -1. Raises InputError for a page that the module does not have.
        """
        ...
