"""Any sequence of writes to page 12h against a small oracle of the rules TUN-02 to TUN-07.

The oracle knows bytes, one laser and one clock; formulas are typed from the rule, nothing is taken from the module.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from cmis_host import ACTIVATED, DEACTIVATED, DP_DEINIT, INITIALIZED, OUTPUT_DISABLE_TX, Host
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Snapshot

GRID, CHANNEL, OFFSET, FREQUENCY, POWER, STATUS, FLAGS = 128, 136, 152, 168, 200, 222, 231
POWER_OOR, FINE_OOR, NOT_ACCEPTED, INVALID, UNLOCKED, COMPLETE = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
RANGES = {0: (-576, 960), 1: (-288, 480), 2: (-144, 240), 3: (-72, 120), 4: (-36, 60), 5: (-18, 30), 6: (-54, 90),
          7: (-72, 120)}  # fmt: skip
STEPS_MHZ = {0: 3125, 1: 6250, 2: 12500, 3: 25000, 4: 50000, 5: 100000, 6: 100000 / 3, 7: 25000}
CHANNEL_S, FINE_S = 4.0, 0.5
FLAGGED = {INITIALIZED, ACTIVATED}


class Oracle:
    """One lane of page 12h."""

    def __init__(self) -> None:
        self.bytes = {GRID: 0x70, CHANNEL: 0, CHANNEL + 1: 0, OFFSET: 0, OFFSET + 1: 0}
        self.power = struct.pack(">h", -1000)
        self.now = 0.0
        self.channel_mhz = self.target_mhz = self.here_mhz = 193_100_000
        self.until: float | None = None
        self.state = DEACTIVATED
        self.flags = 0

    def number(self, at: int) -> int:
        return int(struct.unpack(">h", bytes((self.bytes[at], self.bytes[at + 1])))[0])

    def write(self, at: int, data: bytes) -> None:
        here = {at + n: value for n, value in enumerate(data) if at + n in self.bytes}
        for place, value in here.items():
            self.bytes[place] = value & 0xF1 if place == GRID else value
        if here:
            self.request()

    def request(self) -> None:
        grid, channel = self.bytes[GRID] >> 4, self.number(CHANNEL)
        offset = self.number(OFFSET) if self.bytes[GRID] & 1 else 0
        low, high = RANGES.get(grid, (1, 0))
        bad = 0
        if not low <= channel <= high or (grid == 7 and channel % 3):
            bad |= INVALID
        if not -6000 <= offset <= 6000 or offset % 10:
            bad |= FINE_OOR
        self.flags |= bad
        if bad:
            return
        channel_mhz = round(193_100_000 + channel * STEPS_MHZ[grid])
        if channel_mhz + offset == self.target_mhz:
            return
        if self.state not in (DEACTIVATED, INITIALIZED):
            self.flags |= NOT_ACCEPTED
            return
        moving = self.until is not None
        fine = channel_mhz == self.channel_mhz and not moving
        self.channel_mhz, self.target_mhz = channel_mhz, channel_mhz + offset
        self.until = self.now + (FINE_S if fine else CHANNEL_S)
        if not moving:  # else the condition has held all along, and sets again in time (FLG-02)
            self.unlocked()

    def unlocked(self) -> None:
        if self.until is not None and self.state in FLAGGED:
            self.flags |= UNLOCKED

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.until is not None and self.until <= self.now:
            self.until = None
            self.here_mhz = self.target_mhz
            self.flags |= COMPLETE if self.state in FLAGGED else 0

    def read_flags(self) -> int:
        found, self.flags = self.flags, 0
        return found

    def output(self, power: bytes) -> None:
        if -1400 <= struct.unpack(">h", power)[0] <= -850:
            self.power = power
        else:
            self.flags |= POWER_OOR


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, Snapshot]]:
    with Emulator.load("qsfpdd-400g-zr", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(600)
        Host(emu.smbus(1)).control(DP_DEINIT, 0xFF)
        emu.clock.advance(1)
        Host(emu.smbus(1)).read(0x12, FLAGS, 8)
        yield emu, emu.snapshot()


CHANNELS = st.sampled_from([0, 3, 12, -72, 120, 121, 1, -75, 30, 960, -577, 32767, -32768])
GOOD = st.sampled_from([3, 12, -72])
GRIDS = st.sampled_from([0x70, 0x71, 0x71, 0x71, 0x50, 0x51, 0x00, 0x60, 0x80, 0xF0, 0x7F])
WRITES = st.one_of(
    st.tuples(st.just(GRID), GRIDS.map(lambda g: bytes([g]))),
    st.tuples(st.just(CHANNEL), CHANNELS.map(lambda n: struct.pack(">h", n))),
    st.tuples(st.just(CHANNEL), GOOD.map(lambda n: struct.pack(">h", n))),
    st.tuples(st.just(CHANNEL + 1), st.integers(0, 255).map(lambda n: bytes([n]))),
    st.tuples(st.just(OFFSET), st.sampled_from([10, -6000, 6000, 6010, 5]).map(lambda n: struct.pack(">h", n))),
    st.tuples(st.integers(GRID, OFFSET), st.binary(min_size=1, max_size=8)),
)
STEPS = st.lists(
    st.one_of(
        WRITES.map(lambda w: ("write", w)),
        WRITES.map(lambda w: ("write", w)),
        st.sampled_from([0.3, 0.6, 3.0, 5.0]).map(lambda t: ("wait", t)),
        st.just(("flags", None)),
        st.sampled_from([DEACTIVATED, INITIALIZED, ACTIVATED]).map(lambda s: ("state", s)),
        st.sampled_from([-1400, -850, -849, -1401, -1000]).map(lambda p: ("power", struct.pack(">h", p))),
    ),
    max_size=25,
)


@pytest.mark.rule("TUN-02", "TUN-04", "TUN-05", "TUN-06", "TUN-07")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(
    steps=[
        ("write", (OFFSET, struct.pack(">h", 10))),
        ("write", (CHANNEL, struct.pack(">h", 12))),
        ("write", (GRID, b"\x71")),
        ("wait", 0.6),
    ]
)
@example(
    steps=[
        ("state", INITIALIZED),
        ("write", (CHANNEL, struct.pack(">h", 3))),
        ("flags", None),
        ("write", (GRID, b"\x50")),
        ("flags", None),
    ]
)
def test_any_sequence_of_writes(kept: tuple[Emulator, Snapshot], steps: list[tuple[str, object]]) -> None:
    emu, snapshot = kept
    emu.restore(snapshot)
    host, oracle = Host(emu.smbus(1)), Oracle()
    for kind, what in steps:
        if kind == "write":
            at, data = what  # type: ignore[misc]
            host.write(0x12, at, *data)
            oracle.write(at, data)
        elif kind == "wait":
            emu.clock.advance(what)  # type: ignore[arg-type]
            oracle.advance(what)  # type: ignore[arg-type]
            if oracle.until is not None:
                oracle.unlocked()  # FLG-02: what still holds sets again
        elif kind == "flags":
            assert host.byte(0x12, FLAGS) == oracle.read_flags()
        elif kind == "power":
            host.write(0x12, POWER, *what)  # type: ignore[misc]
            oracle.output(what)  # type: ignore[arg-type]
        else:
            _move(emu, host, oracle, int(what))  # type: ignore[call-overload]
        frequency = int.from_bytes(host.read(0x12, FREQUENCY, 4), "big")
        assert frequency == oracle.here_mhz
        assert host.byte(0x12, STATUS) == (3 if oracle.until is not None else 0)
    if oracle.state == ACTIVATED and oracle.until is None:
        sent = int.from_bytes(host.read(0x11, 154, 2), "big")
        assert sent == pytest.approx(10 ** (struct.unpack(">h", oracle.power)[0] / 1000) * 1e4, rel=0.1)


def _move(emu: Emulator, host: Host, oracle: Oracle, state: int) -> None:
    """Bring the data path to a steady state; tunings end meanwhile, and what they flag on the way is read away."""
    host.control(DP_DEINIT, 0xFF if state == DEACTIVATED else 0)
    host.control(OUTPUT_DISABLE_TX, int(state != ACTIVATED))
    emu.clock.advance(30)
    oracle.advance(30)
    assert host.states() == [state] * 8
    oracle.state = state
    host.byte(0x12, FLAGS)
    oracle.flags = 0
    emu.clock.advance(0.3)
    oracle.advance(0.3)
    host.byte(0x12, FLAGS)
