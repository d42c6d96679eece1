"""Firmware management through the bus, rule by rule (CMD-04, FW-01 to FW-14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cdb_host import ABORTED, FAILED, NOT_ABORTED, PARAMETER, PASSWORD, STATE, SUCCESS, UNKNOWN
from cmis_host import Host
from firmware_bench import (
    A_INVALID,
    A_ON_TRIAL,
    A_RUNS,
    B_INVALID,
    B_ON_TRIAL,
    B_RUNS,
    ERASED,
    HEADER,
    SMALL,
    Steps,
    image,
    module,
)

from cmis_emu import Emulator

NEW = image()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Steps]:
    with module(tmp_path) as steps:
        yield steps


# -- what is told -------------------------------------------------------------------------------------


@pytest.mark.rule("FW-01", "FW-01a", "FW-02", "CDB-17")
def test_firmware_information(host: Steps) -> None:
    data = host.ask(0x0100)
    assert len(data) == 110
    assert data[:2] == bytes([A_RUNS, 0x07])
    assert data[2:6] == bytes([3, 4, 0, 12])
    assert data[6:38] == b"release".ljust(32)
    assert data[38:42] == bytes([3, 2, 0, 0])
    assert data[42:74] == b" " * 32
    assert data[74:78] == bytes([3, 0, 0, 1])  # byte 210
    assert data[78:] == b" " * 32


@pytest.mark.rule("FW-03")
def test_version_registers_and_the_checksum_that_they_are_outside_of(host: Steps) -> None:
    assert host.versions() == ("3.4", "3.2")
    page = host.read(0x01, 128, 128)
    host.download(NEW)
    assert host.versions() == ("3.4", "9.8")
    after = host.read(0x01, 128, 128)
    assert after[2:] == page[2:]
    assert sum(after[2:127]) & 0xFF == after[127]  # NUM-05


@pytest.mark.rule("CMD-04", "CDB-17")
def test_management_features(tmp_path: Path) -> None:
    with module(tmp_path) as host:
        data = host.ask(0x0041)
        assert len(data) == 18
        assert data[:8] == bytes([0, 0x83, HEADER, ERASED, 255, 0x11, 0x11, 0])
        times = [int.from_bytes(data[at : at + 2], "big") for at in range(8, 18, 2)]
        assert times == [400, 20, 4, 200, 600]  # start, abort, write, complete, copy: twice what they take


@pytest.mark.rule("CMD-04")
def test_long_durations_are_told_in_units_of_ten(tmp_path: Path) -> None:
    with module(tmp_path, longest_ms={"start": 120_000, "write": 25}) as host:
        data = host.ask(0x0041)
        assert data[1] & 8
        assert [int.from_bytes(data[at : at + 2], "big") for at in (8, 12)] == [12_000, 3]  # never less than true


@pytest.mark.rule("CDB-05", "CMD-04", "FW-01")
def test_no_reply_has_a_check_code_of_zero(tmp_path: Path) -> None:
    """Hosts take 00h for no reply, so its contents avoid it: whatever version the module has."""
    seen = set()
    for minor in range(256):
        with module(tmp_path, a=f"3.{minor}.12", erased_byte=minor) as host:
            for command in (0x0041, 0x0100):
                host.ask(command)
                code = host.read(0x9F, 135)[0]
                assert code
                seen.add((command, code))
    assert len(seen) > 400


ALL = {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107, 0x0108, 0x0109, 0x010A, 0x010B, 0x010C, 0x010D}


@pytest.mark.rule("CMD-04", "FW-09", "FW-10")
@pytest.mark.parametrize(
    ("lacks", "unknown"),
    [
        ({}, {0x010B, 0x010C, 0x010D}),
        ({"abort": False}, {0x0102}),
        ({"copy": False}, {0x0108}),
        ({"readback": False}, {0x0105, 0x0106}),
        ({"write": ["lpl"]}, {0x0104, 0x0106}),
        ({"write": ["epl"]}, {0x0103, 0x0105}),
        ({"write": []}, {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107}),
    ],
)
def test_what_is_not_advertised_is_not_there(tmp_path: Path, lacks: dict[str, Any], unknown: set[int]) -> None:
    with module(tmp_path, **lacks) as host:
        data = host.ask(0x0041)
        assert data[1] & 1 == lacks.get("abort", True)
        assert data[1] >> 1 & 1 == lacks.get("copy", True)
        mechanism = sum({"lpl": 0x01, "epl": 0x10}[name] for name in lacks.get("write", ["lpl", "epl"]))
        assert data[5] == mechanism
        assert data[6] == (mechanism if lacks.get("readback", True) else 0)
        found = {code for code in ALL if host.run(code, b"\x09" * 7) == UNKNOWN}  # a length that none accepts
        assert found == unknown | {0x010B, 0x010C, 0x010D}


# -- the sequence -------------------------------------------------------------------------------------


@pytest.mark.rule("FW-04", "FW-14", "FW-11", "FW-12")
@pytest.mark.parametrize("epl", [False, True])
def test_the_whole_sequence_and_its_status(host: Steps, epl: bool) -> None:
    assert host.info().status == A_RUNS
    assert host.start(NEW) == SUCCESS
    info = host.info()
    assert (info.status, info.present) == (A_RUNS | B_INVALID, 0x05)
    assert host.versions() == ("3.4", "255.255")
    assert host.blocks(NEW, epl=epl) == SUCCESS
    assert host.info().status == A_RUNS | B_INVALID
    assert host.complete() == SUCCESS
    info = host.info()
    assert (info.status, info.b) == (A_RUNS, "9.8.7")
    assert host.run_image(0) == SUCCESS
    assert host.info().status == B_ON_TRIAL
    assert host.versions() == ("9.8", "3.4")
    assert host.commit() == SUCCESS
    assert host.info().status == B_RUNS
    host.reset("power")
    assert host.info().status == B_RUNS


@pytest.mark.rule("FW-12", "RST-07")
@pytest.mark.parametrize("how", ["software", "pin", "power"])
def test_what_is_not_committed_is_gone_after_a_reset(host: Steps, how: str) -> None:
    host.download(NEW)
    host.run_image(0)
    assert host.info().status == B_ON_TRIAL
    host.reset(how)
    info = host.info()
    assert (info.status, info.a, info.b) == (A_RUNS, "3.4.12", "9.8.7")
    assert host.versions() == ("3.4", "9.8")


@pytest.mark.rule("FW-02", "FW-12")
def test_back_again_from_b(host: Steps) -> None:
    host.download(NEW)
    host.run_image(0)
    host.commit()
    host.run_image(0)
    assert host.info().status == A_ON_TRIAL
    host.commit()
    assert host.info().status == A_RUNS
    host.run_image(0)
    host.commit()
    host.start(NEW)
    assert host.info().status == B_RUNS | A_INVALID
    host.abort()
    assert host.commit() == SUCCESS  # committed already


# -- 0101h --------------------------------------------------------------------------------------------


@pytest.mark.rule("FW-05")
def test_start_refusals_change_nothing(host: Steps) -> None:
    request = len(NEW).to_bytes(4, "big") + bytes(4) + NEW[:HEADER]
    too_big = image(size=(2 << 20) + 1)
    foreign = image(hardware="OSFP-800G-DR8")
    bad_header = NEW[:20] + bytes([NEW[20] ^ 1]) + NEW[21:]
    assert host.run(0x0101, request[:-1]) == PARAMETER
    assert host.run(0x0101, request + b"\0") == PARAMETER
    assert host.run(0x0101, (0).to_bytes(4, "big") + request[4:]) == PARAMETER
    assert host.run(0x0101, HEADER.to_bytes(4, "big") + request[4:]) == PARAMETER
    assert host.run(0x0101, (len(NEW) + 1).to_bytes(4, "big") + request[4:]) == PARAMETER
    for data in (too_big, foreign, bad_header, b"MZ" + NEW[2:]):
        assert host.start(data) == PARAMETER
    assert host.info() == (A_RUNS, 0x07, "3.4.12", "3.2.0", "3.0.1")
    assert host.block(0, b"x") == STATE


@pytest.mark.rule("FW-05", "CDB-16")
def test_start_during_a_download(tmp_path: Path) -> None:
    with module(tmp_path) as host:
        host.start(NEW)
        host.blocks(NEW, until=500)
        assert host.start(NEW) == NOT_ABORTED
        assert host.run(0x0101, b"") == NOT_ABORTED  # state comes before length
        assert host.abort() == SUCCESS
        assert host.start(NEW) == SUCCESS
    with module(tmp_path, restarts_download=True) as host:
        host.start(NEW)
        host.blocks(NEW, until=500)
        host.download(NEW)
        assert host.info().b == "9.8.7"


@pytest.mark.rule("FW-05")
def test_the_bank_is_invalid_from_the_moment_that_start_is_accepted(host: Steps) -> None:
    host.send(0x0101, len(NEW).to_bytes(4, "big") + bytes(4) + NEW[:HEADER])
    host.clock.advance(0.1)  # erasing
    assert host.status() == 0x83
    assert host.versions() == ("3.4", "255.255")
    assert host.wait() == SUCCESS


@pytest.mark.rule("FW-13")
def test_a_trial_keeps_the_committed_image(tmp_path: Path) -> None:
    with module(tmp_path) as host:
        host.download(NEW)
        host.run_image(0)
        assert host.start(NEW) == STATE
        assert host.copy(0xBA) == STATE
        assert host.info().status == B_ON_TRIAL
    with module(tmp_path, refuses_during_trial=False) as host:
        host.download(NEW)
        host.run_image(0)
        assert host.start(NEW) == SUCCESS
        assert host.info().status == B_ON_TRIAL | A_INVALID
        host.reset("power")  # the committed image is gone, so the other one starts
        assert host.info().status == B_ON_TRIAL | A_INVALID
        assert host.versions() == ("9.8", "255.255")
        assert host.commit() == SUCCESS
        assert host.info().status == B_RUNS | A_INVALID


# -- blocks -------------------------------------------------------------------------------------------


@pytest.mark.rule("FW-06")
def test_blocks_of_any_size_that_fits(host: Steps) -> None:
    payload = NEW[HEADER:]
    host.start(NEW)
    assert host.run(0x0103, bytes(4)) == PARAMETER  # an address and no data
    assert host.block(0, b"", epl=True) == PARAMETER
    at = 0
    for size in (1, 2, 7, 64, 115, 116):
        assert host.block(at, payload[at : at + size]) == SUCCESS
        at += size
    for size in (1, 127, 128, 129, 2048):
        assert host.block(at, payload[at : at + size], epl=True) == SUCCESS
        at += size
    assert host.block(at, payload[at:] + b"\0", epl=True) == PARAMETER  # beyond the image
    assert host.block(0xFFFF_FFFF, b"\0") == PARAMETER
    assert host.block(at, payload[at:], epl=True) == SUCCESS
    assert host.complete() == SUCCESS
    assert host.run_image() == SUCCESS
    assert host.info().status == B_ON_TRIAL


@pytest.mark.rule("FW-07")
def test_addresses_rise(host: Steps) -> None:
    payload = NEW[HEADER:]
    host.start(NEW)
    assert host.block(0, payload[:100]) == SUCCESS
    assert host.block(0, payload[:100]) == PARAMETER
    assert host.block(50, payload[50:150]) == PARAMETER
    assert host.block(101, payload[101:200]) == PARAMETER  # nothing may be left out
    assert host.block(100, payload[100:200]) == SUCCESS
    for at in range(200, len(payload), 116):
        assert host.block(at, payload[at : at + 116]) == SUCCESS
    assert host.complete() == SUCCESS


@pytest.mark.rule("FW-07")
def test_erased_bytes_may_be_left_out_where_that_is_advertised(tmp_path: Path) -> None:
    from cmis_emu.layouts.firmware_image import Version, build

    payload = b"\xff" * 500 + b"code" * 100 + b"\xff" * 1000 + b"data" * 50 + b"\xff" * 300
    holes = build(Version(5, 6), payload, "")
    with module(tmp_path, skip_erased=True) as host:
        assert host.ask(0x0041)[1] & 4
        host.start(holes)
        for first, last in ((500, 900), (1900, 2100)):
            for at in range(first, last, 100):
                assert host.block(at, payload[at : at + 100]) == SUCCESS
        assert host.block(1900, b"data") == PARAMETER
        assert host.complete() == SUCCESS
        assert host.info().b == "5.6.0"
        host.download(NEW)
        host.start(NEW)
        host.blocks(NEW, until=1000)
        assert host.complete() == FAILED  # what is left out was not erased
    with module(tmp_path, erased_byte=0, skip_erased=True) as host:
        host.start(holes)
        host.block(500, payload[500:600])
        assert host.complete() == FAILED  # erased is 00h there


@pytest.mark.rule("FW-07")
def test_any_order_where_a_module_takes_it(tmp_path: Path) -> None:
    payload = NEW[HEADER:]
    with module(tmp_path, any_order=True) as host:
        host.start(NEW)
        pieces = list(range(0, len(payload), 100))
        for at in pieces[1::2] + pieces[:1:-2]:
            assert host.block(at, payload[at : at + 100]) == SUCCESS
        assert host.complete() == FAILED  # one piece is missing
        host.start(NEW)
        for at in pieces[1::2] + pieces[::-2] + pieces[::2] + pieces[:3]:
            assert host.block(at, payload[at : at + 100]) == SUCCESS
        assert host.complete() == SUCCESS


@pytest.mark.rule("FW-08")
def test_without_a_start(host: Steps) -> None:
    assert host.block(0, b"x") == STATE
    assert host.block(0, b"x", epl=True) == STATE
    assert host.complete() == STATE
    assert host.abort() == STATE
    assert host.info().status == A_RUNS


# -- 0107h, 0102h ------------------------------------------------------------------------------------


@pytest.mark.rule("FW-08")
@pytest.mark.parametrize("what", ["incomplete", "damaged"])
def test_an_image_that_is_not_whole_stays_invalid(tmp_path: Path, what: str) -> None:
    with module(tmp_path, verify_status=0x62) as host:
        host.start(NEW)
        if what == "incomplete":
            host.blocks(NEW, until=3000)
        else:
            host.blocks(NEW[:-1] + bytes([NEW[-1] ^ 0x80]))
        assert host.complete() == 0x62
        assert host.info().status == A_RUNS | B_INVALID
        assert host.complete() == STATE
        assert host.run_image(0) == STATE
        host.download(NEW)
        assert host.info().status == A_RUNS


@pytest.mark.rule("FW-05", "FW-08")
def test_a_header_that_comes_with_the_blocks(tmp_path: Path) -> None:
    foreign = image(hardware="OTHER")
    with module(tmp_path, start_payload=0) as host:
        assert host.ask(0x0041)[2] == 0
        for data, status in ((foreign, FAILED), (NEW, SUCCESS)):
            assert host.start(data, 0) == SUCCESS
            assert host.blocks(data, header=0) == SUCCESS
            assert host.complete() == status
        assert host.info().b == "9.8.7"


@pytest.mark.rule("FW-08")
def test_any_bytes_are_an_image_for_a_module_that_takes_any(tmp_path: Path) -> None:
    with module(tmp_path, accept="any", any_version="7.7.7", start_payload=64) as host:
        junk = bytes(range(256)) * 9
        assert host.start(junk, 64) == SUCCESS
        assert host.blocks(junk, header=64) == SUCCESS
        assert host.complete() == SUCCESS
        assert host.info().b == "7.7.7"
        host.start(junk, 64)
        host.blocks(junk, header=64, until=1000)
        assert host.complete() == FAILED  # bytes are missing
        assert host.start(NEW, 64) == SUCCESS
        host.blocks(NEW, header=64)
        host.complete()
        assert host.info().b == "9.8.7"  # one of ours says its version itself


@pytest.mark.rule("FW-09")
def test_abort(host: Steps) -> None:
    host.start(NEW)
    host.blocks(NEW, until=1000)
    assert host.abort() == SUCCESS
    assert host.info().status == A_RUNS | B_INVALID
    assert host.block(1044, NEW[HEADER + 1044 :][:100]) == STATE
    host.download(NEW)
    assert host.info().status == A_RUNS


@pytest.mark.rule("FW-09")
@pytest.mark.parametrize("how", ["software", "pin", "power"])
def test_a_reset_aborts(host: Steps, how: str) -> None:
    host.start(NEW)
    host.blocks(NEW, until=1000)
    host.reset(how)
    assert host.info().status == A_RUNS | B_INVALID
    assert host.complete() == STATE
    host.download(NEW)


@pytest.mark.rule("CDB-15")
def test_0004h_stops_a_command_and_not_the_download(host: Steps) -> None:
    host.start(NEW)
    payload = NEW[HEADER:]
    host.send(0x0103, bytes(4) + payload[:100])
    host.clock.advance(0.0025)
    assert host.status() == 0x83
    host.select(0x9F)
    host.put(128, bytes([0x00, 0x04, 0, 0, 0, 0xFB]))
    assert host.wait() == ABORTED
    assert host.blocks(NEW) == SUCCESS  # the block was not written
    assert host.complete() == SUCCESS


# -- 0105h, 0106h, 0108h --------------------------------------------------------------------------------


@pytest.mark.rule("FW-10")
def test_read_back(host: Steps) -> None:
    shipped = image("3.2.0", 8192)
    address = 1000
    request = address.to_bytes(4, "big") + (116).to_bytes(2, "big")
    assert host.ask(0x0105, request) == address.to_bytes(4, "big") + shipped[HEADER + 1000 : HEADER + 1116]
    assert host.run(0x0106, bytes(4) + (2048).to_bytes(2, "big")) == SUCCESS
    assert host.read(0x9F, 134)[0] == 239 + 16  # CDB-06
    found = b"".join(host.read(0xA0 + page, 128, 128) for page in range(16))
    assert found == shipped[HEADER : HEADER + 2048]
    assert host.run(0x0105, bytes(4) + (117).to_bytes(2, "big")) == PARAMETER
    assert host.run(0x0105, bytes(6)) == PARAMETER
    assert host.run(0x0106, bytes(4) + (2049).to_bytes(2, "big")) == PARAMETER
    assert host.run(0x0105, (8192 - HEADER).to_bytes(4, "big") + b"\0\1") == PARAMETER
    host.start(NEW)
    host.block(0, NEW[HEADER:][:50])
    assert host.ask(0x0105, bytes(4) + b"\0\x34") == bytes(4) + NEW[HEADER:][:50] + b"\xff\xff"
    host.abort()
    assert host.run(0x0105, bytes(4) + b"\0\x34") == STATE


@pytest.mark.rule("FW-10")
def test_copy(host: Steps) -> None:
    assert host.run(0x0108, b"\xcc") == PARAMETER
    assert host.copy(0xBA) == STATE  # onto the running image
    host.send(0x0108, b"\xab")
    host.clock.advance(0.1)
    assert host.versions() == ("3.4", "255.255")
    assert host.wait() == SUCCESS
    assert host.reply() == (8192).to_bytes(4, "big") + b"\xab\x00"
    assert host.info() == (A_RUNS, 0x07, "3.4.12", "3.4.12", "3.0.1")
    assert host.run_image(0) == SUCCESS
    assert host.info().status == B_ON_TRIAL
    host.commit()
    host.start(NEW)
    assert host.copy(0xBA) == STATE  # a download is under way
    host.abort()
    assert host.copy(0xAB) == STATE  # A holds nothing valid
    assert host.copy(0xBA) == SUCCESS
    assert host.info().status == B_RUNS


# -- 0109h, 010Ah ------------------------------------------------------------------------------------


@pytest.mark.rule("FW-11")
def test_run_resets_after_its_delay(host: Steps) -> None:
    host.download(NEW)
    host.get(8)  # reading the flags clears them
    host.put(26, b"\x50")  # LowPwrRequestSW: a register that a reset takes back
    assert host.run(0x0109, bytes([0, 0]) + (500).to_bytes(2, "big")) == SUCCESS
    assert host.flag()
    assert host.info().status == A_RUNS
    assert host.start(NEW) == STATE
    assert host.run(0x0109, bytes(4)) == STATE
    assert host.commit() == STATE
    host.clock.advance(0.4)
    assert host.get(26) == b"\x50"
    host.clock.advance(0.1)
    with pytest.raises(OSError, match="No such device"):
        host.get(26)
    host.emu.settle()
    assert host.get(26) == b"\x40"
    assert host.info().status == B_ON_TRIAL
    assert host.status() == SUCCESS


@pytest.mark.rule("FW-11")
@pytest.mark.parametrize("hitless", [False, True])
@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_run_modes(tmp_path: Path, mode: int, hitless: bool) -> None:
    with module(tmp_path, hitless=hitless) as host:
        host.emu.ports["1"].pins.LPMode = False
        host.emu.settle()
        lanes = Host(host.emu.smbus(1))
        assert lanes.states() == [4] * 8
        host.download(NEW)
        lanes.write(0, 31, 0x07)  # a mask
        lanes.changed()
        keeps = hitless and mode in (1, 3)
        assert host.run(0x0109, bytes([0, mode]) + (50).to_bytes(2, "big")) == SUCCESS
        host.clock.advance(0.051)
        assert not lanes.answers()  # for a while, whichever it is
        host.clock.advance(0.25)
        assert lanes.answers() == keeps
        if keeps:
            assert lanes.states() == [4] * 8
            assert lanes.changed() == 0
        host.emu.settle()
        assert lanes.states() == [4] * 8
        assert lanes.byte(0, 31) == (7 if keeps else 0)
        assert host.info().status == (B_ON_TRIAL if mode in (0, 1) else A_RUNS)
        assert host.versions()[0] == ("9.8" if mode in (0, 1) else "3.4")
        assert host.run(0x0109, bytes([0, 4, 0, 0])) == PARAMETER


@pytest.mark.rule("FW-11", "PW-03")
@pytest.mark.parametrize("hitless", [False, True])
def test_a_reset_locks_and_a_hitless_change_does_not(tmp_path: Path, hitless: bool) -> None:
    with module(tmp_path, hitless=hitless, password="host") as host:
        assert host.run(0x0001, b"\0\0\x10\x11") == SUCCESS
        host.download(NEW)
        host.run_image(1)
        assert host.info().status == B_ON_TRIAL
        assert host.commit() == (SUCCESS if hitless else PASSWORD)


@pytest.mark.rule("FW-11")
def test_reset_to_an_image_on_trial_keeps_it_running(host: Steps) -> None:
    host.download(NEW)
    host.run_image(0)
    assert host.run_image(2) == SUCCESS
    assert host.info().status == B_ON_TRIAL


@pytest.mark.rule("FW-11")
def test_nothing_to_run(tmp_path: Path) -> None:
    with module(tmp_path, b=None) as host:
        info = host.info()
        assert (info.status, info.present) == (A_RUNS | B_INVALID, 0x05)
        assert host.versions() == ("3.4", "0.0")  # never held one
        assert host.run_image(0) == STATE
        assert host.run_image(1) == STATE
        host.start(NEW)
        assert host.run(0x0109, bytes([0, 2, 0, 0])) == STATE  # not during a download
        host.abort()
        assert host.versions() == ("3.4", "255.255")


@pytest.mark.rule("FW-12")
def test_a_module_that_commits_what_it_runs(tmp_path: Path) -> None:
    with module(tmp_path, implicit_commit=True) as host:
        host.download(NEW)
        host.run_image(0)
        assert host.info().status == B_RUNS
        host.reset("power")
        assert host.info().status == B_RUNS


# -- passwords ----------------------------------------------------------------------------------------


@pytest.mark.rule("FW-05", "PW-01")
@pytest.mark.parametrize("epl", [False, True])
def test_all_but_the_versions_may_need_a_password(tmp_path: Path, epl: bool) -> None:
    with module(tmp_path, password="host") as host:
        assert host.info().status == A_RUNS
        assert len(host.ask(0x0041)) == 18
        for code in (0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107, 0x0108, 0x0109, 0x010A):
            assert host.run(code) == PASSWORD, hex(code)
        host.put(122, b"\0\0\x10\x11")
        host.download(NEW, epl=epl)
        host.run_image(0)
        host.put(122, b"\0\0\x10\x11")
        assert host.commit() == SUCCESS
        assert host.info().status == B_RUNS
    with module(tmp_path, password="module") as host:
        host.put(122, b"\0\0\x10\x11")
        assert host.start(NEW) == PASSWORD


# -- load tags (5.4) ----------------------------------------------------------------------------------


def test_load_tags_and_activation_options(tmp_path: Path) -> None:
    import yaml
    from firmware_bench import load, profile

    path = tmp_path / "later.yaml"
    path.write_text(yaml.safe_dump(profile(hitless=True) | {"revision": "5.4"}, sort_keys=False))
    with load(path) as emu:
        host = Steps(emu)
        assert host.ask(0x010B) == b"\x03\x03"
        assert host.ask(0x010D, b"\x01") == b"\x01\0" + b" " * 64
        assert host.run(0x010C, b"\x01\0" + b"lot 7".ljust(64)) == SUCCESS
        assert host.run(0x010C, b"\x02\0" + b"lot 7".ljust(64)) == PARAMETER
        assert host.run(0x010C, b"\x01\0" + b"\x07".ljust(64)) == PARAMETER
        assert host.ask(0x010D, b"\x01") == b"\x01\0" + b"lot 7".ljust(64)
        host.reset("power")
        assert host.ask(0x010D, b"\x01")[2:7] == b"lot 7"
        host.download(NEW)
        assert host.ask(0x010D, b"\x01") == b"\x01\0" + b" " * 64  # it was about the image that is gone
        assert host.run(0x010D, b"\x03") == PARAMETER


# -- two instances ------------------------------------------------------------------------------------


def test_two_instances_do_not_write_at_once(tmp_path: Path) -> None:
    with module(tmp_path, cdb={"instances": 2}) as host:
        other = Steps(host.emu, instance=2)
        host.send(0x0101, len(NEW).to_bytes(4, "big") + bytes(4) + NEW[:HEADER])
        host.clock.advance(0.01)
        assert other.block(0, NEW[HEADER:][:100]) == STATE  # erasing
        assert other.commit() == STATE
        assert other.info().status == A_RUNS | B_INVALID
        assert host.wait() == SUCCESS
        assert other.blocks(NEW, epl=True) == SUCCESS
        assert host.complete() == SUCCESS


# -- snapshots ----------------------------------------------------------------------------------------


def test_a_snapshot_in_the_middle_of_a_download(tmp_path: Path) -> None:
    with module(tmp_path) as host:
        host.start(NEW)
        host.blocks(NEW, until=2000)
        payload = NEW[HEADER:]
        host.send(0x0103, (2088).to_bytes(4, "big") + payload[2088:2204])
        host.clock.advance(0.0025)
        kept = host.emu.snapshot()
        for _ in range(2):
            assert host.wait() == SUCCESS
            for at in range(2204, len(payload), 116):
                assert host.block(at, payload[at : at + 116]) == SUCCESS
            assert host.complete() == SUCCESS
            assert host.run_image(0) == SUCCESS
            assert host.info().status == B_ON_TRIAL
            host.commit()
            host.emu.restore(kept)
            assert host.status() == 0x83
            assert host.module.firmware.store.download.expected == 2088


def test_a_module_at_rest_has_no_events_of_its_own(tmp_path: Path) -> None:
    def pending(emu: Emulator) -> int:
        return len(emu.clock.pending())

    with module(tmp_path) as host:
        host.clock.advance(5)
        before = pending(host.emu)
        host.download(NEW)
        host.run_image(0)
        host.commit()
        host.clock.advance(5)
        assert pending(host.emu) == before


def test_sizes_of_images(tmp_path: Path) -> None:
    with module(tmp_path) as host:
        for size in (HEADER + 1, HEADER + 116, HEADER + 117, SMALL, 8193):
            data = image(size=size)
            for epl in (False, True):
                host.download(data, epl=epl)
                assert host.info().b == "9.8.7"
