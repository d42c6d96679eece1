"""What goes wrong with firmware on demand, in every phase, and how modules come back (FW-05 to FW-12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cdb_host import FAILED, STATE, SUCCESS
from cmis_host import Host
from firmware_bench import A_INVALID, A_RUNS, B_INVALID, B_ON_TRIAL, B_RUNS, HEADER, Steps, image, load, module

from cmis_emu.module.firmware.bank import Bank
from cmis_emu.module.firmware.faults import FirmwareFault, Kind, Phase

NEW = image()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Steps]:
    with module(tmp_path) as steps:
        yield steps


def arm(host: Steps, kind: Kind, phase: Phase, **values: Any) -> FirmwareFault:
    fault: FirmwareFault = host.module.firmware.faults.arm(FirmwareFault(kind, phase, **values))
    return fault


@pytest.mark.rule("FW-06")
def test_the_nth_block_fails_once(host: Steps) -> None:
    arm(host, Kind.FAIL, Phase.WRITE, block=3, status=0x63)
    payload = NEW[HEADER:]
    host.start(NEW)
    assert [host.block(at, payload[at : at + 100]) for at in (0, 100, 200)] == [SUCCESS, SUCCESS, 0x63]
    assert host.block(200, payload[200:300]) == SUCCESS  # it was not written
    for at in range(300, len(payload), 116):
        assert host.block(at, payload[at : at + 116]) == SUCCESS
    assert host.complete() == SUCCESS


@pytest.mark.rule("FW-08")
def test_what_was_stored_is_not_what_was_sent(host: Steps) -> None:
    arm(host, Kind.CORRUPT, Phase.WRITE, block=2)
    host.start(NEW)
    assert host.blocks(NEW) == SUCCESS
    assert host.complete() == FAILED
    assert host.info().status == A_RUNS | B_INVALID
    host.download(NEW)


@pytest.mark.parametrize(
    ("phase", "steps"),
    [
        (Phase.START, "start"),
        (Phase.COMPLETE, "complete"),
        (Phase.ABORT, "abort"),
        (Phase.COPY, "copy"),
        (Phase.COMMIT, "commit"),
        (Phase.RUN, "run"),
        (Phase.READ, "read"),
    ],
)
def test_a_command_that_fails_leaves_a_module_that_can_go_on(host: Steps, phase: Phase, steps: str) -> None:
    fault = arm(host, Kind.FAIL, phase, times=None, status=0x64)
    act = {
        "start": lambda: host.start(NEW),
        "complete": lambda: [host.start(NEW), host.blocks(NEW), host.complete()][-1],
        "abort": lambda: [host.start(NEW), host.abort()][-1],
        "copy": lambda: host.copy(0xAB),
        "commit": host.commit,
        "run": lambda: host.run_image(2),
        "read": lambda: host.run(0x0105, bytes(4) + b"\0\x08"),
    }[steps]
    assert act() == 0x64
    invalid = B_INVALID if steps in ("start", "complete", "abort", "copy") else 0
    assert host.info().status == A_RUNS | invalid
    if steps != "start":
        assert act() == 0x64
    host.module.firmware.faults.clear(fault)
    host.abort()
    host.download(NEW)
    assert host.run_image(0) == SUCCESS
    assert host.commit() == SUCCESS
    assert host.info().status == B_RUNS


@pytest.mark.rule("CDB-09")
def test_slower_than_advertised(host: Steps) -> None:
    """A host that trusts the advertised time gives up; the command ends all the same."""
    longest = int.from_bytes(host.ask(0x0041)[8:10], "big") / 1000
    arm(host, Kind.SLOW, Phase.START, extra_ms=7000)
    host.send(0x0101, len(NEW).to_bytes(4, "big") + bytes(4) + NEW[:HEADER])
    host.clock.advance(longest)
    assert host.status() == 0x83
    assert host.wait() == SUCCESS


MOMENTS = {
    Phase.START: (lambda h: h.start(NEW), A_RUNS | B_INVALID),
    Phase.WRITE: (lambda h: (h.start(NEW), h.blocks(NEW)), A_RUNS | B_INVALID),
    Phase.ABORT: (lambda h: (h.start(NEW), h.abort()), A_RUNS | B_INVALID),
    Phase.COMPLETE: (lambda h: (h.start(NEW), h.blocks(NEW), h.complete()), A_RUNS | B_INVALID),
    Phase.READ: (lambda h: h.run(0x0105, bytes(4) + b"\0\x08"), A_RUNS),
    Phase.COPY: (lambda h: h.copy(0xAB), A_RUNS | B_INVALID),
    Phase.RUN: (lambda h: (h.download(NEW), h.run(0x0109, bytes(4))), A_RUNS),
    Phase.COMMIT: (lambda h: (h.download(NEW), h.run_image(0), h.commit()), A_RUNS),
    Phase.BOOT: (lambda h: (h.download(NEW), h.run(0x0109, bytes(4))), A_RUNS),
}
"""What a host does when the module resets by itself, and what is there afterwards."""


@pytest.mark.rule("FW-05", "FW-08", "FW-09", "FW-10", "FW-11", "FW-12")
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", [Kind.RESET, Kind.POWER_LOSS])
@pytest.mark.parametrize("phase", list(MOMENTS), ids=lambda phase: phase.value)
def test_a_reset_or_a_loss_of_power_in_any_phase(host: Steps, phase: Phase, kind: Kind, at: float) -> None:
    arm(host, kind, phase, at=at, off_ms=700, **({"block": 2} if phase is Phase.WRITE else {}))
    act, status = MOMENTS[phase]
    act(host)
    host.recover()
    assert host.info().status == status
    assert not host.module.firmware.faults.armed
    assert host.complete() == STATE
    host.download(NEW)
    host.run_image(0)
    assert host.commit() == SUCCESS
    host.reset("power")
    assert host.info().status == B_RUNS


def test_the_supply_comes_back_only_when_the_host_gives_it(host: Steps) -> None:
    arm(host, Kind.POWER_LOSS, Phase.START, off_ms=500)
    pins = host.emu.ports["1"].pins
    host.send(0x0101, len(NEW).to_bytes(4, "big") + bytes(4) + NEW[:HEADER])
    host.clock.advance(0.15)
    pins.power = False
    host.clock.advance(2)
    assert not Host(host.emu.smbus(1)).answers()
    pins.power = True
    host.emu.settle()
    assert host.info().status == A_RUNS | B_INVALID


# -- boot failures ------------------------------------------------------------------------------------


@pytest.mark.rule("FW-11", "FW-12")
@pytest.mark.parametrize("hitless", [False, True])
def test_a_new_image_that_does_not_boot(tmp_path: Path, hitless: bool) -> None:
    """The module falls back to the committed image, and says that something is wrong with its firmware."""
    with module(tmp_path, hitless=hitless) as host:
        arm(host, Kind.FAIL, Phase.BOOT, bank=Bank.B)
        host.download(NEW)
        host.get(8)
        assert host.run(0x0109, bytes([0, 1, 0, 50])) == SUCCESS
        host.clock.advance(0.051)
        began = host.clock.now
        while not Host(host.emu.smbus(1)).answers():
            host.clock.advance(0.01)
        assert host.get(8)[0] & 2
        assert host.info().status == A_RUNS
        assert host.versions() == ("3.4", "9.8")
        assert host.clock.now - began == pytest.approx(0.4 if hitless else 0.5, abs=0.02)  # and its watchdog
        host.run_image(0)  # it boots at the second attempt
        assert host.info().status == B_ON_TRIAL


@pytest.mark.rule("FW-12")
def test_the_committed_image_does_not_boot(host: Steps) -> None:
    host.download(NEW)
    fault = arm(host, Kind.FAIL, Phase.BOOT, bank=Bank.A, times=None)
    host.reset("power")
    assert host.info().status == B_ON_TRIAL
    assert host.commit() == SUCCESS
    host.reset("power")
    assert host.info().status == B_RUNS
    host.module.firmware.faults.clear(fault)


@pytest.mark.rule("FW-02", "FW-03", "FW-12")
def test_no_image_boots_but_the_one_from_the_factory(host: Steps) -> None:
    arm(host, Kind.FAIL, Phase.BOOT, times=2)
    host.reset("pin")
    info = host.info()
    assert (info.status, info.present) == (0x02, 0x07)  # neither runs, A is committed
    assert host.versions() == ("3.0", "3.4")
    assert host.commit() == STATE
    host.download(NEW)
    assert host.info() == (0x02, 0x07, "3.4.12", "9.8.7", "3.0.1")
    host.reset("power")
    assert host.info().status == A_RUNS


@pytest.mark.rule("FW-03")
def test_a_module_without_a_factory_image(tmp_path: Path) -> None:
    with module(tmp_path, factory=None, b=None) as host:
        arm(host, Kind.FAIL, Phase.BOOT)
        host.reset("pin")
        assert host.info() == (0x02 | B_INVALID, 0x01, "3.4.12", "0.0.0", "0.0.0")
        assert host.versions() == ("0.0", "3.4")  # its boot loader has no version
        host.download(NEW)
        host.run_image(0)
        assert host.info().status in (A_RUNS, B_ON_TRIAL)


@pytest.mark.rule("FW-11")
def test_a_slow_boot(host: Steps) -> None:
    arm(host, Kind.SLOW, Phase.BOOT, extra_ms=30_000)
    host.download(NEW)
    host.send(0x0109, bytes(4))
    host.clock.advance(30)
    assert not Host(host.emu.smbus(1)).answers()
    host.clock.advance(1)
    assert host.info().status == B_ON_TRIAL


# -- what may be armed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": Kind.CORRUPT, "phase": Phase.START}, "expected one of write"),
        ({"kind": Kind.RESET, "phase": Phase.START, "at": 1.5}, "from 0 to 1"),
        ({"kind": Kind.SLOW, "phase": Phase.START, "extra_ms": -1}, "not negative"),
        ({"kind": Kind.FAIL, "phase": Phase.START, "status": 0x01}, "found status 01h"),
    ],
)
def test_faults_that_mean_nothing(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FirmwareFault(**values)


def test_faults_hold_over_resets_and_are_cleared(host: Steps) -> None:
    fault = arm(host, Kind.FAIL, Phase.START, times=2)
    other = arm(host, Kind.SLOW, Phase.COPY, times=None)
    host.reset("power")
    assert [host.start(NEW), host.start(NEW)] == [FAILED, FAILED]
    assert host.start(NEW) == SUCCESS
    assert host.module.firmware.faults.armed == [other]
    host.module.firmware.faults.clear()
    assert not host.module.firmware.faults.armed
    assert fault.times == 0


def test_a_snapshot_keeps_faults(host: Steps) -> None:
    arm(host, Kind.FAIL, Phase.START)
    kept = host.emu.snapshot()
    for _ in range(2):
        assert host.start(NEW) == FAILED
        assert host.start(NEW) == SUCCESS
        host.emu.restore(kept)


def test_what_a_killed_host_leaves_behind(tmp_path: Path) -> None:
    """A host stops in the middle of a message, of a block and of a download; the next one begins anew (C11)."""
    with module(tmp_path) as first:
        first.start(NEW)
        first.blocks(NEW, until=500)
        first.select(0x9F)
        first.put(130, b"\0\0\x10")
        second = Steps(first.emu)
        assert second.info().status == A_RUNS | B_INVALID
        assert second.abort() == SUCCESS
        second.download(NEW)
        second.run_image(0)
        assert second.info().status == B_ON_TRIAL


def test_library_modules_without_abort_need_a_reset(tmp_path: Path) -> None:
    """Field failure U3."""
    with load(Path("qsfpdd-400g-lr4")) as emu:
        host = Steps(emu)
        data = image(hardware="")
        assert host.start(data) == SUCCESS
        assert host.abort() == 0x41
        assert host.start(data) == 0x43
        host.reset("software")
        host.download(data)
        assert host.info().status == A_RUNS
    assert A_INVALID == 0x04
