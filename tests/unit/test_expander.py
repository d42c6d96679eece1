"""GPIO expanders: the data sheet of the PCA9535, statement by statement, and its lines on a board."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.expander import EXPANDERS, Expander
from cmis_emu.bus.smbus import VirtualSMBus

DR4 = "qsfpdd-400g-dr4"
IN0, IN1, OUT0, OUT1, POL0, POL1, CFG0, CFG1 = range(8)


class Pin:
    """A wire that the test holds at a level; what the chip drives wins."""

    def __init__(self) -> None:
        self.outside = True
        self.driven: list[bool | None] = []

    def level(self, driven: bool | None) -> bool:
        return self.outside if driven is None else driven

    def drive(self, driven: bool | None) -> None:
        self.driven.append(driven)


class Chip:
    """A chip on a bench: `pins` are its wires."""

    def __init__(self, kind: str = "pca9535") -> None:
        self.chip = Expander(EXPANDERS[kind])
        self.pins = [Pin() for _ in range(self.chip.kind.lines)]
        for number, pin in enumerate(self.pins):
            self.chip.connect(number, pin)

    def outside(self, levels: int) -> None:
        for number, pin in enumerate(self.pins):
            pin.outside = bool(levels >> number & 1)
        self.chip.refresh()

    def write(self, *data: int) -> None:
        assert self.chip.write(bytes(data)) == len(data)

    def read(self, command: int, length: int = 1) -> list[int]:
        self.write(command)
        return self.on(length)

    def on(self, length: int) -> list[int]:
        """Read from where the last message has ended."""
        found = self.chip.read(length)
        assert found is not None
        return list(found)

    @property
    def driven(self) -> list[bool | None]:
        return [self.chip.driven(line) for line in range(self.chip.kind.lines)]


def test_power_up() -> None:
    """Outputs FFh, no inversion, all lines are inputs, no interrupt."""
    bench = Chip()
    assert [bench.read(command)[0] for command in range(8)] == [0xFF] * 4 + [0] * 2 + [0xFF] * 2
    assert bench.driven == [None] * 16
    assert not any(pin.driven for pin in bench.pins)
    assert bench.chip.INT


def test_input_registers_show_pins() -> None:
    bench = Chip()
    bench.outside(0xA55A)
    assert bench.read(IN0, 2) == [0x5A, 0xA5]
    bench.write(IN0, 0x12, 0x34)  # writes to them do nothing
    assert bench.read(IN0, 2) == [0x5A, 0xA5]
    bench.write(OUT0, 0x00, 0xFF)
    assert bench.read(IN0, 2) == [0x5A, 0xA5]  # they are no outputs yet
    bench.write(CFG0, 0x0F, 0xF0)
    assert bench.read(IN0, 2) == [0x0A, 0xAF]  # the level of a pin, whoever drives it
    bench.write(POL0, 0xFF, 0x01)
    assert bench.read(IN0, 2) == [0xF5, 0xAE]


def test_an_output_is_driven_and_an_input_is_not() -> None:
    bench = Chip()
    bench.write(OUT0, 0b01)
    bench.write(CFG0, 0xFC)
    assert bench.driven[:3] == [True, False, None]
    assert [pin.driven for pin in bench.pins[:3]] == [[True], [False], []]
    bench.write(OUT0, 0b10)
    assert [pin.driven for pin in bench.pins[:3]] == [[True, False], [False, True], []]
    bench.write(POL0, 0xFF)  # inversion is for reading
    assert bench.driven[:3] == [False, True, None]
    bench.write(CFG0, 0xFF)
    assert [pin.driven[-1] for pin in bench.pins[:2]] == [None, None]


def test_registers_of_a_pair_take_turns() -> None:
    bench = Chip()
    bench.write(OUT1, 1, 2, 3)
    assert bench.read(OUT0, 5) == [2, 3, 2, 3, 2]
    bench.write(POL0, 4, 5, 6, 7)
    assert bench.read(POL1, 3) == [7, 6, 7]
    assert bench.read(CFG1, 2) == [0xFF, 0xFF]  # nothing ran over into the next pair


def test_the_place_outlives_the_message() -> None:
    """After a restart a read goes on with the register that was next."""
    bench = Chip()
    bench.write(OUT0, 0x11, 0x22)
    assert bench.read(OUT1) == [0x22]
    assert bench.on(1) == [0x11]
    assert bench.on(2) == [0x22, 0x11]
    bench.write(OUT0)
    bench.write(OUT0)
    assert bench.on(1) == [0x11]


def test_a_byte_counts_at_its_acknowledge() -> None:
    bench = Chip()
    bench.write(CFG0, 0, 0)
    chip = bench.chip
    assert chip.start(read=False)
    assert chip.write_byte(OUT0)
    assert chip.write_byte(0xFE)
    assert (bench.driven[0], bench.driven[8]) == (False, True)
    assert chip.write_byte(0xFE)
    assert bench.driven[8] is False
    chip.end()


def test_a_peek_changes_nothing_and_a_byte_is_one_moment() -> None:
    bench = Chip()
    bench.outside(0xFFFE)
    bench.write(IN0)
    chip = bench.chip
    assert chip.start(read=True)
    assert [chip.peek(), chip.peek()] == [0xFE, 0xFE]
    bench.outside(0xFFFF)
    assert chip.peek() == 0xFE
    chip.end()
    assert bench.on(1) == [0xFF]
    assert chip.peek() == 0xFF  # nobody drives the bus
    assert not chip.write_byte(0)
    chip.commit()
    assert bench.on(2) == [0xFF, 0xFF]


class TestInterrupt:
    @pytest.fixture
    def bench(self) -> Chip:
        bench = Chip()
        self.told: list[bool] = []
        bench.chip.interrupt_listeners.append(self.told.append)
        return bench

    def test_any_edge_of_an_input(self, bench: Chip) -> None:
        bench.outside(0xFFFB)
        assert (bench.chip.INT, self.told) == (False, [True])
        bench.outside(0xFFFF)  # back to what was read last
        assert (bench.chip.INT, self.told) == (True, [True, False])

    def test_a_read_of_its_port_clears_it_and_no_other(self, bench: Chip) -> None:
        bench.outside(0x7FFF)
        bench.read(IN0)
        assert not bench.chip.INT
        bench.read(OUT1)
        assert not bench.chip.INT
        bench.write(IN1)
        assert not bench.chip.INT  # the byte has not been read yet
        bench.on(1)
        assert (bench.chip.INT, self.told) == (True, [True, False])
        bench.outside(0xFFFF)
        assert not bench.chip.INT

    def test_inversion_does_not_matter(self, bench: Chip) -> None:
        bench.write(POL0, 0xFF, 0xFF)
        assert bench.chip.INT
        bench.outside(0x00FF)
        bench.read(IN0, 2)
        assert bench.chip.INT

    def test_outputs_cause_none(self, bench: Chip) -> None:
        bench.write(CFG0, 0)
        bench.write(OUT0, 0)
        assert bench.chip.INT

    def test_an_output_that_becomes_an_input_may_cause_a_false_one(self, bench: Chip) -> None:
        bench.outside(0xFFFE)
        bench.read(IN0, 2)
        bench.write(CFG0, 0xFE)  # drives FFh
        bench.read(IN0, 2)
        bench.write(CFG0, 0xFF)
        assert not bench.chip.INT

    def test_a_change_after_the_byte_was_shown_is_not_lost(self, bench: Chip) -> None:
        bench.write(IN0)
        assert bench.chip.start(read=True)
        bench.chip.peek()
        bench.outside(0xFFFE)
        bench.chip.commit()
        bench.chip.end()
        assert not bench.chip.INT


@pytest.mark.parametrize("kind", ["pca9534", "pca9554"])
def test_chips_with_eight_lines(kind: str) -> None:
    bench = Chip(kind)
    assert [bench.read(command)[0] for command in range(4)] == [0xFF, 0xFF, 0, 0xFF]
    bench.write(1, 0x12, 0x34)  # one register, and it stays there
    assert bench.read(1, 3) == [0x34] * 3
    bench.write(3, 0xF0)
    assert bench.driven == [False, False, True, False, None, None, None, None]
    assert bench.read(0) == [0xF4]


@pytest.mark.parametrize(("kind", "registers"), [("pca9535", 8), ("pca9534", 4), ("pca9555", 8), ("pca9539", 8)])
def test_a_command_has_as_many_bits_as_there_are_registers(kind: str, registers: int) -> None:
    bench = Chip(kind)
    for command in range(registers):
        bench.write(command, 0x40 + command)
    for command in range(registers, 256):
        assert bench.read(command) == bench.read(command % registers)


def test_lines_that_lead_nowhere() -> None:
    chip = Expander(EXPANDERS["pca9535"])
    assert chip.write(bytes([OUT0, 0xF0])) == 2
    assert chip.write(bytes([CFG0, 0x3C])) == 2
    chip.write(bytes([IN0]))
    assert chip.read(1) == bytes([0b11111100])
    assert [chip.level(line) for line in (0, 2, 7)] == [False, True, True]


# -- on a board ----------------------------------------------------------------------------------------


def board() -> dict[str, Any]:
    return {
        "version": 1,
        "muxes": {"m1": {"type": "pca9548", "bus": 1, "address": 0x70}},
        "ports": {
            "a": {"profile": DR4, "mux": "m1", "channel": 0},
            "b": {"mux": "m1", "channel": 1},
        },
        "expanders": {
            "out": {
                "type": "pca9535",
                "bus": 1,
                "address": 0x20,
                "lines": {"ResetL": ["a", "b"], "LPMode": ["a", None], "ModSelL": ["a"], "LPWn": ["b"], "power": ["a"]},
                "pulls": {"ModSelL": False},
            },
            "in": {
                "type": "pca9555",
                "bus": 1,
                "address": 0x21,
                "lines": [
                    *({"port": "a", "pin": "IntL"}, {"port": "a", "pin": "ModPrsL"}, {"port": "b", "pin": "PRSn"}),
                    *(None, {"port": "b", "pin": "INT"}, {"mux": "m1", "pin": "RESET"}),
                ],
            },
            "sum": {
                "type": "pca9534",
                "bus": 1,
                "address": 0x22,
                "lines": [{"expander": "in", "pin": "INT"}, {"port": "b", "pin": "ModSelL"}],
            },
        },
    }


@pytest.fixture
def emu() -> Iterator[Emulator]:
    with Emulator.load(board(), ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


@pytest.fixture
def bus(emu: Emulator) -> VirtualSMBus:
    return emu.smbus(1)


def test_pulls_at_power_up(emu: Emulator) -> None:
    a, b = emu.ports["a"], emu.ports["b"]
    assert a.pins.driven() == {"ResetL": True, "LPMode": True, "ModSelL": False, "power": True}
    assert b.pins.driven() == {"ResetL": True, "LPMode": True, "ModSelL": True, "power": True}
    assert b.pins.LPWn is False  # OSFP's word: a low level asks for low power
    assert a.module.get("ModuleState") == "ModuleLowPwr"


def test_a_host_drives_pins_through_lines(emu: Emulator, bus: VirtualSMBus) -> None:
    a, b = emu.ports["a"], emu.ports["b"]
    bus.write_word_data(0x20, OUT0, 0xFFFF & ~(1 << 2))  # LPMode of a
    bus.write_word_data(0x20, CFG0, 0xFFFF & ~(1 << 2))
    assert not a.pins.LPMode
    emu.settle()
    assert a.module.get("ModuleState") == "ModuleReady"
    bus.write_word_data(0x20, CFG0, 0xFFFF)
    assert a.pins.LPMode  # let go, and pulled up again
    bus.write_word_data(0x20, OUT0, 0b101110)
    bus.write_word_data(0x20, CFG0, 0)
    assert a.pins.driven() == {"ResetL": False, "LPMode": True, "ModSelL": False, "power": False}
    assert b.pins.driven() == {"ResetL": True, "LPMode": False, "ModSelL": True, "power": True}
    assert b.pins.LPWn
    assert bus.read_word_data(0x20, IN0) == 0b101110


def test_a_reset_in_mid_message_and_a_deselected_module(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte_data(0x20, OUT0, 0xFE)
    bus.write_byte_data(0x20, CFG0, 0xFE)
    emu.clock.advance(0.001)
    with pytest.raises(OSError, match="No such device"):
        emu.smbus_of("a").read_byte(0x50)
    bus.write_byte_data(0x20, OUT0, 0xFF)
    emu.settle()
    assert emu.smbus_of("a").read_byte_data(0x50, 0) == 0x18
    bus.write_byte_data(0x20, CFG0, 0xFF & ~(1 << 4))  # ModSelL of a, driven high
    with pytest.raises(OSError, match="No such device"):
        emu.smbus_of("a").read_byte(0x50)


def test_presence_and_interrupt_arrive_as_levels_and_as_an_interrupt(emu: Emulator, bus: VirtualSMBus) -> None:
    chip, told = emu.expanders["in"], list[bool]()
    bus.read_word_data(0x21, IN0)
    bus.read_byte_data(0x22, 0)
    assert (chip.INT, emu.expanders["sum"].INT) == (True, True)
    chip.interrupt_listeners.append(told.append)
    assert bus.read_byte_data(0x21, IN0) & 0b10111 == (emu.ports["a"].pins.IntL | 0b100)
    emu.ports["b"].insert(DR4)
    assert (chip.INT, emu.expanders["sum"].INT, told) == (False, False, [True])
    assert bus.read_byte_data(0x22, 0) & 1 == 0
    assert bus.read_byte_data(0x21, IN0) & 0b110 == 0
    assert (chip.INT, told) == (True, [True, False])
    assert not emu.expanders["sum"].INT  # its input has gone back up, and that was not read
    emu.settle()
    assert not chip.INT  # OSFP's INT of b rose
    assert bus.read_byte_data(0x21, IN0) & 0b10000
    emu.ports["b"].remove()
    assert bus.read_byte_data(0x21, IN0) & 0b10110 == 0b100


def test_a_pin_that_a_fault_holds_reads_as_it_is(emu: Emulator, bus: VirtualSMBus) -> None:
    owner = object()
    emu.ports["a"].pins.force(owner, "ModPrsL", True)
    assert bus.read_byte_data(0x21, IN0) & 0b10
    emu.ports["a"].pins.free(owner, "ModPrsL")
    assert not bus.read_byte_data(0x21, IN0) & 0b10
    emu.ports["a"].pins.force(owner, "ResetL", False)
    bus.write_byte_data(0x20, CFG0, 0xFE)
    assert bus.read_byte_data(0x20, IN0) & 1 == 0
    assert emu.ports["a"].pins.driven()["ResetL"]  # what the host meant
    emu.ports["a"].pins.free(owner, "ResetL")
    assert bus.read_byte_data(0x20, IN0) & 1


def test_an_expander_against_an_open_drain_pin(emu: Emulator, bus: VirtualSMBus) -> None:
    """It can hold the wire low; against a module that pulls low, its high level loses."""
    bus.write_byte_data(0x21, CFG0, 0b11101101)
    assert bus.read_byte_data(0x21, IN0) & 0b10 == 0  # ModPrsL of a
    emu.ports["a"].remove()
    assert bus.read_byte_data(0x21, IN0) & 0b10
    bus.write_byte_data(0x21, OUT0, 0)
    assert bus.read_byte_data(0x21, IN0) & 0b10010 == 0
    assert emu.ports["a"].pins.ModPrsL  # the port knows nothing of it


def test_the_reset_of_a_mux_on_a_line(emu: Emulator, bus: VirtualSMBus) -> None:
    bus.write_byte(0x70, 1)
    assert bus.read_byte_data(0x50, 0) == 0x18
    bus.write_byte_data(0x21, OUT0, 0xFF & ~(1 << 5))
    bus.write_byte_data(0x21, CFG0, 0xFF & ~(1 << 5))
    for address in (0x70, 0x50):
        with pytest.raises(OSError, match="No such device"):
            bus.read_byte(address)
    assert bus.read_byte_data(0x21, IN0) & 1 << 5 == 0
    bus.write_byte_data(0x21, CFG0, 0xFF)
    assert bus.read_byte(0x70) == 0


def test_a_mux_that_is_reset_from_behind_itself() -> None:
    testbed = {
        "version": 1,
        "muxes": {"m1": {"type": "pca9548", "bus": 1, "address": 0x70}},
        "ports": {"a": {"mux": "m1", "channel": 0}},
        "expanders": {
            "g": {
                **{"type": "pca9535", "mux": "m1", "channel": 3, "address": 0x20},
                "lines": [{"mux": "m1", "pin": "RESET"}],
            }
        },
    }
    with Emulator.load(testbed, ManualClock(), seed=1) as emu:
        bus, behind = emu.smbus(1), emu.smbus(5)
        bus.write_byte(0x70, 1)
        behind.write_byte_data(0x20, OUT0, 0xFE)
        assert bus.read_byte(0x70) == 1
        behind.write_byte_data(0x20, CFG0, 0xFE)  # now
        assert emu.muxes["m1"].control == 0
        with pytest.raises(OSError, match="No such device"):
            behind.read_byte(0x20)  # and nobody can take it back


def test_snapshots_keep_muxes_and_expanders(emu: Emulator, bus: VirtualSMBus) -> None:
    def facts() -> list[Any]:
        return [
            bus.read_byte(0x70),
            bus.read_byte_data(0x50, 0),
            *(bus.read_byte_data(0x20, command) for command in range(8)),
            emu.ports["a"].pins.driven(),
            emu.expanders["in"].INT,
            emu.expanders["sum"].INT,
        ]

    bus.write_byte(0x70, 1)
    bus.write_byte_data(0x20, POL1, 0x5A)
    bus.write_byte_data(0x20, OUT0, 0b11111011)
    bus.write_byte_data(0x20, CFG0, 0b11111011)
    emu.settle()
    bus.read_word_data(0x21, IN0)
    bus.read_byte_data(0x22, 0)
    kept, before = emu.snapshot(), facts()
    bus.write_byte(0x70, 2)
    for command in range(2, 8):
        bus.write_byte_data(0x20, command, 0x00)
    emu.ports["a"].remove()
    emu.ports["b"].insert(DR4)
    emu.settle()
    told: list[bool] = []
    emu.expanders["in"].interrupt_listeners.append(told.append)
    assert not emu.expanders["in"].INT
    for _ in range(2):
        emu.restore(kept)
        assert told[-1:] == [False]
        assert facts() == before
    bus.write_byte_data(0x20, CFG0, 0xFF)
    assert emu.ports["a"].pins.LPMode  # and what the chip drove then, it lets go now
