"""Rows of the field catalogue (section 3) in which the module is within its rights: it is merely at its defaults,
slow, or strict, and a host that counts on something else comes to grief."""

from __future__ import annotations

import pytest
from cmis_host import (
    ACTIVATED,
    DEACTIVATED,
    DP_DEINIT,
    INIT,
    INITIALIZED,
    INVALID_DATA_PATH,
    LANES_IN_USE,
    OUTPUT_DISABLE_TX,
    PARTIAL,
    SUCCESS,
    TX_TURN_OFF,
    Host,
    dp_config,
)
from faulty import arm

from cmis_emu import Emulator


@pytest.mark.parametrize("careful", [True, False])
def test_S10_leaving_low_power_starts_all_data_paths(emu: Emulator, host: Host, careful: bool) -> None:
    arm(emu, "fsm.delay", state="DPInit", time="4 s")
    host.write(0, 26, 0x50)
    emu.settle()
    for leg in range(4):
        host.stage((2 * leg + 1, 2 * leg + 2), dp_config(2, 2 * leg))
    host.apply(0xFF)
    emu.settle()
    if careful:
        host.control(DP_DEINIT, 0xFF)
    host.write(0, 26, 0x40)
    emu.clock.advance(3)
    assert host.states() == [DEACTIVATED if careful else INIT] * 8, "the second port finds its lanes under way"


def test_S11_transient_states_between_tx_off_and_deinit(emu: Emulator, host: Host) -> None:
    arm(emu, "fsm.delay", state="DPTxTurnOff", time="400 ms")
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    host.control(DP_DEINIT, 0xFF)
    seen = []
    for _ in range(100):
        state = host.states()[0]
        if not seen or state != seen[-1]:
            seen.append(state)
        emu.clock.advance(0.01)
    assert seen[0] == TX_TURN_OFF
    assert seen[-1] == DEACTIVATED
    assert INITIALIZED not in seen, "left at once"


def test_S12_off_and_on_within_the_turn_off_time(emu: Emulator, host: Host) -> None:
    arm(emu, "fsm.delay", state="DPTxTurnOff", time="2 s")
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    emu.clock.advance(0.5)
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.clock.advance(1.4)
    assert host.states() == [TX_TURN_OFF] * 8, "it goes through with it"
    emu.settle()
    assert host.states() == [ACTIVATED] * 8, "and comes back: a host that takes the way for an end stays dark"
    assert host.tx_power_uw(1) > 100


def test_S27_lane_masks_of_siblings_that_are_not_equal(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage((2, 3), dp_config(2, 1))  # an odd lane of a pair of another width
    host.apply(0b0110)
    emu.clock.advance(0.1)
    assert set(host.status()[1:3]) <= {INVALID_DATA_PATH, PARTIAL, LANES_IN_USE}
    host.stage(range(1, 9), 0)
    host.apply(0xFF)
    emu.clock.advance(0.1)
    host.stage((3, 4), dp_config(2, 2))
    host.apply(0b1100)
    emu.clock.advance(0.1)
    assert host.status()[2:4] == [SUCCESS] * 2
