"""How module faults are armed: a rule at a seam of whatever module sits in a port, and what arguments mean.

Owns the step from a scenario's words (lanes, CMIS field names, values) to what the seams take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cmis_emu.clock import seconds
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.module.faults.seam import LANES_OF_A_BANK, Rule, Seam
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.physics.units import dbm_to_w
from cmis_emu.port import Port
from cmis_emu.registers.field import LOWER, PAGE_BYTES, Field
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, armed_on_port, refuse
from cmis_emu.scenarios.units import CURRENT, LEVEL, POWER, RATIO, TEMPERATURE, VOLTAGE

Place = tuple[int, int, int]
"""Page, bank, and byte within the page from 0."""
SeamOf = Callable[[ModuleFaults], Seam[Any]]

PORT = Argument(Kind.PORT, "where the module sits", required=True)
LANES = Argument(Kind.LANES, "lanes of the module, counted from 1; all without it")
FIELD = Argument(Kind.FIELD, "the field, by its CMIS name", required=True)

_ALL_BANKS = 4
_SELECTS = frozenset({"BankSelect", "PageSelect"})


@dataclass(eq=False, slots=True)
class RuleFault:
    """One rule at one seam, in whatever module sits in the port."""

    seam: SeamOf
    rule: Rule

    def attach(self, port: Port) -> None:
        """A module is there."""
        self.seam(port.module.faults).add(self.rule)

    def detach(self, port: Port) -> None:
        """The fault is cleared."""
        if port.occupant is not None:
            self.seam(port.occupant.faults).remove(self.rule)


def arm_rule(call: Call, seam: SeamOf, rule: Rule) -> Undo:
    """Arm a rule on the call's port."""
    return armed_on_port(call, RuleFault(seam, rule))


def both(*undos: Undo) -> Undo:
    """Undo all of them, the latest first."""

    def undo() -> None:
        for each in reversed(undos):
            each()

    return undo


def lanes_of(call: Call, name: str = "lanes") -> frozenset[int] | None:
    """The lanes of an argument; None for all of them."""
    value = call[name]
    if value is None or value == "all":
        return None
    found = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    if not found or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in found):
        raise refuse(value, "a list of lanes from 1, or all", name)
    return frozenset(found)


def nanoseconds(value: float | None) -> int | None:
    """A duration of an argument in ns; None stays."""
    return None if value is None else seconds(value)


def field_of(name: str, argument: str = "field") -> tuple[Field, int | None]:
    """A field, and the lane that its name says. Raises InputError with the nearest names."""
    try:
        return load_maps().resolve(name)
    except UnknownFieldError as error:
        raise InputError(repr(name), str(error).partition("expected ")[2] or "a CMIS field", field=argument) from None


def bits_of(name: str, lanes: frozenset[int] | None, within: int | None = None) -> Mapping[Place, int]:
    """All bits of a field, of the lanes that are meant, in all banks.

    Lanes count through the banks for what has eight lanes a bank; else they are elements of the field, through all
    pages of its family. `within`: only this bit of each element.
    """
    field, own = field_of(name)
    regmap = load_maps()
    family = (field,) if own is not None else regmap.family(field.name)
    found: dict[Place, int] = {}
    number = 0
    for each in family:
        banks = range(_ALL_BANKS if regmap.pages[each.page].banked else 1)
        for element in range(1, each.count + 1):
            number += 1
            for bank in banks:
                through = number + LANES_OF_A_BANK * bank if each.count == LANES_OF_A_BANK else number
                if own is not None:
                    meant = element == own and (lanes is None or through in lanes)
                else:
                    meant = each.lanes is None or lanes is None or through in lanes
                if meant:
                    _add(found, each, element, bank, within)
    return found


def _add(found: dict[Place, int], field: Field, element: int, bank: int, within: int | None) -> None:
    first, size, msb, lsb = field.element(element)
    mask = (1 << (msb + 1)) - (1 << lsb) if within is None else 1 << (lsb + within)
    start = 0 if field.page == LOWER else PAGE_BYTES
    for byte in range(first, first + size):
        key = field.page, bank, byte - start
        found[key] = found.get(key, 0) | mask


def refuse_selects(name: str) -> None:
    """Page selection belongs to the bus and memory faults."""
    if field_of(name)[0].name in _SELECTS:
        raise refuse(name, "a control of the module; for page selection see page.*", "field")


def value_of(value: Any, argument: str = "value") -> float:
    """A number in a field's unit, or text with a unit: degC, V, A, dBm (as W), or a ratio."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise refuse(value, "a number, or a number with its unit", argument)
    if not isinstance(value, str):
        return float(value)
    for kind in (RATIO, TEMPERATURE, VOLTAGE, CURRENT, LEVEL):
        try:
            return kind.read(value)
        except InputError:
            continue
    try:
        return dbm_to_w(POWER.read(value))
    except InputError:
        raise refuse(value, "a number, or one with its unit: degC, V, A, dBm, dB", argument) from None
