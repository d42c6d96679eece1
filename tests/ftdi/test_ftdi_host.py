"""An FT232H as the host of a module: `cmis-emu check ftdi://...`, its pins, and the loop tester of a bench."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from rigs.ft232h import FakeFt232h
from rigs.logged import LoggedTarget
from rigs.mpsse_slave import MpsseSlave
from rigs.sigrok import decode, needs_sigrok, symbols
from smbus2 import i2c_msg

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.slave import BitSlave, steady
from cmis_emu.bus.bits.vcd import Recorder
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.contract import ByteTarget
from cmis_emu.bus.ftdi import chip as chips
from cmis_emu.bus.ftdi.host import PINS, FtdiBus
from cmis_emu.bus.ftdi.loop import Measured, measure
from cmis_emu.cli.main import cli
from cmis_emu.errors import NotAvailableError

pytestmark = pytest.mark.timeout(100)

A = 0x50
URL = "ftdi://ftdi:232h/1"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def emu() -> Iterator[Emulator]:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as made:
        made.settle()
        yield made


class Table:
    """A chip and a module on wires, with the side-band pins connected."""

    def __init__(self, emu: Emulator, slave: Callable[[Wires, int, ByteTarget], Any] = BitSlave) -> None:
        self.emu = emu
        self.wires = Wires()
        self.slave = slave(self.wires, A, emu.ports["1"].target)
        self.chip = FakeFt232h(self.wires)
        self.chip.engine.on_high = self._driven
        self.chip.engine.high_pins = self._levels

    @property
    def now_ns(self) -> int:
        return self.wires.clock.now_ns

    def _driven(self) -> None:
        pins, engine = self.emu.ports["1"].pins, self.chip.engine
        for name in ("ResetL", "LPMode", "ModSelL"):
            mask = PINS[name] >> 8
            if engine.directions[1] & mask:
                setattr(pins, name, bool(engine.levels[1] & mask))

    def _levels(self) -> int:
        pins = self.emu.ports["1"].pins
        return sum(mask >> 8 for name, mask in PINS.items() if getattr(pins, name))


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Table], None]:
    """Make pyftdi find a simulated chip at any URL."""
    from pyftdi.ftdi import Ftdi
    from pyftdi.usbtools import UsbTools

    def plug(table: Table) -> None:
        monkeypatch.setattr(Ftdi, "get_identifiers", lambda self, url: (None, 1))
        monkeypatch.setattr(UsbTools, "get_device", lambda descriptor: table.chip)

    return plug


# -- check -------------------------------------------------------------------------------------------------


def test_check_judges_a_module_over_pyftdi(plugged: Callable[[Table], None]) -> None:
    with Emulator.load("qsfpdd-400g-dr4", seed=1) as emu:  # lives in real time, as the judge does
        emu.settle()
        plugged(Table(emu))
        done = CliRunner().invoke(cli, ["check", f"{URL}?hz=1000000"])
        assert done.exit_code == 0, done.output
        assert "CMIS-EMU QDD-400G-DR4" in done.output
        assert "PASS: " in done.output
        assert " 0 failed" in done.output
        assert "this target gives no access to the pins" in done.output


def test_check_finds_what_is_wrong(plugged: Callable[[Table], None]) -> None:
    with Emulator.load("qsfpdd-400g-dr4", seed=1) as emu:
        emu.settle()
        emu.ports["1"].module.memory.store(0, 0, 222, b"\x00")  # the checksum of page 00h
        plugged(Table(emu))
        done = CliRunner().invoke(cli, ["check", f"{URL}?hz=1000000&pins=yes"])
        assert done.exit_code == 1
        assert "FAIL checksums" in done.output


def test_check_without_a_module(emu: Emulator, plugged: Callable[[Table], None]) -> None:
    emu.ports["1"].remove()
    plugged(Table(emu))
    done = CliRunner().invoke(cli, ["check", URL])
    assert done.exit_code == 3
    assert "found no module that answers at address 0x50" in done.output


def test_check_without_a_chip() -> None:
    done = CliRunner().invoke(cli, ["check", "ftdi://ftdi:232h:NONE/1"])
    assert done.exit_code == 3
    assert "ftdi://ftdi:232h:NONE/1: " in done.output


def test_without_pyftdi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyftdi.i2c", None)
    with pytest.raises(NotAvailableError, match=r"found no pyftdi .* pip install 'cmis-emu\[hardware\]'"):
        FtdiBus(URL)


def test_without_libusb(monkeypatch: pytest.MonkeyPatch) -> None:
    def opening() -> None:
        raise ValueError("No backend available")

    with pytest.raises(NotAvailableError, match="No backend available; is libusb installed"):
        chips.opened(URL, opening)


# -- the host ----------------------------------------------------------------------------------------------


def test_errors_are_those_of_an_adapter(emu: Emulator) -> None:
    table = Table(emu)
    bus = FtdiBus(table.chip)

    def fails(*messages: Any) -> int | None:
        with pytest.raises(OSError) as failure:  # noqa: PT011 - its errno is looked at
            bus.i2c_rdwr(*messages)
        return failure.value.errno

    assert fails(i2c_msg.write(0x51, [0])) == errno.ENXIO
    assert fails(i2c_msg.read(0x51, 1)) == errno.ENXIO
    assert fails(i2c_msg.write(A, [0, *range(9)])) == errno.EIO
    table.wires.scl.driver("stuck").pull(True)
    assert fails(i2c_msg.write(A, [0])) == errno.ETIMEDOUT


def test_pins(emu: Emulator) -> None:
    table = Table(emu)
    pins = emu.ports["1"].pins
    resets: list[bool] = []
    told = table.chip.engine.on_high
    table.chip.engine.on_high = lambda: (told(), resets.append(pins.ResetL))[0]
    bus = FtdiBus(table.chip, pins=True)
    assert bus.pins is not None
    assert all(resets)  # no glitch when they become outputs
    assert emu.ports["1"].module.get("ModuleState") == "ModuleReady"
    bus.pins.set("LPMode", True)
    assert pins.LPMode
    assert bus.pins.get("LPMode")
    bus.pins.set("ResetL", False)
    assert not pins.ResetL
    assert pins.LPMode  # the others stay
    bus.pins.set("ResetL", True)
    assert bus.pins.get("IntL") == pins.IntL
    assert bus.pins.get("ModPrsL") is False
    emu.ports["1"].remove()
    assert bus.pins.get("ModPrsL") is True
    with pytest.raises(NotAvailableError, match="pin IntL: found that the module drives it"):
        bus.pins.set("IntL", True)
    assert FtdiBus(FakeFt232h(Wires())).pins is None


@needs_sigrok
@pytest.mark.parametrize("hz", [100_000, 400_000, 1_000_000])
def test_sigrok_reads_what_was_meant(tmp_path: Path, hz: int) -> None:
    """Longer than one piece of a read, too."""
    wires = Wires()
    BitSlave(wires, A, LoggedTarget())
    bus = FtdiBus(FakeFt232h(wires), hz)
    recorder = Recorder(wires)
    found = i2c_msg.read(A, 70)
    bus.i2c_rdwr(i2c_msg.write(A, [0x10, 0xAA]))
    bus.i2c_rdwr(i2c_msg.write(A, [0x0F]), found)
    with pytest.raises(OSError, match="No such device"):
        bus.i2c_rdwr(i2c_msg.read(0x51, 1))
    bus.close()
    read = [0x0F, 0xAA, *range(0x11, 0x0F + 70)]
    assert bytes(found) == bytes(read)
    data = " A ".join(f"D{value:02x}" for value in read)
    seen = symbols(decode(recorder.stop(), tmp_path, timescale_ns=100))
    assert seen == f"S W50 A D10 A Daa A P S W50 A D0f A Sr R50 A {data} N P S R51 N P"


# -- the loop tester ---------------------------------------------------------------------------------------


def results(table: Table, reads: int = 3, **options: Any) -> list[Measured]:
    return list(measure(table.chip, i2c_msg, lambda: table.now_ns, reads=reads, **options))


def test_the_loop_of_a_good_module(emu: Emulator) -> None:
    found = results(Table(emu))
    assert [round(each.hz / 1e5) for each in found] == [1, 4, 10]
    assert all(each.good and each.reads == 3 for each in found)
    # what pyftdi's own commands take between the bytes, at 500 ns each in this model, is in the bound
    assert [each.unexplained_ns < 2_000_000 for each in found] == [True] * 3


def test_the_loop_bounds_stretches(emu: Emulator) -> None:
    """One module holds the clock for 300 us before one byte, another never: the bound tells that much more."""
    plain = results(Table(emu), rates=(400_000,))[0]
    held = Table(emu, lambda w, a, t: BitSlave(w, a, t, stretch=lambda pause, number: 300_000 * (number == 60)))
    found = results(held, rates=(400_000,))[0]
    assert found.good
    more = found.unexplained_ns - plain.unexplained_ns
    assert 295_000 <= more <= 305_000
    assert "no stretch above" in str(found)


def test_pyftdi_does_not_wait_for_the_clock_at_start_and_stop(emu: Emulator) -> None:
    """So an FT232H cannot be the host of an FT232H: the slave holds the clock behind every acknowledge."""
    table = Table(emu, lambda w, a, t: MpsseSlave(w, a, t, turnaround_ns=300_000))
    with pytest.raises(NotAvailableError, match="found no module at 0x50"):
        results(table, 2, rates=(100_000,))
    held = Table(emu, lambda w, a, t: BitSlave(w, a, t, stretch=steady(ack_ns=300_000, data_ns=300_000)))
    assert results(held, 2, rates=(100_000,))[0].good  # before an acknowledge and before a byte it waits


def test_the_loop_counts_what_goes_wrong(emu: Emulator) -> None:
    table = Table(emu)
    module = emu.ports["1"].module
    reads = 0

    def now() -> int:
        nonlocal reads
        reads += 1
        if reads == 44:  # between two reads at the first rate
            module.memory.store(0, 0, 200, b"\xee")
        if reads == 48:
            module.set_power(False)
        return table.now_ns

    found = next(iter(measure(table.chip, i2c_msg, now, reads=6, rates=(100_000,))))
    assert not found.good
    assert found.wrong == 2
    assert found.errors == {"ENXIO": 2}
    assert "2 wrong, errors: ENXIO 2" in str(found)


def test_the_loop_without_a_module(emu: Emulator) -> None:
    emu.ports["1"].remove()
    with pytest.raises(NotAvailableError, match="found no module at 0x50"):
        results(Table(emu))


@pytest.fixture(scope="session")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loop_test", REPOSITORY / "hardware" / "ft232h" / "loop_test.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script(script: ModuleType, emu: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(emu)
    assert script.main([URL, "--reads", "2"], table.chip, table) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reading its pins costs this chip 500 ns"
    assert [line.split()[0] for line in lines[1:]] == ["100", "400", "1000"]
    assert script.main(["ftdi://ftdi:232h:NONE/1"]) == 3
    table = Table(emu, lambda w, a, t: BitSlave(w, a, t, stretch=steady(data_ns=1)))
    table.slave.machine.address = 0x51
    assert script.main([URL], table.chip, table) == 3
