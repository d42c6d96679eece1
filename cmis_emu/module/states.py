"""State codes and the transition tables of the module and data path state machines.

The tables are rules MSM-04 and DP-05 as data; `msm.py` and `dpsm.py` give the conditions their meaning.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any


class MsmState(Enum):
    """Module states (MSM-01). The value is the code in ModuleState, 0 where a host cannot read it."""

    RESETTING = "Resetting"
    RESET = "Reset"
    MGMT_INIT = "MgmtInit"
    LOW_PWR = "ModuleLowPwr"
    PWR_UP = "ModulePwrUp"
    READY = "ModuleReady"
    PWR_DN = "ModulePwrDn"
    FAULT = "ModuleFault"

    @property
    def code(self) -> int:
        """Code of the ModuleState field; 0 for the three states in which nothing answers."""
        return _MSM_CODES.get(self, 0)


_MSM_CODES = {
    MsmState.LOW_PWR: 1,
    MsmState.PWR_UP: 2,
    MsmState.READY: 3,
    MsmState.PWR_DN: 4,
    MsmState.FAULT: 5,
}

UNMANAGED = frozenset({MsmState.RESETTING, MsmState.RESET, MsmState.MGMT_INIT})

MSM_TRANSITIONS: list[dict[str, Any]] = [
    # Priority: ResetS first, then fault, then the rest (MSM-04). The first row that applies is taken.
    {
        "trigger": "evaluate",
        "source": [s for s in MsmState if s not in (MsmState.RESETTING, MsmState.RESET)],
        "dest": MsmState.RESETTING,
        "conditions": "reset_s",
    },
    {"trigger": "finished", "source": MsmState.RESETTING, "dest": MsmState.RESET},
    {"trigger": "evaluate", "source": MsmState.RESET, "dest": MsmState.MGMT_INIT, "unless": "reset_s"},
    {"trigger": "finished", "source": MsmState.MGMT_INIT, "dest": MsmState.LOW_PWR},
    {
        "trigger": "evaluate",
        "source": [s for s in MsmState if s not in UNMANAGED and s is not MsmState.FAULT],
        "dest": MsmState.FAULT,
        "conditions": "fault_s",
    },
    {"trigger": "evaluate", "source": MsmState.LOW_PWR, "dest": MsmState.PWR_UP, "unless": "low_pwr_s"},
    {"trigger": "evaluate", "source": MsmState.PWR_UP, "dest": MsmState.PWR_DN, "conditions": "low_pwr_s"},
    {"trigger": "finished", "source": MsmState.PWR_UP, "dest": MsmState.READY},
    {"trigger": "evaluate", "source": MsmState.READY, "dest": MsmState.PWR_DN, "conditions": "low_pwr_ex_s"},
    {"trigger": "finished", "source": MsmState.PWR_DN, "dest": MsmState.LOW_PWR},
]


class DpState(IntEnum):
    """Data path states (DP-01); the value is the code in DPStateHostLane."""

    DEACTIVATED = 1
    INIT = 2
    DEINIT = 3
    ACTIVATED = 4
    TX_TURN_ON = 5
    TX_TURN_OFF = 6
    INITIALIZED = 7

    @property
    def title(self) -> str:
        """The standard's name of the state."""
        return _DP_TITLES[self]


_DP_TITLES = {
    DpState.DEACTIVATED: "DPDeactivated",
    DpState.INIT: "DPInit",
    DpState.DEINIT: "DPDeinit",
    DpState.ACTIVATED: "DPActivated",
    DpState.TX_TURN_ON: "DPTxTurnOn",
    DpState.TX_TURN_OFF: "DPTxTurnOff",
    DpState.INITIALIZED: "DPInitialized",
}

_TRANSIENT = {
    DpState.INIT: "Init",
    DpState.DEINIT: "Deinit",
    DpState.TX_TURN_ON: "TxTurnOn",
    DpState.TX_TURN_OFF: "TxTurnOff",
}


def transient_name(state: DpState, kind: str = "DP") -> str:
    """Name of a transient state, such as 'DPInit'; `kind` is DP or NP."""
    return kind + _TRANSIENT[state]


STEADY = frozenset({DpState.DEACTIVATED, DpState.INITIALIZED, DpState.ACTIVATED})

OPERATING = frozenset({DpState.INITIALIZED, DpState.TX_TURN_ON, DpState.TX_TURN_OFF, DpState.ACTIVATED})
"""States in which signals pass and their flags may set (DP-10, FLG-09)."""

DPSM_TRANSITIONS: list[dict[str, Any]] = [
    {"trigger": "evaluate", "source": DpState.DEACTIVATED, "dest": DpState.INIT, "unless": "deinit_s"},
    {"trigger": "evaluate", "source": DpState.INIT, "dest": DpState.DEINIT, "conditions": "deinit_s"},
    {"trigger": "finished", "source": DpState.INIT, "dest": DpState.INITIALIZED},
    {
        "trigger": "evaluate",
        "source": DpState.INITIALIZED,
        "dest": DpState.DEINIT,
        "conditions": "redeinit_s",
    },
    {
        "trigger": "evaluate",
        "source": DpState.INITIALIZED,
        "dest": DpState.TX_TURN_ON,
        "unless": "deactivate_s",
    },
    {
        "trigger": "evaluate",
        "source": DpState.TX_TURN_ON,
        "dest": DpState.TX_TURN_OFF,
        "conditions": "deactivate_s",
    },
    {"trigger": "finished", "source": DpState.TX_TURN_ON, "dest": DpState.ACTIVATED},
    {
        "trigger": "evaluate",
        "source": DpState.ACTIVATED,
        "dest": DpState.TX_TURN_OFF,
        "conditions": "deactivate_s",
    },
    {"trigger": "finished", "source": DpState.TX_TURN_OFF, "dest": DpState.INITIALIZED},
    {"trigger": "finished", "source": DpState.DEINIT, "dest": DpState.DEACTIVATED},
]


class ConfigStatus(IntEnum):
    """Result codes of ConfigStatusLane (CFG-08)."""

    UNDEFINED = 0
    SUCCESS = 1
    REJECTED = 2
    INVALID_APP_SEL = 3
    INVALID_DATA_PATH = 4
    INVALID_SI = 5
    LANES_IN_USE = 6
    PARTIAL_DATA_PATH = 7
    IN_PROGRESS = 12


def destination(machine: Any, table: list[dict[str, Any]]) -> Any:
    """Where the conditions of a table lead a machine now, or None: the first row that applies."""
    for row in table:
        sources = row["source"] if isinstance(row["source"], list) else [row["source"]]
        if row["trigger"] != "evaluate" or machine.state not in sources:
            continue
        wanted, unwanted = row.get("conditions"), row.get("unless")
        if (wanted is None or getattr(machine, wanted)()) and (unwanted is None or not getattr(machine, unwanted)()):
            return row["dest"]
    return None
