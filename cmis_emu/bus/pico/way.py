"""The way `pico:DEVICE[@BUS][?pins=qsfp-dd|osfp]`: a board on a serial device is the module's bus.

Owns the serial device, the thread that keeps board and module in step, and what the user is told. A board that is
unplugged is looked for again until it is back.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from cmis_emu.bus.cages import Cage
from cmis_emu.bus.capabilities import PICO, PICO_MICROPYTHON, Request, admit
from cmis_emu.bus.options import BUS_MAX, Options, decimal
from cmis_emu.bus.pico import wire
from cmis_emu.bus.pico.link import Link
from cmis_emu.bus.pico.mirror import HOLD_MS, PIN_SETS, Mirror
from cmis_emu.bus.ways import Served
from cmis_emu.errors import InputError, NotAvailableError

_LOG = logging.getLogger(__name__)
_FORM = "pico:DEVICE[@BUS][?OPTIONS], such as pico:/dev/ttyACM0@1?pins=qsfp-dd"
_OPTIONS = {"pins": "qsfp-dd", "hold": "10"}
_HOLD_MOST_MS = 1000
_LOOK_S = 0.004
_KNOCK_LOOKS = 25  # looks without a byte from the board, until it is spoken to
_PATIENCE_LOOKS = 500  # 2 s for a board to say what it is
_RETRY_S = 1.0
_CLOSE_S = 5.0
_BACK_ENDS = {"C": PICO, "MicroPython": PICO_MICROPYTHON}


class Line(Protocol):
    """A serial device."""

    def read(self) -> bytes:
        """What has come; waits a look's time for it. Raises OSError when the device is gone."""
        ...

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        ...

    def close(self) -> None: ...


class SerialLine:
    """A device such as /dev/ttyACM0. Raises NotAvailableError when it cannot be had."""

    def __init__(self, device: str) -> None:
        try:
            import serial  # noqa: PLC0415 - heavy things are imported on use
        except ImportError:
            raise NotAvailableError("pico: needs the extra hardware: pip install 'cmis-emu[hardware]'") from None
        try:
            self._port: Any = serial.Serial(device, timeout=_LOOK_S, write_timeout=1.0, exclusive=True)
        except serial.SerialException as error:
            raise NotAvailableError(f"pico:{device}: {_reason(error, device)}") from None
        self._lost = serial.SerialException

    def read(self) -> bytes:
        try:
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (self._lost, TypeError) as error:  # TypeError: closed meanwhile
            raise OSError(errno.ENODEV, str(error)) from None

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (self._lost, TypeError) as error:
            raise OSError(errno.ENODEV, str(error)) from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._port.close()


def _reason(error: OSError, device: str) -> str:
    if error.errno == errno.EACCES:
        return "permission denied: join the group that owns it (dialout on Debian: usermod -aG dialout NAME)"
    if error.errno == errno.ENOENT or not os.path.exists(device):
        return "no such device: is the board plugged in, and its firmware on it (hardware/pico/README.md)?"
    if error.errno in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return "another program has it"
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class Address:
    """What the user asked for. hold_ms: how long a write that acts may hold off what follows; 0 not at all."""

    device: str
    bus: int | None = None
    pins: str = "none"
    hold_ms: int = HOLD_MS

    @classmethod
    def read(cls, text: str) -> Address:
        """Raises InputError."""
        head, _, rest = text.partition("?")
        options = Options.read(rest, _OPTIONS, "--serve")
        device, at, bus = head.rpartition("@")
        if not at:
            device, bus = head, ""
        number = decimal(bus, BUS_MAX)
        if not device or (at and number is None):
            raise InputError(repr(f"pico:{text}"), _FORM, field="--serve")
        hold_ms = options.number("hold", HOLD_MS, 0, _HOLD_MOST_MS)
        return cls(device, number, options.choice("pins", *PIN_SETS), hold_ms)


class PicoWay:
    """A board that serves the module of `cage` until `close`. Raises NotAvailableError when there is none."""

    def __init__(
        self,
        address: Address,
        number: int,
        cage: Cage,
        lock: threading.RLock,
    ) -> None:
        self._address = address
        self._number = number
        self._lock = lock
        self._line: Line | None = SerialLine(address.device)
        self._out = bytearray()
        self.link = Link(self._out.extend, int.from_bytes(os.urandom(2), "big"))
        self.mirror = Mirror(self.link, cage, pins=address.pins, hold_ms=address.hold_ms)
        self._closing = threading.Event()
        try:
            self._await_board()
        except BaseException:
            if self._line is not None:
                self._line.close()
            raise
        self._thread = threading.Thread(target=self._run, name=f"cmis-emu pico {address.device}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The board is told to answer no more; if that is lost, its lease is over in half a second."""
        self._closing.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=_CLOSE_S)
        with self._lock:
            self.mirror.close()

    def describe(self) -> list[str]:
        """What serves what, and what it cannot do."""
        info = self.link.info
        assert info is not None
        board = _BACK_ENDS[info.firmware]
        return [
            f"bus {self._number} on wires: {self._address.device}, firmware in {info.firmware}, "
            f"pins: {self._address.pins}",
            *(f"warning: {each}" for each in admit(board, Request())),
            f"note: {board.reason('max_hz')}",
        ]

    def _await_board(self) -> None:
        """Until it has said what it is, and taken up the module. Raises NotAvailableError."""
        assert self._line is not None
        self.link.knock()
        for look in range(_PATIENCE_LOOKS):
            self._flush(self._line)
            try:
                data = self._line.read()
            except OSError as error:
                raise NotAvailableError(f"pico:{self._address.device}: {error.strerror}") from None
            with self._lock:
                self.mirror.step(data)
            info = self.link.info
            if info is not None:
                if info.version != wire.VERSION:
                    found = f"found firmware with protocol {info.version}, expected {wire.VERSION}"
                    raise NotAvailableError(f"pico:{self._address.device}: {found}; flash the one of this release")
                if info.firmware not in _BACK_ENDS:
                    raise NotAvailableError(f"pico:{self._address.device}: found firmware of {info.firmware}")
                if self.link.opened:
                    return
            if look % _KNOCK_LOOKS == _KNOCK_LOOKS - 1:
                self.link.knock()
        who = "nobody who speaks the protocol" if self.link.info is None else "a board that begins no session"
        found = f"found {who}, expected a board with this project's firmware"
        raise NotAvailableError(f"pico:{self._address.device}: {found} (hardware/pico/README.md)")

    def _flush(self, line: Line) -> None:
        with self._lock:
            data = bytes(self._out)
            self._out.clear()
        if data:
            with contextlib.suppress(OSError):  # reading tells of it, too
                line.write(data)

    def _run(self) -> None:
        try:
            self._keep_in_step()
        except Exception:
            _LOG.exception("the board at %s is not served any more", self._address.device)
        if self._line is not None:
            with self._lock:
                self.mirror.farewell()
            self._flush(self._line)
            self._line.close()

    def _keep_in_step(self) -> None:
        silent = 0
        while not self._closing.is_set():
            line = self._line
            if line is None:
                self._line = self._find_again()
                continue
            try:
                data = line.read()
            except OSError:
                line.close()
                self._line = None
                continue
            silent = 0 if data else silent + 1
            with self._lock:
                if silent >= _KNOCK_LOOKS:
                    silent = 0
                    self.link.knock()
                self.mirror.step(data)
            self._flush(line)

    def _find_again(self) -> Line | None:
        try:
            return SerialLine(self._address.device)
        except NotAvailableError:
            self._closing.wait(_RETRY_S)
            return None


def serve(address: str, served: Served) -> PicoWay:
    """The way `pico:DEVICE[@BUS][?OPTIONS]`; without a bus, the first one."""
    wanted = Address.read(address)
    number = min(served.cages, default=0) if wanted.bus is None else wanted.bus
    if number not in served.cages:
        known = ", ".join(str(each) for each in sorted(served.cages)) or "none"
        raise InputError(f"bus {number}", f"a bus with a module of its own: {known}", field="--serve")
    return PicoWay(wanted, number, served.cages[number], served.lock)
