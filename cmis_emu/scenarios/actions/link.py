"""Faults on the way from module to module: link.loss, link.cut, link.disturb, link.bend, link.swap, link.los_flap,
link.ber_step, link.poor_lock, link.needs_toggle, link.cdr_lock, link.fec_tail, link.host_signal."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from cmis_emu.clock import Clock, Event, seconds
from cmis_emu.links import Fibre, Swap
from cmis_emu.module.faults.link import EarlySignal, LinkFaults, NeedsToggle, Penalty
from cmis_emu.module.faults.seams import ModuleFaults
from cmis_emu.occasions import Occasions
from cmis_emu.physics.cabling import Cable
from cmis_emu.physics.disturbances import Input
from cmis_emu.physics.glass import Bend
from cmis_emu.physics.handling import Handling
from cmis_emu.physics.light import TRAFFIC
from cmis_emu.port import HostDrive, Port, pattern_code
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.arming import LANES, PORT, arm_rule, lanes_of
from cmis_emu.scenarios.disturbing import Disturbing, disturb
from cmis_emu.scenarios.ramp import Ramp
from cmis_emu.scenarios.units import CHANCE, COUNT, DURATION, LENGTH, LEVEL, LOSS, NUMBER

_WAYS = {"both": (True, True), "there": (True, False), "back": (False, True)}
_FIBRE: dict[str, Argument] = {
    "fibre": Argument(Kind.FIBRE, "which one", required=True),
    "leg": Argument(COUNT, "only this leg of a breakout, from 1"),
    "way": Argument(Kind.CHOICE, "from its source on, back, or both", default="both", choices=tuple(_WAYS)),
    "lanes": Argument(Kind.LANES, "only what comes from these transmit lanes"),
}
_OVER = Argument(DURATION, "moves there linearly within this time", default=0.0)


def _handle(call: Call, **what: Any) -> tuple[Fibre, Handling]:
    fibre = call.fibre
    there, back = _WAYS[call["way"]]
    handling = Handling(call["leg"], there, back, lanes_of(call), **what)
    fibre.handle(handling)
    return fibre, handling


@action(
    "link.loss",
    {
        **_FIBRE,
        "loss": Argument(LOSS, "of the whole path, connectors included"),
        "extra": Argument(LOSS, "on top of what it is"),
        "over": _OVER,
    },
)
def loss(call: Call) -> Undo:
    """The path loses so much, or so much more."""
    whole, extra = call["loss"], call["extra"]
    if (whole is None) == (extra is None):
        raise refuse("both" if whole is not None else "neither", "one of loss and extra", "loss")
    if whole is None:
        fibre, handling = _handle(call)
        name, start, target = "extra_db", 0.0, extra
    else:
        start, target = call.fibre.loss_db, whole
        fibre, handling = _handle(call, loss_db=start)
        name = "loss_db"

    def move(value: float) -> None:
        setattr(handling, name, value)
        fibre.handled(handling)

    ramp = Ramp(call.world.clock, start, target, call["over"], move)
    move(ramp.value)

    def undo() -> None:
        ramp.stop()
        fibre.release(handling)

    return undo


@action("link.cut", _FIBRE)
def cut(call: Call) -> Undo:
    """No light passes. Clearing the fault is the repair."""
    fibre, handling = _handle(call, cut=True)
    return lambda: fibre.release(handling)


@action(
    "link.disturb",
    {
        **_FIBRE,
        "loss": Argument(LOSS, "that dirt or damage adds", default=1.0),
        "reflectance": Argument(LEVEL, "of each reflecting place", default=-20.0),
        "places": Argument(COUNT, "reflecting places; two make interference", default=2),
    },
)
def dirt(call: Call) -> Undo:
    """Dirt or damage on connectors: more loss, and reflections that interfere with the light."""
    if call["reflectance"] > 0:
        raise refuse(f"{call['reflectance']:g} dB", "0 dB or less", "reflectance")
    reflectances = (float(call["reflectance"]),) * int(call["places"])
    fibre, handling = _handle(call, extra_db=call["loss"], reflectances_db=reflectances)
    return lambda: fibre.release(handling)


@action(
    "link.bend",
    {
        **_FIBRE,
        "radius": Argument(LENGTH, "of the bend", required=True),
        "turns": Argument(NUMBER, "how often it goes round", default=1.0),
    },
)
def bend(call: Call) -> Undo:
    """The fibre is bent tightly; long wavelengths lose more."""
    if call["radius"] <= 0:
        raise refuse(f"{call['radius']:g} m", "more than 0 m", "radius")
    if call["turns"] < 0:
        raise refuse(call["turns"], "0 or more", "turns")
    fibre, handling = _handle(call, bend=Bend(call["radius"] * 1000, call["turns"]))
    return lambda: fibre.release(handling)


@action(
    "link.swap",
    {
        "fibre": _FIBRE["fibre"],
        "cable": Argument(Kind.CHOICE, "another kind of cable", choices=tuple(each.value for each in Cable)),
        "legs": Argument(Kind.LANES, "two legs of a breakout that lead to each other's ports"),
    },
)
def swap(call: Call) -> Undo:
    """The wrong cable, or two legs in each other's place. Clearing the fault puts the right one in."""
    legs = () if call["legs"] is None else tuple(sorted(lanes_of(call, "legs") or ()))
    if (call["cable"] is None) == (not legs) or len(legs) not in (0, 2):
        raise refuse(legs or "nothing", "either a cable, or two legs", "legs")
    wrong = Swap(None if call["cable"] is None else Cable(call["cable"]), legs)
    fibre = call.fibre
    fibre.swap(wrong)
    return lambda: fibre.unswap(wrong)


class _Flap:
    """Light that does not reach the receivers now and then."""

    def __init__(
        self,
        clock: Clock,
        occasions: Occasions,
        times_s: tuple[float, float],
        lanes: frozenset[int] | None,
        once: bool,
    ) -> None:
        """times_s: from one loss to the next, and of each."""
        self._clock = clock
        self._occasions = occasions
        self._period_ns, self._dark_ns = (seconds(each) for each in times_s)
        self._lanes = lanes
        self._once = once
        self._block: Disturbing | None = None
        self._event: Event | None = None
        self._over = False

    def __deepcopy__(self, memo: object) -> Self:
        return self  # the scenario's; no snapshot takes it back

    def attach(self, port: Port) -> None:
        """A module is there."""
        if self._event is not None and self._once:
            self._end()  # a module was pulled and plugged: it is over
        if self._over:
            return
        if self._block is None:
            self._block = Disturbing(self._clock, Input.RX_BLOCKED, 0.0, lanes=self._lanes)
            self._event = self._clock.after(self._period_ns, partial(self._goes, port, True))
        self._block.attach(port)

    def detach(self, port: Port) -> None:
        """The fault is cleared."""
        self._end()
        if self._block is not None:
            self._block.detach(port)

    def _goes(self, port: Port, dark: bool) -> None:
        if self._over or self._block is None:
            return
        strikes = not dark or self._occasions.take()
        if strikes:
            self._block.set(port, float(dark))
        wait_ns = self._dark_ns if dark and strikes else self._period_ns - (0 if dark else self._dark_ns)
        self._event = self._clock.after(wait_ns, partial(self._goes, port, not dark if strikes else True))

    def _end(self) -> None:
        self._over = True
        if self._event is not None:
            self._event.cancel()


@action(
    "link.los_flap",
    {
        "port": PORT,
        "lanes": LANES,
        "period": Argument(DURATION, "from one loss of the light to the next", required=True),
        "dark": Argument(DURATION, "how long each lasts", required=True),
        "until_reinsertion": Argument(Kind.FLAG, "gone after the module was pulled and plugged", default=False),
    },
    counted=True,
)
def los_flap(call: Call) -> Undo:
    """The light does not reach a module's receivers, again and again, as with a bad contact inside. An occasion is
    each loss."""
    if not 0 < call["dark"] < call["period"]:
        raise refuse(f"{call['dark']:g} s", "more than 0 and less than the period", "dark")
    times_s = call["period"], call["dark"]
    flap = _Flap(call.world.clock, call.occasions, times_s, lanes_of(call), call["until_reinsertion"])
    return armed_on_port(call, flap)


def _links(faults: ModuleFaults) -> LinkFaults:
    return faults.links


@action(
    "link.ber_step",
    {"port": PORT, "lanes": LANES, "factor": Argument(NUMBER, "so many more errors", default=10.0)},
    counted=True,
)
def ber_step(call: Call) -> Undo:
    """When receivers find their signal anew they come back with more errors before the FEC, every other reading
    well. An occasion is each time that a lane does; it stays so until the lane's next."""
    if call["factor"] <= 0:
        raise refuse(call["factor"], "more than 0", "factor")
    return arm_rule(call, _links, Penalty(call.occasions, lanes_of(call), ber_factor=call["factor"]))


@action(
    "link.poor_lock",
    {"port": PORT, "lanes": LANES, "loss": Argument(LOSS, "so much less eSNR", default=4.0)},
    counted=True,
)
def poor_lock(call: Call) -> Undo:
    """Receivers of this module adapt to the transient of a far transmitter that turns on, and keep a bad setting
    until they adapt anew. An occasion is each lane to which light comes while it is at work."""
    return arm_rule(call, _links, Penalty(call.occasions, lanes_of(call), loss_db=call["loss"], on_light=True))


@action("link.needs_toggle", {"port": PORT, "lanes": LANES}, counted=True)
def needs_toggle(call: Call) -> Undo:
    """Lasers that should come on stay dark until the host disables and enables them. An occasion is each time that a
    lane's should come on other than by that."""
    return arm_rule(call, _links, NeedsToggle(call.occasions, lanes_of(call)))


@action("link.cdr_lock", {"port": PORT, "lanes": LANES}, counted=True)
def cdr_lock(call: Call) -> Undo:
    """Host lanes need a good signal at the moment when their circuits come to work, else they find no lock until
    their data path initialises anew. An occasion is each lane that had none."""
    return arm_rule(call, _links, EarlySignal(call.occasions, lanes_of(call)))


@action(
    "link.fec_tail",
    {"port": PORT, "continuation": Argument(CHANCE, "that an error spoils the next symbol too", default=0.5)},
)
def fec_tail(call: Call) -> Undo:
    """Errors come in bursts at this module's receivers: the ratio before the FEC stays, frames are lost."""
    return disturb(call, Input.BURSTS, call["continuation"], lanes=frozenset())


@action(
    "link.host_signal",
    {
        "port": PORT,
        "lanes": Argument(Kind.LANES, "host lanes; all without it"),
        "present": Argument(Kind.FLAG, "a signal, or none"),
        "loss": Argument(LOSS, "of the channel from the host to the module, at Nyquist"),
        "inverted": Argument(Kind.FLAG, "are the wires of the pairs swapped?"),
        "pattern": Argument(Kind.TEXT, "the host sends this test pattern, such as prbs31q, or traffic"),
    },
)
def host_signal(call: Call) -> Undo:
    """What the host drives into host lanes; what is not given stays as it is."""
    pattern = call["pattern"]
    content = None if pattern is None else TRAFFIC if pattern == "traffic" else pattern_code(pattern)
    drive = HostDrive(lanes_of(call), call["present"], call["loss"], call["inverted"], content)
    port = call.port
    port.drive_host(drive)
    return lambda: port.release_host(drive)
