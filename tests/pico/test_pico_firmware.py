"""The C firmware and the host's end of the link, case by case."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs.board import CODED_MAX, Board, CBoard, compiled
from rigs.mpy_board import MicroPythonBoard
from rigs.pico_world import EFFECT, HOLD_MS, LEASE_MS, LOWER, TRIGGER, World

from cmis_emu.bus.pico import wire
from cmis_emu.bus.pico.wire import Lamp, Side
from cmis_emu.errors import NotAvailableError


@pytest.fixture(params=[CBoard, MicroPythonBoard])
def kind(request: pytest.FixtureRequest) -> type[Board]:
    """Each firmware."""
    found: type[Board] = request.param
    return found


@pytest.fixture
def world(kind: type[Board]) -> World:
    found = World(kind())
    found.run(60)
    return found


# -- frames ---------------------------------------------------------------------------------------------------


@settings(deadline=None)  # the first one compiles
@given(body=st.binary(max_size=144), kind=st.integers(0, 255), number=st.integers(0, 65535))
def test_frames_are_the_same_on_both_sides(body: bytes, kind: int, number: int) -> None:
    c = compiled()
    c.frame_encode.restype = c.frame_decode.restype = ctypes.c_size_t
    frame = wire.Frame(kind, 0x1234, number, 0xFF00, body)
    coded = frame.encode()
    raw = bytes([kind, 0x34, 0x12, number & 0xFF, number >> 8, 0x00, 0xFF]) + body
    out = ctypes.create_string_buffer(200)
    length = c.frame_encode(ctypes.create_string_buffer(raw, 200), ctypes.c_size_t(len(raw)), out)
    assert out.raw[:length] == coded
    assert len(coded) <= CODED_MAX
    assert coded.count(0) == 1
    back = ctypes.create_string_buffer(coded[:-1], 200)
    assert c.frame_decode(back, ctypes.c_size_t(len(coded) - 1)) == len(raw)
    assert back.raw[: len(raw)] == raw
    assert wire.decode(coded[:-1]) == frame


@given(raw=st.one_of(st.binary(max_size=600), st.integers(0, 600).map(lambda n: b"\x01" * n)))
def test_stuffing(raw: bytes) -> None:
    assert b"\0" not in wire.stuff(raw)
    assert wire.unstuff(wire.stuff(raw)) == raw


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_rubbish_is_no_frame_and_hurts_nobody(data: bytes) -> None:
    board = CBoard()
    board.receive(data + b"\0")
    assert not board.answers()
    wire.decode(data)


@given(flip=st.integers(0, 8 * 20 - 1))
def test_one_wrong_bit_is_found(flip: int) -> None:
    coded = bytearray(wire.Frame(0x13, 1, 2, 3, bytes(range(10))).encode()[:-1])
    coded[flip // 8] ^= 1 << flip % 8
    assert wire.decode(bytes(coded)) is None


def test_a_module_for_which_the_board_has_no_room_is_refused() -> None:
    board = MicroPythonBoard()
    board.code.SLOTS = 5
    with pytest.raises(NotAvailableError, match="found a module with 6 pages in all banks, expected 5 at most"):
        World(board).run(60)
    assert not board.answers()


# -- the lease --------------------------------------------------------------------------------------------------


def test_a_board_alone_answers_nobody(kind: type[Board]) -> None:
    board = kind()
    for ms in range(100):
        board.tick(ms)
    assert not board.bus.start(read=True)


def test_it_answers_until_the_lease_is_over(world: World) -> None:
    assert world.read(0, 0, 0, 4) is not None
    world.kill_host()
    world.run(LEASE_MS - 30)
    assert world.read(0, 0, 0, 4) is not None
    world.run(31)
    assert world.read(0, 0, 0, 4) is None
    world.alive = True
    world.run(40)
    assert world.read(0, 0, 0, 4) is not None
    assert world.sessions == 1


def test_what_the_bus_wrote_while_the_host_was_dead_arrives_once_it_lives(world: World) -> None:
    world.kill_host()
    assert world.write(0x10, 0, 5, b"\x55")
    world.run(3 * LEASE_MS)
    world.alive = True
    world.run(60)
    assert [each for each in world.module.writes if each[0] == 0x10] == [(0x10, 0, 133, b"\x55")]


def test_the_lease_ends_although_frames_come(world: World) -> None:
    """From a host that is alive and does not get what the bus did: what it sends is not the whole truth."""
    world.to_host.lost = 100
    assert world.write(0x10, 0, 5, b"\x55")
    world.run(LEASE_MS + 40)
    assert world.read(0x10, 0, 5, 1) is None
    world.to_host.lost = 0
    world.run(100)
    assert world.read(0x10, 0, 5, 1) == b"\x55"


def test_a_beat_renews_nothing_while_reports_are_missing(world: World) -> None:
    """Beats come through, reports do not."""
    send = world.to_host.send

    def only_beats(now: int, data: bytes) -> None:
        frame = wire.decode(data[:-1])
        if frame is not None and frame.kind < wire.Kind.WRITE:
            send(now, data)

    world.to_host.send = only_beats  # type: ignore[method-assign]
    assert world.write(0x10, 0, 5, b"\x55")
    world.run(LEASE_MS + 40)
    assert world.read(0x10, 0, 5, 1) is None


# -- hold-off ---------------------------------------------------------------------------------------------------


def test_a_write_that_acts_holds_off_until_its_effect_is_there(world: World) -> None:
    world.to_board.delay_ms = world.to_host.delay_ms = 3
    assert world.write(0x10, 0, TRIGGER, b"\x41")
    assert world.read(0x11, 0, EFFECT, 1) is None
    world.to_board.delay_ms = world.to_host.delay_ms = 0
    world.run(8)
    assert world.read(0x11, 0, EFFECT, 1) == b"\x42"


def test_it_holds_off_no_longer_than_it_may(world: World) -> None:
    world.kill_host()
    assert world.write(0x10, 0, TRIGGER, b"\x41")
    world.run(HOLD_MS)
    assert world.read(0x11, 0, EFFECT, 1) is None
    world.run(2)
    assert world.read(0x11, 0, EFFECT, 1) == b"\x00"  # stale, and CMIS lets it be


def test_a_module_that_is_not_ready_is_not_there(world: World) -> None:
    world.module.up = False
    world.run(3)
    assert world.read(0, 0, 0, 1) is None
    world.module.up = True
    world.run(3)
    assert world.read(0, 0, 0, 1) is not None


# -- sessions ---------------------------------------------------------------------------------------------------


def test_a_board_that_is_started_anew_is_filled_anew(world: World) -> None:
    world.board = type(world.board)(nonce=987_654)  # type: ignore[call-arg]
    assert world.read(0, 0, 0, 1) is None
    world.run(200)
    assert world.read(0, 0, 0, 4) == bytes(world.module.data[0, 0][:4])


def test_a_host_that_is_started_anew_takes_over(world: World) -> None:
    world.kill_host()
    world.run(300)
    world.module.put(0, 0, 3, 0x99)
    world.start_host()
    world.run(100)
    assert world.read(0, 0, 3, 1) == b"\x99"


def test_stray_frames_of_an_earlier_session_do_nothing(world: World) -> None:
    kept: list[bytes] = []
    send = world.to_board.send
    world.to_board.send = lambda now, data: (kept.append(data), send(now, data))[1]  # type: ignore[method-assign]
    world.kill_host()
    world.start_host()
    world.run(60)
    world.start_host()
    world.run(60)
    session = world.link.session
    for data in kept[:40]:
        world.board.receive(data)
    world.run(60)
    assert world.link.session == session
    assert world.read(0, 0, 0, 4) is not None
    assert world.link.opened


def test_a_module_that_is_pulled_and_plugged(world: World) -> None:
    module = world.cage.module
    world.cage.module = None
    world.run(60)
    assert world.read(0, 0, 0, 1) is None
    assert not world.board.lamps() & Lamp.PRESENT
    world.cage.module = module
    world.run(60)
    assert world.read(0, 0, 0, 1) is not None
    assert world.board.lamps() & Lamp.PRESENT


def test_numbers_come_round(world: World) -> None:
    """More reports than 16 bits count; a byte that was written once, long ago, is no longer the bus's."""
    assert world.write(0x10, 0, 63, b"\x01")
    for _ in range(9000):
        for _ in range(8):
            assert world.write(0x10, 0, 3, b"\x07")
        world.run(1)
    assert world.link._received > 1 << 16
    world.run(30)
    world.module.data[0x10, 0][63] = 0x77
    world.stored[0x10, 0, 63] = 0x77
    world.run(30)
    assert world.read(0x10, 0, 63, 1) == b"\x77"
    world.finish()


def test_time_comes_round(kind: type[Board]) -> None:
    """MicroPython counts milliseconds in 30 bits, the other firmware in 32."""
    world = World(kind())
    world.now = (1 << 30) - 300 if kind is MicroPythonBoard else (1 << 32) - 300
    world.trouble(20, 0, 0, 2)
    for step in range(60):
        world.run(20)
        world.module.put(0, 0, 3, step)
        world.read(0, 0, 0, 8)
    world.finish()


def test_reports_that_find_no_room_are_not_made(world: World) -> None:
    """Nobody takes them: the board stops answering before it would have to forget one."""
    world.kill_host()
    count = 0
    while world.write(0x10, 0, 0, bytes([count & 0xFF] * 8)):
        count += 1
        if count % 200 == 0:
            world.run(1)
        assert count < 5000
    assert count > 100
    world.alive = True
    world.run(300)
    assert len([each for each in world.module.writes if each[0] == 0x10]) == count
    world.finish()


def test_a_message_that_never_ends_is_broken_off(world: World) -> None:
    """The bus hangs in the middle of a read, and the host dies: the next host gets its board."""
    bus = world.board.bus
    assert bus.start(read=True)
    bus.peek()
    world.kill_host()
    world.run(LEASE_MS + 100)
    assert not bus.enabled
    world.start_host()
    bus.abort()
    world.run(100)
    assert world.read(0, 0, 0, 4) is not None


# -- pins -------------------------------------------------------------------------------------------------------


@pytest.fixture
def wired(kind: type[Board]) -> World:
    found = World(kind(), pins="qsfp-dd")
    found.board.sides(Side.RESET_L)
    found.run(60)
    return found


def test_pins_reach_the_port(wired: World) -> None:
    assert wired.cage.pins == {"ResetL": True, "LPMode": False, "ModSelL": False}
    wired.board.sides(Side.RESET_L | Side.LP_MODE)
    wired.run(2)
    assert wired.cage.pins["LPMode"]


def test_a_deselected_module_answers_at_once_no_more_and_at_once_again(wired: World) -> None:
    wired.board.sides(Side.RESET_L | Side.MOD_SEL_L)
    wired.board.tick(wired.now)
    assert wired.read(0, 0, 0, 1) is None
    wired.run(5)
    assert wired.cage.pins["ModSelL"]
    wired.board.sides(Side.RESET_L)
    wired.board.tick(wired.now)
    assert wired.read(0, 0, 0, 1) is not None


def test_a_reset_breaks_off_what_is_under_way_and_ends_with_the_hosts_word(wired: World) -> None:
    bus = wired.board.bus
    assert bus.start(read=True)
    bus.peek()
    wired.board.sides(0)
    wired.board.tick(wired.now)
    assert not bus.enabled
    wired.board.sides(Side.RESET_L)
    wired.board.tick(wired.now)
    assert wired.read(0, 0, 0, 1) is None  # the host has not heard of the reset yet
    wired.run(5)
    assert wired.cage.pins["ResetL"]
    assert wired.read(0, 0, 0, 1) is not None


def test_who_sees_the_interrupt_finds_the_flag(world: World) -> None:
    world.to_board.delay_ms = 20
    for _ in range(5):
        world.latch(LOWER, 0, 9, 2)
        world.cage.interrupt = True
        for _ in range(400):
            world.run(1)
            if world.board.lamps() & Lamp.INTERRUPT:
                break
        assert world.read(LOWER, 0, 9, 1) == b"\x04"
        world.cage.interrupt = False
        world.run(400)
        assert not world.board.lamps() & Lamp.INTERRUPT


def test_the_lamps_go_out_with_the_host(world: World) -> None:
    assert world.board.lamps() == Lamp.PRESENT
    world.kill_host()
    world.run(LEASE_MS + 30)
    assert world.board.lamps() == 0


# -- flags ------------------------------------------------------------------------------------------------------


def test_a_flag_that_is_set_again_before_the_host_hears_of_the_read_is_read_again(world: World) -> None:
    world.latch(LOWER, 0, 9, 2)
    world.run(30)
    assert world.read(LOWER, 0, 9, 1) == b"\x04"
    world.latch(LOWER, 0, 9, 2)
    world.run(30)
    assert world.read(LOWER, 0, 9, 1) == b"\x04"
    world.run(30)
    assert world.read(LOWER, 0, 9, 1) == b"\x00"


def test_another_flag_of_the_same_byte_is_not_lost(world: World) -> None:
    world.latch(LOWER, 0, 9, 2)
    world.run(30)
    world.latch(LOWER, 0, 9, 5)  # its load is on the way
    assert world.read(LOWER, 0, 9, 1) == b"\x04"
    world.run(30)
    assert world.read(LOWER, 0, 9, 1) == b"\x20"
    world.run(30)
    assert world.read(LOWER, 0, 9, 1) == b"\x00"


def test_statistics(world: World) -> None:
    world.write(0x10, 0, 0, b"\x01")
    world.board.receive(b"\x03\x01\x01\x00")
    world.link.ask_stats()
    world.run(3)
    assert world.mirror.stats["writes"] >= 2  # the page select, too
    assert world.mirror.stats["bad_frames"] == 1
