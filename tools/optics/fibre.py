"""Pictures of the passive path: dispersion, bends, and the standards' budgets (section 4)."""

from __future__ import annotations

from functools import partial

from cmis_emu.physics.glass import GLASS, Path, bend_loss_db
from optics.figure import Axis, Curve, Figure, Panel, Point, points


def _dispersion(length_m: float, title: str, x: Axis, y: Axis, published: dict[float, Point], at: str) -> Panel:
    """Dispersion of one length. published: a point by the zero-dispersion wavelength of its fibre."""
    return Panel(
        x,
        y,
        tuple(
            Curve(
                f"zero at {zero:g} nm",
                Path(GLASS["smf"], length_m, zero_nm=zero).dispersion_ps_nm,
                (published[zero],) if zero in published else (),
                note=(-25, 6) if zero == 1300 else (5, -12),
            )
            for zero in (1300.0, 1312.0, 1324.0)
        ),
        legend=at,
        title=title,
    )


_WAVELENGTH = "wavelength"

DISPERSION = Figure(
    "dispersion",
    4,
    "Chromatic dispersion of standard fibre, typical and at the limits of manufacture",
    (
        _dispersion(
            500,
            "DR4 window, 500 m",
            Axis(_WAVELENGTH, "nm", 1302, 1320),
            Axis("dispersion", "ps/nm", -1.5, 1.5),
            {1300: Point(1317.5, "0.79"), 1324: Point(1304.5, "-0.92")},
            "upper left",
        ),
        _dispersion(
            10_000,
            "CWDM4, 10 km",
            Axis(_WAVELENGTH, "nm", 1260, 1345),
            Axis("dispersion", "ps/nm", -70, 50),
            {1300: Point(1337.5, "33.1")},
            "lower right",
        ),
    ),
)

BENDS = Figure(
    "bends",
    4,
    "Loss of one turn of standard fibre",
    (
        Panel(
            Axis("bend radius", "mm", 4, 20),
            Axis("loss of a turn", "dB", 1e-4, 100, log=True),
            (
                Curve("1550 nm", partial(bend_loss_db, wavelength_nm=1550), points((7.5, "5.98"))),
                Curve("1310 nm", partial(bend_loss_db, wavelength_nm=1310), points((7.5, "0.90"))),
                Curve("1271 nm, extrapolated", partial(bend_loss_db, wavelength_nm=1271)),
            ),
            legend="upper right",
        ),
    ),
)


def _span_db(glass: str, connectors_db: float, length_km: float) -> float:
    return Path(GLASS[glass], length_km * 1000, extra_db=connectors_db).loss_db(1310)


BUDGETS = Figure(
    "budgets",
    4,
    "Loss that a link of some length may have: its glass, and a fixed share for connectors",
    (
        Panel(
            Axis("length", "km", 0, 11),
            Axis("loss", "dB", 2, 7),
            tuple(
                Curve(
                    f"{name}: {connectors_db:g} dB + {alpha:g} dB/km",
                    partial(_span_db, glass, connectors_db),
                    points(point),
                    note=note,
                )
                for name, glass, alpha, connectors_db, point, note in (
                    ("DR4", "smf-spec", 0.5, 2.75, (0.5, "3.0"), (6, -11)),
                    ("FR4", "smf-spec", 0.5, 3.0, (2, "4.0"), (-20, 4)),
                    ("LR4", "smf-lr", 0.43, 2.0, (10, "6.3"), (6, -11)),
                )
            ),
            legend="lower right",
        ),
    ),
)
