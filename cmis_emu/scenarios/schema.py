"""The JSON Schema of scenario files, made of the registered actions, so that editors complete and check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios import catalogue
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.model import Begin, Outcome
from cmis_emu.scenarios.units import CHANCE, COUNT, DURATION, MOMENT, ORDINAL, Quantity

_ID = "https://cmis-emu.invalid/scenario.schema.json"


def schema() -> dict[str, Any]:
    """The whole schema (draft 2020-12)."""
    condition = {"$ref": "#/$defs/condition"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        "title": "cmis-emu scenario",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "scenario", "steps", "expect"],
        "properties": {
            "version": {"const": 1},
            "scenario": {"type": "string", "minLength": 1, "description": "name of the scenario"},
            "title": {"type": "string", "description": "what happens, in one line"},
            "source": _texts("threads or papers that tell of it"),
            "rows": _texts("rows of the catalogue of field failures that it reproduces"),
            "testbed": {
                "description": "a profile, a testbed file, or a testbed; without it any that has the names",
                "type": ["string", "object"],
            },
            "seed": {"type": "integer", "minimum": 0},
            "begin": {"enum": [each.value for each in Begin], "description": "state of the modules at the start"},
            "duration": _quantity(DURATION, "when it ends; a second after the last time in it when not given"),
            "look": _quantity(DURATION, "how often conditions are looked at when nothing happens; 10 ms without it"),
            "steps": {"type": "array", "minItems": 1, "items": {"oneOf": [_step(name) for name in catalogue.names()]}},
            "expect": {"type": "array", "minItems": 1, "items": _expectation(condition)},
        },
        "$defs": {"condition": _condition(), "field": {"type": "string", "examples": _field_names()}},
    }


def _field_names() -> list[str]:
    return sorted({field.name for field in load_maps()})


def _texts(description: str) -> dict[str, Any]:
    text = {"type": "string"}
    return {"description": description, "oneOf": [text, {"type": "array", "items": text}]}


def _quantity(kind: Quantity, description: str) -> dict[str, Any]:
    units = [unit for unit in kind.units if unit]
    allowed: list[dict[str, Any]] = []
    if units:
        allowed.append({"type": "string", "pattern": rf"^\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*({'|'.join(units)})\s*$"})
    if "" in kind.units:
        allowed.append({"type": "integer" if kind.whole else "number"})
    return {"description": f"{description}: {kind.name} such as '{kind.example}'", "anyOf": allowed}


def _argument(argument: Argument) -> dict[str, Any]:
    kind = argument.kind
    if isinstance(kind, Quantity):
        return _quantity(kind, argument.doc)
    shapes: Mapping[Kind, dict[str, Any]] = {
        Kind.PORT: {"type": ["string", "integer"]},
        Kind.FIBRE: {"type": ["string", "integer"]},
        Kind.FIELD: {"$ref": "#/$defs/field"},
        Kind.MONITOR: {"$ref": "#/$defs/field"},
        Kind.READING: {"type": ["string", "number"]},
        Kind.PLACE: {"type": "string"},
        Kind.BYTES: {"type": ["string", "integer", "array"]},
        Kind.LANES: {"oneOf": [{"const": "all"}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
        Kind.TEXT: {"type": "string"},
        Kind.FLAG: {"type": "boolean"},
        Kind.CHOICE: {"enum": list(argument.choices)},
        Kind.VALUE: {"type": ["string", "number", "boolean", "array"]},
    }
    return {"description": argument.doc, **shapes[kind]}


def _step(name: str) -> dict[str, Any]:
    action, program = catalogue.action(name), catalogue.program(name)
    arguments: Mapping[str, Argument] = {}
    doc = ""
    if action is not None:
        arguments, doc = action.arguments, action.doc
    elif program is not None:
        arguments, doc = program.arguments, program.doc
    properties: dict[str, Any] = {
        "do": {"const": name, "description": doc},
        "id": {"type": "string", "description": "a name, so that others can refer to the step"},
        "at": _quantity(MOMENT, "when"),
        "when": {"$ref": "#/$defs/condition"},
        "within": _quantity(DURATION, "how long to wait for `when`; the scenario fails after it"),
        "delay": _quantity(DURATION, "so much later"),
        "every": _quantity(DURATION, "again after so long"),
        "repeat": _quantity(ORDINAL, "how often in all, `every` so long"),
    }
    if action is not None and action.lasting:
        properties["for"] = _quantity(DURATION, "after so long it is cleared")
        properties["clear_when"] = {"$ref": "#/$defs/condition"}
    if action is not None and action.counted:
        properties["count"] = _quantity(COUNT, "strikes so often, then no more")
        properties["skip"] = _quantity(COUNT, "lets so many occasions pass first")
        properties["every_nth"] = _quantity(ORDINAL, "strikes on each n-th occasion")
        properties["probability"] = _quantity(CHANCE, "chance that an occasion is taken")
    properties |= {key: _argument(argument) for key, argument in arguments.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["do", *(key for key, argument in arguments.items() if argument.required)],
        "properties": properties,
    }


def _condition() -> dict[str, Any]:
    value = {"type": ["string", "number", "boolean", "array"]}
    port = {"type": ["string", "integer"]}
    place = {"type": ["string", "boolean"]}
    lanes = {"oneOf": [{"enum": ["all", "any"]}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}
    names = dict.fromkeys(("is", "not", "above", "below"), value)
    accesses = [
        _object([kind, "port"], {kind: place, "port": port, "value": {"type": "integer"}, "is": {"type": "string"},
                                 "nth": {"type": "integer"}})
        for kind in ("read", "wrote", "accessed")
    ]  # fmt: skip
    return {
        "oneOf": [
            _object(
                ["field", "port"],
                {"field": {"$ref": "#/$defs/field"}, "port": port, "lane": lanes, "lanes": lanes,
                 "bank": {"type": "integer"}, **names},
            ),
            _object(
                ["pin", "port", "is"],
                {"pin": {"type": "string"}, "port": port, "is": {"enum": ["high", "low", True, False]}},
            ),
            _object(["step"], {"step": {"type": "string"}, "is": {"enum": ["done", "spent"]}}),
            _object(
                ["host", "is"],
                {"host": {"type": "string"}, "is": {"enum": [each.value for each in Outcome]},
                 "says": {"type": "string"}},
            ),
            _object(
                ["cdb", "port"],
                {"cdb": {"type": ["integer", "string"]}, "port": port, "nth": {"type": "integer"}},
            ),
            *accesses,
        ]
    }  # fmt: skip


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _expectation(condition: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "id": {"type": "string"},
        "that": condition,
        "never": condition,
        "always": condition,
        "by": _quantity(MOMENT, "it must have held, or happened, at some time until then"),
        "at": _quantity(MOMENT, "it must hold then"),
        "from": _quantity(MOMENT, "the window begins"),
        "until": _quantity(MOMENT, "the window ends"),
        "after": {"type": "string", "description": "times count from when this step was done"},
    }
    found = _object([], properties)
    found["oneOf"] = [{"required": [kind]} for kind in ("that", "never", "always")]
    return found
