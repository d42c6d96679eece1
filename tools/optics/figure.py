"""What a picture of the optics model is: curves of the model, and the published points that they must meet.

A published value is kept as it is written, so that its last digit says how near the model must come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

Law = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A quantity, its unit (empty for a pure number), and what of it is shown."""

    name: str
    unit: str
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A published value, as written, at `x`."""

    x: float
    published: str

    @property
    def y(self) -> float:
        """The published value."""
        return float(self.published)

    @property
    def last_digit(self) -> float:
        """What one unit of the last digit is worth."""
        exponent = Decimal(self.published).as_tuple().exponent
        assert isinstance(exponent, int)
        return float(Decimal(1).scaleb(exponent))


@dataclass(frozen=True, slots=True)
class Curve:
    """A law of the model and the points it must meet.

    slack: what the model may miss beside half a unit of the last digit, as where the abscissa is rounded too;
    a share of the value if `relative`. whole: the law is only for whole numbers. note: where, in points on the
    page, the value is written beside its marker; None leaves it out.
    """

    label: str
    law: Law
    points: tuple[Point, ...] = ()
    slack: float = 0.0
    relative: bool = False
    whole: bool = False
    note: tuple[int, int] | None = (7, 3)

    def tolerance(self, point: Point) -> float:
        """How far the model may be from a point."""
        return point.last_digit / 2 + self.slack * (abs(point.y) if self.relative else 1.0)


@dataclass(frozen=True, slots=True)
class Panel:
    """One coordinate system; `marks` are horizontal lines, with their label at the left unless `marks_right`."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    marks: tuple[tuple[float, str], ...] = ()
    legend: str = "best"
    title: str = ""
    marks_right: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture, its file without the ending, and the section of the optics model that it shows."""

    name: str
    section: int
    title: str
    panels: tuple[Panel, ...]


def points(*pairs: tuple[float, str]) -> tuple[Point, ...]:
    """Points from their abscissa and value."""
    return tuple(Point(*pair) for pair in pairs)
