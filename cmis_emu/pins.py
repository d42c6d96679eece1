"""The side-band pins of a port, by name.

Pins are electrical levels, named as on the connector: True is high. Host-driven ones (ResetL, LPMode, ModSelL, power)
keep their level while modules come and go; module-driven ones (IntL, ModPrsL) are pulled up, so an empty cage reads
True. What a level does is the port's affair.
"""

from __future__ import annotations

from typing import Protocol

from cmis_emu.errors import InputError

HOST_PINS = {"ResetL": True, "LPMode": False, "ModSelL": False, "power": True}
"""Host-driven pins and their levels at start: released from reset, LPMode low, selected, powered."""

MODULE_PINS = ("IntL", "ModPrsL")

OSFP_PINS = {"RSTn": ("ResetL", False), "LPWn": ("LPMode", True), "INT": ("IntL", True), "PRSn": ("ModPrsL", False)}
"""The OSFP connector's names: the pin of the QSFP family that says the same, and whether levels are inverted."""

HOST_WORDS = (*HOST_PINS, *(name for name, (twin, _) in OSFP_PINS.items() if twin in HOST_PINS))
"""Host-driven pins in the words of QSFP-DD and OSFP."""

MODULE_WORDS = (*MODULE_PINS, *(name for name, (twin, _) in OSFP_PINS.items() if twin in MODULE_PINS))
"""Module-driven pins, likewise."""

ALL_WORDS = (*HOST_PINS, *MODULE_PINS, *OSFP_PINS)
"""All pins, likewise."""


def plain(name: str) -> tuple[str, bool]:
    """The pin of the QSFP family that a word means, and whether levels are inverted. Other words are left alone."""
    return OSFP_PINS.get(name, (name, False))


class Cage(Protocol):
    """What pins lead to."""

    def present(self) -> bool:
        """Does a module sit there?"""
        ...

    def interrupt_level(self) -> bool:
        """Level that the module gives IntL."""
        ...

    def drive(self, name: str, level: bool) -> None:
        """A host-driven pin has a level, which may be the one that it had."""
        ...

    def moved(self, name: str, level: bool) -> None:
        """The level of a pin has changed because of a fault."""
        ...


class Pins:
    """The side-band pins of one port as attributes; `True` is the high level (RST-08).

    The names are those of QSFP-DD. `get` and `set` also take those of OSFP: RSTn, LPWn, INT, PRSn.
    """

    __slots__ = ("_cage", "_forced", "_levels")

    def __init__(self, cage: Cage, levels: dict[str, bool]) -> None:
        self._cage = cage
        self._levels = {**HOST_PINS, **levels}
        self._forced: dict[str, list[tuple[object, bool]]] = {}  # by whom; the last one counts

    def get(self, name: str) -> bool:
        """Level of any pin by name, in QSFP-DD's or OSFP's words. Raises InputError for an unknown one."""
        pin, inverted = plain(name)
        if pin in self._forced:
            level = self._forced[pin][-1][1]
        elif pin == "IntL":
            level = self._cage.interrupt_level()
        elif pin == "ModPrsL":
            level = not self._cage.present()
        elif pin in self._levels:
            level = self._levels[pin]
        else:
            raise InputError(repr(name), f"one of {', '.join((*HOST_PINS, *MODULE_PINS))}", field="pin")
        return level ^ inverted

    def set(self, name: str, level: bool) -> None:
        """Drive a host-driven pin. Raises InputError for an unknown or a module-driven one."""
        pin, inverted = plain(name)
        if pin not in self._levels:
            expected = f"a pin that the host drives: {', '.join(HOST_PINS)}"
            raise InputError(repr(name), expected, field="pin")
        self._levels[pin] = driven = bool(level) ^ inverted
        if pin not in self._forced:
            self._cage.drive(pin, driven)

    def force(self, owner: object, name: str, level: bool) -> None:
        """Hold any pin at a level, whoever drives it, until `free`; of several owners the last one counts.

        Raises InputError for an unknown pin.
        """
        name, inverted = plain(name)
        before = self.get(name)
        held = [each for each in self._forced.get(name, []) if each[0] is not owner]
        self._forced[name] = [*held, (owner, bool(level) ^ inverted)]
        self._moved(name, before)

    def free(self, owner: object, name: str) -> None:
        """Let go of a pin; harmless for one that this owner does not hold."""
        name, _ = plain(name)
        before = self.get(name)
        held = [each for each in self._forced.get(name, []) if each[0] is not owner]
        self._forced[name] = held
        if not held:
            del self._forced[name]
        self._moved(name, before)

    def forced(self, name: str) -> bool:
        """Does a fault hold this pin?"""
        return name in self._forced

    def _moved(self, name: str, before: bool) -> None:
        now = self.get(name)
        if now is not before:
            self._cage.moved(name, now)

    def driven(self) -> dict[str, bool]:
        """Levels of the host-driven pins."""
        return dict(self._levels)

    def driven_level(self, name: str) -> bool:
        """Level to which the host drives one of its pins, in QSFP-DD's or OSFP's words, whatever holds the pin."""
        pin, inverted = plain(name)
        return self._levels[pin] ^ inverted

    def put_back(self, levels: dict[str, bool]) -> None:
        """Levels from a snapshot; the module's own snapshot knows them already."""
        self._levels.update(levels)

    def levels(self) -> dict[str, bool]:
        """All pins and their levels."""
        return {name: self.get(name) for name in (*HOST_PINS, *MODULE_PINS)}

    @property
    def ResetL(self) -> bool:  # noqa: N802 - the pin's name
        """Low holds the module in reset; a pulse shorter than 10 us is not seen (RST-03)."""
        return self.get("ResetL")

    @ResetL.setter
    def ResetL(self, level: bool) -> None:  # noqa: N802
        self.set("ResetL", level)

    @property
    def LPMode(self) -> bool:  # noqa: N802
        """High asks for low power where LowPwrAllowRequestHW lets it (MSM-02)."""
        return self.get("LPMode")

    @LPMode.setter
    def LPMode(self, level: bool) -> None:  # noqa: N802
        self.set("LPMode", level)

    @property
    def ModSelL(self) -> bool:  # noqa: N802
        """High deselects the module: it answers no address (I2C-01)."""
        return self.get("ModSelL")

    @ModSelL.setter
    def ModSelL(self, level: bool) -> None:  # noqa: N802
        self.set("ModSelL", level)

    @property
    def RSTn(self) -> bool:  # noqa: N802
        """OSFP's name of ResetL."""
        return self.get("RSTn")

    @RSTn.setter
    def RSTn(self, level: bool) -> None:  # noqa: N802
        self.set("RSTn", level)

    @property
    def LPWn(self) -> bool:  # noqa: N802
        """OSFP's low power pin: low asks for low power, as a high LPMode does."""
        return self.get("LPWn")

    @LPWn.setter
    def LPWn(self, level: bool) -> None:  # noqa: N802
        self.set("LPWn", level)

    @property
    def INT(self) -> bool:  # noqa: N802
        """OSFP's interrupt pin: high while the module requests an interrupt."""
        return self.get("INT")

    @property
    def PRSn(self) -> bool:  # noqa: N802
        """OSFP's name of ModPrsL."""
        return self.get("PRSn")

    @property
    def power(self) -> bool:
        """Supply voltage on."""
        return self.get("power")

    @power.setter
    def power(self, level: bool) -> None:
        self.set("power", level)

    @property
    def IntL(self) -> bool:  # noqa: N802
        """Low while the module requests an interrupt (FLG-06)."""
        return self.get("IntL")

    @property
    def ModPrsL(self) -> bool:  # noqa: N802
        """Low while a module is present."""
        return self.get("ModPrsL")
