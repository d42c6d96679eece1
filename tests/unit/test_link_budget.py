"""The light of a cable at every point, as data and as text."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest

from cmis_emu import Emulator, ManualClock
from cmis_emu.link_budget import link_budget
from cmis_emu.live.link import draw
from cmis_emu.physics.parameters import Quantity
from cmis_emu.physics.units import w_to_dbm

DR4, DR1 = "qsfpdd-400g-dr4", "qsfp28-100g-dr1"


def emulator(ports: dict[str, str], **fibre: Any) -> Emulator:
    plan = {name: {"profile": profile, "bus": bus} for bus, (name, profile) in enumerate(ports.items(), 1)}
    emu = Emulator.load({"version": 1, "ports": plan, "fibres": {"x": fibre}}, clock=ManualClock(), seed=1)
    emu.settle()
    emu.clock.advance(5)
    return emu


def of(emu: Emulator) -> dict[str, Any]:
    found = link_budget(emu.fibres["x"], emu.clock.now_ns)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))  # plain data
    return found


@pytest.mark.parametrize(
    "fibre",
    [
        {"length_m": 500},
        {"length_m": 500, "loss_db": 3.0},
        {"length_m": 100, "connectors": ["mpo", "splice", "mpo-max"], "bends": [{"radius_mm": 10, "turns": 2}]},
    ],
)
def test_every_point_lies_below_the_one_before_by_its_loss(fibre: dict[str, Any]) -> None:
    with emulator({"a": DR4, "b": DR4}, **{"from": "a", "to": "b"}, **fibre) as emu:
        emu.fibres["x"].disturb(0.7)
        strands = [strand for leg in of(emu)["legs"] for strand in leg["strands"]]
        assert len(strands) == 8
        for strand in strands:
            points = strand["points"]
            for before, after in itertools.pairwise(points):
                assert before["dbm"] - after["dbm"] == pytest.approx(after["loss_db"], abs=1e-9)
            assert sum(point["loss_db"] for point in points) == pytest.approx(emu.fibres["x"].loss_db)
            plant = emu.ports[strand["to"]].module.plant
            received_w = plant.trend(Quantity.RX_POWER, strand["rx_lane"], emu.clock.now_ns).value
            assert strand["rx_dbm"] == points[-1]["dbm"] == pytest.approx(w_to_dbm(received_w))


def test_margins_count_against_what_the_standard_promises() -> None:
    with emulator({"a": DR4, "b": DR4}, **{"from": "a", "to": "b", "length_m": 500, "loss_db": 3.5}) as emu:
        strand = of(emu)["legs"][0]["strands"][0]
        assert strand["margins"]["budget_db"] == 3.0
        assert strand["margins"]["span"] == "500 m"
        assert strand["margins"]["left_db"] == pytest.approx(-0.5)
        assert strand["margins"]["above_min_db"] == pytest.approx(strand["rx_dbm"] + 5.9)
        reception = strand["reception"]
        assert reception["locked"]
        assert not reception["los"]
        assert reception["limit_ber"] == 2.4e-4
        assert reception["limit_esnr_db"] == pytest.approx(17.65, abs=0.01)
        assert reception["ber"] < reception["limit_ber"]


def test_a_breakout_is_told_leg_by_leg() -> None:
    with emulator({"a": DR4, "b1": DR1, "b4": DR1}, **{"from": "a", "to": ["b1", None, None, "b4"]}) as emu:
        found = of(emu)
        assert [leg["dark"] for leg in found["legs"]] == [None, *["nothing is plugged in"] * 2, None]
        assert [(s["tx_lane"], s["rx_lane"]) for s in found["legs"][3]["strands"]] == [(4, 1), (1, 4)]
        there, back = found["legs"][3]["strands"]
        assert [point["at"] for point in there["points"]] == ["Tx", "mpo", "2 m smf", "lc"]
        assert [point["at"] for point in back["points"]] == ["Tx", "lc", "2 m smf", "mpo"]


@pytest.mark.parametrize(
    ("ports", "fibre", "shown"),
    [
        (
            {"a": DR4, "b": DR4},
            {"to": "b", "length_m": 500},
            ["a to b: budget 3.0 dB", "--[500 m smf -0.17]->", "b to a"],
        ),
        ({"a": DR4, "b": DR4}, {"to": "b", "cable": "type-a"}, ["a to b: dark, a type-A trunk"]),
        ({"a": DR4, "b": ""}, {"to": "b"}, ["b (empty)", "dark, nothing is plugged in"]),
        ({"a": "", "b": DR4}, {"to": "b"}, ["a (empty)", "dark, nothing is plugged in"]),
        ({"a": DR4, "b1": DR1}, {"to": ["b1", None]}, ["leg 1: a to b1", "leg 2: a to nothing: dark"]),
        ({"a": "qsfpdd-400g-dac", "b": "qsfpdd-400g-dac"}, {"to": "b"}, ["the cable is electrical"]),
        ({"a": "qsfpdd-400g-aoc", "b": "qsfpdd-400g-aoc"}, {"to": "b"}, ["a to b", "b to a"]),
    ],
)
def test_a_drawing(ports: dict[str, str], fibre: dict[str, Any], shown: list[str]) -> None:
    with emulator(ports, **{"from": "a"}, **fibre) as emu:
        text = draw(of(emu))
        for each in shown:
            assert each in text
        assert "nan" not in text
        assert "None" not in text


def test_a_drawing_of_a_cut_says_where_the_light_ends() -> None:
    with emulator({"a": DR4, "b": DR4}, **{"from": "a", "to": "b", "length_m": 500}) as emu:
        emu.fibres["x"].cut()
        emu.clock.advance(1)
        text = draw(of(emu))
        assert "--[cut]->" in text
        assert text.count("dark") == 8
        assert text.count("LOS, no lock") == 8
        strand = of(emu)["legs"][0]["strands"][0]
        assert strand["points"][-1] == {"at": "cut", "loss_db": None, "dbm": None}
        assert strand["margins"]["left_db"] is None


def test_a_laser_that_is_off_is_dark_from_the_start() -> None:
    with emulator({"a": DR4, "b": DR4}, **{"from": "a", "to": "b"}) as emu:
        emu.ports["a"].pins.LPMode = True
        emu.settle()
        emu.clock.advance(2)
        there = of(emu)["legs"][0]["strands"][0]
        assert all(point["dbm"] is None for point in there["points"])
        assert math.isclose(there["margins"]["loss_db"], 0.7007, abs_tol=1e-3)
