"""The pictures of docs/optics as data. tools/plots.py draws and checks them; nothing here knows matplotlib."""

from optics.coherent import COHERENT
from optics.fibre import BENDS, BUDGETS, DISPERSION
from optics.kp4 import KP4
from optics.module import AGEING, COOLER, LASERS, TEMPERATURES
from optics.receiver import CORNERS, LOSS, PENALTIES, RELOCK

FIGURES = (
    LASERS,
    COOLER,
    AGEING,
    TEMPERATURES,
    DISPERSION,
    BENDS,
    BUDGETS,
    LOSS,
    PENALTIES,
    CORNERS,
    RELOCK,
    KP4,
    COHERENT,
)
"""In the order of the optics model's sections."""
