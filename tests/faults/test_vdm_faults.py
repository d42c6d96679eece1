"""Faults of VDM, as a host sees them: vdm.freeze, vdm.layout.

Rows of the field catalogue (sections 8 and 10) are named in the tests that reproduce them.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from cmis_host import LOW_PWR, Host
from dr4 import Variant
from faulty import arm

from cmis_emu import Emulator, InputError

CONTROL, DONE = 144, 145
FREEZE, FREEZE_DONE, UNFREEZE_DONE = 0x80, 0x80, 0x40


def codes(host: Host, group: int = 0) -> list[int]:
    return list(struct.unpack(">64H", host.read(0x24 + group, 128, 128)))


def request(emu: Emulator, host: Host, on: bool, wait_s: float = 0.012) -> int:
    """Ask for a freeze or an unfreeze; the done bits some time later."""
    host.write(0x2F, CONTROL, FREEZE if on else 0)
    emu.clock.advance(wait_s)
    return host.byte(0x2F, DONE)


@pytest.mark.parametrize("faulty", [True, False])
def test_V1_without_statistics_freeze_done_never_sets(variant: Variant, faulty: bool) -> None:
    def basic(profile: dict[str, Any]) -> None:
        profile["vdm"] = {"groups": [[{"observable": "esnr_media", "lanes": 4}]]}

    emu = variant(basic)
    host = Host(emu.smbus(1))
    if faulty:
        clear = arm(emu, "vdm.freeze", how="never", request="freeze")
    emu.clock.advance(60)
    for _ in range(3):  # a minute between two polls
        assert request(emu, host, True, 60) == (UNFREEZE_DONE if faulty else FREEZE_DONE)
        assert request(emu, host, False, 1) == UNFREEZE_DONE
    if faulty:
        assert request(emu, host, True, 1) == UNFREEZE_DONE
        clear()
        emu.clock.advance(0.02)
        assert host.byte(0x2F, DONE) == FREEZE_DONE, "the request still stands"


def test_V1_values_move_while_the_host_waits_for_the_freeze(emu: Emulator, host: Host) -> None:
    arm(emu, "vdm.freeze", how="never")
    host.write(0x2F, CONTROL, FREEZE)
    emu.clock.advance(1)
    before = codes(host)
    emu.clock.advance(1)
    assert codes(host) != before


@pytest.mark.parametrize("faulty", [True, False])
def test_V2_reporting_stops_after_the_whole_control_byte_was_written(emu: Emulator, host: Host, faulty: bool) -> None:
    emu.clock.advance(5)
    if faulty:
        clear = arm(emu, "vdm.freeze", how="stops", skip=1, count=1)
    assert request(emu, host, True) == FREEZE_DONE
    assert (request(emu, host, False) == FREEZE_DONE) == faulty, "the second write does it"
    before = codes(host)
    emu.clock.advance(30)
    assert (codes(host) == before) == faulty
    if faulty:
        clear()
        emu.clock.advance(1)
        assert codes(host) != before
        assert host.byte(0x2F, DONE) == UNFREEZE_DONE
        arm(emu, "vdm.freeze", how="stops", count=1)
        host.write(0x2F, CONTROL, 0)
        host.write(0, 26, 0x48)
        emu.clock.advance(10)
        before = codes(host)
        emu.clock.advance(1)
        assert codes(host) != before, "a reset ends it"


@pytest.mark.parametrize("faulty", [True, False])
def test_V3_not_every_lane_is_there(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        clear = arm(emu, "vdm.layout", what="holes", observable="pre_fec_ber_*_media", lanes=[2, 4])
        arm(emu, "vdm.layout", what="holes", instances=[5])
    types = host.read(0x20, 128, 128)[1::2]
    values = codes(host)
    gone = [n for n in range(64) if not types[n]]
    expected = {4, *(first + lane for first in (15, 19, 23, 27) for lane in (1, 3))} if faulty else set()
    used = set(range(31))
    assert {n for n in gone if n in used} == expected
    assert all(values[n] == 0 for n in expected)
    assert all(values[n] for n in (7, 8, 9, 10, 15, 17))
    if faulty:
        clear()
        assert host.read(0x20, 128, 128)[1::2].count(0) == 64 - 31 + 1


def test_K6_an_observable_that_is_not_there_at_all(emu: Emulator, host: Host) -> None:
    before = set(host.read(0x20, 128, 128)[1::2])
    arm(emu, "vdm.layout", what="holes", observable="laser_temperature")
    assert before - set(host.read(0x20, 128, 128)[1::2]) == {4}


def test_a_hole_sets_no_flags(emu: Emulator, host: Host) -> None:
    emu.clock.advance(60)
    arm(emu, "vdm.layout", what="holes", observable="esnr_media", lanes=[1])
    host.read(0x2C, 128, 128)
    arm(emu, "link.loss", loss="9 dB")
    emu.clock.advance(3)
    flags = host.read(0x2C, 128, 8)
    assert flags[3] >> 4 == 0, "instance 8 is gone"
    assert flags[4] == 0xAA, "its neighbours have their low alarms and warnings"


@pytest.mark.parametrize("faulty", [True, False])
def test_V4_groups_without_support(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "vdm.layout", what="support")
        arm(emu, "vdm.layout", what="groups", groups=4)
    assert bool(host.byte(1, 142) & 0x40) == (not faulty)
    assert host.byte(0x2F, 128) & 3 == (3 if faulty else 2)
    page = host.read(1, 128, 128)
    assert sum(page[2:127]) & 0xFF == page[127]


def test_V5_a_freeze_in_low_power_has_no_effect(emu: Emulator, host: Host) -> None:
    host.write(0, 26, 0x50)
    emu.settle()
    assert host.module_state() == LOW_PWR
    clear = arm(emu, "vdm.freeze", how="never")
    assert request(emu, host, True, 5) == UNFREEZE_DONE
    request(emu, host, False, 1)
    clear()
    host.write(0, 26, 0x40)
    emu.settle()
    assert request(emu, host, True) == FREEZE_DONE


@pytest.mark.parametrize("faulty", [True, False])
def test_V6_the_done_bit_still_shows_the_request_before(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        clear = arm(emu, "vdm.freeze", how="sticks", time="10 ms")
    assert request(emu, host, True, 0.05) == FREEZE_DONE
    assert request(emu, host, False, 0.015) == (FREEZE_DONE | UNFREEZE_DONE if faulty else UNFREEZE_DONE)
    host.write(0x2F, CONTROL, FREEZE)
    assert (host.byte(0x2F, DONE) & FREEZE_DONE != 0) == faulty, "a false done"
    emu.clock.advance(0.05)
    if faulty:
        assert host.byte(0x2F, DONE) == FREEZE_DONE
        clear()
        arm(emu, "vdm.freeze", how="sticks", request="unfreeze")
        assert request(emu, host, False, 60) == FREEZE_DONE | UNFREEZE_DONE, "for ever"


def test_V7_statistics_that_are_not_frozen_move_between_two_block_reads(emu: Emulator, host: Host) -> None:
    emu.clock.advance(30)

    def average() -> bytes:
        return host.read(0x24, 128 + 2 * 23, 8)

    first = average()
    emu.clock.advance(7)
    moved = average()
    assert request(emu, host, True) == FREEZE_DONE
    held = average()
    emu.clock.advance(7)
    assert average() == held
    assert moved != first


@pytest.mark.parametrize("faulty", [True, False])
def test_a_freeze_that_is_late(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        arm(emu, "vdm.freeze", how="late", time="2 s", count=1)
    assert request(emu, host, True, 1.9) == (UNFREEZE_DONE if faulty else FREEZE_DONE)
    emu.clock.advance(0.2)
    assert host.byte(0x2F, DONE) == FREEZE_DONE
    assert request(emu, host, False) == UNFREEZE_DONE


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vdm.freeze", {"how": "late"}),
        ("vdm.layout", {"what": "holes"}),
        ("vdm.layout", {"what": "holes", "observable": "nonsense"}),
        ("vdm.layout", {"what": "groups", "groups": 5}),
    ],
)
def test_what_is_refused(emu: Emulator, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        arm(emu, name, **arguments)
