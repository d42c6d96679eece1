"""Faults between the bus and a module, as a host on the bus meets them, and gone when they are cleared."""

from __future__ import annotations

import errno

import pytest
from fault_bench import arm
from i2c_host import A, failure, read

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.tap import Transaction
from cmis_emu.occasions import Occasions


def select(bus: VirtualSMBus, page: int) -> None:
    """Map a page of bank 0."""
    bus.write_i2c_block_data(A, 126, [0, page])


# -- bus.nack ----------------------------------------------------------------------------------------------


def test_every_access_is_refused_until_cleared(emu: Emulator, bus: VirtualSMBus) -> None:
    before = read(bus, 0, 8)
    clear = arm(emu, "bus.nack")
    for access in (
        lambda: bus.write_quick(A),
        lambda: bus.read_byte(A),
        lambda: bus.write_byte_data(A, 31, 1),
        lambda: read(bus, 0, 8),
    ):
        assert failure(access) == errno.ENXIO
    clear()
    assert read(bus, 0, 8) == before
    assert not emu.ports["1"].target.line.in_use


@pytest.mark.parametrize(("direction", "fails"), [("read", (True, False)), ("write", (True, True))])
def test_one_direction_only(emu: Emulator, bus: VirtualSMBus, direction: str, fails: tuple[bool, bool]) -> None:
    arm(emu, "bus.nack", direction=direction)
    assert (failure(lambda: read(bus, 0, 1)) is not None) is fails[0]  # its address byte is a write
    assert (failure(lambda: bus.write_byte_data(A, 31, 7)) is not None) is fails[1]
    assert (failure(lambda: bus.read_byte(A)) is not None) is (direction == "read")


def test_M11_a_read_error_of_the_temperature_alone(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.nack", direction="read", place="L:14-15")
    assert failure(lambda: read(bus, 14, 2)) == errno.ENXIO
    assert failure(lambda: read(bus, 15, 1)) == errno.ENXIO
    assert len(read(bus, 16, 2)) == 2  # the supply next to it answers


def test_C7_the_status_byte_of_cdb_is_unreadable(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.nack", direction="read", place="L:37-38")
    assert failure(lambda: bus.read_byte_data(A, 37)) == errno.ENXIO
    assert bus.read_byte_data(A, 3) & 1 in (0, 1)
    clear()
    assert failure(lambda: bus.read_byte_data(A, 37)) is None


def test_a_refused_byte_voids_the_whole_write(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.nack", direction="write", place="L:33")
    assert failure(lambda: bus.write_i2c_block_data(A, 31, [1, 2, 0x10])) == errno.EIO
    assert read(bus, 31, 3) == b"\0\0\0"
    bus.write_i2c_block_data(A, 31, [1, 2])
    assert read(bus, 31, 3) == b"\1\2\0"
    clear()
    bus.write_i2c_block_data(A, 31, [0, 0, 0x10])
    assert read(bus, 31, 3) == b"\0\0\x10"


def test_a_place_on_a_page_means_that_page(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.nack", place="11h:154-169")
    select(bus, 0x10)
    assert failure(lambda: read(bus, 154, 2)) is None
    select(bus, 0x11)
    assert failure(lambda: read(bus, 154, 2)) == errno.ENXIO
    assert failure(lambda: read(bus, 170, 2)) is None


@pytest.mark.parametrize("name", ["EREMOTEIO", "EIO", "EAGAIN"])
def test_adapters_that_name_a_nack_otherwise(emu: Emulator, bus: VirtualSMBus, name: str) -> None:
    arm(emu, "bus.nack", error=name)
    assert failure(lambda: bus.read_byte_data(A, 0)) == getattr(errno, name)
    emu.ports["1"].remove()
    assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ENXIO  # nobody is there to refuse


def test_B1_the_write_that_restores_page_0_is_refused(emu: Emulator, bus: VirtualSMBus) -> None:
    select(bus, 0x11)
    wrong = read(bus, 128, 4)
    clear = arm(emu, "bus.nack", direction="write", place="L:127", value=0)
    assert failure(lambda: bus.write_byte_data(A, 127, 0)) == errno.EIO
    assert bus.read_byte_data(A, 127) == 0x11
    assert read(bus, 128, 4) == wrong  # what the driver takes for page 00h
    bus.write_byte_data(A, 127, 0x10)  # another page is not refused
    clear()
    bus.write_byte_data(A, 127, 0)
    assert bus.read_byte_data(A, 128) == 0x18


def test_B3_no_answer_while_a_command_runs(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.dead_until", since="write", place="L:31", time="3 s")
    bus.write_byte_data(A, 31, 1)
    for _ in range(3):
        assert failure(lambda: bus.read_byte_data(A, 37)) == errno.ENXIO
        emu.clock.advance(0.99)
    emu.clock.advance(0.1)
    assert failure(lambda: bus.read_byte_data(A, 37)) is None


def test_B7_three_refusals_in_a_row(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.nack", Occasions(count=3, skip=2))
    assert [failure(lambda: bus.read_byte(A)) for _ in range(7)] == [None, None, *[errno.ENXIO] * 3, None, None]


def test_B8_four_attempts_fail_and_the_fifth_works(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.dead_until", since="reset", time="1.7 s")
    bus.read_byte(A)  # long after reset
    pins = emu.ports["1"].pins
    pins.ResetL = False
    emu.clock.advance(1.0)
    pins.ResetL = True
    outcomes = []
    for _ in range(5):
        emu.clock.advance(0.4)
        outcomes.append(failure(lambda: bus.read_byte_data(A, 0)))
    assert outcomes == [*[errno.ENXIO] * 4, None]


def test_B15_one_failure_in_n(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.nack", Occasions(every=5, skip=4), direction="read")
    outcomes = [failure(lambda: bus.read_byte_data(A, 0)) for _ in range(15)]
    assert [i for i, each in enumerate(outcomes, 1) if each] == [5, 10, 15]


def test_B15_by_chance_alike_for_a_seed(emu: Emulator, bus: VirtualSMBus) -> None:
    def run(seed: int) -> list[int | None]:
        clear = arm(emu, "bus.nack", Occasions(seed=seed, probability=0.3), direction="read")
        outcomes = [failure(lambda: bus.read_byte(A)) for _ in range(200)]
        clear()
        return outcomes

    one = run(7)
    assert one == run(7)
    assert one != run(8)
    assert 40 <= one.count(errno.ENXIO) <= 80


def test_B17_a_page_select_of_the_page_that_is_there_gets_no_acknowledge(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.nack", direction="write", place="L:127", unchanged=True)
    assert failure(lambda: bus.write_byte_data(A, 127, 0)) == errno.EIO
    bus.write_byte_data(A, 127, 0x11)
    assert failure(lambda: bus.write_byte_data(A, 127, 0x11)) == errno.EIO
    assert failure(lambda: select(bus, 0x11)) == errno.EIO
    bus.write_byte_data(A, 127, 0)
    bus.write_byte_data(A, 31, 0)  # other bytes may be written with what they hold
    clear()
    bus.write_byte_data(A, 127, 0)


def test_a_window_of_time(emu: Emulator, bus: VirtualSMBus) -> None:
    from cmis_emu.bus.faults import Match, Nack

    now = emu.clock.now_ns
    emu.ports["1"].arm_line(Nack(Match(from_ns=now + 10**9, until_ns=now + 2 * 10**9), Occasions()))
    outcomes = []
    for _ in range(6):
        outcomes.append(failure(lambda: bus.read_byte(A)))
        emu.clock.advance(0.5)
    assert outcomes == [None, None, errno.ENXIO, errno.ENXIO, None, None]


# -- bus.stretch -------------------------------------------------------------------------------------------


def test_time_passes_inside_the_transfer(emu: Emulator, bus: VirtualSMBus) -> None:
    began = emu.clock.now_ns
    clear = arm(emu, "bus.stretch", time="40 ms", direction="read")
    assert bus.read_byte_data(A, 0) == 0x18
    assert emu.clock.now_ns - began == 40_000_000
    clear()
    bus.read_byte_data(A, 0)
    assert emu.clock.now_ns - began == 40_000_000


def test_events_run_while_the_clock_is_held(emu: Emulator, bus: VirtualSMBus) -> None:
    select(bus, 0x11)
    read(bus, 134, 19)  # what came during start is cleared
    emu.clock.after(100_000_000, emu.fibres["loop"].cut)
    arm(emu, "bus.stretch", time="900 ms", direction="read", place="L:8", limit="1 s")
    module = emu.ports["1"].module
    assert not module.get("LOSFlagRx", lane=1)
    bus.read_byte_data(A, 8)
    assert module.get("LOSFlagRx", lane=1)  # it came in the middle


def test_B6_beyond_the_adapters_limit_the_transfer_fails(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.stretch", Occasions(count=1), time="30 ms", limit="27 ms", direction="read")
    began = emu.clock.now_ns
    assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ETIMEDOUT
    assert emu.clock.now_ns - began == 27_000_000
    assert bus.read_byte_data(A, 0) == 0x18


def test_B6_the_usual_limit_is_a_second(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.stretch", time="1 s", direction="read")
    assert bus.read_byte_data(A, 0) == 0x18
    clear()
    arm(emu, "bus.stretch", time="1.001 s", direction="read")
    assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ETIMEDOUT


@pytest.mark.parametrize("cure", ["clear", "reset", "replug"])
def test_B6_held_for_ever_the_bus_is_wedged_until_a_cure(emu: Emulator, bus: VirtualSMBus, cure: str) -> None:
    clear = arm(emu, "bus.stretch", Occasions(count=1), forever=True, limit="27 ms", place="L:14")
    assert bus.read_byte_data(A, 0) == 0x18
    assert failure(lambda: read(bus, 14, 2)) == errno.ETIMEDOUT
    for _ in range(3):
        assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ETIMEDOUT  # anywhere
    port = emu.ports["1"]
    if cure == "clear":
        clear()
    elif cure == "reset":
        port.pins.ResetL = False
        emu.clock.advance(0.001)
        port.pins.ResetL = True
    else:
        port.insert("qsfpdd-400g-dr4")
    emu.clock.advance(1.0)
    assert bus.read_byte_data(A, 0) == 0x18


def test_a_write_that_times_out_does_nothing(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.stretch", Occasions(count=1), time="2 s", place="L:32", direction="write")
    assert failure(lambda: bus.write_i2c_block_data(A, 31, [1, 2, 0x10])) == errno.ETIMEDOUT
    assert read(bus, 31, 3) == b"\0\0\0"
    bus.write_i2c_block_data(A, 31, [1, 2, 0x10])
    assert read(bus, 31, 3) == b"\1\2\x10"


def test_a_reset_in_the_middle_ends_the_transfer(emu: Emulator, bus: VirtualSMBus) -> None:
    pins = emu.ports["1"].pins
    arm(emu, "bus.stretch", Occasions(count=1), time="100 ms", place="L:14")
    emu.clock.after(20_000_000, lambda: pins.set("ResetL", False))
    began = emu.clock.now_ns
    assert read(bus, 14, 3)[1:] == b"\xff\xff"  # the clock is let go, and nobody drives the data line
    assert emu.clock.now_ns - began < 21_000_000


def test_stretch_wants_a_time_or_for_ever(emu: Emulator) -> None:
    for arguments in ({}, {"time": "1 ms", "forever": True}):
        with pytest.raises(InputError, match="one of the two"):
            arm(emu, "bus.stretch", **arguments)


# -- what is read, and what arrives -------------------------------------------------------------------------


@pytest.mark.parametrize(("filler", "rest"), [("zeros", b"\0" * 7), ("ones", b"\xff" * 7), ("last", b"\x18" * 7)])
def test_B5_the_first_byte_is_right_and_the_rest_is_filler(
    emu: Emulator, bus: VirtualSMBus, filler: str, rest: bytes
) -> None:
    right = read(bus, 0, 8)
    clear = arm(emu, "bus.short_read", right=1, filler=filler)
    assert read(bus, 0, 8) == right[:1] + rest
    assert bytes(bus.read_byte_data(A, at) for at in range(3)) == right[:3]  # byte by byte all is well
    clear()
    assert read(bus, 0, 8) == right


def test_a_short_read_has_an_occasion_per_read(emu: Emulator, bus: VirtualSMBus) -> None:
    right = read(bus, 128, 6)
    arm(emu, "bus.short_read", Occasions(every=2), right=3, place="00h:128-255")
    assert [read(bus, 128, 6) == right for _ in range(4)] == [False, True, False, True]
    assert read(bus, 0, 2) == b"\x18\x52"


def test_B9_one_flipped_bit_in_one_sample(emu: Emulator, bus: VirtualSMBus) -> None:
    right = bus.read_byte_data(A, 14)
    arm(emu, "bus.flip", Occasions(count=1, skip=3), place="L:14.6")
    samples = [bus.read_byte_data(A, 14) for _ in range(6)]
    assert samples == [right, right, right, right ^ 0x40, right, right]
    assert emu.ports["1"].module.peek(-1, 14, 1)[0] == right  # the module is not wrong


def test_M2_a_negative_temperature_once(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.flip", Occasions(count=1), place="L:14.7")
    first, second = (int.from_bytes(read(bus, 14, 2), "big", signed=True) for _ in range(2))
    assert first < 0 < second


def test_a_bit_that_chance_chooses(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.flip", Occasions(seed=3, probability=0.5), place="00h:129-144")
    right = emu.ports["1"].module.peek(0, 129, 16)
    wrong = [a ^ b for a, b in zip(right, read(bus, 129, 16), strict=True)]
    assert all(each & (each - 1) == 0 for each in wrong)
    assert 2 <= sum(each != 0 for each in wrong) <= 14
    assert len(set(wrong)) > 3


def test_B14_another_chip_answers_too(emu: Emulator, bus: VirtualSMBus) -> None:
    right = read(bus, 128, 32)
    corrupt = arm(emu, "bus.corrupt", Occasions(seed=1, probability=0.2))
    busy = arm(emu, "bus.busy_errno", Occasions(every=3, skip=2), error="EAGAIN", direction="read")
    outcomes = [failure(lambda: read(bus, 128, 32)) for _ in range(6)]
    assert outcomes == [None, None, errno.EAGAIN, None, None, errno.EAGAIN]
    assert read(bus, 128, 32) != right
    corrupt()
    assert read(bus, 128, 32) == right
    busy()
    assert [failure(lambda: read(bus, 128, 32)) for _ in range(4)] == [None] * 4


def test_a_byte_is_replaced(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.corrupt", place="00h:133", byte=0xBE)
    assert read(bus, 131, 4)[2] == 0xBE
    arm(emu, "bus.corrupt", place="L:3.3-1", byte=0x0A)
    assert bus.read_byte_data(A, 3) >> 1 & 7 == 5


def test_a_written_byte_arrives_changed(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.flip", Occasions(count=1), place="L:31.0", direction="write")
    bus.write_byte_data(A, 31, 2)
    assert bus.read_byte_data(A, 31) == 3
    bus.write_byte_data(A, 31, 2)
    assert bus.read_byte_data(A, 31) == 2
    clear()


def test_flags_clear_as_the_module_clocked_them_out(emu: Emulator, bus: VirtualSMBus) -> None:
    emu.fibres["loop"].cut()
    emu.clock.advance(1.0)
    select(bus, 0x11)
    clear = arm(emu, "bus.corrupt", place="11h:147", byte=0)
    assert bus.read_byte_data(A, 147) == 0
    clear()
    emu.fibres["loop"].restore()
    emu.clock.advance(1.0)
    bus.read_byte_data(A, 147)
    assert bus.read_byte_data(A, 147) == 0


# -- bus.busy_errno, bus.dead_until -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EBUSY", "ETIMEDOUT", "ENODEV", "EAGAIN"])
def test_B11_something_else_owns_the_bus(emu: Emulator, bus: VirtualSMBus, name: str) -> None:
    clear = arm(emu, "bus.busy_errno", error=name)
    assert failure(lambda: bus.read_byte_data(A, 0)) == getattr(errno, name)
    assert failure(lambda: bus.write_byte_data(A, 31, 1)) == getattr(errno, name)
    emu.ports["1"].remove()
    assert failure(lambda: read(bus, 0, 4)) == getattr(errno, name)  # nobody asks the module
    clear()
    assert failure(lambda: read(bus, 0, 4)) == errno.ENXIO


def test_an_adapter_that_tries_for_a_while(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.busy_errno", error="ETIMEDOUT", takes="200 ms", direction="read")
    began = emu.clock.now_ns
    assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ETIMEDOUT
    assert emu.clock.now_ns - began == 200_000_000


def test_B12_an_empty_cage_and_one_emptied_in_a_transfer(emu: Emulator, bus: VirtualSMBus) -> None:
    right = read(bus, 128, 8)
    clear = arm(emu, "port.remove", direction="read", place="00h:128", in_transfer=3)
    assert read(bus, 0, 2) == b"\x18\x52"
    assert read(bus, 128, 8) == right[:3] + b"\xff" * 5
    assert emu.ports["1"].occupant is None
    for _ in range(3):
        assert failure(lambda: read(bus, 128, 8)) == errno.ENXIO
    clear()
    emu.settle()
    assert read(bus, 128, 8) == right  # and it stays, this time


def test_B6_a_module_that_takes_the_pull_ups_with_it(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "port.remove", direction="read", in_transfer=2, bus_low=True)
    began = emu.clock.now_ns
    assert failure(lambda: read(bus, 128, 8)) == errno.ETIMEDOUT
    assert emu.clock.now_ns - began == 1_000_000_000
    assert failure(lambda: bus.write_quick(A)) == errno.ETIMEDOUT
    emu.ports["1"].insert("qsfpdd-400g-dr4")
    emu.settle()
    assert bus.read_byte_data(A, 0) == 0x18


def test_pulled_out_in_the_middle_of_a_write(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "port.remove", direction="write", place="L:31-34", in_transfer=1)
    assert failure(lambda: bus.write_i2c_block_data(A, 31, [1, 2, 0x10])) == errno.EIO
    assert emu.ports["1"].occupant is None
    clear()
    emu.settle()
    assert read(bus, 31, 3) == b"\0\0\0"


@pytest.mark.parametrize("time_s", [2.0, 5.0, 60.0])
def test_T1_T2_T3_the_interface_needs_its_time_after_insertion(time_s: float) -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        bus = emu.smbus(1)
        arm(emu, "bus.dead_until", time=f"{time_s} s")
        for port_in in ("at start", "again"):
            if port_in == "again":
                emu.ports["1"].insert("qsfpdd-400g-dr4")
            for _ in range(10):
                assert failure(lambda: bus.read_byte_data(A, 0)) == errno.ENXIO
                emu.clock.advance(time_s / 10)
            assert bus.read_byte_data(A, 0) == 0x18


def test_T1_without_the_fault_it_answers_after_its_own_time() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.clock.advance(0.5)
        assert emu.smbus(1).read_byte_data(A, 0) == 0x18


def test_T5_a_slow_bus_makes_a_polling_period_drift(emu: Emulator, bus: VirtualSMBus) -> None:
    def rounds_take() -> list[int]:
        """A host that reads 16 blocks and then waits a second, three times."""
        took = []
        for _ in range(3):
            began = emu.clock.now_ns
            for _ in range(16):
                read(bus, 0, 128)
            emu.clock.advance(1.0)
            took.append(emu.clock.now_ns - began)
        return took

    assert rounds_take() == [1_000_000_000] * 3
    arm(emu, "bus.stretch", time="13 ms", direction="read")
    assert rounds_take() == [1_208_000_000] * 3


def test_U1_silent_after_a_command_that_was_written(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.dead_until", since="write", place="L:31-32", value="01 09", time="5 s")
    bus.write_i2c_block_data(A, 31, [1, 8])
    assert failure(lambda: bus.read_byte(A)) is None
    bus.write_i2c_block_data(A, 31, [1, 9])
    assert failure(lambda: bus.read_byte(A)) == errno.ENXIO
    emu.clock.advance(4.9)
    assert failure(lambda: bus.read_byte(A)) == errno.ENXIO
    emu.clock.advance(0.2)
    assert failure(lambda: bus.read_byte(A)) is None
    clear()


def test_dead_since_a_write_wants_a_place(emu: Emulator) -> None:
    with pytest.raises(InputError, match="place"):
        arm(emu, "bus.dead_until", since="write", time="1 s")


# -- bus.stale_read ----------------------------------------------------------------------------------------


def test_B2_the_identifier_reads_00_right_after_byte_127(emu: Emulator, bus: VirtualSMBus) -> None:
    clear = arm(emu, "bus.stale_read", place="00h:128", after="L:127", time="5 s")
    assert bus.read_byte_data(A, 128) == 0x18
    assert bus.read_byte_data(A, 127) == 0
    assert bus.read_byte_data(A, 128) == 0
    assert read(bus, 128, 2) == b"\0C"  # only that byte
    emu.clock.advance(5.0)
    assert bus.read_byte_data(A, 128) == 0x18
    bus.read_byte_data(A, 127)
    clear()
    assert bus.read_byte_data(A, 128) == 0x18


def test_B13_the_old_value_of_tx_disable_is_read_back_for_a_while(emu: Emulator, bus: VirtualSMBus) -> None:
    select(bus, 0x10)
    bus.write_byte_data(A, 130, 0x0F)
    clear = arm(emu, "bus.stale_read", place="10h:130", time="100 ms")
    bus.write_byte_data(A, 130, 0x00)
    assert bus.read_byte_data(A, 130) == 0x0F
    assert emu.ports["1"].module.peek(0x10, 130, 1) == b"\0"  # it was taken
    emu.clock.advance(0.06)
    bus.write_byte_data(A, 130, 0x03)
    assert bus.read_byte_data(A, 130) == 0x0F
    emu.clock.advance(0.06)
    assert bus.read_byte_data(A, 130) == 0x00  # what it was, the delay ago
    emu.clock.advance(0.06)
    assert bus.read_byte_data(A, 130) == 0x03
    clear()
    bus.write_byte_data(A, 130, 0x01)
    assert bus.read_byte_data(A, 130) == 0x01


def test_old_bytes_are_forgotten_at_a_reset(emu: Emulator, bus: VirtualSMBus) -> None:
    arm(emu, "bus.stale_read", place="L:31", time="10 s")
    bus.write_byte_data(A, 31, 1)
    bus.write_byte_data(A, 31, 3)
    assert bus.read_byte_data(A, 31) == 0
    bus.write_byte_data(A, 26, 0x48)
    emu.clock.advance(1.0)
    bus.write_byte_data(A, 126, 0)
    assert bus.read_byte_data(A, 31) == 0
    emu.clock.advance(10.0)
    assert bus.read_byte_data(A, 31) == 0


# -- together ----------------------------------------------------------------------------------------------


def test_faults_compose(emu: Emulator, bus: VirtualSMBus) -> None:
    clears = [
        arm(emu, "bus.stretch", time="10 ms", direction="read"),
        arm(emu, "bus.short_read", right=2, filler="ones"),
        arm(emu, "bus.flip", place="L:1.0"),
        arm(emu, "bus.nack", Occasions(every=2, skip=1), direction="read"),
    ]
    began = emu.clock.now_ns
    assert read(bus, 0, 4) == b"\x18\x53\xff\xff"
    assert failure(lambda: read(bus, 0, 4)) == errno.ENXIO
    assert emu.clock.now_ns - began == 20_000_000
    for clear in reversed(clears):
        clear()
        clear()  # harmless
    assert read(bus, 0, 2) == b"\x18\x52"


def test_faults_stay_over_a_replug_and_are_armed_in_an_empty_cage(emu: Emulator, bus: VirtualSMBus) -> None:
    port = emu.ports["1"]
    port.remove()
    clear = arm(emu, "bus.corrupt", place="L:0", byte=0x80)
    for profile in ("qsfpdd-400g-dr4", "osfp-800g-dr8"):
        port.insert(profile)
        emu.settle()
        assert bus.read_byte_data(A, 0) == 0x80
    clear()
    assert bus.read_byte_data(A, 0) == 0x19


def test_observers_are_told_what_the_host_got(emu: Emulator, bus: VirtualSMBus) -> None:
    seen: list[Transaction] = []
    emu.ports["1"].target.taps.append(seen.append)
    arm(emu, "bus.stretch", Occasions(count=1), time="10 ms", direction="read")
    arm(emu, "bus.corrupt", place="L:0", byte=7)
    began = emu.clock.now_ns
    bus.read_byte_data(A, 0)
    assert (seen[-1].began_ns, seen[-1].ended_ns, seen[-1].data) == (began, began + 10_000_000, b"\7")
    arm(emu, "bus.nack", direction="write", place="L:32")
    failure(lambda: bus.write_i2c_block_data(A, 31, [1, 2, 3]))
    assert (seen[-1].error, seen[-1].data) == (errno.EIO, b"\1")
    arm(emu, "bus.busy_errno")
    failure(lambda: bus.read_byte(A))
    assert (seen[-1].error, seen[-1].read) == (errno.EBUSY, True)


def test_a_fault_tells_when_it_struck(emu: Emulator, bus: VirtualSMBus) -> None:
    struck: list[int] = []
    occasions = Occasions(every=2, on_taken=lambda: struck.append(emu.clock.now_ns))
    arm(emu, "bus.nack", occasions, direction="read")
    for _ in range(4):
        failure(lambda: bus.read_byte(A))
        emu.clock.advance(1.0)
    assert (occasions.seen, occasions.taken, len(struck)) == (4, 2, 2)
    assert struck[1] - struck[0] == 2_000_000_000
