"""Versatile diagnostics monitoring: values, statistics, freeze and power saving (rules VDM-01 to VDM-11).

Samples lie on the grid of FineIntervalLength, and are computed when a host reads them. A freeze takes them all
at one instant, some ms after the request, and holds them; flags are judged by what is shown, so none sets while
frozen. An unfreeze begins a new interval. A request acts on all banks, whichever it is written in.

Where the rules are silent: a request that is taken back before it is done has no effect; PowerSavingMode stops
all measuring and holds what was shown, and its end begins a new interval; total accumulated is the number of
errored frames since the last unfreeze; SEWmax is the largest of one fine interval, and its statistics are over
those; instances of lanes or data paths that are not at work read 0, as real modules show them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cmis_emu.clock import NEVER, NS_PER_MS, NS_PER_S, Clock, Event
from cmis_emu.module.faults.monitors import Misread, Misreadings, MonitorFaults
from cmis_emu.module.faults.seam import Rule
from cmis_emu.module.flags import Flags
from cmis_emu.module.lanes import LaneBank
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.reception import MediaReception
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.channels import Channel, GroupPage, Reports, bind, key_of
from cmis_emu.module.vdm.faults import BadFreeze, Freezes, Hole, VdmFaults
from cmis_emu.module.vdm.flags import VdmFlags
from cmis_emu.module.vdm.gauges import gauge_of
from cmis_emu.module.vdm.plan import VdmPlan
from cmis_emu.module.vdm.reception import BankInputs, BankWatch, HostReception, Reception
from cmis_emu.module.vdm.statistics import Grid
from cmis_emu.physics.plant import ModulePlant
from cmis_emu.registers.memory import Memory, Write


class _Live:
    """The live region of one page of values."""

    __slots__ = ("_page", "_vdm", "due_ns")

    def __init__(self, vdm: Vdm, page: GroupPage) -> None:
        self._vdm = vdm
        self._page = page
        self.due_ns = 0

    def refresh(self, now_ns: int) -> None:
        """Rewrite the page from the sample held now; a held page stays as it is."""
        if self._vdm.holding:
            self.due_ns = NEVER
            return
        self._page.write(*self._vdm.held_at(now_ns))
        self.due_ns = self._vdm.next_sample_ns(now_ns)


class Vdm:
    """VDM of one module: all groups in all banks."""

    OWNS = ("VDMSample", "VDMFlags", "FreezeRequest", "FreezeDone", "UnfreezeDone", "PowerSavingMode")

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        plan: VdmPlan,
        clock: Clock,
        flags: Flags,
        plant: ModulePlant,
        banks: Sequence[LaneBank],
        faults: VdmFaults | None = None,
        misreads: MonitorFaults | None = None,
    ) -> None:
        self._clock = clock
        self._faults = faults or VdmFaults()
        self._misreads = misreads or MonitorFaults()
        self._misreadings = Misreadings(plant.seed)
        self._stopped = False  # by a fault: nothing is reported any more
        self._unheard: bool | None = None  # by a fault: the request that has no effect
        self._stuck: Event | None = None  # by a fault: a done bit that goes away late
        self._plan = plan
        self._grid = Grid(plan.fine_interval_ns, round(profile.behaviour.monitor_period_ms * NS_PER_MS))
        self._since_ns = 0  # inputs are as they are since then
        self._frozen = self._saving = False
        self._event: Event | None = None
        self._target = False  # what the event brings: frozen or not
        self._asked = False  # a host wrote a request that has not been confirmed
        self._watches = [BankWatch(bank) for bank in banks]
        self._channels: list[Channel] = []
        self._of_bank: list[list[Channel]] = []
        self._lives: list[_Live] = []
        numbers = range(len(banks))
        self._reports = [Reports(self._misreadings, 8 * bank.bank, self._grid.fine_ns) for bank in banks]
        self._requests = [memory.cell("FreezeRequest", bank) for bank in numbers]
        self._savings = [memory.cell("PowerSavingMode", bank) for bank in numbers]
        self._freeze_done = [memory.cell("FreezeDone", bank) for bank in numbers]
        self._unfreeze_done = [memory.cell("UnfreezeDone", bank) for bank in numbers]
        bound = [self._bind(memory, bank, watch, plant) for bank, watch in zip(banks, self._watches, strict=True)]
        cells = [memory.cell("VDMFlags", bank) for bank in numbers]
        self._alarms = VdmFlags(
            clock, flags, self._grid, list(zip(cells, bound, strict=True)), self.held_at, self._reports
        )
        for request in self._requests:
            request.page.hooks[request.slots[0][0]] = self._written

    def _bind(self, memory: Memory, bank: LaneBank, watch: BankWatch, plant: ModulePlant) -> list[Channel]:
        first, interval_s = 8 * bank.bank, self._grid.fine_ns / NS_PER_S
        receptions: dict[Side, Reception] = {
            Side.HOST: HostReception(watch, plant.seed, first, plant.parameters.media_receiver.lane_bps, interval_s),
            Side.MEDIA: MediaReception(bank, plant, first, interval_s),
        }
        keys = dict.fromkeys(key_of(each) for group in self._plan.groups for each in group.instances)
        gauges = {key: gauge_of(*key, watch, plant, 8 * bank.bank, receptions) for key in keys}
        channels, pages = bind(memory, bank.bank, self._plan, gauges, self._grid, self._reports[bank.bank])
        for number, page in enumerate(pages):
            live = _Live(self, page)
            memory.page(memory.regmap.family("VDMSample")[number].page, bank.bank).live = live
            self._lives.append(live)
        self._channels.extend(channels)
        self._of_bank.append(channels)
        return channels

    # -- samples -----------------------------------------------------------------------------------

    @property
    def holding(self) -> bool:
        """Values stay as they are: frozen, or saving power, or out of order."""
        return self._frozen or self._saving or self._stopped

    def held_at(self, now_ns: int) -> tuple[int, int]:
        """Number and instant of the sample that is held at `now_ns`."""
        return self._grid.held(now_ns, self._since_ns)

    def next_sample_ns(self, now_ns: int) -> int:
        """When the next one is taken."""
        return (now_ns // self._grid.fine_ns + 1) * self._grid.fine_ns

    def inputs_change(self) -> None:
        """Something that is measured is about to change: count what was until now."""
        if self.holding:
            return
        now = self._clock.now_ns
        self._outdate()
        if now == self._since_ns:  # the same instant's changes come one by one, and there is nothing between to count
            for channel in self._channels:
                channel.forget()
            return
        for channel in self._channels:
            channel.close(now)
        self._open(now)

    def _open(self, now: int) -> None:
        self._since_ns = now
        for channel in self._channels:
            channel.open(now)

    def settled(self, changed: bool) -> None:
        """The module came to rest; `changed`: plant, states or registers are not what they were."""
        self._follow()
        fresh = [watch.fresh() for watch in self._watches]
        if fresh != [watch.inputs for watch in self._watches]:
            self.inputs_change()
            for watch, inputs in zip(self._watches, fresh, strict=True):
                watch.inputs = inputs
            if not self.holding:
                self._open(self._clock.now_ns)
            changed = True
        if changed and not self.holding:
            self._refresh_all()

    def _outdate(self) -> None:
        """The sample that pages show was taken before this instant's change; they show one taken since."""
        for live in self._lives:
            live.due_ns = 0

    def _refresh_all(self) -> None:
        """What is held is stale, and thresholds may be near."""
        self._outdate()
        self._alarms.stale()

    def reload_thresholds(self) -> None:
        """Thresholds changed by the back door."""
        self._alarms.reload()

    # -- freeze and power saving (VDM-06, VDM-08, VDM-11) ----------------------------------------------

    def _written(self, write: Write) -> None:
        """One bank's controls speak for all."""
        for requests in (self._requests, self._savings):
            if requests[0].implemented:
                value = requests[write.bank].get()
                for cell in requests:
                    cell.set(value)
        self._asked = True
        self._unheard = None
        if self._faults.rules and self._faults.freezing(Freezes.STOPS, bool(self._requests[0].get())):
            self._hold()
            self._stopped = True
        self._follow()

    def _follow(self) -> None:
        """Bring the module to what the controls ask for."""
        if self._stopped:
            return
        saving = self._savings[0].implemented and bool(self._savings[0].get())
        if saving != self._saving:
            self._hold()
            self._saving = saving
            self._resume()
        wanted = bool(self._requests[0].get())
        confirmed = self._freeze_done if wanted else self._unfreeze_done
        if self._event is not None and wanted != self._target:
            self._cancel()  # taken back before it was done
        if self._event is None and (wanted != self._frozen or (not confirmed[0].get() and self._asked)):
            delay_ns = self._delay_ns(wanted) if self._faults.rules else self._plan.freeze_ns
            if delay_ns is not None:
                self._target = wanted
                self._event = self._clock.after(delay_ns, self._done)

    def _done(self) -> None:
        self._event = None
        self._asked = False
        if self._target != self._frozen:
            self._hold()
            self._frozen = self._target
            self._resume()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        for cell in self._freeze_done if self._frozen else self._unfreeze_done:
            cell.set(1)
        stuck = self._faults.freezing(Freezes.STICKS, self._frozen) if self._faults.rules else None
        if stuck is None:
            self._clear_other()
        else:
            due_ns = NEVER if stuck.time_ns is None else self._clock.now_ns + stuck.time_ns
            self._stuck = self._clock.at(due_ns, self._clear_other)

    def _clear_other(self) -> None:
        """The done bit of the request before goes away."""
        self._stuck = None
        for cell in self._unfreeze_done if self._frozen else self._freeze_done:
            cell.set(0)

    # -- faults ------------------------------------------------------------------------------------

    def _delay_ns(self, wanted: bool) -> int | None:
        """How long a request takes; None for one that has no effect."""
        if self._unheard is wanted:
            return None
        if self._faults.freezing(Freezes.NEVER, wanted) is not None:
            self._unheard = wanted
            return None
        late = self._faults.freezing(Freezes.LATE, wanted)
        return self._plan.freeze_ns if late is None else late.time_ns

    def refault(self, rule: Rule, armed: bool) -> None:
        """A fault was armed or cleared."""
        if isinstance(rule, Misread):
            (self._misreadings.arm(rule, self._clock.now_ns) if armed else self._misreadings.clear(rule))
        if isinstance(rule, (Misread, Hole)):
            for channels, reports in zip(self._of_bank, self._reports, strict=True):
                for shown in (each for channel in channels for each in channel.shown):
                    shown.misreads = self._misreads.about(shown.observable.name, reports.lane(shown))
                    shown.gone = self._faults.gone(shown.instance)
            if not self.holding:
                self._refresh_all()
        if isinstance(rule, BadFreeze) and not armed:
            self._recover(rule)

    def _recover(self, rule: BadFreeze) -> None:
        """Freezing works again: what was asked for meanwhile is done."""
        if rule.how is Freezes.STICKS and self._stuck is not None:
            self._stuck.cancel()
            self._clear_other()
        self._unheard = None
        if self._stopped:
            self._stopped = False
            self._resume()
        self._follow()

    def _hold(self) -> None:
        """Bring every page to this instant, before it is held."""
        if not self.holding:
            now = self._clock.now_ns
            for live in self._lives:
                if live.due_ns <= now:
                    live.refresh(now)
            self._alarms.cancel()

    def _resume(self) -> None:
        """Measure again, in a new interval, when nothing holds the values any more."""
        if not self.holding:
            self._since_ns = self._clock.now_ns
            for channel in self._channels:
                channel.start(self._since_ns)
            self._refresh_all()

    # -- life --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Registers are at their defaults: nothing is frozen, nothing was measured (RST-05)."""
        self.close()
        self._frozen = self._saving = self._asked = self._stopped = False
        self._unheard = None
        for watch in self._watches:
            watch.inputs = BankInputs()
        self._since_ns = self._clock.now_ns
        for channel in self._channels:
            channel.start(self._since_ns)
        for live in self._lives:
            live.due_ns = 0
        self.reload_thresholds()

    def close(self) -> None:
        """Unplugged: no timer stays."""
        self._cancel()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        self._alarms.cancel()

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
