"""Fibres between ports: a cable of a testbed with its strands, and what can be done to it while it runs.

Which lane shines into which is decided in `physics/cabling.py`; what a strand does to light in
`physics/fibre.py`. A cable with both ends at one port is a loop-back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from cmis_emu.clock import Clock
from cmis_emu.errors import InputError
from cmis_emu.module.module import Module
from cmis_emu.physics.cabling import EMPTY, Cable, Optics, Strands, breakout, joints, loop, trunk
from cmis_emu.physics.fibre import Strand, check_disturbance
from cmis_emu.physics.glass import GLASS, JOINTS, Path
from cmis_emu.physics.handling import Handled, Handling, together
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


@dataclass(eq=False, slots=True)
class Swap:
    """Wrong wiring: a cable of another kind, or two legs (1-based) that lead to each other's ports."""

    cable: Cable | None = None
    legs: tuple[int, ...] = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back


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
        self._handlings: list[Handling] = []
        self._swaps: list[Swap] = []
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
        """Centre wavelength of the light of one of its strands, or the one that its sender is tuned to."""
        sender = self._modules[way.transmitter]
        assert sender is not None
        return sender.plant.wavelength_nm(way.tx_lane)

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
            self._refresh(leg)

    def disturb(self, extra_db: float, reflectances_db: tuple[float, ...] = (), leg: int | None = None) -> None:
        """Dirt or damage: so much more loss in dB, and places that reflect (dB, negative). 0 dB mends it.

        Two dirty connectors are `disturb(1.0, (-20.0, -20.0))` (fault table).
        """
        check_disturbance(extra_db, tuple(reflectances_db))
        with self._lock:
            self._clock.sync()
            for each in self._legs(leg):
                self._extra[each] = extra_db, tuple(reflectances_db)
            self._refresh(leg)

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
            self._refresh(leg)

    # -- what comes and goes on top of each other ------------------------------------------------------

    def handle(self, handling: Handling) -> None:
        """Do something to it, until `release`; harmless for what is done already."""
        with self._lock:
            self._clock.sync()
            self._legs(handling.leg)
            if handling not in self._handlings:
                self._handlings.append(handling)
                self._refresh(handling.leg)

    def release(self, handling: Handling) -> None:
        """Undo that alone; harmless for what is not done."""
        with self._lock:
            self._clock.sync()
            if handling in self._handlings:
                self._handlings.remove(handling)
                self._refresh(handling.leg)

    def handled(self, handling: Handling) -> None:
        """Something that is done to it has changed."""
        with self._lock:
            self._clock.sync()
            self._refresh(handling.leg)

    def swap(self, swap: Swap) -> None:
        """Wire it wrongly, until `unswap`. Raises InputError for legs that it lacks."""
        with self._lock:
            self._clock.sync()
            for leg in swap.legs:
                self._legs(leg)
            if swap not in self._swaps:
                self._swaps.append(swap)
                self._rewire()

    def unswap(self, swap: Swap) -> None:
        """Wire it as before that."""
        with self._lock:
            self._clock.sync()
            if swap in self._swaps:
                self._swaps.remove(swap)
                self._rewire()

    def _rewire(self) -> None:
        ends = list(self._plan.destinations)
        for swap in self._swaps:
            if swap.legs:
                one, other = (leg - 1 for leg in swap.legs)
                ends[one], ends[other] = ends[other], ends[one]
        self.destinations = tuple(ends)
        self.connect(self._modules.get(self.source), [self._modules.get(end) if end else None for end in ends])

    @property
    def _cable(self) -> Cable:
        return next((swap.cable for swap in reversed(self._swaps) if swap.cable is not None), self._plan.cable)

    def _refresh(self, leg: int | None) -> None:
        """Make the strands what they are with all that is done to them."""
        for way in self._ways(leg):
            now = self._state_of(way.leg, way.transmitter == self.source, way.tx_lane, self.wavelength_nm(way))
            way.strand.fixed_db = now.fixed_db
            way.strand.disturb(now.extra_db, now.reflectances_db)
            way.strand.cut = now.cut

    def _state_of(self, leg: int, outward: bool, tx_lane: int, wavelength_nm: float) -> Handled:
        base = Handled(self._fixed_db[leg], *self._extra[leg], leg in self._cut)
        done = [each for each in self._handlings if each.touches(leg, outward, tx_lane)]
        return together(base, done, wavelength_nm) if done else base

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
        mine = dict(self._fixed_db), dict(self._extra), set(self._cut), self.ways, dict(self.dark), self._modules
        return (*mine, list(self._handlings), list(self._swaps), self.destinations)

    def restore_state(self, state: tuple[object, ...]) -> None:
        """Go back to a kept state."""
        self._fixed_db, self._extra, self._cut, self.ways, self.dark, self._modules = state[:6]  # type: ignore[assignment]
        self._handlings, self._swaps, self.destinations = state[6:]  # type: ignore[assignment]

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
            return breakout(_optics(near), optics, self._cable)
        if optics[0] is None:
            return (Strands(reason=EMPTY),)
        if fars[0] is near:
            return (loop(_optics(near), self._cable),)
        return (trunk(_optics(near), optics[0], self._cable),)

    def _strand(self, sender: Module, receiver: Module, leg: int, tx_lane: int) -> Strand:
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
        outward = sender is self._modules[self.source]
        now = self._state_of(leg, outward, tx_lane, sender.plant.wavelength_nm(tx_lane))
        amplifiers = plan.amplifiers
        if amplifiers is not None and amplifiers.gain_db is None and plan.loss_db is not None:
            amplifiers = replace(amplifiers, gain_db=plan.loss_db / amplifiers.spans)
        strand = Strand(now.fixed_db, path, amplifiers)
        strand.disturb(now.extra_db, now.reflectances_db)
        strand.cut = now.cut
        return strand

    def _join(self, transmitter: str, tx_lane: int, receiver: str, rx_lane: int, leg: int) -> Way:
        sender, listener = self._modules[transmitter], self._modules[receiver]
        assert sender is not None
        assert listener is not None
        strand = self._strand(sender, listener, leg, tx_lane)
        listener.plant.set_light_source(rx_lane, LinkedLight(sender.plant.tx_source(tx_lane), strand))
        return Way(transmitter, tx_lane, receiver, rx_lane, leg, strand)


def _optics(module: Module) -> Optics:
    parameters = module.plant.parameters
    return Optics(parameters.pmd, parameters.media_lanes)
