"""The Unix socket server with good, bad, dead and many clients: none harms another, none hangs."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cmis_emu import CmisEmuError, Emulator, ManualClock
from cmis_emu.bus.preload import wire
from cmis_emu.bus.server import SocketServer
from cmis_emu.control import ControlClient, ControlServer, RefusedError
from cmis_emu.errors import AttachError, NotAvailableError

A = 0x50
SOON_S = 30.0


class Client:
    """A client that speaks the protocol, or does not."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SOON_S)
        self.socket.connect(str(path))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, op: int, payload: bytes, bus: int = 1) -> None:
        self.socket.sendall(wire.REQUEST.pack(len(payload), op, bus) + payload)

    def ask(self, op: int, payload: bytes, bus: int = 1) -> tuple[int, bytes]:
        self.send(op, payload, bus)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        length, status = wire.REPLY.unpack(self.exactly(wire.REPLY.size))
        return status, self.exactly(length)

    def exactly(self, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            block = self.socket.recv(length - len(found))
            if not block:
                raise EOFError
            found += block
        return bytes(found)

    def at_end(self) -> bool:
        """The server hung up."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def byte(self, register: int) -> int:
        status, data = self.ask(wire.Op.SMBUS, wire.SMBUS.pack(A, 1, register, wire.SmbusSize.BYTE_DATA, 0, 0, b""))
        assert status == 0
        return data[0]


def rdwr(*messages: tuple[int, int, bytes | int]) -> bytes:
    """An RDWR payload of (address, flags, data or length)."""
    head = wire.RDWR.pack(len(messages), 0)
    body = b""
    for address, flags, what in messages:
        length = what if isinstance(what, int) else len(what)
        head += wire.MESSAGE.pack(address, flags, length, 0)
        body += b"" if isinstance(what, int) else what
    return head + body


@pytest.fixture
def server(emu: Emulator, folder: Path) -> SocketServer:
    return emu.serve(folder / "bus", ControlServer(emu))


@pytest.fixture
def client(server: SocketServer) -> Iterator[Client]:
    with Client(server.path) as one:
        yield one


def test_requests_and_replies(client: Client) -> None:
    assert client.ask(wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION, 1)) == (
        0,
        wire.OPEN_REPLY.pack(wire.FUNCTIONALITY),
    )
    assert client.byte(0) == 0x18
    status, data = client.ask(wire.Op.RDWR, rdwr((A, 0, b"\x80"), (A, 1, 128)))
    assert (status, len(data)) == (2, 128)
    assert data[1:9] == b"CMIS-EMU"
    assert client.ask(wire.Op.RDWR, rdwr((0x51, 1, 1))) == (-errno.ENXIO, b"")
    assert client.ask(wire.Op.RDWR, rdwr((A, 0, bytes(10)))) == (-errno.EIO, b"")


@pytest.mark.parametrize(
    ("op", "payload", "bus", "status"),
    [
        (wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION + 1, 1), 1, -errno.EPROTO),
        (wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION, 1), 77, -errno.ENOENT),
        (wire.Op.OPEN, b"", 1, -errno.EINVAL),
        (wire.Op.OPEN, b"123456789", 1, -errno.EINVAL),
        (wire.Op.SMBUS, b"", 1, -errno.EINVAL),
        (wire.Op.SMBUS, bytes(wire.SMBUS.size - 1), 1, -errno.EINVAL),
        (wire.Op.SMBUS, wire.SMBUS.pack(A, 1, 0, 99, 0, 0, b""), 1, -errno.EOPNOTSUPP),
        (wire.Op.SMBUS, wire.SMBUS.pack(0xFFFF, 0, 0, 2, 0, 0, b""), 1, -errno.EINVAL),
        (wire.Op.SMBUS, wire.SMBUS.pack(A, 1, 0, 2, wire.ClientFlag.TEN, 0, b""), 1, -errno.EOPNOTSUPP),
        (wire.Op.SMBUS, wire.SMBUS.pack(A, 1, 0, 8, 0, 0, b"\xff"), 1, -errno.EINVAL),
        (wire.Op.RDWR, b"", 1, -errno.EINVAL),
        (wire.Op.RDWR, wire.RDWR.pack(0, 0), 1, -errno.EINVAL),
        (wire.Op.RDWR, wire.RDWR.pack(2, 0) + wire.MESSAGE.pack(A, 1, 1, 0), 1, -errno.EINVAL),
        (wire.Op.RDWR, wire.RDWR.pack(1, 0) + wire.MESSAGE.pack(A, 0, 5, 0) + b"1234", 1, -errno.EINVAL),
        (wire.Op.RDWR, rdwr(*[(A, 1, 1)] * (wire.MESSAGES_MAX + 1)), 1, -errno.EINVAL),
        (wire.Op.RDWR, rdwr((A, 1, wire.MESSAGE_LENGTH_MAX + 1)), 1, -errno.EINVAL),
        (wire.Op.RDWR, rdwr((A, wire.MessageFlag.TEN, b"\x00")), 1, -errno.EOPNOTSUPP),
        (99, b"", 1, -errno.EOPNOTSUPP),
        (0, b"abc", 0, -errno.ENOENT),
    ],
)
def test_bad_requests_get_an_errno_and_the_connection_lives(
    client: Client, op: int, payload: bytes, bus: int, status: int
) -> None:
    assert client.ask(op, payload, bus) == (status, b"")
    assert client.byte(0) == 0x18


@pytest.mark.parametrize("op", [wire.Op.RDWR, wire.Op.OPEN, wire.Op.CONTROL, 55])
@pytest.mark.parametrize("length", [4_000_001, 2**32 - 1])
def test_oversize_lengths_end_the_connection(server: SocketServer, op: int, length: int) -> None:
    with Client(server.path) as bad, Client(server.path) as good:
        bad.socket.sendall(wire.REQUEST.pack(length, op, 1))
        assert bad.answer() == (-errno.EMSGSIZE, b"")
        assert bad.at_end()
        assert good.byte(0) == 0x18


def test_the_largest_lawful_request(client: Client) -> None:
    payload = rdwr(*[(A, 0, bytes(wire.MESSAGE_LENGTH_MAX))] * wire.MESSAGES_MAX)
    assert len(payload) == wire.PAYLOAD_MAX
    assert client.ask(wire.Op.RDWR, payload) == (-errno.EIO, b"")
    status, data = client.ask(wire.Op.RDWR, rdwr(*[(A, 1, wire.MESSAGE_LENGTH_MAX)] * wire.MESSAGES_MAX))
    assert (status, len(data)) == (wire.MESSAGES_MAX, wire.MESSAGES_MAX * wire.MESSAGE_LENGTH_MAX)


def test_a_client_that_dies_in_mid_request(server: SocketServer, client: Client) -> None:
    for cut in range(1, wire.REQUEST.size + 6, 3):
        with Client(server.path) as dying:
            dying.socket.sendall((wire.REQUEST.pack(8, wire.Op.OPEN, 1) + bytes(8))[:cut])
    with Client(server.path) as rude:  # asks for much and hangs up without reading
        rude.send(wire.Op.RDWR, rdwr(*[(A, 1, wire.MESSAGE_LENGTH_MAX)] * wire.MESSAGES_MAX))
    with Client(server.path) as reset:
        reset.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.send(wire.Op.OPEN, wire.OPEN.pack(wire.PROTOCOL_VERSION, 1))
    assert client.byte(0) == 0x18


def test_a_request_in_dribs_and_two_in_one_piece(client: Client) -> None:
    request = wire.REQUEST.pack(8, wire.Op.OPEN, 1) + wire.OPEN.pack(wire.PROTOCOL_VERSION, 1)
    for value in request:
        client.socket.sendall(bytes([value]))
    assert client.answer()[0] == 0
    client.socket.sendall(request * 3)
    assert [client.answer()[0] for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)), b"\xff" * 4096, b"\0" * 64]
)
def test_rubbish_harms_nobody(server: SocketServer, client: Client, rubbish: bytes) -> None:
    with Client(server.path) as bad:
        bad.socket.sendall(rubbish)
        bad.socket.shutdown(socket.SHUT_WR)
        try:
            while bad.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert client.byte(0) == 0x18


def test_many_clients_at_once(emu: Emulator, server: SocketServer) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Client(server.path) as one:
                for value in range(100):
                    register = 29 + number % 2
                    page = rdwr((A, 0, bytes([register, value])), (A, 0, bytes([register])), (A, 1, 1))
                    assert one.ask(wire.Op.RDWR, page) == (3, bytes([value]))  # a transfer is not torn apart
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        emu.clock.advance(0.01)
        threads[0].join(0.001)
    for thread in threads:
        thread.join(SOON_S)
    assert failures == []


def test_hot_unplug_under_a_client(emu: Emulator, client: Client) -> None:
    assert client.byte(0) == 0x18
    emu.ports["1"].remove()
    smbus = wire.SMBUS.pack(A, 1, 0, wire.SmbusSize.BYTE_DATA, 0, 0, b"")
    assert client.ask(wire.Op.SMBUS, smbus) == (-errno.ENXIO, b"")
    emu.ports["1"].insert("qsfpdd-400g-dr4")
    emu.settle()
    assert client.byte(0) == 0x18


# -- life of the server --------------------------------------------------------------------------------------


def test_closing_ends_every_client(server: SocketServer) -> None:
    clients = [Client(server.path) for _ in range(5)]
    for each in clients:
        assert each.byte(0) == 0x18
    clients[0].socket.sendall(b"\x08")  # in the middle of a request
    server.close()
    assert all(each.at_end() for each in clients)
    assert not server.path.exists()
    for each in clients:
        each.socket.close()
    server.close()


def test_closing_while_a_client_waits_for_its_answer(emu: Emulator, server: SocketServer) -> None:
    with Client(server.path) as waiting:
        assert waiting.byte(0) == 0x18
        with emu.lock:  # the answer has to wait
            waiting.send(wire.Op.SMBUS, wire.SMBUS.pack(A, 1, 0, wire.SmbusSize.BYTE_DATA, 0, 0, b""))
            server.close()
        first = waiting.socket.recv(wire.REPLY.size + wire.SMBUS_REPLY.size)
        assert first == b"" or waiting.at_end()  # the answer may still be sent; then comes the end


def test_the_emulator_closes_its_servers(emu: Emulator, server: SocketServer, client: Client) -> None:
    assert client.byte(0) == 0x18
    emu.close()
    assert client.at_end()
    assert not server.path.exists()


def test_a_second_server_on_the_same_path_is_refused(emu: Emulator, server: SocketServer, client: Client) -> None:
    with pytest.raises(NotAvailableError, match="another emulator listens there; choose another --name"):
        emu.serve(server.path)
    assert client.byte(0) == 0x18
    with Client(server.path) as another:
        assert another.byte(0) == 0x18


def test_a_stale_socket_file_is_taken_over(emu: Emulator, folder: Path) -> None:
    path = folder / "stale"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert path.exists()
    server = emu.serve(path)
    with Client(path) as one:
        assert one.byte(0) == 0x18
    assert path.stat().st_mode & 0o077 == 0
    server.close()


def test_a_file_that_is_no_socket_is_left_alone(emu: Emulator, folder: Path) -> None:
    path = folder / "notes.txt"
    path.write_text("precious")
    with pytest.raises(NotAvailableError, match="found a file that is no socket"):
        emu.serve(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 200, "folder/as/file"])
def test_places_where_nobody_can_listen(emu: Emulator, folder: Path, name: str) -> None:
    (folder / "folder").write_text("")
    with pytest.raises(NotAvailableError, match=str(folder)):
        emu.serve(folder / name)


def test_a_server_that_cannot_have_its_tree_leaves_nothing(emu: Emulator, folder: Path) -> None:
    (folder / "bus.tree").write_text("mine")
    with pytest.raises(NotAvailableError, match=r"bus\.tree"):
        emu.serve(folder / "bus")
    assert [each.name for each in folder.iterdir()] == ["bus.tree"]
    assert (folder / "bus.tree").read_text() == "mine"


def test_a_closed_server_leaves_its_successors_file(emu: Emulator, server: SocketServer) -> None:
    server.path.unlink()
    successor = emu.serve(server.path)
    server.close()
    with Client(successor.path) as one:
        assert one.byte(0) == 0x18


def test_no_thread_and_no_descriptor_is_left(emu: Emulator, folder: Path) -> None:
    before, others = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    for _ in range(5):
        server = emu.serve(folder / "again")
        with Client(server.path) as one:
            assert one.byte(0) == 0x18
        server.close()
    for thread in set(threading.enumerate()) - others:
        if thread.name.startswith("cmis-emu"):
            thread.join(SOON_S)
            assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) <= before


# -- control requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"status"',
        b"{}",
        b'{"op": "explode"}',
        b'{"op": ["status"]}',
        b'{"op": null}',
        b'{"op": "get"}',
        b'{"op": "get", "port": "1"}',
        b'{"op": "get", "port": "9", "field": "ModuleState"}',
        b'{"op": "get", "port": "1", "field": "NoSuchField"}',
        b'{"op": "get", "port": "1", "field": "ModuleState", "bank": "x"}',
        b'{"op": "get", "port": "1", "field": "DPStateHostLane", "bank": 3}',
        b'{"op": "set", "port": "1", "field": "ModuleState", "value": {}}',
        b'{"op": "set", "port": "1", "field": "ModuleState", "value": 99}',
        b'{"op": "set", "port": "1", "field": "TempMonValue", "value": Infinity}',
        b'{"op": "page", "port": "1", "page": 200}',
        b'{"op": "page", "port": "1", "page": Infinity}',
        b'{"op": "pin", "port": "1", "name": "IntL", "level": true}',
        b'{"op": "insert", "port": "1", "profile": "no-such-module"}',
        b'{"op": "insert", "port": "1", "profile": 5}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda payload: payload[:40].decode("latin-1") or "empty",
)
def test_bad_control_requests_get_an_error(server: SocketServer, client: Client, payload: bytes, caplog: Any) -> None:
    status, reply = client.ask(wire.Op.CONTROL, payload)
    if status == 0:
        found = json.loads(reply)
        assert set(found) in ({"input error"}, {"error"})
        assert all(isinstance(text, str) and text for text in found.values())
    else:
        assert (status, reply) == (-errno.EIO, b"")
    caplog.clear()
    assert client.byte(0) == 0x18
    control = ControlClient(server.path)
    assert control.ask("status")["ports"][0]["state"] == "ModuleReady"
    control.close()


def test_control_client(emu: Emulator, server: SocketServer) -> None:
    control = ControlClient(server.path)
    assert control.ask("get", port="1", field="ModuleState")["value"] == 3
    with pytest.raises(RefusedError, match="found '9', expected one of 1"):
        control.ask("get", port="9", field="ModuleState")
    control.ask("remove", port="1")
    with pytest.raises(CmisEmuError, match="found an empty cage"):
        control.ask("remove", port="1")
    server.close()
    with pytest.raises(AttachError):
        control.ask("status")
    control.close()
    with pytest.raises(AttachError, match="found no emulator there"):
        ControlClient(server.path)


def test_a_failing_handler_is_eio(emu: Emulator, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails(payload: bytes) -> bytes:
        raise RuntimeError("a mistake of ours")

    server = emu.serve(folder / "bus", fails)
    with Client(server.path) as one:
        assert one.ask(wire.Op.CONTROL, b"{}") == (-errno.EIO, b"")
        assert one.byte(0) == 0x18
    assert "a mistake of ours" in caplog.text


def test_without_a_handler(emu: Emulator, folder: Path) -> None:
    server = emu.serve(folder / "bus")
    with Client(server.path) as one:
        assert one.ask(wire.Op.CONTROL, b"{}") == (-errno.EOPNOTSUPP, b"")


def test_serving_before_and_after_hosts_in_process(folder: Path) -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        server = emu.serve(folder / "bus")
        refused: Callable[[Client], tuple[int, bytes]] = lambda one: one.ask(wire.Op.RDWR, rdwr((A, 1, 1)))  # noqa: E731
        with Client(server.path) as one:
            assert refused(one) == (-errno.ENXIO, b"")
            emu.settle()
            emu.smbus(1).write_byte_data(A, 31, 7)
            assert one.byte(31) == 7
