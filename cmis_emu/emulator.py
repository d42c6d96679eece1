"""The composition root: a testbed, a clock, buses, ports, fibres, one lock.

`Emulator.load` builds everything; the rest of the package never looks up from its own layer. Every way in
(a bus, a socket, this class) takes the one re-entrant lock, so the core stays synchronous.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cmis_emu.board import Board
from cmis_emu.board_plan import Place
from cmis_emu.bus.expander import Expander
from cmis_emu.bus.mux import Mux
from cmis_emu.bus.options import BUS_MAX, decimal
from cmis_emu.bus.server import SocketServer
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.target import Target
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.bus.ways import ControlHandler, Served, Way, open_way
from cmis_emu.cages import PortCage
from cmis_emu.clock import Clock, Event, ManualClock, ScaledClock
from cmis_emu.errors import CmisEmuError, InputError
from cmis_emu.links import Fibre
from cmis_emu.nvm import NvmFolder
from cmis_emu.physics.parameters import Environment
from cmis_emu.port import Port
from cmis_emu.scenarios.model import Scenario
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.result import ScenarioResult
from cmis_emu.scenarios.run import Run
from cmis_emu.slots import PortSlots
from cmis_emu.testbed import FibrePlan, PortPlan, Testbed, read_testbed

MAX_SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen state of an emulator, for `Emulator.restore` of that emulator, as often as wanted."""

    emulator: Emulator = field(repr=False)
    state: dict[str, Any] = field(repr=False)


class Emulator:
    """Modules, buses and fibres of one testbed.

    ports: `Port` by name. fibres: `Fibre` by name. buses: `VirtualBus` by number, channels of muxes included. muxes:
    `Mux` by name. expanders: `Expander` by name. lock: hold it when you use modules from a thread of your own. Use as a
    context manager, or call `close`.
    """

    def __init__(self, testbed: Testbed, clock: Clock, seed: int | None = None, nvm: Path | None = None) -> None:
        self.testbed = testbed
        self.clock = clock
        self.lock = threading.RLock()
        clock.share(self.lock)
        self.seed = testbed.seed if seed is None else seed
        self.environment = Environment(ambient_c=testbed.ambient_c, airflow=testbed.airflow)
        targets = {plan.name: Target(clock=clock) for plan in testbed.ports}
        self._board = Board(testbed, targets, self.lock)
        self.buses: dict[int, VirtualBus] = self._board.buses
        self.muxes: dict[str, Mux] = self._board.muxes
        self.expanders: dict[str, Expander] = self._board.expanders
        self.ports: dict[str, Port] = {}
        self.fibres: dict[str, Fibre] = {}
        self._servers: list[Way] = []
        self._closed = False
        self._nvm = None if nvm is None else NvmFolder(nvm)
        for plan in testbed.ports:
            self._build(plan, targets[plan.name])
        for fibre in testbed.fibres:
            self.fibres[fibre.name] = Fibre(fibre, clock, self.lock)
        for plan in testbed.ports:
            if plan.profile:
                self.ports[plan.name].insert(plan.profile)
                for name, value in plan.registers.items():
                    self.ports[plan.name].module.set(name, value)
        self._board.connect(self.ports)
        if isinstance(clock, ScaledClock):
            clock.start(self.lock)

    def _build(self, plan: PortPlan, target: Target) -> Port:
        self.ports[plan.name] = Port(
            plan.name,
            target,
            self.clock,
            self.lock,
            seed=self.seed * 1_000_003 + len(self.ports),
            environment=self.environment,
            levels=self._board.levels(plan),
            rewire=self._rewire,
            nvm=self._nvm,
        )
        return self.ports[plan.name]

    def add_port(self, name: str) -> Port:
        """A new, empty cage on a bus of its own, which a nominal fibre joins to itself. Raises InputError.

        The bus has the number that the name says, where that is one and free, else the next one. Adapters that
        others already have of this emulator stay as many as they are.
        """
        with self.lock:
            if name in self.ports:
                raise InputError(repr(name), "a name that no port has", field="port")
            number = decimal(name, BUS_MAX)
            if number is None or number in self.buses:
                number = max(self.buses, default=0) + 1
            target = Target(clock=self.clock)
            self._board.add(name, number, target)
            port = self._build(PortPlan(name, "", Place(number), {}, {}), target)
            plan = FibrePlan(f"loop of {name}", name, (name,))
            self.fibres[plan.name] = Fibre(plan, self.clock, self.lock)
            return port

    @classmethod
    def load(
        cls,
        source: str | Path | Mapping[str, Any] | Testbed,
        clock: Clock | None = None,
        seed: int | None = None,
        nvm: str | Path | None = None,
    ) -> Self:
        """An emulator from a profile name, a testbed file or a dict of the same shape.

        Without a clock it runs in real time. `nvm` is a folder in which modules keep their non-volatile memory
        (user page 03h, host password) from one emulator to the next; without it they start as from the factory.
        Raises InputError with file:line, field, found, expected.
        """
        testbed = source if isinstance(source, Testbed) else read_testbed(source)
        return cls(testbed, clock or ScaledClock(), seed, None if nvm is None else Path(nvm))

    # -- hosts ---------------------------------------------------------------------------------------

    def smbus(self, number: int) -> VirtualSMBus:
        """Bus `number` with the methods of `smbus2.SMBus`. Raises InputError for a bus that is not there."""
        if number not in self.buses:
            known = ", ".join(str(n) for n in sorted(self.buses))
            raise InputError(f"bus {number}", f"one of the buses {known}", field="bus")
        return VirtualSMBus(self.buses[number], self.lock)

    def smbus_of(self, port: str) -> VirtualSMBus:
        """The bus of a port, as `smbus`: the channel, behind a mux. Raises InputError for a port that is not there."""
        return VirtualSMBus(self.bus_of(port), self.lock)

    def bus_of(self, port: str) -> VirtualBus:
        """The bus on which a port answers. Raises InputError for a port that is not there."""
        return self._board.bus_of[self.port(port).name]

    def port(self, name: str) -> Port:
        """A port by name. Raises InputError for one that is not there."""
        if name not in self.ports:
            raise InputError(repr(name), f"one of {', '.join(self.ports)}", field="port")
        return self.ports[name]

    def serve(self, path: Path, control: ControlHandler | None = None) -> SocketServer:
        """Serve all buses on a Unix socket until `close`. Raises NotAvailableError if it cannot listen."""
        server = SocketServer(path, self._served(control))
        self._servers.append(server)
        return server

    def open_way(self, text: str, control: ControlHandler | None = None) -> Way:
        """Open a way onto all buses, such as "usbip:127.0.0.1:3240", until `close`.

        Raises InputError for what is no KIND:ADDRESS, NotAvailableError for an address that cannot be had.
        """
        way = open_way(text, self._served(control))
        self._servers.append(way)
        return way

    def _served(self, control: ControlHandler | None) -> Served:
        with self.lock:
            slots = PortSlots(self.ports, self.clock, self.bus_of, self.add_port)
        names = {self.bus_of(port).number: f"CMIS-EMU port {port}" for port in self.ports}
        interfaces = {plan.interface: self.bus_of(plan.name) for plan in self.testbed.ports if plan.interface}
        return Served(self.buses, self.lock, control, slots, names, interfaces, self.cages())

    def cages(self) -> dict[int, PortCage]:
        """The ports by the numbers of their buses, for ways that keep a copy of a module."""
        return {self.bus_of(name).number: PortCage(port, self.clock) for name, port in self.ports.items()}

    # -- fibres --------------------------------------------------------------------------------------

    def _rewire(self, port: str) -> None:
        """A module came or went: connect the fibres of its port to what is in the cages now."""
        for fibre in self.fibres.values():
            if port == fibre.source or port in fibre.destinations:
                far = [None if end is None else self.ports[end].occupant for end in fibre.destinations]
                fibre.connect(self.ports[fibre.source].occupant, far)

    # -- time ----------------------------------------------------------------------------------------

    def settle(self, limit_s: float = MAX_SETTLE_S) -> float:
        """Let simulated time pass until no state machine is under way; returns the seconds that took.

        Raises CmisEmuError when that needs more than `limit_s`.
        """
        clock = self.clock
        if not isinstance(clock, (ManualClock, ScaledClock)):
            raise CmisEmuError(f"found a {type(clock).__name__}, expected a clock that can be advanced")
        with self.lock:
            start = clock.now
            while any(p.occupant is not None and p.occupant.busy() for p in self.ports.values()):
                if clock.now - start > limit_s:
                    raise CmisEmuError(f"found modules still busy after {limit_s:g} s, expected them to come to rest")
                clock.advance(0.05)
            return clock.now - start

    def pass_time(self, duration_ns: int) -> None:
        """Let simulated time pass: at once on a manual clock, by waiting on one that runs."""
        with self.lock:
            self.clock.wait(duration_ns)

    # -- scenarios -----------------------------------------------------------------------------------

    def run_scenario(
        self, source: str | Path | Mapping[str, Any] | Scenario, *, seed: int | None = None, hosts: bool = True
    ) -> ScenarioResult:
        """Play a scenario from its beginning to its end on the modules that are here, as they are now.

        source: a name of the library, a file, or a dict of the same shape. hosts: False when a host of your own
        does what the scenario's would do. Raises InputError for a mistake in it, or for names that are not here.
        """
        return Run(_scenario(source), self, seed=seed, hosts=hosts).play()

    @contextmanager
    def playing(
        self, source: str | Path | Mapping[str, Any] | Scenario, *, seed: int | None = None, hosts: bool = False
    ) -> Iterator[Run]:
        """Play a scenario beside what you do in the block; `to_the_end()` lets its rest happen and gives the result."""
        run = Run(_scenario(source), self, seed=seed, hosts=hosts)
        run.ride()
        try:
            yield run
        finally:
            run.end()

    # -- snapshots -----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The whole state at this instant: registers, states, timers, physics. Needs a ManualClock."""
        if not isinstance(self.clock, ManualClock):
            raise CmisEmuError(f"found a {type(self.clock).__name__}, expected a ManualClock for a snapshot")
        with self.lock:
            state = self._state()
            return Snapshot(self, copy.deepcopy(state, self._fixed(state)))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this emulator; ports, pins, fibres, buses and handles on them stay valid.

        A module does not: take it from its port again. Raises CmisEmuError for another emulator's snapshot,
        or when this one was closed.
        """
        if snapshot.emulator is not self:
            raise CmisEmuError("found a snapshot of another emulator, expected one of this emulator")
        if self._closed:
            raise CmisEmuError("found a closed emulator, expected one that runs")
        with self.lock:
            state = copy.deepcopy(snapshot.state, self._fixed(snapshot.state))
            self.clock.restore(state["time"], state["heap"])
            for name, fibre in self.fibres.items():
                if name in state["fibres"]:
                    fibre.restore_state(state["fibres"][name])
            for name, port in self.ports.items():
                if name in state["ports"]:
                    port.restore(state["ports"][name])
                else:  # a cage that was added since
                    port.remove()
            self._board.restore(state["board"])

    def _state(self) -> dict[str, Any]:
        heap: list[tuple[int, int, Event]] = self.clock.pending()
        return {
            "time": self.clock.now_ns,
            "heap": heap,
            "ports": {name: port.state() for name, port in self.ports.items()},
            "fibres": {name: fibre.state() for name, fibre in self.fibres.items()},
            "board": self._board.state(),
        }

    def _fixed(self, state: dict[str, Any]) -> dict[int, Any]:
        """What a snapshot of `state` refers to and does not copy."""
        fixed: list[Any] = [self, self.clock, self.lock, self.environment]
        fixed += [*self.buses.values(), *self.ports.values(), *self.fibres.values()]
        fixed += [p.target for p in self.ports.values()]
        fixed += [p.pins for p in self.ports.values()]
        for profile in (p["module"].profile for p in state["ports"].values() if p["module"] is not None):
            fixed += [profile.plant, profile.image]
        return {id(each): each for each in fixed}

    # -- end -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop servers, timers and threads. Harmless when called again."""
        if self._closed:
            return
        self._closed = True
        for server in self._servers:
            server.close()
        self.clock.close()
        with self.lock:
            for port in self.ports.values():
                port.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _scenario(source: str | Path | Mapping[str, Any] | Scenario) -> Scenario:
    return source if isinstance(source, Scenario) else read_scenario(source)
