"""Pictures of the KP4 code: single errors, bursts, histograms, lanes that differ (section 6)."""

from __future__ import annotations

from functools import cache, partial

from cmis_emu.physics.fec import (
    Bursts,
    codeword_error_ratio,
    codewords_per_s,
    frame_loss_ratio,
    post_fec_ber,
    symbol_errors,
)
from optics.figure import Axis, Curve, Figure, Panel, Point, points

FEC_LIMIT_BER = 2.4e-4


@cache  # asked again for every fingerprint
def _bursts(continuation: float, interleaved: int, ber: float) -> float:
    return codeword_error_ratio([ber], Bursts(continuation, interleaved))


def _codewords(wrong: float) -> float:
    return float(codewords_per_s(400) * symbol_errors([FEC_LIMIT_BER])[int(wrong)])


_BERS = (1e-5, 1e-4, 2.0e-4, 2.4e-4, 3e-4, 5e-4, 1e-3)
_BER = Axis("pre-FEC BER", "", 1e-5, 3e-3, log=True)


def _of_bers(*published: str) -> tuple[Point, ...]:
    return tuple(map(Point, _BERS, published))


_ROUNDED = 0.01  # two of the sheet's figures are rounded the wrong way: 1.149e-13 to 1.2e-13, 4254 to 4.2e3

KP4 = Figure(
    "kp4",
    6,
    "The KP4 code, RS(544,514): what bit errors before the decoder become behind it",
    (
        Panel(
            _BER,
            Axis("error ratio", "", 1e-40, 1e2, log=True),
            (
                Curve(
                    "frame loss ratio, 400G",
                    lambda p: frame_loss_ratio(codeword_error_ratio([p]), 2),
                    _of_bers("4.6e-34", "2.9e-18", "1.2e-13", "1.74e-12", "4.6e-11", "6.0e-8", "3.3e-4"),
                    _ROUNDED,
                    relative=True,
                    note=None,
                ),
                Curve(
                    "codeword error ratio",
                    lambda p: codeword_error_ratio([p]),
                    _of_bers("2.14e-34", "1.36e-18", "5.39e-14", "8.15e-13", "2.14e-11", "2.79e-8", "1.53e-4"),
                    note=None,
                ),
                Curve(
                    "post-FEC BER",
                    post_fec_ber,
                    _of_bers("6.3e-37", "4.0e-21", "1.6e-16", "2.41e-15", "6.4e-14", "8.3e-11", "4.6e-7"),
                    note=None,
                ),
            ),
            legend="lower right",
            title="errors that come one by one",
        ),
        Panel(
            _BER,
            Axis("codeword error ratio", "", 1e-30, 1e2, log=True),
            (
                *(
                    Curve(
                        f"{a:g}, {'interleaved by 2' if i == 2 else 'not interleaved'}",
                        partial(_bursts, a, i),
                        points((FEC_LIMIT_BER, value)),
                        note=None,
                    )
                    for a, i, value in (
                        (0.75, 1, "3.5e-6"),
                        (0.5, 1, "6.3e-9"),
                        (0.75, 2, "2.0e-9"),
                        (0.5, 2, "2.3e-12"),
                    )
                ),
                Curve(
                    "0: one by one", lambda p: codeword_error_ratio([p]), points((FEC_LIMIT_BER, "8.15e-13")), note=None
                ),
            ),
            legend="lower right",
            title="bursts, by the probability that they go on",
        ),
        Panel(
            Axis("wrong symbols in a codeword", "", -0.5, 10.5),
            Axis("codewords a second, 400G", "", 1e-1, 1e9, log=True),
            (
                Curve(
                    "at a BER of 2.4e-4",
                    _codewords,
                    tuple(
                        Point(wrong, value)
                        for wrong, value in enumerate(
                            ("2.12e7", "2.77e7", "1.81e7", "7.84e6", "2.55e6", "6.6e5", "1.4e5", "2.6e4", "4.2e3")
                        )
                    ),
                    _ROUNDED,
                    relative=True,
                    whole=True,
                    note=(-13, 7),
                ),
            ),
            legend="lower left",
            title="histogram of errors",
        ),
        Panel(
            Axis("pre-FEC BER of one bad lane", "", 1e-5, 3e-3, log=True),
            Axis("codeword error ratio", "", 1e-30, 1e2, log=True),
            (
                Curve(
                    "alone, as 100G breakout",
                    lambda p: codeword_error_ratio([p]),
                    points((1e-3, "1.5e-4"), (6.76e-4, "1.4e-6")),
                    note=(7, -9),
                ),
                Curve(
                    "one of four lanes of 400G",
                    lambda p: codeword_error_ratio([1e-8, 1e-8, 1e-8, p]),
                    points((1e-3, "7.9e-13"), (6.76e-4, "2.2e-15")),
                    note=(7, -9),
                ),
            ),
            legend="lower right",
            title="one bad lane, three at 1e-8",
        ),
    ),
)
