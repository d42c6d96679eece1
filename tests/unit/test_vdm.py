"""VDM through the bus: layout, values, freeze, statistics, flags, power saving (VDM-01 to VDM-11)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from cmis_host import DP_DEINIT, OUTPUT_DISABLE_TX, Host
from dr4 import Variant
from reception_double import double

from cmis_emu import Emulator, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.physics.receiver import host_esnr_db
from cmis_emu.registers.encoding import decode_f16

NONE = 0xFFFF  # high threshold of an unsigned type that nothing passes
STATISTICS = ("minimum", "maximum", "average", "current")
CONTROL, DONE = 144, 145  # 2Fh
FREEZE, POWER_SAVING = 0x80, 0x40
FREEZE_DONE, UNFREEZE_DONE = 0x80, 0x40

ESNR_HOST = {"observable": "esnr_host", "lanes": 8, "thresholds": [None, 17.7, None, 18.5]}
LASERS: list[dict[str, Any]] = [
    {"observable": "laser_age", "lanes": 4, "thresholds": [100, None, 80, None]},
    {"observable": "tec_current", "module": True, "thresholds": [95, -95, 80, -80]},
    {"observable": "laser_frequency_error", "lanes": [2], "thresholds": [20_000, -20_000, 10_000, -10_000]},
    {"observable": "laser_temperature", "module": True, "thresholds": [55, 45, 52, 48]},
]
BER = {
    "observable": [f"pre_fec_ber_{each}_media" for each in STATISTICS],
    "lanes": 4,
    "thresholds": [2.4e-4, None, 1e-4, None],
}
FERC = {
    "observable": [f"ferc_{each}_media" for each in STATISTICS] + ["ferc_total_accumulated_media"],
    "data_paths": [1, 3],
}


def vdm(*groups: list[dict[str, Any]], **more: Any) -> Callable[[dict[str, Any]], None]:
    """Edit of a profile: VDM with these groups of rows."""

    def edit(profile: dict[str, Any]) -> None:
        profile["vdm"] = {"groups": [[json.loads(json.dumps(row)) for row in rows] for rows in groups], **more}
        revision = more.get("power_saving") and "5.3"
        profile["revision"] = revision or profile["revision"]

    return edit


def host_of(emu: Emulator) -> Host:
    return Host(emu.smbus(1))


def codes(host: Host, group: int = 0, bank: int = 0) -> list[int]:
    """The 64 values of a group."""
    return list(struct.unpack(">64H", host.read(0x24 + group, 128, 128, bank)))


def flags(host: Host, bank: int = 0) -> list[int]:
    """The nibbles of all instances."""
    raw = host.read(0x2C, 128, 128, bank)
    return [raw[n // 2] >> 4 * (n % 2) & 15 for n in range(256)]


def signed(code: int) -> int:
    return code - 0x10000 if code & 0x8000 else code


def freeze(emu: Emulator, host: Host, on: bool, bank: int = 0) -> None:
    host.write(0x2F, CONTROL, FREEZE if on else 0, bank=bank)
    emu.clock.advance(0.012)
    assert host.byte(0x2F, DONE, bank) == (FREEZE_DONE if on else UNFREEZE_DONE)


# -- what is advertised -----------------------------------------------------------------------------------------


@pytest.mark.rule("VDM-01", "VDM-02", "VDM-04", "VDM-10")
def test_descriptors_and_threshold_sets_follow_from_the_profile(variant: Variant) -> None:
    host = host_of(variant(vdm([*LASERS, {"unused": 3}, ESNR_HOST], [ESNR_HOST], fine_interval_ms=500)))
    assert host.byte(0x01, 142) & 0x40
    assert host.byte(0x2F, 128) == 1, "two groups, no power saving, no duty cycle"
    assert host.read(0x2F, 129, 2) == (5000).to_bytes(2, "big")
    ages = [(lane, 1) for lane in range(4)]
    rows = [*ages, (0x1F, 2), (0x21, 3), (0x3F, 4), (0, 0), (0, 0), (0, 0), *((0x40 | n, 6) for n in range(8))]
    assert host.read(0x20, 128, 128) == bytes(b for row in rows for b in row).ljust(128, b"\0")
    assert host.read(0x21, 128, 16) == bytes(b for lane in range(8) for b in (lane, 6))
    sets = struct.unpack(">20H", host.read(0x28, 128, 40))
    assert sets[:4] == (100, 0, 80, 0)
    assert [signed(code) for code in sets[4:8]] == [round(v * 327.67) for v in (95, -95, 80, -80)]
    assert [signed(code) for code in sets[8:12]] == [2000, -2000, 1000, -1000]
    assert sets[12:16] == (55 * 256, 45 * 256, 52 * 256, 48 * 256)
    assert sets[16:20] == (NONE, round(17.7 * 256), NONE, round(18.5 * 256))
    assert host.read(0x29, 128, 8) == struct.pack(">4H", *sets[16:20]), "the second group has sets of its own"
    assert host.read(0x28, 168, 88) == bytes(88)


@pytest.mark.rule("VDM-04")
def test_equal_thresholds_share_a_set(variant: Variant) -> None:
    host = host_of(variant(vdm([ESNR_HOST, {**ESNR_HOST, "lanes": [3, 1]}])))
    assert host.read(0x20, 128, 20)[::2] == bytes([*range(8), 2, 0])


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("VDM-03")
def test_values_of_lasers_and_host_lanes(variant: Variant) -> None:
    emu = variant(vdm([*LASERS, ESNR_HOST]))
    host, plant = host_of(emu), emu.ports["1"].module.plant
    plant.set_ageing(3, 0.15)
    emu.ports["1"].set_host_signal(5, loss_db=9.0)
    emu.clock.advance(1200)
    found = codes(host)
    assert found[:4] == [0, 0, 75, 0], "percent of the rise that ends a laser's life"
    tec = host.read(0x11, 128, 1) and plant.parameters.tec
    assert tec
    case_c = int.from_bytes(host.read(0, 14, 2), "big") / 256
    assert signed(found[4]) / 327.67 == pytest.approx(-100 * tec.current(case_c) / tec.imax_a, abs=1)
    laser_c = found[6] / 256
    assert laser_c == pytest.approx(tec.set_point_c, abs=0.05)
    assert signed(found[5]) * 10 == pytest.approx((laser_c - tec.set_point_c) * 0.09 * -174_400, abs=40)
    assert [code / 256 for code in found[7:15]] == pytest.approx(
        [23.5] * 4 + [host_esnr_db(9.0)] + [23.5] * 3, abs=0.25
    )
    assert found[15:] == [0] * 49


@pytest.mark.rule("VDM-03", "MON-03")
def test_what_is_not_at_work_reads_0(variant: Variant) -> None:
    emu = variant(vdm([*LASERS, ESNR_HOST]))
    host = host_of(emu)
    host.write(0x10, DP_DEINIT, 0xFF)
    emu.settle()
    found = codes(host)
    assert found[5] == 0, "no frequency of a laser that is off"
    assert found[6], "its temperature is still held"
    assert found[7:15] == [0] * 8
    host.write(0, 26, 0x50)
    emu.settle()
    assert codes(host) == [0] * 64, "low power"


@pytest.mark.rule("VDM-03")
def test_a_lost_host_signal_has_no_snr(variant: Variant) -> None:
    emu = variant(vdm([ESNR_HOST]))
    host = host_of(emu)
    flags(host)
    emu.ports["1"].set_host_signal(2, False)
    assert codes(host)[1] == 0
    assert flags(host)[:3] == [0, 0b1010, 0]


# -- statistics -------------------------------------------------------------------------------------------------


@pytest.fixture
def with_light(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Emulator]:
    """A variant whose media side is the double."""
    monkeypatch.setattr("cmis_emu.module.vdm.controller.MediaReception", double)
    return variant


def ber(host: Host, lane: int = 1, places: range = range(0, 16, 4)) -> list[float]:
    """Minimum, maximum, average, current error ratio of a lane."""
    found = codes(host)
    return [decode_f16(found[place + lane - 1]) for place in places]


@pytest.mark.rule("VDM-07")
def test_statistics_are_of_the_interval(with_light: Variant) -> None:
    emu = with_light(vdm([BER, FERC]))
    host, fibre = host_of(emu), emu.fibres["loop"]
    emu.clock.advance(5)
    freeze(emu, host, True)
    freeze(emu, host, False)
    emu.clock.advance(30)
    low, high, mean, now = ber(host)
    assert 0 < low < mean < high
    assert low <= now <= high
    fibre.cut()
    emu.clock.advance(10)
    fibre.restore()
    emu.clock.advance(10)
    same, worst, dark, back = ber(host)
    assert 0 < same <= low
    assert worst == 0.5
    assert dark == pytest.approx(0.5 * 10 / 50, rel=0.02), "ten of fifty seconds in the dark"
    assert back < 1e-6
    freeze(emu, host, True)
    freeze(emu, host, False)
    emu.clock.advance(1)
    assert ber(host)[1] < 1e-6, "a new interval"


@pytest.mark.rule("VDM-07", "VDM-10")
def test_frames_of_a_data_path(with_light: Variant) -> None:
    emu = with_light(vdm([BER, FERC]))
    host = host_of(emu)
    freeze(emu, host, True)
    freeze(emu, host, False)
    emu.fibres["loop"].loss_db = 6.0
    emu.clock.advance(20)
    found = [decode_f16(code) for code in codes(host)[16:26]]
    low, high, mean, now, total = found[::2]
    assert 0 < low <= mean <= high
    assert low <= now <= high
    assert total == pytest.approx(mean * 78.125e6 * 20, rel=0.02), "errored frames since the unfreeze"
    assert found[1::2] == [0.0] * 5, "no data path begins at host lane 3"


@pytest.mark.rule("VDM-07")
def test_statistics_do_not_miss_what_stands_at_an_instant(with_light: Variant) -> None:
    emu = with_light(vdm([BER]))
    host = host_of(emu)
    for _ in range(40):
        emu.clock.advance(0.7)
        for lane in range(1, 5):
            low, high, mean, now = ber(host, lane)
            assert low <= mean <= high
            assert low <= now <= high


# -- freeze -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("VDM-06", "VDM-07")
def test_freeze_holds_everything_until_the_unfreeze(with_light: Variant) -> None:
    emu = with_light(vdm([BER, ESNR_HOST]))
    host = host_of(emu)
    emu.clock.advance(3)
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE
    host.write(0x2F, CONTROL, FREEZE)
    emu.clock.advance(0.0095)
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE, "not yet"
    emu.clock.advance(0.001)
    assert host.byte(0x2F, DONE) == FREEZE_DONE
    frozen = codes(host)
    for _ in range(5):
        emu.clock.advance(7.7)
        assert codes(host) == frozen
    emu.fibres["loop"].cut()
    emu.ports["1"].set_host_signal(1, False)
    assert codes(host) == frozen
    host.write(0x2F, CONTROL, 0)
    assert codes(host) == frozen
    emu.clock.advance(0.011)
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE
    after = codes(host)
    assert [decode_f16(code) for code in after[:16]] == [0.5] * 16, "only the dark since the unfreeze"
    assert after[16] == 0


@pytest.mark.rule("VDM-06")
@pytest.mark.parametrize(("first", "shown"), [(1, UNFREEZE_DONE), (0, 0)])
def test_before_the_first_freeze(variant: Variant, first: int, shown: int) -> None:
    emu = variant(vdm([ESNR_HOST], unfreeze_done=first))
    host = host_of(emu)
    assert host.byte(0x2F, DONE) == shown
    host.write(0x2F, CONTROL, 0)
    emu.clock.advance(0.02)
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE, "a host that only asks for the unfreeze is answered"


@pytest.mark.rule("VDM-06")
def test_a_request_taken_back_has_no_effect(with_light: Variant) -> None:
    emu = with_light(vdm([BER], freeze_ms=50))
    host = host_of(emu)
    emu.fibres["loop"].cut()
    emu.clock.advance(1)
    emu.fibres["loop"].restore()
    host.write(0x2F, CONTROL, FREEZE)
    emu.clock.advance(0.04)
    host.write(0x2F, CONTROL, 0)
    emu.clock.advance(0.2)
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE
    assert ber(host)[1] == 0.5, "the interval goes on"


@pytest.mark.rule("VDM-06", "RST-05")
def test_reset_unfreezes(variant: Variant) -> None:
    emu = variant(vdm([ESNR_HOST]))
    host = host_of(emu)
    freeze(emu, host, True)
    host.write(0, 26, 0x08)
    emu.clock.advance(1)
    emu.settle()
    assert host.byte(0x2F, CONTROL) == 0
    assert host.byte(0x2F, DONE) == UNFREEZE_DONE
    emu.clock.advance(1)
    assert codes(host)[0]


@pytest.mark.rule("VDM-01", "VDM-11")
def test_a_freeze_acts_on_all_banks(variant: Variant) -> None:
    def two_banks(profile: dict[str, Any]) -> None:
        vdm([ESNR_HOST])(profile)
        profile["registers"]["BanksSupported"] = 1
        profile["plant"].update(host_lanes=16, media_lanes=8)

    emu = variant(two_banks)
    host = host_of(emu)
    emu.ports["1"].set_host_signal(9, loss_db=10.0)
    emu.clock.advance(1)
    assert codes(host, bank=1)[0] / 256 == pytest.approx(host_esnr_db(10.0), abs=0.3)
    assert codes(host)[0] / 256 == pytest.approx(23.5, abs=0.3)
    freeze(emu, host, True, bank=1)
    assert host.read(0x2F, CONTROL, 2) == bytes([FREEZE, FREEZE_DONE])
    held = [codes(host, bank=bank) for bank in (0, 1)]
    emu.clock.advance(5)
    assert [codes(host, bank=bank) for bank in (0, 1)] == held
    freeze(emu, host, False)
    assert host.byte(0x2F, CONTROL, 1) == 0
    emu.clock.advance(5)
    assert all(codes(host, bank=bank) != old for bank, old in enumerate(held))


@pytest.mark.rule("VDM-08")
def test_hosts_may_zero_the_other_controls(variant: Variant) -> None:
    host = host_of(variant(vdm([ESNR_HOST])))
    host.write(0x2F, CONTROL, 0xFF)
    assert host.byte(0x2F, CONTROL) == FREEZE, "neither power saving nor a duty cycle is there"
    host.write(0x2F, CONTROL, 0)
    assert host.byte(0x2F, CONTROL) == 0


@pytest.mark.rule("VDM-08")
def test_power_saving_stops_measuring(with_light: Variant) -> None:
    emu = with_light(vdm([BER], power_saving=True))
    host = host_of(emu)
    assert host.byte(0x2F, 128) == 0x04
    freeze(emu, host, True)
    freeze(emu, host, False)
    emu.clock.advance(2)
    flags(host)
    host.write(0x2F, CONTROL, POWER_SAVING)
    held = codes(host)
    emu.fibres["loop"].cut()
    emu.clock.advance(10)
    assert codes(host) == held
    assert not any(flags(host))
    assert not [event for _, _, event in emu.clock.pending() if "Vdm" in repr(event.callback)]
    emu.fibres["loop"].restore()
    emu.clock.advance(1)
    host.write(0x2F, CONTROL, 0)
    emu.clock.advance(1)
    assert ber(host)[1] < 1e-6, "what happened meanwhile was not measured"


# -- flags ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("VDM-05", "FLG-02", "FLG-07")
def test_flags_set_with_nobody_polling(variant: Variant) -> None:
    row = {**ESNR_HOST, "thresholds": [None, 20, None, 21]}
    emu = variant(vdm([{"unused": 1}, row], [row], masks=0))
    host = host_of(emu)
    emu.ports["1"].set_host_signal(4, loss_db=9.0)
    emu.clock.advance(1)
    for page in (0x00, 0x11, 0x2C):
        host.read(page, 128, 128)
    host.read(0, 8, 6)
    assert emu.ports["1"].pins.IntL
    emu.ports["1"].set_host_signal(4, loss_db=13.0)  # 20.35 dB: a warning and no alarm
    assert not emu.ports["1"].pins.IntL, "the interrupt comes at once"
    assert host.byte(0, 4) >> 3 & 1
    assert host.read(0x2C, 128 + 2, 1) == b"\x08", "instance 4 of group 1: even, low nibble"
    assert host.read(0x2C, 128 + 32 + 1, 1) == b"\x80", "instance 3 of group 2: odd, high nibble"
    assert host.byte(0, 4) >> 3 & 1 == 0, "both were read"
    emu.clock.advance(0.2)
    assert flags(host)[4] == 8, "still low"
    emu.ports["1"].set_host_signal(4, loss_db=15.0)
    emu.clock.advance(0.2)
    assert flags(host)[4] == 0b1010
    emu.ports["1"].set_host_signal(4, loss_db=4.0)
    flags(host)
    emu.clock.advance(1)
    assert not any(flags(host))


@pytest.mark.rule("VDM-09", "FLG-06")
@pytest.mark.parametrize("masks", [1, 0])
def test_masks_have_their_default(variant: Variant, masks: int) -> None:
    emu = variant(vdm([ESNR_HOST], masks=masks))
    host = host_of(emu)
    assert host.read(0x2D, 128, 128) == bytes([0xFF if masks else 0]) * 128
    for page in (0x00, 0x11, 0x2C):
        host.read(page, 128, 128)
    host.read(0, 8, 6)
    emu.ports["1"].set_host_signal(1, loss_db=30.0)
    for _ in range(3):
        host.read(0x11, 134, 20)
        emu.clock.advance(0.05)
    assert host.byte(0, 4) & 8
    assert emu.ports["1"].pins.IntL == bool(masks)
    host.write(0x2D, 128, 0xF0 if masks else 0x0F)
    assert emu.ports["1"].pins.IntL is not bool(masks)


@pytest.mark.rule("VDM-05", "FLG-09")
def test_no_flags_of_what_is_not_at_work(variant: Variant) -> None:
    low = {"observable": "laser_temperature", "module": True, "thresholds": [60, 58, 60, 58]}
    emu = variant(vdm([ESNR_HOST, low]))
    host = host_of(emu)
    assert flags(host)[8] == 0b1010
    host.write(0, 26, 0x50)
    emu.settle()
    flags(host)
    emu.ports["1"].set_host_signal(1, loss_db=30.0)
    emu.clock.advance(2)
    assert not any(flags(host))


@pytest.mark.rule("VDM-05", "FLG-12")
def test_a_drifting_laser_is_flagged_when_it_crosses(variant: Variant) -> None:
    row = {"observable": "tec_current", "module": True, "thresholds": [95, -60, 80, -40]}
    emu = variant(vdm([row]))
    host, module = host_of(emu), emu.ports["1"].module
    emu.clock.advance(2000)
    assert flags(host)[0] == 0
    assert not [event for _, _, event in emu.clock.pending() if "Vdm" in repr(event.callback)], "idle"
    module.plant.set_environment(ambient_c=60.0)
    set_at = None
    for step in range(20_000):
        emu.clock.advance(0.1)
        if module.get("VDMFlags", 1):
            set_at = step
            break
    assert set_at is not None
    assert signed(codes(host)[0]) / 327.67 == pytest.approx(-40, abs=0.2), "at the sample that crossed"


@pytest.mark.rule("VDM-05")
def test_statistics_have_flags_that_agree_with_them(with_light: Variant) -> None:
    rows = {**BER, "thresholds": [1e-2, None, 1e-4, None]}
    emu = with_light(vdm([rows]))
    host = host_of(emu)
    emu.clock.advance(2)
    freeze(emu, host, True)
    freeze(emu, host, False)
    emu.clock.advance(100)
    flags(host)
    emu.fibres["loop"].cut()
    emu.clock.advance(0.2)
    assert flags(host)[:16:4] == [0, 0b101, 0b100, 0b101], "maximum and current at once, the average slowly"
    emu.clock.advance(3)
    assert flags(host)[8] == 0b101
    emu.fibres["loop"].restore()
    emu.clock.advance(1)
    flags(host)
    emu.clock.advance(0.2)
    assert flags(host)[:16:4] == [0, 0b101, 0b101, 0]
    freeze(emu, host, True)
    freeze(emu, host, False)
    flags(host)
    emu.clock.advance(0.5)
    assert not any(flags(host))


@pytest.mark.rule("VDM-05")
def test_disabled_lanes_and_other_controls_do_not_disturb(variant: Variant) -> None:
    emu = variant(vdm([*LASERS, ESNR_HOST]))
    host = host_of(emu)
    host.write(0x10, OUTPUT_DISABLE_TX, 0x02)
    emu.settle()
    assert codes(host)[7]
    assert not any(flags(host))


def test_a_module_without_vdm_has_none(variant: Variant) -> None:
    emu = variant(lambda profile: profile.pop("vdm"))
    assert emu.ports["1"].module.vdm is None


def test_pages_without_a_section_freeze_all_the_same(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile.pop("vdm")
        profile["registers"]["VDMPagesSupported"] = 1

    emu = variant(edit)
    host = host_of(emu)
    freeze(emu, host, True)
    freeze(emu, host, False)
    assert codes(host) == [0] * 64


def test_a_snapshot_keeps_the_statistics(with_light: Variant) -> None:
    emu = with_light(vdm([BER, FERC]))
    emu.clock.advance(3)
    kept = emu.snapshot()
    host = host_of(emu)
    emu.fibres["loop"].cut()
    emu.clock.advance(3)
    host.write(0x2F, CONTROL, FREEZE)
    emu.clock.advance(0.1)
    first = codes(host)
    emu.restore(kept)
    emu.fibres["loop"].cut()
    emu.clock.advance(3)
    host.write(0x2F, CONTROL, FREEZE)
    emu.clock.advance(0.1)
    assert codes(host) == first


# -- the library ------------------------------------------------------------------------------------------------

PRODUCTS = [name for name in profile_names() if load_profile(name).vdm is not None]


def test_the_library_has_products_with_vdm() -> None:
    assert {load_profile(name).revision for name in PRODUCTS} == {(4, 0), (5, 0), (5, 1), (5, 2), (5, 3)}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_at_rest_has_plausible_values_and_no_events(name: str) -> None:
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(4000)
        host, plan = host_of(emu), emu.ports["1"].module.profile.vdm
        assert plan is not None
        flags(host)
        emu.clock.advance(10)
        assert not any(flags(host)), "nothing beyond its thresholds"
        assert not [event for _, _, event in emu.clock.pending() if "Vdm" in repr(event.callback)]
        for index, group in enumerate(plan.groups):
            found = codes(host, index)
            used = {each.number - 1 - 64 * index for each in group.instances}
            assert not any(code for place, code in enumerate(found) if place not in used)
        assert any(codes(host, 0))


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != "osfp-800g-aec"])
def test_statistics_of_a_product_hold_together(name: str) -> None:
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": name, "bus": 1}},
        "fibres": {"l": {"from": "1", "to": "1"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host, plan = host_of(emu), emu.ports["1"].module.profile.vdm
        assert plan is not None
        emu.clock.advance(10)
        freeze(emu, host, True)
        freeze(emu, host, False)
        emu.clock.advance(60)
        freeze(emu, host, True)
        shown: dict[tuple[object, ...], dict[str, float]] = {}
        for bank in range(len(emu.ports["1"].module.banks)):
            for index, group in enumerate(plan.groups):
                found = codes(host, index, bank)
                for each in group.instances:
                    value = each.observable.decode(found[each.number - 1 - 64 * index])
                    key = bank, each.observable.measure, each.observable.side, each.scope, each.resource
                    shown.setdefault(key, {})[each.observable.statistic.value] = value
        assert {key[1].value for key in shown} >= {"esnr", "pre_fec_ber", "ferc"}  # type: ignore[attr-defined]
        for values in shown.values():
            if len(values) > 1:
                assert values["minimum"] <= values["average"] <= values["maximum"]
                assert values["minimum"] <= values["current"] <= values["maximum"]
