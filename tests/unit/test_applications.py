"""Applications, lane assignment and media lanes (rules APP-01 to APP-09)."""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_IMMEDIATE,
    DEACTIVATED,
    DP_DEINIT,
    INVALID_DATA_PATH,
    OUTPUT_DISABLE_TX,
    SUCCESS,
    Host,
    dp_config,
)
from dr4 import Variant

from cmis_emu import Emulator

LANES = range(1, 9)


def descriptors(host: Host) -> list[bytes]:
    """The list as a host walks it: 8 rows in the lower memory, 7 on page 01h."""
    raw = host.read(0, 86, 32) + host.read(1, 223, 28)
    return [raw[at : at + 4] for at in range(0, 60, 4)]


def legs_of(host: Host, emu: Emulator, legs: tuple[int, ...]) -> list[int]:
    """Release all lanes, then stage and apply 100G legs; ConfigStatus."""
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage(LANES, 0)
    host.apply(0xFF)
    emu.settle()
    for leg in legs:
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg))
    host.apply(sum(3 << 2 * leg for leg in legs))
    emu.settle()
    return host.status()


@pytest.mark.rule("APP-01", "APP-02", "ID-01")
def test_application_list_of_the_dr4(host: Host) -> None:
    rows = descriptors(host)
    assert rows[:2] == [bytes.fromhex("111C8401"), bytes.fromhex("0D142155")]
    assert rows[2:] == [bytes.fromhex("FF000000")] * 13
    for row in rows[:2]:
        assert row[2] >> 4
        assert row[2] & 15
    assert host.read(1, 176, 15) == bytes([0x01, 0x0F, *[0] * 13])


@pytest.mark.rule("APP-01")
def test_fifteen_applications(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        row = profile["applications"][1]
        profile["applications"] += [dict(row, media=0x15) for _ in range(13)]

    emu = variant(edit)
    host = Host(emu.smbus(1))
    rows = descriptors(host)
    assert rows[2:] == [bytes.fromhex("0D152155")] * 13
    assert host.read(1, 176, 15) == bytes([0x01] + [0x0F] * 14)
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    for leg, app_sel in enumerate((9, 15, 3, 2)):
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(app_sel, 2 * leg))
    host.apply(0xFF)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("APP-01")
def test_a_hole_in_the_list_ends_it(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        unused = {"host": 0xFF, "media": 0, "host_lanes": 0, "media_lanes": 0, "host_start": 0}
        profile["applications"].insert(1, unused)

    emu = variant(edit)
    host = Host(emu.smbus(1))
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage((1, 2), dp_config(3, 0))
    host.stage(range(3, 9), 0)
    host.apply(0xFF)
    emu.settle()
    assert host.status()[0] == 3


@pytest.mark.rule("APP-03")
@pytest.mark.parametrize("legs", [(0,), (3,), (1, 2), (0, 3), (0, 1, 2, 3)])
def test_every_offered_start_works_alone_and_together(emu: Emulator, host: Host, legs: tuple[int, ...]) -> None:
    found = legs_of(host, emu, legs)
    lanes = [lane for leg in legs for lane in (2 * leg + 1, 2 * leg + 2)]
    assert found == [SUCCESS] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [ACTIVATED if lane in lanes else DEACTIVATED for lane in LANES]


@pytest.mark.rule("APP-03")
@pytest.mark.parametrize("first", [2, 4, 6])
def test_a_start_that_is_not_offered(emu: Emulator, host: Host, first: int) -> None:
    legs_of(host, emu, ())
    host.stage((first, first + 1), dp_config(2, first - 1))
    host.apply(3 << (first - 1))
    emu.settle()
    assert host.status()[first - 1 : first + 1] == [INVALID_DATA_PATH] * 2


@pytest.mark.rule("APP-04", "APP-09")
@pytest.mark.parametrize("leg", [0, 1, 2, 3])
def test_media_lane_of_a_leg(emu: Emulator, host: Host, leg: int) -> None:
    """Media lane k goes with host lanes 2k-1 and 2k, whether or not the others are in use: the gearbox is wired."""
    legs_of(host, emu, (leg,))
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.output_tx() == 1 << leg
    host.control(OUTPUT_DISABLE_TX, 0x0F & ~(1 << leg))
    emu.settle()
    assert host.states()[2 * leg] == ACTIVATED
    host.control(OUTPUT_DISABLE_TX, 1 << leg)
    emu.settle()
    assert host.output_tx() == 0


@pytest.mark.rule("APP-04")
@pytest.mark.parametrize("host_lane", LANES)
def test_media_lane_of_a_host_lane_of_the_400g_path(emu: Emulator, host: Host, host_lane: int) -> None:
    emu.ports["1"].set_host_signal(host_lane, False)
    emu.settle()
    assert host.output_tx() == 0x0F & ~(1 << (host_lane - 1) // 2)


def lowest_free(profile: dict[str, Any]) -> None:
    profile["behaviour"] = {"media_lanes": "lowest-free"}


@pytest.mark.rule("APP-04")
def test_lowest_free_media_lane(variant: Variant) -> None:
    """The other reading: walk the data paths in order of host lane; each takes the lowest free media lane."""
    emu = variant(lowest_free)
    host = Host(emu.smbus(1))
    legs_of(host, emu, (1, 3))
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.output_tx() == 0b0011


@pytest.mark.rule("APP-04", "CFG-10")
def test_a_running_data_path_keeps_its_media_lanes(variant: Variant) -> None:
    emu = variant(lowest_free)
    host = Host(emu.smbus(1))
    legs_of(host, emu, (3,))
    host.control(DP_DEINIT, 0x3F)
    emu.settle()
    assert host.output_tx() == 0b0001
    host.control(OUTPUT_DISABLE_TX, 0b0010)
    host.stage((1, 2), dp_config(2, 0))
    host.apply(0x03)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    assert host.output_tx() == 0b0001
    assert host.states() == [DEACTIVATED] * 6 + [ACTIVATED] * 2  # it still shines on media lane 1


@pytest.mark.rule("APP-03", "APP-04", "CFG-08")
@pytest.mark.parametrize("trigger", [143, APPLY_IMMEDIATE])
def test_more_data_paths_than_media_lanes(variant: Variant, trigger: int) -> None:
    """Four starts on the host side, two on the media side: the third data path finds no media lane."""

    def edit(profile: dict[str, Any]) -> None:
        profile["applications"][1]["media_start"] = 0x03

    emu = variant(edit)
    host = Host(emu.smbus(1))
    legs_of(host, emu, ())
    for leg in range(4):
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg))
    host.apply(0xFF, trigger)
    emu.settle()
    assert host.status() == [SUCCESS] * 4 + [INVALID_DATA_PATH] * 4
    assert host.active() == [0x20, 0x20, 0x24, 0x24, 0, 0, 0, 0]


@pytest.mark.rule("APP-05")
def test_data_path_id_is_the_first_lane_minus_1(emu: Emulator, host: Host) -> None:
    assert [code >> 1 & 7 for code in host.active()] == [0] * 8
    legs_of(host, emu, (0, 1, 2, 3))
    assert [code >> 1 & 7 for code in host.active()] == [0, 0, 2, 2, 4, 4, 6, 6]
    assert [code >> 4 for code in host.active()] == [2] * 8


@pytest.mark.rule("APP-06", "CFG-01")
def test_default_application_fills_all_sets(host: Host) -> None:
    active = host.read(0x11, 206, 29)
    assert active[:8] == bytes([0x10] * 8)
    assert host.read(0x10, 145, 29) == active
    assert host.read(0x10, 180, 29) == active


@pytest.mark.rule("APP-06")
def test_another_application_by_default(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["behaviour"] = {"default_app_sel": 2}

    emu = variant(edit)
    host = Host(emu.smbus(1))
    assert host.active() == [0x20, 0x20, 0x24, 0x24, 0x28, 0x28, 0x2C, 0x2C]
    assert list(host.read(0x10, 145, 8)) == host.active()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("APP-06")
def test_default_application_in_several_instances(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["applications"].reverse()

    emu = variant(edit)
    host = Host(emu.smbus(1))
    assert host.active() == [0x10, 0x10, 0x14, 0x14, 0x18, 0x18, 0x1C, 0x1C]
    assert host.states() == [ACTIVATED] * 8
    host.control(DP_DEINIT, 0x08)
    emu.settle()
    assert host.states() == [ACTIVATED] * 2 + [DEACTIVATED] * 2 + [ACTIVATED] * 4


@pytest.mark.rule("APP-06", "APP-07")
def test_lanes_left_over_by_the_default_application(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["applications"] = [dict(profile["applications"][1], host_start=0x05, media_start=0x03)]
        profile.pop("vdm")

    emu = variant(edit)
    host = Host(emu.smbus(1))
    assert host.active() == [0x10, 0x10, 0x14, 0x14, 0, 0, 0, 0]
    assert host.states() == [ACTIVATED] * 4 + [DEACTIVATED] * 4
    assert host.output_tx() == 0b0011


@pytest.mark.rule("APP-06")
def test_default_explicit_control_is_a_choice_of_the_profile(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["behaviour"] = {"default_explicit_control": 1}

    host = Host(variant(edit).smbus(1))
    assert host.active() == [0x11] * 8


@pytest.mark.rule("APP-07")
def test_unused_lanes_are_deactivated(emu: Emulator, host: Host) -> None:
    legs_of(host, emu, (1,))
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [DEACTIVATED] * 2 + [ACTIVATED] * 2 + [DEACTIVATED] * 4
    assert host.output_rx() & ~0x0C == 0


@pytest.mark.rule("APP-08", "MON-02", "MON-05")
def test_media_lanes_that_do_not_exist_read_0(emu: Emulator, host: Host) -> None:
    assert host.byte(0, 210) == 0xF0
    emu.fibres["loop"].cut()
    emu.clock.advance(2)
    page = host.read(0x11, 128, 128)
    for flags in (135, *range(139, 153)):
        assert page[flags - 128] & 0xF0 == 0, flags
    for monitor in (154, 170, 186):
        assert page[monitor + 8 - 128 : monitor + 16 - 128] == bytes(8)
    assert page[133 - 128] & 0xF0 == 0


@pytest.mark.rule("APP-09", "ID-13")
def test_media_lane_mapping(host: Host) -> None:
    row = bytes([0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0])
    assert host.read(0x11, 240, 16) == row + row


@pytest.mark.rule("APP-05", "APP-06")
def test_nonsense_put_into_the_active_set_by_the_vendor_hurts_nobody(emu: Emulator, host: Host) -> None:
    legs_of(host, emu, (0, 1, 2, 3))
    module = emu.ports["1"].module
    module.set("ACS.DataPathIDLane", 3, lane=1)
    module.set("ACS.AppSelCodeLane", 9, lane=3)
    host.apply(0xC0)
    emu.settle()
    assert host.status() == [SUCCESS] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    host.write(0, 26, 0x48)
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
