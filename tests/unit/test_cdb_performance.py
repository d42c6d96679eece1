"""Performance monitoring by command, held against what the registers and the physics say (CMD-07)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from binomial import weights_of
from cdb_host import EPL, MESSAGE, PARAMETER, SUCCESS, UNKNOWN, CdbHost, cdb, f16
from cmis_host import DP_DEINIT, Host
from dr4 import DR4, Variant

from cmis_emu import Emulator, ManualClock

CODEWORD_BITS = 5440
LINE_RATE = 425e9
CLEAR, CURRENT = 0x80, 0x01
SNR, LTP, BER = 1, 2, 4  # byte 144 of media lanes
BIAS, TX, RX = 1, 2, 4  # byte 145
PM: dict[str, Any] = {"revision": "5.3", "groups": ["performance"]}
"""The DR4 with performance monitoring."""


def request(resources: int, low: int = 0, high: int = 0, selection: int = 0) -> bytes:
    return bytes([selection, 0, 0, 0]) + resources.to_bytes(4, "big") + bytes([low, high, 0, 0]) + bytes(8)


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


def records(data: bytes, size: int) -> list[list[int]]:
    found = words(data)
    return [found[n : n + size] for n in range(0, len(found), size)]


@pytest.fixture
def emu(variant: Variant) -> Emulator:
    emulator = variant(cdb(**PM))
    emulator.fibres["loop"].loss_db = 6.9
    emulator.clock.advance(5)
    return emulator


@pytest.fixture
def host(emu: Emulator) -> CdbHost:
    return CdbHost(emu)


# -- records ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("CMD-07")
def test_the_module_s_own_monitors(emu: Emulator, host: CdbHost) -> None:
    emu.clock.advance(3600)  # warm
    host.ask(0x0200, bytes([0, 0, 1, 0]))
    emu.clock.advance(60)
    (celsius, volts) = records(host.ask(0x0210, bytes([CURRENT, 3, 0, 0, 0])), 4)
    monitors = host.get(14, 4)
    assert celsius[3] == int.from_bytes(monitors[:2], "big")
    assert volts[3] == int.from_bytes(monitors[2:], "big")
    for low, average, high, current in (celsius, volts):
        assert low <= average <= high
        assert low <= current <= high
        assert high - low < 600
    assert records(host.ask(0x0210, bytes([0, 2, 0, 0, 0])), 3)[0][1] == pytest.approx(volts[1], abs=3)
    assert host.ask(0x0210, bytes([0, 1, 0, 0, 0]))[:2] == celsius[0].to_bytes(2, "big")


@pytest.mark.rule("CMD-07")
def test_an_excursion_is_in_the_extremes_and_goes_with_clearing(emu: Emulator, host: CdbHost) -> None:
    volts = bytes([CURRENT, 2, 0, 0, 0])
    plant = emu.ports["1"].module.plant
    host.ask(0x0200, bytes([0, 0, 1, 0]))
    for supply, seconds in ((3.3, 10), (3.0, 2), (3.3, 10)):
        plant.set_supply(supply)
        emu.clock.advance(seconds)
    ((low, average, high, current),) = records(host.ask(0x0210, volts), 4)
    before = int.from_bytes(host.get(16, 2), "big")
    assert current == pytest.approx(before, abs=100)
    assert low < before - 2900, "0.3 V lower, in units of 100 uV"
    assert average == pytest.approx(high - 3000 * 2 / 22, abs=150), "weighed by time"
    assert records(host.ask(0x0210, bytes([CLEAR, 2, 0, 0, 0])), 3)[0][0] == low
    emu.clock.advance(1)
    assert records(host.ask(0x0210, volts), 4)[0][0] > before - 200


@pytest.mark.rule("CMD-07", "MON-01")
def test_media_lanes_agree_with_the_monitors(emu: Emulator, host: CdbHost) -> None:
    host.ask(0x0200, bytes([0, 0, 1, 0]))
    emu.clock.advance(30)
    data = b"".join(host.ask(0x0214, request(1 << lane, 0, BIAS | TX | RX, CURRENT)) for lane in range(4))
    found = records(data, 4)
    for number, offset in enumerate((170, 154, 186)):  # bias, Tx power, Rx power: the order of the bits
        shown = words(host.read(0x11, offset, 8))
        for lane in range(4):
            low, average, high, current = found[3 * lane + number]
            assert current == pytest.approx(shown[lane], rel=0.02)
            assert low <= average <= high
            assert 0.9 < low / high <= 1


@pytest.mark.rule("CMD-07")
def test_signal_quality_agrees_with_diagnostics(emu: Emulator, host: CdbHost) -> None:
    host.ask(0x0200, bytes([0, 0, 1, 0]))
    emu.clock.advance(10)
    host.read(0x14, 128)
    host.put(128, b"\6")
    emu.clock.advance(0.02)
    raw = host.get(208, 48)
    tx_first = [int.from_bytes(raw[n : n + 2], "little") / 256 for n in range(0, 48, 2)]
    host_snr, media_snr = tx_first[:8], tx_first[16:20]
    media = records(host.ask(0x0214, request(0b1111, SNR, 0, CURRENT)), 4)
    assert [row[3] / 256 for row in media] == pytest.approx(media_snr, abs=0.3)
    hosts = records(host.ask(0x0212, request(0xFF, SNR, 0, CURRENT)), 4)
    assert [row[3] / 256 for row in hosts] == pytest.approx(host_snr, abs=0.5)
    assert host.ask(0x0201) == bytes([3, 3, 0, 0])
    levels = records(host.ask(0x0212, request(0b1, LTP, 0, 0)), 3)
    assert levels[0][0] > 20 * 256


@pytest.mark.rule("CMD-07")
def test_error_ratios_follow_the_light(emu: Emulator, host: CdbHost) -> None:
    averages = []
    for loss in (6.0, 6.9, 7.4):
        emu.fibres["loop"].loss_db = loss
        emu.clock.advance(2)
        host.ask(0x0200, bytes([0, 0, 1, 0]))
        emu.clock.advance(20)
        lanes = host.ask(0x0214, request(0b1111, BER))
        ratios = [f16(lanes[6 * n + 2 : 6 * n + 4]) for n in range(4)]
        path = host.ask(0x0216, request(1, 3))
        assert len(path) == 12
        assert f16(path[8:10]) == pytest.approx(sum(ratios) / 4, rel=0.05)
        averages.append((sum(ratios) / 4, f16(path[2:4])))
    (easy, easy_ferc), (middle, _), (hard, hard_ferc) = averages
    assert easy == pytest.approx(2.2e-5, rel=0.5)
    assert hard == pytest.approx(6e-4, rel=0.5)
    assert easy < middle < hard
    assert easy_ferc < 1e-20 < hard_ferc < 1e-4


@pytest.mark.rule("CMD-07", "MON-03")
def test_what_is_not_at_work_reads_0(emu: Emulator, host: CdbHost) -> None:
    Host(host.bus).control(DP_DEINIT, 0xFF)
    emu.settle()
    for command, asked in (
        (0x0214, request(0b1, 7, 7, CURRENT)),
        (0x0212, request(0xFF, 1)),
        (0x0216, request(0b1, 3)),
    ):
        data = host.ask(command, asked)
        assert data == bytes(len(data))


@pytest.mark.rule("CMD-07")
def test_clear_on_read_is_of_what_was_read_unless_lanes_are_linked(emu: Emulator, host: CdbHost) -> None:
    def lowest() -> list[int]:
        return [row[0] for row in records(host.ask(0x0214, request(0b1111, 0, RX)), 3)]

    def dip() -> None:
        host.ask(0x0200, bytes([int(linked), 0, 1, 0]))
        emu.clock.advance(5)
        emu.fibres["loop"].loss_db = 9.0
        emu.clock.advance(1)
        emu.fibres["loop"].loss_db = 6.9
        emu.clock.advance(5)

    for linked in (False, True):
        dip()
        deep = lowest()
        host.ask(0x0214, request(0b0010, 0, RX, CLEAR))
        emu.clock.advance(1)
        after = lowest()
        assert after[1] > 1.4 * deep[1]
        assert (after[0] > 1.4 * deep[0]) is linked
        assert (after[3] > 1.4 * deep[3]) is linked


@pytest.mark.rule("CMD-07", "CDB-06")
def test_extended_replies_hold_the_same_records(emu: Emulator, host: CdbHost) -> None:
    asked = request(0b11, 7, 7, CURRENT)
    local = host.ask(0x0214, asked)
    assert host.run(0x0215, asked) == SUCCESS
    assert host.read(MESSAGE, 134, 2) == bytes([240, 0xFF])
    paged = host.read(EPL, 128, 128)
    # The instant is another: only what does not move must be the same.
    assert [row[2] for row in records(paged[: len(local)], 4)] == [row[2] for row in records(local, 4)]
    assert host.run(0x0211, bytes([0, 3, 0, 0, 0])) == SUCCESS
    assert host.run(0x0213, request(0xFF, 3)) == SUCCESS
    assert host.run(0x0217, request(1, 3)) == SUCCESS


@pytest.mark.rule("CMD-07", "CDB-16")
@pytest.mark.parametrize(
    ("command", "lpl"),
    [
        (0x0210, bytes([0, 0, 0, 0, 0])),
        (0x0210, bytes([0, 4, 0, 0, 0])),
        (0x0210, bytes([0, 1, 0, 0, 1])),
        (0x0212, request(0)),
        (0x0212, request(1, 4)),
        (0x0212, request(1, 1, 1)),
        (0x0214, request(1 << 4, 1)),
        (0x0214, request(1, 8)),
        (0x0214, request(0b1111, 7, 7)),
        (0x0216, request(1 << 8, 1)),
        (0x0216, request(1, 4)),
        (0x0230, bytes([0, 0])),
        (0x0230, bytes([9, 0])),
        (0x0230, bytes([1, 6])),
        (0x0290, bytes([0x10])),
    ],
)
def test_what_cannot_be_answered_is_a_parameter_error(variant: Variant, command: int, lpl: bytes) -> None:
    assert CdbHost(variant(cdb(**PM))).run(command, lpl) == PARAMETER


@pytest.mark.rule("CMD-07")
def test_without_extended_pages_there_are_no_extended_commands(variant: Variant) -> None:
    host = CdbHost(variant(cdb(**PM, epl_pages=0, auto_paging=False)))
    assert host.run(0x0211, bytes([0, 3, 0, 0, 0])) == UNKNOWN
    assert host.run(0x0210, bytes([0, 3, 0, 0, 0])) == SUCCESS


def test_readings_do_not_depend_on_who_asks(variant: Variant) -> None:
    found = []
    for polls in (0, 37):
        emu = variant(cdb(**PM))
        emu.fibres["loop"].loss_db = 7.0
        emu.clock.advance(1)
        host = CdbHost(emu)
        host.ask(0x0200, bytes([0, 0, 1, 0]))
        start = emu.clock.now
        for _ in range(polls):
            host.ask(0x0214, request(0b1111, 7))
            host.ask(0x0216, request(1, 3))
        emu.clock.advance(start + 30 - emu.clock.now)
        found.append((host.ask(0x0214, request(0b1111, 7)), host.ask(0x0216, request(1, 3))))
        emu.close()
    assert found[0] == found[1]


def test_a_reset_begins_anew(emu: Emulator, host: CdbHost) -> None:
    emu.ports["1"].module.plant.set_supply(3.0)
    emu.clock.advance(1)
    emu.ports["1"].module.plant.set_supply(3.3)
    emu.ports["1"].module.restart()
    emu.settle()
    emu.clock.advance(1)
    assert records(host.ask(0x0210, bytes([0, 2, 0, 0, 0])), 3)[0][0] > 32_000


# -- codewords by their wrong symbols ---------------------------------------------------------------------------


def histogram(host: CdbHost, path: int = 1, place: int = 0) -> tuple[int, list[int], float]:
    """Uncorrectable codewords, those of each weight and of all beyond, error ratio."""
    data = host.ask(0x0231, bytes([path, place]))
    assert len(data) == 120
    assert data[:4] == bytes([path, place, 15, 0])
    counts = [int.from_bytes(data[n : n + 6], "big") for n in range(4, 118, 6)]
    return counts[0], counts[1:], f16(data[118:])


@pytest.mark.rule("CMD-07")
def test_the_histogram_is_that_of_the_error_ratio(emu: Emulator, host: CdbHost) -> None:
    emu.fibres["loop"].loss_db = 7.5
    emu.clock.advance(2)
    assert histogram(host) == (0, [0] * 18, 0.0), "not started"
    host.ask(0x0230, bytes([1, 0b010]))
    emu.clock.advance(10 - 0.02)
    wrong, counts, ratio = histogram(host)
    every = LINE_RATE / CODEWORD_BITS * 10
    assert sum(counts) == pytest.approx(every, rel=0.002)
    assert ratio == pytest.approx(6.8e-4, rel=0.4)
    assert wrong == counts[16] + counts[17]
    assert wrong > 10
    expected = weights_of(ratio, 18)
    for weight in range(8):  # lanes differ a little, and the ratio wanders, so the tail is wider than the mean's
        assert counts[weight] / every == pytest.approx(expected[weight], rel=0.25)


@pytest.mark.rule("CMD-07")
def test_the_histogram_starts_stops_and_is_reset(emu: Emulator, host: CdbHost) -> None:
    host.ask(0x0230, bytes([1, 0b010]))
    emu.clock.advance(1)
    host.ask(0x0230, bytes([1, 0b100]))
    first = histogram(host)
    emu.clock.advance(100)
    assert histogram(host) == first, "stopped"
    host.ask(0x0230, bytes([1, 0b010]))
    emu.clock.advance(1)
    second = histogram(host)
    assert all(now >= then for now, then in zip(second[1], first[1], strict=True))
    assert sum(second[1]) == pytest.approx(2 * sum(first[1]), rel=0.03)
    host.ask(0x0230, bytes([1, 0b000]))
    emu.clock.advance(0.5)
    assert sum(histogram(host)[1]) == pytest.approx(sum(first[1]) / 2, rel=0.1), "it went on, from zero"
    assert histogram(host, place=1)[1] == [0] * 18, "the other decoder"
    host.ask(0x0230, bytes([1, 0b011]))
    emu.clock.advance(1)
    wrong, counts, ratio = histogram(host, place=1)
    assert wrong == 0
    assert counts[0] > 1e7
    assert ratio < 1e-9, "a short host channel"


@pytest.mark.rule("CMD-07")
def test_counts_do_not_depend_on_who_looks(variant: Variant) -> None:
    found = []
    for looks in (1, 25):
        emu = variant(cdb(**PM))
        emu.fibres["loop"].loss_db = 7.5
        emu.clock.advance(2)
        host = CdbHost(emu)
        host.ask(0x0230, bytes([1, 0b010]))
        begun = emu.clock.now
        for look in range(looks):
            emu.clock.advance(begun + 20 * (look + 1) / looks - emu.clock.now)
            counts = histogram(host)[1]
        found.append(counts)
        emu.close()
    assert found[0] == found[1]


@pytest.mark.rule("CMD-07")
def test_a_path_that_is_down_counts_nothing(emu: Emulator, host: CdbHost) -> None:
    host.ask(0x0230, bytes([1, 0b010]))
    emu.clock.advance(1)
    Host(host.bus).control(DP_DEINIT, 0xFF)
    emu.settle()
    before = histogram(host)
    emu.clock.advance(50)
    assert histogram(host) == before
    Host(host.bus).control(DP_DEINIT, 0)
    emu.settle()
    emu.clock.advance(3)
    assert sum(histogram(host)[1]) > sum(before[1])


@pytest.mark.rule("CMD-07")
def test_the_largest_weight(emu: Emulator, host: CdbHost) -> None:
    def largest(place: int = 0) -> list[int]:
        data = host.ask(0x0233, bytes([0, place]))
        assert len(data) == 20
        assert data[:4] == bytes([0, place, 0, 15])
        return words(data[4:])

    assert largest() == [0] * 8
    emu.fibres["loop"].loss_db = 6.0
    emu.clock.advance(2)
    host.ask(0x0232, bytes([1, 0b010]))
    emu.clock.advance(1)
    few = largest()
    assert 2 <= few[0] <= 6
    assert few[1:] == [0] * 7
    emu.fibres["loop"].loss_db = 7.6
    emu.clock.advance(30)
    assert largest()[0] == 16, "uncorrectable ones"
    host.ask(0x0232, bytes([1, 0b000]))
    emu.fibres["loop"].loss_db = 6.0
    emu.clock.advance(2)
    host.ask(0x0232, bytes([1, 0b000]))
    emu.clock.advance(1)
    assert largest()[0] <= 6, "reset"
    assert largest(1) == [0] * 8


@pytest.mark.rule("CMD-07")
def test_histograms_of_codewords_came_with_revision_5_3(variant: Variant) -> None:
    host = CdbHost(variant(cdb(groups=["performance"])))
    assert [host.run(command, bytes(2)) for command in (0x0230, 0x0231, 0x0232, 0x0233)] == [UNKNOWN] * 4
    assert host.run(0x0290, b"\0") == SUCCESS


# -- temperatures -----------------------------------------------------------------------------------------------


def temperatures(host: CdbHost, sub_commands: int = 0) -> tuple[int, list[int]]:
    data = host.ask(0x0290, bytes([sub_commands]))
    assert len(data) == 52
    assert data[:4] == bytes([sub_commands, 0, 0, 0])
    total, *bins = struct.unpack(">12I", data[4:])
    return int(total), [int(each) for each in bins]


@pytest.mark.rule("CMD-07")
def test_the_temperature_histogram_counts_simulated_seconds(emu: Emulator, host: CdbHost) -> None:
    plant = emu.ports["1"].module.plant
    temperatures(host, 0x04)
    start = emu.clock.now
    for ambient in (-30.0, 10.0, 35.0):
        plant.set_environment(ambient_c=ambient)
        emu.clock.advance(36_000)
    total, bins = temperatures(host)
    assert total == sum(bins)
    assert total == pytest.approx(emu.clock.now - start, abs=12)
    case = int.from_bytes(host.get(14, 2), "big") / 256
    hottest = max(n for n, seconds in enumerate(bins) if seconds)
    assert hottest == 1 + int((case + 5) // 10)
    for degrees in (case - 65, case - 25, case):
        expected = 0 if degrees < -5 else 1 + int((degrees + 5) // 10)
        assert bins[expected] > 30_000, f"{degrees} degC"


@pytest.mark.rule("CMD-07", "RST-07")
def test_a_saved_temperature_histogram_lasts(tmp_path: Path, variant: Variant) -> None:
    profile = tmp_path / "pm.yaml"
    profile.write_text(f"profile: pm\nbase: {DR4}\ncdb: {{groups: [performance]}}\n")
    with Emulator.load(str(profile), clock=ManualClock(), nvm=tmp_path / "nvm") as emu:
        emu.settle()
        host = CdbHost(emu)
        emu.clock.advance(1000)
        assert temperatures(host, 0x08) == (0, [0] * 11), "nothing was saved"
        saved = temperatures(host, 0x02)
        assert saved[0] >= 1000
        emu.clock.advance(500)
        assert temperatures(host, 0x08) == saved
        assert temperatures(host)[0] > saved[0] + 490
        emu.ports["1"].module.restart()
        emu.settle()
        assert temperatures(host)[0] < 10, "counting began anew"
        assert temperatures(host, 0x08) == saved
    with Emulator.load(str(profile), clock=ManualClock(), nvm=tmp_path / "nvm") as emu:
        emu.settle()
        assert temperatures(CdbHost(emu), 0x08) == saved


@pytest.mark.rule("CMD-07")
@pytest.mark.parametrize("clear", [False, True])
def test_recording_control_clears_everything(emu: Emulator, host: CdbHost, clear: bool) -> None:
    emu.ports["1"].module.plant.set_supply(3.0)
    emu.clock.advance(10)
    emu.ports["1"].module.plant.set_supply(3.3)
    emu.clock.advance(10)
    host.ask(0x0280, bytes([0, 0, int(clear), 0]))
    emu.clock.advance(1)
    assert (temperatures(host)[0] <= 2) is clear
    assert (records(host.ask(0x0210, bytes([0, 2, 0, 0, 0])), 3)[0][0] > 32_000) is clear


# -- nothing for nothing ----------------------------------------------------------------------------------------


def test_measuring_puts_nothing_on_the_clock(emu: Emulator, host: CdbHost) -> None:
    emu.clock.advance(3600)
    before = len(emu.clock.pending())
    host.ask(0x0230, bytes([1, 0b010]))
    host.ask(0x0232, bytes([1, 0b010]))
    assert len(emu.clock.pending()) == before


def test_a_snapshot_keeps_what_was_measured(emu: Emulator, host: CdbHost) -> None:
    host.ask(0x0230, bytes([1, 0b010]))
    emu.clock.advance(3)
    kept = emu.snapshot()
    found = []
    for _ in range(2):
        emu.restore(kept)
        emu.fibres["loop"].loss_db = 7.5
        emu.clock.advance(5)
        found.append((histogram(host), host.ask(0x0214, request(0b1111, BER))))
        emu.fibres["loop"].cut()
        emu.clock.advance(5)
    assert found[0] == found[1]
