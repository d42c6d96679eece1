"""Requests to a running emulator: what `cmis-emu show`, `get`, `set`, `pin`, `insert` and `remove` ask.

Owns both ends: `ControlServer` answers JSON requests for one emulator, `ControlClient` asks them over the
emulator's socket. It also owns where the sockets of running emulators live.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmis_emu.bus.connection import Connection
from cmis_emu.bus.mux import adapters
from cmis_emu.bus.preload import wire
from cmis_emu.clock import ScaledClock
from cmis_emu.emulator import Emulator
from cmis_emu.errors import AttachError, CmisEmuError, InputError, UnknownFieldError
from cmis_emu.link_budget import link_budget
from cmis_emu.optoe_files import OptoeFiles
from cmis_emu.port import Port
from cmis_emu.registers.view import decode_page
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.result import ScenarioResult
from cmis_emu.scenarios.run import Run

# -- where emulators are found ---------------------------------------------------------------------


def runtime_folder() -> Path:
    """Folder of the sockets of this user's running emulators."""
    base = os.environ.get("CMIS_EMU_RUNTIME_DIR")
    if base:
        return Path(base)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "cmis-emu" if runtime else Path(tempfile.gettempdir()) / f"cmis-emu-{os.getuid()}"


def socket_of(name: str) -> Path:
    """Socket of the emulator called `name`."""
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise InputError(repr(name), "letters, digits, '-', '_' and '.'", field="--name")
    return runtime_folder() / f"{name}.sock"


def running() -> list[str]:
    """Names of the emulators that answer."""
    found = []
    for path in sorted(runtime_folder().glob("*.sock")) if runtime_folder().is_dir() else []:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                continue
            found.append(path.stem)
    return found


def choose(name: str | None) -> Path:
    """Socket of the named emulator, or of the only one that runs. Raises AttachError."""
    if name is not None:
        return Path(name) if "/" in name else socket_of(name)
    names = running()
    if len(names) == 1:
        return socket_of(names[0])
    if not names:
        raise AttachError("found no running emulator, expected one (start it with 'cmis-emu run')")
    raise AttachError(f"found {len(names)} running emulators ({', '.join(names)}), expected --attach NAME")


# -- the emulator's end ----------------------------------------------------------------------------


_Operation = Callable[[dict[str, Any]], Any]


class ControlServer:
    """Answers control requests; every failure becomes an error reply."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._operations: dict[str, _Operation] = {
            "status": self._status,
            "buses": self._buses,
            "adapters": self._adapters,
            "page": self._page,
            "link": self._link,
            "get": self._get,
            "set": self._set,
            "pin": self._pin,
            "insert": self._insert,
            "remove": self._remove,
            "scenario": self._scenario,
            "scenario_result": self._scenario_result,
            **OptoeFiles(emulator).operations,
        }
        self._runs: list[Future[ScenarioResult]] = []
        self._players = ThreadPoolExecutor(thread_name_prefix="cmis-emu-scenario")

    def __call__(self, payload: bytes) -> bytes:
        try:
            request = json.loads(payload)
            if not isinstance(request, dict) or request.get("op") not in self._operations:
                raise InputError(repr(payload[:60]), f"an operation: {', '.join(self._operations)}")
            with self._emulator.lock:
                self._emulator.clock.sync()
                reply = {"ok": self._operations[request["op"]](request)}
        except (InputError, UnknownFieldError, ValueError, KeyError, TypeError) as error:
            reply = {"input error": str(error) or type(error).__name__}
        except CmisEmuError as error:
            reply = {"error": str(error)}
        return json.dumps(reply, default=_plain).encode()

    def ask(self, operation: str, **arguments: Any) -> Any:
        """A request of this process, as `ControlClient.ask`."""
        return _value(self(json.dumps({"op": operation, **arguments}).encode()))

    def _scenario(self, request: dict[str, Any]) -> int:
        """Start a scenario beside whoever uses the emulator; its number is for `scenario_result`."""
        scenario = read_scenario(str(request["source"]))
        run = Run(scenario, self._emulator, seed=request.get("seed"))
        self._runs.append(self._players.submit(run.play))
        return len(self._runs) - 1

    def _scenario_result(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """What came of a scenario; None while it plays."""
        run = self._runs[int(request["number"])]
        return asdict(run.result()) if run.done() else None

    def _port(self, request: dict[str, Any]) -> Port:
        return self._emulator.port(str(request["port"]))

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        return status(self._emulator)

    def _buses(self, _: dict[str, Any]) -> list[int]:
        return sorted(self._emulator.buses)

    def _adapters(self, _: dict[str, Any]) -> list[int]:
        """The buses that are no channel of a mux."""
        return sorted(adapters(self._emulator.buses))

    def _page(self, request: dict[str, Any]) -> dict[str, Any]:
        module = self._port(request).module
        number, bank = int(request["page"]), int(request.get("bank", 0))
        first = module.memory.page(number, bank).first
        data = module.peek(number, first, 128, bank=bank)
        regmap = module.profile.regmap
        compiled = {f.name for f in module.profile.compiled.pages[number].fields}
        rows = [
            {"name": d.name, "lane": d.lane, "value": d.value, "text": d.text}
            for d in decode_page(regmap.pages[number], data, regmap.enums, module.view.multiplier)
            if d.name in compiled
        ]
        return {"data": data.hex(), "fields": rows, "title": regmap.pages[number].title}

    def _link(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The cable of that name, or the one in the port of that name; None when neither is there."""
        name, fibres = str(request["name"]), self._emulator.fibres
        found = fibres.get(name) or next((fibre for fibre in fibres.values() if name in fibre.ports), None)
        return None if found is None else link_budget(found, self._emulator.clock.now_ns)

    def _get(self, request: dict[str, Any]) -> Any:
        module = self._port(request).module
        value = module.get(str(request["field"]), bank=int(request.get("bank", 0)))
        return {"value": value, "text": module.describe(str(request["field"]), value)}

    def _set(self, request: dict[str, Any]) -> None:
        self._port(request).module.set(str(request["field"]), request["value"], bank=int(request.get("bank", 0)))

    def _pin(self, request: dict[str, Any]) -> dict[str, bool]:
        pins = self._port(request).pins
        if "name" in request:
            pins.set(str(request["name"]), bool(request["level"]))
        return pins.levels()

    def _insert(self, request: dict[str, Any]) -> None:
        self._port(request).insert(str(request["profile"]))

    def _remove(self, request: dict[str, Any]) -> None:
        port = self._port(request)
        _ = port.module  # an empty cage is an error
        port.remove()


def status(emulator: Emulator) -> dict[str, Any]:
    """One snapshot of everything a status view shows. Reads registers by the back door only."""
    ports = []
    for name, port in emulator.ports.items():
        bus = emulator.bus_of(name).number
        row: dict[str, Any] = {"port": name, "bus": bus, "pins": port.pins.levels(), "profile": None}
        module = port.occupant
        if module is not None:
            row |= {"profile": module.profile.name, "state": module.msm.state.value, **module.readings()}
        ports.append(row)
    speed = emulator.clock.speed if isinstance(emulator.clock, ScaledClock) else 1.0
    return {"time_s": emulator.clock.now, "speed": speed, "seed": emulator.seed, "ports": ports}


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return value.hex(" ")
    raise TypeError(f"found {type(value).__name__}, expected plain data")


class RefusedError(CmisEmuError):
    """The emulator found the request wrong: a port, field, page or value that is not there."""


def _value(reply: bytes) -> Any:
    """What a reply says. Raises RefusedError, CmisEmuError."""
    found = json.loads(reply)
    if "input error" in found:
        raise RefusedError(found["input error"])
    if "error" in found:
        raise CmisEmuError(found["error"])
    return found["ok"]


# -- the command's end -----------------------------------------------------------------------------


class ControlClient:
    """Asks a running emulator. Raises AttachError when it does not answer, CmisEmuError for its refusals."""

    def __init__(self, path: Path) -> None:
        self._connection = Connection(path)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def ask(self, operation: str, **arguments: Any) -> Any:
        """One request; the reply's value."""
        payload = json.dumps({"op": operation, **arguments}).encode()
        status_code, reply = self._connection.ask(wire.Op.CONTROL, payload)
        if status_code < 0:
            raise AttachError(f"{self._connection.path}: the emulator refused ({os.strerror(-status_code)})")
        return _value(reply)
