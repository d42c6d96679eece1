"""All adapters of an emulator as USB devices on one hub, and the hosts that have them plugged in.

Owns names and numbers: each bus is one adapter, bus 7 is bus id 1-7. Channels of muxes are none: a host's kernel makes
buses of those by itself. Several hosts may have the same adapter plugged in; then they are several masters on that bus.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping

from cmis_emu.bus.mux import adapters
from cmis_emu.bus.usbip.descriptors import CONFIGURATION, PRODUCT, RELEASE, VENDOR, VENDOR_CLASS, Introduction
from cmis_emu.bus.usbip.session import Session
from cmis_emu.bus.usbip.tiny_usb import TinyUsb
from cmis_emu.bus.usbip.watch import Watch
from cmis_emu.bus.usbip.wire import BUS_ID_SIZE, DEVICE, SPEED_HIGH
from cmis_emu.bus.virtual import VirtualBus


class Hub:
    """The adapters of `buses`. `close` when no connection is left."""

    def __init__(self, buses: Mapping[int, VirtualBus], lock: threading.RLock, number: int | None = None) -> None:
        """`number`: of the USB bus; without it one by which these adapters are known among those of others."""
        self._buses = adapters(buses)
        self._lock = lock
        self._number = 0x8000 | int.from_bytes(os.urandom(2), "big") if number is None else number
        self._watch = Watch()

    def close(self) -> None:
        """Look after nobody any more."""
        self._watch.close()

    def bus_ids(self) -> dict[str, int]:
        """Bus number by bus id."""
        return {f"1-{number}": number for number in sorted(self._buses)}

    def cable(self, number: int) -> tuple[int, int]:
        """Device id and speed, as vhci_hcd wants them, of the adapter of a bus."""
        return self._number << 16 | self._device_number(number), SPEED_HIGH

    def record(self, number: int) -> bytes:
        """The adapter of a bus as USB/IP lists it."""
        bus_id = f"1-{number}"
        path = f"/sys/devices/cmis-emu/usb1/{bus_id}"
        return DEVICE.pack(
            path.encode(),
            bus_id.encode()[:BUS_ID_SIZE],
            self._number,
            self._device_number(number),
            SPEED_HIGH,
            VENDOR,
            PRODUCT,
            RELEASE,
            *(VENDOR_CLASS, 0, 0),
            *(CONFIGURATION, 1, 1),
        )

    def plug(self, number: int, client: socket.socket, pending: bytes = b"") -> None:
        """Be the adapter of a bus on this connection, of which `pending` was read already, until it ends."""
        adapter = TinyUsb(self._buses[number], self._lock)
        introduction = Introduction(f"I2C bus {number}", f"bus-{number}")
        Session(client, adapter, introduction, self._watch, pending).run()

    def _device_number(self, number: int) -> int:
        return 1 + sorted(self._buses).index(number)
