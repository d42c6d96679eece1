"""The way `grpc:[HOST:]PORT`: serves `emulator.SfpEmulatorService` by gRPC.

Owns the address with its options, the methods on the wire, and the streams of Monitor. The service has no passwords,
so it serves this machine only unless an address says otherwise, and then warns. Needs the extra `grpc`.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cmis_emu.bus.endpoint import exposure, read_endpoint
from cmis_emu.bus.options import Options, decimal
from cmis_emu.bus.sfp_service.service import INDEX_MAX, Place, ServiceError, SfpService
from cmis_emu.bus.slots import SlotInfo
from cmis_emu.bus.target import HALF
from cmis_emu.bus.ways import Served
from cmis_emu.errors import InputError, NotAvailableError

try:
    import grpc

    from cmis_emu.bus.sfp_service.messages import MESSAGES, METHODS, SERVICE
except ImportError as error:
    raise NotAvailableError(f"{error}: --serve grpc: needs pip install 'cmis-emu[grpc]'") from None

PORT = 50051
MONITORS_MAX = 64
WORKERS = 8
EVENTS_MAX = 10_000
"""Events that wait for one monitor; one that falls behind by more is dropped."""

_CLOSE_S = 5
_FIELD = "--serve grpc"
_OPTIONS = {"first": "0", "writes": "any", "profile": "NAME"}
_WRITE_MAX = 2 * HALF
_STATE = "DPStateHostLaneEnum."
"""What clients of this service know the states of data paths by: this, and the CMIS name in capitals."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options behind the address say."""

    first: int | None = None
    overwrite: bool = False
    profile: str | None = None


class _Monitor:
    """One stream of events. `put` never blocks."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.lost = False
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, event: Any) -> None:
        """One more; or the end of the stream when the client is too slow."""
        if self.lost or (self.index and event.index != self.index):
            return
        if self._events.qsize() >= EVENTS_MAX:
            self.lost = True
            self.end()
        else:
            self._events.put(event)

    def end(self) -> None:
        """No more events."""
        self._events.put(None)

    def events(self) -> Iterator[Any]:
        """Until the end."""
        while (event := self._events.get()) is not None:
            yield event


class GrpcServer:
    """Serves until `close`. Port 0 is any free one; `address` says which."""

    def __init__(self, host: str, port: int, served: Served, settings: Settings) -> None:
        if served.slots is None:
            raise NotAvailableError("grpc: found no cages to serve, expected those of an emulator")
        self._slots = served.slots
        self._lock = served.lock
        with self._lock:
            self._service = SfpService(
                served.slots, first=settings.first, overwrite=settings.overwrite, profile=settings.profile
            )
        self._overwrite = settings.overwrite
        self._monitors: set[_Monitor] = set()
        self._guard = threading.Lock()
        self._closed = False
        self._workers = ThreadPoolExecutor(WORKERS + MONITORS_MAX, thread_name_prefix="cmis-emu-grpc")
        self._server = grpc.server(self._workers, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers()),))
        try:
            self.address: tuple[str, int] = self._bind(host, port)
        except NotAvailableError:
            self._workers.shutdown()
            raise
        self._server.start()

    def close(self) -> None:
        """End every stream, serve nobody any more. Harmless when called again."""
        with self._guard:
            self._closed = True
            monitors = tuple(self._monitors)
        for monitor in monitors:
            monitor.end()
        self._server.stop(grace=0).wait(_CLOSE_S)
        self._workers.shutdown()

    def describe(self) -> list[str]:
        """How to get in, the numbers of cages, and what to mind."""
        host, port = self.address
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        cages = ", ".join(f"{index} {name}" for index, name in self._service.cages().items())
        lines = [f"{SERVICE} by gRPC: {shown}, cages by index: {cages}"]
        if self._overwrite:
            lines.append("writes=any: its writes also change what a host cannot write")
        return lines + exposure("this service", host, port)

    def _bind(self, host: str, port: int) -> tuple[str, int]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4]
            numeric = str(found[0])
            bound = self._server.add_insecure_port(f"[{numeric}]:{port}" if ":" in numeric else f"{numeric}:{port}")
        except (OSError, UnicodeError, RuntimeError) as error:
            raise NotAvailableError(f"grpc:{host}:{port}: {error}") from None
        if not bound:
            raise NotAvailableError(f"grpc:{host}:{port}: cannot listen there")
        return numeric, int(bound)

    # -- methods -------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Any]:
        answers: dict[str, Callable[[Any], Any]] = {
            "Create": lambda ask: self._service.create(ask.index, ask.type),
            "Delete": lambda ask: self._service.delete(ask.index),
            "Read": self._read,
            "Write": self._write,
            "GetInfo": lambda ask: _info(ask.index, self._service.info(ask.index)),
            "UpdateInfo": lambda ask: self._service.update(ask.index, present=ask.present),
            "List": self._list,
        }
        handlers = {}
        for name in METHODS:
            codec = {
                "request_deserializer": MESSAGES[f"{name}Request"].FromString,
                "response_serializer": MESSAGES[f"{name}Response"].SerializeToString,
            }
            if name == "Monitor":
                handlers[name] = grpc.unary_stream_rpc_method_handler(self._monitor, **codec)
            else:
                method = self._method(answers[name], MESSAGES[f"{name}Response"])
                handlers[name] = grpc.unary_unary_rpc_method_handler(method, **codec)
        return handlers

    def _method(self, answer: Callable[[Any], Any], response: Any) -> Callable[[Any, Any], Any]:
        def method(request: Any, context: Any) -> Any:
            try:
                with self._lock:
                    self._slots.clock.sync()
                    found = answer(request)
            except ServiceError as error:
                context.abort(getattr(grpc.StatusCode, error.code), str(error))
            return response() if found is None else found

        return method

    def _read(self, ask: Any) -> Any:
        place = Place(ask.index, ask.bank, ask.page, ask.offset)
        data = self._service.read(place, ask.length, force=ask.force)
        self._tell(ask, data, ask.length, write=False)
        return MESSAGES["ReadResponse"](data=data)

    def _write(self, ask: Any) -> None:
        length = ask.length or len(ask.data)
        if len(ask.data) > length:
            raise ServiceError("INVALID_ARGUMENT", f"found {len(ask.data)} bytes of data, expected {length} as length")
        if length > _WRITE_MAX:
            raise ServiceError("OUT_OF_RANGE", f"found a length of {length}, expected up to {_WRITE_MAX}")
        self._service.write(Place(ask.index, ask.bank, ask.page, ask.offset), ask.data.ljust(length, b"\0"))
        self._tell(ask, ask.data, ask.length, write=True)

    def _list(self, _: Any) -> Any:
        infos = [
            MESSAGES["GetInfoResponse"](index=index, present=self._service.info(index).present)
            for index in self._service.cages()
        ]
        return MESSAGES["ListResponse"](infos=infos)

    # -- streams -------------------------------------------------------------------------------------

    def _tell(self, ask: Any, data: bytes, length: int, *, write: bool) -> None:
        with self._guard:
            monitors = tuple(self._monitors)
        if not monitors:
            return
        event = MESSAGES["MonitorResponse"](
            index=ask.index,
            bank=ask.bank,
            page=ask.page,
            offset=ask.offset,
            data=data,
            length=length,
            present=self._service.info(ask.index).present,
            write=write,
        )
        for monitor in monitors:
            monitor.put(event)

    def _monitor(self, ask: Any, context: Any) -> Iterator[Any]:
        monitor = _Monitor(ask.index)
        with self._guard:
            full = len(self._monitors) >= MONITORS_MAX
            if not full and not self._closed:
                self._monitors.add(monitor)
        if full:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"found {MONITORS_MAX} monitors, expected no more")
        if self._closed or not context.add_callback(monitor.end):  # the client went away meanwhile
            monitor.end()
        try:
            yield from monitor.events()
        finally:
            with self._guard:
                self._monitors.discard(monitor)
        if monitor.lost:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the client is {EVENTS_MAX} events behind")


def _info(index: int, info: SlotInfo) -> Any:
    found = MESSAGES["GetInfoResponse"](index=index, present=info.present)
    if info.present:
        found.msm.state = info.state
        found.msm.vendor_name = info.vendor
        for path in info.paths:
            found.dpsms.add(
                bank=path.bank,
                dpid=path.data_path_id,
                appsel=path.app_sel,
                state=_STATE + path.state.upper(),
            )
    return found


def serve(address: str, served: Served) -> GrpcServer:
    """The way `grpc:[HOST:]PORT[?first=N&writes=any&profile=NAME]`."""
    place, question, text = address.partition("?")
    if question and not text:
        raise InputError(repr(address), f"options behind the question mark: {', '.join(_OPTIONS)}", field=_FIELD)
    return GrpcServer(*read_endpoint("grpc", place, PORT), served, _settings(Options.read(text, _OPTIONS, _FIELD)))


def _settings(options: Options) -> Settings:
    asked = options.values.get("first")
    first = None if asked is None else decimal(asked, INDEX_MAX)
    if asked is not None and first is None:
        raise InputError(f"first={asked}", f"first from 0 to {INDEX_MAX}", field=_FIELD)
    overwrite = options.choice("writes", "rules", "any") == "any"
    return Settings(first, overwrite, options.values.get("profile"))
