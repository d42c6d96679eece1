"""Pictures of the receiver: errors and eSNR over loss and penalties, and how it finds its signal (section 5)."""

from __future__ import annotations

from functools import partial

from cmis_emu.physics.acquisition import AcquisitionParameters, esnr_at
from cmis_emu.physics.fec import codeword_error_ratio, frame_loss_ratio, post_fec_ber
from cmis_emu.physics.pmd import PMDS
from cmis_emu.physics.receiver import DR_TYPICAL, PRESETS, ber_of_esnr, decide
from cmis_emu.physics.units import db_to_ratio, dbm_to_w
from optics.figure import Axis, Curve, Figure, Panel, Point, points

FEC_LIMIT_BER = 2.4e-4
EXTINCTION = db_to_ratio(5.0)
TYPICAL_OMA_DBM, TYPICAL_TDECQ_DB = 1.7, 2.0


def _ber(loss_db: float, tdecq_db: float = TYPICAL_TDECQ_DB, mpi: float = 0.0) -> float:
    return decide(DR_TYPICAL, dbm_to_w(TYPICAL_OMA_DBM - loss_db), EXTINCTION, tdecq_db, mpi).ber


def _esnr(loss_db: float) -> float:
    return decide(DR_TYPICAL, dbm_to_w(TYPICAL_OMA_DBM - loss_db), EXTINCTION, TYPICAL_TDECQ_DB).esnr_db


_LOSSES = (0.5, 3.0, 5.0, 6.0, 6.5, 7.0, 7.5, 8.0, 9.0)
_LOSS = Axis("loss", "dB", 0, 11)


def _of_losses(*published: str) -> tuple[Point, ...]:
    return tuple(map(Point, _LOSSES, published))


_LOSS_TABLE = {
    "esnr": _of_losses("23.57", "22.30", "20.40", "19.13", "18.42", "17.67", "16.88", "16.06", "14.32"),
    "ber": _of_losses(
        "1.41e-10", "1.02e-8", "1.56e-6", "2.20e-5", "7.62e-5", "2.40e-4", "6.76e-4", "1.69e-3", "7.47e-3"
    ),
    "cer": _of_losses(
        "5.6e-112", "3.0e-82", "2.7e-47", "6.1e-29", "2.0e-20", "8.2e-13", "1.4e-6", "2.4e-2", "1.0"
    ),
    "post": _of_losses(
        "1.7e-114", "8.8e-85", "8.0e-50", "1.8e-31", "5.8e-23", "2.4e-15", "4.3e-9", "7.4e-5", "7.5e-3"
    ),
    "flr": _of_losses("1.2e-111", "6.4e-82", "5.8e-47", "1.3e-28", "4.2e-20", "1.7e-12", "3.1e-6", "5.0e-2", "1.0"),
}  # fmt: skip

_DEEP = 0.02  # the sixteenth power of the BER: a last digit of a constant shows

LOSS = Figure(
    "loss",
    5,
    "A typical 400G-DR4 lane over the loss of its fibre, which moves all its figures together",
    (
        Panel(
            _LOSS,
            Axis("pre-FEC BER", "", 1e-12, 1e-1, log=True),
            (Curve("errors before the decoder", _ber, _LOSS_TABLE["ber"], note=(7, -8)),),
            ((FEC_LIMIT_BER, "KP4 limit 2.4e-4"),),
            "lower right",
        ),
        Panel(
            _LOSS,
            Axis("eSNR", "dB", 10, 25),
            (Curve("eSNR", _esnr, _LOSS_TABLE["esnr"], note=(6, 3)),),
            ((14.0, "locks above"), (12.5, "loses lock below")),
            "lower left",
        ),
        Panel(
            _LOSS,
            Axis("codeword error ratio", "", 1e-120, 1e3, log=True),
            (
                Curve(
                    "KP4, 400G",
                    lambda loss: codeword_error_ratio([_ber(loss)]),
                    _LOSS_TABLE["cer"],
                    _DEEP,
                    relative=True,
                    note=(7, -8),
                ),
            ),
            legend="lower right",
        ),
        Panel(
            Axis("loss", "dB", 5.5, 9.5),
            Axis("error ratio", "", 1e-35, 1e3, log=True),
            (
                Curve(
                    "frame loss ratio, 400G",
                    lambda loss: frame_loss_ratio(codeword_error_ratio([_ber(loss)]), 2),
                    _LOSS_TABLE["flr"],
                    _DEEP,
                    relative=True,
                    note=(-38, 4),
                ),
                Curve(
                    "post-FEC BER",
                    lambda loss: post_fec_ber(_ber(loss)),
                    _LOSS_TABLE["post"],
                    _DEEP,
                    relative=True,
                    note=(7, -8),
                ),
            ),
            legend="lower right",
        ),
    ),
)

PENALTIES = Figure(
    "penalties",
    5,
    "What a worse eye and echoes cost a typical 400G-DR4 lane at 3 dB of loss",
    (
        Panel(
            Axis("TDECQ", "dB", 1, 5.5),
            Axis("pre-FEC BER", "", 1e-11, 1e-1, log=True),
            (
                Curve(
                    "no interference",
                    lambda tdecq_db: _ber(3.0, tdecq_db),
                    points((1.4, "4.6e-10"), (2.0, "1.0e-8"), (2.6, "1.6e-7"), (3.4, "3.9e-6"), (4.5, "1.1e-4")),
                    note=(7, -8),
                ),
            ),
            ((FEC_LIMIT_BER, "KP4 limit 2.4e-4"),),
            "lower right",
        ),
        Panel(
            Axis("multi-path interference", "dB", -60, -30),
            Axis("pre-FEC BER", "", 1e-11, 1e-1, log=True),
            (
                Curve(
                    "TDECQ 2 dB",
                    lambda mpi_db: _ber(3.0, mpi=db_to_ratio(mpi_db)),
                    points((-45, "1.3e-7"), (-40, "3.9e-6"), (-37, "5.6e-5"), (-35, "3.2e-4")),
                    note=(-36, 4),
                ),
            ),
            ((FEC_LIMIT_BER, "KP4 limit 2.4e-4"),),
            "lower right",
        ),
    ),
)


def _corner(name: str, loss_db: float) -> float:
    """The weakest transmitter of a standard into the worst receiver."""
    pmd = PMDS[name]
    oma_w = dbm_to_w(pmd.least_oma_dbm(pmd.tdecq_max_db) - loss_db)
    return decide(PRESETS[f"{pmd.receiver}-limit"], oma_w, EXTINCTION, pmd.tdecq_max_db).ber


CORNERS = Figure(
    "corners",
    5,
    "The worst transmitter and receiver that each standard allows: its loss budget leaves errors below the limit",
    (
        Panel(
            Axis("loss", "dB", 0.5, 8.5),
            Axis("pre-FEC BER", "", 1e-7, 1e-1, log=True),
            tuple(
                Curve(label, partial(_corner, name), points(*known), note=note)
                for label, name, known, note in (
                    ("SR8", "400gbase-sr8", ((1.9, "1.8e-4"),), (-38, -4)),
                    ("DR4", "400gbase-dr4", ((3.0, "1.80e-4"), (3.1, "2.40e-4"), (3.2, "3.17e-4")), None),
                    ("FR4", "400gbase-fr4", ((4.0, "9.7e-5"),), (-37, 1)),
                    ("FR1", "100gbase-fr1", ((4.0, "7.0e-5"),), (7, -10)),
                    ("LR4, 10 km", "400g-lr4-10", (), None),
                )
            ),
            ((FEC_LIMIT_BER, "KP4 limit 2.4e-4"),),
            "lower right",
            marks_right=True,
        ),
    ),
)

ACQUISITION = AcquisitionParameters()


def _relock(factor: float, seconds: float) -> float:
    return esnr_at(seconds, 22.3, ACQUISITION.start_db, factor * ACQUISITION.tau_s)


RELOCK = Figure(
    "relock",
    5,
    "How a receiver finds its signal again, and what its eSNR means in errors",
    (
        Panel(
            Axis("time since the light came back", "s", 0, 2),
            Axis("eSNR", "dB", 4, 25),
            (
                Curve(
                    "relock",
                    partial(_relock, 1.0),
                    points((0.1, "9.5"), (0.2, "12.8"), (0.4, "18.3"), (0.6, "21.2"), (1.0, "22.3")),
                    note=(8, -8),
                ),
                Curve("first acquisition", partial(_relock, ACQUISITION.first_factor)),
            ),
            ((ACQUISITION.lock_db, "locks above"), (ACQUISITION.unlock_db, "loses lock below")),
            "lower right",
            marks_right=True,
        ),
        Panel(
            Axis("eSNR", "dB", 14, 25),
            Axis("pre-FEC BER", "", 1e-12, 1e-1, log=True),
            (
                Curve(
                    "PAM4, equal noise",
                    ber_of_esnr,
                    points((17.65, "2.40e-4"), (20.0, "2.9e-6"), (22.0, "6.8e-9"), (22.95, "1.3e-10")),
                    0.01,  # half a last digit of the eSNR
                    relative=True,
                    note=(7, 2),
                ),
            ),
            ((FEC_LIMIT_BER, "KP4 limit 2.4e-4"),),
            "lower left",
        ),
    ),
)
