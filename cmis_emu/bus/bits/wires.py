"""Two open-drain lines: who pulls them low, what they read, and when that changes.

Owns the wired AND. A line is low while any of its drivers pulls, and high, by its pull-up, `rise_ns` after the last
one let go. Listeners hear of every change in the order in which the changes happened, each before the next, even
where one of them causes the next by what it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cmis_emu.clock import Event, ManualClock


class Driver:
    """One open-drain output, of the party `name`."""

    __slots__ = ("_wire", "low", "name")

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self.name = name
        self.low = False

    def pull(self, low: bool) -> None:
        """Pull the line low, or let go."""
        if low is not self.low:
            self.low = low
            self._wire.driven(self, low)


class Wire:
    """One line. `level` is what it reads now."""

    __slots__ = ("_pulling", "_rising", "_waiting", "_wires", "drivers", "level", "name")

    def __init__(self, wires: Wires, name: str) -> None:
        self._wires = wires
        self.name = name
        self.level = True
        self.drivers: list[Driver] = []
        self._pulling = 0
        self._rising: Event | None = None
        self._waiting: list[tuple[bool, Callable[[], None]]] = []

    def driver(self, name: str) -> Driver:
        """A new output on this line."""
        driver = Driver(self, name)
        self.drivers.append(driver)
        return driver

    def driven(self, driver: Driver, low: bool) -> None:
        """An output of this line has changed."""
        self._wires.driver_changed(self, driver)
        if low:
            self._pulling += 1
            if self._rising is not None:
                self._rising.cancel()
                self._rising = None
            self._set(False)
            return
        self._pulling -= 1
        if self._pulling:
            return
        if self._wires.rise_ns:
            self._rising = self._wires.clock.after(self._wires.rise_ns, self._risen)
        else:
            self._set(True)

    def when(self, level: bool, callback: Callable[[], None]) -> None:
        """Call back once, as soon as the line goes to `level`, after everybody has heard of it."""
        self._waiting.append((level, callback))

    def forget(self, callback: Callable[[], None]) -> None:
        """Nobody waits for that call any more."""
        self._waiting = [each for each in self._waiting if each[1] is not callback]

    def _risen(self) -> None:
        self._rising = None
        self._set(True)

    def _set(self, level: bool) -> None:
        if level is self.level:
            return
        self.level = level
        self._wires.changed(self, level)
        if self._waiting:
            for each in [each for each in self._waiting if each[0] is level]:
                self._waiting.remove(each)
                self._wires.clock.after(0, each[1])


Listener = Callable[[int, Wire, bool], None]
"""Told of the time in ns, the line and its new level."""

DriverListener = Callable[[int, Wire, Driver], None]
"""Told of the time in ns, the line and the output that changed."""


class Wires:
    """SCL and SDA on a clock of their own. `rise_ns`: how long a released line takes to read high."""

    def __init__(self, rise_ns: int = 0, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.rise_ns = rise_ns
        self.scl = Wire(self, "SCL")
        self.sda = Wire(self, "SDA")
        self._listeners: tuple[Listener, ...] = ()
        self._driver_listeners: tuple[DriverListener, ...] = ()
        self._queue: deque[tuple[int, Wire, bool]] = deque()
        self._telling = False

    @property
    def idle(self) -> bool:
        """Are both lines high?"""
        return self.scl.level and self.sda.level

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every change of a level."""
        self._listeners = (*self._listeners, listener)

    def listen_drivers(self, listener: DriverListener) -> None:
        """Tell `listener` of every change of an output, before that of the level that it causes."""
        self._driver_listeners = (*self._driver_listeners, listener)

    def changed(self, wire: Wire, level: bool) -> None:
        """A line reads otherwise."""
        self._queue.append((self.clock.now_ns, wire, level))
        if self._telling:
            return  # further up, somebody is telling of an earlier change
        self._telling = True
        try:
            while self._queue:
                change = self._queue.popleft()
                for listener in self._listeners:
                    listener(*change)
        finally:
            self._queue.clear()
            self._telling = False

    def driver_changed(self, wire: Wire, driver: Driver) -> None:
        """An output of a line has changed."""
        for listener in self._driver_listeners:
            listener(self.clock.now_ns, wire, driver)
