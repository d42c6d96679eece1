"""Faults on the way from module to module, of lasers and of what surrounds them, as hosts see them.

Rows of the field catalogue (sections 3 and 11) are named in the tests that reproduce them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from cmis_host import ACTIVATED, DP_DEINIT, INIT, OUTPUT_DISABLE_TX, READY, Host
from faulty import arm, arming, clear_all

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.occasions import Occasions
from cmis_emu.registers.encoding import decode_f16

DR4 = "qsfpdd-400g-dr4"
LOS_TX, LOL_TX, LOS_RX, LOL_RX = 136, 137, 147, 148


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, Snapshot]]:
    ports = {name: {"profile": DR4, "bus": n} for n, name in enumerate("ab", 1)}
    fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": 5.0}}
    with Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(1800)
        for bus in (1, 2):
            drain(Host(emu.smbus(bus)))
        yield emu, emu.snapshot()


@pytest.fixture
def link(kept: tuple[Emulator, Snapshot]) -> Iterator[Emulator]:
    """Two warm DR4 on a fibre of 5 dB; flags read."""
    emu, snapshot = kept
    emu.restore(snapshot)
    yield emu
    clear_all()


@pytest.fixture
def a(link: Emulator) -> Host:
    return Host(link.smbus(1))


@pytest.fixture
def b(link: Emulator) -> Host:
    return Host(link.smbus(2))


def drain(host: Host) -> None:
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    host.read(0x2C, 128, 128)


def vdm(host: Host, group: int = 0) -> list[int]:
    return list(struct.unpack(">64H", host.read(0x24 + group, 128, 128)))


def esnr(host: Host) -> list[float]:
    return [code / 256 for code in vdm(host)[7:11]]


def ber(host: Host) -> list[float]:
    return [decode_f16(code) for code in vdm(host)[27:31]]


def rx_uw(host: Host) -> list[float]:
    return [code / 10 for code in struct.unpack(">4H", host.read(0x11, 186, 8))]


def bias_ma(host: Host) -> list[float]:
    return [code * 2e-3 for code in struct.unpack(">4H", host.read(0x11, 170, 8))]


def temperature(host: Host) -> float:
    return float(struct.unpack(">h", host.read(0, 14, 2))[0]) / 256


def volts(host: Host) -> float:
    return int.from_bytes(host.read(0, 16, 2), "big") * 1e-4


def unlocked(emu: Emulator, host: Host, at: int = LOL_RX) -> int:
    host.byte(0x11, at)
    emu.clock.advance(0.3)
    return host.byte(0x11, at)


# -- fibre ----------------------------------------------------------------------------------------------------


def test_losses_and_dirt_on_top_of_each_other(link: Emulator, a: Host, b: Host) -> None:
    before = rx_uw(b)[0]

    def ratio() -> float:
        link.clock.advance(0.3)
        return rx_uw(b)[0] / before

    whole = arm(link, "link.loss", loss="8 dB")
    assert ratio() == pytest.approx(10**-0.3, rel=0.03)
    dirt = arm(link, "link.disturb", loss="2 dB")
    assert ratio() == pytest.approx(10**-0.5, rel=0.03)
    more = arm(link, "link.loss", extra="1 dB")
    assert ratio() == pytest.approx(10**-0.6, rel=0.03)
    whole()
    assert ratio() == pytest.approx(10**-0.3, rel=0.03)
    cut = arm(link, "link.cut", way="there")
    assert ratio() == 0
    assert rx_uw(a)[0] > 100, "the other way is whole"
    more(), cut(), dirt()
    link.clock.advance(1)
    assert ratio() == pytest.approx(1, rel=0.03)


def test_reflections_cost_quality_and_no_light(link: Emulator, b: Host) -> None:
    light, quality = rx_uw(b)[0], esnr(b)[0]
    arm(link, "link.disturb", loss="0 dB", reflectance="-17 dB", places=2)
    link.clock.advance(1)
    assert rx_uw(b)[0] == pytest.approx(light, rel=0.03)
    assert esnr(b)[0] < quality - 0.2


def test_a_bend_of_one_lane(link: Emulator, b: Host) -> None:
    before = rx_uw(b)
    arm(link, "link.bend", radius="5 mm", turns=1, lanes=[2], way="there")
    link.clock.advance(1)
    after = rx_uw(b)
    assert [now < 0.8 * then for now, then in zip(after, before, strict=True)].count(True) == 1


def test_a_loss_that_creeps_up(link: Emulator, b: Host) -> None:
    before = rx_uw(b)[0]
    clear = arm(link, "link.loss", loss="9 dB", over="40 s")
    link.clock.advance(20)
    assert rx_uw(b)[0] / before == pytest.approx(10**-0.2, rel=0.03)
    link.clock.advance(20.2)
    assert rx_uw(b)[0] / before == pytest.approx(10**-0.4, rel=0.03)
    clear()
    link.clock.advance(1)
    assert rx_uw(b)[0] / before == pytest.approx(1, rel=0.03)


def test_cut_and_repair(link: Emulator, b: Host) -> None:
    clear = arm(link, "link.cut")
    link.clock.advance(1)
    assert b.byte(0x11, LOS_RX) == 0x0F
    assert not link.ports["b"].pins.IntL
    link.ports["b"].insert(DR4)  # the cable is still cut for the next module
    link.clock.advance(10)
    assert rx_uw(b) == [0.0] * 4
    clear()
    link.clock.advance(1)
    assert min(rx_uw(b)) > 100


def test_a_trunk_of_the_wrong_polarity(link: Emulator, b: Host) -> None:
    clear = arm(link, "link.swap", cable="type-a")
    link.clock.advance(1)
    assert rx_uw(b) == [0.0] * 4
    other = arm(link, "link.swap", cable="type-b")
    link.clock.advance(1)
    assert min(rx_uw(b)) > 100, "the latest cable counts"
    clear(), other()
    link.clock.advance(1)
    assert min(rx_uw(b)) > 100


def test_two_legs_in_each_other_s_place() -> None:
    profile = "qsfp28-100g-dr1"
    ports: dict[str, Any] = {"a": {"profile": DR4, "bus": 1}}
    ports |= {f"b{n}": {"profile": profile, "bus": n + 1} for n in range(1, 5)}
    fibres = {"f": {"from": "a", "to": ["b1", "b2", "b3", "b4"], "loss_db": 3.0}}
    with Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(5)
        ways = {(way.tx_lane, way.receiver) for way in emu.fibres["f"].ways if way.transmitter == "a"}
        assert (1, "b1") in ways
        clear = arm(emu, "link.swap", legs=[1, 3])
        swapped = {(way.tx_lane, way.receiver) for way in emu.fibres["f"].ways if way.transmitter == "a"}
        assert swapped == {(1, "b3"), (2, "b2"), (3, "b1"), (4, "b4")}
        Host(emu.smbus(1)).control(OUTPUT_DISABLE_TX, 0b0001)
        emu.clock.advance(1)
        dark = [Host(emu.smbus(n)).read(0x11, 186, 2) == b"\0\0" for n in (2, 3, 4, 5)]
        assert dark == [False, False, True, False]
        clear()
        emu.clock.advance(1)
        dark = [Host(emu.smbus(n)).read(0x11, 186, 2) == b"\0\0" for n in (2, 3, 4, 5)]
        assert dark == [True, False, False, False]


# -- coming up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [True, False])
def test_L1_after_a_flap_ten_times_the_errors_and_all_else_well(link: Emulator, a: Host, b: Host, faulty: bool) -> None:
    before = ber(b)
    occasions = Occasions(link.seed, 5, probability=0.5)
    if faulty:
        clear = arming(link, "link.ber_step", occasions, port="b", factor=10)
    stepped = []
    for _ in range(6):
        a.control(OUTPUT_DISABLE_TX, 0x0F)
        link.clock.advance(2)
        a.control(OUTPUT_DISABLE_TX, 0)
        link.clock.advance(5)
        drain(b)
        link.clock.advance(1)
        after = ber(b)
        stepped += [now > 4 * then for now, then in zip(after, before, strict=True)]
        assert all(now < 20 * then for now, then in zip(after, before, strict=True)), "it does not add up"
        assert unlocked(link, b) == 0
        assert b.read(0x11, 134, 20) == bytes(20)
    assert (any(stepped) and not all(stepped)) == faulty
    if faulty:
        assert sum(stepped) == occasions.taken
        clear()
        link.clock.advance(1)
        assert ber(b) == pytest.approx(before, rel=0.8)


@pytest.mark.parametrize("faulty", [True, False])
def test_L2_the_peer_keeps_a_bad_setting(link: Emulator, a: Host, b: Host, faulty: bool) -> None:
    before = esnr(b)[0]
    if faulty:
        arm(link, "link.poor_lock", port="b", loss="4 dB", count=4)
    a.control(OUTPUT_DISABLE_TX, 0x0F)
    link.clock.advance(2)
    a.control(OUTPUT_DISABLE_TX, 0)
    link.clock.advance(120)
    assert (esnr(b)[0] < before - 3) == faulty, "for as long as nobody does anything"
    assert unlocked(link, b) == 0
    b.control(DP_DEINIT, 0xFF)
    link.settle()
    b.control(DP_DEINIT, 0)
    link.settle()
    link.clock.advance(5)
    assert esnr(b)[0] == pytest.approx(before, abs=0.3), "it adapts anew to good light"


@pytest.mark.parametrize("faulty", [True, False])
def test_L3_a_good_host_signal_is_needed_when_low_power_is_left(link: Emulator, a: Host, faulty: bool) -> None:
    if faulty:
        arm(link, "link.cdr_lock", port="a", lanes=[1, 2, 3, 4])
    a.write(0, 26, 0x50)
    link.settle()
    away = arm(link, "link.host_signal", port="a", present=False)
    a.write(0, 26, 0x40)
    link.settle()
    away()
    link.clock.advance(60)
    assert unlocked(link, a, LOS_TX) == 0, "the signal is there"
    assert unlocked(link, a, LOL_TX) == (0x0F if faulty else 0)
    a.control(DP_DEINIT, 0xFF)
    link.settle()
    a.control(DP_DEINIT, 0)
    link.settle()
    assert unlocked(link, a, LOL_TX) == 0


@pytest.mark.parametrize("faulty", [True, False])
def test_L4_bursts_lose_frames_at_the_same_error_ratio(link: Emulator, b: Host, faulty: bool) -> None:
    arm(link, "link.loss", loss="7 dB")
    link.clock.advance(5)
    before, frames = ber(b), decode_f16(vdm(b, 2)[12])
    if faulty:
        clear = arm(link, "link.fec_tail", port="b", continuation=0.6)
    link.clock.advance(5)
    assert ber(b) == pytest.approx(before, rel=0.5)
    assert (decode_f16(vdm(b, 2)[12]) > 5 * frames) == faulty
    if faulty:
        clear()
        link.clock.advance(1)
        assert decode_f16(vdm(b, 2)[12]) < 3 * frames


@pytest.mark.parametrize("faulty", [True, False])
def test_L6_flaps_that_only_a_replug_ends(link: Emulator, b: Host, faulty: bool) -> None:
    if faulty:
        arm(link, "link.los_flap", port="b", period="10 s", dark="1 s", until_reinsertion=True)

    def losses(seconds: int) -> int:
        found = 0
        for _ in range(seconds):
            link.clock.advance(1)
            found += b.byte(0x11, LOS_RX) & 1
        return found

    assert losses(60) >= 5 * faulty
    port = link.ports["b"]
    port.pins.power = False
    port.pins.power = True
    link.clock.advance(10)
    drain(b)
    assert (losses(60) > 4) == faulty, "a power cycle does not help"
    port.insert(DR4)
    link.clock.advance(10)
    drain(b)
    assert losses(60) == 0


@pytest.mark.parametrize("faulty", [True, False])
def test_L7_the_link_does_not_return_until_the_host_toggles_it(link: Emulator, a: Host, b: Host, faulty: bool) -> None:
    if faulty:
        arm(link, "link.needs_toggle", port="a")
    a.write(0, 26, 0x48)  # the switch reboots
    link.clock.advance(60)
    assert a.states() == [ACTIVATED] * 8
    assert (rx_uw(b) == [0.0] * 4) == faulty
    a.control(OUTPUT_DISABLE_TX, 0x0F)
    link.clock.advance(1)
    a.control(OUTPUT_DISABLE_TX, 0)
    link.clock.advance(2)
    assert min(rx_uw(b)) > 100
    assert unlocked(link, b) == 0


@pytest.mark.parametrize("faulty", [True, False])
def test_S24_it_will_not_activate_while_the_host_sends_nothing(link: Emulator, a: Host, faulty: bool) -> None:
    """Two primitives together: no host signal, and a stall that the scenario clears when the signal comes."""
    away = arm(link, "link.host_signal", port="a", present=False)
    if faulty:
        clear = arm(link, "fsm.stall", port="a", state="DPInit", until="cleared")
    a.control(DP_DEINIT, 0xFF)
    link.settle()
    a.control(DP_DEINIT, 0)
    link.clock.advance(60)
    assert a.states() == [INIT if faulty else ACTIVATED] * 8
    drain(a)
    away()
    if faulty:
        clear()
    link.clock.advance(5)
    assert a.states() == [ACTIVATED] * 8
    drain(a)
    link.clock.advance(1)
    assert a.byte(0x11, LOS_TX) == 0


def test_host_signals_on_top_of_each_other(link: Emulator, a: Host) -> None:
    lossy = arm(link, "link.host_signal", port="a", loss="20 dB", lanes=[1])
    away = arm(link, "link.host_signal", port="a", present=False, lanes=[1, 2])
    link.clock.advance(0.5)
    assert unlocked(link, a, LOS_TX) == 0b11
    away()
    link.clock.advance(0.5)
    assert unlocked(link, a, LOS_TX) == 0
    assert unlocked(link, a, LOL_TX) == 0b01, "its eye is closed"
    lossy()
    link.clock.advance(0.5)
    assert unlocked(link, a, LOL_TX) == 0
    arm(link, "link.host_signal", port="a", pattern="prbs31q")
    assert link.ports["b"].host_lane(1).content == 0


# -- lasers ---------------------------------------------------------------------------------------------------


def test_an_ageing_laser(link: Emulator, a: Host) -> None:
    before = bias_ma(a)
    clear = arm(link, "laser.ageing", port="a", lanes=[2], rise="18 %", over="30 s")
    link.clock.advance(15)
    half = bias_ma(a)
    link.clock.advance(16)
    after = bias_ma(a)
    assert half[1] / before[1] == pytest.approx(1.09, abs=0.01)
    assert after[1] / before[1] == pytest.approx(1.18, abs=0.01)
    assert after[0] == pytest.approx(before[0], rel=0.01)
    assert vdm(a)[1] == 90, "% of its life"
    clear()
    link.clock.advance(1)
    assert bias_ma(a)[1] == pytest.approx(before[1], rel=0.01)


def test_dead_and_weak_lasers(link: Emulator, a: Host, b: Host) -> None:
    light = a.tx_power_uw(3)
    dead = arm(link, "laser.failed", port="a", lanes=[1])
    first = arm(link, "laser.weak", port="a", lanes=[3], loss="2 dB")
    arm(link, "laser.weak", port="a", lanes=[3], loss="1 dB", distortion="1 dB")
    link.clock.advance(1)
    assert a.byte(0x11, 135) == 1
    assert a.tx_power_uw(1) == 0
    assert a.tx_power_uw(3) / light == pytest.approx(10**-0.3, rel=0.03)
    dead(), first()
    link.clock.advance(1)
    assert a.tx_power_uw(1) > 100
    assert a.tx_power_uw(3) / light == pytest.approx(10**-0.1, rel=0.03)


def test_a_cooler_that_fails_with_a_worn_lane(link: Emulator, a: Host) -> None:
    light = a.tx_power_uw(1)
    worn = arm(link, "laser.weak", port="a", loss="1 dB")
    tec = arm(link, "laser.tec", port="a")
    worn()
    link.clock.advance(60)
    assert vdm(a)[4] == 0, "no current"
    assert a.tx_power_uw(1) < 0.8 * light
    tec()
    link.clock.advance(60)
    assert a.tx_power_uw(1) == pytest.approx(light, rel=0.03)


# -- surroundings -----------------------------------------------------------------------------------------------


def test_air_and_a_fan(link: Emulator, a: Host, b: Host) -> None:
    before = temperature(a), temperature(b)
    warm = arm(link, "env.ambient", temperature="50 degC", over="10 min")
    link.clock.advance(5 * 60)
    assert before[0] + 2 < temperature(a) < before[0] + 12
    link.clock.advance(3600)
    assert temperature(a) == pytest.approx(before[0] + 15, abs=1.5)
    assert temperature(b) == pytest.approx(before[1] + 15, abs=1.5)
    fan = arm(link, "env.airflow", flow="85 %", port="b")
    link.clock.advance(1800)
    assert temperature(b) > temperature(a) + 2
    fan(), warm()
    link.clock.advance(3 * 3600)
    assert temperature(a) == pytest.approx(before[0], abs=0.5)


def test_a_weak_supply_and_a_brown_out(link: Emulator, a: Host, b: Host) -> None:
    weak = arm(link, "env.supply", voltage="3.0 V", port="a")
    link.clock.advance(0.5)
    assert volts(a) == pytest.approx(2.98, abs=0.03)
    assert a.byte(0, 9) >> 4 & 0b1000
    assert a.module_state() == READY
    dip = arm(link, "env.supply", voltage="2.0 V", port="a")
    assert not a.answers()
    link.clock.advance(0.02)
    assert not a.answers()
    assert rx_uw(b) == [0.0] * 4
    dip()
    assert not a.answers(), "it starts again"
    link.clock.advance(10)
    assert a.states() == [ACTIVATED] * 8
    assert volts(a) == pytest.approx(2.98, abs=0.03)
    weak()
    link.clock.advance(0.5)
    assert volts(a) > 3.2
    link.ports["a"].pins.power = False
    arm(link, "env.supply", voltage="2.0 V", port="a")()
    assert not a.answers(), "without power it stays off"


def test_surroundings_meet_every_module_that_comes(link: Emulator, a: Host) -> None:
    clear = arm(link, "env.supply", voltage="3.1 V")
    link.ports["a"].insert(DR4)
    link.clock.advance(5)
    assert volts(a) == pytest.approx(3.08, abs=0.03)
    clear()
    link.clock.advance(0.5)
    assert volts(a) > 3.2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("link.loss", {}),
        ("link.loss", {"loss": "1 dB", "extra": "1 dB"}),
        ("link.cut", {"leg": 2}),
        ("link.swap", {}),
        ("link.swap", {"legs": [1, 2, 3]}),
        ("link.swap", {"legs": [1, 2]}),
        ("link.disturb", {"reflectance": "3 dB"}),
        ("link.bend", {"radius": "0 mm"}),
        ("link.los_flap", {"port": "a", "period": "1 s", "dark": "1 s"}),
        ("link.ber_step", {"port": "a", "factor": 0}),
        ("link.host_signal", {"port": "a", "pattern": "nonsense"}),
    ],
)
def test_what_is_refused(link: Emulator, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        arm(link, name, **arguments)
