"""A stock Linux kernel with its own drivers and unmodified programs, in a guest, through USB/IP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest.machine import Machine
from guest_bench import (
    PYTHON,
    READS,
    ROOT,
    Bench,
    answering,
    assert_brought_up,
    assert_eeprom,
    complaints,
    enough,
    looping,
    pause,
    replug,
    until,
)

from cmis_emu.bus.usbip.server import UsbIpServer

pytestmark = pytest.mark.timeout(300)

SLOW = """
import errno, sys, time
from smbus2 import SMBus
open("/run/asking", "w").close()
start = time.monotonic()
with SMBus(int(sys.argv[1])) as bus:
    try:
        word = f"{bus.read_byte_data(0x50, 0):#x}"
    except OSError as error:
        word = errno.errorcode[error.errno]
    print(word, time.monotonic() - start)
    time.sleep(1.5)
    print(f"{bus.read_byte_data(0x50, 0):#x}")
"""


@pytest.fixture(autouse=True)
def _the_kernel_is_well(guest_machine: Machine) -> Iterator[None]:
    """No test leaves the guest's kernel with a complaint about itself."""
    yield
    assert complaints(guest_machine) == ""


def test_the_stock_tool_lists_what_there_is(guest: Bench) -> None:
    port = guest.server.address[1]
    found = guest.machine.run(f"usbip --tcp-port {port} list -r 10.0.2.2").output
    assert "1-1:" in found
    assert "1-2:" in found
    assert "0403:c631" in found
    ports = guest.machine.run("usbip port").output
    assert ports.count("<Port in Use> at High Speed(480Mbps)") == 2


def test_i2c_tools(guest: Bench) -> None:
    adapter = guest.adapter(1)
    listed = guest.machine.run("i2cdetect -l").output
    assert f"i2c-{adapter}" in listed
    assert "i2c-tiny-usb" in listed
    for mode in ("", "-q", "-r"):
        assert answering(guest.machine, adapter, mode) == ["50"]
    page_00h = guest.machine.run(f"i2ctransfer -y {adapter} w2@0x50 127 0 w1@0x50 0x80 r9")
    assert page_00h.output.split() == ["0x18", *(f"0x{value:02x}" for value in b"CMIS-EMU")]
    assert "No such device or address" in guest.machine.run(f"i2ctransfer -y {adapter} w1@0x51 0 r1").output
    nine = " ".join(str(value) for value in range(0x10, 0x19))
    refused = guest.machine.run(f"i2ctransfer -y {adapter} w3@0x50 126 0 0x10 w10@0x50 145 {nine}")
    assert "Input/output error" in refused.output
    taken = guest.emu.ports["a"].module.peek(0x10, 145, 9)
    assert taken[:8] == bytes(range(0x10, 0x18))
    dump = guest.machine.run(f"i2cdump -y {adapter} 0x50 b").output
    assert dump.splitlines()[1].startswith("00: 18 52 04")


def test_smbus2(guest: Bench) -> None:
    adapter = guest.adapter(1)
    code = f"""{READS}
    for call in (lambda: bus.read_byte_data(0x51, 0), lambda: bus.write_quick(0x51),
                 lambda: bus.i2c_rdwr(i2c_msg.read(0x51, 4))):
        try:
            call()
        except OSError as error:
            assert error.errno == errno.ENXIO, error
        else:
            raise SystemExit("an absent address answered")
print("all right")
"""
    done = guest.python(code, adapter).wait()
    assert done.output == "all right\n"


def test_the_eeprom_driver(guest: Bench) -> None:
    assert_eeprom(guest.machine, guest.adapter(1), guest.emu.ports["a"].module)


def test_a_host_that_knows_nothing_of_the_emulator_brings_a_module_up(guest: Bench) -> None:
    assert_brought_up(guest.machine, guest.adapter(2), guest.emu, "b")


def test_a_module_is_pulled_in_mid_transfer(guest: Bench) -> None:
    job = looping(guest.machine, [guest.adapter(1)], "ok,ENXIO")
    replug(guest.emu.ports["a"], 0.3)
    (words,) = enough(guest.machine, job)
    assert set(words) == {"ok", "ENXIO"}, words
    assert guest.machine.run(f"i2ctransfer -y {guest.adapter(1)} w1@0x50 0 r1").output == "0x18\n"


def test_a_stretched_clock_up_to_what_the_driver_bears(guest: Bench) -> None:
    adapter = guest.adapter(1)
    for held_s, expected in ((1.0, "0x18"), (3.0, "EIO")):
        guest.machine.run("rm -f /run/asking")
        with guest.emu.lock:  # the module is slow to answer
            job = guest.python(SLOW, adapter)
            until(lambda: guest.machine.run("ls /run/asking").code == 0)
            pause(held_s)
        word, duration, after = job.wait().output.split()
        assert word == expected
        assert float(duration) < 2.8  # two seconds, and it got the transfer back at once
        assert after == "0x18"


def test_the_server_dies_in_mid_transfer_and_comes_back(guest: Bench) -> None:
    before = guest.adapter(1)
    job = looping(guest.machine, [before], "ok")
    host, port = guest.server.address
    guest.server.close()
    words = job.wait().output.split()
    assert words[0] == "ok"
    assert words[-1] in ("EIO", "ENODEV", "ENXIO", "ESHUTDOWN", "ETIMEDOUT"), words
    until(lambda: "i2c-tiny-usb" not in guest.machine.run("i2cdetect -l").output)
    server = guest.emu.open_way(f"usbip:{host}:{port}")
    assert isinstance(server, UsbIpServer)
    guest.server = server
    assert [guest.attach(bus) for bus in (1, 2)] == [before, before + 1]
    assert guest.machine.run(f"i2ctransfer -y {before} w1@0x50 0 r1").output == "0x18\n"


SAME_MACHINE = """
import time, threading
from pathlib import Path
from smbus2 import SMBus
from cmis_emu import Emulator
from cmis_emu.cli.main import cli
from cmis_emu.control import ControlServer
with Emulator.load("qsfpdd-400g-dr4", seed=1) as emu:
    emu.settle()
    path = Path("/run/emulator/here.sock")
    emu.serve(path, ControlServer(emu))
    for command in ("attach", "attach", "detach"):
        cli([command, "--attach", str(path)], standalone_mode=False)
        if command == "attach":
            number = max(int(each.name.split("-")[1]) for each in Path("/dev").glob("i2c-*"))
            with SMBus(number) as bus:
                print(bytes(bus.read_i2c_block_data(0x50, 129, 8)).decode(), flush=True)
"""


def test_attach_without_the_tool(guest: Bench) -> None:
    """Emulator, `cmis-emu attach` and host, all in the guest: as on a machine of one's own."""
    script = f"{PYTHON} - <<'END'\n{SAME_MACHINE}\nEND"
    done = guest.machine.run(f"cd {ROOT}; {script}", limit_s=150)
    lines = done.output.splitlines()
    assert done.code == 0, done.output
    assert lines[0].startswith("bus 1: /dev/i2c-")
    assert lines[1:] == ["CMIS-EMU", "bus 1: attached already", "CMIS-EMU", "bus 1: detached"]
    device = lines[0].split()[-1]
    until(lambda: guest.machine.run(f"ls {device}").code != 0)
