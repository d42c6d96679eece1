"""Diagnostics, what a measurement finds: gates, counts, error ratios, SNR, selectors (rules DIAG-09 to DIAG-14).

The signals are a double (`diagnostics_bench.py`). Offsets are typed from the standard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostics_bench import HOST, MEDIA, RATE, Rig

from cmis_emu.physics.light import Stream
from cmis_emu.registers.encoding import decode_f16

Make = Callable[..., Rig]

HOST_CHECK, MEDIA_CHECK, GATING = 160, 168, 177
GLOBAL, RESET, RESTART = 0x80, 0x20, 0x10
GATE_5S, GATE_10S, GATE_CUSTOM = 1 << 1, 2 << 1, 7 << 1
SLOW_UPDATE = 0x01
GATE_DONE, CHECK_LOL = 134, 138  # host lanes; media lanes one further
PRBS31Q = Stream(0)
BER, HOST_1_4, HOST_5_8, MEDIA_1_4, MEDIA_5_8, SNR = range(1, 7)
GATED = 0x10
LOCK = 0.005  # s


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build a rig on which the host and the media send PRBS31Q on every lane."""

    def build(**registers: object) -> Rig:
        rig = Rig(tmp_path, **registers)
        for lane in range(1, 9):
            rig.signals.host[lane] = PRBS31Q
            rig.signals.media[lane] = PRBS31Q if lane <= 4 else None
        return rig

    return build


def counts(rig: Rig, selector: int) -> list[tuple[int, int]]:
    """(errors, bits with the bit of lost sync) of the four lanes of a selector."""
    data = rig.selected(selector)
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, 64, 8)]
    return list(zip(words[::2], words[1::2], strict=True))


def ratios(rig: Rig, selector: int = BER) -> list[float]:
    """Error ratios of host lanes 1 to 8 and media lanes 1 to 8."""
    data = rig.selected(selector)
    return [decode_f16(int.from_bytes(data[at : at + 2], "big")) for at in range(0, 32, 2)]


def bits(seconds: float, rate: float = RATE) -> int:
    return int(round(seconds * 1e9) * rate / 1e9) & ~1


# -- free running (DIAG-09, DIAG-11) -------------------------------------------------------------------------


@pytest.mark.rule("DIAG-09", "DIAG-11", "DIAG-13")
def test_a_checker_counts_from_its_lock_and_shows_it_once_a_period(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(HOST, 3, 1e-6)
    rig.write(0x13, HOST_CHECK, 0x04)
    rig.clock.advance(0.999)
    assert rig.selected(HOST_1_4) == bytes(64)
    rig.clock.advance(0.001)
    errors, seen = counts(rig, HOST_1_4)[2]
    assert seen == bits(1 - LOCK)
    assert errors == pytest.approx(RATE * 0.995e-6, rel=0.02)
    rig.clock.advance(0.999)
    assert counts(rig, HOST_1_4)[2] == (errors, seen)
    rig.clock.advance(0.001)
    assert counts(rig, HOST_1_4)[2][1] == bits(2 - LOCK)
    assert ratios(rig)[2] == pytest.approx(1e-6, rel=0.02)
    assert [n for n, ratio in enumerate(ratios(rig)) if ratio] == [2]


@pytest.mark.rule("DIAG-11")
def test_the_update_period_can_be_five_seconds(make: Make) -> None:
    rig = make()
    rig.write(0x13, GATING, SLOW_UPDATE)
    rig.write(0x13, MEDIA_CHECK, 0x01)
    rig.clock.advance(4.999)
    assert rig.selected(MEDIA_1_4) == bytes(64)
    rig.clock.advance(0.001)
    assert counts(rig, MEDIA_1_4)[0][1] == bits(5 - LOCK, 2 * RATE)


@pytest.mark.rule("DIAG-09")
def test_switching_on_again_starts_anew(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(HOST, 1, 1e-5)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(7)
    rig.write(0x13, HOST_CHECK, 0x00)
    rig.write(0x13, HOST_CHECK, 0x01)
    assert rig.selected(HOST_1_4) == bytes(64)
    rig.clock.advance(1)
    assert counts(rig, HOST_1_4)[0][1] == bits(1 - LOCK)


@pytest.mark.rule("DIAG-14")
def test_a_checker_that_is_off_reports_nothing(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(MEDIA, 2, 1e-4)
    rig.write(0x13, MEDIA_CHECK, 0x02)
    rig.clock.advance(3)
    assert ratios(rig)[9] > 0
    rig.write(0x13, MEDIA_CHECK, 0x00)
    assert ratios(rig) == [0.0] * 16
    assert rig.selected(MEDIA_1_4) == bytes(64)


@pytest.mark.rule("DIAG-13")
def test_bit_0_of_the_bits_tells_a_lost_sync(make: Make) -> None:
    rig = make()
    rig.write(0x13, HOST_CHECK, 0x03)
    rig.clock.advance(1)
    assert counts(rig, HOST_1_4)[0][1] == bits(1 - LOCK)
    rig.signals.host[2] = None
    rig.signals.settle()
    rig.clock.advance(1)
    kept = counts(rig, HOST_1_4)[1][1]
    assert kept == bits(1 - LOCK) | 1  # it counted until then
    rig.signals.host[2] = PRBS31Q
    rig.signals.settle()
    rig.clock.advance(1)
    assert counts(rig, HOST_1_4)[1][1] == bits(2 - 2 * LOCK) | 1
    assert counts(rig, HOST_1_4)[0][1] == bits(3 - LOCK)


@pytest.mark.rule("DIAG-13")
def test_a_checker_that_finds_no_pattern_has_counted_no_bits(make: Make) -> None:
    rig = make()
    rig.signals.host[5] = None
    rig.write(0x13, HOST_CHECK, 0x10)
    rig.clock.advance(2)
    assert counts(rig, HOST_5_8)[0] == (0, 1)
    assert ratios(rig)[4] == 0.0


# -- gates (DIAG-09) -----------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-09")
@pytest.mark.parametrize(("code", "seconds"), [(1, 5), (2, 10), (3, 30), (4, 60), (5, 120), (6, 300), (7, 1)])
def test_a_gate_lasts_as_long_as_chosen_and_its_result_stays(make: Make, code: int, seconds: int) -> None:
    rig = make()
    rig.signals.set_ratio(MEDIA, 1, 1e-7)
    rig.write(0x13, GATING, code << 1)
    rig.write(0x13, MEDIA_CHECK, 0x01)
    rig.clock.advance(seconds - 0.001)
    assert rig.read(0x14, GATE_DONE, 2) == bytes(2)
    assert rig.selected(GATED | MEDIA_1_4) == bytes(64)
    rig.clock.advance(0.001)
    assert rig.read(0x14, GATE_DONE, 2) == bytes((0, 0x01))
    found = counts(rig, MEDIA_1_4)[0]
    assert found[1] == bits(seconds - LOCK, 2 * RATE)
    assert counts(rig, GATED | MEDIA_1_4)[0] == found
    rig.clock.advance(20)
    assert counts(rig, MEDIA_1_4)[0] == counts(rig, GATED | MEDIA_1_4)[0] == found
    assert rig.read(0x14, GATE_DONE, 2) == bytes(2)
    assert rig.clock.pending() == []
    assert ratios(rig, GATED | BER)[8] == pytest.approx(1e-7, rel=0.1)
    rig.write(0x13, MEDIA_CHECK, 0x00)
    assert rig.selected(MEDIA_1_4) == bytes(64)  # DIAG-14
    assert counts(rig, GATED | MEDIA_1_4)[0] == found
    rig.write(0x13, MEDIA_CHECK, 0x01)
    assert rig.selected(GATED | MEDIA_1_4) == bytes(64)


@pytest.mark.rule("DIAG-09", "DIAG-15")
def test_the_end_of_a_gate_interrupts_where_it_is_not_masked(make: Make) -> None:
    rig = make()
    rig.write(0x13, 208, 0x00)
    rig.write(0x13, GATING, GATE_5S)
    rig.write(0x13, HOST_CHECK, 0x81)
    rig.clock.advance(5)
    assert rig.interrupts == [True]
    assert rig.byte(0x14, GATE_DONE) == 0x81
    assert rig.interrupts == [True, False]
    rig.clock.advance(1)
    assert rig.byte(0x14, GATE_DONE) == 0  # an event, not a condition


@pytest.mark.rule("DIAG-09")
def test_gates_restart_by_themselves_when_told(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(HOST, 1, 1e-6)
    rig.write(0x13, GATING, GATE_5S | RESTART)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(5)
    first = counts(rig, GATED | HOST_1_4)[0]
    assert rig.byte(0x14, GATE_DONE) == 0x01
    rig.clock.advance(2)
    running = counts(rig, HOST_1_4)[0]
    assert running[1] == bits(2)  # locked throughout
    assert counts(rig, GATED | HOST_1_4)[0] == first
    assert rig.byte(0x14, GATE_DONE) == 0
    rig.clock.advance(3)
    second = counts(rig, GATED | HOST_1_4)[0]
    assert second[1] == bits(5)
    assert second[0] != first[0]  # another measurement, with chances of its own
    assert rig.byte(0x14, GATE_DONE) == 0x01


@pytest.mark.rule("DIAG-09")
def test_one_timer_for_all_or_one_for_each_lane(make: Make) -> None:
    each = make()
    each.write(0x13, GATING, GATE_10S)
    each.write(0x13, HOST_CHECK, 0x01)
    each.clock.advance(4)
    each.write(0x13, HOST_CHECK, 0x03)
    each.clock.advance(6)
    assert each.byte(0x14, GATE_DONE) == 0x01
    each.clock.advance(4)
    assert each.byte(0x14, GATE_DONE) == 0x02
    assert counts(each, GATED | HOST_1_4)[1][1] == bits(10 - LOCK)
    together = make()
    together.write(0x13, GATING, GATE_10S | GLOBAL)
    together.write(0x13, HOST_CHECK, 0x01)
    together.clock.advance(4)
    together.write(0x13, MEDIA_CHECK, 0x02)
    together.clock.advance(6)
    assert together.read(0x14, GATE_DONE, 2) == bytes((0x01, 0x02))
    assert counts(together, GATED | MEDIA_1_4)[1][1] == bits(6 - LOCK, 2 * RATE)


@pytest.mark.rule("DIAG-09")
def test_without_timers_of_lanes_there_is_one(make: Make) -> None:
    rig = make(PerLaneGatingTimersSupported=0)
    rig.write(0x13, GATING, GATE_5S)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(3)
    rig.write(0x13, HOST_CHECK, 0x03)
    rig.clock.advance(2)
    assert rig.byte(0x14, GATE_DONE) == 0x03


@pytest.mark.rule("DIAG-11")
def test_without_periodic_updates_a_gate_shows_nothing_before_its_end(make: Make) -> None:
    rig = make(PeriodicUpdatesSupported=0)
    rig.write(0x13, GATING, GATE_5S)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(4)
    assert rig.selected(HOST_1_4) == bytes(64)
    rig.clock.advance(1)
    assert counts(rig, HOST_1_4)[0][1] == bits(5 - LOCK)


@pytest.mark.rule("DIAG-09")
def test_switching_off_within_a_gate_ends_it_without_a_result(make: Make) -> None:
    rig = make()
    rig.write(0x13, GATING, GATE_5S)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(3)
    rig.write(0x13, HOST_CHECK, 0x00)
    rig.clock.advance(5)
    assert rig.byte(0x14, GATE_DONE) == 0
    assert rig.selected(GATED | HOST_1_4) == bytes(64)
    assert rig.clock.pending() == []


# -- ResetErrorInformation (DIAG-10) -------------------------------------------------------------------------


@pytest.mark.rule("DIAG-10")
def test_a_reset_clears_at_once_holds_and_counts_anew(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(HOST, 1, 1e-6)
    rig.signals.set_ratio(MEDIA, 1, 1e-6)
    for at in (HOST_CHECK, MEDIA_CHECK):
        rig.write(0x13, at, 0x01)
    rig.clock.advance(4)
    assert counts(rig, HOST_1_4)[0][0]
    rig.write(0x13, GATING, RESET)
    for selector in (BER, HOST_1_4, MEDIA_1_4):
        assert rig.selected(selector) == bytes(64)
    rig.clock.advance(3)
    assert rig.selected(HOST_1_4) == bytes(64)
    rig.write(0x13, GATING, 0)
    rig.clock.advance(1)
    assert counts(rig, HOST_1_4)[0][1] == bits(1)  # it had kept its lock
    assert counts(rig, MEDIA_1_4)[0][1] == bits(1, 2 * RATE)


@pytest.mark.rule("DIAG-10")
def test_a_reset_clears_the_last_gate_too(make: Make) -> None:
    rig = make()
    rig.write(0x13, GATING, GATE_5S)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(5)
    assert counts(rig, GATED | HOST_1_4)[0][1]
    rig.write(0x13, GATING, GATE_5S | RESET)
    assert rig.selected(GATED | HOST_1_4) == bytes(64)
    rig.write(0x13, GATING, GATE_5S)
    rig.clock.advance(5)
    assert counts(rig, GATED | HOST_1_4)[0][1] == bits(5)


# -- selectors (DIAG-12, DIAG-13) ----------------------------------------------------------------------------


@pytest.mark.rule("DIAG-12")
def test_every_selector_reads_back_and_an_unknown_one_reads_0(make: Make) -> None:
    rig = make()
    known = {0, *range(1, 7), *range(0x11, 0x16)}
    for selector in range(256):
        rig.write(0x14, 128, selector)
        assert rig.byte(0x14, 128) == (selector if selector in known else 0)
        if selector not in known:
            assert rig.read(0x14, 192, 64) == bytes(64)


@pytest.mark.rule("DIAG-12")
@pytest.mark.parametrize(
    ("registers", "gone"),
    [
        ({"BitErrorRatioResultsSupported": 0}, {0x01, 0x11}),
        ({"BitsAndErrorsCountingSupported": 0}, {0x02, 0x03, 0x04, 0x05, 0x12, 0x13, 0x14, 0x15}),
        ({"HostSideInputSNRMeasurementSupported": 0, "MediaSideInputSNRMeasurementSupported": 0}, {0x06}),
        ({"GatingResultsSupported": 0}, {0x11, 0x12, 0x13, 0x14, 0x15}),
    ],
)
def test_a_selector_of_what_is_not_advertised_reads_0(make: Make, registers: dict[str, int], gone: set[int]) -> None:
    rig = make(**registers)
    for selector in (*range(1, 7), *range(0x11, 0x16)):
        rig.write(0x14, 128, selector)
        assert rig.byte(0x14, 128) == (0 if selector in gone else selector)


@pytest.mark.rule("DIAG-12")
def test_one_side_of_the_snr_alone(make: Make) -> None:
    rig = make(HostSideInputSNRMeasurementSupported=0)
    data = rig.selected(SNR)
    assert data[:48] == bytes(48)
    assert data[48:50] == round(22.5 * 256).to_bytes(2, "little")


@pytest.mark.rule("DIAG-13", "DIAG-14")
def test_snr_lies_where_hosts_read_it_and_needs_no_checker(make: Make) -> None:
    rig = make()
    rig.signals.host[2] = None
    data = rig.selected(SNR)
    code = round(22.5 * 256).to_bytes(2, "little")
    assert data[16:32] == code + bytes(2) + 6 * code  # 208: host lanes
    assert data[48:64] == 4 * code + bytes(8)  # 240: media lanes
    assert data[:16] == data[32:48] == bytes(16)
    rig.signals.snr = 17.0
    assert rig.selected(SNR)[16:18] == round(17.0 * 256).to_bytes(2, "little")


@pytest.mark.rule("DIAG-13")
def test_a_ratio_is_f16_with_the_exponent_first(make: Make) -> None:
    rig = make()
    rig.signals.set_ratio(HOST, 8, 1e-4)
    rig.signals.set_ratio(MEDIA, 1, 3e-4)
    rig.write(0x13, HOST_CHECK, 0x80)
    rig.write(0x13, MEDIA_CHECK, 0x01)
    rig.clock.advance(1)
    data = rig.selected(BER)
    assert (data[14] >> 3, data[16] >> 3) == (17, 18)  # mantissa x 10^(s-24), mantissa up to 2047
    assert (data[14] & 7) << 8 | data[15] == pytest.approx(1000, abs=2)
    assert (data[16] & 7) << 8 | data[17] == pytest.approx(300, abs=1)
    assert data[:14] == bytes(14)


def test_results_do_not_depend_on_who_looks(make: Make) -> None:
    quiet, watched = make(), make()
    for rig in (quiet, watched):
        rig.signals.set_ratio(HOST, 1, 3e-10)
        rig.signals.set_ratio(MEDIA, 4, 2e-7)
        rig.write(0x13, HOST_CHECK, 0x01)
        rig.write(0x13, MEDIA_CHECK, 0x08)
        for step in range(400):
            rig.clock.advance(0.05)
            if rig is watched:
                rig.selected((BER, HOST_1_4, MEDIA_1_4, SNR, 0x77)[step % 5])
                rig.write(0x13, 184 + step % 8, step % 256)  # controls that mean nothing here
                rig.signals.settle()
    for selector in (BER, HOST_1_4, MEDIA_1_4):
        assert quiet.selected(selector) == watched.selected(selector) != bytes(64)
