"""optoe: how SONiC's kernel driver shows the memory of a module as one file, done on a virtual bus.

Owns the linear addresses and the transfers that the driver makes for them: the page is selected before an access to
a page other than 00h and put back to 00h after it, reads take a half at most, writes `write_max` bytes. A transfer
that fails is tried again for `write_timeout_ms`, but for a read that nobody acknowledges. The driver's class is that
of CMIS (optoe3). Nothing here knows a module but by what it answers.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.target import HALF, MODULE_ADDRESS
from cmis_emu.bus.turn import Turn
from cmis_emu.bus.virtual import Message, register_read
from cmis_emu.clock import NS_PER_MS, Clock
from cmis_emu.errors import InputError

PAGES = 256
UNPAGED_SIZE = 2 * HALF
FILE_MAX = 4096
"""Most bytes of one read or write of a sysfs file: a page of the machine's memory."""

WRITE_TIMEOUT_MAX_MS = 500
BANKS_MAX = 256
_BANK_SELECT, _PAGE_SELECT = 126, 127
_MANAGEMENT, _FLAT = 2, 0x80  # lower memory: MemoryModel, set where there is page 00h alone
_RETRY_NS = NS_PER_MS


class Place(NamedTuple):
    """Where a linear address lies: bank and page of the upper half, and the register address, 0 to 255."""

    bank: int
    page: int
    address: int


def place_of(offset: int) -> Place:
    """Bytes 0 to 127 are the lower memory; then follow the 256 pages of bank 0, those of bank 1, and so on."""
    if offset < HALF:
        return Place(0, 0, offset)
    block, byte = divmod(offset - HALF, HALF)
    bank, page = divmod(block, PAGES)
    return Place(bank, page, HALF + byte)


def offset_of(bank: int, page: int, address: int) -> int:
    """The linear address of a byte; `place_of` backwards."""
    return address if address < HALF else (bank * PAGES + page) * HALF + address


class Bus(Protocol):
    """The bus that the module is on, whole transfers at a time."""

    def transfer(self, messages: Sequence[Message]) -> list[bytes]:
        """Data of the read messages. Raises BusError."""
        ...


class Optoe:
    """The driver of one module. Callers hold the emulator's lock, which is free while the driver waits.

    write_max: bytes of one write, as its file of that name. write_timeout_ms: for how long it tries. max_banks: how
    many banks the file shows, as its file max_bank_size; 0 and 1 are bank 0 alone.
    """

    def __init__(self, bus: Callable[[], Bus], clock: Clock) -> None:
        """`bus` gives the bus that the module is on now."""
        self.write_max = 1
        self.write_timeout_ms = 25
        self.max_banks = 0
        self._bus = bus
        self._clock = clock
        self._turn = Turn(clock)
        self._page_left = False  # page 00h could not be mapped again

    def configure(self, write_max: int | None, write_timeout_ms: int | None, max_banks: int | None) -> None:
        """Set what is not None. Raises InputError for what the driver refuses."""
        limits = (
            ("write_max", write_max, 1, HALF),
            ("write_timeout", write_timeout_ms, 0, WRITE_TIMEOUT_MAX_MS),
            ("max_bank_size", max_banks, 0, BANKS_MAX),
        )
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise InputError(str(value), f"{low} to {high}", field=name)
        self.write_max = self.write_max if write_max is None else write_max
        self.write_timeout_ms = self.write_timeout_ms if write_timeout_ms is None else write_timeout_ms
        self.max_banks = self.max_banks if max_banks is None else max_banks

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return (max(1, self.max_banks) * PAGES + 1) * HALF

    def read(self, offset: int, length: int) -> bytes:
        """What a read of the file gives: fewer bytes where it ends or a transfer fails, none beyond the end.

        Raises OSError when there is nothing at all: ENXIO where nobody answers, else ETIMEDOUT.
        """
        found = bytearray()

        def piece(address: int, count: int) -> int:
            data = self._read(address, count)
            found.extend(data)
            return len(data)

        self._access(offset, length, piece)
        return bytes(found)

    def write(self, offset: int, data: bytes) -> int:
        """How many bytes of `data` a write to the file takes. Raises OSError when it takes none."""
        taken = 0

        def piece(address: int, count: int) -> int:
            nonlocal taken
            step = min(count, self.write_max)
            self._write(address, data[taken : taken + step])
            taken += step
            return step

        self._access(offset, len(data), piece)
        return taken

    def _access(self, offset: int, length: int, piece: Callable[[int, int], int]) -> None:
        if offset < 0:
            raise OSError(errno.EINVAL, "found an offset below 0")
        with self._turn.taken():
            self._halves(offset, self._legal(offset, min(length, FILE_MAX, max(0, self.size - offset))), piece)

    def _legal(self, offset: int, length: int) -> int:
        """How many bytes there are; a module without pages ends after page 00h."""
        if length <= 0 or offset + length <= UNPAGED_SIZE:
            return length
        flat = self._read(_MANAGEMENT, 1)[0] & _FLAT
        return max(0, UNPAGED_SIZE - offset) if flat else length

    def _halves(self, offset: int, length: int, piece: Callable[[int, int], int]) -> None:
        done = 0
        while done < length:
            count = min(length - done, HALF - (offset + done) % HALF)
            try:
                moved, error = self._half(place_of(offset + done), count, piece)
            except OSError:
                if done:
                    return  # what has come so far is what there is
                raise
            done += moved
            if error is not None:
                if done:
                    return
                raise error

    def _half(self, place: Place, count: int, piece: Callable[[int, int], int]) -> tuple[int, OSError | None]:
        """One half of the memory: bytes moved, and what stopped it."""
        if place.page or self._page_left:
            self._select(place.bank, place.page)
            self._page_left = False
        moved, error = 0, None
        try:
            while moved < count:
                moved += piece(place.address + moved, count - moved)
        except OSError as failure:
            error = failure
        if place.page:
            try:
                self._select(place.bank, 0, back=True)
            except OSError as failure:
                self._page_left = True
                error = error or (None if moved else failure)
        return moved, error

    def _select(self, bank: int, page: int, *, back: bool = False) -> None:
        if bank:
            self._write(_BANK_SELECT, bytes([0 if back else bank, page]))
        else:
            self._write(_PAGE_SELECT, bytes([page]))

    def _read(self, address: int, count: int) -> bytes:
        return self._persist(register_read(MODULE_ADDRESS, address, count), errno.ENXIO)[0]

    def _write(self, address: int, data: bytes) -> None:
        self._persist([Message(MODULE_ADDRESS, 0, bytes([address]) + data)])

    def _persist(self, messages: Sequence[Message], give_up: int | None = None) -> list[bytes]:
        try:
            return persist(self._bus(), self._clock, messages, self.write_timeout_ms, give_up)
        except BusError as error:
            number = error.errno if error.errno == give_up else errno.ETIMEDOUT
            raise OSError(number, f"the module refused an access ({error})") from None


def persist(
    bus: Bus, clock: Clock, messages: Sequence[Message], timeout_ms: int, give_up: int | None = None
) -> list[bytes]:
    """A transfer, once a millisecond until it works or the time is up. An error of number `give_up` ends it at once.

    Raises the BusError of the last try.
    """
    tries = timeout_ms + 1  # also where simulated time stands still
    end_ns = clock.now_ns + timeout_ms * NS_PER_MS
    while True:
        tries -= 1
        last = clock.now_ns >= end_ns or not tries
        try:
            return bus.transfer(messages)
        except BusError as error:
            if last or error.errno == give_up:
                raise
        clock.wait(_RETRY_NS)
