"""Gets messages to a board and reports from it, each once and in order, over a line that may lose, garble and reorder.

Owns sessions, numbers, acknowledgements and repetition (go-back-N). It has no timer of its own: the board beats every
20 ms and says what it has taken, and by that beat what is missing is sent again. A session opens with the number that
the board last told, so that no stray frame of an earlier one can open it again.
"""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cmis_emu.bus.pico import wire
from cmis_emu.bus.pico.wire import BeatFlag, Frame, Kind

WINDOW = 24  # messages on the way at once
_AGAIN_MS = 80  # of the board's time without progress, until everything is sent again
_GAP_MS = 5  # the same after the board has missed one
_SESSIONS = 1 << 16
_NONCES = 1 << 32
_STALE = 1 << 8  # what a board said in so many sessions before may still be on the way


@dataclass(frozen=True, slots=True)
class Info:
    """What a board says of itself. slots: pages that it has room for, the lower memory included."""

    version: int
    firmware: str
    slots: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life. ms: the board's time. reports: the last one that it made. applied: the last message taken."""

    ms: int
    reports: int
    applied: int
    flags: BeatFlag


@dataclass(slots=True)
class _Sent:
    number: int
    kind: int
    body: bytes
    ms: int


class Link:
    """The host's end. `transmit` puts bytes on the line; what comes is given to `feed`.

    on_open: a session is open, with nothing on the board. on_report: (kind, number, body) in order. on_beat: a beat.
    """

    def __init__(self, transmit: Callable[[bytes], None], session: int) -> None:
        self._transmit = transmit
        self.on_open: Callable[[Info], None] = _ignore
        self.on_report: Callable[[int, int, bytes], None] = _ignore
        self.on_beat: Callable[[Beat], None] = _ignore
        self.on_stats: Callable[[dict[str, int]], None] = _ignore
        self.info: Info | None = None
        self.opened = False
        self.session = session % _SESSIONS
        self._asked: int | None = None  # the board's number with which the session is to open, or was opened
        self._buffer = bytearray()
        self._next = 1  # number of the next message
        self._queue: deque[_Sent] = deque()
        self._sent: deque[_Sent] = deque()
        self._received = 0
        self._owed = False
        self._missed = False
        self._ms = 0
        self._again_ms = 0

    # -- sessions ------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Begin anew: what is on the board goes, and what it has not reported yet is lost."""
        self.opened = False
        self.session = (self.session + 1) % _SESSIONS
        self._asked = None
        self._next = 1
        self._queue.clear()
        self._sent.clear()
        self._received = 0
        self._owed = self._missed = False
        self.knock()

    def knock(self) -> None:
        """Say something for the case that the last thing was lost; harmless at any time."""
        if not self.opened:
            if self._asked is None:
                self._put(Frame(Kind.QUERY, self.session, 0, 0))
            else:
                self._put(Frame(Kind.OPEN, self.session, 0, 0, wire.OPEN.pack(self._asked)))
        else:
            self._put(Frame(Kind.ACK, self.session, 0, self._received, b"\0"))

    # -- to the board --------------------------------------------------------------------------------

    @property
    def next_number(self) -> int:
        """Number of the message that is sent next."""
        return self._next

    @property
    def backlog(self) -> int:
        """Messages that were not put on the line yet."""
        return len(self._queue)

    def send(self, kind: Kind, body: bytes = b"") -> int:
        """A message of the stream; its number."""
        number = self._next
        self._next += 1
        self._queue.append(_Sent(number, kind, body, 0))
        self._push()
        return number

    def ask_stats(self) -> None:
        """Ask for the board's counters."""
        self._put(Frame(Kind.ASK, self.session, 0, self._received))

    def _push(self) -> None:
        while self._queue and len(self._sent) < WINDOW:
            each = self._queue.popleft()
            each.ms = self._ms
            self._sent.append(each)
            self._put_sent(each)

    def _put_sent(self, each: _Sent) -> None:
        self._owed = False
        self._put(Frame(each.kind, self.session, each.number, self._received, each.body))

    def _put(self, frame: Frame) -> None:
        self._transmit(frame.encode())

    def _taken(self, number: int) -> None:
        while self._sent and self._sent[0].number <= number:
            self._sent.popleft()
        self._push()

    def _send_again(self) -> None:
        self._again_ms = self._ms
        for each in self._sent:
            each.ms = self._ms
            self._put_sent(each)

    # -- from the board --------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the line."""
        self._buffer += data
        while (end := self._buffer.find(0)) >= 0:
            coded = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            frame = wire.decode(coded) if coded else None
            if frame is not None:
                with contextlib.suppress(struct.error):  # a frame of another firmware, or of none
                    self._take(frame)
        if len(self._buffer) > wire.CODED_MAX:
            self._buffer.clear()
        if self.opened and (self._owed or self._missed):
            self._put(Frame(Kind.ACK, self.session, 0, self._received, bytes([self._missed])))
            self._owed = self._missed = False

    def _take(self, frame: Frame) -> None:
        if frame.kind == Kind.INFO:
            self._introduced(frame)
            return
        if not self.opened or frame.session != self.session:
            return
        self._taken(wire.unwrap(frame.acknowledged, self._next - 1))
        if frame.kind == Kind.BEAT:
            self._beat(frame)
        elif frame.kind == Kind.STATS:
            self.on_stats(dict(zip(wire.STAT_NAMES, wire.STATS.unpack(frame.body), strict=True)))
        elif frame.kind >= Kind.WRITE:
            number = wire.unwrap(frame.number, self._received)
            if number == self._received + 1:
                self._received = number
                self._owed = True
                self.on_report(frame.kind, number, frame.body)
            elif number > self._received:
                self._missed = True
            else:
                self._owed = True

    def _introduced(self, frame: Frame) -> None:
        magic, version, firmware, nonce, slots, _ = wire.INFO.unpack(frame.body[: wire.INFO.size])
        if magic != wire.MAGIC:
            return
        self.info = Info(version, wire.FIRMWARE_KINDS.get(firmware, f"kind {firmware}"), slots)
        if version != wire.VERSION:
            return
        age = None if self._asked is None else (self._asked + 1 - nonce) % _NONCES
        if self.opened:
            if age is None or not age < _STALE:  # it was started anew
                self.reopen()
        elif age == 0 and frame.session == self.session:
            self.opened = True
            self._ms = self._again_ms = 0
            self.on_open(self.info)
        elif age is None or not 1 < age < _STALE:
            self._asked = nonce
            self.knock()

    def _beat(self, frame: Frame) -> None:
        ms, reports, flags = wire.BEAT.unpack(frame.body)
        if ms < self._ms:  # its time has come round, or a beat was overtaken
            self._again_ms = ms
            for each in self._sent:
                each.ms = ms
        self._ms = ms
        beat = Beat(
            ms,
            wire.unwrap(reports, self._received),
            wire.unwrap(frame.acknowledged, self._next - 1),
            BeatFlag(flags),
        )
        if beat.reports > self._received:
            self._missed = True
        limit = _GAP_MS if beat.flags & BeatFlag.GAP else _AGAIN_MS
        if self._sent and ms - max(self._sent[0].ms, self._again_ms) >= limit:
            self._send_again()
        self.on_beat(beat)


def _ignore(*_: object) -> None:
    pass
