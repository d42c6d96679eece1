"""Scenario files to `model.Scenario`: every mistake is refused with file:line, what was found and expected.

Owns the format of `scenario.yaml` (version 1). YAML is data: no expressions, unknown keys refused, near misses named.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cmis_emu.clock import seconds
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.port import HOST_PINS, MODULE_PINS, OSFP_PINS
from cmis_emu.registers.encoding import encode
from cmis_emu.registers.field import Field, Kind as FieldKind
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.yamlfile import Located, from_data, load_yaml
from cmis_emu.scenarios import catalogue, library
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.model import (
    LEVELS,
    AccessCondition,
    Begin,
    Comparison,
    Condition,
    Direction,
    Expectation,
    FieldCondition,
    HostCondition,
    Mode,
    Outcome,
    PinCondition,
    Scenario,
    Step,
    StepCondition,
    Trigger,
    Which,
)
from cmis_emu.scenarios.places import Place, parse_place
from cmis_emu.scenarios.units import BYTE, CHANCE, COUNT, DURATION, MOMENT, Quantity
from cmis_emu.testbed import Testbed, parse_testbed, read_testbed

VERSION = 1
_TOP = ("version", "scenario", "title", "source", "rows", "testbed", "seed", "begin", "duration", "steps", "expect")
_STEP = (
    "id", "at", "when", "within", "delay", "every", "times", "do", "for", "count", "skip", "every_nth", "probability",
)  # fmt: skip
_CONDITION_KINDS = ("field", "pin", "read", "wrote", "accessed", "step", "host")
_COMPARISONS = ("is", "not", "above", "below")
_EXPECT = ("id", "that", "never", "always", "by", "at", "from", "until", "after")
LARGEST_NS = 10**9 * 10**9
TAIL_NS = seconds(1.0)
"""Without a duration, a scenario goes on for so long after all that has a time in it."""

_UNITS: Mapping[str, Mapping[str, float]] = {
    "W": {"W": 1.0, "mW": 1e-3, "uW": 1e-6},
    "A": {"A": 1.0, "mA": 1e-3, "uA": 1e-6},
    "V": {"V": 1.0, "mV": 1e-3},
    "degC": {"degC": 1.0},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "dB": {"dB": 1.0},
    "dBm": {"dBm": 1.0},
    "%": {"%": 1.0},
}


def read_scenario(source: str | Path | Mapping[str, Any]) -> Scenario:
    """A scenario from the library's name, a YAML file or a dict of the same shape. Raises InputError."""
    if isinstance(source, Mapping):
        return _Reader(from_data(source)).scenario()
    path = library.find(str(source))
    return _Reader(load_yaml(path, exponents=True)).scenario()


class _Reader:
    """One file. `ports` and `fibres` are those that it names or brings along."""

    def __init__(self, top: Located) -> None:
        self.top = top
        self.ports: dict[str, None] = {}
        self.fibres: dict[str, None] = {}
        self.step_names: dict[str, int] = {}
        self.testbed: Testbed | None = None
        self.maps = load_maps()

    # -- the whole -------------------------------------------------------------------------------------

    def scenario(self) -> Scenario:
        top = self.top
        top.check_keys(_TOP, ("version", "scenario", "steps", "expect"))
        if type(top["version"]) is not int or top["version"] != VERSION:
            raise top.error("version", top["version"], str(VERSION))
        self.testbed = self._testbed()
        rows = self._texts(top, "rows")
        sources = self._texts(top, "source")
        steps = self._steps()
        expectations = self._expectations(steps)
        return Scenario(
            name=self._text(top, "scenario"),
            title=self._text(top, "title") if "title" in top else self._text(top, "scenario"),
            file=top.file,
            sources=sources,
            rows=rows,
            testbed=self.testbed,
            seed=self._seed(),
            begin=Begin(self._choice(top, "begin", [each.value for each in Begin]) or Begin.SETTLED.value),
            duration_ns=self._duration(steps, expectations),
            steps=steps,
            expectations=expectations,
            ports=tuple(self.ports),
            fibres=tuple(self.fibres),
        )

    def _testbed(self) -> Testbed | None:
        given = self.top.get("testbed")
        if given is None:
            return None
        if isinstance(given, Located):
            return parse_testbed(given)
        if not isinstance(given, str):
            raise self.top.error("testbed", given, "a profile, a testbed file, or a testbed written here")
        beside = Path(self.top.file).parent / given
        try:
            return read_testbed(beside if given.endswith((".yaml", ".yml")) and beside.is_file() else given)
        except InputError as error:
            if error.file is not None:
                raise
            raise self.top.error("testbed", error.found, error.expected) from None

    def _seed(self) -> int | None:
        value = self.top.get("seed")
        if value is not None and (type(value) is not int or not 0 <= value < 2**63):
            raise self.top.error("seed", value, "a whole number from 0 to 2**63 - 1")
        return value

    def _duration(self, steps: tuple[Step, ...], expectations: tuple[Expectation, ...]) -> int:
        if "duration" in self.top:
            return self._time(self.top, "duration", DURATION)
        ends = [0]
        for step in steps:
            trigger = step.trigger
            ends.append(
                trigger.at_ns
                + (trigger.within_ns or 0)
                + trigger.delay_ns
                + (trigger.period_ns or 0) * (trigger.times - 1)
                + (step.duration_ns or 0)
            )
        ends += [each.until_ns or each.from_ns for each in expectations]
        return max(ends) + TAIL_NS

    # -- steps -----------------------------------------------------------------------------------------

    def _steps(self) -> tuple[Step, ...]:
        rows = self._rows("steps")
        if not rows:
            raise self.top.error("steps", "no step", "at least one")
        for number, row in enumerate(rows, 1):
            name = row.get("id", f"step {number}")
            if not isinstance(name, str) or not name:
                raise row.error("id", name, "a name")
            if name in self.step_names:
                raise row.error("id", f"{name!r} twice", "a name of its own for each step")
            self.step_names[name] = row.line
        return tuple(self._step(row, number) for number, row in enumerate(rows, 1))

    def _step(self, row: Located, number: int) -> Step:
        name = row.get("id", f"step {number}")
        if "do" not in row:
            raise row.error(None, "no such key", "the key 'do'", field=f"{name}: do")
        known = catalogue.names()
        done = row["do"]
        if not isinstance(done, str) or done not in known:
            raise row.error("do", done, f"an action{_near(done, known)}; `cmis-emu scenario actions` lists them")
        action, program = catalogue.action(done), catalogue.program(done)
        taken = action.arguments if action is not None else program.arguments if program is not None else {}
        row.check_keys((*_STEP, *taken), field=name)
        lasting = action is not None and action.lasting
        counted = action is not None and action.counted
        for key, fits, what in (
            ("for", lasting, "that lasts"),
            ("count", counted, "with occasions"),
            ("skip", counted, "with occasions"),
            ("every_nth", counted, "with occasions"),
            ("probability", counted, "with occasions"),
        ):
            if key in row and not fits:
                raise row.error(key, f"{key!r} for {done}", f"it only for an action {what}")
        return Step(
            name=name,
            line=row.line,
            trigger=self._trigger(row, name),
            action=action,
            program=program,
            arguments=self._arguments(row, name, taken),
            duration_ns=self._time(row, "for", DURATION) if "for" in row else None,
            count=self._quantity(row, "count", COUNT) if "count" in row else None,
            skip=self._quantity(row, "skip", COUNT) if "skip" in row else 0,
            every=max(1, self._quantity(row, "every_nth", COUNT)) if "every_nth" in row else 1,
            probability=self._quantity(row, "probability", CHANCE) if "probability" in row else 1.0,
        )

    def _trigger(self, row: Located, name: str) -> Trigger:
        if "at" in row and "when" in row:
            raise row.error("when", "both 'at' and 'when'", "one of them", field=f"{name}: when")
        if "within" in row and "when" not in row:
            raise row.error("within", "'within' without 'when'", "the event that it bounds", field=f"{name}: within")
        if ("times" in row) != ("every" in row):
            raise row.error(None, "one of 'every' and 'times'", "both of them, or none", field=name)
        times = self._quantity(row, "times", COUNT) if "times" in row else 1
        if times < 1:
            raise row.error("times", row["times"], "a whole number of 1 or more")
        period_ns = self._time(row, "every", DURATION) if "every" in row else None
        if period_ns == 0:
            raise row.error("every", row["every"], "a duration of more than 0")
        when = row.get("when")
        if when is not None and not isinstance(when, Located):
            raise row.error("when", when, "a condition such as {port: a, field: ModuleState, is: ModuleReady}")
        return Trigger(
            at_ns=self._time(row, "at", MOMENT) if "at" in row else 0,
            when=None if when is None else self._condition(when, f"{name}: when"),
            within_ns=self._time(row, "within", DURATION) if "within" in row else None,
            delay_ns=self._time(row, "delay", DURATION) if "delay" in row else 0,
            period_ns=period_ns,
            times=times,
        )

    def _arguments(self, row: Located, name: str, taken: Mapping[str, Argument]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, argument in taken.items():
            if row.get(key) is None:
                if argument.required:
                    raise row.error(None, "no such key", f"the key {key!r}: {argument.doc}", field=f"{name}: {key}")
                found[key] = argument.default
                continue
            try:
                found[key] = self._argument(row[key], argument)
            except (InputError, UnknownFieldError) as error:
                if isinstance(error, InputError) and error.file is not None:
                    raise
                wrong = _as_input_error(error, row[key])
                raise row.error(key, wrong.found, wrong.expected, field=f"{name}: {key}") from None
        self._check_value(row, name, taken, found)
        return found

    def _argument(self, value: Any, argument: Argument) -> Any:
        kind = argument.kind
        if isinstance(kind, Quantity):
            return kind.read(value)
        if kind is Kind.PORT:
            return self._port(value)
        if kind is Kind.FIBRE:
            return self._fibre(value)
        if kind is Kind.FIELD:
            if not isinstance(value, str):
                raise InputError(repr(value), "a CMIS field by name")
            self.maps.resolve(value)
            return value
        if kind is Kind.PLACE:
            if not isinstance(value, str):
                raise InputError(repr(value), "a place such as '11h:154-169' or L:14")
            return parse_place(value)
        if kind is Kind.BYTES:
            return _bytes(value)
        if kind is Kind.LANES:
            return _lanes(value)
        if kind is Kind.FLAG:
            if not isinstance(value, bool):
                raise InputError(repr(value), "true or false")
            return value
        if kind is Kind.CHOICE:
            if value not in argument.choices:
                raise InputError(repr(value), f"one of {', '.join(argument.choices)}{_near(value, argument.choices)}")
            return value
        if kind is Kind.TEXT and not isinstance(value, str):
            raise InputError(repr(value), "a text")
        return value

    def _check_value(self, row: Located, name: str, taken: Mapping[str, Argument], found: dict[str, Any]) -> None:
        """A value must fit the field beside it."""
        values = [key for key, argument in taken.items() if argument.kind is Kind.VALUE and found[key] is not None]
        fields = [key for key, argument in taken.items() if argument.kind is Kind.FIELD]
        for key in values:
            field, _ = self.maps.resolve(found[fields[0]])
            found[key] = self._value(row, key, field, f"{name}: {key}")
            try:
                encode(field, found[key], None if field.enum is None else self.maps.enums[field.enum])
            except InputError as error:
                raise row.error(key, error.found, error.expected, field=f"{name}: {key}") from None

    def _port(self, value: Any) -> str:
        text = str(value)
        known = None if self.testbed is None else [port.name for port in self.testbed.ports]
        if isinstance(value, (list, Located, bool)) or (known is not None and text not in known):
            raise InputError(repr(value), "a port" if known is None else f"one of the ports {', '.join(known)}")
        self.ports[text] = None
        return text

    def _fibre(self, value: Any) -> str:
        text = str(value)
        known = None if self.testbed is None else [fibre.name for fibre in self.testbed.fibres]
        if isinstance(value, (list, Located, bool)) or (known is not None and text not in known):
            raise InputError(repr(value), "a fibre" if known is None else f"one of the fibres {', '.join(known)}")
        self.fibres[text] = None
        return text

    # -- conditions ------------------------------------------------------------------------------------

    def _condition(self, row: Located, where: str) -> Condition:
        kinds = [key for key in _CONDITION_KINDS if key in row]
        if len(kinds) != 1:
            found = f"{' and '.join(kinds)} together" if kinds else f"only {', '.join(row) or 'nothing'}"
            raise row.error(None, found, f"one of {', '.join(_CONDITION_KINDS)}", field=where)
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
            return self._port(row["port"])
        except InputError as error:
            raise row.error("port", error.found, error.expected, field=f"{where}: port") from None

    def _field_condition(self, row: Located, where: str) -> FieldCondition:
        row.check_keys(("port", "field", "lane", "lanes", "bank", *_COMPARISONS), field=where)
        port = self._of_port(row, where)
        name = row["field"]
        try:
            field, own = self.maps.resolve(str(name))
        except UnknownFieldError as error:
            wrong = _as_input_error(error, name)
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
            if lanes is None or own is not None:
                raise row.error("lane" if "lane" in row else "lanes", given, f"no lane for {name}", field=where)
            lanes = Which(given) if given in ("all", "any") else _lanes(given, "lanes" if "lanes" in row else "lane")
        comparison = self._comparison(row, field, where)
        bank = self._quantity(row, "bank", BYTE) if "bank" in row else 0
        return FieldCondition(port, str(name), comparison, lanes, bank)

    def _comparison(self, row: Located, field: Field, where: str) -> Comparison:
        given = [key for key in _COMPARISONS if key in row]
        if not given or ("is" in given or "not" in given) and len(given) > 1:
            found = " and ".join(given) or "no comparison"
            raise row.error(None, found, "one of is, not, above, below (or above and below)", field=where)
        if given[0] in ("is", "not"):
            value = self._value(row, given[0], field, f"{where}: {given[0]}")
            return Comparison(f"{given[0]} {row[given[0]]}", value=value, negated=given[0] == "not")
        numbers: dict[str, float] = {}
        for key in given:
            value = self._value(row, key, field, f"{where}: {key}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise row.error(key, row[key], "a number", field=f"{where}: {key}")
            numbers[key] = float(value)
        text = " and ".join(f"{key} {row[key]}" for key in given)
        return Comparison(text, low=numbers.get("above"), high=numbers.get("below"))

    def _value(self, row: Located, key: str, field: Field, where: str) -> Any:
        """A value of a field as a scenario writes it: with a unit, an enumeration's name, true and false, text."""
        value = row[key]
        if field.enum is not None:
            names = self.maps.enums[field.enum]
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if value not in names.values():
                shown = ", ".join(names.values())
                raise row.error(key, value, f"one of {shown}{_near(value, names.values())}", field=where)
            return next(code for code, text in names.items() if text == value)
        if field.kind is FieldKind.BOOL:
            if not isinstance(value, bool):
                raise row.error(key, value, "true or false", field=where)
            return value
        if field.kind is FieldKind.ASCII:
            return str(value)
        if field.kind is FieldKind.BYTES:
            try:
                return _bytes(value)
            except InputError as error:
                raise row.error(key, error.found, error.expected, field=where) from None
        if field.unit == "W" and isinstance(value, str) and value.endswith("dBm"):
            return 10 ** (self._number(row, key, {"dBm": 1.0}, where) / 10) * 1e-3
        return self._number(row, key, _UNITS.get(field.unit or "", {"": 1.0}), where)

    def _number(self, row: Located, key: str, units: Mapping[str, float], where: str) -> float:
        kind = Quantity("a value", dict(units), f"1.5 {next(iter(units))}".rstrip())
        try:
            return kind.read(row[key])
        except InputError as error:
            raise row.error(key, error.found, error.expected, field=where) from None

    def _pin_condition(self, row: Located, where: str) -> PinCondition:
        row.check_keys(("port", "pin", "is"), ("is",), field=where)
        pins = (*HOST_PINS, *MODULE_PINS, *OSFP_PINS)
        if row["pin"] not in pins:
            raise row.error("pin", row["pin"], f"one of {', '.join(pins)}", field=f"{where}: pin")
        levels = {"high": True, "low": False, True: True, False: False}
        if not isinstance(row["is"], (str, bool)) or row["is"] not in levels:
            raise row.error("is", row["is"], "high or low", field=f"{where}: is")
        return PinCondition(self._of_port(row, where), row["pin"], levels[row["is"]])

    def _step_condition(self, row: Located, where: str) -> StepCondition:
        row.check_keys(("step", "is"), field=where)
        state = self._choice(row, "is", ["done", "spent"]) or "done"
        return StepCondition(self._step_name(row, "step", where), state == "spent")

    def _host_condition(self, row: Located, where: str) -> HostCondition:
        row.check_keys(("host", "is"), ("is",), field=where)
        return HostCondition(
            self._step_name(row, "host", where), Outcome(self._choice(row, "is", [each.value for each in Outcome]))
        )

    def _step_name(self, row: Located, key: str, where: str) -> str:
        name = row[key]
        if name not in self.step_names:
            known = ", ".join(self.step_names)
            raise row.error(key, name, f"the id of a step: {known}{_near(name, self.step_names)}", field=f"{where}: {key}")
        return str(name)

    def _access_condition(self, row: Located, where: str, direction: Direction) -> AccessCondition:
        row.check_keys(("port", direction.value, "value", "is", "nth"), field=where)
        port = self._of_port(row, where)
        place: Place | None = None
        if row[direction.value] not in ("anything", True):
            if not isinstance(row[direction.value], str):
                raise InputError(repr(row[direction.value]), "a place such as '10h:143', or anything")
            place = parse_place(row[direction.value])
        if "value" in row and (place is None or direction is not Direction.WRITE):
            raise row.error("value", row["value"], "it only for what was written to a place", field=f"{where}: value")
        outcome = row.get("is")
        names = ("done", "refused", *errno.errorcode.values())
        if outcome is not None and outcome not in names:
            expected = "done, refused or the name of an errno such as ENXIO"
            raise row.error("is", outcome, f"{expected}{_near(outcome, names)}", field=f"{where}: is")
        return AccessCondition(
            port,
            direction,
            None if place is None else place.page,
            0 if place is None else place.first,
            255 if place is None else place.last,
            self._quantity(row, "value", BYTE) if "value" in row else None,
            outcome,
            max(1, self._quantity(row, "nth", COUNT)) if "nth" in row else 1,
        )

    # -- expectations ----------------------------------------------------------------------------------

    def _expectations(self, steps: tuple[Step, ...]) -> tuple[Expectation, ...]:
        rows = self._rows("expect")
        if not rows:
            raise self.top.error("expect", "no expectation", "at least one")
        programs = {step.name for step in steps if step.program is not None}
        return tuple(self._expectation(row, number, programs) for number, row in enumerate(rows, 1))

    def _expectation(self, row: Located, number: int, programs: set[str]) -> Expectation:
        name = str(row.get("id", f"expectation {number}"))
        row.check_keys(_EXPECT, field=name)
        given = [key for key in ("that", "never", "always") if key in row]
        if len(given) != 1:
            raise row.error(None, " and ".join(given) or "no condition", "one of that, never, always", field=name)
        kind = given[0]
        if not isinstance(row[kind], Located):
            raise row.error(kind, row[kind], "a condition such as {port: a, pin: IntL, is: low}", field=f"{name}: {kind}")
        condition = self._condition(row[kind], f"{name}: {kind}")
        mode = {"never": Mode.NEVER, "always": Mode.ALWAYS}.get(kind, Mode.AT if "at" in row else Mode.ONCE)
        if mode in (Mode.AT, Mode.ALWAYS) and not isinstance(condition, LEVELS):
            raise row.error(kind, str(condition), "the value of a field or a pin, as it must hold", field=f"{name}: {kind}")
        ends = [key for key in ("by", "at", "until") if key in row]
        fitting = ("by", "at") if kind == "that" else ("until",)
        if len(ends) > 1 or (ends and ends[0] not in fitting):
            raise row.error(ends[-1], " and ".join(ends), f"one of {', '.join(fitting)}", field=name)
        if "from" in row and mode is Mode.AT:
            raise row.error("from", "'from' beside 'at'", "one of them", field=name)
        from_ns = self._time(row, "from", MOMENT) if "from" in row else 0
        until_ns = self._time(row, ends[0], MOMENT) if ends else None
        if until_ns is not None and until_ns < from_ns:
            raise row.error(ends[0], row[ends[0]], f"a time of {row['from']} or later", field=f"{name}: {ends[0]}")
        after = self._step_name(row, "after", name) if "after" in row else None
        needs_host = isinstance(condition, HostCondition) or after in programs
        return Expectation(name, row.line, condition, mode, from_ns, until_ns, after, needs_host)

    # -- small things ----------------------------------------------------------------------------------

    def _rows(self, key: str) -> list[Located]:
        rows = self.top[key]
        if not isinstance(rows, list):
            raise self.top.error(key, rows, "a list")
        for row in rows:
            if not isinstance(row, Located):
                raise self.top.error(key, row, "a list of mappings")
        return rows

    def _text(self, row: Located, key: str) -> str:
        if not isinstance(row[key], str) or not row[key]:
            raise row.error(key, row[key], "a text")
        return str(row[key])

    def _texts(self, row: Located, key: str) -> tuple[str, ...]:
        given = row.get(key)
        if given is None:
            return ()
        many = given if isinstance(given, list) else [given]
        if not all(isinstance(each, str) for each in many):
            raise row.error(key, given, "a text, or a list of texts")
        return tuple(many)

    def _choice(self, row: Located, key: str, choices: list[str]) -> str | None:
        value = row.get(key)
        if value is not None and value not in choices:
            raise row.error(key, value, f"one of {', '.join(choices)}{_near(value, choices)}")
        return value

    def _quantity(self, row: Located, key: str, kind: Quantity) -> Any:
        try:
            return kind.read(row[key])
        except InputError as error:
            raise row.error(key, error.found, error.expected) from None

    def _time(self, row: Located, key: str, kind: Quantity) -> int:
        return seconds(self._quantity(row, key, kind))


def _near(value: object, known: Any) -> str:
    close = get_close_matches(str(value), [str(each) for each in known], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _as_input_error(error: InputError | UnknownFieldError, value: object) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(repr(value), str(error).partition("expected ")[2] or "a CMIS field")


def _bytes(value: Any) -> bytes:
    """A list of bytes, one byte, or hexadecimal text."""
    expected = "a byte, a list of bytes from 0 to 255, or text of hexadecimal digits"
    if isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise InputError(repr(value), expected) from None
    many = value if isinstance(value, list) else [value]
    if not many or not all(type(each) is int and 0 <= each <= 255 for each in many):
        raise InputError(repr(value), expected)
    return bytes(many)


def _lanes(value: Any, field: str | None = None) -> tuple[int, ...]:
    """One lane, a list of lanes, or `all` for 1 to 8."""
    if value == "all":
        return tuple(range(1, 9))
    many = value if isinstance(value, list) else [value]
    if not many or not all(type(each) is int and 1 <= each <= 32 for each in many) or len(set(many)) < len(many):
        raise InputError(repr(value), "a lane from 1 to 32, a list of them, or all", field=field)
    return tuple(many)


