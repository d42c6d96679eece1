"""An FT232H on USB, as host libraries see one: a pyusb device whose engine drives simulated wires.

pyftdi opens it as it is, so all of it runs: I2cController, Ftdi and the MPSSE streams it makes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import usb.core
from rigs.mpsse import CLOCK, RECEIVE, RETURNED, SEND, WAIT_PIN, Mpsse

from cmis_emu.bus.bits.wires import Wires
from cmis_emu.clock import NS_PER_MS

VERSION_FT232H = 0x0900
PACKET = 512
STATUS = bytes([0x02, 0x60])  # modem status; transmitter empty
USB_NS = 125_000  # a microframe
READ, WRITE = 0x81, 0x02
_SET_BITMODE, _SET_LATENCY, _RESET, _MPSSE = 0x0B, 0x09, 0x00, 0x02


class FakeFt232h(usb.core.Device):
    """The chip, wired as an I2C host: SCL at AD0 and AD7, SDA at AD1 and AD2.

    as_slave: SCL at AD5 too, which commands can wait for. usb_ns: how long each transfer over USB takes.
    """

    def __init__(
        self,
        wires: Wires,
        name: str = "host",
        *,
        command_ns: int = 500,
        usb_ns: int = USB_NS,
        as_slave: bool = False,
    ) -> None:
        # The base class asks a backend for descriptors; this chip has none.
        pins = {CLOCK: wires.scl, SEND: wires.sda, RECEIVE: wires.sda, RETURNED: wires.scl}
        if as_slave:
            pins[WAIT_PIN] = wires.scl
        self.engine = Mpsse(wires, pins, name, command_ns=command_ns)
        self._usb_ns = usb_ns
        self._latency_ns = 16 * NS_PER_MS
        self._ctx = SimpleNamespace(
            handle=self, dispose=lambda device: None, managed_release_interface=lambda device, number: None
        )
        self.mode = 0

    bus, address = 1, 1
    bcdDevice = VERSION_FT232H  # noqa: N815 - pyusb's name

    def set_configuration(self, configuration: object = None) -> None:
        """There is one."""

    def get_active_configuration(self) -> Any:
        endpoints = [SimpleNamespace(bEndpointAddress=each, wMaxPacketSize=PACKET) for each in (READ, WRITE)]

        class Interface(list[Any]):
            bInterfaceNumber = 0  # noqa: N815 - pyusb's name

        class Configuration(dict[Any, Any]):
            bNumInterfaces = 1  # noqa: N815 - pyusb's name

        return Configuration({(0, 0): Interface(endpoints)})

    def is_kernel_driver_active(self, interface: int) -> bool:
        return False

    def attach_kernel_driver(self, interface: int) -> None:
        """There is none."""

    def ctrl_transfer(self, kind: int, request: int, value: int = 0, *_: Any) -> int:
        if request == _SET_LATENCY:
            self._latency_ns = (value & 0xFF) * NS_PER_MS
        elif request == _SET_BITMODE:
            self.mode = value >> 8
            if self.mode != _MPSSE:
                self.engine.reset()
        elif request == _RESET and value == 1:  # of what the host has sent
            self.engine.input.clear()
        elif request == _RESET and value == 2:
            self.engine.output.clear()
        return 0

    def write(self, endpoint: int, data: Any, timeout: int | None = None) -> int:
        # pyftdi's names of the two endpoints are the chip's, the other way round
        assert self.mode == _MPSSE
        self.engine.feed(bytes(data))
        self.engine.wires.clock.advance_ns(self._usb_ns)
        return len(data)

    def read(self, endpoint: int, size: int, timeout: int | None = None) -> bytes:
        """A packet as soon as the engine flushes or a packet is full, else after the latency timer."""
        engine, clock = self.engine, self.engine.wires.clock
        end = clock.now_ns + self._latency_ns
        while clock.now_ns < end and not engine.flushed and len(engine.output) < PACKET - len(STATUS):
            clock.advance_ns(max(1, min(clock.next_due_ns, end) - clock.now_ns))
        _ = engine.busy  # raises what went wrong in it
        clock.advance_ns(self._usb_ns)
        return STATUS + engine.take(PACKET - len(STATUS))
