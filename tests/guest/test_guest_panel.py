"""A front panel of 32 ports on one adapter, in the eyes of Linux's own mux, GPIO and EEPROM drivers.

The kernel is Debian's; the two drivers that it leaves out are built, unmodified, from its sources (`guest.drivers`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dr4 import DR4
from guest.drivers import driver
from guest.image import UnavailableError
from guest.machine import Machine
from guest_bench import (
    PYTHON,
    SITE,
    Bench,
    answering,
    assert_eeprom,
    complaints,
    enough,
    looping,
    replug,
    until,
)

from cmis_emu import Emulator, ScaledClock

pytestmark = pytest.mark.timeout(300)

HOST = Path(__file__).with_name("panel_host.py")


@dataclass
class Panel:
    """The panel's adapter is `root` in the guest, and `found` is what the host there has found and done."""

    bench: Bench
    root: int
    found: dict[str, Any]

    @property
    def machine(self) -> Machine:
        return self.bench.machine

    @property
    def emu(self) -> Emulator:
        return self.bench.emu

    def adapter(self, port: int) -> int:
        """The guest's bus of a port."""
        return int(self.found["channels"][port - 1])


@pytest.fixture(scope="module")
def panel(guest_machine: Machine) -> Iterator[Panel]:
    """The panel at power-up; then the host of `panel_host.py` brings it up, once for all tests."""
    try:
        drivers = [driver(guest_machine.image, name) for name in ("i2c-mux-pca954x", "gpio-pca953x")]
    except UnavailableError as error:
        pytest.skip(f"no drivers for the guest's kernel: {error}")
    with Emulator.load("front-panel-32", ScaledClock(), seed=1) as emu:
        bench = Bench.served(guest_machine, emu)
        guest_machine.modprobe("i2c-mux")
        for each in drivers:
            guest_machine.load(each)
        root = bench.attach(0)
        assert answering(guest_machine, root) == ["70", "71", "72", "73", "74"]  # all channels are off
        done = guest_machine.run(f"{PYTHON} -S {HOST} {SITE} {root}", limit_s=200)
        assert done.code == 0, done.output
        yield Panel(bench, root, json.loads(done.output))
    until(lambda: guest_machine.run(f"ls /sys/bus/i2c/devices/i2c-{root}").code != 0)  # with all that sat on it


@pytest.fixture(autouse=True)
def _the_kernel_is_well(guest_machine: Machine) -> Iterator[None]:
    """No test leaves the guest's kernel with a complaint about itself."""
    yield
    assert complaints(guest_machine) == ""


def test_a_host_that_knows_nothing_of_the_emulator_activates_32_modules(panel: Panel) -> None:
    found, ports = panel.found, [panel.emu.ports[str(number)] for number in range(1, 33)]
    print(f"the host took {found['seconds']} s, with {found['retries']} retries")
    assert found["retries"] < 10
    assert found["muxes"] == [0x70, 0x71, 0x72, 0x73, 0x74]
    assert len(found["channels"]) == 40
    assert len(found["expanders"]) == 2
    assert found["present"] == [0, 0]  # ModPrsL of all of them is low
    assert found["held"] == 32  # while ResetL was low nobody answered
    assert (found["vendors"], found["parts"]) == (["CMIS-EMU"], ["QDD-400G-DR4"])
    assert found["serials"] == [port.module.get("VendorSN").strip() for port in ports]
    assert len(set(found["serials"])) == 32
    assert found["outputs"] == [0xFFFF, 0xFFFF, 0, 0, 0, 0]  # ResetL high, ModSelL and LPMode low
    with panel.emu.lock:
        for port in ports:
            assert port.pins.driven() == {"ResetL": True, "LPMode": False, "ModSelL": False, "power": True}
            assert {port.module.get("DPStateHostLane", lane=lane) for lane in range(1, 9)} == {4}
        levels = [port.pins.IntL for port in ports]
    assert found["interrupts"] == [sum(levels[16 * n + k] << k for k in range(16)) for n in (0, 1)]


def test_the_drivers_of_the_kernel_have_bound(panel: Panel) -> None:
    listed = panel.machine.run("i2cdetect -l").output
    assert listed.count("-mux (chan_id") == 40
    for address in range(0x70, 0x75):
        driver = panel.machine.run(f"readlink /sys/bus/i2c/devices/{panel.root}-{address:04x}/driver").output
        assert driver.strip().endswith("/pca954x")
    chips = panel.machine.run(
        "cat /sys/bus/gpio/devices/gpiochip*/of_node 2>/dev/null; ls -d /sys/bus/i2c/drivers/pca953x/*-002*"
    )
    assert len(chips.output.split()) == 10
    assert answering(panel.machine, panel.adapter(17)) == ["50", *["UU"] * 5]  # the muxes before it have their driver


def test_the_eeprom_driver_behind_a_mux(panel: Panel) -> None:
    assert_eeprom(panel.machine, panel.adapter(9), panel.emu.ports["9"].module)


def test_two_muxes_that_stay_on_put_two_modules_on_one_wire(panel: Panel) -> None:
    """What the kernel's documentation warns of; the host above asks for idle muxes to disconnect."""
    nodes = [f"/sys/bus/i2c/devices/{panel.root}-{address:04x}/idle_state" for address in (0x70, 0x73)]
    ask = "i2ctransfer -y {} w3@0x50 126 0 0 w1@0x50 166 r16"
    first, second = ask.format(panel.adapter(1)), ask.format(panel.adapter(28))
    alone = [panel.machine.run(each).output.split() for each in (first, second)]
    serials = [panel.emu.ports[name].module.peek(0, 166, 16) for name in ("1", "28")]
    assert [bytes(int(value, 0) for value in each) for each in alone] == serials
    for node in nodes:
        assert panel.machine.run(f"echo -1 >{node}").code == 0  # as is
    try:
        panel.machine.run(first)
        both = panel.machine.run(second).output.split()
        assert bytes(int(value, 0) for value in both) == bytes(a & b for a, b in zip(*serials, strict=True))
    finally:
        for node in nodes:
            panel.machine.run(f"echo -2 >{node}")
        for each in (first, second):  # each deselects its mux
            panel.machine.run(each)
    assert panel.emu.muxes["m1"].control == panel.emu.muxes["m4"].control == 0


def test_a_module_is_pulled_in_mid_transfer_and_its_neighbour_does_not_notice(panel: Panel) -> None:
    job = looping(panel.machine, [panel.adapter(5), panel.adapter(6)], "ok,ENXIO")
    replug(panel.emu.ports["5"], 0.4)
    seen, neighbour = enough(panel.machine, job)
    assert neighbour == ["ok"]
    assert set(seen) == {"ok", "ENXIO"}, seen
    assert seen[-1] == "ok", seen


def test_presence_over_gpio_follows_the_cage(panel: Panel) -> None:
    device = Path(panel.found["expanders"][0]).name.replace("0020", "0023")
    read = f"""n=$(($(cat /sys/bus/i2c/devices/{device}/gpio/gpiochip*/base) + 6)); cd /sys/class/gpio
    echo $n >export; cat gpio$n/value; echo $n >unexport"""
    assert panel.machine.run(read).output.strip() == "0"
    panel.emu.ports["7"].remove()
    assert panel.machine.run(read).output.strip() == "1"
    panel.emu.ports["7"].insert(DR4)
    assert panel.machine.run(read).output.strip() == "0"
