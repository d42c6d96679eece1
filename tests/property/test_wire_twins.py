"""A bus over wires and one without are one and the same; and no edges, however wild, do harm."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import Twins

from cmis_emu.bus.bits.bus import WireBus
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.target import Target
from cmis_emu.bus.virtual import I2C_M_RD, Message, VirtualBus

A = 0x50
Transfer = list[tuple[int, int | bytes]]

REGISTERS = st.one_of(st.sampled_from([0, 3, 8, 26, 120, 126, 127, 128, 134, 145, 147, 255]), st.integers(0, 255))
WRITES = st.builds(lambda at, data: bytes([at, *data]), REGISTERS, st.lists(st.integers(0, 255), max_size=10))
SELECTS = st.sampled_from([bytes([126, 0, page]) for page in (0, 1, 0x10, 0x11, 0x9F)])
READS = st.one_of(st.integers(1, 20), st.sampled_from([128, 140]))
MESSAGES = st.tuples(st.sampled_from([A, A, A, A, 0x51]), st.one_of(WRITES, SELECTS, READS, READS))
TRANSFERS = st.lists(st.lists(MESSAGES, min_size=1, max_size=3), min_size=1, max_size=5)

quiet = settings(
    derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(bus: VirtualBus, transfer: Sequence[tuple[int, int | bytes]]) -> list[bytes] | str:
    messages = [
        Message(address, I2C_M_RD, length=what) if isinstance(what, int) else Message(address, 0, what)
        for address, what in transfer
    ]
    try:
        return bus.transfer(messages)
    except BusError as error:
        return errno.errorcode[error.errno]


@quiet
@given(transfers=TRANSFERS, hz=st.sampled_from([100_000, 400_000, 1_000_000]), stretch_ns=st.sampled_from([0, 9000]))
def test_wires_change_nothing(twins: Twins, transfers: list[Transfer], hz: int, stretch_ns: int) -> None:
    twins.rewind()
    plain, twin = twins

    def attach(wires: Wires, address: int, target: object) -> BitSlave:
        assert isinstance(target, Target)
        return BitSlave(wires, address, target, stretch=steady(stretch_ns, stretch_ns))

    wired = WireBus(twin.buses[1], twin.lock, hz, attach=attach)
    one, two = plain.ports["1"], twin.ports["1"]
    with twin.lock:
        for transfer in transfers:
            assert outcome(plain.buses[1], transfer) == outcome(wired, transfer)
            assert one.target.pointer == two.target.pointer
            assert one.module.memory.contents() == two.module.memory.contents()
            assert wired.wires.idle


PULLS = st.tuples(st.sampled_from(["scl", "sda"]), st.booleans(), st.integers(0, 3000))


@quiet
@given(pulls=st.lists(PULLS, max_size=150), prefix=st.sampled_from([b"", b"\xa0", b"\xa0\x80", b"\xa1"]))
def test_wild_edges_do_no_harm(twins: Twins, pulls: list[tuple[str, bool, int]], prefix: bytes) -> None:
    """Whatever somebody did to the lines, once they are let go and the slave is clocked free, the module answers."""
    twins.rewind()
    target = twins.two.ports["1"].target
    wires = Wires()
    BitSlave(wires, A, target)
    wild = BitMaster(wires, Pace.at(400_000), "wild")
    if prefix:
        run(wires.clock, wild.start())
        for value in prefix:
            run(wires.clock, wild.write_byte(value))
    for line, low, wait_ns in pulls:
        (wild.scl if line == "scl" else wild.sda).pull(low)
        wires.clock.advance_ns(wait_ns)
    wild.let_go()
    wires.clock.advance_ns(100_000)
    master = BitMaster(wires, Pace.at(400_000))
    messages = [Message(A, 0, b"\x00"), Message(A, I2C_M_RD, length=1)]
    assert run(wires.clock, master.transfer(messages)) == [b"\x18"]
    assert wires.idle
