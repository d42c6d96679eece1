"""Options in an address, `name=value&name=value`, as ways onto real buses have them; and finding what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cmis_emu.bus.cages import Cage
from cmis_emu.bus.target import MODULE_ADDRESS, Target
from cmis_emu.bus.ways import Served
from cmis_emu.errors import InputError

BUS_MAX = 1_000_000
ADDRESS_LEAST, ADDRESS_MOST = 0x08, 0x77


def decimal(text: str, most: int) -> int | None:
    """A number from 0 to `most` in plain digits; None for anything else, of any length."""
    digits = text.lstrip("0") or "0"
    if not text.isascii() or not text.isdecimal() or len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)


@dataclass(frozen=True, slots=True)
class Options:
    """By name. field: where they stood, for errors."""

    values: Mapping[str, str]
    field: str

    @classmethod
    def read(cls, text: str, known: Mapping[str, str], field: str) -> Options:
        """From text. known: options by name, with an example. Raises InputError."""
        try:
            pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True) if text else []
        except ValueError:
            examples = "&".join(f"{name}={value}" for name, value in known.items())
            raise InputError(repr(text), f"options such as {examples}", field=field) from None
        for name, value in pairs:
            if name not in known:
                raise InputError(f"option {name!r}", f"one of {', '.join(known)}", field=field)
            if not value:
                raise InputError(f"{name}=", f"a value, such as {name}={known[name]}", field=field)
        values = dict(pairs)
        if len(values) != len(pairs):
            raise InputError(repr(text), "each option once", field=field)
        return cls(values, field)

    def number(self, name: str, otherwise: int, least: int, most: int) -> int:
        """A number, decimal or hexadecimal. Raises InputError."""
        text = self.values.get(name)
        if text is None:
            return otherwise
        try:
            value = int(text, 0)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise InputError(f"{name}={text}", f"{name} from {least} to {most}", field=self.field)
        return value

    def choice(self, name: str, *words: str) -> str:
        """One of some words, the first unless told. Raises InputError."""
        text = self.values.get(name, words[0])
        if text not in words:
            raise InputError(f"{name}={text}", " or ".join(f"{name}={word}" for word in words), field=self.field)
        return text

    def flag(self, name: str) -> bool:
        """Yes or no, which it is unless told. Raises InputError."""
        return self.choice(name, "no", "yes") == "yes"

    def place(self, served: Served) -> tuple[int, int]:
        """`bus` and `address` of a module; the first bus, and 50h, unless told. Raises InputError."""
        bus = self.number("bus", min(served.buses), 0, BUS_MAX)
        return bus, self.number("address", MODULE_ADDRESS, ADDRESS_LEAST, ADDRESS_MOST)


def find_target(served: Served, bus: int, address: int, field: str = "--serve") -> Target:
    """The target of the module that sits at an address of a bus, also of a channel. Raises InputError for none."""
    found = served.buses.get(bus)
    if found is None:
        numbers = ", ".join(map(str, sorted(served.buses)))
        raise InputError(f"bus {bus}", f"one of the buses {numbers}", field=field)
    modules = {each: target for each, target in found.sitting().items() if isinstance(target, Target)}
    target = modules.get(address)
    if target is None:
        at = ", ".join(f"{each:#x}" for each in sorted(modules)) or "a bus that a module sits on"
        raise InputError(f"address {address:#x} on bus {bus}", f"one of {at}", field=field)
    return target


def find_cage(served: Served, bus: int, address: int) -> Cage:
    """The cage around such a target. Raises InputError."""
    target = find_target(served, bus, address)
    return next(cage for cage in served.cages.values() if cage.target is target)
