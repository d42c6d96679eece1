"""Reads the section `firmware` of a profile and refuses what is wrong with file:line (CMD-04, FW-01 to FW-13).

firmware:
  a: '3.4.12'                    # or {version: '3.4.12', text: release}; a bank that is not named is empty
  b: '3.2.0'
  factory: '3.0.1'
  committed: a
  accept: own                    # images of the project's format; or any: whatever bytes a host has
  any_version: '9.9.9'           # of images that are not ours
  hardware: QDD-400G-DR4         # what an image must be for; VendorPN when it is not given
  image_bytes: 262144            # of the images that it is shipped with
  capacity_bytes: 2097152        # of a bank
  start_payload: 84              # bytes of the file that come with 0101h
  erased_byte: 0xFF
  write: [lpl, epl]              # mechanisms; none means that there is no download
  length_extension: 15           # of 0041h; what blocks need when it is not given
  readback: true                 # commands and features that are there; all false when not given
  copy: true
  abort: true
  skip_erased: true
  any_order: false               # blocks in any order; else with rising addresses
  hitless: true
  durations_ms: {start: 1800, write: 6, complete: 900, abort: 20, copy: 2500, read: 5, run: 5, commit: 60}
  longest_ms: {start: 5000}      # what is advertised; twice the duration when it is not given
  password: none                 # none, host or module: whose password all but reading of versions needs
  verify_status: 0x40            # of 0107h for an image that is not whole
  boot_ms: 2500                  # MgmtInit after 0109h lasts at least so long
  watchdog_ms: 400               # an image that does not boot is given up after this
  hitless_ms: 300                # no access is acknowledged while images change without a reset
  refuses_during_trial: true     # 0101h and 0108h while the running image is not committed (FW-13)
  restarts_download: false       # 0101h during a download begins anew, instead of 43h
  implicit_commit: false         # 0109h commits what it runs
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cmis_emu.clock import NS_PER_MS
from cmis_emu.errors import InputError
from cmis_emu.layouts.firmware import START_FIXED_BYTES, START_PAYLOAD_MAX
from cmis_emu.layouts.firmware_image import HARDWARE_BYTES, HEADER_BYTES, SMALLEST_BYTES, Version
from cmis_emu.module.cdb.command import LPL_BYTES, Privilege
from cmis_emu.module.cdb.plan import Advertised, CdbPlan
from cmis_emu.module.firmware.bank import Bank, FirmwareImage
from cmis_emu.module.firmware.plan import OPERATIONS, UNADVERTISED, FirmwarePlan
from cmis_emu.registers.yamlfile import Located

SECTION = "firmware"
GROUP = "firmware"
VERSION_FIELDS = (
    ("ModuleActiveFirmwareMajorRevision", "ModuleActiveFirmwareMinorRevision"),
    ("ModuleInactiveFirmwareMajorRevision", "ModuleInactiveFirmwareMinorRevision"),
)
"""Registers of the version that runs and of the other."""

_BANKS = {"a": Bank.A, "b": Bank.B, "factory": Bank.FACTORY}
_PRIVILEGES = {each.name.lower(): each for each in Privilege}
_ACCEPT = ("own", "any")
_MECHANISMS = ("lpl", "epl")
_FLAGS = {  # and what is so when nothing is said
    "readback": False,
    "copy": False,
    "abort": False,
    "skip_erased": False,
    "any_order": False,
    "hitless": False,
    "refuses_during_trial": True,
    "restarts_download": False,
    "implicit_commit": False,
}
_DURATIONS_MS = {
    "start": 2000.0,
    "abort": 20.0,
    "write": 5.0,
    "complete": 1000.0,
    "copy": 3000.0,
    "read": 5.0,
    "run": 5.0,
    "commit": 50.0,
}
_TIMES_MS = {"boot_ms": 0.0, "watchdog_ms": 300.0, "hitless_ms": 200.0}
_LONGEST_MS = 655_350  # a U16 in units of 10 ms
_LONGEST_TIME_MS = 120_000
_ACCESS_UNIT = 8
_LPL_EXTENSION = 15  # blocks of the local payload need no more
_KEYS = (
    *_BANKS,
    "committed",
    "accept",
    "any_version",
    "hardware",
    "image_bytes",
    "capacity_bytes",
    "start_payload",
    "erased_byte",
    "write",
    "length_extension",
    *_FLAGS,
    "durations_ms",
    "longest_ms",
    "password",
    "verify_status",
    *_TIMES_MS,
)


@dataclass(frozen=True, slots=True)
class CdbOffer:
    """What the product says of CDB, as far as a firmware download depends on it."""

    plan: CdbPlan | None
    advertised: Advertised
    part_number: str
    revision: tuple[int, int]


def read_firmware(source: Located, offer: CdbOffer) -> FirmwarePlan | None:
    """The plan of the section, None without it."""
    if source.get(SECTION) is None:
        return None
    section = source.section(SECTION)
    section.check_keys(_KEYS, ("a",))
    if offer.plan is None:
        raise source.error(SECTION, "firmware management", "a module with CDB (section cdb)")
    hardware = _text(section, "hardware", offer.part_number)
    size = _whole(section, "image_bytes", 256 * 1024, SMALLEST_BYTES, 1 << 26)
    shipped = {bank: _image(section, key, size, hardware) for key, bank in _BANKS.items()}
    committed = _choice(section, "committed", "a", ("a", "b"))
    if shipped[_BANKS[committed]] is None:
        raise section.error("committed", committed, "a bank that holds an image")
    accepts_any = _choice(section, "accept", "own", _ACCEPT) == "any"
    if accepts_any and "any_version" not in section:
        raise section.error("accept", "any", "the key 'any_version' beside it")
    any_version = _version(section, "any_version", section.get("any_version", "0.0"))
    flags = {key: _yes(section, key, usual) for key, usual in _FLAGS.items()}
    writes = _writes(section, offer)
    durations, longest = _durations(section, offer.plan)
    times = {key: section.number(key, 0, _LONGEST_TIME_MS) if key in section else v for key, v in _TIMES_MS.items()}
    return FirmwarePlan(
        shipped=shipped,
        committed=_BANKS[committed],
        accepts_any=accepts_any,
        any_version=any_version,
        hardware=hardware,
        capacity=_whole(section, "capacity_bytes", 2 << 20, size, 1 << 30),
        start_payload=_start_payload(section, offer, own=not accepts_any),
        erased_byte=_whole(section, "erased_byte", 0xFF, 0, 0xFF),
        local_writes="lpl" in writes,
        extended_writes="epl" in writes,
        extended_bytes=offer.advertised.epl_bytes,
        length_extension=_whole(section, "length_extension", _extension(writes, offer), 0, 255),
        durations_ns={name: round(ms * NS_PER_MS) for name, ms in durations.items()},
        longest_ms=longest,
        privilege=_PRIVILEGES[_choice(section, "password", "none", tuple(_PRIVILEGES))],
        verify_status=_whole(section, "verify_status", 0x40, 0x40, 0x7F),
        boot_ns=round(times["boot_ms"] * NS_PER_MS),
        watchdog_ns=round(times["watchdog_ms"] * NS_PER_MS),
        hitless_ns=round(times["hitless_ms"] * NS_PER_MS),
        load_tags=offer.revision >= (5, 4),
        **flags,
    )


def version_codes(plan: FirmwarePlan) -> dict[str, int]:
    """Codes of the version registers as shipped (FW-03)."""
    codes: dict[str, int] = {}
    for fields, bank in zip(VERSION_FIELDS, (plan.committed, plan.committed.other), strict=True):
        image = plan.shipped[bank]
        if image is not None:
            codes |= zip(fields, (image.version.major, image.version.minor), strict=True)
    return codes


def with_firmware(source: Located, cdb: CdbPlan | None, plan: FirmwarePlan | None) -> CdbPlan | None:
    """CDB with the group of firmware commands, and with their times in MaxCompletionTime."""
    if cdb is None:
        return None
    if plan is None:
        if GROUP in cdb.groups:
            raise source.section("cdb").error("groups", GROUP, "the section 'firmware' that it needs")
        return cdb
    longest_ms = max(plan.durations_ns[name] for name in UNADVERTISED) / NS_PER_MS
    groups = tuple(dict.fromkeys((*cdb.groups, GROUP)))
    found = replace(cdb, groups=groups, execution_ms={**cdb.execution_ms, GROUP: longest_ms})
    if found.needed_ms() > found.completion_ms():
        expected = f"times that fit into MaxCompletionTime, {found.completion_ms()} ms"
        raise source.section(SECTION).error("durations_ms", f"{found.needed_ms()} ms", expected)
    return found


def _image(section: Located, key: str, size: int, hardware: str) -> FirmwareImage | None:
    given = section.get(key)
    return None if given is None else FirmwareImage(_version(section, key, given), size, hardware)


def _version(section: Located, key: str, given: Any) -> Version:
    """A version as text, or as `version` and `text`."""
    text: Any = ""
    if isinstance(given, Located):
        given.check_keys(("version", "text"), ("version",))
        given, text = given["version"], given.get("text", "")
    try:
        return Version.parse(given, text)
    except InputError as error:
        raise section.error(key, error.found, error.expected) from None


def _writes(section: Located, offer: CdbOffer) -> list[str]:
    given = section.get("write", ["lpl"])
    if not isinstance(given, list) or any(each not in _MECHANISMS for each in given):
        raise section.error("write", given, f"a list of {', '.join(_MECHANISMS)}")
    if "epl" in given and not offer.advertised.epl_pages:
        raise section.error("write", given, "no epl in a module without EPL pages (CdbMaxPagesEPL)")
    return given


def _start_payload(section: Located, offer: CdbOffer, *, own: bool) -> int:
    """It must fit into one command, as hosts send it (FW-06)."""
    longest = min(START_PAYLOAD_MAX, offer.advertised.access_bytes - START_FIXED_BYTES, LPL_BYTES)
    usual = HEADER_BYTES if own and longest >= HEADER_BYTES else 0
    return _whole(section, "start_payload", usual, 0, max(0, longest))


def _extension(writes: list[str], offer: CdbOffer) -> int:
    """Hosts cut blocks of the local payload by it, and some those of the EPL too (FW-06)."""
    if "epl" in writes:
        return max(0, offer.advertised.epl_bytes // _ACCESS_UNIT - 1)
    return min(_LPL_EXTENSION, offer.advertised.access_bytes // _ACCESS_UNIT - 1)


def _durations(section: Located, cdb: CdbPlan) -> tuple[dict[str, float], Mapping[str, int]]:
    """What commands take, and what is advertised: never less."""
    inner, bounds = section.section("durations_ms"), section.section("longest_ms")
    inner.check_keys((*OPERATIONS, *UNADVERTISED))
    bounds.check_keys(OPERATIONS)
    durations = dict(_DURATIONS_MS)
    for name in inner:
        durations[name] = inner.number(name, 0, _LONGEST_MS)
    longest = {}
    for name in OPERATIONS:
        least = math.ceil(durations[name] + cdb.capture_ms + cdb.checking_ms)
        longest[name] = min(_LONGEST_MS, max(least, math.ceil(2 * durations[name])))
        if name in bounds:
            longest[name] = int(bounds.number(name, least, _LONGEST_MS, whole=True))
    return durations, longest


def _text(section: Located, key: str, usual: str) -> str:
    value = section.get(key, usual)
    if not isinstance(value, str) or len(value) > HARDWARE_BYTES or not value.isascii():
        raise section.error(key, value, f"at most {HARDWARE_BYTES} ASCII characters")
    return value.strip()


def _whole(section: Located, key: str, usual: int, low: int, high: int) -> int:
    return int(section.number(key, low, high, whole=True)) if key in section else usual


def _choice(section: Located, key: str, usual: str, known: tuple[str, ...]) -> str:
    value = section.get(key, usual)
    if value not in known:
        raise section.error(key, value, f"one of {', '.join(known)}")
    return str(value)


def _yes(section: Located, key: str, usual: bool) -> bool:
    value = section.get(key, usual)
    if not isinstance(value, bool):
        raise section.error(key, value, "true or false")
    return value
