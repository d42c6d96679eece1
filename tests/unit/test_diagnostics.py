"""Diagnostics, the register side: loopbacks, generators, checkers, their flags (rules DIAG-01 to DIAG-08, 15 to 17).

The signals are a double (`diagnostics_bench.py`). Offsets are typed from the standard.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from diagnostics_bench import HOST, MEDIA, Rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmis_emu.clock import NS_PER_MS
from cmis_emu.module.diagnostics.bench import pattern_stream
from cmis_emu.module.sides import Loopback, Side
from cmis_emu.physics.light import NOISE, TRAFFIC, Stream
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.regmap import compile_map

Make = Callable[..., Rig]

HOST_GEN, MEDIA_GEN, HOST_CHECK, MEDIA_CHECK = 144, 152, 160, 168  # enable, invert, swap, FEC, 4 of patterns
CLOCKS, GATING, CHECKER_CLOCKS = 176, 177, 178
MEDIA_OUT, MEDIA_IN, HOST_OUT, HOST_IN = 180, 181, 182, 183
NO_REFERENCE, GEN_LOL, CHECK_LOL = 132, 136, 138  # host lanes; media lanes one further
PRBS31Q, PRBS31, PRBS13Q, SSPRQ, USER = 0, 1, 6, 12, 15
LOCK_S = 0.006  # more than the lock takes


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build a rig of a DR4 with added registers."""
    return lambda **registers: Rig(tmp_path, **registers)


def lol(rig: Rig, side: Side = HOST, what: int = CHECK_LOL) -> int:
    """Lanes that lack lock now: the flag is read twice, since the first read shows the past."""
    at = what + (side is MEDIA)
    rig.read(0x14, at)
    rig.clock.advance(0.2)
    return rig.byte(0x14, at)


# -- loopbacks --------------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-02", "DIAG-03")
@pytest.mark.parametrize(
    ("at", "kind", "lanes"),
    [
        (MEDIA_OUT, Loopback.MEDIA_OUTPUT, 4),
        (MEDIA_IN, Loopback.MEDIA_INPUT, 4),
        (HOST_OUT, Loopback.HOST_OUTPUT, 8),
        (HOST_IN, Loopback.HOST_INPUT, 8),
    ],
)
def test_each_control_is_one_loopback_of_the_lanes_that_exist(make: Make, at: int, kind: Loopback, lanes: int) -> None:
    rig = make()
    rig.write(0x13, at, 0xFF)
    assert rig.byte(0x13, at) == (1 << lanes) - 1
    for each in Loopback:
        on = [lane for lane in range(1, 9) if rig.diagnostics.loopback(each, lane)]
        assert on == (list(range(1, lanes + 1)) if each is kind else [])
    rig.write(0x13, at, 0x02)
    assert rig.diagnostics.loopback(kind, 2)
    assert not rig.diagnostics.loopback(kind, 1)


@pytest.mark.rule("DIAG-02")
@pytest.mark.parametrize("at", [MEDIA_OUT, MEDIA_IN, HOST_OUT, HOST_IN])
def test_a_loopback_that_is_not_advertised_cannot_be_switched_on(make: Make, at: int) -> None:
    name = {MEDIA_OUT: "MediaSideOutput", MEDIA_IN: "MediaSideInput", HOST_OUT: "HostSideOutput"}
    rig = make(**{f"{name.get(at, 'HostSideInput')}LoopbackSupported": 0})
    rig.write(0x13, at, 0xFF)
    assert rig.byte(0x13, at) == 0
    assert not any(rig.diagnostics.loopback(kind, lane) for kind in Loopback for lane in range(1, 9))


@pytest.mark.rule("DIAG-04", "DIAG-05")
def test_without_control_per_lane_any_bit_stands_for_the_side(make: Make) -> None:
    rig = make(PerLaneMediaSideLoopbacksSupported=0)
    rig.write(0x13, MEDIA_IN, 0x04)
    assert rig.byte(0x13, MEDIA_IN) == 0x0F
    rig.write(0x13, HOST_IN, 0x04)
    assert rig.byte(0x13, HOST_IN) == 0x04
    rig.write(0x13, MEDIA_OUT, 0x01)
    assert rig.byte(0x13, MEDIA_OUT) == 0
    rig.write(0x13, MEDIA_IN, 0)
    assert rig.byte(0x13, MEDIA_IN) == 0


@pytest.mark.rule("DIAG-04", "DIAG-05")
def test_both_sides_exclude_each_other_unless_advertised(make: Make) -> None:
    rig = make(SimultaneousHostAndMediaSideLoopbacksSupported=0)
    rig.write(0x13, HOST_IN, 0x03)
    rig.write(0x13, MEDIA_IN, 0xFF)
    assert rig.read(0x13, MEDIA_OUT, 4) == bytes((0, 0, 0, 0x03))
    rig.write(0x13, MEDIA_OUT, 0, 0x0F, 0, 0)  # what goes off in a write makes room for what comes on
    assert rig.read(0x13, MEDIA_OUT, 4) == bytes((0, 0x0F, 0, 0))
    both = make()
    both.write(0x13, HOST_IN, 0x03)
    both.write(0x13, MEDIA_IN, 0x0F)
    assert both.read(0x13, MEDIA_OUT, 4) == bytes((0, 0x0F, 0, 0x03))


@pytest.mark.rule("DIAG-04", "DIAG-05")
def test_both_loopbacks_of_a_side_exclude_each_other_on_a_lane(make: Make) -> None:
    rig = make()
    rig.write(0x13, HOST_IN, 0x0F)
    rig.write(0x13, HOST_OUT, 0x3C)
    assert rig.read(0x13, HOST_OUT, 2) == bytes((0x30, 0x0F))
    rig.write(0x13, HOST_OUT, 0x3C)  # a request that was ignored stays ignored
    assert rig.read(0x13, HOST_OUT, 2) == bytes((0x30, 0x0F))


@pytest.mark.rule("DIAG-04")
@given(
    writes=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 255), min_size=1, max_size=4)), max_size=12),
    host=st.booleans(),
    media=st.booleans(),
    both=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_the_registers_tell_what_is_on(
    tmp_path: Path, writes: list[tuple[int, list[int]]], host: bool, media: bool, both: bool
) -> None:
    rig = Rig(
        tmp_path,
        PerLaneHostSideLoopbacksSupported=int(host),
        PerLaneMediaSideLoopbacksSupported=int(media),
        SimultaneousHostAndMediaSideLoopbacksSupported=int(both),
    )
    order = (Loopback.MEDIA_OUTPUT, Loopback.MEDIA_INPUT, Loopback.HOST_OUTPUT, Loopback.HOST_INPUT)
    for step, values in writes:
        rig.write(0x13, MEDIA_OUT + step, *values[: 4 - step])
        read = rig.read(0x13, MEDIA_OUT, 4)
        for byte, kind in zip(read, order, strict=True):
            on = sum(1 << (lane - 1) for lane in range(1, 9) if rig.diagnostics.loopback(kind, lane))
            assert byte == on
        media_out, media_in, host_out, host_in = read
        assert not media_out & media_in
        assert not host_out & host_in
        assert both or not ((media_out or media_in) and (host_out or host_in))
        assert media or {media_out, media_in} <= {0, 0x0F}
        assert host or {host_out, host_in} <= {0, 0xFF}


# -- engines ----------------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-06", "DIAG-08", "DIAG-16")
def test_generators_send_what_they_are_set_to(make: Make) -> None:
    rig = make()
    rig.write(0x13, HOST_GEN, 0x03, 0x02, 0x01, 0, 0x60)  # lane 1 PRBS31Q swapped, lane 2 PRBS13Q inverted
    assert rig.diagnostics.generated(HOST, 1) == pattern_stream(PRBS31Q, inverted=False, swapped=True)
    assert rig.diagnostics.generated(HOST, 2) == Stream(PRBS13Q, True)
    assert rig.diagnostics.generated(HOST, 3) is None
    assert rig.diagnostics.generated(MEDIA, 1) is None
    rig.write(0x13, MEDIA_GEN, 0xF0)  # lanes that the module lacks
    assert all(rig.diagnostics.generated(MEDIA, lane) is None for lane in range(1, 9))
    assert lol(rig, HOST, GEN_LOL) == lol(rig, MEDIA, GEN_LOL) == 0
    rig.write(0x13, HOST_GEN, 0)
    assert rig.diagnostics.generated(HOST, 1) is None


@pytest.mark.rule("DIAG-06")
def test_without_enable_or_pattern_per_lane_lane_1_speaks_for_all(make: Make) -> None:
    rig = make(HostSideGeneratorPerLaneEnableSupported=0, HostSideGeneratorPerLanePatternSupported=0)
    rig.write(0x13, HOST_GEN, 0x10, 0, 0, 0, PRBS13Q | PRBS31 << 4)
    assert rig.byte(0x13, HOST_GEN) == 0xFF
    assert {rig.diagnostics.generated(HOST, lane) for lane in range(1, 9)} == {Stream(PRBS13Q)}


@pytest.mark.rule("DIAG-06")
def test_controls_that_are_not_advertised_behave_as_reserved(make: Make) -> None:
    rig = make(HostSideGeneratorDataInvertSupported=0, MediaSideCheckerSupportedPatterns=0, GatingSupport=0)
    rig.write(0x13, HOST_GEN, 0x01, 0xFF, 0, 0xFF)
    assert rig.read(0x13, HOST_GEN, 4) == bytes((0x01, 0, 0, 0))  # no inversion, no other side of the FEC
    assert rig.diagnostics.generated(HOST, 1) == Stream(PRBS31Q)
    rig.write(0x13, MEDIA_CHECK, 0xFF, 0xFF, 0xFF, 0xFF, 0x11, 0x11, 0x11, 0x11)
    assert rig.read(0x13, MEDIA_CHECK, 8) == bytes(8)
    rig.write(0x13, GATING, 0xFF)
    assert rig.byte(0x13, GATING) == 0b1010_0001


@pytest.mark.rule("DIAG-07")
@pytest.mark.parametrize(("side", "at"), [(HOST, HOST_GEN), (MEDIA, MEDIA_GEN)])
def test_an_unsupported_pattern_is_kept_and_does_not_run(make: Make, side: Side, at: int) -> None:
    rig = make(HostSideGeneratorSupportedPatterns=0x0041, MediaSideGeneratorSupportedPatterns=0x0041)
    rig.write(0x13, at, 0x03, 0, 0, 0, PRBS13Q | PRBS31 << 4)
    assert rig.byte(0x13, at + 4) == PRBS13Q | PRBS31 << 4
    assert rig.diagnostics.generated(side, 1) == Stream(PRBS13Q)
    assert rig.diagnostics.generated(side, 2) is None
    assert lol(rig, side, GEN_LOL) == 0x02
    rig.write(0x13, at + 4, PRBS13Q | PRBS13Q << 4)
    assert lol(rig, side, GEN_LOL) == 0
    other = make(HostSideCheckerSupportedPatterns=0x0041)
    other.signals.host[1] = Stream(PRBS31)
    other.write(0x13, HOST_CHECK, 0x01, 0, 0, 0, PRBS31)
    other.clock.advance(LOCK_S)
    assert lol(other) == 0x01


@pytest.mark.rule("DIAG-08")
def test_a_checker_locks_when_its_pattern_reaches_it(make: Make) -> None:
    rig = make()
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.signals.media[1] = Stream(PRBS13Q)
    rig.write(0x13, HOST_CHECK, 0x03)  # PRBS31Q: the host's signal on lane 1, traffic on lane 2
    rig.write(0x13, MEDIA_CHECK, 0x01)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0x02
    assert lol(rig, MEDIA) == 0x01
    rig.write(0x13, MEDIA_CHECK + 4, PRBS13Q)
    rig.clock.advance(LOCK_S)
    assert lol(rig, MEDIA) == 0
    rig.signals.media[1] = None
    rig.signals.settle()
    assert lol(rig, MEDIA) == 0x01


@pytest.mark.rule("DIAG-08")
@pytest.mark.parametrize(
    ("sent", "checker", "locks"),
    [
        (pattern_stream(PRBS31Q, inverted=False, swapped=False), (0, 0, PRBS31Q), True),
        (pattern_stream(PRBS31Q, inverted=True, swapped=False), (0, 0, PRBS31Q), False),
        (pattern_stream(PRBS31Q, inverted=True, swapped=False), (1, 0, PRBS31Q), True),
        (pattern_stream(PRBS31Q, inverted=False, swapped=True), (0, 0, PRBS31Q), False),
        (pattern_stream(PRBS31Q, inverted=False, swapped=True), (0, 1, PRBS31Q), True),
        (pattern_stream(PRBS31Q, inverted=False, swapped=False), (0, 0, PRBS31), False),
        (Stream(TRAFFIC), (0, 0, PRBS31Q), False),
        (Stream(NOISE), (0, 0, PRBS31Q), False),
        (pattern_stream(SSPRQ, inverted=True, swapped=True), (1, 1, SSPRQ), True),
    ],
)
def test_polarity_and_byte_order_must_match(
    make: Make, sent: Stream, checker: tuple[int, int, int], locks: bool
) -> None:
    rig = make()
    rig.signals.media[3] = sent
    invert, swap, code = checker
    rig.write(0x13, MEDIA_CHECK, 0x04, invert << 2, swap << 2, 0, 0, code)
    rig.clock.advance(LOCK_S)
    assert lol(rig, MEDIA) == (0 if locks else 0x04)


@pytest.mark.rule("DIAG-06", "DIAG-08")
def test_a_user_pattern_is_as_long_as_advertised(make: Make) -> None:
    rig = make(
        HostSideGeneratorSupportedPatterns=0x8000, HostSideCheckerSupportedPatterns=0x8000, UserPatternLengthMax=1
    )
    rig.write(0x13, 224, 1, 2, 3, 4, 5)
    rig.write(0x13, HOST_GEN, 1, 0, 0, 0, USER)
    assert rig.diagnostics.generated(HOST, 1) == pattern_stream(
        USER, inverted=False, swapped=False, user=bytes((1, 2, 3, 4))
    )
    rig.signals.host[1] = pattern_stream(USER, inverted=False, swapped=False, user=bytes((1, 2, 3, 9)))
    rig.write(0x13, HOST_CHECK, 1, 0, 0, 0, USER)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 1
    rig.write(0x13, 227, 9)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0


@pytest.mark.rule("DIAG-03", "DIAG-08")
def test_a_checker_hears_its_own_generator_through_a_loopback(make: Make) -> None:
    rig = make()
    rig.write(0x13, HOST_GEN, 0x05)
    rig.write(0x13, HOST_CHECK, 0x05)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0x05
    rig.write(0x13, HOST_OUT, 0x04)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0x01
    rig.write(0x13, HOST_OUT, 0)
    assert lol(rig) == 0x05


def test_a_lock_takes_its_time_and_raises_no_flag_meanwhile(make: Make) -> None:
    rig = make(behaviour={"pattern_lock_ms": 20})
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_CHECK, 0x01)
    assert rig.byte(0x14, CHECK_LOL) == 0
    rig.clock.advance(1.0)
    assert rig.byte(0x14, CHECK_LOL) == 0
    rig.signals.host[1] = None
    rig.signals.settle()
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.signals.settle()
    assert rig.byte(0x14, CHECK_LOL) == 1  # FLG-03: it was lost for a moment


def test_a_lock_is_lost_among_errors(make: Make) -> None:
    rig = make()
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(LOCK_S)
    rig.signals.set_ratio(HOST, 1, 0.05)
    rig.clock.advance(1.0)
    assert lol(rig) == 0
    rig.signals.set_ratio(HOST, 1, 0.3)
    rig.clock.advance(1.0)
    assert lol(rig) == 1
    rig.signals.set_ratio(HOST, 1, 1e-6)
    rig.clock.advance(1.0)
    assert lol(rig) == 0


# -- clocks, power, flags ---------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-15")
def test_there_is_no_reference_clock(make: Make) -> None:
    rig = make()
    rig.write(0x13, CLOCKS, 0x01)  # media generator: reference clock
    assert rig.byte(0x14, NO_REFERENCE) == 0  # nothing is on
    rig.write(0x13, MEDIA_GEN, 0x01)
    assert rig.byte(0x14, NO_REFERENCE) == 0x80
    assert lol(rig, MEDIA, GEN_LOL) == 0x01
    rig.write(0x13, CLOCKS, 0)
    assert lol(rig, MEDIA, GEN_LOL) == 0
    rig.read(0x14, NO_REFERENCE)
    rig.clock.advance(0.2)
    assert rig.byte(0x14, NO_REFERENCE) == 0
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.write(0x13, CHECKER_CLOCKS, 0x08)
    assert lol(rig) == 0x01
    assert rig.byte(0x14, NO_REFERENCE) == 0x80


@pytest.mark.parametrize(("code", "source"), [(2, 1), (4, 3), (15, 2)])
def test_a_generator_on_a_recovered_clock_needs_its_signal(make: Make, code: int, source: int) -> None:
    rig = make()
    rig.write(0x13, CLOCKS, code)
    rig.write(0x13, MEDIA_GEN, 0x02)
    assert rig.diagnostics.generated(MEDIA, 2) == Stream(PRBS31Q)
    rig.signals.host[source] = None
    rig.signals.settle()
    assert rig.diagnostics.generated(MEDIA, 2) is None
    assert lol(rig, MEDIA, GEN_LOL) == 0x02


@pytest.mark.rule("DIAG-15", "FLG-06", "FLG-07")
def test_diagnostic_flags_are_masked_by_default(make: Make) -> None:
    rig = make()
    assert rig.read(0x13, 206, 8) == bytes((0x80, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF))
    rig.write(0x13, HOST_CHECK, 0x01)
    assert rig.get("FlagsSummaryBank0Page14h")
    assert rig.interrupts == []
    rig.write(0x13, 212, 0xFE)
    assert rig.interrupts == [True]
    assert rig.byte(0x14, CHECK_LOL) == 0x01
    assert rig.interrupts == [True, False]
    rig.clock.advance(0.2)
    assert rig.interrupts == [True, False, True]  # FLG-02: it still is not locked


@pytest.mark.rule("DIAG-17")
def test_nothing_runs_outside_module_ready(make: Make) -> None:
    rig = make()
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_GEN, 0x02)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.write(0x13, HOST_IN, 0x01)
    rig.clock.advance(1.5)
    rig.signals.is_ready = False
    rig.signals.settle()
    assert rig.byte(0x13, HOST_IN) == 0  # DIAG-05: really off
    assert rig.diagnostics.generated(HOST, 2) is None
    rig.read(0x14, 132, 8)
    rig.clock.advance(5.0)
    assert rig.read(0x14, 132, 8) == bytes(8)
    assert rig.selected(0x02) == bytes(64)
    assert rig.clock.pending() == []
    rig.write(0x13, HOST_IN, 0x01)
    assert rig.byte(0x13, HOST_IN) == 0
    rig.signals.is_ready = True
    rig.signals.settle()
    assert rig.diagnostics.generated(HOST, 2) == Stream(PRBS31Q)
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0


@pytest.mark.rule("DIAG-17")
def test_a_generator_needs_powered_circuits(make: Make) -> None:
    rig = make()
    rig.signals.powered = False
    rig.write(0x13, MEDIA_GEN, 0x01)
    assert rig.diagnostics.generated(MEDIA, 1) is None
    assert lol(rig, MEDIA, GEN_LOL) == 0x01
    rig.signals.powered = True
    rig.signals.settle()
    assert rig.diagnostics.generated(MEDIA, 1) == Stream(PRBS31Q)


@pytest.mark.rule("RST-05")
def test_a_reset_leaves_nothing(make: Make) -> None:
    rig = make()
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_GEN, 0x02)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.write(0x13, HOST_IN, 0x01)
    rig.write(0x14, 128, 0x02)
    rig.clock.advance(1.5)
    rig.memory.reset()
    rig.flags.reset()
    rig.diagnostics.reset()
    rig.signals.settle()
    assert rig.diagnostics.generated(HOST, 2) is None
    assert not rig.diagnostics.loopback(Loopback.HOST_INPUT, 1)
    assert rig.byte(0x14, 128) == 0
    assert rig.selected(0x02) == bytes(64)
    assert rig.clock.pending() == []


def test_engines_that_are_off_cost_nothing(make: Make) -> None:
    rig = make()
    rig.signals.asked = 0
    for _ in range(10):
        rig.signals.settle()
    assert rig.signals.asked == 0
    assert rig.clock.pending() == []


def test_the_back_door_acts_as_a_host(make: Make) -> None:
    rig = make()
    rig.view.set("HostSideGeneratorEnableLane", True, lane=1)
    rig.view.set("HostSideOutputLoopbackEnable", True, lane=1)
    rig.view.set("HostSideCheckerEnableLane", True, lane=1)
    rig.signals.settle()
    rig.clock.advance(LOCK_S)
    assert lol(rig) == 0
    rig.view.set("HostSideInputLoopbackEnable", True, lane=1)
    rig.signals.settle()
    assert not rig.get("HostSideInputLoopbackEnable", 1)


def test_a_copy_goes_on_by_itself(make: Make) -> None:
    rig = make()
    rig.write(0x13, HOST_GEN, 0x01)
    rig.write(0x13, HOST_OUT, 0x01)
    rig.write(0x13, HOST_CHECK, 0x01)
    rig.clock.advance(1.5)
    twin = deepcopy(rig)
    for each in (rig, twin):
        each.clock.advance(3.0)
    assert rig.selected(0x02) == twin.selected(0x02) != bytes(64)
    twin.write(0x13, HOST_OUT, 0x00)
    assert lol(twin) == 1
    assert lol(rig) == 0


@pytest.mark.rule("DIAG-01")
def test_the_pages_are_there_when_advertised_and_banked() -> None:
    maps = load_maps()
    codes: dict[str, Any] = {"DiagnosticPagesSupported": 0}
    assert not {0x13, 0x14} & set(compile_map(maps, (5, 3), lambda name: codes.get(name, 0)).pages)
    codes["DiagnosticPagesSupported"] = 1
    pages = compile_map(maps, (5, 3), lambda name: codes.get(name, 0)).pages
    assert pages[0x13].banked
    assert pages[0x14].banked
    assert pages[0x13].bank_index == pages[0x14].bank_index == "lanes"


def test_lock_time_is_a_knob(make: Make) -> None:
    rig = make(behaviour={"pattern_lock_ms": 7.5})
    rig.signals.host[1] = Stream(PRBS31Q)
    rig.write(0x13, HOST_CHECK, 0x01)
    due = min(due for due, *_ in rig.clock.pending())
    assert due == 7_500_000 == round(7.5 * NS_PER_MS)
