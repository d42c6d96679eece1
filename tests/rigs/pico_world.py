"""A board, a host that may die, a line that loses, garbles, doubles and delays, and a module that keeps a diary.

The module is a small one of its own (a `Source`), so that what it showed at each moment is known without asking the
code under test; `World.read` and `World.write` are a bus master that judges every byte it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rigs.board import Board

from cmis_emu.bus.cages import Latched, PagePlan, PageRules
from cmis_emu.bus.pico.link import Link
from cmis_emu.bus.pico.mirror import Mirror
from cmis_emu.bus.target import Target

LOWER = -1
HALF = 128
LEASE_MS = 200
HOLD_MS = 10
FLAGS = {(LOWER, 0): range(8, 14), (0x11, 0): range(6, 26), (0x11, 1): range(6, 26)}
"""Indices of bytes that clear on read, by page and bank."""
STORED = range(0, 64)
"""Of page 10h: indices that keep what is written."""
CLAMPED = range(64, 72)
"""Of page 10h: the module keeps the upper half of what is written, some time later."""
TRIGGER = 80
"""Of page 10h: what is written shows, plus one, in page 11h at EFFECT."""
EFFECT = 100
LIVE = {(LOWER, 0): range(14, 30), (0, 0): range(0, 128), (0x11, 0): range(26, 90), (0x11, 1): range(26, 90)}
"""Bytes that only the module changes."""

Key = tuple[int, int, int]
"""Page, bank, index in the half."""


class Chance:
    """A cheap source of decisions, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 2 + 1

    def below(self, limit: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self._state >> 33) % limit


@dataclass
class Line:
    """One direction. Chances in percent; frames are delayed by 0 to `delay_ms`."""

    chance: Chance
    lost: int = 0
    garbled: int = 0
    doubled: int = 0
    delay_ms: int = 0
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)
    sent: int = 0

    def send(self, now_ms: int, data: bytes) -> None:
        for piece in data.split(b"\0")[:-1]:
            for _ in range(2 if self.chance.below(100) < self.doubled else 1):
                if self.chance.below(100) < self.lost:
                    continue
                frame = bytearray(piece + b"\0")
                if self.chance.below(100) < self.garbled:
                    frame[self.chance.below(len(frame))] ^= 1 << self.chance.below(8)
                self.sent += 1
                due = now_ms + (self.chance.below(self.delay_ms + 1) if self.delay_ms else 0)
                self.waiting.append((due, self.sent, bytes(frame)))

    def arrive(self, now_ms: int) -> bytes:
        due = sorted(each for each in self.waiting if each[0] <= now_ms)
        self.waiting = [each for each in self.waiting if each[0] > now_ms]
        return b"".join(each[2] for each in due)


class Module:
    """The module, and its diary: when each byte came to show what."""

    def __init__(self) -> None:
        self.flat = False
        self.read_limit = HALF
        keys = [(LOWER, 0), (0, 0), (0x10, 0), (0x10, 1), (0x11, 0), (0x11, 1)]
        self.data = {key: bytearray(HALF) for key in keys}
        self.up = True
        self.now = 0
        self.diary: dict[Key, list[tuple[int, int]]] = {}
        self.writes: list[tuple[int, int, int, bytes]] = []
        self._mapped = (0, 0)
        self._latched: Latched | None = None
        self._rules = {key: self._judge(*key) for key in keys}
        for key in keys:
            for index in LIVE.get(key, ()):
                self.put(*key, index, (index * 7 + key[0] + key[1]) & 0xFF)

    def _judge(self, page: int, bank: int) -> PageRules:
        write, clear, hold = bytearray(HALF), bytearray(HALF), bytearray(HALF)
        for index in FLAGS.get((page, bank), ()):
            clear[index] = 0xFF
        if page == 0x10:
            for index in (*STORED, *CLAMPED):
                write[index] = 0xFF
            write[TRIGGER] = hold[TRIGGER] = 0xFF
        return PageRules(bytes(write), bytes(clear), bytes(hold))

    def put(self, page: int, bank: int, index: int, value: int) -> None:
        self.data[page, bank][index] = value
        self.diary.setdefault((page, bank, index), [(-(1 << 30), 0)]).append((self.now, value))

    def showed(self, key: Key, since: int) -> set[int]:
        """Everything that a byte showed from `since` on."""
        found: set[int] = set()
        for when, value in reversed(self.diary.get(key, [(-(1 << 30), 0)])):
            found.add(value)
            if when < since:
                break
        return found

    def latch(self, page: int, bank: int, index: int, bits: int) -> None:
        self.data[page, bank][index] |= bits
        if self._latched is not None:
            self._latched(page, bank, index, bits)

    # -- Source --

    def pages(self) -> list[PagePlan]:
        return [PagePlan(page, bank, page in (0x10, 0x11), 8, None) for page, bank in self.data]

    def rules(self, page: int, bank: int) -> PageRules:
        return self._rules[page, bank]

    def shown(self, page: int, bank: int, *, live: bool) -> bytes:
        return bytes(self.data[page, bank])

    def mapped(self) -> tuple[int, int]:
        return self._mapped

    def ready(self) -> bool:
        return self.up

    def resets(self) -> int:
        return 0

    def write(self, page: int, bank: int, address: int, data: bytes) -> None:
        self.writes.append((page, bank, address, data))
        for index, value in enumerate(data, address & 127):
            if page == LOWER and index == 127:
                known = (value, self.data[LOWER, 0][126])
                found = known if known in self.data else (value, 0) if (value, 0) in self.data else (0, 0)
                if value in (0x10, 0x11) and known not in self.data:
                    found = (0, 0)
                self._mapped = found
                self.data[LOWER, 0][126:] = bytes([known[1] if found[0] or not value else 0, found[0]])
            elif page == LOWER and index == 126:
                self.data[LOWER, 0][126] = value
            elif page == 0x10 and index in CLAMPED:
                self.data[page, bank][index] = value & 0xF0
            elif page == 0x10 and (index in STORED or index == TRIGGER):
                self.data[page, bank][index] = value
                if index == TRIGGER:
                    self.put(0x11, bank, EFFECT, (value + 1) & 0xFF)

    def clocked_out(self, page: int, bank: int, address: int, count: int, cleared: dict[int, int]) -> None:
        for index, bits in cleared.items():
            self.data[page, bank][index] &= ~bits & 0xFF

    def watch(self, latched: Latched | None) -> None:
        self._latched = latched


class Cage:
    """Meets `Cage`."""

    def __init__(self, module: Module) -> None:
        self.target = Target()
        self.module: Module | None = module
        self.pins: dict[str, bool] = {}
        self.interrupt = False
        self.clock: Callable[[], int] = lambda: 0

    def source(self) -> Module | None:
        return self.module

    def drive(self, pin: str, level: bool) -> None:
        self.pins[pin] = level

    def level(self, pin: str) -> bool:
        return not self.interrupt if pin == "IntL" else self.module is None

    def now_ns(self) -> int:
        return self.clock() * 1_000_000


class World:
    """Everything together, one millisecond after the other."""

    def __init__(self, board: Board, seed: int = 1, *, pins: str = "none") -> None:
        self.board = board
        self.now = 10_000
        self.chance = Chance(seed)
        self.to_board, self.to_host = Line(self.chance), Line(self.chance)
        self.module = Module()
        self.cage = Cage(self.module)
        self.cage.clock = lambda: self.now
        self.pins = pins
        self.alive = True
        self.died = 0
        self.latches: dict[Key, dict[int, list[int]]] = {}
        self.seen: dict[Key, dict[int, list[int]]] = {}
        self.stored: dict[Key, int] = {}
        self.triggered: dict[int, tuple[int, int]] = {}
        self.nacks = self.reads = 0
        self._order = 0  # of what happens to flags
        self.sessions = 0
        self._pending = b""
        self.start_host()

    def start_host(self) -> None:
        """A new host process: it knows nothing of the last one."""
        self.sessions += 1
        self.link = Link(lambda data: self.to_board.send(self.now, data), 1000 + self.sessions)
        self.mirror = Mirror(self.link, self.cage, pins=self.pins, lease_ms=LEASE_MS, hold_ms=HOLD_MS)
        self.link.knock()
        self.alive = True

    def kill_host(self) -> None:
        if self.alive:
            self.alive = False
            self.died = self.now

    def trouble(self, lost: int, garbled: int, doubled: int, delay_ms: int) -> None:
        for line in (self.to_board, self.to_host):
            line.lost, line.garbled, line.doubled, line.delay_ms = lost, garbled, doubled, delay_ms

    def run(self, ms: int) -> None:
        for _ in range(ms):
            self.now += 1
            self.module.now = self.now
            self.board.bus.serve()  # late as it may be, it is not later than this
            self.board.tick(self.now)
            self._pending += self.to_board.arrive(self.now)
            taken = self.board.receive(self._pending)
            self._pending = self._pending[taken:]
            while frame := self.board.transmit():
                self.to_host.send(self.now, frame)
            if self.alive:
                if self.now % 50 == 0:
                    self.link.knock()
                self.mirror.step(self.to_host.arrive(self.now))
            else:
                self.to_host.arrive(self.now)  # nobody reads it

    def settle(self) -> None:
        """All is well again, and goes on for a while."""
        self.trouble(0, 0, 0, 0)
        self.run(400)

    # -- the module's side -----------------------------------------------------------------------------

    def latch(self, page: int, bank: int, index: int, bit: int) -> None:
        self.module.latch(page, bank, index, 1 << bit)
        self._order += 1
        self.latches.setdefault((page, bank, index), {}).setdefault(bit, []).append(self._order)

    # -- the bus ---------------------------------------------------------------------------------------

    def _select(self, page: int, bank: int) -> bool:
        bus = self.board.bus
        if not bus.start(read=False):
            self.nacks += 1
            assert not self._must_answer
            return False
        if page != LOWER:
            for value in (126, bank, page):
                bus.write_byte(value)
        return True

    _must_answer = False

    def write(self, page: int, bank: int, index: int, values: bytes) -> bool:
        """A write transaction of its own; False when it was not acknowledged."""
        bus = self.board.bus
        address = index | (0 if page == LOWER else HALF)
        if not self._select(page, bank):
            bus.end()
            return False
        if page != LOWER:
            assert bus.start(read=False)
        for value in (address, *values):
            assert bus.write_byte(value)
        bus.end()
        self._check_alive()
        for at, value in enumerate(values, index):
            if page == 0x10 and (at in STORED or at in CLAMPED):
                self.stored[page, bank, at] = value
            if page == 0x10 and at == TRIGGER:
                self.triggered[bank] = (self.now, value)
        return True

    def read(self, page: int, bank: int, index: int, count: int) -> bytes | None:
        """A random read, judged; None when it was not acknowledged."""
        bus = self.board.bus
        if not self._select(page, bank):
            bus.end()
            return None
        if page != LOWER:
            assert bus.start(read=False)
        bus.write_byte(index | (0 if page == LOWER else HALF))
        assert bus.start(read=True)
        found = bytearray()
        for _ in range(count):
            found.append(bus.peek())
            bus.commit()
        bus.end()
        self._check_alive()
        self.reads += 1
        for at, value in enumerate(found, index):
            self._judge((page, bank, at), value)
        return bytes(found)

    def _check_alive(self) -> None:
        assert self.alive or self.now - self.died <= LEASE_MS, "a dead host's module answers"

    def _judge(self, key: Key, value: int) -> None:
        page, bank, index = key
        if index in FLAGS.get((page, bank), ()):
            for bit in range(8):
                if value >> bit & 1:
                    seen = self.seen.setdefault(key, {}).setdefault(bit, [])
                    self._order += 1
                    seen.append(self._order)
                    sets = self.latches.get(key, {}).get(bit, [])
                    assert len(seen) <= len(sets), f"{key} bit {bit} was seen more often than it was set"
        elif page == 0x10 and (index in STORED or index in CLAMPED):
            expected = self.stored.get(key, 0)
            allowed = {expected, expected & 0xF0} if index in CLAMPED else {expected}
            assert value in allowed, f"{key}: found {value:#x}, expected {allowed}"
        elif index in LIVE.get((page, bank), ()) or (page == 0x11 and index == EFFECT):
            allowed = self.module.showed(key, self.now - LEASE_MS - 1)
            assert value in allowed, f"{key}: found {value:#x}, expected one of {allowed}"
            if page == 0x11 and index == EFFECT and bank in self.triggered:
                when, wrote = self.triggered[bank]
                if self.now - when < HOLD_MS and not self.board.bus.late:  # late: it was addressed before it knew
                    assert value == (wrote + 1) & 0xFF, "it answered before the write had its effect"

    def finish(self) -> None:
        """All is well: everything is as it should be, and each flag that was set has been read since."""
        if not self.alive:
            self.alive = True
        self.settle()
        self._must_answer = True
        for page, bank in self.module.data:
            self.read(page, bank, 0, 126 if page == LOWER else HALF)
            self.run(5)
        self.settle()
        for key, shown in ((key, self.module.data[key]) for key in self.module.data):
            for index in FLAGS.get(key, ()):
                assert shown[index] == 0, f"{key} {index}: {shown[index]:#x} was never read"
            if key[0] == LOWER:
                found = self.read(*key, 0, 126)
                assert found == bytes(shown[:126])
            else:
                assert self.read(*key, 0, HALF) == bytes(shown)
        for key, value in self.stored.items():
            kept = value & 0xF0 if key[2] in CLAMPED else value
            assert self.module.data[key[:2]][key[2]] == kept, f"{key}: the module holds something else"
        for key, bits in self.latches.items():
            for bit, when in bits.items():
                seen = self.seen.get(key, {}).get(bit, [])
                assert max(seen, default=-1) > when[-1], f"{key} bit {bit} was lost"
