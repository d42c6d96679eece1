"""The library of profiles and profile files: names, paths, and profiles that stand on others.

Owns where profiles are found and the key `base`; what a profile says is read by `reader.py`.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from cmis_emu.errors import InputError
from cmis_emu.module.profile.profile import Profile
from cmis_emu.module.profile.reader import read_profile
from cmis_emu.registers.yamlfile import Located, load_yaml
from cmis_emu.resources import maps_root


def profile_path(name: str) -> Path:
    """File of a library profile (it need not exist)."""
    return maps_root() / "modules" / f"{name}.yaml"


def profile_names() -> list[str]:
    """Names of all profiles in the library, sorted."""
    return sorted(path.stem for path in (maps_root() / "modules").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """A profile by library name or by path of a YAML file. Raises InputError with file:line."""
    path = profile_path(name)
    if not path.exists():
        path = Path(name)
    try:
        state = path.stat()
    except (OSError, ValueError):
        state = None
    if state is None or not path.is_file():
        near = get_close_matches(name, profile_names(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        expected = f"one of {', '.join(profile_names())}{hint}, or a profile file"
        raise InputError(f"no profile {name!r}", expected, field="profile")
    return _read_file(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_file(path: Path, mtime_ns: int, size: int) -> Profile:
    """A product is read once, for all its modules; an edited file is read anew."""
    return read_profile(_merged(load_yaml(path), ()))


def _merged(source: Located, above: tuple[Path, ...]) -> Located:
    """A profile with a `base` is that profile with its own lines on top; a null takes a line away."""
    name = source.get("base")
    if name is None:
        return source
    if not isinstance(name, str):
        raise source.error("base", name, "the name of a profile, or a profile file")
    beside = Path(source.file).parent / name  # a path counts from the folder of the file that says it
    path = profile_path(name) if profile_path(name).is_file() else beside
    if not path.is_file():
        raise source.error("base", repr(name), f"one of {', '.join(profile_names())}, or a profile file")
    if path in above:
        raise source.error("base", repr(name), "a profile that does not lead back to this one")
    found = _merged(load_yaml(path), (*above, path))
    merged = Located(source.file, source.line)
    merged.key_lines = dict(source.key_lines)
    merged |= {key: value for key, value in found.items() if key != "base"}
    for key, value in source.items():
        old = merged.get(key)
        if isinstance(old, Located) and isinstance(value, Located):
            section = Located(source.file, value.line)
            section.key_lines = dict(value.key_lines)
            section |= {name: item for name, item in old.items() if value.get(name, item) is not None}
            section |= {name: item for name, item in value.items() if item is not None}
            merged[key] = section
        elif value is None:
            merged.pop(key, None)
        elif key != "base":
            merged[key] = value
    return merged
