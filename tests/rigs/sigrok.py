"""sigrok-cli as a judge of waveforms: what it makes of a VCD file, independent of this project."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cmis_emu.bus.bits.vcd import Recording, write_vcd

needs_sigrok = pytest.mark.skipif(shutil.which("sigrok-cli") is None, reason="no sigrok-cli (Debian: sigrok-cli)")

_WORDS = {"Start": "S", "Start repeat": "Sr", "Stop": "P", "ACK": "A", "NACK": "N"}


def decode(recording: Recording, folder: Path, *decoders: str, timescale_ns: int = 10) -> list[str]:
    """The lines that it prints for stacked decoders; of I2C alone what it calls addresses and data."""
    file = folder / "wave.vcd"
    text = io.StringIO()
    write_vcd(recording, text, timescale_ns=timescale_ns)
    file.write_text(text.getvalue())
    stack = ",".join(["i2c:scl=SCL:sda=SDA", *decoders])
    shown = f"{decoders[-1]}" if decoders else "i2c=addr-data"
    command = ["sigrok-cli", "-I", "vcd", "-i", str(file), "-P", stack, "-A", shown]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


def symbols(lines: Sequence[str]) -> str:
    """What the I2C decoder saw: S W50 A D12 A P."""
    found = []
    for line in lines:
        if line in _WORDS:
            found.append(_WORDS[line])
        elif line.startswith(("Address write: ", "Address read: ")):
            found.append(("W" if "write" in line else "R") + line.rpartition(" ")[2].lower())
        elif line.startswith(("Data write: ", "Data read: ")):
            found.append("D" + line.rpartition(" ")[2].lower())
        elif line not in ("Write", "Read"):
            found.append(f"?{line}")
    return " ".join(found)
