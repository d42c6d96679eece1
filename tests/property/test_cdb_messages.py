"""CDB as a host may use it in any way: an oracle of the refusals, any cutting of writes, two programs, any bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from cdb_host import BAD_CODE, MESSAGE, PARAMETER, SUCCESS, UNKNOWN, CdbHost, cdb, complement, message
from dr4 import dr4_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.virtual import I2C_M_RD, BusError, Message
from cmis_emu.emulator import Snapshot

A = 0x50
LENGTHS = {0x0000: 2, 0x0001: 4, 0x0004: 0, 0x0040: 0, 0x0041: 0, 0x0042: 0, 0x0043: 0, 0x0044: 0}
"""What the product answers without a password, and its LPLLength."""
REPLIES = {0x0000: 2, 0x0040: 36, 0x0041: 18, 0x0042: 32, 0x0043: 32, 0x0044: 52}
RIGHT_PASSWORD = bytes.fromhex("00001011")

COMMANDS = st.one_of(st.sampled_from(sorted(LENGTHS)), st.integers(0, 0xFFFF).filter(lambda c: c != 0x0002))
PAYLOADS = st.one_of(st.binary(max_size=120), st.sampled_from([b"", b"\0\1", RIGHT_PASSWORD, bytes(4)]))
CODES = st.one_of(st.none(), st.none(), st.integers(0, 255))


@dataclass
class Bench:
    """An emulator and the moment that every example starts from."""

    emu: Emulator
    kept: Snapshot

    def fresh(self) -> Emulator:
        self.emu.restore(self.kept)
        return self.emu


def bench_of(folder: Path, **changes: Any) -> Bench:
    profile = dr4_profile()
    cdb(**changes)(profile)
    profile.pop("firmware")  # its commands have states, which have tests of their own
    path = folder / "product.yaml"
    profile["profile"] = path.stem
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    emu = Emulator.load(
        {"version": 1, "ports": {"1": {"profile": str(path), "bus": 1}}, "fibres": {"loop": {"from": "1", "to": "1"}}},
        clock=ManualClock(),
        seed=1,
    )
    emu.settle()
    return Bench(emu, emu.snapshot())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = bench_of(tmp_path_factory.mktemp("cdb"), instances=2, access_bytes=2048)
    yield found
    found.emu.close()


@pytest.fixture(scope="module")
def foreground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = bench_of(tmp_path_factory.mktemp("cdb"), mode="foreground", trigger="any_write")
    yield found
    found.emu.close()


def expected(command: int, lpl: bytes, code: int | None) -> int:
    """The final status, by the sheet and the product's list."""
    head = bytes([command >> 8, command & 0xFF, 0, 0, len(lpl)])
    right = complement(head + lpl)
    odd = command == 0x0004 and not lpl and code == 0xFC
    if code is not None and code != right and not odd:
        return BAD_CODE
    if command not in LENGTHS:
        return UNKNOWN
    if len(lpl) != LENGTHS[command]:
        return PARAMETER
    return 0x46 if command == 0x0001 and lpl != RIGHT_PASSWORD else SUCCESS


@pytest.mark.rule("CDB-04", "CDB-07", "CDB-14", "CDB-16", "CDB-17")
@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from([1, 2]), COMMANDS, PAYLOADS, CODES), min_size=1, max_size=6),
    piece=st.sampled_from([1, 2, 7, 8, 32, 126]),
    mode=st.sampled_from(["background", "foreground"]),
)
def test_every_message_ends_as_the_oracle_says(
    bench: Bench, foreground: Bench, steps: list[tuple[int, int, bytes, int | None]], piece: int, mode: str
) -> None:
    emu = (bench if mode == "background" else foreground).fresh()
    for instance, command, payload, code in steps:
        host = CdbHost(emu, instance if mode == "background" else 1, piece)
        host.flag()
        short = command == 0x0000 and len(payload) == 2  # no minutes
        lpl = bytes([payload[0] & 1, payload[1]]) if short else payload
        assert host.run(command, lpl, code=code) == expected(command, lpl, code)
        assert host.flag()
        page = host.read(MESSAGE, 128, 128)
        assert page[:2] == command.to_bytes(2, "big")
        assert page[2:5] == bytes([0, 0, len(lpl)])
        size = REPLIES.get(command, 0) if expected(command, lpl, code) == SUCCESS else 0
        assert page[6] == size
        assert page[7] == complement(page[8 : 8 + size])
        assert page[8 + size :] == bytes(120 - size)


@pytest.mark.rule("CDB-03")
@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    lpl=st.binary(max_size=120),
    cuts=st.lists(st.integers(1, 125), max_size=20),
    order=st.randoms(use_true_random=False),
    command=st.sampled_from([0x0000, 0x0001, 0x0040, 0x7FFE]),
    late=st.booleans(),
)
def test_a_body_may_be_cut_and_come_in_any_order(
    bench: Bench, lpl: bytes, cuts: list[int], order: Any, command: int, late: bool
) -> None:
    """Whatever the pieces of 130 to 255, the trigger takes what is there."""
    results = []
    for split in (False, True):
        emu = bench.fresh()
        host = CdbHost(emu, 1)
        data = message(command, lpl)
        host.select(MESSAGE)
        ends = sorted({2, len(data), *(2 + cut for cut in cuts if 2 + cut < len(data))}) if split else [2, len(data)]
        pieces = list(pairwise(ends))
        order.shuffle(pieces)
        for first, last in pieces:
            host.put(128 + first, data[first:last])
        if split and late:
            host.put(128, data[:1])
            host.put(129, data[1:2])
        else:
            host.put(128, data[:2])
        trace = []
        for _ in range(40):
            trace.append(host.status())
            emu.clock.advance(0.002)
        results.append((trace, host.read(MESSAGE, 128, 128), host.flag()))
    assert results[0] == results[1]


@pytest.mark.rule("CDB-10", "PAGE-07")
@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    other=st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.sampled_from([0x00, 0x01, 0x10, 0x11, 0x9F, 0xA0]), st.integers(128, 255)),
            st.tuples(st.just("lower"), st.just(0), st.sampled_from([3, 14, 16, 37])),
            st.tuples(st.just("write"), st.just(0x10), st.sampled_from([153, 160])),
        ),
        min_size=1,
        max_size=8,
    ),
    piece=st.sampled_from([1, 8, 32]),
)
def test_two_programs_at_once(bench: Bench, other: list[tuple[str, int, int]], piece: int) -> None:
    """One sends commands, the other reads and writes elsewhere between any two of its accesses."""
    results = []
    for disturbed in (False, True):
        emu = bench.fresh()
        host = CdbHost(emu, 1, piece)
        stranger = CdbHost(emu, 1)
        found = []

        def meddle(active: bool = disturbed, stranger: CdbHost = stranger) -> None:
            for kind, page, at in other if active else ():
                if kind == "lower":
                    stranger.get(at)
                elif kind == "read":
                    stranger.read(page, at, 2)
                else:
                    stranger.put(126, bytes([0, page]))
                    stranger.put(at, stranger.get(at))

        for command, lpl in ((0x0000, b"\0\x05"), (0x0040, b""), (0x0001, bytes(4)), (0x0042, b"")):
            data = message(command, lpl)
            for start in range(2, len(data), piece):
                meddle()
                host.select(MESSAGE)
                host.put(128 + start, data[start : start + piece])
            meddle()
            host.select(MESSAGE)
            host.put(128, data[:2])
            for _ in range(60):
                meddle()
                emu.clock.advance(0.001)
            meddle()
            found.append((host.status(), host.read(MESSAGE, 128, 128)))
        results.append(found)
    assert results[0] == results[1]


@pytest.mark.rule("I2C-07", "CDB-12", "RST-05")
@settings(derandomize=True, max_examples=120, deadline=None)
@given(
    data=st.lists(
        st.one_of(
            st.builds(lambda at, d: (bytes([at]) + d, 0), st.integers(128, 255), st.binary(min_size=1, max_size=130)),
            st.builds(
                lambda page, bank: (bytes([126, bank, page]), 0),
                st.sampled_from([0x9F, 0x9F, 0xA0, 0xAF]),
                st.sampled_from([0, 1]),
            ),
            st.builds(lambda c: (bytes([128]) + c, 0), st.sampled_from([b"\0\0", b"\0\4", b"\0\x40", b"\1\1"])),
            st.builds(lambda size: (b"", size), st.integers(1, 300)),
        ),
        max_size=40,
    ),
    pause_us=st.sampled_from([0, 300, 4000, 50_000]),
    reset=st.booleans(),
    mode=st.sampled_from(["background", "foreground"]),
)
def test_any_bytes_leave_a_module_that_answers(
    bench: Bench, foreground: Bench, data: list[tuple[bytes, int]], pause_us: int, reset: bool, mode: str
) -> None:
    emu = (bench if mode == "background" else foreground).fresh()
    for written, size in data:
        transfer = Message(A, 0, written) if written else Message(A, I2C_M_RD, length=size)
        with contextlib.suppress(BusError):
            emu.buses[1].transfer([transfer])
        emu.clock.advance_ns(1000 * pause_us)
        status = emu.ports["1"].module.peek(-1, 37, 2)
        assert all(s in {0, 1, 3, *range(0x40, 0x48), 0x81, 0x82, 0x83} for s in status)
    if reset:
        emu.ports["1"].module.restart()
        emu.settle()
    else:
        emu.clock.advance(70)  # the longest delay that Query Status may ask for
    for instance in (1, 2) if mode == "background" else (1,):
        host = CdbHost(emu, instance)
        assert len(host.ask(0x0040)) == 36
        assert host.ask(0x0000, b"\0\0")[:1] == b"\2"
    assert len(emu.clock.pending()) < 60


@pytest.mark.rule("CDB-01")
@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    sent=st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=12)
)
def test_instances_know_nothing_of_each_other(bench: Bench, sent: list[tuple[int, int, int]]) -> None:
    """A command of one takes as long as it takes, whatever the other does meanwhile."""
    emu = bench.fresh()
    clock = emu.clock
    assert isinstance(clock, ManualClock)
    ends = {1: 0, 2: 0}
    for instance, delay_ms, pause_ms in sent:
        host = CdbHost(emu, instance)
        if clock.now_ns > ends[instance]:
            host.send(0x0000, delay_ms.to_bytes(2, "big"))
            ends[instance] = clock.now_ns + (4 + 6 + 10 + delay_ms) * 1_000_000
        for each, end in ends.items():
            status = CdbHost(emu, each).status()
            assert (status >= 0x80) == (clock.now_ns < end), f"instance {each}"
            assert status in (0, SUCCESS, 0x81, 0x82, 0x83)
        clock.advance(pause_ms / 1000 + 1e-6)
