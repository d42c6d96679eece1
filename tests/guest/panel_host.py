"""A switch's own software in small: brings up the front panel on one I2C adapter. It knows a Linux kernel and CMIS.

    panel_host.py FOLDER-WITH-SMBUS2 ADAPTER        prints one JSON object at the end

What a board file knows is at the top; everything else is found: muxes, channels, expanders, modules.
"""

from __future__ import annotations

import errno
import fcntl
import json
import select
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from smbus2 import SMBus, i2c_msg  # its folder is an argument

# -- what the board file says --------------------------------------------------------------------------------

MUX, MUX_ADDRESSES = "pca9548", range(0x70, 0x78)
EXPANDER = "pca9535"
RESET_L, LP_MODE, MOD_SEL_L, MOD_PRS_L, INT_L = range(0x20, 0x25)  # 16 ports each, on two channels of the last mux
MODULE = 0x50
DISCONNECT = "-2"  # idle state of a mux: two muxes have modules at one address

LIMIT_S = 60.0
DEVICES = Path("/sys/bus/i2c/devices")


def instantiate(bus: int, kind: str, address: int) -> Path:
    """Tell the kernel of a chip; its driver binds."""
    (DEVICES / f"i2c-{bus}/new_device").write_text(f"{kind} {address:#04x}\n")
    device = DEVICES / f"{bus}-{address:04x}"
    if not (device / "driver").exists():
        sys.exit(f"{device}: no driver has bound")
    return device


def answers(bus: SMBus, address: int) -> bool:
    try:
        bus.read_byte(address)
    except OSError:
        return False
    return True


retries = 0


def patiently(call: Callable[..., object], *arguments: object) -> None:
    """Again after EIO: the adapter's driver gives up a message after two seconds, on a machine that has no time."""
    global retries  # noqa: PLW0603 - of the whole program
    for left in (2, 1, 0):
        try:
            call(*arguments)
        except OSError as error:
            if error.errno != errno.EIO or not left:
                raise
            retries += 1
        else:
            return


# -- GPIO by its character device ----------------------------------------------------------------------------

GET_LINE, GET_VALUES, SET_VALUES = 0xC250B407, 0xC010B40E, 0xC010B40F
FLAG_INPUT, FLAG_OUTPUT, OUTPUT_VALUES = 4, 8, 2


class Lines:
    """All 16 lines of an expander."""

    def __init__(self, device: Path, output: int | None = None) -> None:
        chip = next(device.glob("gpiochip*")).name
        attribute = b"" if output is None else struct.pack("=IIQQ", OUTPUT_VALUES, 0, output, 0xFFFF)
        config = struct.pack("=QI20x", FLAG_INPUT if output is None else FLAG_OUTPUT, int(output is not None))
        request = bytearray(
            struct.pack("=64I32s", *range(16), *[0] * 48, b"panel")
            + (config + attribute).ljust(272, b"\0")
            + struct.pack("=II20xi", 16, 0, 0)
        )
        with Path(f"/dev/{chip}").open("rb") as opened:
            patiently(fcntl.ioctl, opened, GET_LINE, request)
        self.descriptor = struct.unpack_from("=i", request, 588)[0]

    def get(self) -> int:
        values = bytearray(struct.pack("=QQ", 0, 0xFFFF))
        patiently(fcntl.ioctl, self.descriptor, GET_VALUES, values)
        return int(struct.unpack("=QQ", values)[0])

    def set(self, bits: int) -> None:
        patiently(fcntl.ioctl, self.descriptor, SET_VALUES, struct.pack("=QQ", bits, 0xFFFF))


# -- a module --------------------------------------------------------------------------------------------------


class Module:
    def __init__(self, number: int) -> None:
        self.bus = SMBus(number)

    def transfer(self, *messages: i2c_msg) -> None:
        patiently(self.bus.i2c_rdwr, *messages)

    def read(self, offset: int, length: int, page: int | None = None) -> bytes:
        found = i2c_msg.read(MODULE, length)
        mapped = [] if page is None else [i2c_msg.write(MODULE, [126, 0, page])]
        self.transfer(*mapped, i2c_msg.write(MODULE, [offset]), found)
        return bytes(found)

    def write(self, page: int, offset: int, *data: int) -> None:
        self.transfer(i2c_msg.write(MODULE, [126, 0, page]), i2c_msg.write(MODULE, [offset, *data]))

    def ready(self) -> bool:
        try:
            return self.read(3, 1)[0] >> 1 & 7 == 3
        except OSError:  # just out of reset
            return False

    def lanes(self, offset: int, wanted: int) -> bool:
        """Has each lane's nibble that value?"""
        return self.read(offset, 4, page=0x11) == bytes([wanted * 0x11]) * 4


def pause(duration_s: float) -> None:
    select.select([], [], [], duration_s)


def wait(what: str, modules: list[Module]) -> None:
    deadline = time.monotonic() + LIMIT_S
    checks = {
        "ready": Module.ready,
        "deactivated": lambda module: module.lanes(128, 1),
        "configured": lambda module: module.lanes(202, 1),
        "activated": lambda module: module.lanes(128, 4),
    }
    waiting = list(modules)
    while waiting:
        waiting = [module for module in waiting if not checks[what](module)]
        if waiting and time.monotonic() > deadline:
            sys.exit(f"{len(waiting)} modules not {what} after {LIMIT_S:g} s")
        pause(0.1)


def main() -> None:
    root = int(sys.argv[2])
    began = time.monotonic()
    with SMBus(root) as adapter:
        addresses = [address for address in MUX_ADDRESSES if answers(adapter, address)]
    channels: list[int] = []
    for address in addresses:
        mux = instantiate(root, MUX, address)
        (mux / "idle_state").write_text(DISCONNECT)
        links = sorted(mux.glob("channel-*"), key=lambda link: int(link.name.split("-")[1]))
        channels += [int(link.resolve().name.split("-")[1]) for link in links]
    modules, expanders = [], []
    for number in channels:
        with SMBus(number) as bus:
            if answers(bus, MODULE):
                modules.append(Module(number))
            elif answers(bus, RESET_L):
                expanders.append({address: instantiate(number, EXPANDER, address) for address in range(0x20, 0x25)})
    present = [Lines(chips[MOD_PRS_L]).get() for chips in expanders]
    resets = [Lines(chips[RESET_L], 0) for chips in expanders]
    held = sum(not answers(module.bus, MODULE) for module in modules)
    for lines in resets:
        lines.set(0xFFFF)
    selects = [Lines(chips[MOD_SEL_L], 0) for chips in expanders]
    power = [Lines(chips[LP_MODE], 0xFFFF) for chips in expanders]
    for count in range(1, 17):  # one after the other, for the supply's sake
        for lines in power:
            lines.set(0xFFFF << count & 0xFFFF)
        pause(0.1)
    wait("ready", modules)
    names = [module.read(129, 16, page=0).decode().strip() for module in modules]
    parts = [module.read(148, 16).decode().strip() for module in modules]
    serials = [module.read(166, 16).decode().strip() for module in modules]
    for module in modules:
        module.write(0x10, 128, 0xFF)
    wait("deactivated", modules)
    for module in modules:
        module.write(0x10, 145, *[0x10] * 8)
        module.write(0x10, 143, 0xFF)
    wait("configured", modules)
    for module in modules:
        module.write(0x10, 128, 0)
    wait("activated", modules)
    interrupts = [Lines(chips[INT_L]).get() for chips in expanders]
    print(
        json.dumps(
            {
                "muxes": addresses,
                "channels": channels,
                "expanders": [str(chips[RESET_L]) for chips in expanders],
                "present": present,
                "held": held,
                "vendors": sorted(set(names)),
                "parts": sorted(set(parts)),
                "serials": serials,
                "interrupts": interrupts,
                "outputs": [lines.get() for lines in (*resets, *selects, *power)],
                "retries": retries,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
