"""The ports of an emulator as cages for a way that plugs modules itself (`bus/slots.py`).

Owns which product a cage takes when it is asked to plug one in, and what waits for the next module of an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cmis_emu.bus.slots import PathState, SlotInfo
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.clock import Clock
from cmis_emu.errors import InputError
from cmis_emu.module.module import Module
from cmis_emu.module.profile.library import load_profile
from cmis_emu.module.profile.profile import Profile
from cmis_emu.port import Port
from cmis_emu.registers.field import PAGE_BYTES

USUAL = "qsfpdd-400g-dr4"
"""What is plugged into an emulator of which no cage ever had a module."""


class PortSlots:
    """Meets `Slots`. add: a new port of that name. bus_of: the bus of a port."""

    def __init__(
        self,
        ports: Mapping[str, Port],
        clock: Clock,
        bus_of: Callable[[str], VirtualBus],
        add: Callable[[str], object],
    ) -> None:
        self.clock = clock
        self._ports = ports
        self._bus_of = bus_of
        self._add = add
        self._profiles: dict[str, Profile] = {}
        self._waiting: dict[str, list[tuple[int, int, int, bytes]]] = {}
        for name in ports:
            self._look(name)

    def names(self) -> Sequence[str]:
        """As `Slots` says, and so below."""
        return list(self._ports)

    def create(self, name: str, profile: str | None) -> None:
        """An empty cage, which a nominal fibre joins to itself."""
        if name in self._ports:
            raise InputError(repr(name), "a name that no port has", field="port")
        product = self._product(profile)
        self._add(name)
        self._profiles[name] = product

    def plug(self, name: str) -> None:
        """A fresh module of the product that was there last."""
        if self._look(name) is None:
            port = self._ports[name]
            port.insert(self._product_of(name))
            for bank, page, address, data in self._waiting.pop(name, ()):
                port.module.poke(page, address, data, bank)

    def unplug(self, name: str) -> None:
        """The cage remembers the product."""
        self._look(name)
        self._ports[name].remove()

    def set_profile(self, name: str, profile: str | None) -> None:
        """What is in it stays."""
        if profile is not None:
            self._profiles[name] = self._product(profile)

    def info(self, name: str) -> SlotInfo:
        """By the back door."""
        module = self._look(name)
        if module is None:
            return SlotInfo(False)
        paths = tuple(
            PathState(bank.bank, path.host_lanes[0] - 1, path.application.app_sel, path.state.title)
            for bank in module.banks
            for path in bank.paths
        )
        return SlotInfo(True, module.msm.state.value, str(module.get("VendorName")).strip(), paths)

    def bus(self, name: str) -> VirtualBus:
        """Of the testbed, or its own."""
        return self._bus_of(name)

    def write_limit(self, name: str, address: int) -> int:
        """By the back door; a host finds it in the module's advertisement."""
        module = self._look(name)
        return 1 if module is None else module.write_limit(address)

    def factory(self, name: str, bank: int, page: int, address: int, length: int) -> bytes:
        """What the profile says and what waits for the module; zeros where it has no such page."""
        product = self._product_of(name)
        found = bytearray(product.image.get(page, bytes(PAGE_BYTES)))
        for on_bank, on_page, at, data in self._waiting.get(name, ()):
            if (on_bank, on_page) == (bank, page):
                found[at % PAGE_BYTES : at % PAGE_BYTES + len(data)] = data
        return bytes(found[address % PAGE_BYTES : address % PAGE_BYTES + length])

    def overwrite(self, name: str, bank: int, page: int, address: int, data: bytes) -> None:
        """Bytes that a host can write are left to the bus, and so are bits."""
        module = self._look(name)
        if module is None:
            product = self._product_of(name)
            if page not in product.compiled.pages:
                raise InputError(f"page {page:02X}h", f"one that a {product.name} has")
            self._waiting.setdefault(name, []).append((bank, page, address, data))
        else:
            module.poke(page, address, data, bank)

    def _look(self, name: str) -> Module | None:
        """What is in a cage now; somebody else may have plugged it."""
        module = self._ports[name].occupant
        if module is not None:
            self._profiles[name] = module.profile
        return module

    def _product_of(self, name: str) -> Profile:
        """What `plug` plugs into a cage."""
        return self._profiles.get(name) or self._product(None)

    def _product(self, profile: str | None) -> Profile:
        if profile is not None:
            return load_profile(profile)
        return next(iter(self._profiles.values()), None) or load_profile(USUAL)
