"""The way `pigpio:` is refused: an answer that takes the detour through pigpio's daemon always comes too late.

pigpio learns of slave activity by a thread that sleeps 0.225 ms at the shortest and 0.9 ms by default, and hands it on
by a socket. A controller begins to read about ten bit times after the register address: 100 us at 100 kHz. What it
reads is then the answer to the question before. tests/rpi_bsc has the model that shows it.
"""

from __future__ import annotations

from typing import NoReturn

from cmis_emu.bus.ways import Served
from cmis_emu.errors import NotAvailableError

ALERT_NS = (225_000, 900_000)
"""How long its thread sleeps between looks: at the fastest setting, and by default."""

SOCKET_NS = (175_000, 1_500_000)
"""From there to a program behind the socket and back (an estimate)."""


def serve(address: str, served: Served) -> NoReturn:
    """Raises NotAvailableError, whatever the address is."""
    raise NotAvailableError(
        "pigpio: found its socket interface asked for, which answers 0.4 to 2.4 ms after the register address, "
        "expected an answer within ten bit times (0.1 ms at 100 kHz): every random read would show the bytes of the "
        "one before; use --serve rpi-bsc:, or a Pico in front (hardware/README.md)"
    )
