"""What the methods of `emulator.SfpEmulatorService` do to the cages of an emulator. Knows no gRPC.

Owns the numbers of cages, and how a request becomes accesses on the bus: the page is selected, then the bytes are
read, or written in pieces as long as the module takes; a module that holds off is tried again for 25 ms, as a host's
driver does. What a host may not write stays as it is, unless the service was told to overwrite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.options import decimal
from cmis_emu.bus.optoe import persist
from cmis_emu.bus.slots import SlotInfo, Slots
from cmis_emu.bus.target import HALF, MODULE_ADDRESS
from cmis_emu.bus.turn import Turn
from cmis_emu.bus.virtual import Message, register_read
from cmis_emu.errors import InputError

INDEX_MAX = 2**31 - 1  # a message has a signed 32-bit number for it
CAGES_MAX = 1024
BYTES = 2 * HALF
RETRY_MS = 25
_BANK_SELECT = 126
_LOWER = -1
_LIMIT = 0xFF


class ServiceError(Exception):
    """A request that cannot be done. `code` is the name of a gRPC status."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Where an access begins: index of the cage, and bank, page and register address."""

    index: int
    bank: int
    page: int
    offset: int


class SfpService:
    """The cages by index. Callers hold the emulator's lock.

    first: index of the first cage; None: names that are all numbers are the indexes, other cages count from 1.
    overwrite: a write also stores, by the back door, what a host cannot write. profile: of cages that are created
    without a type; None: the first cage's.
    """

    def __init__(
        self, slots: Slots, *, first: int | None = None, overwrite: bool = False, profile: str | None = None
    ) -> None:
        names = list(slots.names())
        numbers = [decimal(name, INDEX_MAX) for name in names]
        if first is None and None not in numbers:
            self._names = {number: name for number, name in zip(numbers, names, strict=True) if number is not None}
        else:
            self._names = dict(enumerate(names, 1 if first is None else first))
        self._slots = slots
        self._deleted: dict[int, str] = {}
        self._turns: dict[str, Turn] = {}
        self._overwrite = overwrite
        self._profile = profile

    def cages(self) -> dict[int, str]:
        """Names of the cages by index."""
        return dict(self._names)

    def create(self, index: int, kind: str) -> None:
        """A new cage, empty. `kind`: profile of its modules."""
        if index in self._names:
            raise ServiceError("ALREADY_EXISTS", f"cage {index} exists")
        if "/" in kind:  # a name of the library; files of this machine are not the client's to name
            raise ServiceError("INVALID_ARGUMENT", f"type: found {kind!r}, expected a profile of the library")
        profile = kind or self._profile
        try:
            if index in self._deleted:
                self._slots.set_profile(self._deleted[index], profile)
                self._names[index] = self._deleted.pop(index)
                return
            if len(self._names) + len(self._deleted) >= CAGES_MAX:
                raise ServiceError("RESOURCE_EXHAUSTED", f"found {CAGES_MAX} cages, expected no more")
            taken = self._slots.names()
            name = str(index) if str(index) not in taken else f"cage-{index}"
            self._slots.create(name, profile)
        except InputError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        self._names[index] = name

    def delete(self, index: int) -> None:
        """Pull the module out, and know the cage no more until it is created again."""
        self._slots.unplug(self._name(index))
        self._deleted[index] = self._names.pop(index)

    def update(self, index: int, *, present: bool) -> None:
        """Plug in or pull out; nothing when it is so already."""
        name = self._name(index)
        if present:
            self._slots.plug(name)
        else:
            self._slots.unplug(name)

    def info(self, index: int) -> SlotInfo:
        """What is in a cage."""
        return self._slots.info(self._name(index))

    def read(self, place: Place, length: int, *, force: bool) -> bytes:
        """Bytes up to the end of the page. Without a module: zeros, or with `force` what one would have."""
        name = self._name(place.index)
        length = min(length, max(0, BYTES - place.offset))
        if not self._slots.info(name).present:
            if not force:
                return bytes(length)
            return b"".join(
                self._slots.factory(name, place.bank, page, at, count) for page, at, count in _halves(place, length)
            )
        _check(place)
        with self._turn(name).taken():
            return self._read(name, place, length)

    def _read(self, name: str, place: Place, length: int) -> bytes:
        if place.offset + length > HALF:
            self._map(name, place, place.page)
        found = b""
        for _, at, count in _halves(place, length):
            found += self._transfer(name, *register_read(MODULE_ADDRESS, at, count))[0]
        return found

    def write(self, place: Place, data: bytes) -> None:
        """Bytes of one page, and of the lower memory before it. An empty cage takes none, unless overwriting."""
        name = self._name(place.index)
        _check(place)
        if place.offset + len(data) > BYTES:
            raise ServiceError("OUT_OF_RANGE", f"found bytes up to {place.offset + len(data) - 1}, expected up to 255")
        present = self._slots.info(name).present
        if not present and not self._overwrite:
            raise ServiceError("FAILED_PRECONDITION", f"cage {place.index} is empty")
        with self._turn(name).taken():
            for page, at, count in _halves(place, len(data)):
                piece = data[at - place.offset : at - place.offset + count]
                if present:
                    self._map(name, place, page)
                    self._write(name, at, piece)
                if self._overwrite:
                    try:
                        self._slots.overwrite(name, place.bank, page, at, piece)
                    except InputError as error:
                        raise ServiceError("OUT_OF_RANGE", str(error)) from None

    def _turn(self, name: str) -> Turn:
        return self._turns.setdefault(name, Turn(self._slots.clock))

    def _write(self, name: str, at: int, data: bytes) -> None:
        while data:
            size = max(1, self._slots.write_limit(name, at))
            self._transfer(name, Message(MODULE_ADDRESS, 0, bytes([at]) + data[:size]))
            data, at = data[size:], at + size

    def _map(self, name: str, place: Place, page: int) -> None:
        if page != _LOWER:
            self._transfer(name, Message(MODULE_ADDRESS, 0, bytes([_BANK_SELECT, place.bank, page])))

    def _transfer(self, name: str, *messages: Message) -> list[bytes]:
        try:
            return persist(self._slots.bus(name), self._slots.clock, messages, RETRY_MS)
        except BusError as error:
            raise ServiceError("UNAVAILABLE", f"the module refused an access for {RETRY_MS} ms ({error})") from None

    def _name(self, index: int) -> str:
        if index not in self._names:
            raise ServiceError("NOT_FOUND", f"cage {index} does not exist")
        return self._names[index]


def _check(place: Place) -> None:
    for what, value in (("bank", place.bank), ("page", place.page), ("offset", place.offset)):
        if value > _LIMIT:
            raise ServiceError("INVALID_ARGUMENT", f"{what}: found {value}, expected 0 to {_LIMIT}")


def _halves(place: Place, length: int) -> Iterator[tuple[int, int, int]]:
    """Page (-1: lower memory), register address and length of each half that an access reaches."""
    if place.offset < HALF and length:
        yield _LOWER, place.offset, min(length, HALF - place.offset)
    if place.offset + length > HALF:
        start = max(place.offset, HALF)
        yield place.page, start, place.offset + length - start
