"""A port: the cage that a module sits in. Power, hot plug, the host's end, and the module's place on a bus.

Owns what stays while modules come and go: the levels of pins (`pins.py`), the host's signals, and armed faults.
Callers outside the emulator's own thread are serialised by its lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol, Self

from cmis_emu.bus.line import LineFault
from cmis_emu.bus.target import Target
from cmis_emu.clock import Clock
from cmis_emu.errors import CmisEmuError, InputError
from cmis_emu.module.equaliser import HostSignal
from cmis_emu.module.module import Module
from cmis_emu.module.profile.library import load_profile
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.signals import HostLane, HostOutput
from cmis_emu.nvm import NvmFolder
from cmis_emu.physics.light import TRAFFIC
from cmis_emu.physics.parameters import Environment
from cmis_emu.pins import Pins
from cmis_emu.registers.loader import load_maps

MAX_LANES = 32
"""Host lanes of four banks (PAGE-09)."""


class Unchanged(Enum):
    """Stands for an argument that is not given, where None means something."""

    UNCHANGED = "unchanged"


def pattern_code(name: str) -> int:
    """The `content` of a signal that carries a test pattern, by its name such as "prbs13q" or "ssprq".

    Raises InputError for one without a name; those that a vendor or a user defines have none.
    """
    known = {text.lower(): code for code, text in load_maps().enums["prbs_pattern"].items() if " " not in text}
    del known["custom"]
    if name not in known:
        raise InputError(repr(name), f"one of {', '.join(known)}", field="pattern")
    return known[name]


class Fault(Protocol):
    """One armed misbehaviour of a port, kept by the port while modules come and go (`Port.arm`).

    attach: a module is in the cage: when armed there, and at each insertion, before the module gets power.
    detach: the fault is cleared; `port.occupant` may be None. Neither is told when the module leaves, since the
    module's parts go with it; what sits in the port's target does not, so attach must bear being repeated.
    """

    def attach(self, port: Port) -> None: ...
    def detach(self, port: Port) -> None: ...


@dataclass(eq=False, slots=True)
class HostDrive:
    """What the host's end does to some host lanes (1-based; None: all) on top of what it drives else.

    None leaves a thing as it is; `content` is TRAFFIC or the code of a pattern. See `Port.drive_host`.
    """

    lanes: frozenset[int] | None = None
    present: bool | None = None
    loss_db: float | None = None
    inverted: bool | None = None
    content: int | None = None

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back

    def onto(self, signal: HostSignal) -> HostSignal:
        """The signal with this."""
        return HostSignal(
            signal.present if self.present is None else self.present,
            signal.loss_db if self.loss_db is None else self.loss_db,
            signal.inverted if self.inverted is None else self.inverted,
            signal.content if self.content is None else self.content,
        )


class EmptyPortError(CmisEmuError):
    """The port holds no module."""


class Port:
    """One cage. `module` is the module in it; `insert` and `remove` are hot plug."""

    def __init__(
        self,
        name: str,
        target: Target,
        clock: Clock,
        lock: threading.RLock,
        *,
        seed: int,
        environment: Environment,
        levels: dict[str, bool],
        rewire: Callable[[str], None],
        nvm: NvmFolder | None = None,
    ) -> None:
        self.name = name
        self.target = target
        self.occupant: Module | None = None
        self.pins = Pins(self, levels)
        self.interrupt_listeners: list[Callable[[bool], None]] = []  # told whether IntL is low
        self.presence_listeners: list[Callable[[bool], None]] = []  # told whether ModPrsL is low
        self.drive_listeners: list[Callable[[bool], None]] = []  # told of the new level of a host-driven pin
        self.inserted_ns = 0  # when what is in the cage was plugged in
        self._clock = clock
        self._lock = lock
        self._seed = seed
        self._environment = environment
        self._rewire = rewire
        self._nvm = nvm
        self._host_signals = [HostSignal()] * MAX_LANES  # every host lane carries a good signal
        self._faults: list[Fault] = []
        self._host_drives: list[HostDrive] = []

    @property
    def module(self) -> Module:
        """The module in the cage. Raises EmptyPortError when there is none."""
        if self.occupant is None:
            raise EmptyPortError(f"port {self.name}: found an empty cage, expected a module")
        return self.occupant

    @property
    def profile(self) -> Profile | None:
        """Profile of the module in the cage."""
        return None if self.occupant is None else self.occupant.profile

    def insert(self, profile: str | Profile) -> None:
        """Plug a module in; a module already there is removed first. Raises InputError for a bad profile."""
        product = load_profile(profile) if isinstance(profile, str) else profile
        with self._lock:
            self._clock.sync()
            self.remove()
            module = Module(
                product,
                self._clock,
                seed=self._seed,
                environment=self._environment,
                on_interrupt=self._interrupt,
                kept=self._nvm.load(self.name, product.name) if self._nvm else None,
            )
            if self._nvm is not None:
                module.nonvolatile.changed = partial(self._nvm.save, self.name, product.name)
            self.occupant = module
            self.inserted_ns = self._clock.now_ns
            self.target.device = module
            module.memory.on_reset = self.target.reset
            module.set_selected(not self.pins.ModSelL)
            module.set_lp_mode(self.pins.LPMode)
            module.set_reset_pin(not self.pins.ResetL)
            for number in range(8 * len(module.banks)):
                self._apply_host_signal(module, number + 1)
            self._rewire(self.name)
            if not self.pins.forced("ModPrsL"):
                self._presence(True)
            for fault in self._faults:
                fault.attach(self)
            module.set_power(self.pins.power)

    def arm(self, fault: Fault) -> None:
        """From now on the module in this cage misbehaves so, and every one that comes after it."""
        with self._lock:
            self._clock.sync()
            self._faults.append(fault)
            if self.occupant is not None:
                fault.attach(self)

    def disarm(self, fault: Fault) -> None:
        """Clear a fault; harmless for one that is not armed."""
        with self._lock:
            self._clock.sync()
            if fault in self._faults:
                self._faults.remove(fault)
                fault.detach(self)

    def arm_line(self, fault: LineFault) -> None:
        """From now on the way to this cage misbehaves so, whatever is in it."""
        with self._lock:
            self._clock.sync()
            self.target.arm(fault)

    def disarm_line(self, fault: LineFault) -> None:
        """Clear a fault of the way; harmless for one that is not armed."""
        with self._lock:
            self._clock.sync()
            self.target.disarm(fault)

    def remove(self) -> None:
        """Pull the module out. A transaction under way ends there."""
        with self._lock:
            self._clock.sync()
            module, self.occupant = self.occupant, None
            if module is not None:
                self.target.unplugged()
                was_low = module.interrupt_asserted
                module.close()
                self._rewire(self.name)
                if was_low:
                    self._interrupt(False)
                if not self.pins.forced("ModPrsL"):
                    self._presence(False)

    def set_host_signal(
        self,
        lane: int,
        present: bool | None = None,
        *,
        loss_db: float | None = None,
        inverted: bool | None = None,
        pattern: str | Unchanged | None = Unchanged.UNCHANGED,
    ) -> None:
        """What the host drives into host lane `lane` (1-based); what is not given stays as it is.

        present: a signal or none. loss_db: loss of the channel to the module at Nyquist. inverted: the wires
        of the pair are swapped. pattern: the host's own generator sends one, such as "prbs31q"; None for
        traffic. Raises InputError for a lane that no module has, a loss below 0, or an unknown pattern.
        """
        if not 1 <= lane <= MAX_LANES:
            raise InputError(str(lane), f"a host lane from 1 to {MAX_LANES}", field="lane")
        if loss_db is not None and not 0 <= loss_db < 100:
            raise InputError(f"{loss_db} dB", "a loss from 0 to 100 dB", field="loss_db")
        content = None if pattern is Unchanged.UNCHANGED else TRAFFIC if pattern is None else pattern_code(pattern)
        with self._lock:
            self._clock.sync()
            known = self._host_signals[lane - 1]
            self._host_signals[lane - 1] = HostSignal(
                known.present if present is None else present,
                known.loss_db if loss_db is None else loss_db,
                known.inverted if inverted is None else inverted,
                known.content if content is None else content,
            )
            if self.occupant is not None:
                self._apply_host_signal(self.occupant, lane)

    def host_lane(self, lane: int) -> HostLane:
        """What the module drives into host lane `lane` (1-based); off without a module or such a lane.

        Its `content` is that of a test pattern where it equals `pattern_code` of the pattern's name.
        """
        with self._lock:
            self._clock.sync()
            bank, index = divmod(lane - 1, 8)
            if self.occupant is None or not 0 <= bank < len(self.occupant.banks):
                return HostLane(HostOutput.OFF, False)
            return self.occupant.banks[bank].signals.host_lane(index + 1)

    def drive_host(self, drive: HostDrive) -> None:
        """The host's end does so from now on, until `release_host`; several lie on top of each other."""
        with self._lock:
            self._clock.sync()
            self._host_drives.append(drive)
            self._apply_host_signals()

    def release_host(self, drive: HostDrive) -> None:
        """Undo that alone; harmless for what is not there."""
        with self._lock:
            self._clock.sync()
            if drive in self._host_drives:
                self._host_drives.remove(drive)
                self._apply_host_signals()

    def _apply_host_signals(self) -> None:
        if self.occupant is not None:
            for number in range(8 * len(self.occupant.banks)):
                self._apply_host_signal(self.occupant, number + 1)

    def _apply_host_signal(self, module: Module, lane: int) -> None:
        bank, index = divmod(lane - 1, 8)
        if bank < len(module.banks):  # nothing notices a lane that the module lacks
            signal = self._host_signals[lane - 1]
            for drive in self._host_drives:
                if drive.lanes is None or lane in drive.lanes:
                    signal = drive.onto(signal)
            module.banks[bank].signals.set_host_signal(index + 1, signal)

    def drive(self, name: str, level: bool) -> None:
        """A host-driven pin has changed."""
        with self._lock:
            self._clock.sync()
            module = self.occupant
            if module is not None:
                apply = {
                    "ResetL": lambda: module.set_reset_pin(not level),
                    "LPMode": lambda: module.set_lp_mode(level),
                    "ModSelL": lambda: module.set_selected(not level),
                    "power": lambda: module.set_power(level),
                }
                apply[name]()
            for listener in self.drive_listeners:
                listener(level)

    def moved(self, name: str, level: bool) -> None:
        """The level of any pin has changed because of a fault that holds it, or holds it no more."""
        if name == "IntL":
            for listener in self.interrupt_listeners:
                listener(not level)
        elif name == "ModPrsL":
            self._presence(not level)
        else:
            self.drive(name, level)

    def present(self) -> bool:
        """Does a module sit here?"""
        return self.occupant is not None

    def interrupt_level(self) -> bool:
        """Level that the module gives IntL; pulled up without a module."""
        with self._lock:
            self._clock.sync()
            return self.occupant is None or not self.occupant.interrupt_asserted

    def state(self) -> dict[str, Any]:
        """What a snapshot keeps of the port."""
        return {
            "module": self.occupant,
            "target": self.target.state(),
            "pins": self.pins.driven(),
            "host_signals": list(self._host_signals),
            "host_drives": list(self._host_drives),
            "inserted_ns": self.inserted_ns,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a kept state; whoever sits in the cage now is forgotten. Armed faults stay as they are now."""
        now_here = self.occupant
        was_low = now_here is not None and now_here.interrupt_asserted
        self.occupant = state["module"]
        self.target.restore(self.occupant, state["target"])
        self.pins.put_back(state["pins"])
        self._host_signals = list(state["host_signals"])
        self._host_drives = list(state["host_drives"])
        self.inserted_ns = state["inserted_ns"]
        if self.occupant is not None:
            self.occupant.memory.forget_faults()
            for fault in self._faults:
                fault.attach(self)
        if self._nvm is not None and self.occupant is not None:
            self._nvm.keep_in_line(self.name, self.occupant.profile.name, self.occupant.nonvolatile.kept)
        is_low = self.occupant is not None and self.occupant.interrupt_asserted
        if is_low != was_low:
            self._interrupt(is_low)

    def _presence(self, present: bool) -> None:
        for listener in self.presence_listeners:
            listener(present)

    def _interrupt(self, asserted: bool) -> None:
        if self.pins.forced("IntL"):
            return
        for listener in self.interrupt_listeners:
            listener(asserted)
