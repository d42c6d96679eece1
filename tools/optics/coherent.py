"""Pictures of a coherent receiver: what noise and little light cost, and what CFEC leaves (section 7)."""

from __future__ import annotations

from cmis_emu.physics.coherent import BER_ALARM, BER_WARNING, ber, codeword_error_ratio, line, reported_esnr_db, snr_db
from optics.figure import Axis, Curve, Figure, Panel, Point, points

RX_DBM = -9.0  # at which the published points over the OSNR hold
_OSNRS = (22.74, 24.0, 26.0, 30.0, 34.0, 36.4)
_OSNR = Axis("OSNR in 0.1 nm", "dB", 20, 40)
_BER = Axis("pre-FEC BER", "", 1e-4, 1e-1, log=True)
_LIMITS = ((BER_ALARM, "CFEC limit 1.25e-2"),)


def _of_osnrs(*published: str) -> tuple[Point, ...]:
    return tuple(map(Point, _OSNRS, published))


COHERENT = Figure(
    "coherent",
    7,
    "400ZR, DP-16QAM at 59.84 GBd: what noise of the line and little light cost",
    (
        Panel(
            _OSNR,
            _BER,
            (
                Curve(
                    f"{RX_DBM:g} dBm at the receiver",
                    lambda osnr: ber(snr_db(osnr, RX_DBM)),
                    _of_osnrs("1.25e-2", "8.0e-3", "4.0e-3", "1.3e-3", "6.9e-4", "5.6e-4"),
                    note=(7, 3),
                ),
                Curve("the same behind 120 km", lambda osnr: ber(snr_db(osnr, RX_DBM, line(120.0)))),
            ),
            _LIMITS,
            "lower left",
            marks_right=True,
        ),
        Panel(
            _OSNR,
            Axis("reported eSNR", "dB", 12, 20),
            (
                Curve(
                    f"{RX_DBM:g} dBm at the receiver",
                    lambda osnr: reported_esnr_db(snr_db(osnr, RX_DBM)),
                    _of_osnrs("14.6", "15.3", "16.2", "17.4", "17.9", "18.1"),
                    0.002,  # the power at which the points were taken is rounded
                    note=(5, -12),
                ),
            ),
            legend="lower right",
        ),
        Panel(
            Axis("power at the receiver", "dBm", -27, 0),
            _BER,
            (
                Curve("OSNR 26 dB", lambda dbm: ber(snr_db(26.0, dbm))),
                Curve(
                    "OSNR 34 dB",
                    lambda dbm: ber(snr_db(34.0, dbm)),
                    points((-20, "4.4e-3"), (-23, "1.2e-2")),
                    note=(6, 4),
                ),
            ),
            _LIMITS,
            "lower left",
            marks_right=True,
        ),
        Panel(
            Axis("pre-FEC BER", "", 1.0e-2, 1.8e-2),
            Axis("codeword error ratio", "", 1e-30, 1e2, log=True),
            (
                Curve(
                    "CFEC",
                    codeword_error_ratio,
                    points((BER_ALARM, "1e-15")),
                    note=(7, -9),
                ),
            ),
            ((codeword_error_ratio(BER_WARNING), "at the warning, 1.1e-2"),),
            "lower right",
        ),
    ),
)
