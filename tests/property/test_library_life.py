"""Long lives of every product among careless hosts: no shape of module breaks data paths, flags or identity."""

from __future__ import annotations

import contextlib

import pytest
from cmis_host import ADDRESS, Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.module.profile.profile import Profile
from cmis_emu.physics.noise import mix

LANES = range(1, 9)
STEPS = 300


class Dice:
    """Repeatable numbers."""

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    def below(self, limit: int) -> int:
        self.count += 1
        return (mix((self.seed << 32) + self.count) >> 16) % limit

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


def step(emu: Emulator, dice: Dice) -> None:
    """One thing that a host, a pin, a hand or the time does."""
    port, bus, kind = emu.ports["1"], emu.smbus(1), dice.below(20)
    profile = port.module.profile
    with contextlib.suppress(OSError):
        if kind < 9 and not profile.flat:
            configure(Host(bus), profile, dice)
        elif kind < 12:
            bus.write_i2c_block_data(ADDRESS, dice.below(256), [dice.below(256) & ~0x08 for _ in range(dice.below(9))])
        elif kind == 12:
            bus.write_i2c_block_data(ADDRESS, 126, [dice.below(3), (0, 1, 2, 0x10, 0x11)[dice.below(5)]])
            bus.read_i2c_block_data(ADDRESS, 128 + dice.below(96), 32)
        elif kind == 13:
            bus.write_byte_data(ADDRESS, 26, (0x40, 0x00, 0x50, 0x40)[dice.below(4)])
    if kind < 18:
        emu.clock.advance((0.001, 0.05, 0.4, 3.0)[dice.below(4)])
    elif kind == 18:
        port.set_host_signal(1 + dice.below(16), dice.chance(60))
        port.pins.LPMode = dice.chance(10)
    else:
        (emu.fibres["loop"].cut if dice.chance(50) else emu.fibres["loop"].restore)()


def configure(host: Host, profile: Profile, dice: Dice) -> None:
    """Stage, apply, release or disable something, mostly meaningful."""
    bank = dice.below(profile.banks)
    app = profile.applications[dice.below(len(profile.applications))]
    start = app.host_starts[dice.below(len(app.host_starts))] if dice.chance(90) else 1 + dice.below(8)
    lanes = [lane for lane in range(start, start + app.host_lanes) if lane in LANES]
    mask = sum(1 << (lane - 1) for lane in lanes)
    kind = dice.below(10)
    if kind < 4:
        host.stage(lanes, app.app_sel << 4 | (start - 1) << 1 | dice.chance(20), bank=bank)
        host.apply(mask if dice.chance(70) else 0xFF, bank=bank)
    elif kind == 4:
        host.stage(LANES, 0, bank=bank)
        host.apply(0xFF, bank=bank)
    elif kind < 8:
        host.control(128, (0, 0xFF, mask, 0xFF & ~mask)[dice.below(4)], bank)
    else:
        host.control((130, 132, 138)[dice.below(3)], (0, 0, mask)[dice.below(3)], bank)


def check(emu: Emulator) -> None:
    """What holds at every instant."""
    module = emu.ports["1"].module
    profile = module.profile
    lower = module.peek(-1, 0, 128)
    assert lower[0:2] == bytes([profile.registers["SFF8024Identifier"], profile.revision[0] << 4 | profile.revision[1]])
    for page in (0,) if profile.flat else (0, 1, 2):
        assert module.peek(page, 128, 128) == profile.image[page]
    unmasked = any(lower[8 + n] & ~lower[31 + n] & 0xFF for n in range(6))
    for bank in range(0 if profile.flat else profile.banks):
        control, status = (module.peek(page, 128, 128, bank) for page in (0x10, 0x11))
        unmasked |= any(status[6 + n] & ~control[85 + n] & 0xFF for n in range(20))
        observed = module.peek(0x2C, 128, 128, bank) if profile.vdm else bytes(128)
        masked = module.peek(0x2D, 128, 128, bank) if profile.vdm else bytes(128)
        unmasked |= any(flag & ~mask & 0xFF for flag, mask in zip(observed, masked, strict=True))
        lasers = module.peek(0x12, 128, 128, bank) if profile.tuning else bytes(128)
        unmasked |= any(flag & ~mask & 0xFF for flag, mask in zip(lasers[103:111], lasers[111:119], strict=True))
        assert lasers[102] == sum(1 << n for n, flags in enumerate(lasers[103:111]) if flags)
        assert lower[4 + bank] == int(any(status[6:26])) | any(lasers[103:111]) << 1 | any(observed) << 3
        check_paths(profile, status)
    assert lower[3] & 1 == (not unmasked)
    assert emu.ports["1"].pins.IntL is not unmasked


def check_paths(profile: Profile, status: bytes) -> None:
    """The active set holds whole instances of advertised applications, on media lanes of their own."""
    states = [status[lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)]
    left, media = set(LANES), []
    shared = {lane for app in profile.applications for lane in app.shared_media_lanes if app.network_path}
    for app_sel, path_id in sorted({(code >> 4, code >> 1 & 7) for code in status[78:86] if code >> 4}):
        app = profile.applications[app_sel - 1]
        start = path_id + 1
        assert start in app.host_starts
        lanes = range(start, start + app.host_lanes)
        assert left >= set(lanes)
        left -= set(lanes)
        assert {status[77 + lane] >> 1 for lane in lanes} == {app_sel << 3 | path_id}
        assert len({states[lane - 1] for lane in lanes}) == 1
        if app.network_path:
            continue  # its media lanes are those of a network path, which nobody asks for here
        first = app.media_starts[app.host_starts.index(start)]
        media += range(first, first + app.media_lanes)
    assert len(media) == len(set(media))
    for lane in left:
        assert status[77 + lane] >> 4 == 0
        assert states[lane - 1] == 1
    assert status[5] & ~sum(1 << (lane - 1) for lane in {*media, *shared}) == 0


@pytest.mark.rule("APP-03", "APP-07", "DP-17", "FLG-06", "FLG-07")
@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize("seed", range(3))
def test_a_long_life_of_every_product(name: str, seed: int) -> None:
    dice = Dice(seed)
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        for _ in range(STEPS):
            step(emu, dice)
            check(emu)
        assert len(emu.clock.pending()) < 60, "timers pile up"
        emu.ports["1"].pins.LPMode = False
        emu.ports["1"].pins.power = False
        emu.clock.advance(1)
        emu.ports["1"].pins.power = True
        emu.settle()
        default = load_profile(name).default_application
        assert default is not None
        for bank in emu.ports["1"].module.banks:
            assert [path.host_lanes[0] for path in bank.paths] == list(default.host_starts)
            assert {path.state.title for path in bank.paths} == {"DPActivated"}
