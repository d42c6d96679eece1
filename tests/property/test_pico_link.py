"""Whatever the line does, and whether or not the host lives: no byte on the bus is wrong, and every flag is read once.

A bus master reads and writes through the simulated board while frames are lost, garbled, doubled and reordered, the
module changes, and the host dies and comes back. What may be read is judged by the module's diary (`pico_world`).
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from rigs.board import Board, CBoard
from rigs.mpy_board import MicroPythonBoard
from rigs.pico_world import CLAMPED, FLAGS, LIVE, LOWER, STORED, TRIGGER, World

BANKS = st.sampled_from([0, 1])
PLACES = st.sampled_from([(page, bank, index) for (page, bank), flags in FLAGS.items() for index in flags])
PAGES = st.sampled_from([(LOWER, 0), (0, 0), (0x10, 0), (0x10, 1), (0x11, 0), (0x11, 1)])
LIVES = st.sampled_from([(page, bank, index) for (page, bank), at in LIVE.items() for index in at])
CHANCE = st.sampled_from([0, 0, 5, 20, 50])


class PicoLink(RuleBasedStateMachine):
    board: type[Board] = CBoard

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        self.world = World(self.board(), seed)
        self.world.run(40)

    @rule(lost=CHANCE, garbled=CHANCE, doubled=CHANCE, delay=st.sampled_from([0, 1, 3, 10, 60]))
    def trouble(self, lost: int, garbled: int, doubled: int, delay: int) -> None:
        self.world.trouble(lost, garbled, doubled, delay)

    @rule(ms=st.sampled_from([1, 1, 2, 5, 20, 90, 300]))
    def wait(self, ms: int) -> None:
        self.world.run(ms)

    @rule(place=PLACES, bit=st.integers(0, 7), times=st.integers(1, 3), gap=st.sampled_from([0, 1, 4]))
    def latch(self, place: tuple[int, int, int], bit: int, times: int, gap: int) -> None:
        for _ in range(times):
            self.world.latch(*place, bit)
            self.world.run(gap)

    @rule(place=LIVES, value=st.integers(0, 255))
    def change(self, place: tuple[int, int, int], value: int) -> None:
        self.world.module.put(*place, value)

    @rule(place=PLACES)
    def read_flag(self, place: tuple[int, int, int]) -> None:
        self.world.read(*place, 1)

    @rule(place=PLACES, bit=st.integers(0, 7), gap=st.sampled_from([0, 1, 2, 30]), again=st.sampled_from([0, 1, 2]))
    def race_for_a_flag(self, place: tuple[int, int, int], bit: int, gap: int, again: int) -> None:
        self.world.latch(*place, bit)
        self.world.run(gap)
        self.world.read(*place, 1)
        self.world.run(again)
        self.world.latch(*place, bit)
        self.world.run(again)
        self.world.read(*place, 1)

    @rule(page=PAGES, index=st.integers(0, 100), count=st.integers(1, 26))
    def read(self, page: tuple[int, int], index: int, count: int) -> None:
        self.world.read(*page, index, count)

    @rule(bank=BANKS, index=st.sampled_from([*STORED, *CLAMPED]), data=st.binary(min_size=1, max_size=8))
    def write(self, bank: int, index: int, data: bytes) -> None:
        self.world.write(0x10, bank, index, data[: max(1, CLAMPED.stop - index)])

    @rule(bank=BANKS, value=st.integers(0, 255), gap=st.sampled_from([0, 1, 3, 9]))
    def act(self, bank: int, value: int, gap: int) -> None:
        if self.world.write(0x10, bank, TRIGGER, bytes([value])):
            self.world.run(gap)
        self.world.read(0x11, bank, 100, 1)

    @rule(late=st.booleans())
    def interrupts_come_late(self, late: bool) -> None:
        self.world.board.bus.late = late

    @rule()
    def others_talk(self) -> None:
        self.world.board.bus.elsewhere()

    @rule(ms=st.sampled_from([10, 100, 250, 900]))
    def host_dies(self, ms: int) -> None:
        self.world.kill_host()
        self.world.run(ms)
        self.world.read(0, 0, 0, 8)
        self.world.alive = True  # it was stopped, and goes on

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()


class MicroPythonLink(PicoLink):
    """The same with the other firmware."""

    board = MicroPythonBoard


SLOW = [HealthCheck.too_slow]
TestPicoLink = PicoLink.TestCase
TestPicoLink.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=SLOW)
TestMicroPythonLink = MicroPythonLink.TestCase
TestMicroPythonLink.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=SLOW
)
