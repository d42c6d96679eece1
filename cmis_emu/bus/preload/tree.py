"""The part of sysfs that the preloaded library shows: the adapters of a server's buses, as files in a folder.

Owns the folder `<socket>.tree`, laid out as below the root of the machine: what a kernel has for an adapter and its
device file, but for what would do nothing (`new_device`). Files in `dev` are only names for listings, files in `net`
the interfaces that answer ethtool. `overlay.c` and `listing.c` lay it over the machine's own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

MAJOR = 89
_ADAPTERS = "sys/devices/platform/cmis-emu"


def tree_of(socket: Path) -> Path:
    """Where the tree of the server at `socket` is."""
    return socket.with_name(socket.name + ".tree")


def plant(tree: Path, names: Mapping[int, str], interfaces: Iterable[str]) -> None:
    """Make the tree of buses with these names, and of these interfaces, in the place of one that is left over."""
    fell(tree)
    for folder in ("dev", "sys/class/i2c-dev", "sys/class/i2c-adapter", "sys/bus/i2c/devices", "sys/dev/char"):
        (tree / folder).mkdir(parents=True)
    for bus, name in names.items():
        _adapter(tree, bus, name)
    for interface in interfaces:
        (tree / "net").mkdir(exist_ok=True)
        (tree / "net" / interface).touch()


def fell(tree: Path) -> None:
    """Remove the tree."""
    shutil.rmtree(tree, ignore_errors=True)


def _adapter(tree: Path, bus: int, name: str) -> None:
    label = f"i2c-{bus}"
    adapter = tree / _ADAPTERS / label
    node = adapter / "i2c-dev" / label
    node.mkdir(parents=True)
    (adapter / "name").write_text(name + "\n")
    (adapter / "uevent").write_text("")
    (adapter / "subsystem").symlink_to("../../../../bus/i2c")
    (node / "name").write_text(name + "\n")
    (node / "dev").write_text(f"{MAJOR}:{bus}\n")
    (node / "uevent").write_text(f"MAJOR={MAJOR}\nMINOR={bus}\nDEVNAME={label}\n")
    (node / "device").symlink_to(f"../../../{label}")
    (node / "subsystem").symlink_to("../../../../../../class/i2c-dev")
    relative = _ADAPTERS.removeprefix("sys/")
    (tree / "sys/class/i2c-dev" / label).symlink_to(f"../../{relative}/{label}/i2c-dev/{label}")
    (tree / "sys/class/i2c-adapter" / label).symlink_to(f"../../{relative}/{label}")
    (tree / "sys/bus/i2c/devices" / label).symlink_to(f"../../../{relative}/{label}")
    (tree / "sys/dev/char" / f"{MAJOR}:{bus}").symlink_to(f"../../{relative}/{label}/i2c-dev/{label}")
    (tree / "dev" / label).touch()
