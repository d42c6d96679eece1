"""A host as scenarios play one: accesses to a module over its bus that take simulated time, and programs of them.

A program is a generator: it yields the seconds that it lets pass, and ends, perhaps with a text that tells what it
found, or raises HostFailure. It knows the register maps and nothing of the emulator: all it does goes over the bus,
with the patience of a kernel driver, and over the pins of the cage.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from smbus2 import i2c_msg

from cmis_emu.registers.encoding import decode, encode, extract, insert
from cmis_emu.registers.field import LOWER, Field
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.place import Place
from cmis_emu.scenarios.action import Argument, Kind, check_names
from cmis_emu.scenarios.units import DURATION

ADDRESS = 0x50
PATIENCE_S, RETRY_S = 0.025, 0.001
"""A refused transfer is tried again so often, for so long, before the error reaches the program."""
WRITE_MAX = 8  # bytes that every module takes in one write (I2C-06)

Work = Generator[float, None, None]
Telling = Generator[float, None, str]
"""Work that ends with what it found, for people and for `says` of a condition."""

Start = Callable[["Host", Mapping[str, Any]], Generator[float, None, str | None]]


class HostFailure(Exception):
    """The host gives up; the text says why."""


class Rdwr(Protocol):
    """The method of `smbus2.SMBus` that a host uses."""

    def i2c_rdwr(self, *i2c_msgs: Any) -> None: ...


class Select(Enum):
    """When a host writes a page select."""

    ALWAYS = "always"
    NEEDED = "needed"
    NEVER = "never"


class HostPins(Protocol):
    """The pins of a cage as its host has them: True is high."""

    def get(self, name: str) -> bool: ...
    def set(self, name: str, level: bool) -> None: ...


class Host:
    """Accesses of one program. Each is a generator, since a refused one is tried again after a while.

    patience_s: for how long.
    """

    def __init__(
        self,
        bus: Rdwr,
        now: Callable[[], float],
        pins: HostPins,
        *,
        patience_s: float = PATIENCE_S,
        select: Select = Select.ALWAYS,
    ) -> None:
        self._bus = bus
        self.now = now
        self.pins = pins
        self._patience_s = patience_s
        self._when = select
        self.maps = load_maps()

    # -- bytes -----------------------------------------------------------------------------------------

    def read(self, page: int, address: int, length: int, bank: int = 0) -> Generator[float, None, bytes]:
        """Bytes of a page; page select and read are one turn, which no other program of this process divides."""

        def access() -> bytes:
            answer = i2c_msg.read(ADDRESS, length)
            self._select(page, bank)
            self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [address]), answer)
            return bytes(answer)

        return (yield from self._patiently(access, f"read of {place(page, address)}"))

    def write(self, page: int, address: int, data: bytes, bank: int = 0) -> Generator[float, None, None]:
        """Write to a page, in pieces that every module takes."""
        for at in range(0, len(data), WRITE_MAX):
            piece = [address + at, *data[at : at + WRITE_MAX]]

            def access(piece: list[int] = piece) -> bytes:
                self._select(page, bank)
                self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, piece))
                return b""

            yield from self._patiently(access, f"write of {place(page, address + at)}")

    def _select(self, page: int, bank: int) -> None:
        if page == LOWER or self._when is Select.NEVER:
            return
        if self._when is Select.NEEDED:
            there = i2c_msg.read(ADDRESS, 2)
            self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [126]), there)
            if bytes(there) == bytes((bank, page)):
                return
        self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [126, bank, page]))

    def read_place(self, where: Place, bank: int = 0) -> Generator[float, None, bytes]:
        """All bytes of a place; in its own bank if it names one."""
        return self.read(where.page, where.first, len(where), bank if where.bank is None else where.bank)

    def _patiently(self, access: Callable[[], bytes], what: str) -> Generator[float, None, bytes]:
        start = self.now()
        while True:
            try:
                found = access()
            except OSError as error:
                if self.now() - start >= self._patience_s:
                    name = errno.errorcode.get(error.errno or 0, str(error.errno))
                    raise HostFailure(f"{what}: {name}") from None
            else:
                if self.now() > start:
                    yield 0.0  # it took its time: what is due meanwhile, such as the end of a fault, comes first
                return found
            yield RETRY_S

    # -- fields ----------------------------------------------------------------------------------------

    def get(self, name: str, lane: int | None = None, bank: int = 0) -> Generator[float, None, Any]:
        """A field's value in its unit (the code of an enumeration); of all lanes as a list without `lane`."""
        field, own = self.maps.resolve(name)
        first, last = field.span
        page_bank = bank if self.maps.pages[field.page].banked else 0
        data = yield from self.read(field.page, first, last - first + 1, page_bank)
        values = [decode(field, extract(field, data, first, number)) for number in range(1, field.count + 1)]
        return values if field.lanes is not None and (own or lane) is None else values[(own or lane or 1) - 1]

    def put(self, name: str, value: Any, lane: int | None = None, bank: int = 0) -> Generator[float, None, None]:
        """Write a field and nothing else, by read, change and write where its byte holds others."""
        field, own = self.maps.resolve(name)
        first, size, *_ = field.element(own or lane or 1)
        page_bank = bank if self.maps.pages[field.page].banked else 0
        data = bytearray((yield from self.read(field.page, first, size, page_bank)))
        insert(field, data, first, encode(field, value, self._enum(field)), own or lane or 1)
        yield from self.write(field.page, first, bytes(data), page_bank)

    def put_all(self, name: str, value: int, bank: int = 0) -> Generator[float, None, None]:
        """Write the one byte of a field with a bit for each lane."""
        field = self.maps.field(name)
        yield from self.write(field.page, field.span[0], bytes([value]), bank)

    def _enum(self, field: Field) -> Mapping[int, str] | None:
        return None if field.enum is None else self.maps.enums[field.enum]

    # -- waiting ---------------------------------------------------------------------------------------

    def until(
        self, look: Callable[[], Generator[float, None, bool]], what: str, limit_s: float, period_s: float = 0.02
    ) -> Work:
        """Look again and again; HostFailure when `what` has not come within the limit."""
        start = self.now()
        while not (yield from look()):
            if self.now() - start > limit_s:
                raise HostFailure(f"{what} has not come within {limit_s:g} s")
            yield period_s


def place(page: int, address: int) -> str:
    """'11h:128', or 'L:3' in the lower memory."""
    return f"{'L' if page == LOWER else f'{page:02X}h'}:{address}"


COMMON = {
    "patience": Argument(DURATION, "how long a refused access is tried again", default=PATIENCE_S),
    "select": Argument(
        Kind.CHOICE,
        "write page selects always, only when another page is there, or never: whatever page is there is read",
        default="always",
        choices=tuple(each.value for each in Select),
    ),
}
"""Arguments of every program that uses the bus."""

Check = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Program:
    """A host's program by name, such as host.bring_up. `start` gets a host on the port's bus and the arguments.

    check: refuses arguments that do not go together (InputError whose field is the argument).
    """

    name: str
    doc: str
    arguments: Mapping[str, Argument]
    start: Start
    check: Check | None = None


PROGRAMS: dict[str, Program] = {}


def program(
    name: str, arguments: Mapping[str, Argument], *, uses_bus: bool = True, check: Check | None = None
) -> Callable[[Start], Start]:
    """Register a generator function as the host program `name`; its docstring is the documentation."""

    def register(start: Start) -> Start:
        doc = " ".join((start.__doc__ or "").split())
        if not doc or name in PROGRAMS:
            raise AssertionError(f"{name}: expected a docstring and a name of its own")
        check_names(name, arguments)
        taken = {**arguments, **COMMON} if uses_bus else dict(arguments)
        PROGRAMS[name] = Program(name, doc, taken, start, check)
        return start

    return register
