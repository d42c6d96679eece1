"""The USB/IP server with hosts that are slow, rude, many or dead; the good ones are in `tests/contract`."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_bench import arm
from usbip_host import (
    FIRST,
    GET_FUNCTIONALITY,
    GET_STATUS,
    LAST,
    M_RD,
    MESSAGE,
    SOON_S,
    VENDOR_IN,
    VENDOR_OUT,
    Cable,
    TinyUsbDriver,
    connect,
    import_device,
    list_devices,
)

from cmis_emu import Emulator, ScaledClock
from cmis_emu.bus import claims
from cmis_emu.bus.preload import wire
from cmis_emu.bus.usbip.server import UsbIpServer
from cmis_emu.errors import InputError, NotAvailableError

A = 0x50
DR4 = "qsfpdd-400g-dr4"
STALL = -errno.EPIPE
UNLINKED = -errno.ECONNRESET


def serving(emu: Emulator) -> UsbIpServer:
    way = emu.open_way("usbip:127.0.0.1:0")
    assert isinstance(way, UsbIpServer)
    return way


@pytest.fixture
def server(emu: Emulator) -> UsbIpServer:
    return serving(emu)


@pytest.fixture
def driver(server: UsbIpServer) -> Iterator[TinyUsbDriver]:
    one = TinyUsbDriver(server.address)
    yield one
    one.close()


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """A module in real time, so that it can hold a transfer up."""
    with Emulator.load(DR4, ScaledClock(), seed=1) as emu:
        emu.settle()
        yield emu


def byte(driver: TinyUsbDriver, register: int = 0) -> bytes:
    return driver.transfer((A, bytes([register])), (A, 1))[0]


# -- the question ----------------------------------------------------------------------------------------


def test_the_list_and_the_import(server: UsbIpServer) -> None:
    (device,) = list_devices(server.address)
    assert (device.bus_id, device.vendor, device.product, device.speed) == ("1-1", 0x0403, 0xC631, 3)
    connection, imported = import_device(server.address, "1-1")
    assert imported == device
    connection.close()
    for missing in ("1-2", "", "x" * 32, "1-1x"):
        with pytest.raises(OSError, match="status"):
            import_device(server.address, missing)


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\x01",
        struct.pack(">HHI", 0x0100, 0x8005, 0),
        struct.pack(">HHI", 0x0111, 0x0005, 0),
        struct.pack(">HHI", 0x0111, 0x8003, 0) + b"1-1",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(4096),
    ],
)
def test_a_question_that_is_none_ends_the_connection(server: UsbIpServer, question: bytes) -> None:
    with connect(server.address) as bad, contextlib.suppress(OSError):  # it may be over before all is said
        bad.sendall(question)
        bad.shutdown(socket.SHUT_WR)
        assert bad.recv(65536) == b""
    driver = TinyUsbDriver(server.address)
    assert byte(driver) == b"\x18"
    driver.close()


# -- the device ------------------------------------------------------------------------------------------


def test_what_the_driver_finds(driver: TinyUsbDriver) -> None:
    assert driver.strings == ["cmis-emu", "I2C bus 1", "bus-1"]
    assert driver.functionality == wire.FUNCTIONALITY
    assert driver.control(0x80, 8, 0, 0, 1).data == b"\x01"  # configured
    assert driver.control(0x80, 0, 0, 0, 2).data == b"\x01\x00"  # self-powered
    assert driver.control(0x81, 10, 0, 0, 1).data == b"\x00"
    driver.control(0x01, 11, 0, 0, b"")
    driver.control(0x00, 9, 0, 0, b"")
    assert driver.control(0x80, 8, 0, 0, 1).data == b"\x00"


@pytest.mark.parametrize(
    ("request_type", "request_code", "value"),
    [
        (0x80, 6, 0x0600),  # no device qualifier: it is no full-speed device
        (0x80, 6, 0x0304),
        (0x80, 6, 0x0201),
        (0x80, 99, 0),
        (0x00, 9, 7),
        (0x21, 9, 0),  # a class request
        (0xA1, 1, 0),
        (0xC0, GET_FUNCTIONALITY, 0),  # to the device, not to the interface
        (VENDOR_IN, 0, 0),
        (VENDOR_IN, 8, 0),
        (VENDOR_OUT, 200, 0),
    ],
)
def test_what_the_device_does_not_know_stalls(
    driver: TinyUsbDriver, request_type: int, request_code: int, value: int
) -> None:
    data: bytes | int = 4 if request_type & 0x80 else b""
    done = driver.cable.wait(driver.cable.submit(request_type, request_code, value, 0, data))
    assert (done.status, done.actual) == (STALL, 0)
    done = driver.cable.wait(driver.cable.submit(VENDOR_IN, GET_STATUS, 0, 0, 1, endpoint=1))
    assert done.status == STALL
    assert byte(driver) == b"\x18"


def test_a_message_that_continues_nothing(driver: TinyUsbDriver) -> None:
    for request in (MESSAGE, MESSAGE + LAST):
        done = driver.control(VENDOR_IN, request, M_RD, A, 1)
        assert done.actual == 0
        assert driver.control(VENDOR_IN, GET_STATUS, 0, 0, 1).data == b"\x02"
        with pytest.raises(OSError, match="Broken pipe"):
            driver.control(VENDOR_OUT, request, 0, A, b"")
    assert byte(driver) == b"\x18"


def test_flags_that_the_adapter_does_not_have(driver: TinyUsbDriver) -> None:
    for flag in (0x0010, 0x0400, 0x4000):  # ten bits, length from the module, no START
        assert driver.control(VENDOR_IN, MESSAGE + FIRST + LAST, M_RD | flag, A, 1).actual == 0
    assert byte(driver) == b"\x18"


# -- several hosts, and the bus between messages ------------------------------------------------------------


def test_a_host_keeps_the_bus_between_its_messages(
    emu: Emulator, server: UsbIpServer, driver: TinyUsbDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, here = TinyUsbDriver(server.address), emu.smbus(1)
    driver.control(VENDOR_OUT, MESSAGE + FIRST, 0, A, b"\x81")
    found: list[bytes | int] = []
    waiting = [
        threading.Thread(target=lambda: found.append(byte(other))),
        threading.Thread(target=lambda: found.append(here.read_byte_data(A, 0))),
    ]
    for thread in waiting:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    assert driver.control(VENDOR_IN, MESSAGE + LAST, M_RD, A, 4).data == b"CMIS"
    for thread in waiting:
        thread.join(SOON_S)
    assert sorted(found, key=str) == [0x18, b"\x18"]
    other.close()


def test_a_host_that_falls_silent_loses_the_bus(
    emu: Emulator, driver: TinyUsbDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SILENCE_S", 0.05)
    driver.control(VENDOR_OUT, MESSAGE + FIRST, 0, A, b"\x81")
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18
    assert driver.control(VENDOR_IN, MESSAGE + LAST, M_RD, A, 4).actual == 0
    assert byte(driver) == b"\x18"


def test_a_transfer_that_failed_frees_the_bus(emu: Emulator, driver: TinyUsbDriver) -> None:
    driver.control(VENDOR_OUT, MESSAGE + FIRST, 0, 0x51, b"\x81")
    start = time.monotonic()
    assert emu.smbus(1).read_byte_data(A, 0) == 0x18
    assert time.monotonic() - start < claims.SILENCE_S / 2


def test_many_hosts(server: UsbIpServer) -> None:
    drivers = [TinyUsbDriver(server.address) for _ in range(6)]
    failures: list[BaseException] = []

    def work(driver: TinyUsbDriver, register: int) -> None:
        try:
            for _ in range(60):
                assert driver.transfer((A, bytes([register])), (A, 1)) == [b"CMIS-E"[register - 129 :][:1]]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(driver, 129 + n)) for n, driver in enumerate(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert not failures
    for driver in drivers:
        driver.close()


# -- a module that holds transfers up -----------------------------------------------------------------------


def test_what_does_not_need_the_module_does_not_wait_for_it(slow: Emulator) -> None:
    driver = TinyUsbDriver(serving(slow).address)
    clear = arm(slow, "bus.stretch", time="1.9 s", direction="read")
    held = driver.cable.submit(VENDOR_IN, MESSAGE + FIRST + LAST, M_RD, A, 1)
    start = time.monotonic()
    for _ in range(5):
        assert driver.control(0x80, 6, 0x0100, 0, 18).actual == 18
    assert time.monotonic() - start < 1.0
    assert not driver.cable.has_answer(held)
    after = driver.cable.submit(VENDOR_IN, GET_STATUS, 0, 0, 1)
    assert driver.control(0x80, 6, 0x0100, 0, 18).actual == 18
    assert not driver.cable.has_answer(after)  # of the adapter: in its turn
    clear()
    assert driver.cable.wait(held).actual == 1
    assert driver.cable.wait(after).data == b"\x01"
    assert byte(driver) == b"\x18"
    driver.close()


def test_unlink(slow: Emulator) -> None:
    driver = TinyUsbDriver(serving(slow).address)
    cable = driver.cable
    done = cable.submit(VENDOR_IN, GET_STATUS, 0, 0, 1)
    cable.wait(done)
    assert cable.wait(cable.unlink(done)).status == 0  # too late
    assert cable.wait(cable.unlink(12345)).status == 0
    clear = arm(slow, "bus.stretch", time="1.9 s", direction="read")
    held = cable.submit(VENDOR_IN, MESSAGE + FIRST, M_RD, A, 1)
    driver.control(0x80, 6, 0x0100, 0, 18)  # the held one is under way
    waiting = cable.submit(VENDOR_IN, GET_STATUS, 0, 0, 1)
    kept = cable.submit(VENDOR_IN, GET_FUNCTIONALITY, 0, 0, 4)
    assert cable.wait(cable.unlink(waiting)).status == UNLINKED
    assert cable.wait(cable.unlink(held)).status == UNLINKED
    assert cable.wait(cable.unlink(held)).status == 0
    clear()
    assert cable.wait(kept).actual == 4
    start = time.monotonic()
    assert slow.smbus(1).read_byte_data(A, 0) == 0x18  # the transfer that was given up keeps the bus from nobody
    assert time.monotonic() - start < claims.SILENCE_S / 2
    assert byte(driver) == b"\x18"
    assert not cable.has_answer(held)
    assert not cable.has_answer(waiting)
    driver.close()


@pytest.mark.parametrize(("duration", "outcome"), [("1.5 s", b"\x18"), ("30 s", "EIO")])
def test_stretching_up_to_the_drivers_limit(duration: str, outcome: bytes | str) -> None:
    with Emulator.load(DR4, ScaledClock(20.0), seed=1) as emu:
        emu.settle()
        driver = TinyUsbDriver(serving(emu).address)
        clear = arm(emu, "bus.stretch", time=duration, direction="read")
        if isinstance(outcome, bytes):
            assert byte(driver) == outcome
        else:
            with pytest.raises(OSError, match="Input/output error"):
                byte(driver)
        clear()
        assert byte(driver) == b"\x18"
        driver.close()


def test_a_host_that_dies_while_it_is_held_up(slow: Emulator) -> None:
    server = serving(slow)
    driver, witness = TinyUsbDriver(server.address), TinyUsbDriver(server.address)
    clear = arm(slow, "bus.stretch", time="1.9 s", direction="read")
    driver.cable.submit(VENDOR_IN, MESSAGE + FIRST, M_RD, A, 1)
    driver.control(0x80, 6, 0x0100, 0, 18)
    driver.close()
    clear()
    start = time.monotonic()
    assert byte(witness) == b"\x18"
    assert time.monotonic() - start < claims.SILENCE_S / 2
    witness.close()


# -- ends and addresses --------------------------------------------------------------------------------------


def test_no_thread_and_no_descriptor_is_left(emu: Emulator) -> None:
    before, others = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    for _ in range(3):
        server = serving(emu)
        driver = TinyUsbDriver(server.address)
        assert byte(driver) == b"\x18"
        server.close()
        driver.close()
    for thread in set(threading.enumerate()) - others:
        if thread.name.startswith("cmis-emu"):
            thread.join(SOON_S)
            assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("address", ["", "x", "host:", ":3240", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:²"])
def test_addresses_that_are_none(emu: Emulator, address: str) -> None:
    with pytest.raises(InputError, match=r"expected usbip:\[HOST:\]PORT"):
        emu.open_way(f"usbip:{address}")


@pytest.mark.parametrize("text", ["usb:1", "usbip", "", ":", "unix:"])
def test_kinds_that_are_none(emu: Emulator, text: str) -> None:
    with pytest.raises(InputError, match="--serve"):
        emu.open_way(text)


def test_addresses_that_cannot_be_had(emu: Emulator, server: UsbIpServer) -> None:
    with pytest.raises(NotAvailableError, match="Address already in use"):
        emu.open_way(f"usbip:{server.address[1]}")
    for host in ("203.0.113.1", "x" * 70):
        with pytest.raises(NotAvailableError):
            emu.open_way(f"usbip:{host}:0")


def test_who_can_get_in_is_said(emu: Emulator, server: UsbIpServer) -> None:
    port = server.address[1]
    assert server.describe() == [f"bus 1 by USB/IP: usbip --tcp-port {port} attach -r 127.0.0.1 -b 1-1"]
    everywhere = emu.open_way("usbip:0.0.0.0:0").describe()
    assert everywhere[-1].startswith("warning: USB/IP has no passwords: whoever reaches 0.0.0.0")
    if socket.has_ipv6:
        try:
            lines = emu.open_way("usbip:[::1]:0").describe()
        except NotAvailableError:
            return  # a machine without IPv6
        assert len(lines) == 1


# -- this machine's kernel, by the Unix socket ---------------------------------------------------------------


def ask(path: Path, payload: bytes, bus: int = 1) -> tuple[socket.socket, int, bytes]:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SOON_S)
    client.connect(str(path))
    client.sendall(wire.REQUEST.pack(len(payload), wire.Op.USB, bus) + payload)
    length, status = wire.REPLY.unpack(client.recv(wire.REPLY.size))
    return client, status, client.recv(length) if length else b""


def test_a_connection_becomes_a_cable(emu: Emulator, tmp_path: Path) -> None:
    path = emu.serve(tmp_path / "s").path
    told, status, reply = ask(path, wire.USB.pack(wire.PROTOCOL_VERSION, 0))
    told.close()
    assert status == 0
    device, speed = wire.USB_REPLY.unpack(reply)
    assert (device >> 31, speed) == (1, 3)
    client, status, reply = ask(path, wire.USB.pack(wire.PROTOCOL_VERSION, 1))
    assert (status, wire.USB_REPLY.unpack(reply)) == (wire.PLUGGED, (device, speed))
    cable = Cable(client, device)
    assert cable.wait(cable.submit(VENDOR_IN, GET_FUNCTIONALITY, 0, 0, 4)).data == wire.FUNCTIONALITY.to_bytes(
        4, "little"
    )
    cable.wait(cable.submit(VENDOR_OUT, MESSAGE + FIRST, 0, A, b"\x81"))
    assert cable.wait(cable.submit(VENDOR_IN, MESSAGE + LAST, M_RD, A, 4)).data == b"CMIS"
    emu.close()
    with pytest.raises(OSError, match="No such device"):
        cable.wait(cable.submit(VENDOR_IN, GET_STATUS, 0, 0, 1))
    cable.close()


@pytest.mark.parametrize(
    ("payload", "bus", "expected"),
    [
        (wire.USB.pack(99, 1), 1, -errno.EPROTO),
        (wire.USB.pack(wire.PROTOCOL_VERSION, 1), 7, -errno.ENOENT),
        (b"", 1, -errno.EINVAL),
    ],
)
def test_a_cable_that_is_refused(emu: Emulator, tmp_path: Path, payload: bytes, bus: int, expected: int) -> None:
    client, status, reply = ask(emu.serve(tmp_path / "s").path, payload, bus)
    client.close()
    assert (status, reply) == (expected, b"")
