"""A client of the family "ethtool" that is not ethtool: it sends what no tool sends, and waits in every way."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys

GENERIC, SOL_NETLINK, EXT_ACK, CAP_ACK = 16, 270, 11, 10
REQUEST, ACK = 1, 4


def attribute(kind: int, data: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(data), kind) + data).ljust((len(data) + 7) & ~3, b"\0")


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def header(name: bytes, more: bytes = b"") -> bytes:
    return attribute(0x8001, attribute(2, name + b"\0") + more)


def message(kind: int, command: int, body: bytes, sequence: int = 1, flags: int = REQUEST | ACK) -> bytes:
    body = struct.pack("=BBH", command, 1, 0) + body
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


class Client:
    def __init__(self, *, extended: bool = True, capped: bool = False) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
        self.socket.bind((0, 0))
        self.socket.settimeout(5)
        self.socket.setsockopt(SOL_NETLINK, EXT_ACK, int(extended))
        self.socket.setsockopt(SOL_NETLINK, CAP_ACK, int(capped))
        self.socket.send(message(16, 3, attribute(2, b"ethtool\0")))
        found = self.socket.recv(65536)
        assert self.end(self.socket.recv(65536))["errno"] == "0"
        self.family = struct.unpack("=H", found.split(b"ethtool\0")[1][4:6])[0]

    def end(self, data: bytes) -> dict[str, object]:
        """An acknowledgement, taken apart."""
        length, kind, flags, sequence, port = struct.unpack_from("=IHHII", data)
        assert kind == 2, data
        assert port == self.socket.getsockname()[0]
        number = -struct.unpack_from("=i", data, 16)[0]
        quoted = 16 if flags & 0x100 else struct.unpack_from("=I", data, 20)[0]
        at = 20 + ((quoted + 3) & ~3)
        details: dict[str, object] = {}
        while flags & 0x200 and at + 4 <= length:
            size, what = struct.unpack_from("=HH", data, at)
            if what == 1:
                details["text"] = data[at + 4 : at + size - 1].decode()
            elif what in (2, 5, 6):
                details[{2: "offset", 5: "missing", 6: "nest"}[what]] = struct.unpack_from("=I", data, at + 4)[0]
            at += (size + 3) & ~3
        name = errno.errorcode.get(number, str(number))
        return {"errno": name, "capped": bool(flags & 0x100), "sequence": sequence, **details}

    def ask(self, command: int, body: bytes) -> dict[str, object]:
        self.socket.send(message(self.family, command, body))
        while True:
            data = self.socket.recv(65536)
            if struct.unpack_from("=H", data, 4)[0] == 2:
                return self.end(data)


def eeprom(name: bytes, **changes: bytes) -> bytes:
    parts = {
        "header": header(name),
        "offset": u32(2, 0),
        "length": u32(3, 4),
        "page": u8(4, 0),
        "bank": u8(5, 0),
        "i2c": u8(6, 0x50),
    }
    return b"".join({**parts, **changes}.values())


def strange_requests(name: bytes) -> dict[str, tuple[int, bytes]]:
    bare = eeprom(name, header=b"")
    ask = {
        "no header": bare,
        **{f"no {part}": eeprom(name, **{part: b""}) for part in ("offset", "length", "page", "i2c")},
        "offset 256": eeprom(name, offset=u32(2, 256)),
        "length 0": eeprom(name, length=u32(3, 0)),
        "length 129": eeprom(name, length=u32(3, 129)),
        "over the half": eeprom(name, offset=u32(2, 126)),
        "over the page": eeprom(name, offset=u32(2, 253)),
        "lower half of page 1": eeprom(name, page=u8(4, 1)),
        "page 1 over the end": eeprom(name, page=u8(4, 1), offset=u32(2, 250), length=u32(3, 100)),
        "address 80h": eeprom(name, i2c=u8(6, 0x80)),
        "short offset": eeprom(name, offset=u8(2, 0)),
        "long page": eeprom(name, page=u32(4, 0)),
        "unknown": eeprom(name) + u8(9, 0),
        "data": eeprom(name) + attribute(7, b"x"),
        "flat header": attribute(1, attribute(2, name + b"\0")) + bare,
        "flag 8": header(name, u32(3, 8)) + bare,
        "name without end": attribute(0x8001, attribute(2, name)) + bare,
        "unknown in header": header(name, u8(9, 0)) + bare,
        "nested number": eeprom(name, offset=attribute(0x8002, struct.pack("=I", 0))),
        "leftover": eeprom(name) + b"\1\0\0\0",
        "absent": eeprom(b"nosuch0"),
        "empty header": attribute(0x8001, b"") + bare,
        "index of nobody": attribute(0x8001, u32(1, 999_999)) + bare,
    }
    found = {name: (31, body) for name, body in ask.items()}
    found |= {
        f"set {what}": (35, body)
        for what, body in {
            "nothing": header(name),
            "0": header(name) + u8(2, 0),
            "3": header(name) + u8(2, 3),
            "mode": header(name) + u8(3, 1),
            "without header": u8(2, 1),
        }.items()
    }
    found |= {"get policy": (34, header(name) + u8(2, 1)), "get without header": (34, b"")}
    return found


def strange(name: str) -> object:
    """What each strange request is answered with."""
    client = Client()
    return {what: client.ask(*request) for what, request in strange_requests(name.encode()).items()}


def waiting(name: str) -> object:
    """One request, its answer waited for in every way."""
    client = Client()
    sock, request = client.socket, message(client.family, 31, eeprom(name.encode()), 7)
    found: dict[str, object] = {}
    sock.setblocking(False)

    def data(reply: bytes) -> str:
        assert struct.unpack_from("=IHHI", reply)[1:] == (client.family, 0, 7), reply
        return reply[-4:].hex()

    def drain() -> list[bytes]:
        got = []
        while True:
            try:
                got.append(sock.recv(65536))
            except BlockingIOError:
                return got

    assert drain() == []
    sock.send(request)
    found["select"] = sock in select.select([sock], [], [], 5)[0]
    found["peek"] = data(sock.recv(65536, socket.MSG_PEEK))
    found["recv"] = data(sock.recv(65536))
    found["end"] = client.end(sock.recv(65536))
    found["nothing more"] = drain() == []
    sock.sendto(request, (0, 0))
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    found["poll"] = [event for _, event in poll.poll(5000)]
    reply, sender = sock.recvfrom(65536)
    found["recvfrom"] = data(reply), list(sender)
    drain()
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLIN | select.EPOLLET)
    sock.sendmsg([request[:20], request[20:]])
    found["epoll"] = [event for _, event in epoll.poll(5)]
    reply, ancillary, flags, sender = sock.recvmsg(65536)
    found["recvmsg"] = data(reply), len(ancillary), flags, list(sender)
    drain()
    sock.send(request)
    found["read"] = data(os.read(sock.fileno(), 65536))
    drain()
    sock.send(request)
    room = ctypes.create_string_buffer(65536)
    length = ctypes.CDLL(None).__read_chk(sock.fileno(), room, ctypes.c_size_t(65536), ctypes.c_size_t(65536))
    found["read, fortified"] = data(room.raw[:length])
    drain()
    sock.send(request)
    short, _, flags, _ = sock.recvmsg(40)
    found["cut short"] = len(short), bool(flags & socket.MSG_TRUNC)
    drain()
    sock.send(request)
    whole = bytearray(65536)
    length = sock.recv_into(whole, 65536, socket.MSG_PEEK | socket.MSG_TRUNC)
    found["length first"] = length == len(sock.recv(65536))
    drain()
    # Two in one datagram, with one for the kernel (or who takes its place) between them.
    family = message(16, 3, attribute(2, b"nosuch\0"), 8)
    sock.send(b"".join(part.ljust((len(part) + 3) & ~3, b"\0") for part in (request, family, request)))
    found["three at once"] = [struct.unpack_from("=HHI", each, 4)[::2] for each in drain()]
    sock.send(message(client.family, 31, eeprom(name.encode()), 9, REQUEST))
    found["no acknowledgement"] = len(drain())
    for _ in range(1000):  # never fetched: nothing grows without end
        sock.send(request)
        drain()
    extended = Client(extended=False), Client(capped=True)
    found["plain error"], found["capped error"] = (
        each.ask(31, eeprom(name.encode(), offset=u32(2, 126))) for each in extended
    )
    return found


class Ioctl:
    """SIOCETHTOOL."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def ask(self, name: str, command: bytes, room: int) -> bytes | str:
        buffer = ctypes.create_string_buffer(command, room)
        request = struct.pack("=16sQ", name.encode(), ctypes.addressof(buffer)).ljust(40, b"\0")
        try:
            fcntl.ioctl(self.socket.fileno(), 0x8946, request)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return buffer.raw


def legacy(name: str) -> object:
    """The module by the old ioctl, in one piece, and what is refused."""
    client = Ioctl()
    info = client.ask(name, struct.pack("=I", 0x42), 44)
    if isinstance(info, str):
        return {"info": info}
    _, kind, size = struct.unpack_from("=III", info)

    def read(offset: int, length: int) -> str:
        found = client.ask(name, struct.pack("=IIII", 0x43, 0, offset, length), 16 + length)
        return found if isinstance(found, str) else found[16:].hex()

    return {
        "type": kind,
        "size": size,
        "whole": read(0, size),
        "pieces": "".join(read(at, min(100, size - at)) for at in range(0, size, 100)),
        "beyond": read(size - 1, 2),
        "link": client.ask(name, struct.pack("=II", 0x0A, 0), 8),
        "lo": client.ask("lo", struct.pack("=I", 0x42), 44),
    }


if __name__ == "__main__":
    print(json.dumps({"strange": strange, "waiting": waiting, "legacy": legacy}[sys.argv[1]](sys.argv[2])))
