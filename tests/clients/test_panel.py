"""The front panel that comes with the package, by its name, as users of commands and of Python meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_commands import Running, call, needs_i2c_tools

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.usbip.hub import Hub
from cmis_emu.control import ControlServer

PANEL = "front-panel-32"
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) on this machine")


def test_testbeds_lists_it() -> None:
    assert f"{PANEL:<20}  32 ports" in call("testbeds").stdout
    rows = json.loads(call("testbeds", "--json").stdout)
    assert {"name": PANEL, "ports": 32}.items() <= next(row for row in rows if row["name"] == PANEL).items()


@needs_compiler
@needs_i2c_tools
def test_i2c_tools_on_it() -> None:
    """Port N answers on bus N, as behind a kernel's mux driver; on the adapter itself all channels are off."""

    def answers(bus: int) -> list[str]:
        grid = call("exec", PANEL, "--", "i2cdetect", "-y", str(bus)).stdout
        return [c for line in grid.splitlines()[1:] for c in line[4:].split() if c != "--"]

    muxes = ["70", "71", "72", "73", "74"]
    assert answers(0) == muxes
    assert answers(32) == ["50", *muxes]
    assert answers(34) == ["20", "21", "22", "23", "24", *muxes]
    script = "i2ctransfer -y 0 w1@0x73 0x80; i2ctransfer -y 0 w3@0x50 126 0 0 w1@0x50 166 r12"
    found = call("exec", PANEL, "--", "sh", "-c", script).stdout.split()
    assert bytes(int(value, 0) for value in found) == b"CE0000000032"


def test_run_says_what_there_is_and_a_port_is_judged_on_its_bus(tmp_path: Path) -> None:
    emulator = Running(tmp_path, PANEL, "--name", "t", "--forget", "--speed", "10", "--serve", "usbip:127.0.0.1:0")
    with emulator.process:
        assert emulator.process.stdout is not None
        lines = [*emulator.banner, *(emulator.process.stdout.readline() for _ in range(6))]
        text = "".join(lines)
        assert "bus 0: cmis-emu exec --attach t -- i2cdetect -y 0\n" in text
        assert "buses 9 to 16: channels of mux m2, pca9548 at 0x71 on bus 0\n" in text
        assert text.count(" by USB/IP: ") == 1  # a kernel makes the others itself
        emulator.wait_for("get", "17", "ModuleState", until="ModuleLowPwr")
        assert emulator.call("pin", "17").startswith("ResetL=1  LPMode=1  ModSelL=0  power=1")
        judged = emulator.call("check", "17")
        assert "CE0000000017" in judged
        assert "PASS: " in judged
        emulator.process.kill()


def test_only_the_adapter_is_one_for_usb() -> None:
    with Emulator.load(PANEL, ManualClock()) as emu:
        assert Hub(emu.buses, emu.lock).bus_ids() == {"1-0": 0}
        control = ControlServer(emu)
        assert json.loads(control(b'{"op": "adapters"}'))["ok"] == [0]
        assert json.loads(control(b'{"op": "buses"}'))["ok"] == list(range(41))
        ports = json.loads(control(b'{"op": "status"}'))["ok"]["ports"]
        assert [(row["port"], row["bus"]) for row in ports] == [(str(n), n) for n in range(1, 33)]


def test_all_of_it_in_one_process() -> None:
    with Emulator.load(PANEL, ManualClock(), seed=1) as emu:
        emu.settle()
        for port in emu.ports:
            assert emu.smbus_of(port).read_byte_data(0x50, 3) >> 1 & 7 == 1  # ModuleLowPwr: LPMode is pulled up
        for bus in (33, 34):
            lines = emu.smbus(bus)
            assert lines.read_word_data(0x23, 0) == 0  # ModPrsL: all are there
            lines.write_word_data(0x21, 2, 0)  # LPMode low
            lines.write_word_data(0x21, 6, 0)
        emu.settle()
        for each in emu.ports.values():
            assert each.module.get("DPStateHostLane", lane=1) == "DPActivated"
        emu.ports["20"].remove()
        assert not emu.expanders["ModPrsL-17"].INT
        assert emu.smbus(34).read_word_data(0x23, 0) == 1 << 3
