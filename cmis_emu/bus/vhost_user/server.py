"""Exports buses to QEMU: one socket for each, on which a guest's QEMU asks for the bus as its I2C adapter.

Owns the sockets' places and what the user has to tell QEMU. One socket is one adapter, as QEMU wants it; several
guests may ask at the same one, and are several masters on that bus then.
"""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from cmis_emu.bus.listener import Listener
from cmis_emu.bus.mux import adapters
from cmis_emu.bus.options import BUS_MAX, decimal
from cmis_emu.bus.socket_file import SocketFile
from cmis_emu.bus.vhost_user.session import Session
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.bus.ways import Served
from cmis_emu.errors import InputError

_MEMORY = "-m 512M -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem"
_FORM = "vhost-user:PATH or vhost-user:PATH@BUS"


class VhostUserServer:
    """Listens on `places` (bus number to path) until `close`."""

    def __init__(self, places: Mapping[int, Path], served: Served) -> None:
        self.places = dict(places)
        self._lock = served.lock
        with ExitStack() as undo:
            for number, path in self.places.items():
                file = SocketFile(path, "choose another path")
                undo.callback(file.remove)
                converse = partial(self._converse, served.buses[number])
                listener = Listener(file.listener, converse, f"vhost-user {number}")
                undo.callback(listener.close)
            self._open = undo.pop_all()

    def close(self) -> None:
        """Stop listening, take every adapter from its guest, remove the sockets."""
        self._open.close()

    def describe(self) -> list[str]:
        """How to get in: what QEMU needs to be told."""
        lines = []
        for number, path in self.places.items():
            place = str(path.absolute()).replace(",", ",,")  # QEMU's way to write one comma
            chardev = shlex.quote(f"socket,id=i2c{number},path={place}")
            device = f"vhost-user-i2c-pci,chardev=i2c{number}"
            lines.append(f"bus {number} by vhost-user: qemu-system-x86_64 ... -chardev {chardev} -device {device}")
        return [*lines, f"and once, with one size: {_MEMORY}", "in the guest: modprobe -a i2c-virtio i2c-dev"]

    def _converse(self, bus: VirtualBus, client: socket.socket) -> None:
        Session(client, bus, self._lock).run()


def serve(address: str, served: Served) -> VhostUserServer:
    """The way `vhost-user:PATH[@BUS]`: that bus at PATH. Without BUS all: one at PATH, several at PATH-BUS each."""
    asked = re.fullmatch(r"(.*)@([0-9]+)", address)
    path = address if asked is None else asked[1]
    number = None if asked is None else decimal(asked[2], BUS_MAX)
    numbers = sorted(adapters(served.buses))
    if not path.removesuffix("/") or not numbers:
        raise InputError("no path", f"{_FORM}, such as vhost-user:lab.sock", field="--serve")
    if asked is not None and number not in numbers:
        raise InputError(f"bus {asked[2]}", f"one of {', '.join(map(str, numbers))} ({_FORM})", field="--serve")
    if number is None and len(numbers) > 1:
        return VhostUserServer({each: Path(f"{path}-{each}") for each in numbers}, served)
    return VhostUserServer({numbers[0] if number is None else number: Path(path)}, served)
