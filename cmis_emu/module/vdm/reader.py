"""Reads the section `vdm` of a profile and refuses what is wrong with file:line (VDM-01 to VDM-10).

    vdm:
      fine_interval_ms: 100
      groups:
      - - {observable: esnr_media, lanes: 4, thresholds: [null, 17.7, null, 18.5]}
        - {unused: 4}
        - {observable: pre_fec_ber_*_media, data_paths: [1, 3, 5, 7], thresholds: [2.4e-4, null, 1.0e-4, null]}
        - {observable: tec_current, module: true, thresholds: [95, -95, 80, -80]}

A group is a list of rows, a row is one instance for each observable and resource, in that order. Several
observables are a list; a star stands for minimum, maximum, average and current, one after the other. `lanes: 4`
means lanes 1 to 4; a list names lanes, or the first host lanes of data paths. Thresholds are high alarm, low
alarm, high warning, low warning, in the unit of the observable; null is one that no value passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from cmis_emu.layouts.application import Application
from cmis_emu.module.sides import Side
from cmis_emu.module.vdm.observables import COHERENT, COOLED, EYES, LASER, SCOPES, Observable, Scope, observables
from cmis_emu.module.vdm.plan import GROUPS, INSTANCES, SETS, Group, Instance, VdmPlan
from cmis_emu.physics.parameters import PlantParameters
from cmis_emu.registers.encoding import decode_f16
from cmis_emu.registers.regmap import RegisterMap
from cmis_emu.registers.yamlfile import Located

SECTION = "vdm"
LONGEST_MS = 6553.5  # FineIntervalLength has 16 bits of 0.1 ms
LANES = 8  # of a bank
STAR, STARRED = "*", ("minimum", "maximum", "average", "current")
_ROW = ("observable", "thresholds", "unused", *(scope.value for scope in Scope))
_POWER_SAVING_SINCE = (5, 3)


@dataclass(frozen=True, slots=True)
class Product:
    """What the section is checked against."""

    revision: tuple[int, int]
    plant: PlantParameters
    applications: tuple[Application, ...]
    monitor_period_ms: float
    flat: bool = False
    file: str = ""

    def knows(self, observable: Observable) -> bool:
        """Is the observable of the product's revision?"""
        return observable.since <= self.revision

    def lanes(self, observable: Observable) -> int:
        """How many lanes of a bank the observable can be of."""
        media = observable.measure in LASER or observable.side is Side.MEDIA
        return min(LANES, self.plant.media_lanes if media else self.plant.host_lanes)

    def starts(self) -> frozenset[int]:
        """Host lanes at which a data path can begin."""
        return frozenset(start for application in self.applications for start in application.host_starts)


def read_vdm(source: Located, regmap: RegisterMap, product: Product, advertised: bool | None) -> VdmPlan | None:
    """The plan of a profile; an empty one where `registers` advertise the pages all the same; None without VDM.

    `advertised`: what the registers say of the pages, if they say it.
    """
    if source.get(SECTION) is None:
        return VdmPlan(fine_interval_ms=product.monitor_period_ms) if advertised else None
    if advertised is False:
        return None
    section = source.section(SECTION)
    if product.flat:
        raise source.error(SECTION, "VDM of a flat module", "a module with pages (MemoryModel 0)")
    section.check_keys([f.name for f in fields(VdmPlan)], ("groups",))
    values: dict[str, Any] = {"fine_interval_ms": product.monitor_period_ms}
    if "fine_interval_ms" in section:
        period = product.monitor_period_ms
        interval = section.number("fine_interval_ms", period, LONGEST_MS)
        if interval % period or interval * 10 % 1:
            expected = f"a multiple of monitor_period_ms ({period:g}), in steps of 0.1"
            raise section.error("fine_interval_ms", interval, expected)
        values["fine_interval_ms"] = interval
    if "freeze_ms" in section:
        values["freeze_ms"] = section.number("freeze_ms", 0, 1000)
    for key in ("masks", "unfreeze_done"):
        if key in section:
            values[key] = section.number(key, 0, 1, whole=True)
    if "power_saving" in section:
        if not isinstance(section["power_saving"], bool):
            raise section.error("power_saving", section["power_saving"], "true or false")
        if section["power_saving"] and product.revision < _POWER_SAVING_SINCE:
            raise section.error("power_saving", f"revision {_dotted(product.revision)}", "revision 5.3 or later")
        values["power_saving"] = section["power_saving"]
    return VdmPlan(groups=_groups(section, regmap, product), **values)


def _groups(section: Located, regmap: RegisterMap, product: Product) -> tuple[Group, ...]:
    given = section["groups"]
    if not isinstance(given, list) or not 1 <= len(given) <= GROUPS:
        found = f"{len(given)} groups" if isinstance(given, list) else given
        raise section.error("groups", found, f"a list of 1 to {GROUPS} groups (VDM-01)")
    return tuple(_group(section, rows, index, observables(regmap), product) for index, rows in enumerate(given))


def _group(section: Located, rows: Any, index: int, known: Mapping[str, Observable], product: Product) -> Group:
    if not isinstance(rows, list) or not all(isinstance(row, Located) for row in rows):
        raise section.error("groups", rows, "each group as a list of rows such as {observable: esnr_media, lanes: 4}")
    instances: list[Instance] = []
    sets: dict[tuple[int, int, int, int], int] = {}
    place = 0
    for row in rows:
        row.check_keys(_ROW)
        if "unused" in row:
            row.check_keys(("unused",))
            place += int(row.number("unused", 1, INSTANCES, whole=True))
            continue
        for observable in _observed(row, known, product):
            scope, resources = _resources(row, observable, product)
            if not product.knows(observable):  # of the product below, of a later revision
                place += len(resources)
                continue
            codes = _thresholds(row, observable)
            number = sets.setdefault(codes, len(sets))
            if number >= SETS:
                raise row.error("thresholds", f"a set number {SETS + 1} in this group", f"at most {SETS} (VDM-04)")
            for resource in resources:
                place += 1
                instances.append(Instance(index * INSTANCES + place, observable, scope, resource, number))
        if place > INSTANCES:
            raise row.error(None, f"{place} instances in group {index + 1}", f"at most {INSTANCES} (VDM-01)")
    return Group(tuple(instances), tuple(sets))


def _observed(row: Located, known: Mapping[str, Observable], product: Product) -> Iterable[Observable]:
    if "observable" not in row:
        raise row.error(None, "no such key", "the key 'observable'", field="observable")
    given = row["observable"]
    names: list[Any] = []
    for name in given if isinstance(given, list) else [given]:
        names += [name.replace(STAR, word) for word in STARRED] if isinstance(name, str) and STAR in name else [name]
    for name in names:
        found = known.get(name) if isinstance(name, str) else None
        if found is None:
            near = get_close_matches(str(name), known, 1, 0.4)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise row.error("observable", name, f"an observable such as esnr_media{hint}")
        if not product.knows(found) and row.file == product.file:
            expected = f"revision {_dotted(found.since)} or later, or another observable (VDM-10)"
            raise row.error("observable", f"{name} at revision {_dotted(product.revision)}", expected)
        if found.measure in COOLED and product.plant.tec is None:
            raise row.error("observable", name, "a product with a cooler (plant: tec)")
        coherent = product.plant.coherent is not None
        if found.measure in COHERENT and not coherent:
            raise row.error("observable", name, "a coherent product (plant: coherent)")
        if found.measure in EYES and found.side is Side.MEDIA and coherent:
            raise row.error("observable", name, "a product whose media lanes are PAM4")
        yield found


def _resources(row: Located, observable: Observable, product: Product) -> tuple[Scope, tuple[int, ...]]:
    given = [scope for scope in Scope if scope.value in row]
    fit = SCOPES[observable.measure]
    words = " or ".join(scope.value for scope in fit)
    if len(given) != 1:
        found = " and ".join(scope.value for scope in given) or "no resource"
        raise row.error(given[0].value if given else None, found, f"one of {words}", field="observable")
    (scope,) = given
    if scope not in fit:
        raise row.error(scope.value, f"{scope.value} of {observable.name}", words)
    value = row[scope.value]
    if scope is Scope.MODULE:
        if value is not True:
            raise row.error(scope.value, value, "true")
        return scope, (0,)
    most = product.lanes(observable) if scope is Scope.LANES else LANES
    allowed = frozenset(range(1, most + 1))
    if scope is Scope.DATA_PATHS:
        allowed = product.starts()
    numbers = list(range(1, value + 1)) if type(value) is int else value
    good = isinstance(numbers, list) and numbers and all(type(n) is int and n in allowed for n in numbers)
    if not good or len(set(numbers)) != len(numbers):
        what = "lanes of the product" if scope is Scope.LANES else "first host lanes of its applications"
        raise row.error(scope.value, value, f"a number or a list, of {what}: {sorted(allowed)}")
    return scope, tuple(numbers)


def _thresholds(row: Located, observable: Observable) -> tuple[int, int, int, int]:
    """Codes in the order of the row; without thresholds, those that no value passes."""
    nothing = (observable.highest, observable.lowest) * 2
    if "thresholds" not in row:
        return nothing[0], nothing[1], nothing[2], nothing[3]
    given = row["thresholds"]
    expected = "[high alarm, low alarm, high warning, low warning], each a number or null"
    if not isinstance(given, list) or len(given) != len(nothing):
        raise row.error("thresholds", given, expected)
    codes = []
    for value, none in zip(given, nothing, strict=True):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise row.error("thresholds", given, expected)
        codes.append(none if value is None else _code(row, observable, value))
    high_alarm, low_alarm, high_warning, low_warning = codes
    order = [observable.decode(code) for code in (high_alarm, high_warning, low_warning, low_alarm)]
    if order != sorted(order, reverse=True):
        falling = "high alarm >= high warning >= low warning >= low alarm"
        raise row.error("thresholds", given, falling)
    return high_alarm, low_alarm, high_warning, low_warning


def _code(row: Located, observable: Observable, value: float) -> int:
    low, high = observable.decode(observable.lowest), observable.decode(observable.highest)
    if observable.scale == 0.0:
        high = decode_f16(observable.highest)
    if not low <= value <= high:
        unit = f" {observable.unit}" if observable.unit else ""
        raise row.error("thresholds", value, f"a number from {low:g} to {high:g}{unit}")
    return observable.encode(value)


def _dotted(revision: tuple[int, int]) -> str:
    return f"{revision[0]}.{revision[1]}"
