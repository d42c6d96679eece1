"""Scenario files to `model.Scenario`: every mistake is refused with file:line, what was found and expected.

Owns the format of `scenario.yaml` (version 1). YAML is data: no expressions, unknown keys refused, near misses named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmis_emu.clock import seconds
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.registers.encoding import encode
from cmis_emu.registers.yamlfile import Located, from_data, load_yaml
from cmis_emu.scenarios import catalogue, library
from cmis_emu.scenarios.action import STEP_KEYS, Argument, Kind
from cmis_emu.scenarios.actions.monitors import monitor_named
from cmis_emu.scenarios.arming import value_of
from cmis_emu.scenarios.condition_reader import Names, choice, quantity
from cmis_emu.scenarios.host import Program
from cmis_emu.scenarios.model import (
    LEVELS,
    LOOK_NS,
    Begin,
    Condition,
    Expectation,
    HostCondition,
    Mode,
    Scenario,
    Step,
    Trigger,
)
from cmis_emu.scenarios.places import parse_place
from cmis_emu.scenarios.units import CHANCE, COUNT, DURATION, MOMENT, ORDINAL, Quantity
from cmis_emu.scenarios.values import as_input_error, near, read_bytes, read_lanes, read_value
from cmis_emu.testbed import Testbed, parse_testbed, read_testbed

VERSION = 1
_TOP = (
    "version",
    "scenario",
    "title",
    "source",
    "rows",
    "testbed",
    "seed",
    "begin",
    "duration",
    "look",
    "steps",
    "expect",
)
_EXPECT = ("id", "that", "never", "always", "by", "at", "from", "until", "after")
LARGEST_NS = 10**9 * 10**9
TAIL_NS = seconds(1.0)
"""Without a duration, a scenario goes on for so long after all that has a time in it."""


def read_scenario(source: str | Path | Mapping[str, Any]) -> Scenario:
    """A scenario from the library's name, a YAML file or a dict of the same shape. Raises InputError."""
    if isinstance(source, Mapping):
        return _Reader(from_data(source)).scenario()
    path = library.find(str(source))
    return _Reader(load_yaml(path, exponents=True)).scenario()


class _Reader:
    """One file."""

    def __init__(self, top: Located) -> None:
        self.top = top
        self.names = Names(None)
        self.hopes: list[str] = []

    # -- the whole -------------------------------------------------------------------------------------

    def scenario(self) -> Scenario:
        top = self.top
        top.check_keys(_TOP, ("version", "scenario", "steps", "expect"))
        if type(top["version"]) is not int or top["version"] != VERSION:
            raise top.error("version", top["version"], str(VERSION))
        testbed = self._testbed()
        self.names = Names(testbed)
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
            testbed=testbed,
            seed=self._seed(),
            begin=Begin(choice(top, "begin", [each.value for each in Begin]) or Begin.SETTLED.value),
            duration_ns=self._duration(steps, expectations),
            look_ns=self._look(),
            steps=steps,
            expectations=expectations,
            ports=tuple(self.names.ports),
            fibres=tuple(self.names.fibres),
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

    def _look(self) -> int:
        found = self._time(self.top, "look", DURATION) if "look" in self.top else LOOK_NS
        if not found:
            raise self.top.error("look", self.top["look"], "a duration of more than 0")
        return found

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
            if name in self.names.steps:
                raise row.error("id", f"{name!r} twice", "a name of its own for each step")
            self.names.steps[name] = str(row.get("do"))
        return tuple(self._step(row, number) for number, row in enumerate(rows, 1))

    def _step(self, row: Located, number: int) -> Step:
        name = row.get("id", f"step {number}")
        if "do" not in row:
            raise row.error(None, "no such key", "the key 'do'", field=f"{name}: do")
        known = catalogue.names()
        done = row["do"]
        if not isinstance(done, str) or done not in known:
            raise row.error("do", done, f"an action{near(done, known)}; `cmis-emu scenario actions` lists them")
        action, program = catalogue.action(done), catalogue.program(done)
        taken = action.arguments if action is not None else program.arguments if program is not None else {}
        row.check_keys((*STEP_KEYS, *taken), field=name)
        lasting = action is not None and action.lasting
        counted = action is not None and action.counted
        for key, fits, what in (
            ("for", lasting, "that lasts"),
            ("clear_when", lasting, "that lasts"),
            ("count", counted, "with occasions"),
            ("skip", counted, "with occasions"),
            ("every_nth", counted, "with occasions"),
            ("probability", counted, "with occasions"),
        ):
            if key in row and not fits:
                raise row.error(key, f"{key!r} for {done}", f"it only for an action {what}")
        self.names.inside = name
        arguments = self._arguments(row, name, taken)
        if program is not None:
            self._check_together(row, name, program, arguments)
        return Step(
            name=name,
            line=row.line,
            trigger=self._trigger(row, name),
            action=action,
            program=program,
            arguments=arguments,
            duration_ns=self._time(row, "for", DURATION) if "for" in row else None,
            clear_when=self._event(row, "clear_when", name),
            count=quantity(row, "count", COUNT) if "count" in row else None,
            skip=quantity(row, "skip", COUNT) if "skip" in row else 0,
            every=quantity(row, "every_nth", ORDINAL) if "every_nth" in row else 1,
            probability=quantity(row, "probability", CHANCE) if "probability" in row else 1.0,
        )

    def _trigger(self, row: Located, name: str) -> Trigger:
        if "at" in row and "when" in row:
            raise row.error("when", "both 'at' and 'when'", "one of them", field=f"{name}: when")
        if "within" in row and "when" not in row:
            raise row.error("within", "'within' without 'when'", "the event that it bounds", field=f"{name}: within")
        if ("repeat" in row) != ("every" in row):
            raise row.error(None, "one of 'every' and 'repeat'", "both of them, or none", field=name)
        times = quantity(row, "repeat", ORDINAL) if "repeat" in row else 1
        period_ns = self._time(row, "every", DURATION) if "every" in row else None
        if period_ns == 0:
            raise row.error("every", row["every"], "a duration of more than 0")
        return Trigger(
            at_ns=self._time(row, "at", MOMENT) if "at" in row else 0,
            when=self._event(row, "when", name),
            within_ns=self._time(row, "within", DURATION) if "within" in row else None,
            delay_ns=self._time(row, "delay", DURATION) if "delay" in row else 0,
            period_ns=period_ns,
            times=times,
        )

    def _event(self, row: Located, key: str, name: str) -> Condition | None:
        found = row.get(key)
        if found is None:
            return None
        if not isinstance(found, Located):
            raise row.error(key, found, "a condition such as {port: a, field: ModuleState, is: ModuleReady}")
        return self.names.condition(found, f"{name}: {key}")

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
                wrong = as_input_error(error, row[key])
                raise row.error(key, wrong.found, wrong.expected, field=f"{name}: {key}") from None
        self._check_value(row, name, taken, found)
        return found

    def _check_together(self, row: Located, name: str, program: Program, found: Mapping[str, Any]) -> None:
        """What a program takes must go together."""
        if program.check is None:
            return
        try:
            program.check(found)
        except InputError as error:
            key = error.field if error.field in row else None
            field = f"{name}: {error.field}" if error.field else name
            raise row.error(key, error.found, error.expected, field=field) from None

    def _argument(self, value: Any, argument: Argument) -> Any:
        kind = argument.kind
        if isinstance(kind, Quantity):
            return kind.read(value)
        if kind is Kind.PORT:
            return self.names.port(value)
        if kind is Kind.FIBRE:
            return self.names.fibre(value)
        if kind is Kind.FIELD:
            if not isinstance(value, str):
                raise InputError(repr(value), "a CMIS field by name")
            self.names.maps.resolve(value)
            return value
        if kind is Kind.MONITOR:
            monitor_named(str(value))
            return str(value)
        if kind is Kind.READING:
            return value_of(value)
        if kind is Kind.PLACE:
            if not isinstance(value, str):
                raise InputError(repr(value), "a place such as '11h:154-169' or L:14")
            return parse_place(value)
        if kind is Kind.BYTES:
            return read_bytes(value)
        if kind is Kind.LANES:
            return read_lanes(value)
        if kind is Kind.FLAG:
            if not isinstance(value, bool):
                raise InputError(repr(value), "true or false")
            return value
        if kind is Kind.CHOICE:
            if value not in argument.choices:
                raise InputError(repr(value), f"one of {', '.join(argument.choices)}{near(value, argument.choices)}")
            return value
        if kind is Kind.TEXT and not isinstance(value, str):
            raise InputError(repr(value), "a text")
        return value

    def _check_value(self, row: Located, name: str, taken: Mapping[str, Argument], found: dict[str, Any]) -> None:
        """A value must fit the field beside it."""
        values = [key for key, argument in taken.items() if argument.kind is Kind.VALUE and found[key] is not None]
        fields = [key for key, argument in taken.items() if argument.kind is Kind.FIELD]
        for key in values:
            field, _ = self.names.maps.resolve(found[fields[0]])
            found[key] = read_value(row, key, field, f"{name}: {key}")
            try:
                encode(field, found[key], None if field.enum is None else self.names.maps.enums[field.enum])
            except InputError as error:
                raise row.error(key, error.found, error.expected, field=f"{name}: {key}") from None

    # -- expectations ----------------------------------------------------------------------------------

    def _expectations(self, steps: tuple[Step, ...]) -> tuple[Expectation, ...]:
        rows = self._rows("expect")
        if not rows:
            raise self.top.error("expect", "no expectation", "at least one")
        self.names.inside = None
        programs = {step.name for step in steps if step.program is not None}
        return tuple(self._expectation(row, number, programs) for number, row in enumerate(rows, 1))

    def _expectation(self, row: Located, number: int, programs: set[str]) -> Expectation:
        name = row.get("id", f"expectation {number}")
        if not isinstance(name, str) or not name or name in self.hopes:
            expected = "a name of its own for each expectation" if name in self.hopes else "a name"
            raise row.error("id", name, expected)
        self.hopes.append(name)
        row.check_keys(_EXPECT, field=name)
        given = [key for key in ("that", "never", "always") if key in row]
        if len(given) != 1:
            raise row.error(None, " and ".join(given) or "no condition", "one of that, never, always", field=name)
        kind = given[0]
        if not isinstance(row[kind], Located):
            raise row.error(
                kind, row[kind], "a condition such as {port: a, pin: IntL, is: low}", field=f"{name}: {kind}"
            )
        condition = self.names.condition(row[kind], f"{name}: {kind}")
        mode = {"never": Mode.NEVER, "always": Mode.ALWAYS}.get(kind, Mode.AT if "at" in row else Mode.ONCE)
        if mode in (Mode.AT, Mode.ALWAYS) and not isinstance(condition, LEVELS):
            raise row.error(
                kind, str(condition), "the value of a field or a pin, as it must hold", field=f"{name}: {kind}"
            )
        ends = [key for key in ("by", "at", "until") if key in row]
        fitting = ("by", "at") if kind == "that" else ("until",)
        if len(ends) > 1 or (ends and ends[0] not in fitting):
            expected = f"{' or '.join(fitting)} beside {kind!r}"
            raise row.error(ends[-1], " and ".join(ends), expected, field=f"{name}: {ends[-1]}")
        if "from" in row and mode is Mode.AT:
            raise row.error("from", "'from' beside 'at'", "one of them", field=f"{name}: from")
        from_ns = self._time(row, "from", MOMENT) if "from" in row else 0
        until_ns = self._time(row, ends[0], MOMENT) if ends else None
        if until_ns is not None and until_ns < from_ns:
            raise row.error(ends[0], row[ends[0]], f"a time of {row['from']} or later", field=f"{name}: {ends[0]}")
        after = self.names.step(row, "after", name) if "after" in row else None
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
            raise row.error(key, repr(row[key]), "a text")
        return str(row[key])

    def _texts(self, row: Located, key: str) -> tuple[str, ...]:
        given = row.get(key)
        if given is None:
            return ()
        many = given if isinstance(given, list) else [given]
        if not all(isinstance(each, str) for each in many):
            raise row.error(key, given, "a text, or a list of texts")
        return tuple(many)

    def _time(self, row: Located, key: str, kind: Quantity) -> int:
        return seconds(quantity(row, key, kind))
