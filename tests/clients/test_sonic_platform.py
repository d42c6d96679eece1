"""An emulator as a SONiC platform: what the platform itself has to do, in this process and attached."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sonic_bench import platform

from cmis_emu import Emulator, ManualClock
from cmis_emu.control import ControlServer, RefusedError
from cmis_emu.errors import AttachError
from cmis_emu.integrations.cage import Attached, Cage, InProcess
from cmis_emu.registers.field import LOWER

TESTBED = {
    "version": 1,
    "ports": {
        "a": {"profile": "qsfpdd-400g-dr4", "bus": 1},
        "b": {"bus": 2},
    },
}


@pytest.fixture
def emu() -> Iterator[Emulator]:
    with Emulator.load(TESTBED, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


@pytest.fixture
def socket(emu: Emulator) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cmis") as name:  # short: sockets have room for 107 bytes
        path = Path(name) / "lab.sock"
        emu.serve(path, ControlServer(emu))
        yield path


@pytest.fixture(params=["in the process", "attached"])
def chassis(request: pytest.FixtureRequest, emu: Emulator, socket: Path) -> Iterator[Any]:
    sonic = platform()
    found = sonic.Chassis(emu) if request.param == "in the process" else sonic.Chassis(attach=str(socket))
    yield found
    if request.param == "attached":
        found._link.close()


def test_memory(chassis: Any, emu: Emulator) -> None:
    sfp = chassis.get_sfp(1)
    module = emu.ports["a"].module
    assert sfp.read_eeprom(0, 1) == b"\x18"
    assert sfp.read_eeprom(0x02 * 128 + 128, 128) == module.peek(0x02, 128, 128)
    assert sfp.write_eeprom(0x10 * 128 + 130, 2, bytearray(b"\x05\x00\xff"))  # two of the three
    assert module.peek(0x10, 130, 2) == b"\x05\x00"
    assert sfp.read_eeprom(1 << 20, 1) == b""


def test_page_00h_is_read_where_another_page_was_left_mapped(chassis: Any, emu: Emulator) -> None:
    emu.smbus(1).write_i2c_block_data(0x50, 126, [0, 0x11])
    assert chassis.get_sfp(1).read_eeprom(129, 8) == b"CMIS-EMU"
    assert emu.ports["a"].module.peek(LOWER, 127, 1) == b"\0"


def test_an_empty_cage(chassis: Any) -> None:
    sfp = chassis.get_sfp(2)
    assert not sfp.get_presence()
    assert not sfp.get_status()
    assert sfp.get_error_description() == "Unplugged"
    assert sfp.read_eeprom(0, 1) is None
    assert not sfp.write_eeprom(0, 1, b"\0")
    assert not sfp.reset()
    assert sfp.get_revision() is None


def test_who_it_is(chassis: Any) -> None:
    sfp = chassis.get_sfp(1)
    assert (sfp.get_name(), sfp.get_position_in_parent(), sfp.is_replaceable()) == ("a", 1, True)
    assert chassis.get_status()
    assert chassis.get_sfp(2).get_position_in_parent() == 2


def test_pins(chassis: Any, emu: Emulator) -> None:
    sfp, port = chassis.get_sfp(1), emu.ports["a"]
    assert not sfp.get_lpmode_via_pin()
    assert sfp.set_lpmode_via_pin(True)
    assert port.pins.LPMode
    assert sfp.get_lpmode_via_pin()
    emu.settle()
    assert port.module.get("ModuleState") == "ModuleLowPwr"
    assert sfp.get_interrupt() is not port.pins.IntL
    port.pins.ResetL = False
    emu.clock.advance(0.001)
    assert sfp.get_reset_status()
    assert not sfp.get_status()
    assert sfp.read_eeprom(0, 1) is None


def test_a_reset_is_a_pulse(chassis: Any, emu: Emulator) -> None:
    sfp, port = chassis.get_sfp(1), emu.ports["a"]
    began = emu.clock.now_ns
    assert sfp.reset()
    assert port.pins.ResetL
    assert emu.clock.now_ns - began == 10_000_000
    assert sfp.read_eeprom(0, 1) is None  # not managed yet
    emu.settle()
    assert sfp.read_eeprom(0, 1) == b"\x18"


def test_the_interrupt_follows_the_flags(chassis: Any, emu: Emulator) -> None:
    sfp = chassis.get_sfp(1)
    for page in (LOWER, 0x11):
        sfp.read_eeprom((page if page > 0 else -1) * 128 + 128, 128)
    assert not sfp.get_interrupt()
    emu.ports["a"].set_host_signal(1, present=False)
    emu.clock.advance(0.5)
    assert sfp.get_interrupt()


def test_settings_of_the_driver(chassis: Any) -> None:
    sfp = chassis.get_sfp(1)
    sfp.set_optoe_write_max(8)
    sfp.set_optoe_write_timeout(100)
    sfp.set_optoe_max_bank_size(2)
    assert sfp._cage.configure() == {"write_max": 8, "write_timeout": 100, "max_bank_size": 2}
    sfp.set_optoe_write_max(1000)  # refused, and nobody is told, as in SONiC
    sfp.set_optoe_write_timeout(-1)
    with pytest.raises(OSError, match="found 1000"):
        sfp.set_optoe_max_bank_size(1000)
    assert sfp._cage.configure() == {"write_max": 8, "write_timeout": 100, "max_bank_size": 2}


def test_changes(chassis: Any, emu: Emulator) -> None:
    assert chassis.get_change_event(1) == (True, {"sfp": {}, "sfp_error": {}})
    emu.ports["b"].insert("qsfpdd-400g-dr4")
    emu.ports["a"].remove()
    assert chassis.get_change_event(1)[1]["sfp"] == {"1": "0", "2": "1"}
    assert chassis.get_change_event(1)[1]["sfp"] == {}
    emu.clock.advance(1.0)
    emu.ports["b"].insert("qsfpdd-400g-dr4")  # swapped between two looks
    assert chassis.get_change_event(1)[1]["sfp"] == {"2": "0"}
    assert chassis.get_change_event(1)[1]["sfp"] == {"2": "1"}


def test_a_change_is_waited_for(chassis: Any, emu: Emulator) -> None:
    if isinstance(chassis._link, InProcess):
        emu.clock.after(1_234_000_000, emu.ports["a"].remove)  # the emulator's time passes while it waits
        began = emu.clock.now
        assert chassis.get_change_event(0)[1]["sfp"] == {"1": "0"}
        assert 1.2 < emu.clock.now - began < 1.4
    else:
        timer = threading.Timer(0.2, emu.ports["a"].remove)
        timer.start()
        assert chassis.get_change_event(20_000)[1]["sfp"] == {"1": "0"}
        timer.join()


def test_an_emulator_that_goes_away_is_a_switch_with_empty_cages(emu: Emulator, socket: Path) -> None:
    chassis = platform().Chassis(attach=str(socket))
    sfp = chassis.get_sfp(1)
    assert sfp.get_presence()
    emu.close()
    assert not sfp.get_presence()
    assert sfp.read_eeprom(0, 1) is None
    assert not sfp.set_lpmode_via_pin(True)
    assert (sfp.get_reset_status(), sfp.get_lpmode_via_pin(), sfp.get_interrupt()) == (False, False, False)
    assert not chassis.get_status()
    assert chassis.get_change_event(1)[1]["sfp"] == {"1": "0"}
    with Emulator.load(TESTBED, clock=ManualClock(), seed=1) as again:
        again.serve(socket, ControlServer(again))
        assert chassis.get_change_event(1)[1]["sfp"] == {"1": "1"}
        assert sfp.get_presence()
        chassis._link.close()


def test_a_port_that_is_not_there(emu: Emulator) -> None:
    with pytest.raises(RefusedError, match="found 'z', expected one of a, b"):
        Cage(InProcess(emu), "z")
    with pytest.raises(AttachError):
        Attached("/nowhere/at-all.sock")


def test_threads_and_forked_processes_share_a_link(emu: Emulator, socket: Path) -> None:
    link = Attached(str(socket))
    cage = Cage(link, "a")
    wrong: list[bytes] = []

    def poll() -> None:
        for page in (1, 2, 0x10, 0x13) * 10:
            found = cage.read(page * 128 + 128, 128)
            if len(found) != 128 or found != emu.ports["a"].module.peek(page, 128, 128):
                wrong.append(found)

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    link.close()


def test_accesses_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    """The module holds off after each write, and the emulator serves others while the driver waits."""
    profile = tmp_path / "slow.yaml"
    profile.write_text("profile: slow\ntitle: t\nbase: qsfpdd-400g-dr4\nbehaviour: {write_holdoff_ms: 2}\n")
    with tempfile.TemporaryDirectory(prefix="cmis") as folder, Emulator.load(str(profile)) as emulator:
        emulator.settle()
        path = Path(folder) / "s"
        emulator.serve(path, ControlServer(emulator))
        thresholds = emulator.ports["1"].module.peek(2, 128, 64)
        wrong: list[object] = []

        def poll(bank: int) -> None:
            link = Attached(str(path))
            try:
                cage = Cage(link, "1")
                for number in range(10):
                    data = bytes([bank, number, bank])
                    at = 3 * 128 + 128 + 8 * bank
                    if cage.write(at, data) != 3 or cage.read(at, 3) != data:
                        wrong.append(data)
                    if cage.read(2 * 128 + 128, 64) != thresholds:
                        wrong.append(number)
            except OSError as error:
                wrong.append(error)
            finally:
                link.close()

        threads = [threading.Thread(target=poll, args=(bank,)) for bank in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not wrong


FORK = """
import os, sys
from cmis_emu.integrations.cage import Attached, Cage
cage = Cage(Attached(sys.argv[1]), "a")
cage.read(0, 1)
child = os.fork()
found = all(cage.read(129, 8) == b"CMIS-EMU" for _ in range(200))
if child == 0:
    os._exit(0 if found else 1)
print(found, os.waitpid(child, 0)[1])
"""


def test_a_forked_process_has_its_own_connection(emu: Emulator, socket: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(socket)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True 0"


def test_the_platform_finds_the_running_emulator(emu: Emulator, socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMIS_EMU_ATTACH", str(socket))
    chassis = platform().Platform().get_chassis()
    assert chassis.get_sfp(1).get_presence()
    chassis._link.close()


def test_without_sonic_one_is_told_what_is_missing() -> None:
    code = "import cmis_emu.integrations.sonic"
    code = f"import sys; sys.path[:] = {sys.path!r}; sys.modules['sonic_platform_base'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NotAvailableError" in done.stderr
    assert "sonic-platform-common" in done.stderr.splitlines()[-1]
