"""A host as scenarios play one: accesses to a module over its bus that take simulated time, and programs of them.

A program is a generator: it yields the seconds that it lets pass, and ends, or raises HostFailure. It knows the
register maps and nothing of the emulator: all it does goes over the bus, with the patience of a kernel driver.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smbus2 import i2c_msg

from cmis_emu.registers.encoding import decode, encode, extract, insert
from cmis_emu.registers.field import LOWER, Field
from cmis_emu.registers.loader import load_maps
from cmis_emu.scenarios.action import Argument, check_names

ADDRESS = 0x50
PATIENCE_S, RETRY_S = 0.025, 0.001
"""A refused transfer is tried again so often, for so long, before the error reaches the program."""
WRITE_MAX = 8  # bytes that every module takes in one write (I2C-06)

Work = Generator[float, None, None]


class HostFailure(Exception):
    """The host gives up; the text says why."""


class Rdwr(Protocol):
    """The method of `smbus2.SMBus` that a host uses."""

    def i2c_rdwr(self, *i2c_msgs: Any) -> None: ...


class Host:
    """Accesses of one program. Each is a generator, since a refused one is tried again after a while."""

    def __init__(self, bus: Rdwr, now: Callable[[], float]) -> None:
        self._bus = bus
        self._now = now
        self._maps = load_maps()

    # -- bytes -----------------------------------------------------------------------------------------

    def read(self, page: int, address: int, length: int, bank: int = 0) -> Generator[float, None, bytes]:
        """Bytes of a page; page select and read are one turn, which no other program of this process divides."""

        def access() -> bytes:
            answer = i2c_msg.read(ADDRESS, length)
            if page != LOWER:
                self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [126, bank, page]))
            self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [address]), answer)
            return bytes(answer)

        return (yield from self._patiently(access, f"read of {place(page, address)}"))

    def write(self, page: int, address: int, data: bytes, bank: int = 0) -> Generator[float, None, None]:
        """Write to a page, in pieces that every module takes."""
        for at in range(0, len(data), WRITE_MAX):
            piece = [address + at, *data[at : at + WRITE_MAX]]

            def access(piece: list[int] = piece) -> bytes:
                if page != LOWER:
                    self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, [126, bank, page]))
                self._bus.i2c_rdwr(i2c_msg.write(ADDRESS, piece))
                return b""

            yield from self._patiently(access, f"write of {place(page, address + at)}")

    def _patiently(self, access: Callable[[], bytes], what: str) -> Generator[float, None, bytes]:
        start = self._now()
        while True:
            try:
                return access()
            except OSError as error:
                if self._now() - start >= PATIENCE_S:
                    name = errno.errorcode.get(error.errno or 0, str(error.errno))
                    raise HostFailure(f"{what}: {name}") from None
            yield RETRY_S

    # -- fields ----------------------------------------------------------------------------------------

    def get(self, name: str, lane: int | None = None, bank: int = 0) -> Generator[float, None, Any]:
        """A field's value in its unit (the code of an enumeration); of all lanes as a list without `lane`."""
        field, own = self._maps.resolve(name)
        first, last = field.span
        page_bank = bank if self._maps.pages[field.page].banked else 0
        data = yield from self.read(field.page, first, last - first + 1, page_bank)
        values = [decode(field, extract(field, data, first, number)) for number in range(1, field.count + 1)]
        return values if field.lanes is not None and (own or lane) is None else values[(own or lane or 1) - 1]

    def put(self, name: str, value: Any, lane: int | None = None, bank: int = 0) -> Generator[float, None, None]:
        """Write a field and nothing else, by read, change and write where its byte holds others."""
        field, own = self._maps.resolve(name)
        first, size, *_ = field.element(own or lane or 1)
        page_bank = bank if self._maps.pages[field.page].banked else 0
        data = bytearray((yield from self.read(field.page, first, size, page_bank)))
        insert(field, data, first, encode(field, value, self._enum(field)), own or lane or 1)
        yield from self.write(field.page, first, bytes(data), page_bank)

    def put_all(self, name: str, value: int, bank: int = 0) -> Generator[float, None, None]:
        """Write the one byte of a field with a bit for each lane."""
        field = self._maps.field(name)
        yield from self.write(field.page, field.span[0], bytes([value]), bank)

    def _enum(self, field: Field) -> Mapping[int, str] | None:
        return None if field.enum is None else self._maps.enums[field.enum]

    # -- waiting ---------------------------------------------------------------------------------------

    def until(
        self, look: Callable[[], Generator[float, None, bool]], what: str, limit_s: float, period_s: float = 0.02
    ) -> Work:
        """Look again and again; HostFailure when `what` has not come within the limit."""
        start = self._now()
        while not (yield from look()):
            if self._now() - start > limit_s:
                raise HostFailure(f"{what} has not come within {limit_s:g} s")
            yield period_s


def place(page: int, address: int) -> str:
    """'11h:128', or 'L:3' in the lower memory."""
    return f"{'L' if page == LOWER else f'{page:02X}h'}:{address}"


@dataclass(frozen=True, slots=True)
class Program:
    """A host's program by name, such as host.bring_up. `start` gets a host on the port's bus and the arguments."""

    name: str
    doc: str
    arguments: Mapping[str, Argument]
    start: Callable[[Host, Mapping[str, Any]], Work]


PROGRAMS: dict[str, Program] = {}


def program(
    name: str, arguments: Mapping[str, Argument]
) -> Callable[[Callable[[Host, Mapping[str, Any]], Work]], Callable[[Host, Mapping[str, Any]], Work]]:
    """Register a generator function as the host program `name`; its docstring is the documentation."""

    def register(start: Callable[[Host, Mapping[str, Any]], Work]) -> Callable[[Host, Mapping[str, Any]], Work]:
        doc = " ".join((start.__doc__ or "").split())
        if not doc or name in PROGRAMS:
            raise AssertionError(f"{name}: expected a docstring and a name of its own")
        check_names(name, arguments)
        PROGRAMS[name] = Program(name, doc, dict(arguments), start)
        return start

    return register
