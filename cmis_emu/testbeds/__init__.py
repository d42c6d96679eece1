"""The testbeds that come with the package, one YAML file each, by name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Names of all of them."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def path(name: str) -> Path:
    """The file of one of them."""
    return FOLDER / f"{name}.yaml"
