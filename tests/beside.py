"""What lies beside the checkout and is not of the project: real modules' images, and the facts sheet. Read in place.

Tests that need it are skipped where it is missing. CMIS_EMU_BESIDE names its folder otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("CMIS_EMU_BESIDE") or Path(__file__).resolve().parents[2] / "shared")
FACTS = FOLDER / "spec" / "registers.yaml"
DUMPS = FOLDER / "data" / "dumps"
FBOSS_DR4 = DUMPS / "400g-dr4-qsfpdd-fboss.hex"

needs_images = pytest.mark.skipif(not DUMPS.is_dir(), reason="no images of real modules beside the checkout")

SONIC = Path(os.environ.get("CMIS_EMU_SONIC") or FOLDER / "sonic-platform-common")
"""A checkout of SONiC's platform base classes and module library, which no registry has."""
needs_sonic = pytest.mark.skipif(
    not (SONIC / "sonic_platform_base").is_dir(), reason=f"no checkout of sonic-platform-common at {SONIC}"
)

SFP_PROTO = Path(os.environ.get("CMIS_EMU_SFP_PROTO") or FOLDER / "xcvr-emu" / "src/xcvr_emu/proto/emulator.proto")
"""The definition of `emulator.SfpEmulatorService` by those who made it."""
needs_sfp_proto = pytest.mark.skipif(not SFP_PROTO.is_file(), reason=f"no emulator.proto at {SFP_PROTO}")

SONIC_DAEMONS = Path(os.environ.get("CMIS_EMU_SONIC_DAEMONS") or FOLDER / "sonic-platform-daemons")
"""A checkout of SONiC's daemons."""
needs_sonic_daemons = pytest.mark.skipif(
    not ((SONIC_DAEMONS / "sonic-xcvrd").is_dir() and (SONIC / "sonic_platform_base").is_dir()),
    reason=f"no checkouts of sonic-platform-daemons at {SONIC_DAEMONS} and sonic-platform-common at {SONIC}",
)
