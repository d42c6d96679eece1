"""The ways onto the buses of a running emulator: `--serve KIND:ADDRESS`, by kind, each in a module of its own.

A way is loaded when it is asked for, so that what it needs is needed by nobody else. Its module has a function
`serve(address, served)` that returns a `Way`; it raises InputError for an address that it cannot read and
NotAvailableError for one that it cannot have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from cmis_emu.bus.cages import Cage
from cmis_emu.bus.slots import Slots
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.errors import InputError

WAYS = {
    "unix": "cmis_emu.bus.server",
    "usbip": "cmis_emu.bus.usbip.server",
    "vhost-user": "cmis_emu.bus.vhost_user.server",
    "grpc": "cmis_emu.bus.sfp_service.server",
    "pico": "cmis_emu.bus.pico.way",
    "ft232h": "cmis_emu.bus.ftdi.slave",
    "rpi-bsc": "cmis_emu.bus.rpi_bsc.way",
    "pigpio": "cmis_emu.bus.rpi_bsc.pigpio",
}
"""Kind to module."""

ControlHandler = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Served:
    """What a way gives access to: buses by number, the lock to hold, who answers control requests, and the cages.

    slots: the cages by name, for ways that plug modules themselves. names: of adapters, by number, where they have
    one. interfaces: the buses of modules that ethtool reaches, by the name of a network interface. cages: by the
    number of the bus, for ways that keep a copy of the module in it.
    """

    buses: Mapping[int, VirtualBus]
    lock: threading.RLock
    control: ControlHandler | None = None
    slots: Slots | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    interfaces: Mapping[str, VirtualBus] = field(default_factory=dict)
    cages: Mapping[int, Cage] = field(default_factory=dict)


class Way(Protocol):
    """One way that is open."""

    def close(self) -> None:
        """Let nobody in any more, and drop who is in."""
        ...

    def describe(self) -> list[str]:
        """Lines for the user: how to get in, and what to mind."""
        ...


def open_way(text: str, served: Served) -> Way:
    """Open `KIND:ADDRESS`. Raises InputError, NotAvailableError."""
    kind, colon, address = text.partition(":")
    if kind not in WAYS or not colon:
        raise InputError(repr(text), f"KIND:ADDRESS, KIND one of {', '.join(WAYS)}", field="--serve")
    way: Way = import_module(WAYS[kind]).serve(address, served)
    return way
