"""Fault hooks of the engine: what a host then sees, and how it gets out of it (CDB-07, CDB-09, CDB-15)."""

from __future__ import annotations

from typing import Any

import pytest
from cdb_host import (
    ABORT,
    ABORTED,
    CAPTURED,
    CHECKING,
    EXECUTING,
    FEATURES,
    FOREGROUND,
    MESSAGE,
    QUERY,
    SUCCESS,
    TIMEOUT,
    CdbHost,
    cdb,
    complement,
    delay,
)
from cmis_host import Host
from dr4 import Variant

from cmis_emu import Emulator
from cmis_emu.errors import InputError
from cmis_emu.module.cdb.faults import CdbFaults, Phase


def faults_of(emu: Emulator) -> CdbFaults:
    engine = emu.ports["1"].module.cdb
    assert engine is not None
    return engine.faults


@pytest.fixture
def emu(variant: Variant) -> Emulator:
    return variant(cdb())


@pytest.fixture
def host(emu: Emulator) -> CdbHost:
    return CdbHost(emu)


@pytest.fixture
def faults(emu: Emulator) -> CdbFaults:
    return faults_of(emu)


@pytest.mark.rule("CDB-07", "CDB-09")
@pytest.mark.parametrize("status", [0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x60, 0x6F, 0x70, 0x7F])
def test_every_failure_can_be_had(faults: CdbFaults, host: CdbHost, status: int) -> None:
    fault = faults.fail(FEATURES, status)
    host.flag()
    assert host.run(QUERY, delay(0)) == SUCCESS, "another command"
    assert host.flag()
    assert host.run(FEATURES) == status
    assert host.flag()
    assert host.read(MESSAGE, 134)[0] == 0
    assert host.run(FEATURES) == SUCCESS, "once"
    assert fault.hits == 1


def test_the_nth_and_how_many(faults: CdbFaults, host: CdbHost) -> None:
    faults.fail(FEATURES, nth=3, count=2)
    assert [host.run(FEATURES) for _ in range(6)] == [1, 1, 0x40, 0x40, 1, 1]
    lasting = faults.fail(count=None)
    other = faults.fail(FEATURES, 0x61, count=None)
    assert [host.run(c) for c in (FEATURES, ABORT, 0x0042)] == [0x40] * 3
    faults.clear(lasting)
    assert [host.run(c) for c in (FEATURES, ABORT)] == [0x61, 1]
    faults.clear()
    assert host.run(FEATURES) == SUCCESS
    assert (lasting.hits, other.hits) == (3, 1)


def test_a_failed_command_does_nothing(faults: CdbFaults, host: CdbHost) -> None:
    faults.fail(0x0001)
    assert host.run(0x0001, bytes.fromhex("00001011")) == 0x40
    assert host.ask(QUERY, delay(0)) == b"\2\0", "still locked"


@pytest.mark.rule("CDB-05", "CDB-17")
def test_replies_that_hosts_must_refuse(faults: CdbFaults, host: CdbHost) -> None:
    faults.wrong_reply_check_code(FEATURES)
    assert host.run(FEATURES) == SUCCESS
    page = host.read(MESSAGE, 128, 128)
    assert page[6] == 36
    assert page[7] == complement(page[8:44]) ^ 0xFF
    faults.wrong_reply_length(FEATURES, 200)
    assert host.run(FEATURES) == SUCCESS
    assert host.read(MESSAGE, 134)[0] == 200
    assert len(host.ask(FEATURES)) == 36


@pytest.mark.rule("CDB-15")
def test_busy_for_ever_ends_with_an_abort_where_the_command_allows_it(
    emu: Emulator, faults: CdbFaults, host: CdbHost
) -> None:
    faults.busy_forever(count=2)
    host.send(QUERY, delay(1))
    emu.clock.advance(10_000)
    assert host.status() == EXECUTING
    host.send(ABORT)
    assert host.status() == ABORTED
    host.send(FEATURES)
    emu.clock.advance(10_000)
    host.send(ABORT)
    assert host.status() == EXECUTING, "this one cannot be aborted"
    emu.ports["1"].module.restart()
    emu.settle()
    assert host.status() == 0
    assert host.run(FEATURES) == SUCCESS


@pytest.mark.rule("CDB-10", "CDB-11")
def test_busy_for_ever_in_the_foreground_refuses_no_longer_than_advertised(variant: Variant) -> None:
    emu = variant(cdb(**FOREGROUND))
    faults_of(emu).busy_forever()
    host = CdbHost(emu)
    host.send(FEATURES)
    emu.clock.advance(1.919)
    assert not Host(host.bus).answers()
    emu.clock.advance(0.002)
    assert host.status() == EXECUTING
    emu.clock.advance(1000)
    assert host.status() == EXECUTING


@pytest.mark.rule("CDB-09")
def test_no_completion_flag(faults: CdbFaults, host: CdbHost) -> None:
    faults.no_completion_flag()
    host.flag()
    assert host.run(FEATURES) == SUCCESS
    assert not host.flag()
    assert host.run(FEATURES) == SUCCESS
    assert host.flag()


@pytest.mark.rule("CDB-07")
@pytest.mark.parametrize(
    ("phase", "shown"), [(Phase.CAPTURED, CAPTURED), (Phase.CHECKING, CHECKING), (Phase.EXECUTING, EXECUTING)]
)
def test_a_delay_of_a_phase(emu: Emulator, faults: CdbFaults, host: CdbHost, phase: Phase, shown: int) -> None:
    faults.delay(0.5, FEATURES, phase=phase)
    host.send(FEATURES)
    emu.clock.advance(0.4)
    assert host.status() == shown
    emu.clock.advance(0.1299)
    assert host.status() >= 0x80
    emu.clock.advance(0.0002)
    assert host.status() == SUCCESS


@pytest.mark.rule("CDB-07", "CDB-16")
def test_checking_that_takes_too_long_ends_with_44h(variant: Variant) -> None:
    emu = variant(cdb(timing_ms={"capture": 1, "checking": 2, "checking_limit": 50}))
    host = CdbHost(emu)
    faults_of(emu).delay(0.1, phase=Phase.CHECKING)
    host.send(FEATURES, code=0)
    emu.clock.advance(0.0505)
    assert host.status() == CHECKING
    emu.clock.advance(0.001)
    assert host.status() == TIMEOUT
    faults_of(emu).delay(0.04, phase=Phase.CHECKING)
    assert host.run(FEATURES) == SUCCESS


def test_an_ignored_trigger_leaves_what_was(faults: CdbFaults, host: CdbHost, emu: Emulator) -> None:
    assert host.run(0x7FFE) == 0x41
    faults.ignore_trigger(FEATURES)
    host.send(FEATURES)
    emu.clock.advance(1)
    assert host.status() == 0x41
    assert host.run(FEATURES) == SUCCESS


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("mode", [{}, FOREGROUND])
@pytest.mark.parametrize("how", ["reset", "power"])
def test_a_reset_or_power_loss_in_any_phase(variant: Variant, phase: Phase, mode: dict[str, Any], how: str) -> None:
    emu = variant(cdb(instances=2, **mode))
    port = emu.ports["1"]
    seen = []

    def strike(command: int, instance: int) -> None:
        seen.append((command, instance))
        if how == "reset":
            port.module.restart()
        else:
            port.pins.power = False

    faults_of(emu).on_phase(phase, strike, QUERY, instance=2)
    host = CdbHost(emu, 2)
    host.send(QUERY, delay(100))
    emu.clock.advance(0.2)
    if how == "power":
        assert not Host(host.bus).answers()
        port.pins.power = True
    emu.settle()
    assert seen == [(QUERY, 2)]
    assert host.get(37, 2) == b"\0\0"
    assert host.ask(QUERY, delay(5)) == b"\2\0"
    assert seen == [(QUERY, 2)], "once"


def test_phases_in_their_order(faults: CdbFaults, host: CdbHost) -> None:
    seen: list[tuple[str, int]] = []
    for phase in Phase:
        faults.on_phase(phase, lambda c, _, phase=phase: seen.append((phase.value, c)), count=None)  # type: ignore[misc]
    host.run(FEATURES)
    host.run(0x7FFE)
    whole = [(phase.value, FEATURES) for phase in Phase]
    assert seen == whole + [(name, 0x7FFE) for name in ("captured", "checking", "completed")]


def test_faults_outlive_resets_and_are_of_one_instance(variant: Variant) -> None:
    emu = variant(cdb(instances=2))
    faults_of(emu).fail(FEATURES, instance=2)
    emu.ports["1"].module.restart()
    emu.settle()
    assert CdbHost(emu, 1).run(FEATURES) == SUCCESS
    assert CdbHost(emu, 2).run(FEATURES) == 0x40


@pytest.mark.parametrize("reset_first", [True, False])
def test_a_snapshot_keeps_armed_faults(emu: Emulator, host: CdbHost, faults: CdbFaults, reset_first: bool) -> None:
    faults.fail(FEATURES)
    kept = emu.snapshot()
    if reset_first:
        emu.ports["1"].module.restart()
        emu.settle()
    assert host.run(FEATURES) == 0x40
    emu.restore(kept)
    assert host.run(FEATURES) == 0x40
    assert host.run(FEATURES) == SUCCESS


def test_wrong_arguments_are_refused(faults: CdbFaults) -> None:
    with pytest.raises(InputError, match="status of a failure"):
        faults.fail(FEATURES, 0x01)
    with pytest.raises(InputError, match="1 or more"):
        faults.fail(FEATURES, nth=0)
    with pytest.raises(InputError, match="1 or more"):
        faults.busy_forever(count=0)
    with pytest.raises(InputError, match="0 s or more"):
        faults.delay(-1)
    with pytest.raises(InputError, match="a byte"):
        faults.wrong_reply_length(None, 256)
