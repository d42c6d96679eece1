"""What can go wrong with firmware, on demand: faults that a scenario or a test arms (field failures U1 to U8).

Owns the list of armed faults. The store, the controller and the commands ask it at each phase; a fault that fits
is used up, unless it holds until it is cleared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from cmis_emu.module.cdb.command import Status
from cmis_emu.module.firmware.bank import Bank
from cmis_emu.occasions import Occasions


class Phase(Enum):
    """When a fault strikes: in a command's time, or in the boot of an image."""

    START = "start"
    WRITE = "write"
    READ = "read"
    COMPLETE = "complete"
    ABORT = "abort"
    COPY = "copy"
    RUN = "run"
    COMMIT = "commit"
    BOOT = "boot"


class Kind(Enum):
    """What goes wrong."""

    FAIL = "fail"  # the command ends with `status`; at BOOT: the image does not come up
    CORRUPT = "corrupt"  # a bit of what was stored tips over: Complete fails
    RESET = "reset"  # the module resets by itself
    POWER_LOSS = "power_loss"  # the supply goes for `off_ms`
    SLOW = "slow"  # the command takes `extra_ms` longer, whatever is advertised


PHASES: dict[Kind, Collection[Phase]] = {
    Kind.FAIL: tuple(Phase),
    Kind.CORRUPT: (Phase.WRITE,),
    Kind.RESET: tuple(Phase),
    Kind.POWER_LOSS: tuple(Phase),
    Kind.SLOW: tuple(Phase),
}


@dataclass(slots=True, eq=False)
class FirmwareFault:
    """One armed fault. `times`: how often it strikes, None until it is cleared.

    block: the n-th block of a download, from 1; None for any. bank: the image that does not boot; None for any.
    at: the moment of a reset or power loss, as a part of the phase's time; 1 is just before its end.
    """

    kind: Kind
    phase: Phase
    times: int | None = 1
    block: int | None = None
    bank: Bank | None = None
    at: float = 0.5
    status: int = Status.FAILED
    extra_ms: float = 0.0
    off_ms: float = 1000.0
    occasions: Occasions | None = None  # decides instead of `times`

    def __post_init__(self) -> None:
        if self.phase not in PHASES[self.kind]:
            known = ", ".join(p.value for p in PHASES[self.kind])
            raise ValueError(f"fault {self.kind.value}: found phase {self.phase.value}, expected one of {known}")
        if not 0 <= self.at <= 1 or self.extra_ms < 0 or self.off_ms < 0:
            raise ValueError("fault: expected `at` from 0 to 1, and times that are not negative")
        if not 0x40 <= self.status <= 0x7F:
            raise ValueError(f"fault: found status {self.status:02X}h, expected a failure, 40h to 7Fh")


class SharedFirmwareFault(FirmwareFault):
    """One whose occasions a scenario counts: no snapshot of the module takes it back."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self


@dataclass(slots=True)
class FirmwareFaults:
    """The faults that wait."""

    armed: list[FirmwareFault] = field(default_factory=list)

    def arm(self, fault: FirmwareFault) -> FirmwareFault:
        """Let a fault strike when its phase comes; returns it, for `clear`. Harmless for one that is armed."""
        if fault not in self.armed:
            self.armed.append(fault)
        return fault

    def clear(self, fault: FirmwareFault | None = None) -> None:
        """Forget a fault, or all."""
        self.armed = [each for each in self.armed if fault is not None and each is not fault]

    def take(
        self, kinds: Collection[Kind], phase: Phase, *, block: int | None = None, bank: Bank | None = None
    ) -> FirmwareFault | None:
        """The first armed fault that fits, used up by one; None when all goes well."""
        for each in self.armed:
            if each.kind not in kinds or each.phase is not phase:
                continue
            if (each.block is not None and each.block != block) or (each.bank is not None and each.bank is not bank):
                continue
            if each.occasions is not None and not each.occasions.take():
                continue
            if each.times is not None:
                each.times -= 1
                if each.times <= 0:
                    self.armed.remove(each)
            return each
        return None
