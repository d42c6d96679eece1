"""Two equal emulators that a property treats in two ways, and byte events of a controller's own making.

The fixture is known to all tests by `conftest.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from dr4 import DR4

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.target import Target
from cmis_emu.emulator import Snapshot


@dataclass(repr=False)
class Twins:
    """Each with one module, at rest when `kept` was taken."""

    one: Emulator
    two: Emulator
    kept: tuple[Snapshot, Snapshot]

    def __iter__(self) -> Iterator[Emulator]:
        return iter((self.one, self.two))

    def rewind(self) -> None:
        """Both stand where they stood at first, and nobody listens."""
        for emu, kept in zip(self, self.kept, strict=True):
            emu.restore(kept)
            emu.ports["1"].target.taps.clear()

    def assert_same(self) -> None:
        """Both modules hold the same bytes, show the same bytes, drive pins alike, and stand at the same time."""
        one, two = (emu.ports["1"] for emu in self)
        assert self.one.clock.now_ns == self.two.clock.now_ns
        assert one.target.pointer == two.target.pointer
        assert one.module.memory.contents() == two.module.memory.contents()
        assert one.module.memory.upper.number == two.module.memory.upper.number
        assert one.module.mapped() == two.module.mapped()
        assert one.module.msm.state is two.module.msm.state
        assert one.pins.levels() == two.pins.levels()


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    """A DR4 each."""
    pair = [Emulator.load(DR4, clock=ManualClock(), seed=3) for _ in range(2)]
    for emu in pair:
        emu.settle()
    yield Twins(pair[0], pair[1], (pair[0].snapshot(), pair[1].snapshot()))
    for emu in pair:
        emu.close()


def write_bytes(target: Target, data: bytes, *, insist: bool = False) -> int | None:
    """As `Target.write`, by byte events. insist: go on after a byte that was refused."""
    if not target.start(read=False):
        return None
    taken = sum(map(target.write_byte, data)) if insist else len([*itertools.takewhile(target.write_byte, data)])
    target.end()
    return taken


def read_bytes(target: Target, length: int, peeks: int) -> bytes | None:
    """As `Target.read`, by byte events. peeks: how often a byte is looked at before it is clocked out."""
    if not target.start(read=True):
        return None
    found = bytearray()
    for _ in range(length):
        seen = {target.peek() for _ in range(1 + peeks)}
        assert len(seen) == 1
        found.append(seen.pop())
        target.commit()
    for _ in range(peeks):
        target.peek()  # a controller that fetches one byte too many
    target.end()
    return bytes(found)
