"""The driver that SONiC reads modules with: its linear addresses, and the transfers it makes on the bus for them."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from i2c_host import failure

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.errors import BusError
from cmis_emu.bus.optoe import Optoe, Place, offset_of, place_of
from cmis_emu.bus.tap import Transaction
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.errors import InputError
from cmis_emu.optoe_files import OptoeFiles
from cmis_emu.registers.field import LOWER


class Bench:
    """A module, its driver, and what went over the wires."""

    def __init__(self, profile: str) -> None:
        self.emu = Emulator.load(profile, clock=ManualClock(), seed=1)
        self.emu.settle()
        self.driver = OptoeFiles(self.emu).driver("1")
        self.heard: list[Transaction] = []
        self.emu.ports["1"].target.taps.append(self.heard.append)

    def told(self) -> list[str]:
        """What was heard since the last call, without the writes that only set the address."""
        found = [str(each) for each in self.heard if each.data or each.error]
        self.heard.clear()
        return found


@pytest.fixture
def dr4() -> Bench:
    return Bench("qsfpdd-400g-dr4")


@pytest.mark.parametrize(
    ("offset", "place"),
    [
        (0, Place(0, 0, 0)),
        (127, Place(0, 0, 127)),
        (128, Place(0, 0, 128)),
        (255, Place(0, 0, 255)),
        (256, Place(0, 1, 128)),
        (0x11 * 128 + 128, Place(0, 0x11, 128)),
        (0x9F * 128 + 255, Place(0, 0x9F, 255)),
        (32895, Place(0, 255, 255)),
        (32896, Place(1, 0, 128)),
        ((256 + 0x11) * 128 + 154, Place(1, 0x11, 154)),
    ],
)
def test_places(offset: int, place: Place) -> None:
    assert place_of(offset) == place
    assert offset_of(*place) == offset


@given(st.integers(0, 4 * 256 * 128 + 127))
def test_every_offset_is_one_place(offset: int) -> None:
    place = place_of(offset)
    assert offset_of(*place) == offset
    assert (place.address < 128) == (offset < 128)


def test_page_00h_needs_no_page_select(dr4: Bench) -> None:
    assert dr4.driver.read(0, 256)[:2] == b"\x18\x52"
    assert [each.split(" ", 2)[:2] for each in dr4.told()] == [["read", "L:0"], ["read", "00h:128"]]


def test_another_page_is_selected_and_put_back(dr4: Bench) -> None:
    data = dr4.driver.read(offset_of(0, 0x11, 154), 8)
    assert data == dr4.emu.ports["1"].module.peek(0x11, 154, 8)
    pageable, select, read, back = dr4.told()
    assert pageable.startswith("read L:2 ")
    assert (select, back) == ("write L:127 11", "write L:127 00")
    assert read == f"read 11h:154 {data.hex(' ')}"


def test_writes_go_one_byte_at_a_time_until_told_otherwise(dr4: Bench) -> None:
    at = offset_of(0, 0x10, 130)
    assert dr4.driver.write(at, b"\x05\x06") == 2
    assert dr4.told()[1:] == ["write L:127 10", "write 10h:130 05", "write 10h:131 06", "write L:127 00"]
    dr4.driver.configure(8, None, None)
    dr4.driver.write(at, bytes(12))
    assert dr4.told()[2:-1] == ["write 10h:130 " + "00 " * 7 + "00", "write 10h:138 00 00 00 00"]


def test_an_access_goes_on_over_the_end_of_a_page(dr4: Bench) -> None:
    found = dr4.driver.read(offset_of(0, 1, 250), 10)
    module = dr4.emu.ports["1"].module
    assert found == module.peek(1, 250, 6) + module.peek(2, 128, 4)
    assert [each for each in dr4.told() if "127" in each] == [
        "write L:127 01", "write L:127 00", "write L:127 02", "write L:127 00"
    ]  # fmt: skip


def test_flags_clear_by_what_was_read(dr4: Bench) -> None:
    module = dr4.emu.ports["1"].module
    dr4.driver.read(0, 128)
    dr4.emu.ports["1"].pins.LPMode = True
    dr4.emu.settle()
    module.set("LowPwrRequestSW", True)
    dr4.emu.settle()
    assert module.get("ModuleStateChangedFlag")
    dr4.driver.read(0, 8)
    assert module.get("ModuleStateChangedFlag")
    dr4.driver.read(8, 1)
    assert not module.get("ModuleStateChangedFlag")


def test_a_flat_module_ends_after_page_00h() -> None:
    bench = Bench("qsfpdd-400g-dac")
    assert len(bench.driver.read(0, 4096)) == 256
    assert bench.driver.read(256, 4) == b""
    assert bench.driver.write(256, b"\0") == 0


def test_the_file_has_an_end(dr4: Bench) -> None:
    assert dr4.driver.size == 32896
    assert len(dr4.driver.read(32890, 100)) == 6
    assert dr4.driver.read(32896, 1) == b""
    assert len(dr4.driver.read(0, 100_000)) == 4096  # as much as one read of a sysfs file gives
    assert dr4.driver.read(5, -1) == b""
    assert failure(lambda: dr4.driver.read(-1, 1)) == errno.EINVAL


def test_banks_appear_once_they_are_counted() -> None:
    bench = Bench("osfpxd-1600g-2xdr8")
    at = offset_of(1, 0x11, 154)
    assert bench.driver.read(at, 2) == b""
    bench.driver.configure(None, None, 2)
    assert bench.driver.size == 65664
    bench.told()
    assert bench.driver.read(at, 2) == bench.emu.ports["1"].module.peek(0x11, 154, 2, bank=1)
    _, select, _, back = bench.told()
    assert (select, back) == ("write L:126 01 11", "write L:126 00 00")


@pytest.mark.parametrize("settings", [(0, None, None), (129, None, None), (None, 501, None), (None, None, -1)])
def test_settings_that_the_driver_refuses(dr4: Bench, settings: tuple[int | None, ...]) -> None:
    with pytest.raises(InputError):
        dr4.driver.configure(*settings)
    assert (dr4.driver.write_max, dr4.driver.write_timeout_ms, dr4.driver.max_banks) == (1, 25, 0)


def test_an_empty_cage(dr4: Bench) -> None:
    dr4.emu.ports["1"].remove()
    before = dr4.emu.clock.now_ns
    assert failure(lambda: dr4.driver.read(0, 1)) == errno.ENXIO
    assert dr4.emu.clock.now_ns == before  # a read that nobody answers is not tried again
    assert failure(lambda: dr4.driver.write(0, b"\0")) == errno.ETIMEDOUT
    assert 25e6 <= dr4.emu.clock.now_ns - before <= 27e6


def test_a_write_waits_for_a_module_that_holds_off(dr4: Bench) -> None:
    dr4.emu.ports["1"].module.hold_off(10_000_000)
    assert dr4.driver.write(26, b"\0") == 1
    dr4.emu.ports["1"].module.hold_off(60_000_000)
    assert failure(lambda: dr4.driver.write(26, b"\0")) == errno.ETIMEDOUT


class Stubborn:
    """A bus on which transfers fail as told: True in `refuse` refuses the next transfer."""

    def __init__(self) -> None:
        self.refuse: list[bool] = []
        self.done: list[bytes] = []

    def transfer(self, messages: Sequence[Message]) -> list[bytes]:
        if self.refuse and self.refuse.pop(0):
            raise BusError(errno.ENXIO)
        self.done += [each.data for each in messages]
        return [bytes(each.length) for each in messages if each.flags & I2C_M_RD]


def test_a_page_that_could_not_be_put_back_is_put_back_later() -> None:
    bus = Stubborn()
    driver = Optoe(lambda: bus, ManualClock())
    driver.write_timeout_ms = 0
    bus.refuse = [False, False, False, True]
    assert driver.read(offset_of(0, 0x11, 200), 1) == b"\0"  # what was read counts
    bus.done.clear()
    driver.read(3, 1)
    assert bus.done == [bytes([127, 0]), b"\x03", b""]
    bus.done.clear()
    driver.read(3, 1)
    assert bus.done == [b"\x03", b""]


def test_a_transfer_that_fails_in_the_middle_gives_what_came() -> None:
    bus = Stubborn()
    driver = Optoe(lambda: bus, ManualClock())
    driver.write_timeout_ms = 0
    bus.refuse = [False, False, True]  # two bytes of four, then the module is gone
    assert driver.write(10, b"abcd") == 2
    bus.refuse = [False, True]
    assert len(driver.read(100, 100)) == 28
    bus.refuse = [True]
    assert failure(lambda: driver.read(100, 100)) == errno.ENXIO


def test_page_00h_is_mapped_after_an_access(dr4: Bench) -> None:
    dr4.driver.read(offset_of(0, 0x11, 128), 128)
    assert dr4.emu.ports["1"].module.peek(LOWER, 126, 2) == b"\0\0"


def test_an_access_within_an_access_of_the_same_thread_is_refused(dr4: Bench) -> None:
    found: list[int | None] = []
    dr4.emu.ports["1"].remove()
    dr4.emu.clock.after(5_000_000, lambda: found.append(failure(lambda: dr4.driver.read(0, 1))))
    assert failure(lambda: dr4.driver.write(26, b"\0")) == errno.ETIMEDOUT
    assert found == [errno.EBUSY]
