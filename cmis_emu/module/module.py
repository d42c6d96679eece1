"""One emulated module: memory, state machines, flags, monitors and plant, put together.

`Module` meets the bus as a device (`answers`, `latch`, `read`, `clocked_out`, `write`) and the emulator as
a thing with pins and power. Every outside event ends in `settle`, which moves the state machines as far as
they go at this instant and then brings outputs, flags and the interrupt in line. Callers hold the
emulator's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cmis_emu.clock import NS_PER_MS, NS_PER_US, Clock, Event
from cmis_emu.module.cdb.controller import Cdb
from cmis_emu.module.cdb.plan import CdbPlan
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.faults.machines import MODULE_FLAG, Linger, MachineFaults, Skip
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.module.faults.static_bytes import Misprint
from cmis_emu.module.firmware.controller import Firmware
from cmis_emu.module.flags import Flags
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.monitors import Monitors
from cmis_emu.module.msm import ModuleStateMachine
from cmis_emu.module.nonvolatile import NOT_OFFERED, USER_DATA, Kept, NonVolatile
from cmis_emu.module.poke import overwrite
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.protection import OVERHEAT_CAUSE, OverheatProtection
from cmis_emu.module.states import MsmState
from cmis_emu.module.vdm.controller import Vdm
from cmis_emu.module.vdm.plan import VdmPlan
from cmis_emu.physics.parameters import Environment, PowerMode
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.memory import Cell, Memory, Write
from cmis_emu.registers.view import View, show

RESET_PULSE_NS = 10 * NS_PER_US  # RST-03: a shorter ResetL pulse is not seen

FLAT_STATE = MsmState.READY.code  # MSM-10

_FLAGGED = frozenset({MsmState.LOW_PWR, MsmState.READY, MsmState.FAULT})  # MSM-06

_POWER = {
    MsmState.RESETTING: PowerMode.LOW,
    MsmState.RESET: PowerMode.LOW,
    MsmState.MGMT_INIT: PowerMode.LOW,
    MsmState.LOW_PWR: PowerMode.LOW,
    MsmState.PWR_UP: PowerMode.FULL,
    MsmState.READY: PowerMode.FULL,
    MsmState.PWR_DN: PowerMode.FULL,
    MsmState.FAULT: PowerMode.LOW,
}


class Module:
    """A plugged-in module of one profile. Host-driven inputs are attributes set through `drive`."""

    OWNS = (
        "ModuleState",
        "InterruptDeasserted",
        "LowPwrAllowRequestHW",
        "LowPwrRequestSW",
        "SoftwareReset",
        "BankBroadcastEnable",
        "BankSelect",
        "PageSelect",
        "ModuleStateChangedFlag",
        "ModuleFaultCause",
    )

    def __init__(
        self,
        profile: Profile,
        clock: Clock,
        *,
        seed: int = 0,
        environment: Environment | None = None,
        on_interrupt: Callable[[bool], None] | None = None,
        kept: Kept | None = None,
    ) -> None:
        """`kept`: what its non-volatile memory holds; None as it left the factory."""
        self.profile = profile
        self.clock = clock
        self.memory = Memory(
            profile.regmap, profile.compiled, profile.image, flat=profile.flat, bank_counts=profile.bank_count
        )
        self.faults = ModuleFaults(self.memory, clock, self._refaulted)
        self.view = View(profile.regmap, self._fetch, self.memory.store, held=partial(self.memory.fetch, held=True))
        self.plant = ModulePlant(profile.plant, clock, seed, environment or Environment())
        self.interrupt_listener = on_interrupt
        self.flags = Flags(
            self.memory,
            clock,
            round(profile.behaviour.flag_latency_ms * NS_PER_MS),
            self._interrupt_changed,
            self.faults.flags,
        )
        self._powered = False
        self._supplied = False
        self._dip: Event | None = None
        self._mgmt_init_ns = profile.durations_ns.get(MsmState.MGMT_INIT.value, 0)
        self._reset_low = False
        self._lp_mode = False
        self._selected = True
        self._soft_reset = False
        self._fault_cause = 0
        self._settling = False
        self._unsettled = False
        self._stale = True
        self._reset_timer: Event | None = None
        self._written_until_ns = 0  # holds off because of a write (I2C-11)
        self._hold_until_ns = 0  # of that and of CDB
        self.started_ns = 0  # when it last left reset
        self._managed = False
        self._trips: dict[object, OverheatProtection] = {}
        limit = profile.behaviour.read_limit
        self.read_limit = limit if limit < 128 else 1 << 30  # I2C-05: a strict module stops driving data
        self._bind()
        self.msm = ModuleStateMachine(self)
        banks = range(0 if profile.flat else profile.banks)
        self.banks = [LaneBank(self.memory, profile, self, self.flags, self.plant, bank) for bank in banks]
        self.plant.received = self._errors_received
        self.monitors = Monitors(
            self.memory, profile, clock, self.flags, self.plant, self.banks, self.msm_state, self.faults.monitors
        )
        self.vdm = self._vdm(profile.vdm)
        self.protection = OverheatProtection(clock, self.plant, self._overheated)
        self.nonvolatile = NonVolatile(
            self.memory,
            profile.password,
            kept or Kept(),
            self._hold_off_nonvolatile,
            offered=profile.registers.get("PasswordEntrySupported", 0) != NOT_OFFERED,
        )
        self.firmware: Firmware | None = None
        if profile.firmware is not None:
            self.firmware = Firmware(self, self.memory, self.flags, profile.firmware, self.nonvolatile.kept.firmware)
            self.firmware.store.changed = self.nonvolatile.keep_firmware
        self.cdb: Cdb | None = None
        if profile.cdb is not None and not profile.flat:
            self.cdb = Cdb(self._surroundings(profile.cdb), self._hold_changed)
        self.plant.on_change.append(self._plant_changed)
        self._reset_registers()

    def _vdm(self, plan: VdmPlan | None) -> Vdm | None:
        if plan is None or self.profile.flat:
            return None
        seams = self.faults
        found = Vdm(
            self.memory, self.profile, plan, self.clock, self.flags, self.plant, self.banks, seams.vdm, seams.monitors
        )
        self.plant.before_change.append(found.inputs_change)
        return found

    def _surroundings(self, plan: CdbPlan) -> Surroundings:
        return Surroundings(
            profile=self.profile,
            plan=plan,
            memory=self.memory,
            clock=self.clock,
            flags=self.flags,
            plant=self.plant,
            banks=self.banks,
            nonvolatile=self.nonvolatile,
            state=self.msm_state,
            restart=self.restart,
            firmware=self.firmware,
        )

    def _bind(self) -> None:
        cell = self.memory.cell
        self._state = cell("ModuleState")
        self._allow_hw = cell("LowPwrAllowRequestHW")
        self._request_sw = cell("LowPwrRequestSW")
        self._changed_flag = cell("ModuleStateChangedFlag")
        self._cause = cell("ModuleFaultCause")
        reset = cell("SoftwareReset")
        self._reset_address, self._reset_lsb = reset.address, reset.slots[0][2]
        reset.page.hooks[reset.address] = self._global_control
        if self.memory.has("BankBroadcastEnable"):
            self.memory.broadcast = partial(_is_set, cell("BankBroadcastEnable"))

    # -- the device that a bus target sees ---------------------------------------------------------

    def answers(self) -> bool:
        """Rules I2C-01, I2C-10, I2C-11, RST-02: managed, selected, and not holding off."""
        now = self.clock.sync()
        return self._managed and self._selected and now >= self._hold_until_ns

    def would_answer(self) -> bool:
        """The same without I2C-01: whoever sees ModSelL judges that by itself."""
        now = self.clock.sync()
        return self._managed and now >= self._hold_until_ns

    @property
    def managed(self) -> bool:
        """Is it out of reset, and has it got to ModuleLowPwr since?"""
        return self._managed

    def mapped(self) -> tuple[int, int]:
        """Page and bank that the upper half shows."""
        upper = self.memory.upper
        return upper.number, upper.bank

    def latch(self, address: int) -> None:
        """Bring live bytes up to date, once at the start of a read (MON-06)."""
        page = self.memory.lower if address < 128 else self.memory.upper
        live = page.live
        if live is not None:
            now = self.clock.now_ns
            if live.due_ns <= now:
                live.refresh(now)

    def read(self, address: int, length: int) -> bytes:
        """Bytes as they are; `latch` made them fresh."""
        return self.memory.read(address, length, 0)

    def clocked_out(self, address: int, data: bytes) -> None:
        """Clear-on-read for the bytes that left the module, and the next page where pages follow each other."""
        self.memory.clocked_out(address, data)
        self.memory.move_on(address, len(data))

    def clock_out(self, address: int, length: int) -> bytes | None:
        """A whole read of up to 128 bytes: the four calls above in one, for speed. None is a NACK."""
        now = self.clock.sync()
        if not self._managed or not self._selected or now < self._hold_until_ns:
            return None
        memory = self.memory
        page = memory.lower if address < 128 else memory.upper
        live = page.live
        if live is not None and live.due_ns <= now:
            live.refresh(now)
        if page.overlay is not None or page.shown:
            data = memory.read(address, length, now)
            self.clocked_out(address, data)
            return data
        start = address & 127
        end = start + length
        data = bytes(page.data[start:end]) if end <= 128 else memory.read(address, length, now)
        # Nothing set among the flags of the page: by far the commonest case, and told by one count of zeros.
        if page.clear_first < end and page.data.count(0, page.clear_first, page.clear_last + 1) != page.clear_size:
            memory.clocked_out(address, data)
        if end >= 128 and page.successor is not None:
            memory.move_on(address, length)
        return data

    def write(self, address: int, data: bytes) -> None:
        """One complete write transaction."""
        self.memory.write(address, data)
        behaviour = self.profile.behaviour
        hold_ms = behaviour.page_holdoff_ms if address <= 127 < address + len(data) else behaviour.write_holdoff_ms
        if hold_ms:
            self._written_until_ns = max(self._written_until_ns, self.clock.now_ns + round(hold_ms * NS_PER_MS))
            self._hold_changed()

    def _hold_off_nonvolatile(self) -> None:
        self._written_until_ns = self.clock.now_ns + round(self.profile.behaviour.nvm_holdoff_ms * NS_PER_MS)
        self._hold_changed()

    def _hold_changed(self) -> None:
        cdb_ns = 0 if self.cdb is None else self.cdb.hold_until_ns
        self._hold_until_ns = max(self._written_until_ns, cdb_ns)

    def write_limit(self, address: int) -> int:
        """I2C-06: longer on the pages of CDB."""
        limit = self.profile.behaviour.write_limit
        if address >= 128 and self.cdb is not None:
            return self.cdb.write_limit(self.memory.upper, limit)
        return limit

    # -- the back door -----------------------------------------------------------------------------

    def get(self, name: str, lane: int | None = None, bank: int = 0) -> Any:
        """Value of a field by its CMIS name, in its unit (W, A, degC, V; codes for enumerations).

        A lane field without `lane` gives the list of all lanes. Raises UnknownFieldError.
        """
        self.clock.sync()
        return self.view.get(name, lane=lane, bank=bank)

    def set(self, name: str, value: Any, lane: int | None = None, bank: int = 0) -> None:
        """Store a field by its CMIS name, ignoring access rules; the vendor's side of the module.

        Controls take effect as if the module itself had changed them. Raises UnknownFieldError, InputError.
        """
        self.clock.sync()
        self.view.set(name, value, lane=lane, bank=bank)
        field, _ = self.profile.regmap.resolve(name)
        self.memory.update_checksum(field)
        if field.name == USER_DATA:
            self.nonvolatile.keep_user_data()
        if field.static:
            self.memory.keep(field)
        self._stored()

    def poke(self, page: int, offset: int, data: bytes, bank: int = 0) -> None:
        """Give bytes a value as far as a host cannot write them (`poke.py`). `page` -1 is the lower memory.

        Raises InputError for what is not there.
        """
        overwrite(self.memory, page, bank, offset, data, self.clock.sync())
        self._stored()

    def _stored(self) -> None:
        """Registers were changed by the back door."""
        self.monitors.reload_thresholds()
        if self.vdm is not None:
            self.vdm.reload_thresholds()
        self._stale = True
        self.settle()
        self.flags.update()

    def describe(self, name: str, value: Any) -> str:
        """A value of `get` as people read it: with unit, and with the name of an enumeration's code."""
        field, _ = self.profile.regmap.resolve(name) if not self.profile.regmap.group(name) else (None, None)
        if field is None:
            return "\n".join(str(row) for row in value) if isinstance(value, list) else str(value)
        if isinstance(value, list):
            return "  ".join(show(each, field) for each in value)
        return show(value, field)

    def readings(self) -> dict[str, Any]:
        """States and monitors for a status view, by the back door, in SI units (degC for temperatures)."""
        found: dict[str, Any] = {
            "paths": [
                {
                    "lanes": f"{8 * bank.bank + p.host_lanes[0]}-{8 * bank.bank + p.host_lanes[-1]}",
                    "app_sel": p.application.app_sel,
                    "state": p.state.title,
                }
                for bank in self.banks
                for p in bank.paths
            ],
            "temperature_c": self.get("TempMonValue"),
            "vcc_v": self.get("VccMonVoltage"),
        }
        lanes = [8 * bank.bank + n for bank in self.banks for n in bank.media_lanes]
        for key, name in (
            ("tx_power_w", "OpticalPowerTx"),
            ("tx_bias_a", "LaserBiasTx"),
            ("rx_power_w", "OpticalPowerRx"),
        ):
            found[key] = [self.get(name, lane=(n - 1) % 8 + 1, bank=(n - 1) // 8) for n in lanes]
        return found

    def busy(self) -> bool:
        """True while a state machine is in a transient state or a configuration is under way."""
        if self.msm.state in (MsmState.MGMT_INIT, MsmState.PWR_UP, MsmState.PWR_DN, MsmState.RESETTING):
            return True
        if self.firmware is not None and self.firmware.about_to_run:
            return True
        return any(bank.busy() for bank in self.banks)

    def peek(self, page: int, offset: int, length: int, bank: int = 0) -> bytes:
        """Bytes of a page without side effects. `page` -1 is the lower memory; offsets as on the bus."""
        now = self.clock.sync()
        return self.memory.fetch(page, bank, offset, length, now)

    def _fetch(self, page: int, bank: int, offset: int, length: int) -> bytes:
        return self.memory.fetch(page, bank, offset, length, self.clock.now_ns)

    # -- inputs ------------------------------------------------------------------------------------

    def set_power(self, on: bool) -> None:
        """Supply voltage applied or taken away (VccReset)."""
        self._supplied = on
        self._apply_power()

    def dip(self, duration_ns: int) -> None:
        """The supply goes for a while, whatever the host applies."""
        if self._dip is not None:
            self._dip.cancel()
        self._dip = self.clock.after(duration_ns, self._dip_over)
        self._apply_power()

    def _dip_over(self) -> None:
        self._dip = None
        self._apply_power()

    def _apply_power(self) -> None:
        on = self._supplied and self._dip is None
        if on != self._powered:
            self._powered = on
            if not on:
                self.plant.set_power(PowerMode.OFF)
            self.settle()

    def restart(self) -> None:
        """The module resets itself, as by SoftwareReset (RST-02)."""
        if self.msm.state not in (MsmState.RESETTING, MsmState.RESET):
            self._soft_reset = True
            self.settle()

    def hold_off(self, duration_ns: int) -> None:
        """Acknowledge no access for a while."""
        self._written_until_ns = max(self._written_until_ns, self.clock.now_ns + duration_ns)
        self._hold_changed()

    def set_reset_pin(self, low: bool) -> None:
        """ResetL level; a pulse is seen after 10 us (RST-03)."""
        if self._reset_timer is not None:
            self._reset_timer.cancel()
            self._reset_timer = None
        if low and not self._reset_low and self._powered:
            self._reset_timer = self.clock.after(RESET_PULSE_NS, self._reset_seen)
        else:
            self._reset_low = low
            self.settle()

    def _reset_seen(self) -> None:
        self._reset_timer = None
        self._reset_low = True
        self.settle()

    def set_lp_mode(self, high: bool) -> None:
        """LPMode level: LowPwrRequestHW."""
        self._lp_mode = high
        self.settle()

    def set_selected(self, selected: bool) -> None:
        """ModSelL asserted, where the form factor has that pin (I2C-01)."""
        self._selected = selected or not self.profile.has_mod_sel

    def fault(self, cause: int) -> None:
        """The module finds a fault in itself and enters ModuleFault (MSM-04, MSM-09)."""
        self._fault_cause = cause
        self.settle()

    def reset_itself(self) -> None:
        """The module resets as by SoftwareReset, of its own accord."""
        self._soft_reset = True
        self.settle()

    def trip(self, key: object, limit_c: float, tripped: Callable[[], None]) -> None:
        """From now on call `tripped` each time the case gets as warm as this, until `untrip(key)`."""
        self._trips[key] = OverheatProtection(self.clock, self.plant, tripped, limit_c=limit_c, once=True)
        self._trips[key].check()

    def untrip(self, key: object) -> None:
        """No more calls."""
        found = self._trips.pop(key, None)
        if found is not None:
            found.close()

    def _overheated(self) -> None:
        if self._managed:
            self.fault(OVERHEAT_CAUSE)

    def close(self) -> None:
        """Unplugged: stop every timer and state machine."""
        self._managed = False
        self.plant.on_change.clear()  # what the plant still does wakes no controller
        self.plant.before_change.clear()
        for timer in (self._reset_timer, self._dip):
            if timer is not None:
                timer.cancel()
        if self.firmware is not None:
            self.firmware.close()
        for bank in self.banks:
            bank.close()
        self.monitors.close()
        if self.vdm is not None:
            self.vdm.close()
        if self.cdb is not None:
            self.cdb.close()
        self.protection.close()
        for key in tuple(self._trips):
            self.untrip(key)
        self.flags.reset()
        self.plant.set_power(PowerMode.OFF)
        self.plant.close()
        self.msm.close()

    # -- faults --------------------------------------------------------------------------------------

    @property
    def machines(self) -> MachineFaults:
        """The seam of its state machines."""
        return self.faults.machines

    def _hides_change(self) -> bool:
        return bool(self.machines.rules) and self.machines.hides(MODULE_FLAG, frozenset())

    def _refaulted(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared: tell the parts, and come to rest anew."""
        if isinstance(rule, (Linger, Skip)):
            self.msm.refault(rule, armed)
        for bank in self.banks:
            bank.refault(rule, armed)
        self.monitors.refault(rule, armed)
        if isinstance(rule, Misprint):
            self.monitors.reload_thresholds()
            self.monitors.evaluate()
        if self.vdm is not None:
            self.vdm.refault(rule, armed)
        self.flags.refault(rule, armed)
        self.settle()
        self.flags.update()

    # -- conditions of the state machines ------------------------------------------------------------

    def msm_state(self) -> MsmState:
        """State of the module state machine."""
        return self.msm.state

    def reset_s(self) -> bool:
        """ResetS = VccReset or HwReset or SoftwareReset (RST-01)."""
        return not self._runs() or self._reset_low or self._soft_reset

    def _runs(self) -> bool:
        """Is there a supply, and enough of it?"""
        return self._powered and self.plant.supply_v >= self.profile.plant.supply.reset_v

    def fault_s(self) -> bool:
        """A fault was detected."""
        return self._fault_cause != 0

    def low_pwr_s(self) -> bool:
        """LowPwrS = LowPwrRequestSW or (LowPwrAllowRequestHW and LowPwrRequestHW) (MSM-02)."""
        if self.faults.low_power.rules:
            return True
        return bool(self._request_sw.get()) or (bool(self._allow_hw.get()) and self._lp_mode)

    def module_deactivated_t(self) -> bool:
        """ModuleDeactivatedT: every data path is in DPDeactivated (MSM-03)."""
        return all(bank.deactivated() for bank in self.banks)

    def msm_duration_ns(self, state: MsmState) -> int:
        """How long a transient module state lasts here (MSM-07)."""
        if state is MsmState.MGMT_INIT:
            return self._mgmt_init_ns
        return self.profile.durations_ns.get(state.value, 0)

    def msm_entered(self, state: MsmState) -> None:
        """What each module state does to the rest of the module."""
        if state is MsmState.RESETTING:
            self._managed = False
            self._soft_reset = False
            self._fault_cause = 0
            self._reset_registers()
        elif state is MsmState.FAULT:
            for bank in self.banks:
                bank.freeze()
            self._cause.set(self._fault_cause)
        if state is MsmState.MGMT_INIT:
            self.started_ns = self.clock.now_ns
            if self.firmware is not None:
                usual_ns = self.profile.durations_ns.get(state.value, 0)
                self._mgmt_init_ns = self.firmware.boot(usual_ns)
        if state is MsmState.LOW_PWR:
            if not self._managed and self.firmware is not None:
                self.firmware.booted()
            self._managed = True
            self.flags.begin()
        self.plant.set_power(_POWER[state] if self._runs() else PowerMode.OFF)
        self._state.set(FLAT_STATE if self.profile.flat and self._managed else state.code)
        self._stale = True
        if state in _FLAGGED and not self.profile.flat and not self._hides_change():
            self.flags.latch(self._changed_flag)  # a flat module's state never changes (MSM-10)

    # -- settling ------------------------------------------------------------------------------------

    def settle(self, first: Callable[[], object] | None = None) -> None:
        """Come to rest at this instant: state machines, then outputs and flags.

        `first` is done before; what it changes in the plant does not move the state machines half-way.
        """
        if self._settling:
            if first is not None:
                first()
            self._unsettled = True
            return
        self._settling = True
        try:
            if first is not None:
                first()
                self._stale = True
            while True:
                self._unsettled = False
                moved = self.msm.settle()
                if self.msm.state is not MsmState.FAULT:
                    for bank in self.banks:
                        moved |= bank.settle_paths()
                self._stale |= moved
                if self._managed:
                    for bank in self.banks:
                        self._stale |= bank.update()
                if not moved and not self._unsettled:
                    break
            stale, self._stale = self._stale, False
            if stale:
                self._set_activity()
                self.monitors.changed()
                self.protection.check()
                for each in self._trips.values():
                    each.check()
            if self.vdm is not None:
                self.vdm.settled(stale)
            if self.cdb is not None:
                self.cdb.settled(stale)
            for bank in self.banks:
                bank.settled()
        finally:
            self._settling = False

    def _set_activity(self) -> None:
        """Lanes at work make heat."""
        active = [bank.active_lanes() for bank in self.banks]
        self.plant.set_active_lanes(sum(a[0] for a in active), sum(a[1] for a in active))

    def _errors_received(self, lane: int, now_ns: int) -> float:
        bank, index = divmod(lane - 1, 8)
        return self.banks[bank].signals.routes.light_errors(index + 1, now_ns) if bank < len(self.banks) else 0.0

    def _plant_changed(self) -> None:
        self._stale = True
        self.settle()

    def _global_control(self, write: Write) -> None:
        value = write.byte_at(self._reset_address)
        if value is not None and value >> self._reset_lsb & 1:
            self._soft_reset = True  # RST-02; cleared when the reset is carried out
        self.settle()

    def _reset_registers(self) -> None:
        """Every register to its default (RST-05, RST-06)."""
        self.memory.reset()
        self.nonvolatile.reset()
        self.flags.reset()
        if self.firmware is not None:
            self.firmware.reset()
        for bank in self.banks:
            bank.reset()
        self.monitors.reset()
        if self.vdm is not None:
            self.vdm.reset()
        self._written_until_ns = 0
        if self.cdb is not None:
            self.cdb.reset()
        self._hold_changed()

    def _interrupt_changed(self, asserted: bool) -> None:
        if self.interrupt_listener is not None:
            self.interrupt_listener(asserted)

    @property
    def interrupt_asserted(self) -> bool:
        """True while IntL is driven low (FLG-06)."""
        return self.flags.asserted and self._managed


def _is_set(cell: Cell) -> bool:
    return bool(cell.get())
