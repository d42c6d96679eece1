"""What is said of a 400G DR4 module, claim by claim, as a host finds it over the bus.

The wording is that of a general description; where the model says that it is loose, the test says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cmis_host import DP_DEINIT, Host, dp_config
from optical_link import (
    BER,
    DARKEST_DBM,
    DR1,
    DR4,
    ESNR,
    FERC,
    LANES,
    LOS_RX,
    LOS_TX,
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

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.physics.fec import post_fec_ber
from cmis_emu.physics.receiver import NRZ_TO_PAM4_ELECTRICAL_DB
from cmis_emu.port import pattern_code

FEC_LIMIT = 2.4e-4
MEDIA_GENERATOR, MEDIA_CHECKER, CHECKER_LOL_MEDIA = 152, 168, 139  # pages 13h and 14h


def word(host: Host, page: int, offset: int) -> int:
    return int.from_bytes(host.read(page, offset, 2), "big")


# -- eight electrical lanes, four optical ones ------------------------------------------------------------------


def test_the_gearbox_is_advertised(near: Host) -> None:
    host, media, lanes, starts = near.read(0, 86, 4)
    assert (host, media, lanes, starts) == (0x11, 0x1C, 0x84, 0x01)  # 400GAUI-8 to 400GBASE-DR4, 8 to 4
    assert near.read(0, 90, 4) == bytes((0x0D, 0x14, 0x21, 0x55))  # or 100GAUI-2 to 100GBASE-DR, 2 to 1, four times


@pytest.mark.parametrize("host_lane", range(1, 9))
def test_two_host_lanes_feed_one_media_lane(link: Emulator, near: Host, far: Host, host_lane: int) -> None:
    """A host lane that falls silent: Tx LOS there, and the light goes out of the media lane with half its number."""
    media = (host_lane + 1) // 2
    link.ports["a"].set_host_signal(host_lane, False)
    link.clock.advance(0.5)
    assert held(link, near, LOS_TX) == [host_lane]
    assert [lane for lane in LANES if tx_dbm(near, lane) == DARKEST_DBM] == [media]
    assert held(link, far, LOS_RX) == [media]


@pytest.mark.parametrize("media", LANES)
def test_a_pattern_of_a_media_lane_arrives_on_it(link: Emulator, near: Host, far: Host, media: int) -> None:
    near.write(0x13, MEDIA_GENERATOR, 1 << (media - 1))
    far.write(0x13, MEDIA_CHECKER, 0x0F)
    link.clock.advance(1)
    far.byte(0x14, CHECKER_LOL_MEDIA)
    link.clock.advance(0.5)
    lost = far.byte(0x14, CHECKER_LOL_MEDIA)
    assert [lane for lane in LANES if not lost >> (lane - 1) & 1] == [media]


@pytest.mark.parametrize("host_lane", range(1, 9))
def test_a_pattern_of_a_host_lane_arrives_at_the_same_lane(link: Emulator, host_lane: int) -> None:
    """Both ends put lanes 2k-1 and 2k into media lane k, and take them out again in order."""
    link.ports["a"].set_host_signal(host_lane, pattern="prbs31q")
    link.clock.advance(0.5)
    code = pattern_code("prbs31q")
    there = link.ports["b"]
    assert [lane for lane in range(1, 9) if there.host_lane(lane).content == code] == [host_lane]


# -- light over half a kilometre --------------------------------------------------------------------------------


def test_1310_nm(near: Host) -> None:
    assert near.byte(0x00, 212) == 0x06  # 1310 nm EML
    assert word(near, 0x01, 138) * 0.05 == pytest.approx(1311.0)
    assert word(near, 0x01, 140) * 0.005 == pytest.approx(6.5)  # 1304.5 to 1317.5 nm


def test_500_m(near: Host, far: Host) -> None:
    """So far it reaches, by its own word, and with errors below the limit."""
    length = near.byte(0x01, 132)
    assert (length >> 6, length & 0x3F) == (0, 5)  # in steps of 0.1 km
    assert max(observe(far, BER).values()) < 1e-4 * FEC_LIMIT


WORST = [
    # product, receiver as bad as its standard allows, OMA and TDECQ of the worst transmitter, budget, errors then
    (DR4, "dr-limit", 1.2, 3.4, 3.0, 1.80e-4, {}),
    (DR4, "dr-limit", 1.2, 3.4, 3.1, 2.40e-4, {}),
    (DR4, "dr-limit", 1.2, 3.4, 3.2, 3.17e-4, {}),
    ("qsfpdd-400g-fr4", "fr4-limit", 1.7, 3.4, 4.0, 9.7e-5, {}),
    (DR1, "fr1-limit", 1.9, 3.4, 4.0, 7.0e-5, {"pmd": "100gbase-fr1"}),
    ("qsfpdd-400g-sr8", "sr8-limit", -1.4, 4.5, 1.9, 1.8e-4, {}),
]
ERRORS_ONLY = {"groups": [[{"observable": ["esnr_media", "pre_fec_ber_current_media"], "lanes": [1]}]]}


@pytest.mark.parametrize(
    ("product", "receiver", "oma_dbm", "tdecq_db", "loss_db", "ber", "plant"),
    WORST,
    ids=[f"{row[0]}-{row[4]}" for row in WORST],
)
def test_3_to_4_db_of_budget(
    folder: Path,
    product: str,
    receiver: str,
    oma_dbm: float,
    tdecq_db: float,
    loss_db: float,
    ber: float,
    plant: dict[str, Any],
) -> None:
    """DR4 has 3.0 dB, FR4 has 4.0 dB: the worst transmitter meets the worst receiver just below the limit."""
    tx_dbm = oma_dbm - 0.1661  # at 5 dB of extinction
    plant = {"receiver": receiver, "tx_power_dbm": tx_dbm, "tdecq_db": tdecq_db} | plant
    profile = nominal(folder, product, plant, vdm=ERRORS_ONLY)
    with warm(joined(profile, length_m=2, loss_db=loss_db)) as emu:
        found = observe(host_of(emu, "b"), BER)[1]
    assert found == pytest.approx(ber, rel=0.006 if product == DR4 else 0.03)
    assert (found < FEC_LIMIT) == (loss_db in (3.0, 4.0, 1.9))


@pytest.mark.parametrize(
    ("tdecq_db", "ber"), [(1.4, 4.6e-10), (2.0, 1.0e-8), (2.6, 1.6e-7), (3.4, 3.9e-6), (4.5, 1.1e-4)]
)
def test_tdecq_of_at_most_3_4_db(folder: Path, tdecq_db: float, ber: float) -> None:
    """What the eye's closure costs a typical receiver at 3 dB."""
    with warm(joined(nominal(folder, plant={"tdecq_db": tdecq_db}))) as emu:
        assert observe(host_of(emu, "b"), BER)[1] == pytest.approx(ber, rel=0.03)


def test_a_worse_eye_than_3_4_db_fails_the_worst_link(folder: Path) -> None:
    """3.4 dB is the limit: with the same light, 3.6 dB leaves too many errors at the end of the budget."""
    found = {}
    for tdecq_db in (3.4, 3.6):
        plant = {"receiver": "dr-limit", "tx_power_dbm": 1.2 - 0.1661, "tdecq_db": tdecq_db}
        with warm(joined(nominal(folder, plant=plant))) as emu:
            found[tdecq_db] = observe(host_of(emu, "b"), BER)[1]
    assert found[3.4] < FEC_LIMIT < found[3.6]


def test_2_4e_4_before_the_fec_is_near_1e_15_behind_it(link: Emulator, far: Host) -> None:
    """Near, not below: 2.4e-15 at exactly the limit; 1e-15 needs 2.26e-4, which is 0.03 dB more light."""
    link.fibres["a-b"].loss_db = 7.0
    link.clock.advance(5)
    at_limit = observe(far, BER)[1]
    assert at_limit == pytest.approx(FEC_LIMIT, rel=0.006)
    assert observe(far, FERC)[1] == pytest.approx(8.2e-13, rel=0.06)
    assert post_fec_ber(at_limit) == pytest.approx(2.4e-15, rel=0.06)
    link.fibres["a-b"].loss_db = 7.0 - 0.03
    link.clock.advance(5)
    less = observe(far, BER)[1]
    assert less < 2.26e-4
    assert post_fec_ber(less) < 1e-15
    link.fibres["a-b"].loss_db = 7.0 - 0.02
    link.clock.advance(5)
    assert post_fec_ber(observe(far, BER)[1]) > 1e-15
    assert post_fec_ber(2.26e-4) < 1e-15 < post_fec_ber(2.27e-4)


def test_pam4_costs_9_5_db_against_nrz() -> None:
    """A third of the swing for each of three eyes."""
    assert round(NRZ_TO_PAM4_ELECTRICAL_DB, 1) == -9.5


# -- power and heat ---------------------------------------------------------------------------------------------


def test_10_to_12_w(near: Host) -> None:
    """12 W at most; what it draws shows in the supply, which 10 mOhm lead to it."""
    assert near.byte(0x00, 201) * 0.25 == 12.0
    amperes = (3.335 - vcc_v(near)) / 0.010
    assert 10.0 <= 3.3 * amperes <= 12.0
    assert 3.3 * amperes == pytest.approx(10.7, abs=0.15)  # a step of the register is 0.03 W


def test_12_w_is_power_class_6(near: Host) -> None:
    """Not 3 or 4, which allow 7 and 8 W."""
    assert (near.byte(0x00, 200) >> 5) + 1 == 6


def test_0_to_70_degrees(link: Emulator, near: Host, far: Host) -> None:
    """By its own word, and without a flag or a lost bit at both ends."""
    assert near.read(0x01, 146, 2) == bytes((70, 0))
    for ambient_c, expected_c in ((-18.7, 0.0), (47.8, 70.0)):
        for port in "ab":
            link.ports[port].module.plant.set_environment(ambient_c=ambient_c)
        link.clock.advance(4000)
        assert temperature_c(near) == pytest.approx(expected_c, abs=0.5)
        near.byte(0, 9)
        link.clock.advance(0.5)
        assert near.byte(0, 9) == 0
        assert max(observe(far, BER).values()) < 1e-3 * FEC_LIMIT


# -- breakout ---------------------------------------------------------------------------------------------------


def read_all(host: Host, pages: tuple[int, ...]) -> bytes:
    """Every byte of a module that a leg has; flags too, which the read clears."""
    return b"".join([host.read(0, 0, 126), *(host.read(page, 128, 128) for page in pages)])


@pytest.fixture(scope="module")
def legs(folder: Path) -> Iterator[tuple[Emulator, Snapshot]]:
    """A DR4 as four 100G modules, with four DR1; units differ, and read with noise, as real ones do."""
    vdm = {"groups": [[{"observable": ["esnr_media", "pre_fec_ber_*_media"], "lanes": 1},
                       {"observable": "ferc_*_media", "data_paths": [1]}]]}  # fmt: skip
    path = folder / "leg.yaml"
    path.write_text(yaml.safe_dump({"profile": "leg", "base": DR1, "title": "a leg", "vdm": vdm}))
    ports = {"a": {"profile": DR4, "bus": 1}} | {f"b{leg}": {"profile": str(path), "bus": 1 + leg} for leg in LANES}
    fibre = {"from": "a", "to": ["b1", "b2", "b3", "b4"], "length_m": 500, "loss_db": 3.0}
    with Emulator.load({"version": 1, "ports": ports, "fibres": {"legs": fibre}}, clock=ManualClock()) as emu:
        emu.settle()
        host = host_of(emu, "a")
        host.control(DP_DEINIT, 0xFF)
        emu.settle()
        for first in (1, 3, 5, 7):
            host.stage((first, first + 1), dp_config(2, first - 1))
        host.apply(0xFF)
        host.control(DP_DEINIT, 0)
        warm(emu)
        for port in emu.ports:
            read_all(host_of(emu, port), (0x11, 0x2C))  # what came while it came up
        emu.clock.advance(1)
        yield emu, emu.snapshot()


def dirt(emu: Emulator) -> None:
    emu.fibres["legs"].disturb(4.5, (-20.0, -20.0), leg=2)


def cut(emu: Emulator) -> None:
    emu.fibres["legs"].cut(leg=2)


def dead_laser(emu: Emulator) -> None:
    emu.ports["b2"].module.plant.set_laser_failed(1, True)


def pulled(emu: Emulator) -> None:
    emu.ports["b2"].remove()


def dead_lane(emu: Emulator) -> None:
    emu.ports["a"].module.plant.set_laser_failed(2, True)


def host_lost(emu: Emulator) -> None:
    emu.ports["a"].set_host_signal(3, False)


def disabled(emu: Emulator) -> None:
    host_of(emu, "a").write(0x10, 130, 0x02)


def restarted(emu: Emulator) -> None:
    host_of(emu, "b2").bus.write_byte_data(0x50, 26, 0x08)  # SoftwareReset


FAULTS = (dirt, cut, dead_laser, pulled, dead_lane, host_lost, disabled, restarted)
LANE_BYTES = [(154, 8), (170, 8), (186, 8)]  # Tx power, bias and Rx power of four lanes


def others(emu: Emulator) -> list[bytes]:
    """All that the hosts of the other legs read, and what the DR4 says of its other lanes."""
    found = []
    for _ in range(3):
        emu.clock.advance(4)
        found += [read_all(host_of(emu, f"b{leg}"), (0x11, 0x24, 0x2C)) for leg in (1, 3, 4)]
        host = host_of(emu, "a")
        for offset, length in LANE_BYTES:
            raw = host.read(0x11, offset, length)
            found.append(raw[:2] + raw[4:])
        for kind in (ESNR, BER, FERC):
            values = observe(host, kind)
            found.append(
                repr([value for resource, value in values.items() if resource != (3 if kind == FERC else 2)]).encode()
            )
        flags = host.read(0x11, 134, 20)
        found.append(
            bytes(byte & (0b1111_0011 if 134 + at in HOST_FLAGS else 0b1111_1101) for at, byte in enumerate(flags))
        )
    return found


HOST_FLAGS = (134, 136, 137, 138, 153)  # of page 11h, by host lane; the others are by media lane


@pytest.mark.parametrize("fault", FAULTS)
def test_breakout_legs_are_independent(legs: tuple[Emulator, Snapshot], fault: Callable[[Emulator], None]) -> None:
    """Whatever happens to leg 2, the other legs read byte for byte what they read without it."""
    emu, start = legs
    emu.restore(start)
    expected = others(emu)
    own = read_all(host_of(emu, "a"), (0x11,))
    emu.restore(start)
    fault(emu)
    assert others(emu) == expected
    assert read_all(host_of(emu, "a"), (0x11,)) != own  # the fault is one


def test_each_leg_has_its_own_fec(legs: tuple[Emulator, Snapshot]) -> None:
    """The DR4 counts codewords of each data path; a leg that is lost takes none along."""
    emu, start = legs
    emu.restore(start)
    emu.fibres["legs"].disturb(5.5, leg=3)
    emu.clock.advance(5)
    ferc = observe(host_of(emu, "a"), FERC)
    assert ferc[5] > 1e-3
    assert [ferc[first] for first in (1, 3, 7)] == [0.0] * 3
    assert observe(host_of(emu, "b3"), FERC)[1] > 1e-3
    assert [observe(host_of(emu, f"b{leg}"), FERC)[1] for leg in (1, 2, 4)] == [0.0] * 3


# -- what it works with -----------------------------------------------------------------------------------------


def test_it_hears_an_fr1_within_500_m_and_3_db(folder: Path) -> None:
    fr1 = nominal(folder, DR1, {"pmd": "100gbase-fr1", "receiver": "fr1"}, vdm=ERRORS_ONLY)
    ports = {"a": {"profile": str(nominal(folder)), "bus": 1}, "b": {"profile": str(fr1), "bus": 2}}
    fibre = {"from": "a", "to": ["b", None, None, None], "length_m": 500, "loss_db": 3.0}
    with Emulator.load({"version": 1, "ports": ports, "fibres": {"leg": fibre}}, clock=ManualClock()) as emu:
        warm(emu)
        assert observe(host_of(emu, "b"), BER)[1] < FEC_LIMIT
        assert observe(host_of(emu, "a"), BER)[1] < FEC_LIMIT
        assert held(emu, host_of(emu, "a"), LOS_RX) == [2, 3, 4]


def test_it_hears_no_fr4(folder: Path) -> None:
    with warm(joined(DR4, far="qsfpdd-400g-fr4", loss_db=3.0)) as emu:
        for port in "ab":
            assert held(emu, host_of(emu, port), LOS_RX) == list(LANES)
            assert [rx_dbm(host_of(emu, port), lane) for lane in LANES] == [DARKEST_DBM] * 4


def test_it_hears_nothing_through_a_straight_trunk() -> None:
    """Type A leads transmitters to transmitters, type B is right."""
    for cable, dark in (("type-a", list(LANES)), ("type-b", [])):
        with warm(joined(DR4, loss_db=3.0, cable=cable)) as emu:
            assert held(emu, host_of(emu, "b"), LOS_RX) == dark
