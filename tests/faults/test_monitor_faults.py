"""Faults of monitors and thresholds, as a host sees them: mon.override, mon.thresholds.

Rows of the field catalogue (sections 4, 8 and 10) are named in the tests that reproduce them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from cmis_host import Host
from faulty import arm, arming

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.occasions import Occasions
from cmis_emu.registers.encoding import decode_f16

DR4 = "qsfpdd-400g-dr4"
PERIOD_S = 0.1


@pytest.fixture
def still() -> Iterator[Emulator]:
    """A DR4 looped by 3 dB, warm and with nothing to report."""
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": DR4, "bus": 1}},
        "fibres": {"loop": {"from": "1", "to": "1", "loss_db": 3.0}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(2 * 3600)
        drain(Host(emu.smbus(1)))
        emu.clock.advance(0.35)
        yield emu


@pytest.fixture
def looker(still: Emulator) -> Host:
    return Host(still.smbus(1))


def drain(host: Host) -> None:
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    host.read(0x2C, 128, 128)


def temperature(host: Host) -> float:
    return float(struct.unpack(">h", host.read(0, 14, 2))[0]) / 256


def words(host: Host, offset: int, count: int) -> list[int]:
    return list(struct.unpack(f">{count}H", host.read(0x11, offset, 2 * count)))


def vdm(host: Host, group: int = 0) -> list[int]:
    return list(struct.unpack(">64H", host.read(0x24 + group, 128, 128)))


@pytest.mark.parametrize("faulty", [True, False])
def test_M1_one_sample_of_123_degrees(still: Emulator, looker: Host, faulty: bool) -> None:
    if faulty:
        arm(still, "mon.override", field="TempMonValue", value="123 degC", skip=5, count=1)
    seen = []
    for _ in range(30):
        seen.append(temperature(looker))
        still.clock.advance(PERIOD_S)
    assert (max(seen) == 123.0) == faulty
    assert sum(value > 60 for value in seen) == int(faulty)
    assert (looker.byte(0, 9) & 0b0101 == 0b0101) == faulty, "high alarm and high warning"


@pytest.mark.parametrize("polled", [True, False])
def test_a_spike_comes_whether_or_not_a_host_reads(still: Emulator, looker: Host, polled: bool) -> None:
    occasions = Occasions(still.seed, 9, probability=0.05, count=2)
    arming(still, "mon.override", occasions, field="TempMonValue", value=120)
    for _ in range(200):
        if polled:
            temperature(looker)
        still.clock.advance(PERIOD_S)
    assert occasions.taken == 2
    assert occasions.seen == 201
    assert looker.byte(0, 9) & 1
    assert not still.ports["1"].pins.IntL or looker.byte(0, 9) == 0


@pytest.mark.parametrize("flags", [True, False])
def test_flags_follow_what_is_reported_or_what_is_true(still: Emulator, looker: Host, flags: bool) -> None:
    clear = arm(still, "mon.override", field="VccMonVoltage", value="2.5 V", flags=flags)
    still.clock.advance(1)
    assert looker.read(0, 16, 2) == (25000).to_bytes(2, "big")
    assert (looker.byte(0, 9) >> 4 == 0b1010) == flags
    clear()
    still.clock.advance(1)
    looker.byte(0, 9)
    still.clock.advance(1)
    assert looker.byte(0, 9) == 0
    assert int.from_bytes(looker.read(0, 16, 2), "big") == pytest.approx(33_000, abs=500)


def test_M3_nonsensical_monitors_and_thresholds(still: Emulator, looker: Host) -> None:
    arm(still, "mon.override", field="OpticalPowerTx", value=0)
    arm(still, "mon.override", field="OpticalPowerRx", how="code", code=0xFFFF, lanes=[2])
    arm(still, "mon.thresholds", monitor="OpticalPowerTx", how="zero")
    arm(still, "mon.thresholds", monitor="LaserBiasTx", how="ones")
    drain(looker)
    still.clock.advance(1)
    assert words(looker, 154, 4) == [0] * 4
    assert words(looker, 186, 4)[1] == 0xFFFF
    assert looker.read(2, 176, 16) == bytes(8) + b"\xff" * 8
    flags = looker.read(0x11, 139, 13)
    assert flags[0:4] == bytes(4), "0 is not beyond 0"
    assert flags[4:8] == bytes([0, 0x0F, 0, 0x0F]), "no bias reaches a low threshold of FFFFh"
    assert flags[10] == 0b0010, "lane 2's high alarm"
    page = looker.read(2, 128, 128)
    assert sum(page[:127]) & 0xFF == page[127], "its checksum is right"


def test_M3_without_the_fault(still: Emulator, looker: Host) -> None:
    still.clock.advance(1)
    assert all(words(looker, 154, 4))
    assert looker.read(0x11, 139, 12) == bytes(12)


@pytest.mark.parametrize("faulty", [True, False])
def test_M7_the_critical_threshold_of_the_wrong_side(still: Emulator, looker: Host, faulty: bool) -> None:
    before = looker.read(2, 128, 8)
    if faulty:
        clear = arm(still, "mon.thresholds", monitor="TempMon", how="swap")
    high, low = struct.unpack(">hh", looker.read(2, 128, 4))
    assert (high < low) == faulty
    still.clock.advance(1)
    assert (looker.byte(0, 9) & 15 == 0b1111) == faulty, "above the high and below the low ones"
    if faulty:
        still.ports["1"].pins.ResetL = False
        still.clock.advance(0.001)
        still.ports["1"].pins.ResetL = True
        still.clock.advance(5)
        assert struct.unpack(">h", looker.read(2, 128, 2))[0] == high, "kept over a reset"
        clear()
    assert looker.read(2, 128, 8) == before


def test_thresholds_with_two_faults_cleared_in_the_order_of_arming(still: Emulator, looker: Host) -> None:
    before = looker.read(2, 128, 128)
    first = arm(still, "mon.thresholds", monitor="TempMon", how="swap")
    second = arm(still, "mon.thresholds", monitor="TempMon", how="zero")
    third = arm(still, "mon.thresholds", monitor="VccMon", how="ones")
    assert looker.read(2, 128, 16) == bytes(8) + b"\xff" * 8
    first()
    assert looker.read(2, 128, 8) == bytes(8)
    second()
    assert looker.read(2, 128, 8) == before[:8]
    third()
    assert looker.read(2, 128, 128) == before


def test_M9_zero_until_the_module_is_ready() -> None:
    with Emulator.load(DR4, clock=ManualClock(), seed=1) as emu:
        host = Host(emu.smbus(1))
        clear = arm(emu, "mon.override", field="TempMonValue", value=0, flags=False)
        emu.clock.advance(1)
        assert temperature(host) == 0
        emu.settle()
        clear()
        assert temperature(host) > 25


@pytest.mark.parametrize("how", ["unavailable", "scale"])
def test_M12_invalid_signal_to_noise(still: Emulator, looker: Host, how: str) -> None:
    good = vdm(looker)[7:11]
    assert all(20 < code / 256 < 26 for code in good)
    extra: dict[str, Any] = {"value": 256} if how == "scale" else {}
    arm(still, "mon.override", field="esnr_media", how=how, **extra)
    arm(still, "mon.override", field="SNRMediaLane", how=how, lanes=[1], **extra)
    still.clock.advance(1)
    assert vdm(looker)[7:11] == [0xFFFF] * 4
    looker.write(0x14, 128, 6)
    found = struct.unpack("<4H", looker.read(0x14, 240, 8))
    assert found[0] == 0xFFFF
    assert 20 < found[1] / 256 < 26


def test_K9_a_ratio_of_errors_that_comes_out_far_too_low(still: Emulator, looker: Host) -> None:
    """The coherent counters are not there yet; the ratio of the DR4 shows what their host would compute."""
    before = [decode_f16(code) for code in vdm(looker)[27:31]]
    arm(still, "mon.override", field="pre_fec_ber_current_media", how="scale", value=1e-3)
    still.clock.advance(1)
    after = [decode_f16(code) for code in vdm(looker)[27:31]]
    assert after == pytest.approx([value / 1000 for value in before], rel=0.3)


def test_noise_drift_offset_and_stale(still: Emulator, looker: Host) -> None:
    def spread(samples: list[float]) -> float:
        return max(samples) - min(samples)

    def watch() -> list[float]:
        found = []
        for _ in range(50):
            still.clock.advance(PERIOD_S)
            found.append(temperature(looker))
        return found

    quiet = watch()
    noise = arm(still, "mon.override", field="TempMonValue", how="noise", value=2)
    assert spread(watch()) > 5 * spread(quiet)
    noise()
    offset = arm(still, "mon.override", field="TempMonValue", how="offset", value=10)
    assert sum(watch()) / 50 == pytest.approx(sum(quiet) / 50 + 10, abs=0.2)
    drift = arm(still, "mon.override", field="TempMonValue", how="drift", value=0.5)
    still.clock.advance(15)
    assert temperature(looker) == pytest.approx(sum(quiet) / 50 + 10 + 7.5, abs=0.5)
    offset(), drift()
    stale = arm(still, "mon.override", field="TempMonValue", how="stale")
    held = temperature(looker)
    arm(still, "env.ambient", temperature="50 degC")
    still.clock.advance(3600)
    assert temperature(looker) == held
    stale()
    still.clock.advance(PERIOD_S)
    assert temperature(looker) > held + 5


def test_a_lane_by_the_name_of_its_field(still: Emulator, looker: Host) -> None:
    arm(still, "mon.override", field="OpticalPowerRx3", value="-20 dBm")
    still.clock.advance(0.3)
    assert [code == 100 for code in words(looker, 186, 4)] == [False, False, True, False]
    assert looker.read(0x11, 149, 4) == bytes([0, 0b0100, 0, 0b0100])


def test_vdm_flags_follow_a_lying_observable(still: Emulator, looker: Host) -> None:
    looker.read(0x2C, 128, 128)
    arm(still, "mon.override", field="esnr_media", value=10, lanes=[2])
    still.clock.advance(1)
    flags = looker.read(0x2C, 128, 8)
    assert flags[4] == 0b1010, "instance 9: low alarm and low warning"
    assert sum(flags) == 0b1010


@pytest.mark.parametrize(
    "arguments",
    [
        {"field": "VendorName", "value": 1},
        {"field": "TempMonValue"},
        {"field": "TempMonValue", "how": "code"},
        {"field": "TempMonValue", "value": "3 dollars"},
        {"field": "NoSuchField", "value": 1},
    ],
)
def test_overrides_that_are_refused(still: Emulator, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        arm(still, "mon.override", **arguments)
