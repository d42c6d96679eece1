"""A host program, as a driver author would write it: smbus2, /dev/i2c-N, register numbers from the standard.

The demo starts it as a process of its own. It knows nothing of the emulator and imports nothing of it, so it
runs the same on a real bus: `python demo_host.py bring-up 1`.
"""

import math
import sys
import time
from collections.abc import Callable

from smbus2 import SMBus, i2c_msg

ADDRESS = 0x50
STATES = {
    1: "DPDeactivated",
    2: "DPInit",
    3: "DPDeinit",
    4: "DPActivated",
    5: "DPTxTurnOn",
    6: "DPTxTurnOff",
    7: "DPInitialized",
}
MODULE_STATES = {1: "ModuleLowPwr", 2: "ModulePwrUp", 3: "ModuleReady", 4: "ModulePwrDn", 5: "ModuleFault"}
BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 600, 3000)


class Module:
    """One CMIS module behind an I2C adapter."""

    def __init__(self, bus_number: int) -> None:
        self.bus = SMBus(bus_number)
        self.page: int | None = None

    def select(self, page: int) -> None:
        if page != self.page:
            self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [126, 0, page]))
            self.page = page

    def read(self, page: int, offset: int, length: int = 1) -> bytes:
        if offset >= 128:
            self.select(page)
        read = i2c_msg.read(ADDRESS, length)
        self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [offset]), read)
        return bytes(read)

    def write(self, page: int, offset: int, *values: int) -> None:
        if offset >= 128:
            self.select(page)
        self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [offset, *values]))

    def text(self, offset: int, length: int) -> str:
        return self.read(0x00, offset, length).decode("ascii").strip()

    def words(self, page: int, offset: int, count: int) -> list[int]:
        data = self.read(page, offset, 2 * count)
        return [int.from_bytes(data[i : i + 2], "big") for i in range(0, 2 * count, 2)]

    def module_state(self) -> int:
        return self.read(0, 3)[0] >> 1 & 7

    def path_states(self) -> list[int]:
        return [n for b in self.read(0x11, 128, 4) for n in (b & 15, b >> 4)]


def wait(what: str, condition: Callable[[], bool], limit_s: float) -> None:
    """Poll as hosts do, against the limit that the module itself advertises."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > limit_s:
            sys.exit(f"  timeout: {what} not reached in {limit_s} s")
        time.sleep(0.02)
    print(f"  {what} after {time.monotonic() - start:.2f} s (the module allows {limit_s} s)", flush=True)


def dbm(tenth_microwatts: int) -> float:
    return 10 * math.log10(tenth_microwatts * 1e-4) if tenth_microwatts else -40.0


def bring_up(module: Module) -> None:
    """LowPwr to DataPathActivated in SONiC's order."""
    print(f"  {module.text(129, 16)} {module.text(148, 16)} serial {module.text(166, 16)}, ", end="")
    print(f"CMIS {module.read(0, 1)[0] >> 4}.{module.read(0, 1)[0] & 15}, {MODULE_STATES[module.module_state()]}")
    if module.module_state() != 1:
        sys.exit("  expected the module in ModuleLowPwr")
    descriptor = module.read(0, 86, 4)
    host, media, lanes = descriptor[0], descriptor[1], descriptor[2]
    print(f"  application 1: host interface {host:02X}h, media interface {media:02X}h, ", end="")
    print(f"{lanes >> 4} host lanes, {lanes & 15} media lanes")
    module.write(0x10, 128, 0xFF)  # DPDeinit on all lanes
    module.write(0x10, 130, 0xFF)  # Tx disable on all lanes
    module.write(0, 26, module.read(0, 26)[0] & ~0x50)  # leave low power
    durations = module.read(0x01, 167, 2)
    wait("ModuleReady", lambda: module.module_state() == 3, BOUNDS_S[durations[0] & 15])
    for lane in range(8):
        module.write(0x10, 145 + lane, 0x10)  # AppSel 1, DataPathID 0
    module.write(0x10, 143, 0xFF)  # ApplyDPInit
    wait("ConfigSuccess on 8 lanes", lambda: module.read(0x11, 202, 4) == b"\x11" * 4, 1)
    module.write(0x10, 128, 0x00)
    init_s = BOUNDS_S[module.read(0x01, 144)[0] & 15]
    wait("DPInitialized", lambda: set(module.path_states()) == {7}, init_s)
    module.write(0x10, 130, 0x00)
    wait("DPActivated", lambda: set(module.path_states()) == {4}, BOUNDS_S[durations[1] & 15])
    module.read(0, 8, 6)
    module.read(0x11, 134, 20)  # clear what the bring-up latched


def monitors(module: Module) -> list[float]:
    """Print what an operator would look at; returns the Rx powers in dBm."""
    temperature = int.from_bytes(module.read(0, 14, 2), "big", signed=True) / 256
    volts = module.words(0, 16, 1)[0] * 1e-4
    tx, bias, rx = (module.words(0x11, offset, 4) for offset in (154, 170, 186))
    print(f"  {temperature:.1f} degC, {volts:.3f} V")
    print("  lane      " + "".join(f"{n:>9}" for n in range(1, 5)))
    print("  Tx dBm    " + "".join(f"{dbm(v):>9.2f}" for v in tx))
    print("  bias mA   " + "".join(f"{v * 2e-3:>9.2f}" for v in bias))
    print("  Rx dBm    " + "".join(f"{dbm(v):>9.2f}" for v in rx), flush=True)
    return [dbm(v) for v in rx]


def flags(module: Module) -> tuple[bool, dict[str, int]]:
    """Read the lane flags (which clears them) and name those that are set."""
    names = {147: "Rx LOS", 148: "Rx CDR LOL", 150: "Rx power low alarm", 152: "Rx power low warning"}
    interrupt = not module.read(0, 3)[0] & 1
    found = {names[134 + i]: value for i, value in enumerate(module.read(0x11, 134, 20)) if value and 134 + i in names}
    print(f"  interrupt {'asserted' if interrupt else 'not asserted'}; flags: ", end="")
    print(", ".join(f"{name} (lanes {value:04b})" for name, value in found.items()) or "none", flush=True)
    return interrupt, found


def main(action: str, bus_number: int) -> None:
    module = Module(bus_number)
    if action == "bring-up":
        bring_up(module)
    elif action == "expect-light":
        time.sleep(0.5)
        flags(module)
        time.sleep(0.3)
        rx = monitors(module)
        _, found = flags(module)
        if min(rx) < -5 or found:
            sys.exit("  expected light on every lane and no flag")
    elif action == "expect-weak":
        time.sleep(0.3)
        rx = monitors(module)
        interrupt, found = flags(module)
        if not interrupt or "Rx power low warning" not in found or "Rx LOS" in found or not -9.9 < min(rx) < -5.9:
            sys.exit("  expected low Rx power with a warning and an interrupt, and no LOS")
    elif action == "expect-dark":
        time.sleep(0.3)
        rx = monitors(module)
        interrupt, found = flags(module)
        if not interrupt or found.get("Rx LOS") != 0x0F or max(rx) > -30:
            sys.exit("  expected darkness, LOS on four lanes and an interrupt")
    else:
        sys.exit(f"unknown action {action}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
