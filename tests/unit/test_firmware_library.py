"""Every product with firmware management does what it advertises, within the times that it tells (CMD-03, CMD-04)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cdb_host import PARAMETER, STATE, SUCCESS, UNKNOWN
from firmware_bench import HEADER, Steps, image, load
from firmware_hosts import Fboss, Features, Linux

from cmis_emu.module.profile.library import load_profile, profile_names

PRODUCTS = [name for name in profile_names() if load_profile(name).firmware is not None]
ANY = image(hardware="", size=16384)


def test_every_product_with_cdb_has_firmware() -> None:
    assert [name for name in profile_names() if load_profile(name).cdb is not None] == PRODUCTS
    assert len(PRODUCTS) >= 8


@pytest.fixture(params=PRODUCTS)
def host(request: pytest.FixtureRequest) -> Iterator[Steps]:
    with load(Path(request.param)) as emu:
        yield Steps(emu)


def took(host: Steps, command: int, lpl: bytes = b"", epl: bytes = b"") -> float:
    """Seconds from the trigger to success."""
    host.send(command, lpl, epl=epl)
    began = host.clock.now
    assert host.wait(step_s=0.001) == SUCCESS, hex(command)
    return host.clock.now - began


@pytest.mark.rule("CMD-03", "CMD-04")
def test_commands_end_within_the_times_that_are_told(host: Steps) -> None:
    features = Features.of(host.ask(0x0041))
    longest = int.from_bytes(host.ask(0x0040)[34:36], "big") / 1000 + 0.001  # and one look too late
    payload = ANY[HEADER:]
    assert took(host, 0x0100) <= longest
    start = took(host, 0x0101, len(ANY).to_bytes(4, "big") + bytes(4) + ANY[: features.start_payload])
    assert 0.5 < start <= features.start  # and erasing does take its time
    if features.epl:
        assert took(host, 0x0104, bytes(4), payload[:2048]) <= features.write
        rest = 2048
    else:
        rest = 0
    if features.lpl:
        assert took(host, 0x0103, rest.to_bytes(4, "big") + payload[rest : rest + 116]) <= features.write
    if features.abort:
        assert took(host, 0x0102) <= features.abort_time
    else:
        host.reset("software")
    host.download(ANY, epl=features.epl)
    host.start(ANY)
    host.blocks(ANY, epl=features.epl)
    assert took(host, 0x0107) <= features.complete
    assert took(host, 0x010A) <= longest
    if host.ask(0x0041)[1] & 2:
        assert took(host, 0x0108, b"\xab") <= features.copy
    assert took(host, 0x0109, bytes([0, 0]) + (200).to_bytes(2, "big")) <= longest


@pytest.mark.rule("CMD-04")
def test_there_is_what_is_advertised_and_nothing_else(host: Steps) -> None:
    data = host.ask(0x0041)
    features = Features.of(data)
    copy, readback = bool(data[1] & 2), bool(data[1] & 0x80)
    there = {0x0109, 0x010A, 0x0101, 0x0107}
    there |= {0x0102} if features.abort else set()
    there |= {0x0103} if features.lpl else set()
    there |= {0x0104} if features.epl else set()
    there |= {0x0108} if copy else set()
    there |= {0x0105} if readback and data[6] & 0x0F else set()
    there |= {0x0106} if readback and data[6] & 0xF0 else set()
    for code in range(0x0101, 0x0110):
        status = host.run(code, bytes(9))
        assert status in ((STATE, PARAMETER) if code in there else (UNKNOWN,)), hex(code)


@pytest.mark.rule("FW-03", "FW-04", "FW-15")
@pytest.mark.parametrize("kind", ["linux", "fboss"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_can_be_updated(name: str, kind: str) -> None:
    with load(Path(name)) as emu:
        host = Steps(emu)
        before = host.info()
        assert host.versions()[0] == ".".join(before.a.split(".")[:2])
        if kind == "linux":
            Linux(host.bus, host.clock.advance).update(ANY)
        else:
            Fboss(host.bus, host.clock.advance).update(ANY, extended=Features.of(host.ask(0x0041)).epl)
        assert host.info() == (0x30, 7, before.a, "9.8.7", before.factory)
        host.reset("power")
        assert host.versions()[0] == "9.8"


def test_an_image_for_one_product_is_refused_by_the_others() -> None:
    parts = {name: load_profile(name).firmware.hardware for name in PRODUCTS}  # type: ignore[union-attr]
    assert len(set(parts.values())) == len(PRODUCTS)
    for name, part in parts.items():
        with load(Path(name)) as emu:
            host = Steps(emu)
            for other in parts.values():
                assert host.start(image(hardware=other)) == (SUCCESS if other == part else PARAMETER)
                host.reset("software")
