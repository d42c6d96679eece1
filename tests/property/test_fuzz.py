"""Any bytes at all from a host leave the module alive and its invariants whole; a reset makes it as new."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.target import Target
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.physics.noise import mix
from cmis_emu.resources import maps_root

A = 0x50
DR4 = "qsfpdd-400g-dr4"
VDM_PAGES = {0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x28, 0x29, 0x2A, 0x2C, 0x2D, 0x2F}  # of three groups
PAGES = {0, 1, 2, 0x10, 0x11, 0x13, 0x14, *VDM_PAGES}
CDB_PAGES = {0x9F, *range(0xA0, 0xB0)}
STATUS = {0, 1, 3, *range(0x40, 0x48), 0x81, 0x82, 0x83}
COMMANDS = (0x0000, 0x0001, 0x0002, 0x0004, 0x0004, 0x0040, 0x0041, 0x0042, 0x0100, 0x8000)
HOT = (3, 8, 9, 26, 31, 118, 126, 127, 128, 130, 132, 134, 138, 143, 144, 145, 153, 178, 179, 180, 213, 235, 255)
HOT += (152, 160, 168, 177, 181, 182, 183)  # engines and loopbacks
DPSM_CODES = range(1, 8)
MSM_CODES = range(1, 6)
FLAG_BLOCKS = (
    (-1, 8, 13, -1, 31),
    (0x11, 134, 153, 0x10, 213),
    (0x14, 132, 139, 0x13, 206),
    (0x2C, 128, 255, 0x2D, 128),
)
"""FLG-05: page, first, last, page and first of masks."""
FIRST_OF = {first + step: first for first in (0x20, 0x24, 0x28) for step in (1, 2)} | dict.fromkeys(CDB_PAGES, 0xA0)
FIRST_OF[0x9F] = 0x9F
"""Pages of further groups, and those whose file describes them."""
MONITORS = range(14, 26)


class Dice:
    """Repeatable numbers for long runs."""

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    def below(self, limit: int) -> int:
        self.count += 1
        return (mix((self.seed << 32) + self.count) >> 16) % limit

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def bytes(self, length: int) -> bytes:
        return bytes(self.below(256) for _ in range(length))


def step(emu: Emulator, dice: Dice) -> None:
    """One thing that a host, a pin, a hand or the time does."""
    port, kind = emu.ports["1"], dice.below(100)
    bus, target = emu.buses[1], port.target
    if kind < 35:
        messages = []
        for _ in range(1 + dice.below(3)):
            address = A if dice.chance(95) else dice.below(128)
            if dice.chance(50):
                messages.append(Message(address, I2C_M_RD, length=dice.below(300 if dice.chance(10) else 20)))
            else:
                register = HOT[dice.below(len(HOT))] if dice.chance(70) else dice.below(256)
                data = dice.bytes(dice.below(200 if dice.chance(5) else 10))
                if register <= 26 < register + len(data) and dice.chance(90):  # no software reset this time
                    data = bytes(value & ~0x08 for value in data)
                if register == 126 and dice.chance(80):
                    data = bytes([0, (*sorted(PAGES)[:7], 0x9F, 0xA0, 0xAF)[dice.below(10)]])
                messages.append(Message(address, 0, bytes([register]) + data))
        with contextlib.suppress(BusError):
            bus.transfer(messages)
    elif kind < 58:
        sensible(emu, dice)
    elif kind < 68:
        byte_event(target, dice)
    elif kind < 91:
        emu.clock.advance_ns((1000, 1_000_000, 50_000_000, 400_000_000)[dice.below(4)])
    elif kind < 94:
        port.pins.set(("LPMode", "ModSelL")[dice.below(2)], dice.chance(25))
    elif kind == 94 and dice.chance(40):
        port.pins.ResetL = False
        emu.clock.advance_ns((1000, 9_999, 10_000, 1_000_000)[dice.below(4)])
        port.pins.ResetL = True
    elif kind < 97:
        port.pins.LPMode = port.pins.ModSelL = False
        port.pins.power = True
    elif kind == 97:
        port.set_host_signal(1 + dice.below(32), dice.chance(50))
    elif kind == 98:
        (emu.fibres["loop"].cut if dice.chance(50) else emu.fibres["loop"].restore)()
    elif port.occupant is None:
        port.insert(DR4)
    elif dice.chance(10):
        port.remove()
        if dice.chance(80):
            port.insert(DR4)
    elif dice.chance(20):
        port.pins.power = False
    elif dice.chance(5):
        port.module.fault(1 + dice.below(5))


def sensible(emu: Emulator, dice: Dice) -> None:
    """What a host does that means it, in any order: stage, apply, deinitialise, disable, ask for low power."""
    bus, kind = emu.smbus(1), dice.below(12)
    with contextlib.suppress(OSError):
        if kind > 9:
            message(emu, dice)
            return
        if kind == 9:
            bus.write_byte_data(A, 26, (0x40, 0x00, 0x40, 0x50)[dice.below(4)])
            return
        bus.write_i2c_block_data(A, 126, [0, 0x10])
        staged = 35 * dice.chance(30)
        leg = dice.below(4)
        if kind < 2:  # 1x400G, or one leg, or all of 4x100G, or unused lanes
            bus.write_i2c_block_data(A, 145 + staged, [0x10 | dice.chance(20)] * 8)
        elif kind < 4:
            bus.write_i2c_block_data(A, 145 + staged, [0x20 | 2 * (lane & 6) for lane in range(8)])
        elif kind == 4:
            config = (0x20 | 4 * leg, 0, 0x20 | 2 * dice.below(8))[dice.below(3)]
            bus.write_i2c_block_data(A, 145 + staged + 2 * leg, [config] * 2)
        elif kind < 7:
            mask = (0xFF, 0xFF, 3 << 2 * leg, dice.below(256))[dice.below(4)]
            bus.write_byte_data(A, 143 + dice.chance(30) + staged, mask)
        elif kind == 7:
            bus.write_byte_data(A, 128, (0, 0, 0xFF, 3 << 2 * leg)[dice.below(4)])
        else:
            bus.write_byte_data(A, (130, 132, 138, 131)[dice.below(4)], (0, 0, 0, 1 << leg)[dice.below(4)])


def message(emu: Emulator, dice: Dice) -> None:
    """A CDB message that is right, or nearly so."""
    bus, command = emu.buses[1], COMMANDS[dice.below(len(COMMANDS))]
    lpl = dice.bytes((0, 2, 4, dice.below(121))[dice.below(4)])
    head = bytes([command >> 8, command & 0xFF, 0, 8 * dice.chance(10), len(lpl)])
    code = ~sum(head + lpl) & 0xFF if dice.chance(85) else dice.below(256)
    with contextlib.suppress(BusError):
        bus.transfer([Message(A, 0, bytes([126, 0, 0x9F]))])
        bus.transfer([Message(A, 0, bytes([130]) + head[2:] + bytes([code, 0, 0]) + lpl)])
        bus.transfer([Message(A, 0, bytes([128]) + head[:2])])


def byte_event(target: Target, dice: Dice) -> None:
    event = dice.below(6)
    if event == 0:
        target.start(read=dice.chance(50))
    elif event in (1, 2):
        target.write_byte(dice.below(256))
    elif event == 3:
        assert 0 <= target.peek() <= 255
    elif event == 4:
        target.commit()
    else:
        target.end()


def check(emu: Emulator) -> None:
    """What holds at every instant."""
    module = emu.ports["1"].occupant
    if module is None or module.msm.state.code == 0:
        assert emu.ports["1"].pins.IntL
        return
    lower = module.peek(-1, 0, 128)
    upper = {page: bytes(128) + module.peek(page, 128, 128) for page in PAGES}
    half = {-1: lower, **upper}
    assert lower[3] >> 1 & 7 in MSM_CODES
    assert lower[3] & 0xF0 == 0
    assert lower[127] in PAGES | CDB_PAGES
    assert lower[37] in STATUS
    assert lower[38] == 0
    # identity and checksums: nothing a host does changes page 00h, 01h or 02h
    assert lower[:3] == b"\x18\x52\x04"
    assert upper[0][222] == sum(upper[0][128:222]) & 0xFF
    assert upper[1][255] == sum(upper[1][130:255]) & 0xFF
    assert upper[2][255] == sum(upper[2][128:255]) & 0xFF
    for page in (0, 1, 2):
        assert upper[page][128:] == module.profile.image[page]
    # interrupt and summary
    unmasked = any(
        half[page][first + n] & ~half[mask_page][mask_first + n] & 0xFF
        for page, first, last, mask_page, mask_first in FLAG_BLOCKS
        for n in range(last - first + 1)
    )
    assert emu.ports["1"].pins.IntL is not unmasked
    assert lower[3] & 1 == (not unmasked)
    assert lower[4] == int(any(upper[0x11][134:154])) | any(upper[0x14][132:140]) << 2 | any(upper[0x2C][128:]) << 3
    # data paths
    states = [upper[0x11][128 + lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)]
    active = upper[0x11][206:214]
    assert all(state in DPSM_CODES for state in states)
    for lane in range(8):
        app_sel, path_id = active[lane] >> 4, active[lane] >> 1 & 7
        if app_sel == 0:
            assert states[lane] == 1, "an unused lane is DPDeactivated"
            continue
        assert app_sel in (1, 2)
        width = {1: 8, 2: 2}[app_sel]
        together = range(path_id, path_id + width)
        assert lane in together
        assert len({states[other] for other in together}) == 1, "a data path has one state"
        assert len({active[other] >> 1 for other in together}) == 1, "no half data path in the active set"
    status = {upper[0x11][202 + lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)}
    assert status <= {0, 1, 2, 3, 4, 5, 6, 7, 12}
    if lower[3] >> 1 & 7 in (1, 2):
        assert set(states) == {1}
    # loopbacks: never both of a side on a lane
    media_out, media_in, host_out, host_in = upper[0x13][180:184]
    assert not media_out & media_in
    assert not host_out & host_in
    # triggers store nothing; lanes that do not exist have no outputs
    assert upper[0x10][143] == upper[0x10][144] == upper[0x10][178] == upper[0x10][179] == 0
    assert upper[0x11][133] & 0xF0 == 0
    assert lower[118:126] == bytes(8)


def image_after_reset(emu: Emulator) -> dict[int, bytes]:
    """All bytes save live readings, in ModuleLowPwr after a power cycle."""
    port = emu.ports["1"]
    if port.occupant is None:
        port.insert(DR4)
    pins = port.pins
    pins.ResetL, pins.ModSelL, pins.LPMode = True, False, True
    pins.power = False
    emu.clock.advance(1.0)
    pins.power = True
    emu.settle()
    found = {}
    for page in (-1, *sorted(PAGES | CDB_PAGES)):
        data = bytearray(port.module.peek(page, 0 if page < 0 else 128, 128))
        for first, size in live(page):
            data[first : first + size] = bytes(size)
        found[page] = bytes(data)
    return found


def live(page: int) -> list[tuple[int, int]]:
    """Monitor readings of a page: (index in the half, bytes)."""
    name = "lower" if page < 0 else f"{FIRST_OF.get(page, page):02X}h"
    rows: list[dict[str, Any]] = yaml.safe_load((maps_root() / "cmis" / f"page_{name}.yaml").read_text())["fields"]
    return [
        (row["at"] & 127, 2 * row.get("lanes", 1))
        for row in rows
        if row.get("volatile") and row["type"] in ("u16", "s16")
    ] + [(row["at"] & 127, row["size"]) for row in rows if row.get("volatile") and row["type"] == "bytes"]


@pytest.fixture(scope="module")
def fresh() -> dict[int, bytes]:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        return image_after_reset(emu)


@pytest.mark.rule("I2C-07", "FLG-06", "FLG-07", "MSM-11", "NUM-05", "RST-05", "CFG-02", "DP-17")
@pytest.mark.parametrize("seed", range(12))
def test_a_long_life_among_bad_hosts(seed: int, fresh: dict[int, bytes]) -> None:
    dice = Dice(seed)
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        for _ in range(2000):
            step(emu, dice)
            check(emu)
        assert len(emu.clock.pending()) < 60, "timers pile up"
        assert image_after_reset(emu) == fresh


@pytest.mark.parametrize("seed", range(6))
def test_same_future_from_anywhere_in_such_a_life(seed: int) -> None:
    dice = Dice(1000 + seed)
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        for _ in range(20):
            for _ in range(dice.below(60)):
                step(emu, dice)
            kept, count, futures = emu.snapshot(), dice.count, []
            for _ in range(2):
                emu.restore(kept)
                dice.count = count
                seen: list[Any] = []
                for _ in range(40):
                    step(emu, dice)
                    seen.append((emu.clock.now_ns, emu.ports["1"].target.pointer, emu.ports["1"].pins.levels()))
                module = emu.ports["1"].occupant
                seen.append(None if module is None else (module.memory.contents(), module.msm.state, module.readings()))
                futures.append(seen)
            assert futures[0] == futures[1]


@pytest.mark.rule("I2C-07")
@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    data=st.lists(
        st.one_of(
            st.tuples(st.integers(0, 127), st.binary(max_size=40)),
            st.tuples(st.just(A), st.binary(min_size=1, max_size=12)),
            st.tuples(st.just(A), st.integers(0, 300)),
        ),
        max_size=30,
    ),
    pause_ms=st.sampled_from([0, 1, 40, 500]),
)
def test_any_transactions(data: list[tuple[int, Any]], pause_ms: int) -> None:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        for address, what in data:
            message = Message(address, I2C_M_RD, length=what) if isinstance(what, int) else Message(address, 0, what)
            with contextlib.suppress(BusError):
                emu.buses[1].transfer([message])
            check(emu)
            emu.clock.advance(pause_ms / 1000)
            check(emu)
