"""One strand: the way of the light from one lane to another (optics model, section 4).

What lies on the way is a `glass.Path`; this adds what happens to it: loss that someone sets, dirt, a cut.
"""

from __future__ import annotations

import math

from cmis_emu.errors import InputError
from cmis_emu.physics.coherent import amplifier_noise_w, fibre_dgd_ps2
from cmis_emu.physics.glass import Amplifiers, Part, Path, interference
from cmis_emu.physics.light import LightObserver
from cmis_emu.physics.units import db_to_ratio

KEPT = 64  # wavelengths


def check_disturbance(extra_db: float, reflectances_db: tuple[float, ...]) -> None:
    """Raises InputError for what no dirt does."""
    if extra_db < 0:
        raise InputError(f"{extra_db} dB", "a loss of 0 dB or more", field="extra_db")
    if any(each > 0 for each in reflectances_db):
        raise InputError(str(reflectances_db), "reflectances of 0 dB or less", field="reflectances_db")


class Strand:
    """A light path. Changes are told to its observers.

    fixed_db: loss of the whole path as someone measured it, in place of what the path's parts add up to.
    """

    __slots__ = (
        "_amplifiers",
        "_cut",
        "_extra_db",
        "_fixed_db",
        "_interference",
        "_passed",
        "_path",
        "_reflectances_db",
        "observers",
    )

    def __init__(
        self, fixed_db: float | None = None, path: Path | None = None, amplifiers: Amplifiers | None = None
    ) -> None:
        self._fixed_db = fixed_db
        self._path = path or Path()
        self._amplifiers = amplifiers
        self._extra_db = 0.0
        self._reflectances_db: tuple[float, ...] = ()
        self._cut = False
        self._passed: dict[float, tuple[float, float, float]] = {}  # transmission, dispersion and noise, by wavelength
        self._interference: float | None = None
        self.observers: list[LightObserver] = []

    @property
    def fixed_db(self) -> float | None:
        """Loss of the whole path in dB, connectors included; None: of its parts."""
        return self._fixed_db

    @fixed_db.setter
    def fixed_db(self, fixed_db: float | None) -> None:
        if fixed_db is not None and fixed_db < 0:
            raise InputError(f"{fixed_db} dB", "a loss of 0 dB or more", field="loss_db")
        if fixed_db != self._fixed_db:
            self._announce()
            self._fixed_db = fixed_db
            self._tell()

    @property
    def amplified(self) -> bool:
        """Are there amplifiers on the way?"""
        return self._amplifiers is not None

    @property
    def extra_db(self) -> float:
        """Loss on top of that, such as of dirt, in dB."""
        return self._extra_db

    @property
    def reflectances_db(self) -> tuple[float, ...]:
        """Reflecting places beside the path's own joints, in dB (negative)."""
        return self._reflectances_db

    def disturb(self, extra_db: float, reflectances_db: tuple[float, ...] = ()) -> None:
        """Dirt, a bad splice, a squeezed patch cord: this much more loss, and these reflecting places."""
        check_disturbance(extra_db, reflectances_db)
        if (extra_db, reflectances_db) != (self._extra_db, self._reflectances_db):
            self._announce()
            self._extra_db, self._reflectances_db = extra_db, reflectances_db
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

    def loss_db(self, wavelength_nm: float) -> float:
        """What the strand takes from light of a wavelength, in dB, amplifiers aside; a cut is not a loss."""
        whole = self._path.loss_db(wavelength_nm) if self._fixed_db is None else self._fixed_db
        return whole + self._extra_db

    def parts(self, wavelength_nm: float) -> tuple[Part, ...]:
        """What lies on the way, in the order of the light; their losses add up to that of the strand."""
        if self._fixed_db is None:
            found = list(self._path.parts(wavelength_nm))
        else:
            found = [Part(f"{self._path.length_m:g} m", self._fixed_db)]
        if self._extra_db:
            found.append(Part("disturbance", self._extra_db))
        if self._amplifiers is not None:
            found = self._amplified(found, self._amplifiers, wavelength_nm)
        if self._cut:
            found.append(Part("cut", math.inf))
        return tuple(found)

    def _amplified(self, passive: list[Part], line: Amplifiers, wavelength_nm: float) -> list[Part]:
        """The parts with the amplifiers among them: those of the line together, behind what they make up for."""
        if not line.works(wavelength_nm):
            return [Part("amplifier for 1550 nm", math.inf), *passive]
        gain_db = self._gain_db(line, wavelength_nm)
        spans = "amplifier" if line.spans == 1 else f"{line.spans} amplifiers"
        return [Part("booster", -line.booster_db), *passive, Part(spans, -gain_db * line.spans)]

    def _gain_db(self, line: Amplifiers, wavelength_nm: float) -> float:
        """Of each amplifier behind a span."""
        return self._path.loss_db(wavelength_nm) / line.spans if line.gain_db is None else line.gain_db

    def transmission(self, wavelength_nm: float) -> float:
        """Power ratio from end to end."""
        return self._of(wavelength_nm)[0]

    def dispersion_ps_nm(self, wavelength_nm: float) -> float:
        """Chromatic dispersion of the path in ps/nm."""
        return self._of(wavelength_nm)[1]

    def _of(self, wavelength_nm: float) -> tuple[float, float, float]:
        """The same until something happens to the strand."""
        known = self._passed.get(wavelength_nm)
        if known is None:
            if len(self._passed) >= KEPT:  # light that is tuned passes with ever new wavelengths
                self._passed.clear()
            ratio = 0.0 if self._cut else db_to_ratio(-self._net_loss_db(wavelength_nm))
            dispersion_ps_nm, ase_w = self._path.dispersion_ps_nm(wavelength_nm), self._ase_w(wavelength_nm)
            known = self._passed[wavelength_nm] = ratio, dispersion_ps_nm, ase_w
        return known

    def _net_loss_db(self, wavelength_nm: float) -> float:
        loss_db, line = self.loss_db(wavelength_nm), self._amplifiers
        if line is None:
            return loss_db
        if not line.works(wavelength_nm):
            return math.inf
        return loss_db - line.booster_db - line.spans * self._gain_db(line, wavelength_nm)

    def dgd_ps2(self) -> float:
        """Square of its own mean differential delay in ps."""
        return fibre_dgd_ps2(self._path.length_m / 1000) if self._path.glass.single_mode else 0.0

    def ase_w(self, wavelength_nm: float) -> float:
        """What its amplifiers add within 0.1 nm, in W at the far end."""
        return self._of(wavelength_nm)[2]

    def _ase_w(self, wavelength_nm: float) -> float:
        """Extra loss lies in the first span."""
        line = self._amplifiers
        if line is None or self._cut or not line.works(wavelength_nm):
            return 0.0
        gain_db = self._gain_db(line, wavelength_nm)
        span_db = (self.loss_db(wavelength_nm) - self._extra_db) / line.spans
        after_db = [gain_db + (gain_db - span_db) * later for later in range(line.spans)]  # from each one's input on
        after_db.append(line.booster_db + (gain_db - span_db) * line.spans - self._extra_db)
        return amplifier_noise_w(line.noise_figure_db) * sum(db_to_ratio(each) for each in after_db)

    def interference(self) -> float:
        """Multi-path interference: sum of the products of two reflectances."""
        if self._interference is None:
            joints = (joint.reflectance_db for joint in self._path.joints)
            self._interference = interference([*joints, *self._reflectances_db])
        return self._interference

    def _announce(self) -> None:
        for observer in tuple(self.observers):
            observer.light_changes()

    def _tell(self) -> None:
        self._passed.clear()
        self._interference = None
        for observer in tuple(self.observers):
            observer.light_changed()
