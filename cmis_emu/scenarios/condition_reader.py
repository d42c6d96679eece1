"""Conditions of scenario files: what a step waits for, and what is expected.

Knows the ports, fibres and steps that a file may name, and keeps which of the first two it does name.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.pins import ALL_WORDS
from cmis_emu.registers.field import Field
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.place import ALL_BITS, Place
from cmis_emu.registers.yamlfile import Located
from cmis_emu.scenarios import catalogue
from cmis_emu.scenarios.model import (
    AccessCondition,
    CommandCondition,
    Comparison,
    Condition,
    Direction,
    FieldCondition,
    HostCondition,
    Outcome,
    PinCondition,
    StepCondition,
    Which,
)
from cmis_emu.scenarios.places import parse_place
from cmis_emu.scenarios.units import BYTE, COMMAND_CODE, ORDINAL, Quantity
from cmis_emu.scenarios.values import as_input_error, near, read_lanes, read_value
from cmis_emu.testbed import Testbed

_KINDS = ("field", "pin", "read", "wrote", "accessed", "step", "host", "cdb")
MOST_LANES = 256
"""Instances of VDM count as lanes here."""
_COMPARISONS = ("is", "not", "above", "below")


def choice(row: Located, key: str, choices: Iterable[str]) -> str | None:
    """The word under `key`, one of `choices`; None when there is none. Raises InputError."""
    value = row.get(key)
    known = list(choices)
    if value is not None and value not in known:
        raise row.error(key, value, f"one of {', '.join(known)}{near(value, known)}")
    return value


def quantity(row: Located, key: str, kind: Quantity) -> Any:
    """The quantity under `key`, in SI. Raises InputError."""
    try:
        return kind.read(row[key])
    except InputError as error:
        raise row.error(key, error.found, error.expected) from None


class Names:
    """What a file may name. `ports` and `fibres`: those that it does. `inside`: the step that is being read."""

    def __init__(self, testbed: Testbed | None) -> None:
        self._testbed = testbed
        self.steps: dict[str, str] = {}  # what each does
        self.ports: dict[str, None] = {}
        self.fibres: dict[str, None] = {}
        self.inside: str | None = None
        self.maps = load_maps()

    def port(self, value: Any) -> str:
        text = str(value)
        known = None if self._testbed is None else [port.name for port in self._testbed.ports]
        if isinstance(value, (list, Located, bool)) or (known is not None and text not in known):
            raise InputError(repr(value), "a port" if known is None else f"one of the ports {', '.join(known)}")
        self.ports[text] = None
        return text

    def fibre(self, value: Any) -> str:
        text = str(value)
        known = None if self._testbed is None else [fibre.name for fibre in self._testbed.fibres]
        if isinstance(value, (list, Located, bool)) or (known is not None and text not in known):
            raise InputError(repr(value), "a fibre" if known is None else f"one of the fibres {', '.join(known)}")
        self.fibres[text] = None
        return text

    # -- conditions ------------------------------------------------------------------------------------

    def condition(self, row: Located, where: str) -> Condition:
        kinds = [key for key in _KINDS if key in row]
        if len(kinds) != 1:
            found = f"{' and '.join(kinds)} together" if kinds else f"only {', '.join(row)}" if row else "nothing"
            raise row.error(None, found, f"one of {', '.join(_KINDS)}", field=where)
        kind = kinds[0]
        try:
            if kind == "field":
                return self._field_condition(row, where)
            if kind == "pin":
                return self._pin_condition(row, where)
            if kind == "step":
                return self._step_condition(row, where)
            if kind == "host":
                return self._host_condition(row, where)
            if kind == "cdb":
                return self._command_condition(row, where)
            return self._access_condition(row, where, Direction(kind))
        except InputError as error:
            if error.file is not None:
                raise
            key = error.field if error.field in row else kind
            raise row.error(key, error.found, error.expected, field=f"{where}: {key}") from None

    def _of_port(self, row: Located, where: str) -> str:
        if "port" not in row:
            raise row.error(None, "no such key", "the key 'port'", field=f"{where}: port")
        try:
            return self.port(row["port"])
        except InputError as error:
            raise row.error("port", error.found, error.expected, field=f"{where}: port") from None

    def _field_condition(self, row: Located, where: str) -> FieldCondition:
        row.check_keys(("port", "field", "lane", "lanes", "bank", *_COMPARISONS), field=where)
        port = self._of_port(row, where)
        name = row["field"]
        try:
            field, own = self.maps.resolve(str(name))
        except UnknownFieldError as error:
            wrong = as_input_error(error, name)
            raise row.error("field", wrong.found, wrong.expected, field=f"{where}: field") from None
        if own is not None:
            lanes: tuple[int, ...] | Which | None = (own,)
            name = str(name)[: -len(str(own))] if str(name).endswith(str(own)) else name
        elif field.lanes is None:
            lanes = None
        else:
            lanes = Which.ALL
        given = row.get("lanes", row.get("lane"))
        if given is not None:
            key = "lanes" if "lanes" in row else "lane"
            if lanes is None or own is not None:
                raise row.error(key, given, f"no lane for {name}", field=f"{where}: {key}")
            lanes = Which(given) if given in ("all", "any") else self._lanes(row, key, str(name), where)
        comparison = self._comparison(row, field, where)
        bank = quantity(row, "bank", BYTE) if "bank" in row else 0
        return FieldCondition(port, str(name), comparison, lanes, bank)

    def _lanes(self, row: Located, key: str, name: str, where: str) -> tuple[int, ...]:
        lanes = read_lanes(row[key], key, MOST_LANES)
        try:
            self.maps.lane(name, max(lanes))
        except UnknownFieldError as error:
            wrong = as_input_error(error, row[key])
            raise row.error(key, wrong.found, wrong.expected, field=f"{where}: {key}") from None
        return lanes

    def _comparison(self, row: Located, field: Field, where: str) -> Comparison:
        given = [key for key in _COMPARISONS if key in row]
        if not given or (("is" in given or "not" in given) and len(given) > 1):
            found = " and ".join(given) or "no comparison"
            raise row.error(None, found, "one of is, not, above, below (or above and below)", field=where)
        if given[0] in ("is", "not"):
            value = read_value(row, given[0], field, f"{where}: {given[0]}")
            return Comparison(f"{given[0]} {row[given[0]]}", value=value, negated=given[0] == "not")
        numbers: dict[str, float] = {}
        for key in given:
            value = read_value(row, key, field, f"{where}: {key}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise row.error(key, row[key], "a number", field=f"{where}: {key}")
            numbers[key] = float(value)
        text = " and ".join(f"{key} {row[key]}" for key in given)
        return Comparison(text, low=numbers.get("above"), high=numbers.get("below"))

    def _pin_condition(self, row: Located, where: str) -> PinCondition:
        row.check_keys(("port", "pin", "is"), ("is",), field=where)
        if row["pin"] not in ALL_WORDS:
            raise row.error("pin", row["pin"], f"one of {', '.join(ALL_WORDS)}", field=f"{where}: pin")
        levels = {"high": True, "low": False, True: True, False: False}
        if not isinstance(row["is"], (str, bool)) or row["is"] not in levels:
            raise row.error("is", row["is"], "high or low", field=f"{where}: is")
        return PinCondition(self._of_port(row, where), row["pin"], levels[row["is"]])

    def _step_condition(self, row: Located, where: str) -> StepCondition:
        row.check_keys(("step", "is"), field=where)
        state = choice(row, "is", ["done", "spent"]) or "done"
        name = self.step(row, "step", where)
        action = catalogue.action(self.steps[name])
        if state == "spent" and (action is None or not action.counted):
            raise row.error("is", state, "done, since this step has no occasions", field=f"{where}: is")
        return StepCondition(name, state == "spent")

    def _host_condition(self, row: Located, where: str) -> HostCondition:
        row.check_keys(("host", "is", "says"), ("is",), field=where)
        says = row.get("says", "")
        if not isinstance(says, str):
            raise row.error("says", says, "a text", field=f"{where}: says")
        outcome = Outcome(choice(row, "is", [each.value for each in Outcome]))
        name = self.step(row, "host", where)
        if catalogue.program(self.steps[name]) is None:
            raise row.error("host", name, "a step that does something of a host", field=f"{where}: host")
        return HostCondition(name, outcome, says)

    def step(self, row: Located, key: str, where: str) -> str:
        name = row[key]
        if not isinstance(name, str) or name not in self.steps:
            known = ", ".join(self.steps)
            raise row.error(key, name, f"the id of a step: {known}{near(name, self.steps)}", field=f"{where}: {key}")
        if name == self.inside:
            raise row.error(key, name, "another step than the one that waits", field=f"{where}: {key}")
        return name

    def _command_condition(self, row: Located, where: str) -> CommandCondition:
        row.check_keys(("port", "cdb", "nth"), field=where)
        command = None if row["cdb"] == "any" else quantity(row, "cdb", COMMAND_CODE)
        return CommandCondition(
            self._of_port(row, where), command, quantity(row, "nth", ORDINAL) if "nth" in row else 1
        )

    def _access_condition(self, row: Located, where: str, direction: Direction) -> AccessCondition:
        row.check_keys(("port", direction.value, "value", "is", "nth"), field=where)
        port = self._of_port(row, where)
        place: Place | None = None
        if row[direction.value] not in ("anything", True):
            if not isinstance(row[direction.value], str):
                raise InputError(repr(row[direction.value]), "a place such as '10h:143', or anything")
            place = parse_place(row[direction.value])
            if place.mask != ALL_BITS:
                raise InputError(repr(row[direction.value]), "bytes, since no access is to single bits")
        if "value" in row and (place is None or direction is not Direction.WRITE):
            raise row.error("value", row["value"], "it only for what was written to a place", field=f"{where}: value")
        outcome = row.get("is")
        names = ("done", "refused", *errno.errorcode.values())
        if outcome is not None and outcome not in names:
            expected = "done, refused or the name of an errno such as ENXIO"
            raise row.error("is", outcome, f"{expected}{near(outcome, names)}", field=f"{where}: is")
        return AccessCondition(
            port,
            direction,
            None if place is None else place.page,
            0 if place is None else place.first,
            255 if place is None else place.last,
            None if place is None else place.bank,
            quantity(row, "value", BYTE) if "value" in row else None,
            outcome,
            quantity(row, "nth", ORDINAL) if "nth" in row else 1,
        )
