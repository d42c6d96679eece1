"""The sheet's table of losses as a host reads it: DOM and VDM of a DR4 link over the bus (optics model, section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cmis_host import Host
from optical_link import (
    BER,
    BER_AVG,
    BER_MAX,
    BER_MIN,
    ESNR,
    ESNR_HOST,
    FERC,
    FREQUENCY_ERROR,
    LANES,
    LASER_AGE,
    LASER_TEMPERATURE,
    LOL_RX,
    LOS_RX,
    LTP,
    MODULE,
    SEW_MAX,
    TEC_CURRENT,
    held,
    host_of,
    joined,
    nominal,
    observe,
    rx_dbm,
    temperature_c,
    tx_dbm,
    vcc_v,
    warm,
)

from cmis_emu import Emulator
from cmis_emu.emulator import Snapshot

FROM_THE_HOST = 8.3e-12  # errors that come along from the far host's channel at 23.5 dB: end to end is the sum
VDM = {
    "groups": [
        [
            {"observable": ["esnr_media", "pam4_level_transition_media"], "lanes": 4},
            {"observable": "pre_fec_ber_*_media", "lanes": 4},
            {"observable": "esnr_host", "lanes": 8},
        ],
        [
            {"observable": ["ferc_current_media", "sewmax_current_media"], "data_paths": [1]},
            {"observable": "laser_age", "lanes": 4},
            {"observable": ["tec_current", "laser_temperature", "laser_frequency_error"], "module": True},
        ],
    ]
}


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[tuple[Emulator, Snapshot]]:
    profile = nominal(folder, vdm=VDM, revision="5.3")
    with warm(joined(profile)) as emu:
        yield emu, emu.snapshot()


@pytest.mark.parametrize(
    ("loss_db", "power_dbm", "esnr_db", "ber", "cer"),
    [
        (0.5, 1.03, 23.57, 1.41e-10, 5.6e-112),
        (3.0, -1.47, 22.30, 1.02e-08, 3.0e-82),
        (5.0, -3.47, 20.40, 1.56e-06, 2.7e-47),
        (6.0, -4.47, 19.13, 2.20e-05, 6.1e-29),
        (6.5, -4.97, 18.42, 7.62e-05, 2.0e-20),
        (7.0, -5.47, 17.67, 2.40e-04, 8.2e-13),
        (7.5, -5.97, 16.88, 6.76e-04, 1.4e-06),
        (8.0, -6.47, 16.06, 1.69e-03, 2.4e-02),
        (9.0, -7.47, 14.32, 7.47e-03, 1.0),
    ],
)
def test_the_table_of_losses(
    link: Emulator, far: Host, loss_db: float, power_dbm: float, esnr_db: float, ber: float, cer: float
) -> None:
    link.fibres["a-b"].loss_db = loss_db
    link.clock.advance(5)
    esnr, errors = observe(far, ESNR), observe(far, BER)
    for lane in LANES:
        assert rx_dbm(far, lane) == pytest.approx(power_dbm, abs=0.006)
        assert esnr[lane] == pytest.approx(esnr_db, abs=0.007)  # half a digit, and half a step of the register
        assert errors[lane] == pytest.approx(ber + FROM_THE_HOST, rel=0.006)
    ferc = observe(far, FERC)[1]
    if cer < 1e-23:  # less than the format holds
        assert ferc < 1e-23
    else:
        assert ferc == pytest.approx(cer, rel=0.04)
    for lane in LANES:  # the other end sees the same
        assert rx_dbm(host_of(link, "a"), lane) == pytest.approx(power_dbm, abs=0.006)


def test_everything_at_the_nominal_loss(link: Emulator, far: Host) -> None:
    """The sheet's column of nominal values: a DR4 at 3 dB."""
    assert observe(far, TEC_CURRENT)[MODULE] == pytest.approx(-34, abs=2)  # the register counts cooling below 0
    assert observe(far, LASER_TEMPERATURE)[MODULE] == pytest.approx(50.0, abs=0.05)
    assert abs(observe(far, FREQUENCY_ERROR)[MODULE]) <= 500
    assert observe(far, ESNR)[1] == pytest.approx(22.3, abs=0.05)
    assert observe(far, ESNR_HOST) == pytest.approx(dict.fromkeys(range(1, 9), 23.5), abs=0.3)
    assert observe(far, LTP) == pytest.approx(dict.fromkeys(LANES, 48.0), abs=0.005)
    assert set(observe(far, LASER_AGE).values()) <= set(range(16))
    assert observe(far, SEW_MAX)[1] in (1, 2)
    assert temperature_c(far) == pytest.approx(56.5, abs=0.05)
    assert vcc_v(far) == pytest.approx(3.303, abs=0.0006)
    assert [tx_dbm(far, lane) for lane in LANES] == pytest.approx([1.53] * 4, abs=0.01)


def test_level_transitions_at_the_limit(link: Emulator, far: Host) -> None:
    link.fibres["a-b"].loss_db = 7.0
    link.clock.advance(5)
    assert observe(far, LTP)[1] == pytest.approx(22.3, abs=0.1)
    assert observe(far, SEW_MAX)[1] == 11  # of a tenth of a second; of a whole one it is 12


def test_errors_come_before_loss_of_lock_before_loss_of_signal(link: Emulator, far: Host) -> None:
    """As the loss grows: 2.4e-4 at 7.0 dB, a flood at 7.5 to 8, lock lost at about 10, the signal at 14.5."""
    found: dict[str, float] = {}
    for twentieths in range(130, 300, 2):
        loss_db = twentieths / 20
        link.fibres["a-b"].loss_db = loss_db
        link.clock.advance(3)
        if observe(far, BER)[1] > 2.4e-4 * 1.001:
            found.setdefault("limit", loss_db)
        if observe(far, FERC)[1] > 1e-3:
            found.setdefault("flood", loss_db)
        for name, offset in (("lock", LOL_RX), ("signal", LOS_RX)):
            if name not in found and held(link, far, offset) == list(LANES):
                found[name] = loss_db
        if len(found) == 4:
            break
    assert list(found) == ["limit", "flood", "lock", "signal"]
    assert found["limit"] == pytest.approx(7.1, abs=0.01)  # 7.0 is still at the limit
    assert 7.5 <= found["flood"] <= 8.0
    assert found["lock"] == pytest.approx(10.0, abs=0.3)
    assert found["signal"] == pytest.approx(14.5 + 0.1, abs=0.06)


def test_statistics_follow_a_fault(link: Emulator, far: Host) -> None:
    """A fibre that is bad for a while: the minimum remembers before, the maximum during, the current value after."""
    far.write(0x2F, 144, 0x80)
    link.clock.advance(0.02)
    far.write(0x2F, 144, 0)
    link.clock.advance(10)
    link.fibres["a-b"].loss_db = 6.0
    link.clock.advance(10)
    link.fibres["a-b"].loss_db = 3.0
    link.clock.advance(10)
    far.write(0x2F, 144, 0x80)
    link.clock.advance(0.02)
    assert observe(far, BER_MIN)[1] == pytest.approx(1.02e-8, rel=0.006)
    assert observe(far, BER_MAX)[1] == pytest.approx(2.20e-5, rel=0.006)
    assert observe(far, BER_AVG)[1] == pytest.approx(2.20e-5 / 3, rel=0.08)
    assert observe(far, BER)[1] == pytest.approx(1.02e-8, rel=0.006)


def test_errors_in_bursts_spoil_more_codewords(tmp_path: Path) -> None:
    """A DFE's tail at the limit of the FEC, two codewords interleaved: 2.0e-9 of them, not 8.15e-13."""
    profile = nominal(tmp_path, plant={"receiver": {"burst_continuation": 0.75}}, vdm=VDM, revision="5.3")
    with warm(joined(profile, length_m=500, loss_db=7.0)) as emu:
        host = host_of(emu, "b")
        assert observe(host, BER)[1] == pytest.approx(2.40e-4, rel=0.006)  # as many bits are wrong
        assert observe(host, FERC)[1] == pytest.approx(2.0e-9, rel=0.06)
