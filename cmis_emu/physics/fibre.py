"""The loss of a fibre path (optics model, section 4)."""

from __future__ import annotations

from collections.abc import Callable

from cmis_emu.errors import InputError
from cmis_emu.physics.units import db_to_ratio

ATTENUATION_DB_PER_KM = 0.35  # typical at 1310 nm
CONNECTOR_MPO_DB = 0.35  # typical single-mode MPO
CONNECTORS = 2


def nominal_loss_db(length_m: float) -> float:
    """Loss of a patch of `length_m` with a connector at each end."""
    return ATTENUATION_DB_PER_KM * length_m / 1000 + CONNECTORS * CONNECTOR_MPO_DB


class LightPath:
    """One direction of one fibre. Changes of loss and cuts are told to its subscribers."""

    __slots__ = ("_cut", "_loss_db", "subscribers")

    def __init__(self, loss_db: float) -> None:
        self._loss_db = loss_db
        self._cut = False
        self.subscribers: list[Callable[[], None]] = []

    @property
    def loss_db(self) -> float:
        """Loss of the whole path in dB, connectors included."""
        return self._loss_db

    @loss_db.setter
    def loss_db(self, loss_db: float) -> None:
        if loss_db < 0:
            raise InputError(f"{loss_db} dB", "a loss of 0 dB or more", field="loss_db")
        if loss_db != self._loss_db:
            self._loss_db = loss_db
            self._tell()

    @property
    def cut(self) -> bool:
        """True while no light passes at all."""
        return self._cut

    @cut.setter
    def cut(self, cut: bool) -> None:
        if cut != self._cut:
            self._cut = cut
            self._tell()

    def transmission(self) -> float:
        """Power ratio from end to end."""
        return 0.0 if self._cut else db_to_ratio(-self._loss_db)

    def _tell(self) -> None:
        for subscriber in tuple(self.subscribers):
            subscriber()
