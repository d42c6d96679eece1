"""One front end and its device, from connection to hang-up: features, memory, and the ring's start and stop.

Owns what is agreed on and which descriptors are held. Whatever does not follow the protocol, in a message or in the
guest's memory, ends the session with one line in the log.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import Final

from cmis_emu.bus.vhost_user import wire
from cmis_emu.bus.vhost_user.adapter import Adapter
from cmis_emu.bus.vhost_user.carrier import Carrier
from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.events import Call, Kick
from cmis_emu.bus.vhost_user.memory import Memory, mapped
from cmis_emu.bus.vhost_user.requests import BYTES_MAX
from cmis_emu.bus.vhost_user.ring import SIZE_MAX, Ring
from cmis_emu.bus.vhost_user.wire import Feature, Message, Request
from cmis_emu.bus.virtual import VirtualBus

_LOG = logging.getLogger(__name__)
_INDEX_MAX: Final = 0xFFFF


class Session:
    """Serves one connection with the adapter of a bus. `run` returns when it is over."""

    def __init__(self, client: socket.socket, bus: VirtualBus, lock: threading.RLock) -> None:
        self._client = client
        self._bus = bus
        self._lock = lock
        self._ended = threading.Lock()  # taken once, by whoever ends the session for a reason
        self._features = 0
        self._acknowledges = False
        self._memory: Memory | None = None
        self._size = 0
        self._position = 0
        self._addresses: tuple[int, int, int] | None = None
        self._enabled = False
        self._kick: Kick | None = None
        self._call: Call | None = None
        self._carrier: Carrier | None = None

    def run(self) -> None:
        """Serve the front end until it hangs up or breaks the protocol."""
        try:
            while (message := wire.receive(self._client)) is not None:
                try:
                    self._serve(message)
                finally:
                    wire.release(message.descriptors)
        except ProtocolError as error:
            self._end(str(error))
        finally:
            self._stop()
            if self._call is not None:
                self._call.close()

    def _end(self, reason: str) -> None:
        """Hang up, and say why, once."""
        if self._ended.acquire(blocking=False):
            _LOG.warning("vhost-user, bus %d: %s; the adapter is taken from this guest", self._bus.number, reason)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    # -- messages ------------------------------------------------------------------------------------

    def _serve(self, message: Message) -> None:
        reply = self._answer(message)
        if reply is None and self._acknowledges and message.flags & wire.MessageFlag.NEED_REPLY:
            reply = wire.U64.pack(0)
        if reply is not None:
            flags = wire.MessageFlag.VERSION | wire.MessageFlag.REPLY
            self._client.sendall(wire.HEADER.pack(message.request, flags, len(reply)) + reply)

    def _answer(self, message: Message) -> bytes | None:
        """Do what a message asks for; what it is answered with."""
        if message.request == Request.SET_MEM_TABLE:
            self._remember(mapped(message.payload, message.descriptors))
            return None
        values = self._values(message)
        match message.request:
            case Request.GET_FEATURES:
                return wire.U64.pack(wire.OFFERED)
            case Request.SET_FEATURES:
                self._features = _agreed("features", values[0], wire.OFFERED)
            case Request.GET_PROTOCOL_FEATURES:
                return wire.U64.pack(wire.PROTOCOL_OFFERED)
            case Request.SET_PROTOCOL_FEATURES:
                agreed = _agreed("protocol features", values[0], wire.PROTOCOL_OFFERED)
                self._acknowledges = bool(agreed & wire.PROTOCOL_REPLY_ACK)
            case Request.SET_VRING_CALL:
                self._tell_by(message)
            case Request.SET_VRING_ERR:
                self._descriptor(message)  # a guest's driver has no use for it; the log has the error
            case Request.SET_VRING_ENABLE:
                self._enable(bool(self._number(values)))
            case Request.GET_VRING_BASE:
                self._number(values)
                self._stop()
                return wire.STATE.pack(0, self._position)
            case Request.SET_VRING_NUM | Request.SET_VRING_BASE | Request.SET_VRING_ADDR | Request.SET_VRING_KICK:
                self._configure(message, values)
        return None

    def _values(self, message: Message) -> tuple[int, ...]:
        form = wire.PAYLOADS.get(message.request)
        if form is None:
            raise ProtocolError(f"found request {message.request}, expected one of those that were agreed on")
        name = Request(message.request).name
        if len(message.payload) != form.size:
            raise ProtocolError(f"{name}: found {len(message.payload)} bytes, expected {form.size}")
        takes = message.request in (Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR)
        if message.descriptors and not takes:
            raise ProtocolError(f"{name}: found {len(message.descriptors)} file descriptors, expected none")
        return form.unpack(message.payload) if form.size else ()

    def _number(self, values: tuple[int, ...]) -> int:
        index, number = values
        _check_index(index)
        return number

    def _configure(self, message: Message, values: tuple[int, ...]) -> None:
        if self._carrier is not None:
            raise ProtocolError(
                f"{Request(message.request).name}: found a ring that runs, expected one that is stopped"
            )
        match message.request:
            case Request.SET_VRING_NUM:
                size = self._number(values)
                if not 0 < size <= SIZE_MAX or size & (size - 1):
                    raise ProtocolError(f"ring: found a size of {size}, expected a power of two up to {SIZE_MAX}")
                self._size = size
            case Request.SET_VRING_BASE:
                position = self._number(values)
                if position > _INDEX_MAX:
                    raise ProtocolError(f"ring: found position {position}, expected at most {_INDEX_MAX}")
                self._position = position
            case Request.SET_VRING_ADDR:
                index, _, descriptors, used, available, _ = values
                _check_index(index)
                self._addresses = descriptors, used, available
            case _:
                descriptor = self._descriptor(message)
                if descriptor is None:
                    raise ProtocolError("kick: found none, expected one; this device does not look by itself")
                if self._kick is not None:
                    self._kick.close()
                    self._kick = None
                self._kick = Kick(descriptor)
                message.descriptors.clear()
                self._start()

    def _descriptor(self, message: Message) -> int | None:
        """The event descriptor of a message, which remains the message's."""
        (value,) = wire.U64.unpack(message.payload)
        _check_index(value & wire.RING_MASK)
        expected = 0 if value & wire.NO_DESCRIPTOR else 1
        if len(message.descriptors) != expected:
            name = Request(message.request).name
            raise ProtocolError(f"{name}: found {len(message.descriptors)} file descriptors, expected {expected}")
        return message.descriptors[0] if expected else None

    # -- the ring ------------------------------------------------------------------------------------

    def _remember(self, memory: Memory) -> None:
        self._memory = memory
        if self._carrier is not None:
            self._carrier.move(memory)

    def _tell_by(self, message: Message) -> None:
        descriptor = self._descriptor(message)
        call = None if descriptor is None else Call(descriptor)
        message.descriptors.clear()
        before, self._call = self._call, call
        if self._carrier is not None:
            self._carrier.tell_by(call)
        if before is not None:
            before.close()

    def _enable(self, enabled: bool) -> None:
        self._enabled = enabled
        if enabled:
            self._start()
        else:
            self._pause()

    def _start(self) -> None:
        """Start the ring if it has all that it needs."""
        if self._carrier is not None or self._kick is None:
            return
        if not self._enabled and self._features & Feature.PROTOCOL_FEATURES:
            return
        if self._memory is None or self._addresses is None or not self._size:
            raise ProtocolError("ring: found a start before its memory, size and addresses")
        if not self._features & Feature.VERSION_1:
            raise ProtocolError("ring: found a driver without VERSION_1, expected a modern one")
        ring = Ring(
            self._memory,
            self._size,
            self._addresses,
            self._position,
            BYTES_MAX,
            indirect=bool(self._features & Feature.INDIRECT_DESC),
            events=bool(self._features & Feature.EVENT_IDX),
        )
        self._carrier = Carrier(ring, Adapter(self._bus, self._lock), self._kick, self._call, self._end)

    def _pause(self) -> None:
        if self._carrier is not None:
            self._position = self._carrier.stop()
            self._carrier = None

    def _stop(self) -> None:
        self._pause()
        if self._kick is not None:
            self._kick.close()
            self._kick = None


def _agreed(what: str, found: int, offered: int) -> int:
    if found & ~offered:
        raise ProtocolError(f"{what}: found {found:#x}, expected nothing beyond the {offered:#x} that are offered")
    return found


def _check_index(index: int) -> None:
    if index:
        raise ProtocolError(f"found ring {index}, expected 0, the only one")
