"""The module state machine (rules MSM-01 to MSM-12, RST-01 to RST-05): states, timers, nothing else.

Conditions are asked of a `ModuleFrame`; entering a state is told to it. `transitions` drives the table;
durations run on the injected clock, never on the library's timers.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol

from transitions import Machine

from cmis_emu.clock import Clock, Event
from cmis_emu.module.faults.machines import MachineFaults, Stay, Staying
from cmis_emu.module.states import MSM_TRANSITIONS, MsmState, destination


class ModuleFrame(Protocol):
    """What the machine asks and tells."""

    clock: Clock

    @property
    def machines(self) -> MachineFaults: ...

    def reset_s(self) -> bool: ...
    def fault_s(self) -> bool: ...
    def low_pwr_s(self) -> bool: ...
    def module_deactivated_t(self) -> bool: ...
    def msm_duration_ns(self, state: MsmState) -> int: ...
    def msm_entered(self, state: MsmState) -> None: ...
    def settle(self, first: Callable[[], object] | None = None) -> None: ...


class ModuleStateMachine(Staying):
    """One module's MSM. `settle` moves it as far as its conditions allow at this instant."""

    __slots__ = ("__dict__", "_frame", "state")  # __dict__: transitions binds triggers per model

    if TYPE_CHECKING:  # added by the machine

        def evaluate(self) -> bool: ...
        def finished(self) -> bool: ...

    def __init__(self, frame: ModuleFrame) -> None:
        self._frame = frame
        self._timer: Event | None = None
        self._stay: Stay | None = None
        self._since_ns = 0
        self.state = MsmState.RESET
        _bind(self, MsmState.RESET)

    def __deepcopy__(self, memo: dict[int, Any]) -> ModuleStateMachine:
        # The machine is shared and binds its triggers to each model, so a copy joins it anew.
        twin = ModuleStateMachine.__new__(ModuleStateMachine)
        memo[id(self)] = twin
        _bind(twin, self.state)
        twin._frame = deepcopy(self._frame, memo)
        twin._timer = deepcopy(self._timer, memo)
        twin._stay, twin._since_ns = deepcopy(self._stay, memo), self._since_ns
        return twin

    def close(self) -> None:
        """Forget the timer."""
        self._cancel()

    # -- conditions, by the names of the table ---------------------------------------------------

    def reset_s(self) -> bool:
        """ResetS (RST-01)."""
        return self._frame.reset_s()

    def fault_s(self) -> bool:
        """A module fault was detected (MSM-04)."""
        return self._frame.fault_s()

    def low_pwr_s(self) -> bool:
        """LowPwrS (MSM-02)."""
        return self._frame.low_pwr_s()

    def low_pwr_ex_s(self) -> bool:
        """LowPwrExS (MSM-03)."""
        return self._frame.low_pwr_s() and self._frame.module_deactivated_t()

    # -- motion --------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Take every transition that is due now; True if the state changed."""
        moved = False
        while True:
            before = self.state
            if self._stay is not None and self._blocked():
                return moved
            self.evaluate()
            if self.state is before:
                return moved
            moved = True

    def entered(self) -> None:
        """Called by the table after each transition."""
        self._cancel()
        self._frame.msm_entered(self.state)
        self._begin()
        if self.state is MsmState.RESETTING:
            self.finished()

    # -- how long it stays ---------------------------------------------------------------------

    def _clock(self) -> Clock:
        return self._frame.clock

    def _machines(self) -> MachineFaults:
        return self._frame.machines

    def _title(self) -> str:
        return self.state.value

    def _lanes(self) -> frozenset[int]:
        return frozenset()

    def _natural_ns(self) -> int | None:
        return self._frame.msm_duration_ns(self.state) if self.state in _TIMED else None

    def _next(self) -> str | None:
        found: MsmState | None = destination(self, MSM_TRANSITIONS)
        return None if found is None else found.value

    def _asks(self) -> bool:
        low = self.low_pwr_s()
        return not low if self.state is MsmState.PWR_DN else low

    def _exempt(self) -> bool:
        return self.reset_s() or self.fault_s()

    def _ends(self) -> None:
        self._frame.settle(self.finished)

    def _settles(self) -> None:
        self._frame.settle()


_TIMED = frozenset({MsmState.MGMT_INIT, MsmState.PWR_UP, MsmState.PWR_DN})

_MACHINE = Machine(
    model=None,
    states=MsmState,
    initial=MsmState.RESET,
    transitions=MSM_TRANSITIONS,
    auto_transitions=False,
    ignore_invalid_triggers=True,
    after_state_change="entered",
)


def _bind(model: ModuleStateMachine, state: MsmState) -> None:
    """Give a model its state and triggers. The machine keeps no list of models, so they die when dropped."""
    _MACHINE.add_model(model, initial=state)
    _MACHINE.remove_model(model)
