"""Every profile of the library keeps its word: what it advertises is what the module then does (design, rule 6).

All through the bus, with offsets typed from the standard; the plant is asked only for what no register tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cmis_host import (
    ACTIVATED,
    ADDRESS,
    DEACTIVATED,
    DP_DEINIT,
    DURATION_BOUND_S,
    INITIALIZED,
    INVALID_DATA_PATH,
    LOW_PWR,
    OUTPUT_DISABLE_TX,
    READY,
    SQUELCH_FORCE_TX,
    SUCCESS,
    Host,
    dp_config,
    lane_mask,
)

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.layouts.application import Application
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.physics.parameters import Quantity

NAMES = profile_names()
FLAT = [name for name in NAMES if load_profile(name).flat]
PAGED = [name for name in NAMES if name not in FLAT]
APPLICATIONS = [(name, app) for name in PAGED for app in load_profile(name).applications if not app.network_path]
COHERENT = "qsfpdd-400g-zr"
LANES = range(1, 9)
TWO_BANKS = "osfpxd-1600g-2xdr8"
SINGLE_LANE = "qsfp28-100g-dr1"
COPPER = "osfp-800g-aec"
OPTICAL = [name for name in PAGED if name != COPPER]


@pytest.fixture
def load() -> Iterator[Callable[[str], tuple[Emulator, Host]]]:
    """`load(name)`: a module of that profile alone, at rest, and a host on its bus."""
    loaded: list[Emulator] = []

    def build(name: str) -> tuple[Emulator, Host]:
        emu = Emulator.load(name, clock=ManualClock(), seed=1)
        loaded.append(emu)
        emu.settle()
        return emu, Host(emu.smbus(1))

    yield build
    for emu in loaded:
        emu.close()


Load = Callable[[str], tuple[Emulator, Host]]


def banks(host: Host) -> range:
    """The banks that 01h:142 promises."""
    return range(1 << (host.byte(1, 142) & 3))


def default(name: str) -> Application:
    """The application that runs without a host: AppSel 1, but for one product that follows a real one (APP-06)."""
    return load_profile(name).applications[6 if name == COPPER else 0]


def default_lanes(app: Application) -> list[int]:
    """Host lanes that the default application fills in each bank (APP-06)."""
    return [lane for start in app.host_starts for lane in range(start, start + app.host_lanes)]


def words(raw: bytes, *, signed: bool = False) -> list[int]:
    return [int.from_bytes(raw[at : at + 2], "big", signed=signed) for at in range(0, len(raw), 2)]


def wait(emu: Emulator, condition: Callable[[], bool], limit_s: float, step_s: float) -> float:
    """Simulated seconds until `condition`; more than `limit_s` when it does not come."""
    start = emu.clock.now
    while not condition() and emu.clock.now - start <= limit_s:
        emu.clock.advance(step_s)
    return emu.clock.now - start


# -- all profiles -------------------------------------------------------------------------------------------


def test_the_library_has_the_products_that_the_design_names() -> None:
    known = {
        "qsfpdd-400g-dr4",
        "qsfpdd-400g-fr4",
        "qsfpdd-400g-lr4",
        "qsfpdd-400g-sr8",
        "qsfpdd-400g-dac",
        "qsfpdd-400g-aoc",
        "osfp-800g-dr8",
        "osfp-800g-2xfr4",
        "qsfp28-100g-dr1",
        TWO_BANKS,
        COPPER,
    }
    assert known <= set(NAMES)
    assert {load_profile(name).revision for name in NAMES} == {(4, 0), (5, 0), (5, 1), (5, 2), (5, 3)}


@pytest.mark.rule("NUM-05")
@pytest.mark.parametrize("name", NAMES)
def test_checksums(load: Load, name: str) -> None:
    _, host = load(name)
    assert host.byte(0, 222) == sum(host.read(0, 128, 94)) & 0xFF
    if name in PAGED:
        assert host.byte(1, 255) == sum(host.read(1, 130, 125)) & 0xFF
        assert host.byte(2, 255) == sum(host.read(2, 128, 127)) & 0xFF


@pytest.mark.rule("NUM-03")
@pytest.mark.parametrize("name", NAMES)
def test_names_of_their_own(load: Load, name: str) -> None:
    _, host = load(name)
    raw = host.read(0, 129, 71)
    assert raw[:16] == b"CMIS-EMU        "
    for at, length in ((148, 16), (164, 2), (166, 16), (182, 8)):
        assert all(0x20 <= byte < 0x7F for byte in raw[at - 129 : at - 129 + length]), at
    sold = [(load_profile(n).image[0][20:36], load_profile(n).image[0][38:54]) for n in NAMES]
    assert len({part for part, _ in sold}) == len({serial for _, serial in sold}) == len(NAMES)


@pytest.mark.rule("ID-12")
@pytest.mark.parametrize("name", NAMES)
def test_power_class_fits_the_maximum(load: Load, name: str) -> None:
    limits_w = [1.5, 3.5, 7, 8, 10, 12, 14, float("inf")]
    _, host = load(name)
    code, watts = host.byte(0, 200) >> 5, host.byte(0, 201) * 0.25
    assert 0 < watts <= limits_w[code]
    assert code == 0 or watts > limits_w[code - 1]


@pytest.mark.rule("ID-12", "MSM-08")
@pytest.mark.parametrize("name", NAMES)
def test_consumption_stays_within_the_maximum(load: Load, name: str) -> None:
    emu, host = load(name)
    plant = emu.ports["1"].module.plant
    emu.clock.advance(3600)
    drawn_w = plant.trend(Quantity.CONSUMPTION, 0, emu.clock.now_ns).value
    assert 0 < drawn_w < host.byte(0, 201) * 0.25
    if name in PAGED:
        assert drawn_w > 0.6 * host.byte(0, 201) * 0.25  # the class is not given for show
    host.write(0, 26, 0x50)
    emu.settle()
    emu.clock.advance(600)
    assert 0 < plant.trend(Quantity.CONSUMPTION, 0, emu.clock.now_ns).value <= 1.5


# -- paged modules --------------------------------------------------------------------------------------------


@pytest.mark.rule("MSM-05", "APP-06", "APP-07", "RST-04")
@pytest.mark.parametrize("name", PAGED)
def test_a_module_comes_up_by_itself(name: str) -> None:
    app = default(name)
    lanes = default_lanes(app)
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        host = Host(emu.smbus(1))
        assert not host.answers()
        assert wait(emu, host.answers, 2, 0.01) <= 2
        emu.settle()
        assert host.module_state() == READY
        for bank in banks(host):
            assert host.states(bank) == [ACTIVATED if lane in lanes else DEACTIVATED for lane in LANES]
            ids = {lane: (lane - 1) // app.host_lanes * app.host_lanes for lane in lanes}
            explicit = name == "qsfpdd-400g-lr4"
            expected = [dp_config(app.app_sel, ids[lane], explicit) if lane in lanes else 0 for lane in LANES]
            assert host.active(bank) == expected
            assert list(host.read(0x10, 145, 8, bank)) == expected


@pytest.mark.rule("DP-11")
@pytest.mark.parametrize("name", PAGED)
def test_outputs_of_a_module_at_rest(load: Load, name: str) -> None:
    emu, host = load(name)
    emu.clock.advance(1)
    app = default(name)
    lanes = default_lanes(app)
    media = [lane for start in app.media_starts for lane in range(start, start + app.media_lanes)]
    since_5 = host.byte(0, 1) >= 0x50  # section 15: absent in 4.0, reads 0
    for bank in banks(host):
        assert host.output_rx(bank) == (lane_mask(lanes) if since_5 else 0)
        assert host.output_tx(bank) == (lane_mask(media) if since_5 else 0)
        assert lane_mask(media) == 0xFF & ~host.byte(0, 210)


MODULE_MONITORS = ((0, 14, 128, True), (1, 16, 136, False), (2, 18, 144, True), (3, 20, 152, True))
"""Bit of 01h:159, place of the value, place of the thresholds on page 02h, signed."""

LANE_MONITORS = ((1, 154, 176), (0, 170, 184), (2, 186, 192))
"""Bit of 01h:160, place on page 11h, place of the thresholds on page 02h."""


@pytest.mark.rule("MON-01", "MON-02", "FLG-12", "ID-13")
@pytest.mark.parametrize("name", PAGED)
def test_readings_lie_within_their_own_limits(load: Load, name: str) -> None:
    emu, host = load(name)
    emu.clock.advance(1800)
    there = host.byte(1, 159)
    for bit, at, limits, signed in MODULE_MONITORS:
        (value,) = words(host.read(0, at, 2), signed=signed)
        high_alarm, low_alarm, high_warning, low_warning = words(host.read(2, limits, 8), signed=signed)
        if there >> bit & 1:
            assert low_alarm <= low_warning < value < high_warning <= high_alarm, at
            assert value, at
        else:
            assert value == high_alarm == low_alarm == high_warning == low_warning == 0, at
    there = host.byte(1, 160)
    media = [lane for lane in LANES if not host.byte(0, 210) >> (lane - 1) & 1]
    for bank in banks(host):
        for bit, at, limits in LANE_MONITORS:
            values = words(host.read(0x11, at, 16, bank))
            high_alarm, low_alarm, high_warning, low_warning = words(host.read(2, limits, 8))
            assert (there >> bit & 1) == (name in OPTICAL)
            if name in OPTICAL:
                assert low_alarm <= low_warning < high_warning <= high_alarm, at
            for lane, value in enumerate(values, 1):
                there_too = lane in media and name in OPTICAL
                assert low_warning < value < high_warning if there_too else value == 0, (bank, at, lane)


@pytest.mark.rule("FLG-10", "FLG-11", "FLG-12")
@pytest.mark.parametrize("name", PAGED)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_flag_of_a_module_at_rest_stays(name: str, seed: int) -> None:
    with Emulator.load(name, clock=ManualClock(), seed=seed) as emu:
        emu.settle()
        emu.clock.advance(1800)
        host = Host(emu.smbus(1))
        host.read(0, 8, 6)
        for bank in banks(host):
            host.read(0x11, 134, 20, bank)
            host.read(0x2C, 128, 128, bank)
        emu.clock.advance(600)
        assert host.read(0, 8, 6) == bytes(6)
        for bank in banks(host):
            assert host.read(0x11, 134, 20, bank) == bytes(20), bank
            if emu.ports["1"].module.profile.vdm is not None:
                assert host.read(0x2C, 128, 128, bank) == bytes(128), bank
        assert host.read(0, 4, 4) == bytes(4)
        assert emu.ports["1"].pins.IntL
        assert host.byte(0, 3) == 0x07


@pytest.mark.rule("MON-01")
@pytest.mark.parametrize("name", PAGED)
def test_no_flag_comes_while_a_module_powers_up(name: str) -> None:
    """From a cold start to rest no monitor leaves its limits, however the host's state machine goes."""
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(1)
        host = Host(emu.smbus(1))
        assert host.read(0, 9, 5) == bytes(5)
        for bank in banks(host):
            assert host.read(0x11, 135, 1, bank) == bytes(1)  # Tx failure
            assert host.read(0x11, 139, 8, bank) == bytes(8)  # Tx power and bias


@pytest.mark.rule("FLG-09", "FLG-10", "FLG-12")
@pytest.mark.parametrize("name", OPTICAL)
def test_what_leaves_its_limits_is_flagged(load: Load, name: str) -> None:
    """A fan fails on a hot day: cooled or not, whatever a host sees beyond a limit has its flag by then."""
    emu, host = load(name)
    emu.clock.advance(1)
    media = [lane for lane in LANES if not host.byte(0, 210) >> (lane - 1) & 1]
    limits = {at: words(host.read(2, at, 8)) for _, _, at in LANE_MONITORS}
    hot, _, warm, _ = words(host.read(2, 128, 8), signed=True)
    flags = {bank: bytearray(20) for bank in banks(host)}
    emu.ports["1"].module.plant.set_environment(ambient_c=45, airflow=0.1)
    warned = False
    for _ in range(400):
        emu.clock.advance(1)
        if host.module_state() != READY:  # it protects itself
            assert warned
            return
        (temperature,) = words(host.read(0, 14, 2), signed=True)
        found = host.byte(0, 9)
        warned |= bool(found & 4)
        assert found & 1 or temperature <= hot
        assert found & 4 or temperature <= warm
        for bank, seen in flags.items():
            readings = host.read(0x11, 154, 48, bank)
            for index, value in enumerate(host.read(0x11, 134, 20, bank)):
                seen[index] |= value
            for kind, first in enumerate((5, 9, 15)):  # bytes 139, 143, 149: high alarm, low alarm, high, low warning
                high_alarm, low_alarm, high, low = limits[LANE_MONITORS[kind][2]]
                for lane in media:
                    value = words(readings[16 * kind + 2 * lane - 2 : 16 * kind + 2 * lane])[0]
                    for step, beyond in enumerate((value > high_alarm, value < low_alarm, value > high, value < low)):
                        assert not beyond or seen[first + step] >> (lane - 1) & 1, (bank, first + step, lane)


@pytest.mark.rule("FLG-08", "FLG-09")
@pytest.mark.parametrize("name", OPTICAL)
def test_loss_of_signal_comes_after_the_low_alarm(load: Load, name: str) -> None:
    """As the loss of the loop grows: low alarm first, LOS at -15 dBm or more, and back with hysteresis.

    A coherent receiver works with far less light.
    """
    emu, host = load(name)
    emu.clock.advance(1)
    loop, bit = emu.fibres["loop"], 0x01
    host.read(0x11, 134, 20)
    alarm = words(host.read(2, 194, 2))[0]

    def lost() -> bool:
        host.read(0x11, 134, 20)
        emu.clock.advance(0.3)
        return bool(host.byte(0x11, 147) & bit)

    assert not lost()
    while not lost():
        loop.loss_db += 0.25
        emu.clock.advance(0.3)
    at_loss = loop.loss_db
    lost_at = words(host.read(0x11, 186, 2))[0]
    least_dbm = -29 if name == COHERENT else -15
    assert 10 ** (least_dbm / 10) * 1e4 * 0.97 < lost_at < alarm  # 0.1 uW
    assert host.byte(0x11, 150) & bit  # Rx power low alarm
    while lost():
        loop.loss_db -= 0.25
        emu.clock.advance(0.3)
    assert at_loss - loop.loss_db >= 0.5


@pytest.mark.rule("MSM-07", "MSM-12", "DP-12")
@pytest.mark.parametrize("name", PAGED)
def test_advertised_durations_hold(load: Load, name: str) -> None:
    emu, host = load(name)
    used = [lane for lane in LANES if host.active()[lane - 1]]
    codes = host.byte(1, 144), host.byte(1, 167), host.byte(1, 168)
    init, deinit, up, down, turn_on, turn_off = (DURATION_BOUND_S[n] for c in codes for n in (c & 15, c >> 4))

    def reached(state: int) -> Callable[[], bool]:
        return lambda: all(host.states(bank)[lane - 1] == state for bank in banks(host) for lane in used)

    def took(condition: Callable[[], bool], bound_s: float) -> None:
        assert not condition()
        assert wait(emu, condition, bound_s, bound_s / 500) < bound_s

    def everywhere(control: int, mask: int) -> None:
        for bank in banks(host):
            host.control(control, mask, bank)

    host.write(0, 26, 0x10)  # as SONiC: low power by software, not by the pin
    took(lambda: host.module_state() == LOW_PWR, down)
    everywhere(DP_DEINIT, 0xFF)
    everywhere(OUTPUT_DISABLE_TX, 0xFF)
    host.write(0, 26, 0x00)
    took(lambda: host.module_state() == READY, up)
    everywhere(DP_DEINIT, 0)
    took(reached(INITIALIZED), init)
    everywhere(OUTPUT_DISABLE_TX, 0)
    took(reached(ACTIVATED), turn_on)
    everywhere(OUTPUT_DISABLE_TX, 0xFF)
    took(reached(INITIALIZED), turn_off)
    everywhere(DP_DEINIT, 0xFF)
    took(reached(DEACTIVATED), deinit)


@pytest.mark.rule("DP-08", "DP-11")
@pytest.mark.parametrize("name", OPTICAL)
def test_light_is_there_when_the_data_path_is_activated(load: Load, name: str) -> None:
    emu, host = load(name)
    emu.clock.advance(1)
    bright = host.tx_power_uw(1)
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    emu.settle()
    emu.clock.advance(1)
    assert host.tx_power_uw(1) == 0
    host.control(OUTPUT_DISABLE_TX, 0)
    wait(emu, lambda: host.states()[0] == ACTIVATED, 20, 0.001)
    emu.clock.advance(0.1)  # one monitor sample
    assert host.tx_power_uw(1) > 0.9 * bright


@pytest.mark.rule("PAGE-08", "PAGE-04")
@pytest.mark.parametrize("name", PAGED)
def test_only_advertised_pages_exist(load: Load, name: str) -> None:
    _, host = load(name)
    offered = {0x00, 0x01, 0x02, 0x10, 0x11}
    optional = {(142, 2): (0x03,), (145, 3): (0x15,), (162, 6): (0x19,), (175, 0): (0x1C,)}
    optional |= {(142, 7): (0x16, 0x17), (155, 6): (0x04, 0x12)}
    for (offset, bit), pages in optional.items():
        if host.byte(0x01, offset) >> bit & 1:
            offered |= set(pages)
    if host.byte(0x01, 142) >> 6 & 1:
        groups = (host.byte(0x2F, 128) & 3) + 1
        offered |= {0x2C, 0x2D, 0x2F, *(first + n for first in (0x20, 0x24, 0x28) for n in range(groups))}
    if host.byte(0x01, 142) >> 5 & 1:
        offered |= {0x13, 0x14}
    instances, extended = host.byte(0x01, 163) >> 6, (0, 1, 2, 3, 4, 8, 12, 16)[host.byte(0x01, 163) & 15]
    if instances:
        offered |= {0x9F, *range(0xA0, 0xA0 + extended)}
    for page in range(256):
        for bank in (0, 1, 2):
            mine = range(instances) if page >= 0x9F else banks(host)
            banked = bank == 0 or page < 0x10 or (page in offered and bank in mine)
            host.select(page, bank)
            there = page in offered and banked
            assert host.byte(0, 127) == (page if there else 0), (hex(page), bank)


# -- applications ---------------------------------------------------------------------------------------------


def release(emu: Emulator, host: Host, bank: int) -> None:
    """All lanes unused."""
    host.control(DP_DEINIT, 0xFF, bank)
    emu.settle()
    host.stage(LANES, 0, bank=bank)
    host.apply(0xFF, bank=bank)
    emu.settle()
    assert host.active(bank) == [0] * 8


def configure(emu: Emulator, host: Host, wanted: list[tuple[Application, int]], bank: int) -> None:
    """Applications on their first host lanes, from rest to DPActivated; nothing else runs."""
    release(emu, host, bank)
    lanes = []
    for app, start in wanted:
        own = range(start, start + app.host_lanes)
        host.stage(own, dp_config(app.app_sel, start - 1), bank=bank)
        lanes += own
    host.apply(lane_mask(lanes), bank=bank)
    emu.settle()
    assert [host.status(bank)[lane - 1] for lane in lanes] == [SUCCESS] * len(lanes)
    host.control(DP_DEINIT, 0, bank)
    emu.settle()
    emu.clock.advance(1)
    assert host.states(bank) == [ACTIVATED if lane in lanes else DEACTIVATED for lane in LANES]


def lit(host: Host, bank: int) -> list[int]:
    """Media lanes that shine; by the output status where no monitor tells."""
    if not host.byte(1, 160) & 2:
        return [lane for lane in LANES if host.output_tx(bank) >> (lane - 1) & 1]
    return [lane for lane, power in enumerate(words(host.read(0x11, 154, 16, bank)), 1) if power]


def media_of(app: Application, start: int) -> list[int]:
    first = app.media_starts[app.host_starts.index(start)]
    return list(range(first, first + app.media_lanes))


@pytest.mark.rule("APP-03", "APP-04", "APP-05")
@pytest.mark.parametrize(("name", "app"), APPLICATIONS, ids=[f"{n}-{a.app_sel}" for n, a in APPLICATIONS])
def test_every_application_on_every_start(load: Load, name: str, app: Application) -> None:
    emu, host = load(name)
    assert len(app.host_starts) == len(app.media_starts) > 0
    for bank in banks(host):
        for starts in [*((start,) for start in app.host_starts), app.host_starts]:
            configure(emu, host, [(app, start) for start in starts], bank)
            media = sorted(lane for start in starts for lane in media_of(app, start))
            lanes = [lane for start in starts for lane in range(start, start + app.host_lanes)]
            assert lit(host, bank) == media
            if load_profile(name).revision >= (5, 0):
                assert (host.output_rx(bank), host.output_tx(bank)) == (lane_mask(lanes), lane_mask(media))


@pytest.mark.rule("APP-03", "APP-04")
@pytest.mark.parametrize(
    ("name", "mixture"),
    [
        ("qsfpdd-400g-sr8", [(2, 1), (3, 5), (4, 7), (4, 8)]),
        ("osfp-800g-dr8", [(3, 1), (5, 5), (6, 7), (7, 8)]),
        ("osfp-800g-2xfr4", [(8, 1), (3, 2), (5, 3), (1, 5)]),
        ("osfp-800g-2xfr4-lpo", [(2, 1), (1, 5), (1, 6), (1, 8)]),
        (TWO_BANKS, [(4, 1), (5, 5), (6, 6), (5, 8)]),
        (COPPER, [(1, 1), (2, 2), (3, 3), (6, 5)]),
    ],
)
def test_different_applications_side_by_side(load: Load, name: str, mixture: list[tuple[int, int]]) -> None:
    emu, host = load(name)
    apps = load_profile(name).applications
    wanted = [(apps[app_sel - 1], start) for app_sel, start in mixture]
    for bank in banks(host):
        configure(emu, host, wanted, bank)
        assert lit(host, bank) == sorted(lane for app, start in wanted for lane in media_of(app, start))


@pytest.mark.rule("APP-03", "CFG-08")
@pytest.mark.parametrize("name", PAGED)
def test_a_start_that_is_not_offered_is_refused(load: Load, name: str) -> None:
    emu, host = load(name)
    release(emu, host, 0)
    for app in load_profile(name).applications:
        for start in set(LANES) - set(app.host_starts):
            lanes = [lane for lane in range(start, start + app.host_lanes) if lane in LANES]
            host.stage(LANES, 0)
            host.stage(lanes, dp_config(app.app_sel, start - 1))
            host.apply(lane_mask(lanes))
            emu.settle()
            assert [host.status()[lane - 1] for lane in lanes] == [INVALID_DATA_PATH] * len(lanes), (app, start)
    assert host.active() == [0] * 8


# -- snapshots ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_snapshot_and_restore(load: Load, name: str) -> None:
    emu, host = load(name)
    emu.clock.advance(3)
    if name in PAGED:
        host.read(0x11, 134, 20)  # flags of the start
    kept, before = emu.snapshot(), emu.ports["1"].module.memory.contents()
    outcomes = []
    for _ in range(2):
        emu.fibres["loop"].cut()
        emu.clock.advance(2)
        outcomes.append(emu.ports["1"].module.memory.contents())
        emu.restore(kept)
        assert emu.ports["1"].module.memory.contents() == before
    assert outcomes[0] == outcomes[1]
    assert name in FLAT or outcomes[0] != before


@pytest.mark.parametrize("name", NAMES)
def test_a_module_comes_back_from_reset_as_it_was(load: Load, name: str) -> None:
    emu, host = load(name)
    before = [host.read(page, 128, 128) for page in ((0,) if name in FLAT else (0, 1, 2, 0x10))]
    emu.ports["1"].pins.ResetL = False
    emu.clock.advance(0.001)
    emu.ports["1"].pins.ResetL = True
    emu.settle()
    assert [host.read(page, 128, 128) for page in ((0,) if name in FLAT else (0, 1, 2, 0x10))] == before
    assert host.byte(0, 3) >> 1 & 7 == READY


@pytest.mark.rule("RST-08", "PAGE-07")
def test_one_cage_takes_the_whole_library_in_turn(load: Load) -> None:
    """Hot plug between products of any shape; each comes up as if it had been there from the start."""
    emu, host = load("qsfpdd-400g-dr4")
    port = emu.ports["1"]
    for name in (*NAMES, *reversed(NAMES)):
        port.insert(name)
        emu.settle()
        assert host.byte(0, 3) >> 1 & 7 == READY, name
        assert host.byte(0, 0) == load_profile(name).registers["SFF8024Identifier"]
        if name in OPTICAL:
            emu.clock.advance(1)
            assert all(len(lit(host, bank)) == 8 - host.byte(0, 210).bit_count() for bank in banks(host)), name
    port.remove()
    assert not host.answers()
    assert emu.clock.pending() == []


@pytest.mark.rule("MON-05", "FLG-08")
@pytest.mark.parametrize(("far", "lanes"), [(SINGLE_LANE, 1), ("osfp-800g-dr8", 4), (TWO_BANKS, 4)])
def test_modules_of_different_width_share_the_lanes_that_both_have(far: str, lanes: int) -> None:
    testbed = {
        "version": 1,
        "ports": {"a": {"profile": "qsfpdd-400g-dr4", "bus": 1}, "b": {"profile": far, "bus": 2}},
        "fibres": {"a-b": {"from": "a", "to": "b"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(1)
        near, other = Host(emu.smbus(1)), Host(emu.smbus(2))
        shared = (1 << lanes) - 1
        for host, there in ((near, 0x0F), (other, 0xFF & ~other.byte(0, 210))):
            host.read(0x11, 134, 20)
            emu.clock.advance(1)
            assert host.byte(0x11, 147) == there & ~shared
            received = words(host.read(0x11, 186, 16))
            assert [power > 0 for power in received] == [n < lanes for n in range(8)]
        if far == TWO_BANKS:
            assert other.byte(0x11, 147, bank=1) == 0xFF


# -- two banks ------------------------------------------------------------------------------------------------


@pytest.mark.rule("PAGE-09", "FLG-07", "FLG-08")
@pytest.mark.parametrize("lane", [1, 8, 9, 16])
def test_each_bank_has_its_own_signals(load: Load, lane: int) -> None:
    emu, host = load(TWO_BANKS)
    emu.clock.advance(1)
    for bank in (0, 1):
        host.read(0x11, 134, 20, bank)
    emu.ports["1"].set_host_signal(lane, False)
    emu.settle()
    emu.clock.advance(0.5)
    at, bit = (lane - 1) // 8, 1 << (lane - 1) % 8
    assert [host.byte(0, 4) & 1, host.byte(0, 5) & 1] == [int(at == 0), int(at == 1)]
    for bank in (0, 1):
        own = bit if bank == at else 0
        assert host.output_tx(bank) == 0xFF & ~own  # its light is squelched, and nobody else's
        assert host.byte(0x11, 136, bank) == own  # Tx LOS
        assert host.byte(0x11, 147, bank) == own  # the loop brings darkness back


@pytest.mark.rule("PAGE-09", "MON-05")
def test_each_bank_has_its_own_readings(load: Load) -> None:
    emu, host = load(TWO_BANKS)
    emu.clock.advance(1)
    module = emu.ports["1"].module
    shown = [power for bank in (0, 1) for power in words(host.read(0x11, 154, 16, bank))]
    real = [module.plant.trend(Quantity.TX_POWER, lane, emu.clock.now_ns).value * 1e7 for lane in range(1, 17)]
    assert shown == pytest.approx(real, rel=0.03)
    assert len(set(shown)) > 8
    assert module.get("OpticalPowerTx", lane=3, bank=1) == pytest.approx(real[10] * 1e-7, rel=0.03)


@pytest.mark.rule("PAGE-10")
def test_broadcast_reaches_both_banks(load: Load) -> None:
    emu, host = load(TWO_BANKS)
    host.write(0, 26, 0xC0)
    host.control(OUTPUT_DISABLE_TX, 0x0F, bank=1)
    emu.settle()
    assert [host.output_tx(bank) for bank in (0, 1)] == [0xF0, 0xF0]
    host.write(0, 26, 0x40)
    host.control(OUTPUT_DISABLE_TX, 0, bank=1)
    emu.settle()
    assert [host.output_tx(bank) for bank in (0, 1)] == [0xF0, 0xFF]


@pytest.mark.rule("MSM-03", "DP-02")
def test_one_bank_rests_while_the_other_works(load: Load) -> None:
    emu, host = load(TWO_BANKS)
    host.control(DP_DEINIT, 0xFF, bank=1)
    emu.settle()
    assert host.states(0) == [ACTIVATED] * 8
    assert host.states(1) == [DEACTIVATED] * 8
    assert host.module_state() == READY


@pytest.mark.parametrize(("lane", "dark"), [(1, (1, 2)), (2, (1, 2)), (8, (7, 8)), (9, (9, 10)), (16, (15, 16))])
def test_a_silicon_photonics_laser_takes_two_lanes_along(load: Load, lane: int, dark: tuple[int, ...]) -> None:
    """Optics sheet, section 1: one laser feeds two lanes, and its bias is that of both."""
    emu, host = load(TWO_BANKS)
    emu.clock.advance(1)
    module = emu.ports["1"].module
    biases = [module.plant.trend(Quantity.TX_BIAS, n, emu.clock.now_ns).value for n in range(1, 17)]
    assert biases[::2] == biases[1::2]
    assert len(set(biases)) == 8
    module.plant.set_laser_failed(lane, True)
    emu.clock.advance(1)
    assert [8 * bank + n for bank in (0, 1) for n in LANES if n not in lit(host, bank)] == list(dark)
    failed = host.byte(0x11, 135, 0) | host.byte(0x11, 135, 1) << 8
    assert failed == lane_mask(dark)
    module.plant.set_laser_failed(lane, False)
    emu.clock.advance(1)
    assert lit(host, 0) == lit(host, 1) == list(LANES)


# -- four host lanes, one media lane ---------------------------------------------------------------------------


@pytest.mark.rule("APP-07", "APP-08")
def test_lanes_that_the_product_lacks(load: Load) -> None:
    emu, host = load(SINGLE_LANE)
    emu.clock.advance(1)
    assert host.states() == [ACTIVATED] * 4 + [DEACTIVATED] * 4
    assert host.output_rx() == 0x0F
    assert host.output_tx() == 0x01
    for page, first in ((0x10, 145), (0x11, 206)):
        raw = host.read(page, first, 29)
        assert raw[:8] == bytes([0x10] * 4 + [0] * 4)
        assert raw[8] == raw[15] == raw[16] == 0x0F  # adaptive equaliser, CDR of both ways
        assert raw[25:29] == bytes([0x11, 0x11, 0, 0])  # amplitude
    for lane in range(5, 9):
        emu.ports["1"].set_host_signal(lane, False)
    emu.clock.advance(1)
    assert host.output_tx() == 0x01
    assert host.byte(0x11, 136) == 0


@pytest.mark.rule("FLG-08", "DP-08")
@pytest.mark.parametrize("lane", [1, 2, 3, 4])
def test_each_host_lane_feeds_the_one_media_lane(load: Load, lane: int) -> None:
    emu, host = load(SINGLE_LANE)
    emu.ports["1"].set_host_signal(lane, False)
    emu.settle()
    assert host.output_tx() == 0
    assert host.byte(0x11, 136) == 1 << (lane - 1)


# -- the bias multiplier ---------------------------------------------------------------------------------------


@pytest.mark.rule("MON-01", "HOST-07")
@pytest.mark.parametrize("name", OPTICAL)
def test_bias_and_its_limits_carry_the_multiplier(load: Load, name: str) -> None:
    """What a host computes (2 uA times 1, 2 or 4) is the current that flows."""
    emu, host = load(name)
    emu.clock.advance(60)
    module = emu.ports["1"].module
    times = 1 << (host.byte(1, 160) >> 3 & 3)
    assert (times == 4) == (name in (TWO_BANKS, "osfp-800g-2xfr4-lpo", COHERENT))
    flowing = module.plant.trend(Quantity.TX_BIAS, 1, emu.clock.now_ns).value
    assert words(host.read(0x11, 170, 2))[0] * 2e-6 * times == pytest.approx(flowing, abs=0.4e-3)
    assert module.get("LaserBiasTx", lane=1) == pytest.approx(flowing, abs=0.4e-3)
    alarm = words(host.read(2, 184, 2))[0] * 2e-6 * times
    assert alarm == pytest.approx(module.profile.plant.laser.imax_a, abs=20e-3)
    assert module.get("LaserBiasTxHighAlarmThreshold") == pytest.approx(alarm)


@pytest.mark.rule("MON-01", "FLG-10")
def test_a_bias_limit_set_by_the_vendor_is_taken_in_ampere(load: Load) -> None:
    emu, host = load(TWO_BANKS)
    emu.clock.advance(60)
    host.read(0x11, 134, 20)
    module = emu.ports["1"].module
    module.set("LaserBiasTxHighWarningThreshold", 0.150)
    assert words(host.read(2, 188, 2)) == [18750]  # x 8 uA
    assert module.get("LaserBiasTxHighWarningThreshold") == pytest.approx(0.150)
    emu.clock.advance(1)
    assert host.byte(0x11, 145) == 0xFF
    module.set("LaserBiasTx", 0.1, lane=2)
    assert module.peek(0x11, 170, 4)[2:] != b"\0\0"


# -- an active copper cable ------------------------------------------------------------------------------------


@pytest.mark.rule("APP-06", "MON-02")
def test_the_active_copper_cable_starts_with_its_seventh_application(load: Load) -> None:
    _, host = load(COPPER)
    assert host.active() == [0x70] * 8
    assert host.read(0x11, 154, 48) == bytes(48)
    assert host.read(2, 176, 24) == bytes(24)


@pytest.mark.rule("AUX-01", "DP-08")
def test_a_module_without_squelch_keeps_its_output(load: Load) -> None:
    """01h:155.5-4 = 0: a lost host signal is a flag and nothing more."""
    emu, host = load(COPPER)
    emu.clock.advance(1)
    host.read(0x11, 134, 20)
    assert host.byte(1, 155) >> 4 & 3 == 0
    emu.ports["1"].set_host_signal(3, False)
    emu.clock.advance(1)
    assert host.byte(0x11, 136) == 0x04
    assert host.output_tx() == 0xFF
    host.control(SQUELCH_FORCE_TX, 0x04)
    emu.settle()
    assert host.output_tx() == 0xFB


# -- pins ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("I2C-01", "RST-08")
@pytest.mark.parametrize("name", NAMES)
def test_only_qsfp_has_a_select_pin(load: Load, name: str) -> None:
    emu, host = load(name)
    emu.ports["1"].pins.ModSelL = True
    assert host.answers() == name.startswith("osfp")
    emu.ports["1"].pins.ModSelL = False
    assert host.answers()


@pytest.mark.rule("RST-08", "MSM-02", "FLG-06")
def test_osfp_names_of_the_pins(load: Load) -> None:
    emu, host = load("osfp-800g-dr8")
    port = emu.ports["1"]
    emu.clock.advance(1)
    host.read(0, 8, 1)
    host.read(0x11, 134, 20)
    assert [port.pins.get(name) for name in ("RSTn", "LPWn", "INT", "PRSn")] == [True, True, False, False]
    port.pins.set("LPWn", False)
    emu.settle()
    assert host.module_state() == LOW_PWR
    assert port.pins.LPMode
    assert port.pins.get("INT")
    assert not port.pins.IntL
    port.pins.set("LPWn", True)
    emu.settle()
    assert host.module_state() == READY
    port.pins.set("RSTn", False)
    emu.clock.advance(0.001)
    assert not host.answers()
    assert not port.pins.ResetL
    for name in ("INT", "PRSn"):
        with pytest.raises(InputError):
            port.pins.set(name, True)
    port.remove()
    assert port.pins.get("PRSn")


# -- flat memory -----------------------------------------------------------------------------------------------


@pytest.mark.rule("MSM-10", "PAGE-05", "MON-02")
@pytest.mark.parametrize("name", FLAT)
def test_a_flat_module_has_nothing_that_moves(load: Load, name: str) -> None:
    emu, host = load(name)
    before = host.read(0, 0, 128)
    assert before[2:4] == bytes([0x80, 0x07])
    assert before[4:26] == bytes(22)
    host.bus.write_i2c_block_data(ADDRESS, 126, [1, 0x11])
    assert host.read(0, 126, 2) == bytes(2)
    assert bytes(host.bus.read_i2c_block_data(ADDRESS, 128, 32)) == host.read(0, 128, 32)
    emu.fibres["loop"].cut()
    emu.ports["1"].set_host_signal(1, False)
    emu.clock.advance(600)
    assert host.read(0, 0, 128) == before
    assert emu.ports["1"].pins.IntL
    assert emu.ports["1"].module.plant.parameters.media_lanes == 0
    status = emu.ports["1"].module.readings()
    assert status["paths"] == status["tx_power_w"] == status["rx_power_w"] == []


@pytest.mark.parametrize("name", FLAT)
def test_a_fibre_to_a_copper_cable_is_dark(name: str) -> None:
    testbed = {
        "version": 1,
        "ports": {"a": {"profile": name, "bus": 1}, "b": {"profile": "qsfpdd-400g-dr4", "bus": 2}},
        "fibres": {"a-b": {"from": "a", "to": "b"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(1)
        assert Host(emu.smbus(2)).read(0x11, 186, 16) == bytes(16)
