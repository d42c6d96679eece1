"""One host that has an adapter plugged in: USB requests from its connection, each answered in its time.

Owns order and cancelling. The adapter does one thing at a time, in the order of the requests; what any USB device
answers at once (descriptors) does not wait for that, and neither does an unlink. A thread leads: it reads requests
and serves them itself. When a message holds it up, another takes the lead (`watch.py`), and what comes for the
adapter meanwhile waits its turn. Whatever does not follow the protocol ends the connection.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
from collections import deque

from cmis_emu.bus.usbip.descriptors import IN, Introduction
from cmis_emu.bus.usbip.tiny_usb import STALL, Outcome, TinyUsb
from cmis_emu.bus.usbip.watch import Watch
from cmis_emu.bus.usbip.wire import (
    HEADER_SIZE,
    LENGTH_MAX,
    NO_PACKETS,
    RETURN_HEADER,
    SETUP,
    SUBMIT_HEADER,
    UNLINK_HEADER,
    UNLINKED_HEADER,
    Command,
)

_LOG = logging.getLogger(__name__)
_WAITING_MAX = 256  # requests of one host; the driver has one under way
_VENDOR = 0x40  # type bits of bmRequestType
_TYPE_MASK = 0x60
_SUBMIT, _UNLINK, _RETURN = int(Command.SUBMIT), int(Command.UNLINK), int(Command.RETURN)
_CHUNK = 65536

Urb = tuple[int, int, bytes, bytes]
"""Sequence, length asked for (-1: an OUT request), setup, data."""


class Session:
    """Serves one connection, of which `pending` was read already. `run` returns when it is over."""

    def __init__(
        self, client: socket.socket, adapter: TinyUsb, introduction: Introduction, watch: Watch, pending: bytes = b""
    ) -> None:
        self._client = client
        self._adapter = adapter
        self._introduction = introduction
        self._watch = watch
        self._buffer = pending
        self._over = threading.Event()
        self._lock = threading.Lock()  # of all below, and of sending
        self._leader: object = self
        self._running: int | None = None  # sequence of what the adapter does
        self._runner: object = None  # leader that does it
        self._cancelled = False
        self._waiting: deque[Urb] = deque()
        self._served = 0
        self._seen = (0, False)

    def run(self) -> None:
        """Serve the host until it hangs up or breaks the protocol."""
        self._watch.add(self)
        try:
            self._lead(self)
            self._over.wait()  # it may have been relieved
        finally:
            self._watch.remove(self)
            self._adapter.unplug()

    def look(self) -> bool:
        """Another thread takes the lead when this one's is held up since the last look."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            before, self._seen = self._seen, (self._served, self._running is not None)
            if self._running is not None and before == self._seen and self._runner is self._leader:
                self._leader = leader = object()
                threading.Thread(target=self._lead, args=(leader,), name="cmis-emu usbip relief", daemon=True).start()
            return self._running is not None or before != self._seen
        finally:
            self._lock.release()

    # -- leading -------------------------------------------------------------------------------------

    def _lead(self, me: object) -> None:
        """Read and serve until the end of the connection, or until relieved."""
        try:
            while self._step(me):
                if self._leader is not me:
                    return
        except OSError:
            pass  # the connection broke
        except Exception:
            _LOG.exception("a USB connection failed")
        with self._lock:
            self._waiting.clear()
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._over.set()

    def _step(self, me: object) -> bool:
        """Read and serve one request. False at the end."""
        buffer = self._buffer or self._client.recv(_CHUNK)  # mostly one request, and nothing left of the last
        if len(buffer) < HEADER_SIZE:
            buffer = self._more(buffer, HEADER_SIZE)
        if not buffer:
            return False
        command, sequence, _, into, endpoint, _, length, _, packets, _, setup = SUBMIT_HEADER.unpack_from(buffer)
        end = HEADER_SIZE
        data = b""
        if command == _SUBMIT:
            if into > 1 or not 0 <= length <= LENGTH_MAX or packets > 0:
                return False
            if length and not into:
                end += length
                if len(buffer) < end:
                    buffer = self._more(buffer, end)
                if not buffer:
                    return False
                data = buffer[HEADER_SIZE:end]
        elif command != _UNLINK:
            return False
        self._buffer = buffer[end:]
        if command == _UNLINK:
            self._unlink(sequence, UNLINK_HEADER.unpack_from(buffer)[5])
            return True
        urb = (sequence, length if into else -1, setup, data)
        if endpoint:
            return self._reply(urb, (STALL, 0))  # there is none but 0
        if setup[0] & _TYPE_MASK != _VENDOR:
            return self._reply(urb, self._standard(setup))
        if self._running is not None:  # only the leader lets the adapter begin, so nobody does after this look
            with self._lock:
                if self._running is not None:
                    self._waiting.append(urb)
                    return len(self._waiting) <= _WAITING_MAX
        self._runner = me
        self._running = sequence
        if self._watch.asleep:
            self._watch.stir()
        self._serve(urb)
        return True

    def _more(self, buffer: bytes, size: int) -> bytes:
        """`buffer` with what comes after it, of `size` bytes at least; nothing at the end."""
        if not buffer:
            return b""
        found = bytearray(buffer)
        while len(found) < size:
            block = self._client.recv(_CHUNK)
            if not block:
                return b""
            found += block
        return bytes(found)

    # -- requests ------------------------------------------------------------------------------------

    def _standard(self, setup: bytes) -> Outcome:
        request_type, request, value, index, _ = SETUP.unpack(setup)
        if request_type & _TYPE_MASK:
            return STALL, 0
        found = self._introduction.standard(request_type, request, value, index)
        if found is None:
            return STALL, 0
        return 0, found if request_type & IN else 0

    def _serve(self, urb: Urb) -> None:
        """Serve a request to the adapter, and those that came up meanwhile."""
        while True:
            _, _, setup, data = urb
            request_type, request, value, index, length = SETUP.unpack(setup)
            try:
                outcome = self._adapter.vendor(request_type, request, value, index, length, data)
            except Exception:
                _LOG.exception("request %d of %d bytes failed", request, length)
                outcome = (STALL, 0)
            with self._lock:
                self._served += 1
                if self._cancelled:
                    self._cancelled = False
                else:
                    self._send(urb, outcome)
                if not self._waiting:
                    self._running = self._runner = None
                    return
                urb = self._waiting.popleft()
                self._running = urb[0]

    def _reply(self, urb: Urb, outcome: Outcome) -> bool:
        with self._lock:
            self._send(urb, outcome)
        return True

    def _send(self, urb: Urb, outcome: Outcome) -> None:
        sequence, asked = urb[:2]
        status, found = outcome
        if isinstance(found, int):
            body, actual = b"", found
        else:
            body = found[: max(0, asked)]
            actual = len(body)
        head = RETURN_HEADER.pack(_RETURN, sequence, 0, 0, 0, status, actual, 0, NO_PACKETS, 0)
        try:  # noqa: SIM105  # each answer goes this way, and suppress() costs
            self._client.sendall(head + body)
        except OSError:
            pass  # the reader finds out

    def _unlink(self, sequence: int, victim: int) -> None:
        with self._lock:
            running = found = victim == self._running and not self._cancelled
            if running:
                self._cancelled = True
            else:
                waiting = [urb for urb in self._waiting if urb[0] != victim]
                found = len(waiting) < len(self._waiting)
                self._waiting = deque(waiting)
        if running:
            self._adapter.abandon()
        status = -errno.ECONNRESET if found else 0  # answered already
        with self._lock, contextlib.suppress(OSError):
            self._client.sendall(UNLINKED_HEADER.pack(Command.UNLINKED, sequence, 0, 0, 0, status))
