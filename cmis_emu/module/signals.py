"""What the lanes of one bank really carry: outputs, loss of signal and lock, squelch, polarity.

Owns the output status (DP-08 to DP-11), LOS and LOL of both directions (FLG-08, FLG-09), FailureFlagTx,
squelch (AUX-01) and polarity (AUX-02). It reads the data paths and direct controls of its bank, decides when
a laser emits and what its light carries, and tells the plant; what light that makes is the plant's business.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import NamedTuple, Protocol

from cmis_emu.clock import NS_PER_MS, Clock, Event
from cmis_emu.layouts.application import mask_of
from cmis_emu.module.control_sets import LANES
from cmis_emu.module.dpsm import DataPath
from cmis_emu.module.equaliser import HostSignal, InputEqualiser
from cmis_emu.module.faults.link import EarlySignal, LinkFaults, NeedsToggle
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.flags import Flags
from cmis_emu.module.network_path import NetworkPaths
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.recovery import Recovery
from cmis_emu.module.routing import Routes
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.module.states import OPERATING, DpState
from cmis_emu.physics.light import NOISE, TRAFFIC
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.memory import Cell, Memory

_SQUELCH_NONE, _SQUELCH_OMA, _SQUELCH_SELECTED = 0, 1, 3  # codes of SquelchMethodTx; 2 is average power


class HostOutput(Enum):
    """What the module drives towards the host on one lane."""

    OFF = "off"
    NOISE = "noise"
    SIGNAL = "signal"


class HostLane(NamedTuple):
    """The signal that a host lane receives from the module; `content` is TRAFFIC or a pattern's code."""

    output: HostOutput
    inverted: bool
    content: int = TRAFFIC


class SignalFrame(Protocol):
    """The bank: data paths, direct controls, and whether the module is up."""

    clock: Clock
    bank: int
    paths: list[DataPath]
    media_lanes: tuple[int, ...]
    control: dict[str, Cell]

    def ready(self) -> bool: ...
    def disabled_tx(self) -> int: ...
    def tuning_lanes(self) -> int: ...

    network: NetworkPaths | None

    @property
    def linking(self) -> LinkFaults: ...

    def carriers(self) -> list[DataPath]: ...
    def carrier_of_host(self, lane: int) -> DataPath | None: ...
    def path_of_media(self, lane: int) -> DataPath | None: ...
    def path_of_host(self, lane: int) -> DataPath | None: ...
    def settle(self) -> None: ...


class _Lock:
    """A clock recovery circuit: unlocked without a signal, locked some time after one came."""

    __slots__ = ("locked", "timer")

    def __init__(self) -> None:
        self.locked = False
        self.timer: Event | None = None

    def drop(self) -> None:
        self.locked = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class LaneSignals:
    """Signals of eight host lanes and up to eight media lanes, 1-based within the bank."""

    OWNS = (
        "OutputStatusRx",
        "OutputStatusTx",
        "LOSFlagTx",
        "CDRLOLFlagTx",
        "LOSFlagRx",
        "CDRLOLFlagRx",
        "FailureFlagTx",
        "OutputStatusChangedFlagRx",
        "SquelchMethodSelect",
    )

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        frame: SignalFrame,
        equaliser: InputEqualiser,
        flags: Flags,
        plant: ModulePlant,
    ) -> None:
        self._profile = profile
        self._frame = frame
        self._equaliser = equaliser
        self._flags = flags
        self._plant = plant
        self._first = 8 * frame.bank
        banked = (name for name in self.OWNS if name != "SquelchMethodSelect")
        self._cells: dict[str, Cell] = {name: memory.cell(name, frame.bank) for name in banked}
        self._eq_fail = memory.cell("AdaptiveInputEqFailFlagTx", frame.bank)
        self._squelch_method = int(profile.registers.get("SquelchMethodTx", _SQUELCH_NONE))
        self._squelch_select = memory.cell("SquelchMethodSelect")
        self._rx_status = 0
        self._emitting = 0
        self._squelched = 0
        self._settled_tx = 0
        self._settle_timers: dict[int, Event] = {}
        self.recovery = Recovery(
            plant,
            frame.clock,
            self._first,
            frame.media_lanes,
            bool(profile.registers.get("RxLOSType", 0)),
            frame.settle,
            frame.linking,
        )
        self._waiting = 0  # by a fault: lasers that stay dark until the host toggles them
        self._toggled = 0  # lasers that the host disabled since they were last on
        self._worked = 0  # host lanes whose circuits were at work when last looked at
        self._too_late = 0  # by a fault: host lanes that find no lock until their circuits start anew
        self._tx = {lane: _Lock() for lane in LANES}
        self.routes = Routes(frame, equaliser, self.recovery, plant, self._host_locked)

    # -- life --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Nothing locked, nothing lost, every laser off."""
        for timer in self._settle_timers.values():
            timer.cancel()
        self._settle_timers.clear()
        self._settled_tx = self._squelched = self._rx_status = 0
        self._waiting = self._toggled = self._worked = self._too_late = 0
        self.recovery.reset()
        for lock in self._tx.values():
            lock.drop()
        self._equaliser.reset()
        self.silence()

    def silence(self) -> None:
        """All lasers off at once: reset, fault, loss of power."""
        for lane in self._frame.media_lanes:
            self._plant.set_emitting(self._first + lane, False)
        self._emitting = 0

    def settling(self) -> bool:
        """True while an output that was switched on is not valid yet."""
        return bool(self._settle_timers)

    # -- the host's side -----------------------------------------------------------------------------

    def set_host_signal(self, lane: int, signal: HostSignal) -> None:
        """What the host drives into host lane `lane` from now on."""
        if signal != self._equaliser.signals[lane - 1]:
            self._equaliser.signals[lane - 1] = signal
            self._frame.settle()

    @property
    def host_signal(self) -> int:
        """Bit mask of the host lanes into which the host drives a signal."""
        return sum(1 << index for index, signal in enumerate(self._equaliser.signals) if signal.present)

    def _host_locked(self, lane: int) -> bool:
        return self._tx[lane].locked

    def host_lane(self, lane: int) -> HostLane:
        """What host lane `lane` receives from the module (DP-10, AUX-01, AUX-02)."""
        path, carrier = self._frame.path_of_host(lane), self._frame.carrier_of_host(lane)
        bit = 1 << (lane - 1)
        control = self._frame.control
        test = self.routes.test
        tested = test.generated(Side.HOST, lane) is not None or test.loopback(Loopback.HOST_INPUT, lane)
        working = path is not None and path.state in OPERATING
        if control["OutputDisableRx"].bits() & bit or not (working or (tested and self._frame.ready())):
            return HostLane(HostOutput.OFF, False)
        flipped = bool(control["OutputPolarityFlipRx"].bits() & bit)
        carried = self.routes.host_out(lane)
        if carried is not None:
            stream = carried.stream
            return HostLane(HostOutput.SIGNAL, stream.inverted ^ flipped, stream.content)
        if carrier is None or carrier.state not in OPERATING or not carrier.media_lanes:
            return HostLane(HostOutput.OFF, False)
        dark = self.recovery.los >> (carrier.media_lane_of(lane) - 1) & 1
        squelched = dark and not control["AutoSquelchDisableRx"].bits() & bit
        return HostLane(HostOutput.OFF if squelched else HostOutput.NOISE, flipped, NOISE)

    # -- all of it, now ------------------------------------------------------------------------------

    def update(self) -> bool:
        """Bring outputs, LOS, LOL and their flags in line with states, controls and light, now.

        True when an output was switched or became valid, which other readings depend on.
        """
        before = self._emitting, self._squelched, self._settled_tx
        ready = self._frame.ready()
        host_ok = media_ok = powered = powered_media = 0
        if ready:
            for path in self._frame.paths:
                host_ok |= path.host_mask if path.state in OPERATING else 0
                powered |= path.host_mask if is_powered(path) else 0
            for path in self._frame.carriers():
                media_ok |= path.media_mask if path.state in OPERATING else 0
                powered_media |= path.media_mask if is_powered(path) else 0
        tx_los = host_ok & ~self.host_signal
        at_work = powered | self.routes.test.listening()
        self._equaliser.work(at_work)
        self.recovery.update(ready, powered_media)
        unlocked_tx = self._update_host_locks(at_work)
        self._update_emission(media_ok, tx_los)
        unlocked_rx = self._unlocked_rx()
        flags, cells = self._flags, self._cells
        flags.level(cells["LOSFlagTx"], tx_los)
        flags.level(cells["CDRLOLFlagTx"], host_ok & unlocked_tx)
        flags.level(cells["LOSFlagRx"], self.recovery.los)
        flags.level(cells["CDRLOLFlagRx"], media_ok & unlocked_rx)
        flags.level(cells["FailureFlagTx"], self._failed())
        flags.level(self._eq_fail, self._equaliser.failing() & powered if powered else 0)  # FLG-09: in DPInit too
        self._update_rx_output(host_ok, unlocked_rx)
        return before != (self._emitting, self._squelched, self._settled_tx)

    # -- Tx ------------------------------------------------------------------------------------------

    def _squelch_is_oma(self) -> bool:
        """OMA squelch takes the modulation away and leaves the light on (AUX-01)."""
        if self._squelch_method == _SQUELCH_SELECTED:
            return not self._squelch_select.get()
        return self._squelch_method == _SQUELCH_OMA

    def _wants_squelch(self, tx_los: int) -> int:
        """Media lanes (mask) that are squelched, by force or because their host signal is lost."""
        wanted = self._frame.control["OutputSquelchForceTx"].bits()
        automatic = ~self._frame.control["AutoSquelchDisableTx"].bits()
        if self._squelch_method == _SQUELCH_NONE:
            return wanted
        for path in self._frame.carriers():
            for lane in path.media_lanes:
                if automatic >> (lane - 1) & 1 and self._source_lost(path, lane, tx_los):
                    wanted |= 1 << (lane - 1)
        return wanted

    def _source_lost(self, path: DataPath, lane: int, tx_los: int) -> bool:
        """Has a media lane nothing to send?"""
        test = self.routes.test
        if test.generated(Side.MEDIA, lane) is not None:
            return False
        if test.loopback(Loopback.MEDIA_INPUT, lane):
            return not self.recovery.has_lock(lane)
        hosts = path.host_lanes_of(lane)
        lost = [n for n in hosts if self._host_lost(n, tx_los)]
        # What is left of a shared media lane goes on; a lane of one data path needs all its host lanes.
        return len(lost) == len(hosts) if path.application.network_path else bool(lost)

    def _host_lost(self, lane: int, tx_los: int) -> bool:
        if self._frame.network is not None and self._frame.network.replaced_tx(lane):
            return False
        if self.routes.test.loopback(Loopback.HOST_OUTPUT, lane):
            return self.routes.tx_in(lane) is None
        return bool(tx_los >> (lane - 1) & 1)

    def _update_emission(self, media_ok: int, tx_los: int) -> None:
        """DP-08: which media lanes emit. Disable, forced and auto squelch; quiet outside operation."""
        off = self._frame.disabled_tx()
        squelched = self._wants_squelch(tx_los)
        if not self._squelch_is_oma():
            off |= squelched
        wanted = media_ok & ~off & ~self._frame.tuning_lanes()
        if self._frame.linking.rules or self._waiting:
            wanted &= ~self._stay_dark(wanted)
        self._squelched = squelched & wanted
        for lane in self._frame.media_lanes:
            bit = 1 << (lane - 1)
            if (wanted ^ self._emitting) & bit:
                self._switch(lane, bool(wanted & bit))
            self._send(lane)
        status = self._cells["OutputStatusTx"]
        if status.implemented:
            status.set_bits(self._emitting & self._settled_tx & ~self._squelched)

    def _stay_dark(self, wanted: int) -> int:
        """Lasers (mask) that a fault keeps from coming on until the host disables and enables them."""
        disabled = self._frame.disabled_tx()
        self._toggled |= disabled
        self._waiting &= ~disabled
        for lane in self._frame.media_lanes:
            bit = 1 << (lane - 1)
            if wanted & ~self._emitting & ~self._waiting & ~self._toggled & bit:
                self._waiting |= bit * self._frame.linking.stays_dark(self._first + lane)
        self._toggled &= ~wanted
        return self._waiting

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if not armed and self.recovery.penalised(rule):
            self._plant.light_changes()
            self.recovery.relieve(rule)
            self._plant.light_changed()
        if not armed and isinstance(rule, NeedsToggle):
            self._waiting = 0
        if not armed and isinstance(rule, EarlySignal):
            self._too_late = 0

    def _switch(self, lane: int, on: bool) -> None:
        """The laser of a lane on or off; its output counts as valid when it has settled."""
        bit = 1 << (lane - 1)
        self._emitting ^= bit
        self._settled_tx &= ~bit
        timer = self._settle_timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        if on:
            delay = round(self._profile.behaviour.tx_settle_ms * NS_PER_MS)
            self._settle_timers[lane] = self._frame.clock.after(delay, partial(self._tx_settled, lane))
        self._plant.set_emitting(self._first + lane, on)

    def _send(self, lane: int) -> None:
        """Tell the plant what the light of a media lane carries; squelched light carries nothing."""
        leaving = self.routes.tx_out(lane)
        errors = self.routes.tx_origin(lane, leaving)
        if self._squelched >> (lane - 1) & 1:
            leaving = leaving._replace(modulated=False)
        self._plant.set_payload(self._first + lane, leaving, errors)

    def _tx_settled(self, lane: int) -> None:
        self._settle_timers.pop(lane, None)
        self._settled_tx |= 1 << (lane - 1)
        self._frame.settle()

    def tx_valid(self, lane: int) -> bool:
        """True when the media output carries a valid, settled signal (OutputStatusTx)."""
        return bool(self._emitting & self._settled_tx & ~self._squelched & (1 << (lane - 1)))

    def _failed(self) -> int:
        """Media lanes whose laser is driven but dead (FailureFlagTx)."""
        return sum(
            1 << (lane - 1)
            for lane in self._frame.media_lanes
            if self._emitting >> (lane - 1) & 1 and self._plant.laser_failed(self._first + lane)
        )

    # -- Rx ------------------------------------------------------------------------------------------

    def _update_rx_output(self, host_ok: int, unlocked_rx: int) -> None:
        """DP-10, DP-11: OutputStatusRx and the flag of its changes."""
        valid = 0
        test, network = self.routes.test, self._frame.network
        for lane in LANES:
            carrier = self._frame.carrier_of_host(lane)
            media = carrier.media_lane_of(lane) if carrier is not None else 0
            if test.loopback(Loopback.HOST_INPUT, lane):
                good = self._tx[lane].locked
            elif test.generated(Side.HOST, lane) is not None or (network is not None and network.replaced_rx(lane)):
                good = True
            else:
                good = media > 0 and not unlocked_rx >> (media - 1) & 1
            valid |= good << (lane - 1)
        valid &= host_ok & ~self._frame.control["OutputDisableRx"].bits()
        cell = self._cells["OutputStatusRx"]
        changed = (valid ^ self._rx_status) & host_ok
        self._rx_status = valid
        if cell.implemented:
            cell.set_bits(valid)
        if changed:
            self._flags.latch(self._cells["OutputStatusChangedFlagRx"], changed)

    def _unlocked_rx(self) -> int:
        """Media lanes (mask) whose Rx side has no signal to work on: no light, or nothing in the loop."""
        locked = self.recovery.locked
        for lane in self._frame.media_lanes:
            if self.routes.test.loopback(Loopback.MEDIA_OUTPUT, lane):
                bit = 1 << (lane - 1)
                locked = locked | bit if self.routes.rx_in(lane) is not None else locked & ~bit
        return mask_of(self._frame.media_lanes) & ~locked

    # -- clock recovery of the host lanes --------------------------------------------------------------

    def _update_host_locks(self, powered: int) -> int:
        """Clock recovery runs where circuits are powered and a signal is there; returns who has no lock."""
        unlocked = 0
        acquisition_ms = self._profile.behaviour.tx_acquisition_ms
        if self._frame.linking.rules or self._too_late:
            self._look_for_late_signals(powered)
        self._worked = powered
        for lane, lock in self._tx.items():
            able = powered & ~self._too_late
            self._drive(lock, bool(able >> (lane - 1) & 1) and self._equaliser.usable(lane), acquisition_ms)
            unlocked |= (not lock.locked) << (lane - 1)
        return unlocked

    def _look_for_late_signals(self, powered: int) -> None:
        """Host lanes that come to work without a signal, where a fault makes them need it then."""
        self._too_late &= powered
        for lane in LANES:
            bit = 1 << (lane - 1)
            if powered & ~self._worked & bit and not self._equaliser.usable(lane):
                self._too_late |= bit * self._frame.linking.too_late(self._first + lane)

    def _drive(self, lock: _Lock, signal: bool, acquisition_ms: float) -> None:
        if not signal:
            lock.drop()
        elif not lock.locked and lock.timer is None:
            lock.timer = self._frame.clock.after(round(acquisition_ms * NS_PER_MS), partial(self._locked, lock))

    def _locked(self, lock: _Lock) -> None:
        lock.timer = None
        lock.locked = True
        self._frame.settle()


def is_powered(path: DataPath | None) -> bool:
    """True when the circuits of a data path are at work: from DPInit on."""
    return path is not None and path.state not in (DpState.DEACTIVATED, DpState.DEINIT)
