"""ethtool, unmodified, on interfaces that are not there: their modules are the emulator's."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from preloaded import HERE, Run, build, run_in, tool_path

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.ethtool.family import FIRST_INDEX
from cmis_emu.bus.tap import Transaction
from cmis_emu.registers.field import LOWER

DR4 = "qsfpdd-400g-dr4"
PORTS = {
    "a": {"profile": DR4, "bus": 1, "interface": "Ethernet0"},
    "b": {"profile": DR4, "bus": 2, "interface": "Ethernet4"},
    "c": {"profile": "osfp-800g-dr8", "bus": 3, "interface": "Ethernet8"},
    "d": {"profile": "qsfpdd-400g-dac", "bus": 7, "interface": "Ethernet16"},
    "e": {"bus": 9, "interface": "Ethernet24"},
    "f": {"profile": DR4, "bus": 10, "interface": "e0"},  # as long as "lo": offsets in messages are the same
}
TESTBED = {"version": 1, "ports": PORTS, "fibres": {"a-b": {"from": "a", "to": "b"}, "c": {"from": "c", "to": "c"}}}
PORT_OF = {"Ethernet0": "a", "Ethernet8": "c", "Ethernet16": "d"}


@pytest.fixture
def served(folder: Path) -> Iterator[Emulator]:
    with Emulator.load(TESTBED, ManualClock(), seed=1) as emulator:
        emulator.settle()
        emulator.serve(folder / "socket")
        yield emulator


@pytest.fixture(params=["kernel", "no netlink", "no family"])
def kernel(request: pytest.FixtureRequest, folder: Path, env: dict[str, str]) -> str:
    """What stands behind the library: this machine's kernel, or one that lacks what containers lack."""
    if request.param != "kernel":
        library = build(folder, request.param.replace(" ", "_"), "-shared", "-fPIC")
        env["LD_PRELOAD"] += f":{library}"
    return str(request.param)


@pytest.fixture
def ethtool(served: Emulator, run: Run) -> Run:
    def ethtool(*arguments: str) -> Any:
        return run(tool_path("ethtool", "ethtool"), *arguments)

    return ethtool


@pytest.fixture
def client(served: Emulator, run: Run) -> Any:
    """What `programs/ethtool_client.py` prints."""

    def client(*arguments: str) -> Any:
        done = run(sys.executable, str(HERE / "programs" / "ethtool_client.py"), *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return client


def decoded(text: str) -> dict[str, str]:
    """The rows that ethtool prints."""
    rows = (line.partition(" : ") for line in text.splitlines() if " : " in line)
    return {" ".join(name.split()): value.strip() for name, _, value in rows}


def number(text: str) -> float:
    return float(re.match(r"-?[0-9.]+", text)[0])  # type: ignore[index]


def dumped(text: str) -> bytes:
    """The bytes of a hex dump."""
    return bytes.fromhex("".join(line.split(":")[1] for line in text.splitlines() if line.startswith("0x")))


# ---------------------------------------------------------------- what ethtool -m says


@pytest.mark.parametrize(("interface", "lanes"), [("Ethernet0", 4), ("Ethernet8", 8)])
def test_an_optical_module_by_name(ethtool: Run, served: Emulator, kernel: str, interface: str, lanes: int) -> None:
    done = ethtool("-m", interface)
    assert (done.returncode, done.stderr) == (0, "")
    found, module = decoded(done.stdout), served.ports[PORT_OF[interface]].module
    for row, field in {
        "Vendor name": "VendorName",
        "Vendor PN": "VendorPN",
        "Vendor rev": "VendorRev",
        "Vendor SN": "VendorSN",
    }.items():
        assert found[row] == module.get(field).strip(), row
    for row, field, unit in (
        ("Module temperature", "TempMonValue", 1),
        ("Module voltage", "VccMonVoltage", 1),
        ("Module temperature high alarm threshold", "TempMonHighAlarmThreshold", 1),
        ("Module voltage low warning threshold", "VccMonLowWarningThreshold", 1),
        ("Laser bias current high alarm threshold", "LaserBiasTxHighAlarmThreshold", 1e3),
        ("Laser output power low warning threshold", "OpticalPowerTxLowWarningThreshold", 1e3),
        ("Laser rx power high alarm threshold", "OpticalPowerRxHighAlarmThreshold", 1e3),
        ("Laser wavelength", "NominalWavelength", 1),
    ):
        assert number(found[row]) == pytest.approx(module.get(field) * unit, abs=6e-3), row
    assert number(found["Max power"]) == module.get("MaxPower")
    assert f"({module.get('ModuleState')})" in found["Module State"]
    for lane in range(1, lanes + 1):
        bias = number(found[f"Laser tx bias current (Channel {lane})"])
        assert bias == pytest.approx(module.get("LaserBiasTx", lane=lane) * 1e3, abs=2e-3)
        for row, field in (
            (f"Transmit avg optical power (Channel {lane})", "OpticalPowerTx"),
            (f"Rcvr signal avg optical power (Channel {lane})", "OpticalPowerRx"),
        ):
            assert number(found[row]) == pytest.approx(module.get(field, lane=lane) * 1e3, abs=2e-4)
            assert number(found[row]) > 0.5


def test_a_copper_cable(ethtool: Run, served: Emulator, kernel: str) -> None:
    done = ethtool("-m", "Ethernet16")
    assert (done.returncode, done.stderr) == (0, "")
    found, module = decoded(done.stdout), served.ports["d"].module
    assert found["Vendor PN"] == module.get("VendorPN").strip()
    assert found["Identifier"].startswith("0x18")
    assert number(found["Cable assembly length"]) == 0.5
    assert number(found["Attenuation at 25.8GHz"]) == module.peek(0, 207, 1)[0]
    assert not any("Channel" in row for row in found)


@pytest.mark.rule("HOST-03")
@pytest.mark.parametrize(("interface", "pages"), [("Ethernet0", (0, 1, 2, 0x11)), ("Ethernet16", (0,))])
def test_what_it_reads(ethtool: Run, served: Emulator, interface: str, pages: tuple[int, ...]) -> None:
    """Whole halves; of a flat module no page but 00h. Newer versions read more."""
    seen: list[Transaction] = []
    served.ports[PORT_OF[interface]].target.taps.append(seen.append)
    assert ethtool("-m", interface).returncode == 0
    halves = {(each.page, each.address) for each in seen if each.read and len(each.data) == 128}
    assert halves >= {(LOWER, 0), *((page, 128) for page in pages)}
    assert pages != (0,) or {page for page, _ in halves} == {LOWER, 0}
    assert max(len(each.data) for each in seen) == 128


def test_pages_banks_offsets(ethtool: Run, served: Emulator, kernel: str) -> None:
    module = served.ports["a"].module
    for page in (0x00, 0x01, 0x02, 0x10, 0x13):
        done = ethtool("-m", "Ethernet0", "page", hex(page), "offset", "128", "length", "128")
        assert dumped(done.stdout) == module.peek(page, 128, 128), hex(page)
    assert dumped(ethtool("-m", "Ethernet0", "page", "0x01", "offset", "130", "length", "3").stdout) == module.peek(
        1, 130, 3
    )
    assert dumped(ethtool("-m", "Ethernet0", "hex", "on").stdout)[:3] == bytes([0x18, 0x52, 0x04])
    assert dumped(ethtool("-m", "Ethernet0", "page", "0xEE").stdout) == b""
    for arguments in (("page", "0xEE"), ("page", "0x10", "bank", "5")):
        done = ethtool("-m", "Ethernet0", *arguments)
        assert done.returncode != 0
        assert "does not have that page in that bank" in done.stderr
        assert "Invalid argument" in done.stderr


def test_a_read_clears_flags_and_leaves_page_00h(ethtool: Run, tool: Run, served: Emulator) -> None:
    module = served.ports["a"].module
    with served.lock:
        module.flags.latch(module.memory.cell("LOSFlagRx"), 0xFF)
    for expected in (b"\xff", b"\x00"):
        done = ethtool("-m", "Ethernet0", "page", "0x11", "offset", "147", "length", "1")
        assert dumped(done.stdout) == expected
        assert tool("i2cget", "-y", "1", "0x50", "127").stdout == "0x00\n"


def test_refusals(ethtool: Run, kernel: str) -> None:
    for arguments, text, number in (
        (("-m", "Ethernet24"), "the module does not answer", "No such device or address"),
        (("-m", "Ethernet0", "i2c", "0x51", "offset", "4", "length", "4"), "", "No such device or address"),
        (("-m", "Ethernet0", "page", "1", "offset", "130", "length", "127"), "cross page boundary", "Invalid argument"),
        (("-m", "Ethernet0", "offset", "100", "length", "100"), "cross half page boundary", "Invalid argument"),
        (("-m", "Ethernet0", "page", "1", "offset", "5", "length", "1"), "page 0 only", "Invalid argument"),
        (("-m", "Ethernet16", "page", "1"), "the module has no pages", "Invalid argument"),
        (("-m", "Ethernet99"), "no device matches name", "No such device"),
    ):
        done = ethtool(*arguments)
        assert done.returncode != 0, arguments
        assert text in done.stderr, arguments
        assert number in done.stderr, arguments


# ---------------------------------------------------------------- power mode


def test_power_mode(ethtool: Run, served: Emulator, kernel: str) -> None:
    port = served.ports["a"]

    def shown(interface: str = "Ethernet0") -> list[str]:
        done = ethtool("--show-module", interface)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()[1:]  # type: ignore[no-any-return]

    assert shown() == ["power-mode: high"]  # the pin decides: neither policy
    assert ethtool("--set-module", "Ethernet0", "power-mode-policy", "auto").returncode == 0
    assert port.module.get("LowPwrRequestSW") is True
    served.settle()
    assert port.module.get("ModuleState") == "ModuleLowPwr"
    assert shown() == ["power-mode-policy: auto", "power-mode: low"]
    port.pins.LPMode = True
    assert ethtool("--set-module", "Ethernet0", "power-mode-policy", "high").returncode == 0
    served.settle()
    assert port.module.get("ModuleState") == "ModuleReady"  # whatever the pin says
    assert shown() == ["power-mode-policy: high", "power-mode: high"]
    assert json.loads(ethtool("--json", "--show-module", "Ethernet0").stdout) == [
        {"ifname": "Ethernet0", "power-mode-policy": "high", "power-mode": "high"}
    ]
    assert shown("Ethernet16") == []
    done = ethtool("--set-module", "Ethernet16", "power-mode-policy", "high")
    assert "the module has no power modes" in done.stderr
    assert "the module does not answer" in ethtool("--show-module", "Ethernet24").stderr


# ---------------------------------------------------------------- everything else is the kernel's


@pytest.mark.parametrize(
    "arguments",
    [("lo",), ("-i", "lo"), ("-m", "lo"), ("-k", "lo"), ("--show-module", "lo"), ("-m", "nosuch0"), ("-P", "lo")],
)
def test_other_interfaces_are_untouched(ethtool: Run, env: dict[str, str], arguments: tuple[str, ...]) -> None:
    plain = {name: value for name, value in env.items() if name not in ("LD_PRELOAD", "CMIS_EMU_SOCKET")}
    expected = run_in(plain, tool_path("ethtool", "ethtool"), *arguments)
    done = ethtool(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_strange_requests_are_refused_as_the_kernel_does(client: Any) -> None:
    """The same requests to the kernel, for its loopback, and to the emulator."""
    try:
        expected = client("strange", "lo")
    except AssertionError:
        pytest.skip("this kernel has no generic netlink family ethtool")
    assert len(expected) > 25
    assert client("strange", "e0") == expected


def test_waiting_in_every_way(client: Any, kernel: str) -> None:
    found = client("waiting", "Ethernet0")
    done = {"errno": "0", "capped": True, "sequence": 7}
    refused = {"errno": "EINVAL", "sequence": 1}
    details = {"text": "reading cross half page boundary is illegal", "offset": 48}
    head = found.pop("peek")
    assert head[:4] == "1852"
    assert found == {
        "select": True,
        "recv": head,
        "end": done,
        "nothing more": True,
        "poll": [1],
        "recvfrom": [head, [0, 0]],
        "epoll": [1],
        "recvmsg": [head, 0, 0, [0, 0]],
        "read": head,
        "read, fortified": head,
        "cut short": [40, True],
        "length first": True,
        "three at once": [[found["three at once"][0][0], 7], [2, 7], [2, 8], [found["three at once"][0][0], 7], [2, 7]],
        "no acknowledgement": 1,
        "plain error": {**refused, "capped": False},
        "capped error": {**refused, "capped": True, **details},
    }


@pytest.mark.parametrize(("interface", "size"), [("Ethernet0", 512), ("Ethernet16", 256)])
def test_the_old_ioctl(client: Any, served: Emulator, interface: str, size: int) -> None:
    found = client("legacy", interface)
    module = served.ports[PORT_OF[interface]].module
    upper = b"".join(module.peek(page, 128, 128) for page in range(size // 128 - 1))
    whole = bytes.fromhex(found["whole"])
    assert whole[128:] == upper
    assert whole[:3] == bytes.fromhex(found["pieces"])[:3] == module.peek(-1, 0, 3)
    assert bytes.fromhex(found["pieces"])[128:] == upper
    assert (found["type"], found["size"], found["beyond"]) == (3, size, "EINVAL")
    assert found["link"] in ("ENODEV", "EOPNOTSUPP", "ENOTSUP")  # no network interface, as for any tool
    assert found["lo"] in ("EOPNOTSUPP", "ENOTSUP")


def test_the_old_ioctl_on_an_empty_cage(client: Any) -> None:
    assert client("legacy", "Ethernet24") == {"info": "ENXIO"}


def test_the_command(folder: Path) -> None:
    testbed = folder / "testbed.yaml"
    testbed.write_text("version: 1\nports:\n  a: {profile: qsfpdd-400g-dr4, bus: 1, interface: Ethernet0}\n")
    command = [sys.executable, "-m", "cmis_emu", "exec", str(testbed), "--"]
    done = run_in(os.environ, *command, tool_path("ethtool", "ethtool"), "-m", "Ethernet0")
    assert (done.returncode, done.stderr) == (0, "")
    assert decoded(done.stdout)["Vendor PN"] == "QDD-400G-DR4"
    assert "(ModuleReady)" in done.stdout


def test_interfaces_have_numbers_of_their_own() -> None:
    assert FIRST_INDEX > 1 << 24
