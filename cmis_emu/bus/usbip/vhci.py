"""This machine's kernel as the host: plugs a connection into `vhci_hcd`, which makes an adapter of it.

Owns vhci_hcd's files in sysfs: which ports are free, plugging in, pulling out, and which `/dev/i2c-N` came of it.
Needs root and the kernel modules vhci-hcd and i2c-tiny-usb, and no tool.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cmis_emu.errors import NotAvailableError

SYSFS = Path("/sys")
_CONTROLLER = "devices/platform/vhci_hcd.0"  # it takes the ports of all controllers
_FREE = 4  # VDEV_ST_NULL
_HUBS = {3: "hs"}  # by speed
_LOOK_S = 0.05
_ADVICE = "as root: modprobe -a vhci-hcd i2c-tiny-usb i2c-dev"


@dataclass(frozen=True, slots=True)
class Port:
    """A line of vhci_hcd's status."""

    hub: str
    number: int
    state: int
    device: int
    bus_id: str


class Vhci:
    """The virtual USB host controller. Raises NotAvailableError when the kernel has none."""

    def __init__(self, sysfs: Path = SYSFS) -> None:
        self._sysfs = sysfs
        self._folder = sysfs / _CONTROLLER
        if not self._folder.is_dir():
            raise NotAvailableError(f"found no {self._folder}, expected the kernel module vhci-hcd; {_ADVICE}")

    def ports(self) -> list[Port]:
        """All ports of all controllers."""
        found = []
        for path in sorted(self._folder.glob("status*")):
            for line in path.read_text().splitlines():
                columns = line.split()
                if len(columns) == 7 and columns[1].isdecimal():
                    hub, number, state, _, device, _, bus_id = columns
                    found.append(Port(hub, int(number), int(state), int(device, 16), bus_id))
        return found

    def attach(self, connection: socket.socket, device: int, speed: int) -> int:
        """Plug `connection` in as `device`; the kernel keeps it. Returns the port."""
        hub = _HUBS[speed]
        for port in self.ports():
            if port.hub == hub and port.state == _FREE:
                try:
                    self._write("attach", f"{port.number} {connection.fileno()} {device} {speed}")
                except OSError as error:
                    if error.errno == errno.EBUSY:
                        continue  # another was quicker
                    raise self._refused(error) from None
                return port.number
        raise NotAvailableError(f"{self._folder}: found no free port, expected one; detach something")

    def detach(self, port: int) -> None:
        """Pull out what is in `port`."""
        try:
            self._write("detach", str(port))
        except OSError as error:
            raise self._refused(error) from None

    def adapter(self, port: int, limit_s: float) -> str | None:
        """The device file of the adapter that came of `port`; None when none comes within `limit_s`."""
        deadline = time.monotonic() + limit_s
        pause = threading.Event()
        while True:
            bus_id = next((each.bus_id for each in self.ports() if each.number == port), "")
            found = sorted(self._sysfs.glob(f"bus/usb/devices/{bus_id}/{bus_id}:*/i2c-*")) if bus_id else []
            if found:
                return f"/dev/{found[0].name}"
            if time.monotonic() > deadline:
                return None
            pause.wait(_LOOK_S)

    def _write(self, name: str, text: str) -> None:
        with (self._folder / name).open("w") as file:
            file.write(text)

    def _refused(self, error: OSError) -> NotAvailableError:
        hint = "; it needs root" if error.errno in (errno.EACCES, errno.EPERM) else ""
        return NotAvailableError(f"{error.filename or self._folder}: {error.strerror}{hint}")
