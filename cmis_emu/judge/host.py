"""What the judge needs of a bus, and the one adapter over anything that has smbus2's `i2c_rdwr`.

Owns the patience of a host: a module may refuse accesses for a while after a write (I2C-10, I2C-11), so every
access is tried again, politely, within a bound, and the longest refusal is kept for a check.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from cmis_emu.registers.field import PAGE_BYTES

MODULE_ADDRESS = 0x50  # I2C-01
PATIENCE_S = 0.5  # gives up after this; what is legal (10 ms, 80 ms for NV writes) is judged by a check
RETRY_S = 0.001


class Pins(Protocol):
    """Side-band pins of a target that has them, by their names on the connector; True is high (RST-08)."""

    def get(self, name: str) -> bool:
        """Level of a pin."""
        ...

    def set(self, name: str, level: bool) -> None:
        """Drive a pin."""
        ...


class Timer(Protocol):
    """Time as the target lives it, in seconds: simulated or real."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class Host(Protocol):
    """A module on a bus. Accesses raise OSError when the module refuses them for longer than it may."""

    timer: Timer
    pins: Pins | None
    known_pages: Collection[tuple[int, int]] | None  # (page, bank) that an image holds; None for a live module
    longest_refusal_s: float

    def read(self, address: int, length: int) -> bytes:
        """Random read in one transaction (I2C-02)."""
        ...

    def read_current(self, length: int) -> bytes:
        """Current-address read (I2C-02)."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """One write transaction."""
        ...

    def probe(self) -> bool:
        """One attempt, without patience: does the module acknowledge its address?"""
        ...


class Rdwr(Protocol):
    """The method of `smbus2.SMBus` that is used."""

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """One combined transfer."""
        ...


class Messages(Protocol):
    """Makes messages: the class `smbus2.i2c_msg`."""

    def read(self, address: int, length: int) -> Any:
        """A message that reads."""
        ...

    def write(self, address: int, buf: Any) -> Any:
        """A message that writes."""
        ...


class BusHost:
    """A Host over an `i2c_rdwr`: smbus2 on /dev/i2c-N, the virtual bus, a running emulator alike."""

    def __init__(
        self,
        bus: Rdwr,
        messages: Messages,
        timer: Timer,
        *,
        address: int = MODULE_ADDRESS,
        pins: Pins | None = None,
        known_pages: Collection[tuple[int, int]] | None = None,
    ) -> None:
        self._bus = bus
        self._messages = messages
        self._address = address
        self.timer = timer
        self.pins = pins
        self.known_pages = known_pages
        self.longest_refusal_s = 0.0

    def read(self, address: int, length: int) -> bytes:
        return self._patiently(lambda: self._read(address, length))

    def read_current(self, length: int) -> bytes:
        return self._patiently(lambda: self._read(None, length))

    def write(self, address: int, data: bytes) -> None:
        if not 1 <= len(data) <= PAGE_BYTES:
            raise ValueError(f"found {len(data)} bytes, expected 1 to {PAGE_BYTES} in one write")
        self._patiently(lambda: self._write(bytes([address]) + data))

    def probe(self) -> bool:
        try:
            self._read(None, 1)
        except OSError:
            return False
        return True

    def _read(self, address: int | None, length: int) -> bytes:
        answer = self._messages.read(self._address, length)
        if address is None:
            self._bus.i2c_rdwr(answer)
        else:
            self._bus.i2c_rdwr(self._messages.write(self._address, [address]), answer)
        return bytes(answer)

    def _write(self, data: bytes) -> bytes:
        self._bus.i2c_rdwr(self._messages.write(self._address, list(data)))
        return b""

    def _patiently(self, access: Callable[[], bytes]) -> bytes:
        start = self.timer.now()
        refused = False
        while True:
            try:
                found = access()
            except OSError:
                if self.timer.now() - start >= PATIENCE_S:
                    raise
                refused = True
                self.timer.wait(RETRY_S)
                continue
            if refused:
                self.longest_refusal_s = max(self.longest_refusal_s, self.timer.now() - start)
            return found
