"""The old ioctl of ethtool (SIOCETHTOOL): a module in one piece, without banks and without pages above 02h.

Owns the two commands about modules, as a driver for CMIS modules answers them: such a module is told as an SFF-8636
one (ethtool looks at its identifier), of 256 bytes when its memory is flat and 512 otherwise.
"""

from __future__ import annotations

import errno
from struct import Struct
from typing import Final

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.ethtool.driver import Driver, Refusal

GET_MODULE_INFO, GET_MODULE_EEPROM = 0x42, 0x43
_SFF_8636: Final = 3  # ETH_MODULE_SFF_8636
_INFO: Final = Struct("=III32x")  # command, type, length
_EEPROM: Final = Struct("=IIII")  # command, magic, offset, length
_COMMAND: Final = Struct("=I")
_LENGTH_MAX: Final = 1024


def answer(driver: Driver, command: bytes) -> bytes:
    """The command as it stands afterwards. Raises BusError, and ValueError for a command that is cut short."""
    if len(command) < _COMMAND.size:
        raise ValueError(f"found a command of {len(command)} bytes")
    (number,) = _COMMAND.unpack_from(command)
    try:
        if number == GET_MODULE_INFO:
            return _INFO.pack(number, _SFF_8636, driver.size())
        if number == GET_MODULE_EEPROM and len(command) >= _EEPROM.size:
            _, magic, offset, length = _EEPROM.unpack_from(command)
            if length > _LENGTH_MAX or offset + length > driver.size():
                raise BusError(errno.EINVAL)
            return _EEPROM.pack(number, magic, offset, length) + driver.linear(offset, length)
    except Refusal as refusal:
        raise BusError(refusal.errno) from None
    raise BusError(errno.EOPNOTSUPP)
