"""Waveforms: what the wires, their drivers and side-band pins did, and the VCD file of it.

Owns the recording and the format (IEEE 1364, value change dump), which logic analysers' software reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from cmis_emu.bus.bits.wires import Driver, Wire, Wires
from cmis_emu.errors import InputError

_FIRST, _LAST = 33, 126  # printable characters, of which identifiers are made
TIMESCALES_NS = {1: "1 ns", 10: "10 ns", 100: "100 ns", 1000: "1 us"}


@dataclass(slots=True)
class Recording:
    """Levels over time. names: of the signals. first: what each was at `began_ns`. changes: (ns, signal, level)."""

    began_ns: int = 0
    names: list[str] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    changes: list[tuple[int, int, bool]] = field(default_factory=list)
    ended_ns: int | None = None

    def signal(self, name: str, level: bool) -> int:
        """Another signal; returns its number. Raises InputError for a name that is there or has spaces."""
        if name in self.names or not name or any(letter.isspace() for letter in name):
            raise InputError(repr(name), "a new name without spaces", field="signal")
        self.names.append(name)
        self.first.append(level)
        return len(self.names) - 1


class Recorder:
    """Records wires from now on. drivers: each party's outputs too, as SCL.name and SDA.name."""

    def __init__(self, wires: Wires, *, drivers: bool = False) -> None:
        self._wires = wires
        self.recording = Recording(wires.clock.now_ns)
        self._signals = {wire.name: self.recording.signal(wire.name, wire.level) for wire in (wires.scl, wires.sda)}
        self._pins: dict[str, int] = {}
        self._drivers: dict[tuple[str, str], int] = {}
        wires.listen(self._edge)
        if drivers:
            for wire in (wires.scl, wires.sda):
                for driver in wire.drivers:
                    key = wire.name, driver.name
                    self._drivers[key] = self.recording.signal(".".join(key), not driver.low)
            wires.listen_drivers(self._driver)

    def pin(self, name: str, level: bool) -> None:
        """A side-band pin has this level from now on; its first level counts from the beginning."""
        number = self._pins.get(name)
        if number is None:
            self._pins[name] = self.recording.signal(name, level)
        else:
            self.recording.changes.append((self._wires.clock.now_ns, number, level))

    def stop(self) -> Recording:
        """The recording up to now."""
        self.recording.ended_ns = self._wires.clock.now_ns
        return self.recording

    def _edge(self, now_ns: int, wire: Wire, level: bool) -> None:
        self.recording.changes.append((now_ns, self._signals[wire.name], level))

    def _driver(self, now_ns: int, wire: Wire, driver: Driver) -> None:
        number = self._drivers.get((wire.name, driver.name))
        if number is not None:  # those that came later are left out: a VCD file declares its signals first
            self.recording.changes.append((now_ns, number, not driver.low))


def write_vcd(recording: Recording, out: TextIO, *, timescale_ns: int = 1, module: str = "i2c") -> None:
    """Write a recording. Times count from one unit before it began, so that the first levels are seen, too.

    timescale_ns: 1, 10, 100 or 1000, the unit; times are rounded down to it. A coarse one makes files that others
    read faster. The file ends a unit after the last change at the earliest. Raises InputError.
    """
    if timescale_ns not in TIMESCALES_NS:
        raise InputError(str(timescale_ns), f"one of {', '.join(map(str, TIMESCALES_NS))}", field="timescale_ns")
    codes = [_code(number) for number in range(len(recording.names))]
    out.write(f"$comment began at {recording.began_ns} ns $end\n")
    out.write(f"$timescale {TIMESCALES_NS[timescale_ns]} $end\n$scope module {module} $end\n")
    for code, name in zip(codes, recording.names, strict=True):
        out.write(f"$var wire 1 {code} {name} $end\n")
    out.write("$upscope $end\n$enddefinitions $end\n#0\n$dumpvars\n")
    for code, level in zip(codes, recording.first, strict=True):
        out.write(f"{level:d}{code}\n")
    out.write("$end\n")
    last = 0
    for when_ns, number, level in recording.changes:
        when = 1 + (when_ns - recording.began_ns) // timescale_ns
        if when != last:
            out.write(f"#{when}\n")
            last = when
        out.write(f"{level:d}{codes[number]}\n")
    ended_ns = recording.began_ns if recording.ended_ns is None else recording.ended_ns
    out.write(f"#{max(last, (ended_ns - recording.began_ns) // timescale_ns) + 1}\n")


def _code(number: int) -> str:
    """The identifier of a signal."""
    base = _LAST - _FIRST + 1
    text = ""
    while True:
        text += chr(_FIRST + number % base)
        number = number // base - 1
        if number < 0:
            return text
