"""Fibres between ports: a cable of a testbed with its strands, and what can be done to it while it runs.

Which lane shines into which is decided in `physics/cabling.py`; what a strand does to light in
`physics/fibre.py`. A cable with both ends at one port is a loop-back.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from cmis_emu.clock import Clock
from cmis_emu.errors import InputError
from cmis_emu.module.module import Module
from cmis_emu.physics.cabling import EMPTY, Optics, Strands, breakout, joints, loop, trunk
from cmis_emu.physics.fibre import Strand
from cmis_emu.physics.glass import GLASS, JOINTS, Path
from cmis_emu.physics.light import LinkedLight
from cmis_emu.testbed import FibrePlan

MULTI_MODE_BELOW_NM = 1000.0


class Way(NamedTuple):
    """One strand of a cable and the lanes (1-based) that it joins. `leg`: 1-based destination of the cable."""

    transmitter: str
    tx_lane: int
    receiver: str
    rx_lane: int
    leg: int
    strand: Strand


class Fibre:
    """One cable of a testbed. What is done to it without a `leg` is done to every strand, both ways.

    name, source: as in the testbed. destinations: ports at the far end, None for a leg that hangs free. ways: its
    strands. dark: why a leg (1-based) carries no light, as text; empty when all is well.
    """

    def __init__(self, plan: FibrePlan, clock: Clock, lock: threading.RLock) -> None:
        self.name = plan.name
        self.source = plan.source
        self.destinations = plan.destinations
        self.dark: dict[int, str] = {}
        self.ways: list[Way] = []
        self._plan = plan
        self._clock = clock
        self._lock = lock
        legs = range(1, len(plan.destinations) + 1)
        self._fixed_db: dict[int, float | None] = dict.fromkeys(legs, plan.loss_db)
        self._extra: dict[int, tuple[float, tuple[float, ...]]] = dict.fromkeys(legs, (0.0, ()))
        self._cut: set[int] = set()
        self._modules: dict[str, Module | None] = {}

    @property
    def destination(self) -> str | None:
        """The port at the far end of the first leg."""
        return self.destinations[0]

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of the ports that it joins."""
        return tuple(dict.fromkeys([self.source, *(end for end in self.destinations if end is not None)]))

    def module(self, port: str) -> Module | None:
        """What sits at one of its ends."""
        return self._modules.get(port)

    def wavelength_nm(self, way: Way) -> float:
        """Centre wavelength of the light of one of its strands."""
        sender = self._modules[way.transmitter]
        assert sender is not None
        return sender.plant.parameters.wavelength_nm(way.tx_lane)

    @property
    def loss_db(self) -> float:
        """Loss from end to end in dB: of the first strand, when they differ; 0 for a cable that carries no light."""
        for way in self.ways:
            return way.strand.loss_db(self.wavelength_nm(way))
        return self._fixed_db[1] or 0.0

    @loss_db.setter
    def loss_db(self, loss_db: float) -> None:
        self.set_loss(loss_db)

    def set_loss(self, loss_db: float | None, leg: int | None = None) -> None:
        """Loss of the whole path in dB, connectors included; None: what its parts add up to."""
        if loss_db is not None and loss_db < 0:
            raise InputError(f"{loss_db} dB", "a loss of 0 dB or more", field="loss_db")
        with self._lock:
            self._clock.sync()
            for each in self._legs(leg):
                self._fixed_db[each] = loss_db
            for way in self._ways(leg):
                way.strand.fixed_db = loss_db

    def disturb(self, extra_db: float, reflectances_db: tuple[float, ...] = (), leg: int | None = None) -> None:
        """Dirt or damage: so much more loss in dB, and places that reflect (dB, negative). 0 dB mends it.

        Two dirty connectors are `disturb(1.0, (-20.0, -20.0))` (fault table).
        """
        with self._lock:
            self._clock.sync()
            for way in self._ways(leg):
                way.strand.disturb(extra_db, tuple(reflectances_db))
            for each in self._legs(leg):
                self._extra[each] = extra_db, tuple(reflectances_db)

    @property
    def is_cut(self) -> bool:
        """True while no leg is whole."""
        return len(self._cut) == len(self.destinations)

    def cut(self, leg: int | None = None) -> None:
        """No light passes any more, either way."""
        self._set_cut(True, leg)

    def restore(self, leg: int | None = None) -> None:
        """Mend a cut; the loss is what it was."""
        self._set_cut(False, leg)

    def _set_cut(self, cut: bool, leg: int | None) -> None:
        with self._lock:
            self._clock.sync()
            legs = self._legs(leg)
            self._cut = self._cut | set(legs) if cut else self._cut - set(legs)
            for way in self._ways(leg):
                way.strand.cut = cut

    def _legs(self, leg: int | None) -> list[int]:
        every = list(range(1, len(self.destinations) + 1))
        if leg is None:
            return every
        if leg not in every:
            raise InputError(f"leg {leg}", f"a leg from 1 to {len(every)}", field=f"fibre {self.name}")
        return [leg]

    def _ways(self, leg: int | None) -> list[Way]:
        legs = self._legs(leg)
        return [way for way in self.ways if way.leg in legs]

    # -- snapshots -----------------------------------------------------------------------------------

    def state(self) -> tuple[object, ...]:
        """What a snapshot keeps."""
        return dict(self._fixed_db), dict(self._extra), set(self._cut), self.ways, dict(self.dark), self._modules

    def restore_state(self, state: tuple[object, ...]) -> None:
        """Go back to a kept state."""
        self._fixed_db, self._extra, self._cut, self.ways, self.dark, self._modules = state  # type: ignore[assignment]

    # -- wiring --------------------------------------------------------------------------------------

    def connect(self, near: Module | None, fars: list[Module | None]) -> None:
        """Join the modules that sit at the ends now; an empty end leaves the others dark.

        A strand between two modules that have not changed goes on as it is, so that those who stay notice nothing.
        """
        known = {way[:5]: way for way in self.ways if self._stays(way.transmitter, near, fars)}
        known = {key: way for key, way in known.items() if self._stays(way.receiver, near, fars)}
        self._modules = {self.source: near} | {p: m for p, m in zip(self.destinations, fars, strict=True) if p}
        self.dark = {}
        self.ways = []
        lit: set[tuple[str, int]] = set()
        for leg, (port, far, strands) in enumerate(
            zip(self.destinations, fars, self._strands(near, fars), strict=True), 1
        ):
            if strands.reason is not None:
                self.dark[leg] = strands.reason
            if near is None or far is None or port is None:
                continue
            pairs = [(self.source, here, port, there) for here, there in strands.there]
            pairs += [(port, there, self.source, here) for here, there in strands.back]
            for ends in pairs:
                lit.add(ends[2:])
                self.ways.append(known.get((*ends, leg)) or self._join(*ends, leg))
        for port, module in self._modules.items():
            for lane in range(1, module.plant.parameters.media_lanes + 1 if module is not None else 1):
                if module is not None and (port, lane) not in lit:
                    module.plant.set_light_source(lane, None)

    def _stays(self, port: str, near: Module | None, fars: list[Module | None]) -> bool:
        """Is the module at an end the one that was there before?"""
        now = {self.source: near} | {p: m for p, m in zip(self.destinations, fars, strict=True) if p}
        return port in self._modules and now[port] is self._modules[port]

    def _strands(self, near: Module | None, fars: list[Module | None]) -> tuple[Strands, ...]:
        if near is None:
            return (Strands(reason=EMPTY),) * len(fars)
        optics = [None if far is None else _optics(far) for far in fars]
        if len(fars) > 1:
            return breakout(_optics(near), optics, self._plan.cable)
        if optics[0] is None:
            return (Strands(reason=EMPTY),)
        if fars[0] is near:
            return (loop(_optics(near), self._plan.cable),)
        return (trunk(_optics(near), optics[0], self._plan.cable),)

    def _strand(self, sender: Module, receiver: Module, leg: int) -> Strand:
        plan = self._plan
        glass = plan.glass
        if glass is None:
            multi_mode = sender.plant.parameters.wavelength_nm(1) < MULTI_MODE_BELOW_NM
            glass = "om4" if multi_mode else "smf"
        if plan.joints is None:
            ends = joints(_optics(sender), _optics(receiver))
        else:
            ends = tuple(JOINTS[joint] for joint in plan.joints)
            if sender is not self._modules[self.source]:
                ends = ends[::-1]  # they are told from the source on
        path = Path(GLASS[glass], plan.length_m, ends, plan.bends, zero_nm=plan.zero_dispersion_nm)
        strand = Strand(self._fixed_db[leg], path)
        strand.disturb(*self._extra[leg])
        strand.cut = leg in self._cut
        return strand

    def _join(self, transmitter: str, tx_lane: int, receiver: str, rx_lane: int, leg: int) -> Way:
        sender, listener = self._modules[transmitter], self._modules[receiver]
        assert sender is not None
        assert listener is not None
        strand = self._strand(sender, listener, leg)
        listener.plant.set_light_source(rx_lane, LinkedLight(sender.plant.tx_source(tx_lane), strand))
        return Way(transmitter, tx_lane, receiver, rx_lane, leg, strand)


def _optics(module: Module) -> Optics:
    parameters = module.plant.parameters
    return Optics(parameters.pmd, parameters.media_lanes)
