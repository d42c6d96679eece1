"""A DR4 link through the bus: light, lock and the order of degradation (optics model, section 5 and fault table)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cmis_emu import Emulator, ManualClock
from cmis_emu.physics.light import TRAFFIC
from cmis_emu.physics.units import w_to_dbm

LANES = (1, 2, 3, 4)
LOL_RX, LOS_RX = "CDRLOLFlagRx", "LOSFlagRx"


def pair(loss_db: float) -> Emulator:
    ports = {name: {"profile": "qsfpdd-400g-dr4", "bus": n} for n, name in enumerate("ab", 1)}
    fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": loss_db}}
    emu = Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1)
    emu.settle()
    emu.clock.advance(600)  # warm
    return emu


@pytest.fixture
def link() -> Iterator[Emulator]:
    with pair(3.0) as emu:
        yield emu


def held(emu: Emulator, port: str, flag: str) -> list[int]:
    """Lanes on which a condition holds now: what a flag shows again after it was read."""
    module = emu.ports[port].module
    place = emu.testbed.ports[list(emu.ports).index(port)].place
    bus = emu.smbus(place.bus)
    bus.write_i2c_block_data(0x50, 126, [0, 0x11])
    address = {LOL_RX: 148, LOS_RX: 147}[flag]
    bus.read_byte_data(0x50, address)
    emu.clock.advance(0.5)
    code = bus.read_byte_data(0x50, address)
    assert module.profile.regmap.field(flag).lanes is not None
    return [lane for lane in LANES if code >> (lane - 1) & 1]


@pytest.mark.parametrize(("loss_db", "rx_dbm"), [(3.0, -1.47), (6.0, -4.47), (7.0, -5.47), (7.5, -5.97)])
def test_rx_power_of_the_link(loss_db: float, rx_dbm: float) -> None:
    with pair(loss_db) as emu:
        for lane in LANES:
            found = w_to_dbm(emu.ports["b"].module.get("OpticalPowerRx", lane=lane))
            assert found == pytest.approx(rx_dbm, abs=0.6)  # units differ by 0.15 dB, one sigma
            sent = w_to_dbm(emu.ports["a"].module.get("OpticalPowerTx", lane=lane))
            assert sent - found == pytest.approx(loss_db, abs=0.25)


@pytest.mark.rule("FLG-09")
def test_loss_of_lock_comes_before_loss_of_signal(link: Emulator) -> None:
    fibre = link.fibres["a-b"]
    found: dict[str, float] = {}
    for tenths in range(60, 160, 5):
        fibre.loss_db = tenths / 10
        link.clock.advance(2)
        for flag in (LOL_RX, LOS_RX):
            if flag not in found and held(link, "b", flag) == list(LANES):
                found[flag] = tenths / 10
    assert found[LOL_RX] == pytest.approx(10, abs=0.6)
    assert found[LOS_RX] == pytest.approx(14.5, abs=0.6)


def test_a_mended_fibre_is_found_again_after_the_adaptation(link: Emulator) -> None:
    module = link.ports["b"].module
    recovery = module.banks[0].signals.recovery
    link.fibres["a-b"].cut()
    link.clock.advance(1)
    assert recovery.locked == 0
    assert recovery.esnr_db(1, link.clock.now_ns) == 0.0
    link.fibres["a-b"].restore()
    link.clock.advance(0.15)
    assert recovery.locked == 0
    link.clock.advance(0.15)  # 14 dB after 0.24 s
    assert recovery.locked == 0b1111
    assert 14 < recovery.esnr_db(1, link.clock.now_ns) < 18
    link.clock.advance(2)
    assert recovery.esnr_db(1, link.clock.now_ns) == pytest.approx(22.3, abs=0.5)


def test_errors_of_the_host_go_through_the_link(link: Emulator) -> None:
    """Nothing corrects errors on the way: what the far host's channel made wrong is still wrong here."""
    here = link.ports["b"].module.banks[0].signals.routes
    now = link.clock.now_ns
    assert here.light_errors(1, now) == pytest.approx(1.0e-8, rel=0.8)
    link.ports["a"].set_host_signal(1, loss_db=12.0)
    link.ports["a"].set_host_signal(2, loss_db=12.0)
    link.clock.advance(1)
    far = link.ports["a"].module.banks[0].signals.routes
    assert far.host_errors(1) > 1e-9
    now = link.clock.now_ns
    assert here.light_errors(1, now) == pytest.approx(here._recovery.ber(1, now) + far.host_errors(1), rel=1e-6)
    assert here.light_errors(2, now) < here.light_errors(1, now)


def test_a_failed_cooler(link: Emulator) -> None:
    """Fault table: bias 83 mA at a case of 56.5 degC, 1.5 dB less light, eSNR 18.5 dB, BER 7.6e-5 at the far end."""
    near, far = link.ports["a"].module, link.ports["b"].module
    link.clock.advance(3600)
    before = w_to_dbm(far.get("OpticalPowerRx", lane=1))
    near.plant.set_tec_failed(True)
    link.clock.advance(60)
    assert near.get("LaserBiasTx", lane=1) * 1e3 == pytest.approx(83, rel=0.12)  # units differ by 5 %
    assert w_to_dbm(far.get("OpticalPowerRx", lane=1)) == pytest.approx(before - 1.5, abs=0.1)
    esnr_db = far.banks[0].signals.recovery.esnr_db(1, link.clock.now_ns)
    assert esnr_db == pytest.approx(18.5, abs=0.6)
    near.plant.set_tec_failed(False)
    link.clock.advance(60)
    assert w_to_dbm(far.get("OpticalPowerRx", lane=1)) == pytest.approx(before, abs=0.1)


def test_the_far_side_carries_traffic(link: Emulator) -> None:
    lane = link.ports["b"].host_lane(1)
    assert (lane.output.value, lane.content) == ("signal", TRAFFIC)
