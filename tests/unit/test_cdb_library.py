"""Every product with CDB does what its page 01h says (CDB-01, CDB-10, CDB-11, CDB-13)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import smbus2
from cdb_host import BUSY, EPL, MESSAGE, SUCCESS, CdbHost, complement
from cmis_host import ADDRESS, Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_names

PRODUCTS = [name for name in profile_names() if load_profile(name).cdb is not None]
PAGES = (0, 1, 2, 3, 4, 8, 12, 16)
FEATURES = {0x0040: 36, 0x0041: 18, 0x0042: 32, 0x0043: 32, 0x0044: 52, 0x0045: 1}


@pytest.fixture(params=PRODUCTS)
def emu(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator.load(request.param, clock=ManualClock(), seed=1) as emulator:
        emulator.settle()
        yield emulator


def advertised(host: CdbHost) -> tuple[int, bool, bool, int, int, bool, float]:
    """Instances, background, auto paging, pages, access bytes, any write triggers, longest refusal in s."""
    a, b, c, d = host.read(0x01, 163, 4)
    busy = 0.16 * max(1, c & 31) if d & 0x80 else 0.08 - min(0.08, (d & 0x7F) / 1000)
    return a >> 6, bool(a & 0x20), bool(a & 0x10), PAGES[a & 15], 8 * (1 + b), bool(c & 0x80), busy


def test_there_are_such_products() -> None:
    assert {"qsfpdd-400g-dr4", "qsfpdd-400g-fr4", "qsfpdd-400g-lr4", "osfp-800g-dr8", "osfp-800g-2xfr4"} <= set(
        PRODUCTS
    )


@pytest.mark.rule("CDB-01", "CDB-10", "CDB-11")
def test_every_instance_refuses_no_longer_than_it_says(emu: Emulator) -> None:
    count, background, *_, bound_s = advertised(CdbHost(emu))
    assert bound_s > 0
    for instance in range(1, count + 1):
        host = CdbHost(emu, instance)
        for command in (0x0040, 0x0000):
            start = emu.clock.now
            host.send(command, b"\x01\xf4" if command == 0 else b"")
            if background:
                assert host.status() & BUSY, "seen at the first look"
            while not Host(host.bus).answers():
                assert emu.clock.now - start < bound_s + 0.001
                emu.clock.advance(0.0005)
            assert host.wait() == SUCCESS


@pytest.mark.rule("CDB-03", "CDB-13", "I2C-06")
def test_pages_accesses_and_triggers_are_as_advertised(emu: Emulator) -> None:
    host = CdbHost(emu)
    _, _, auto_paging, pages, access, any_write, _ = advertised(host)
    data = bytes(n * 7 % 251 for n in range(min(access, 128 * pages)))
    host.select(EPL)
    host.put(128, data)
    assert host.get(127)[0] == (EPL + len(data) // 128 % pages if auto_paging else EPL)
    for number in range(len(data) // 128 if auto_paging else 1):
        assert host.read(EPL + number, 128, 128) == data[128 * number :][:128]
    with pytest.raises(OSError, match=r".*"):
        host.put(128, bytes(access + 1))
    for number in range(16):
        host.select(EPL + number)
        assert host.get(127)[0] == (EPL + number if number < pages else 0)
    host.select(MESSAGE)
    if any_write:
        message = smbus2.i2c_msg.write(ADDRESS, [128, 0, 0x40, 0, 0, 0, complement([0x40]), 0, 0])
        host.bus.i2c_rdwr(message)
        assert host.wait() == SUCCESS
    else:
        assert host.run(0x0040) == SUCCESS


@pytest.mark.rule("CDB-17", "CMD-03")
def test_features_are_answered_in_the_time_that_is_told(emu: Emulator) -> None:
    count, *_ = advertised(CdbHost(emu))
    for instance in range(1, count + 1):
        host = CdbHost(emu, instance)
        features = host.ask(0x0040)
        longest_s = int.from_bytes(features[34:36], "big") / 1000
        for command, size in FEATURES.items():
            host.send(command)
            emu.clock.advance(longest_s)
            if features[2 + command // 8] >> command % 8 & 1:
                assert host.status() == SUCCESS
                assert len(host.reply()) == size
            else:
                assert host.status() == 0x41
