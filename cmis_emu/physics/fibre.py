"""The loss of a fibre path (optics model, section 4)."""

from __future__ import annotations

from cmis_emu.errors import InputError
from cmis_emu.physics.light import LightObserver
from cmis_emu.physics.units import db_to_ratio

ATTENUATION_DB_PER_KM = 0.35  # typical at 1310 nm
CONNECTOR_MPO_DB = 0.35  # typical single-mode MPO
CONNECTORS = 2


def nominal_loss_db(length_m: float) -> float:
    """Loss of a patch of `length_m` with a connector at each end."""
    return ATTENUATION_DB_PER_KM * length_m / 1000 + CONNECTORS * CONNECTOR_MPO_DB


class Strand:
    """One direction of one fibre: a light path. Changes of loss and cuts are told to its observers."""

    __slots__ = ("_cut", "_loss_db", "observers")

    def __init__(self, loss_db: float) -> None:
        self._loss_db = loss_db
        self._cut = False
        self.observers: list[LightObserver] = []

    @property
    def loss_db(self) -> float:
        """Loss of the whole path in dB, connectors included."""
        return self._loss_db

    @loss_db.setter
    def loss_db(self, loss_db: float) -> None:
        if loss_db < 0:
            raise InputError(f"{loss_db} dB", "a loss of 0 dB or more", field="loss_db")
        if loss_db != self._loss_db:
            self._announce()
            self._loss_db = loss_db
            self._tell()

    @property
    def cut(self) -> bool:
        """True while no light passes at all."""
        return self._cut

    @cut.setter
    def cut(self, cut: bool) -> None:
        if cut != self._cut:
            self._announce()
            self._cut = cut
            self._tell()

    def transmission(self) -> float:
        """Power ratio from end to end."""
        return 0.0 if self._cut else db_to_ratio(-self._loss_db)

    def dispersion_ps_nm(self, wavelength_nm: float) -> float:
        """Chromatic dispersion of the path in ps/nm."""
        return 0.0 * wavelength_nm

    def interference(self) -> float:
        """Multi-path interference: sum of the products of two reflectances."""
        return 0.0

    def _announce(self) -> None:
        for observer in tuple(self.observers):
            observer.light_changes()

    def _tell(self) -> None:
        for observer in tuple(self.observers):
            observer.light_changed()
