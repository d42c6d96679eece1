"""An emulator as the platform of a SONiC switch: `Sfp`, `Chassis` and `Platform` on SONiC's own base classes.

Owns what a platform has to provide and SONiC cannot know: bytes of the memory by linear offset, and the pins. All
else, SONiC's own module code does. Importing this module needs `sonic_platform_base` and `sonic_py_common`, which
every SONiC has; NotAvailableError says so elsewhere. A `sonic_platform/platform.py` for a switch is one line:

    from cmis_emu.integrations.sonic import Platform
"""

from __future__ import annotations

import contextlib
import os

from cmis_emu.bus.optoe import UNPAGED_SIZE
from cmis_emu.bus.target import HALF
from cmis_emu.emulator import Emulator
from cmis_emu.errors import NotAvailableError
from cmis_emu.integrations.cage import Attached, Cage, InProcess, Link, Occupancy, occupancy

try:
    from sonic_platform_base.chassis_base import ChassisBase
    from sonic_platform_base.platform_base import PlatformBase
    from sonic_platform_base.sonic_xcvr.sfp_optoe_base import SfpOptoeBase
except ImportError as error:
    raise NotAvailableError(
        f"{error}: cmis_emu.integrations.sonic needs SONiC's packages sonic-platform-common and sonic-py-common"
    ) from None

ATTACH = "CMIS_EMU_ATTACH"
"""Environment variable: the running emulator that `Platform` takes; the only one without it."""

RESET_MS = 10
_PAGE_SELECT = 127
_POLL_S = 0.1
INSERTED, REMOVED = "1", "0"


class Sfp(SfpOptoeBase):  # type: ignore[misc]
    """The cage of one port. `index`: its physical port number. `bank`: of banked pages, for modules of over 8 lanes.

    `get_lpmode` and `set_lpmode` are SONiC's, by registers; those with `_via_pin` drive LPMode.
    """

    def __init__(self, link: Link, port: str, index: int = 1, bank: int = 0) -> None:
        """Raises RefusedError for a port that is not there."""
        super().__init__(bank=bank)
        self._cage = Cage(link, port)
        self._index = index

    # -- the memory --------------------------------------------------------------------------------

    def read_eeprom(self, offset: int, num_bytes: int) -> bytearray | None:
        """Bytes from a linear offset on, as from the driver's file; None when the read fails."""
        try:
            if HALF <= offset < UNPAGED_SIZE and self._cage.read(_PAGE_SELECT, 1)[0]:
                self._cage.write(_PAGE_SELECT, b"\0")  # as SONiC does where its driver could not put it back
            return bytearray(self._cage.read(offset, num_bytes))
        except OSError:
            return None

    def write_eeprom(self, offset: int, num_bytes: int, write_buffer: bytes | bytearray) -> bool:
        """Write to the driver's file; False when that fails."""
        try:
            self._cage.write(offset, bytes(write_buffer[:num_bytes]))
        except OSError:
            return False
        return True

    def set_optoe_write_max(self, write_max: int) -> None:
        """The driver's file write_max; what it refuses is ignored, as SONiC ignores it."""
        with contextlib.suppress(OSError):
            self._cage.configure(write_max=write_max)

    def set_optoe_write_timeout(self, write_timeout: int) -> None:
        """The driver's file write_timeout, in ms; as above."""
        with contextlib.suppress(OSError):
            self._cage.configure(write_timeout=write_timeout)

    def set_optoe_max_bank_size(self, max_bank_size: int) -> None:
        """The driver's file max_bank_size. Raises OSError for what it refuses."""
        self._cage.configure(max_bank_size=max_bank_size)

    # -- the cage ----------------------------------------------------------------------------------

    def get_name(self) -> str:
        """The port's name in the emulator."""
        return self._cage.port

    def get_position_in_parent(self) -> int:
        """The physical port number."""
        return self._index

    def is_replaceable(self) -> bool:
        """It can be pulled."""
        return True

    def get_presence(self) -> bool:
        """ModPrsL is low."""
        return self._cage.present()

    def get_status(self) -> bool:
        """A module is there and not held in reset."""
        return self.get_presence() and not self.get_reset_status()

    def get_revision(self) -> str | None:
        """The vendor's revision of the module; None without one."""
        api = self.get_xcvr_api()
        return None if api is None else str(api.get_vendor_rev())

    def get_error_description(self) -> str | None:
        """SONiC's word for what is wrong; OK when nothing is."""
        if not self.get_presence():
            return str(self.SFP_STATUS_UNPLUGGED)
        found: str | None = super().get_error_description()
        return found

    # -- the pins ----------------------------------------------------------------------------------

    def get_reset_status(self) -> bool:
        """ResetL is low."""
        return not self._pin("ResetL", idle=True)

    def reset(self) -> bool:
        """A pulse of 10 ms on ResetL; False when there is no module, or no emulator."""
        if not self.get_presence():
            return False
        try:
            self._cage.reset(RESET_MS)
        except OSError:
            return False
        return True

    def get_lpmode_via_pin(self) -> bool:
        """LPMode is high."""
        return self._pin("LPMode", idle=False)

    def set_lpmode_via_pin(self, lpmode: bool) -> bool:
        """Drive LPMode."""
        try:
            self._cage.drive("LPMode", bool(lpmode))
        except OSError:
            return False
        return True

    def get_interrupt(self) -> bool:
        """The module asks for service: IntL is low."""
        return not self._pin("IntL", idle=True)

    def _pin(self, name: str, *, idle: bool) -> bool:
        try:
            return self._cage.pins()[name]
        except OSError:
            return idle


class Chassis(ChassisBase):  # type: ignore[misc]
    """A switch with the ports of an emulator, in its order, numbered from 1.

    emulator: one of this process. attach: else the name or socket of a running one; None for the only one.
    Raises AttachError when it does not run.
    """

    def __init__(self, emulator: Emulator | None = None, attach: str | None = None) -> None:
        super().__init__()
        self._link: Link = Attached(attach) if emulator is None else InProcess(emulator)
        self._known = occupancy(self._link)
        self._sfp_list = [None, *(Sfp(self._link, port, number) for number, port in enumerate(self._known, 1))]

    def get_name(self) -> str:
        """The chassis."""
        return "cmis-emu"

    def get_presence(self) -> bool:
        """It is there."""
        return True

    def get_status(self) -> bool:
        """The emulator answers."""
        try:
            occupancy(self._link)
        except OSError:
            return False
        return True

    def get_change_event(self, timeout: int = 0) -> tuple[bool, dict[str, dict[str, str]]]:
        """Wait for modules that come and go, for `timeout` ms or, with 0, for as long as it takes.

        By physical port, "1" for inserted, "0" for removed. A module that was swapped is removed first, and
        inserted at the next call. On an emulator in this process the time that passes is the emulator's.
        """
        left_s = timeout / 1000
        while True:
            changes = self._changes()
            if changes or (timeout and left_s <= 0):
                return True, {"sfp": changes, "sfp_error": {}}
            step_s = min(_POLL_S, left_s) if timeout else _POLL_S
            self._link.pause(step_s)
            left_s -= step_s

    def _changes(self) -> dict[str, str]:
        try:
            now = occupancy(self._link)
        except OSError:  # the emulator went away, and its modules with it
            now = {port: Occupancy(False, 0) for port in self._known}
        changes = {}
        for number, (port, before) in enumerate(self._known.items(), 1):
            after = now.get(port, Occupancy(False, 0))
            if before.present and after.present and before.inserted_ns != after.inserted_ns:
                after = Occupancy(False, after.inserted_ns)
            if before.present is not after.present:
                changes[str(number)] = INSERTED if after.present else REMOVED
            self._known[port] = after
        return changes


class Platform(PlatformBase):  # type: ignore[misc]
    """What SONiC's daemons load: one chassis, that of the running emulator named by CMIS_EMU_ATTACH."""

    def __init__(self) -> None:
        super().__init__()
        self._chassis = Chassis(attach=os.environ.get(ATTACH))
