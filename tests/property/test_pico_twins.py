"""A module behind a simulated Pico and the same module on a plain bus are twins: same transfers, same bytes."""

from __future__ import annotations

import errno

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rigs.board import Bench, BoardBus, CBoard

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.virtual import I2C_M_RD, Message

A = 0x50
PAGES = [0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13, 0x14, 0x2C, 0x9F, 0xA0, 0xA1, 0xAF, 0xEE]


def write(*values: int) -> list[Message]:
    return [Message(A, 0, bytes(values))]


SELECTS = st.builds(lambda page, bank: write(126, bank, page), st.sampled_from(PAGES), st.sampled_from([0, 0, 1, 2]))
READS = st.builds(
    lambda at, count: [*write(at), Message(A, I2C_M_RD, b"", count)], st.integers(0, 255), st.integers(1, 260)
)
MORE = st.builds(lambda count: [Message(A, I2C_M_RD, b"", count)], st.integers(1, 40))
WRITES = st.builds(lambda at, data: write(at, *data), st.integers(0, 255), st.binary(min_size=1, max_size=8))
ODD = st.builds(lambda value, at: write(at, value), st.integers(0, 255), st.sampled_from([26, 31, 126, 127, 130, 143]))
EPL = st.builds(
    lambda page, at, data: [*write(126, 0, page), *write(at, *data)],
    st.sampled_from([0xA0, 0xA1, 0xAF]),
    st.integers(128, 255),
    st.binary(min_size=1, max_size=300),
)
STEPS = st.one_of(SELECTS, READS, MORE, WRITES, ODD, EPL, st.sampled_from([0.1, 0.5, 2.0]))


@pytest.mark.parametrize("profile", ["osfp-800g-dr8", "osfpxd-1600g-2xdr8", "qsfpdd-400g-dac"])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # two emulators an example: shrinking takes minutes
)
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_twins(profile: str, steps: list[list[Message] | float]) -> None:
    with (
        Emulator.load(profile, ManualClock(), seed=1) as plain,
        Emulator.load(profile, ManualClock(), seed=1) as copied,
    ):
        plain.settle()
        copied.settle()
        bench = Bench(copied, CBoard())
        board = BoardBus(copied.buses[1], bench)
        for step in steps:
            if isinstance(step, float):
                plain.clock.advance(step)
                copied.clock.advance(step)
                bench.settle()
                continue
            results: list[object] = []
            for bus in (plain.buses[1], board):
                sent = [Message(m.address, m.flags, m.data, m.length) for m in step]
                try:
                    results.append(bus.run(sent))
                except BusError as error:
                    results.append(error.errno)
            if results[0] == errno.EIO:  # more than the module takes: a board acknowledges that as well, and drops it
                assert results[1] == []
            else:
                assert results[0] == results[1], (step, steps)
        for page, number in plain.ports["1"].module.memory.pages:
            first = 0 if page == -1 else 128
            held = [each.ports["1"].module.peek(page, first, 128, number) for each in (plain, copied)]
            assert held[0] == held[1], (page, number)
