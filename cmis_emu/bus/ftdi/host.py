"""An FT232H as an I2C host, through pyftdi: the `i2c_rdwr` of smbus2, and side-band pins.

Owns what pyftdi leaves to its user: waiting for a held clock in long reads as well, no silent retries, and the errno
values of a kernel adapter: ENXIO for an address that is not acknowledged, EIO for a byte that is not, ETIMEDOUT when
the chip does not answer. START and STOP are pyftdi's, which do not wait: a slave that holds the clock behind the last
acknowledge of a message is not for this host.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from cmis_emu.bus.ftdi.chip import SCHEME, library, opened
from cmis_emu.bus.ftdi.commands import Command, drive
from cmis_emu.bus.virtual import I2C_M_RD
from cmis_emu.errors import NotAvailableError

HZ = 100_000
HZ_LEAST, HZ_MOST = 10_000, 1_000_000

PINS = {"ResetL": 0x0100, "LPMode": 0x0200, "ModSelL": 0x0400, "IntL": 0x0800, "ModPrsL": 0x1000}
"""QSFP-DD names by mask: AC0 to AC4. The first three are outputs."""

_OUTPUTS = PINS["ResetL"] | PINS["LPMode"] | PINS["ModSelL"]
_AT_FIRST = PINS["ResetL"]  # out of reset, selected, LPMode low, from the moment that they become outputs

_PIECE = 64  # bytes of a read whose commands, and answers, fit in the chip's buffers
_PATIENCE = 4  # runs of the latency timer (16 ms) without a byte
_ADAPTIVE = bytes([Command.ADAPTIVE_ON])
_BYTE = bytes([Command.READ_BYTES, 0, 0])
_ACK = bytes([Command.WRITE_BITS, 0, 0x00])
_NACK = bytes([Command.WRITE_BITS, 0, 0xFF])
_LOW = drive(hold=True, low=False)
_SEND = bytes([Command.ADAPTIVE_OFF, Command.FLUSH])


class FtdiBus:
    """The bus of a chip, with SCL on AD0 and AD7, SDA on AD1 and AD2. device: a URL, or a pyusb device.

    pins: AC0 to AC4 are connected as in `PINS`. Raises NotAvailableError.
    """

    def __init__(self, device: Any, hz: int = HZ, *, pins: bool = False) -> None:
        module = library("i2c")
        self._nack: type[Exception] = module.I2cNackError
        self._controller: Any = module.I2cController()
        self._controller.set_retry_count(1)
        options: dict[str, Any] = {"frequency": hz, "clockstretching": True}
        if pins:
            options |= {"direction": _OUTPUTS, "initial": _AT_FIRST}
        opened(device if isinstance(device, str) else SCHEME, lambda: self._controller.configure(device, **options))
        self.pins = FtdiPins(self._controller) if pins else None

    @property
    def hz(self) -> float:
        """The clock rate that the chip could make of what was asked for."""
        return float(self._controller.frequency)

    def close(self) -> None:
        """Let go of the bus and of the chip."""
        self._controller.close()

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """One combined transfer of `smbus2.i2c_msg`s; read messages are filled. Raises OSError."""
        for number, message in enumerate(i2c_msgs, 1):
            last = number == len(i2c_msgs)
            try:
                if message.flags & I2C_M_RD:
                    found = self._read(message.addr, message.len, last)
                    for index, value in enumerate(found):
                        message.buf[index] = value
                else:
                    self._write(message.addr, bytes(message), last)
            except OSError as error:
                if error.errno is not None:
                    raise
                # pyftdi's own errors have no number: the chip, or the bus, stands still
                raise OSError(errno.ETIMEDOUT, f"{os.strerror(errno.ETIMEDOUT)} ({error})") from None

    def _read(self, address: int, length: int, last: bool) -> bytes:
        """By streams of its own: pyftdi's wait for the latency timer between pieces, or do not wait for the clock."""
        if not self._controller.poll(address, relax=last and not length):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        found = b""
        ftdi = self._controller.ftdi
        while len(found) < length:
            size = min(_PIECE, length - len(found))
            more = [True] * (size - 1) + [len(found) + size < length]
            ftdi.write_data(_ADAPTIVE + b"".join(_BYTE + (_ACK if each else _NACK) + _LOW for each in more) + _SEND)
            piece = bytes(ftdi.read_data_bytes(size, _PATIENCE))
            if len(piece) < size:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            found += piece
        if last and length:
            self._controller.poll(None, relax=True)  # nothing but a STOP
        return found

    def _write(self, address: int, data: bytes, last: bool) -> None:
        """Address and data apart, to know which of them was not acknowledged."""
        if not self._controller.poll(address, write=True, relax=last and not data):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        if data:
            try:
                self._controller.write(None, data, relax=last)  # without a START: the transfer goes on
            except self._nack:
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from None


class FtdiPins:
    """The side-band pins, by their names on the connector; True is high."""

    def __init__(self, controller: Any) -> None:
        self._port = controller.get_gpio()
        self._port.set_direction(sum(PINS.values()), _OUTPUTS)
        self._levels = _AT_FIRST
        self._port.write(self._levels)

    def get(self, name: str) -> bool:
        """Level of a pin."""
        return bool(int(self._port.read(with_output=True)) & PINS[name])

    def set(self, name: str, level: bool) -> None:
        """Drive a pin. Raises NotAvailableError for one that the module drives."""
        mask = PINS[name]
        if not mask & _OUTPUTS:
            raise NotAvailableError(f"pin {name}: found that the module drives it, expected one that the host drives")
        self._levels = self._levels | mask if level else self._levels & ~mask
        self._port.write(self._levels)
