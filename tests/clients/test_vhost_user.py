"""vhost-user with guests that are slow, rude, many or dead; the good ones are in `tests/contract`."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import select
import shlex
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_bench import arm
from vhost_user_host import (
    BUFFERS,
    EVENTS,
    FILE_SIZE,
    FRONT,
    GET_FEATURES,
    GET_PROTOCOL_FEATURES,
    INDIRECT,
    NEED_REPLY,
    NEXT,
    NO_DESCRIPTOR,
    PROTOCOL,
    REGIONS,
    SET_FEATURES,
    SET_MEM_TABLE,
    SET_OWNER,
    SET_PROTOCOL_FEATURES,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    SET_VRING_CALL,
    SET_VRING_ENABLE,
    SET_VRING_KICK,
    SET_VRING_NUM,
    SOON_S,
    TABLE,
    TABLES,
    VERSION,
    VERSION_1,
    WRITE,
    ZERO_LENGTH,
    FrontEnd,
    ShortCount,
    VirtioDriver,
    event,
    sealed_memory,
)

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus import claims
from cmis_emu.bus.vhost_user.server import VhostUserServer
from cmis_emu.errors import InputError, NotAvailableError

A = 0x50
DR4 = "qsfpdd-400g-dr4"
TWO = {"version": 1, "ports": {"a": {"profile": DR4, "bus": 1}, "b": {"profile": DR4, "bus": 2}}}
UNTOUCHED = 0xA5  # what the driver leaves where a status is to come


@pytest.fixture
def path(emu: Emulator, folder: Path) -> Path:
    emu.open_way(f"vhost-user:{folder}/v")
    return folder / "v"


@pytest.fixture
def new(path: Path) -> Iterator[Callable[..., VirtioDriver]]:
    with contextlib.ExitStack() as opened:

        def new(**options: int) -> VirtioDriver:
            driver = VirtioDriver(path, **options)
            opened.callback(driver.close)
            return driver

        yield new


@pytest.fixture
def driver(new: Callable[..., VirtioDriver]) -> VirtioDriver:
    return new()


@pytest.fixture
def slow(folder: Path) -> Iterator[Emulator]:
    """A module in real time, so that it can hold a transfer up."""
    with Emulator.load(DR4, ScaledClock(), seed=1) as emu:
        emu.settle()
        emu.open_way(f"vhost-user:{folder}/slow")
        yield emu


def byte(driver: VirtioDriver, register: int = 0) -> bytes:
    return driver.transfer((A, bytes([register])), (A, 1))[0]


def status(driver: VirtioDriver, number: int = 0) -> int:
    return driver.memory[BUFFERS + number * 0x1_0000 + 16]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def ring_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "cmis-emu vhost-user ring"]


# -- what is agreed on -----------------------------------------------------------------------------------


def test_what_is_offered(path: Path) -> None:
    front = FrontEnd(path)
    assert front.ask_number(GET_FEATURES) == ZERO_LENGTH | INDIRECT | EVENTS | PROTOCOL | VERSION_1
    assert front.ask_number(GET_PROTOCOL_FEATURES) == 1 << 3
    front.close()


def test_without_protocol_features_a_ring_is_enabled_from_its_start(path: Path) -> None:
    driver = VirtioDriver(path)
    driver.stop()
    driver.front.set_number(SET_FEATURES, ZERO_LENGTH | VERSION_1 | INDIRECT | EVENTS)
    driver.front.send(SET_VRING_ADDR, driver.queue.addresses())
    driver.front.set_number(SET_VRING_KICK, 0, [driver.kick])
    assert byte(driver) == b"\x18"
    driver.close()


def test_acknowledgements_come_when_they_were_agreed_on_and_asked_for(path: Path) -> None:
    front = FrontEnd(path)
    front.send(SET_OWNER, flags=VERSION | NEED_REPLY)  # not agreed on yet
    front.set_number(SET_PROTOCOL_FEATURES, 1 << 3)
    assert front.ask(SET_OWNER, flags=VERSION | NEED_REPLY) == bytes(8)
    front.send(SET_OWNER)
    assert front.ask_number(GET_FEATURES)
    front.close()


# -- requests --------------------------------------------------------------------------------------------


def test_how_much_was_done_is_all_that_is_told(driver: VirtioDriver) -> None:
    for messages, done in (
        (((0x51, b"\x00"), (A, 1)), 0),
        (((A, b"\x00"), (0x51, 1)), 1),
        (((A, b"\x00"), (A, 1), (0x51, b""), (A, 1)), 2),
    ):
        with pytest.raises(ShortCount) as short:
            driver.transfer(*messages)
        assert short.value.done == done
    assert byte(driver) == b"\x18"


def test_a_message_that_fails_takes_the_rest_of_its_transfer_with_it(emu: Emulator, driver: VirtioDriver) -> None:
    driver.transfer((A, b"\x7e\x00\x10"))
    before = emu.ports["1"].module.peek(0x10, 145, 2)
    begun = driver.begin((A, b"\x00"), (0x51, b"\x00"), (A, bytes([145, 0x21, 0x22])), (A, 4))
    assert driver.end(begun) == [0, 1, 1, 1]
    assert emu.ports["1"].module.peek(0x10, 145, 2) == before
    assert bytes(driver.memory[begun[3][1] : begun[3][1] + 4]) == bytes(4)  # nothing of anybody's
    assert byte(driver) == b"\x18"  # the next transfer is another one


@pytest.mark.parametrize("raw", [0x50 << 1 | 1, 0x50 << 1 | 0x8000, 0xF0A0])
def test_an_address_that_is_none_of_seven_bits(driver: VirtioDriver, raw: int) -> None:
    for number, wire in ((0, raw), (1, 0x50 << 1)):
        head, _ = driver.request(number, 0, b"\x00", 0)
        assert head is not None
        place = BUFFERS + number * 0x1_0000
        driver.memory[place : place + 2] = struct.pack("<H", wire)
    driver.queue.want_call()
    driver.queue.show()
    os.eventfd_write(driver.kick, 1)
    assert driver.end([(0, 0, 1), (1, 0, 1)]) == [1, 0]


def test_long_messages(new: Callable[..., VirtioDriver]) -> None:
    driver = new()
    whole = driver.transfer((A, b"\x7e\x00\x00"), (A, b"\x80"), (A, 128))[0]
    for length in (8192, 0xEFFF):
        assert driver.transfer((A, b"\x80"), (A, length))[0] == (whole * 512)[:length]


# -- who tells whom --------------------------------------------------------------------------------------


def test_event_indexes(driver: VirtioDriver) -> None:
    queue = driver.queue
    event_at = queue.used + 4 + 8 * queue.size
    assert byte(driver) == b"\x18"
    assert queue.u16(event_at) == queue.added  # a kick is wanted for the next one
    for expected in (False, True):
        settle(driver)
        queue.want_call(3 if not expected else 2)
        for number in range(3 if expected else 1):
            driver.request(number, A, b"\x00", 0)
        assert queue.show()
        os.eventfd_write(driver.kick, 1)
        until(lambda: queue.u16(queue.used + 2) == queue.added)
        while queue.take():
            pass
        driver.stop()  # whoever stopped the ring knows that it says no more
        assert called(driver) is expected
        driver.start(queue.seen)


def called(driver: VirtioDriver) -> bool:
    try:
        return os.eventfd_read(driver.call) > 0
    except BlockingIOError:
        return False


def settle(driver: VirtioDriver) -> None:
    """Until the device has said all that it had to say, and that was heard."""
    driver.stop()
    driver.start(driver.queue.seen)
    called(driver)


def test_a_driver_that_wants_no_calls(new: Callable[..., VirtioDriver]) -> None:
    driver = new(events=False)
    assert byte(driver) == b"\x18"
    for silent in (True, False):
        settle(driver)
        driver.queue.silence(silent)
        driver.begin((A, b"\x00"))
        until(lambda: driver.queue.take() is not None)
        driver.stop()  # whoever stopped the ring knows that it says no more
        assert called(driver) is not silent
        driver.start(driver.queue.seen)


def test_a_driver_that_has_no_call(driver: VirtioDriver) -> None:
    driver.front.set_number(SET_VRING_CALL, NO_DESCRIPTOR)
    driver.begin((A, b"\x00"))
    until(lambda: driver.queue.take() is not None)
    assert driver.front.ask_number(GET_FEATURES)


def test_a_new_call_rings_at_once(driver: VirtioDriver) -> None:
    """What the one before said may have been lost, as when an interrupt's mask changes."""
    assert byte(driver) == b"\x18"
    other = driver.front.own(event())
    driver.front.set_number(SET_VRING_CALL, 0, [other])
    assert driver.front.ask_number(GET_FEATURES)
    assert os.eventfd_read(other) == 1
    driver.call = other
    assert byte(driver) == b"\x18"


def test_a_call_that_would_wait_is_told_already(driver: VirtioDriver) -> None:
    full = driver.front.own(os.eventfd(0, os.EFD_CLOEXEC))
    os.eventfd_write(full, 2**64 - 2)
    driver.front.set_number(SET_VRING_CALL, 0, [full])
    for _ in range(3):
        driver.begin((A, b"\x00"))
        until(lambda: driver.queue.take() is not None)
    assert driver.stop() == 3


@pytest.mark.parametrize("events", [True, False])
def test_a_driver_that_queues_while_the_device_works(new: Callable[..., VirtioDriver], events: bool) -> None:
    """Neither side may sleep while the other waits for it, however their looks at the indexes fall."""
    driver = new(events=events, size=32)
    queue = driver.queue
    assert driver.end(driver.begin((A, b"\x00"))) == [0]
    table = queue.memory[queue.descriptors : queue.descriptors + 16]
    for number in range(queue.size):  # the same request from each entry
        queue.memory[queue.descriptors + 16 * number : queue.descriptors + 16 * (number + 1)] = table
    poll = select.poll()
    poll.register(driver.call, select.POLLIN)
    free = list(range(queue.size))
    for turn in range(4000):
        for _ in range(min(len(free), 1 + turn % 7)):
            queue.offer(free.pop())
            if queue.show():
                os.eventfd_write(driver.kick, 1)
        while len(free) < 1 + turn % 29:
            while (used := queue.take()) is not None:
                free.append(used[0])
            queue.want_call()
            if queue.u16(queue.used + 2) == queue.seen & 0xFFFF and len(free) < 1 + turn % 29:
                assert poll.poll(SOON_S * 1000), "asleep"
                os.eventfd_read(driver.call)


# -- stop and start --------------------------------------------------------------------------------------


def test_a_ring_is_stopped_and_goes_on_where_it_was(driver: VirtioDriver) -> None:
    for _ in range(3):
        assert byte(driver) == b"\x18"
    position = driver.stop()
    assert position == driver.queue.seen
    begun = driver.begin((A, b"\x81"), (A, 4))
    os.eventfd_write(driver.kick, 1)
    assert driver.front.ask_number(GET_FEATURES)
    assert status(driver) == UNTOUCHED
    driver.start(position)
    assert driver.end(begun) == [0, 0]
    assert bytes(driver.memory[begun[1][1] : begun[1][1] + 4]) == b"CMIS"


def test_indexes_come_round(new: Callable[..., VirtioDriver]) -> None:
    driver = new()
    driver.stop()
    queue = driver.queue
    queue.added = queue.shown = queue.seen = 0xFFFD
    queue.u16(queue.available + 2, 0xFFFD)
    queue.u16(queue.used + 2, 0xFFFD)
    driver.start(0xFFFD)
    for _ in range(5):
        assert byte(driver) == b"\x18"


WHOLE = ((0x0, FILE_SIZE, 0),)
"""All of the memory in one region, as small guests have it."""


def test_memory_is_handed_over_anew_while_the_ring_runs(driver: VirtioDriver) -> None:
    for regions in ((*REGIONS[:2], (0x10_0000, 0x8_0000, 0x10_0000)), REGIONS):
        driver.front.share(driver.file, regions)
        assert byte(driver) == b"\x18"


def test_requests_that_were_seen_before_are_answered_in_the_memory_that_is_handed_over_last(
    driver: VirtioDriver,
) -> None:
    """A device may remember what a driver asks for again and again, but not where it was."""
    driver.front.share(driver.file, WHOLE)
    for _ in range(3):
        assert byte(driver) == b"\x18"
    with contextlib.closing(driver.move(WHOLE)) as before:
        as_it_was = before[:]
        for register in (0, 126, 0):
            found = byte(driver, register)
            assert found == (b"\x00" if register else b"\x18")
        assert before[:] == as_it_was


def test_a_front_end_does_not_wait_for_a_module(emu: Emulator, driver: VirtioDriver) -> None:
    """QEMU's main loop waits for the answer to GET_VRING_BASE, and all of its guest with it."""
    with emu.lock:  # the module is slow to answer
        begun = driver.begin((A, b"\x81"), (A, 4))
        until(lambda: driver.queue.u16(driver.queue.used + 4 + 8 * driver.queue.size) == 2)  # it has taken both
        held = ring_threads()
        assert driver.stop() == 0
    for thread in held:
        thread.join(SOON_S)
    assert (status(driver), status(driver, 1)) == (UNTOUCHED, UNTOUCHED)  # the memory is the guest's alone
    driver.start(0)
    assert driver.end(begun) == [0, 0]


# -- several guests, and the bus between messages ------------------------------------------------------------


def test_a_transfer_that_goes_on_with_the_next_kick(emu: Emulator, driver: VirtioDriver) -> None:
    here = emu.smbus(1)
    assert driver.end(driver.begin((A, b"\x81"), open_end=True)) == [0]
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(here.read_byte_data(A, 0)))
    other.start()
    other.join(0.1)
    assert other.is_alive()
    assert driver.transfer((A, 4)) == [b"CMIS"]
    other.join(SOON_S)
    assert found == [0x18]


def test_a_guest_that_falls_silent_loses_the_bus(
    emu: Emulator, driver: VirtioDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SILENCE_S", 0.05)
    driver.end(driver.begin((A, b"\x81"), open_end=True))
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18
    with pytest.raises(ShortCount):
        driver.transfer((A, 4))
    assert byte(driver) == b"\x18"


def test_a_transfer_that_failed_frees_the_bus(emu: Emulator, driver: VirtioDriver) -> None:
    assert driver.end(driver.begin((0x51, b"\x81"), open_end=True)) == [1]
    start = time.monotonic()
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18
    assert time.monotonic() - start < claims.SILENCE_S / 2


@pytest.mark.parametrize(("indirect", "fits"), [(True, 4), (False, 1)])
@pytest.mark.parametrize("last", [A, 0x51])
def test_a_transfer_that_does_not_fit_the_ring(
    emu: Emulator, new: Callable[..., VirtioDriver], indirect: bool, fits: int, last: int
) -> None:
    """Linux drops the rest of it, and what it queued never says that it is the end."""
    driver = new(indirect=indirect)
    messages = [(A, b"\x00")] * (fits - 1) + [(last, b"\x00")] + [(A, 1)] * 2
    with pytest.raises(ShortCount) as short:
        driver.transfer(*messages)
    assert short.value.done == fits - (last != A)
    start = time.monotonic()
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18  # nobody waits for the end
    assert time.monotonic() - start < claims.SILENCE_S / 2
    driver.transfer((A, b"\x81"))  # and the next transfer is another one


def test_many_guests_on_one_socket(new: Callable[..., VirtioDriver]) -> None:
    drivers = [new(events=n % 2 == 0) for n in range(6)]
    failures: list[BaseException] = []

    def work(driver: VirtioDriver, register: int) -> None:
        try:
            for _ in range(60):
                assert byte(driver, register) == b"CMIS-E"[register - 129 :][:1]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(each, 129 + n)) for n, each in enumerate(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert not failures


@pytest.mark.parametrize(("duration", "outcome"), [("0.5 s", [0]), ("30 s", [1])])
def test_stretching_up_to_the_adapters_limit(folder: Path, duration: str, outcome: list[int]) -> None:
    """The guest's driver has no limit, so the adapter must have one."""
    with Emulator.load(DR4, ScaledClock(20.0), seed=1) as emu:
        emu.settle()
        emu.open_way(f"vhost-user:{folder}/s")
        driver = VirtioDriver(folder / "s")
        clear = arm(emu, "bus.stretch", time=duration, direction="read")
        assert driver.end(driver.begin((A, 1))) == outcome
        clear()
        assert byte(driver) == b"\x18"
        driver.close()


def test_a_guest_that_dies_while_it_is_held_up(slow: Emulator, folder: Path) -> None:
    victim, witness = VirtioDriver(folder / "slow"), VirtioDriver(folder / "slow")
    clear = arm(slow, "bus.stretch", time="0.9 s", direction="read")
    victim.begin((A, 1), open_end=True)
    until(lambda: next(iter(slow.ports.values())).target.line.held)
    victim.close()
    until(lambda: len(ring_threads()) <= 2)
    clear()
    start = time.monotonic()
    assert byte(witness) == b"\x18"
    assert time.monotonic() - start < claims.SILENCE_S / 2
    witness.close()


def test_no_thread_and_no_descriptor_is_left(emu: Emulator, folder: Path) -> None:
    def drop() -> None:
        for thread in set(threading.enumerate()) - others:
            if thread.name.startswith("cmis-emu"):
                thread.join(SOON_S)
                assert not thread.is_alive()

    gc.collect()  # what other tests have left
    before, others = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    for number in range(3):
        server = emu.open_way(f"vhost-user:{folder}/{number}")
        driver = VirtioDriver(folder / str(number))
        driver.front.share(driver.file)
        assert byte(driver) == b"\x18"
        driver.stop()
        driver.start(driver.queue.seen)
        server.close()
        driver.close()
        driver.queue.close()
        driver.memory.close()
        assert not (folder / str(number)).exists()
    drop()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert f"{folder}" not in Path("/proc/self/maps").read_text()
    assert "memfd:guest" not in Path("/proc/self/maps").read_text()


# -- what ends a session ---------------------------------------------------------------------------------------


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING)
    return lambda: [each.getMessage() for each in caplog.records if each.name.startswith("cmis_emu")]


def shrinking() -> int:
    file = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(file, FILE_SIZE)
    return file


def read_only() -> int:
    file = shrinking()
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)
    return file


def table(*regions: tuple[int, int, int, int]) -> bytes:
    return struct.pack("=II", len(regions), 0) + b"".join(struct.pack("=QQQQ", *each) for each in regions)


GOOD = (0, 0x1000, FRONT, 0)
MESSAGES: list[tuple[str, int, bytes, list[Callable[[], int]], str]] = [
    ("unknown", 34, b"", [], "found request 34"),
    ("short", SET_FEATURES, b"1234", [], "SET_FEATURES: found 4 bytes, expected 8"),
    ("features", SET_FEATURES, struct.pack("=Q", 1 << 34), [], "features: found 0x400000000"),
    ("protocol features", SET_PROTOCOL_FEATURES, struct.pack("=Q", 1), [], "protocol features: found 0x1"),
    ("stray descriptor", SET_OWNER, b"", [event], "SET_OWNER: found 1 file descriptors, expected none"),
    ("size", SET_VRING_NUM, struct.pack("=II", 0, 3), [], "found a size of 3, expected a power of two"),
    ("no size", SET_VRING_NUM, struct.pack("=II", 0, 0), [], "found a size of 0"),
    ("another ring", SET_VRING_NUM, struct.pack("=II", 1, 4), [], "found ring 1, expected 0"),
    ("position", SET_VRING_BASE, struct.pack("=II", 0, 0x10000), [], "found position 65536"),
    ("no kick", SET_VRING_KICK, struct.pack("=Q", 0), [], "SET_VRING_KICK: found 0 file descriptors, expected 1"),
    ("kick that is none", SET_VRING_KICK, struct.pack("=Q", NO_DESCRIPTOR), [], "kick: found none"),
    ("kick of a kind", SET_VRING_KICK, struct.pack("=Q", 0), [sealed_memory], "expected an eventfd"),
    ("call of a kind", SET_VRING_CALL, struct.pack("=Q", 0), [sealed_memory], "expected an eventfd"),
    ("early", SET_VRING_KICK, struct.pack("=Q", 0), [event], "found a start before its memory"),
    ("no table", SET_MEM_TABLE, b"", [], "memory table: found 0 bytes"),
    ("count", SET_MEM_TABLE, struct.pack("=II", 2, 0) + table(GOOD)[8:], [sealed_memory], "found 2 regions"),
    ("many", SET_MEM_TABLE, struct.pack("=II", 9, 0) + bytes(9 * 32), [], "found 9 regions"),
    ("no file", SET_MEM_TABLE, table(GOOD), [], "found 0 file descriptors, expected 1"),
    ("event as memory", SET_MEM_TABLE, table(GOOD), [event], "may shrink"),
    ("memory that shrinks", SET_MEM_TABLE, table(GOOD), [shrinking], "may shrink"),
    ("memory to read", SET_MEM_TABLE, table(GOOD), [read_only], "cannot be mapped"),
    ("too long", SET_MEM_TABLE, table((0, FILE_SIZE, FRONT, 1)), [sealed_memory], "expected some bytes, inside"),
    ("nothing", SET_MEM_TABLE, table((0, 0, FRONT, 0)), [sealed_memory], "found 0 bytes"),
    ("beyond", SET_MEM_TABLE, table((2**64 - 1, 2, FRONT, 0)), [sealed_memory], "found 2 bytes"),
    ("twice", SET_MEM_TABLE, table(GOOD, GOOD), [sealed_memory, sealed_memory], "that another has, too"),
]


@pytest.mark.parametrize(
    ("request_", "payload", "kinds", "reason"), [m[1:] for m in MESSAGES], ids=[m[0] for m in MESSAGES]
)
def test_a_message_that_ends_the_session(
    path: Path,
    driver: VirtioDriver,
    lines: Callable[[], list[str]],
    request_: int,
    payload: bytes,
    kinds: list[Callable[[], int]],
    reason: str,
) -> None:
    front = FrontEnd(path)
    front.send(request_, payload, [front.own(kind()) for kind in kinds])
    if request_ == SET_VRING_KICK and not lines():
        with contextlib.suppress(OSError):
            front.set_state(SET_VRING_ENABLE, 1)
    assert front.hung_up_in_the_end()
    front.close()
    (line,) = lines()
    assert line.startswith("vhost-user, bus 1: ")
    assert reason in line
    assert byte(driver) == b"\x18"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("=III", 1, 2, 0), "found flags 0x2, expected a request of version 1"),
        (struct.pack("=III", 1, 5, 0), "found flags 0x5"),
        (struct.pack("=III", 1, 1, 5000), "found 5000 bytes, expected at most 4096"),
        (b"1234", "hung up in the middle"),
        (struct.pack("=III", 2, 1, 8) + b"1234", "hung up in the middle"),
    ],
)
def test_bytes_that_are_no_message(
    path: Path, driver: VirtioDriver, lines: Callable[[], list[str]], data: bytes, reason: str
) -> None:
    front = FrontEnd(path)
    front.raw(data)
    front.connection.shutdown(socket.SHUT_WR)
    assert front.hung_up_in_the_end()
    front.close()
    (line,) = lines()
    assert reason in line
    assert byte(driver) == b"\x18"


def test_hanging_up_is_no_news(path: Path, driver: VirtioDriver, lines: Callable[[], list[str]]) -> None:
    for _ in range(2):
        front = FrontEnd(path)
        front.ask_number(GET_FEATURES)
        front.close()
    assert byte(driver) == b"\x18"
    assert lines() == []


@pytest.mark.parametrize("request_", [SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_KICK])
def test_a_ring_that_runs_is_not_changed(
    new: Callable[..., VirtioDriver], lines: Callable[[], list[str]], request_: int
) -> None:
    driver = new()
    payload = {SET_VRING_ADDR: driver.queue.addresses(), SET_VRING_KICK: bytes(8)}.get(
        request_, struct.pack("=II", 0, 4)
    )
    driver.front.send(request_, payload, [driver.kick] if request_ == SET_VRING_KICK else [])
    assert driver.front.hung_up_in_the_end()
    assert "found a ring that runs" in lines()[0]
    assert len(lines()) == 1


HEADER = (BUFFERS, 8, 0)
STATUS = (BUFFERS + 16, 1, WRITE)
CHAINS: dict[str, tuple[list[tuple[int, int, int, int]], str]] = {
    # Descriptors of the indirect table of the chain.
    "a loop": ([(BUFFERS, 8, NEXT, 1), (BUFFERS, 1, NEXT, 0)], "expected an end"),
    "out of the table": ([(BUFFERS, 8, NEXT, 7)], "found descriptor 7 after 1"),
    "no such memory": ([(2**40, 8, NEXT, 1), (*STATUS, 0)], "found guest address 0x10000000000"),
    "past the end": ([(0x20_0000 - 4, 8, NEXT, 1), (*STATUS, 0)], "found guest address 0x200000 with 4 bytes"),
    "past all ends": ([(2**64 - 4, 8, NEXT, 1), (*STATUS, 0)], "found guest address 0xfffffffffffffffc"),
    "a hole": ([(0xA_0000 - 4, 8, NEXT, 1), (*STATUS, 0)], "found guest address 0xa0000 with 4 bytes"),
    "no bytes": ([(BUFFERS, 8, NEXT, 1), (BUFFERS, 0, NEXT, 2), (*STATUS, 0)], "found a buffer of 0 bytes"),
    "read after write": ([(BUFFERS + 16, 1, WRITE | NEXT, 1), (BUFFERS, 8, 0, 0)], "to read after one to write"),
    "a table in a table": ([(TABLES, 16, TABLE, 0)], "found an indirect table"),
    "too much": ([(0x10_0000, 0x10_0000, NEXT, 1), (*STATUS, 0)], "expected some, and at most"),
    "a header of 7": ([(BUFFERS, 7, NEXT, 1), (*STATUS, 0)], "found 7 bytes to read"),
    "no status": ([(BUFFERS, 8, 0, 0)], "and 0 to write"),
    "a write with room": ([(BUFFERS, 8, NEXT, 1), (BUFFERS, 2, WRITE, 0)], "found a write with room for 1 bytes"),
    "a read that sends": ([(BUFFERS + 0x1_0000, 9, NEXT, 1), (*STATUS, 0)], "found a read with 1 bytes to send"),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("indirect", [True, False])
def test_a_chain_that_ends_the_session(
    new: Callable[..., VirtioDriver], lines: Callable[[], list[str]], indirect: bool, name: str
) -> None:
    descriptors, reason = CHAINS[name]
    witness, driver = new(), new(indirect=indirect)
    queue = driver.queue
    for number, flags in ((0, 0), (1, 2)):
        place = BUFFERS + number * 0x1_0000
        driver.memory[place : place + 8] = struct.pack("<HHI", A << 1, 0, flags)
    at = TABLES if indirect else queue.descriptors
    for number, each in enumerate(descriptors):
        queue.describe(at + 16 * number, *each)
    if indirect:
        queue.describe(queue.descriptors, TABLES, 16 * len(descriptors), TABLE, 0)
    queue.offer(0)
    queue.show()
    os.eventfd_write(driver.kick, 1)
    assert driver.front.hung_up_in_the_end()
    (line,) = lines()
    assert reason in line or (not indirect and "found an indirect table" in line)
    assert queue.take() is None
    assert byte(witness) == b"\x18"


@pytest.mark.parametrize(
    ("length", "flags"), [(0, TABLE), (15, TABLE), (16, TABLE | WRITE), (16, TABLE | NEXT), (16 * 1025, TABLE)]
)
def test_an_indirect_table_that_is_none(
    driver: VirtioDriver, lines: Callable[[], list[str]], length: int, flags: int
) -> None:
    driver.queue.describe(driver.queue.descriptors, TABLES, length, flags, 0)
    driver.queue.offer(0)
    driver.queue.show()
    os.eventfd_write(driver.kick, 1)
    assert driver.front.hung_up_in_the_end()
    (line,) = lines()
    assert f"found an indirect table of {length} bytes" in line


@pytest.mark.parametrize(
    ("heads", "index", "reason"), [([4], 1, "found descriptor 4"), ([0] * 4, 5, "found 5 chains available")]
)
def test_a_ring_that_ends_the_session(
    driver: VirtioDriver, lines: Callable[[], list[str]], heads: list[int], index: int, reason: str
) -> None:
    for head in heads:
        driver.queue.offer(head)
    driver.queue.u16(driver.queue.available + 2, index)
    os.eventfd_write(driver.kick, 1)
    assert driver.front.hung_up_in_the_end()
    (line,) = lines()
    assert reason in line


def test_ring_addresses_that_are_none(path: Path, lines: Callable[[], list[str]]) -> None:
    for number, (field, value, reason) in enumerate(
        (
            (2, FRONT + 8, "multiple of 16"),
            (3, FRONT + 2, "multiple of 4"),
            (4, FRONT + 1, "multiple of 2"),
            (2, 0x1000, "found front-end address 0x1000"),
            (3, FRONT + 0xA_0000 - 8, "front-end address"),
        ),
        1,
    ):
        driver = VirtioDriver(path)
        driver.stop()
        fields = list(struct.unpack("=IIQQQQ", driver.queue.addresses()))
        fields[field] = value
        driver.front.send(SET_VRING_ADDR, struct.pack("=IIQQQQ", *fields))
        driver.front.set_number(SET_VRING_KICK, 0, [driver.kick])
        driver.front.set_state(SET_VRING_ENABLE, 1)
        assert driver.front.hung_up_in_the_end()
        driver.close()
        assert len(lines()) == number
        assert reason in lines()[-1]


def test_a_driver_that_is_not_modern(path: Path, lines: Callable[[], list[str]]) -> None:
    driver = VirtioDriver(path)
    driver.stop()
    driver.front.set_number(SET_FEATURES, PROTOCOL)
    driver.front.set_number(SET_VRING_KICK, 0, [driver.kick])
    driver.front.set_state(SET_VRING_ENABLE, 1)
    assert driver.front.hung_up_in_the_end()
    driver.close()
    assert "without VERSION_1" in lines()[0]


# -- places ------------------------------------------------------------------------------------------------


def options(way: VhostUserServer) -> list[str]:
    return [line.split(" ... ")[1] for line in way.describe() if " ... " in line]


def opened(emu: Emulator, text: str) -> VhostUserServer:
    way = emu.open_way(text)
    assert isinstance(way, VhostUserServer)
    return way


def test_one_bus_is_at_the_path_itself(emu: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    way = opened(emu, "vhost-user:lab, one.sock")
    assert way.describe() == [
        "bus 1 by vhost-user: qemu-system-x86_64 ... "
        f"-chardev 'socket,id=i2c1,path={folder}/lab,, one.sock' -device vhost-user-i2c-pci,chardev=i2c1",
        "and once, with one size: -m 512M -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem",
        "in the guest: modprobe -a i2c-virtio i2c-dev",
    ]
    assert shlex.split(options(way)[0])[1] == f"socket,id=i2c1,path={folder}/lab,, one.sock"
    driver = VirtioDriver(folder / "lab, one.sock")
    assert byte(driver) == b"\x18"
    driver.close()
    assert (folder / "lab, one.sock").stat().st_mode & 0o077 == 0


def test_several_buses_are_at_paths_of_their_own(folder: Path) -> None:
    with Emulator.load(TWO, seed=1) as emu:
        way = opened(emu, f"vhost-user:{folder}/v")
        assert way.places == {1: folder / "v-1", 2: folder / "v-2"}
        assert [f"path={folder}/v-{n}" in line for n, line in enumerate(options(way), 1)] == [True, True]
        assert opened(emu, f"vhost-user:{folder}/two@2").places == {2: folder / "two"}
        assert opened(emu, f"vhost-user:{folder}/x@y").places == {1: folder / "x@y-1", 2: folder / "x@y-2"}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "word"),
    [("", "no path"), ("@1", "no path"), ("v@7", "found bus 7, expected one of 1, 2"), ("v@", "v@-1")],
)
def test_addresses_that_are_none(folder: Path, address: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with Emulator.load(TWO, seed=1) as emu:
        if address == "v@":  # a path like any other
            assert str(opened(emu, f"vhost-user:{address}").places[1]) == word
            return
        with pytest.raises(InputError, match=f"--serve.*{word}"):
            emu.open_way(f"vhost-user:{address}")


def test_places_that_cannot_be_had(folder: Path) -> None:
    with Emulator.load(TWO, seed=1) as emu:
        (folder / "v-2").write_text("mine")
        with pytest.raises(NotAvailableError, match="no socket"):
            emu.open_way(f"vhost-user:{folder}/v")
        assert [each.name for each in folder.iterdir()] == ["v-2"]  # nothing of it is left
        way = emu.open_way(f"vhost-user:{folder}/w@1")
        with pytest.raises(NotAvailableError, match="another emulator listens there; choose another path"):
            emu.open_way(f"vhost-user:{folder}/w@2")
        with pytest.raises(NotAvailableError, match="path too long"):
            emu.open_way(f"vhost-user:{folder}/{'x' * 120}@2")
        way.close()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "w"))
        emu.open_way(f"vhost-user:{folder}/w@1")
