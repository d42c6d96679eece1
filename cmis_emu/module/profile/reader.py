"""Reads the YAML of a profile and refuses what is wrong with file:line.

Owns the format of a profile, and the codes that follow from it (DP-12, MON-01). Values that a host can read and
values that the module acts on come from the same lines, so what is advertised is what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from cmis_emu.clock import NS_PER_MS, NS_PER_S
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.layouts.application import Application, lanes_of
from cmis_emu.module.cdb.plan import Advertised, CdbPlan
from cmis_emu.module.cdb.reader import read_cdb
from cmis_emu.module.control_sets import RX_SETTINGS, TX_SETTINGS
from cmis_emu.module.diagnostics.reader import read_diagnostics
from cmis_emu.module.firmware.plan import FirmwarePlan
from cmis_emu.module.firmware.reader import VERSION_FIELDS, CdbOffer, read_firmware, version_codes, with_firmware
from cmis_emu.module.nonvolatile import HOST_LAST, PasswordPolicy
from cmis_emu.module.profile.image import advertised_applications, image_of
from cmis_emu.module.profile.profile import DURATION_FIELDS, Behaviour, Profile, SettingLimits, duration_code
from cmis_emu.module.timing import LARGEST_NS, LARGEST_SPREAD_NS, LatencyParameters
from cmis_emu.module.tuning.reader import read_tuning
from cmis_emu.module.vdm.reader import Product, read_vdm
from cmis_emu.physics.coherent import PRESETS as COHERENT_PRESETS
from cmis_emu.physics.laser import PRESETS as LASER_PRESETS
from cmis_emu.physics.parameters import PlantParameters
from cmis_emu.physics.pmd import COHERENT_PMDS, PMDS
from cmis_emu.physics.receiver import PRESETS as RECEIVER_PRESETS
from cmis_emu.physics.units import dbm_to_w
from cmis_emu.registers.encoding import encode
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.regmap import RegisterMap, compile_map, page_name
from cmis_emu.registers.yamlfile import Located

_T = TypeVar("_T")

_KEYS = (
    "profile",
    "base",
    "title",
    "form_factor",
    "revision",
    "registers",
    "applications",
    "durations_ms",
    "thresholds",
    "signal_integrity",
    "behaviour",
    "password",
    "latency_ns",
    "plant",
    "tuning",
    "vdm",
    "diagnostics",
    "cdb",
    "firmware",
)
_APPLICATION_KEYS = ("host", "media", "host_lanes", "media_lanes", "host_start", "media_start")
_NETWORK_PATH = "network_path"
_PRESETS: Mapping[str, Mapping[str, object]] = {
    "laser": LASER_PRESETS,
    "pmd": {**PMDS, **COHERENT_PMDS},
    "coherent": COHERENT_PRESETS,
    "receiver": RECEIVER_PRESETS,
}  # plant values that have names
_THRESHOLDS = {
    "temperature_c": ("TempMon", 1.0),
    "vcc_v": ("VccMon", 1.0),
    "tec_current_percent": ("Aux1Mon", 327.67),  # raw counts: what an Aux monitor means is advertised, not fixed
    "laser_temperature_c": ("Aux2Mon", 256.0),
    "tx_power_dbm": ("OpticalPowerTx", None),
    "rx_power_dbm": ("OpticalPowerRx", None),
    "tx_bias_ma": ("LaserBiasTx", 1e-3),
}
MAX_LANES = 32  # four banks (PAGE-09)
SMALLEST, LARGEST = 1e-12, 1e12
_CHANCES, LARGEST_CHANCE = ("burst_continuation",), 0.95
_POSITIVE = (
    "_j_per_k",
    "_k_per_w",
    "tau_s",
    "t0_k",
    "t1_k",
    "slope_w_per_a",
    "chip_power_w",
    "imax_a",
    "nominal_v",
    "ohm",
)
"""Plant values by which the model divides."""
_MEDIA_LANES = ("positional", "lowest-free")
_BEHAVIOUR_LIMITS = {  # lowest, highest, whole number
    "config_ms": (0, 10_000, False),
    "initial_config_status": (0, 1, True),
    "default_app_sel": (1, 15, True),
    "default_explicit_control": (0, 1, True),
    "flag_latency_ms": (0.001, 200, False),
    "monitor_period_ms": (1, 10_000, False),
    "write_limit": (1, 128, True),
    "read_limit": (1, 128, True),
    "write_holdoff_ms": (0, 10, False),
    "nvm_holdoff_ms": (0, 80, False),
    "page_holdoff_ms": (0, 10, False),
    "tx_settle_ms": (0, 10_000, False),
    "tx_acquisition_ms": (0, 60_000, False),
    "adaptive_eq_max_db": (0, 40, False),
    "pattern_lock_ms": (0.001, 1000, False),
    "custom_gate_s": (0.001, 3600, False),
}
_THRESHOLD_ORDER = ("HighAlarm", "LowAlarm", "HighWarning", "LowWarning")


def read_profile(source: Located) -> Profile:
    """Check a profile mapping and build the product from it."""
    source.check_keys(_KEYS, ("profile", "title", "form_factor", "revision", "registers"))
    regmap = load_maps()
    revision = _revision(source)
    registers = source.section("registers")
    given = source.get("applications") or []
    if not isinstance(given, list):
        raise source.error("applications", given, "a list of mappings")
    applications = tuple(_application(source, number, row) for number, row in enumerate(given, 1))
    durations = _durations(source)
    codes: dict[str, int | bytes] = {"CmisRevision": revision[0] << 4 | revision[1]}
    codes |= {DURATION_FIELDS[n]: duration_code(ns / NS_PER_S) for n, ns in durations.items() if n in DURATION_FIELDS}
    given_codes = {name: _code(registers, name, regmap, name, value) for name, value in registers.items()}
    codes |= _thresholds(source, regmap, given_codes)
    if any(a.network_path for a in applications):
        shared = sum(1 << (a.app_sel - 1) for a in applications if a.network_path)
        codes["NetworkPathApplicationExtension"] = shared  # which bit an AppSel has is not settled
    behaviour = _behaviour(source)
    plant = _record(source, "plant", source.section("plant"), PlantParameters)
    flat = bool(given_codes.get("MemoryModel"))
    product = Product(revision, plant, applications, behaviour.monitor_period_ms, flat, source.file)
    tunable = bool(given_codes.get("TransmitterIsTunable"))
    tuning = read_tuning(source, plant, revision, flat=flat, tunable=tunable)
    if tuning is not None:
        codes |= tuning.codes()
    vdm_pages = given_codes.get("VDMPagesSupported")
    vdm = read_vdm(source, regmap, product, None if vdm_pages is None else bool(vdm_pages))
    if vdm is not None:
        codes |= vdm.codes()
    if given_codes.get("DiagnosticPagesSupported", 1):
        codes |= read_diagnostics(source, regmap, flat=product.flat)
    cdb, cdb_codes = read_cdb(source, given_codes, revision, flat=product.flat)
    codes |= cdb_codes
    firmware = None
    if given_codes.get("CdbInstancesSupported", 1):
        firmware = _firmware(source, codes | given_codes, cdb, revision)
    if firmware is not None:
        codes |= _versions(registers, firmware, given_codes)
    cdb = with_firmware(source, cdb, firmware)
    codes |= given_codes

    def advertised(name: str) -> int:
        code = codes.get(name, 0)
        return code if isinstance(code, int) else 0

    compiled = compile_map(regmap, revision, advertised)
    image = image_of(registers, regmap, compiled, codes, applications)
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
    listed = advertised_applications(regmap, image, applications)
    if "behaviour" in source and behaviour.default_app_sel > max(1, len(listed)):
        expected = f"the number of an application, up to {len(listed)}"
        raise source.section("behaviour").error("default_app_sel", behaviour.default_app_sel, expected)
    return Profile(
        name=_text(source, "profile"),
        title=_text(source, "title"),
        form_factor=_text(source, "form_factor"),
        revision=revision,
        registers={name: code for name, code in codes.items() if isinstance(code, int)},
        applications=listed,
        durations_ns=durations,
        signal_integrity=_signal_integrity(source, regmap),
        behaviour=behaviour,
        password=_password(source, regmap),
        latency=_latency(source),
        plant=plant,
        tuning=tuning,
        vdm=vdm,
        cdb=cdb,
        firmware=firmware,
        regmap=regmap,
        compiled=compiled,
        image=image,
        setting_limits=limits,
    )


def _text(source: Located, key: str) -> str:
    value = source[key]
    if not isinstance(value, str) or not value:
        raise source.error(key, value, "text")
    return value


def _behaviour(source: Located) -> Behaviour:
    section = source.section("behaviour")
    section.check_keys([f.name for f in fields(Behaviour)])
    for key, value in section.items():
        if key == "media_lanes":
            if value not in _MEDIA_LANES:
                raise section.error(key, value, f"one of {', '.join(_MEDIA_LANES)}")
        else:
            low, high, whole = _BEHAVIOUR_LIMITS[key]
            section.number(key, low, high, whole=whole)
    return Behaviour(**section)


def _password(source: Located, regmap: RegisterMap) -> PasswordPolicy:
    """The section `password` (PW-01, PW-02)."""
    section = source.section("password")
    section.check_keys([f.name for f in fields(PasswordPolicy)])
    if "host" in section:
        section.number("host", 0, HOST_LAST, whole=True)
    if section.get("module") is not None:
        section.number("module", HOST_LAST + 1, 0xFFFF_FFFF, whole=True)
    if not isinstance(section.get("wrong_entry_locks", True), bool):
        raise section.error("wrong_entry_locks", section["wrong_entry_locks"], "true or false")
    protects = section.get("protects", [])
    known = [page_name(number) for number in regmap.pages if number != LOWER]
    for page in protects if isinstance(protects, list) else [protects]:
        if page not in known:
            raise section.error("protects", page, f"a list of pages such as 03h, each one of {', '.join(known)}")
    return PasswordPolicy(**{**section, "protects": tuple(protects)})


def _firmware(
    source: Located, codes: Mapping[str, int | bytes], cdb: CdbPlan | None, revision: tuple[int, int]
) -> FirmwarePlan | None:
    """The section `firmware`, with what CDB is advertised to do."""

    def code(name: str) -> int:
        found = codes.get(name, 0)
        return found if isinstance(found, int) else 0

    part = codes.get("VendorPN", b"")
    offer = CdbOffer(
        plan=cdb,
        advertised=Advertised.of({name: code(name) for name in codes}),
        part_number=part.decode("ascii", "replace").strip() if isinstance(part, bytes) else "",
        revision=revision,
    )
    return read_firmware(source, offer)


def _versions(registers: Located, firmware: FirmwarePlan, given: Mapping[str, int | bytes]) -> dict[str, int]:
    """The version registers follow from the images (FW-03); a line that says otherwise is refused."""
    codes = version_codes(firmware)
    for name in (name for pair in VERSION_FIELDS for name in pair):
        if given.get(name, codes.get(name, 0)) != codes.get(name, 0):
            expected = f"{codes.get(name, 0)}, as the section firmware says, or no such line"
            raise registers.error(name, given[name], expected)
    return codes


def _latency(source: Located) -> LatencyParameters | None:
    """The section `latency_ns` (TIM-01)."""
    if "latency_ns" not in source:
        return None
    section = source.section("latency_ns")
    section.check_keys([f.name for f in fields(LatencyParameters)], ("rx", "tx"))
    for key in section:
        section.number(key, 0, LARGEST_SPREAD_NS if key == "spread" else LARGEST_NS)
    return LatencyParameters(**section)


def _signal_integrity(source: Located, regmap: RegisterMap) -> Mapping[str, int]:
    """Application defaults of the settings (CFG-05), by the names of the control sets' fields."""
    section = source.section("signal_integrity")
    section.check_keys((*TX_SETTINGS, *RX_SETTINGS))
    for key in section:
        section.number(key, 0, regmap.field(f"SCS0.{key}").maximum, whole=True)
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
    row.check_keys((*_APPLICATION_KEYS, _NETWORK_PATH), _APPLICATION_KEYS[:5])
    if not isinstance(row.get(_NETWORK_PATH, False), bool):
        raise row.error(_NETWORK_PATH, row[_NETWORK_PATH], "true or false")
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
        row.get(_NETWORK_PATH, False),
    )


def _durations(source: Located) -> dict[str, int]:
    names = ("MgmtInit", *DURATION_FIELDS)
    found: dict[str, int] = {}
    section = source.section("durations_ms")
    section.check_keys(names)
    for name, value in section.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise section.error(name, value, "a duration in ms")
        found[name] = round(value * NS_PER_MS)
    if found.get("MgmtInit", 0) > 2000 * NS_PER_MS:
        raise section.error("MgmtInit", section["MgmtInit"], "at most 2000 ms (RST-04)")
    return found


def _thresholds(source: Located, regmap: RegisterMap, registers: Mapping[str, Any]) -> dict[str, int | bytes]:
    """Codes of page 02h from rows of high alarm, low alarm, high warning, low warning."""
    section = source.section("thresholds")
    section.check_keys(_THRESHOLDS)
    found: dict[str, int | bytes] = {}
    for key, row in section.items():
        numbers = isinstance(row, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in row)
        if not numbers or len(row) != len(_THRESHOLD_ORDER):
            raise section.error(key, row, "[high alarm, low alarm, high warning, low warning]")
        prefix, factor = _THRESHOLDS[key]
        for kind, value in zip(_THRESHOLD_ORDER, row, strict=True):
            number = dbm_to_w(value) if factor is None else value * factor
            name = f"{prefix}{kind}Threshold"
            scaled_by = regmap.field(name).scaled_by
            if scaled_by is not None:
                number /= 1 << registers.get(scaled_by, 0)
            found[name] = _code(section, key, regmap, name, round(number) if prefix.startswith("Aux") else number)
    return found


def _code(section: Located, key: str, regmap: RegisterMap, name: str, value: Any) -> int | bytes:
    """The raw code of a profile value, with the place in the profile when it does not fit."""
    if not isinstance(value, (int, float, str)):
        raise section.error(key, value, "a number or text")
    try:
        field = regmap.resolve(name)[0]
        return encode(field, value, regmap.enums.get(field.enum or "", {}))
    except UnknownFieldError as error:
        raise section.error(key, name, str(error).partition("expected ")[2] or "a CMIS field") from None
    except InputError as error:
        raise section.error(key, error.found, error.expected) from None


def _record(outer: Located, name: str, section: Located, kind: type[_T]) -> _T:
    """A parameter record from its section; names and nesting are those of the dataclass."""
    hints = get_type_hints(kind)
    section.check_keys([f.name for f in fields(kind)])  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in section.items():
        choices = get_args(hints[key]) or (hints[key],)
        inner = next((t for t in choices if is_dataclass(t)), None)
        if value is None and type(None) in choices:
            values[key] = None
        elif isinstance(inner, type) and isinstance(value, Located):
            values[key] = _record(section, key, value, inner)
        elif inner is not None and value in _PRESETS.get(key, {}):
            values[key] = _PRESETS[key][value]
        elif inner is not None:
            presets = ", ".join(_PRESETS.get(key, {}))
            expected = f"one of {presets}, or key: value pairs" if presets else "key: value pairs"
            raise section.error(key, value, expected)
        elif int in choices:
            least = 0 if key == "media_lanes" else 1  # a copper cable has no light
            values[key] = section.number(key, least, MAX_LANES, whole=True)
        elif key in _CHANCES:
            values[key] = section.number(key, 0, LARGEST_CHANCE)
        else:
            smallest = SMALLEST if key.endswith(_POSITIVE) else -LARGEST
            values[key] = section.number(key, smallest, LARGEST)
    for each in fields(kind):  # type: ignore[arg-type]
        if each.default is MISSING and each.default_factory is MISSING and each.name not in values:
            raise outer.error(name, f"no {each.name}", f"{name} with {each.name}")
    return kind(**values)
