"""Light on its way: its power, its quality, what it carries, and how it passes from one plant to another.

A `LightSource` is asked for light at an instant; it answers with formulas of time, so nothing runs while
nobody asks. Light that passes a path is a source again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

TRAFFIC, NOISE = -1, -2
"""What a stream carries when it is no test pattern."""


class Trend(NamedTuple):
    """A noise-free value and where it can go until the next input: bound on |rate| per s, further excursion."""

    value: float
    rate: float = 0.0
    remaining: float = 0.0

    def moves(self, seconds: float) -> float:
        """How far it can get within a time."""
        return min(self.remaining, self.rate * seconds)


class Stream(NamedTuple):
    """The signal of one electrical lane: traffic, noise, or the code of a test pattern; perhaps inverted."""

    content: int = TRAFFIC
    inverted: bool = False


class Payload(NamedTuple):
    """What light carries: modulated or not, the electrical lanes in it, and whom it passed.

    One stream alone in the light of several electrical lanes is a pattern made for the optical lane as a
    whole. `through` names the loop-backs that the signal took: a signal that meets one twice has no source.
    """

    modulated: bool = True
    streams: tuple[Stream, ...] = ()
    through: tuple[int, ...] = ()


NOTHING = Payload(False)


class Passed(NamedTuple):
    """The errors of light that arrives and leaves again: all that the receiver of a lane of the plant makes of it."""

    lane: int


class Mixed(NamedTuple):
    """The errors of several signals that share one light, each with as many bits."""

    signals: tuple[Origin, ...]


Origin = float | Passed | Mixed
"""Where the errors of a signal come from: a bit error ratio that stays, or what follows from light that arrives."""


class Beam(NamedTuple):
    """What a receiver's eye depends on beside the average power."""

    extinction: float = 3.16  # power of the highest level over that of the lowest
    tdecq_db: Trend = Trend(0.0)  # at the transmitter
    modulation: float = 1.0  # what is left of the outer modulation amplitude
    wavelength_nm: float = 1311.0
    dispersion_ps_nm: float = 0.0  # collected on the way
    interference: float = 0.0  # multi-path: sum of products of two reflectances
    carrier_ghz: float = 0.0  # frequency of the laser of a coherent transmitter; 0 for other light
    noise_ratio: float = 0.0  # optical noise within 0.1 nm, over the power: of the transmitter
    ase_w: float = 0.0  # the same of amplifiers on the way, in W
    dgd_ps2: float = 0.0  # square of the differential delay collected on the way


class LightObserver(Protocol):
    """Who sees light. Both calls come at the instant of the change; what is asked in the first is still the old."""

    def light_changes(self) -> None: ...
    def light_changed(self) -> None: ...


class LightSource(Protocol):
    """Light that arrives somewhere. Its observers are told when it may change."""

    @property
    def wavelength_nm(self) -> float: ...
    def trend(self, now_ns: int) -> Trend: ...
    def beam(self, now_ns: int) -> Beam: ...
    def payload(self) -> Payload: ...
    def errors(self, now_ns: int) -> float: ...
    def subscribe(self, observer: LightObserver) -> None: ...
    def unsubscribe(self, observer: LightObserver) -> None: ...


class LightPath(Protocol):
    """What light passes between two plants: one direction of one fibre."""

    observers: list[LightObserver]

    def transmission(self, wavelength_nm: float) -> float: ...
    def dispersion_ps_nm(self, wavelength_nm: float) -> float: ...
    def interference(self) -> float: ...
    def ase_w(self, wavelength_nm: float) -> float: ...
    def dgd_ps2(self) -> float: ...


class LinkedLight:
    """A source seen through a light path."""

    __slots__ = ("_path", "_source")

    def __init__(self, source: LightSource, path: LightPath) -> None:
        self._source = source
        self._path = path

    @property
    def wavelength_nm(self) -> float:
        """That of its source, which may be tuned."""
        return self._source.wavelength_nm

    def trend(self, now_ns: int) -> Trend:
        """Average power in W at the far end."""
        near = self._source.trend(now_ns)
        ratio = self._path.transmission(self.wavelength_nm)
        return Trend(near.value * ratio, near.rate * ratio, near.remaining * ratio)

    def beam(self, now_ns: int) -> Beam:
        """Quality at the far end."""
        near, path = self._source.beam(now_ns), self._path
        extinction, tdecq_db, modulation, nm, dispersion_ps_nm, interference = near[:6]
        dispersion_ps_nm += path.dispersion_ps_nm(nm)
        interference += path.interference()
        if not near.carrier_ghz:
            return Beam(extinction, tdecq_db, modulation, nm, dispersion_ps_nm, interference)
        ase_w = near.ase_w * path.transmission(nm) + path.ase_w(nm)
        delay_ps2 = near.dgd_ps2 + path.dgd_ps2()
        coherent = (near.carrier_ghz, near.noise_ratio, ase_w, delay_ps2)
        return Beam(extinction, tdecq_db, modulation, nm, dispersion_ps_nm, interference, *coherent)

    def payload(self) -> Payload:
        """What it carries; a fibre changes nothing about that."""
        return self._source.payload()

    def errors(self, now_ns: int) -> float:
        """Bit error ratio that the signal had before it became this light."""
        return self._source.errors(now_ns)

    def subscribe(self, observer: LightObserver) -> None:
        """Tell `observer` of changes of source and path."""
        self._source.subscribe(observer)
        self._path.observers.append(observer)

    def unsubscribe(self, observer: LightObserver) -> None:
        """No more calls."""
        self._source.unsubscribe(observer)
        if observer in self._path.observers:
            self._path.observers.remove(observer)
