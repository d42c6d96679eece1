"""What differs between CMIS revisions 4.0 to 5.3, on one product (REV-00 to REV-03, APP-10, TIM-01)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cmis_host import (
    ACTIVATED,
    APPLY_DP_INIT,
    DEACTIVATED,
    DP_DEINIT,
    INITIALIZED,
    OUTPUT_DISABLE_TX,
    SUCCESS,
    Host,
)
from dr4 import Variant

from cmis_emu import Emulator, InputError

REVISIONS = ("4.0", "5.0", "5.1", "5.2", "5.3")


def of(revision: str, **registers: Any) -> Callable[[dict[str, Any]], None]:
    """The DR4 as a product of another year."""

    def edit(profile: dict[str, Any]) -> None:
        profile["revision"] = revision
        profile["registers"] |= registers
        if number(revision) < (5, 2):
            del profile["vdm"]  # it has observables that came with 5.2

    return edit


def number(revision: str) -> tuple[int, int]:
    major, _, minor = revision.partition(".")
    return int(major), int(minor)


@pytest.mark.rule("REV-00", "REV-01", "REV-02")
@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_is_brought_up_by_the_same_host(variant: Variant, revision: str) -> None:
    emu = variant(of(revision))
    host = Host(emu.smbus(1))
    major, minor = number(revision)
    assert host.byte(0, 1) == major << 4 | minor
    host.control(DP_DEINIT, 0xFF)
    host.control(OUTPUT_DISABLE_TX, 0xFF)
    emu.settle()
    assert host.states() == [DEACTIVATED] * 8
    host.write(0x10, APPLY_DP_INIT, 0xFF)
    emu.clock.advance(0.1)
    assert host.status() == [SUCCESS] * 8
    assert host.pending() == (0xFF if major >= 5 else 0)  # CFG-12: hosts look for it from 5.0 on
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert host.states() == [INITIALIZED] * 8
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.settle()
    emu.clock.advance(1)
    assert host.states() == [ACTIVATED] * 8
    assert (host.output_rx(), host.output_tx()) == ((0xFF, 0x0F) if major >= 5 else (0, 0))


@pytest.mark.rule("REV-00", "I2C-07", "HOST-06")
@pytest.mark.parametrize("revision", REVISIONS)
def test_what_came_later_is_reserved(variant: Variant, revision: str) -> None:
    host = Host(variant(of(revision)).smbus(1))
    here = number(revision)
    for since, page, offset, mask in (
        ("5.3", 0, 2, 0x03),  # AutoCommissioning
        ("5.3", 0, 42, 0x0F),
        ("5.3", 0x01, 169, 0x0F),
        ("5.3", 0x01, 175, 0x0F),
        ("5.3", 0x01, 251, 0xFF),
        ("5.3", 0x01, 252, 0xC0),
        ("5.2", 0x01, 162, 0x40),
        ("5.1", 0x01, 142, 0x80),
    ):
        if here < number(since):
            assert host.byte(page, offset) & mask == 0
    host.write(0x10, 176, 0xFF)  # unidirectional apply came with 5.2
    assert host.status() != [12] * 8


@pytest.mark.rule("REV-00")
@pytest.mark.parametrize(
    ("revision", "register", "value"),
    [
        ("5.2", "AutoCommissioning", 1),
        ("5.2", "NADBanksSupported", 1),
        ("5.1", "UnidirReconfigSupported", 1),
        ("5.0", "NetworkPathPagesSupported", 1),
        ("5.3", "DefaultInputPolarityTx", 1),
    ],
)
def test_a_product_cannot_advertise_what_its_revision_does_not_know(
    variant: Variant, revision: str, register: str, value: int
) -> None:
    with pytest.raises(InputError, match="advertised first"):
        variant(of(revision, **{register: value}))


@pytest.mark.rule("APP-10")
def test_normalised_descriptors_repeat_the_basic_ones(variant: Variant) -> None:
    emu = variant(of("5.3", NADBanksSupported=1))
    host = Host(emu.smbus(1))
    assert host.read(0x1C, 128, 24) == bytes.fromhex("111C840101000000 0D1421550F000000 0000000000000000")
    plain = Host(variant(of("5.3")).smbus(1))
    plain.select(0x1C)
    assert plain.byte(0, 127) == 0


# -- latency --------------------------------------------------------------------------------------


def timed(profile: dict[str, Any]) -> None:
    profile["registers"]["TimingPage15hSupported"] = 1
    profile["latency_ns"] = {"rx": 120, "tx": 95, "spread": 3}


def words(host: Host, offset: int) -> list[int]:
    raw = host.read(0x15, offset, 16)
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, 16, 2)]


@pytest.mark.rule("TIM-01")
def test_latency_of_initialised_lanes(variant: Variant) -> None:
    emu = variant(timed)
    host = Host(emu.smbus(1))
    rx, tx = words(host, 224), words(host, 240)
    assert all(abs(value - 120) <= 12 for value in rx)
    assert all(abs(value - 95) <= 12 for value in tx)
    assert len(set(rx + tx)) > 2
    host.control(OUTPUT_DISABLE_TX, 1)
    emu.settle()
    host.control(OUTPUT_DISABLE_TX, 0)
    emu.settle()
    assert (words(host, 224), words(host, 240)) == (rx, tx)  # nothing was initialised anew
    host.control(DP_DEINIT, 0xFF)
    emu.settle()
    assert words(host, 224) == words(host, 240) == [0] * 8
    host.control(DP_DEINIT, 0)
    emu.settle()
    assert words(host, 224) != rx


@pytest.mark.rule("TIM-01", "PAGE-04")
def test_no_latency_page_unless_advertised(emu: Emulator) -> None:
    host = Host(emu.smbus(1))
    host.select(0x15)
    assert host.byte(0, 127) == 0
