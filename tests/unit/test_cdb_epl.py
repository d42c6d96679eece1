"""Extended payload through the bus: pages, lengths of accesses, auto paging, replies in pages (CDB-06, CDB-13)."""

from __future__ import annotations

import pytest
import smbus2
from cdb_host import EPL, MESSAGE, PARAMETER, SUCCESS, CdbHost, cdb
from cmis_host import ADDRESS
from dr4 import Variant

from cmis_emu import Emulator
from cmis_emu.bus.target import Target

PAGES = (0, 1, 2, 3, 4, 8, 12, 16)


def pattern(size: int, seed: int = 1) -> bytes:
    return bytes((seed + 7 * n + n // 128) % 256 for n in range(size))


def mapped(host: CdbHost) -> bytes:
    return host.get(126, 2)


@pytest.mark.rule("CDB-13")
@pytest.mark.parametrize("pages", PAGES)
def test_as_many_pages_as_advertised(variant: Variant, pages: int) -> None:
    host = CdbHost(variant(cdb(epl_pages=pages, auto_paging=False)), piece=128)
    assert host.read(0x01, 163)[0] & 15 == PAGES.index(pages)
    for number in range(16):
        host.select(EPL + number)
        assert mapped(host)[1] == (EPL + number if number < pages else 0)
    for number in range(pages):
        host.select(EPL + number)
        host.put(128, pattern(128, number))
    for number in range(pages):
        assert host.read(EPL + number, 128, 128) == pattern(128, number)
    assert host.run(0x0040, epl=b"") == SUCCESS


@pytest.mark.rule("CDB-13")
@pytest.mark.parametrize("pages", [1, 4, 16])
def test_a_write_goes_on_on_the_next_page_and_wraps(variant: Variant, pages: int) -> None:
    host = CdbHost(variant(cdb(epl_pages=pages, access_bytes=2048)))
    data = pattern(128 * pages)
    host.select(EPL)
    host.put(128, data)
    assert mapped(host)[1] == EPL, "behind the last page comes the first"
    for number in range(pages):
        assert host.read(EPL + number, 128, 128) == data[128 * number : 128 * number + 128]
    host.select(EPL + pages - 1)
    host.put(250, bytes(range(1, 11)))
    assert mapped(host)[1] == EPL
    assert host.get(128, 4) == bytes([7, 8, 9, 10])
    assert host.read(EPL + pages - 1, 250, 6) == bytes(range(1, 7))


@pytest.mark.rule("CDB-13", "I2C-04")
@pytest.mark.parametrize("split", [[1], [8], [37], [128], [100, 28], [120, 300], [2048]])
def test_however_it_is_cut(variant: Variant, split: list[int]) -> None:
    """A host that counts on auto paging selects once and goes on where it stopped."""
    host = CdbHost(variant(cdb(access_bytes=2048)))
    data = pattern(16 * 128, 3)
    host.select(EPL)
    at = turn = 0
    while at < len(data):
        size = split[turn % len(split)]
        host.put(128 + at % 128, data[at : at + size])
        at, turn = at + size, turn + 1
    assert mapped(host)[1] == EPL + (0 if at == len(data) else (at % 2048) // 128)
    assert b"".join(host.read(EPL + n, 128, 128) for n in range(16)) == data
    host.select(EPL)
    got = b""
    while len(got) < len(data):
        size = split[turn % len(split)]
        got += host.get(128 + len(got) % 128, min(size, len(data) - len(got)))
        turn += 1
    assert got == data
    assert mapped(host)[1] == EPL


@pytest.mark.rule("CDB-13", "I2C-04")
def test_without_auto_paging_accesses_roll_over(variant: Variant) -> None:
    host = CdbHost(variant(cdb(auto_paging=False)))
    host.select(EPL)
    host.put(250, bytes(range(1, 11)))
    assert mapped(host)[1] == EPL
    assert host.get(250, 10) == bytes(range(1, 11))
    assert host.get(128, 4) == bytes([7, 8, 9, 10])


@pytest.mark.rule("CDB-13")
def test_other_pages_do_not_follow_each_other(variant: Variant) -> None:
    host = CdbHost(variant(cdb()))
    for page in (0x00, 0x10, MESSAGE):
        host.select(page)
        host.get(120, 8)
        host.get(200, 56)
        host.get(250, 20)
        assert mapped(host)[1] == page


@pytest.mark.rule("CDB-13")
def test_byte_events_move_on_as_whole_messages_do(variant: Variant) -> None:
    emu = variant(cdb())
    target: Target = emu.ports["1"].target
    target.write(bytes([126, 0, EPL]))
    assert target.start(read=False)
    for value in (254, 1, 2, 3, 4):
        assert target.write_byte(value)
    target.end()
    assert emu.ports["1"].module.peek(EPL, 254, 2) == b"\1\2"
    assert emu.ports["1"].module.peek(EPL + 1, 128, 2) == b"\3\4"
    target.write(bytes([126, 0, EPL]))
    assert target.start(read=False)
    target.write_byte(254)
    assert target.start(read=True)
    seen = []
    for _ in range(4):
        seen.append(target.peek())
        target.commit()
    target.end()
    assert seen == [1, 2, 3, 4]
    assert emu.ports["1"].module.peek(-1, 127, 1)[0] == EPL + 1


@pytest.mark.rule("CDB-13")
def test_a_current_address_read_goes_on_on_the_next_page(variant: Variant) -> None:
    host = CdbHost(variant(cdb()), piece=128)
    for number in (0, 1):
        host.select(EPL + number)
        host.put(128, pattern(127, number + 1))
    host.select(EPL)
    assert host.get(128, 128)[:127] == pattern(127, 1)
    more = smbus2.i2c_msg.read(ADDRESS, 4)
    host.bus.i2c_rdwr(more)
    assert bytes(more) == pattern(4, 2)


@pytest.mark.rule("I2C-06", "CDB-13")
@pytest.mark.parametrize("size", [8, 16, 128, 2048])
def test_accesses_are_as_long_as_advertised(variant: Variant, size: int) -> None:
    host = CdbHost(variant(cdb(access_bytes=size)))
    assert host.read(0x01, 164)[0] == size // 8 - 1
    host.select(EPL)
    host.put(128, pattern(size))
    with pytest.raises(OSError, match=r".*"):
        host.put(128, pattern(size + 1))
    host.select(MESSAGE)
    longest = min(size, 128)
    if longest == 128:
        host.put(130, bytes(126))
    else:
        host.put(136, pattern(longest))
        assert host.get(136, longest) == pattern(longest)
        with pytest.raises(OSError, match=r".*"):
            host.put(136, pattern(longest + 1))
    host.select(0x10)
    with pytest.raises(OSError, match=r".*"):
        host.put(160, bytes(9))


@pytest.mark.rule("CDB-13")
def test_banks_are_instances(variant: Variant) -> None:
    emu = variant(cdb(instances=2, access_bytes=2048))
    one, two = CdbHost(emu, 1), CdbHost(emu, 2)
    one.select(EPL)
    one.put(128, pattern(2048, 1))
    two.select(EPL)
    two.put(128, pattern(300, 9))
    assert mapped(two) == bytes([1, EPL + 2])
    assert one.read(EPL, 128, 300) == pattern(300, 1)
    assert two.read(EPL, 128, 300) == pattern(300, 9)


@pytest.mark.rule("CDB-06", "CDB-16")
def test_extended_lengths_must_fit_the_pages(variant: Variant) -> None:
    host = CdbHost(variant(cdb(epl_pages=2)))
    assert host.run(0x0040, epl=bytes(256)) == SUCCESS
    host.write_body(bytes([0, 0x40, 1, 1, 0]) + bytes([0xFF - 0x42, 0, 0]))
    host.put(128, b"\0\x40")
    assert host.wait() == PARAMETER


@pytest.mark.rule("CDB-06")
def test_a_reply_in_pages_tells_how_many(variant: Variant) -> None:
    """Two lanes with twelve bytes each fit one page, eight lanes with all their records need two."""
    host = CdbHost(variant(cdb(groups=["performance"])), piece=128)
    for lanes, low, high, pages in ((0b11, 0b11, 0, 1), (0b1111, 0b111, 0b111, 2)):
        request = bytes([1, 0, 0, 0, 0, 0, 0, lanes, low, high, 0, 0]) + bytes(8)
        assert host.run(0x0215, request) == SUCCESS
        assert host.read(MESSAGE, 134)[0] == 239 + pages
        records = host.read(EPL, 128, 128 * pages)
        size = 8 * lanes.bit_count() * (low.bit_count() + high.bit_count())
        assert all(any(records[n : n + 2]) for n in range(4, size, 8)), "maxima"
        assert records[size:] == bytes(128 * pages - size)


def test_a_snapshot_keeps_the_chain_of_pages(variant: Variant) -> None:
    emu: Emulator = variant(cdb(access_bytes=2048))
    host = CdbHost(emu)
    host.select(EPL)
    kept = emu.snapshot()
    emu.restore(kept)
    host.put(128, pattern(300))
    assert mapped(host)[1] == EPL + 2
    assert emu.ports["1"].module.peek(EPL + 1, 128, 128) == pattern(300)[128:256]
    emu.restore(kept)
    assert mapped(host)[1] == EPL
    assert emu.ports["1"].module.peek(EPL + 1, 128, 128) == bytes(128)
