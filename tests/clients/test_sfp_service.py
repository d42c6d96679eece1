"""The gRPC service `emulator.SfpEmulatorService` over loopback, with a real gRPC client."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from beside import SFP_PROTO, needs_sfp_proto

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.sfp_service import server as way
from cmis_emu.bus.sfp_service.messages import FIELDS, MESSAGES, METHODS, SERVICE, file_descriptor
from cmis_emu.bus.sfp_service.server import GrpcServer
from cmis_emu.errors import NotAvailableError
from cmis_emu.registers.field import LOWER

DR4 = "qsfpdd-400g-dr4"
SECONDS = 20
PAUSE = threading.Event()


class Client:
    """Methods by name: `client.Read(index=1, length=2)`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.channel = grpc.insecure_channel(f"{address[0]}:{address[1]}")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kind = self.channel.unary_stream if name == "Monitor" else self.channel.unary_unary
        method = kind(
            f"/{SERVICE}/{name}",
            request_serializer=MESSAGES[f"{name}Request"].SerializeToString,
            response_deserializer=MESSAGES[f"{name}Response"].FromString,
        )
        return lambda **fields: method(MESSAGES[f"{name}Request"](**fields), timeout=SECONDS)

    def refused(self, name: str, **fields: Any) -> tuple[str, str]:
        """Name of the status and text of a request that must fail."""
        with pytest.raises(grpc.RpcError) as caught:
            getattr(self, name)(**fields)
        return caught.value.code().name, caught.value.details()

    def read(self, offset: int, length: int, page: int = 0, **fields: Any) -> bytes:
        return bytes(self.Read(**{"index": 1, "page": page, "offset": offset, "length": length} | fields).data)

    def write(self, offset: int, data: bytes, page: int = 0, **fields: Any) -> None:
        self.Write(**{"index": 1, "page": page, "offset": offset, "data": data, "length": len(data)} | fields)


Open = Callable[..., Client]


@pytest.fixture
def serve(emu: Emulator) -> Iterator[Open]:
    """Open the way with options, connect a client."""
    with contextlib.ExitStack() as stack:

        def start(options: str = "", emulator: Emulator = emu) -> Client:
            server = emulator.open_way(f"grpc:127.0.0.1:0{options}")
            assert isinstance(server, GrpcServer)
            client = Client(server.address)
            stack.callback(client.channel.close)
            return client

        yield start


# -- the protocol ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "coded"),
    [
        ("CreateRequest", {"index": 3, "type": "x"}, "0803120178"),
        (
            "ReadRequest",
            {"index": 1, "bank": 2, "page": 3, "offset": 4, "length": 5, "force": True},
            "08011002180320042805 3001",
        ),
        (
            "WriteRequest",
            {"index": 1, "bank": 2, "page": 3, "offset": 4, "data": b"\xaa", "length": 6},
            "0801100218032004 2a01aa 3006",
        ),
        ("ReadResponse", {"data": b"\x18"}, "0a0118"),
        ("UpdateInfoRequest", {"index": 1, "present": True}, "08011001"),
        (
            "MonitorResponse",
            {
                "index": 1, "bank": 2, "page": 3, "offset": 4, "data": b"\xaa", "length": 1,
                "present": True, "write": True,
            },
            "0801100218032004 2a01aa 300138014001",
        ),
    ],
)  # fmt: skip
def test_messages_on_the_wire(name: str, fields: dict[str, Any], coded: str) -> None:
    assert MESSAGES[name](**fields).SerializeToString(deterministic=True) == bytes.fromhex(coded)


def test_nested_messages_on_the_wire() -> None:
    info = MESSAGES["GetInfoResponse"](present=True, index=7)
    info.msm.state = "M"
    info.msm.vendor_name = "V"
    info.dpsms.add(bank=1, dpid=2, appsel=3, state="S")
    assert info.SerializeToString(deterministic=True) == bytes.fromhex(
        "0801 1007 1a06 0a014d 120156 2209 0801 1002 1803 220153"
    )
    assert MESSAGES["ListResponse"](infos=[info]).SerializeToString()[:2] == bytes.fromhex("0a17")


def test_the_table_is_complete() -> None:
    service = file_descriptor().service[0]
    assert {each.name for each in service.method} == set(METHODS)
    assert [each.name for each in service.method if each.server_streaming] == ["Monitor"]
    assert {each.input_type.split(".")[-1] for each in service.method} <= set(FIELDS)


@needs_sfp_proto
def test_the_table_is_that_of_other_clients() -> None:
    text = re.sub(r"//[^\n]*", "", SFP_PROTO.read_text())
    theirs = {
        name: {(kind, label, int(number)) for kind, label, number in re.findall(r"([\w ]+?) (\w+) = (\d+);", body)}
        for name, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.DOTALL)
    }
    ours = {
        name: {
            (f"repeated {kind[:-1]}" if kind.endswith("*") else kind, label, number)
            for number, (kind, label) in enumerate((each.split(" ") for each in filter(None, fields.split(", "))), 1)
        }
        for name, fields in FIELDS.items()
    }
    assert {name: {(k.strip(), label, n) for k, label, n in fields} for name, fields in theirs.items()} == ours
    assert re.search(r"^package (\w+);", text, re.MULTILINE)[1] + ".SfpEmulatorService" == SERVICE  # type: ignore[index]
    calls = re.findall(r"rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\)", text)
    assert {(n, f"{n}Request", "stream " * (n == "Monitor"), f"{n}Response") for n in METHODS} == set(calls)


# -- bytes -----------------------------------------------------------------------------------------


def test_reads_are_those_of_the_bus(serve: Open, emu: Emulator) -> None:
    client, module = serve(), emu.ports["1"].module
    assert client.read(0, 1) == b"\x18"
    assert client.read(154, 8, page=0x11) == module.peek(0x11, 154, 8)
    assert client.read(120, 16, page=2) == module.peek(LOWER, 120, 6) + b"\0\x02" + module.peek(2, 128, 8)
    assert client.read(0, 256, page=2)[128:] == module.peek(2, 128, 128)
    assert client.read(250, 20, page=2) == module.peek(2, 250, 6)  # up to the end of the page
    assert client.read(5, 0) == b""
    assert client.read(126, 2) == b"\0\x02"  # and the page stays mapped
    assert client.read(128, 1, page=0x70) == module.peek(0, 128, 1)  # a page that is not there (PAGE-04)


def test_a_read_clears_flags(serve: Open, emu: Emulator) -> None:
    client, port = serve(), emu.ports["1"]
    port.set_host_signal(1, present=False)
    emu.clock.advance(0.5)
    first = client.read(128, 32, page=0x11)
    port.set_host_signal(1, present=True)
    emu.clock.advance(0.5)
    client.read(128, 32, page=0x11)
    assert client.read(136, 1, page=0x11) != first[8:9]
    assert client.read(136, 1, page=0x11) == b"\0"


def test_writes_obey_the_rules(serve: Open, emu: Emulator) -> None:
    client, module = serve(), emu.ports["1"].module
    client.write(0, b"\xaa")
    client.write(129, b"X" * 16)
    assert client.read(0, 1) == b"\x18"
    assert client.read(129, 8) == b"CMIS-EMU"
    client.write(128, bytes(range(40)), page=3)  # more than one write of the bus may carry
    assert module.peek(3, 128, 40) == bytes(range(40))
    client.write(26, b"\x10")
    emu.settle()
    assert module.get("ModuleState") == "ModuleLowPwr"


def test_data_and_length(serve: Open, emu: Emulator) -> None:
    client, module = serve(), emu.ports["1"].module
    client.write(128, b"\xff" * 8, page=3)
    client.write(128, b"\x05", page=3, length=3)  # zeros fill it up
    assert module.peek(3, 128, 4) == b"\x05\0\0\xff"
    client.write(140, b"\x07\x08", page=3, length=0)
    assert module.peek(3, 140, 2) == b"\x07\x08"
    code, text = client.refused("Write", index=1, page=3, offset=128, data=b"abc", length=2)
    assert (code, text) == ("INVALID_ARGUMENT", "found 3 bytes of data, expected 2 as length")


@pytest.mark.parametrize(
    ("method", "fields", "code"),
    [
        ("Read", {"page": 256, "offset": 128, "length": 1}, "INVALID_ARGUMENT"),
        ("Read", {"bank": 256, "offset": 128, "length": 1}, "INVALID_ARGUMENT"),
        ("Read", {"offset": 256, "length": 1}, "INVALID_ARGUMENT"),
        ("Write", {"offset": 300, "data": b"a"}, "INVALID_ARGUMENT"),
        ("Write", {"offset": 250, "data": b"a" * 7}, "OUT_OF_RANGE"),
        ("Write", {"offset": 0, "data": b"a", "length": 2**32 - 1}, "OUT_OF_RANGE"),
    ],
)
def test_what_is_no_place(serve: Open, method: str, fields: dict[str, Any], code: str) -> None:
    client = serve()
    assert client.refused(method, index=1, **fields)[0] == code
    assert client.read(0, 1) == b"\x18"


def test_a_great_length_costs_nothing(serve: Open, emu: Emulator) -> None:
    client = serve()
    assert len(client.read(0, 2**32 - 1)) == 256
    emu.ports["1"].remove()
    assert client.read(0, 2**32 - 1) == bytes(256)


def test_banks(serve: Open) -> None:
    with Emulator.load("osfpxd-1600g-2xdr8", clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        client, module = serve(emulator=emulator), emulator.ports["1"].module
        client.write(130, b"\xff", page=0x10, bank=1)
        assert (module.peek(0x10, 130, 1, bank=0), module.peek(0x10, 130, 1, bank=1)) == (b"\0", b"\xff")
        assert client.read(130, 1, page=0x10, bank=1) == b"\xff"
        assert client.read(154, 16, page=0x11, bank=1) == module.peek(0x11, 154, 16, bank=1)


def test_a_module_that_holds_off_is_tried_again(serve: Open, emu: Emulator) -> None:
    client, module = serve(), emu.ports["1"].module
    with emu.lock:
        module.hold_off(20_000_000)
    assert client.read(0, 1) == b"\x18"
    emu.ports["1"].pins.ResetL = False
    emu.clock.advance(0.001)
    code, text = client.refused("Read", index=1, length=1)
    assert (code, "ENXIO" in text) == ("UNAVAILABLE", True)
    assert client.refused("Write", index=1, data=b"a")[0] == "UNAVAILABLE"


# -- cages -----------------------------------------------------------------------------------------


def listed(client: Client) -> dict[int, bool]:
    return {each.index: each.present for each in client.List().infos}


def test_plugging(serve: Open, emu: Emulator) -> None:
    client, port = serve(), emu.ports["1"]
    info = client.GetInfo(index=1)
    assert (info.present, info.index, info.msm.state, info.msm.vendor_name) == (True, 1, "ModuleReady", "CMIS-EMU")
    assert [(p.bank, p.dpid, p.appsel, p.state) for p in info.dpsms] == [(0, 0, 1, "DPStateHostLaneEnum.DPACTIVATED")]
    client.UpdateInfo(index=1, present=False)
    assert port.occupant is None
    assert client.GetInfo(index=1) == MESSAGES["GetInfoResponse"](index=1)
    assert client.read(0, 4) == bytes(4)
    assert client.read(129, 8, force=True) == b"CMIS-EMU"
    assert client.refused("Write", index=1, data=b"a") == ("FAILED_PRECONDITION", "cage 1 is empty")
    client.UpdateInfo(index=1, present=False)  # twice is once
    client.UpdateInfo(index=1, present=True)
    module = port.module
    client.UpdateInfo(index=1, present=True)
    assert port.module is module
    assert module.profile.name == DR4


def test_a_cage_remembers_what_somebody_else_plugged(serve: Open, emu: Emulator) -> None:
    client = serve()
    emu.ports["1"].insert("osfp-800g-dr8")
    client.UpdateInfo(index=1, present=False)
    client.UpdateInfo(index=1, present=True)
    assert emu.ports["1"].module.profile.name == "osfp-800g-dr8"


def test_create_and_delete(serve: Open, emu: Emulator) -> None:
    client = serve("?first=0")
    assert listed(client) == {0: True}
    client.Create(index=5)
    client.Create(index=6, type="qsfpdd-400g-dac")
    assert listed(client) == {0: True, 5: False, 6: False}
    for index in (5, 6):
        client.UpdateInfo(index=index, present=True)
    emu.settle()
    assert listed(client) == {0: True, 5: True, 6: True}
    assert [port.module.profile.name for port in emu.ports.values()] == [DR4, DR4, "qsfpdd-400g-dac"]
    module = emu.ports["5"].module
    assert module.get("DPStateHostLane", lane=1) == "DPActivated"
    assert module.get("OpticalPowerRx", lane=1) > 1e-4  # looped to itself
    assert emu.smbus_of("5").read_byte_data(0x50, 0) == 0x18
    client.Delete(index=5)
    assert listed(client) == {0: True, 6: True}
    assert client.refused("GetInfo", index=5) == ("NOT_FOUND", "cage 5 does not exist")
    assert emu.ports["5"].occupant is None
    client.Create(index=5, type="osfp-800g-dr8")
    client.UpdateInfo(index=5, present=True)
    assert emu.ports["5"].module.profile.name == "osfp-800g-dr8"


@pytest.mark.parametrize("method", ["Delete", "Read", "Write", "GetInfo", "UpdateInfo"])
def test_a_cage_that_is_not_there(serve: Open, method: str) -> None:
    assert serve().refused(method, index=77) == ("NOT_FOUND", "cage 77 does not exist")


def test_cages_that_cannot_be_made(serve: Open, emu: Emulator) -> None:
    client = serve()
    assert client.refused("Create", index=1) == ("ALREADY_EXISTS", "cage 1 exists")
    code, text = client.refused("Create", index=2, type="qsfpdd-400g-dr5")
    assert code == "INVALID_ARGUMENT"
    assert "did you mean qsfpdd-400g-dr4?" in text
    assert client.refused("Create", index=2, type="/etc/passwd")[0] == "INVALID_ARGUMENT"
    assert listed(client) == {1: True}
    assert list(emu.ports) == ["1"]


def test_there_is_an_end_to_cages(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmis_emu.bus.sfp_service.service.CAGES_MAX", 3)
    client = serve()
    client.Create(index=2)
    client.Create(index=3)
    assert client.refused("Create", index=4)[0] == "RESOURCE_EXHAUSTED"
    client.Delete(index=3)
    client.Create(index=3)
    assert client.refused("Create", index=4)[0] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("names", "options", "indexes"),
    [
        (["1", "2"], "", [1, 2]),
        (["0", "7"], "", [0, 7]),
        (["a", "b"], "", [1, 2]),
        (["a", "b"], "?first=0", [0, 1]),
        (["1", "2"], "?first=0", [0, 1]),
    ],
)
def test_indexes(serve: Open, names: list[str], options: str, indexes: list[int]) -> None:
    testbed = {"version": 1, "ports": {name: {"bus": number} for number, name in enumerate(names, 1)}}
    with Emulator.load(testbed, clock=ManualClock()) as emulator:
        assert list(listed(serve(options, emulator))) == indexes


def test_a_snapshot_of_before_a_cage_was_made(serve: Open, emu: Emulator) -> None:
    client = serve()
    before = emu.snapshot()
    client.Create(index=2)
    client.UpdateInfo(index=2, present=True)
    emu.restore(before)
    assert listed(client) == {1: True, 2: False}


# -- the switch ------------------------------------------------------------------------------------


def test_overwriting(serve: Open, emu: Emulator) -> None:
    client, port = serve("?writes=any"), emu.ports["1"]
    client.write(0, b"\xaa")
    assert client.read(0, 1) == b"\xaa"
    client.write(129, b"ACME".ljust(16))
    assert port.module.get("VendorName") == "ACME"
    data = client.read(128, 128)
    assert data[94] == sum(data[:94]) & 0xFF  # the checksum fits
    client.write(14, b"\x50\x00")
    emu.clock.advance(10)
    assert client.read(14, 2) == b"\x50\x00"  # a reading that holds
    client.write(14, b"\xec\x00")
    assert client.read(14, 2) == b"\xec\x00"
    client.write(26, b"\x08")  # a control acts, as ever
    emu.settle()
    assert port.module.get("VendorName") == "ACME"
    client.UpdateInfo(index=1, present=False)
    client.UpdateInfo(index=1, present=True)
    emu.settle()
    assert client.read(129, 8) == b"CMIS-EMU"
    assert client.read(14, 2) != b"\xec\x00"


def test_overwriting_sets_flags_and_leaves_what_a_host_writes(serve: Open, emu: Emulator) -> None:
    client, port = serve("?writes=any"), emu.ports["1"]
    client.read(0, 128)
    client.read(128, 128, page=0x11)
    client.write(9, b"\x01")  # TempMonHighAlarmFlag
    assert not port.pins.IntL
    assert client.read(9, 1) == b"\x01"
    assert client.read(9, 1) == b"\0"
    client.write(128, b"\x55" * 128, page=3)
    assert port.module.peek(3, 128, 128) == b"\x55" * 128
    assert client.refused("Write", index=1, page=0x70, offset=128, data=b"a")[0] == "OUT_OF_RANGE"


def test_an_empty_cage_keeps_what_is_overwritten_for_its_module(serve: Open, emu: Emulator) -> None:
    client = serve("?writes=any")
    client.UpdateInfo(index=1, present=False)
    client.write(148, b"PN-77".ljust(16))
    assert client.read(148, 5) == bytes(5)
    assert client.read(148, 5, force=True) == b"PN-77"
    assert client.refused("Write", index=1, page=0x70, offset=128, data=b"a")[0] == "OUT_OF_RANGE"
    client.UpdateInfo(index=1, present=True)
    assert emu.ports["1"].module.get("VendorPN") == "PN-77"


# -- streams ---------------------------------------------------------------------------------------


class Listener:
    """A monitor that collects in a thread of its own."""

    def __init__(self, client: Client, index: int = 0) -> None:
        self.call = client.Monitor(index=index)
        self.events: list[Any] = []
        self.error: grpc.RpcError | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.events.extend(self.call)
        except grpc.RpcError as error:
            self.error = error

    def ended(self) -> str:
        """Name of the status with which the stream ended."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return "OK" if self.error is None else self.error.code().name


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        PAUSE.wait(0.01)


@pytest.fixture
def server(emu: Emulator) -> Iterator[GrpcServer]:
    found = emu.open_way("grpc:127.0.0.1:0")
    assert isinstance(found, GrpcServer)
    yield found
    found.close()


@pytest.fixture
def client(server: GrpcServer) -> Iterator[Client]:
    found = Client(server.address)
    yield found
    found.channel.close()


def told(listener: Listener, count: int) -> list[tuple[Any, ...]]:
    """The first events, as (index, bank, page, offset, data, length, present, write)."""
    until(lambda: len(listener.events) >= count)
    return [tuple(getattr(event, name) for name in EVENT) for event in listener.events]


EVENT = ("index", "bank", "page", "offset", "data", "length", "present", "write")


def test_monitors_are_told_of_each_request(server: GrpcServer, client: Client, emu: Emulator) -> None:
    client.Create(index=2)
    everything, second = Listener(client), Listener(client, index=2)
    until(lambda: len(server._monitors) == 2)
    client.write(128, b"\x05\x06", page=3)
    client.read(128, 2, page=3)
    client.read(0, 2, index=2)
    client.refused("Read", index=9, length=1)  # what failed is no event
    emu.smbus(1).read_byte_data(0x50, 0)  # nor is what others do on the bus
    client.read(200, 100, page=3)
    assert told(everything, 4) == [
        (1, 0, 3, 128, b"\x05\x06", 2, True, True),
        (1, 0, 3, 128, b"\x05\x06", 2, True, False),
        (2, 0, 0, 0, b"\0\0", 2, False, False),
        (1, 0, 3, 200, bytes(56), 100, True, False),
    ]
    assert told(second, 1) == [(2, 0, 0, 0, b"\0\0", 2, False, False)]
    everything.call.cancel()
    assert everything.ended() == "CANCELLED"
    until(lambda: len(server._monitors) == 1)
    client.read(0, 1, index=2)
    assert len(told(second, 2)) == 2
    second.call.cancel()
    second.ended()
    until(lambda: not server._monitors)


def test_a_server_that_closes_ends_its_streams(server: GrpcServer, client: Client) -> None:
    listeners = [Listener(client) for _ in range(5)]
    until(lambda: len(server._monitors) == 5)
    server.close()
    assert {each.ended() for each in listeners} <= {"OK", "CANCELLED", "UNAVAILABLE"}
    server.close()
    with pytest.raises(grpc.RpcError):
        client.List()


def test_a_client_that_dies_leaves_nothing_behind(server: GrpcServer) -> None:
    dying = Client(server.address)
    call = dying.Monitor()
    until(lambda: len(server._monitors) == 1)
    dying.channel.close()
    until(lambda: not server._monitors)
    with pytest.raises(grpc.RpcError):
        next(call)


def test_a_monitor_that_falls_behind_is_dropped(
    server: GrpcServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way, "EVENTS_MAX", 5)
    listener = Listener(client)
    until(lambda: len(server._monitors) == 1)
    (monitor,) = server._monitors
    for _ in range(2000):  # faster than any client reads
        monitor.put(MESSAGES["MonitorResponse"](index=1))
    assert listener.ended() == "RESOURCE_EXHAUSTED"
    assert client.read(0, 1) == b"\x18"


def test_monitors_leave_room_for_requests(server: GrpcServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "MONITORS_MAX", 3)
    listeners = [Listener(client) for _ in range(3)]
    until(lambda: len(server._monitors) == 3)
    assert Listener(client).ended() == "RESOURCE_EXHAUSTED"
    assert client.read(0, 1) == b"\x18"
    for each in listeners:
        each.call.cancel()
        each.ended()


def test_rubbish_harms_nobody(server: GrpcServer, client: Client) -> None:
    raw = client.channel.unary_unary(f"/{SERVICE}/Read")
    with pytest.raises(grpc.RpcError):
        raw(b"\xff\xff\xff\xff", timeout=SECONDS)
    with pytest.raises(grpc.RpcError) as caught:
        client.channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with socket.create_connection(server.address) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert client.read(0, 1) == b"\x18"


def test_many_clients_at_once(server: GrpcServer, emu: Emulator) -> None:
    for index in (2, 3, 4):
        emu_client = Client(server.address)
        emu_client.Create(index=index)
        emu_client.UpdateInfo(index=index, present=True)
        emu_client.channel.close()
    emu.settle()
    wrong: list[bytes] = []

    def poll(index: int) -> None:
        mine = Client(server.address)
        for page in (1, 2, 3) * 10:
            mine.write(200, bytes([index]), page=3, index=index)
            if mine.read(200, 1, page=3, index=index) != bytes([index]):
                wrong.append(b"page 3")
            if mine.read(128, 128, page=page, index=index) != emu.ports[str(index)].module.peek(page, 128, 128):
                wrong.append(bytes([page]))
        mine.channel.close()

    threads = [threading.Thread(target=poll, args=(index,)) for index in (1, 2, 3, 4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


# -- the way ---------------------------------------------------------------------------------------


def test_the_way_is_told_and_warns(emu: Emulator) -> None:
    lines = emu.open_way("grpc:127.0.0.1:0?writes=any").describe()
    assert re.fullmatch(rf"{SERVICE} by gRPC: 127\.0\.0\.1:\d+, cages by index: 1 1", lines[0])
    assert lines[1:] == ["writes=any: its writes also change what a host cannot write"]
    assert emu.open_way("grpc:0.0.0.0:0").describe()[-1].startswith("warning: this service has no passwords")


@pytest.mark.parametrize(
    "address",
    ["", "x", "127.0.0.1:", "127.0.0.1:70000", "1:2:-3", "0?", "0?first", "0?first=-1", "0?first=x", "0?writes=all",
     "0?first=1&first=2", "0?first=", "0?first=0x1", "0?writes=any&profile=", "0?profile=", "0?unknown=1",
     f"0?first={2**40}"],
)  # fmt: skip
def test_addresses_that_are_none(emu: Emulator, address: str) -> None:
    with pytest.raises(InputError):
        emu.open_way(f"grpc:{address}")


def test_a_port_that_is_taken(emu: Emulator) -> None:
    server = emu.open_way("grpc:127.0.0.1:0")
    assert isinstance(server, GrpcServer)
    with pytest.raises(NotAvailableError, match=f"grpc:127.0.0.1:{server.address[1]}"):
        emu.open_way(f"grpc:127.0.0.1:{server.address[1]}")
    with pytest.raises(NotAvailableError):
        emu.open_way("grpc:no.such.host.invalid:0")


def test_without_grpc_one_is_told_what_to_install() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None\n"
        "from cmis_emu import Emulator, ManualClock\n"
        "Emulator.load('qsfpdd-400g-dr4', clock=ManualClock()).open_way('grpc:0')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NotAvailableError" in done.stderr
    assert "pip install 'cmis-emu[grpc]'" in done.stderr.splitlines()[-1]


def test_a_page_is_not_changed_in_the_middle_of_a_request(serve: Open, tmp_path: Path) -> None:
    """The module holds off after each page select, and the lock is free while the service waits for it."""
    profile = tmp_path / "slow.yaml"
    profile.write_text(f"profile: slow\ntitle: holds off\nbase: {DR4}\nbehaviour: {{page_holdoff_ms: 2}}\n")
    with Emulator.load(str(profile)) as emulator:
        emulator.settle()
        client = serve(emulator=emulator)
        right = {page: emulator.ports["1"].module.peek(page, 128, 64) for page in (0, 1, 2)}
        wrong: list[int] = []

        def poll(page: int) -> None:
            wrong.extend(page for _ in range(20) if client.read(128, 64, page=page) != right[page])

        threads = [threading.Thread(target=poll, args=(page,)) for page in right]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not wrong
