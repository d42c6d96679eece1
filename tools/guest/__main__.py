"""Runs one command in the guest: python tools/guest [--modules M,M] COMMAND...

The command sees this machine's files, and USB/IP on 10.0.2.2 is this machine's loopback. Modules that it needs are
loaded by --modules.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guest.image import UnavailableError  # after the path
from guest.machine import Machine


def main() -> int:
    """Boot, run, say what it printed; its exit code, or 3 when there is no guest to be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modules", default="vhci-hcd,i2c-tiny-usb,i2c-dev", help="kernel modules to load, by commas")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        with Machine() as machine:
            print(f"guest is up after {machine.boot_s:.1f} s ({machine.accelerator})", file=sys.stderr)
            machine.modprobe(*arguments.modules.split(","))
            done = machine.run(shlex.join(arguments.command) or "uname -a", limit_s=600)
    except UnavailableError as error:
        print(f"no guest: {error}", file=sys.stderr)
        return 3
    print(done.output, end="")
    return done.code


if __name__ == "__main__":
    sys.exit(main())
