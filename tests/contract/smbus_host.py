"""A host in this process, on the interface of smbus2."""

from __future__ import annotations

from smbus2 import i2c_msg

from cmis_emu.bus.smbus import VirtualSMBus


class SmbusHost:
    """A host in this process."""

    def __init__(self, bus: VirtualSMBus) -> None:
        self.bus = bus

    def close(self) -> None:
        self.bus.close()

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        sent = [i2c_msg.read(a, what) if isinstance(what, int) else i2c_msg.write(a, what) for a, what in messages]
        self.bus.i2c_rdwr(*sent)
        return [bytes(message) for message in sent if message.flags & 1]
