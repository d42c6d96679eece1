"""Finds the register maps: an override, the installed package, or the checkout beside it."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from cmis_emu.errors import NotAvailableError


def maps_root() -> Path:
    """Folder that holds `cmis/` (what the standard says) and `modules/` (what products say).

    Asked in this order: the environment variable CMIS_EMU_MAPS, the installed package, the sibling folder
    of a bare checkout.
    """
    override = os.environ.get("CMIS_EMU_MAPS")
    if override:
        root = Path(override)
        if not (root / "cmis").is_dir():
            raise NotAvailableError(f"CMIS_EMU_MAPS: found {override}, expected a folder that holds cmis/ and modules/")
        return root
    try:
        installed = Path(str(resources.files("cmis_emu.register_maps")))
    except ModuleNotFoundError:
        installed = Path(__file__).resolve().parent.parent / "register_maps"
    if (installed / "cmis").is_dir():
        return installed
    raise NotAvailableError(f"register maps: found none at {installed}, expected the folder cmis/ there")
