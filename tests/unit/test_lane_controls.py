"""Input equaliser, squelch method, polarity and module-wide disable, through the bus (AUX-01, AUX-02, CFG-15)."""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import (
    APPLY_DP_INIT,
    APPLY_IMMEDIATE,
    DP_DEINIT,
    INITIALIZED,
    OUTPUT_DISABLE_TX,
    SQUELCH_FORCE_TX,
    SUCCESS,
    TX_TURN_ON,
    Host,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.errors import InputError

POLARITY_TX, FREEZE, STORE, POLARITY_RX = 129, 134, 135, 137
ADAPTIVE, RECALL, TARGET = 153, 154, 156
TX_LOS, TX_LOL, EQ_FAIL, RX_LOS, RX_LOL = 136, 137, 138, 147, 148
RECALLED = 215  # of the active set


def rich(profile: dict[str, Any]) -> None:
    """Everything the equaliser can do."""
    profile["registers"] |= {
        "TxInputEqFreezeSupported": 1,
        "TxInputEqRecallBuffersSupported": 2,
        "TxInputEqFixedManualControlSupported": 1,
        "TxInputEqMax": 12,
        "AdaptiveInputEqFailFlagTxSupported": 1,
        "InputPolarityFlipTxSupported": 1,
        "OutputPolarityFlipRxSupported": 1,
    }


@pytest.fixture
def emu(variant: Any) -> Emulator:
    """A rich DR4, settled."""
    emulator: Emulator = variant(rich)
    return emulator


@pytest.fixture
def host(emu: Emulator) -> Host:
    return Host(emu.smbus(1))


def later(emu: Emulator, host: Host, offset: int) -> int:
    """Flags that still hold 0.3 s after everything before was read away."""
    host.byte(0x11, offset)
    emu.clock.advance(0.3)
    return host.byte(0x11, offset)


# -- equaliser ------------------------------------------------------------------------------------


@pytest.mark.rule("CFG-15", "FLG-09")
def test_adaptation_follows_the_channel_and_fails_beyond_its_range(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    port.set_host_signal(3, loss_db=9.0)
    emu.clock.advance(0.1)
    assert (later(emu, host, EQ_FAIL), later(emu, host, TX_LOL)) == (0, 0)
    port.set_host_signal(3, loss_db=15.5)  # 3.5 dB beyond the range: adapted badly, still open
    emu.clock.advance(0.1)
    assert (later(emu, host, EQ_FAIL), later(emu, host, TX_LOL)) == (0b100, 0)
    port.set_host_signal(3, loss_db=19.0)  # closed
    emu.clock.advance(0.1)
    assert (later(emu, host, EQ_FAIL), later(emu, host, TX_LOL)) == (0b100, 0b100)
    port.set_host_signal(3, loss_db=5.0)
    emu.clock.advance(0.1)
    assert (later(emu, host, EQ_FAIL), later(emu, host, TX_LOL)) == (0, 0)


@pytest.mark.rule("CFG-15")
def test_a_frozen_equaliser_stays_where_it_is(emu: Emulator, host: Host) -> None:
    host.control(FREEZE, 0b10)
    for lane in (1, 2):
        emu.ports["1"].set_host_signal(lane, loss_db=11.0)  # 7 dB away from the preset
    emu.clock.advance(0.2)
    assert later(emu, host, TX_LOL) == 0b10
    assert later(emu, host, EQ_FAIL) == 0  # frozen is not failed
    host.control(FREEZE, 0)
    emu.clock.advance(0.2)
    assert later(emu, host, TX_LOL) == 0


@pytest.mark.rule("CFG-15", "CFG-05")
def test_store_and_recall(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    port.set_host_signal(1, loss_db=11.0)
    emu.clock.advance(0.1)
    host.write(0x10, STORE, 0b10)  # lane 1 to buffer 2
    assert host.byte(0x10, STORE) == 0  # write only
    port.set_host_signal(1, loss_db=4.0)
    emu.clock.advance(0.1)
    host.control(FREEZE, 1)
    assert later(emu, host, TX_LOL) == 0
    host.write(0x10, RECALL, 0b10)
    host.write(0x10, APPLY_IMMEDIATE, 1)
    emu.clock.advance(0.1)
    assert host.status()[0] == SUCCESS
    assert host.byte(0x11, RECALLED) & 3 == 2
    assert later(emu, host, TX_LOL) == 1  # 7 dB of error, and frozen
    port.set_host_signal(1, loss_db=11.0)
    emu.clock.advance(0.1)
    assert later(emu, host, TX_LOL) == 0


@pytest.mark.rule("CFG-07", "CFG-15")
def test_a_recall_that_waits_for_an_initialisation_is_loaded_then(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    port.set_host_signal(1, loss_db=11.0)
    emu.clock.advance(0.1)
    host.write(0x10, STORE, 1)
    port.set_host_signal(1, loss_db=4.0)
    emu.clock.advance(0.1)
    host.control(FREEZE, 0xFF)
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.write(0x10, RECALL, 1)
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    emu.clock.advance(0.1)
    equaliser = port.module.banks[0].equaliser
    assert equaliser.applied_db(1) == 4.0
    host.control(DP_DEINIT, 0)
    emu.clock.advance(0.01)
    assert equaliser.applied_db(1) == 11.0
    assert equaliser.applied_db(2) == 4.0


@pytest.mark.rule("CFG-15", "CFG-05")
def test_a_fixed_equaliser_does_what_the_host_says(emu: Emulator, host: Host) -> None:
    for lane in range(1, 9):
        emu.ports["1"].set_host_signal(lane, loss_db=9.0)
    for at in range(145, 153):
        host.write(0x10, at, 0x11)  # AppSel 1, explicit control
    host.write(0x10, ADAPTIVE, 0xF0)  # lanes 1 to 4 fixed
    host.write(0x10, TARGET, 0x29, 0x09)  # lane 1: 9 dB, 2: 2 dB, 3: 9 dB, 4: 0 dB
    host.write(0x10, APPLY_IMMEDIATE, 0xFF)
    emu.clock.advance(0.3)
    assert host.status() == [SUCCESS] * 8
    assert later(emu, host, TX_LOL) == 0b1010  # 7 and 9 dB off
    assert later(emu, host, EQ_FAIL) == 0


@pytest.mark.rule("RST-05", "CFG-15")
def test_a_reset_forgets_what_was_stored(emu: Emulator, host: Host) -> None:
    emu.ports["1"].set_host_signal(1, loss_db=11.0)
    emu.clock.advance(0.1)
    host.write(0x10, STORE, 1)
    host.write(0, 26, 0x48)
    emu.ports["1"].set_host_signal(1, loss_db=4.0)
    emu.settle()
    host.control(FREEZE, 1)
    host.write(0x10, RECALL, 1)
    host.write(0x10, APPLY_IMMEDIATE, 1)
    emu.clock.advance(0.1)
    assert emu.ports["1"].module.banks[0].equaliser.applied_db(1) == 4.0


@settings(max_examples=60, deadline=None)
@given(losses=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=6), pause=st.floats(0, 0.05))
def test_an_adaptive_lane_ends_locked_exactly_when_the_channel_is_in_reach(losses: list[float], pause: float) -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock()) as emulator:
        emulator.settle()
        for loss in losses:
            emulator.ports["1"].set_host_signal(1, loss_db=loss)
            emulator.clock.advance(pause)
        emulator.clock.advance(0.2)
        assert bool(later(emulator, Host(emulator.smbus(1)), TX_LOL)) == (losses[-1] - 12.0 > 6.0)


@pytest.mark.parametrize("loss", [-1.0, 100.0, float("nan")])
def test_an_impossible_channel(emu: Emulator, loss: float) -> None:
    with pytest.raises(InputError, match="0 to 100 dB"):
        emu.ports["1"].set_host_signal(1, loss_db=loss)


# -- polarity -------------------------------------------------------------------------------------


@pytest.mark.rule("AUX-02")
def test_polarity_flips_act_at_once_and_cancel(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    emu.clock.advance(1)
    assert [port.host_lane(n).inverted for n in range(1, 9)] == [False] * 8
    host.control(POLARITY_TX, 0b0000_0100)
    assert [port.host_lane(n).inverted for n in range(1, 9)] == [n == 3 for n in range(1, 9)]
    host.control(POLARITY_RX, 0b1000_0100)
    assert [port.host_lane(n).inverted for n in range(1, 9)] == [n == 8 for n in range(1, 9)]
    port.set_host_signal(8, inverted=True)  # swapped wires on the board, made good by the flip
    assert [port.host_lane(n).inverted for n in range(1, 9)] == [False] * 8
    assert host.states()[0] == 4
    assert later(emu, host, RX_LOL) == 0


@pytest.mark.rule("AUX-02", "FLG-11")
def test_a_module_without_polarity_control_ignores_it(variant: Any) -> None:
    emulator = variant(None)
    host = Host(emulator.smbus(1))
    host.control(POLARITY_TX, 0xFF)
    host.control(POLARITY_RX, 0xFF)
    assert (host.byte(0x10, POLARITY_TX), host.byte(0x10, POLARITY_RX)) == (0, 0)
    assert not any(emulator.ports["1"].host_lane(n).inverted for n in range(1, 9))


def test_no_host_lane_where_there_is_none(emu: Emulator) -> None:
    assert emu.ports["1"].host_lane(17).output.value == "off"
    emu.ports["1"].remove()
    assert emu.ports["1"].host_lane(1).output.value == "off"


# -- squelch --------------------------------------------------------------------------------------


def squelching(variant: Any, method: int, los_type: int, select: int = 0) -> Emulator:
    """A DR4 with a squelch method, and LOS on OMA (0) or average power (1)."""

    def edit(profile: dict[str, Any]) -> None:
        profile["registers"] |= {"SquelchMethodTx": method, "RxLOSType": los_type}
        if method == 3:
            profile["registers"]["SquelchMethodSelect"] = select

    emulator: Emulator = variant(edit)
    return emulator


@pytest.mark.rule("AUX-01")
@pytest.mark.parametrize(
    ("method", "select", "oma"), [(1, 0, True), (2, 0, False), (3, 0, True), (3, 1, False)], ids=str
)
@pytest.mark.parametrize("los_on_average", [0, 1])
def test_forced_squelch_takes_the_modulation_or_the_light(
    variant: Any, method: int, select: int, oma: bool, los_on_average: int
) -> None:
    emulator = squelching(variant, method, los_on_average, select)
    host = Host(emulator.smbus(1))
    emulator.clock.advance(1)
    host.control(SQUELCH_FORCE_TX, 0b0001)
    emulator.settle()
    assert host.states() == [INITIALIZED] * 8  # DP-04
    assert host.output_tx() == 0b1110
    assert (host.tx_power_uw(1) > 100) == oma
    assert later(emulator, host, RX_LOS) == (0 if oma and los_on_average else 1)
    assert later(emulator, host, RX_LOL) == 1
    for low in (140, 142, 144, 146):  # FLG-09: a squelched lane raises no low flags of power or bias
        assert later(emulator, host, low) & 1 == 0


@pytest.mark.rule("AUX-01")
def test_the_host_chooses_the_squelch_while_squelched(variant: Any) -> None:
    emulator = squelching(variant, 3, 1)
    host = Host(emulator.smbus(1))
    emulator.ports["1"].set_host_signal(1, False)
    emulator.clock.advance(1)
    assert host.tx_power_uw(1) > 100
    host.write(0, 26, 0x60)  # 26.5: squelch by average power
    emulator.clock.advance(1)
    assert host.tx_power_uw(1) == 0
    host.write(0, 26, 0x40)
    emulator.clock.advance(1)
    assert host.tx_power_uw(1) > 100


@pytest.mark.rule("AUX-01")
def test_without_a_squelch_method_a_lost_host_signal_changes_no_light(variant: Any) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["registers"] |= {
            "SquelchMethodTx": 0,
            "ForcedSquelchTxSupported": 0,
            "AutoSquelchDisableTxSupported": 0,
        }

    emulator = variant(edit)
    host = Host(emulator.smbus(1))
    emulator.ports["1"].set_host_signal(1, False)
    emulator.clock.advance(1)
    assert host.tx_power_uw(1) > 100
    assert host.byte(0x11, TX_LOS) == 1


@pytest.mark.rule("DP-04", "CFG-16")
def test_one_disabled_lane_disables_all_where_advertised(variant: Any) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["registers"] |= {"TxDisableIsModuleWide": 1}

    emulator = variant(edit)
    host = Host(emulator.smbus(1))
    host.control(OUTPUT_DISABLE_TX, 0b0100)
    emulator.settle()
    assert host.output_tx() == 0
    assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
    assert host.states() == [INITIALIZED] * 8
    host.control(OUTPUT_DISABLE_TX, 0)
    emulator.clock.advance(0.01)
    assert host.states() == [TX_TURN_ON] * 8
