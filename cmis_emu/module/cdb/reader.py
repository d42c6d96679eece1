"""Reads the section `cdb` of a profile and refuses what is wrong with file:line (CDB-01 to CDB-16).

    cdb:
      instances: 1
      mode: background            # or foreground: every access is refused until the command has ended
      trigger: command_id         # or any_write: the end of any write with CMDID in it
      epl_pages: 16               # 0, 1, 2, 3, 4, 8, 12 or 16
      auto_paging: true
      access_bytes: 128           # longest read and write on these pages, a multiple of 8
      max_busy_ms: 4960           # accesses are refused no longer: a multiple of 160, or at most 80
      groups: [firmware, performance]     # beside general and features, which are always there
      omit: [0x0002]              # commands that the product lacks
      timing_ms: {capture: 1, checking: 1, checking_limit: 1000, max_completion: 500}
      execution_ms: {general: 5, features: 5}
      protects: {host: [firmware], module: [0x0200]}   # whose password groups or commands need
      quirks:
        strict_trigger: false     # with command_id, a longer write is no trigger
        nack_until_captured: false
        busy_trigger: ignore      # or refuse: 43h after the command under way
        completion_flag: all      # or some, as before revision 5.0, or none

The registers of page 01h follow, so that what is advertised is what the engine does. A profile may give these
registers themselves; then they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

from cmis_emu.module.cdb.command import Privilege
from cmis_emu.module.cdb.groups import ALWAYS, GROUPS, SINCE
from cmis_emu.module.cdb.plan import (
    ACCESS_UNIT,
    BUSY_BASE_MS,
    BUSY_UNIT_MS,
    EPL_PAGES,
    Advertised,
    BusyTrigger,
    CdbPlan,
    CompletionFlag,
    Quirks,
)
from cmis_emu.registers.yamlfile import Located

SECTION = "cdb"
INSTANCES = "CdbInstancesSupported"
_E = TypeVar("_E", bound=Enum)

_KEYS = (
    "instances",
    "mode",
    "trigger",
    "epl_pages",
    "auto_paging",
    "access_bytes",
    "max_busy_ms",
    "groups",
    "omit",
    "timing_ms",
    "execution_ms",
    "protects",
    "quirks",
)
_TIMES = {"capture": "capture_ms", "checking": "checking_ms", "checking_limit": "checking_limit_ms"}
_MAX_COMPLETION = "max_completion"
_QUIRKS = ("strict_trigger", "nack_until_captured", "busy_trigger", "completion_flag")
_MODES = {"background": True, "foreground": False}
_TRIGGERS = {"command_id": False, "any_write": True}
_PROTECTORS = {"host": Privilege.HOST, "module": Privilege.MODULE}
MOST_INSTANCES = 2
LONGEST_MS = 65_535
LONGEST_BUSY_MS = 31 * BUSY_UNIT_MS
LONGEST_ACCESS = 256 * ACCESS_UNIT


def read_cdb(
    source: Located, given: Mapping[str, Any], revision: tuple[int, int], *, flat: bool
) -> tuple[CdbPlan | None, dict[str, int]]:
    """The plan, None without CDB, and the codes of page 01h that the section stands for.

    `given`: codes that the profile's registers give.
    """
    if given.get(INSTANCES, 0) > MOST_INSTANCES:
        raise source.section("registers").error(INSTANCES, given[INSTANCES], f"at most {MOST_INSTANCES} (CDB-01)")
    if source.get(SECTION) is None:
        return (CdbPlan() if given.get(INSTANCES) and not flat else None), {}
    section = source.section(SECTION)
    if flat:
        raise source.error(SECTION, "CDB of a flat module", "a module with pages (MemoryModel 0)")
    section.check_keys(_KEYS)
    codes = _advertised(section).codes()
    if not given.get(INSTANCES, 1):
        return None, {}
    groups = _groups(section, revision)
    times = section.section("timing_ms")
    times.check_keys((*_TIMES, _MAX_COMPLETION))
    values: dict[str, Any] = {_TIMES[key]: times.number(key, 0, LONGEST_MS) for key in times if key in _TIMES}
    execution = section.section("execution_ms")
    execution.check_keys(GROUPS)
    privileges, group_privileges = _protected(section)
    plan = CdbPlan(
        groups=groups,
        execution_ms={key: execution.number(key, 0, LONGEST_MS) for key in execution},
        max_completion_ms=int(times.number(_MAX_COMPLETION, 1, LONGEST_MS, whole=True)) if _MAX_COMPLETION in times
        else None,
        omit=frozenset(_codes(section, "omit")),
        privileges=privileges,
        group_privileges=group_privileges,
        quirks=_quirks(section),
        **values,
    )  # fmt: skip
    if _MAX_COMPLETION in times and plan.needed_ms() > times[_MAX_COMPLETION]:
        expected = f"at least the {plan.needed_ms()} ms that commands take"
        raise times.error(_MAX_COMPLETION, times[_MAX_COMPLETION], expected)
    return plan, codes


def _advertised(section: Located) -> Advertised:
    pages = section.get("epl_pages", 0)
    if type(pages) is not int or pages not in EPL_PAGES:
        raise section.error("epl_pages", pages, f"one of {', '.join(map(str, EPL_PAGES))}")
    access = section.get("access_bytes", ACCESS_UNIT)
    if type(access) is not int or access % ACCESS_UNIT or not ACCESS_UNIT <= access <= LONGEST_ACCESS:
        raise section.error("access_bytes", access, f"a multiple of {ACCESS_UNIT} up to {LONGEST_ACCESS}")
    busy = section.get("max_busy_ms", BUSY_BASE_MS)
    short = type(busy) is int and 0 <= busy <= BUSY_BASE_MS
    if not short and (type(busy) is not int or busy % BUSY_UNIT_MS or not 0 < busy <= LONGEST_BUSY_MS):
        expected = f"a multiple of {BUSY_UNIT_MS} up to {LONGEST_BUSY_MS}, or a number up to {BUSY_BASE_MS} (CDB-11)"
        raise section.error("max_busy_ms", busy, expected)
    return Advertised(
        instances=int(section.number("instances", 1, MOST_INSTANCES, whole=True)) if "instances" in section else 1,
        background=_MODES[_word(section, "mode", _MODES, "background")],
        auto_paging=_yes(section, "auto_paging"),
        epl_pages=pages,
        access_bytes=access,
        any_write=_TRIGGERS[_word(section, "trigger", _TRIGGERS, "command_id")],
        max_busy_ms=busy,
    )


def _groups(section: Located, revision: tuple[int, int]) -> tuple[str, ...]:
    choice = [name for name in GROUPS if name not in ALWAYS]
    given = section.get("groups", [])
    if not isinstance(given, list):
        raise section.error("groups", given, f"a list of {', '.join(choice)}")
    for name in given:
        if name not in choice:
            near = get_close_matches(str(name), choice, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise section.error("groups", name, f"a list of {', '.join(choice)}{hint}")
        since = SINCE.get(name, revision)
        if revision < since:
            found, expected = (".".join(map(str, each)) for each in (revision, since))
            raise section.error("groups", f"{name} at revision {found}", f"revision {expected} or later")
    return tuple(dict.fromkeys(given))


def _codes(section: Located, key: str) -> list[int]:
    given = section.get(key, [])
    for code in given if isinstance(given, list) else [given]:
        if type(code) is not int or not 0 <= code <= 0xFFFF:
            raise section.error(key, code, "a list of commands such as 0x0004")
    return list(given)


def _protected(section: Located) -> tuple[dict[int, Privilege], dict[str, Privilege]]:
    """Privileges by command and by group; the higher one holds where both are named."""
    inner = section.section("protects")
    inner.check_keys(_PROTECTORS)
    codes: dict[int, Privilege] = {}
    groups: dict[str, Privilege] = {}
    for key, privilege in _PROTECTORS.items():
        given = inner.get(key, [])
        for item in given if isinstance(given, list) else [given]:
            if item in GROUPS:
                groups[item] = privilege
            elif type(item) is int and 0 <= item <= 0xFFFF:
                codes[item] = privilege
            else:
                raise inner.error(key, item, f"a list of commands such as 0x0100, or of {', '.join(GROUPS)}")
    return codes, groups


def _quirks(section: Located) -> Quirks:
    inner = section.section("quirks")
    inner.check_keys(_QUIRKS)
    return Quirks(
        strict_trigger=_yes(inner, "strict_trigger"),
        nack_until_captured=_yes(inner, "nack_until_captured"),
        busy_trigger=_member(inner, "busy_trigger", BusyTrigger) or BusyTrigger.IGNORE,
        completion_flag=_member(inner, "completion_flag", CompletionFlag),
    )


def _member(section: Located, key: str, kind: type[_E]) -> _E | None:
    if key not in section:
        return None
    return kind(_word(section, key, {each.value: each for each in kind}, ""))


def _word(section: Located, key: str, known: Mapping[str, object], default: str) -> str:
    value = section.get(key, default)
    if not isinstance(value, str) or value not in known:
        raise section.error(key, value, f"one of {', '.join(known)}")
    return value


def _yes(section: Located, key: str) -> bool:
    value = section.get(key, False)
    if not isinstance(value, bool):
        raise section.error(key, value, "true or false")
    return value
