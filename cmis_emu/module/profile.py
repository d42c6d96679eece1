"""Profiles: what a product says and how it behaves, from `register_maps/modules/*.yaml`.

Owns the reading of a profile, the image that its registers form on the map (checksums and duration codes
included, NUM-05, DP-12), and the questions that controllers ask of it. Values that a host can read and
values that the module acts on come from the same lines, so what is advertised is what happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeVar, get_args, get_type_hints

from cmis_emu.clock import NS_PER_MS, NS_PER_S
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.layouts.application import UNUSED, Application, lanes_of, mask_of, parse_applications
from cmis_emu.physics.laser import PRESETS as LASER_PRESETS
from cmis_emu.physics.plant import PlantParameters
from cmis_emu.physics.units import dbm_to_w
from cmis_emu.registers.encoding import encode, insert
from cmis_emu.registers.field import LOWER, Field, Kind
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.regmap import CompiledMap, CompiledPage, RegisterMap, compile_map, page_name
from cmis_emu.registers.yamlfile import Located, load_yaml
from cmis_emu.resources import maps_root

HALF = 128

_T = TypeVar("_T")

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
    default_explicit_control: int = 0  # APP-06
    flag_latency_ms: float = 100.0  # FLG-02: at most 200
    monitor_period_ms: float = 100.0  # monitors are sampled and held this long
    write_limit: int = 8  # I2C-06
    read_limit: int = 128  # I2C-05; 8 is the strict reading
    write_holdoff_ms: float = 0.0  # I2C-11: at most 10
    page_holdoff_ms: float = 0.0  # I2C-11: at most 10
    media_lanes: str = "positional"  # or 'lowest-free' (APP-04)
    tx_settle_ms: float = 200.0  # Tx output valid after the laser is switched on
    rx_acquisition_ms: float = 300.0  # Rx CDR locks after light
    tx_acquisition_ms: float = 20.0  # Tx CDR locks after the host's signal

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

    def bank_count(self, page: CompiledPage) -> int:
        """Banks of one banked page: lanes, or CDB instances for the message pages (PAGE-09)."""
        if self.regmap.pages[page.number].bank_index == "cdb_instance":
            return int(self.registers.get("CdbInstancesSupported", 0))
        return self.banks

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
        """AppSel 1, or none for a module without applications (APP-06)."""
        return self.application(1)

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


_KEYS = (
    "profile",
    "title",
    "form_factor",
    "revision",
    "registers",
    "applications",
    "durations_ms",
    "thresholds",
    "signal_integrity",
    "behaviour",
    "plant",
)
_APPLICATION_KEYS = ("host", "media", "host_lanes", "media_lanes", "host_start", "media_start")
_PRESETS: Mapping[str, Mapping[str, object]] = {"laser": LASER_PRESETS}  # plant values that have names
_THRESHOLDS = {
    "temperature_c": ("TempMon", 1.0),
    "vcc_v": ("VccMon", 1.0),
    "laser_temperature_c": ("Aux2Mon", 256.0),  # raw counts: what Aux2 means is advertised, not fixed
    "tx_power_dbm": ("OpticalPowerTx", None),
    "rx_power_dbm": ("OpticalPowerRx", None),
    "tx_bias_ma": ("LaserBiasTx", 1e-3),
}
_THRESHOLD_ORDER = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")


def profile_path(name: str) -> Path:
    """File of a library profile (it need not exist)."""
    return maps_root() / "modules" / f"{name}.yaml"


def profile_names() -> list[str]:
    """Names of all profiles in the library, sorted."""
    return sorted(path.stem for path in (maps_root() / "modules").glob("*.yaml"))


@lru_cache(maxsize=64)
def load_profile(name: str) -> Profile:
    """A profile by library name or by path of a YAML file. Raises InputError with file:line."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else profile_path(name)
    if not path.exists():
        near = get_close_matches(name, profile_names(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"no profile {name!r}", f"one of {', '.join(profile_names())}{hint}", field="profile")
    return read_profile(load_yaml(path))


def read_profile(source: Located) -> Profile:
    """Check a profile mapping and build the product from it."""
    source.check_keys(_KEYS, ("profile", "title", "form_factor", "revision", "registers"))
    regmap = load_maps()
    revision = _revision(source)
    registers = _section(source, "registers")
    applications = tuple(_application(source, i, row) for i, row in enumerate(source.get("applications") or [], 1))
    durations = _durations(source)
    values: dict[str, Any] = {}
    for phase, target in DURATION_FIELDS.items():
        if phase in durations:
            values[target] = duration_code(durations[phase] / NS_PER_S)
    values.update(_thresholds(source))
    values.update(registers)
    values.setdefault("CmisRevision", revision[0] << 4 | revision[1])
    codes = {name: _code(source, registers, regmap, name, value) for name, value in values.items()}

    def advertised(name: str) -> int:
        code = codes.get(name, 0)
        return code if isinstance(code, int) else 0

    compiled = compile_map(regmap, revision, advertised)
    image = _image(source, registers, regmap, compiled, values, applications)
    behaviour = Behaviour(**_known(source, "behaviour", [f.name for f in fields(Behaviour)]))
    limits = SettingLimits(
        eq_target_max=advertised("TxInputEqMax"),
        pre_cursor_max=advertised("RxOutputEqPreCursorMax"),
        post_cursor_max=advertised("RxOutputEqPostCursorMax"),
        amplitude_codes=frozenset(n for n in range(4) if advertised(f"RxOutputLevel{n}Supported")),
        recall_buffers=advertised("TxInputEqRecallBuffersSupported"),
        tx_cdr_bypass=bool(advertised("TxCDRBypassControlSupported")) or not advertised("TxCDRSupported"),
        rx_cdr_bypass=bool(advertised("RxCDRBypassControlSupported")) or not advertised("RxCDRSupported"),
        adaptive_eq=bool(advertised("TxInputAdaptiveEqSupported")),
    )
    return Profile(
        name=str(source["profile"]),
        title=str(source["title"]),
        form_factor=str(source["form_factor"]),
        revision=revision,
        registers={name: code for name, code in codes.items() if isinstance(code, int)},
        applications=_advertised_applications(regmap, image),
        durations_ns=durations,
        signal_integrity=dict(_section(source, "signal_integrity")),
        behaviour=behaviour,
        plant=_plant(source),
        regmap=regmap,
        compiled=compiled,
        image=image,
        setting_limits=limits,
    )


def _section(source: Located, key: str) -> Located:
    section = source.get(key)
    if section is None:
        return Located(source.file, source.line)
    if not isinstance(section, Located):
        raise source.error(key, section, "key: value pairs")
    return section


def _known(source: Located, key: str, names: Iterable[str]) -> dict[str, Any]:
    section = _section(source, key)
    section.check_keys(list(names))
    return dict(section)


def _revision(source: Located) -> tuple[int, int]:
    text = str(source["revision"])
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit() and int(major) <= 15 and int(minor) <= 15):
        raise source.error("revision", source["revision"], "a CMIS revision such as '5.2'")
    return int(major), int(minor)


def _application(source: Located, number: int, row: Any) -> Application:
    if not isinstance(row, Located):
        raise source.error("applications", row, "a list of mappings")
    row.check_keys(_APPLICATION_KEYS, _APPLICATION_KEYS[:5])
    for key in _APPLICATION_KEYS:
        value = row.get(key, 0)
        limit = 15 if key.endswith("lanes") else 255
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
            raise row.error(key, value, f"a number from 0 to {limit}", field=f"application {number}: {key}")
    if number > 15:
        raise row.error(None, "a 16th application", "at most 15 (APP-01)")
    return Application(
        number,
        row["host"],
        row["media"],
        row["host_lanes"],
        row["media_lanes"],
        lanes_of(row["host_start"]),
        lanes_of(row.get("media_start", 0)),
    )


def _durations(source: Located) -> dict[str, int]:
    names = ("MgmtInit", *DURATION_FIELDS)
    found: dict[str, int] = {}
    section = _section(source, "durations_ms")
    section.check_keys(names)
    for name, value in section.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise section.error(name, value, "a duration in ms")
        found[name] = round(value * NS_PER_MS)
    if found.get("MgmtInit", 0) > 2000 * NS_PER_MS:
        raise section.error("MgmtInit", section["MgmtInit"], "at most 2000 ms (RST-04)")
    return found


def _thresholds(source: Located) -> dict[str, float]:
    """Threshold registers from rows of high alarm, low alarm, high warning, low warning."""
    section = _section(source, "thresholds")
    section.check_keys(_THRESHOLDS)
    found: dict[str, float] = {}
    for key, row in section.items():
        if not isinstance(row, list) or len(row) != 4 or not all(isinstance(v, (int, float)) for v in row):
            raise section.error(key, row, "[high alarm, low alarm, high warning, low warning]")
        prefix, factor = _THRESHOLDS[key]
        for kind, value in zip(_THRESHOLD_ORDER, row, strict=True):
            number = dbm_to_w(value) if factor is None else value * factor
            found[f"{prefix}{kind}Threshold"] = round(number) if prefix == "Aux2Mon" else number
    return found


def _code(source: Located, section: Located, regmap: RegisterMap, name: str, value: Any) -> int | bytes:
    """The raw code of a profile value, with the place in the profile when it does not fit."""
    try:
        field_ = _field(regmap, name)
        return encode(field_, value, regmap.enums.get(field_.enum or "", {}))
    except UnknownFieldError as error:
        raise section.error(name, name, str(error).partition("expected ")[2] or "a CMIS field") from None
    except InputError as error:
        raise section.error(name, error.found, error.expected) from None


def _field(regmap: RegisterMap, name: str) -> Field:
    return regmap.resolve(name)[0]


def _image(
    source: Located,
    registers: Located,
    regmap: RegisterMap,
    compiled: CompiledMap,
    values: Mapping[str, Any],
    applications: tuple[Application, ...],
) -> dict[int, bytes]:
    """The reset bytes of every page: map defaults, the profile's values, applications and checksums."""
    blocks = {number: bytearray(page.reset) for number, page in compiled.pages.items()}
    for page in compiled.pages.values():
        for text in (f for f in page.fields if f.kind is Kind.ASCII):
            first, last = text.span  # NUM-03: text that a product leaves out is blank, not zero
            start = first - (0 if page.number == LOWER else HALF)
            blocks[page.number][start : start + last - first + 1] = b" " * (last - first + 1)
    for name, value in values.items():
        each, lane = regmap.resolve(name)
        if each.page not in blocks:
            raise registers.error(name, f"a field of page {page_name(each.page)}", "a page that this profile has")
        if not compiled.implements(each.name) and value:
            raise registers.error(name, "a value", f"{each.name} to be advertised first")
        raw = _code(source, registers, regmap, name, value)
        lanes = range(1, each.count + 1) if lane is None else (lane,)
        for number in lanes:
            insert(each, blocks[each.page], 0 if each.page == LOWER else HALF, raw, number)
    _lay_out_applications(regmap, blocks, applications)
    for number, block in blocks.items():
        checksum = regmap.pages[number].checksum
        if checksum is not None:
            block[checksum.at - HALF] = checksum.of(bytes(block))
    return {number: bytes(block) for number, block in blocks.items()}


_APPLICATION_FIELDS = (
    "ApplicationDescriptor.HostInterfaceID",
    "AdditionalApplicationDescriptor.HostInterfaceID",
)


def _lay_out_applications(
    regmap: RegisterMap, blocks: dict[int, bytearray], applications: tuple[Application, ...]
) -> None:
    """Descriptors and media lane options; FFh 00h 00h 00h behind the last one (APP-01)."""
    media = regmap.field("MediaLaneAssignmentOptions")
    for app_sel in range(1, 16):
        index = app_sel - 1 if app_sel <= 8 else app_sel - 9
        first = regmap.field(_APPLICATION_FIELDS[app_sel > 8])
        if first.page not in blocks:
            continue
        given = applications[app_sel - 1] if app_sel <= len(applications) else None
        at = first.at + 4 * index - (0 if first.page == LOWER else HALF)
        blocks[first.page][at : at + 4] = given.pack() if given else UNUSED
        if given and media.page in blocks:
            insert(media, blocks[media.page], HALF, mask_of(given.media_starts), app_sel)


def _advertised_applications(regmap: RegisterMap, image: Mapping[int, bytes]) -> tuple[Application, ...]:
    """The applications that the image really advertises: what hosts read is what the module does."""
    basic, more = (regmap.field(name) for name in _APPLICATION_FIELDS)
    media = regmap.field("MediaLaneAssignmentOptions")
    lower = image[LOWER][basic.at : basic.at + 32]
    page = image.get(more.page)
    if page is None:  # flat memory: no page 01h, so no media options and no additional descriptors
        return parse_applications(lower, b"", bytes(8))
    start = media.at - HALF
    return parse_applications(lower, page[more.at - HALF : more.at - HALF + 28], page[start : start + 15])


def _plant(source: Located) -> PlantParameters:
    """Plant parameters from the profile; names and nesting are those of the dataclasses."""
    return _record(_section(source, "plant"), PlantParameters)


def _record(section: Located, kind: type[_T]) -> _T:
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    section.check_keys(names)
    values: dict[str, Any] = {}
    for key, value in section.items():
        inner = next((t for t in (hints[key], *get_args(hints[key])) if is_dataclass(t)), None)
        if isinstance(value, Located) and isinstance(inner, type):
            values[key] = _record(value, inner)
        elif key in _PRESETS and isinstance(value, str):
            if value not in _PRESETS[key]:
                raise section.error(key, value, f"one of {', '.join(_PRESETS[key])}")
            values[key] = _PRESETS[key][value]
        elif value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            values[key] = value
        else:
            raise section.error(key, value, "a number")
    return kind(**values)
