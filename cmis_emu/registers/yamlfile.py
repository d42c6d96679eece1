"""Reads YAML as data and keeps the line of every key, so that an error can name its place.

Plain data only: no tags, no code, no aliases, no duplicate keys, a limit on size and depth. What YAML 1.1
reads in a way that surprises (`010` as octal 8, `on` as true, `12:30` as 750, `1e-7` as text) is refused
with advice. Built from parser events without recursion, so that no nesting can exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from cmis_emu.errors import InputError

MAX_BYTES = 2_000_000
MAX_DEPTH = 24

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MAYBE_SPECIAL = re.compile(r"[-+.0-9yYnNoO]")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)\Z")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9_]*)?\.[0-9]+|[0-9]+\.)(?:[eE][-+]?[0-9]+)?\Z")
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+\Z")
_TEXT = "or the text in quotes"
_REFUSED = (
    (re.compile(r"(?:y|n|yes|no|on|off)\Z", re.IGNORECASE), f"true or false, {_TEXT}"),
    (re.compile(r"[-+]?0[0-9_]+\Z"), f"a decimal number without leading zeros, 0x and hex digits, {_TEXT}"),
    (re.compile(r"[-+]?0[bo][0-7_]+\Z"), "a decimal number, or 0x and hex digits"),
    (_EXPONENT, f"a number with a dot, such as 1.0e-7, {_TEXT}"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9]*)?\Z"), f"a plain number, {_TEXT}"),
    (re.compile(r"[-+]?\.(?:inf|nan)\Z", re.IGNORECASE), "a finite number"),
)
_STR_TAG = "tag:yaml.org,2002:str"


class Located(dict[str, Any]):
    """A YAML mapping that remembers its file and lines (1-based)."""

    __slots__ = ("file", "key_lines", "line")

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self.key_lines: dict[str, int] = {}

    def error(self, key: str | None, found: object, expected: str, *, field: str | None = None) -> InputError:
        """An error at the line of `key` (of the mapping itself for None)."""
        line = self.line if key is None else self.key_lines.get(key, self.line)
        shown = found if isinstance(found, str) else repr(found)
        return InputError(shown, expected, file=self.file, line=line, field=field or key)

    def check_keys(self, allowed: Iterable[str], required: Iterable[str] = (), *, field: str | None = None) -> None:
        """Refuse unknown keys (suggesting the nearest) and missing ones."""
        names = list(allowed)
        for key in self:
            if key not in names:
                near = get_close_matches(key, names, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise self.error(key, f"unknown key {key!r}", f"one of {', '.join(names)}{hint}", field=field)
        for key in required:
            if key not in self:
                raise self.error(None, "no such key", f"the key {key!r}", field=field or key)

    def section(self, key: str, expected: str = "key: value pairs") -> Located:
        """The mapping under `key`, an empty one when it is missing. Raises InputError for anything else."""
        found = self.get(key)
        if found is None:
            return Located(self.file, self.line)
        if not isinstance(found, Located):
            raise self.error(key, found, expected)
        return found

    def number(self, key: str, low: float, high: float, *, whole: bool = False) -> float:
        """The number under `key`, within limits; a bool is not one. Raises InputError."""
        value = self[key]
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise self.error(key, value, f"a number from {low:g} to {high:g}{', whole' if whole else ''}")
        return value


def load_yaml(path: Path | str, text: str | None = None, *, exponents: bool = False) -> Located:
    """The mapping in `path` (or in `text`, with `path` as its name). Raises InputError with file:line.

    exponents: `1e-4` is a number, for readers that take numbers with units; else it is refused.
    """
    name = str(path)
    if text is None:
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise InputError(error.strerror or str(error), "a readable file", file=name) from None
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"byte {raw[error.start]:#04x} at {error.start}"
            raise InputError(found, "UTF-8 text", file=name) from None
    if len(text) > MAX_BYTES:
        raise InputError(f"{len(text)} characters", f"at most {MAX_BYTES}", file=name)
    try:
        return _build(text, name, exponents)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(x for x in (error.problem, error.context) if x)
        line = mark.line + 1 if mark else None
        raise InputError(problem or "text that is not YAML", "YAML", file=name, line=line) from None
    except yaml.YAMLError as error:
        raise InputError(str(error).splitlines()[0], "YAML", file=name) from None


def from_data(data: Mapping[Any, Any], name: str = "<dict>") -> Located:
    """The same checks for a dict given in Python; its places have no lines of their own."""
    found = Located(name, 1)
    for key, value in data.items():
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise InputError(repr(key), "a text key", file=name)
        found[str(key)] = _relocate(value, name)
    return found


def _relocate(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return from_data(value, name)
    if isinstance(value, (list, tuple)):
        return [_relocate(item, name) for item in value]
    return value


class _Builder:
    """Makes values of parser events, in one pass. `stack` holds the open containers."""

    __slots__ = ("exponents", "keys", "name", "stack", "top")

    def __init__(self, name: str, exponents: bool) -> None:
        self.name = name
        self.exponents = exponents
        self.stack: list[Located | list[Any]] = []
        self.keys: list[tuple[str, int] | None] = []  # per open container: the key that waits for its value
        self.top: Located | None = None

    def refuse(self, found: str, expected: str, line: int) -> InputError:
        return InputError(found, expected, file=self.name, line=line)

    def scalar(self, event: Any, line: int) -> None:
        if self.stack and self.keys[-1] is None and isinstance(self.stack[-1], Located):
            if event.value in self.stack[-1]:
                raise self.refuse(f"the key {event.value!r} twice", "each key once", line)
            self.keys[-1] = (event.value, line)
            return
        if event.tag is not None and event.tag != _STR_TAG:
            raise self.refuse(f"the tag {event.tag}", "plain data without tags", line)
        if not event.implicit[0]:
            self.put(event.value, line)
        elif self.exponents and _EXPONENT.match(event.value):
            self.put(float(event.value), line)
        else:
            self.put(scalar(event.value, self.name, line), line)

    def open(self, event: Any, value: Located | list[Any], line: int) -> None:
        if event.tag is not None:
            raise self.refuse(f"the tag {event.tag}", "plain data without tags", line)
        if len(self.stack) >= MAX_DEPTH:
            raise self.refuse("deeper nesting", f"at most {MAX_DEPTH} levels", line)
        self.put(value, line)
        self.stack.append(value)
        self.keys.append(None)

    def close(self) -> None:
        self.stack.pop()
        self.keys.pop()

    def put(self, value: Any, line: int) -> None:
        if not self.stack:
            if self.top is not None:
                raise self.refuse("a second document", "one document a file", line)
            if not isinstance(value, Located):
                raise self.refuse("no mapping at the top", "key: value pairs", line)
            self.top = value
            return
        parent = self.stack[-1]
        if isinstance(parent, list):
            parent.append(value)
            return
        waiting = self.keys[-1]
        if waiting is None:
            raise self.refuse("a key that is not text", "a text key", line)
        parent[waiting[0]] = value
        parent.key_lines[waiting[0]] = waiting[1]
        self.keys[-1] = None


def _build(text: str, name: str, exponents: bool) -> Located:
    builder = _Builder(name, exponents)
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            builder.scalar(event, event.start_mark.line + 1)
        elif kind is yaml.MappingStartEvent:
            line = event.start_mark.line + 1
            builder.open(event, Located(name, line), line)
        elif kind is yaml.SequenceStartEvent:
            builder.open(event, [], event.start_mark.line + 1)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            builder.close()
        elif kind is yaml.AliasEvent:
            line = event.start_mark.line + 1
            raise builder.refuse(f"the alias *{event.anchor}", "plain data without aliases", line)
    if builder.top is None:
        raise InputError("no mapping at the top", "key: value pairs", file=name, line=1)
    return builder.top


def scalar(text: str, name: str, line: int) -> str | int | float | bool | None:
    """The value of an unquoted scalar; InputError for one that YAML readers disagree about."""
    if text in _WORDS:
        return _WORDS[text]
    if not _MAYBE_SPECIAL.match(text):
        return text
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _HEX.match(text):
        return int(text.replace("_", ""), 16)
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    for pattern, expected in _REFUSED:
        if pattern.match(text):
            raise InputError(text, expected, file=name, line=line)
    return text


def walk(value: Any) -> Iterator[Located]:
    """Every mapping in `value`, outermost first."""
    if isinstance(value, Located):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)
