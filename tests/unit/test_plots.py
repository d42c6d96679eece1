"""The pictures of the optics model: what tools/plots.py proves, and that it would notice what is wrong."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import plots
import pytest
from optics import FIGURES
from optics.figure import Axis, Curve, Figure, Law, Panel, Point, points

LINE = Figure(
    "line",
    1,
    "A straight line",
    (
        Panel(
            Axis("time", "s", 0, 10), Axis("length", "m", 0, 20), (Curve("twice", lambda x: 2 * x, points((3, "6.0"))),)
        ),
    ),
)


def changed(figure: Figure, law: Callable[[Law], Law], *known: Point) -> Figure:
    """The figure with other laws, and with points of its first curve if any are given."""
    panels = []
    for panel in figure.panels:
        curves = tuple(replace(curve, law=law(curve.law), points=known or curve.points) for curve in panel.curves)
        panels.append(replace(panel, curves=curves))
    return replace(figure, panels=tuple(panels))


def scaled(factor: float) -> Callable[[Law], Law]:
    return lambda law: lambda x: factor * law(x)


def kept(law: Law) -> Law:
    return law


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What LINE's folder holds after a run; the picture has of a picture only its fingerprint."""
    (tmp_path / "README.md").write_text(plots.readme([LINE]))
    (tmp_path / "line.svg").write_text(f"<svg><desc>{plots.digest(LINE)}</desc></svg>")
    return tmp_path


# -- the pictures of today ----------------------------------------------------------------------------------


def test_the_model_meets_all_published_points(capsys: pytest.CaptureFixture[str]) -> None:
    assert plots.main(["--check"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"points in {len(FIGURES)} pictures, 0 faults")


def test_the_check_needs_no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plots.main(["--check"]) == 0


def test_the_page_shows_all_pictures() -> None:
    page = (plots.FOLDER / "README.md").read_text()
    for figure in FIGURES:
        assert f"]({figure.name}.svg)" in page
        assert figure.title in page
    assert page.count(".svg)") == len(FIGURES)
    for _, _, _, point in plots.every_point(FIGURES):
        assert point.published in page


def test_pictures_have_different_files() -> None:
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_picture_shows_its_points(figure: Figure) -> None:
    """At least one of each curve that has any; the others are in the table. No curve lacks a colour."""
    for panel in figure.panels:
        assert len(panel.curves) <= len(plots.COLOURS)
        for curve in panel.curves:
            shown = [
                p for p in curve.points if panel.x.low <= p.x <= panel.x.high and panel.y.low <= p.y <= panel.y.high
            ]
            assert bool(shown) is bool(curve.points), curve.label


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_pictures_are_small_and_tell_nothing_of_the_machine(figure: Figure) -> None:
    text = (plots.FOLDER / f"{figure.name}.svg").read_text()
    assert len(text) < 150_000
    assert "<dc:date>" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


# -- what is noticed ----------------------------------------------------------------------------------------


def test_a_folder_of_today_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plots.check([LINE], folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 points in 1 pictures, 0 faults"


@pytest.mark.parametrize("published", ["6.1", "5.9", "6.06", "7"])
def test_a_point_that_the_model_misses(published: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = changed(LINE, kept, Point(3, published))
    (tmp_path / "README.md").write_text(plots.readme([wrong]))
    (tmp_path / "line.svg").write_text(plots.digest(wrong))
    assert plots.check([wrong], tmp_path) == 1
    assert f"line: the model misses length {published} m at time 3 s (twice)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("published", "y", "tolerance"),
    [
        ("6.0", 6.0, 0.05),
        ("6", 6.0, 0.5),
        ("2.40e-4", 2.4e-4, 5e-7),
        ("-0.92", -0.92, 0.005),
        ("5.6e-112", 5.6e-112, 5e-114),
    ],
)
def test_the_last_digit_says_how_near(published: str, y: float, tolerance: float) -> None:
    curve = LINE.panels[0].curves[0]
    assert Point(0, published).y == y
    assert curve.tolerance(Point(0, published)) == pytest.approx(tolerance)
    assert replace(curve, slack=0.1).tolerance(Point(0, published)) == pytest.approx(tolerance + 0.1)
    relative = replace(curve, slack=0.1, relative=True)
    assert relative.tolerance(Point(0, published)) == pytest.approx(tolerance + 0.1 * abs(y))


def test_a_law_that_gives_no_number_misses() -> None:
    point = LINE.panels[0].curves[0].points[0]
    for panel in changed(LINE, lambda _: lambda _: math.nan).panels:
        assert plots.row(LINE, panel, panel.curves[0], point)[-1] == "MISSED"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("README.md", None, "README.md: found a table of an earlier state"),
        ("README.md", "# Pictures\n", "README.md: found a table of an earlier state"),
        ("line.svg", None, "line.svg: found no picture of today's model"),
        ("line.svg", "<svg><desc>0123456789abcdef</desc></svg>", "line.svg: found no picture of today's model"),
        ("curve.svg", "<svg/>", "curve.svg: found a picture of nothing"),
    ],
)
def test_a_stale_folder(
    name: str, text: str | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    assert plots.check([LINE], folder) == 1
    out = capsys.readouterr().out
    assert said in out
    assert out.endswith("1 faults\n")


def test_a_stale_picture_of_the_real_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change of one law, too small to miss a point, still asks for a new picture."""
    folder = Path(shutil.copytree(plots.FOLDER, tmp_path / "optics"))
    figures = [changed(f, scaled(1.002)) if f.name == "budgets" else f for f in FIGURES]
    assert plots.main(["--check"], figures, folder) == 1
    out = capsys.readouterr().out
    assert "budgets.svg: found no picture of today's model" in out
    assert "misses" not in out


# -- the fingerprint ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_the_fingerprint_is_as_fine_as_the_eye(figure: Figure) -> None:
    """It may not depend on the last bits of a machine's logarithm, and must see what a reader would."""
    today = plots.digest(figure)
    for factor in (1 + 1e-9, 1 - 1e-9):
        assert plots.digest(changed(figure, scaled(factor))) == today
    assert plots.digest(changed(figure, scaled(1.05))) != today


@pytest.mark.parametrize(
    "other",
    [
        replace(LINE, title="A line"),
        changed(LINE, kept, Point(3, "6.00")),
        replace(LINE, panels=(replace(LINE.panels[0], marks=((5.0, "limit"),)),)),
        replace(LINE, panels=(replace(LINE.panels[0], x=Axis("time", "s", 0, 11)),)),
        replace(LINE, panels=LINE.panels * 2),
    ],
)
def test_the_fingerprint_is_of_all_that_is_shown(other: Figure) -> None:
    assert plots.digest(other) != plots.digest(LINE)


def test_what_no_axis_shows_leaves_the_fingerprint() -> None:
    def beyond(law: Law) -> Law:
        return lambda x: law(x) if law(x) <= 20 else math.inf

    tall = replace(LINE, panels=(replace(LINE.panels[0], x=Axis("time", "s", 0, 20)),))
    assert plots.digest(changed(tall, beyond)) == plots.digest(tall)


def test_darkness_has_no_logarithm() -> None:
    dark = replace(LINE, panels=(replace(LINE.panels[0], y=Axis("length", "m", 0.1, 20, log=True)),))
    assert plots.digest(changed(dark, scaled(0.0))) != plots.digest(dark)


# -- drawing ------------------------------------------------------------------------------------------------


def test_where_curves_are_drawn() -> None:
    panel = LINE.panels[0]
    curve = panel.curves[0]
    straight = plots.abscissae(panel, curve)
    assert (straight[0], straight[-1], len(straight)) == (0.0, 10.0, plots.SAMPLES + 1)
    logarithmic = plots.abscissae(replace(panel, x=Axis("time", "s", 0.01, 100, log=True)), curve)
    assert logarithmic[plots.SAMPLES // 2] == pytest.approx(1.0)
    assert plots.abscissae(replace(panel, x=Axis("n", "", -0.5, 2.5)), replace(curve, whole=True)) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_everything_is_drawn(figure: Figure) -> None:
    """On axes that only count, as matplotlib is not needed to test."""
    for panel in figure.panels:
        axes = MagicMock()
        plots._draw_panel(axes, panel)
        labels = [call.kwargs.get("label") for call in axes.plot.call_args_list]
        assert [label for label in labels if label not in {None, "published"}] == [c.label for c in panel.curves]
        assert ("published" in labels) is any(curve.points for curve in panel.curves)
        said = [call.args[0] for call in axes.annotate.call_args_list]
        assert set(said) <= {p.published for c in panel.curves for p in c.points} | {mark for _, mark in panel.marks}
        assert axes.axhline.call_count == len(panel.marks)
        assert axes.set_xscale.called is panel.x.log
        assert axes.set_yscale.called is panel.y.log


def test_drawing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing is the docs extra's: pip install '.[docs]'")
    for name in ("one", "two"):
        assert plots.main([], [LINE], tmp_path / name) == 0
    assert (tmp_path / "one" / "line.svg").read_bytes() == (tmp_path / "two" / "line.svg").read_bytes()
    assert plots.check([LINE], tmp_path / "one") == 0


def test_a_machine_that_cannot_draw_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plots.main([], [LINE], tmp_path) == 3
    assert "pip install '.[docs]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
