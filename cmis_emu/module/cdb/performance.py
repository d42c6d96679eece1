"""Performance monitoring by command: records of monitors, FEC histograms, temperature histogram (CMD-07).

Records are of min, average, max and, on request, the current value, by resource and then by observable, each in
rising order. What is asked for and not there is refused (42h), for a host could not tell whose record is whose.

Where the sources are silent or disagree: numbers are big-endian; DPID counts from 1, the first host lane; LinkMode
makes a clear-on-read clear the observable of all lanes; saving the temperature histogram keeps it without power, and
reading it from there shows what was saved. 0220h is not offered, since no packets are modelled, nor is 0281h, whose
layout is not known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial

from cmis_emu.layouts.cdb import (
    CONTROL_PM,
    HISTOGRAM_REPLY,
    LANE_PM,
    LPL_BYTES,
    MAX_WEIGHT_REPLY,
    MODULE_PM,
    PATH_AND_PLACE,
    PM_FEATURES_REPLY,
    RECORDING_CONTROL,
    TEMPERATURE_REPLY,
    TEMPERATURE_REQUEST,
    WEIGHTS,
    counters,
)
from cmis_emu.module.cdb.command import Command, Job, Refusal, Reply, Request, Status
from cmis_emu.module.cdb.histogram import WeightCounter
from cmis_emu.module.cdb.meter import Meter, Observable, Scope
from cmis_emu.module.cdb.plan import Advertised
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.sides import Side
from cmis_emu.physics.fec import CORRECTABLE
from cmis_emu.registers.encoding import encode_f16

GROUP = "performance"
HISTOGRAMS_SINCE = (5, 3)
CLEAR_ON_READ, WITH_CURRENT = 0x80, 0x01  # selection
LINKED, CLEAR = 0x01, 0x01
RESET, START, STOP = 0, 1, 2  # of a histogram
SAVE, EMPTY, SAVED = 0x02, 0x04, 0x08  # sub-commands of 0290h
PATHS = 8  # of 0233h
Key = tuple[Observable, int]


class _Recorder:
    """Histogram and maximum of the codewords of one data path at one decoder, each with its own switch."""

    def __init__(self, meter: Meter, number: int, side: Side, seed: int) -> None:
        self._meter = meter
        self._make = partial(WeightCounter, meter, number, side, seed)
        self.counter = self._make(0)
        self._turns = 0

    def control(self, what: int) -> None:
        """Reset, start or stop."""
        if what == RESET:
            running = self.counter in self._meter.running
            self._meter.forget(self.counter)
            self._turns += 1
            self.counter = self._make(self._turns)
            if running:
                self._meter.watch(self.counter)
        elif what == START:
            self._meter.watch(self.counter)
        else:
            self._meter.forget(self.counter)


class Performance:
    """Commands 02xxh of one module."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._execution_ns = around.plan.execution_ns(GROUP)
        self._meter = Meter(around)
        self._epl_bytes = Advertised.of(around.profile.registers).epl_bytes
        self._nonvolatile = around.nonvolatile
        self._linked = False
        self._histograms: dict[tuple[int, Side], _Recorder] = {}
        self._heaviest: dict[tuple[int, Side], _Recorder] = {}

    def commands(self) -> Sequence[Command]:
        """See `CommandGroup`."""
        found = [
            Command(0x0200, "Control PM", self._control, (4, 4)),
            Command(0x0201, "Get PM Feature Information", self._features),
            Command(0x0280, "Data Monitoring and Recording Controls", self._recording, (4, 4)),
            Command(0x0290, "Temperature Histogram", self._temperature, (1, 1)),
        ]
        records = (
            (0x0210, "Module PM", partial(self._module_records), (5, 5)),
            (0x0212, "PM Host Side", partial(self._records, Scope.HOST), (20, 20)),
            (0x0214, "PM Media Side", partial(self._records, Scope.MEDIA), (20, 20)),
            (0x0216, "Data Path PM", partial(self._records, Scope.PATH), (20, 20)),
        )
        for code, title, start, lengths in records:
            found.append(Command(code, f"Get {title} LPL", partial(start, False), lengths))
            if self._epl_bytes:
                found.append(Command(code + 1, f"Get {title} EPL", partial(start, True), lengths))
        if self._around.profile.revision >= HISTOGRAMS_SINCE and self._has(Scope.PATH):
            found += [
                Command(0x0230, "Control FEC SEW Histogram", partial(self._switch, self._histograms), (2, 2)),
                Command(0x0231, "Get FEC SEW Histogram", self._histogram, (2, 2)),
                Command(0x0232, "Control Max FEC SEW", partial(self._switch, self._heaviest), (2, 2)),
                Command(0x0233, "Get Max FEC SEW", self._maxima, (2, 2)),
            ]
        return found

    def reset(self) -> None:
        """Everything is measured anew; what was saved stays."""
        self._histograms.clear()
        self._heaviest.clear()
        self._linked = False
        self._meter.reset()

    def settled(self, changed: bool) -> None:
        """See `Follower`."""
        self._meter.settled(changed)

    def _has(self, scope: Scope) -> bool:
        return any(observable.scope is scope for observable, _ in self._meter.channels)

    def _after(self, finish: Callable[[], Reply]) -> Job:
        return Job(self._execution_ns, finish)

    # -- control ---------------------------------------------------------------------------------------------

    def _control(self, request: Request) -> Job:
        said = CONTROL_PM.parse(request.lpl)
        return self._after(partial(self._controlled, bool(said.link_mode & LINKED), bool(said.clear_all & CLEAR)))

    def _controlled(self, linked: bool, clear: bool) -> Reply:
        self._linked = linked
        if clear:
            self._meter.clear()
        return Reply()

    def _features(self, _: Request) -> Job:
        bits = {Scope.HOST: 0, Scope.MEDIA: 0}
        for observable in (Observable.HOST_SNR, Observable.HOST_LTP, Observable.MEDIA_SNR, Observable.MEDIA_LTP):
            if any(known is observable for known, _ in self._meter.channels):
                bits[observable.scope] |= 1 << observable.bit
        data = PM_FEATURES_REPLY.build({"host": bits[Scope.HOST], "media": bits[Scope.MEDIA]})
        return self._after(partial(Reply, lpl=data))

    def _recording(self, request: Request) -> Job:
        return self._after(partial(self._recorded, bool(RECORDING_CONTROL.parse(request.lpl).clear_all & CLEAR)))

    def _recorded(self, clear: bool) -> Reply:
        if clear:
            self._meter.clear()
            self._meter.temperatures.start(self._meter.now_ns)
        return Reply()

    # -- records ---------------------------------------------------------------------------------------------

    def _module_records(self, epl: bool, request: Request) -> Job:
        said = MODULE_PM.parse(request.lpl)
        observables = self._chosen(Scope.MODULE, int(said.observables), any(said.others))
        return self._read(epl, int(said.selection), [(each, 0) for each in observables])

    def _records(self, scope: Scope, epl: bool, request: Request) -> Job:
        said = LANE_PM.parse(request.lpl)
        asked = int.from_bytes(said.observables, "little")
        observables = self._chosen(scope, asked, any(said.oif_observables) or any(said.custom_observables))
        resources = [bit + 1 for bit in range(32) if int(said.resources) >> bit & 1]
        return self._read(epl, int(said.selection), [(each, n) for n in resources for each in observables])

    @staticmethod
    def _chosen(scope: Scope, asked: int, others: bool) -> list[Observable]:
        """The observables of a request, bits counted over its bytes."""
        found = [each for each in Observable if each.scope is scope and asked >> each.bit & 1]
        if others or asked != sum(1 << each.bit for each in found):
            raise Refusal(Status.PARAMETER_ERROR)
        return found

    def _read(self, epl: bool, selection: int, keys: list[Key]) -> Job:
        size = (8 if selection & WITH_CURRENT else 6) * len(keys)
        room = self._epl_bytes if epl else LPL_BYTES
        if not keys or size > room or any(key not in self._meter.channels for key in keys):
            raise Refusal(Status.PARAMETER_ERROR)
        return self._after(partial(self._found, epl, selection, keys))

    def _found(self, epl: bool, selection: int, keys: list[Key]) -> Reply:
        data = bytearray()
        for key in keys:
            reading, code = self._meter.reading(key), self._meter.channels[key].code
            values = [reading.minimum, reading.average, reading.maximum]
            if selection & WITH_CURRENT:
                values.append(reading.current)
            data += struct.pack(f">{len(values)}H", *map(code, values))
        if selection & CLEAR_ON_READ:
            self._meter.clear(self._cleared(keys))
        if not epl:
            return Reply(lpl=bytes(data))
        return Reply(epl=bytes(data))

    def _cleared(self, keys: list[Key]) -> list[Key]:
        if not self._linked:
            return keys
        observables = {observable for observable, _ in keys}
        return [key for key in self._meter.channels if key[0] in observables]

    # -- codewords by their wrong symbols ----------------------------------------------------------------------

    def _recorder(self, kept: dict[tuple[int, Side], _Recorder], number: int, side: Side) -> _Recorder:
        if (number, side) not in kept:
            kept[number, side] = _Recorder(self._meter, number, side, self._around.plant.seed)
        return kept[number, side]

    def _spot(self, number: int, control: int) -> tuple[int, Side]:
        if (Observable.FERC, number) not in self._meter.channels:
            raise Refusal(Status.PARAMETER_ERROR)
        return number, Side.HOST if control & 1 else Side.MEDIA

    def _switch(self, kept: dict[tuple[int, Side], _Recorder], request: Request) -> Job:
        said = PATH_AND_PLACE.parse(request.lpl)
        spot, what = self._spot(int(said.path_id), int(said.control)), int(said.control) >> 1
        if what > STOP:
            raise Refusal(Status.PARAMETER_ERROR)
        return self._after(partial(self._switched, kept, spot, what))

    def _switched(self, kept: dict[tuple[int, Side], _Recorder], spot: tuple[int, Side], what: int) -> Reply:
        self._recorder(kept, *spot).control(what)
        return Reply()

    def _histogram(self, request: Request) -> Job:
        said = PATH_AND_PLACE.parse(request.lpl)
        spot = self._spot(int(said.path_id), int(said.control))
        return self._after(partial(self._weights, spot))

    def _weights(self, spot: tuple[int, Side]) -> Reply:
        counter, now = self._recorder(self._histograms, *spot).counter, self._meter.now_ns
        counts = counter.counts(now)
        data = HISTOGRAM_REPLY.build(
            {
                "path_id": spot[0],
                "location": int(spot[1] is Side.HOST),
                "capability": CORRECTABLE,
                "uncorrectable": counters([sum(counts[CORRECTABLE + 1 :])]),
                "weights": counters(counts[:WEIGHTS]),
                "beyond": counters([sum(counts[WEIGHTS:])]),
                "ber": encode_f16(counter.ber(now)),
            }
        )
        return Reply(lpl=data)

    def _maxima(self, request: Request) -> Job:
        side = Side.HOST if int(PATH_AND_PLACE.parse(request.lpl).control) & 1 else Side.MEDIA
        return self._after(partial(self._heaviest_of, side))

    def _heaviest_of(self, side: Side) -> Reply:
        found = []
        for number in range(1, PATHS + 1):
            recorder = self._heaviest.get((number, side))
            found.append(0 if recorder is None else recorder.counter.heaviest(self._meter.now_ns))
        data = MAX_WEIGHT_REPLY.build({"location": int(side is Side.HOST), "capability": CORRECTABLE, "weights": found})
        return Reply(lpl=data)

    # -- temperatures ----------------------------------------------------------------------------------------

    def _temperature(self, request: Request) -> Job:
        asked = int(TEMPERATURE_REQUEST.parse(request.lpl).sub_commands)
        if asked & ~(SAVE | EMPTY | SAVED):
            raise Refusal(Status.PARAMETER_ERROR)
        return self._after(partial(self._temperatures, asked))

    def _temperatures(self, asked: int) -> Reply:
        """Save, then show, then clear."""
        bins = self._meter.temperatures.seconds(self._meter.now_ns)
        if asked & SAVE:
            self._nonvolatile.keep_temperatures(struct.pack(f">{len(bins)}I", *bins))
        if asked & SAVED:
            kept = self._nonvolatile.kept.temperatures
            bins = list(struct.unpack(f">{len(bins)}I", kept)) if kept is not None else [0] * len(bins)
        data = TEMPERATURE_REPLY.build(
            {"sub_commands": asked, "hours_to_write": 0, "total_s": sum(bins), "bins_s": bins}
        )
        if asked & EMPTY:
            self._meter.temperatures.start(self._meter.now_ns)
        return Reply(lpl=data)
