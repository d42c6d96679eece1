"""Whole updates by three kinds of hosts, on every mechanism that a module advertises (FW-04, FW-06, FW-15, CDB-09)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from firmware_bench import B_INVALID, B_ON_TRIAL, B_RUNS, HEADER, Steps, image, module
from firmware_hosts import WRITE_EPL, WRITE_LPL, Fboss, HostError, Linux, Sonic

KIB = 1024
SIZES = (16 * KIB, 1024 * KIB)
MODES: dict[str, dict[str, Any]] = {
    "background": {},
    "foreground": {"mode": "foreground"},
    "any write": {"trigger": "any_write"},
    "strict": {"quirks": {"strict_trigger": True}},
}

BRIEF = {"start": 15, "write": 2, "complete": 15, "run": 5, "commit": 15, "read": 5}
"""A driver that writes PageSelect after the trigger gives up after 25 ms without an answer."""


def update(kind: str, steps: Steps, data: bytes, *, extended: bool) -> Any:
    bus, wait = steps.bus, steps.clock.advance
    if kind == "linux":
        linux = Linux(bus, wait)
        linux.update(data)
        return linux
    if kind.startswith("sonic"):
        sonic = Sonic(bus, wait, piece=int(kind.removeprefix("sonic-")))
        sonic.update(data, extended=extended)
        return sonic
    fboss = Fboss(bus, wait)
    fboss.update(data, extended=extended)
    return fboss


@pytest.mark.rule("FW-04", "FW-06", "FW-11", "FW-12", "FW-15", "CDB-03", "CDB-09", "CDB-09a")
@pytest.mark.parametrize("size", SIZES, ids=["16KiB", "1MiB"])
@pytest.mark.parametrize("mechanism", [["lpl"], ["epl"], ["lpl", "epl"]], ids=["lpl", "epl", "both"])
@pytest.mark.parametrize("kind", ["linux", "sonic-32", "fboss"])
def test_an_update(tmp_path: Path, kind: str, mechanism: list[str], size: int) -> None:
    data = image(size=size)
    with module(tmp_path, write=mechanism) as steps:
        update(kind, steps, data, extended="epl" in mechanism)
        info = steps.info()
        assert (info.status, info.a, info.b) == (B_RUNS, "3.4.12", "9.8.7")
        assert steps.versions() == ("9.8", "3.4")
        steps.reset("power")
        assert steps.info().status == B_RUNS
        assert steps.module.firmware.store.image(steps.module.firmware.store.running).data == data


@pytest.mark.rule("FW-06", "CDB-03", "CDB-10")
@pytest.mark.parametrize("cdb", MODES.values(), ids=list(MODES))
@pytest.mark.parametrize("kind", ["linux", "sonic-1", "sonic-8", "sonic-32", "fboss"])
def test_an_update_however_messages_are_cut_and_triggered(tmp_path: Path, kind: str, cdb: dict[str, Any]) -> None:
    data = image(size=16 * KIB)
    with module(tmp_path, cdb=cdb, durations_ms=BRIEF) as steps:
        update(kind, steps, data, extended=False)
        assert steps.info().status == B_RUNS


@pytest.mark.rule("CDB-10")
def test_a_driver_that_goes_back_to_page_00h_fails_in_the_foreground(tmp_path: Path) -> None:
    """Field failure B1: the module refuses that write for longer than the driver tries."""
    with module(tmp_path, cdb={"mode": "foreground"}) as steps:
        with pytest.raises(OSError, match="No such device"):
            update("sonic-32", steps, image(size=16 * KIB), extended=False)
        steps.recover()
        assert steps.get(127) == b"\x9f"
        assert steps.abort() == 0x01
        update("fboss", steps, image(size=16 * KIB), extended=False)
        assert steps.info().status == B_RUNS


@pytest.mark.rule("FW-04", "PW-01")
@pytest.mark.parametrize("kind", ["linux", "sonic-32", "fboss"])
def test_a_module_that_wants_a_password(tmp_path: Path, kind: str) -> None:
    data = image(size=16 * KIB)
    with module(tmp_path, password="host") as steps:
        with pytest.raises(HostError, match="status 46h"):
            update(kind, steps, data, extended=True)
        assert steps.info().status == 0x03


@pytest.mark.rule("FW-06", "FW-09")
@pytest.mark.parametrize(("kind", "extended"), [("linux", True), ("sonic-32", True), ("sonic-32", False)])
def test_a_block_that_fails(tmp_path: Path, kind: str, extended: bool) -> None:
    """Hosts abort, and may begin again; without the command only a reset gets the module out."""
    data = image(size=16 * KIB)
    block = WRITE_EPL if extended else WRITE_LPL
    for abort in (True, False):
        with module(tmp_path, abort=abort) as steps:
            steps.module.cdb.faults.fail(block, 0x61, nth=3)
            with pytest.raises(HostError, match="status 61h"):
                update(kind, steps, data, extended=extended)
            assert steps.info().status == 0x03 | B_INVALID
            if not abort:
                with pytest.raises(HostError, match="status 43h"):
                    update(kind, steps, data, extended=extended)
                steps.reset("software")
            update(kind, steps, data, extended=extended)
            assert steps.info().status == B_RUNS


@pytest.mark.rule("FW-06")
def test_a_module_of_short_messages(tmp_path: Path) -> None:
    """64 bytes an access: hosts that look at 0041h send blocks that fit, and the header comes with the blocks."""
    data = image(size=16 * KIB)
    with module(tmp_path, cdb={"access_bytes": 64, "epl_pages": 0}, write=["lpl"], start_payload=None) as steps:
        features = steps.ask(0x0041)
        assert features[2] == 0
        assert features[4] == 7
        update("linux", steps, data, extended=False)
        assert steps.info().status == B_RUNS


@pytest.mark.rule("FW-11")
def test_a_module_that_comes_back_late(tmp_path: Path) -> None:
    """Linux waits a second after the run command, others longer (U8)."""
    data = image(size=16 * KIB)
    with module(tmp_path, boot_ms=8000) as steps:
        with pytest.raises(HostError):
            update("linux", steps, data, extended=True)
        steps.recover()
        assert steps.info().status == B_ON_TRIAL
        steps.reset("power")
        update("sonic-32", steps, data, extended=True)
        assert steps.info().status == B_RUNS


@pytest.mark.rule("FW-06")
def test_what_hosts_put_on_the_bus(tmp_path: Path) -> None:
    """The numbers that were measured with real software, within a tenth."""
    data = image(size=16 * KIB)
    with module(tmp_path) as steps:
        start = steps.clock.now
        sonic = Sonic(steps.bus, steps.clock.advance)
        sonic.download(data, sonic.features(), extended=False)
        assert sonic.wire.transactions == pytest.approx(2289, rel=0.1)
        assert steps.clock.now - start == pytest.approx(146 * 0.1, rel=0.05)  # and the bus, which takes no time here
        steps.abort()
        start, before = steps.clock.now, sonic.wire.transactions
        sonic.download(data, sonic.features(), extended=True)
        assert sonic.wire.transactions - before == pytest.approx(1615, rel=0.1)
    assert len(data) - HEADER == 16300


@pytest.mark.rule("CDB-10")
def test_readings_go_on_during_a_download_in_the_background(tmp_path: Path) -> None:
    data = image(size=16 * KIB)
    with module(tmp_path) as steps:
        steps.emu.ports["1"].pins.LPMode = False
        steps.emu.settle()
        steps.start(data)
        payload = data[HEADER:]
        seen = set()
        for at in range(0, len(payload), 2048):
            steps.send(0x0104, at.to_bytes(4, "big"), epl=payload[at : at + 2048])
            steps.clock.advance(0.003)
            assert steps.status() & 0x80
            power = steps.read(0x11, 154, 8)
            assert all(1.0 < int.from_bytes(power[i : i + 2], "big") / 1e4 < 2.0 for i in range(0, 8, 2))
            seen.add(power)
            assert steps.wait() == 0x01
            steps.clock.advance(0.1)
        assert len(seen) > 3
        assert steps.complete() == 0x01
        assert states(steps) == [4] * 8


def states(steps: Steps) -> list[int]:
    raw = steps.read(0x11, 128, 4)
    return [raw[lane // 2] >> 4 * (lane % 2) & 15 for lane in range(8)]
