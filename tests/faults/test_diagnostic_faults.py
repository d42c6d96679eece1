"""Faults of diagnostics, as a host sees them: diag.selector, diag.lock, diag.ber, diag.counters, diag.refuse,
diag.loopback.

Rows of the field catalogue (section 9) are named in the tests that reproduce them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cmis_host import Host
from dr4 import Variant
from faulty import arm, clear_all

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.emulator import Snapshot
from cmis_emu.registers.encoding import decode_f16

DR4 = "qsfpdd-400g-dr4"
MEDIA_GEN, MEDIA_CHECK, HOST_GEN = 152, 168, 144
GATING = 177
MEDIA_OUT, HOST_IN = 180, 183
GEN_LOL, CHECK_LOL = 137, 139  # of the media lanes
BER, COUNTS, SNR = 1, 4, 6
MEDIA = 0x0F
PRBS31Q, PRBS13Q = 0, 6


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, Snapshot]]:
    ports = {name: {"profile": DR4, "bus": n} for n, name in enumerate("ab", 1)}
    fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": 6.0}}
    with Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(600)
        yield emu, emu.snapshot()


@pytest.fixture
def link(kept: tuple[Emulator, Snapshot]) -> Iterator[Emulator]:
    """Two warm DR4 on a fibre of 6 dB."""
    emu, snapshot = kept
    emu.restore(snapshot)
    yield emu
    clear_all()


def on_test(emu: Emulator) -> Host:
    """A pattern from a is checked at b; the host at b."""
    a, b = Host(emu.smbus(1)), Host(emu.smbus(2))
    a.write(0x13, MEDIA_GEN, MEDIA)
    b.write(0x13, MEDIA_CHECK, MEDIA)
    emu.clock.advance(3)
    return b


def unlocked(emu: Emulator, host: Host, at: int = CHECK_LOL) -> int:
    host.byte(0x14, at)
    emu.clock.advance(0.3)
    return host.byte(0x14, at)


def results(emu: Emulator, host: Host, selector: int, wait_s: float = 0.01) -> bytes:
    host.write(0x14, 128, selector)
    emu.clock.advance(wait_s)
    return host.read(0x14, 192, 64)


def ratios(data: bytes) -> list[float]:
    return [decode_f16(int.from_bytes(data[at : at + 2], "big")) for at in range(16, 24, 2)]


def counts(data: bytes) -> list[tuple[int, int]]:
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, 64, 8)]
    return list(zip(words[::2], words[1::2], strict=True))


def test_D1_a_loopback_for_eight_lanes_on_four(emu: Emulator, host: Host) -> None:
    """Legal: lanes that are not there do not stick."""
    host.write(0x13, MEDIA_OUT, 0xFF)
    assert host.byte(0x13, MEDIA_OUT) == 0x0F
    host.write(0x13, MEDIA_OUT, 0x00)
    host.write(0x13, HOST_IN, 0xFF)
    assert host.byte(0x13, HOST_IN) == 0xFF


@pytest.mark.parametrize("faulty", [True, False])
def test_D3_a_request_for_a_single_lane_does_not_stick(emu: Emulator, host: Host, faulty: bool) -> None:
    if faulty:
        clear = arm(emu, "diag.loopback", kind="media-output")
    host.write(0x13, MEDIA_OUT, 0b0010)
    assert host.byte(0x13, MEDIA_OUT) == (0 if faulty else 0b0010)
    host.write(0x13, MEDIA_OUT, 0x0F)
    assert host.byte(0x13, MEDIA_OUT) == 0x0F
    host.write(0x13, MEDIA_OUT, 0)
    host.write(0x13, HOST_IN, 0b0100)
    assert host.byte(0x13, HOST_IN) == 0b0100, "the other kinds work"
    host.write(0x13, HOST_IN, 0)
    if faulty:
        clear()
        host.write(0x13, MEDIA_OUT, 0b0010)
        assert host.byte(0x13, MEDIA_OUT) == 0b0010


@pytest.mark.parametrize("faulty", [True, False])
def test_D4_lock_and_errors_and_a_ratio_of_1_on_one_lane(link: Emulator, faulty: bool) -> None:
    host = on_test(link)
    if faulty:
        clear = arm(link, "diag.ber", port="b", lanes=[2])
    found = ratios(results(link, host, BER))
    assert (found[1] == 1.0) == faulty
    assert all(1e-6 < value < 1e-4 for n, value in enumerate(found) if n != 1)
    assert unlocked(link, host) == 0
    errors, bits = counts(results(link, host, COUNTS))[1]
    assert 0 < errors < bits / 1000
    if faulty:
        clear()
        assert ratios(results(link, host, BER))[1] < 1e-4


@pytest.mark.parametrize("faulty", [True, False])
@pytest.mark.parametrize("engine", ["generator", "checker"])
def test_D5_a_pattern_that_is_refused(link: Emulator, engine: str, faulty: bool) -> None:
    port = "a" if engine == "generator" else "b"
    if faulty:
        clear = arm(link, "diag.refuse", port=port, engine=engine, pattern="prbs31q")
    host = on_test(link)
    sender = Host(link.smbus(1))
    assert unlocked(link, host) == (MEDIA if faulty else 0)
    assert unlocked(link, sender, GEN_LOL) == (MEDIA if faulty and engine == "generator" else 0)
    for each, at in ((sender, MEDIA_GEN), (host, MEDIA_CHECK)):
        each.write(0x13, at + 4, *[PRBS13Q * 0x11] * 4)
    link.clock.advance(1)
    assert unlocked(link, host) == 0, "another pattern works"
    if faulty:
        for each, at in ((sender, MEDIA_GEN), (host, MEDIA_CHECK)):
            each.write(0x13, at + 4, *[PRBS31Q] * 4)
        clear()
        link.clock.advance(1)
        assert unlocked(link, host) == 0


@pytest.mark.parametrize("faulty", [True, False])
def test_D6_the_old_results_show_for_10_ms(link: Emulator, faulty: bool) -> None:
    host = on_test(link)
    before = results(link, host, COUNTS)
    if faulty:
        arm(link, "diag.selector", port="b", latency="10 ms")
    early = results(link, host, SNR, 0.005)
    assert (counts(early)[0][0] == counts(before)[0][0]) == faulty
    link.clock.advance(0.006)
    late = host.read(0x14, 192, 64)
    assert 15 < int.from_bytes(late[48:50], "little") / 256 < 25
    host.write(0x14, 128, BER)  # a second reader changes it underneath
    link.clock.advance(0.02)
    assert ratios(host.read(0x14, 192, 64)) == ratios(results(link, host, BER))


def test_D6_the_old_results_are_those_of_the_selector_before_read_or_not(link: Emulator) -> None:
    host = on_test(link)
    arm(link, "diag.selector", port="b", latency="10 ms")
    assert any(results(link, host, SNR, 0.02))
    host.write(0x14, 128, 0)  # nobody reads that there are none
    link.clock.advance(0.1)
    assert results(link, host, SNR, 0.005) == bytes(64)
    link.clock.advance(0.006)
    assert any(host.read(0x14, 192, 64))


def test_D7_output_status_before_revision_5(variant: Variant) -> None:
    """Legal: the registers came with 5.0; before, they are reserved and read 0."""

    def older(profile: dict[str, Any]) -> None:
        profile["revision"] = "4.0"
        del profile["vdm"], profile["diagnostics"]

    for edit, expected in ((older, b"\0\0"), (None, b"\xff\x0f")):
        emu = variant(edit)
        emu.clock.advance(5)
        host = Host(emu.smbus(1))
        assert host.read(0x11, 132, 2) == expected


@pytest.mark.parametrize("faulty", [True, False])
def test_a_checker_that_never_locks(link: Emulator, faulty: bool) -> None:
    if faulty:
        clear = arm(link, "diag.lock", port="b", lanes=[1, 3])
    host = on_test(link)
    assert unlocked(link, host) == (0b0101 if faulty else 0)
    found = counts(results(link, host, COUNTS))
    assert (found[0][1] <= 1) == faulty, "no bits, no sync"
    assert found[1][1] > 1e9
    if faulty:
        clear()
        link.clock.advance(1)
        assert unlocked(link, host) == 0


@pytest.mark.parametrize("faulty", [True, False])
@pytest.mark.parametrize("how", ["reset", "restart"])
def test_counters_that_are_not_cleared(link: Emulator, how: str, faulty: bool) -> None:
    host = on_test(link)
    link.clock.advance(10)
    before = counts(results(link, host, COUNTS))
    if faulty:
        arm(link, "diag.counters", port="b", lanes=[2])
    if how == "reset":
        host.write(0x13, GATING, 0x20)
        link.clock.advance(0.1)
        host.write(0x13, GATING, 0x00)
    else:
        host.write(0x13, MEDIA_CHECK, 0)
        link.clock.advance(0.1)
        host.write(0x13, MEDIA_CHECK, MEDIA)
    link.clock.advance(2)
    after = counts(results(link, host, COUNTS))
    assert after[0][1] < before[0][1]
    assert (after[1][1] > before[1][1]) == faulty
    assert (after[1][0] > 0.5 * before[1][0]) == faulty


def test_an_unknown_pattern(emu: Emulator) -> None:
    with pytest.raises(InputError, match="prbs31q"):
        arm(emu, "diag.refuse", pattern="prbs99")
