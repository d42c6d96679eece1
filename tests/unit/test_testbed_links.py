"""Light between the ports of testbeds, as hosts see it: breakouts, mixed ends, wrong cables, and what happens when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_DP_INIT,
    AUTO_SQUELCH_DISABLE_TX,
    DP_DEINIT,
    OUTPUT_DISABLE_TX,
    SQUELCH_FORCE_TX,
    Host,
    dp_config,
)

from cmis_emu import Emulator, ManualClock
from cmis_emu.physics.units import w_to_dbm

DR4, DR1, FR4 = "qsfpdd-400g-dr4", "qsfp28-100g-dr1", "qsfpdd-400g-fr4"
LANES = (1, 2, 3, 4)
DARK_DBM = -40.0
LOS_RX, LOL_RX = 147, 148
"""Flag bytes of page 11h."""


def testbed(ports: dict[str, str], **fibres: dict[str, Any]) -> Emulator:
    """Ports by name and profile, on buses 1, 2, ... in that order; settled and warm."""
    plan = {name: {"profile": profile, "bus": bus} for bus, (name, profile) in enumerate(ports.items(), 1)}
    data = {"version": 1, "ports": plan, "fibres": fibres}
    emu = Emulator.load(data, clock=ManualClock(), seed=1)
    emu.settle()
    emu.clock.advance(5)
    return emu


testbed.__test__ = False  # type: ignore[attr-defined]


def host(emu: Emulator, port: str) -> Host:
    return Host(emu.smbus(list(emu.ports).index(port) + 1))


def rx_dbm(of: Host, lane: int) -> float:
    microwatts = int.from_bytes(of.read(0x11, 184 + 2 * lane, 2)) / 10
    return w_to_dbm(microwatts * 1e-6) if microwatts else DARK_DBM


def tx_dbm(of: Host, lane: int) -> float:
    return w_to_dbm(of.tx_power_uw(lane) * 1e-6)


def holds(emu: Emulator, of: Host, flag: int) -> int:
    """Lanes (mask) on which a condition holds now: a flag that is set again after it was read."""
    of.byte(0x11, flag)
    emu.clock.advance(0.1)
    return of.byte(0x11, flag)


def break_out(emu: Emulator, port: str) -> Host:
    """A host gives a DR4 its second application, 4 x 100G, on pairs of host lanes."""
    found = host(emu, port)
    found.control(DP_DEINIT, 0xFF)
    emu.settle()
    for start in (1, 3, 5, 7):
        found.stage((start, start + 1), dp_config(2, start - 1))
    found.apply(0xFF, APPLY_DP_INIT)
    found.control(DP_DEINIT, 0)
    emu.settle()
    emu.clock.advance(5)
    assert found.states() == [ACTIVATED] * 8
    return found


# -- breakout ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken_out() -> Iterator[tuple[Emulator, Any]]:
    ports = {"a": DR4, "b1": DR1, "b2": DR1, "b3": DR1, "b4": DR1}
    with testbed(ports, out={"from": "a", "to": ["b1", "b2", "b3", "b4"], "length_m": 500, "loss_db": 3.0}) as emu:
        break_out(emu, "a")
        yield emu, emu.snapshot()


@pytest.fixture
def breakout(broken_out: tuple[Emulator, Any]) -> Emulator:
    emu, kept = broken_out
    emu.restore(kept)
    return emu


def test_each_leg_of_a_breakout_is_a_link_of_its_own(breakout: Emulator) -> None:
    near = host(breakout, "a")
    for lane in LANES:
        far = host(breakout, f"b{lane}")
        assert tx_dbm(near, lane) - rx_dbm(far, 1) == pytest.approx(3.0, abs=0.2)  # both read with noise
        assert tx_dbm(far, 1) - rx_dbm(near, lane) == pytest.approx(3.0, abs=0.2)
        assert holds(breakout, far, LOS_RX) == holds(breakout, far, LOL_RX) == 0


@pytest.mark.parametrize("leg", LANES)
def test_a_cut_leg_darkens_its_two_ends_only(breakout: Emulator, leg: int) -> None:
    near = host(breakout, "a")
    near.read(0x11, 134, 20)
    breakout.fibres["out"].cut(leg)
    breakout.clock.advance(1)
    assert [rx_dbm(near, lane) == DARK_DBM for lane in LANES] == [lane == leg for lane in LANES]
    assert holds(breakout, near, LOS_RX) == 1 << (leg - 1)
    for lane in LANES:
        assert holds(breakout, host(breakout, f"b{lane}"), LOS_RX) == (lane == leg)
    assert near.states() == [ACTIVATED] * 8
    breakout.fibres["out"].restore(leg)
    breakout.clock.advance(1)
    assert holds(breakout, near, LOS_RX) == holds(breakout, near, LOL_RX) == 0


def test_loss_of_a_leg_is_its_own(breakout: Emulator) -> None:
    breakout.fibres["out"].set_loss(6.5, leg=3)
    breakout.clock.advance(1)
    near = host(breakout, "a")
    losses = [tx_dbm(near, lane) - rx_dbm(host(breakout, f"b{lane}"), 1) for lane in LANES]
    assert losses == pytest.approx([3.0, 3.0, 6.5, 3.0], abs=0.2)


def test_a_leg_may_hang_free_and_be_plugged_in_later() -> None:
    legs = {"from": "a", "to": ["b1", None, None, "b4"], "length_m": 20}
    with testbed({"a": DR4, "b1": DR1, "b4": ""}, out=legs) as emu:
        near = host(emu, "a")
        assert [rx_dbm(near, lane) == DARK_DBM for lane in LANES] == [False, True, True, True]
        assert emu.fibres["out"].dark == dict.fromkeys((2, 3, 4), "nothing is plugged in")
        emu.ports["b4"].insert(DR1)
        emu.settle()
        emu.clock.advance(5)
        assert [rx_dbm(near, lane) == DARK_DBM for lane in LANES] == [False, True, True, False]
        emu.ports["b1"].remove()
        emu.clock.advance(1)
        assert [rx_dbm(near, lane) == DARK_DBM for lane in LANES] == [True, True, True, False]


def test_an_800g_module_breaks_out_to_two_of_400g() -> None:
    with testbed(
        {"a": "osfp-800g-dr8", "b": DR4, "c": DR4}, out={"from": "a", "to": ["b", "c"], "loss_db": 2.0}
    ) as emu:
        near = host(emu, "a")
        for port, first in (("b", 1), ("c", 5)):
            far = host(emu, port)
            losses = [tx_dbm(near, first + k) - rx_dbm(far, 1 + k) for k in range(4)]
            assert losses == pytest.approx([2.0] * 4, abs=0.2)


# -- mixed ends and wrong cables ---------------------------------------------------------------------


@pytest.fixture
def fr1(tmp_path: Path) -> str:
    """A 100GBASE-FR1 on top of the library's DR1: as far as this model goes, another receiver and more light."""
    path = tmp_path / "fr1.yaml"
    lines = ("profile: fr1", "base: qsfp28-100g-dr1", "title: 100GBASE-FR1", "plant:")
    path.write_text("\n".join([*lines, "  pmd: 100gbase-fr1", "  receiver: fr1", "  tx_power_dbm: 2.2"]) + "\n")
    return str(path)


def test_dr4_and_fr1_work_together_within_reach(fr1: str) -> None:
    legs = {"from": "a", "to": ["b1", "b2", "b3", "b4"], "length_m": 500, "loss_db": 3.0}
    with testbed({"a": DR4, **dict.fromkeys(legs["to"], fr1)}, out=legs) as emu:
        near = break_out(emu, "a")
        assert holds(emu, near, LOS_RX) == holds(emu, near, LOL_RX) == 0
        for lane in LANES:
            far = host(emu, f"b{lane}")
            assert tx_dbm(near, lane) - rx_dbm(far, 1) == pytest.approx(3.0, abs=0.2)
            signals = emu.ports[f"b{lane}"].module.banks[0].signals
            assert signals.routes.light_errors(1, emu.clock.now_ns) < 2.4e-4
            assert emu.ports["a"].module.banks[0].signals.routes.light_errors(lane, emu.clock.now_ns) < 2.4e-4


@pytest.mark.parametrize(
    ("far", "cable", "reason"),
    [
        (DR4, "type-a", "type-A trunk"),
        (DR4, "type-c", "type-C trunk"),
        (DR4, "duplex", "does not fit"),
        (FR4, "auto", "differ in wavelength"),
        (FR4, "duplex", "differ in wavelength"),
        ("qsfpdd-400g-sr8", "auto", "differ in wavelength"),
        ("qsfpdd-400g-dac", "auto", "one of its own ends"),
    ],
)
def test_the_wrong_cable_stays_dark(far: str, cable: str, reason: str) -> None:
    """Each module works, and hears nothing: Rx power -40 dBm, LOS on all its media lanes, traffic out."""
    with testbed({"a": DR4, "b": far}, wrong={"from": "a", "to": "b", "cable": cable}) as emu:
        assert reason in emu.fibres["wrong"].dark[1]
        for port in ("a", "b"):
            module = emu.ports[port].module
            if module.profile.flat:
                continue
            found = host(emu, port)
            lanes = module.profile.plant.media_lanes
            assert [rx_dbm(found, lane) for lane in range(1, lanes + 1)] == [DARK_DBM] * lanes
            assert holds(emu, found, LOS_RX) == (1 << lanes) - 1
            assert tx_dbm(found, 1) > -3
            assert found.states() == [ACTIVATED] * 8


def test_the_right_trunk_is_the_one_without_a_name() -> None:
    with (
        testbed({"a": DR4, "b": DR4}, x={"from": "a", "to": "b"}) as auto,
        testbed({"a": DR4, "b": DR4}, x={"from": "a", "to": "b", "cable": "type-b"}) as named,
    ):
        for port in ("a", "b"):
            assert host(auto, port).read(0x11, 128, 128) == host(named, port).read(0x11, 128, 128)


# -- loss from the parts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profiles", "plan", "loss_db"),
    [
        ((DR4, DR4), {"length_m": 500}, 0.875),
        ((FR4, FR4), {"length_m": 2000}, 0.70 + 0.4),
        ((DR4, DR4), {"length_m": 500, "connectors": ["mpo-max", "mpo-max", "mpo-max"]}, 0.175 + 2.25),
        ((DR4, DR4), {"length_m": 500, "glass": "smf-spec", "connectors": []}, 0.25),
        ((DR4, DR4), {"length_m": 0, "bends": [{"radius_mm": 7.5, "turns": 3}]}, 0.7 + 2.72),
        ((DR4, DR1), {"length_m": 0}, 0.35 + 0.2),
        (("qsfpdd-400g-sr8",) * 2, {"length_m": 100, "connectors": []}, 0.35),
    ],
)
def test_a_loss_adds_up(profiles: tuple[str, str], plan: dict[str, Any], loss_db: float) -> None:
    with testbed(dict(zip("ab", profiles, strict=True)), x={"from": "a", "to": "b", **plan}) as emu:
        assert emu.fibres["x"].loss_db == pytest.approx(loss_db, abs=0.02)
        found = tx_dbm(host(emu, "a"), 1) - rx_dbm(host(emu, "b"), 1)
        assert found == pytest.approx(loss_db, abs=0.2)


# -- what one end does, the other sees ---------------------------------------------------------------


@pytest.fixture(scope="module")
def joined() -> Iterator[tuple[Emulator, Any]]:
    with testbed({"a": DR4, "b": DR4}, x={"from": "a", "to": "b", "length_m": 500, "loss_db": 3.0}) as emu:
        yield emu, emu.snapshot()


@pytest.fixture
def link(joined: tuple[Emulator, Any]) -> Emulator:
    emu, kept = joined
    emu.restore(kept)
    host(emu, "b").read(0x11, 134, 20)
    return emu


def when_lost(emu: Emulator, lanes: int, limit_s: float) -> float:
    """Seconds until the far end flags LOS on just these lanes; the flag byte is looked at, not read."""
    module, start = emu.ports["b"].module, emu.clock.now
    while module.peek(0x11, LOS_RX, 1)[0] != lanes:
        assert emu.clock.now - start < limit_s, "no LOS in time"
        assert not module.peek(0x11, LOS_RX, 1)[0] & ~lanes
        emu.clock.advance(1e-4)
    return emu.clock.now - start


@pytest.mark.rule("FLG-08")
@pytest.mark.parametrize(
    ("control", "mask", "lanes", "limit_s"),
    [
        (OUTPUT_DISABLE_TX, 0b0100, 0b0100, 0.102),
        (SQUELCH_FORCE_TX, 0b1001, 0b1001, 0.102),
        (DP_DEINIT, 0xFF, 0b1111, 0.300),
    ],
)
def test_a_control_of_one_end_is_loss_of_signal_at_the_other(
    link: Emulator, control: int, mask: int, lanes: int, limit_s: float
) -> None:
    host(link, "a").control(control, mask)
    taken = when_lost(link, lanes, limit_s)
    assert taken >= 0.99e-4  # the receiver's own time to tell
    host(link, "a").control(control, 0)
    link.settle()
    link.clock.advance(2)
    far = host(link, "b")
    assert holds(link, far, LOS_RX) == holds(link, far, LOL_RX) == 0


@pytest.mark.parametrize("host_lane", range(1, 9))
def test_a_lost_host_signal_is_squelched_and_dark_at_the_other_end(link: Emulator, host_lane: int) -> None:
    """Through the gearbox: host lanes 2k-1 and 2k make media lane k."""
    link.ports["a"].set_host_signal(host_lane, False)
    lane = (host_lane + 1) // 2
    when_lost(link, 1 << (lane - 1), 0.2)
    assert rx_dbm(host(link, "b"), lane) < -13
    link.ports["a"].set_host_signal(host_lane, True)
    link.clock.advance(2)
    assert holds(link, host(link, "b"), LOS_RX) == 0


def test_without_squelch_the_light_stays(link: Emulator) -> None:
    host(link, "a").control(AUTO_SQUELCH_DISABLE_TX, 0xFF)
    link.clock.advance(0.2)
    far = host(link, "b")
    link.ports["a"].set_host_signal(1, False)
    link.clock.advance(1)
    assert holds(link, far, LOS_RX) == holds(link, far, LOL_RX) == 0  # half of the symbols still come from the host
    link.ports["a"].set_host_signal(2, False)
    link.clock.advance(1)
    assert holds(link, far, LOS_RX) == 0
    assert rx_dbm(far, 1) > -4
    assert holds(link, far, LOL_RX) == 1  # light, and nothing on it that a clock could follow


def _reset(emu: Emulator) -> None:
    emu.ports["a"].pins.ResetL = False


def _unplug(emu: Emulator) -> None:
    emu.ports["a"].remove()


def _unpower(emu: Emulator) -> None:
    emu.ports["a"].pins.power = False


def _low_power(emu: Emulator) -> None:
    emu.ports["a"].pins.LPMode = True


def _fault(emu: Emulator) -> None:
    emu.ports["a"].module.fault(2)


def _software_reset(emu: Emulator) -> None:
    host(emu, "a").write(0, 26, 0x08)


@pytest.mark.parametrize(
    ("event", "least_s", "limit_s"),
    [
        (_reset, 1.1e-4, 1e-3),
        (_unplug, 1e-4, 1e-3),
        (_unpower, 1e-4, 1e-3),
        (_fault, 1e-4, 1e-3),
        (_software_reset, 1e-4, 1e-3),
        (_low_power, 1e-4, 0.7),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_"),
)
def test_what_becomes_of_a_module_shows_at_the_other_end(
    link: Emulator, event: Callable[[Emulator], None], least_s: float, limit_s: float
) -> None:
    event(link)
    assert least_s <= when_lost(link, 0b1111, limit_s) + 1e-9
    far = host(link, "b")
    link.clock.advance(1)
    assert [rx_dbm(far, lane) for lane in LANES] == [DARK_DBM] * 4
    assert far.states() == [ACTIVATED] * 8  # its own path goes on


def test_a_module_that_comes_back_is_heard_again(link: Emulator) -> None:
    link.ports["a"].remove()
    link.clock.advance(1)
    link.ports["a"].insert(DR4)
    link.settle()
    link.clock.advance(5)
    far = host(link, "b")
    assert holds(link, far, LOS_RX) == holds(link, far, LOL_RX) == 0
    assert tx_dbm(host(link, "a"), 2) - rx_dbm(far, 2) == pytest.approx(3.0, abs=0.2)


def test_a_fibre_that_is_dirty_keeps_its_dirt_when_a_module_is_swapped(link: Emulator) -> None:
    fibre = link.fibres["x"]
    fibre.disturb(2.0, (-20.0, -20.0))
    fibre.cut()
    link.ports["b"].remove()
    link.ports["b"].insert(DR4)
    link.settle()
    assert rx_dbm(host(link, "b"), 1) == DARK_DBM
    fibre.restore()
    link.clock.advance(2)
    assert tx_dbm(host(link, "a"), 1) - rx_dbm(host(link, "b"), 1) == pytest.approx(5.0, abs=0.2)
    fibre.disturb(0.0)
    link.clock.advance(2)
    assert tx_dbm(host(link, "a"), 1) - rx_dbm(host(link, "b"), 1) == pytest.approx(3.0, abs=0.2)
