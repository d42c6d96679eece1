"""Reads YAML as data and keeps the line of every key, so that an error can name its place.

`safe_load` semantics only: no tags, no code, no aliases, no duplicate keys, a limit on size and depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml

from cmis_emu.errors import InputError

MAX_BYTES = 2_000_000
MAX_DEPTH = 24

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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


def load_yaml(path: Path | str, text: str | None = None) -> Located:
    """The mapping in `path` (or in `text`, with `path` as its name). Raises InputError with file:line."""
    name = str(path)
    if text is None:
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise InputError(error.strerror or str(error), "a readable file", file=name) from None
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"byte {raw[error.start]:#04x} at {error.start}", "UTF-8 text", file=name) from None
    if len(text) > MAX_BYTES:
        raise InputError(f"{len(text)} characters", f"at most {MAX_BYTES}", file=name)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                raise InputError(f"the alias *{event.anchor}", "plain data without aliases", file=name, line=line)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(x for x in (error.problem, error.context) if x)
        line = mark.line + 1 if mark else None
        raise InputError(problem or "text that is not YAML", "YAML", file=name, line=line) from None
    except yaml.YAMLError as error:
        raise InputError(str(error).splitlines()[0], "YAML", file=name) from None
    except RecursionError:
        raise InputError("very deep nesting", f"at most {MAX_DEPTH} levels", file=name) from None
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        raise InputError("no mapping at the top", "key: value pairs", file=name, line=line)
    return cast(Located, _build(node, name, 0))


def from_data(data: Mapping[str, Any], name: str = "<dict>") -> Located:
    """The same checks for a dict given in Python; its places have no lines of their own."""
    found = Located(name, 1)
    for key, value in data.items():
        if not isinstance(key, str):
            raise InputError(repr(key), "a text key", file=name)
        found[key] = _relocate(value, name)
    return found


def _relocate(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return from_data(value, name)
    if isinstance(value, (list, tuple)):
        return [_relocate(item, name) for item in value]
    return value


def _build(node: yaml.Node, name: str, depth: int) -> Any:
    line = node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise InputError("deeper nesting", f"at most {MAX_DEPTH} levels", file=name, line=line)
    if isinstance(node, yaml.MappingNode):
        found = Located(name, line)
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError("a key that is not text", "a text key", file=name, line=key_line)
            key = key_node.value
            if key in found:
                raise InputError(f"the key {key!r} twice", "each key once", file=name, line=key_line, field=key)
            found[key] = _build(value_node, name, depth + 1)
            found.key_lines[key] = key_line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, name, depth + 1) for item in node.value]
    if not node.tag.startswith("tag:yaml.org,2002:"):
        raise InputError(f"the tag {node.tag}", "plain data without tags", file=name, line=line)
    return _scalar(node, name, line)


def _scalar(node: yaml.Node, name: str, line: int) -> Any:
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node)  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, ValueError):
        raise InputError(repr(node.value), "a plain value", file=name, line=line) from None


def walk(value: Any) -> Iterator[Located]:
    """Every mapping in `value`, outermost first."""
    if isinstance(value, Located):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)
