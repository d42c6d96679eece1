"""The family "ethtool" by itself: bytes in, datagrams out, and what the module behind it saw on its bus."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.ethtool import netlink
from cmis_emu.bus.ethtool.driver import Driver
from cmis_emu.bus.ethtool.family import EEPROM_GET, FIRST_INDEX, MODULE_GET, MODULE_SET, Family
from cmis_emu.bus.preload.wire import NetlinkFlag
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.virtual import VirtualBus

ID = 21
NONE = NetlinkFlag(0)
EXTENDED = NetlinkFlag.EXTENDED_ACK
ALONE = NetlinkFlag.NO_KERNEL | NetlinkFlag.NO_FAMILY | EXTENDED


@pytest.fixture
def family(emu: Emulator) -> Family:
    """One interface, on the bus of `emu`, and one whose bus is empty."""
    return Family({"Ethernet0": Driver(emu.buses[1]), "Ethernet4": Driver(VirtualBus(2))}, emu.lock)


def request(kind: int, command: int, *attributes: bytes, flags: int = 5) -> bytes:
    body = struct.pack("=BBH", command, 1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 3, 0) + body


def header(name: str = "Ethernet0") -> bytes:
    return netlink.nest(1, netlink.text(2, name))


def eeprom(page: int = 0, offset: int = 0, length: int = 128, bank: int = 0, name: str = "Ethernet0") -> bytes:
    numbers = ((2, "=I", offset), (3, "=I", length), (4, "=B", page), (5, "=B", bank), (6, "=B", 0x50))
    return request(ID, EEPROM_GET, header(name), *(netlink.attribute(k, struct.pack(f, v)) for k, f, v in numbers))


def refusal(answer: list[bytes] | None) -> int:
    """The errno of the one datagram of an answer."""
    assert answer is not None
    assert len(answer) == 1
    assert struct.unpack_from("=IH", answer[0])[1] == netlink.NLMSG_ERROR
    return -int(struct.unpack_from("=i", answer[0], 16)[0])


def payload(answer: list[bytes] | None) -> dict[int, bytes]:
    """The attributes of a reply that is followed by an acknowledgement."""
    assert answer is not None
    assert [len(each) == struct.unpack_from("=I", each)[0] for each in answer] == [True, True]
    assert struct.unpack_from("=i", answer[1], 16)[0] == 0
    return dict(netlink.walk(answer[0], 20))


def test_a_reply_names_the_interface_and_carries_the_bytes(family: Family, emu: Emulator) -> None:
    found = payload(family.answer(eeprom(offset=128), ID, NONE))
    assert found[7] == emu.ports["1"].module.peek(0, 128, 128)
    inner = dict(netlink.walk(found[1]))
    assert (struct.unpack("=I", inner[1])[0], inner[2]) == (FIRST_INDEX, b"Ethernet0\0")


def test_an_index_is_as_good_as_a_name(family: Family) -> None:
    def by(*inner: bytes) -> bytes:
        return request(ID, MODULE_GET, netlink.nest(1, *inner))

    index = netlink.attribute(1, struct.pack("=I", FIRST_INDEX))
    assert 3 in payload(family.answer(by(index), ID, NONE))
    assert 3 in payload(family.answer(by(index, netlink.text(2, "Ethernet0")), ID, NONE))
    assert refusal(family.answer(by(index, netlink.text(2, "Ethernet4")), ID, NONE)) == errno.ENODEV


@pytest.mark.parametrize(
    "raw",
    [
        request(ID, EEPROM_GET, header("eth0")),
        request(ID, EEPROM_GET),
        request(ID, EEPROM_GET, netlink.nest(1)),
        request(ID, 4, header()),  # ETHTOOL_MSG_LINKMODES_GET: there is no network interface
        request(ID, MODULE_GET, header(), flags=0x305),  # a dump
        request(ID, MODULE_GET, flags=0x305),
        request(ID + 1, EEPROM_GET, header()),
        request(16, 3, netlink.text(2, "ethtool")),
    ],
)
def test_the_kernels_business(family: Family, raw: bytes) -> None:
    assert family.answer(raw, ID, EXTENDED) is None


def test_alone_it_answers_everything(family: Family) -> None:
    found = payload(family.answer(request(16, 3, netlink.text(2, "ethtool")), 1008, ALONE))
    assert struct.unpack("=H", found[1])[0] == 1008
    operations = [dict(netlink.walk(each)) for _, each in netlink.walk(found[6])]
    assert [struct.unpack("=I", each[1])[0] for each in operations] == [EEPROM_GET, MODULE_GET, MODULE_SET]
    for raw, number in (
        (request(16, 3, netlink.text(2, "nl80211")), errno.ENOENT),
        (request(16, 3, flags=0x305), errno.ENOENT),
        (request(99, 1), errno.ENOENT),
        (request(1008, EEPROM_GET, header("eth0")), errno.ENODEV),
        (request(1008, 4, header()), errno.EOPNOTSUPP),
        (request(1008, MODULE_GET, header(), flags=0x305), errno.EOPNOTSUPP),
    ):
        assert refusal(family.answer(raw, 1008, ALONE)) == number
    without = NetlinkFlag.NO_FAMILY  # there is a kernel, which knows other families
    assert family.answer(request(16, 3, netlink.text(2, "nl80211")), 1008, without) is None
    assert family.answer(request(99, 1), 1008, without) is None


def test_a_read_is_what_a_driver_does(emu: Emulator, family: Family) -> None:
    """Select, look whether it was taken, read, back to page 00h; and nothing of that for lower memory."""
    seen: list[Transaction] = []
    next(iter(emu.ports.values())).target.taps.append(seen.append)

    def told(raw: bytes) -> list[tuple[str, int, int]]:
        seen.clear()
        payload(family.answer(raw, ID, NONE))
        return [("r" if each.read else "w", each.address, len(each.data)) for each in seen]

    assert told(eeprom(offset=14, length=4)) == [("w", 14, 0), ("r", 14, 4)]
    model = [("w", 2, 0), ("r", 2, 1)]
    select = [("w", 126, 2), ("w", 126, 0), ("r", 126, 2)]
    assert told(eeprom(0x11, 140, 20)) == [*model, *select, ("w", 140, 0), ("r", 140, 20), ("w", 126, 2)]
    assert told(eeprom(0, 128, 128)) == [*model, *select, ("w", 128, 0), ("r", 128, 128)]


def test_refused_reads_change_no_page(family: Family, emu: Emulator) -> None:
    bus = emu.smbus(1)
    bus.write_byte_data(0x50, 127, 0x01)
    assert refusal(family.answer(eeprom(page=0xEE, offset=128), ID, NONE)) == errno.EINVAL
    assert bus.read_byte_data(0x50, 127) == 0
    bus.write_byte_data(0x50, 127, 0x01)
    payload(family.answer(eeprom(offset=3, length=1), ID, NONE))  # lower memory needs no page
    assert bus.read_byte_data(0x50, 127) == 1
    payload(family.answer(eeprom(page=0x11, offset=128, length=128), ID, NONE))
    assert bus.read_byte_data(0x50, 127) == 0
    assert refusal(family.answer(eeprom(name="Ethernet4"), ID, NONE)) == errno.ENXIO


def test_a_pulled_module_does_not_answer(family: Family, emu: Emulator) -> None:
    emu.ports["1"].remove()
    for raw in (eeprom(), request(ID, MODULE_GET, header())):
        assert refusal(family.answer(raw, ID, NONE)) == errno.ENXIO


def test_what_is_set_already_is_not_written(family: Family, emu: Emulator) -> None:
    module = emu.ports["1"].module
    high = request(ID, MODULE_SET, header(), netlink.attribute(2, b"\x01"))
    silent = request(ID, MODULE_SET, header(), netlink.attribute(2, b"\x02"), flags=1)
    assert refusal(family.answer(high, ID, NONE)) == 0
    assert (module.get("LowPwrAllowRequestHW"), module.get("LowPwrRequestSW")) == (False, False)
    emu.ports["1"].module.set("SquelchMethodSelect", 1)
    assert refusal(family.answer(high, ID, NONE)) == 0
    assert family.answer(silent, ID, NONE) == []  # nobody asked for an acknowledgement
    assert module.get("LowPwrRequestSW") is True
    assert module.get("SquelchMethodSelect") == 1  # its neighbours in the byte stay


def test_transfers_hold_the_lock(emu: Emulator, family: Family) -> None:
    done = threading.Event()

    def read() -> None:
        family.answer(eeprom(), ID, NONE)
        done.set()

    with emu.lock:
        thread = threading.Thread(target=read)
        thread.start()
        assert not done.wait(0.05)
    thread.join(5)
    assert done.is_set()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Family]:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emulator:
        yield Family({"Ethernet0": Driver(emulator.buses[1])}, emulator.lock)


attributes = st.recursive(
    st.builds(
        lambda kind, data, cut: netlink.attribute(kind, data)[: cut or None],
        st.sampled_from([1, 2, 3, 4, 5, 6, 7, 0x8001, 0x8002]),
        st.one_of(st.binary(max_size=9), st.just(b"Ethernet0\0"), st.just(b"\x50"), st.just(b"\x80\0\0\0")),
        st.sampled_from([0, 0, 0, 3, 6]),
    ),
    lambda inner: st.builds(lambda parts: netlink.nest(1, *parts), st.lists(inner, max_size=4)),
    max_leaves=8,
)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(
            lambda kind, command, parts, flags: request(kind, command, *parts, flags=flags),
            st.sampled_from([16, ID]),
            st.sampled_from([3, EEPROM_GET, MODULE_GET, MODULE_SET, 200]),
            st.lists(attributes, max_size=6),
            st.sampled_from([1, 5, 0x305]),
        ),
    ),
    st.sampled_from([NONE, EXTENDED, ALONE, EXTENDED | NetlinkFlag.CAPPED_ACK]),
)
def test_any_bytes_are_answered_or_left_alone(fuzzed: Family, raw: bytes, flags: NetlinkFlag) -> None:
    try:
        answer = fuzzed.answer(raw, ID, flags)
    except ValueError:
        assert len(raw) < 20 or not 20 <= struct.unpack_from("=I", raw)[0] <= len(raw)
        return
    for datagram in answer or []:
        assert struct.unpack_from("=I", datagram)[0] == len(datagram)
        assert len(datagram) % 4 == 0
    if flags & NetlinkFlag.NO_KERNEL:
        assert answer is not None
