"""The driver behind an interface: its module, reached over the bus of its port like every other host.

Owns what the kernel's callbacks `get_module_eeprom_by_page`, `get_module_power_mode` and `set_module_power_mode` do
here, and `get_module_info` and `get_module_eeprom` of the old ioctl. The pattern is that of a driver that owns an I2C
adapter (optoe, sfp): one combined transfer selects bank and page and sees whether the module took them, a second one
reads, and a third one selects page 00h again; an errno of the adapter goes to the caller as it is. Registers are read
and written through the bus, so flags clear and holds-off hold.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.target import HALF, MODULE_ADDRESS
from cmis_emu.bus.virtual import Message, VirtualBus, register_read
from cmis_emu.registers.loader import load_maps

_STATE_LOW_POWER, _STATES_POWERED = 1, (2, 3, 4)  # ModuleLowPwr; ModulePwrUp, ModuleReady, ModulePwrDn

FLAT_BYTES: Final = 256
PAGED_BYTES: Final = 512  # lower memory and pages 00h to 02h, as much as a driver shows of a CMIS module in one piece


class Policy(IntEnum):
    """ETHTOOL_MODULE_POWER_MODE_POLICY_*."""

    HIGH = 1
    AUTO = 2


class Mode(IntEnum):
    """ETHTOOL_MODULE_POWER_MODE_*."""

    LOW = 1
    HIGH = 2


class Refusal(Exception):
    """The driver refuses; `errno`, and a word on it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.errno = number
        self.message = message


@cache
def _place(name: str) -> tuple[int, int, int]:
    """Offset, shift and mask of a field of lower memory."""
    field = load_maps().field(name)
    low = 0 if field.bits is None else min(field.bits)
    return field.at, low, (1 << field.width) - 1


@dataclass(frozen=True, slots=True)
class Driver:
    """Of one interface. Every method raises BusError with the errno of the adapter; hold the emulator's lock."""

    bus: VirtualBus

    def read(self, page: int, bank: int, offset: int, length: int, address: int = MODULE_ADDRESS) -> bytes:
        """Bytes of lower memory (offset below 128) or of a page. Raises Refusal for a page that is not there."""
        get = register_read(address, offset, length)
        if offset < HALF:
            return self.bus.transfer(get)[0]
        if address == MODULE_ADDRESS and self._is_flat():
            if page or bank:
                raise Refusal(errno.EINVAL, "the module has no pages")
            return self.bus.transfer(get)[0]
        at = _place("BankSelect")[0]
        select = [Message(address, 0, bytes([at, bank, page])), *register_read(address, at, 2)]
        selected = self.bus.transfer(select)[0]
        if selected != bytes([bank, page]):
            self._deselect(address, *selected)
            raise Refusal(errno.EINVAL, "the module does not have that page in that bank")
        data = self.bus.transfer(get)[0]
        self._deselect(address, bank, page)
        return data

    def _is_flat(self) -> bool:
        return bool(self._field("MemoryModel"))

    def _deselect(self, address: int, bank: int, page: int) -> None:
        if bank or page:
            self.bus.transfer([Message(address, 0, bytes([_place("BankSelect")[0], 0, 0]))])

    def _field(self, name: str) -> int:
        at, shift, mask = _place(name)
        return self.read(0, 0, at, 1)[0] >> shift & mask

    # -- power mode ------------------------------------------------------------------------------------

    def power(self) -> tuple[Policy | None, Mode | None]:
        """Policy and mode, as the module carries them: None where neither name is true.

        The policy is high when nothing asks for low power, and auto when the host asks for it, since an interface
        that is not there is administratively down. A module that its pin may hold in low power has neither.
        """
        if self._is_flat():
            return None, None
        policy = None
        if self._field("LowPwrRequestSW"):
            policy = Policy.AUTO
        elif not self._field("LowPwrAllowRequestHW"):
            policy = Policy.HIGH
        state = self._field("ModuleState")
        mode = Mode.LOW if state == _STATE_LOW_POWER else Mode.HIGH if state in _STATES_POWERED else None
        return policy, mode

    def set_policy(self, policy: Policy) -> None:
        """Ask the module for it: high power whatever the pin says, or low power until the interface is up."""
        if self._is_flat():
            raise Refusal(errno.EOPNOTSUPP, "the module has no power modes")
        at, by_host, _ = _place("LowPwrRequestSW")
        by_pin = _place("LowPwrAllowRequestHW")[1]
        controls = self.read(0, 0, at, 1)[0]
        if policy is Policy.HIGH:
            controls &= ~(1 << by_pin | 1 << by_host)
        else:
            controls |= 1 << by_host
        self.bus.transfer([Message(MODULE_ADDRESS, 0, bytes([at, controls]))])

    # -- in one piece, for the ioctl -------------------------------------------------------------------

    def size(self) -> int:
        """How many bytes `linear` knows."""
        return FLAT_BYTES if self._is_flat() else PAGED_BYTES

    def linear(self, offset: int, length: int) -> bytes:
        """Bytes of lower memory and pages 00h, 01h and 02h, one after the other."""
        data = b""
        while len(data) < length:
            at = offset + len(data)
            page, within = (0, at) if at < 2 * HALF else (at // HALF - 1, HALF + at % HALF)
            room = HALF - within % HALF
            data += self.read(page, 0, within, min(room, length - len(data)))
        return data


def failure(error: BusError) -> Refusal:
    """What the driver says of an errno of the adapter."""
    words = {
        errno.ENXIO: "the module does not answer",
        errno.EIO: "the module did not acknowledge a byte",
    }
    return Refusal(error.errno, words.get(error.errno, "the transfer failed"))
