"""The data path state machine (rules DP-01 to DP-19): one `DataPath` per data path of the active set.

Owns the state, its timer and the DPStateChanged rule (DP-13, DP-14). The conditions come from a
`DataPathFrame`, which knows the controls; lanes and registers are the frame's business.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol

from transitions import Machine

from cmis_emu.clock import Clock, Event
from cmis_emu.layouts.application import Application, mask_of
from cmis_emu.module.faults.machines import MachineFaults, Stay, Staying
from cmis_emu.module.states import DPSM_TRANSITIONS, STEADY, DpState, destination


class DataPathFrame(Protocol):
    """What a data path asks and tells."""

    clock: Clock
    bank: int
    path_kind: str  # DP or NP

    @property
    def machines(self) -> MachineFaults: ...

    def deinit_s(self, path: DataPath) -> bool: ...
    def redeinit_s(self, path: DataPath) -> bool: ...
    def deactivate_s(self, path: DataPath) -> bool: ...
    def configuring(self, path: DataPath) -> bool: ...
    def dpsm_duration_ns(self, state: DpState) -> int: ...
    def dpsm_flagged(self, transient: DpState) -> bool: ...
    def dpsm_entered(self, path: DataPath) -> None: ...
    def dpsm_changed_flag(self, path: DataPath) -> None: ...
    def settle(self) -> None: ...


class DataPath(Staying):
    """One data path: host lanes and media lanes of one bank, 1-based, and a state."""

    __slots__ = (
        "__dict__",  # transitions binds triggers per model
        "_announce",
        "_carried",
        "_carriers",
        "_frame",
        "_frozen",
        "application",
        "disturbed",
        "host_lanes",
        "host_mask",
        "init_pending",
        "media_lanes",
        "media_mask",
        "pending_hidden",
        "state",
    )

    if TYPE_CHECKING:  # added by the machine

        def evaluate(self) -> bool: ...
        def finished(self) -> bool: ...

    def __init__(
        self,
        frame: DataPathFrame,
        application: Application,
        host_lanes: tuple[int, ...],
        media_lanes: tuple[int, ...],
    ) -> None:
        self._frame = frame
        self.host_lanes = host_lanes
        self.assign(application, media_lanes)
        self.init_pending = False
        self.pending_hidden = False  # by a fault: no host sees that it is pending
        self.disturbed = False  # by a fault: it falls back to DPDeactivated once, and starts anew
        self.state = DpState.DEACTIVATED
        self._timer: Event | None = None
        self._stay: Stay | None = None
        self._since_ns = frame.clock.now_ns
        self._frozen = False
        self._announce = False
        _bind(self, DpState.DEACTIVATED)
        if frame.machines.rules:
            self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> DataPath:
        # The machine is shared and binds its triggers to each model, so a copy joins it anew.
        twin = DataPath.__new__(DataPath)
        memo[id(self)] = twin
        _bind(twin, self.state)
        twin.host_lanes = self.host_lanes
        twin.assign(self.application, self.media_lanes)
        twin.init_pending, twin._announce = self.init_pending, self._announce
        twin._frame = deepcopy(self._frame, memo)
        twin._timer = deepcopy(self._timer, memo)
        twin.pending_hidden, twin.disturbed, twin._frozen = self.pending_hidden, self.disturbed, self._frozen
        twin._stay, twin._since_ns = deepcopy(self._stay, memo), self._since_ns
        return twin

    @property
    def data_path_id(self) -> int:
        """Lowest host lane minus one (APP-05)."""
        return self.host_lanes[0] - 1

    def assign(self, application: Application, media_lanes: tuple[int, ...]) -> None:
        """Carry this application on these media lanes: the gearbox maps neighbours together."""
        self.application = application
        self.media_lanes = media_lanes
        self.host_mask, self.media_mask = mask_of(self.host_lanes), mask_of(media_lanes)
        ratio = max(1, len(self.host_lanes) // max(1, len(media_lanes)))
        last = len(media_lanes) - 1
        first = self.host_lanes[0]
        self._carriers = {n: media_lanes[min((n - first) // ratio, last)] for n in self.host_lanes if media_lanes}
        self._carried = {m: tuple(n for n, of in self._carriers.items() if of == m) for m in media_lanes}

    def media_lane_of(self, host_lane: int) -> int:
        """The media lane that carries `host_lane`'s signal; 0 for none."""
        return self._carriers.get(host_lane, 0)

    def host_lanes_of(self, media_lane: int) -> tuple[int, ...]:
        """The host lanes whose signal `media_lane` carries."""
        return self._carried.get(media_lane, ())

    def close(self) -> None:
        """Cease to exist (DP-17, DP-18)."""
        self._cancel()

    def freeze(self) -> None:
        """Stay in this state: no timer runs on (DP-18)."""
        self._cancel()
        self._frozen = True

    # -- conditions, by the names of the table ---------------------------------------------------

    def deinit_s(self) -> bool:
        """DPDeinitS (DP-02)."""
        return self._frame.deinit_s(self)

    def redeinit_s(self) -> bool:
        """DPReDeinitS (DP-03)."""
        return self._frame.redeinit_s(self) or self.disturbed

    def deactivate_s(self) -> bool:
        """DPDeactivateS (DP-04)."""
        return self._frame.deactivate_s(self) or self.disturbed

    # -- motion --------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Take every transition that is due now; True if the state changed."""
        moved = False
        while True:
            if (self._stay is not None and self._blocked()) or self.state not in _ASKED:
                break
            if self.state in STEADY and self._frame.configuring(self):
                break  # being configured: it stays
            before = self.state
            self.evaluate()
            if self.state is before:
                break
            moved = True
        if self._announce and self.state in STEADY:
            # DP-13: only a steady state that is not left at once is announced (DP-14).
            self._frame.dpsm_changed_flag(self)
        self._announce = False
        return moved

    def entered(self) -> None:
        """Called by the table after each transition."""
        self._cancel()
        if self.state is DpState.INIT:
            self.init_pending = self.pending_hidden = False  # DP-06
        elif self.state is DpState.DEINIT:
            self.disturbed = False
        self._frame.dpsm_entered(self)
        self._begin()

    # -- how long it stays ---------------------------------------------------------------------

    def _clock(self) -> Clock:
        return self._frame.clock

    def _machines(self) -> MachineFaults:
        return self._frame.machines

    def _title(self) -> str:
        return self._frame.path_kind + self.state.title[2:]

    def _lanes(self) -> frozenset[int]:
        return frozenset(8 * self._frame.bank + lane for lane in self.host_lanes)

    def _natural_ns(self) -> int | None:
        return None if self.state in STEADY else self._frame.dpsm_duration_ns(self.state)

    def _next(self) -> str | None:
        found: DpState | None = destination(self, DPSM_TRANSITIONS)
        return None if found is None else self._frame.path_kind + found.title[2:]

    def _asks(self) -> bool:
        return self.redeinit_s()

    def _exempt(self) -> bool:
        return self._frozen

    def _start(self) -> None:
        if not self._frozen:
            super()._start()

    def _ends(self) -> None:
        hidden = self._stay is not None and self._stay.hidden
        self._announce = self._frame.dpsm_flagged(self.state) and not hidden
        self.finished()
        self._frame.settle()

    def _settles(self) -> None:
        self._frame.settle()


_ASKED = frozenset(row["source"] for row in DPSM_TRANSITIONS if row["trigger"] == "evaluate")
"""States that a condition may end; the others end by themselves."""

_MACHINE = Machine(
    model=None,
    states=list(DpState),
    initial=DpState.DEACTIVATED,
    transitions=DPSM_TRANSITIONS,
    auto_transitions=False,
    ignore_invalid_triggers=True,
    after_state_change="entered",
)


def _bind(model: DataPath, state: DpState) -> None:
    """Give a model its state and triggers. The machine keeps no list of models, so they die when dropped."""
    _MACHINE.add_model(model, initial=state)
    _MACHINE.remove_model(model)
