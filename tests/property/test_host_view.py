"""The module against a small oracle that knows the maps' rows and nothing of the code.

The oracle reads `register_maps/cmis/*.yaml` as plain data: which bits a host may write, which clear when they
are read. Everything it checks, it checks through the bus.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from smbus2 import i2c_msg

from cmis_emu import Emulator, ManualClock
from cmis_emu.resources import maps_root

A = 0x50
DR4 = "qsfpdd-400g-dr4"
PAGES = {"lower": -1, "00h": 0, "01h": 1, "02h": 2, "10h": 0x10, "11h": 0x11}
HERE = frozenset(number for number in PAGES.values() if number >= 0)
UNKNOWN = {
    0x03,
    0x13,
    0x14,
    *range(0x20, 0x23),
    *range(0x24, 0x27),
    *range(0x28, 0x2B),
    0x2C,
    0x2D,
    0x2F,
    0x9F,
    *range(0xA0, 0xB0),
}
"""Pages that the product has too, with rules of which the oracle knows nothing."""
CHOICE = st.one_of(st.sampled_from(sorted(HERE)), st.integers(0, 255).filter(lambda page: page not in UNKNOWN))
WIDTHS = {"bool": 1, "u2": 2, "u3": 3, "u4": 4}
SIZES = {"u16": 2, "s16": 2, "f16": 2, "u32": 4, "u64": 8}
WRITE_LIMIT = 8


def rows(page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((maps_root() / "cmis" / f"page_{page}.yaml").read_text())["fields"]
    return found


def bits(row: dict[str, Any]) -> list[tuple[int, int]]:
    """(byte in the half, mask) of everything a row covers."""
    at, lanes = row["at"] & 127, row.get("lanes", 1)
    width = WIDTHS.get(row["type"], 8)
    if width < 8 and "lanes" in row and "stride" not in row:
        return [(at + lane * width // 8, ((1 << width) - 1) << lane * width % 8) for lane in range(lanes)]
    size = row.get("size") or SIZES.get(row["type"], 1)
    high, low = row.get("bits", (width - 1, 0))
    mask = (1 << (high + 1)) - (1 << low) if size == 1 else 0xFF
    return [(at + lane * row.get("stride", size) + step, mask) for lane in range(lanes) for step in range(size)]


def gather(keep: Any) -> dict[int, bytearray]:
    """Per page, the bits of the rows that `keep` chooses."""
    found = {number: bytearray(128) for number in PAGES.values()}
    for page, number in PAGES.items():
        for row in filter(keep, rows(page)):
            for byte, mask in bits(row):
                found[number][byte] |= mask
    return found


WRITABLE = gather(lambda row: row.get("access") == "RW")
CLEARING = gather(lambda row: row.get("on_read") == "clear")
MOVING = gather(lambda row: row.get("volatile") or row.get("on_read") == "clear" or row["name"].startswith("ACS."))
# The two select bytes have rules of their own.
WRITABLE[-1][126:128] = b"\0\0"
MOVING[-1][126:128] = b"\xff\xff"


class HostView(RuleBasedStateMachine):
    """Random hosts. `flags` is what the oracle knows to be latched; `page`, `bank` what it knows to be mapped."""

    def __init__(self) -> None:
        super().__init__()
        self.emu = Emulator.load(DR4, clock=ManualClock(), seed=11)
        self.bus = self.emu.smbus(1)

    @initialize()
    def boot(self) -> None:
        self.emu.settle()
        self.read(0, 128)
        self.page = 0
        self.stored_bank = 0
        self.fixed = {}
        for number in PAGES.values():
            if number >= 0:
                self.bus.write_i2c_block_data(A, 126, [0, number])
            self.fixed[number] = self.read(0 if number < 0 else 128, 128)
        self.bus.write_i2c_block_data(A, 126, [0, 0])
        self.raised = 0
        self.kept: Any = None

    def teardown(self) -> None:
        self.emu.close()

    def read(self, register: int, length: int) -> bytes:
        found = i2c_msg.read(A, length)
        self.bus.i2c_rdwr(i2c_msg.write(A, [register]), found)
        for at in range(register & 127, (register & 127) + length):
            if register < 128 and at & 127 == 8:
                self.raised = 0  # byte 8 left the module
        return bytes(found)

    # -- what hosts do -------------------------------------------------------------------------------

    @rule(page=CHOICE)
    def select_page(self, page: int) -> None:
        self.bus.write_byte_data(A, 127, page)
        self.mapped(page, self.stored_bank)

    @rule(bank=st.integers(0, 3))
    def store_bank(self, bank: int) -> None:
        self.bus.write_byte_data(A, 126, bank)
        self.stored_bank = bank  # no effect yet

    @rule(bank=st.integers(0, 2), page=CHOICE)
    def select_both(self, bank: int, page: int) -> None:
        self.bus.write_i2c_block_data(A, 126, [bank, page])
        self.mapped(page, bank)

    def mapped(self, page: int, bank: int) -> None:
        """PAGE-02 to PAGE-04 for a module with one bank."""
        exists = page in HERE and (bank == 0 or page < 0x10)
        self.page = page if exists else 0
        self.stored_bank = 0

    @rule(register=st.integers(0, 255), data=st.lists(st.integers(0, 255), min_size=1, max_size=WRITE_LIMIT))
    def write(self, register: int, data: list[int]) -> None:
        touched = [(register & 128) | (register + step & 127) for step in range(len(data))]
        if any(126 <= each <= 127 for each in touched):
            return  # the select rules have methods of their own
        if 26 in touched:
            data = [0x40 if each == 26 else value for each, value in zip(touched, data, strict=True)]
        before = self.peek_half(register)
        self.bus.i2c_rdwr(i2c_msg.write(A, [register, *data]))
        after = self.peek_half(register)
        number = self.page if register >= 128 else -1
        for index in range(128):
            if number == 0x11 or (number == -1 and MOVING[-1][index]):
                continue  # status: the module's own
            allowed = WRITABLE[number][index] if any(each & 127 == index for each in touched) else 0
            assert (before[index] ^ after[index]) & ~allowed & 0xFF == 0, f"page {number} byte {index}"

    def peek_half(self, register: int) -> bytes:
        module = self.emu.ports["1"].module
        return module.peek(-1, 0, 128) if register < 128 else module.peek(self.page, 128, 128)

    @rule(register=st.integers(0, 255), length=st.integers(1, 24))
    def single_reads_equal_one_long_read(self, register: int, length: int) -> None:
        number = self.page if register >= 128 else -1
        touched = [(register + step) & 127 for step in range(length)]
        if any(CLEARING[number][index] for index in touched):
            self.read(register, length)
            return
        whole = self.read(register, length)
        assert bytes(self.bus.read_byte_data(A, (register & 128) | index) for index in touched) == whole
        self.bus.write_byte(A, register)
        assert bytes(self.bus.read_byte(A) for _ in range(length)) == whole

    @rule(flag=st.sampled_from([(1, "ModuleFirmwareErrorFlag"), (2, "DataPathFirmwareErrorFlag")]))
    def raise_a_flag(self, flag: tuple[int, str]) -> None:
        self.emu.ports["1"].module.set(flag[1], 1)
        self.raised |= 1 << flag[0]

    @rule()
    def read_the_flag(self) -> None:
        expected = self.raised
        assert self.read(8, 1)[0] & 0x06 == expected
        assert self.read(8, 1)[0] & 0x06 == 0

    @rule(duration_ms=st.sampled_from([1, 30, 100, 1000]))
    def wait(self, duration_ms: int) -> None:
        self.emu.clock.advance(duration_ms / 1000)

    @precondition(lambda self: self.kept is None)
    @rule()
    def snapshot(self) -> None:
        self.kept = self.emu.snapshot(), self.page, self.stored_bank, self.raised

    @precondition(lambda self: self.kept is not None)
    @rule(steps=st.lists(st.tuples(st.integers(0, 255), st.integers(1, 16)), min_size=1, max_size=5))
    def restore_and_live_it_twice(self, steps: list[tuple[int, int]]) -> None:
        futures = []
        for _ in range(2):
            self.emu.restore(self.kept[0])
            seen: list[Any] = []
            for register, length in steps:
                seen.append(self.read(register, length))
                self.emu.clock.advance(0.07)
                if 128 <= register < 250 and self.kept[1] == 0x10:
                    self.bus.write_byte_data(A, register, length)
            seen.append(self.emu.ports["1"].module.memory.contents())
            futures.append(seen)
        assert futures[0] == futures[1]
        self.emu.restore(self.kept[0])
        _, self.page, self.stored_bank, self.raised = self.kept
        self.kept = None

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def select_bytes_tell_the_page(self) -> None:
        if hasattr(self, "page"):
            assert self.read(126, 2) == bytes([self.stored_bank, self.page])
            assert self.emu.ports["1"].module.memory.upper.number == self.page

    @invariant()
    def an_unread_flag_stays(self) -> None:
        if hasattr(self, "raised"):
            assert self.emu.ports["1"].module.peek(-1, 8, 1)[0] & 0x06 == self.raised
            assert not self.raised & ~self.bus.read_byte_data(A, 31) or not self.emu.ports["1"].pins.IntL

    @invariant()
    def read_only_pages_stay(self) -> None:
        if hasattr(self, "fixed"):
            module = self.emu.ports["1"].module
            for number in (0, 1, 2):
                assert module.peek(number, 128, 128) == self.fixed[number]
            lower = module.peek(-1, 0, 128)
            for index in range(128):
                free = WRITABLE[-1][index] | MOVING[-1][index]
                assert (lower[index] ^ self.fixed[-1][index]) & ~free & 0xFF == 0, f"byte {index}"


HostView.TestCase.settings = settings(
    derandomize=True,
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHostView = pytest.mark.rule(
    "I2C-04", "I2C-07", "PAGE-02", "PAGE-03", "PAGE-04", "FLG-01", "FLG-03", "FLG-04", "FLG-06"
)(HostView.TestCase)
