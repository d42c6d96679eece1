"""User page, passwords and the files that keep them, through the bus (RST-07, PW-01 to PW-03, I2C-11)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cmis_host import ADDRESS, LOW_PWR, Host
from hypothesis import given, settings
from hypothesis import strategies as st
from smbus2 import i2c_msg

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.errors import NotAvailableError
from cmis_emu.module.nonvolatile import Kept
from cmis_emu.nvm import NvmFolder, state_folder

DR4 = "qsfpdd-400g-dr4"
USER, ENTRY, CHANGE, RESULT = 0x03, 122, 118, 42
FACTORY = 0x00001011

Edit = Callable[[dict[str, Any]], None]


def write(emu: Emulator, offset: int, data: bytes) -> None:
    """One write, then the time that a memory may take (80 ms)."""
    emu.smbus(1).i2c_rdwr(i2c_msg.write(ADDRESS, [offset, *data]))
    emu.clock.advance(0.08)


def enter(emu: Emulator, password: int) -> None:
    write(emu, ENTRY, password.to_bytes(4, "big"))


def user_page(emu: Emulator) -> bytes:
    return Host(emu.smbus(1)).read(USER, 128, 128)


def write_user(emu: Emulator, offset: int, data: bytes) -> None:
    Host(emu.smbus(1)).select(USER)
    write(emu, offset, data)


def guarded(**policy: Any) -> Edit:
    """A module whose user page is behind a password, and that tells what became of an entry (5.3)."""

    def edit(profile: dict[str, Any]) -> None:
        profile["revision"] = "5.3"
        profile["registers"]["PasswordResultSupported"] = 2
        profile["password"] = {"protects": ["03h"], **policy}

    return edit


# -- user memory ----------------------------------------------------------------------------------


@pytest.mark.rule("RST-07", "PAGE-08")
@pytest.mark.parametrize("how", ["software", "pin", "power"])
def test_the_user_page_survives_every_reset(emu: Emulator, how: str) -> None:
    write_user(emu, 128, b"rack 7\x00\xff")
    write_user(emu, 250, b"end")
    pins = emu.ports["1"].pins
    if how == "software":
        Host(emu.smbus(1)).write(0, 26, 0x48)
    elif how == "pin":
        pins.ResetL = False
        emu.clock.advance(0.001)
        pins.ResetL = True
    else:
        pins.power = False
        emu.clock.advance(1)
        pins.power = True
    emu.settle()
    assert user_page(emu) == b"rack 7\x00\xff" + bytes(114) + b"end" + bytes(3)


@pytest.mark.rule("I2C-11", "I2C-09")
def test_a_write_to_memory_takes_time_and_then_reads_back(emu: Emulator, bus: VirtualSMBus) -> None:
    Host(bus).select(USER)
    bus.write_byte_data(ADDRESS, 128, 0x5A)
    with pytest.raises(OSError, match="No such device"):
        bus.read_byte_data(ADDRESS, 128)
    emu.clock.advance(0.0101)
    assert bus.read_byte_data(ADDRESS, 128) == 0x5A


@settings(max_examples=50, deadline=None)
@given(writes=st.lists(st.tuples(st.integers(128, 255), st.binary(min_size=1, max_size=8)), max_size=12))
def test_any_writes_are_there_again_in_the_next_emulator(
    writes: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("nvm")
    expected = bytearray(128)
    with Emulator.load(DR4, clock=ManualClock(), nvm=folder) as emu:
        emu.settle()
        for offset, data in writes:
            write_user(emu, offset, data)
            for step, value in enumerate(data):
                expected[(offset + step) & 127] = value  # I2C-04
        assert user_page(emu) == expected
    with Emulator.load(DR4, clock=ManualClock(), nvm=folder) as emu:
        emu.settle()
        assert user_page(emu) == expected


def test_each_port_and_product_has_its_own_memory(tmp_path: Path) -> None:
    testbed = {"version": 1, "ports": {"a/1": {"profile": DR4, "bus": 1}, "..": {"profile": DR4, "bus": 2}}}
    with Emulator.load(testbed, clock=ManualClock(), nvm=tmp_path / "deep" / "er") as emu:
        emu.settle()
        write_user(emu, 128, b"first")
    assert sorted(p.name for p in (tmp_path / "deep" / "er").iterdir()) == ["a%2f1.json"]
    with Emulator.load(testbed, clock=ManualClock(), nvm=tmp_path / "deep" / "er") as emu:
        emu.settle()
        assert user_page(emu).startswith(b"first")
        assert Host(emu.smbus(2)).read(USER, 128, 8) == bytes(8)
        emu.ports["a/1"].insert(DR4)
        emu.settle()
        assert user_page(emu).startswith(b"first")


def test_the_vendor_writes_user_data_too(emu: Emulator) -> None:
    emu.ports["1"].module.set("UserNVData", "41" + "00" * 127)
    Host(emu.smbus(1)).write(0, 26, 0x48)
    emu.settle()
    assert user_page(emu)[0] == 0x41


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("[]", "another shape"),
        ('{"version": 2, "modules": {}}', "version 2"),
        ('{"version": 1}', "another shape"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": {"user_data": "00"}}}', "1 bytes"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": {"user_data": "xx"}}}', "not hexadecimal"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": {"user_data": 7}}}', "not hexadecimal"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": {"host_password": "80000000"}}}', "80000000"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": {"colour": "red"}}}', "unknown key"),
        ('{"version": 1, "modules": {"qsfpdd-400g-dr4": 3}}', "another shape"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_left_alone(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "1.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Emulator.load(DR4, clock=ManualClock(), nvm=tmp_path).close()
    assert caught.value.file == str(path)
    assert found in str(caught.value)
    assert path.read_text() == text


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotAvailableError, match="found no folder"):
        Emulator.load(DR4, clock=ManualClock(), nvm=tmp_path / "file" / "below")


def test_where_a_running_emulator_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CMIS_EMU_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert state_folder("lab") == Path.home() / ".local" / "state" / "cmis-emu" / "lab"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder("lab") == tmp_path / "cmis-emu" / "lab"
    monkeypatch.setenv("CMIS_EMU_STATE_DIR", str(tmp_path / "x"))
    assert state_folder("lab") == tmp_path / "x" / "lab"


_WRITER = """
import sys
from pathlib import Path
from cmis_emu.module.nonvolatile import Kept
from cmis_emu.nvm import NvmFolder
store = NvmFolder(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    store.save("1", "p", Kept(bytes([number & 255]) * 128, number & 0x7FFFFFFF))
"""


def test_a_killed_writer_leaves_the_old_or_the_new_contents(tmp_path: Path) -> None:
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not (tmp_path / "1.json").exists():
                pass
            os.kill(process.pid, signal.SIGKILL)
        kept = NvmFolder(tmp_path).load("1", "p")
        assert kept.user_data is not None
        assert kept.host_password is not None
        assert kept.user_data == bytes([kept.host_password & 255]) * 128


def test_a_full_disk_is_told_and_the_module_goes_on(
    emu: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NvmFolder(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store.save("1", "p", Kept(bytes(128)))
    assert "No space left on device" in caplog.text


# -- passwords ------------------------------------------------------------------------------------


@pytest.mark.rule("PW-01", "PW-02", "PW-03", "I2C-08")
def test_a_protected_page_opens_with_the_host_password(variant: Callable[..., Emulator]) -> None:
    emu = variant(guarded())
    host = Host(emu.smbus(1))
    write_user(emu, 128, b"no")
    assert user_page(emu)[:2] == bytes(2)
    enter(emu, 0x12345678)
    assert host.byte(0, RESULT) & 15 == 3
    write_user(emu, 128, b"no")
    assert user_page(emu)[:2] == bytes(2)
    enter(emu, FACTORY)
    assert host.byte(0, RESULT) & 15 == 2
    assert host.read(0, ENTRY, 4) == bytes(4)
    write_user(emu, 128, b"ok")
    assert user_page(emu)[:2] == b"ok"
    host.write(0, 26, 0x48)
    emu.settle()
    write_user(emu, 128, b"xx")
    assert user_page(emu)[:2] == b"ok"
    assert host.byte(0, RESULT) & 15 == 0


@pytest.mark.rule("PW-01")
@pytest.mark.parametrize(("locks", "after"), [(True, b"old"), (False, b"new")])
def test_a_wrong_entry_locks_or_not_as_the_vendor_chose(
    variant: Callable[..., Emulator], locks: bool, after: bytes
) -> None:
    emu = variant(guarded(wrong_entry_locks=locks))
    enter(emu, FACTORY)
    write_user(emu, 128, b"old")
    enter(emu, 1)
    write_user(emu, 128, b"new")
    assert user_page(emu)[:3] == after


@pytest.mark.rule("PW-01")
def test_only_one_write_of_four_bytes_is_an_entry(variant: Callable[..., Emulator]) -> None:
    emu = variant(guarded())
    for offset, data in ((122, b"\x00\x00"), (124, b"\x10\x11"), (123, b"\x00\x10\x11"), (122, b"\x00\x00\x10")):
        write(emu, offset, data)
    write_user(emu, 128, b"no")
    assert user_page(emu)[:2] == bytes(2)
    write(emu, 119, bytes(3) + FACTORY.to_bytes(4, "big"))  # a longer write that holds the whole entry
    write_user(emu, 128, b"ok")
    assert user_page(emu)[:2] == b"ok"


@pytest.mark.rule("PW-01", "RST-07")
def test_the_host_changes_its_password_for_good(variant: Callable[..., Emulator]) -> None:
    emu = variant(guarded())
    host = Host(emu.smbus(1))
    write(emu, CHANGE, (0x0BADCAFE).to_bytes(4, "big"))
    assert host.byte(0, RESULT) & 15 == 3  # locked: refused
    enter(emu, FACTORY)
    write(emu, CHANGE, (0x80000000).to_bytes(4, "big"))
    assert host.byte(0, RESULT) & 15 == 3  # not in the host's range
    write(emu, CHANGE, (0x0BADCAFE).to_bytes(4, "big"))
    assert host.byte(0, RESULT) & 15 == 2
    emu.ports["1"].pins.power = False
    emu.clock.advance(1)
    emu.ports["1"].pins.power = True
    emu.settle()
    enter(emu, FACTORY)
    assert host.byte(0, RESULT) & 15 == 3
    enter(emu, 0x0BADCAFE)
    assert host.byte(0, RESULT) & 15 == 2


@pytest.mark.rule("PW-01")
def test_the_vendors_password(variant: Callable[..., Emulator]) -> None:
    emu = variant(guarded(module=0xDEADBEEF, host=0x7FFFFFFF))
    enter(emu, FACTORY)
    assert Host(emu.smbus(1)).byte(0, RESULT) & 15 == 3
    enter(emu, 0xDEADBEEF)
    assert Host(emu.smbus(1)).byte(0, RESULT) & 15 == 1
    write_user(emu, 128, b"ok")
    assert user_page(emu)[:2] == b"ok"


@pytest.mark.rule("PW-01a", "PW-02")
def test_nothing_is_protected_unless_a_profile_says_so(emu: Emulator) -> None:
    write_user(emu, 128, b"free")
    assert user_page(emu)[:4] == b"free"
    enter(emu, 0x7777)
    assert Host(emu.smbus(1)).byte(0, RESULT) == 0  # 5.2 has no result register
    write_user(emu, 128, b"FREE")
    assert user_page(emu)[:4] == b"FREE"


@pytest.mark.rule("PW-01a")
def test_a_module_that_offers_no_entry_takes_none(variant: Callable[..., Emulator]) -> None:
    def edit(profile: dict[str, Any]) -> None:
        guarded()(profile)
        profile["registers"]["PasswordEntrySupported"] = 1

    emu = variant(edit)
    enter(emu, FACTORY)
    assert Host(emu.smbus(1)).byte(0, RESULT) == 0
    write_user(emu, 128, b"no")
    assert user_page(emu)[:2] == bytes(2)


@pytest.mark.rule("RST-07")
def test_a_changed_password_and_a_lock_survive_snapshots(variant: Callable[..., Emulator]) -> None:
    emu = variant(guarded())
    enter(emu, FACTORY)
    open_now = emu.snapshot()
    enter(emu, 0)
    write_user(emu, 128, b"no")
    assert user_page(emu)[:2] == bytes(2)
    emu.restore(open_now)
    write_user(emu, 128, b"ok")
    assert user_page(emu)[:2] == b"ok"


# -- what else a port and a testbed say --------------------------------------------------------------


@pytest.mark.rule("RST-08")
def test_osfp_pins_are_the_same_wires_in_other_words(variant: Callable[..., Emulator]) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["form_factor"] = "OSFP"
        profile["registers"] |= {"SFF8024Identifier": 0x19, "SFF8024IdentifierCopy": 0x19}

    emu = variant(edit)
    pins, host = emu.ports["1"].pins, Host(emu.smbus(1))
    assert (pins.RSTn, pins.LPWn, pins.PRSn) == (True, True, False)
    pins.ModSelL = True  # not a pin of this form factor: it answers all the same
    assert host.answers()
    pins.LPWn = False
    emu.settle()
    assert host.module_state() == LOW_PWR
    assert pins.LPMode
    assert pins.INT
    assert not pins.IntL
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    assert not pins.INT
    pins.RSTn = False
    emu.clock.advance(0.001)
    assert not host.answers()
    with pytest.raises(InputError, match="INT"):
        pins.set("INT", True)


def test_a_port_may_set_registers_of_its_module() -> None:
    testbed = {
        "version": 1,
        "ports": {
            "a": {"profile": DR4, "bus": 1, "registers": {"VendorSN": "X1", "MaxPower": 10.5}},
            "b": {"profile": DR4, "bus": 2},
        },
    }
    with Emulator.load(testbed, clock=ManualClock()) as emu:
        emu.settle()
        assert Host(emu.smbus(1)).read(0, 166, 16) == b"X1".ljust(16)
        assert Host(emu.smbus(1)).byte(0, 201) == 42
        page = Host(emu.smbus(1)).read(0, 128, 128)
        assert page[94] == sum(page[:94]) & 255
        assert Host(emu.smbus(2)).read(0, 166, 12) == b"CE0000000001"


@pytest.mark.parametrize(
    ("registers", "word"),
    [
        ({"VendorSn": "X"}, "VendorSN"),
        ({"VendorSN": "X" * 17}, "16"),
        ({"OutputDisableTx": 1}, "lane"),
        ({"MaxPower": None}, "one value"),
        ("VendorSN", "key: value"),
    ],
)
def test_a_port_with_impossible_registers(registers: Any, word: str) -> None:
    with pytest.raises(InputError, match=word):
        Emulator.load({"version": 1, "ports": {"a": {"profile": DR4, "bus": 1, "registers": registers}}})


def test_a_profile_on_top_of_another(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "profile: mine\nbase: qsfpdd-400g-dr4\nregisters: {VendorName: ACME, RxCDRSupported: 1, VendorRev: null}\n"
        "durations_ms: {DPInit: 10}\n"
    )
    (tmp_path / "more.yaml").write_text("profile: more\nbase: mine.yaml\nrevision: '4.0'\n")
    with Emulator.load(tmp_path / "more.yaml", clock=ManualClock()) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        assert host.byte(0, 1) == 0x40
        assert host.read(0, 129, 16) == b"ACME".ljust(16)
        assert host.read(0, 164, 2) == b"  "
        assert host.byte(0x01, 144) & 15 == 3  # 10 ms lies between 10 and 50 ms


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("profile: a\nbase: no-such\n", 2, "qsfpdd-400g-dr4"),
        ("profile: a\nbase: 7\n", 2, "name of a profile"),
        ("profile: a\nbase: a.yaml\n", 2, "lead back"),
        ("profile: a\nbase: qsfpdd-400g-dr4\nregisters:\n  VendorNam: X\n", 4, "VendorName"),
        ("profile: a\nbase: qsfpdd-400g-dr4\nregisters: 3\n", 3, "key: value"),
    ],
)
def test_a_base_that_cannot_be(tmp_path: Path, text: str, line: int, word: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        Emulator.load(tmp_path / "a.yaml", clock=ManualClock())
    assert caught.value.line == line
    assert word in str(caught.value)


def test_the_file_is_small_and_plain(tmp_path: Path) -> None:
    with Emulator.load(DR4, clock=ManualClock(), nvm=tmp_path) as emu:
        emu.settle()
        write_user(emu, 128, b"\x01")
    data = json.loads((tmp_path / "1.json").read_text())
    assert data == {"version": 1, "modules": {DR4: {"user_data": "01" + "00" * 127}}}


@pytest.mark.rule("RST-08")
def test_a_testbed_speaks_of_pins_in_osfp_words() -> None:
    testbed = {"version": 1, "ports": {"a": {"profile": DR4, "bus": 1, "state": {"LPWn": False}}}}
    with Emulator.load(testbed, clock=ManualClock()) as emu:
        emu.settle()
        assert emu.ports["a"].pins.LPMode
        assert Host(emu.smbus(1)).module_state() == LOW_PWR
