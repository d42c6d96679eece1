"""The DR4 as plain data, and the types of the fixture `variant` that edits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from cmis_emu import Emulator
from cmis_emu.resources import maps_root

DR4 = "qsfpdd-400g-dr4"

Edit = Callable[[dict[str, Any]], None]
Variant = Callable[..., Emulator]


def dr4_profile() -> dict[str, Any]:
    """The DR4 profile as plain data, to edit or to compare with."""
    loaded: dict[str, Any] = yaml.safe_load((maps_root() / "modules" / f"{DR4}.yaml").read_text())
    return loaded
