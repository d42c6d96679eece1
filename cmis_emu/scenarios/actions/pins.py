"""Actions on the side-band pins and on what sits in a cage: levels, bounces, lost power, hot plug."""

from __future__ import annotations

from dataclasses import replace

from cmis_emu.bus.faults import Direction, Match, Unplug
from cmis_emu.clock import Clock, Event, seconds
from cmis_emu.module.profile.library import load_profile
from cmis_emu.module.profile.profile import Profile
from cmis_emu.pins import ALL_WORDS, HOST_WORDS
from cmis_emu.port import Port
from cmis_emu.scenarios.action import Argument, Call, Kind, Undo, action, armed_on_port, refuse
from cmis_emu.scenarios.units import COUNT, DURATION

PORT = Argument(Kind.PORT, "The cage.", required=True)
HIGH = Argument(Kind.FLAG, "True is the high level.", required=True)


# -- pins ------------------------------------------------------------------------------------------------


@action(
    "pin.set",
    {
        "port": PORT,
        "pin": Argument(Kind.CHOICE, "A pin that the host drives.", required=True, choices=HOST_WORDS),
        "high": HIGH,
    },
)
def set_pin(call: Call) -> Undo:
    """The host drives a pin; when this ends it drives the level of before, unless it has changed it meanwhile."""
    pins, pin, high = call.port.pins, call["pin"], call["high"]
    before = pins.driven_level(pin)
    pins.set(pin, high)

    def undo() -> None:
        if pins.driven_level(pin) is high:
            pins.set(pin, before)

    return undo


@action(
    "pin.stuck",
    {"port": PORT, "pin": Argument(Kind.CHOICE, "Any pin.", required=True, choices=ALL_WORDS), "high": HIGH},
)
def stuck(call: Call) -> Undo:
    """A pin has this level whoever drives it, for host and module; ended soon, it is a glitch."""
    pins, pin, owner = call.port.pins, call["pin"], object()
    pins.force(owner, pin, call["high"])
    return lambda: pins.free(owner, pin)


class _Bounce:
    """A pin changes `times` times to its other level and back, from now or from each insertion on."""

    def __init__(self, clock: Clock, pin: str, times: int, away_ns: int, back_ns: int, *, at_insertion: bool) -> None:
        self._clock = clock
        self._pin = pin
        self._times = times
        self._away_ns = away_ns
        self._back_ns = back_ns
        self._at_insertion = at_insertion
        self._run = 0  # the one that goes on; an older one stops

    def __deepcopy__(self, memo: object) -> _Bounce:
        return self  # armed by a scenario, as what it waits for

    def attach(self, port: Port) -> None:
        if self._at_insertion and port.inserted_ns == self._clock.now_ns:
            self.begin(port)

    def detach(self, port: Port) -> None:
        self._run += 1
        port.pins.free(self, self._pin)

    def begin(self, port: Port) -> None:
        """The first change comes now."""
        self.detach(port)
        self._away(port, self._times, self._run)

    def _away(self, port: Port, left: int, run: int) -> None:
        if left and run == self._run:
            port.pins.force(self, self._pin, not port.pins.get(self._pin))
            self._clock.after(self._away_ns, lambda: self._back(port, left - 1, run))

    def _back(self, port: Port, left: int, run: int) -> None:
        if run == self._run:
            port.pins.free(self, self._pin)
            self._clock.after(self._back_ns, lambda: self._away(port, left, run))


@action(
    "pin.bounce",
    {
        "port": PORT,
        "pin": Argument(Kind.CHOICE, "Which pin.", default="ModPrsL", choices=ALL_WORDS),
        "times": Argument(COUNT, "How often it changes and comes back.", default=3),
        "away": Argument(DURATION, "How long it is at the other level.", default=0.01),
        "back": Argument(DURATION, "How long it is back in between.", default=0.01),
        "on": Argument(
            Kind.CHOICE, "From now, or from each insertion on.", default="now", choices=("now", "insertion")
        ),
    },
)
def bounce(call: Call) -> Undo:
    """A pin goes to its other level and back several times, while the module stays where it is."""
    at_insertion = call["on"] == "insertion"
    away_ns, back_ns = seconds(call["away"]), seconds(call["back"])
    fault = _Bounce(call.world.clock, call["pin"], int(call["times"]), away_ns, back_ns, at_insertion=at_insertion)
    undo = armed_on_port(call, fault)
    if not at_insertion:
        fault.begin(call.port)
    return undo


class _LatePower:
    """Power comes `delay_ns` after each insertion."""

    def __init__(self, clock: Clock, delay_ns: int) -> None:
        self._clock = clock
        self._delay_ns = delay_ns
        self._coming: Event | None = None

    def __deepcopy__(self, memo: object) -> _LatePower:
        return self  # as above

    def attach(self, port: Port) -> None:
        if self._coming is not None:
            self._coming.cancel()
        left_ns = port.inserted_ns + self._delay_ns - self._clock.now_ns
        if left_ns > 0:
            port.pins.force(self, "power", False)
            self._coming = self._clock.after(left_ns, lambda: port.pins.free(self, "power"))

    def detach(self, port: Port) -> None:
        if self._coming is not None:
            self._coming.cancel()
        port.pins.free(self, "power")


@action(
    "pin.power_good",
    {
        "port": PORT,
        "lost": Argument(DURATION, "It is lost now, for so long."),
        "late": Argument(DURATION, "It comes so long after each insertion."),
    },
)
def power_good(call: Call) -> Undo:
    """The supply of a cage is lost for a time, or comes late after an insertion."""
    if (call["lost"] is None) is (call["late"] is None):
        raise refuse("both or none of lost and late", "one of the two", "lost")
    clock, port = call.world.clock, call.port
    if call["late"] is not None:
        return armed_on_port(call, _LatePower(clock, seconds(call["late"])))
    owner = _Owner()
    port.pins.force(owner, "power", False)
    back = clock.after(seconds(call["lost"]), lambda: port.pins.free(owner, "power"))

    def undo() -> None:
        back.cancel()
        port.pins.free(owner, "power")

    return undo


class _Owner:
    """Who holds a pin."""

    def __deepcopy__(self, memo: object) -> _Owner:
        return self


# -- hot plug --------------------------------------------------------------------------------------------


def _product(call: Call) -> Profile:
    """What is to be plugged in: of the argument, or again what is there."""
    if call["profile"] is not None:
        return load_profile(call["profile"])
    found = call.port.profile
    if found is None:
        raise refuse("an empty cage", "a profile, since there is nothing to plug in again", "profile")
    return found


@action(
    "port.insert",
    {"port": PORT, "profile": Argument(Kind.TEXT, "Which product.", required=True)},
    lasting=False,
)
def insert(call: Call) -> None:
    """A module is plugged in; one that is there is pulled out first."""
    call.port.insert(_product(call))


@action(
    "port.remove",
    {
        "port": PORT,
        "in_transfer": Argument(
            COUNT, "Not now but in the middle of a message, after so many bytes; after 0, once it is addressed."
        ),
        "direction": Argument(
            Kind.CHOICE, "With in_transfer: of which messages.", default="any", choices=("read", "write", "any")
        ),
        "place": Argument(Kind.PLACE, "With in_transfer: of reads that begin there, and writes of its bytes."),
        "bus_low": Argument(
            Kind.FLAG,
            "With in_transfer: it takes the supply of the pull-ups with it; the clock stays low until something is "
            "plugged in (ETIMEDOUT).",
            default=False,
        ),
    },
    counted=True,
)
def remove(call: Call) -> Undo:
    """The module is pulled out; when this ends, one of the same product is plugged in, if the cage is empty still."""
    port, product = call.port, _Remembered(call.port)
    if call["in_transfer"] is None:
        product.pull()
        return product.put_back
    occasions = replace(call.occasions, count=1)
    match = Match(Direction(call["direction"]), call["place"])
    fault = Unplug(match, occasions, int(call["in_transfer"]), product.pull, bus_low=call["bus_low"])
    port.arm_line(fault)

    def undo() -> None:
        port.disarm_line(fault)
        product.put_back()

    return undo


class _Remembered:
    """What was pulled out of a cage, to be plugged in again."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._product: Profile | None = None

    def pull(self) -> None:
        """Out with it."""
        self._product = self._port.profile
        self._port.remove()

    def put_back(self) -> None:
        """In again, unless something else is there."""
        if self._product is not None and self._port.occupant is None:
            self._port.insert(self._product)


@action(
    "port.swap",
    {
        "port": PORT,
        "profile": Argument(Kind.TEXT, "Which product comes; without it another unit of the same."),
        "gap": Argument(DURATION, "How long the cage is empty.", default=0.1),
    },
    lasting=False,
)
def swap(call: Call) -> None:
    """The module is pulled out and one is plugged in, perhaps faster than a host polls."""
    port, product = call.port, _product(call)
    port.remove()
    call.world.clock.after(seconds(call["gap"]), lambda: port.insert(product))
