"""Whatever a front end or a guest sends over vhost-user: lawful requests are served, all else ends its own session."""

from __future__ import annotations

import logging
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vhost_user_host import (
    BUFFERS,
    FILE_SIZE,
    FRONT,
    GET_FEATURES,
    NEXT,
    NO_DESCRIPTOR,
    READ,
    REGIONS,
    SET_MEM_TABLE,
    TABLE,
    TABLES,
    WRITE,
    FrontEnd,
    VirtioDriver,
    event,
    sealed_memory,
)

from cmis_emu import Emulator, ManualClock

SOON_S = 30.0
LONG = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Bench:
    emu: Emulator
    path: Path
    witness: VirtioDriver


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="cmis") as folder,
        Emulator.load("qsfpdd-400g-dr4", ManualClock(), seed=1) as emu,
    ):
        emu.settle()
        path = Path(folder) / "v"
        emu.open_way(f"vhost-user:{path}")
        witness = VirtioDriver(path)
        yield Bench(emu, path, witness)
        witness.close()


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the emulator has logged since the last look; none of it may be an error of its own."""
    caplog.set_level(logging.WARNING)

    def heard() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith("cmis_emu")]
        assert [each.getMessage() for each in records if each.levelno > logging.WARNING] == []
        caplog.clear()
        return [record.getMessage() for record in records]

    return heard


def unharmed(bench: Bench) -> None:
    assert bench.witness.transfer((0x50, b"\x00"), (0x50, 1)) == [b"\x18"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


# -- the socket ----------------------------------------------------------------------------------------------

u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
few = st.integers(0, 3)
files = st.lists(st.sampled_from(["memory", "event", "null", "pipe", "plain"]), max_size=3)
regions = st.lists(
    st.tuples(
        st.sampled_from([0, 0x1000, 0xC_0000, 2**64 - 0x1000]) | u64,
        st.sampled_from([0, 0x1000, FILE_SIZE, FILE_SIZE + 1, 2**64 - 1]) | u64,
        st.sampled_from([FRONT, 0]) | u64,
        st.sampled_from([0, 0x1000, FILE_SIZE]) | u64,
    ),
    max_size=4,
)
tables = st.builds(
    lambda count, rows, tail: (
        struct.pack("=II", len(rows) if count is None else count, 0)
        + b"".join(struct.pack("=QQQQ", *row) for row in rows)
        + tail
    ),
    st.none() | st.none() | few | u32,
    regions,
    st.just(b"") | st.binary(max_size=40),
)
numbers = st.builds(
    lambda number: struct.pack("=Q", number),
    st.sampled_from([0, 1, NO_DESCRIPTOR, 0x1_7000_0001, 0x1_4000_0001, 8]) | u64,
)
states = st.builds(lambda index, number: struct.pack("=II", index, number), few | u32, st.sampled_from([4, 0, 1]) | u32)
addresses = st.builds(
    lambda *fields: struct.pack("=IIQQQQ", *fields),
    st.just(0) | few,
    few,
    *(st.sampled_from([FRONT + 0x1000, FRONT, FRONT + 0x9_FFF0, FRONT + 1]) | u64 for _ in range(4)),
)
payloads = st.just(b"") | numbers | states | addresses | tables | st.binary(max_size=300)
fitting = st.one_of(
    st.tuples(st.sampled_from([1, 3, 4, 15]), st.just(b"")),
    st.tuples(st.sampled_from([2, 12, 13, 14, 16]), numbers),
    st.tuples(st.sampled_from([8, 10, 11, 18]), states),
    st.tuples(st.just(9), addresses),
    st.tuples(st.just(SET_MEM_TABLE), tables),
)
messages = st.tuples(
    fitting | fitting | st.tuples(st.integers(0, 45) | u32, payloads),
    st.just(1) | st.just(9) | u32,
    st.none() | st.none() | st.none() | st.integers(0, 5000) | u32,
    files,
)


def made(kind: str) -> list[int]:
    """File descriptors of a kind."""
    if kind == "memory":
        return [sealed_memory()]
    if kind == "plain":
        return [os.memfd_create("plain")]
    if kind == "pipe":
        return list(os.pipe())
    return [event() if kind == "event" else os.open("/dev/null", os.O_RDWR)]


@given(st.lists(messages, max_size=12))
@settings(LONG, max_examples=250)
def test_messages_of_any_kind(
    bench: Bench, heard: Callable[[], list[str]], sent: list[tuple[tuple[int, bytes], int, int | None, list[str]]]
) -> None:
    front = FrontEnd(bench.path)
    try:
        for (request, payload), flags, size, kinds in sent:
            descriptors = [front.own(each) for kind in kinds for each in made(kind)]
            head = struct.pack("=III", request, flags, len(payload) if size is None else size)
            front.raw(head + payload, descriptors)
    except OSError:
        pass  # the server had enough
    front.connection.shutdown(1)
    assert front.hung_up_in_the_end()
    front.close()
    assert len(heard()) <= 1
    unharmed(bench)


# -- the ring ------------------------------------------------------------------------------------------------

spots = st.sampled_from([BUFFERS, TABLES, 0x1000, 0xA_0000 - 4, 0xB_0000, 0xF_FFF8, 0x20_0000 - 8, 2**64 - 8])
descriptors = st.tuples(
    spots | spots | u64,
    st.sampled_from([1, 8, 16, 48, 0, 0x1_0000]) | u32,
    st.sampled_from([0, NEXT, WRITE, NEXT | WRITE, TABLE, TABLE | NEXT, TABLE | WRITE]) | u16,
    st.integers(0, 6) | u16,
)


@given(
    st.booleans(),
    st.lists(descriptors, min_size=4, max_size=4),
    st.lists(descriptors, max_size=6),
    st.lists(st.integers(0, 5) | u16, min_size=4, max_size=4),
    st.integers(1, 6) | u16,
    st.integers(0, 3),
)
@settings(LONG, max_examples=300)
def test_rings_of_any_kind(
    bench: Bench,
    heard: Callable[[], list[str]],
    indirect: bool,
    ring: list[tuple[int, int, int, int]],
    table: list[tuple[int, int, int, int]],
    heads: list[int],
    index: int,
    flags: int,
) -> None:
    guest = VirtioDriver(bench.path, indirect=indirect)
    queue = guest.queue
    guest.memory[BUFFERS : BUFFERS + 8] = struct.pack("<HHI", 0x50 << 1, 0, flags)
    for number, each in enumerate(table):
        queue.describe(TABLES + 16 * number, *each)
    for number, each in enumerate(ring):
        queue.describe(queue.descriptors + 16 * number, *each)
    for head in heads:
        queue.offer(head)
    before = bytes(guest.memory)
    queue.u16(queue.available + 2, index)
    os.eventfd_write(guest.kick, 1)
    guest.front.connection.setblocking(False)

    def gone() -> bool:
        try:
            return guest.front.connection.recv(1) == b""
        except BlockingIOError:
            return False

    state = {"gone": False}

    def settled() -> bool:
        state["gone"] = gone()
        return state["gone"] or queue.u16(queue.used + 2) == index

    until(settled)
    lines = heard()
    assert len(lines) == state["gone"], lines
    allowed = [(queue.used, 6 + 8 * 4), (queue.available + 2, 2)]
    allowed += [(address, length) for address, length, what, _ in [*ring, *table] if what & WRITE]
    after = bytes(guest.memory)
    for at in range(0, FILE_SIZE, 4096):
        if after[at : at + 4096] != before[at : at + 4096]:
            for byte in range(at, at + 4096):
                if after[byte] != before[byte]:
                    assert any(start <= byte < start + length for start, length in allowed), hex(byte)
    guest.close()
    unharmed(bench)


def cut(whole: int, places: list[int]) -> list[int]:
    """Lengths of the pieces of `whole` bytes, cut at those of the places that are inside."""
    edges = [0, *sorted({place for place in places if 0 < place < whole}), whole]
    return [end - start for start, end in pairwise(edges)]


@given(
    st.booleans(),
    st.integers(0, 300),
    st.lists(st.integers(1, 300), max_size=4),
    st.lists(st.integers(1, 8), max_size=2),
    st.integers(0, 2**16 - 1),
)
@settings(LONG, max_examples=150)
def test_a_request_in_any_number_of_buffers_at_any_index(
    bench: Bench, indirect: bool, length: int, places: list[int], header_places: list[int], position: int
) -> None:
    """And the last one in front of a hole, some from one region into the next."""
    whole = bench.witness.transfer((0x50, b"\x7e\x00\x00"), (0x50, b"\x80"), (0x50, 128))[0]
    bench.witness.transfer((0x50, b"\x80"))
    guest = VirtioDriver(bench.path, indirect=indirect, size=64)
    assert guest.stop() == 0
    queue = guest.queue
    queue.added = queue.shown = queue.seen = position
    for at in (queue.available + 2, queue.used + 2):
        queue.u16(at, position)
    guest.start(position)
    header = REGIONS[0][1] - 8
    guest.memory[header : header + 8] = struct.pack("<HHI", 0x50 << 1, 0, READ)
    buffers = []
    for start, size_in_all, at, writable in ((header, 8, header_places, False), (0xF_FFF0, length + 1, places, True)):
        for size in cut(size_in_all, at):
            buffers.append((start, size, writable))
            start += size  # noqa: PLW2901
    head = queue.add(buffers)
    assert head is not None
    queue.want_call()
    assert queue.show()
    os.eventfd_write(guest.kick, 1)
    until(lambda: queue.u16(queue.used + 2) != position)
    assert queue.take() == (head, length + 1)
    found = bytes(guest.memory[0xF_FFF0 : 0xF_FFF0 + length + 1])
    assert found == (whole * 3)[:length] + b"\0"
    assert guest.stop() == (position + 1) & 0xFFFF
    assert guest.front.ask_number(GET_FEATURES)
    guest.close()
