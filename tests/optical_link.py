"""Links for tests of the optics model: modules whose units do not differ, and what a host reads of their light.

Profiles have no spread and no noise, so that a reading is the sheet's figure. Everything is read over the bus, at
offsets typed from the standard (`cmis_host`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cmis_host import Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.registers.encoding import decode_f16

DR4, DR1, ZR = "qsfpdd-400g-dr4", "qsfp28-100g-dr1", "qsfpdd-400g-zr"
LANES = (1, 2, 3, 4)
LASER_AGE, TEC_CURRENT, FREQUENCY_ERROR, LASER_TEMPERATURE = 1, 2, 3, 4  # observables (VDM-10)
ESNR, ESNR_HOST, LTP, BER_MIN, BER_MAX, BER_AVG, BER, FERC, SEW_MAX = 5, 6, 7, 9, 11, 13, 15, 23, 33
CD, CD_LOW, DGD, SOPMD, PDL, OSNR, COHERENT_ESNR, CFO, EVM = 134, 135, 136, 137, 138, 139, 140, 141, 142
TX_POWER, RX_TOTAL, RX_SIGNAL, SOP_RATE, MER = 143, 144, 145, 146, 147
_UNITS = {
    CD: 1.0,  # ps/nm
    CD_LOW: 20.0,
    DGD: 0.01,  # ps
    SOPMD: 0.01,  # ps^2
    **dict.fromkeys((PDL, OSNR, COHERENT_ESNR, MER), 0.1),  # dB
    CFO: 1.0,  # MHz
    EVM: 100 / 65535,
    **dict.fromkeys((TX_POWER, RX_TOTAL, RX_SIGNAL), 0.01),  # dBm
    SOP_RATE: 1.0,  # krad/s
    LASER_AGE: 1.0,
    TEC_CURRENT: 100 / 32767,
    FREQUENCY_ERROR: 10.0,  # MHz
    LASER_TEMPERATURE: 1 / 256,
    ESNR: 1 / 256,
    ESNR_HOST: 1 / 256,
    LTP: 1 / 256,
    SEW_MAX: 1.0,
}
_SIGNED = (
    TEC_CURRENT, FREQUENCY_ERROR, LASER_TEMPERATURE, CD, CD_LOW, CFO, TX_POWER, RX_TOTAL, RX_SIGNAL,
)  # fmt: skip
MODULE = 16  # the resource of what belongs to the whole module
DARKEST_DBM = -40.0  # what hosts show of a register that reads 0

TEMPERATURE_FLAGS, HIGH_ALARM, HIGH_WARNING = 9, 0x01, 0x04  # lower memory
LOS_RX, LOL_RX = 147, 148  # page 11h
TX_FAULT, LOS_TX, POWER_LOW_ALARM_TX, POWER_LOW_WARNING_TX = 135, 136, 140, 142
POWER_LOW_WARNING_RX = 152
MODULE_FAULT = 5

EXACT_TX_DBM = 1.5339  # average power of an OMA of 1.7 dBm at 5 dB of extinction
SILENT = ("tx_spread_db", "tdecq_spread_db", "bias_spread", "power_noise_db", "temperature_noise_c", "bias_noise_a")


def nominal(folder: Path, base: str = DR4, plant: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """A profile like `base` whose units are all alike and read without noise; `plant` and `more` change it."""
    path = folder / f"nominal-{len(list(folder.iterdir()))}.yaml"
    silent = dict.fromkeys((*SILENT, "supply_noise_v"), 0.0) | {"tx_power_dbm": EXACT_TX_DBM}
    profile = {"profile": path.stem, "base": base, "title": "as the sheet has it", "plant": silent | dict(plant or {})}
    path.write_text(yaml.safe_dump(profile | more, sort_keys=False))
    return path


def joined(profile: Path | str, seed: int = 1, far: Path | str | None = None, **fibre: Any) -> Emulator:
    """Two modules `a` and `b` with a fibre `a-b` of 500 m that loses 3 dB, just plugged in."""
    ports = {
        name: {"profile": str(kind), "bus": n}
        for n, (name, kind) in enumerate(zip("ab", (profile, far or profile), strict=True), 1)
    }
    path = {"length_m": 500} | ({} if fibre else {"loss_db": 3.0}) | fibre
    testbed = {"version": 1, "seed": seed, "ports": ports, "fibres": {"a-b": {"from": "a", "to": "b", **path}}}
    return Emulator.load(testbed, clock=ManualClock())


def host_of(emu: Emulator, port: str) -> Host:
    """A host on the bus of a port."""
    return Host(emu.smbus_of(port))


def warm(emu: Emulator) -> Emulator:
    """The same, at rest: data paths activated, temperatures settled."""
    emu.settle()
    emu.clock.advance(4000)
    return emu


# -- what a host reads ---------------------------------------------------------------------------------------


def observe(host: Host, kind: int) -> dict[int, float]:
    """Value by resource (1-based) of all instances of one observable type, found by their descriptors."""
    found: dict[int, float] = {}
    for group in range((host.byte(0x2F, 128) & 3) + 1):
        descriptors = host.read(0x20 + group, 128, 128)
        codes = struct.unpack(">64h" if kind in _SIGNED else ">64H", host.read(0x24 + group, 128, 128))
        for index, code in enumerate(codes):
            if descriptors[2 * index + 1] == kind:
                resource = (descriptors[2 * index] & 15) + 1
                found[resource] = code * _UNITS[kind] if kind in _UNITS else decode_f16(code)
    assert found, f"no instance of type {kind}"
    return found


def _word(host: Host, page: int, offset: int) -> int:
    return int.from_bytes(host.read(page, offset, 2), "big")


def _dbm(code: int) -> float:
    return 10 * math.log10(code * 1e-4) if code else DARKEST_DBM  # 0.1 uW


def tx_dbm(host: Host, lane: int) -> float:
    """OpticalPowerTx."""
    return _dbm(_word(host, 0x11, 152 + 2 * lane))


def bias_ma(host: Host, lane: int) -> float:
    """LaserBiasTx of a module whose multiplier is 1."""
    return _word(host, 0x11, 168 + 2 * lane) * 2e-3


def rx_dbm(host: Host, lane: int) -> float:
    """OpticalPowerRx."""
    return _dbm(_word(host, 0x11, 184 + 2 * lane))


def temperature_c(host: Host) -> float:
    """TempMonValue."""
    code = _word(host, -1, 14)
    return (code - 65536 if code & 0x8000 else code) / 256


def vcc_v(host: Host) -> float:
    """VccMonVoltage."""
    return _word(host, -1, 16) * 1e-4


def held(emu: Emulator, host: Host, offset: int) -> list[int]:
    """Lanes whose flag in a byte of page 11h sets again after a read cleared it: the condition holds now."""
    host.byte(0x11, offset)
    emu.clock.advance(0.5)
    code = host.byte(0x11, offset)
    return [lane for lane in range(1, 9) if code >> (lane - 1) & 1]
