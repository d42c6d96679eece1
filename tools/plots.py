"""Draws the optics model against its published points, into docs/optics. Run: python tools/plots.py [--check].

Drawing needs matplotlib (pip install ".[docs]"). --check needs nothing: it works out every published point,
prints it beside the model's value, and says whether docs/optics is of today's model; 1 when anything misses.
Ends with 3 where drawing is asked for and matplotlib is absent.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optics import FIGURES
from optics.figure import Axis, Curve, Figure, Panel, Point

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "optics"
SAMPLES = 160
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")  # told apart by everybody (Okabe and Ito)
PANEL_INCHES = (5.4, 3.9)
INTRODUCTION = """# The optics model in pictures

What `cmis_emu.physics` computes, drawn as curves, and the figures of the optics model sheet that it must meet,
drawn as rings. `python tools/plots.py` writes this folder, `python tools/plots.py --check` proves it.
"""


def abscissae(panel: Panel, curve: Curve) -> list[float]:
    """Where a curve is drawn."""
    axis = panel.x
    if curve.whole:
        return [float(x) for x in range(math.ceil(axis.low), math.floor(axis.high) + 1)]
    steps = [k / SAMPLES for k in range(SAMPLES + 1)]
    if axis.log:
        return [float(axis.low * (axis.high / axis.low) ** step) for step in steps]
    return [axis.low + (axis.high - axis.low) * step for step in steps]


def digest(figure: Figure) -> str:
    """A fingerprint of what a picture shows, as fine as an eye could see it; it is kept inside the picture."""
    told = [repr((figure.title, [(p.x, p.y, p.marks, p.marks_right, p.legend, p.title) for p in figure.panels]))]
    for panel in figure.panels:
        for curve in panel.curves:
            told.append(repr((curve.label, curve.points, curve.note)))
            told += [_seen(panel.y, curve.law(x)) for x in abscissae(panel, curve)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _seen(axis: Axis, y: float) -> str:
    """A value in thousandths of its axis, as what is less differs from one machine to the next; "none": no light."""
    if axis.log and y <= 0:
        return "none"
    if axis.log:
        share = math.log(y / axis.low) / math.log(axis.high / axis.low)
    else:
        share = (y - axis.low) / (axis.high - axis.low)
    # Outside is outside. The shift: round numbers lie on no border between two thousandths.
    return str(math.floor(1000 * min(max(share, -0.001), 1.001) + 1 / math.pi))


# -- the points -------------------------------------------------------------------------------------------


def every_point(figures: Sequence[Figure]) -> Iterator[tuple[Figure, Panel, Curve, Point]]:
    """All published points, with where they belong."""
    for figure in figures:
        for panel in figure.panels:
            for curve in panel.curves:
                for point in curve.points:
                    yield figure, panel, curve, point


def row(figure: Figure, panel: Panel, curve: Curve, point: Point) -> tuple[str, ...]:
    """One line of the table; the last cell is empty when the model meets the point."""
    model = curve.law(point.x)
    unit = f" {panel.y.unit}" if panel.y.unit else ""
    name = f"{panel.title}: {curve.label}" if panel.title else curve.label
    return (
        figure.name,
        name,
        f"{panel.x.name} {point.x:g} {panel.x.unit}".rstrip(),
        f"{panel.y.name} {point.published}{unit}",
        f"{model:.4g}",
        f"{curve.tolerance(point):.2g}",
        "" if abs(model - point.y) <= curve.tolerance(point) else "MISSED",
    )


def readme(figures: Sequence[Figure]) -> str:
    """docs/optics/README.md."""
    lines = [INTRODUCTION]
    for figure in figures:
        lines += [f"## {figure.title}", "", f"Section {figure.section} of the sheet.", ""]
        lines += [f"![{figure.name}]({figure.name}.svg)", ""]
    lines += ["## Published points", "", "| picture | curve | at | published | model | within |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [f"| {' | '.join(row(*found)[:6])} |" for found in every_point(figures)]
    return "\n".join(lines) + "\n"


def check(figures: Sequence[Figure], folder: Path) -> int:
    """Print all points; 1 when the model misses one, or the folder holds something else than today's."""
    rows = [row(*found) for found in every_point(figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    faults = [f"{cells[0]}: the model misses {cells[3]} at {cells[2]} ({cells[1]})" for cells in rows if cells[6]]
    page = folder / "README.md"
    if not page.exists() or page.read_text() != readme(figures):
        faults.append("README.md: found a table of an earlier state, expected what 'python tools/plots.py' writes")
    for figure in figures:
        picture = folder / f"{figure.name}.svg"
        if not picture.exists() or digest(figure) not in picture.read_text():
            faults.append(f"{picture.name}: found no picture of today's model; 'python tools/plots.py' draws it")
    known = {f"{figure.name}.svg" for figure in figures}
    faults += [f"{p.name}: found a picture of nothing" for p in sorted(folder.glob("*.svg")) if p.name not in known]
    for fault in faults:
        print(fault)
    print(f"{len(rows)} points in {len(figures)} pictures, {len(faults)} faults")
    return 1 if faults else 0


# -- the pictures -----------------------------------------------------------------------------------------


def _named(axis: Axis) -> str:
    return f"{axis.name} ({axis.unit})" if axis.unit else axis.name


def _draw_panel(axes: Any, panel: Panel) -> None:
    """One coordinate system, on matplotlib's axes."""
    for colour, curve in zip(COLOURS, panel.curves, strict=False):
        xs = abscissae(panel, curve)
        # Light that is not there has no logarithm.
        ys = [y if y > 0 or not panel.y.log else math.nan for y in map(curve.law, xs)]
        style = "steps-mid" if curve.whole else "default"
        axes.plot(xs, ys, color=colour, linewidth=1.6, label=curve.label, drawstyle=style, zorder=2)
        seen = [p for p in curve.points if panel.x.low <= p.x <= panel.x.high and panel.y.low <= p.y <= panel.y.high]
        at = [p.x for p in seen], [p.y for p in seen]
        rings = axes.plot(*at, "o", color=colour, markerfacecolor="white", clip_on=False, zorder=3)
        written = [
            axes.annotate(
                point.published,
                (point.x, point.y),
                curve.note,
                textcoords="offset points",
                fontsize=7.5,
                color="#333333",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )
            for point in seen
            if curve.note is not None
        ]
        for each in (*rings, *written):
            each.set_in_layout(False)  # what hangs over an edge must not push the panels apart
    if any(curve.points for curve in panel.curves):
        axes.plot([], [], "o", color="#555555", markerfacecolor="white", label="published")
    for y, label in panel.marks:
        axes.axhline(y, color="#888888", linewidth=0.9, linestyle="--", zorder=1)
        axes.annotate(
            label,
            (0.99 if panel.marks_right else 0.01, y),
            (0, 2),
            ha="right" if panel.marks_right else "left",
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7.5,
            color="#666666",
        )
    axes.set_xlabel(_named(panel.x))
    axes.set_ylabel(_named(panel.y))
    if panel.x.log:
        axes.set_xscale("log")
    if panel.y.log:
        axes.set_yscale("log")
    axes.set_xlim(panel.x.low, panel.x.high)
    axes.set_ylim(panel.y.low, panel.y.high)
    axes.set_title(panel.title, fontsize=9.5)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc=panel.legend, fontsize=8, framealpha=0.9)


def draw(figure: Figure, target: Path) -> None:
    """Write one picture; the ending of `target` says in which format."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    columns = min(2, len(figure.panels))
    rows = -(-len(figure.panels) // columns)
    settings: Any = {
        "svg.hashsalt": "cmis-emu",
        "svg.fonttype": "none",  # text stays text: small files, and a change of a label reads as one
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout that failed: the picture would be unreadable
        drawing, grid = plt.subplots(
            rows,
            columns,
            figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows),
            squeeze=False,
            layout="constrained",
        )
        for axes, panel in zip(grid.flat, figure.panels, strict=True):
            _draw_panel(axes, panel)
        about = {"Date": None, "Creator": "tools/plots.py", "Title": figure.title, "Description": digest(figure)}
        vector = target.suffix == ".svg"
        drawing.savefig(target, facecolor="white", dpi=110, metadata=about if vector else None)
        plt.close(drawing)
    if vector:  # matplotlib leaves blanks at the ends of lines
        target.write_text("\n".join(line.rstrip() for line in target.read_text().splitlines()) + "\n")


def main(arguments: Sequence[str] | None = None, figures: Sequence[Figure] = FIGURES, folder: Path = FOLDER) -> int:
    """Draw all pictures and write their page, or with --check only judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--png", type=Path, metavar="FOLDER", help="draw there, for a look, instead of docs/optics")
    options = parser.parse_args(arguments)
    if options.check:
        return check(figures, folder)
    try:
        import matplotlib  # noqa: F401, PLC0415  (here, as --check works without)
    except ImportError:
        print("found no matplotlib, expected the docs extra: pip install '.[docs]'", file=sys.stderr)
        return 3
    into, ending = (options.png, "png") if options.png else (folder, "svg")
    into.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        draw(figure, into / f"{figure.name}.{ending}")
    if not options.png:
        (folder / "README.md").write_text(readme(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
