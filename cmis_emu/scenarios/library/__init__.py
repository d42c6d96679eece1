"""The scenarios that come with the package, one YAML file each, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from cmis_emu.errors import InputError

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Names of all scenarios of the library."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a scenario of the library, or the file of that path. Raises InputError."""
    known = names()
    if name in known:
        return FOLDER / f"{name}.yaml"
    path = Path(name)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):  # no file could have such a name
        pass
    near = get_close_matches(name, known, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(repr(name), f"a scenario of the library or a file{hint}", field="scenario")
