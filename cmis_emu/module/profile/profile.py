"""A product: what it says and how it behaves, and the questions that controllers ask of it.

`reader.py` builds a `Profile` from YAML. It is immutable and shared by every module of the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cmis_emu.clock import NS_PER_MS
from cmis_emu.layouts.application import Application
from cmis_emu.module.cdb.plan import CdbPlan
from cmis_emu.module.firmware.plan import FirmwarePlan
from cmis_emu.module.nonvolatile import PasswordPolicy
from cmis_emu.module.timing import LatencyParameters
from cmis_emu.module.tuning.plan import TuningPlan
from cmis_emu.module.vdm.plan import VdmPlan
from cmis_emu.physics.parameters import PlantParameters
from cmis_emu.registers.field import Field
from cmis_emu.registers.regmap import CompiledMap, CompiledPage, RegisterMap

DURATION_BOUNDS_S = (
    0.001,
    0.005,
    0.01,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
    10.0,
    60.0,
    300.0,
    600.0,
    3000.0,
    float("inf"),
)
"""Exclusive upper bound of each state_duration code (DP-12)."""

DURATION_FIELDS = {
    "ModulePwrUp": "MaxDurationModulePwrUp",
    "ModulePwrDn": "MaxDurationModulePwrDn",
    "DPInit": "MaxDurationDPInit",
    "DPDeinit": "MaxDurationDPDeinit",
    "DPTxTurnOn": "MaxDurationDPTxTurnOn",
    "DPTxTurnOff": "MaxDurationDPTxTurnOff",
    "NPInit": "MaxDurationNPInit",
    "NPDeinit": "MaxDurationNPDeinit",
    "NPTxTurnOn": "MaxDurationNPTxTurnOn",
    "NPTxTurnOff": "MaxDurationNPTxTurnOff",
}

MAX_BANKS = {0: 1, 1: 2, 2: 4}


def duration_code(duration_s: float) -> int:
    """The smallest state_duration code whose range holds `duration_s`."""
    return next(code for code, bound in enumerate(DURATION_BOUNDS_S) if duration_s < bound)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Knobs where the standard leaves room; times in ms."""

    config_ms: float = 40.0  # ConfigInProgress lasts this long
    initial_config_status: int = 0  # CFG-06: both 0 and 1 are seen
    default_app_sel: int = 1  # APP-06: normally the first
    default_explicit_control: int = 0  # APP-06
    flag_latency_ms: float = 100.0  # FLG-02: at most 200
    monitor_period_ms: float = 100.0  # monitors are sampled and held this long
    write_limit: int = 8  # I2C-06
    read_limit: int = 128  # I2C-05; 8 is the strict reading
    write_holdoff_ms: float = 0.0  # I2C-11: at most 10
    nvm_holdoff_ms: float = 10.0  # I2C-11: after a write to non-volatile memory, at most 80
    page_holdoff_ms: float = 0.0  # I2C-11: at most 10
    media_lanes: str = "positional"  # or 'lowest-free' (APP-04)
    tx_settle_ms: float = 200.0  # Tx output valid after the laser is switched on
    tx_acquisition_ms: float = 20.0  # Tx CDR locks after the host's signal; the input equaliser adapts
    adaptive_eq_max_db: float = 12.0  # host channel loss that the adaptive input equaliser can make up for
    pattern_lock_ms: float = 5.0  # a pattern checker locks so long after its pattern came (DIAG-08)
    custom_gate_s: float = 1.0  # MeasurementTime 'custom' (DIAG-09)

    @property
    def config_ns(self) -> int:
        """Length of ConfigInProgress in ns."""
        return round(self.config_ms * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class SettingLimits:
    """What signal integrity values the module offers (CFG-08.5, CFG-14)."""

    eq_target_max: int
    pre_cursor_max: int
    post_cursor_max: int
    amplitude_codes: frozenset[int]
    recall_buffers: int
    tx_cdr_bypass: bool
    rx_cdr_bypass: bool
    adaptive_eq: bool

    def allow(self, settings: Mapping[str, int]) -> bool:
        """False when one staged value is not offered. Values the module lacks read 0 and pass."""
        adaptive = self.adaptive_eq and settings["AdaptiveInputEqEnableTx"]
        if not adaptive and settings["HostControlledInputEqTargetTx"] > self.eq_target_max:
            return False  # CFG-15: irrelevant while the adaptive equaliser runs
        return (
            settings["OutputEqPreCursorTargetRx"] <= self.pre_cursor_max
            and settings["OutputEqPostCursorTargetRx"] <= self.post_cursor_max
            and (not self.amplitude_codes or settings["OutputAmplitudeTargetRx"] in self.amplitude_codes)
            and (bool(settings["CDREnableTx"]) or self.tx_cdr_bypass)
            and (bool(settings["CDREnableRx"]) or self.rx_cdr_bypass)
        )


@dataclass(frozen=True)
class Profile:
    """One product. Immutable, shared by every module of the kind."""

    name: str
    title: str
    form_factor: str
    revision: tuple[int, int]
    registers: Mapping[str, Any]
    applications: tuple[Application, ...]
    durations_ns: Mapping[str, int]
    signal_integrity: Mapping[str, int]
    behaviour: Behaviour
    plant: PlantParameters
    password: PasswordPolicy
    latency: LatencyParameters | None
    tuning: TuningPlan | None
    vdm: VdmPlan | None
    cdb: CdbPlan | None
    firmware: FirmwarePlan | None
    regmap: RegisterMap = field(repr=False)
    compiled: CompiledMap = field(repr=False)
    image: Mapping[int, bytes] = field(repr=False)
    setting_limits: SettingLimits = field(repr=False)

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    @property
    def flat(self) -> bool:
        """Flat memory: lower memory and page 00h only (PAGE-05)."""
        return bool(self.registers.get("MemoryModel", 0))

    @property
    def banks(self) -> int:
        """Number of 8-lane banks (PAGE-09)."""
        return MAX_BANKS.get(int(self.registers.get("BanksSupported", 0)), 1)

    def host_lanes(self, bank: int) -> int:
        """Host lanes of a bank that the product has; the others are never used."""
        return max(0, min(8, self.plant.host_lanes - 8 * bank))

    @property
    def has_mod_sel(self) -> bool:
        """Does the form factor have a select pin? QSFP and QSFP-DD do, OSFP does not (I2C-01, RST-08)."""
        return self.form_factor.startswith("QSFP")

    def bank_count(self, page: CompiledPage) -> int:
        """Banks of one banked page: lanes, or CDB instances for the message pages (PAGE-09)."""
        if self.regmap.pages[page.number].bank_index == "cdb_instance":
            return int(self.registers.get("CdbInstancesSupported", 0))
        return self.banks

    def multiplier(self, field: Field) -> int:
        """What multiplies a value beyond the map's scale: the bias multiplier that the product says (MON-01)."""
        return 1 if field.scaled_by is None else 1 << int(self.registers.get(field.scaled_by, 0))

    def duration_code(self, phase: str) -> int:
        """Advertised state_duration code of a transient state such as 'DPInit'."""
        return int(self.registers.get(DURATION_FIELDS[phase], 0))

    @property
    def stepped_config_only(self) -> bool:
        """SteppedConfigOnly (CFG-07)."""
        return bool(self.registers.get("SteppedConfigOnly", 0))

    @property
    def auto_commissioning(self) -> int:
        """AutoCommissioning (CFG-07, 5.3)."""
        return int(self.registers.get("AutoCommissioning", 0))

    @property
    def default_application(self) -> Application | None:
        """What runs without a host, or none for a module without applications (APP-06)."""
        return self.application(self.behaviour.default_app_sel)

    def application(self, app_sel: int) -> Application | None:
        """The advertised application, or None (CFG-08.1)."""
        return self.applications[app_sel - 1] if 0 < app_sel <= len(self.applications) else None

    def media_lanes(
        self, application: Application, first_host_lane: int, taken: Iterable[tuple[int, ...]]
    ) -> tuple[int, ...] | None:
        """Media lanes of a data path (APP-04), or None when none are free.

        A gearbox wires host lanes to media lanes, so where an application has as many media starts as host
        starts the n-th host start takes the n-th media start. Otherwise, or with `media_lanes:
        lowest-free`, it takes the lowest start whose group is free.
        """
        used = {lane for lanes in taken for lane in lanes}
        if application.network_path:  # its network path takes them, once for all that share it
            return () if first_host_lane in application.host_starts else None
        if first_host_lane not in application.host_starts:
            return None
        starts = application.media_starts or (1,)
        if self.behaviour.media_lanes == "positional" and len(starts) == len(application.host_starts):
            starts = (starts[application.host_starts.index(first_host_lane)],)
        for start in starts:
            lanes = tuple(range(start, start + max(1, application.media_lanes)))
            if not used & set(lanes):
                return lanes
        return None
