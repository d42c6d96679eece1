"""A host that caches whole pages, in the published order of FBOSS (rule HOST-04; access profile, section 5).

It reads pages of 128 bytes in one transfer each, compares checksums, and applies an application anew when the active
one is not the one it wants.
"""

from __future__ import annotations

import pytest
from cmis_host import ACTIVATED, APPLY_DP_INIT, DEACTIVATED, DP_CONFIG, DP_DEINIT, SUCCESS, Host, dp_config
from dr4 import DR4
from smbus2 import i2c_msg

from cmis_emu import Emulator, ManualClock
from cmis_emu.module.profile.library import profile_names

ADDRESS, HALF = 0x50, 128
CHECKSUMS = {0x00: (0, 94), 0x01: (2, 127), 0x02: (0, 127)}  # offsets in the page: from, and where the sum stands
FLAT = 0x80  # MemoryModel, 00h:2
FLAGS = slice(134 - HALF, 154 - HALF)  # of page 11h
VDM_PAGES = (0x20, 0x21, 0x24, 0x25, 0x26)


def cached(host: Host, page: int | None) -> bytes:
    """A page in one transfer; None is the lower memory."""
    if page is not None:
        host.select(page)
    found = i2c_msg.read(ADDRESS, HALF)
    host.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [0 if page is None else HALF]), found)
    return bytes(found)


def refresh(host: Host, emu: Emulator) -> dict[int | None, bytes]:
    """What the daemon holds of a module after a full refresh."""
    found: dict[int | None, bytes] = {None: cached(host, None), 0x00: cached(host, 0x00)}
    if found[None][2] & FLAT:
        return found
    for page in (0x01, 0x02, 0x10, 0x11):
        found[page] = cached(host, page)
    advertised = found[0x01]
    if advertised[155 - HALF] & 0x40:
        found[0x12] = cached(host, 0x12)
    if advertised[142 - HALF] & 0x20:
        found[0x13] = cached(host, 0x13)
        for selector in (1, 6):
            host.write(0x14, 128, selector)
            emu.clock.advance(0.01)
            found[0x14] = cached(host, 0x14)
            assert found[0x14][0] == selector
    if advertised[142 - HALF] & 0x40:
        for page in VDM_PAGES:
            found[page] = cached(host, page)
    return found


@pytest.mark.rule("HOST-04", "NUM-05")
@pytest.mark.parametrize("profile", profile_names())
def test_a_refresh_of_whole_pages(profile: str) -> None:
    with Emulator.load(profile, ManualClock(), seed=1) as emu:
        emu.settle()
        host, module = Host(emu.smbus(1)), emu.ports["1"].module
        pages = refresh(host, emu)
        again = refresh(host, emu)
        for page, (start, at) in CHECKSUMS.items():
            if page in pages:
                assert sum(pages[page][start:at]) & 0xFF == pages[page][at], f"page {page:02X}h"
        for page in (0x00, 0x01, 0x02, 0x10):
            if page in pages:
                assert pages[page] == again[page] == module.peek(page, HALF, HALF)
        if 0x11 in pages:
            assert any(pages[0x11][FLAGS])
            assert not any(again[0x11][FLAGS]), "the first read of all of the page has cleared every flag"
            assert pages[0x11][0] & 0x0F == ACTIVATED


@pytest.mark.rule("HOST-04")
@pytest.mark.parametrize("wanted", [1, 2])
def test_another_application_is_applied_when_the_active_one_differs(wanted: int) -> None:
    with Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        paths = {1: [0] * 8, 2: [0, 0, 2, 2, 4, 4, 6, 6]}[wanted]  # 400GAUI-8, or four of 100GAUI-2
        lanes = [dp_config(wanted, first) for first in paths]
        before = [value >> 4 for value in cached(host, 0x11)[206 - HALF : 214 - HALF]]
        assert before == [1] * 8
        host.control(DP_DEINIT, 0xFF)
        emu.clock.advance(5)
        assert host.states() == [DEACTIVATED] * 8
        if before != [wanted] * 8:
            host.write(0x10, DP_CONFIG, *lanes)
        host.write(0x10, APPLY_DP_INIT, 0xFF)
        emu.clock.advance(1)
        assert host.status() == [SUCCESS] * 8
        host.control(DP_DEINIT, 0)
        emu.settle()
        assert host.states() == [ACTIVATED] * 8
        assert list(cached(host, 0x11)[206 - HALF : 214 - HALF]) == lanes


@pytest.mark.rule("HOST-04")
def test_a_data_path_is_reset_by_itself() -> None:
    with Emulator.load(DR4, ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        kept = host.active()
        host.control(DP_DEINIT, 0xFF)
        emu.clock.advance(5)
        assert host.states() == [DEACTIVATED] * 8
        assert host.tx_power_uw(1) < 1
        host.control(DP_DEINIT, 0)
        emu.settle()
        assert host.states() == [ACTIVATED] * 8
        assert host.active() == kept
        assert host.tx_power_uw(1) > 100
