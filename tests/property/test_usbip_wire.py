"""Whatever a host sends over USB/IP: each lawful request gets one answer, and nothing harms server or others."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from usbip_host import TinyUsbDriver, connect

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.usbip.server import UsbIpServer

SOON_S = 30.0
IMPORT = struct.pack(">HHI32s", 0x0111, 0x8003, 0, b"1-1")
IMPORTED = 8 + 312


@dataclass(frozen=True)
class Bench:
    emu: Emulator
    server: UsbIpServer
    witness: TinyUsbDriver


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Emulator.load("qsfpdd-400g-dr4", ManualClock(), seed=1) as emu:
        emu.settle()
        server = emu.open_way("usbip:127.0.0.1:0")
        assert isinstance(server, UsbIpServer)
        witness = TinyUsbDriver(server.address)
        yield Bench(emu, server, witness)
        witness.close()


def drain(connection: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            found += block
    return found


u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
few = st.integers(0, 3)
setups = st.builds(
    lambda *fields: struct.pack("<BBHHH", *fields),
    st.sampled_from([0x00, 0x01, 0x41, 0x80, 0x81, 0xC0, 0xC1]) | u8,
    st.integers(0, 12) | u8,
    st.sampled_from([0, 1, 0x0100, 0x0200, 0x0300, 0x0301]) | u16,
    st.sampled_from([0, 0x50, 0x51]) | u16,
    st.integers(0, 300) | u16,
)


def submit(sequence: int, into: int, endpoint: int, setup: bytes, data: bytes, asked: int) -> bytes:
    """A lawful request."""
    length = asked if into else len(data)
    head = struct.pack(">5I5i8s", 1, sequence, 1, into, endpoint, 0, length, 0, -1, 0, setup)
    return head + (b"" if into else data)


requests = st.lists(
    st.tuples(st.integers(0, 1), few, setups, st.binary(max_size=40), st.integers(0, 65535)), min_size=1, max_size=20
)


@given(requests)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_lawful_request_gets_one_answer(bench: Bench, wanted: list[tuple[int, int, bytes, bytes, int]]) -> None:
    with connect(bench.server.address) as host:
        host.sendall(IMPORT)
        sent = dict(enumerate(wanted, 1))
        for number, each in sent.items():
            host.sendall(submit(number, *each))
        host.shutdown(socket.SHUT_WR)
        answers = drain(host)[IMPORTED:]
    order = []
    while answers:
        command, sequence, *_, status, actual, _, packets, _ = struct.unpack(">5I5i8x", answers[:48])
        into, _, _, data, asked = sent[sequence]
        order.append(sequence)
        assert (command, packets) == (3, -1)
        assert status in (0, -32)
        assert 0 <= actual <= (asked if into else max(len(data), 0))
        answers = answers[48 + (actual if into else 0) :]
    assert order == list(sent)
    assert bench.witness.transfer((0x50, b"\x00"), (0x50, 1)) == [b"\x18"]


headers = st.builds(
    lambda fields, setup: struct.pack(">10I", *fields) + setup,
    st.tuples(few | u32, u32, u32, few | u32, few | u32, u32, st.integers(0, 70000) | u32, u32, few | u32, u32),
    setups,
)
rubbish = st.lists(headers | st.binary(max_size=120), max_size=8).map(b"".join)


@given(st.booleans(), rubbish, st.integers(0, 400))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_harms_nobody(
    bench: Bench, caplog: pytest.LogCaptureFixture, imported: bool, sent: bytes, cut: int
) -> None:
    with connect(bench.server.address) as bad:
        with contextlib.suppress(OSError):
            bad.sendall((IMPORT if imported else b"") + sent[: len(sent) - cut if cut < len(sent) else None])
            bad.shutdown(socket.SHUT_WR)
        drain(bad)
    assert bench.witness.transfer((0x50, b"\x00"), (0x50, 1)) == [b"\x18"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
