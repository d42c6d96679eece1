"""Muxes and expanders against oracles that know nothing of segments, masks or claims.

Whatever transfers a host makes, on the adapter or on the bus of a channel, in whole messages or one message at a
time, each cell of memory behind a tree of muxes gets and gives what the oracle says; and so does an expander.
"""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cmis_emu.bus.chip import Chip
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.expander import EXPANDERS, Expander
from cmis_emu.bus.mux import MUXES, Hop, Mux, Wiring
from cmis_emu.bus.segment import Segment
from cmis_emu.bus.virtual import I2C_M_RD, Message, VirtualBus


class Cell(Chip):
    """One byte of memory; with `deaf` it does not answer. It takes `limit` bytes of a message and refuses the next."""

    def __init__(self, value: int, limit: int) -> None:
        super().__init__()
        self.value = value
        self.limit = limit
        self.deaf = False
        self.left = 0

    def answers(self) -> bool:
        return not self.deaf

    def addressed(self) -> None:
        self.left = self.limit

    def write_byte(self, value: int) -> bool:
        self.left -= 1
        return self.left != -1 and super().write_byte(value)

    def take(self, value: int) -> None:
        self.value = value

    def show(self) -> int:
        return self.value


# Where things are: path of (mux, channel) from the adapter, and address. The oracle works on this table alone.
TREE: dict[str, tuple[str, tuple[tuple[str, int], ...], int]] = {
    "m1": ("pca9548", (), 0x70),
    "m2": ("pca9547", (), 0x71),
    "m3": ("pca9546", (("m1", 1),), 0x72),
}
CELLS: dict[str, tuple[tuple[tuple[str, int], ...], int, int]] = {  # path, address, bytes that it takes
    "r": ((), 0x20, 9),
    "a": ((("m1", 0),), 0x50, 1),
    "b": ((("m1", 1),), 0x51, 9),
    "c": ((("m1", 1), ("m3", 0)), 0x50, 2),
    "d": ((("m1", 1), ("m3", 3)), 0x50, 9),
    "e": ((("m2", 0),), 0x50, 9),
    "f": ((("m2", 5),), 0x52, 3),
}
ADDRESSES = (0x20, 0x50, 0x51, 0x52, 0x70, 0x71, 0x72, 0x55)
BUSES = {  # number: path
    2: (("m1", 0),),
    3: (("m1", 1), ("m3", 0)),
    4: (("m1", 1), ("m3", 3)),
    5: (("m2", 0),),
    6: (("m2", 5),),
    7: (("m1", 1),),
}
ERROR = "error"

messages = st.tuples(
    st.sampled_from(ADDRESSES),
    st.one_of(
        st.integers(0, 3),
        st.lists(st.one_of(st.sampled_from([0, 1, 2, 3, 8, 13, 255]), st.integers(0, 255)), max_size=4),
    ),
)


class Oracle:
    """What should happen, by the plain words of the data sheets."""

    def __init__(self) -> None:
        self.control = {name: 8 if kind == "pca9547" else 0 for name, (kind, _, _) in TREE.items()}
        self.on = dict(self.control)
        self.reset: set[str] = set()
        self.cells = {name: index for index, name in enumerate(CELLS)}
        self.deaf: set[str] = set()

    def open(self, mux: str, channel: int) -> bool:
        if TREE[mux][0] == "pca9547":
            return self.on[mux] == 8 + channel
        return bool(self.on[mux] & 1 << channel)

    def there(self, path: tuple[tuple[str, int], ...]) -> bool:
        return all(self.open(mux, channel) for mux, channel in path)

    def message(self, address: int, what: int | list[int]) -> list[int] | str | None:
        muxes = [
            name for name, (_, path, at) in TREE.items()
            if at == address and self.there(path) and name not in self.reset
        ]  # fmt: skip
        cells = [
            name
            for name, (path, at, _) in CELLS.items()
            if at == address and self.there(path) and name not in self.deaf
        ]
        if not muxes and not cells:
            return ERROR
        if isinstance(what, int):
            value = 255
            for name in muxes:
                value &= self.control[name]
            for name in cells:
                value &= self.cells[name]
            return [value] * what
        taken = [*what] if muxes else what[: max(CELLS[name][2] for name in cells)]
        for name in muxes:
            bits = {"pca9548": 255, "pca9547": 15, "pca9546": 15}[TREE[name][0]]
            for value in what:
                self.control[name] = value & bits
        for name in cells:
            for value in what[: CELLS[name][2]]:
                self.cells[name] = value
        return None if len(taken) == len(what) else ERROR

    def stop(self) -> None:
        self.on = dict(self.control)

    def transfer(self, asked: list[tuple[int, int | list[int]]]) -> list[list[int]] | str:
        found = []
        try:
            for address, what in asked:
                result = self.message(address, what)
                if result == ERROR:
                    return ERROR
                if isinstance(result, list):
                    found.append(result)
        finally:
            self.stop()
        return found

    def channel(self, path: tuple[tuple[str, int], ...], asked: list[tuple[int, int | list[int]]]) -> object:
        before = {}
        result: object = None
        for mux, channel in path:
            before[mux] = self.control[mux]
            select = 8 + channel if TREE[mux][0] == "pca9547" else 1 << channel
            if self.transfer([(TREE[mux][2], [select])]) == ERROR:
                result = ERROR
                break
        if result is None:
            result = self.transfer(asked)
        for mux, value in before.items():
            if mux not in self.reset:
                self.control[mux] = value
        self.stop()
        return result


class MuxTree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.lock = threading.RLock()
        self.wiring = Wiring(self.lock)
        self.muxes = {name: Mux(MUXES[kind], self.wiring) for name, (kind, _, _) in TREE.items()}
        for name, (_, path, address) in TREE.items():
            segment = self.segment(path)
            segment.own[address] = self.muxes[name]
            segment.switches.append(self.muxes[name])
        self.cells = {name: Cell(index, CELLS[name][2]) for index, name in enumerate(CELLS)}
        for name, (path, address, _) in CELLS.items():
            self.segment(path).own[address] = self.cells[name]
        self.wiring.root.resolve()
        self.bus = self.wiring.adapter(1)
        self.channels = {
            number: self.wiring.channel(
                number, tuple(Hop(self.muxes[mux], TREE[mux][2], channel) for mux, channel in path)
            )
            for number, path in BUSES.items()
        }

    def segment(self, path: tuple[tuple[str, int], ...]) -> Segment:
        return self.muxes[path[-1][0]].channels[path[-1][1]] if path else self.wiring.root

    def run(self, bus: VirtualBus, asked: list[tuple[int, int | list[int]]]) -> object:
        sent = [
            Message(address, I2C_M_RD, length=what) if isinstance(what, int) else Message(address, 0, bytes(what))
            for address, what in asked
        ]
        try:
            with self.lock:
                return [list(each) for each in bus.transfer(sent)]
        except BusError:
            return ERROR

    @rule(asked=st.lists(messages, min_size=1, max_size=4))
    def transfer(self, asked: list[tuple[int, int | list[int]]]) -> None:
        assert self.run(self.bus, asked) == self.oracle.transfer(asked)

    @rule(number=st.sampled_from(sorted(BUSES)), asked=st.lists(messages, min_size=1, max_size=3))
    def transfer_on_a_channel(self, number: int, asked: list[tuple[int, int | list[int]]]) -> None:
        expected = self.oracle.channel(BUSES[number], asked)
        assert self.run(self.channels[number], asked) == expected

    @rule(name=st.sampled_from(sorted(TREE)), low=st.booleans())
    def reset(self, name: str, low: bool) -> None:
        self.muxes[name].set_reset(low=low)
        if low is (name in self.oracle.reset):
            return
        (self.oracle.reset.add if low else self.oracle.reset.remove)(name)
        self.oracle.control[name] = self.oracle.on[name] = 8 if TREE[name][0] == "pca9547" else 0

    @rule(name=st.sampled_from(sorted(CELLS)), deaf=st.booleans())
    def deafen(self, name: str, deaf: bool) -> None:
        self.cells[name].deaf = deaf
        (self.oracle.deaf.add if deaf else self.oracle.deaf.discard)(name)

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        assert {name: cell.value for name, cell in self.cells.items()} == self.oracle.cells
        assert {name: mux.control for name, mux in self.muxes.items()} == self.oracle.control


MuxTree.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestMuxTree = MuxTree.TestCase


# -- an expander -----------------------------------------------------------------------------------------


class Wires:
    def __init__(self) -> None:
        self.outside = [True] * 16


class Wire:
    def __init__(self, wires: Wires, line: int) -> None:
        self.wires = wires
        self.line = line

    def level(self, driven: bool | None) -> bool:
        return self.wires.outside[self.line] if driven is None else driven

    def drive(self, driven: bool | None) -> None:
        pass


steps = st.one_of(
    st.tuples(st.just("write"), st.lists(st.integers(0, 255), max_size=5)),
    st.tuples(st.just("read"), st.integers(0, 4)),
    st.tuples(st.just("outside"), st.lists(st.booleans(), min_size=16, max_size=16)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25))
def test_an_expander_is_eight_bytes_and_a_place(script: list[tuple[str, object]]) -> None:
    wires, chip = Wires(), Expander(EXPANDERS["pca9535"])
    for line in range(16):
        chip.connect(line, Wire(wires, line))
    registers, place, last = [None, None, 255, 255, 0, 0, 255, 255], 0, [255, 255]

    def pins(bank: int) -> int:
        value = 0
        for bit in range(8):
            if registers[6 + bank] >> bit & 1:
                value += wires.outside[8 * bank + bit] << bit
            else:
                value += registers[2 + bank] & 1 << bit
        return value

    for what, argument in script:
        if what == "outside":
            wires.outside = list(argument)
        elif what == "write":
            assert chip.write(bytes(argument)) == len(argument)
            for number, value in enumerate(argument):
                if number == 0:
                    place = value % 8
                    continue
                if place >= 2:
                    registers[place] = value
                place = place + 1 if place % 2 == 0 else place - 1
        else:
            expected = []
            for _ in range(argument):
                if place < 2:
                    last[place] = pins(place)
                    expected.append(last[place] ^ registers[4 + place])
                else:
                    expected.append(registers[place])
                place = place + 1 if place % 2 == 0 else place - 1
            assert list(chip.read(argument)) == expected
        changed = any((pins(bank) ^ last[bank]) & registers[6 + bank] for bank in (0, 1))
        assert chip.INT is not changed
