"""Keeps a board in step with the module that it stands for: what changed is sent, what the bus did is applied.

Owns what is sent and when. The board's copy is compared with the module after each report, at each beat and at each
look; what differs goes out as one load for each half, so that values of several bytes do not tear, and then a SYNC,
which says "all that there was at your time T": the lease by which the board goes on answering. Reports are applied to
the module in the order in which they happened on the bus.

Clear-on-read is exact: a bit that the board cleared is cleared in the module unless it was set again after what the
board showed then was captured; such a bit stays, is sent once more and is read once more, as two events are on a real
module. No set is lost, none is seen twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cmis_emu.bus.cages import Cage, PageRules, Source, tell
from cmis_emu.bus.pico import wire
from cmis_emu.bus.pico.link import Beat, Info, Link
from cmis_emu.bus.pico.replica import Page, Place, Replica
from cmis_emu.bus.pico.wire import NO_SLOT, End, Kind, Lamp, Side, Table
from cmis_emu.bus.target import HALF
from cmis_emu.clock import NS_PER_MS
from cmis_emu.errors import NotAvailableError
from cmis_emu.registers.field import LOWER

LIVE_NS = 50 * NS_PER_MS
"""Values that are computed when read are computed for the board this often."""
LEASE_MS = 500
HOLD_MS = 10
"""tNACK: the longest that a board holds off accesses because of a write (spec: QSFP-DD hardware, recalled)."""

_BEATS = 64

PIN_SETS = {"none": 0, "qsfp-dd": 1, "osfp": 2}
_SIDES = {Side.RESET_L: "ResetL", Side.LP_MODE: "LPMode", Side.MOD_SEL_L: "ModSelL"}

_Load = tuple[int, Callable[[Replica], None]]
"""Number of a message, and what it does on the board."""


class Mirror:
    """Between the module in `cage` and the board at the other end of `link`.

    lease_ms: so long after the host was last heard of the board goes on answering. hold_ms: so long it may hold off
    accesses after a write that does something; 0: it never does.
    """

    def __init__(
        self, link: Link, cage: Cage, *, pins: str = "none", lease_ms: int = LEASE_MS, hold_ms: int = HOLD_MS
    ) -> None:
        self.link = link
        self.replica: Replica | None = None
        self.stats: dict[str, int] = {}
        self._cage = cage
        self._pins = PIN_SETS[pins]
        self._lease_ms = lease_ms
        self._hold_ms = hold_ms
        self._source: Source | None = None
        self._ahead: list[bytearray] = []  # the board's pages once everything that was sent is there
        self._ahead_upper = 0
        self._rules: list[PageRules] = []
        self._flight: deque[_Load] = deque()
        self._applied = 0  # reports that the module has had
        self._piece = bytearray()
        self._latched: dict[Place, list[tuple[int, int]]] = {}
        self._enabled = False
        self._lamps: int | None = None
        self._resets = 0
        self._live_ns = 0
        self._beats: deque[Beat] = deque(maxlen=_BEATS)  # that wait for reports
        self._beat: Beat | None = None
        self._synced = (-1, -1)
        link.on_open = self._opened
        link.on_report = self._reported
        link.on_beat = self._beaten
        link.on_stats = self._counted

    def close(self) -> None:
        """The module is nobody's any more."""
        if self._source is not None:
            self._source.watch(None)
            self._source = None

    def farewell(self) -> None:
        """Let the board answer nobody, and show an empty cage."""
        if self.link.opened:
            self._enable(False)
            self.link.send(Kind.PINS, b"\0")

    def step(self, data: bytes = b"") -> None:
        """Bytes that came from the board, if any, and a look at the module. Callers hold the emulator's lock."""
        self._cage.now_ns()
        self.link.feed(data)
        self.look()

    # -- a session ---------------------------------------------------------------------------------

    def _opened(self, info: Info) -> None:
        self.close()
        self._flight.clear()
        self._latched.clear()
        self._piece.clear()
        self._applied = 0
        self._enabled = False
        self._lamps = None
        self._beat = None
        self._beats.clear()
        self._synced = (-1, -1)
        source = self._source = self._cage.source()
        if source is None:
            self.replica = None
            self.link.send(Kind.SETUP, wire.SETUP.pack(0, 1, self._pins, self._lease_ms, self._hold_ms, 0))
            return
        plans = source.pages()
        if len(plans) > info.slots:
            found = f"found a module with {len(plans)} pages in all banks"
            raise NotAvailableError(f"pico: {found}, expected {info.slots} at most, for which the board has room")
        slots = {(plan.number, plan.bank): slot for slot, plan in enumerate(plans)}
        banks = 1 + max(plan.bank for plan in plans)
        limit = source.read_limit if source.read_limit < HALF else 0
        head = wire.SETUP.pack(int(source.flat), banks, self._pins, self._lease_ms, self._hold_ms, limit)
        self.link.send(Kind.SETUP, head)
        pages = []
        for slot, plan in enumerate(plans):
            following = NO_SLOT if plan.next is None else slots[plan.next]
            number = 0 if plan.number == LOWER else plan.number
            body = wire.PAGE.pack(slot, number, plan.bank, int(plan.banked), following, plan.limit)
            self.link.send(Kind.PAGE, body)
            pages.append(Page(plan.number, plan.bank, plan.banked, following))
        self.replica = Replica(pages, flat=source.flat)
        self._ahead = [bytearray(HALF) for _ in pages]
        self._ahead_upper = self.replica.upper
        self._rules = [PageRules(bytes(HALF), bytes(HALF), bytes(HALF))] * len(pages)
        self._resets = source.resets()
        self._live_ns = -LIVE_NS
        source.watch(self._set)

    # -- what the bus did --------------------------------------------------------------------------

    def _reported(self, kind: int, number: int, body: bytes) -> None:
        if kind == Kind.SIDE:
            applied, levels = wire.SIDE.unpack(body)
            self._retire(self._unwrap(applied))
            self._applied = number
            for side, name in _SIDES.items():
                self._cage.drive(name, bool(levels & side))
        elif kind == Kind.WRITE:
            applied, slot, address, end = wire.WRITE.unpack_from(body)
            self._retire(self._unwrap(applied))
            self._piece += body[wire.WRITE.size :]
            if end != End.MORE:
                data = bytes(self._piece)  # every piece says where the whole began
                self._piece.clear()
                self._wrote(number, slot, address, data)
                self._applied = number
        elif kind == Kind.READ:
            applied, slot, address, _, count = wire.READ.unpack_from(body)
            pairs = body[wire.READ.size :]
            self._retire(self._unwrap(applied))
            self._read(number, slot, address, count, list(zip(pairs[::2], pairs[1::2], strict=True)))
            self._applied = number

    def _unwrap(self, number: int) -> int:
        return wire.unwrap(number, self.link.next_number - 1)

    def _retire(self, number: int) -> None:
        """The board has taken messages up to this one."""
        while self._flight and self._flight[0][0] <= number:
            assert self.replica is not None
            self._flight.popleft()[1](self.replica)
        if self._latched:
            for place, sets in list(self._latched.items()):
                left = [each for each in sets if each[0] > number]
                if left:
                    self._latched[place] = left
                else:
                    del self._latched[place]

    def _wrote(self, number: int, slot: int, address: int, data: bytes) -> None:
        replica, source = self.replica, self._source
        if replica is None or source is None:
            return
        self._settle(replica, replica.wrote(number, slot, address, data))
        page = replica.pages[slot]
        tell(self._cage, False, page.number, page.bank, address, data)
        if source is self._cage.source():
            source.write(page.number, page.bank, address, data)

    def _read(self, number: int, slot: int, address: int, count: int, clears: list[tuple[int, int]]) -> None:
        replica, source = self.replica, self._source
        if replica is None or source is None:
            return
        out, touched = replica.read(number, slot, address, count, clears)
        self._settle(replica, touched)
        page = replica.pages[slot]
        cleared: dict[int, int] = {}
        for index, bits in clears:
            again = 0
            for _, each in self._latched.get((slot, index), ()):
                again |= each
            cleared[index] = cleared.get(index, 0) | bits & ~again
        tell(self._cage, True, page.number, page.bank, address, out)
        if source is self._cage.source():
            source.clocked_out(page.number, page.bank, address, count, cleared)

    def _settle(self, replica: Replica, touched: set[Place]) -> None:
        """The bus changed these bytes: loads on the way will not, since they were sent before anybody knew."""
        for slot, index in touched:
            self._ahead[slot][index] = replica.pages[slot].data[index]
        self._ahead_upper = replica.upper

    def _set(self, page: int, bank: int, index: int, bits: int) -> None:
        """Flag bits were set: before the next message goes out, and after all that went."""
        if self.replica is not None:
            place = self.replica.slots[page, bank], index
            self._latched.setdefault(place, []).append((self.link.next_number, bits))

    def _beaten(self, beat: Beat) -> None:
        self._beats.append(beat)

    def _catch_up(self) -> None:
        """A beat counts once every report that was made before it has been dealt with."""
        while self._beats and self._beats[0].reports <= self._applied:
            self._beat = beat = self._beats.popleft()
            self._retire(beat.applied)

    def _counted(self, stats: dict[str, int]) -> None:
        self.stats = stats

    # -- what the module did -----------------------------------------------------------------------

    def look(self) -> None:
        """Send what the board does not have, unless it still has to take what was sent before."""
        link = self.link
        if not link.opened:
            return
        if self._cage.source() is not self._source:
            link.reopen()
            return
        if link.backlog:
            return
        source, replica = self._source, self.replica
        ready = False
        if source is not None and replica is not None:
            ready = source.ready()
            if not ready:
                self._enable(False)  # before the bytes: nobody sees a reset half done
            now = self._cage.now_ns()
            live = now - self._live_ns >= LIVE_NS
            if live:
                self._live_ns = now
            if source.resets() != self._resets:
                self._resets = source.resets()
                link.send(Kind.RESTART)
            self._send_rules(source, replica)
            self._send_bytes(source, replica, live)
            self._send_map(source, replica)
        self._send_state(ready)
        self._send_sync()

    def _send_rules(self, source: Source, replica: Replica) -> None:
        for slot, page in enumerate(replica.pages):
            rules, known = source.rules(page.number, page.bank), self._rules[slot]
            if rules is known:
                continue
            self._rules[slot] = rules
            tables = [(Table.WRITE, rules.write, known.write), (Table.CLEAR, rules.clear, known.clear)]
            if self._hold_ms:
                tables.append((Table.HOLD, _packed(rules.hold), _packed(known.hold)))
            for table, new, old in tables:
                first, last = _span(new, old)
                if first <= last:
                    body = bytes([slot, table, first]) + new[first : last + 1]
                    number = self.link.send(Kind.ATTR, body)
                    if table is not Table.HOLD:
                        self._flight.append((number, _attribute(slot, table, new)))

    def _send_bytes(self, source: Source, replica: Replica, live: bool) -> None:
        seen = self._applied
        for slot, page in enumerate(replica.pages):
            shown, ahead = source.shown(page.number, page.bank, live=live), self._ahead[slot]
            if shown == ahead:
                continue
            first, last = _span(shown, ahead)
            data = shown[first : last + 1]
            ahead[first : last + 1] = data
            number = self.link.send(Kind.LOAD, wire.LOAD.pack(slot, first, seen % wire.NUMBERS) + data)
            self._flight.append((number, _load(slot, first, data, seen)))

    def _send_map(self, source: Source, replica: Replica) -> None:
        slot = replica.slots[source.mapped()]
        if slot != self._ahead_upper:
            self._ahead_upper = slot
            seen = self._applied
            number = self.link.send(Kind.MAP, wire.MAP.pack(slot, seen % wire.NUMBERS))
            self._flight.append((number, lambda board: board.map(slot, seen)))

    def _send_state(self, ready: bool) -> None:
        """After the bytes: who sees the interrupt finds the flag."""
        present, interrupt = (not self._cage.level(name) for name in ("ModPrsL", "IntL"))
        lamps = Lamp.PRESENT * present | Lamp.INTERRUPT * interrupt
        if lamps != self._lamps:
            self._lamps = lamps
            self.link.send(Kind.PINS, bytes([lamps]))
        self._enable(ready)

    def _enable(self, ready: bool) -> None:
        if ready != self._enabled:
            self._enabled = ready
            self.link.send(Kind.ENABLE, bytes([ready]))

    def _send_sync(self) -> None:
        """All that happened before the beat was heard of, and all that there was then was sent."""
        self._catch_up()
        if self._beat is None:
            return
        known = (self._applied, self._beat.ms)
        if known != self._synced:
            self._synced = known
            seen, ms = known
            number = self.link.send(Kind.SYNC, wire.SYNC.pack(seen % wire.NUMBERS, ms))
            if self.replica is not None:
                self._flight.append((number, lambda board: board.seen(seen)))


def _load(slot: int, offset: int, data: bytes, seen: int) -> Callable[[Replica], None]:
    return lambda board: board.load(slot, offset, data, seen)


def _attribute(slot: int, table: Table, whole: bytes) -> Callable[[Replica], None]:
    def apply(board: Replica) -> None:
        if table is Table.WRITE:
            board.pages[slot].write = whole
        else:
            board.pages[slot].clear = whole

    return apply


def _packed(hold: bytes) -> bytes:
    """One bit for each byte, lowest first."""
    return bytes(sum(bool(hold[at + bit]) << bit for bit in range(8)) for at in range(0, HALF, 8))


def _span(new: bytes, old: bytes | bytearray) -> tuple[int, int]:
    """First and last index that differ; the last before the first when none does."""
    differing = [index for index, (a, b) in enumerate(zip(new, old, strict=True)) if a != b]
    return (differing[0], differing[-1]) if differing else (0, -1)
