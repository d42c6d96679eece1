"""What many linked modules cost: reading all of them once over the bus, and a day of their lives.

`tools/bench.py` runs this. It aims at 128 DR4 with 64 fibres, read in under a second of CPU,
and 24 hours in under ten.
"""

from __future__ import annotations

import time

from bench_calls import PROFILE

from cmis_emu import Emulator, ManualClock

ADDRESS = 0x50
PAGES = (0x11, 0x24, 0x25, 0x26, 0x2C)  # lanes; values of the three VDM groups; their flags
BLOCK = 32
HOUR_S = 3600.0
POLL_AIM_S, DAY_AIM_S = 1.0, 10.0


def linked(size: int) -> Emulator:
    """So many DR4, each with another at 3 dB over 500 m, at rest."""
    ports = {str(n): {"profile": PROFILE, "bus": n} for n in range(size)}
    fibres = {f"f{n}": {"from": str(n), "to": str(n + 1), "length_m": 500, "loss_db": 3.0} for n in range(0, size, 2)}
    emu = Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1)
    emu.settle()
    return emu


def poll(emu: Emulator, size: int) -> None:
    """One host reads all monitors, flags and VDM of all modules, as byte by byte as SMBus allows."""
    for number in range(size):
        bus = emu.smbus(number)
        for offset in range(0, 128, BLOCK):
            bus.read_i2c_block_data(ADDRESS, offset, BLOCK)
        for page in PAGES:
            bus.write_i2c_block_data(ADDRESS, 126, [0, page])
            for offset in range(128, 256, BLOCK):
                bus.read_i2c_block_data(ADDRESS, offset, BLOCK)


def cpu_s(emu: Emulator, size: int) -> float:
    """CPU of one poll."""
    before = time.process_time()
    poll(emu, size)
    return time.process_time() - before


def day_s(emu: Emulator) -> float:
    """CPU of 24 hours in which the fans slow down once, and the hall warms up once."""
    before = time.process_time()
    emu.clock.advance(6 * HOUR_S)
    for port in emu.ports.values():
        port.module.plant.set_environment(airflow=0.5)
    emu.clock.advance(6 * HOUR_S)
    for port in emu.ports.values():
        port.module.plant.set_environment(ambient_c=45.0)
    emu.clock.advance(12 * HOUR_S)
    return time.process_time() - before


def links(size: int, rounds: int = 5) -> dict[str, float]:
    """All figures; ratios compare with the aims and with reads for which nothing is worked out."""
    emu = linked(size)
    emu.clock.advance(600)
    first = cpu_s(emu, size)  # statistics of ten minutes are worked out with it
    polls, again = [], []
    for _ in range(rounds):
        emu.clock.advance(10)
        polls.append(cpu_s(emu, size))
        again.append(cpu_s(emu, size))  # the same instant: nothing is stale
    day = day_s(emu)
    after = cpu_s(emu, size)
    emu.close()
    name = f"{size} linked modules"
    return {
        f"{name}: DOM and VDM poll, CPU s": min(polls),
        f"{name}: first poll after 10 min, CPU s": first,
        f"{name}: first poll after 24 h, CPU s": after,
        f"{name}: 24 h, CPU s": day,
        f"{name}: poll, ratio to the aim of {POLL_AIM_S:g} s": min(polls) / POLL_AIM_S,
        f"{name}: poll, ratio to stored pages": min(polls) / min(again),
        f"{name}: 24 h, ratio to the aim of {DAY_AIM_S:g} s": day / DAY_AIM_S,
        f"{name}: ratio of simulated time to CPU": 24 * HOUR_S / day,
    }
