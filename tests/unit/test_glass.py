"""Glass, joints, bends and the standards' interfaces against every figure of the optics model, section 4."""

from __future__ import annotations

import copy
import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu.errors import InputError
from cmis_emu.physics.fibre import Strand
from cmis_emu.physics.glass import (
    GLASS,
    JOINTS,
    Bend,
    Joint,
    Path,
    attenuation_db_per_km,
    bend_loss_db,
    dirty,
    dispersion_ps_nm_km,
    interference,
)
from cmis_emu.physics.mpo import Connector
from cmis_emu.physics.pmd import (
    CWDM4_NM,
    DAMAGE_DBM,
    LEAST_TDECQ_DB,
    LOS_ASSERT_LEAST_DBM,
    LOS_DEASSERT_MOST_DBM,
    LOS_HYSTERESIS_DB,
    PMDS,
    PORT_REFLECTANCE_DB,
    RIN_LIMIT_DB_PER_HZ,
    SIDE_MODE_SUPPRESSION_DB,
    Pmd,
    Span,
    shared_span,
)
from cmis_emu.physics.receiver import DR_TYPICAL, PRESETS, decide, dispersion_penalty_db
from cmis_emu.physics.units import db_to_ratio, dbm_to_w, ratio_to_db

NM = 1311.0
ER = db_to_ratio(5.0)


def ber(path: Path, lost_db: float = 0.0) -> float:
    """Of a typical DR4 lane: the nominal 3 dB, and what `path` takes beside."""
    return decide(DR_TYPICAL, dbm_to_w(1.7 - 3.0 - path.loss_db(1310.0) - lost_db), ER, 2.0, path.interference()).ber


@pytest.mark.parametrize(
    ("kind", "nm", "expected"),
    [("smf", 1310, 0.35), ("smf", 1550, 0.20), ("smf-spec", 1310, 0.5), ("smf-lr", 1310, 0.43), ("os2", 1310, 0.4)],
)
def test_attenuation(kind: str, nm: float, expected: float) -> None:
    assert attenuation_db_per_km(GLASS[kind], nm) == pytest.approx(expected)


def test_attenuation_between_and_beyond_the_bands() -> None:
    assert attenuation_db_per_km(GLASS["smf"], 1430) == pytest.approx(0.275)
    assert attenuation_db_per_km(GLASS["smf"], 1271) == 0.35
    assert attenuation_db_per_km(GLASS["smf"], 1600) == 0.20
    assert [kind.name for kind in GLASS.values() if not kind.single_mode] == ["om3", "om4"]


def test_joints() -> None:
    assert [JOINTS[name].loss_db for name in ("lc", "mpo", "mpo-max", "splice")] == [0.2, 0.35, 0.75, 0.05]
    assert [JOINTS[name].reflectance_db for name in ("lc", "lc-apc", "mpo", "mpo-max")] == [-50, -60, -60, -60]
    assert JOINTS["splice"].reflectance_db == -math.inf
    assert dirty(JOINTS["mpo"])[:2] == (0.85, -20.0)
    assert dirty(Joint(0.2, -14.0)).reflectance_db == -14.0  # dirt makes no open end better


@pytest.mark.parametrize(
    ("glass", "length_m", "connectors_db", "budget_db"),
    [("smf-spec", 500, 2.75, 3.0), ("smf-spec", 2000, 3.0, 4.0), ("smf-lr", 10_000, 2.0, 6.3)],
)
def test_budgets(glass: str, length_m: float, connectors_db: float, budget_db: float) -> None:
    assert Path(GLASS[glass], length_m, extra_db=connectors_db).loss_db(1310) == pytest.approx(budget_db)


def test_loss_is_the_sum_of_its_parts() -> None:
    path = Path(
        GLASS["smf"],
        500,
        (JOINTS["mpo"], JOINTS["mpo"], JOINTS["splice"]),
        (Bend(7.5, 3),),
        0.25,
    )
    assert path.loss_db(1310) == pytest.approx(0.175 + 0.7 + 0.05 + 3 * bend_loss_db(7.5, 1310) + 0.25)
    assert Path().loss_db(1310) == 0.0


@pytest.mark.parametrize(("nm", "expected"), [(1310, 0.90), (1550, 5.98)])
def test_bends(nm: float, expected: float) -> None:
    assert bend_loss_db(7.5, nm) == pytest.approx(expected, abs=0.005)
    assert bend_loss_db(7.5, nm, 3) == pytest.approx(3 * bend_loss_db(7.5, nm))


def test_bends_between_the_bands() -> None:
    assert bend_loss_db(7.5, 1430) == pytest.approx(math.sqrt(0.9018 * 5.9845), rel=1e-3)
    assert bend_loss_db(7.5, 850) == bend_loss_db(7.5, 1260)
    assert bend_loss_db(7.5, 1304.5) == bend_loss_db(7.5, 1310) == bend_loss_db(7.5, 1317.5)  # the DR4's window
    assert bend_loss_db(7.5, 1304.4) < bend_loss_db(7.5, 1310) < bend_loss_db(7.5, 1317.6)
    assert bend_loss_db(1e5, 1550) == 0.0


@given(st.floats(1, 1e4), st.floats(800, 1700), st.floats(0, 10))
def test_a_tighter_bend_and_longer_waves_lose_more(radius_mm: float, nm: float, turns: float) -> None:
    here = bend_loss_db(radius_mm, nm, turns)
    assert 0 <= here <= bend_loss_db(radius_mm * 0.99, nm, turns) * (1 + 1e-9)
    assert here <= bend_loss_db(radius_mm, nm + 10, turns) * (1 + 1e-9)


def test_dispersion_of_the_check_points() -> None:
    """The sheet's figures are of the fibres at the limits: zero at 1300 nm above, at 1324 nm below."""
    dr4 = Path(GLASS["smf"], 500)
    assert dr4.worst_dispersion_ps_nm(1317.5) == pytest.approx(0.79, abs=0.005)
    assert dr4.worst_dispersion_ps_nm(1304.5) == pytest.approx(-0.92, abs=0.005)
    lr4 = Path(GLASS["smf"], 10_000)
    assert lr4.worst_dispersion_ps_nm(1337.5) == pytest.approx(33.1, abs=0.05)
    assert Path(GLASS["smf"], 10_000, zero_nm=1300.0).dispersion_ps_nm(1337.5) == lr4.worst_dispersion_ps_nm(1337.5)
    assert dispersion_penalty_db(lr4.worst_dispersion_ps_nm(1337.5)) == pytest.approx(1.0, abs=0.01)
    assert dispersion_ps_nm_km(1312.0, 1312.0) == 0.0


def test_dispersion_of_the_typical_fibre() -> None:
    assert Path(GLASS["smf"], 10_000).dispersion_ps_nm(1337.5) == pytest.approx(22.8, abs=0.05)
    assert Path(GLASS["om4"], 100).dispersion_ps_nm(850) == 0.0
    assert Path(GLASS["om4"], 100).worst_dispersion_ps_nm(850) == 0.0


def test_interference_of_two_dirty_ends() -> None:
    assert ratio_to_db(interference([-20, -20])) == pytest.approx(-40)
    assert interference([-20]) == interference([]) == 0.0
    assert interference([-20, -math.inf]) == 0.0


@given(st.lists(st.floats(-80, 0), max_size=8))
def test_interference_is_over_all_pairs(reflectances: list[float]) -> None:
    ratios = [db_to_ratio(r) for r in reflectances]
    assert interference(reflectances) == pytest.approx(sum(a * b for a, b in combinations(ratios, 2)))
    assert interference(reversed(reflectances)) == pytest.approx(interference(reflectances))


def test_fault_table() -> None:
    """What the sheet expects of dirt and bends, from the path itself."""
    clean = JOINTS["mpo"]
    lost = clean.loss_db
    assert ber(Path(joints=(dirty(clean, 2.5),)), -lost) == pytest.approx(5.9e-6, rel=0.06)
    assert ber(Path(joints=(dirty(clean, 4.5),)), -lost) == pytest.approx(6.8e-4, rel=0.06)
    assert ber(Path(joints=(dirty(clean), dirty(clean))), -2 * lost) == pytest.approx(1.0e-5, rel=0.06)
    assert Path(bends=(Bend(7.5, 3),)).loss_db(1310) == pytest.approx(2.7, abs=0.01)
    assert ber(Path(bends=(Bend(7.5, 3),))) == pytest.approx(1.0e-5, rel=0.06)


@pytest.mark.parametrize(
    "bad",
    [
        {"length_m": -1.0},
        {"length_m": math.nan},
        {"extra_db": -0.1},
        {"extra_db": math.inf},
        {"zero_nm": 0.0},
        {"zero_nm": math.nan},
        {"joints": (Joint(-0.1, -50.0),)},
        {"joints": (Joint(0.1, 3.0),)},
        {"bends": (Bend(0.0),)},
        {"bends": (Bend(7.5, -1.0),)},
        {"bends": (Bend(math.nan),)},
    ],
)
def test_an_impossible_path_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        Path(**bad)  # type: ignore[arg-type]


def test_snapshots_share_what_never_changes() -> None:
    for thing in (Path(), GLASS["smf"], PMDS["400gbase-dr4"]):
        assert copy.deepcopy(thing) is thing


def test_a_strand_forgets_what_it_was() -> None:
    """Whatever happens to it is in the very next answer."""
    strand = Strand(3.0, Path(length_m=500))
    assert strand.transmission(NM) == pytest.approx(db_to_ratio(-3.0))
    strand.disturb(1.0, (-20.0, -20.0))
    assert strand.transmission(NM) == pytest.approx(db_to_ratio(-4.0))
    assert ratio_to_db(strand.interference()) == pytest.approx(-40)
    strand.disturb(0.0)
    assert strand.interference() == 0.0
    strand.fixed_db = None
    assert strand.transmission(1310.0) == pytest.approx(db_to_ratio(-0.175))
    strand.cut = True
    assert strand.transmission(NM) == 0.0
    strand.cut = False
    assert strand.transmission(1310.0) == pytest.approx(db_to_ratio(-0.175))


# -- the standards' interfaces -----------------------------------------------------------------------------

ROWS = [
    # name, OMA min, max, OMA-TDECQ, TDECQ, average min, max, Rx average min, SRS, SECQ, loss
    ("400gbase-dr4", -0.8, 4.2, -2.2, 3.4, -2.9, 4.0, -5.9, -1.9, 3.4, 3.0),
    ("100gbase-dr", -0.8, 4.2, -2.2, 3.4, -2.9, 4.0, -5.9, -1.9, 3.4, 3.0),
    ("800gbase-dr8", -0.8, 4.2, -2.2, 3.4, -2.9, 4.0, -5.9, -1.9, 3.4, 3.0),
    ("400gbase-fr4", -0.3, 3.7, -1.7, 3.4, -3.3, 3.5, -7.3, -2.6, 3.4, 4.0),
    ("100gbase-fr1", -0.1, 4.2, -1.5, 3.4, -3.1, 4.0, -7.1, -2.5, 3.4, 4.0),
    ("400g-lr4-10", 0.3, 4.4, -1.1, 3.9, -2.7, 5.1, -9.0, -4.1, 3.9, 6.3),
    ("100gbase-lr1", 0.7, None, -0.7, 3.4, -1.9, 4.8, -8.2, -4.1, 3.4, 6.3),
    ("400gbase-lr4-6", 0.7, None, -0.7, 3.4, -1.9, 4.8, -8.2, -4.1, 3.4, 4.6),
    ("400gbase-sr8", -4.5, 3.0, -5.9, 4.5, -6.5, 4.0, -8.4, -3.4, 4.5, 1.9),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_table(row: tuple[str | float | None, ...]) -> None:
    pmd = PMDS[str(row[0])]
    found = (pmd.oma_min_dbm, pmd.oma_max_dbm, pmd.oma_minus_tdecq_dbm, pmd.tdecq_max_db, pmd.average_min_dbm)
    found += (pmd.average_max_dbm, pmd.rx_average_min_dbm, pmd.stressed_sensitivity_dbm, pmd.secq_db, pmd.budget_db)
    assert (pmd.name, *found) == row


def test_the_table_is_whole() -> None:
    assert list(PMDS) == [pmd.name for pmd in PMDS.values()]
    assert set(PMDS) == {row[0] for row in ROWS}


@pytest.mark.parametrize("pmd", PMDS.values(), ids=lambda pmd: pmd.name)
def test_figures_of_an_interface_agree(pmd: Pmd) -> None:
    """Relations that hold in every row, so that a slip of one digit is found."""
    assert pmd.least_oma_dbm(0.0) == pytest.approx(pmd.oma_min_dbm)
    limit = PRESETS[f"{pmd.receiver}-limit"]
    assert (limit.calibration_oma_dbm, limit.calibration_tdecq_db) == (pmd.stressed_sensitivity_dbm, pmd.secq_db)
    assert limit.symbol_rate_bd == pmd.symbol_rate_bd
    assert pmd.sensitivity_dbm(pmd.secq_db) == pytest.approx(pmd.stressed_sensitivity_dbm)
    # The least average power at the receiver is the transmitter's, less the loss; the sheet gives LR4-6 the LR1's.
    if pmd.name != "400gbase-lr4-6":
        assert pmd.average_min_dbm - pmd.budget_db == pytest.approx(pmd.rx_average_min_dbm)
    assert len(pmd.wavelengths_nm) in {1, pmd.lanes}
    assert pmd.lanes <= (pmd.connector.lanes if len(pmd.wavelengths_nm) == 1 else 4)
    for span in pmd.spans:
        assert GLASS[span.glass].single_mode is (pmd.wavelengths_nm[0] > 1000)
    # The weakest lane over the longest link is heard.
    assert pmd.least_oma_dbm(pmd.tdecq_max_db) - pmd.budget_db >= pmd.stressed_sensitivity_dbm


def test_common_figures() -> None:
    assert {pmd.extinction_min_db for name, pmd in PMDS.items() if "sr" not in name} == {3.5}
    assert PMDS["400gbase-sr8"].extinction_min_db == 3.0
    assert (PMDS["400gbase-dr4"].tx_off_dbm, PMDS["400gbase-fr4"].tx_off_dbm) == (-15.0, -20.0)
    assert (SIDE_MODE_SUPPRESSION_DB, RIN_LIMIT_DB_PER_HZ, DAMAGE_DBM, PORT_REFLECTANCE_DB) == (30, -136, 5, -26)
    assert (LOS_ASSERT_LEAST_DBM, LOS_DEASSERT_MOST_DBM, LOS_HYSTERESIS_DB) == (-15.0, -10.0, 0.5)
    assert LEAST_TDECQ_DB == 1.4


def test_windows_and_reaches() -> None:
    assert PMDS["400gbase-dr4"].window_nm(3) == (1304.5, 1317.5)
    fr4 = PMDS["400gbase-fr4"]
    assert [fr4.lane_wavelength_nm(lane) for lane in (1, 2, 3, 4)] == list(CWDM4_NM) == [1271, 1291, 1311, 1331]
    assert fr4.window_nm(4) == (1324.5, 1337.5)
    assert PMDS["400gbase-sr8"].lane_wavelength_nm(8) == 850
    reaches = {name: pmd.reach_m for name, pmd in PMDS.items()}
    assert {reaches[name] for name in ("400gbase-dr4", "100gbase-dr", "800gbase-dr8")} == {500}
    assert {reaches[name] for name in ("400gbase-fr4", "100gbase-fr1")} == {2000}
    assert {reaches[name] for name in ("400g-lr4-10", "100gbase-lr1")} == {10_000}
    assert reaches["400gbase-lr4-6"] == 6000
    assert PMDS["400gbase-sr8"].spans == (("om4", 100, 1.9), ("om3", 70, 1.8))
    assert PMDS["800gbase-dr8"].connector is Connector.MPO16


@pytest.mark.parametrize(
    ("name", "connectors_db"),
    [("400gbase-dr4", 2.75), ("400gbase-fr4", 3.0), ("400g-lr4-10", 2.0), ("400gbase-lr4-6", 2.0)],
)
def test_a_span_is_its_glass_and_its_connectors(name: str, connectors_db: float) -> None:
    span = PMDS[name].spans[0]
    assert Path(GLASS[span.glass], span.length_m, extra_db=connectors_db).loss_db(1310) == pytest.approx(
        span.budget_db, abs=0.05
    )


def test_multi_mode_spans() -> None:
    """1.5 dB of connectors, as the loss is published rounded up to a tenth."""
    for span in PMDS["400gbase-sr8"].spans:
        loss_db = Path(GLASS[span.glass], span.length_m, extra_db=1.5).loss_db(850)
        assert span.budget_db - 0.1 < loss_db <= span.budget_db


def test_sensitivity_and_penalties_of_dr4() -> None:
    dr4 = PMDS["400gbase-dr4"]
    for secq_db in (0.0, 0.9, 1.4, 2.0, 3.4):
        assert dr4.sensitivity_dbm(secq_db) == pytest.approx(max(-3.9, secq_db - 5.3))
    assert dr4.power_budget_db == pytest.approx(6.5)
    assert dr4.penalties_db == pytest.approx(3.5)


def test_what_hears_what() -> None:
    """DR4 and FR1 share 3.0 dB over 500 m; DR4 and FR4 stay dark."""
    dr4, fr1, fr4 = PMDS["400gbase-dr4"], PMDS["100gbase-fr1"], PMDS["400gbase-fr4"]
    assert shared_span(dr4, fr1) == shared_span(fr1, dr4) == Span("smf-spec", 500, 3.0)
    assert shared_span(dr4, fr4) is None
    assert shared_span(dr4, PMDS["400gbase-sr8"]) is None
    assert shared_span(fr4, PMDS["400g-lr4-10"]) == Span("smf-spec", 2000, 4.0)
    assert shared_span(dr4, dr4) == dr4.spans[0]
    assert fr4.hears(1, 1271.4)
    assert not fr4.hears(1, 1311.0)
