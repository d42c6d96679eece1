"""A sequence of byte events and the whole messages it makes are one and the same: bytes, pointer, memory."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import Twins, read_bytes, write_bytes

ADDRESSES = st.one_of(
    st.sampled_from([0, 3, 8, 26, 31, 120, 126, 127, 128, 134, 143, 147, 145, 213, 255]), st.integers(0, 255)
)
VALUES = st.one_of(st.sampled_from([0, 1, 2, 0x10, 0x11, 0xFF]), st.integers(0, 255))
WRITES = st.tuples(st.just("write"), st.builds(lambda a, d: bytes([a, *d]), ADDRESSES, st.lists(VALUES, max_size=11)))
EMPTY = st.tuples(st.just("write"), st.just(b""))
READS = st.tuples(st.just("read"), st.one_of(st.integers(0, 20), st.sampled_from([127, 128, 129, 200, 300])))
PAGES = (0, 1, 2, 0x10, 0x11, 0x13, 0x9F, 0xA0, 0xAF)
SELECTS = st.tuples(st.just("write"), st.sampled_from([bytes([126, 0, page]) for page in PAGES]))
TIMES = st.tuples(st.just("time"), st.sampled_from([1_000_000, 50_000_000, 130_000_000, 700_000_000]))
RAISES = st.tuples(st.just("raise"), st.sampled_from(["ModuleFirmwareErrorFlag", "DataPathFirmwareErrorFlag"]))
STEPS = st.lists(st.one_of(WRITES, READS, SELECTS, EMPTY, TIMES, RAISES), max_size=25)


@pytest.mark.rule("I2C-02", "I2C-03", "I2C-04", "FLG-04")
@settings(
    derandomize=True, max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, peeks=st.integers(0, 2))
def test_byte_events_equal_whole_messages(twins: Twins, steps: list[tuple[str, object]], peeks: int) -> None:
    twins.rewind()
    one, two = twins.one.ports["1"], twins.two.ports["1"]
    for kind, value in steps:
        if kind == "write":
            assert isinstance(value, bytes)
            assert one.target.write(value) == write_bytes(two.target, value, insist=True)
        elif kind == "read":
            assert isinstance(value, int)
            assert one.target.read(value) == read_bytes(two.target, value, peeks)
        elif kind == "raise":
            for port in (one, two):
                port.module.set(str(value), 1)
        else:
            assert isinstance(value, int)
            twins.one.clock.advance_ns(value)
            twins.two.clock.advance_ns(value)
        twins.assert_same()


@pytest.mark.rule("I2C-02")
@settings(derandomize=True, max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.one_of(WRITES, READS, SELECTS), min_size=2, max_size=8))
def test_repeated_start_equals_stop_and_start(twins: Twins, messages: list[tuple[str, object]]) -> None:
    twins.rewind()
    one, two = twins.one.ports["1"].target, twins.two.ports["1"].target
    for kind, value in messages:
        if kind == "write":
            assert isinstance(value, bytes)
            acknowledged = one.write(value)
            assert two.start(read=False) is (acknowledged is not None)
            assert acknowledged in (None, sum(two.write_byte(byte) for byte in value))
        else:
            assert isinstance(value, int)
            data = one.read(value)
            assert two.start(read=True) is (data is not None)
            for byte in data or b"":
                assert two.peek() == byte
                two.commit()
    two.end()
    twins.assert_same()


@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 7), max_size=60), values=st.lists(VALUES, min_size=60, max_size=60))
def test_byte_events_in_any_order_do_no_harm(twins: Twins, steps: list[int], values: list[int]) -> None:
    twins.rewind()
    port, clock = twins.two.ports["1"], twins.two.clock
    for step, value in zip(steps, values, strict=False):
        if step == 0:
            port.target.start(read=bool(value & 1))
        elif step in (1, 2):
            port.target.write_byte(value)
        elif step == 3:
            assert 0 <= port.target.peek() <= 255
        elif step == 4:
            port.target.commit()
        elif step == 5:
            port.target.end()
        elif step == 6:
            port.target.abort()
        else:
            clock.advance_ns(value * 1_000_000)
    port.target.end()
    clock.advance_ns(10**10)
    assert port.target.write(b"\x00") == 1
    assert port.target.read(1) == b"\x18"
