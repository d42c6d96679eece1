"""Drive a module on a bench with an FT232H: `python hardware/ft232h/loop_test.py ftdi://ftdi:232h/1`.

Prints what reading its pins costs the chip, then reads 128 bytes again and again at 100 kHz, 400 kHz and 1 MHz, and
tells errors, times, and a bound for clock stretching. Exit 0 when every read was right, 1 when not, 3 without a chip.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from smbus2 import i2c_msg

from cmis_emu.bus.ftdi.loop import measure, pin_read_ns
from cmis_emu.clock import ScaledClock
from cmis_emu.errors import NotAvailableError


def main(words: list[str] | None = None, device: Any = None, clock: Any = None) -> int:
    """device, clock: in place of the URL and of the machine's time, for tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="pyftdi's URL of the chip")
    parser.add_argument("--reads", type=int, default=100, help="of 128 bytes, at each rate (100)")
    parser.add_argument("--address", type=lambda text: int(text, 0), default=0x50, help="of the module (0x50)")
    options = parser.parse_args(words)
    clock = clock or ScaledClock()
    chip = device or options.url
    good = True
    try:
        rounds = 1 if device else 20
        print(f"reading its pins costs this chip {pin_read_ns(chip, lambda: clock.now_ns, rounds)} ns", flush=True)
        for found in measure(chip, i2c_msg, lambda: clock.now_ns, reads=options.reads, address=options.address):
            print(found, flush=True)
            good = good and found.good
    except NotAvailableError as error:
        print(error, file=sys.stderr)
        return 3
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
