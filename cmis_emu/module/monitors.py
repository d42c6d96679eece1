"""Monitors and their threshold flags (rules MON-01 to MON-06, FLG-09, FLG-10, FLG-12).

Values are lazy: the plant is sampled on a fixed grid (`monitor_period_ms`), and the bytes are computed when
a host reads them. Flags are eager: for every channel this module asks the plant how far and how fast the
quantity can still move, and schedules the next look for the earliest sample at which a threshold can be
reached. At rest there is no event at all. Readings and flags come from the same samples, so they agree, and
neither depends on who polls.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from cmis_emu.clock import NEVER, NS_PER_MS, NS_PER_S, Clock, Event
from cmis_emu.module.faults.monitors import Misread, Misreadings, MonitorFaults
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.flags import Flags
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.states import OPERATING, MsmState
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.field import Field
from cmis_emu.registers.memory import Cell, Memory

KINDS = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")

LASER_TEMPERATURE_LSB = 1 / 256  # MON-01: what an Aux monitor holds when it reports a laser temperature
TEC_CURRENT_LSB = 1 / 32767  # fraction of the maximum; positive heats

_LANE_CHANNELS = (
    ("OpticalPowerTx", "OpticalPower{}Tx", "OpticalPowerTx", Quantity.TX_POWER),
    ("LaserBiasTx", "LaserBias{}Tx", "LaserBiasTx", Quantity.TX_BIAS),
    ("OpticalPowerRx", "OpticalPower{}Rx", "OpticalPowerRx", Quantity.RX_POWER),
)


@dataclass(slots=True)
class _Alarms:
    """The four flags of one monitor, and for which lanes each condition holds (bit lane-1)."""

    flags: tuple[Cell, ...]
    held: list[int] = field(default_factory=partial(list, (0, 0, 0, 0)))


@dataclass(slots=True)
class _Channel:
    """One monitored value: where it shows, what it is, and which thresholds and flags belong to it."""

    value: Cell
    lane: int  # element of `value` and of the flag, 1-based
    plant_lane: int  # 0 for the module
    quantity: Quantity
    lsb: float
    signed: bool
    alarms: _Alarms
    thresholds: tuple[Cell, ...]
    allowed: Callable[[int], tuple[bool, bool]]  # lane -> may high flags set, may low flags set (FLG-09)
    limits: tuple[float, ...] = ()
    look_ns: int = NEVER  # the first sample that can cross a threshold
    misreads: tuple[Misread, ...] = ()  # armed faults

    @property
    def key(self) -> tuple[str, int]:
        """Name and lane."""
        return self.value.field.name, self.plant_lane

    def of_code(self, code: int) -> float:
        """The value that a raw code stands for."""
        return _signed(code, self.signed) * self.lsb

    def load_limits(self) -> None:
        """Read the thresholds of page 02h, in the unit of the plant."""
        self.limits = tuple(_signed(cell.get(), self.signed) * self.lsb for cell in self.thresholds)

    def code(self, value: float) -> int:
        """Register code of a value, clipped to the field (MON-01, MON-04)."""
        low, high = (-32768, 32767) if self.signed else (0, 65535)
        return max(low, min(high, round(value / self.lsb)))


def _signed(code: int, signed: bool) -> int:
    return code - 65536 if signed and code > 32767 else code


class Monitors:
    """All monitors of one module. It is the live region of the lower memory and of each page 11h."""

    OWNS = (
        "TempMonValue",
        "VccMonVoltage",
        "Aux1MonValue",
        "Aux2MonValue",
        "Aux3MonValue",
        *(row[0] for row in _LANE_CHANNELS),
        *(f"{name}{kind}Flag" for name in ("TempMon", "VccMon", "Aux1Mon", "Aux2Mon", "Aux3Mon") for kind in KINDS),
        *(row[1].format(f"{kind}Flag") for row in _LANE_CHANNELS for kind in KINDS),
    )

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        clock: Clock,
        flags: Flags,
        plant: ModulePlant,
        banks: list[LaneBank],
        msm_state: Callable[[], MsmState],
        faults: MonitorFaults,
    ) -> None:
        self._faults = faults
        self._misreadings = Misreadings(plant.seed)
        self._clock = clock
        self._flags = flags
        self._plant = plant
        self._msm_state = msm_state
        self._period_ns = round(profile.behaviour.monitor_period_ms * NS_PER_MS)
        self._since_ns = 0
        self._event: Event | None = None
        self.due_ns = 0
        self._channels: list[_Channel] = []
        self._writers: list[Callable[[int, int], None]] = []
        self._bind_module(memory, profile)
        for bank in banks:
            self._bind_bank(memory, bank, profile.multiplier)
        memory.lower.live = self
        for bank in banks:
            memory.page(0x11, bank.bank).live = self

    # -- binding -------------------------------------------------------------------------------

    def _bind_module(self, memory: Memory, profile: Profile) -> None:
        observable = profile.registers.get
        rows: list[tuple[str, str, Quantity, float, bool]] = [
            ("TempMonValue", "TempMon", Quantity.CASE_TEMPERATURE, 1 / 256, True),
            ("VccMonVoltage", "VccMon", Quantity.VCC, 1e-4, False),
        ]
        tec = (Quantity.TEC_CURRENT, TEC_CURRENT_LSB, True)
        laser = (Quantity.LASER_TEMPERATURE, LASER_TEMPERATURE_LSB, True)
        if observable("Aux1MonObservable", 0):
            rows.append(("Aux1MonValue", "Aux1Mon", *tec))
        rows.append(("Aux2MonValue", "Aux2Mon", *(tec if observable("Aux2MonObservable", 0) else laser)))
        if not observable("Aux3MonObservable", 0):
            rows.append(("Aux3MonValue", "Aux3Mon", *laser))
        for value, prefix, quantity, lsb, signed in rows:
            cell = memory.cell(value)
            if not cell.implemented:
                continue
            always = quantity in (Quantity.CASE_TEMPERATURE, Quantity.VCC)
            self._channels.append(
                _Channel(
                    cell,
                    1,
                    0,
                    quantity,
                    lsb,
                    signed,
                    _Alarms(tuple(memory.cell(f"{prefix}{kind}Flag") for kind in KINDS)),
                    tuple(memory.cell(f"{prefix}{kind}Threshold") for kind in KINDS) if not profile.flat else (),
                    self._always if always else self._powered,
                )
            )
        for channel in self._channels:
            self._writers.append(partial(self._write_module, channel))

    def _bind_bank(self, memory: Memory, bank: LaneBank, multiplier: Callable[[Field], int]) -> None:
        for value, flag_name, threshold_name, quantity in _LANE_CHANNELS:
            cell = memory.cell(value, bank.bank)
            if not cell.implemented:
                continue
            lsb = (cell.field.scale or 1.0) * multiplier(cell.field)
            alarms = _Alarms(tuple(memory.cell(flag_name.format(f"{kind}Flag"), bank.bank) for kind in KINDS))
            thresholds = tuple(memory.cell(f"{threshold_name}{kind}Threshold") for kind in KINDS)
            rule = partial(self._rx if quantity is Quantity.RX_POWER else self._tx, bank)
            group: list[_Channel] = []
            for lane in bank.media_lanes:
                plant_lane = 8 * bank.bank + lane
                group.append(_Channel(cell, lane, plant_lane, quantity, lsb, False, alarms, thresholds, rule))
            self._channels.extend(group)
            self._writers.append(partial(self._write_lanes, cell, group))

    def _write_module(self, channel: _Channel, sample: int, at: int) -> None:
        value = self._reading(channel, sample, at)
        form = ">h" if channel.signed else ">H"
        struct.pack_into(form, channel.value.data, channel.value.slots[0][0], channel.code(value))

    def _write_lanes(self, cell: Cell, group: list[_Channel], sample: int, at: int) -> None:
        codes = [0] * len(cell.slots)  # APP-08: lanes that do not exist read 0
        for channel in group:
            value = self._reading(channel, sample, at)
            codes[channel.lane - 1] = channel.code(value)
        struct.pack_into(f">{len(codes)}H", cell.data, cell.slots[0][0], *codes)

    def _reading(self, channel: _Channel, sample: int, at: int, *, judged: bool = False) -> float:
        """What is reported of a sample; `judged`: for the flags."""
        value = self._plant.sample(channel.quantity, channel.plant_lane, sample, at)
        if not channel.misreads:
            return value
        read = self._misreadings.read
        return read(channel.misreads, channel.key, sample, at, value, channel.of_code, judged=judged)

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if isinstance(rule, Misread):
            (self._misreadings.arm(rule, self._clock.now_ns) if armed else self._misreadings.clear(rule))
            for channel in self._channels:
                channel.misreads = self._faults.about(*channel.key)
            self.due_ns = 0
            self.evaluate()

    # -- conformance (FLG-09, FLG-10) --------------------------------------------------------------

    def _managed(self) -> bool:
        return self._msm_state() not in (MsmState.RESETTING, MsmState.RESET, MsmState.MGMT_INIT)

    def _always(self, _: int) -> tuple[bool, bool]:
        return self._managed(), self._managed()

    def _powered(self, _: int) -> tuple[bool, bool]:
        powered = self._msm_state() is MsmState.READY
        return powered, powered

    def _rx(self, bank: LaneBank, lane: int) -> tuple[bool, bool]:
        path = bank.path_of_media(lane)
        ready = self._msm_state() is MsmState.READY
        return ready, ready and path is not None and path.state in OPERATING

    def _tx(self, bank: LaneBank, lane: int) -> tuple[bool, bool]:
        # While a laser settles after it was switched on, its low readings are no failure.
        return self._managed(), bank.signals.tx_valid(lane)

    # -- live region ---------------------------------------------------------------------------

    def _sample_at(self, now_ns: int) -> tuple[int, int]:
        """Number and instant of the sample that is held at `now_ns`."""
        index = now_ns // self._period_ns
        return index, max(index * self._period_ns, self._since_ns)

    def refresh(self, now_ns: int) -> None:
        """Rewrite all monitor bytes from the sample held now; both pages at once, so they agree."""
        index, at = self._sample_at(now_ns)
        for write in self._writers:
            write(index, at)
        self.due_ns = (index + 1) * self._period_ns

    # -- flags ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Registers are at their defaults: read the thresholds anew."""
        self.reload_thresholds()
        self.due_ns = 0

    def close(self) -> None:
        """Forget the next look."""
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def reload_thresholds(self) -> None:
        """Page 02h changed by the back door."""
        for channel in self._channels:
            channel.load_limits()

    def changed(self) -> None:
        """The plant or a state changed: what is held is stale, and thresholds may be near."""
        self.due_ns = 0
        self._since_ns = self._clock.now_ns
        self.evaluate()

    def evaluate(self) -> None:
        """Compare the sample held now with all thresholds and schedule the next look."""
        self._judge(self._channels)

    def _look(self) -> None:
        """The time has come at which some channels can cross a threshold."""
        self._event = None
        now = self._clock.now_ns
        self._judge([channel for channel in self._channels if channel.look_ns <= now])

    def _judge(self, channels: list[_Channel]) -> None:
        now = self._clock.now_ns
        index, at = self._sample_at(now)
        for channel in channels:
            channel.look_ns = NEVER
            if channel.misreads:  # each sample is asked for, so that faults do not depend on who polls
                channel.look_ns = (index + 1) * self._period_ns
                self._reading(channel, index, at)
            if not channel.limits:
                continue
            high_ok, low_ok = channel.allowed(channel.lane)
            conditions = (False,) * 4
            if high_ok or low_ok:
                value = self._reading(channel, index, at, judged=True)
                conditions = _compare(channel, value, high_ok, low_ok)
                look = self._next_look(channel, at)
                if look < NEVER:
                    # Looks happen on the sample grid only: between samples nothing new can be seen.
                    sample = max((look + self._period_ns - 1) // self._period_ns, index + 1)
                    channel.look_ns = min(channel.look_ns, sample * self._period_ns)
            bit, held = 1 << (channel.lane - 1), channel.alarms.held
            for kind, holds in enumerate(conditions):
                held[kind] = held[kind] | bit if holds else held[kind] & ~bit
        for channel in channels:
            for cell, bits in zip(channel.alarms.flags, channel.alarms.held, strict=True):
                self._flags.level(cell, bits)
        if self._event is not None:
            self._event.cancel()
            self._event = None
        soonest = min((channel.look_ns for channel in self._channels), default=NEVER)
        if soonest < NEVER:
            self._event = self._clock.at(soonest, self._look)

    def _next_look(self, channel: _Channel, at: int) -> int:
        """Earliest time at which this channel's reading can cross a threshold; NEVER at rest."""
        quantity, lane = channel.quantity, channel.plant_lane
        trend = self._plant.trend(quantity, lane, at)
        noise = self._plant.noise_bound(quantity, lane, trend.value + trend.remaining)
        margin = min(abs(limit - trend.value) for limit in channel.limits) - noise - channel.lsb
        if margin <= 0:
            return at + 1 if noise > 0 or trend.remaining > 0 else NEVER  # any sample, also the very next one
        if trend.remaining < margin or trend.rate <= 0:
            return NEVER
        return at + int(margin / trend.rate * NS_PER_S)


def _compare(channel: _Channel, value: float, high_ok: bool, low_ok: bool) -> tuple[bool, bool, bool, bool]:
    """(high alarm, low alarm, high warning, low warning) of a reading as its register shows it."""
    shown = channel.code(value) * channel.lsb
    high_alarm, low_alarm, high_warning, low_warning = channel.limits
    return (
        high_ok and shown > high_alarm,
        low_ok and shown < low_alarm,
        high_ok and shown > high_warning,
        low_ok and shown < low_warning,
    )
