"""General, feature and application commands through the bus (CMD-01 to CMD-06, PW-01a)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from cdb_host import (
    ABORT,
    ENTER,
    FEATURES,
    MESSAGE,
    PARAMETER,
    PASSWORD,
    QUERY,
    SUCCESS,
    UNKNOWN,
    CdbHost,
    cdb,
    complement,
    delay,
    f16,
)
from dr4 import DR4, Variant

from cmis_emu import Emulator, ManualClock

CHANGE = 0x0002
HOST_PASSWORD = bytes.fromhex("00001011")
ALL_GROUPS = ["applications", "performance", "security"]
V53 = {"revision": "5.3", "groups": ALL_GROUPS}


def numbers(data: bytes, base: int = 0) -> set[int]:
    """Commands of a bitmap."""
    return {base + 8 * n + bit for n, value in enumerate(data) for bit in range(8) if value >> bit & 1}


def text(data: bytes) -> str:
    assert all(32 <= c < 127 for c in data)
    return data.decode().rstrip()


# -- general ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("CMD-01")
@pytest.mark.parametrize("ms", [0, 1, 250, 0xFFFF])
def test_query_status_answers_after_the_delay(variant: Variant, ms: int) -> None:
    emu = variant(cdb(timing_ms={"capture": 0, "checking": 0}, execution_ms={"general": 0}))
    host = CdbHost(emu)
    host.send(QUERY, delay(ms))
    emu.clock.advance(ms / 1000 - 1e-6 if ms else 0)
    assert host.status() == (0x83 if ms else SUCCESS)
    emu.clock.advance(2e-6)
    assert host.status() == SUCCESS
    assert host.reply() == b"\2\0"


@pytest.mark.rule("CMD-01", "CMD-02", "PW-01a")
def test_passwords_by_command(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        cdb()(profile)
        profile["password"] = {"module": 0x8765_4321}

    emu = variant(edit)
    host = CdbHost(emu)
    assert host.ask(QUERY, delay(0)) == b"\2\0"
    assert host.run(ENTER, HOST_PASSWORD) == SUCCESS
    assert host.ask(QUERY, delay(0)) == b"\2\1"
    assert host.run(ENTER, bytes(4)) == PASSWORD
    assert host.ask(QUERY, delay(0)) == b"\2\0", "a wrong one locks"
    assert host.run(ENTER, bytes.fromhex("87654321")) == SUCCESS
    assert host.ask(QUERY, delay(0)) == b"\2\x80"
    emu.ports["1"].module.restart()
    emu.settle()
    assert host.ask(QUERY, delay(0)) == b"\2\0", "locked after a reset"


@pytest.mark.rule("CMD-01", "PW-01a")
def test_the_register_area_and_the_command_are_one_lock(variant: Variant) -> None:
    host = CdbHost(variant(cdb()))
    host.put(122, HOST_PASSWORD)
    assert host.ask(QUERY, delay(0)) == b"\2\1"


@pytest.mark.rule("CMD-02", "PW-01")
def test_a_password_is_changed_for_good(variant: Variant) -> None:
    emu = variant(cdb())
    host = CdbHost(emu)
    new = bytes.fromhex("12345678")
    assert host.run(CHANGE, new) == PASSWORD, "not without the old one"
    assert host.run(ENTER, HOST_PASSWORD) == SUCCESS
    assert host.run(CHANGE, bytes.fromhex("80000000")) == PARAMETER, "of the module's range"
    assert host.run(CHANGE, new) == SUCCESS
    emu.ports["1"].pins.power = False
    emu.clock.advance(0.1)
    emu.ports["1"].pins.power = True
    emu.settle()
    assert host.run(ENTER, HOST_PASSWORD) == PASSWORD
    assert host.run(ENTER, new) == SUCCESS


@pytest.mark.rule("PW-02", "CDB-16")
def test_a_product_says_which_commands_need_whose_password(variant: Variant) -> None:
    def edit(profile: dict[str, Any]) -> None:
        cdb(protects={"host": ["features"], "module": [0x0042]})(profile)
        profile["password"] = {"module": 0x8000_0001}

    host = CdbHost(variant(edit))
    assert [host.run(c) for c in (FEATURES, 0x0042, ABORT)] == [PASSWORD, PASSWORD, SUCCESS]
    assert host.run(ENTER, HOST_PASSWORD) == SUCCESS
    assert [host.run(c) for c in (FEATURES, 0x0042)] == [SUCCESS, PASSWORD]
    assert host.run(ENTER, bytes.fromhex("80000001")) == SUCCESS
    assert [host.run(c) for c in (FEATURES, 0x0042)] == [SUCCESS, SUCCESS]


@pytest.mark.rule("CMD-02", "CMD-07", "CMD-08", "CMD-10")
@pytest.mark.parametrize("command", [0x0003, 0x0005, 0x0006, 0x0220, 0x0281, 0x0300, 0x0380, 0x4000, 0x8000, 0xFFFF])
def test_what_is_not_there_is_unknown(variant: Variant, command: int) -> None:
    assert CdbHost(variant(cdb(**V53))).run(command) == UNKNOWN


# -- features ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("CDB-17", "CDB-18", "CMD-03", "CMD-05")
@pytest.mark.parametrize(
    ("command", "size"), [(0x0040, 36), (0x0041, 18), (0x0042, 32), (0x0043, 32), (0x0044, 52), (0x0045, 1)]
)
def test_feature_replies_have_exact_lengths(variant: Variant, command: int, size: int) -> None:
    host = CdbHost(variant(cdb(**V53)))
    reply = host.ask(command)
    assert len(reply) == size
    assert complement(reply) == host.read(MESSAGE, 135)[0] != 0


@pytest.mark.rule("CMD-03", "CMD-05", "CMD-08")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        V53,
        {"revision": "5.1"},
        {"revision": "4.0"},
        {"groups": ["security"], "epl_pages": 0, "auto_paging": False},
        {**V53, "omit": [0x0004, 0x0043, 0x0210]},
    ],
)
def test_bitmaps_are_of_the_commands_that_are_answered(variant: Variant, changes: dict[str, Any]) -> None:
    host = CdbHost(variant(cdb(timing_ms={"capture": 0, "checking": 0}, **changes)))
    listed = numbers(host.ask(FEATURES)[2:34])
    for command, base in ((0x0042, 0x0200), (0x0043, 0x0300), (0x0044, 0x0400)):
        if command in listed:
            listed |= numbers(host.ask(command)[:32], base)
        else:
            assert host.run(command) == UNKNOWN
    answered = set()
    for command in (*range(0x0100), *range(0x0200, 0x0300), *range(0x0300, 0x0500)):
        if host.run(command, bytes(119)) != UNKNOWN:
            answered.add(command)
    assert answered == listed


@pytest.mark.rule("CMD-03")
def test_max_completion_time_is_kept(variant: Variant) -> None:
    emu = variant(cdb(**V53, timing_ms={"capture": 10, "checking": 20}))
    host = CdbHost(emu)
    longest_s = int.from_bytes(host.ask(FEATURES)[34:36], "big") / 1000
    assert longest_s == 0.1
    for command in (0x0041, 0x0042, 0x0043, 0x0044, 0x0045, ABORT):
        host.send(command)
        emu.clock.advance(longest_s)
        assert host.status() == SUCCESS


@pytest.mark.rule("CMD-03", "CDB-05")
def test_a_reply_whose_check_code_hosts_take_for_none_is_avoided(variant: Variant) -> None:
    def features(max_completion: int) -> bytes:
        return CdbHost(variant(cdb(timing_ms={"max_completion": max_completion}))).ask(FEATURES)

    rest = sum(features(1024)[:34])
    unlucky = 1024 + (0xFF - rest - 4) % 256
    reply = features(unlucky)
    assert (rest + sum(unlucky.to_bytes(2, "big"))) % 256 == 0xFF
    assert int.from_bytes(reply[34:], "big") == unlucky + 1
    assert complement(reply) == 0xFF
    lucky = features(unlucky - 1)
    assert int.from_bytes(lucky[34:], "big") == unlucky - 1
    assert complement(lucky) == 1


@pytest.mark.rule("CMD-04")
def test_without_firmware_commands_nothing_can_be_written(variant: Variant) -> None:
    def bare(profile: dict[str, Any]) -> None:
        cdb()(profile)
        profile.pop("firmware")

    assert CdbHost(variant(bare)).ask(0x0041) == bytes(18)


# -- applications -----------------------------------------------------------------------------------------------


@pytest.mark.rule("CMD-06")
def test_application_attributes(variant: Variant) -> None:
    host = CdbHost(variant(cdb(**V53)))
    reply = host.ask(0x0050, b"\0\2")
    assert len(reply) == 20
    number, power, low, high, ber, los = struct.unpack(">HHhhHh", reply[:12])
    assert number == 2
    assert power == host.read(0x00, 201)[0], "in 0.25 W"
    assert low == high == 153, "1.53 dBm"
    assert f16(ber.to_bytes(2, "big")) == pytest.approx(2.4e-4)
    assert los == -1300
    assert reply[12:] == host.read(0x02, 192, 8)
    for number in (0, 3, 0x11, 0x8001):
        assert host.run(0x0050, number.to_bytes(2, "big")) == PARAMETER


@pytest.mark.rule("CMD-06", "CDB-18")
def test_interface_codes(variant: Variant) -> None:
    host = CdbHost(variant(cdb(**V53)))
    reply = host.ask(0x0051, bytes([0, 0x11, 1]))
    assert len(reply) == 92
    assert reply[:3] == bytes([0, 0x11, 1])
    assert text(reply[3:19]) == text(reply[19:67]) == "400GAUI-8 C2M"
    assert reply[67] == 0
    assert f16(reply[68:70]) == 425
    assert reply[70:72] == b"\0\x08"
    assert f16(reply[72:74]) == pytest.approx(26.6), "three digits of 26.5625"
    assert text(reply[74:90]) == "PAM4"
    assert reply[90:] == b"\0\2"
    media = host.ask(0x0051, bytes([0, 0x1C, 0]))
    assert text(media[3:19]) == "400GBASE-DR4"
    for wrong in (bytes([0, 0x1C, 1]), bytes([0, 0x11, 0]), bytes([1, 0x11, 1]), bytes([0, 0x11, 2])):
        assert host.run(0x0051, wrong) == PARAMETER


@pytest.mark.rule("CMD-06")
def test_they_came_with_revision_5_3() -> None:
    with Emulator.load(DR4, clock=ManualClock()) as emu:
        emu.settle()
        host = CdbHost(emu)
        assert host.run(0x0050, b"\0\1") == UNKNOWN
        assert host.run(0x0045) == UNKNOWN


# -- what lasts -------------------------------------------------------------------------------------------------


def test_a_password_changed_by_command_outlives_the_emulator(tmp_path: Path) -> None:
    new = bytes.fromhex("00c0ffee")
    with Emulator.load(DR4, clock=ManualClock(), nvm=tmp_path) as emu:
        emu.settle()
        host = CdbHost(emu)
        assert host.run(ENTER, HOST_PASSWORD) == SUCCESS
        assert host.run(CHANGE, new) == SUCCESS
    with Emulator.load(DR4, clock=ManualClock(), nvm=tmp_path) as emu:
        emu.settle()
        assert CdbHost(emu).run(ENTER, new) == SUCCESS
