"""The fault table of the optics model, every row, as two hosts read it over the bus: a DR4 link at 3 dB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cmis_host import DP_DEINIT, Host, dp_config
from optical_link import (
    BER,
    DARKEST_DBM,
    DR1,
    ESNR,
    FERC,
    FREQUENCY_ERROR,
    HIGH_ALARM,
    HIGH_WARNING,
    LANES,
    LASER_AGE,
    LASER_TEMPERATURE,
    LOL_RX,
    LOS_RX,
    LOS_TX,
    MODULE,
    MODULE_FAULT,
    POWER_LOW_ALARM_TX,
    POWER_LOW_WARNING_RX,
    POWER_LOW_WARNING_TX,
    TEC_CURRENT,
    TEMPERATURE_FLAGS,
    TX_FAULT,
    bias_ma,
    held,
    host_of,
    joined,
    nominal,
    observe,
    rx_dbm,
    temperature_c,
    tx_dbm,
    warm,
)

from cmis_emu import Emulator, ManualClock

Make = Callable[..., Emulator]


@pytest.fixture
def another() -> Iterator[Make]:
    """Other links, closed in the end."""
    made: list[Emulator] = []

    def make(*arguments: Any, **fibre: Any) -> Emulator:
        made.append(joined(*arguments, **fibre))
        return warm(made[-1])

    yield make
    for emu in made:
        emu.close()


def plant(emu: Emulator, port: str) -> Any:
    """The world's side of a module."""
    return emu.ports[port].module.plant


def test_a_dirty_fibre(link: Emulator, far: Host) -> None:
    link.fibres["a-b"].disturb(2.5)
    link.clock.advance(5)
    assert rx_dbm(far, 1) == pytest.approx(-3.97, abs=0.006)
    assert observe(far, ESNR)[1] == pytest.approx(19.8, abs=0.06)
    assert observe(far, BER)[1] == pytest.approx(5.9e-6, abs=0.06e-6)
    link.fibres["a-b"].disturb(0.0)
    link.clock.advance(5)
    assert rx_dbm(far, 1) == pytest.approx(-1.47, abs=0.006)
    assert observe(far, BER)[1] == pytest.approx(1.02e-8, rel=0.006)


def test_a_very_dirty_fibre(link: Emulator, far: Host) -> None:
    """One lane of four: its own figures are bad, and the 400G path lives on, as its lanes share the codewords."""
    for way in link.fibres["a-b"].ways:
        if (way.receiver, way.rx_lane) == ("b", 2):
            way.strand.disturb(4.5)
    link.clock.advance(5)
    esnr, errors = observe(far, ESNR), observe(far, BER)
    assert esnr[2] == pytest.approx(16.9, abs=0.06)
    assert errors[2] == pytest.approx(6.8e-4, abs=0.06e-4)
    assert [errors[lane] for lane in (1, 3, 4)] == pytest.approx([1.02e-8] * 3, rel=0.006)
    assert observe(far, FERC)[1] == pytest.approx(2.2e-15, abs=0.06e-15)
    assert observe(host_of(link, "a"), BER)[2] == pytest.approx(1.02e-8, rel=0.006)  # one direction only


def breakout(folder: Path) -> Emulator:
    """A DR4 with four 100G data paths, each to a DR1 of its own, 3 dB away."""
    vdm = {"groups": [[{"observable": ["esnr_media", "pre_fec_ber_*_media"], "lanes": 1},
                       {"observable": "ferc_current_media", "data_paths": [1]}]]}  # fmt: skip
    single = str(nominal(folder, DR1, vdm=vdm))
    ports = {"a": {"profile": str(nominal(folder)), "bus": 1}}
    ports |= {f"b{leg}": {"profile": single, "bus": 1 + leg} for leg in LANES}
    fibre = {"from": "a", "to": ["b1", "b2", "b3", "b4"], "length_m": 500, "loss_db": 3.0}
    emu = Emulator.load({"version": 1, "ports": ports, "fibres": {"legs": fibre}}, clock=ManualClock())
    emu.settle()
    host = host_of(emu, "a")
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    for first in (1, 3, 5, 7):
        host.stage((first, first + 1), dp_config(2, first - 1))
    host.apply(0xFF)
    host.control(DP_DEINIT, 0)
    return warm(emu)


def test_a_very_dirty_leg(folder: Path) -> None:
    """The same dirt on a 100G breakout leg, whose codewords have this lane alone."""
    with breakout(folder) as emu:
        host = host_of(emu, "a")
        assert set(observe(host, FERC).values()) == {0.0}
        emu.fibres["legs"].disturb(4.5, leg=2)
        emu.clock.advance(5)
        assert observe(host, BER)[2] == pytest.approx(6.8e-4, abs=0.06e-4)
        ferc = observe(host, FERC)
        assert ferc[3] == pytest.approx(1.4e-6, abs=0.06e-6)  # of the data path that begins at host lane 3
        assert [ferc[first] for first in (1, 5, 7)] == [0.0] * 3
        leg = host_of(emu, "b2")  # and at the other end of the leg
        assert observe(leg, ESNR)[1] == pytest.approx(16.9, abs=0.06)
        assert observe(leg, FERC)[1] == pytest.approx(1.4e-6, abs=0.06e-6)
        assert observe(host_of(emu, "b1"), FERC)[1] == 0.0


def test_two_dirty_ends(link: Emulator, far: Host) -> None:
    """The power is fine; the echo between the two is not."""
    link.fibres["a-b"].disturb(1.0, (-20.0, -20.0))
    link.clock.advance(5)
    assert rx_dbm(far, 1) == pytest.approx(-2.47, abs=0.006)
    assert held(link, far, POWER_LOW_WARNING_RX) == []
    assert observe(far, BER)[1] == pytest.approx(1.0e-5, abs=0.06e-5)
    link.fibres["a-b"].disturb(1.0)  # the same loss without echoes
    link.clock.advance(5)
    assert observe(far, BER)[1] < 3e-7


def test_a_bend(another: Make, folder: Path) -> None:
    """Three turns around 7.5 mm in a path that else loses 3 dB."""
    joints = ["mpo-max"] * 3 + ["lc-apc"] * 2 + ["splice"] * 2
    straight = {"glass": "smf-spec", "connectors": joints}
    powers, errors = [], []
    profile = nominal(folder)
    for bends in ([], [{"radius_mm": 7.5, "turns": 3}]):
        far = host_of(another(profile, **straight, bends=bends), "b")
        powers.append(rx_dbm(far, 3))
        errors.append(observe(far, BER)[3])
    assert powers[0] == pytest.approx(-1.47, abs=0.006)
    assert powers[1] - powers[0] == pytest.approx(-2.7, abs=0.05)
    assert errors[1] == pytest.approx(1.0e-5, abs=0.06e-5)


def test_a_lost_cooler(link: Emulator, near: Host, far: Host) -> None:
    assert temperature_c(near) == pytest.approx(56.5, abs=0.05)
    assert bias_ma(near, 1) == pytest.approx(72.0, abs=0.06)
    plant(link, "a").set_tec_failed(True)
    link.clock.advance(60)
    assert bias_ma(near, 1) == pytest.approx(83, abs=0.5)
    assert observe(near, LASER_TEMPERATURE)[MODULE] == pytest.approx(56.5 + 10, abs=0.3)
    assert observe(near, FREQUENCY_ERROR)[MODULE] == pytest.approx(-259e3, abs=5e3)  # MHz; the case cools a little
    assert observe(near, TEC_CURRENT)[MODULE] == 0
    assert tx_dbm(near, 1) == pytest.approx(1.53 - 1.5, abs=0.01)
    assert rx_dbm(far, 1) == pytest.approx(-1.47 - 1.5, abs=0.01)
    assert observe(far, ESNR)[1] == pytest.approx(18.5, abs=0.06)
    assert observe(far, BER)[1] == pytest.approx(7.6e-5, abs=0.1e-5)
    assert observe(near, BER)[1] == pytest.approx(1.02e-8, rel=0.006)  # its receiver needs no cooler
    plant(link, "a").set_tec_failed(False)
    link.clock.advance(60)
    assert bias_ma(near, 1) == pytest.approx(72.0, abs=0.06)
    assert observe(far, BER)[1] == pytest.approx(1.02e-8, rel=0.006)


def test_a_worn_lane_and_a_lost_cooler_do_not_disturb_each_other(link: Emulator, near: Host) -> None:
    """Whatever the order in which faults come and go, nothing is left of them."""
    inside = plant(link, "a")
    inside.set_tec_failed(True)
    inside.set_transmitter(1, weakness_db=2.0)
    inside.set_laser_weak(1, 1.0)
    link.clock.advance(1)
    assert tx_dbm(near, 1) == pytest.approx(1.53 - 4.5, abs=0.01)
    inside.set_tec_failed(False)
    link.clock.advance(5)
    assert tx_dbm(near, 1) == pytest.approx(1.53 - 3.0, abs=0.01)
    inside.set_transmitter(1)
    inside.set_laser_weak(1, 0.0)
    link.clock.advance(1)
    assert tx_dbm(near, 1) == pytest.approx(1.53, abs=0.01)


def test_a_weak_laser_of_silicon_photonics(another: Make, folder: Path) -> None:
    """One laser feeds two lanes, so both are weak, and two are not."""
    emu = another(nominal(folder, plant={"lanes_per_laser": 2, "laser": "cw-dfb-siph", "tec": None}), loss_db=3.0)
    far = host_of(emu, "b")
    plant(emu, "a").set_laser_weak(4, 3.0)
    emu.clock.advance(5)
    errors = observe(far, BER)
    assert [errors[lane] for lane in (3, 4)] == pytest.approx([2.2e-5] * 2, abs=0.06e-5)
    assert [errors[lane] for lane in (1, 2)] == pytest.approx([1.02e-8] * 2, rel=0.02)


def test_an_ageing_laser(link: Emulator, near: Host, far: Host) -> None:
    """The bias rises and the light stays, until the driver's limit; then light fades, and that is no Tx fault."""
    light = tx_dbm(near, 1)
    biases = []
    for rise, age in ((0.0, 0), (0.1, 50), (0.2, 100), (0.6, 100)):
        plant(link, "a").set_ageing(1, rise)
        link.clock.advance(2)
        biases.append(bias_ma(near, 1))
        assert biases[-1] == pytest.approx(72.0 * (1 + rise), abs=0.06)
        assert tx_dbm(near, 1) == pytest.approx(light, abs=0.001)
        assert observe(near, LASER_AGE)[1] == age
    assert all(first < second for first, second in pairwise(biases))
    plant(link, "a").set_ageing(1, 3.0)
    link.clock.advance(2)
    assert bias_ma(near, 1) == pytest.approx(120.0)  # Imax, the bias high alarm
    assert tx_dbm(near, 1) < -2.9
    assert rx_dbm(far, 1) == pytest.approx(tx_dbm(near, 1) - 3.0, abs=0.01)
    assert held(link, near, POWER_LOW_WARNING_TX) == [1]
    assert held(link, near, TX_FAULT) == []
    assert tx_dbm(near, 2) == pytest.approx(light, abs=0.001)
    plant(link, "a").set_ageing(1, 5.0)
    link.clock.advance(2)
    assert held(link, near, POWER_LOW_ALARM_TX) == [1]
    assert held(link, near, TX_FAULT) == []


def test_a_failed_fan(link: Emulator, near: Host, far: Host) -> None:
    """75, 80 and 85 degC after 193, 264 and 349 s: the register, the flags, the shutdown; and dark at the other end."""
    plant(link, "a").set_environment(airflow=0.1)
    assert temperature_c(near) == pytest.approx(56.5, abs=0.05)
    start = link.clock.now
    found: dict[int, float] = {}
    flagged: dict[int, float] = {}
    while MODULE_FAULT not in found:
        link.clock.advance(0.5)
        passed = link.clock.now - start
        assert passed < 400
        flags = near.byte(0, TEMPERATURE_FLAGS)
        for bit in (HIGH_WARNING, HIGH_ALARM):
            if flags & bit:
                flagged.setdefault(bit, passed)
        for limit_c in (75, 80):
            if temperature_c(near) > limit_c:
                found.setdefault(limit_c, passed)
        if near.module_state() == MODULE_FAULT:
            found[MODULE_FAULT] = passed
    assert found[75] == pytest.approx(193, abs=1.0)
    assert found[80] == pytest.approx(264, abs=1.0)
    assert found[MODULE_FAULT] == pytest.approx(349, abs=1.0)
    assert flagged[HIGH_WARNING] == pytest.approx(found[75], abs=0.5)
    assert flagged[HIGH_ALARM] == pytest.approx(found[80], abs=0.5)
    link.clock.advance(1)
    assert [tx_dbm(near, lane) for lane in LANES] == [DARKEST_DBM] * 4
    assert held(link, far, LOS_RX) == list(LANES)


def test_a_cut_fibre(link: Emulator, near: Host, far: Host) -> None:
    """One strand a lane: what the other direction has is whole, and stays as it was."""
    before = [near.read(0x11, 154, 48), observe(near, BER), observe(near, ESNR)]
    for way in link.fibres["a-b"].ways:
        if way.receiver == "b":
            way.strand.cut = True
    link.clock.advance(2)
    assert [rx_dbm(far, lane) for lane in LANES] == [DARKEST_DBM] * 4
    assert held(link, far, LOS_RX) == held(link, far, LOL_RX) == list(LANES)
    assert observe(far, ESNR) == dict.fromkeys(LANES, 0.0)
    assert observe(far, BER) == pytest.approx(dict.fromkeys(LANES, 0.5), rel=0.001)
    assert observe(far, FERC)[1] == 1.0
    assert held(link, near, LOS_RX) == held(link, near, LOL_RX) == held(link, near, LOS_TX) == []
    assert [near.read(0x11, 154, 48), observe(near, BER), observe(near, ESNR)] == before
    link.fibres["a-b"].cut()  # both directions of the cable
    link.clock.advance(2)
    assert held(link, near, LOS_RX) == held(link, far, LOS_RX) == list(LANES)
    link.fibres["a-b"].restore()
    link.clock.advance(5)
    assert held(link, near, LOS_RX) == held(link, far, LOS_RX) == []
    assert observe(far, BER)[1] == pytest.approx(1.02e-8, rel=0.006)
