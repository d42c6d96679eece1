"""The CDB engine through the bus: messages, triggers, both modes, status over time, flags, refusals, abort, reset."""

from __future__ import annotations

from typing import Any

import pytest
from cdb_host import (
    ABORT,
    ABORTED,
    BAD_CODE,
    BUSY,
    CAPTURED,
    CHECKING,
    ENTER,
    EXECUTING,
    FEATURES,
    FOREGROUND,
    MESSAGE,
    NOT_ABORTED,
    PARAMETER,
    QUERY,
    STATE,
    SUCCESS,
    UNKNOWN,
    CdbHost,
    cdb,
    complement,
    delay,
    message,
    quiet,
)
from cmis_host import Host
from dr4 import Variant

from cmis_emu import Emulator


@pytest.fixture
def emu(variant: Variant) -> Emulator:
    return variant(cdb())


@pytest.fixture
def host(emu: Emulator) -> CdbHost:
    return CdbHost(emu)


# -- advertisement and messages ---------------------------------------------------------------------------------


@pytest.mark.rule("CDB-01", "CDB-11")
@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"max_busy_ms": 80, "auto_paging": False, "epl_pages": 0, "access_bytes": 8}, "60000000"),
        ({"max_busy_ms": 40}, "770f0028"),
        ({"max_busy_ms": 4960, "access_bytes": 2048, "instances": 2}, "b7ff1f80"),
        ({"max_busy_ms": 1920, "trigger": "any_write", "mode": "foreground", "auto_paging": False}, "470f8c80"),
    ],
)
def test_the_advertisement_follows_from_the_profile(variant: Variant, changes: dict[str, Any], codes: str) -> None:
    host = CdbHost(variant(cdb(**changes)))
    assert host.read(0x01, 163, 4).hex() == codes
    assert host.run(FEATURES) == SUCCESS


@pytest.mark.rule("CDB-01")
def test_without_cdb_there_is_nothing(variant: Variant) -> None:
    def without(profile: dict[str, Any]) -> None:
        profile.pop("cdb")
        profile.pop("firmware")

    host = Host(variant(without).smbus(1))
    assert host.read(0x01, 163, 4) == bytes(4)
    host.select(MESSAGE)
    assert host.byte(0, 127) == 0, "PAGE-04"
    assert host.read(0, 37, 2) == b"\0\0"


@pytest.mark.rule("CDB-01")
def test_registers_alone_bring_the_engine(variant: Variant) -> None:
    def registers(profile: dict[str, Any]) -> None:
        profile.pop("cdb")
        profile.pop("firmware")
        profile["registers"] |= {"CdbInstancesSupported": 1, "CdbBackgroundModeSupported": 1}

    assert CdbHost(variant(registers)).ask(FEATURES)[2] & 1


@pytest.mark.rule("CDB-02", "CDB-05", "CDB-14", "CDB-17")
def test_a_reply_lies_where_hosts_read_it(host: CdbHost) -> None:
    assert host.run(QUERY, delay(0)) == SUCCESS
    page = host.read(MESSAGE, 128, 128)
    assert page[:5] == bytes([0, 0, 0, 0, 2]), "command and lengths stay as the host wrote them"
    assert page[6] == 2
    assert page[8:10] == bytes([2, 0])
    assert page[7] == complement(page[8:10])
    assert page[10:] == bytes(118)


@pytest.mark.rule("CDB-05", "CDB-14")
def test_without_a_reply_the_payload_is_not_left_to_be_read(host: CdbHost) -> None:
    assert host.run(ENTER, bytes.fromhex("00001011")) == SUCCESS
    page = host.read(MESSAGE, 128, 128)
    assert page[6] == 0
    assert page[8:] == bytes(120)


@pytest.mark.rule("CDB-04")
@pytest.mark.parametrize(
    ("command", "code"),
    [(0x0004, 0xFB), (0x0040, 0xBF), (0x0041, 0xBE), (0x0042, 0xBD), (0x0100, 0xFE), (0x0102, 0xFC), (0x0107, 0xF7)],
)
def test_check_codes_of_the_sheet(host: CdbHost, command: int, code: int) -> None:
    assert host.run(command, code=code) in (SUCCESS, UNKNOWN, STATE)
    assert host.run(command, code=code ^ 0x80) == BAD_CODE


@pytest.mark.rule("CDB-04")
def test_the_check_code_covers_payload_and_lengths_and_nothing_else(host: CdbHost) -> None:
    lpl = delay(1)
    good = complement(message(QUERY, lpl)[:5] + lpl)
    assert host.run(QUERY, lpl, code=good) == SUCCESS
    for wrong in (good ^ 1, good ^ 0xFF, complement(message(QUERY, lpl)[:5])):
        assert host.run(QUERY, lpl, code=wrong) == BAD_CODE
    host.write_body(message(QUERY, lpl)[:6] + b"\x77\x88" + lpl + b"\x99" * 118)
    host.put(128, b"\0\0")
    assert host.wait() == SUCCESS, "reply bytes and what is behind the payload do not count"


@pytest.mark.rule("CDB-04")
def test_abort_has_two_check_codes(host: CdbHost) -> None:
    assert host.run(ABORT, code=0xFB) == SUCCESS
    assert host.run(ABORT, code=0xFC) == SUCCESS
    assert host.run(ABORT, code=0xFA) == BAD_CODE
    assert host.run(FEATURES, code=0xC0) == BAD_CODE, "no other command has"


# -- triggers ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("CDB-03")
@pytest.mark.parametrize("trigger", ["command_id", "any_write"])
@pytest.mark.parametrize("last", ["two bytes", "one byte", "whole message"])
def test_triggers(variant: Variant, trigger: str, last: str) -> None:
    host = CdbHost(variant(cdb(trigger=trigger)), piece=128)
    data = message(QUERY, delay(3))
    host.select(MESSAGE)
    if last == "whole message":
        host.put(128, data)
    else:
        host.put(130, data[2:])
        assert host.status() == 0, "a body is no trigger"
        if last == "one byte":
            host.put(128, data[:1])
            assert host.status() == 0
            host.put(129, data[1:2])
        else:
            host.put(128, data[:2])
    assert host.status() == CAPTURED
    assert host.wait() == SUCCESS
    assert host.reply() == b"\2\0"


@pytest.mark.rule("CDB-03")
def test_a_strict_module_takes_the_command_alone(variant: Variant) -> None:
    host = CdbHost(variant(cdb(quirks={"strict_trigger": True})), piece=128)
    data = message(FEATURES)
    host.select(MESSAGE)
    host.put(128, data)
    assert host.status() == 0
    host.put(128, data[:2])
    assert host.status() == CAPTURED
    assert host.wait() == SUCCESS
    host.put(129, data[1:2])
    assert host.status() == CAPTURED
    assert host.wait() == SUCCESS, "the message still stands"


@pytest.mark.rule("CDB-03")
def test_the_message_is_what_it_was_at_the_trigger(emu: Emulator, host: CdbHost) -> None:
    host.send(QUERY, delay(50))
    host.select(MESSAGE)
    host.put(132, b"\x05\x00")
    host.put(136, b"\xff" * 4)
    assert host.wait() == SUCCESS
    assert host.reply() == b"\2\0"


# -- status over time -------------------------------------------------------------------------------------------


@pytest.mark.rule("CDB-07", "CDB-08", "CDB-10")
def test_the_phases_are_seen_in_the_background(emu: Emulator, host: CdbHost) -> None:
    host.ask(FEATURES)
    host.send(QUERY, delay(30))
    seen = []
    for _ in range(52):
        seen.append((host.status(), host.read(MESSAGE, 134, 2)))
        emu.clock.advance(0.001)
    states = [status for status, _ in seen]
    assert states == [CAPTURED] * 4 + [CHECKING] * 6 + [EXECUTING] * 40 + [SUCCESS] * 2
    assert {reply for status, reply in seen if status & BUSY} == {b"\0\0"}, "no old reply while busy"
    assert seen[-1][1] == bytes([2, complement(b"\2\0")])


@pytest.mark.rule("CDB-07")
@pytest.mark.parametrize("instances", [1, 2])
def test_no_command_yet(variant: Variant, instances: int) -> None:
    host = CdbHost(variant(cdb(instances=instances)))
    assert host.get(37, 2) == b"\0\0"


@pytest.mark.rule("CDB-08", "CDB-09")
def test_reply_then_status_then_flag(emu: Emulator, host: CdbHost) -> None:
    """Whoever sees the flag sees the status, and whoever sees the status sees the reply."""
    port = emu.ports["1"]
    seen: list[tuple[int, int]] = []
    port.interrupt_listeners.append(
        lambda asserted: seen.append((host_peek(port, 37), port.module.peek(MESSAGE, 134, 1)[0])) if asserted else None
    )
    quiet(host)
    host.ask(FEATURES)
    assert seen == [(SUCCESS, 36)]


def host_peek(port: Any, offset: int) -> int:
    return int(port.module.peek(-1, offset, 1)[0])


@pytest.mark.rule("CDB-09", "FLG-06")
@pytest.mark.parametrize("mode", [{}, FOREGROUND])
def test_every_completion_is_flagged(variant: Variant, mode: dict[str, Any]) -> None:
    emu = variant(cdb(**mode))
    host, pins = CdbHost(emu), emu.ports["1"].pins
    quiet(host)
    for command, code, expected in ((FEATURES, None, SUCCESS), (0x7FFE, None, UNKNOWN), (FEATURES, 0, BAD_CODE)):
        assert pins.IntL
        assert host.run(command, code=code) == expected
        assert not pins.IntL
        assert host.flag()
        assert not host.flag(), "it cleared"
    host.put(31, b"\x40")
    assert host.run(FEATURES) == SUCCESS
    assert pins.IntL, "masked"
    assert host.flag()


@pytest.mark.rule("CDB-09")
def test_before_revision_5_some_commands_are_flagged(variant: Variant) -> None:
    host = CdbHost(variant(cdb(revision="4.0")))
    host.flag()
    assert host.run(FEATURES) == SUCCESS
    assert not host.flag()
    assert host.run(QUERY, delay(0)) == SUCCESS
    assert host.flag()
    assert host.run(0x011F) == UNKNOWN
    assert host.flag()


@pytest.mark.rule("CDB-09")
@pytest.mark.parametrize(("word", "flagged"), [("all", True), ("some", False), ("none", False)])
def test_the_flag_is_a_choice_of_the_product(variant: Variant, word: str, flagged: bool) -> None:
    host = CdbHost(variant(cdb(quirks={"completion_flag": word})))
    host.flag()
    host.ask(FEATURES)
    assert host.flag() is flagged


@pytest.mark.rule("CDB-09a")
def test_eight_byte_polls_lose_nothing_that_cdb_needs(emu: Emulator, host: CdbHost) -> None:
    host.send(QUERY, delay(20))
    for _ in range(100):
        if host.get(8, 8)[0] & 0x40:
            break
        emu.clock.advance(0.005)
    assert host.get(37)[0] == SUCCESS
    assert host.reply() == b"\2\0"


# -- foreground and background ----------------------------------------------------------------------------------


@pytest.mark.rule("CDB-10", "CDB-11")
def test_foreground_refuses_everything_until_the_end(variant: Variant) -> None:
    emu = variant(cdb(**FOREGROUND))
    host = CdbHost(emu)
    host.send(QUERY, delay(300))
    plain = Host(emu.smbus(1))
    for _ in range(10):
        assert not plain.answers()
        with pytest.raises(OSError, match=r".*"):
            host.put(26, b"\x40")
        emu.clock.advance(0.0316)
    assert not plain.answers()
    emu.clock.advance(0.01)
    assert plain.answers()
    assert host.status() == SUCCESS
    assert host.reply() == b"\2\0"


@pytest.mark.rule("CDB-10", "CDB-11")
@pytest.mark.parametrize("bound", [80, 160, 1920])
def test_foreground_refuses_no_longer_than_advertised(variant: Variant, bound: int) -> None:
    emu = variant(cdb(mode="foreground", max_busy_ms=bound))
    host = CdbHost(emu)
    host.send(QUERY, delay(3000))
    emu.clock.advance((bound - 0.5) / 1000)
    assert not Host(host.bus).answers()
    emu.clock.advance(0.001)
    assert host.status() == EXECUTING
    assert host.wait() == SUCCESS


@pytest.mark.rule("CDB-10")
@pytest.mark.parametrize("refuses", [True, False])
def test_background_refuses_until_captured_or_not_at_all(variant: Variant, refuses: bool) -> None:
    emu = variant(cdb(quirks={"nack_until_captured": refuses}))
    host = CdbHost(emu)
    host.ask(FEATURES)
    host.send(QUERY, delay(50))
    assert Host(host.bus).answers() is not refuses
    emu.clock.advance(0.005)
    assert host.status() == CHECKING
    assert host.wait() == SUCCESS


@pytest.mark.rule("CDB-10", "MON-06")
def test_background_serves_readings_throughout(emu: Emulator, host: CdbHost) -> None:
    """Rx power moves between two values all the time; no reading is a mixture, and none fails."""
    fibre = emu.fibres["loop"]
    host.send(QUERY, delay(400))
    seen = set()
    for turn in range(160):
        fibre.loss_db = 3.0 if turn % 2 else 12.0
        data = host.read(0x11, 186, 8)
        for start in range(0, 8, 2):
            value = int.from_bytes(data[start : start + 2], "big") / 10
            assert 400 < value < 1200 or 30 < value < 160, f"{value} uW"
            seen.add(value > 300)
        emu.clock.advance(0.0025)
    assert seen == {True, False}
    assert host.wait() == SUCCESS


# -- order of refusals ------------------------------------------------------------------------------------------


@pytest.mark.rule("CDB-16")
def test_refusals_come_in_their_order(variant: Variant) -> None:
    host = CdbHost(variant(cdb(protects={"host": [QUERY]})))
    assert host.run(0x7FFE, code=0) == BAD_CODE
    assert host.run(0x7FFE, bytes(7)) == UNKNOWN
    assert host.run(QUERY, bytes(7)) == 0x46, "a password is missing before a length is wrong"
    assert host.run(ENTER, bytes.fromhex("00001011")) == SUCCESS
    assert host.run(QUERY, bytes(7)) == PARAMETER
    assert host.run(QUERY, delay(0)) == SUCCESS


@pytest.mark.rule("CDB-07", "CDB-16")
@pytest.mark.parametrize("lpl", [b"", b"\0", b"\0\0\0"])
def test_another_length_is_a_parameter_error(host: CdbHost, lpl: bytes) -> None:
    assert host.run(QUERY, lpl) == PARAMETER


@pytest.mark.rule("CDB-06", "CDB-16")
@pytest.mark.parametrize(("lpl", "epl"), [(121, 0), (255, 0), (0, 2049), (0, 0xFFFF)])
def test_lengths_beyond_the_pages_are_parameter_errors(host: CdbHost, lpl: int, epl: int) -> None:
    head = bytes([0, FEATURES, epl >> 8, epl & 0xFF, lpl])
    body = bytes(min(lpl, 120))
    host.write_body(head + bytes([complement(head + body), 0, 0]) + body)
    host.put(128, head[:2])
    assert host.wait() == PARAMETER


# -- while busy -------------------------------------------------------------------------------------------------


@pytest.mark.rule("CDB-12")
def test_a_trigger_while_busy_is_ignored(emu: Emulator, host: CdbHost) -> None:
    host.send(QUERY, delay(100))
    emu.clock.advance(0.02)
    before = host.read(MESSAGE, 128, 128)
    host.send(FEATURES)
    assert host.status() == EXECUTING
    assert host.read(MESSAGE, 128, 128) == before, "nothing of it is stored"
    assert host.wait() == SUCCESS
    assert host.reply() == b"\2\0"
    emu.clock.advance(1)
    assert host.reply() == b"\2\0", "and nothing comes of it later"
    assert len(host.ask(FEATURES)) == 36, "what was put together meanwhile is forgotten"


@pytest.mark.rule("CDB-12", "CDB-15")
def test_a_product_may_answer_it_with_43h(variant: Variant) -> None:
    host = CdbHost(variant(cdb(quirks={"busy_trigger": "refuse"})))
    host.send(QUERY, delay(30))
    host.send(FEATURES)
    assert host.wait() == NOT_ABORTED
    assert host.run(FEATURES) == SUCCESS


@pytest.mark.rule("CDB-15")
@pytest.mark.parametrize("after_ms", [0, 5, 50])
@pytest.mark.parametrize("code", [None, 0xFC])
def test_abort_ends_a_command_in_any_phase(emu: Emulator, host: CdbHost, after_ms: int, code: int | None) -> None:
    host.send(QUERY, delay(1000))
    emu.clock.advance(after_ms / 1000)
    host.flag()
    host.send(ABORT, code=code)
    assert host.wait(0.1) == ABORTED
    assert host.flag()
    assert host.read(MESSAGE, 128, 2) == b"\0\4"
    assert host.read(MESSAGE, 134)[0] == 0
    emu.clock.advance(2)
    assert host.status() == ABORTED, "the command has really ended"
    assert host.run(FEATURES) == SUCCESS


@pytest.mark.rule("CDB-15")
def test_an_abort_with_a_wrong_code_or_of_what_cannot_be_aborted_does_nothing(emu: Emulator, host: CdbHost) -> None:
    host.send(QUERY, delay(100))
    host.send(ABORT, code=0x11)
    assert host.wait() == SUCCESS
    host.send(FEATURES)
    emu.clock.advance(0.015)
    assert host.status() == EXECUTING
    host.send(ABORT)
    assert host.wait() == SUCCESS
    assert len(host.reply()) == 36


# -- reset and instances ----------------------------------------------------------------------------------------


@pytest.mark.rule("RST-05")
@pytest.mark.parametrize("how", ["software", "pin", "power"])
@pytest.mark.parametrize("mode", [{}, FOREGROUND])
def test_a_reset_ends_everything(variant: Variant, how: str, mode: dict[str, Any]) -> None:
    emu = variant(cdb(quirks={"busy_trigger": "refuse"}, **mode))
    host, pins = CdbHost(emu), emu.ports["1"].pins
    host.send(QUERY, delay(60_000))
    if not mode:
        host.send(FEATURES)
    if how == "software":
        emu.ports["1"].module.restart()
    elif how == "pin":
        pins.ResetL = False
        emu.clock.advance(0.001)
        pins.ResetL = True
    else:
        pins.power = False
        emu.clock.advance(0.001)
        pins.power = True
    emu.settle()
    assert host.get(37)[0] == 0
    assert host.read(MESSAGE, 128, 128) == bytes(128)
    host.flag()
    emu.clock.advance(70)
    assert host.status() == 0
    assert not host.flag()
    assert len(host.ask(FEATURES)) == 36


@pytest.mark.rule("CDB-01")
def test_two_instances_run_side_by_side(variant: Variant) -> None:
    emu = variant(cdb(instances=2))
    one, two = CdbHost(emu, 1), CdbHost(emu, 2)
    one.send(QUERY, delay(100))
    two.send(QUERY, delay(10))
    assert (one.status(), two.status()) == (CAPTURED, CAPTURED)
    assert two.wait() == SUCCESS
    assert two.flag()
    assert one.status() == EXECUTING
    assert not one.flag()
    assert two.run(0x7FFE) == UNKNOWN
    assert one.wait() == SUCCESS
    assert two.status() == UNKNOWN
    assert one.reply() == b"\2\0"
    assert two.read(MESSAGE, 134)[0] == 0
    two.send(QUERY, delay(100))
    assert one.run(ABORT) == SUCCESS, "an abort is of its own instance"
    assert two.wait() == SUCCESS


def test_a_snapshot_keeps_a_command_under_way(emu: Emulator, host: CdbHost) -> None:
    host.send(QUERY, delay(100))
    emu.clock.advance(0.05)
    kept = emu.snapshot()
    host.send(ABORT)
    assert host.status() == ABORTED
    for _ in range(2):
        emu.restore(kept)
        assert host.status() == EXECUTING
        emu.clock.advance(0.0655)
        assert host.status() == EXECUTING
        host.send(FEATURES)
        emu.clock.advance(0.006)
        assert host.status() == SUCCESS
        assert host.reply() == b"\2\0"
        assert host.flag()


def test_a_module_at_rest_has_nothing_on_the_clock(emu: Emulator, host: CdbHost) -> None:
    emu.clock.advance(3600)
    before = len(emu.clock.pending())
    host.ask(FEATURES)
    emu.clock.advance(3600)
    assert len(emu.clock.pending()) == before
