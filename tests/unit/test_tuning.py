"""Tunable lasers: grids, requests, flags and status of pages 04h and 12h, as hosts see them (TUN-01 to TUN-08).

Offsets are typed from the standard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cmis_host import ACTIVATED, DEACTIVATED, DP_DEINIT, INITIALIZED, LOW_PWR, OUTPUT_DISABLE_TX, READY, Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.layouts.grid import GRIDS

ZR = "qsfpdd-400g-zr"
GRID, CHANNEL, OFFSET, FREQUENCY, POWER, STATUS, SUMMARY, FLAGS, MASKS = 128, 136, 152, 168, 200, 222, 230, 231, 239
POWER_OOR, FINE_OOR, NOT_ACCEPTED, INVALID, UNLOCKED, COMPLETE = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
MOVING = 0x03
TUNING_S = 4.0  # of the product, to another channel
BY_75, BY_100, FINE = 0x70, 0x50, 0x01


def frequency(host: Host) -> int:
    """MHz."""
    return int.from_bytes(host.read(0x12, FREQUENCY, 4), "big")


def ask(host: Host, grid: int, channel: int) -> None:
    host.write(0x12, GRID, grid)
    host.byte(0x12, FLAGS)
    host.write(0x12, CHANNEL, *struct.pack(">h", channel))


def edited(folder: Path, **tuning: Any) -> Path:
    """A ZR whose section `tuning` says this; None takes a key away."""
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump({"profile": path.stem, "base": ZR, "title": "another ZR", "tuning": tuning}))
    return path


def level(host: Host, offset: int) -> int:
    return int.from_bytes(host.read(0x11, offset, 2), "big")


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, Snapshot]]:
    with Emulator.load(ZR, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(600)
        yield emu, emu.snapshot()


@pytest.fixture
def emu(kept: tuple[Emulator, Snapshot]) -> Emulator:
    """A ZR that is up and looped to itself; flags read."""
    kept[0].restore(kept[1])
    host = Host(kept[0].smbus(1))
    host.read(0x11, 134, 20)
    host.read(0x12, FLAGS, 8)
    host.read(0, 8, 6)
    host.read(0x2C, 128, 128)
    return kept[0]


@pytest.fixture
def host(emu: Emulator) -> Host:
    return Host(emu.smbus(1))


@pytest.fixture
def down(emu: Emulator, host: Host) -> Host:
    """In DPDeactivated."""
    host.control(DP_DEINIT, 0xFF)
    emu.clock.advance(1)
    assert host.states() == [DEACTIVATED] * 8
    return host


@pytest.fixture
def dark(emu: Emulator, host: Host) -> Host:
    """In DPInitialized, its output disabled."""
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.clock.advance(1)
    assert host.states() == [INITIALIZED] * 8
    return host


# -- grids ----------------------------------------------------------------------------------------------------

FREQUENCIES = [  # grid code, channel, THz by the formula of the rule
    (0, -576, 191.3),
    (0, 1, 193.103125),
    (1, 480, 196.1),
    (2, 3, 193.1375),
    (3, 1, 193.125),
    (4, -36, 191.3),
    (5, 30, 196.1),
    (6, 1, 193.133333),
    (6, 90, 196.1),
    (7, 0, 193.1),
    (7, 120, 196.1),
    (7, -72, 191.3),
    (8, -3, 193.1),
    (8, 6, 193.325),
    (9, 9, 193.1),
    (9, 24, 193.2875),
]


@pytest.mark.rule("TUN-02")
@pytest.mark.parametrize(("code", "channel", "thz"), FREQUENCIES)
def test_frequencies_of_channels(code: int, channel: int, thz: float) -> None:
    assert GRIDS[code].frequency_mhz(channel) == round(thz * 1e6)


@pytest.mark.rule("TUN-02")
def test_channels_and_frequencies_are_inverse() -> None:
    for grid in GRIDS.values():
        first, last = grid.channels(191_300_000, 196_100_000) or (0, 0)
        for channel in range(first, last + 1, grid.multiple):
            assert grid.channel_at(grid.frequency_mhz(channel)) == channel
            assert 191_300_000 <= grid.frequency_mhz(channel) <= 196_100_000
        assert grid.frequency_mhz(last + grid.multiple) > 196_100_000
        assert grid.frequency_mhz(first - grid.multiple) < 191_300_000
        assert grid.channel_at(193_100_123) is None


@pytest.mark.rule("TUN-01", "TUN-02", "PAGE-08")
def test_what_page_04h_offers(host: Host) -> None:
    """As a real ZR, byte by byte (400g-zr-qsfpdd-juniper-a), but for the highest power."""
    assert host.byte(0x01, 155) >> 6 == 3
    assert host.read(0x04, 128, 34).hex() == "ff80fdc003c0fee001e0ff7000f0ffb80078ffdc003cffee001effca005affb80078"
    assert host.read(0x04, 190, 8).hex() == "000ae89017708000"
    assert struct.unpack(">2h", host.read(0x04, 198, 4)) == (-1400, -850)
    assert host.byte(0x04, 255) == sum(host.read(0x04, 128, 127)) & 0xFF


@pytest.mark.rule("TUN-02", "TUN-04", "TUN-06")
def test_both_ends_of_every_grid(emu: Emulator, down: Host) -> None:
    for code in range(8):
        at = 130 + 4 * code
        for channel in struct.unpack(">2h", down.read(0x04, at, 4)):
            ask(down, code << 4, channel)
            assert down.byte(0x12, STATUS) == MOVING
            emu.clock.advance(TUNING_S + 0.01)
            assert down.byte(0x12, STATUS) == 0
            assert frequency(down) == GRIDS[code].frequency_mhz(channel)
            assert down.byte(0x12, FLAGS) == 0  # FLG-09: TuningComplete is not allowed in DPDeactivated


# -- requests ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("TUN-04", "FLG-09", "DP-08")
def test_a_tuning_from_begin_to_end(emu: Emulator, dark: Host) -> None:
    ask(dark, BY_75, 12)
    assert (dark.byte(0x12, STATUS), frequency(dark)) == (MOVING, 193_100_000)
    assert dark.read(0x12, SUMMARY, 2) == bytes((1, UNLOCKED))
    emu.clock.advance(TUNING_S - 0.01)
    assert dark.byte(0x12, STATUS) == MOVING
    assert dark.byte(0x12, FLAGS) == UNLOCKED  # it still holds (FLG-02)
    emu.clock.advance(0.02)
    assert (dark.byte(0x12, STATUS), frequency(dark)) == (0, 193_400_000)
    assert dark.byte(0x12, FLAGS) & COMPLETE
    emu.clock.advance(1)
    assert dark.read(0x12, SUMMARY, 2) == bytes(2)


@pytest.mark.rule("TUN-04")
@pytest.mark.parametrize(
    ("grid", "channel"),
    [(BY_75, 1), (BY_75, 123), (BY_75, -75), (BY_100, 31), (0x80, 0), (0x90, 0), (0xF0, 0), (0x00, 961)],
)
def test_a_bad_channel_moves_nothing(emu: Emulator, down: Host, grid: int, channel: int) -> None:
    ask(down, grid, channel)
    assert down.byte(0x12, FLAGS) == INVALID
    emu.clock.advance(10)
    assert (down.byte(0x12, STATUS), frequency(down), down.byte(0x12, FLAGS)) == (0, 193_100_000, 0)
    assert struct.unpack(">h", down.read(0x12, CHANNEL, 2)) == (channel,)  # what was written reads back (I2C-09)


@pytest.mark.rule("TUN-04", "TUN-06")
def test_fine_tuning(emu: Emulator, dark: Host) -> None:
    dark.write(0x12, OFFSET, *struct.pack(">h", 1500))
    assert dark.byte(0x12, FLAGS) == dark.byte(0x12, STATUS) == 0  # not enabled: nothing asked
    dark.write(0x12, GRID, BY_75 | FINE)
    assert dark.byte(0x12, STATUS) == MOVING
    emu.clock.advance(0.51)  # a small step is quick
    assert (dark.byte(0x12, STATUS), frequency(dark)) == (0, 193_101_500)
    dark.byte(0x12, FLAGS)
    for bad in (1505, 6010, -6010):
        dark.write(0x12, OFFSET, *struct.pack(">h", bad))
        assert dark.byte(0x12, FLAGS) == FINE_OOR
        assert (dark.byte(0x12, STATUS), frequency(dark)) == (0, 193_101_500)
    dark.write(0x12, GRID, BY_75)
    emu.clock.advance(0.51)
    assert frequency(dark) == 193_100_000


@pytest.mark.rule("TUN-05")
def test_an_activated_path_is_not_tuned(emu: Emulator, host: Host) -> None:
    assert host.states() == [ACTIVATED] * 8
    ask(host, BY_75, 12)
    assert host.byte(0x12, FLAGS) == NOT_ACCEPTED
    emu.clock.advance(10)
    assert (host.output_tx(), frequency(host), host.byte(0x12, STATUS)) == (1, 193_100_000, 0)
    host.control(DP_DEINIT, 0xFF)  # and what was refused stays refused
    emu.clock.advance(10)
    assert frequency(host) == 193_100_000
    host.write(0x12, CHANNEL, 0, 12)
    emu.clock.advance(5)
    assert frequency(host) == 193_400_000


@pytest.mark.rule("TUN-05")
def test_the_frequency_that_is_there_is_in_order_everywhere(emu: Emulator, host: Host) -> None:
    ask(host, BY_75, 0)
    ask(host, BY_100, 0)
    assert (host.byte(0x12, FLAGS), host.byte(0x12, STATUS), host.output_tx()) == (0, 0, 1)


@pytest.mark.rule("TUN-05", "DP-11")
def test_a_module_that_retunes_at_work(tmp_path: Path) -> None:
    """Configurable: the output is squelched meanwhile, and the receiver has no oscillator; the state stays."""
    with Emulator.load(edited(tmp_path, accepts=["DPActivated"]), clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(5)
        host = Host(emu.smbus(1))
        host.read(0x11, 134, 20)
        ask(host, BY_75, 12)
        assert (host.byte(0x12, STATUS), host.output_tx(), host.states()) == (MOVING, 0, [ACTIVATED] * 8)
        emu.clock.advance(1)
        assert level(host, 154) == level(host, 186) == 0  # neither sends nor, in a loop, receives
        emu.clock.advance(10)
        assert (host.output_tx(), host.states(), frequency(host)) == (1, [ACTIVATED] * 8, 193_400_000)
        host.read(0x11, 134, 20)
        emu.clock.advance(1)
        assert host.byte(0x11, 148) == 0
        assert level(host, 154) > 900
        host.control(DP_DEINIT, 0xFF)
        emu.clock.advance(1)
        host.write(0x12, CHANNEL, 0, 15)
        assert host.byte(0x12, FLAGS) & NOT_ACCEPTED


@pytest.mark.rule("TUN-04")
def test_a_later_request_takes_the_place_of_an_earlier_one(emu: Emulator, down: Host) -> None:
    ask(down, BY_75, 12)
    emu.clock.advance(3)
    down.write(0x12, CHANNEL, 0, 15)
    emu.clock.advance(3)
    assert (down.byte(0x12, STATUS), frequency(down)) == (MOVING, 193_100_000)
    emu.clock.advance(1.01)
    assert (down.byte(0x12, STATUS), frequency(down)) == (0, 193_475_000)


@pytest.mark.rule("TUN-06", "MSM-08")
def test_in_low_power_a_request_holds_at_once(emu: Emulator, host: Host) -> None:
    host.write(0, 26, 0x50)
    emu.clock.advance(1)
    assert host.module_state() == LOW_PWR
    ask(host, BY_75, 24)
    assert (host.byte(0x12, STATUS), frequency(host), host.byte(0x12, FLAGS)) == (0, 193_700_000, 0)
    host.write(0, 26, 0x40)
    emu.clock.advance(40)
    assert (host.module_state(), host.states(), frequency(host)) == (READY, [ACTIVATED] * 8, 193_700_000)


@pytest.mark.rule("TUN-04", "MSM-08")
def test_a_tuning_that_loses_its_power_is_over(emu: Emulator, down: Host) -> None:
    ask(down, BY_75, 24)
    emu.clock.advance(1)
    down.write(0, 26, 0x50)
    emu.clock.advance(1)
    assert (down.module_state(), down.byte(0x12, STATUS), frequency(down)) == (LOW_PWR, 0, 193_700_000)
    assert down.byte(0x12, FLAGS) == 0


@pytest.mark.rule("RST-05", "RST-06", "TUN-08")
def test_a_reset_brings_the_laser_back(emu: Emulator, down: Host) -> None:
    for channel in (24, 27):  # at rest, and on its way
        ask(down, BY_75, channel)
        emu.clock.advance(5 if channel == 24 else 1)
        down.write(0x12, MASKS, 0)
        down.write(0x12, POWER, *struct.pack(">h", -1200))
        down.write(0, 26, 0x48)
        emu.clock.advance(40)
        down = Host(emu.smbus(1))
        assert (frequency(down), down.byte(0x12, STATUS)) == (193_100_000, 0)
        assert down.read(0x12, MASKS, 8) == b"\x3f" * 8
        assert (down.byte(0x12, GRID), down.read(0x12, CHANNEL, 2)) == (BY_75, b"\0\0")
        assert level(down, 154) == pytest.approx(1000, rel=0.1)
        down.control(DP_DEINIT, 0xFF)
        emu.clock.advance(1)


@pytest.mark.rule("MSM-09")
def test_a_module_in_fault_tunes_nothing(emu: Emulator, down: Host) -> None:
    emu.ports["1"].module.fault(1)
    ask(down, BY_75, 12)
    down.write(0x12, POWER, 0, 0)
    emu.clock.advance(10)
    assert (frequency(down), down.byte(0x12, STATUS), down.byte(0x12, FLAGS)) == (193_100_000, 0, 0)


# -- flags -------------------------------------------------------------------------------------------------------


@pytest.mark.rule("TUN-08", "FLG-05", "FLG-06", "FLG-07")
def test_flags_summary_and_interrupt(emu: Emulator, down: Host) -> None:
    pins = emu.ports["1"].pins
    down.read(0x11, 134, 20)
    down.read(0x2C, 128, 128)
    ask(down, BY_75, 1)
    assert (down.byte(0, 4) & 2, down.byte(0x12, SUMMARY)) == (2, 1)
    assert pins.IntL  # masked by default
    down.write(0x12, MASKS, 0x3F & ~INVALID)
    assert not pins.IntL
    assert not down.byte(0, 3) & 1
    down.write(0x12, MASKS, 0x3F)
    assert pins.IntL
    down.write(0x12, MASKS, 0)
    assert down.byte(0x12, FLAGS) == INVALID
    assert pins.IntL
    assert (down.byte(0, 4) & 2, down.byte(0x12, SUMMARY)) == (0, 0)


@pytest.mark.rule("FLG-09")
def test_an_unlocked_wavelength_is_flagged_from_init_on(emu: Emulator, down: Host) -> None:
    ask(down, BY_75, 12)
    assert down.byte(0x12, FLAGS) == 0
    down.control(DP_DEINIT, 0)
    emu.clock.advance(0.1)
    assert down.byte(0x12, FLAGS) == UNLOCKED
    emu.clock.advance(TUNING_S)
    assert down.byte(0x12, FLAGS) == UNLOCKED  # TuningComplete is not allowed in DPInit


# -- output power ------------------------------------------------------------------------------------------------


@pytest.mark.rule("TUN-07", "TUN-04")
def test_output_power_follows_at_once(emu: Emulator, host: Host) -> None:
    for power_dbm in (-14.0, -8.5, -11.11):
        host.write(0x12, POWER, *struct.pack(">h", round(power_dbm * 100)))
        assert host.byte(0x12, FLAGS) == 0
        assert level(host, 154) == pytest.approx(10 ** (power_dbm / 10) * 1e4, rel=0.1)
        assert host.states() == [ACTIVATED] * 8
    before = level(host, 154)
    for bad in (-1401, -849, 0x7FFF):
        host.write(0x12, POWER, *struct.pack(">h", bad))
        assert host.byte(0x12, FLAGS) == POWER_OOR
        assert level(host, 154) == pytest.approx(before, rel=0.02)


@pytest.mark.rule("APP-08", "DP-04")
def test_lanes_that_are_not_there_disable_nothing(emu: Emulator, host: Host) -> None:
    """One bit disables the whole module (01h:151.0), as on a real ZR; hosts clear those of real lanes only."""
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    emu.clock.advance(1)
    assert (host.states(), host.output_tx()) == ([INITIALIZED] * 8, 0)
    host.control(OUTPUT_DISABLE_TX, 0xFE)
    emu.clock.advance(10)
    assert (host.states(), host.output_tx()) == ([ACTIVATED] * 8, 1)


# -- products without ----------------------------------------------------------------------------------------


@pytest.mark.rule("TUN-01", "I2C-07")
def test_without_fine_tuning_its_controls_are_reserved(tmp_path: Path) -> None:
    with Emulator.load(edited(tmp_path, fine=None, output_dbm=None), clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        host.write(0x12, GRID, BY_75 | FINE)
        host.write(0x12, OFFSET, 1, 1)
        host.write(0x12, POWER, 1, 1)
        assert host.byte(0x12, GRID) == BY_75
        assert host.read(0x12, OFFSET, 2) == host.read(0x12, POWER, 2) == bytes(2)
        assert host.byte(0x12, FLAGS) == 0
        assert (host.byte(0x04, 129), host.byte(0x04, 196)) == (0, 0)


@pytest.mark.rule("TUN-01")
def test_a_fixed_laser_has_no_such_pages() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        for page in (0x04, 0x12):
            host.select(page)
            assert host.byte(0, 127) == 0


@pytest.mark.rule("TUN-03")
def test_channels_as_sonic_computes_them(emu: Emulator, down: Host) -> None:
    """(f - 193100) / 25 on 75 GHz, / 100 on 100 GHz; it clears fine tuning, and compares with the 75 GHz bytes."""
    for grid, step, ghz in ((BY_75, 25, 193_475), (BY_100, 100, 193_500), (BY_75, 25, 191_300)):
        channel = round((ghz - 193_100) / step)
        low, high = struct.unpack(">2h", down.read(0x04, 158, 4))
        assert low <= channel <= high
        down.write(0x12, GRID, grid)
        down.write(0x12, CHANNEL, *struct.pack(">h", channel))
        emu.clock.advance(5)
        assert frequency(down) == ghz * 1000


def test_a_snapshot_in_the_middle_of_a_tuning(emu: Emulator, down: Host) -> None:
    ask(down, BY_75, 12)
    emu.clock.advance(2)
    middle = emu.snapshot()
    for _ in range(2):
        emu.restore(middle)
        host = Host(emu.smbus(1))
        assert host.byte(0x12, STATUS) == MOVING
        emu.clock.advance(1.99)
        assert frequency(host) == 193_100_000
        emu.clock.advance(0.02)
        assert (frequency(host), host.byte(0x12, STATUS)) == (193_400_000, 0)
