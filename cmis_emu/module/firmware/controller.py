"""The firmware controller of a module: version registers, boot, and the change of images (FW-03, FW-11, FW-12).

Owns the registers of the active and inactive version, the time between a run command and its reset, and faults
that strike as time goes by. Which image runs is decided by the store.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from cmis_emu.clock import NS_PER_MS, Clock, Event
from cmis_emu.module.firmware.bank import Bank, KeptFirmware
from cmis_emu.module.firmware.faults import FirmwareFaults, Kind, Phase
from cmis_emu.module.firmware.plan import FirmwarePlan
from cmis_emu.module.firmware.store import FirmwareStore
from cmis_emu.module.flags import Flags
from cmis_emu.registers.memory import Memory

_SUDDEN = (Kind.RESET, Kind.POWER_LOSS)


class FirmwareFrame(Protocol):
    """What firmware does to its module."""

    clock: Clock

    def restart(self) -> None: ...
    def dip(self, duration_ns: int) -> None: ...
    def hold_off(self, duration_ns: int) -> None: ...


class Firmware:
    """Firmware of one module. `faults` takes what a scenario arms."""

    OWNS = (
        "ModuleActiveFirmwareMajorRevision",
        "ModuleActiveFirmwareMinorRevision",
        "ModuleInactiveFirmwareMajorRevision",
        "ModuleInactiveFirmwareMinorRevision",
        "ModuleFirmwareErrorFlag",
    )

    def __init__(
        self, frame: FirmwareFrame, memory: Memory, flags: Flags, plan: FirmwarePlan, kept: KeptFirmware
    ) -> None:
        self._frame = frame
        self.plan = plan
        self.store = FirmwareStore(plan, kept)
        self.faults = FirmwareFaults()
        self._active = [memory.cell(name) for name in self.OWNS[:2]]
        self._inactive = [memory.cell(name) for name in self.OWNS[2:4]]
        self._error = memory.cell("ModuleFirmwareErrorFlag")
        self._flags = flags
        self._events: list[Event] = []
        self._run: Event | None = None
        self._wanted: Bank | None = None
        self._asked = False
        self._error_waits = False

    # -- the module's life -------------------------------------------------------------------------------

    def reset(self) -> None:
        """The module is in reset: a download, a run that waits and faults under way are gone (FW-09)."""
        self._cancel()
        self.store.reset()
        self.mirror()

    def boot(self, management_ns: int) -> int:
        """The module leaves reset: an image starts. Returns how long until management is ready."""
        wanted, self._wanted = self._wanted, None
        asked, self._asked = self._asked, False
        failures = self.store.boot(wanted, self._does_not_boot)
        self._error_waits |= failures > 0
        self.mirror()
        duration_ns = max(management_ns, self.plan.boot_ns if asked else 0) + failures * self.plan.watchdog_ns
        slow = self.faults.take((Kind.SLOW,), Phase.BOOT, bank=self.store.running)
        if slow is not None:
            duration_ns += round(slow.extra_ms * NS_PER_MS)
        self.strike(Phase.BOOT, duration_ns)
        return duration_ns

    def booted(self) -> None:
        """Management is ready."""
        if self._error_waits:
            self._error_waits = False
            self._flags.latch(self._error)

    def close(self) -> None:
        """Unplugged."""
        self._cancel()

    def mirror(self) -> None:
        """The version registers tell of the banks (FW-03)."""
        store = self.store
        for cells, bank in ((self._active, store.running), (self._inactive, store.inactive)):
            version = store.version(bank)
            cells[0].set(version.major)
            cells[1].set(version.minor)

    def _does_not_boot(self, bank: Bank) -> bool:
        return self.faults.take((Kind.FAIL,), Phase.BOOT, bank=bank) is not None

    # -- running another image ---------------------------------------------------------------------------

    @property
    def about_to_run(self) -> bool:
        """Was a run command accepted whose time has not come?"""
        return self._run is not None

    def run_after(self, bank: Bank, delay_ns: int, *, hitless: bool) -> None:
        """Start `bank` when the delay is over (FW-11)."""
        if self._run is not None:
            self._run.cancel()
        self._run = self._frame.clock.after(delay_ns, partial(self._run_now, bank, hitless))

    def _run_now(self, bank: Bank, hitless: bool) -> None:
        self._run = None
        if hitless and not self._does_not_boot(bank):
            self.store.switch(bank)
            self.mirror()
            self._frame.hold_off(self.plan.hitless_ns)
            return
        self._wanted = None if hitless else bank  # the new image did not come up: back to the committed one
        self._asked = True
        self._error_waits = hitless
        self._frame.restart()

    # -- faults ------------------------------------------------------------------------------------------

    def strike(self, phase: Phase, duration_ns: int, *, block: int | None = None) -> None:
        """Let a reset or a power loss that waits for this phase happen in its time."""
        fault = self.faults.take(_SUDDEN, phase, block=block)
        if fault is None:
            return
        act: Callable[[], None] = self._frame.restart
        if fault.kind is Kind.POWER_LOSS:
            act = partial(self._frame.dip, round(fault.off_ms * NS_PER_MS))
        self._events = [event for event in self._events if event.pending]
        self._events.append(self._frame.clock.after(round(fault.at * duration_ns), act))

    def _cancel(self) -> None:
        for event in self._events:
            event.cancel()
        self._events.clear()
        if self._run is not None:
            self._run.cancel()
            self._run = None
