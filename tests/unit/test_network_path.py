"""Network paths: four 100GAUI-2 host paths multiplexed on the media side of a DR4 (rule NP-01).

Offsets are typed from the facts of pages 16h and 17h.
"""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_DP_INIT,
    DEACTIVATED,
    DP_CONFIG,
    DP_DEINIT,
    IN_PROGRESS,
    INITIALIZED,
    INVALID_DATA_PATH,
    LANES_IN_USE,
    OUTPUT_DISABLE_TX,
    PARTIAL,
    SUCCESS,
    Host,
    dp_config,
)
from dr4 import Variant
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock

NP_CONFIG, NP_DEINIT, HP_SOURCE_RX, NP_SOURCE_TX, APPLY_NP_INIT = 128, 160, 162, 163, 176
NP_STATUS, NP_ACTIVE, NP_STATE, NP_PENDING = 178, 192, 200, 204
MUX = 3  # AppSel of the multiplexed application


def muxponder(profile: dict[str, Any]) -> None:
    """A DR4 that also takes four 100G hosts as one 400G signal."""
    profile["registers"] |= {
        "NetworkPathPagesSupported": 1,
        "ReplaceHPSignalRxSupported": 1,
        "ReplaceHPSignalTxSupported": 1,
    }
    profile["applications"].append(
        {
            "host": 0x0D,
            "media": 0x1C,
            "host_lanes": 2,
            "media_lanes": 4,
            "host_start": 0x55,
            "media_start": 0x01,
            "network_path": True,
        }
    )
    profile["durations_ms"] |= {"NPInit": 2000, "NPDeinit": 150, "NPTxTurnOn": 300, "NPTxTurnOff": 120}


def nibbles(host: Host, offset: int) -> list[int]:
    raw = host.read(0x16, offset, 4)
    return [raw[lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)]


def stage_host_paths(emu: Emulator, host: Host) -> None:
    """The four host paths, provisioned and held deactivated."""
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.write(0x10, DP_CONFIG, *(dp_config(MUX, lane // 2 * 2) for lane in range(8)))
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    emu.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8


def apply_network(emu: Emulator, host: Host, lanes: int = 0xFF, npid: int = 0) -> list[int]:
    """Stage lanes of a mask as network path `npid`, trigger, and give NPConfigStatus."""
    for lane in range(8):
        if lanes >> lane & 1:
            host.write(0x16, NP_CONFIG + lane, npid << 1 | 1)
    host.write(0x16, APPLY_NP_INIT, lanes)
    assert IN_PROGRESS in nibbles(host, NP_STATUS)
    emu.clock.advance(0.1)
    return nibbles(host, NP_STATUS)


@pytest.fixture
def mux(variant: Variant) -> Emulator:
    return variant(muxponder)


@pytest.fixture
def host(mux: Emulator) -> Host:
    return Host(mux.smbus(1))


@pytest.mark.rule("NP-01")
def test_four_host_paths_share_the_media(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    assert apply_network(mux, host) == [SUCCESS] * 8
    assert host.read(0x16, NP_ACTIVE, 8) == b"\x01" * 8
    host.control(DP_DEINIT, 0)
    mux.settle()
    mux.clock.advance(1)
    assert host.states() == [ACTIVATED] * 8
    assert nibbles(host, NP_STATE) == [ACTIVATED] * 8
    assert (host.output_rx(), host.output_tx()) == (0xFF, 0x0F)
    assert host.byte(0x17, 128) == 0xFF  # NPStateChangedFlag, and reading clears it
    assert host.byte(0x17, 128) == 0


@pytest.mark.rule("NP-01")
def test_the_walk_of_a_network_path_takes_its_own_time(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    host.write(0x16, NP_DEINIT, 0xFF)
    apply_network(mux, host)
    assert host.byte(0x16, NP_PENDING) == 0xFF
    assert nibbles(host, NP_STATE) == [DEACTIVATED] * 8
    host.write(0x16, NP_DEINIT, 0)
    seen: list[int] = []
    for _ in range(300):
        state = nibbles(host, NP_STATE)[0]
        if not seen or seen[-1] != state:
            seen.append(state)
        mux.clock.advance(0.01)
    assert seen == [2, 5, 4]  # NPInit, NPTxTurnOn, NPActivated
    assert host.byte(0x16, NP_PENDING) == 0
    host.write(0x16, NP_DEINIT, 0x10)  # one lane is enough
    mux.settle()
    assert nibbles(host, NP_STATE) == [DEACTIVATED] * 8
    assert host.output_tx() == 0
    assert host.states() == [DEACTIVATED] * 8  # still held by DPDeinit


@pytest.mark.rule("NP-01")
def test_tx_disable_belongs_to_the_network_path(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    apply_network(mux, host)
    host.control(DP_DEINIT, 0)
    mux.settle()
    host.control(OUTPUT_DISABLE_TX, 0b0001)
    mux.settle()
    assert nibbles(host, NP_STATE) == [INITIALIZED] * 8
    assert host.states() == [ACTIVATED] * 8
    assert host.output_tx() == 0b1110


@pytest.mark.rule("NP-01")
def test_one_host_path_goes_and_the_others_stay(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    apply_network(mux, host)
    host.control(DP_DEINIT, 0)
    mux.settle()
    mux.clock.advance(1)
    host.control(DP_DEINIT, 0b1100)
    mux.settle()
    assert host.states() == [4, 4, 1, 1, 4, 4, 4, 4]
    assert nibbles(host, NP_STATE) == [ACTIVATED] * 8
    assert (host.output_rx(), host.output_tx()) == (0xF3, 0x0F)
    mux.ports["1"].set_host_signal(5, False)  # a shared lane goes on with what is left
    mux.clock.advance(1)
    assert host.output_tx() == 0x0F


@pytest.mark.rule("NP-01")
def test_replacement_signals(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    apply_network(mux, host)
    host.control(DP_DEINIT, 0)
    mux.settle()
    mux.fibres["loop"].cut()
    mux.clock.advance(1)
    assert host.output_rx() == 0
    host.write(0x16, HP_SOURCE_RX, 0x03)
    assert host.output_rx() == 0x03
    assert mux.ports["1"].host_lane(1).output.value == "signal"
    mux.fibres["loop"].restore()
    for lane in (1, 2):
        mux.ports["1"].set_host_signal(lane, False)
    mux.clock.advance(1)
    assert host.output_tx() == 0b1110  # media lane 1 carries host lanes 1 and 2, and both are lost
    host.write(0x16, NP_SOURCE_TX, 0x03)
    mux.settle()
    assert host.output_tx() == 0x0F


@pytest.mark.rule("NP-01")
def test_what_is_refused(mux: Emulator, host: Host) -> None:
    # the default application has media lanes of its own
    assert apply_network(mux, host) == [INVALID_DATA_PATH] * 8
    stage_host_paths(mux, host)
    assert apply_network(mux, host, 0b0111) == [PARTIAL] * 3 + [INVALID_DATA_PATH] * 5
    assert apply_network(mux, host, 0xFF, npid=2) == [INVALID_DATA_PATH] * 8
    host.write(0x16, NP_DEINIT, 0xFF)
    assert apply_network(mux, host, 0xFF) == [SUCCESS] * 8
    assert apply_network(mux, host, 0b0011)[:2] == [PARTIAL] * 2
    host.control(DP_DEINIT, 0)
    host.write(0x16, NP_DEINIT, 0)
    mux.settle()
    for lane in range(8):
        host.write(0x16, NP_CONFIG + lane, 0)
    host.write(0x16, APPLY_NP_INIT, 0xFF)
    mux.clock.advance(0.1)
    assert nibbles(host, NP_STATUS) == [LANES_IN_USE] * 8


@pytest.mark.rule("NP-01")
def test_a_network_path_ends_with_its_host_paths(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    apply_network(mux, host)
    host.write(0x10, DP_CONFIG, *([dp_config(1)] * 8))
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    mux.clock.advance(0.1)
    # its media lanes are not free while the network path has them
    assert host.status() == [INVALID_DATA_PATH] * 8
    host.write(0x10, DP_CONFIG, *([0] * 8))
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    mux.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8
    assert host.read(0x16, NP_ACTIVE, 8) == bytes(8)
    host.write(0x10, DP_CONFIG, *([dp_config(1)] * 8))
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    host.control(DP_DEINIT, 0)
    mux.clock.advance(0.1)
    mux.settle()
    assert host.states() == [ACTIVATED] * 8
    assert nibbles(host, NP_STATE) == [DEACTIVATED] * 8


@pytest.mark.rule("NP-01", "RST-05")
def test_a_reset_ends_network_paths(mux: Emulator, host: Host) -> None:
    stage_host_paths(mux, host)
    apply_network(mux, host)
    host.write(0, 26, 0x48)
    mux.settle()
    assert host.read(0x16, NP_ACTIVE, 8) == bytes(8)
    assert host.read(0x16, NP_CONFIG, 8) == bytes(8)
    assert host.states() == [ACTIVATED] * 8
    assert host.active() == [dp_config(1)] * 8


@pytest.mark.rule("NP-01", "PAGE-08")
def test_advertisement(mux: Emulator, host: Host) -> None:
    assert host.byte(0x01, 142) & 0x80
    assert host.read(0x16, 224, 2) == bytes((0x57, 0x55))  # Deinit and Init, TurnOff and TurnOn
    assert host.read(0x16, 248, 2) == bytes((0, 1 << (MUX - 1)))
    assert host.byte(0x01, 178) == 0x01


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from(
                [(0x16, o) for o in (*range(128, 144), 160, 162, 163, 176, 177)] + [(0x10, 128), (0x10, 143)]
            ),
            st.integers(0, 255),
            st.sampled_from([0.0, 0.05, 0.5, 3.0]),
        ),
        max_size=25,
    )
)
def test_any_writes_leave_sound_states(data: list[tuple[tuple[int, int], int, float]], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("mux") / "mux.yaml"
    path.write_text(
        "profile: mux\nbase: qsfpdd-400g-dr4\nregisters: {NetworkPathPagesSupported: 1}\napplications:\n"
        "  - {host: 0x11, media: 0x1C, host_lanes: 8, media_lanes: 4, host_start: 1, media_start: 1}\n"
        "  - {host: 0x0D, media: 0x14, host_lanes: 2, media_lanes: 1, host_start: 0x55, media_start: 0x0F}\n"
        "  - {host: 0x0D, media: 0x1C, host_lanes: 2, media_lanes: 4, host_start: 0x55, media_start: 1,"
        " network_path: true}\n"
    )
    with Emulator.load(path, clock=ManualClock()) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        stage_host_paths(emu, host)
        for (page, offset), value, wait in data:
            host.write(page, offset, value)
            emu.clock.advance(wait)
        emu.clock.advance(0.05)
        used = [byte & 1 for byte in host.read(0x16, NP_ACTIVE, 8)]
        states = nibbles(host, NP_STATE)
        for lane in range(8):
            assert used[lane] or states[lane] == DEACTIVATED
            if used[lane]:
                assert host.active()[lane] >> 4 == MUX
