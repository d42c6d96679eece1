"""What a module keeps without power, and who may change it: user memory, passwords, firmware (RST-07, PW-01 to PW-03).

Owns page 03h, both password areas and PasswordCmdResult. What is kept is one value, `Kept`; where it is stored is
not known here: the port is told of every change. What firmware means is known to `firmware/store.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from enum import Enum

from cmis_emu.errors import InputError
from cmis_emu.module.firmware.bank import KeptFirmware
from cmis_emu.registers.memory import Memory, Write
from cmis_emu.registers.regmap import page_number

USER_DATA = "UserNVData"
HOST_PASSWORD = 0x0000_1011  # as modules leave the factory (PW-01)
HOST_LAST = 0x7FFF_FFFF  # host passwords end here, module passwords begin behind
TEMPERATURE_BYTES = 44  # of a saved histogram
NOT_OFFERED = 1  # tri_state code of PasswordEntrySupported


class Level(Enum):
    """Whose password was entered last."""

    LOCKED = "locked"
    HOST = "host"
    MODULE = "module"


_ACCEPTED = {Level.MODULE: 1, Level.HOST: 2}  # password_cmd_result
_NOT_ACCEPTED = 3


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The vendor's choices (PW-01, PW-02). `protects`: pages that a locked module does not let a host write."""

    host: int = HOST_PASSWORD
    module: int | None = None
    protects: tuple[str, ...] = ()
    wrong_entry_locks: bool = True

    def pages(self) -> frozenset[int]:
        """Numbers of the protected pages."""
        return frozenset(page_number(page) for page in self.protects)


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that survives a loss of power. None: as it left the factory."""

    user_data: bytes | None = field(default=None, repr=False)
    host_password: int | None = None
    temperatures: bytes | None = field(default=None, repr=False)  # saved histogram, as the module holds it
    firmware: KeptFirmware = field(default_factory=KeptFirmware)

    def as_data(self) -> dict[str, str]:
        """User data and password as plain text values, for a file. Firmware is too much for text."""
        found = {}
        if self.user_data is not None:
            found["user_data"] = self.user_data.hex()
        if self.host_password is not None:
            found["host_password"] = f"{self.host_password:08x}"
        if self.temperatures is not None:
            found["temperatures"] = self.temperatures.hex()
        return found

    @classmethod
    def from_data(cls, data: dict[str, str]) -> Kept:
        """The inverse of `as_data`, with firmware as shipped. Raises InputError."""
        known = [each.name for each in fields(cls) if each.name != "firmware"]
        unknown = set(data).difference(known)
        if unknown:
            raise InputError(f"unknown key {min(unknown)!r}", f"one of {', '.join(known)}")
        try:
            user = bytes.fromhex(data["user_data"]) if "user_data" in data else None
            password = int(data["host_password"], 16) if "host_password" in data else None
            temperatures = bytes.fromhex(data["temperatures"]) if "temperatures" in data else None
        except (TypeError, ValueError):
            raise InputError("text that is not hexadecimal", "hexadecimal digits") from None
        if user is not None and len(user) != 128:
            raise InputError(f"{len(user)} bytes", "128 bytes", field="user_data")
        if password is not None and not 0 <= password <= HOST_LAST:
            raise InputError(f"{password:08x}", f"at most {HOST_LAST:08x}", field="host_password")
        if temperatures is not None and len(temperatures) != TEMPERATURE_BYTES:
            raise InputError(f"{len(temperatures)} bytes", f"{TEMPERATURE_BYTES} bytes", field="temperatures")
        return cls(user, password, temperatures)


class NonVolatile:
    """User memory and passwords of one module. `changed` is told what to keep from now on."""

    OWNS = (USER_DATA, "PasswordEntryArea", "PasswordChangeEntryArea", "PasswordCmdResult")

    def __init__(
        self,
        memory: Memory,
        policy: PasswordPolicy,
        kept: Kept,
        hold_off: Callable[[], None],
        *,
        offered: bool,
    ) -> None:
        """`hold_off` is called when a write takes the time of the non-volatile memory (I2C-11)."""
        self._memory = memory
        self._policy = policy
        self._hold_off = hold_off
        self.changed: Callable[[Kept], None] | None = None
        self.kept = kept
        self.level = Level.LOCKED
        self._user = memory.cell(USER_DATA) if memory.has(USER_DATA) else None
        self._result = memory.cell("PasswordCmdResult")
        if self._user is not None:
            for index in range(len(self._user.data)):
                self._user.page.hooks[index] = self._user_data_written
        if offered:
            for name, hook in (
                ("PasswordEntryArea", self._entered),
                ("PasswordChangeEntryArea", self._change_asked),
            ):
                cell = memory.cell(name)
                for index in range(cell.slots[0][0], cell.slots[0][0] + cell.slots[0][1]):
                    cell.page.hooks[index] = hook
            self._entry = memory.cell("PasswordEntryArea").address
            self._change = memory.cell("PasswordChangeEntryArea").address

    @property
    def host_password(self) -> int:
        """The host password in force."""
        return self._policy.host if self.kept.host_password is None else self.kept.host_password

    def reset(self) -> None:
        """After any reset: kept values are back, passwords locked (RST-05, RST-07, PW-03)."""
        if self._user is not None and self.kept.user_data is not None:
            self._user.data[:] = self.kept.user_data
        self._lock(Level.LOCKED)
        if self._result.implemented:
            self._result.set(0)

    def enter(self, password: int) -> bool:
        """Try a password, from the register area or a command; True when it was accepted (PW-01)."""
        if password == self.host_password:
            self._lock(Level.HOST)
        elif self._policy.module is not None and password == self._policy.module:
            self._lock(Level.MODULE)
        else:
            if self._policy.wrong_entry_locks:
                self._lock(Level.LOCKED)
            self._report(_NOT_ACCEPTED)
            return False
        self._report(_ACCEPTED[self.level])
        return True

    def change(self, password: int, *, holds_off: bool = True) -> bool:
        """A new host password; needs an unlocked module and a number of the host's range (PW-01)."""
        if self.level is Level.LOCKED or not 0 <= password <= HOST_LAST:
            self._report(_NOT_ACCEPTED)
            return False
        self._keep(replace(self.kept, host_password=password))
        if holds_off:
            self._hold_off()
        self._report(_ACCEPTED[self.level])
        return True

    # -- host writes -----------------------------------------------------------------------------------

    def _entered(self, write: Write) -> None:
        password = _number(write, self._entry)
        if password is not None:
            self.enter(password)

    def _change_asked(self, write: Write) -> None:
        password = _number(write, self._change)
        if password is not None:
            self.change(password)

    def _user_data_written(self, _: Write) -> None:
        self.keep_user_data()
        self._hold_off()

    def keep_user_data(self) -> None:
        """The user page holds something new."""
        if self._user is not None:
            self._keep(replace(self.kept, user_data=bytes(self._user.data)))

    def keep_firmware(self, firmware: KeptFirmware) -> None:
        """The banks hold something new."""
        self._keep(replace(self.kept, firmware=firmware))

    def keep_temperatures(self, histogram: bytes) -> None:
        """The temperature histogram, as 11 numbers of 32 bits."""
        self._keep(replace(self.kept, temperatures=histogram))

    def _keep(self, kept: Kept) -> None:
        self.kept = kept
        if self.changed is not None:
            self.changed(kept)

    def _lock(self, level: Level) -> None:
        self.level = level
        self._memory.protect(self._policy.pages(), level is Level.LOCKED)

    def _report(self, code: int) -> None:
        if self._result.implemented:
            self._result.set(code)


def _number(write: Write, first: int) -> int | None:
    """The four bytes from `first` on, or None unless one write brought all of them (PW-01)."""
    values = [write.byte_at(first + step) for step in range(4)]
    return None if None in values else int.from_bytes(bytes(v for v in values if v is not None), "big")
