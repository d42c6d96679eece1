"""Resets, supply, side-band pins and hot plug (rules RST-01 to RST-09; advertised absences LSW-01, LT-01, FF-01)."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    DEACTIVATED,
    DP_DEINIT,
    LOW_PWR,
    OUTPUT_DISABLE_TX,
    READY,
    SQUELCH_FORCE_TX,
    Host,
    dp_config,
)
from dr4 import DR4, Variant, dr4_profile

from cmis_emu import Emulator, ManualClock
from cmis_emu.errors import InputError

MGMT_INIT_S: float = dr4_profile()["durations_ms"]["MgmtInit"] / 1000


def pulse(emu: Emulator, nanoseconds: int) -> None:
    pins = emu.ports["1"].pins
    pins.ResetL = False
    emu.clock.advance_ns(nanoseconds)
    pins.ResetL = True


@pytest.mark.rule("RST-01", "RST-02", "RST-04", "I2C-10")
@pytest.mark.parametrize("cause", ["supply", "pin", "software"])
def test_every_cause_of_reset(emu: Emulator, host: Host, cause: str) -> None:
    if cause == "supply":
        emu.ports["1"].pins.power = False
        emu.clock.advance(0.1)
        assert not host.answers()
        emu.ports["1"].pins.power = True
    elif cause == "pin":
        pulse(emu, 10_000)
    else:
        host.write(0, 26, host.byte(0, 26) | 0x08)
    with pytest.raises(OSError, match=r"Remote I/O error|No such device") as refused:
        host.byte(0, 0)
    assert refused.value.errno in (errno.EREMOTEIO, errno.ENXIO)
    emu.clock.advance(MGMT_INIT_S - 1e-6)
    assert not host.answers()
    emu.clock.advance(1e-6)
    assert host.byte(0, 3) >> 1 & 7 in (1, 2)
    assert host.byte(0, 26) == 0x40  # the software bit reads 0
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("RST-01")
@pytest.mark.parametrize("pin", ["ResetL", "power"])
def test_held_in_reset(emu: Emulator, host: Host, pin: str) -> None:
    port = emu.ports["1"]
    port.pins.set(pin, False)
    emu.clock.advance(60)
    assert not host.answers()
    assert port.pins.IntL
    port.pins.set(pin, True)
    emu.settle()
    assert host.module_state() == READY


@pytest.mark.rule("RST-02")
def test_no_answer_from_the_stop_of_the_reset_write(emu: Emulator, host: Host) -> None:
    host.write(0, 26, 0x48)
    assert not host.answers()
    emu.clock.advance(2.0)  # RST-04: the longest that a host waits
    assert host.answers()


@pytest.mark.rule("RST-02")
def test_software_reset_in_a_longer_write(emu: Emulator, host: Host) -> None:
    host.write(0, 25, 0x00, 0x48, 0x00)
    assert not host.answers()
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("RST-03")
@pytest.mark.parametrize(("length_ns", "seen"), [(1, False), (9_999, False), (10_000, True), (1_000_000, True)])
def test_shortest_reset_pulse(emu: Emulator, host: Host, length_ns: int, seen: bool) -> None:
    pulse(emu, length_ns)
    assert host.answers() != seen
    emu.clock.advance(0.1)
    assert host.answers() != seen
    emu.settle()
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("RST-03", "RST-04")
@pytest.mark.parametrize(("length_ns", "seen"), [(5_000, False), (20_000, True)])
def test_reset_pulse_during_management_init(emu: Emulator, host: Host, length_ns: int, seen: bool) -> None:
    pulse(emu, 20_000)
    emu.clock.advance(MGMT_INIT_S / 2)
    pulse(emu, length_ns)
    emu.clock.advance(MGMT_INIT_S / 2)
    assert host.answers() != seen
    emu.clock.advance(MGMT_INIT_S / 2)
    assert host.answers()


@pytest.mark.rule("RST-03")
def test_short_pulses_do_not_add_up(emu: Emulator, host: Host) -> None:
    for _ in range(5):
        pulse(emu, 4_000)
        emu.clock.advance_ns(100)
    emu.clock.advance(0.1)
    assert host.states() == [ACTIVATED] * 8


@pytest.mark.rule("RST-05", "RST-06", "RST-07", "PAGE-07")
@pytest.mark.parametrize("cause", ["pin", "software", "supply"])
def test_every_register_returns_to_its_default(variant: Variant, cause: str) -> None:
    emu = variant(pins={"LPMode": True})
    host, port = Host(emu.smbus(1)), emu.ports["1"]
    pages = [0x00, 0x01, 0x02, 0x10, 0x11]
    before = {page: host.read(page, 128, 128) for page in pages}
    lower = host.read(0, 0, 128)
    for page in (0x10, 0x11):
        for offset in range(128, 256):
            if offset not in (143, 144, 178, 179):
                host.write(page, offset, 0xA5)
    for offset in range(26, 118):
        if offset != 26:
            host.write(0, offset, 0xA5)
    host.write(0, 26, 0x90)
    host.stage(range(1, 9), dp_config(0))
    host.apply(0xFF)
    emu.clock.advance(0.1)
    host.select(0x11)
    if cause == "pin":
        pulse(emu, 20_000)
    elif cause == "software":
        host.write(0, 26, 0x08)
    else:
        port.pins.power = False
        emu.clock.advance(1)
        port.pins.power = True
    emu.clock.advance(MGMT_INIT_S)
    assert host.read(0, 126, 2) == bytes(2)
    after = host.read(0, 0, 128)
    live = set(range(14, 26))  # monitors
    assert [n for n in range(126) if n not in live and lower[n] != after[n] and n not in (3, 4, 8)] == []
    for page in pages:
        found = host.read(page, 128, 128)
        monitors = range(154, 202) if page == 0x11 else range(0)
        assert [n for n in range(128, 256) if found[n - 128] != before[page][n - 128] and n not in monitors] == []


@pytest.mark.rule("RST-06", "ID-13")
def test_default_controls_and_masks(host: Host) -> None:
    assert host.byte(0, 26) == 0x40
    assert host.read(0, 31, 6) == bytes(6)
    assert host.read(0x10, 128, 12) == bytes(12)
    assert host.read(0x10, 213, 20) == bytes(20)


@pytest.mark.rule("RST-05")
def test_all_flags_are_clear_after_a_reset(emu: Emulator, host: Host) -> None:
    emu.ports["1"].set_host_signal(1, False)
    emu.fibres["loop"].cut()
    emu.clock.advance(1)
    emu.ports["1"].pins.LPMode = True
    host.write(0, 26, 0x48)
    emu.clock.advance(MGMT_INIT_S)
    assert host.read(0, 8, 4) == bytes([1, 0, 0, 0])  # the state change flag of ModuleLowPwr alone
    assert host.read(0x11, 134, 20) == bytes(20)


@pytest.mark.rule("RST-07", "ID-13")
def test_identity_survives_resets(emu: Emulator, host: Host) -> None:
    before = host.read(0, 128, 128)
    emu.ports["1"].pins.power = False
    emu.clock.advance(1)
    emu.ports["1"].pins.power = True
    emu.settle()
    assert host.read(0, 128, 128) == before


@pytest.mark.rule("RST-08", "I2C-01")
def test_modsell(emu: Emulator, host: Host) -> None:
    pins = emu.ports["1"].pins
    pins.ModSelL = True
    assert not host.answers()
    emu.clock.advance(5)
    pins.ModSelL = False
    assert host.states() == [ACTIVATED] * 8  # a deselected module goes on with its work


@pytest.mark.rule("RST-08")
def test_pin_levels(emu: Emulator) -> None:
    pins = emu.ports["1"].pins
    assert pins.driven() == {"ResetL": True, "LPMode": False, "ModSelL": False, "power": True}
    assert not pins.ModPrsL
    with pytest.raises(InputError, match="a pin that the host drives"):
        pins.set("IntL", True)
    with pytest.raises(InputError, match="ModPrsL"):
        pins.get("Nope")


@pytest.mark.rule("RST-08", "RST-09", "MSM-11")
def test_interrupt_needs_no_poll_and_is_told_once(emu: Emulator, host: Host) -> None:
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    emu.clock.advance(1)
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    port = emu.ports["1"]
    assert port.pins.IntL
    told: list[tuple[int, bool]] = []
    port.interrupt_listeners.append(lambda asserted: told.append((emu.clock.now_ns, asserted)))
    start = emu.clock.now_ns
    emu.fibres["loop"].cut()
    emu.clock.advance(0.2)  # ton_IntL
    assert [asserted for _, asserted in told] == [True]
    assert told[0][0] - start <= 200_000_000
    assert not port.pins.IntL
    port.remove()
    assert [asserted for _, asserted in told] == [True, False]
    assert port.pins.IntL


@pytest.mark.rule("RST-09", "MSM-11")
def test_interrupt_is_released_within_half_a_millisecond(emu: Emulator, host: Host) -> None:
    emu.clock.advance(1)
    assert not emu.ports["1"].pins.IntL
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    emu.clock.advance(0.0005)
    assert emu.ports["1"].pins.IntL


@pytest.mark.rule("RST-09")
@pytest.mark.parametrize("control", [OUTPUT_DISABLE_TX, SQUELCH_FORCE_TX])
def test_tx_goes_off_within_100_ms_and_on_within_400_ms(emu: Emulator, host: Host, control: int) -> None:
    host.control(control, 0x0F)
    emu.clock.advance(0.1)
    assert [host.tx_power_uw(lane) for lane in range(1, 5)] == [0] * 4
    emu.settle()
    host.control(control, 0)
    emu.clock.advance(0.4)
    assert min(host.tx_power_uw(lane) for lane in range(1, 5)) > 500


@pytest.mark.rule("RST-08", "I2C-10")
def test_hot_plug(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    port.remove()
    assert port.pins.ModPrsL
    assert port.pins.IntL
    assert not host.answers()
    emu.clock.advance(10)
    port.pins.LPMode = True  # the cage keeps its levels
    port.insert(DR4)
    assert not port.pins.ModPrsL
    assert not host.answers()
    emu.clock.advance(MGMT_INIT_S)
    assert host.module_state() == LOW_PWR
    port.insert(DR4)  # swapped
    assert not host.answers()
    port.pins.LPMode = False
    emu.settle()
    assert host.states() == [ACTIVATED] * 8
    assert [host.tx_power_uw(lane) > 500 for lane in range(1, 5)] == [True] * 4


@pytest.mark.rule("RST-05")
def test_a_removed_module_leaves_no_timers(emu: Emulator) -> None:
    port = emu.ports["1"]
    port.remove()
    port.insert(DR4)
    emu.fibres["loop"].loss_db = 13.0  # near the threshold of Rx LOS, with the laser warming up: it is being watched
    recovery = port.module.banks[0].signals.recovery
    while recovery._look is None or not recovery._look.pending:
        emu.clock.advance(0.01)
    port.remove()
    assert [entry for entry in emu.clock.pending() if entry[0] < emu.clock.now_ns + 3_600_000_000_000] == []


@pytest.mark.rule("RST-08")
def test_pins_of_an_empty_cage(emu: Emulator, host: Host) -> None:
    port = emu.ports["1"]
    port.remove()
    for pin in ("ResetL", "LPMode", "ModSelL", "power"):
        port.pins.set(pin, False)
        port.pins.set(pin, True)
    port.pins.ModSelL = False
    port.insert(DR4)
    emu.settle()
    assert host.module_state() == LOW_PWR


@pytest.mark.rule("RST-05")
@pytest.mark.parametrize("lane", [0, -1, 33])
def test_host_signal_of_a_lane_that_no_module_has(emu: Emulator, lane: int) -> None:
    with pytest.raises(InputError, match="host lane"):
        emu.ports["1"].set_host_signal(lane, False)
    emu.ports["1"].set_host_signal(32, False)
    emu.settle()


@pytest.mark.rule("RST-05", "MSM-04")
def test_snapshot_in_the_middle_of_everything() -> None:
    """Timers, configurations and state machines go on from a snapshot as they would have."""
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        host.apply(0xFF)
        emu.clock.advance(0.01)
        kept = emu.snapshot()
        futures = []
        for _ in range(2):
            emu.restore(kept)
            seen = []
            for _ in range(60):
                emu.clock.advance(0.05)
                seen.append((host.module_state(), host.states(), host.status(), host.pending(), host.output_tx()))
            futures.append(seen)
        assert futures[0] == futures[1]
        assert futures[0][-1][1] == [ACTIVATED] * 8


@pytest.mark.rule("LSW-01", "LT-01", "FF-01")
def test_what_a_dr4_does_not_have_is_not_advertised(host: Host) -> None:
    assert host.byte(1, 252) == 0  # link training 6, lane switching 7
    assert host.byte(1, 142) & 0x08 == 0  # page 05h
    for page in (0x05, 0x08, 0x09, 0x0A, 0x0B, 0x1D, 0x50, 0x5F, 0x6D):
        host.select(page)
        assert host.byte(0, 127) == 0, page


@pytest.mark.rule("RST-01", "DP-18")
def test_light_goes_out_with_a_reset(emu: Emulator, host: Host) -> None:
    testbed: dict[str, Any] = {
        "version": 1,
        "ports": {"a": {"profile": DR4, "bus": 1}, "b": {"profile": DR4, "bus": 2}},
        "fibres": {"a-b": {"from": "a", "to": "b"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as pair:
        pair.settle()
        pair.clock.advance(1)
        far = Host(pair.smbus(2))
        assert far.output_rx() == 0xFF
        pair.ports["a"].pins.ResetL = False
        pair.clock.advance(0.05)
        assert int.from_bytes(far.read(0x11, 186, 2), "big") <= 1
        assert far.output_rx() == 0
        assert far.states() == [ACTIVATED] * 8
        pair.ports["a"].pins.ResetL = True
        pair.settle()
        pair.clock.advance(1)
        assert far.output_rx() == 0xFF


@pytest.mark.rule("RST-05", "CFG-03")
def test_reset_during_a_configuration(emu: Emulator, host: Host) -> None:
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    host.stage(range(1, 9), 0)
    host.apply(0xFF)
    emu.clock.advance(0.01)
    emu.ports["1"].pins.LPMode = True
    host.write(0, 26, 0x48)
    emu.clock.advance(MGMT_INIT_S)
    assert host.status() == [0] * 8
    assert host.active() == [0x10] * 8
    assert host.states() == [DEACTIVATED] * 8


@pytest.mark.rule("RST-07")
def test_what_the_vendor_wrote_survives_a_reset(emu: Emulator) -> None:
    port = emu.ports["1"]
    port.module.set("VendorSN", "X123")
    port.module.set("OutputDisableTx", True, lane=1)  # a control, and so gone
    port.pins.ResetL = False
    emu.clock.advance(0.01)
    port.pins.ResetL = True
    emu.settle()
    page = port.module.peek(0, 128, 128)
    assert port.module.get("VendorSN") == "X123"
    assert page[222 - 128] == sum(page[: 222 - 128]) & 0xFF
    assert port.module.get("OutputDisableTx", lane=1) is False
